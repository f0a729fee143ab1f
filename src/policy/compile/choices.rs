//! Which carriers a tenant's calls may leave to.

use std::collections::BTreeSet;

use super::build::{Build, no_such};
use crate::base::limits::CARRIERS_PER_CALL;
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::model::TenantFile;
use crate::policy::ruleset::CarrierId;
use crate::policy::ways::Choice;

/// The carriers that the file names, or else all of them: in order of their priorities,
/// and otherwise as they stand there.
pub(super) fn choices(
    build: &Build<'_>,
    file: &TenantFile<'_>,
    faults: &mut Faults<'_>,
) -> Vec<Choice> {
    let mut found = match file.carriers_place {
        None => every(build),
        Some(_) => named(build, file, faults),
    };
    if let Some(further) = file.carriers.get(CARRIERS_PER_CALL) {
        let fault = Fault::error("these are more carriers than a call can try");
        let help = format!("name {CARRIERS_PER_CALL} at most");
        faults.add(further.name.place, fault.help(help));
    }
    if found.is_empty() && !faults.any_errors() {
        let fault = Fault::error("the tenant has no carrier that its calls could leave to");
        let help = "name a [[carrier]] of the main file: carriers = [\"upstream\"]";
        let place = file.carriers_place.unwrap_or(file.place);
        faults.add(place, fault.help(help));
    }
    found.sort_by_key(|choice| choice.priority);
    found
}

/// Every carrier, in the order of the main file.
fn every(build: &Build<'_>) -> Vec<Choice> {
    let ids = (0..build.carriers.len()).filter_map(|at| u16::try_from(at).ok());
    let choice = |at| Choice {
        carrier: CarrierId(at),
        priority: at,
        weight: 1,
    };
    ids.take(CARRIERS_PER_CALL).map(choice).collect()
}

fn named(build: &Build<'_>, file: &TenantFile<'_>, faults: &mut Faults<'_>) -> Vec<Choice> {
    let mut found = Vec::with_capacity(file.carriers.len());
    let mut seen = BTreeSet::new();
    let mut next: u16 = 0;
    for choice in &file.carriers {
        let name = choice.name;
        if !seen.insert(name.value) {
            let fault = Fault::error(format!("`{}` is named twice", name.value));
            faults.add(name.place, fault.help("name each carrier once"));
            continue;
        }
        let priority = choice.priority.map(|it| rank(it, "priority", faults));
        let priority = priority.unwrap_or(next);
        next = priority.saturating_add(1);
        let weight = choice.weight.map(|it| rank(it, "weight", faults));
        match build.carrier_names.get(name.value) {
            Some((_, id)) => found.extend(id.map(|carrier| Choice {
                carrier,
                priority,
                weight: weight.unwrap_or(1),
            })),
            None => {
                let known = build.carrier_names.keys().map(String::as_str);
                no_such(name, "carrier", known, faults);
            }
        }
    }
    found
}

/// A priority or weight, which RFC 2782 has in two bytes.
fn rank(count: At<u64>, what: &str, faults: &mut Faults<'_>) -> u16 {
    u16::try_from(count.value).unwrap_or_else(|_| {
        let fault = Fault::error(format!("{} is too much for a {what}", count.value));
        faults.add(count.place, fault.help("write 0 to 65535"));
        u16::MAX
    })
}
