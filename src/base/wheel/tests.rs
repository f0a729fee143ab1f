use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Where the tests' clock starts: not on a tick.
const START: Mono = Mono::from_nanos(1_234_567_891);

fn after(millis: u64) -> Mono {
    START + Duration::from_millis(millis)
}

fn drain(wheel: &mut Wheel<u32>, now: Mono) -> Vec<u32> {
    std::iter::from_fn(|| wheel.pop_expired(now)).collect()
}

#[test]
fn ids_and_nodes_are_small() {
    assert_eq!(size_of::<TimerId>(), 8);
    assert_eq!(size_of::<Option<TimerId>>(), 8);
    assert!(size_of::<Node<(u64, u32)>>() <= 40);
}

#[test]
fn fires_once_and_never_early() {
    let mut wheel = Wheel::new(START);
    let id = wheel.schedule(after(500), 1);
    assert_eq!(wheel.next_deadline(), Some(after(500)));
    assert_eq!(wheel.pop_expired(after(499)), None);
    assert_eq!(wheel.pop_expired(after(500)), Some(1));
    assert_eq!(wheel.pop_expired(after(500)), None);
    assert!(!wheel.cancel(id));
    assert_eq!(wheel.next_deadline(), None);
    assert!(wheel.is_empty());
}

#[test]
fn what_has_gone_by_is_popped_next() {
    let mut wheel = Wheel::new(START);
    assert_eq!(wheel.pop_expired(after(100_000)), None);
    wheel.schedule(Mono::ZERO, 1);
    wheel.schedule(after(99_000), 2);
    assert!(wheel.next_deadline().unwrap() <= after(100_000));
    assert_eq!(drain(&mut wheel, after(100_000)), [1, 2]);
}

#[test]
fn a_tick_fires_in_the_order_it_was_set() {
    let mut wheel = Wheel::new(START);
    for key in 0..100 {
        wheel.schedule(after(3_000), key);
    }
    let expected: Vec<u32> = (0..100).collect();
    assert_eq!(drain(&mut wheel, after(3_000)), expected);
}

#[test]
fn a_jump_of_months_costs_no_more_than_its_timers() {
    let mut wheel = Wheel::new(START);
    let hour = 3_600_000;
    let delays = [
        1,
        hour,
        30 * hour,
        47 * hour,
        2_000 * hour,
        9_000 * hour,
        100_000 * hour,
    ];
    for (key, delay) in (0..).zip(delays) {
        wheel.schedule(after(delay), key);
    }
    let began = wheel.elapsed;
    assert_eq!(drain(&mut wheel, after(99_999 * hour)), [0, 1, 2, 3, 4, 5]);
    assert!(wheel.elapsed - began > 35_000_000_000, "ticks gone by");
    assert_eq!(drain(&mut wheel, after(100_000 * hour)), [6]);
}

#[test]
fn the_end_of_time_is_accepted() {
    let mut wheel = Wheel::new(START);
    let end = Mono::from_nanos(u64::MAX);
    wheel.schedule(end, 1);
    assert!(drain(&mut wheel, after(1_000_000_000_000)).is_empty());
    assert!(wheel.next_deadline().unwrap() <= end);
    let id = wheel.schedule(end, 2);
    assert!(wheel.cancel(id));
    assert_eq!(wheel.len(), 1);
}

#[test]
fn sleeping_till_each_deadline_wakes_in_time_and_seldom() {
    let mut wheel = Wheel::new(START);
    let day = 24 * 3_600_000;
    wheel.schedule(after(7 * day + 5), 1);
    let mut wakes = 0;
    let fired = loop {
        let at = wheel.next_deadline().unwrap();
        wakes += 1;
        if wheel.pop_expired(at).is_some() {
            break at;
        }
    };
    assert_eq!(fired, after(7 * day + 10));
    assert!(wakes <= 4, "{wakes} wakes for one timer");
}

#[test]
fn no_more_move_down_at_a_time_than_are_due_within_64_ticks() {
    let mut wheel = Wheel::new(START);
    // As of a thousand calls a second, whose sessions are refreshed after 90 s.
    let timers = 200_000;
    for at in 0..timers {
        wheel.schedule(after(90_000 + u64::from(at)), at);
    }
    let lowest = |wheel: &Wheel<u32>| {
        let nodes = (0..timers).filter_map(|at| wheel.nodes.at(at));
        nodes.filter(|node| u64::from(node.slot) < SLOTS).count()
    };
    assert_eq!(lowest(&wheel), 0);
    for _ in 0..20 {
        let now = wheel.next_deadline().unwrap();
        let fired = drain(&mut wheel, now).len();
        let ready = lowest(&wheel) + fired;
        assert!(ready <= 640 + 10, "{ready}");
    }
    assert!(wheel.len() < 200_000);
}

#[derive(Clone, Debug)]
enum Op {
    Set(u64),
    Cancel(usize),
    /// Goes on by so many microseconds and pops all that is due.
    Go(u64),
    /// Goes on to the next deadline and pops all that is due.
    Next,
}

/// Spans in microseconds: of every ring, and beyond.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..50_000_u64,
        4 => 0..45_000_000_u64,
        2 => 0..4_000_000_000_u64,
        1 => 0..200_000_000_000_u64,
        1 => 0..20_000_000_000_000_u64,
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => span().prop_map(Op::Set),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => span().prop_map(Op::Go),
        2 => Just(Op::Next),
    ];
    prop::collection::vec(op, 1..300)
}

/// The wheel beside a map from deadlines, which must agree to the tick.
struct Pair {
    wheel: Wheel<u32>,
    model: BTreeMap<(u64, u32), TimerId>,
    now: Mono,
    set: Vec<(u64, u32, TimerId)>,
}

impl Pair {
    /// The tick, on the wheel's own count, at which `at` may first fire.
    fn due(at: Mono) -> u64 {
        at.as_nanos()
            .saturating_sub(START.as_nanos())
            .div_ceil(TICK_NANOS)
    }

    fn set(&mut self, micros: u64) {
        let at = self.now + Duration::from_micros(micros);
        let key = u32::try_from(self.set.len()).unwrap();
        let id = self.wheel.schedule(at, key);
        self.model.insert((Self::due(at), key), id);
        self.set.push((Self::due(at), key, id));
    }

    fn cancel(&mut self, pick: usize) {
        if self.set.is_empty() {
            return;
        }
        let (due, key, id) = self.set[pick % self.set.len()];
        let there = self.model.remove(&(due, key)).is_some();
        assert_eq!(self.wheel.cancel(id), there);
    }

    fn go(&mut self, to: Mono) {
        self.now = self.now.max(to);
        let reached = (self.now.as_nanos() - START.as_nanos()) / TICK_NANOS;
        let mut last = 0;
        let mut popped = Vec::new();
        for key in drain(&mut self.wheel, self.now) {
            let due = self.set[usize::try_from(key).unwrap()].0;
            assert!(due <= reached, "early");
            assert!(last <= due, "out of order");
            last = due;
            popped.push((due, key));
        }
        popped.sort_unstable();
        let later = self.model.split_off(&(reached + 1, 0));
        let expected: Vec<(u64, u32)> = std::mem::replace(&mut self.model, later)
            .into_keys()
            .collect();
        assert_eq!(popped, expected);
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.model.len());
        let first = self
            .model
            .keys()
            .next()
            .map(|(due, _)| START + Duration::from_nanos(due.saturating_mul(TICK_NANOS)));
        match (self.wheel.next_deadline(), first) {
            (None, None) => {}
            (Some(next), Some(first)) => assert!(next <= first.max(self.now), "late"),
            (next, first) => panic!("{next:?} instead of {first:?}"),
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_sorted_map(ops in ops()) {
        let mut pair = Pair {
            wheel: Wheel::new(START),
            model: BTreeMap::new(),
            now: START,
            set: Vec::new(),
        };
        for op in ops {
            match op {
                Op::Set(micros) => pair.set(micros),
                Op::Cancel(pick) => pair.cancel(pick),
                Op::Go(micros) => pair.go(pair.now + Duration::from_micros(micros)),
                Op::Next => {
                    if let Some(at) = pair.wheel.next_deadline() {
                        pair.go(at);
                    }
                }
            }
            pair.check();
        }
        // Sleeping from deadline to deadline ends, with every timer fired.
        while let Some(at) = pair.wheel.next_deadline() {
            let before = (pair.wheel.len(), pair.wheel.elapsed);
            pair.go(at);
            prop_assert_ne!(before, (pair.wheel.len(), pair.wheel.elapsed), "no progress");
        }
        prop_assert!(pair.model.is_empty());
        prop_assert!(pair.wheel.heads.iter().all(|head| *head == NONE));
        prop_assert!(pair.wheel.taken.iter().all(|ring| ring.words == 0));
    }
}
