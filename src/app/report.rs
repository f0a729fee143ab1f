//! `tollgate ledger report`: the page of an incident.

mod events;
mod faults;
mod indicators;
mod names;
mod page;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::base::time::Wall;
use crate::ledger::{Incident, Reader, Report, Span, incident, public_key, verify};
use crate::net::clock;
use crate::policy::number::Number;
use crate::policy::{Counters, RuleSet, TenantId};

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
    let within = |moment: cli::Moment| {
        let at = moment.within(&zone);
        at.ok_or_else(|| "no calendar has that day".to_owned())
    };
    let span = Span {
        tenant: wanted.tenant,
        from: within(wanted.from)?,
        to: wanted.to.map_or(Ok(now), within)?,
    };
    if span.from >= span.to {
        return Err("--from is not before --to, or not before now".to_owned());
    }
    let (directory, rules) = found(wanted.place)?;
    let fault = |fault: crate::ledger::Fault| fault.to_string();
    let mut reader = Reader::open(&directory).map_err(fault)?;
    if reader.is_empty() {
        return Err(format!("{}: there is no journal here", directory.display()));
    }
    let told = incident(&mut reader, &span, &|number| {
        names::place(wanted.language, number)
    })
    .map_err(fault)?;
    let known = rules.as_ref().map(|it| tenant(it, &span.tenant));
    if told.first.is_none() {
        // Of a tenant that the rules have no more the journal may tell.
        known.clone().transpose()?;
        log::say("tollgate: the journal has no such call");
    }
    if let Some(form) = wanted.indicators {
        return share(form, &told, now, &directory);
    }
    let saved = match (&rules, known) {
        (Some(rules), Some(Ok(tenant))) => saved(rules, tenant, &told),
        _ => BTreeMap::new(),
    };
    let key = public_key(&directory).map_err(fault)?;
    let report = verify(&directory, &key, None).map_err(fault)?;
    print(&page(&Facts {
        span: &span,
        told: &told,
        saved: &saved,
        key: &key.to_string(),
        report: &report,
        zone,
        now,
        language: wanted.language,
    }))?;
    match told.damaged == 0 && report.findings.is_empty() && report.late.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}: the journal is not as it was signed, as the page says: compare with a backup, or \
             with checkpoints that were kept elsewhere",
            directory.display()
        )),
    }
}

/// Prints what others can look for.
fn share(form: cli::Indicators, told: &Incident, now: Wall, from: &Path) -> Result<(), String> {
    let found = indicators::indicators(told);
    print(&match form {
        cli::Indicators::Csv => indicators::csv(&found),
        cli::Indicators::Stix => indicators::stix(&found, now),
    })?;
    match told.damaged {
        0 => Ok(()),
        _ => Err(format!(
            "{}: the journal is damaged, and what is printed is what of it can be read: tollgate \
             ledger verify shows where; compare with a backup",
            from.display()
        )),
    }
}

/// The ledger, and the rules if there is a configuration.
fn found(place: cli::Place) -> Result<(PathBuf, Option<RuleSet>), String> {
    match (place.dir, place.config) {
        (Some(directory), _) => Ok((directory, None)),
        (None, Some(config)) => {
            let directory = sources::ledger_of(&config)?;
            let preview = true;
            let rules = rules::load(&Configuration { config, preview }, &Counters::new());
            Ok((directory, Some(rules.map_err(Broken::show)?.set)))
        }
        (None, None) => Err("give -c FILE or --dir DIR".to_owned()),
    }
}

/// All that is put on the page.
struct Facts<'a> {
    span: &'a Span,
    told: &'a Incident,
    saved: &'a BTreeMap<String, u64>,
    key: &'a str,
    report: &'a Report,
    zone: TimeZone,
    now: Wall,
    language: cli::Language,
}

fn page(facts: &Facts<'_>) -> String {
    let mut page = Page::new(words::words(facts.language), facts.zone.clone());
    let unsound = facts.report.findings.len() + facts.report.late.len();
    page.summary((facts.span, unsound), facts.told, facts.saved, facts.now);
    page.timeline(facts.span, facts.told);
    page.tables(facts.told);
    page.events(facts.told);
    page.evidence(facts.told, facts.key, facts.report);
    page.end()
}

/// About what calls that were stopped would have cost, in millionths, by currency.
fn saved(rules: &RuleSet, tenant: TenantId, told: &Incident) -> BTreeMap<String, u64> {
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
    sums
}

#[cfg(test)]
mod tests;
