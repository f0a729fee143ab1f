//! `tollgate ledger report`: the page of an incident.

mod indicators;
mod page;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::ledger::{Incident, Reader, Span, incident, public_key, verify};
use crate::net::clock;
use crate::policy::number::Number;
use crate::policy::numbering::Numbering;
use crate::policy::{Counters, RuleSet};

use super::cli::Configuration;
use super::rules::{self, Broken};
use super::{cli, log, print, sources, tenant};
use page::Page;

/// Prints the page, or what others can look for.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: cli::Report) -> Result<(), String> {
    let zone = TimeZoneDatabase::bundled().get(&wanted.zone);
    let zone = zone.map_err(|_| format!("there is no time zone `{}`", wanted.zone))?;
    let now = clock::now().wall;
    let span = Span {
        tenant: wanted.tenant,
        from: wanted.from,
        to: wanted.to.unwrap_or(now),
    };
    if span.from >= span.to {
        return Err("--from is not before --to, or not before now".to_owned());
    }
    let place = wanted.place;
    let (directory, rules) = match (place.dir, place.config) {
        (Some(directory), _) => (directory, None),
        (None, Some(config)) => {
            let directory = sources::ledger_of(&config)?;
            let preview = true;
            let rules = rules::load(&Configuration { config, preview }, &Counters::new());
            (directory, Some(rules.map_err(Broken::show)?.set))
        }
        (None, None) => return Err("give -c FILE or --dir DIR".to_owned()),
    };
    let fault = |fault: crate::ledger::Fault| fault.to_string();
    let mut reader = Reader::open(&directory).map_err(fault)?;
    if reader.is_empty() {
        return Err(format!("{}: there is no journal here", directory.display()));
    }
    let told = incident(&mut reader, &span, &place_of).map_err(fault)?;
    if told.first.is_none() {
        log::say("tollgate: the journal has no such call");
    }
    if let Some(form) = wanted.indicators {
        let found = indicators::indicators(&told);
        return print(&match form {
            cli::Indicators::Csv => indicators::csv(&found),
            cli::Indicators::Stix => indicators::stix(&found, now),
        });
    }
    let saved = match &rules {
        Some(rules) => saved(rules, &span, &told)?,
        None => BTreeMap::new(),
    };
    let (key, unsound) = verified(&directory)?;
    print(&page(&Facts {
        span: &span,
        told: &told,
        saved: &saved,
        key: &key,
        unsound: &unsound,
        zone,
        now,
        language: wanted.language,
    }))
}

/// All that is put on the page.
struct Facts<'a> {
    span: &'a Span,
    told: &'a Incident,
    saved: &'a BTreeMap<String, u64>,
    key: &'a str,
    unsound: &'a [String],
    zone: TimeZone,
    now: crate::base::time::Wall,
    language: cli::Language,
}

fn page(facts: &Facts<'_>) -> String {
    let mut page = Page::new(words::words(facts.language), facts.zone.clone());
    page.summary(facts.span, facts.told, facts.saved, facts.now);
    page.timeline(facts.span, facts.told);
    page.tables(facts.told);
    page.events(facts.told);
    page.evidence(facts.told, facts.key, facts.unsound);
    page.end()
}

/// The ledger's public key, and what is not as it was signed.
fn verified(directory: &Path) -> Result<(String, Vec<String>), String> {
    let fault = |fault: crate::ledger::Fault| fault.to_string();
    let key = public_key(directory).map_err(fault)?;
    let report = verify(directory, &key, None).map_err(fault)?;
    let findings = report.findings.iter().map(ToString::to_string);
    Ok((key.to_string(), findings.collect()))
}

/// The country of a number and its calling code, or its class; empty without a number.
fn place_of(number: &str) -> String {
    let Some(digits) = Number::parse_international(number) else {
        return String::new();
    };
    let numbering = Numbering::builtin();
    let range = numbering.lookup(digits.international_digits().unwrap_or_default());
    match range.country {
        Some(country) => {
            let code = numbering.calling_code(country).unwrap_or_default();
            format!("{} +{code}", country.as_str().to_ascii_uppercase())
        }
        None => range.class.as_str().to_owned(),
    }
}

/// About what calls that were stopped would have cost, in millionths, by currency.
fn saved(rules: &RuleSet, span: &Span, told: &Incident) -> Result<BTreeMap<String, u64>, String> {
    let tenant = tenant(rules, &span.tenant)?;
    let mut sums = BTreeMap::new();
    for (number, pair) in told.numbers.top(usize::MAX).0 {
        let number = Number::parse_international(number);
        let each = number.and_then(|it| rules.minute(tenant, &it));
        let Some(each) = each.filter(|_| pair.stopped > 0) else {
            continue;
        };
        let cost = each.money.millionths().saturating_mul(pair.stopped);
        let sum: &mut u64 = sums.entry(each.currency.to_string()).or_default();
        *sum = sum.saturating_add(cost);
    }
    Ok(sums)
}
