use proptest::prelude::*;

use super::*;

fn limits(of: &[(Quantity, u32)]) -> Limits {
    let mut limits = Limits::NONE;
    for &(quantity, limit) in of {
        limits.set(quantity, limit);
    }
    limits
}

/// Lets a call in at `at` if the limits leave room.
fn attempt(meter: &mut Meter, limits: &Limits, at: u64) -> bool {
    let now = Mono::from_nanos(at);
    let room = meter.check(limits, now, Wall::from_micros(0)).is_none();
    if room {
        meter.take(limits, now, Wall::from_micros(0), Wall::from_micros(1));
        meter.leave();
    }
    room
}

#[test]
fn a_window_slides_and_its_end_is_not_in_it() {
    let two = limits(&[(Quantity::PerSecond, 2)]);
    let mut meter = Meter::default();
    assert!(attempt(&mut meter, &two, 0));
    assert!(attempt(&mut meter, &two, SECOND - 1));
    assert!(!attempt(&mut meter, &two, SECOND - 1));
    assert!(
        attempt(&mut meter, &two, SECOND),
        "the first is a second ago"
    );
    assert!(
        !attempt(&mut meter, &two, SECOND + 1),
        "no bucket filled up at the second"
    );
    assert!(attempt(&mut meter, &two, 2 * SECOND - 1));
}

#[test]
fn raising_a_limit_keeps_what_is_known_and_lowering_it_counts_what_happened() {
    let five = limits(&[(Quantity::PerHour, 5)]);
    let mut meter = Meter::default();
    for i in 0..5 {
        assert!(attempt(&mut meter, &five, i));
    }
    let three = limits(&[(Quantity::PerHour, 3)]);
    let now = Mono::from_nanos(10);
    let over = meter.check(&three, now, Wall::from_micros(0)).unwrap();
    assert_eq!((over.value, over.threshold), (5, 3));
    let six = limits(&[(Quantity::PerHour, 6)]);
    assert!(attempt(&mut meter, &six, 11));
    assert!(!attempt(&mut meter, &six, 12));
}

#[test]
fn a_new_window_knows_what_another_one_remembered() {
    let hourly = limits(&[(Quantity::PerHour, 100)]);
    let mut meter = Meter::default();
    for i in 0..10 {
        attempt(&mut meter, &hourly, i);
    }
    let minutely = limits(&[(Quantity::PerHour, 100), (Quantity::PerMinute, 10)]);
    let over = meter.check(&minutely, Mono::from_nanos(20), Wall::from_micros(0));
    assert_eq!(over.unwrap().quantity, Quantity::PerMinute);
}

#[test]
fn a_day_is_counted_till_its_end_and_none_is_opened_twice() {
    let one = limits(&[(Quantity::PerDay, 1)]);
    let (noon, midnight, next) = (
        Wall::from_micros(50),
        Wall::from_micros(100),
        Wall::from_micros(200),
    );
    let mut meter = Meter::default();
    assert!(meter.check(&one, Mono::ZERO, noon).is_none());
    meter.take(&one, Mono::ZERO, noon, midnight);
    assert!(meter.check(&one, Mono::ZERO, noon).is_some());
    assert!(meter.check(&one, Mono::ZERO, midnight).is_none());
    meter.take(&one, Mono::ZERO, midnight, next);
    // The clock goes back to noon: the later day's call still counts.
    assert!(meter.check(&one, Mono::ZERO, noon).is_some());
    assert!(!meter.is_at_rest(Mono::ZERO, next), "two calls live");
    meter.leave();
    meter.leave();
    assert!(meter.is_at_rest(Mono::ZERO, next));
}

#[test]
fn memory_is_bounded_by_the_limit_and_by_the_window() {
    let take = |meter: &mut Meter, limits: &Limits, at: u64| {
        let never = Wall::default();
        meter.take(limits, Mono::from_nanos(at), never, never);
    };
    let few = limits(&[(Quantity::PerSecond, 3)]);
    let mut meter = Meter::default();
    for at in 0..1_000 {
        // As in observe mode: taken without asking.
        take(&mut meter, &few, at);
    }
    assert_eq!(meter.times.len(), 3);
    let many = limits(&[(Quantity::PerSecond, 1_000_000)]);
    for at in 0..1_000 {
        take(&mut meter, &many, at * SECOND / 10);
    }
    assert!(
        meter.times.capacity() <= 32,
        "ten a second: {}",
        meter.times.capacity()
    );
}

proptest! {
    /// Every answer equals that of counting all admissions ever, by definition.
    #[test]
    fn sliding_windows_are_exact(
        per_second in 1u32..4,
        per_minute in 1u32..12,
        per_hour in prop_oneof![Just(u32::MAX), 1u32..40],
        steps in proptest::collection::vec(0u64..40 * SECOND, 1..300),
    ) {
        let limits = limits(&[
            (Quantity::PerSecond, per_second),
            (Quantity::PerMinute, per_minute),
            (Quantity::PerHour, per_hour),
        ]);
        let windows = [(1, per_second), (60, per_minute), (3_600, per_hour)];
        let mut meter = Meter::default();
        let mut admitted: Vec<u64> = Vec::new();
        let mut now = 0;
        for (i, step) in steps.into_iter().enumerate() {
            // Bursts and lulls: four steps in five are short.
            now += if i % 5 == 0 { step } else { step % (SECOND / 2) };
            let room = windows.iter().all(|&(seconds, limit)| {
                let inside = admitted.iter().filter(|&&t| now - t < seconds * SECOND).count();
                inside < limit as usize
            });
            prop_assert_eq!(attempt(&mut meter, &limits, now), room);
            if room {
                admitted.push(now);
            }
        }
    }
}
