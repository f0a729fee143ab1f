//! What shards share of a carrier: how many calls it has, and whether it answers.
//!
//! ```text
//!          CARRIER_FAILURES in a row             tried again after CARRIER_PAUSE,
//!    +----+  without an answer         +------+  or probed
//!    | UP | -------------------------> | DOWN |----+
//!    +----+ <------------------------- +------+ <--+ no answer
//!            CARRIER_ANSWERS in a row
//! ```

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::base::limits::{CARRIER_ANSWERS, CARRIER_FAILURES, CARRIER_PAUSE, CARRIER_REST};
use crate::base::time::Mono;

/// A carrier as all shards know it, or one of its gateways. Belongs to its name, and
/// outlives the rule sets.
#[derive(Debug)]
pub struct Trunk {
    name: Arc<str>,
    /// The carrier that it is a gateway of, which counts the calls of all.
    carrier: Option<Arc<Self>>,
    /// Calls that went to it and are not over on its side.
    calls: AtomicU32,
    /// Nothing is held against it, so that nobody need look.
    sound: AtomicBool,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// Calls and probes in a row that it said nothing to.
    failures: u8,
    /// Those that it answered since it is down, in a row.
    answers: u8,
    /// It is down, and by calls tried again at that time.
    down: Option<Mono>,
    /// It asked to be left alone until then.
    rests_until: Option<Mono>,
}

/// How a carrier fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It takes calls, as far as is known.
    Up,
    /// It asked to be left alone for a while.
    Rests,
    /// It does not answer.
    Down,
}

/// A carrier has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It answers again.
    Up,
    /// It does not answer any more.
    Down,
}

/// A call's place at a carrier, which is given back when this is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Trunk>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.counter().fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seat {
    /// The carrier where it is.
    #[must_use]
    pub fn trunk(&self) -> &Trunk {
        &self.0
    }
}

impl Trunk {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            carrier: None,
            calls: AtomicU32::new(0),
            sound: AtomicBool::new(true),
            health: Mutex::default(),
        }
    }

    pub(super) fn gateway(name: Arc<str>, carrier: Arc<Self>) -> Self {
        Self {
            carrier: Some(carrier),
            ..Self::new(name)
        }
    }

    fn counter(&self) -> &AtomicU32 {
        self.carrier.as_ref().map_or(&self.calls, |it| it.counter())
    }

    /// The carrier's name, and which of its gateways it is, if it is reached by a name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Takes a place for a call, if fewer than `most` live.
    #[must_use]
    pub fn take(self: &Arc<Self>, most: Option<u32>) -> Option<Seat> {
        let more = |calls: u32| (calls < most.unwrap_or(u32::MAX)).then_some(calls + 1);
        let taken = self
            .counter()
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Seat(Arc::clone(self)))
    }

    /// How many of the carrier's calls live.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.counter().load(Ordering::Acquire)
    }

    /// How it fares.
    #[must_use]
    pub fn fares(&self, now: Mono) -> Service {
        if self.sound.load(Ordering::Acquire) {
            return Service::Up;
        }
        let health = lock(&self.health);
        match health.rests_until {
            _ if health.down.is_some() => Service::Down,
            Some(until) if now < until => Service::Rests,
            _ => Service::Up,
        }
    }

    /// The same for a call that is to leave. Of one that is down and is not `probed` a
    /// call is to find out now and then whether it still is: to that one it is up.
    #[must_use]
    pub fn fares_for_call(&self, now: Mono, probed: bool) -> Service {
        let fares = self.fares(now);
        if fares != Service::Down || probed {
            return fares;
        }
        let mut health = lock(&self.health);
        match &mut health.down {
            Some(again) if now >= *again => {
                *again = now + CARRIER_PAUSE;
                Service::Up
            }
            _ => fares,
        }
    }

    /// It has said something to a call or a probe.
    pub fn answers(&self, now: Mono) -> Option<Turned> {
        if self.sound.load(Ordering::Acquire) {
            return None;
        }
        let mut health = lock(&self.health);
        health.failures = 0;
        if health.down.is_some() {
            health.answers = health.answers.saturating_add(1);
            if health.answers < CARRIER_ANSWERS {
                return None;
            }
        }
        let turned = health.down.take().map(|_| Turned::Up);
        health.answers = 0;
        health.rests_until = health.rests_until.filter(|until| now < *until);
        let sound = health.rests_until.is_none();
        self.sound.store(sound, Ordering::Release);
        turned
    }

    /// It has said nothing to a call or a probe, or only that it is out of service.
    pub fn fails(&self, now: Mono) -> Option<Turned> {
        let mut health = lock(&self.health);
        self.sound.store(false, Ordering::Release);
        health.answers = 0;
        health.failures = health.failures.saturating_add(1);
        let was_up = health.down.is_none();
        if was_up && health.failures < CARRIER_FAILURES {
            return None;
        }
        health.down = health.down.max(Some(now + CARRIER_PAUSE));
        was_up.then_some(Turned::Down)
    }

    /// It asks to be left alone for so many seconds (RFC 3261 §21.5.4), of which no
    /// more count than [`CARRIER_REST`].
    pub fn rests(&self, now: Mono, seconds: u32) {
        let wait = std::time::Duration::from_secs(seconds.into()).min(CARRIER_REST);
        let mut health = lock(&self.health);
        self.sound.store(false, Ordering::Release);
        health.rests_until = health.rests_until.max(Some(now + wait));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: Mono = Mono::from_nanos(1_000_000_000_000);

    fn failed() -> Arc<Trunk> {
        let trunk = Arc::new(Trunk::new("up".into()));
        for _ in 1..CARRIER_FAILURES {
            assert_eq!(trunk.fails(START), None);
        }
        assert_eq!(trunk.fares(START), Service::Up);
        assert_eq!(trunk.fails(START), Some(Turned::Down));
        trunk
    }

    #[test]
    fn one_answer_does_not_bring_a_carrier_back() {
        let trunk = failed();
        assert_eq!(trunk.fails(START), None);
        for _ in 1..CARRIER_ANSWERS {
            assert_eq!(trunk.answers(START), None);
        }
        assert_eq!(trunk.fails(START), None);
        for _ in 1..CARRIER_ANSWERS {
            assert_eq!(trunk.answers(START), None);
            assert_eq!(trunk.fares(START), Service::Down);
        }
        assert_eq!(trunk.answers(START), Some(Turned::Up));
        assert_eq!(trunk.fares(START), Service::Up);
    }

    #[test]
    fn failures_count_in_a_row() {
        let trunk = Trunk::new("up".into());
        for _ in 0..10 {
            assert_eq!(trunk.fails(START), None);
            assert_eq!(trunk.answers(START), None);
        }
    }

    #[test]
    fn a_call_now_and_then_tries_one_that_is_down() {
        let trunk = failed();
        assert_eq!(trunk.fares_for_call(START, false), Service::Down);
        let later = START + CARRIER_PAUSE;
        assert_eq!(trunk.fares_for_call(later, true), Service::Down);
        assert_eq!(trunk.fares_for_call(later, false), Service::Up);
        assert_eq!(trunk.fares_for_call(later, false), Service::Down);
        assert_eq!(trunk.fares(later), Service::Down);
    }

    #[test]
    fn whoever_asks_for_it_is_left_alone_but_not_for_ever() {
        let trunk = Trunk::new("up".into());
        trunk.rests(START, 10);
        trunk.rests(START, 5);
        let at = |seconds| START + Duration::from_secs(seconds);
        assert_eq!(trunk.fares(at(9)), Service::Rests);
        assert_eq!(trunk.fares(at(10)), Service::Up);
        trunk.rests(START, u32::MAX);
        assert_eq!(trunk.fares(START + CARRIER_REST), Service::Up);
    }

    proptest! {
        #[test]
        fn a_cap_of_n_is_never_n_and_one(most in 0_u32..5, takes in prop::collection::vec(any::<bool>(), 0..40)) {
            let trunk = Arc::new(Trunk::new("up".into()));
            let mut seats = Vec::new();
            for take in takes {
                match take {
                    true => seats.extend(trunk.take(Some(most))),
                    false => drop(seats.pop()),
                }
                prop_assert!(seats.len() <= most as usize);
                prop_assert_eq!(trunk.calls() as usize, seats.len());
            }
            drop(seats);
            prop_assert_eq!(trunk.calls(), 0);
        }
    }
}
