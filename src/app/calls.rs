//! `tollgate calls`: the index, asked.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::base::time::{Wall, seconds_begun};
use crate::ledger::{Call, Calls, Wanted, calls};
use crate::policy::Money;

use super::log::say;
use super::{cli, print, sources};

/// Lists calls.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(asked: cli::Calls) -> Result<(), String> {
    let directory = match (asked.place.dir, asked.place.config) {
        (Some(directory), _) => directory,
        (None, Some(config)) => sources::ledger_of(&config)?,
        (None, None) => return Err("give -c FILE or --dir DIR".to_owned()),
    };
    in_order(asked.which.since, asked.which.until)?;
    let wanted = Wanted {
        tenant: asked.which.tenant,
        since: asked.which.since,
        until: asked.which.until,
        decision: asked.which.verdict.map(Into::into),
        number: asked.which.number,
        most: (asked.limit > 0).then_some(asked.limit),
    };
    if !directory.join("index").is_dir() {
        return Err(format!(
            "{}: there is no index here: tollgate run makes it (the journal itself is read by \
             tollgate ledger export)",
            directory.display()
        ));
    }
    let found = calls(&directory, &wanted).map_err(|fault| fault.to_string())?;
    if asked.json {
        return print(&lines(&found));
    }
    print(&table(&found))?;
    if found.more {
        say("tollgate: there are more: narrow it down, or raise --limit");
    } else if found.calls.is_empty() && found.beside.is_empty() {
        let hint = why_none(&directory, &wanted)?;
        say(&format!("tollgate: the index has no such call{hint}"));
    }
    Ok(())
}

/// How many of the latest calls are looked at for the names of tenants.
const LATEST: usize = 1_000;

/// That one time is before the other, if both are given.
///
/// # Errors
/// One line: it is not.
pub(super) fn in_order(since: Option<Wall>, until: Option<Wall>) -> Result<(), String> {
    match (since, until) {
        (Some(since), Some(until)) if since >= until => Err(format!(
            "--since {} is not before --until {}: nothing lies between them",
            since, until
        )),
        _ => Ok(()),
    }
}

/// What may be wrong with what was asked for, where nothing was found.
fn why_none(directory: &Path, wanted: &Wanted) -> Result<String, String> {
    let find = |wanted: Wanted| calls(directory, &wanted).map_err(|fault| fault.to_string());
    if let Some(tenant) = &wanted.tenant {
        let theirs = find(Wanted {
            tenant: wanted.tenant.clone(),
            most: Some(1),
            ..Wanted::default()
        })?;
        if theirs.calls.is_empty() && theirs.beside.is_empty() {
            let latest = find(Wanted {
                most: Some(LATEST),
                ..Wanted::default()
            })?;
            let tenants = latest.calls.into_iter().map(|it| it.tenant);
            let tenants = tenants.filter(|it| !it.is_empty()).collect();
            return Ok(nobody(tenant, &tenants));
        }
    }
    let days = days(directory);
    let asked = [wanted.since, wanted.until].into_iter().flatten();
    let asked = asked.map(|it| it.to_string().chars().take(10).collect::<String>());
    let asked: Vec<String> = asked.collect();
    Ok(match (days.first(), days.last()) {
        (Some(first), Some(last)) if asked.iter().any(|day| day < first || day > last) => {
            format!(": it has the days {first} to {last} (UTC)")
        }
        (Some(_), Some(_)) => hint(wanted.number.as_deref()),
        _ => ": there was none yet".to_owned(),
    })
}

/// The days that the index has files of.
fn days(directory: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(directory.join("index"));
    let files = files.into_iter().flatten().flatten();
    let names = files.map(|it| it.file_name().to_string_lossy().into_owned());
    let day = |name: String| Some(name.strip_suffix(".sqlite")?.to_owned());
    names.filter_map(day).collect()
}

/// That a tenant has no calls, and who has.
pub(super) fn nobody(tenant: &str, tenants: &BTreeSet<String>) -> String {
    let names: Vec<String> = tenants.iter().take(20).map(|it| plain(it)).collect();
    match names.is_empty() {
        true => format!(", nor any of a tenant `{tenant}`"),
        false => format!(
            ", nor any of a tenant `{tenant}`: it has calls of {}",
            names.join(", ")
        ),
    }
}

/// What to do where nothing was found and a number was asked for without its plus.
pub(super) fn hint(number: Option<&str>) -> String {
    match number {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => format!(
            ": numbers are kept as they were judged, with + and the country's code: --number \
             +{digits}"
        ),
        _ => String::new(),
    }
}

/// A line of JSON for each call, with its fields by the names that the journal's records
/// have.
fn lines(found: &Calls) -> String {
    let mut text = String::new();
    for call in &found.calls {
        let line = serde_json::json!({
            "record": "call",
            "wall": exact(call.wall),
            "tenant": call.tenant,
            "direction": call.direction,
            "source": call.source,
            "caller": call.caller,
            "received_uri": call.received_uri,
            "number": call.number,
            "decision": call.decision,
            "reason": call.reason,
            "rule_file": call.rule_file,
            "rule_line": call.rule_line,
            "value": call.value,
            "threshold": call.threshold,
            "carrier": call.carrier,
            "answered_at": call.answered_at.map(exact),
            "ended_at": call.ended_at.map(exact),
            "duration_ms": call.duration_ms,
            "by": call.by,
            "cause": call.cause,
            "status": call.status,
            "cost": call.cost.map(|cost| Money::from_millionths(cost).to_string()),
            "currency": call.currency,
            "shard": call.shard,
            "call": call.call,
        });
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    for it in &found.beside {
        let line = serde_json::json!({
            "record": "refusals",
            "tenant": it.tenant,
            "reason": it.reason,
            "count": it.count,
            "first": exact(it.first),
            "last": exact(it.last),
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

fn table(found: &Calls) -> String {
    let rows: Vec<_> = found.calls.iter().map(row).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for it in &found.beside {
        let _ = writeln!(
            text,
            "and {} more of {} refused together: {}, from {} to {}",
            it.count,
            plain(&it.tenant),
            plain(&it.reason),
            it.first,
            it.last
        );
    }
    text
}

/// Time, tenant, caller, number, verdict, duration, cost.
fn row(call: &Call) -> [String; 7] {
    let number = match call.number.as_str() {
        "" => format!("({})", plain(&call.received_uri)),
        number => number.to_owned(),
    };
    let arrow = if call.direction == "inbound" {
        "<-"
    } else {
        "->"
    };
    let verdict = match call.reason.as_str() {
        "" => call.decision.clone(),
        reason => format!("{} {reason}", call.decision),
    };
    let lasted = match (call.duration_ms, call.answered_at, call.ended_at) {
        (Some(duration), Some(_), _) => {
            format!("{} s", seconds_begun(Duration::from_millis(duration)))
        }
        (_, Some(_), None) => "up".to_owned(),
        (_, _, Some(_)) => call.cause.clone().unwrap_or_default(),
        (_, None, None) => String::new(),
    };
    let cost = match (call.cost, call.currency.as_deref()) {
        (Some(cost), Some(currency)) if !currency.is_empty() => {
            format!("{currency} {}", Money::from_millionths(cost))
        }
        _ => String::new(),
    };
    [
        call.wall.to_string(),
        plain(&call.tenant),
        plain(&call.caller),
        format!("{arrow} {number}"),
        plain(&verdict),
        plain(&lasted),
        cost,
    ]
}

/// A time as programs want it, and as an export has it.
fn exact(wall: Wall) -> String {
    format!("{wall:.6}")
}

/// What a peer sent must not command a terminal.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(80).map(shown).collect()
}
