//! Any text as a rule file: compiled, or refused with faults that lie within it.
#![no_main]

use jiff::tz::TimeZoneDatabase;
use libfuzzer_sys::fuzz_target;
use tollgate::policy::{Counters, Options, compile};
use tollgate_fuzz::{TENANT, sources};

fuzz_target!(|data: &[u8]| {
    let Some((&which, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut sources = match which % 4 {
        0 => sources(text),
        _ => sources(TENANT),
    };
    match which % 4 {
        1 => sources.main.text = text.to_owned(),
        2 => sources
            .plans
            .iter_mut()
            .for_each(|plan| plan.text = text.to_owned()),
        3 => sources.tariffs.push(tollgate::policy::Source {
            name: "policies/tariffs/t.csv".into(),
            text: text.to_owned(),
        }),
        _ => {}
    }
    let options = Options {
        preview: which & 4 != 0,
    };
    let compiled = compile(
        &sources,
        options,
        &TimeZoneDatabase::bundled(),
        &Counters::new(),
    );
    let faults = match &compiled {
        Ok(rules) => rules.warnings(),
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without saying why");
            faults
        }
    };
    for fault in faults {
        let all = [&sources.main].into_iter().chain(&sources.tenants);
        let file = all
            .chain(&sources.plans)
            .chain(&sources.tariffs)
            .find(|it| it.name == fault.file);
        let text = &file
            .unwrap_or_else(|| panic!("no file {}", fault.file))
            .text;
        assert!(
            text.get(fault.span.clone()).is_some(),
            "{fault:?} lies outside its file"
        );
        assert!(fault.line >= 1 && fault.column >= 1, "{fault:?}");
    }
});
