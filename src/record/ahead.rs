//! Counts that are drawn ahead of the calls, so that a loss of power lets nobody call
//! or spend twice.
//!
//! What is written is on the disk some seconds later, and lost if the power fails
//! before. So a shard first draws ([`Record::Drawn`]): it says up to where its calls may
//! bring a counter, and waits until that is on the disk; then they may, without waiting.
//! What was drawn when the power failed counts as used ([`super::fold::Counters`]).
//!
//! Each shard draws what its own calls of this life hold, have cost, and are. So its
//! journal alone says what is lost of it, and what all shards lose adds up.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::{CallRef, Record, Stock};
use crate::base::tally::{Place, Which};
use crate::base::time::Wall;

/// What is drawn more than this many parts ahead is given back.
const PARTS: u64 = 3;

/// Counters that are kept before they are searched for what is past.
const COUNTERS: usize = 1 << 12;

/// What one shard has drawn in this life.
#[derive(Debug)]
pub struct Ahead {
    counters: BTreeMap<(u32, Which), BTreeMap<Stock, Line>>,
    holdings: BTreeMap<CallRef, Holding>,
    /// The latest of each.
    latest: [Stock; 3],
    /// How many counters there were when they were last searched.
    searched: usize,
}

/// One counter's stock.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    resets: u64,
    /// What this shard's calls have come to.
    used: u64,
    /// What was drawn.
    upto: u64,
}

/// What a call holds.
#[derive(Debug)]
struct Holding {
    resets: u64,
    money: u64,
    days: (i32, i32),
    places: SmallVec<[Place; 4]>,
}

impl Holding {
    fn stocks(&self) -> impl Iterator<Item = (&Place, Stock)> {
        let each = |place| Stock::of(place, self.days).map(move |stock| (place, stock));
        self.places.iter().filter(|_| self.money > 0).flat_map(each)
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            counters: BTreeMap::new(),
            holdings: BTreeMap::new(),
            latest: [
                Stock::Calls(Wall::from_micros(i64::MIN)),
                Stock::Day(i32::MIN),
                Stock::Month(i32::MIN),
            ],
            searched: 0,
        }
    }
}

impl Ahead {
    /// Tells `draw` what is to be written before a [`Record::Counted`] or a
    /// [`Record::Account`] of these places. Returns whether it must be on the disk before
    /// the turn's messages leave.
    pub fn draw(
        &mut self,
        record: &Record<'_>,
        places: &[Place],
        mut draw: impl FnMut(&Record<'_>),
    ) -> bool {
        self.make_room();
        let mut more = false;
        match *record {
            Record::Counted {
                day_end, resets, ..
            } => {
                for place in places {
                    let drawn = self.drawn_calls(place, resets);
                    let stock = Stock::Calls(drawn.map_or(day_end, |it| it.max(day_end)));
                    // Where there is no limit any more there may be one again.
                    if place.part > 0 || drawn >= Some(day_end) {
                        self.change(place, stock, resets, |used| used.saturating_add(1));
                    }
                    if place.part > 0 {
                        more |= self.settle(place, stock, resets, &mut draw);
                    }
                }
            }
            Record::Account {
                call,
                resets,
                booked,
                booked_in,
                held,
                held_in,
                ..
            } => {
                let sum = |money, days| Holding {
                    resets,
                    money,
                    days,
                    places: places.into(),
                };
                let (cost, holds) = (sum(booked, booked_in), sum(held, held_in));
                let held = self.holdings.remove(&call);
                if let Some(held) = &held {
                    self.add(held, |used| used.saturating_sub(held.money));
                }
                self.add(&cost, |used| used.saturating_add(cost.money));
                self.add(&holds, |used| used.saturating_add(holds.money));
                for sum in [&cost, &holds].into_iter().chain(&held) {
                    for (place, stock) in sum.stocks() {
                        more |= self.settle(place, stock, sum.resets, &mut draw);
                    }
                }
                if holds.money > 0 {
                    self.holdings.insert(call, holds);
                }
            }
            _ => {}
        }
        more
    }

    /// What was written may be lost: all of it is drawn again.
    pub fn forget(&mut self) {
        let lines = self.counters.values_mut().flat_map(BTreeMap::values_mut);
        lines.for_each(|line| line.upto = 0);
    }

    /// When the last day ends of which calls were drawn. A call counts there, as it does
    /// in the counter, also if by a clock that was set back, or in another time zone, its
    /// day ends earlier.
    fn drawn_calls(&self, place: &Place, resets: u64) -> Option<Wall> {
        let stocks = self.counters.get(&(place.scope, place.which))?;
        let ends = stocks.iter().filter_map(|(stock, line)| match *stock {
            Stock::Calls(end) if line.resets == resets => Some(end),
            _ => None,
        });
        ends.max()
    }

    fn add(&mut self, sum: &Holding, change: impl Fn(u64) -> u64) {
        for (place, stock) in sum.stocks() {
            self.change(place, stock, sum.resets, &change);
        }
    }

    /// Changes what a stock has come to, unless it was reset since.
    fn change(&mut self, place: &Place, stock: Stock, resets: u64, change: impl Fn(u64) -> u64) {
        let key = (place.scope, place.which);
        let stocks = self.counters.entry(key).or_default();
        if !stocks.contains_key(&stock) {
            stocks.retain(|it, _| !it.is_past(stock));
        }
        let line = stocks.entry(stock).or_default();
        if resets > line.resets {
            *line = Line {
                resets,
                ..Line::default()
            };
        }
        if resets == line.resets {
            line.used = change(line.used);
        }
    }

    /// Draws what a stock needs, or gives back what it does not.
    fn settle(
        &mut self,
        place: &Place,
        stock: Stock,
        resets: u64,
        draw: &mut impl FnMut(&Record<'_>),
    ) -> bool {
        for latest in &mut self.latest {
            if std::mem::discriminant(latest) == std::mem::discriminant(&stock) {
                *latest = stock.max(*latest);
            }
        }
        let stocks = self.counters.get_mut(&(place.scope, place.which));
        let line = stocks.and_then(|it| it.get_mut(&stock));
        let Some(line) = line.filter(|it| it.resets == resets) else {
            return false;
        };
        let (used, before) = (line.used, line.upto);
        let kept = used.saturating_add(place.part.saturating_mul(PARTS));
        if used <= before && before <= kept {
            return false;
        }
        line.upto = used.saturating_add(place.part);
        draw(&Record::Drawn {
            scope: place.scope,
            which: place.which,
            stock,
            resets,
            upto: line.upto,
        });
        used > before
    }

    /// Forgets counters of which nobody asks any more, when there are twice as many as
    /// the last time.
    fn make_room(&mut self) {
        if self.counters.len() < COUNTERS.max(2 * self.searched) {
            return;
        }
        let latest = self.latest;
        let past = |stock: &Stock| latest.iter().any(|it| stock.is_past(*it));
        self.counters.retain(|_, it| !it.keys().all(past));
        self.searched = self.counters.len();
    }
}

#[cfg(test)]
mod tests;
