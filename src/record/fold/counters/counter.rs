//! One counter of one series.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use serde::{Deserialize, Serialize};

use super::Time;
use crate::base::limits::NUMBERS_PER_DAY;
use crate::base::tally::{Place, Tally, month_of};
use crate::base::time::{Mono, Wall};
use crate::record::parts::PERIODS;
use crate::record::{Stock, encode};

/// What one counter has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    times: VecDeque<Time>,
    today: u32,
    #[serde(with = "encode::wall")]
    day_end: Wall,
    numbers: BTreeSet<u64>,
    #[serde(with = "encode::wall")]
    numbers_end: Wall,
    days: BTreeMap<i32, u64>,
    months: BTreeMap<i32, u64>,
    /// What the life that writes now has drawn.
    drawn: BTreeMap<Stock, Drawn>,
}

/// What was drawn of one stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Drawn {
    upto: u64,
    /// What calls have come to since, without what they hold.
    used: u64,
}

impl Counter {
    /// Counts a call as the counters themselves do.
    pub(super) fn count(&mut self, place: &Place, at: Time, day_end: Wall, called: u64) {
        if at.wall >= self.day_end {
            self.today = 0;
        }
        self.day_end = self.day_end.max(day_end);
        self.today = self.today.saturating_add(1);
        self.use_up(Stock::Calls(self.day_end), 1);
        if place.keep > 0 {
            while self.times.len() >= place.keep as usize {
                self.times.pop_front();
            }
            self.times.push_back(at);
        }
        if place.numbers {
            if at.wall >= self.numbers_end {
                self.numbers.clear();
            }
            self.numbers_end = self.numbers_end.max(day_end);
            if self.numbers.len() < NUMBERS_PER_DAY as usize {
                self.numbers.insert(called);
            }
        }
    }

    pub(super) fn book(&mut self, (day, month): (bool, bool), days: (i32, i32), money: u64) {
        let place = Place {
            day,
            month,
            ..Place::default()
        };
        let stocks = Stock::of(days).into_iter();
        for stock in stocks.filter(|stock| stock.is_of(&place)) {
            self.add(stock, money);
            self.use_up(stock, money);
        }
    }

    /// Adds to what a day or a month has come to. Periods that do not matter any more are
    /// forgotten.
    fn add(&mut self, stock: Stock, money: u64) {
        let (periods, period) = match stock {
            Stock::Day(day) => (&mut self.days, day),
            Stock::Month(month) => (&mut self.months, month),
            Stock::Calls(_) => return,
        };
        let sum = periods.entry(period).or_default();
        *sum = sum.saturating_add(money);
        if let Some((&latest, _)) = periods.last_key_value() {
            *periods = periods.split_off(&(latest - PERIODS));
        }
    }

    fn use_up(&mut self, stock: Stock, amount: u64) {
        if let Some(drawn) = self.drawn.get_mut(&stock) {
            drawn.used = drawn.used.saturating_add(amount);
        }
    }

    pub(super) fn draw(&mut self, stock: Stock, upto: u64) {
        if !self.drawn.contains_key(&stock) {
            self.drawn.retain(|it, _| !it.is_past(stock));
        }
        self.drawn.entry(stock).or_default().upto = upto;
    }

    /// A life is over: what it had drawn, and did not say that it was used.
    pub(super) fn undrawn(&mut self) -> impl Iterator<Item = (Stock, u64)> + use<> {
        let drawn = mem::take(&mut self.drawn).into_iter();
        let undrawn = drawn.map(|(stock, it)| (stock, it.upto.saturating_sub(it.used)));
        undrawn.filter(|(_, amount)| *amount > 0)
    }

    /// Counts what may have come to pass, in this series, and nobody knows.
    pub(super) fn lose(&mut self, series: u16, stock: Stock, amount: u64) {
        match stock {
            Stock::Day(_) | Stock::Month(_) => self.add(stock, amount),
            Stock::Calls(end) => {
                if end > self.day_end {
                    (self.today, self.day_end) = (0, end);
                    (self.numbers_end, self.numbers) = (end, BTreeSet::new());
                }
                if end < self.day_end {
                    return;
                }
                // Each call perhaps to a number of its own. Nobody calls the largest.
                let first = u64::MAX - (u64::from(series) << 32) - u64::from(self.today);
                let numbers = NUMBERS_PER_DAY.saturating_sub(self.today);
                let numbers = amount.min(numbers.into());
                self.numbers.extend((0..numbers).map(|it| first - it));
                let calls = u32::try_from(amount).unwrap_or(u32::MAX);
                self.today = self.today.saturating_add(calls);
            }
        }
    }

    pub(super) fn is_at_rest(&self, now: Time) -> bool {
        const HOUR: i64 = 3_600_000_000;
        let since = |wall: Wall| now.wall.as_micros().saturating_sub(wall.as_micros());
        let day = i32::try_from(now.wall.as_micros() / (24 * HOUR)).unwrap_or(i32::MAX);
        let day = day.saturating_sub(PERIODS);
        let counts = |periods: &BTreeMap<i32, u64>, from: i32| {
            periods.last_key_value().is_some_and(|(&it, _)| it >= from)
        };
        self.times.back().is_none_or(|it| since(it.wall) > 2 * HOUR)
            && since(self.day_end) > HOUR
            && since(self.numbers_end) > HOUR
            && !counts(&self.days, day)
            && !counts(&self.months, month_of(day))
            && self.drawn.keys().all(|it| match *it {
                Stock::Calls(end) => since(end) > HOUR,
                Stock::Day(it) => it < day,
                Stock::Month(it) => it < month_of(day),
            })
    }

    pub(super) fn tally(self, now: Mono, clock: &impl Fn(Time) -> Mono) -> Tally {
        // A wall clock that was set back would have calls let in later than now.
        let past = |time| clock(time).min(now);
        let mut times: Vec<_> = self.times.into_iter().map(past).collect();
        times.sort_unstable();
        Tally {
            times,
            today: self.today,
            day_end: self.day_end,
            numbers: self.numbers.into_iter().collect(),
            numbers_end: self.numbers_end,
            days: self.days,
            months: self.months,
        }
    }
}
