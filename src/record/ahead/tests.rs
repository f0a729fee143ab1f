//! What one shard draws, and what a series comes to that ends with what was drawn last.

use std::collections::BTreeSet;

use super::*;
use crate::base::tally::Marks;
use crate::base::time::{Mono, Now};
use crate::record::{fold, write_places};

const HOUR: i64 = 3_600_000_000;

/// When a day ends.
const MIDNIGHT: Wall = Wall::from_micros(48 * HOUR);

/// A shard, its series, and what of that is on the disk.
struct Shard {
    ahead: Ahead,
    series: fold::Counters,
    synced: fold::Counters,
    calls: u64,
}

impl Shard {
    fn new() -> Self {
        let mut series = fold::Counters::default();
        series.apply(&Record::Started {
            wall: MIDNIGHT,
            shard: 0,
            shards: 1,
            program: "",
            boot: "a",
        });
        series.apply(&Record::Scope {
            number: 0,
            tenant: "acme",
            inbound: false,
            each: None,
            to: [0, 0],
            hours: "",
            outside: false,
        });
        Self {
            ahead: Ahead::default(),
            synced: series.clone(),
            series,
            calls: 0,
        }
    }

    /// Counts a call that is let in then, where this much is drawn ahead.
    fn count(&mut self, wall: Wall, day_end: Wall, part: u64) {
        self.calls += 1;
        let place = Place {
            part,
            ..Place::default()
        };
        let mut places = Vec::new();
        write_places(&[place], &mut places);
        let record = Record::Counted {
            call: CallRef(self.calls),
            tenant: "acme",
            mono: Mono::ZERO,
            wall,
            day_end,
            resets: 0,
            marks: Marks::default(),
            places: &places,
        };
        let series = &mut self.series;
        let waits = self
            .ahead
            .draw(&record, &[place], |drawn| series.apply(drawn));
        series.apply(&record);
        if waits {
            self.synced = self.series.clone();
        }
    }

    /// How many calls the day comes to that ends last, after a loss of power that took
    /// all that it could.
    fn after_loss(&self) -> u32 {
        let now = Now {
            mono: Mono::ZERO,
            wall: MIDNIGHT,
        };
        let tallies = self.synced.tallies(now, "b", &BTreeSet::new());
        let whole = tallies.into_values().map(|it| it.whole());
        let day = whole.flatten().map(|(_, it)| it.today);
        day.sum()
    }
}

#[test]
fn calls_count_that_came_while_a_cap_was_away() {
    let mut shard = Shard::new();
    let noon = Wall::from_micros(36 * HOUR);
    shard.count(noon, MIDNIGHT, 2);
    for _ in 0..10 {
        shard.count(noon, MIDNIGHT, 0);
    }
    for calls in 12..40 {
        shard.count(noon, MIDNIGHT, 2);
        assert!(
            shard.after_loss() >= calls,
            "{} of {calls}",
            shard.after_loss()
        );
    }
}

#[test]
fn calls_count_that_came_after_the_clock_was_set_back_over_midnight() {
    let mut shard = Shard::new();
    let next = Wall::from_micros(72 * HOUR);
    for _ in 0..4 {
        shard.count(MIDNIGHT, next, 3);
    }
    let before = Wall::from_micros(48 * HOUR - 1);
    for calls in 5..20 {
        shard.count(before, MIDNIGHT, 3);
        assert!(
            shard.after_loss() >= calls,
            "{} of {calls}",
            shard.after_loss()
        );
    }
}
