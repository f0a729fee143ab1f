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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::{CallRef, Record, Stock};
use crate::base::spread::Spread;
use crate::base::tally::{Place, Which};
use crate::base::time::Wall;

/// What is drawn more than this many parts ahead is given back.
const PARTS: u64 = 3;

/// Counters that are kept before they are searched for what is past.
const COUNTERS: usize = 1 << 12;

/// What one shard has drawn in this life.
#[derive(Debug)]
pub struct Ahead {
    /// By scope. Which of its counters may be chosen by whoever dials, and is not hashed.
    counters: HashMap<u32, BTreeMap<Which, Stocks>, FixedState>,
    /// How many counters there are.
    count: usize,
    holdings: Spread<CallRef, Holding>,
    shared: Shared,
    /// The latest of each.
    latest: [Stock; 3],
    /// How many counters there were when they were last searched.
    searched: usize,
}

/// What is drawn of one counter: a few stocks.
#[derive(Debug, Default)]
struct Stocks(SmallVec<[Line; 1]>);

impl Stocks {
    fn get(&mut self, stock: Stock) -> Option<&mut Line> {
        self.0.iter_mut().find(|line| line.stock == stock)
    }

    /// A stock's line, in place of those that are past by it if there is none yet.
    fn line(&mut self, stock: Stock) -> Option<&mut Line> {
        let at = match self.0.iter().position(|line| line.stock == stock) {
            Some(at) => at,
            None => {
                self.0.retain(|line| !line.stock.is_past(stock));
                self.0.push(Line::new(stock));
                self.0.len() - 1
            }
        };
        self.0.get_mut(at)
    }

    /// When the last day ends of which calls were drawn. A call counts there, as it does
    /// in the counter, also if by a clock that was set back, or in another time zone, its
    /// day ends earlier.
    fn drawn_calls(&self, resets: u64) -> Option<Wall> {
        let ends = self.0.iter().filter_map(|line| match line.stock {
            Stock::Calls(end) if line.resets == resets => Some(end),
            _ => None,
        });
        ends.max()
    }
}

/// One counter's stock.
#[derive(Clone, Copy, Debug)]
struct Line {
    stock: Stock,
    resets: u64,
    /// What this shard's calls have come to.
    used: u64,
    /// What was drawn.
    upto: u64,
}

impl Line {
    const fn new(stock: Stock) -> Self {
        Self {
            stock,
            resets: 0,
            used: 0,
            upto: 0,
        }
    }

    /// Changes what it has come to, unless it was reset since.
    fn change(&mut self, resets: u64, change: impl FnOnce(u64) -> u64) {
        if resets > self.resets {
            (self.resets, self.used, self.upto) = (resets, 0, 0);
        }
        if resets == self.resets {
            self.used = change(self.used);
        }
    }

    /// Draws what it needs, or gives back what it does not. Whether it drew more; nothing
    /// if all is as it was.
    fn settle(&mut self, place: &Place, resets: u64) -> Option<bool> {
        let (used, before) = (self.used, self.upto);
        let kept = used.saturating_add(place.part.saturating_mul(PARTS));
        if self.resets != resets || (used <= before && before <= kept) {
            return None;
        }
        self.upto = used.saturating_add(place.part);
        Some(used > before)
    }

    fn drawn(&self, place: &Place) -> Record<'static> {
        Record::Drawn {
            scope: place.scope,
            which: place.which,
            stock: self.stock,
            resets: self.resets,
            upto: self.upto,
        }
    }
}

/// A sum in places.
#[derive(Clone, Copy, Debug)]
struct Sum<'p> {
    resets: u64,
    money: u64,
    days: (i32, i32),
    places: &'p [Place],
}

impl<'p> Sum<'p> {
    /// Whether it changes the same counters.
    fn is_alike(&self, other: &Sum<'_>) -> bool {
        (self.resets, self.days) == (other.resets, other.days) && self.places == other.places
    }
}

/// What changes in the places of a sum.
#[derive(Debug)]
struct Change<'p> {
    of: Sum<'p>,
    stocks: SmallVec<[Stock; 4]>,
    less: u64,
    more: u64,
}

impl<'p> Change<'p> {
    /// Where: each counter and stock of it once.
    fn each(&self) -> impl Iterator<Item = (&'p Place, Stock)> {
        self.of.places.iter().flat_map(|place| {
            let stocks = self.stocks.iter().filter(|stock| stock.is_of(place));
            stocks.map(move |stock| (place, *stock))
        })
    }
}

/// What a call holds.
#[derive(Debug)]
struct Holding {
    resets: u64,
    money: u64,
    days: (i32, i32),
    places: Arc<[Place]>,
}

impl Holding {
    fn sum(&self) -> Sum<'_> {
        Sum {
            resets: self.resets,
            money: self.money,
            days: self.days,
            places: &self.places,
        }
    }
}

/// The places of calls, most of which are those of others, too. Lists that meet at one
/// slot take turns there.
#[derive(Debug)]
struct Shared(Box<[Option<Arc<[Place]>>]>);

impl Default for Shared {
    fn default() -> Self {
        Self(vec![None; 1 << 10].into_boxed_slice())
    }
}

impl Shared {
    fn of(&mut self, places: &[Place]) -> Arc<[Place]> {
        let scopes = places.iter().map(|place| place.scope as usize);
        let mixed = scopes.fold(0_usize, |mixed, scope| {
            mixed.wrapping_mul(31).wrapping_add(scope)
        });
        let slots = self.0.len().max(1);
        let Some(slot) = self.0.get_mut(mixed % slots) else {
            return places.into();
        };
        match slot {
            Some(known) if **known == *places => Arc::clone(known),
            _ => Arc::clone(slot.insert(places.into())),
        }
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            counters: HashMap::with_hasher(FixedState::default()),
            count: 0,
            holdings: Spread::default(),
            shared: Shared::default(),
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
                    more |= self.count(place, day_end, resets, &mut draw);
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
                let sum = |money, days| Sum {
                    resets,
                    money,
                    days,
                    places,
                };
                let (cost, holds) = (sum(booked, booked_in), sum(held, held_in));
                let before = self.holdings.remove(&call);
                let held_before = before.as_ref().map_or(sum(0, held_in), Holding::sum);
                more = self.exchange(held_before, [cost, holds], &mut draw);
                if holds.money > 0 {
                    let places = match before {
                        Some(before) if *before.places == *places => before.places,
                        _ => self.shared.of(places),
                    };
                    let holding = Holding {
                        resets,
                        money: holds.money,
                        days: held_in,
                        places,
                    };
                    self.holdings.insert(call, holding);
                }
            }
            _ => {}
        }
        more
    }

    /// What was written may be lost: all of it is drawn again.
    pub fn forget(&mut self) {
        let counters = self.counters.values_mut().flat_map(BTreeMap::values_mut);
        let lines = counters.flat_map(|it| &mut it.0);
        lines.for_each(|line| line.upto = 0);
    }

    /// A call is let in.
    fn count(
        &mut self,
        place: &Place,
        day_end: Wall,
        resets: u64,
        draw: &mut impl FnMut(&Record<'_>),
    ) -> bool {
        let limited = place.part > 0;
        let Some(stocks) = self.stocks(place, limited) else {
            return false;
        };
        let drawn = stocks.drawn_calls(resets);
        // Where there is no limit any more there may be one again.
        if !limited && drawn < Some(day_end) {
            return false;
        }
        let stock = Stock::Calls(drawn.map_or(day_end, |it| it.max(day_end)));
        let Some(line) = stocks.line(stock) else {
            return false;
        };
        line.change(resets, |used| used.saturating_add(1));
        let more = limited.then(|| line.settle(place, resets)).flatten();
        if let Some(more) = more {
            draw(&line.drawn(place));
            self.note(stock);
            return more;
        }
        false
    }

    /// These sums take the place of that one.
    fn exchange(
        &mut self,
        before: Sum<'_>,
        now: [Sum<'_>; 2],
        draw: &mut impl FnMut(&Record<'_>),
    ) -> bool {
        // Mostly all are of the same days and places, which are then gone through once.
        let mut changes: SmallVec<[Change<'_>; 3]> = SmallVec::new();
        let sums = [(before, before.money, 0)].into_iter();
        for (sum, less, more) in sums.chain(now.map(|sum| (sum, 0, sum.money))) {
            match changes.iter_mut().find(|it| it.of.is_alike(&sum)) {
                _ if sum.money == 0 => {}
                Some(change) => change.more = change.more.saturating_add(more),
                None => changes.push(Change {
                    stocks: Stock::of(sum.days),
                    of: sum,
                    less,
                    more,
                }),
            }
        }
        for change in &changes {
            self.change(change);
        }
        let mut more = false;
        for change in &changes {
            for (place, stock) in change.each() {
                let line = self.stocks(place, false).and_then(|it| it.get(stock));
                let Some(line) = line else { continue };
                if let Some(drew) = line.settle(place, change.of.resets) {
                    draw(&line.drawn(place));
                    self.note(stock);
                    more |= drew;
                }
            }
        }
        more
    }

    fn change(&mut self, change: &Change<'_>) {
        for (place, stock) in change.each() {
            if let Some(line) = self.stocks(place, true).and_then(|it| it.line(stock)) {
                let after = |used: u64| used.saturating_sub(change.less);
                line.change(change.of.resets, |used| {
                    after(used).saturating_add(change.more)
                });
            }
        }
    }

    /// What is drawn of a counter; nothing yet if `opened` does not say so.
    fn stocks(&mut self, place: &Place, opened: bool) -> Option<&mut Stocks> {
        if !opened {
            return self.counters.get_mut(&place.scope)?.get_mut(&place.which);
        }
        let counters = self.counters.entry(place.scope).or_default();
        let count = &mut self.count;
        Some(counters.entry(place.which).or_insert_with(|| {
            *count += 1;
            Stocks::default()
        }))
    }

    /// What was drawn is the latest of its kind, if it is.
    fn note(&mut self, stock: Stock) {
        for latest in &mut self.latest {
            if std::mem::discriminant(latest) == std::mem::discriminant(&stock) {
                *latest = stock.max(*latest);
            }
        }
    }

    /// Forgets counters of which nobody asks any more, when there are twice as many as
    /// the last time.
    fn make_room(&mut self) {
        if self.count < COUNTERS.max(2 * self.searched) {
            return;
        }
        let latest = self.latest;
        let past = |line: &Line| latest.iter().any(|it| line.stock.is_past(*it));
        self.counters.retain(|_, counters| {
            counters.retain(|_, it| !it.0.iter().all(past));
            !counters.is_empty()
        });
        self.count = self.counters.values().map(BTreeMap::len).sum();
        self.searched = self.count;
    }
}

#[cfg(test)]
mod tests;
