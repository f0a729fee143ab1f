//! What was counted and spent, as the records of one series say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::base::limits::NUMBERS_PER_DAY;
use crate::base::tally::{Billing, Marks, Place, Scope, Tallies, Tally, Which, month_of};
use crate::base::time::{Mono, Now, Wall};
use crate::record::{CallRef, Record, encode, read_billing, read_places};

/// One series' part of every counter; the parts of all series add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// What numbers stand for in the life that writes now.
    named: BTreeMap<u32, (Box<str>, Scope)>,
    books: BTreeMap<Box<str>, Book>,
    /// Calls of the life that writes now, until they are over and hold nothing.
    open: BTreeMap<CallRef, Open>,
    /// Those of lives before it, for as long as it has not taken them over.
    earlier: BTreeMap<CallRef, Open>,
    /// The host's boot in which records are written now, and how many came before.
    boot: Box<str>,
    boots: u32,
    /// The last time told.
    latest: Time,
    /// How many counters there are, and were when they were last searched for what no
    /// longer matters.
    count: usize,
    searched: usize,
}

/// When something happened, by both clocks of a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Time {
    boot: u32,
    mono: Mono,
    #[serde(with = "encode::wall")]
    wall: Wall,
}

/// One tenant's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    resets: u64,
    counters: BTreeMap<(Scope, Which), Counter>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    times: VecDeque<Time>,
    today: u32,
    #[serde(with = "encode::wall")]
    day_end: Wall,
    numbers: BTreeSet<u64>,
    #[serde(with = "encode::wall")]
    numbers_end: Wall,
    days: BTreeMap<i32, u64>,
    months: BTreeMap<i32, u64>,
}

/// A call that is counted among the live, or holds money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    tenant: Box<str>,
    marks: Marks,
    since: Time,
    held: Option<Held>,
    ended: bool,
}

/// What a call holds of budgets; nothing where only its billing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How often the tenant's counters had been reset.
    pub resets: u64,
    /// How much, in millionths of the currency's unit.
    pub money: u64,
    /// The days that it counts in, from the first to the last.
    pub days: (i32, i32),
    /// The counters, and whether it counts in their day and in their month.
    pub places: Vec<(Scope, Which, bool, bool)>,
    /// What is known of what it costs.
    pub billing: Option<Billing>,
}

/// A call that lived when its life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lived {
    /// Whose it is.
    pub tenant: Box<str>,
    /// What caps look at in it.
    pub marks: Marks,
    /// When it was let in.
    pub since: Mono,
    /// The same, by the wall clock.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// What it holds.
    pub held: Option<Held>,
}

/// Counters of one series that are kept before they are searched for what no longer
/// matters.
const COUNTERS: usize = 1 << 14;

/// Periods behind the latest of which money is kept.
const PERIODS: i32 = 2;

impl Counters {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Started { boot, .. } => self.started(boot),
            Record::Resumed { .. } => self.resumed(),
            Record::Scope {
                number,
                tenant,
                inbound,
                each,
                to,
                hours,
                outside,
            } => {
                let when = (!hours.is_empty()).then(|| (hours.into(), outside));
                let scope = Scope {
                    inbound,
                    each,
                    to,
                    when,
                };
                self.named.insert(number, (tenant.into(), scope));
            }
            Record::Restored { call, state, .. } => self.restored(call, state),
            Record::Counted { .. } => self.counted(record),
            Record::Reset { tenant, resets, .. } => {
                let book = self.books.entry(tenant.into()).or_default();
                if resets > book.resets {
                    book.reset(resets);
                }
            }
            Record::Account { .. } => self.account(record),
            Record::Ended { call, .. } => {
                if let Some(open) = self.open.get_mut(&call) {
                    open.ended = true;
                    if !open.holds() {
                        self.open.remove(&call);
                    }
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, boot: &str) {
        self.named.clear();
        // A host that does not tell may have gone down in between.
        if boot.is_empty() || *boot != *self.boot {
            self.boot = boot.into();
            self.boots = self.boots.saturating_add(1);
        }
        self.earlier.append(&mut self.open);
    }

    /// A call that this life took over from an earlier one.
    fn restored(&mut self, call: CallRef, state: &[u8]) {
        let Some(lived) = Call::read(state).and_then(|call| call.counted) else {
            return;
        };
        let since = Time {
            boot: self.boots,
            mono: lived.since,
            wall: lived.wall,
        };
        let open = Open {
            tenant: lived.tenant,
            marks: lived.marks,
            since,
            held: lived.held,
            ended: false,
        };
        self.open.insert(call, open);
    }

    /// Calls of earlier lives that live on are written anew. What carriers might
    /// still have billed of the others counts as billed: nobody was there to see.
    fn resumed(&mut self) {
        for (_, open) in mem::take(&mut self.earlier) {
            self.give_up(open);
        }
    }

    fn give_up(&mut self, open: Open) {
        let Some(held) = open.held.filter(|_| open.ended) else {
            return;
        };
        let Some(book) = self.books.get_mut(&open.tenant) else {
            return;
        };
        if held.resets >= book.resets {
            for (scope, which, day, month) in held.places {
                let counter = book.counters.entry((scope, which)).or_default();
                counter.book((day, month), held.days, held.money);
            }
        }
    }

    fn counted(&mut self, record: &Record<'_>) {
        let Record::Counted {
            call,
            tenant,
            mono,
            wall,
            day_end,
            resets,
            marks,
            places,
        } = *record
        else {
            return;
        };
        let boot = self.boots;
        let time = Time { boot, mono, wall };
        if wall > self.latest.wall {
            self.latest = time;
        }
        let open = Open {
            tenant: tenant.into(),
            marks,
            since: time,
            held: None,
            ended: false,
        };
        self.open.insert(call, open);
        for place in read_places(places) {
            if let Some(counter) = self.counter(&place, resets) {
                counter.count(&place, time, day_end, marks.called);
            }
        }
        self.make_room();
    }

    fn account(&mut self, record: &Record<'_>) {
        let Record::Account {
            call,
            resets,
            booked,
            booked_in,
            held,
            held_in,
            places,
            billing,
        } = *record
        else {
            return;
        };
        for place in read_places(places).filter(|_| booked > 0) {
            if let Some(counter) = self.counter(&place, resets) {
                counter.book((place.day, place.month), booked_in, booked);
            }
        }
        let named = &self.named;
        let place = |place: Place| {
            let (_, scope) = named.get(&place.scope)?;
            Some((scope.clone(), place.which, place.day, place.month))
        };
        let Some(open) = self.open.get_mut(&call) else {
            return;
        };
        let told = held > 0 || !billing.is_empty();
        open.held = told.then(|| Held {
            resets,
            money: held,
            days: held_in,
            places: read_places(places).filter_map(place).collect(),
            billing: read_billing(billing),
        });
        if open.ended && !open.holds() {
            self.open.remove(&call);
        }
    }

    /// The counter of a place; none if it is not known which that is, or if it was
    /// reset since.
    fn counter(&mut self, place: &Place, resets: u64) -> Option<&mut Counter> {
        let (tenant, scope) = self.named.get(&place.scope)?;
        if !self.books.contains_key(tenant) {
            self.books.insert(tenant.clone(), Book::default());
        }
        let book = self.books.get_mut(tenant)?;
        if resets > book.resets {
            book.reset(resets);
        }
        let key = (scope.clone(), place.which);
        let count = &mut self.count;
        (resets == book.resets).then(|| {
            book.counters.entry(key).or_insert_with(|| {
                *count += 1;
                Counter::default()
            })
        })
    }

    /// Forgets counters in which nothing matters any more, when there are twice as
    /// many as the last time.
    fn make_room(&mut self) {
        if self.count < COUNTERS.max(2 * self.searched) {
            return;
        }
        let latest = self.latest;
        for book in self.books.values_mut() {
            book.counters.retain(|_, it| !it.is_at_rest(latest));
        }
        self.books
            .retain(|_, book| book.resets > 0 || !book.counters.is_empty());
        self.count = self.books.values().map(|book| book.counters.len()).sum();
        self.searched = self.count;
    }

    /// What every counter has come to, for a life that begins `now`, in this boot of
    /// the host.
    #[must_use]
    pub fn tallies(&self, now: Now, boot: &str) -> BTreeMap<Box<str>, Tallies> {
        let mut all = self.clone();
        for open in mem::take(&mut all.earlier).into_values() {
            all.give_up(open);
        }
        for open in mem::take(&mut all.open).into_values() {
            all.give_up(open);
        }
        let translate = all.clock(now, boot);
        let books = all.books.into_iter().map(|(tenant, book)| {
            let counters = book.counters.into_iter();
            let counters = counters.map(|(key, it)| (key, it.tally(now.mono, &translate)));
            let tallies = Tallies {
                resets: book.resets,
                counters: counters.collect(),
            };
            (tenant, tallies)
        });
        books.collect()
    }

    /// What is known of a call that lived when its life ended.
    #[must_use]
    pub fn lived(&self, call: CallRef, now: Now, boot: &str) -> Option<Lived> {
        let open = self.open.get(&call).or_else(|| self.earlier.get(&call))?;
        let (clock, since) = (self.clock(now, boot), open.since);
        // Of that life's times only this one is known by both clocks.
        let at = |mono: Mono| {
            let (later, sooner) = match mono >= since.mono {
                true => (mono.saturating_since(since.mono), Duration::ZERO),
                false => (Duration::ZERO, since.mono.saturating_since(mono)),
            };
            let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            let wall = since.wall.as_micros().saturating_add(micros(later));
            let wall = Wall::from_micros(wall.saturating_sub(micros(sooner)));
            Time {
                mono,
                wall,
                ..since
            }
        };
        Some(Lived {
            tenant: open.tenant.clone(),
            marks: open.marks,
            since: clock(since),
            wall: since.wall,
            held: open.held.clone().map(|held| Held {
                billing: held.billing.map(|it| it.by(|mono| clock(at(mono)))),
                ..held
            }),
        })
    }

    /// Tells a time by the monotonic clock of a boot. Between boots only the wall
    /// clock knows how much time passed.
    fn clock(&self, now: Now, boot: &str) -> impl Fn(Time) -> Mono + use<> {
        let same = (!boot.is_empty() && *boot == *self.boot).then_some(self.boots);
        move |time| {
            if same == Some(time.boot) {
                return time.mono;
            }
            let (past, ahead) = (
                now.wall.saturating_since(time.wall),
                time.wall.saturating_since(now.wall),
            );
            let past = u64::try_from(past.as_nanos()).unwrap_or(u64::MAX);
            Mono::from_nanos(now.mono.as_nanos().saturating_sub(past)) + ahead
        }
    }
}

impl Open {
    fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.money > 0)
    }
}

impl Book {
    fn reset(&mut self, resets: u64) {
        self.resets = resets;
        self.counters.clear();
    }
}

impl Counter {
    /// Counts a call as the counters themselves do.
    fn count(&mut self, place: &Place, at: Time, day_end: Wall, called: u64) {
        if at.wall >= self.day_end {
            self.today = 0;
        }
        self.day_end = self.day_end.max(day_end);
        self.today = self.today.saturating_add(1);
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

    fn book(&mut self, (day, month): (bool, bool), (first, last): (i32, i32), money: u64) {
        let days = (day, &mut self.days, first, last);
        let months = (month, &mut self.months, month_of(first), month_of(last));
        for (counts, periods, first, last) in [days, months] {
            // Of a long call the last periods matter, in which it still counts.
            for period in first.max(last.saturating_sub(PERIODS))..=last {
                if counts {
                    let sum = periods.entry(period).or_default();
                    *sum = sum.saturating_add(money);
                }
            }
            if let Some((&latest, _)) = periods.last_key_value() {
                *periods = periods.split_off(&(latest - PERIODS));
            }
        }
    }

    fn is_at_rest(&self, now: Time) -> bool {
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
    }

    fn tally(self, now: Mono, clock: &impl Fn(Time) -> Mono) -> Tally {
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
