//! What calls are counted by, said so that the counters and the journal mean the
//! same.
//!
//! A [`Scope`] says which calls of a tenant a counter counts, whatever rules name
//! it. A number written here is that of a `Packed`, of a country or of a class:
//! only the rules know what it stands for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::{Mono, Wall};

/// Whose number a cap counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Each caller's number has a counter of its own.
    Caller,
    /// Each called number has.
    Called,
    /// Each caller's number has one for each number that it calls.
    Pair,
}

/// What a counter counts: those of the tenant's calls of which all that is named
/// here is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// Those that come from carriers, not those that go there.
    pub inbound: bool,
    /// Each number by itself.
    pub each: Option<Who>,
    /// The words of the targets that they go to; zero for none.
    pub to: [u64; 2],
    /// Let in within the hours of this name, or outside of them.
    pub when: Option<(Box<str>, bool)>,
}

/// Which counter of a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that it has.
    #[default]
    Whole,
    /// That of a caller's number, a called one, or both; zero for none.
    Own(u64, u64),
    /// The one that numbers share which have none of their own.
    Shared,
}

/// What caps look at in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The number that it goes to.
    pub called: u64,
    /// The number that it shows.
    pub caller: u64,
    /// That number's country; zero for none.
    pub country: u16,
    /// Its class.
    pub class: u8,
    /// It comes from a carrier.
    pub inbound: bool,
}

/// A counter that a call is counted in, and what of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The scope's number, which means nothing after a restart.
    pub scope: u32,
    /// Which of its counters.
    pub which: Which,
    /// How many calls' times are remembered there.
    pub keep: u32,
    /// The number that is called counts among the day's different ones.
    pub numbers: bool,
    /// Its money counts in the day.
    pub day: bool,
    /// Its money counts in the month.
    pub month: bool,
    /// How far ahead of it is drawn: a part of the least limit on calls of a day there,
    /// or on money. Zero where no such calls are limited. It is not written down.
    #[serde(skip)]
    pub part: u64,
}

/// What is known of a call as far as a carrier may bill it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    /// When its INVITE left.
    pub invited: Mono,
    /// Until when it may be answered.
    pub answer_by: Mono,
    /// INVITEs that left.
    pub attempts: u32,
    /// The session interval that its carrier was asked for, in seconds.
    pub interval_s: u32,
    /// When its INVITE was given up that nobody had answered or refused.
    pub unheard: Option<Mono>,
    /// Answers may still come.
    pub open: bool,
    /// The answers.
    pub answers: Vec<Answer>,
    /// For how many seconds its first lease lasts.
    pub lasts_s: u32,
    /// It lasts from the INVITE on, not from the answer.
    pub from_invite: bool,
    /// When it must ask for another one, if that is known yet.
    pub due: Option<Mono>,
    /// What was booked of it, in millionths.
    pub booked: u64,
}

/// One answer to a call's INVITE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whose: 0 for the call's own dialog.
    pub dialog: u8,
    /// The earliest time at which it may have been given.
    pub from: Mono,
    /// When the dialog was over, if it is.
    pub end: Option<Mono>,
    /// The session interval that was agreed, in seconds; 0 for none.
    pub interval_s: u32,
    /// When it got its first BYE.
    pub parted: Option<Mono>,
}

impl Billing {
    /// The same by another clock.
    #[must_use]
    pub fn by(mut self, clock: impl Fn(Mono) -> Mono) -> Self {
        let Self {
            invited,
            answer_by,
            unheard,
            answers,
            due,
            ..
        } = &mut self;
        for time in [invited, answer_by].into_iter().chain(unheard).chain(due) {
            *time = clock(*time);
        }
        for answer in answers {
            answer.from = clock(answer.from);
            answer.end = answer.end.map(&clock);
            answer.parted = answer.parted.map(&clock);
        }
        self
    }
}

/// What one counter has come to, in the life before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// When the last calls were let in, oldest first.
    pub times: Vec<Mono>,
    /// Calls let in on the day that ends at `day_end`.
    pub today: u32,
    /// When that day ends.
    pub day_end: Wall,
    /// The different numbers called on the day that ends at `numbers_end`, sorted.
    pub numbers: Vec<u64>,
    /// When that day ends.
    pub numbers_end: Wall,
    /// What calls have cost, in millionths, by the day; counted from 1970-01-01.
    pub days: BTreeMap<i32, u64>,
    /// The same by the month: see [`month_of`].
    pub months: BTreeMap<i32, u64>,
}

impl Tally {
    /// Adds what another shard counted in the same counter.
    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.times.sort_unstable();
        match self.day_end.cmp(&other.day_end) {
            std::cmp::Ordering::Less => self.today = other.today,
            std::cmp::Ordering::Equal => self.today = self.today.saturating_add(other.today),
            std::cmp::Ordering::Greater => {}
        }
        self.day_end = self.day_end.max(other.day_end);
        match self.numbers_end.cmp(&other.numbers_end) {
            std::cmp::Ordering::Less => self.numbers = other.numbers,
            std::cmp::Ordering::Equal => {
                self.numbers.extend(other.numbers);
                self.numbers.sort_unstable();
                self.numbers.dedup();
            }
            std::cmp::Ordering::Greater => {}
        }
        self.numbers_end = self.numbers_end.max(other.numbers_end);
        for (all, some) in [
            (&mut self.days, other.days),
            (&mut self.months, other.months),
        ] {
            for (period, money) in some {
                let sum = all.entry(period).or_default();
                *sum = sum.saturating_add(money);
            }
        }
    }
}

/// What one tenant's counters have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// How often they were reset.
    pub resets: u64,
    /// Each that may still matter.
    pub counters: BTreeMap<(Scope, Which), Tally>,
    /// What they may have come to besides when the power failed, and nobody knows.
    pub lost: BTreeMap<(Scope, Which), Tally>,
}

impl Tallies {
    /// Adds what another shard counted. What it counted before the last reset, or
    /// this one did, is forgotten.
    pub fn add(&mut self, other: Self) {
        for (counter, tally) in other.lost {
            self.lost.entry(counter).or_default().add(tally);
        }
        if other.resets > self.resets {
            (self.resets, self.counters) = (other.resets, other.counters);
        } else if other.resets == self.resets {
            for (counter, tally) in other.counters {
                self.counters.entry(counter).or_default().add(tally);
            }
        }
    }

    /// All that counts.
    #[must_use]
    pub fn whole(self) -> BTreeMap<(Scope, Which), Tally> {
        let mut whole = self.counters;
        for (counter, lost) in self.lost {
            whole.entry(counter).or_default().add(lost);
        }
        whole
    }
}

/// Adds what one shard counted of all tenants to what others did.
pub fn add_up(all: &mut BTreeMap<Box<str>, Tallies>, part: BTreeMap<Box<str>, Tallies>) {
    for (tenant, tallies) in part {
        all.entry(tenant).or_default().add(tallies);
    }
}

/// The month that a day is in, counted from the year 0. Days are counted from
/// 1970-01-01, in the Gregorian calendar.
#[must_use]
pub fn month_of(day: i32) -> i32 {
    // Years from March to February, in cycles of 400 years: leap days come last.
    let day = i64::from(day) + 719_468;
    let cycle = day.div_euclid(146_097);
    let of_cycle = day.rem_euclid(146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    // Counted from March; 153 days in five months.
    let month = (5 * of_year + 2) / 153;
    let months = (cycle * 400 + year) * 12 + month + 2;
    i32::try_from(months).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let date = |day: i32| jiff::civil::date(1970, 1, 1) + jiff::ToSpan::days(i64::from(day));
        for day in (-800_000..2_900_000).step_by(7) {
            let date = date(day);
            let months = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
            assert_eq!(month_of(day), months, "{date}");
        }
    }

    #[test]
    fn of_two_days_the_later_counts_and_of_two_resets_too() {
        let at = |day_end, today| Tally {
            day_end: Wall::from_micros(day_end),
            today,
            ..Tally::default()
        };
        let mut sum = at(5, 2);
        sum.add(at(5, 3));
        assert_eq!(sum, at(5, 5));
        sum.add(at(4, 9));
        assert_eq!(sum, at(5, 5));
        sum.add(at(6, 1));
        assert_eq!(sum, at(6, 1));
        let of = |resets, today| Tallies {
            resets,
            counters: [((Scope::default(), Which::Whole), at(5, today))].into(),
            lost: BTreeMap::new(),
        };
        let mut sum = of(1, 2);
        sum.add(of(0, 7));
        sum.add(of(1, 1));
        assert_eq!(sum, of(1, 3));
        sum.add(of(2, 4));
        assert_eq!(sum, of(2, 4));
    }
}
