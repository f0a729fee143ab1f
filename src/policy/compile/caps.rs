//! `[caps]` and `[[cap]]`: how much a tenant may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget;
use super::build::Build;
use super::tenant::{Arranged, arrange, longest};
use crate::policy::counters::{Book, Limits, Measure, Meters, Quantity, Scope, Who};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex};
use crate::policy::lane::{Cap, Longest, NO_ALLOWANCE};
use crate::policy::model::{CapTable, TenantFile};
use crate::policy::table::{Entry, Flags};
use crate::policy::target::Target;

/// The most calls that a sliding window can be told to allow: so many times are
/// remembered, 8 bytes each.
const WINDOW_MAX: u64 = 1_000_000;

/// What a cap is on.
#[derive(Clone, Copy, Debug)]
enum On {
    /// All calls.
    All,
    /// Each caller or each called number by itself.
    Each(Who),
    /// Calls to a target.
    To(Target),
}

impl On {
    /// Sorts what counts all calls or each number in front of targets.
    fn order(self) -> (u8, u64) {
        match self {
            Self::All => (0, 0),
            Self::Each(Who::Caller) => (1, 0),
            Self::Each(Who::Called) => (2, 0),
            Self::To(target) => (3, target.word()),
        }
    }
}

/// A tenant's caps, in the set's lists.
pub(super) struct TenantCaps {
    pub wide: u32,
    pub wide_count: u8,
    pub targets: Arranged,
}

/// One scope's limits, each with its place.
struct Draft {
    on: On,
    limits: Vec<(Quantity, At<u64>)>,
    budget: Option<budget::Draft>,
    longest: Longest,
}

/// Takes a tenant's caps into the set.
pub(super) fn caps(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    book: &Arc<Book>,
    tariff: u16,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> TenantCaps {
    let mut drafts: BTreeMap<(u8, u64), Draft> = BTreeMap::new();
    if let Some(table) = &file.caps {
        // Their longest call and ring are the tenant's own.
        add(&mut drafts, On::All, table, Longest::NONE, faults);
    }
    for table in &file.narrower {
        if let Some(on) = on(build, table, faults) {
            let longest = longest(table, faults);
            add(&mut drafts, on, table, longest, faults);
            let money = budget::narrower(build, file, tariff, table, faults);
            allow(&mut drafts, on, money, faults);
        }
    }
    if let Some(table) = &file.caps {
        budget::misplaced(table, faults);
    }
    if let Some(table) = &file.budget {
        let money = budget::own(build, file, tariff, table, faults);
        allow(&mut drafts, On::All, money, faults);
    }
    let wide = u32::try_from(build.caps.len()).unwrap_or(u32::MAX);
    let mut wide_count = 0;
    let start = build.entries.len();
    for draft in drafts.into_values() {
        let at = u32::try_from(build.caps.len()).unwrap_or(u32::MAX);
        let Some(cap) = cap(build, &draft, book, lines, faults) else {
            continue;
        };
        build.caps.push(cap);
        match draft.on {
            On::All | On::Each(_) => wide_count += 1,
            On::To(target) => build.entries.push(Entry::new(target, Flags::NONE, at)),
        }
    }
    TenantCaps {
        wide,
        wide_count,
        targets: arrange(&mut build.entries, start),
    }
}

/// What a `[[cap]]` is on.
fn on(build: &Build<'_>, table: &CapTable<'_>, faults: &mut Faults<'_>) -> Option<On> {
    let text = table.on?;
    match text.value {
        "caller" => return Some(On::Each(Who::Caller)),
        "called" => return Some(On::Each(Who::Called)),
        _ => {}
    }
    match Target::parse(text.value, build.numbering) {
        Ok(Target::Any) => {
            let fault = Fault::error("a cap on every call is no narrower cap");
            faults.add(text.place, fault.help("write it under [caps]"));
            None
        }
        Ok(target) => Some(On::To(target)),
        Err(fault) => {
            let help = format!("{}; or \"caller\" or \"called\"", fault.help);
            faults.add(text.place, Fault::error(fault.title).help(help));
            None
        }
    }
}

/// Adds a table's limits to those of the same scope: one counter has one limit.
fn add(
    drafts: &mut BTreeMap<(u8, u64), Draft>,
    on: On,
    table: &CapTable<'_>,
    longest: Longest,
    faults: &mut Faults<'_>,
) {
    if table.is_empty {
        let known: Vec<_> = Quantity::COUNTS.into_iter().map(Quantity::key).collect();
        let fault = Fault::warning("this cap limits nothing");
        faults.add(
            table.place,
            fault.help(format!("add one of {}", known.join(", "))),
        );
    }
    let draft = drafts.entry(on.order()).or_insert_with(|| Draft {
        on,
        limits: Vec::new(),
        budget: None,
        longest: Longest::NONE,
    });
    draft.longest = draft.longest.min(longest);
    for &(quantity, count) in &table.limits {
        if let Some((_, first)) = draft.limits.iter().find(|(it, _)| *it == quantity) {
            let first = faults.pointer(first.place);
            let fault = Fault::error(format!("`{quantity}` is limited here already"));
            faults.add(
                count.place,
                fault.help(format!("the other limit is at {first}")),
            );
        } else if is_usable(quantity, count, faults) {
            draft.limits.push((quantity, count));
        }
    }
    // Rules are numbered in this order.
    draft.limits.sort_by_key(|(quantity, _)| *quantity);
}

/// Adds a budget to what is on the same scope: it has one.
fn allow(
    drafts: &mut BTreeMap<(u8, u64), Draft>,
    on: On,
    money: Option<budget::Draft>,
    faults: &mut Faults<'_>,
) {
    let Some(money) = money else { return };
    let draft = drafts.entry(on.order()).or_insert_with(|| Draft {
        on,
        limits: Vec::new(),
        budget: None,
        longest: Longest::NONE,
    });
    match &mut draft.budget {
        Some(first) => first.add(money, faults),
        none => *none = Some(money),
    }
}

fn is_usable(quantity: Quantity, count: At<u64>, faults: &mut Faults<'_>) -> bool {
    let most = match quantity {
        Quantity::PerSecond | Quantity::PerMinute | Quantity::PerHour => WINDOW_MAX,
        _ => u64::from(u32::MAX) - 1,
    };
    if count.value == 0 {
        let fault = Fault::error("a cap of 0 would refuse every call");
        let help = format!(
            "to refuse a destination, write it under [destinations] in `deny`; to have no limit, \
             leave `{quantity}` out"
        );
        faults.add(count.place, fault.help(help));
    } else if count.value > most {
        let fault = Fault::error(format!("`{quantity}` can be {most} at most"));
        faults.add(count.place, fault.help("leave it out to have no limit"));
    }
    (1..=most).contains(&count.value)
}

/// A cap, its meter opened and its rules noted.
fn cap(
    build: &mut Build<'_>,
    draft: &Draft,
    book: &Arc<Book>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Option<Cap> {
    let fixed = |scope: Scope| book.meter(scope).map(Meters::Fixed);
    let meter = match draft.on {
        On::All => fixed(Scope::Tenant),
        On::Each(who) => Ok(Meters::Each(who)),
        On::To(target) => fixed(Scope::To(target)),
    };
    let mut cap = Cap {
        measure: Measure {
            meter: Meters::Fixed(u32::MAX),
            limits: Limits::NONE,
        },
        first_rule: u32::MAX,
        allowance: NO_ALLOWANCE,
        longest: draft.longest,
    };
    let heading = match draft.on {
        On::All => "[caps]".to_owned(),
        On::Each(Who::Caller) => "[[cap]] on \"caller\"".to_owned(),
        On::Each(Who::Called) => "[[cap]] on \"called\"".to_owned(),
        On::To(target) => format!("[[cap]] on \"{target}\""),
    };
    for &(quantity, count) in &draft.limits {
        let text = format!("{heading} {quantity} = {}", count.value);
        let id = build.rule(count.place, lines, text);
        cap.first_rule = cap.first_rule.min(id.0);
        cap.measure
            .limits
            .set(quantity, u32::try_from(count.value).unwrap_or(u32::MAX));
    }
    if let Some(money) = &draft.budget {
        cap.allowance = money.allowance(build, &heading, lines);
    }
    if let Ok(meter) = meter {
        cap.measure.meter = meter;
        return Some(cap);
    }
    let place = draft
        .limits
        .first()
        .map_or(build.main_place, |(_, it): &(_, At<u64>)| it.place);
    faults.add(place, too_many_scopes());
    None
}

fn too_many_scopes() -> Fault {
    Fault::error("this tenant's caps have been on too many different things since the start")
        .help("restart, or name fewer targets in [[cap]]")
}
