//! What the journal keeps of a tenant's counters, and how they come back from it.
//!
//! Each call that is counted says where ([`Counted`]), and each change of its
//! account with the budgets what came of it ([`Statement`]). What those add up to
//! is counted again after a restart ([`Counters::restore`]); the calls that are
//! still up then take their places again ([`Kept`]), whatever the caps say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use smallvec::SmallVec;

use super::book::{Admission, Book, Claims, Hold, Subject};
use super::day::{Dates, Minute};
use super::meter::Meter;
use super::pages::{Moment, Pages};
use super::purse::{Budget, Sum};
use super::{Counters, lock};
use crate::base::tally::{Marks, Place, Scope, Tallies, Tally, Which};
use crate::base::time::{Mono, Now, Wall};
use crate::policy::money::Money;
use crate::policy::numbering::{Class, Country};
use crate::policy::target::{Destination, Packed};

/// Where a call was counted as it was let in.
#[derive(Clone, Debug)]
pub struct Counted {
    /// When, by the clock that its tenant's calls are counted by.
    pub at: Mono,
    /// The same, by the wall clock as far as it was believed.
    pub wall: Wall,
    /// When the day ends that it counts in.
    pub day_end: Wall,
    /// How often its tenant's counters had been reset.
    pub resets: u64,
    /// What caps look at in it.
    pub marks: Marks,
    /// The counters.
    pub places: SmallVec<[Place; 6]>,
}

/// What became of a call's account with the budgets that cover it.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// How often its tenant's counters had been reset.
    pub resets: u64,
    /// What was booked just now.
    pub booked: Money,
    /// The days that this counts in, from the first to the last; counted from
    /// 1970-01-01.
    pub booked_in: (i32, i32),
    /// What it holds from now on.
    pub held: Money,
    /// The days that this counts in.
    pub held_in: (i32, i32),
    /// The counters.
    pub places: SmallVec<[Place; 4]>,
}

/// A call of the life before this one.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose it is.
    pub tenant: Box<str>,
    /// What caps look at in it.
    pub marks: Marks,
    /// When it was let in.
    pub since: Mono,
    /// The same, by the wall clock.
    pub wall: Wall,
    /// What it holds of budgets, if any covered it.
    pub owed: Option<Owed>,
}

/// What a call of the life before this one holds of budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// How much.
    pub money: Money,
    /// The days that it counts in, from the first to the last.
    pub days: (i32, i32),
    /// The counters, and whether it counts in their day and in their month.
    pub places: Vec<(Scope, Which, bool, bool)>,
}

impl Counted {
    pub(super) fn new(moment: &Moment, subject: &Subject, resets: u64) -> Self {
        Self {
            at: moment.mono,
            wall: moment.wall,
            day_end: moment.day_end,
            resets,
            marks: Marks {
                called: subject.to.digits.bits(),
                caller: subject.caller.bits(),
                country: subject.to.country.map_or(0, Country::word),
                class: subject.to.class as u8,
                inbound: subject.inbound,
            },
            places: SmallVec::new(),
        }
    }

    /// Adds a counter. One that several rules limit counts once.
    pub(super) fn add(&mut self, place: Place) {
        let same = |it: &&mut Place| (it.scope, it.which) == (place.scope, place.which);
        match self.places.iter_mut().find(same) {
            Some(known) => {
                known.numbers |= place.numbers;
                known.keep = known.keep.max(place.keep);
                // The least of those that there are.
                known.part = match (known.part, place.part) {
                    (0, part) | (part, 0) => part,
                    (one, other) => one.min(other),
                };
            }
            None => self.places.push(place),
        }
    }
}

impl Statement {
    pub(super) fn new(
        resets: u64,
        places: SmallVec<[Place; 4]>,
        booked: Option<&Sum>,
        held: Option<&Sum>,
    ) -> Option<Self> {
        let money = |sum: Option<&Sum>| sum.map_or(Money::ZERO, |it| it.money);
        let days = |sum: Option<&Sum>| sum.map_or((0, 0), |it| (it.dates.first, it.dates.last));
        (!places.is_empty()).then(|| Self {
            resets,
            booked: money(booked),
            booked_in: days(booked),
            held: money(held),
            held_in: days(held),
            places,
        })
    }

    /// The same call holds nothing any more.
    #[must_use]
    pub fn closed(self) -> Self {
        Self {
            booked: Money::ZERO,
            held: Money::ZERO,
            ..self
        }
    }
}

impl Kept {
    /// What the rules look at in it; nothing if this version does not know it.
    pub(in crate::policy) fn subject(&self) -> Option<Subject> {
        let country = match self.marks.country {
            0 => None,
            word => Some(Country::from_word(word)?),
        };
        Some(Subject {
            to: Destination {
                digits: Packed::from_bits(self.marks.called),
                country,
                class: Class::at(self.marks.class)?,
            },
            caller: Packed::from_bits(self.marks.caller),
            minute: Minute::of(self.wall),
            inbound: self.marks.inbound,
        })
    }
}

impl Counters {
    /// Counts what was counted in the life before this one. To be called before
    /// rules are compiled: those with a new scope may find no room for it after.
    pub fn restore(&self, past: BTreeMap<Box<str>, Tallies>) {
        for (tenant, tallies) in past {
            let book = self.book(&Arc::from(tenant));
            let scopes = &book.shared.scopes;
            lock(&book.pages).restore(tallies, scopes);
        }
    }
}

impl Counters {
    /// Forgets what a tenant's calls were counted by up to now: their times, the day's
    /// count and different numbers, and what was spent. What lives goes on being
    /// counted, and money that is held stays so. Returns how often that was done to
    /// this tenant; none if it has no counters.
    #[must_use]
    pub fn reset(&self, tenant: &str) -> Option<u64> {
        let book = self.books.known(tenant)?;
        let mut pages = lock(&book.pages);
        pages.resets = pages.resets.saturating_add(1);
        pages.meters.iter_mut().for_each(Meter::reset);
        pages.numbers.clear();
        pages.purses.reset();
        Some(pages.resets)
    }
}

impl Hold {
    /// What the call holds of budgets, if any covers it.
    #[must_use]
    pub fn statement(&self) -> Option<Statement> {
        let (book, call) = self.0.as_ref()?;
        let pages = lock(&book.pages);
        let held = pages.purses.held(*call)?;
        Statement::new(pages.resets, pages.purses.places(*call), None, Some(&held))
    }

    /// The scope of the call's tenant that has this number.
    #[must_use]
    pub fn scope(&self, number: u32) -> Option<Scope> {
        let (book, _) = self.0.as_ref()?;
        lock(&book.pages).scope(number).cloned()
    }
}

impl Book {
    /// Lets a call in again that was let in before a restart, whatever the caps
    /// say: it lives. It counts among the live, and holds what it held.
    pub(in crate::policy) fn readmit<'r>(
        self: &Arc<Self>,
        now: Now,
        call: &Admission<'_>,
        kept: &Kept,
        covers: impl Fn(&Subject, &mut Claims<'r>),
        asks: impl Fn(&Subject, Mono) -> Option<Sum>,
    ) -> Hold {
        let day_end = call.zone.day(call.wall).end;
        let mut pages = lock(&self.pages);
        let moment = pages.moment(now.mono, call.wall, day_end);
        pages.catch_up(&moment, call.version, covers, &asks);
        let at = pages.record(kept.since, call);
        for claim in call.claims.iter().filter(|it| !it.measure.money_only) {
            let meter = claim.measure.meter;
            if let Some(place) = pages.find_or_open(meter, &call.subject, &moment) {
                pages.join(at, place);
            }
        }
        if let Some(owed) = &kept.owed {
            pages.hold_again(at, owed, &self.shared.scopes);
        }
        let who = (&call.subject, kept.since);
        pages.join_money(at, who, call.claims, &moment, &asks);
        drop(pages);
        Hold(Some((Arc::clone(self), at)))
    }
}

impl Pages {
    fn restore(&mut self, past: Tallies, scopes: &AtomicU32) {
        self.resets = past.resets;
        for ((scope, which), tally) in past.whole() {
            let Some(place) = self.place_of(&scope, which, scopes) else {
                continue;
            };
            let of = self.of(&scope, which);
            if let Some(meter) = self.meters.get_mut(place as usize) {
                meter.restore(&tally);
                meter.keep_until(counted_until(&tally));
            }
            if !tally.numbers.is_empty() {
                let numbers = self.numbers.entry(place).or_default();
                numbers.restore(&tally.numbers, tally.numbers_end);
            }
            self.purses.restore(place, of, &tally);
        }
    }

    /// Has a call hold what it held before a restart, where it did.
    fn hold_again(&mut self, call: u32, owed: &Owed, scopes: &AtomicU32) {
        let (first, last) = owed.days;
        let dates = Dates { first, last };
        let money = owed.money;
        self.purses.hold(call, &Sum { money, dates });
        for (scope, which, day, month) in &owed.places {
            let Some(meter) = self.place_of(scope, *which, scopes) else {
                continue;
            };
            // How much there may be matters where a budget is asked, not here.
            let budget = Budget {
                per_day: day.then_some(Money::ZERO),
                per_month: month.then_some(Money::ZERO),
            };
            let of = self.of(scope, *which);
            self.purses.join(call, (meter, of), &budget);
            if let Some(meter) = self.meters.get_mut(meter as usize) {
                meter.keep_until(end_of(last, *month));
            }
        }
    }

    fn of(&self, scope: &Scope, which: Which) -> (u32, Which) {
        (self.number_of(scope).unwrap_or_default(), which)
    }
}

/// Until when what a counter has come to counts, in any time zone.
fn counted_until(past: &Tally) -> Wall {
    let day = past.days.keys().next_back();
    let day = day.map(|&day| end_of(day, false));
    let month = past.months.keys().next_back();
    // The zone's own day is not known here, so the month's last is taken for long.
    let month = month.map(|&month| end_of(first_of(month), true));
    day.max(month).unwrap_or_default()
}

/// When a day is over, or the month that it is in, in any time zone.
fn end_of(day: i32, month: bool) -> Wall {
    const DAY: i64 = 86_400_000_000;
    let days = i64::from(day) + if month { 40 } else { 2 };
    Wall::from_micros(days.saturating_mul(DAY))
}

/// A day in the month of this number, or one a few days before it.
fn first_of(month: i32) -> i32 {
    // A month of the Gregorian calendar has 30.436875 days; the year 0 began 719,528
    // days before 1970-01-01.
    let days = i64::from(month) * 30_436_875 / 1_000_000 - 719_528;
    i32::try_from(days).unwrap_or(i32::MAX)
}
