//! Rules for the tests of what stands above them.

use jiff::tz::TimeZoneDatabase;

use super::{Counters, Options, RuleSet, Source, Sources, compile};

/// A main file: one listener, one carrier.
pub(crate) const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
"#;

/// The rules of this main file and this tenant, with the plan of Japan.
pub(crate) fn rules(main: &str, tenant: &str) -> RuleSet {
    let source = |name: &str, text: &str| Source {
        name: name.into(),
        text: text.into(),
    };
    let plan = include_str!("../../policies/plans/jp.toml");
    let sources = Sources {
        main: source("tollgate.toml", main),
        tenants: vec![source("tenants/acme.toml", tenant)],
        plans: vec![source("plans/jp.toml", plan)],
        numbering: None,
        tariffs: Vec::new(),
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, &Counters::new()).unwrap()
}

/// A tenant with the plan of Japan, whose phone system sends from here and may call
/// fixed lines there; what is added goes on under `[destinations]`, or begins a table.
pub(crate) fn tenant(source: &str, more: &str) -> String {
    format!(
        r#"
name = "acme"
plan = "jp"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["{source}"]
[callers]
own = ["+81335570000..+81335570099"]
otherwise = "replace"
default = "+81335570000"
[destinations]
allow = ["jp.fixed"]
{more}"#
    )
}
