//! What one scope of a tenant's calls is measured by: how many live, when the
//! last ones were let in, how many today.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;

use crate::base::tally::Tally;
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
    /// Different numbers called on such a day.
    NumbersPerDay,
    /// What calls may cost in a calendar day, in millionths of a currency's unit.
    MoneyPerDay,
    /// The same in a calendar month.
    MoneyPerMonth,
}

impl Quantity {
    /// All that are counted, in the order in which they are checked.
    pub(in crate::policy) const COUNTS: [Self; 6] = [
        Self::AtOnce,
        Self::PerSecond,
        Self::PerMinute,
        Self::PerHour,
        Self::PerDay,
        Self::NumbersPerDay,
    ];

    /// Whether it is money, not a number of something.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self, Self::MoneyPerDay | Self::MoneyPerMonth)
    }

    /// The key that sets it in a rule file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::AtOnce => "calls_at_once",
            Self::PerSecond => "calls_per_second",
            Self::PerMinute => "calls_per_minute",
            Self::PerHour => "calls_per_hour",
            Self::PerDay => "calls_per_day",
            Self::NumbersPerDay => "distinct_numbers_per_day",
            Self::MoneyPerDay => "money_per_day",
            Self::MoneyPerMonth => "money_per_month",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// The windows that slide, and how long they are in nanoseconds.
const WINDOWS: [(Quantity, u64); 3] = [
    (Quantity::PerSecond, SECOND),
    (Quantity::PerMinute, 60 * SECOND),
    (Quantity::PerHour, LONGEST),
];

const SECOND: u64 = 1_000_000_000;

/// The longest window in nanoseconds.
const LONGEST: u64 = 3_600 * SECOND;

/// No limit. No count here reaches it.
const UNLIMITED: u32 = u32::MAX;

/// How much of each quantity is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Limits {
    at_once: u32,
    /// In the order of [`WINDOWS`].
    windows: [u32; WINDOWS.len()],
    per_day: u32,
    numbers: u32,
    /// The largest limit of a window: so many times must be remembered. Zero if
    /// no window lets any call in.
    keep: u32,
    /// The longest window that is limited, in seconds: so far back they must be.
    /// Zero if none is.
    reach: u32,
}

impl Limits {
    /// No limit on anything.
    pub(in crate::policy) const NONE: Self = Self {
        at_once: UNLIMITED,
        windows: [UNLIMITED; WINDOWS.len()],
        per_day: UNLIMITED,
        numbers: UNLIMITED,
        keep: 0,
        reach: 0,
    };

    /// Sets the limit on `quantity`.
    pub(in crate::policy) fn set(&mut self, quantity: Quantity, limit: u32) {
        match quantity {
            Quantity::AtOnce => self.at_once = limit,
            Quantity::PerDay => self.per_day = limit,
            Quantity::NumbersPerDay => self.numbers = limit,
            _ => {
                let windows = self.windows.iter_mut().zip(WINDOWS);
                for (slot, (of, span)) in windows.filter(|(_, (of, _))| *of == quantity) {
                    debug_assert_eq!(of, quantity);
                    *slot = limit;
                    self.keep = self.keep.max(limit);
                    self.reach = self
                        .reach
                        .max(u32::try_from(span / SECOND).unwrap_or(u32::MAX));
                }
            }
        }
    }

    /// Whether there is a limit on `quantity`.
    pub(in crate::policy) fn has(&self, quantity: Quantity) -> bool {
        self.on(quantity).is_some()
    }

    /// The limit on `quantity`, if there is one.
    pub(in crate::policy) fn on(&self, quantity: Quantity) -> Option<u32> {
        let limit = match quantity {
            Quantity::AtOnce => self.at_once,
            Quantity::PerSecond => self.windows[0],
            Quantity::PerMinute => self.windows[1],
            Quantity::PerHour => self.windows[2],
            Quantity::PerDay => self.per_day,
            Quantity::NumbersPerDay => self.numbers,
            // Money has limits of its own: see `Budget`.
            Quantity::MoneyPerDay | Quantity::MoneyPerMonth => UNLIMITED,
        };
        Some(limit).filter(|it| *it != UNLIMITED)
    }

    /// Has two limits on the same meter remember as much as either needs.
    pub(in crate::policy) fn remember(&mut self, other: &mut Self) {
        self.keep = self.keep.max(other.keep);
        self.reach = self.reach.max(other.reach);
        (other.keep, other.reach) = (self.keep, self.reach);
    }

    /// How many times must be remembered.
    pub(super) fn keep(&self) -> u32 {
        self.keep
    }

    /// How far ahead of the day's calls is drawn; 0 if none of a day's are limited.
    pub(super) fn part(&self) -> u64 {
        match self.per_day.min(self.numbers) {
            UNLIMITED => 0,
            limit => part_of(limit.into()),
        }
    }

    /// How many different numbers may be called a day, if that is limited.
    pub(super) fn numbers(&self) -> Option<u32> {
        (self.numbers != UNLIMITED).then_some(self.numbers)
    }
}

/// How far ahead of what is used up of a limit is drawn: see `record::Ahead`.
pub(super) fn part_of(limit: u64) -> u64 {
    (limit / 50).max(1)
}

/// A limit that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Over {
    /// Of what.
    pub quantity: Quantity,
    /// How many calls there are already; how much money there would be.
    pub value: u64,
    /// How much there may be.
    pub threshold: u64,
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
    /// The scope's number, where it has no other meter.
    scope: u32,
    /// When that day ends. Only ever moves on, so that a clock set back opens
    /// no day twice.
    day_end: Wall,
    /// Until when money is counted here.
    money_until: Wall,
    /// When the last calls were let in, oldest first: as many as the largest
    /// window limit needs. It grows only where none of them is out of every
    /// window's reach.
    times: VecDeque<u64>,
}

impl Meter {
    /// One that nothing was counted in.
    pub(super) const NEW: Self = Self {
        live: 0,
        today: 0,
        scope: 0,
        day_end: Wall::from_micros(0),
        money_until: Wall::from_micros(0),
        times: VecDeque::new(),
    };

    /// The first of `limits` that leaves no room for another call.
    pub(super) fn check(&self, limits: &Limits, now: Mono, wall: Wall) -> Option<Over> {
        let over = |quantity, value: u32, threshold: u32| {
            Some(Over {
                quantity,
                value: value.into(),
                threshold: threshold.into(),
            })
        };
        if self.live >= limits.at_once {
            return over(Quantity::AtOnce, self.live, limits.at_once);
        }
        if limits.reach > 0 {
            for ((quantity, span), limit) in WINDOWS.into_iter().zip(limits.windows) {
                let nth_last = self.times.len().checked_sub(limit as usize);
                let time = nth_last.and_then(|at| self.times.get(at));
                if limit == 0 || time.is_some_and(|&time| is_within(time, now, span)) {
                    return over(quantity, self.within(now, span), limit);
                }
            }
        }
        let today = if wall < self.day_end { self.today } else { 0 };
        if today >= limits.per_day {
            return over(Quantity::PerDay, today, limits.per_day);
        }
        None
    }

    /// How many calls were let in within `span`, as far as remembered.
    fn within(&self, now: Mono, span: u64) -> u32 {
        let before = self
            .times
            .partition_point(|&time| !is_within(time, now, span));
        u32::try_from(self.times.len() - before).unwrap_or(u32::MAX)
    }

    /// Counts a call let in at `now`, on the day that ends at `day_end`.
    pub(super) fn take(&mut self, limits: &Limits, now: Mono, wall: Wall, day_end: Wall) {
        self.live = self.live.saturating_add(1);
        if wall >= self.day_end {
            self.today = 0;
        }
        self.day_end = self.day_end.max(day_end);
        self.today = self.today.saturating_add(1);
        if limits.keep == 0 {
            return;
        }
        // Stale times do no harm. They are looked at when room is needed, so that
        // most calls write here without reading.
        if self.times.len() == self.times.capacity() {
            let reach = u64::from(limits.reach) * SECOND;
            let stale = |&time: &u64| !is_within(time, now, reach);
            let count = self.times.partition_point(stale);
            self.times.drain(..count);
        }
        while self.times.len() >= limits.keep as usize {
            self.times.pop_front();
        }
        self.times.push_back(now.as_nanos());
    }

    /// Gives it the number of its scope.
    pub(super) fn number(&mut self, scope: u32) {
        self.scope = scope;
    }

    /// The number of its scope.
    pub(super) fn scope(&self) -> u32 {
        self.scope
    }

    /// Counts what was counted before a restart.
    pub(super) fn restore(&mut self, past: &Tally) {
        self.times.extend(past.times.iter().map(|at| at.as_nanos()));
        self.times.make_contiguous().sort_unstable();
        match self.day_end.cmp(&past.day_end) {
            Ordering::Less => self.today = past.today,
            Ordering::Equal => self.today = self.today.saturating_add(past.today),
            Ordering::Greater => {}
        }
        self.day_end = self.day_end.max(past.day_end);
    }

    /// Forgets all but the calls that live.
    pub(super) fn reset(&mut self) {
        *self = Self {
            live: self.live,
            scope: self.scope,
            money_until: self.money_until,
            ..Self::default()
        };
    }

    /// Counts a call that lives, but was let in before this meter was asked.
    pub(super) fn join(&mut self) {
        self.live = self.live.saturating_add(1);
    }

    /// A call that held a place here is over.
    pub(super) fn leave(&mut self) {
        self.live = self.live.saturating_sub(1);
    }

    /// Money is counted here until then.
    pub(super) fn keep_until(&mut self, wall: Wall) {
        self.money_until = self.money_until.max(wall);
    }

    /// When the last call was let in, as far as that is remembered.
    pub(super) fn last(&self) -> Option<u64> {
        self.times.back().copied()
    }

    /// Calls that hold a place here.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Whether nothing that was counted matters any more, so that forgetting
    /// the meter changes no answer.
    pub(super) fn is_at_rest(&self, now: Mono, wall: Wall) -> bool {
        let counts = self
            .last()
            .is_some_and(|time| is_within(time, now, LONGEST));
        self.live == 0 && wall >= self.day_end.max(self.money_until) && !counts
    }
}

/// Whether a span of this length that ends now, with what comes now in it, holds
/// `time`.
pub(super) fn is_within(time: u64, now: Mono, span: u64) -> bool {
    now.as_nanos().saturating_sub(time) < span
}

#[cfg(test)]
mod tests;
