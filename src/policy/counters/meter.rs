//! What one scope of a tenant's calls is measured by: how many live, when the
//! last ones were let in, how many today.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::base::time::{Mono, Wall};

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Calls that live at the same time.
    AtOnce,
    /// Calls in any second.
    PerSecond,
    /// Calls in any minute.
    PerMinute,
    /// Calls in any hour.
    PerHour,
    /// Calls in a calendar day of the tenant's time zone.
    PerDay,
}

impl Quantity {
    /// All of them, in the order in which they are checked.
    pub(in crate::policy) const ALL: [Self; 5] = [
        Self::AtOnce,
        Self::PerSecond,
        Self::PerMinute,
        Self::PerHour,
        Self::PerDay,
    ];

    /// The key that sets it in a rule file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::AtOnce => "calls_at_once",
            Self::PerSecond => "calls_per_second",
            Self::PerMinute => "calls_per_minute",
            Self::PerHour => "calls_per_hour",
            Self::PerDay => "calls_per_day",
        }
    }

    /// The length of a sliding window; none for what is not counted by one.
    const fn span(self) -> Option<Duration> {
        match self {
            Self::PerSecond => Some(Duration::from_secs(1)),
            Self::PerMinute => Some(Duration::from_secs(60)),
            Self::PerHour => Some(Duration::from_secs(3_600)),
            Self::AtOnce | Self::PerDay => None,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// How much of each quantity is allowed. `u32::MAX` stands for no limit, which
/// no count here reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Limits([u32; Quantity::ALL.len()]);

impl Limits {
    /// No limit on anything.
    pub(in crate::policy) const NONE: Self = Self([u32::MAX; Quantity::ALL.len()]);

    /// The limit on `quantity`; `u32::MAX` where there is none.
    pub(in crate::policy) fn on(&self, quantity: Quantity) -> u32 {
        self.0.get(quantity as usize).copied().unwrap_or(u32::MAX)
    }

    /// Sets the limit on `quantity`.
    pub(in crate::policy) fn set(&mut self, quantity: Quantity, limit: u32) {
        if let Some(slot) = self.0.get_mut(quantity as usize) {
            *slot = limit;
        }
    }

    /// What a meter under these limits has to remember: so many times of
    /// admission at most, and none older than so long.
    fn memory(&self) -> Option<(usize, Duration)> {
        let windows = Quantity::ALL.into_iter().filter_map(|quantity| {
            let limit = self.on(quantity);
            let span = quantity.span().filter(|_| limit < u32::MAX)?;
            Some((limit as usize, span))
        });
        windows.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    }
}

/// A limit that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Over {
    /// Of what.
    pub quantity: Quantity,
    /// How many there are already.
    pub value: u32,
    /// How many there may be.
    pub threshold: u32,
}

/// The counters of one scope.
///
/// Windows slide exactly: one list of the times at which calls were let in
/// serves them all. "At most N in any span of length W" holds if the N-th last
/// call was let in W ago or earlier, so a check looks at one element. A span
/// includes its first moment, not its last: N calls at noon leave room for the
/// next one a second after noon, and not a nanosecond before.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Calls that hold a place here now.
    live: u32,
    /// Calls let in on the day that ends at `day_end`.
    today: u32,
    /// When that day ends. Only ever moves on, so that a clock set back opens
    /// no day twice.
    day_end: Wall,
    /// When the last calls were let in, oldest first: as many as the largest
    /// window limit needs, and nothing that no window reaches.
    times: VecDeque<u64>,
}

impl Meter {
    /// The first of `limits` that leaves no room for another call.
    pub(super) fn check(&self, limits: &Limits, now: Mono, wall: Wall) -> Option<Over> {
        Quantity::ALL.into_iter().find_map(|quantity| {
            let threshold = limits.on(quantity);
            if threshold == u32::MAX || self.has_room(quantity, threshold, now, wall) {
                return None;
            }
            Some(Over {
                quantity,
                value: self.value(quantity, now, wall),
                threshold,
            })
        })
    }

    fn has_room(&self, quantity: Quantity, limit: u32, now: Mono, wall: Wall) -> bool {
        match quantity.span() {
            None => self.value(quantity, now, wall) < limit,
            Some(span) => {
                let nth_last = self.times.len().checked_sub(limit as usize);
                let time = nth_last.and_then(|i| self.times.get(i));
                time.is_none_or(|&t| now.saturating_since(Mono::from_nanos(t)) >= span)
            }
        }
    }

    /// How many calls count towards `quantity` now, as far as remembered.
    pub(super) fn value(&self, quantity: Quantity, now: Mono, wall: Wall) -> u32 {
        match quantity.span() {
            None if quantity == Quantity::AtOnce => self.live,
            None if wall >= self.day_end => 0,
            None => self.today,
            Some(span) => {
                let out = |&t: &u64| now.saturating_since(Mono::from_nanos(t)) >= span;
                let within = self.times.len() - self.times.partition_point(out);
                u32::try_from(within).unwrap_or(u32::MAX)
            }
        }
    }

    /// Counts a call let in at `now`, on the day that ends at `day_end`.
    pub(super) fn take(&mut self, limits: &Limits, now: Mono, wall: Wall, day_end: Wall) {
        self.live = self.live.saturating_add(1);
        if wall >= self.day_end {
            self.today = 0;
        }
        self.day_end = self.day_end.max(day_end);
        self.today = self.today.saturating_add(1);
        let Some((most, longest)) = limits.memory() else {
            return;
        };
        let stale = |&t: &u64| now.saturating_since(Mono::from_nanos(t)) >= longest;
        while self.times.front().is_some_and(stale) || self.times.len() > most {
            self.times.pop_front();
        }
        if self.times.len() == most {
            self.times.pop_front();
        }
        self.times.push_back(now.as_nanos());
    }

    /// Counts a call that lives, but was let in before this meter was asked.
    pub(super) fn join(&mut self) {
        self.live = self.live.saturating_add(1);
    }

    /// A call that held a place here is over.
    pub(super) fn leave(&mut self) {
        self.live = self.live.saturating_sub(1);
    }

    /// Calls that hold a place here.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Whether nothing that was counted matters any more, so that forgetting
    /// the meter changes no answer.
    pub(super) fn is_at_rest(&self, now: Mono, wall: Wall) -> bool {
        let longest = Quantity::PerHour.span().unwrap_or_default();
        let last = self.times.back();
        let quiet = |&t: &u64| now.saturating_since(Mono::from_nanos(t)) >= longest;
        self.live == 0 && wall >= self.day_end && last.is_none_or(quiet)
    }
}

#[cfg(test)]
mod tests;
