//! What judging a tenant's call reads, on one cache line, and what it leads to.

use std::sync::Arc;

use super::counters::{Book, Measure, Quantity};
use super::numbering::Country;
use super::reason::Reason;
use super::ruleset::{Mode, RuleId};
use super::spending::WhenSpent;
use super::table::Kinds;
use super::target::Packed;

/// Part of a list that all tenants share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub start: u32,
    pub end: u32,
}

impl Part {
    /// From one length of the list to a later one.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// These elements of the list.
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        let range = self.start as usize..self.end as usize;
        list.get(range).unwrap_or_default()
    }
}

/// What a tenant shows when the caller's number is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    Replace,
    Refuse,
}

/// What becomes of a stranger's call that one of the tenant's numbers forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwarded {
    /// What becomes of any other whose caller is not the tenant's.
    AsOthers,
    /// It is refused.
    Refuse,
    /// It shows the number that forwards it.
    Replace,
    /// It shows the stranger's number.
    Keep,
}

/// What judging a tenant's call reads: kept apart from [`Tenant`], on one cache
/// line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Lane {
    pub book: Arc<Book>,
    /// Where its numbers, its destination rules and its caps on targets begin, and
    /// where they end: side by side in [`super::RuleSet::entries`].
    pub own: u32,
    pub destinations: u32,
    pub cap_targets: u32,
    pub end: u32,
    /// The number to show instead.
    pub default: Packed,
    /// Its caps on all calls, on each caller, on each called number: so many
    /// from here on in [`super::RuleSet::caps`].
    pub wide_caps: u32,
    /// The rule about callers.
    pub callers: RuleId,
    /// In seconds, as in [`Longest`].
    pub longest_call: u32,
    pub longest_ring: u16,
    pub zone: u16,
    pub plan: u16,
    /// A place in [`super::RuleSet::tariffs`], or [`NO_TARIFF`].
    pub tariff: u16,
    /// In observe mode, calls without a price go out, too.
    pub unpriced: bool,
    pub wide_count: u8,
    /// Its caps on inbound calls, behind those.
    pub inbound_count: u8,
    pub destination_kinds: Kinds,
    pub cap_kinds: Kinds,
    pub otherwise: Otherwise,
    pub forwarded: Forwarded,
    /// It has patterns.
    pub watched: bool,
    pub mode: Mode,
    pub when_spent: WhenSpent,
}

/// In place of a tariff.
pub(super) const NO_TARIFF: u16 = u16::MAX;

/// In place of an allowance.
pub(super) const NO_ALLOWANCE: u32 = u32::MAX;

/// What a plan calls home.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub country: Option<Country>,
    /// The country's calling code; empty without a country.
    pub code: Box<[u8]>,
    /// What numbers of the country are dialled behind, if they are.
    pub prefix: Option<Box<[u8]>>,
}

/// How long calls may take, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest {
    pub call: u32,
    pub ring: u32,
}

impl Longest {
    /// No limit.
    pub(super) const NONE: Self = Self {
        call: u32::MAX,
        ring: u32::MAX,
    };

    /// Whether there is no limit.
    pub(super) fn is_none(&self) -> bool {
        (self.call, self.ring) == (u32::MAX, u32::MAX)
    }

    /// These limits, and `usual` where there is none.
    pub(super) fn or(self, usual: Self) -> Self {
        let or = |own, usual| if own == u32::MAX { usual } else { own };
        Self {
            call: or(self.call, usual.call),
            ring: or(self.ring, usual.ring),
        }
    }

    /// The shorter of both.
    pub(super) fn min(self, other: Self) -> Self {
        Self {
            call: self.call.min(other.call),
            ring: self.ring.min(other.ring),
        }
    }
}

const _: () = assert!(size_of::<Lane>() == 64, "a lane is one cache line");

/// A cap, ready to be claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub measure: Measure,
    /// The rule of the first quantity it limits; the others' follow.
    pub first_rule: u32,
    /// A place in [`super::RuleSet::allowances`], or [`NO_ALLOWANCE`].
    pub allowance: u32,
    pub longest: Longest,
    /// What else must be true of a call that it covers: from 1 on, in
    /// [`super::RuleSet::conditions`].
    pub condition: u32,
    /// The next cap is on the same target.
    pub more: bool,
}

impl Cap {
    /// The rule that limits `quantity`.
    pub(super) fn rule(&self, quantity: Quantity) -> RuleId {
        let before = Quantity::COUNTS
            .into_iter()
            .take_while(|it| *it != quantity);
        let limited = before.filter(|it| self.measure.limits.has(*it)).count();
        RuleId(
            self.first_rule
                .saturating_add(u32::try_from(limited).unwrap_or(0)),
        )
    }
}

impl Lane {
    /// Its numbers.
    pub(super) fn own(&self) -> Part {
        Part {
            start: self.own,
            end: self.destinations,
        }
    }

    /// Its destination rules.
    pub(super) fn destinations(&self) -> Part {
        Part {
            start: self.destinations,
            end: self.cap_targets,
        }
    }

    /// Its caps on targets.
    pub(super) fn cap_targets(&self) -> Part {
        Part {
            start: self.cap_targets,
            end: self.end,
        }
    }

    /// Whether what is refused for this reason goes out all the same: observed,
    /// if it has a price or need not have one.
    pub(super) fn lets_go(&self, refused: Reason) -> bool {
        self.mode == Mode::Observe && (refused != Reason::NoPrice || self.unpriced)
    }

    /// How long its calls may take.
    pub(super) fn longest(&self) -> Longest {
        Longest {
            call: self.longest_call,
            ring: self.longest_ring.into(),
        }
    }
}
