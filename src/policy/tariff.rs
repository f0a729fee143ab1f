//! Tariffs: what the carrier charges for a call, by its destination and by when
//! it is.
//!
//! A [`Price`] never says what a call will cost, but the most that it can: that
//! is what has to be reserved.

use super::counters::Zone;
use super::lane::Part;
use super::matcher;
use super::money::{Currency, Money};
use super::numbering::Country;
use super::table::Entry;
use super::table::{Kinds, Table};
use super::target::{Destination, Packed};
use crate::base::time::Wall;

mod band;
mod read;

pub(super) use read::read;

/// Minutes of a week.
const WEEK: u32 = 7 * 24 * 60;

/// What one row of a tariff charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rate {
    setup: Money,
    per_minute: Money,
    /// Seconds, 1 at least, as `next`.
    first: u32,
    next: u32,
    /// An attempt that is not answered costs the set-up, too.
    setup_on_attempt: bool,
    /// Time is billed from the INVITE on, not from the answer.
    from_invite: bool,
}

impl Rate {
    /// What the time costs of a call that this rate alone is for.
    fn time(&self, seconds: u32) -> Money {
        let more = seconds.saturating_sub(self.first).div_ceil(self.next);
        let pulses = u64::from(self.first) + u64::from(more) * u64::from(self.next);
        self.per_minute.of_seconds(pulses)
    }

    /// What a call costs before any time is billed.
    fn setup(&self, answered: bool) -> Money {
        if answered || self.setup_on_attempt {
            self.setup
        } else {
            Money::ZERO
        }
    }
}

/// From a minute of the week on (counted from Monday, 00:00), this rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    minute: u32,
    /// A place in [`Tariff::rates`].
    rate: u32,
}

/// A tariff, compiled.
#[derive(Debug)]
pub struct Tariff {
    name: Box<str>,
    currency: Currency,
    /// By target; the value is a place in `weeks`.
    entries: Vec<Entry>,
    kinds: Kinds,
    rates: Vec<Rate>,
    /// Each part is a week, in the order of the minutes and round the clock: the
    /// last turn lasts until the first. One turn where the rate never changes.
    turns: Vec<Turn>,
    weeks: Vec<Part>,
}

impl Tariff {
    /// Its name: that of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its prices are in.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Whether it charges for anything that comes before an answer.
    pub(super) fn bills_attempts(&self) -> bool {
        let mut rates = self.rates.iter();
        rates.any(|rate| rate.setup_on_attempt || rate.from_invite)
    }

    /// Every prefix that has a price of its own.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Packed> {
        Table::new(&self.entries, self.kinds).all_prefixes()
    }

    /// What a call there costs; `home` is the plan's country.
    pub(super) fn price(&self, to: &Destination, home: Option<Country>) -> Option<Price<'_>> {
        let table = Table::new(&self.entries, self.kinds);
        let entry = matcher::row(table, to, home)?;
        let week = self.weeks.get(entry.value as usize)?;
        Some(Price {
            tariff: self,
            turns: week.of(&self.turns),
        })
    }
}

/// What calls to a destination cost.
#[derive(Clone, Copy, Debug)]
pub struct Price<'t> {
    tariff: &'t Tariff,
    /// Never empty.
    turns: &'t [Turn],
}

impl<'t> Price<'t> {
    /// What it is in.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.tariff.currency
    }

    /// Whether the carrier may bill the time from the INVITE on: then the seconds
    /// that are billed begin there, and unanswered attempts cost, too.
    #[must_use]
    pub fn bills_ringing(&self) -> bool {
        self.rates(self.turns).any(|rate| rate.from_invite)
    }

    /// The most that a call costs that is billed at most `seconds`, whenever it is.
    #[must_use]
    pub fn dearest(&self, seconds: u32) -> Money {
        let spans = self.any_spans(seconds);
        let dearest = spans.map(|span| self.most(&span, seconds, true)).max();
        dearest.unwrap_or(Money::MAX)
    }

    /// The most that a minute costs, apart from what is rounded up.
    pub(super) fn per_minute(&self) -> Money {
        let each = self.rates(self.turns).map(|rate| rate.per_minute);
        each.max().unwrap_or(Money::MAX)
    }

    /// The most that a call costs besides its time, if it takes at most `seconds`:
    /// the set-up, and what is rounded up.
    pub(super) fn besides(&self, seconds: u32) -> Money {
        let setup = self.rates(self.turns).map(|rate| rate.setup).max();
        let pulse = self
            .rates(self.turns)
            .map(|rate| rate.first.max(rate.next))
            .max();
        let changes = self.any_spans(seconds).map(|span| span.changes).max();
        let pieces = u64::from(changes.unwrap_or(u32::MAX)) + 1;
        let rounded = pieces.saturating_mul(u64::from(pulse.unwrap_or(1)) - 1);
        let setup = setup.unwrap_or(Money::MAX);
        setup.saturating_add(self.per_minute().of_seconds(rounded))
    }

    /// The spans of so many seconds that see most, wherever in the week.
    fn any_spans(&self, seconds: u32) -> impl Iterator<Item = Span<'t>> {
        let turns = self.turns;
        let never = (turns.len() <= 1).then(|| Span::all(turns));
        let changing = if never.is_some() { &[] } else { turns };
        // A call that sees some changes sees them all the same when it begins just
        // before the first of them. Two hours for clocks that are changed.
        let reach = seconds / 60 + 2 * 60 + 2;
        let begun = changing.iter().map(move |turn| {
            let first = (turn.minute + WEEK - 1) % WEEK;
            let mut span = Span::new(turns, first, reach);
            span.clocks_change();
            span
        });
        never.into_iter().chain(begun)
    }

    /// The most that a call can cost that is set up at `from` or later, is over by
    /// `until`, and is billed at most `seconds`; what is begun is rounded up, as
    /// pulses are. Both times are by our clock: the caller widens them by as much
    /// as the carrier's may differ.
    ///
    /// Where the rate changes in between, carriers differ: the call's start may
    /// decide, or each pulse's, or the call is billed in pieces. The answer is not
    /// below any of these.
    pub(super) fn at_most(&self, zone: &Zone, from: Wall, until: Wall, seconds: u32) -> Money {
        self.most(&self.span(zone, from, until), seconds, true)
    }

    /// The most that an attempt costs that is not answered: begun at `from` or
    /// later, over by `until`, after at most `seconds` of ringing.
    pub(super) fn attempt(&self, zone: &Zone, from: Wall, until: Wall, seconds: u32) -> Money {
        self.most(&self.span(zone, from, until), seconds, false)
    }

    fn rates(&self, turns: &'t [Turn]) -> impl Iterator<Item = &'t Rate> {
        let rates = &self.tariff.rates;
        turns
            .iter()
            .filter_map(|turn| rates.get(turn.rate as usize))
    }

    /// What of the week lies between two times.
    fn span(&self, zone: &Zone, from: Wall, until: Wall) -> Span<'t> {
        let turns = self.turns;
        if turns.len() <= 1 {
            return Span::all(turns);
        }
        let until = until.max(from);
        let (east, later) = (zone.offset(from), zone.offset(until));
        let minute =
            |wall: Wall, offset: i64| (wall.as_micros() / 1_000_000 + offset).div_euclid(60);
        // Where the clocks are changed in between, an hour may come twice.
        let first = minute(from, east.min(later));
        let last = minute(until, east.max(later));
        let reach = u32::try_from(last.saturating_sub(first)).unwrap_or(u32::MAX);
        // The epoch was a Thursday.
        let first = (first + 3 * 24 * 60).rem_euclid(WEEK.into());
        let mut span = Span::new(turns, u32::try_from(first).unwrap_or(0), reach);
        if east != later {
            span.clocks_change();
        }
        span
    }

    /// The dearest way to compose a call of the rates it touches.
    fn most(&self, span: &Span<'_>, seconds: u32, answered: bool) -> Money {
        let touched = span.turns.iter().filter(|turn| span.touches(turn));
        let rates = &self.tariff.rates;
        let touched = touched.filter_map(|turn| rates.get(turn.rate as usize));
        let mut setup = Money::ZERO;
        let mut per_minute = Money::ZERO;
        let mut alone = Money::ZERO;
        let (mut longest, mut shortest) = (1, u32::MAX);
        let mut billed = answered;
        for rate in touched {
            setup = setup.max(rate.setup(answered));
            per_minute = per_minute.max(rate.per_minute);
            alone = rate.time(seconds);
            longest = rate.first.max(rate.next).max(longest);
            shortest = rate.first.min(rate.next).min(shortest);
            billed |= rate.from_invite;
        }
        if !billed {
            return setup;
        }
        if span.changes == 0 {
            return setup.saturating_add(alone);
        }
        // In pieces, each of at least a second and each rounded up by itself.
        let seconds = u64::from(seconds.max(1));
        let pieces = seconds.min(u64::from(span.changes) + 1);
        let rounded = seconds.saturating_add(pieces * u64::from(longest - 1));
        let rounded = if longest == shortest {
            rounded - rounded % u64::from(longest)
        } else {
            rounded
        };
        setup.saturating_add(per_minute.of_seconds(rounded))
    }
}

/// Part of a destination's week.
struct Span<'t> {
    turns: &'t [Turn],
    /// The minute of the turn that is in force when the span begins, and the
    /// minute of that; nothing where all turns are in it.
    start: Option<(u32, u32)>,
    /// Its length in minutes.
    reach: u32,
    /// How often the rate changes in it, at most.
    changes: u32,
}

impl<'t> Span<'t> {
    /// All of a week in which nothing changes.
    fn all(turns: &'t [Turn]) -> Self {
        Self {
            turns,
            start: None,
            reach: 0,
            changes: 0,
        }
    }

    /// From a minute of the week on, so many minutes.
    fn new(turns: &'t [Turn], first: u32, reach: u32) -> Self {
        // Before the first turn of the week, the last one still lasts.
        let begun = turns.partition_point(|turn| turn.minute <= first);
        let in_force = turns.get(begun.wrapping_sub(1)).or(turns.last());
        let mut span = Self {
            turns,
            start: in_force.map(|turn| (turn.minute, first)),
            reach,
            changes: 0,
        };
        let changes = turns.iter().filter(|turn| span.has(turn)).count();
        let changes = u32::try_from(changes).unwrap_or(u32::MAX);
        span.changes = changes.saturating_mul(reach / WEEK + 1);
        span
    }

    /// The clocks may be changed in it: what is crossed may be crossed again.
    fn clocks_change(&mut self) {
        self.changes = self.changes.saturating_mul(2).saturating_add(1);
    }

    /// Whether the turn comes in it, behind its begin.
    fn has(&self, turn: &Turn) -> bool {
        let after = |first: u32| (turn.minute + WEEK - first) % WEEK;
        self.reach >= WEEK
            || self
                .start
                .is_none_or(|(_, first)| (1..=self.reach).contains(&after(first)))
    }

    /// Whether the turn is in force at any time in it.
    fn touches(&self, turn: &Turn) -> bool {
        self.has(turn)
            || self
                .start
                .is_some_and(|(in_force, _)| turn.minute == in_force)
    }
}

#[cfg(test)]
mod tests;
