//! The different numbers that were called on one day.

use super::meter::{Over, Quantity};
use crate::base::time::Wall;
use crate::policy::target::Packed;

pub(in crate::policy) use crate::base::limits::NUMBERS_PER_DAY as NUMBERS_MAX;

/// The numbers of the day that ends at `day_end`.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Sorted, not hashed: they are chosen by whoever dials.
    seen: Vec<Packed>,
    /// Only ever moves on, as in `Meter`.
    day_end: Wall,
}

impl Numbers {
    /// No number yet.
    pub(super) const NONE: Self = Self {
        seen: Vec::new(),
        day_end: Wall::from_micros(i64::MIN),
    };

    /// Whether this number would be one too many.
    pub(super) fn check(&self, limit: u32, number: Packed, wall: Wall) -> Option<Over> {
        let seen: &[Packed] = if wall < self.day_end { &self.seen } else { &[] };
        let value = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        if value < limit || seen.binary_search(&number).is_ok() {
            return None;
        }
        Some(Over {
            quantity: Quantity::NumbersPerDay,
            value: value.into(),
            threshold: limit.into(),
        })
    }

    /// Notes the numbers that were called before a restart.
    pub(super) fn restore(&mut self, past: &[u64], day_end: Wall) {
        if day_end > self.day_end {
            self.seen.clear();
        }
        if day_end >= self.day_end {
            self.seen
                .extend(past.iter().copied().map(Packed::from_bits));
            self.seen.sort_unstable();
            self.seen.dedup();
            self.seen.truncate(NUMBERS_MAX as usize);
        }
        self.day_end = self.day_end.max(day_end);
    }

    /// Notes a number that is called on the day that ends at `day_end`.
    pub(super) fn take(&mut self, number: Packed, wall: Wall, day_end: Wall) {
        if wall >= self.day_end {
            self.seen.clear();
        }
        self.day_end = self.day_end.max(day_end);
        // Calls that are let go though there is no room may be of any number.
        if let (Err(at), true) = (
            self.seen.binary_search(&number),
            self.seen.len() < NUMBERS_MAX as usize,
        ) {
            self.seen.insert(at, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn number(at: u32) -> Packed {
        Packed::international((10_000_000 + at).to_string().as_bytes()).unwrap()
    }

    proptest! {
        #[test]
        fn it_equals_a_set_of_the_day(
            limit in 1_u32..6,
            calls in proptest::collection::vec((0_u32..9, 0_i64..40), 1..200),
        ) {
            const DAY: i64 = 300;
            let (mut numbers, mut set, mut day, mut at) = (Numbers::default(), BTreeSet::new(), 0, 0);
            for (called, after) in calls {
                at += after;
                if at / DAY != day {
                    day = at / DAY;
                    set.clear();
                }
                let room = set.contains(&called) || set.len() < limit as usize;
                let (wall, end) = (Wall::from_micros(at), Wall::from_micros((day + 1) * DAY));
                let over = numbers.check(limit, number(called), wall);
                prop_assert_eq!(over.is_none(), room);
                if room {
                    numbers.take(number(called), wall, end);
                    set.insert(called);
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded_when_calls_go_all_the_same() {
        let mut numbers = Numbers::default();
        for at in 0..NUMBERS_MAX + 500 {
            numbers.take(number(at), Wall::from_micros(0), Wall::from_micros(9));
        }
        assert_eq!(numbers.seen.len(), NUMBERS_MAX as usize);
    }
}
