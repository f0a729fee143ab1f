//! `[caps]` and `[[cap]]`: how much a tenant may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget;
use super::build::Build;
use super::hours::Named;
use super::on::{self, On, Order};
use super::tenant::{Arranged, arrange, longest, mode};
use crate::policy::cap::Condition;
use crate::policy::counters::{Book, Limits, Measure, Meters, NUMBERS_MAX, Quantity};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex, Place};
use crate::policy::lane::{Cap, Longest, NO_ALLOWANCE};
use crate::policy::model::{CapTable, TenantFile};
use crate::policy::ruleset::Mode;
use crate::policy::table::{Entry, Flags};

/// The most calls that a sliding window can be told to allow: so many times are
/// remembered, 8 bytes each.
const WINDOW_MAX: u64 = 1_000_000;

/// A tenant's caps, in the set's lists.
pub(super) struct TenantCaps {
    pub wide: u32,
    pub wide_count: u8,
    pub inbound_count: u8,
    pub targets: Arranged,
}

/// One scope's limits, each with its place.
struct Draft {
    on: On,
    observe: bool,
    place: Place,
    limits: Vec<(Quantity, At<u64>)>,
    budget: Option<budget::Draft>,
    longest: Longest,
}

/// What a tenant's caps are made with, besides its file.
pub(super) struct Scopes<'a> {
    pub hours: &'a Named<'a>,
    pub book: &'a Arc<Book>,
    pub tariffs: budget::Tariffs,
}

/// All of a tenant's limits, by what they are on, and those that are only
/// observed behind the others.
#[derive(Default)]
struct Drafts(BTreeMap<(Order, bool), Draft>);

/// Takes a tenant's caps into the set.
pub(super) fn caps(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    scopes: &Scopes<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> TenantCaps {
    let &Scopes {
        hours,
        book,
        tariffs,
    } = scopes;
    let mut drafts = Drafts::default();
    budget::one_currency(build, file, tariffs, faults);
    if let Some(table) = &file.caps {
        warn_of_nothing(table, faults);
        // Their longest call and ring are the tenant's own.
        drafts.add(On::ALL, table, Longest::NONE, faults);
        budget::misplaced(table, faults);
    }
    if let Some(table) = &file.budget
        && let Some(money) = budget::own(build, file, tariffs, table, faults)
    {
        let draft = drafts.on(On::ALL, false, table.place);
        budget::join(&mut draft.budget, money, faults);
    }
    let mut narrower = |all: On, tables: &[CapTable<'_>]| {
        for table in tables {
            warn_of_nothing(table, faults);
            if let Some(on) = on::read(build, hours, all, table, faults) {
                let longest = longest(table, faults);
                let draft = drafts.add(on, table, longest, faults);
                let priced = (tariffs, on.inbound);
                if let Some(money) = budget::narrower(build, file, priced, table, faults) {
                    budget::join(&mut draft.budget, money, faults);
                }
            }
        }
    };
    narrower(On::ALL, &file.narrower);
    if let Some(inbound) = &file.inbound {
        narrower(On::INBOUND, &inbound.narrower);
        let table = &inbound.caps;
        let money = budget::narrower(build, file, (tariffs, true), table, faults);
        let longest = longest(table, faults);
        if !table.limits.is_empty() || !longest.is_none() || money.is_some() {
            let draft = drafts.add(On::INBOUND, table, longest, faults);
            draft.budget = draft.budget.take().or(money);
        }
    }
    let shared = usize::from(tariffs.inbound) < build.tariffs.len();
    drafts.settle(build, (book, shared), lines, faults)
}

fn warn_of_nothing(table: &CapTable<'_>, faults: &mut Faults<'_>) {
    if table.is_empty {
        let money = [Quantity::MoneyPerDay, Quantity::MoneyPerMonth];
        let all = Quantity::COUNTS.into_iter().chain(money);
        let known: Vec<_> = all.map(Quantity::key).collect();
        let fault = Fault::warning("this cap limits nothing");
        faults.add(
            table.place,
            fault.help(format!("add one of {}", known.join(", "))),
        );
    }
}

impl Drafts {
    /// Adds a table's limits to those of the same scope: one counter has one limit,
    /// and one that is tried out.
    fn add(
        &mut self,
        on: On,
        table: &CapTable<'_>,
        longest: Longest,
        faults: &mut Faults<'_>,
    ) -> &mut Draft {
        let observe = mode(table.mode, faults) == Mode::Observe;
        if let (true, Some(text)) = (observe, table.longest_call.or(table.longest_ring)) {
            let fault = Fault::error("how long calls may take cannot be observed only");
            let help = "leave it out, or write it in a [[cap]] without `mode`";
            faults.add(text.place, fault.help(help));
        }
        let draft = self.on(on, observe, table.place);
        draft.longest = draft.longest.min(longest);
        for &(quantity, count) in &table.limits {
            if let Some((_, first)) = draft.limits.iter().find(|(it, _)| *it == quantity) {
                let first = faults.pointer(first.place);
                let fault = Fault::error(format!("`{quantity}` is limited here already"));
                faults.add(
                    count.place,
                    fault.help(format!("the other limit is at {first}")),
                );
            } else if is_usable(quantity, count, on.when.is_some(), faults) {
                draft.limits.push((quantity, count));
            }
        }
        // Rules are numbered in this order.
        draft.limits.sort_by_key(|(quantity, _)| *quantity);
        draft
    }

    fn on(&mut self, on: On, observe: bool, place: Place) -> &mut Draft {
        let fresh = || Draft {
            on,
            observe,
            place,
            limits: Vec::new(),
            budget: None,
            longest: Longest::NONE,
        };
        self.0.entry((on.order(), observe)).or_insert_with(fresh)
    }

    /// Makes caps of them. Calls from carriers share the budget of all calls, where they
    /// have prices.
    fn settle(
        self,
        build: &mut Build<'_>,
        (book, shared): (&Arc<Book>, bool),
        lines: &LineIndex,
        faults: &mut Faults<'_>,
    ) -> TenantCaps {
        let wide = u32::try_from(build.caps.len()).unwrap_or(u32::MAX);
        let (mut wide_count, mut inbound_count) = (0_u8, 0_u8);
        let start = build.entries.len();
        let mut last: Option<On> = None;
        let mut budget: Option<Cap> = None;
        for draft in self.0.into_values() {
            // Behind those on all calls come those on inbound ones.
            if let Some(cap) = budget.take_if(|_| draft.on.inbound || draft.on.to.is_some()) {
                build.caps.push(cap);
                inbound_count = 1;
            }
            let at = u32::try_from(build.caps.len()).unwrap_or(u32::MAX);
            let on = draft.on;
            let Some(mut cap) = cap(build, &draft, book, lines, faults) else {
                continue;
            };
            let twin = last.is_some_and(|last| last.order() == on.order());
            let sibling = on.to.is_some() && last.is_some_and(|last| last.to == on.to);
            if let Some(before) = build.caps.last_mut() {
                before.more = sibling;
                if twin {
                    cap.measure.twin = true;
                    before.measure.limits.remember(&mut cap.measure.limits);
                }
            }
            let count = match on.inbound {
                true => &mut inbound_count,
                false => &mut wide_count,
            };
            match on.to {
                None if *count == u8::MAX => {
                    faults.add(draft.place, too_many_scopes());
                    continue;
                }
                None => *count += 1,
                Some(_) if sibling => {}
                Some(to) => build.entries.push(Entry::new(to, Flags::NONE, at)),
            }
            if shared && on.order() == On::ALL.order() && !draft.observe {
                budget = of_money(&cap);
            }
            last = Some(on);
            build.caps.push(cap);
        }
        if let Some(cap) = budget {
            build.caps.push(cap);
            inbound_count = 1;
        }
        TenantCaps {
            wide,
            wide_count,
            inbound_count,
            targets: arrange(&mut build.entries, start),
        }
    }
}

/// Whether a limit can be counted to. None at all can be meant where it is only
/// for some hours.
fn is_usable(
    quantity: Quantity,
    count: At<u64>,
    some_hours: bool,
    faults: &mut Faults<'_>,
) -> bool {
    let most = match quantity {
        Quantity::PerSecond | Quantity::PerMinute | Quantity::PerHour => WINDOW_MAX,
        Quantity::NumbersPerDay => u64::from(NUMBERS_MAX),
        _ => u64::from(u32::MAX) - 1,
    };
    if count.value == 0 && !some_hours {
        let fault = Fault::error("a cap of 0 would refuse every call");
        let help = format!(
            "to refuse a destination, write it under [destinations] in `deny`; at some hours, add \
             `when`; to have no limit, leave `{quantity}` out"
        );
        faults.add(count.place, fault.help(help));
    } else if count.value > most {
        let fault = Fault::error(format!("`{quantity}` can be {most} at most"));
        faults.add(count.place, fault.help("leave it out to have no limit"));
    }
    (u64::from(!some_hours)..=most).contains(&count.value)
}

/// A cap, its meter opened and its rules noted.
fn cap(
    build: &mut Build<'_>,
    draft: &Draft,
    book: &Arc<Book>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Option<Cap> {
    let meter = book.meter(&draft.on.scope(&build.hours));
    let mut cap = Cap {
        measure: Measure {
            meter: Meters::Fixed(u32::MAX),
            limits: Limits::NONE,
            twin: false,
            money_only: false,
            observe: draft.observe,
        },
        first_rule: u32::MAX,
        allowance: NO_ALLOWANCE,
        longest: draft.longest,
        condition: condition(build, &draft.on),
        more: false,
    };
    let heading = draft.on.heading(&build.hours);
    let mode = if draft.observe {
        " mode = \"observe\""
    } else {
        ""
    };
    for &(quantity, count) in &draft.limits {
        let text = format!("{heading} {quantity} = {}{mode}", count.value);
        let id = build.rule(count.place, lines, text);
        cap.first_rule = cap.first_rule.min(id.0);
        cap.measure
            .limits
            .set(quantity, u32::try_from(count.value).unwrap_or(u32::MAX));
    }
    if let Some(money) = &draft.budget {
        cap.allowance = money.allowance(build, (&heading, mode), lines);
    }
    if let Ok(meter) = meter {
        cap.measure.meter = meter;
        return Some(cap);
    }
    faults.add(draft.place, too_many_scopes());
    None
}

/// The budget of a cap, without anything else; none if it has no budget.
fn of_money(cap: &Cap) -> Option<Cap> {
    let measure = Measure {
        limits: Limits::NONE,
        money_only: true,
        ..cap.measure
    };
    let money = Cap {
        measure,
        longest: Longest::NONE,
        ..*cap
    };
    (cap.allowance != NO_ALLOWANCE).then_some(money)
}

/// The number of a cap's condition; 0 if it has none.
fn condition(build: &mut Build<'_>, on: &On) -> u32 {
    let On { also_to, when, .. } = *on;
    if also_to.is_none() && when.is_none() {
        return 0;
    }
    build.conditions.push(Condition { also_to, when });
    u32::try_from(build.conditions.len()).unwrap_or(u32::MAX)
}

fn too_many_scopes() -> Fault {
    Fault::error("this tenant's caps have been on too many different things since the start")
        .help("restart, or name fewer targets in [[cap]]")
}
