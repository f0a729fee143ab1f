//! Which caps cover a call.

use super::counters::{Claim, Claims, Minute, Subject};
use super::hours::When;
use super::lane::{Cap, Lane};
use super::numbering::Country;
use super::ruleset::RuleSet;
use super::table::{Kinds, Table};
use super::target::Target;

/// What must be true of a call that a cap covers, besides its target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition {
    /// It goes here too.
    pub also_to: Option<Target>,
    /// It was let in within these hours.
    pub when: Option<When>,
}

impl RuleSet {
    /// Every cap that covers a call.
    pub(super) fn claims<'r>(&'r self, lane: &Lane, subject: &Subject, out: &mut Claims<'r>) {
        let home = self.home(lane);
        let mut claim = |cap: u32| {
            let it = self.caps.get(cap as usize)?;
            if self.covers(it, lane, subject, home) {
                let allowance = self.allowances.get(it.allowance as usize);
                out.push(Claim {
                    measure: &it.measure,
                    budget: allowance.map(|it| &it.budget),
                    cap,
                });
            }
            Some(it.more)
        };
        let mut wide = lane.wide_caps..;
        if subject.inbound {
            let inbound = wide.skip(lane.wide_count.into());
            for cap in inbound.take(lane.inbound_count.into()) {
                claim(cap);
            }
            return;
        }
        for cap in wide.by_ref().take(lane.wide_count.into()) {
            claim(cap);
        }
        if lane.cap_kinds == Kinds::default() {
            return;
        }
        let table = Table::new(lane.cap_targets().of(&self.entries), lane.cap_kinds);
        table.covering(&subject.to, home, |entry| {
            let mut caps = entry.value..;
            while caps.next().and_then(&mut claim) == Some(true) {}
        });
    }

    /// Whether a cap whose target covers a call covers it in all else.
    fn covers(&self, cap: &Cap, lane: &Lane, subject: &Subject, home: Option<Country>) -> bool {
        let Some(at) = cap.condition.checked_sub(1) else {
            return true;
        };
        let Some(condition) = self.conditions.get(at as usize) else {
            return false;
        };
        let there = |target: Target| target.covers(&subject.to, home);
        let then = |when| self.is_within(lane, subject.minute, when);
        condition.also_to.is_none_or(there) && condition.when.is_none_or(then)
    }

    /// Whether a minute is within some hours of a tenant's. A clock beyond the
    /// calendar is within and outside of them.
    pub(super) fn is_within(&self, lane: &Lane, minute: Minute, when: When) -> bool {
        let zone = self.zones.get(usize::from(lane.zone));
        let time = zone.and_then(|zone| zone.civil(minute));
        let hours = self.hours.get(when.hours as usize);
        match (hours, time) {
            (Some(hours), Some(time)) => hours.contain(time) != when.outside,
            _ => true,
        }
    }
}
