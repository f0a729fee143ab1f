//! A host whose power fails, and what its journals come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{Call, Pen, SHARDS, World, apply};
use crate::base::tally::{Scope, Tallies, Which, add_up, month_of};
use crate::base::time::{Now, Wall};
use crate::policy::{Course, Hold};
use crate::record::{CallRef, fold, frame};

/// The day in Tokyo.
fn today(wall: Wall) -> i32 {
    i32::try_from((wall.as_micros() / 3_600_000_000 + 9) / 24).unwrap()
}

/// Whether a rule may still ask for it.
pub(super) fn matters((_, _, (what, period)): &Total, now: Now) -> bool {
    let today = today(now.wall);
    match *what {
        "month" => *period >= month_of(today),
        _ => *period >= today,
    }
}

/// One counter, and what of it, in which period.
pub(super) type Total = (Scope, Which, (&'static str, i32));

impl Pen {
    /// The power fails. Of what is not on the disk for certain a part is: some
    /// thousandths.
    pub(super) fn fail(&mut self, part: usize) {
        let (synced, unsynced) = self.written.split_at(self.synced);
        let mut kept = unsynced;
        let room = unsynced.len() * part / 1_000;
        while let Some((_, rest)) = frame::next(kept).unwrap() {
            if unsynced.len() - rest.len() > room {
                break;
            }
            kept = rest;
        }
        let length = synced.len() + unsynced.len() - kept.len();
        self.written.truncate(length);
        self.synced = length;
        self.fold = fold::Counters::default();
        apply(&mut self.fold, &self.written);
    }
}

impl World {
    /// The power fails, and another life takes over what is known of this one: calls
    /// that were over may not be, and calls that were up may be unknown.
    pub(super) fn fail(mut self, parts: [usize; SHARDS], now: Now, boot: &'static str) -> Self {
        for call in self.calls.drain(..) {
            std::mem::forget(call.hold);
        }
        for (shard, (pen, part)) in self.pens.iter_mut().zip(parts).enumerate() {
            pen.fail(part);
            for reference in (1..=self.next).map(CallRef) {
                if pen.fold.lived(reference, now, boot).is_some() {
                    self.calls.push(Call {
                        reference,
                        shard,
                        hold: Hold::nothing(),
                        course: Course::new(now, Duration::ZERO, Duration::ZERO),
                        over: false,
                    });
                }
            }
        }
        self.crash(now, boot)
    }

    /// What a life after this one is to count: money booked and held by the day and by
    /// the month, calls where a day's are limited, and different numbers.
    pub(super) fn come_to(&self, now: Now, boot: &str) -> BTreeMap<Total, u64> {
        let calls: BTreeSet<_> = (1..=self.next).map(CallRef).collect();
        let mut all = BTreeMap::new();
        for pen in &self.pens {
            add_up(&mut all, pen.fold.tallies(now, boot, &calls));
        }
        let mut totals = BTreeMap::<Total, u64>::new();
        let mut add = |scope: &Scope, which, what, amount| {
            *totals.entry((scope.clone(), which, what)).or_default() += amount;
        };
        for ((scope, which), tally) in all.into_values().flat_map(Tallies::whole) {
            let mut add = |what, amount| add(&scope, which, what, amount);
            tally
                .days
                .iter()
                .for_each(|(day, it)| add(("day", *day), *it));
            let months = tally.months.iter();
            months.for_each(|(month, it)| add(("month", *month), *it));
            let day = |end: Wall| today(end) - 1;
            if scope.to == [0, 0] && scope.each.is_none() && !scope.inbound {
                add(("calls", day(tally.day_end)), tally.today.into());
            }
            let numbers = tally.numbers.len().try_into().unwrap();
            add(("numbers", day(tally.numbers_end)), numbers);
        }
        let lived = self.pens.iter().flat_map(|pen| {
            let lived = |it: &CallRef| pen.fold.lived(*it, now, boot);
            calls.iter().filter_map(lived)
        });
        for held in lived.filter_map(|it| it.held) {
            let (first, last) = held.days;
            for (scope, which, day, month) in &held.places {
                for it in (first..=last).filter(|_| *day) {
                    add(scope, *which, ("day", it), held.money);
                }
                for it in (month_of(first)..=month_of(last)).filter(|_| *month) {
                    add(scope, *which, ("month", it), held.money);
                }
            }
        }
        totals
    }
}
