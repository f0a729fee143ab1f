use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn key(sign: Sign) -> PatternKey {
    PatternKey {
        sign,
        then: Then::Alert,
        when: None,
        to: 0,
    }
}

fn packed(digits: &str) -> Packed {
    Packed::international(digits.as_bytes()).unwrap()
}

fn at(seconds: u64) -> Mono {
    Mono::from_nanos(seconds * SECOND)
}

proptest! {
    /// A walk is as many different prefixes in front of the same digits, by
    /// definition.
    #[test]
    fn a_walk_is_counted_exactly_up_to_what_it_takes(
        count in 2_u32..6,
        calls in proptest::collection::vec((0_usize..3, 1_u64..9, 0_u64..30), 1..150),
    ) {
        const LAST: [&str; 3] = ["123456", "123457", "923456"];
        const WITHIN: u64 = 60;
        let mut watch = Watch::default();
        let sign = Sign::PrefixWalk { digits: 6 };
        let place = watch.place(key(sign), count, WITHIN * SECOND).unwrap();
        let (mut now, mut made): (u64, Vec<(usize, u64, u64)>) = (0, Vec::new());
        for (last, prefix, after) in calls {
            now += after;
            made.push((last, prefix, now));
            let number = packed(&format!("{}{}", 30 + prefix, LAST[last]));
            let seen = Seen::walk(number, 6).unwrap();
            let sight = watch.see(place, seen, (count, WITHIN * SECOND), false, at(now));
            let mut prefixes: Vec<u64> = made.iter()
                .filter(|it| it.0 == last && now - it.2 < WITHIN).map(|it| it.1).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            prop_assert_eq!(sight.is_some(), prefixes.len() >= count as usize);
        }
    }

    /// What is asked for and refused, and short calls, are a sliding window each.
    #[test]
    fn a_source_is_watched_by_what_is_refused_alone(
        count in 1_u32..6,
        calls in proptest::collection::vec((0_u8..3, any::<bool>(), 0_u64..40), 1..150),
    ) {
        const WITHIN: u64 = 60;
        let mut watch = Watch::default();
        let place = watch.place(key(Sign::Refusals), count, WITHIN * SECOND).unwrap();
        let (mut now, mut refused): (u64, Vec<(u8, u64)>) = (0, Vec::new());
        for (source, is_refused, after) in calls {
            now += after;
            if is_refused {
                refused.push((source, now));
            }
            let seen = Seen::source([10, 0, 0, source].into(), is_refused);
            let sight = watch.see(place, seen, (count, WITHIN * SECOND), false, at(now));
            let own = refused.iter().filter(|it| it.0 == source && now - it.1 < WITHIN).count();
            prop_assert_eq!(sight.is_some(), own >= count as usize);
        }
    }
}

#[test]
fn a_pattern_is_told_once_for_as_long_as_it_goes_on() {
    let mut watch = Watch::default();
    let within = 60 * SECOND;
    let place = watch.place(key(Sign::Burst), 2, within).unwrap();
    let mut see = |quiet, now| {
        let sight = watch.see(place, Seen::ALL, (2, within), quiet, at(now));
        sight.map(|it| it.tell)
    };
    assert_eq!(see(false, 0), None);
    assert_eq!(see(true, 1), Some(false), "another one is told of");
    assert_eq!(see(false, 2), Some(true));
    assert_eq!(see(false, 3), Some(false));
    assert_eq!(see(false, 61), Some(false));
    assert_eq!(see(false, 62), Some(true), "a minute later again");
    assert_eq!(see(false, 200), None);
}

/// Of a pattern that caps, one less goes within its time than makes it, however often
/// it is tried; what is refused does not put off the next.
#[test]
fn a_pattern_that_caps_lets_as_many_go_as_do_not_make_it() {
    let mut watch = Watch::default();
    let within = 60 * SECOND;
    let capping = PatternKey {
        then: Then::Cap,
        ..key(Sign::Burst)
    };
    let place = watch.place(capping, 4, within).unwrap();
    let mut goes = |now| {
        let sight = watch.see(place, Seen::ALL, (4, within), false, at(now));
        sight.is_none()
    };
    let went: Vec<u64> = (0..240).filter(|now| goes(*now)).collect();
    assert_eq!(went, [0, 1, 2, 60, 61, 62, 120, 121, 122, 180, 181, 182]);
    // Its time begins anew.
    let mut watch = Watch::default();
    let walking = PatternKey {
        then: Then::Cap,
        ..key(Sign::PrefixWalk { digits: 6 })
    };
    let place = watch.place(walking, 3, within).unwrap();
    let mut goes = |number, now| {
        let seen = Seen::walk(packed(number), 6).unwrap();
        watch
            .see(place, seen, (3, within), false, at(now))
            .is_none()
    };
    assert!(goes("44123456", 0) && goes("44123456", 1) && goes("33123456", 2));
    assert!(
        !goes("49123456", 3) && goes("33123456", 4),
        "one of the two"
    );
    let later = [60, 61, 62].map(|now| goes("49123456", now));
    assert_eq!(later, [false, true, true], "the first is out");
}

#[test]
fn short_calls_count_where_they_went_and_long_ones_do_not() {
    let mut watch = Watch::default();
    let sign = Sign::ShortCalls {
        shorter_than: Duration::from_secs(40),
        range: 4,
    };
    let hour = 3_600 * SECOND;
    let place = watch.place(key(sign), 3, hour).unwrap();
    let number = |n: u32| packed(&format!("2327612{n:04}"));
    for n in 0..3 {
        watch.ended(number(n), Duration::from_secs(30), at(n.into()));
        watch.ended(packed("4420718387"), Duration::from_secs(40), at(9));
    }
    let mut look =
        |number, now| watch.see(place, Seen::range(number, 4), (3, hour), false, at(now));
    let there = look(number(999), 10).unwrap();
    assert_eq!((there.value, there.tell), (3, true));
    assert_eq!(look(packed("4420718387"), 10), None);
    assert_eq!(look(packed("23276130000"), 10), None);
    assert_eq!(look(number(1), 3_600), None, "the first is an hour ago");
}

#[test]
fn a_country_is_new_for_as_long_as_was_said_and_known_for_good() {
    let mut watch = Watch::default();
    let day = 86_400 * SECOND;
    let place = watch.place(key(Sign::NewCountry), 2, day).unwrap();
    let mut call = |country: &str, now| {
        let seen = Seen::country(Country::parse(country));
        watch.see(place, seen, (2, day), false, at(now)).is_some()
    };
    assert!(!call("sl", 0) && call("sl", 1) && !call("us", 2));
    assert!(!call("sl", 86_400) && !call("sl", 86_401), "known");
    assert!(
        !call("sl", 9 * 86_400) && !call("sl", 9 * 86_400),
        "for good"
    );
}

#[test]
fn memory_is_bounded_and_what_has_no_room_shares_one_track() {
    let mut watch = Watch::default();
    let within = 60 * SECOND;
    let place = watch.place(key(Sign::Refusals), 3, within).unwrap();
    let mut refused = |source: u32, now| {
        let seen = Seen::source(IpAddr::V4(source.into()), true);
        watch
            .see(place, seen, (3, within), false, at(now))
            .is_some()
    };
    let full = u32::try_from(TRACKS_MAX).unwrap();
    assert!((0..full).all(|source| !refused(source, 1)));
    assert!(!refused(full, 2) && !refused(full + 1, 2));
    assert!(refused(full + 2, 2), "the shared one");
    assert!(!refused(5, 2) && refused(5, 2), "one that has its own");
    assert!((0..9).all(|n| !refused(1_000_000 + n, 200 + u64::from(n))));
    let state = &watch.states[0];
    assert!(state.tracks.len() <= TRACKS_MAX && state.shared.is_none());
    let longest = state.tracks.values().map(|it| it.sights.len()).max();
    assert!(longest <= Some(3));
    for n in 0..PATTERNS_MAX {
        let sign = Sign::PrefixWalk {
            digits: u8::try_from(n).unwrap(),
        };
        let opened = watch.place(key(sign), 1, 1).is_some();
        assert_eq!(opened, n + 1 < PATTERNS_MAX);
    }
}
