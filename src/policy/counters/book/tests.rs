use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::base::time::{Mono, Wall};
use crate::policy::counters::scopes::KEYS_MAX;
use crate::policy::counters::{Counters, Quantity};
use crate::policy::numbering::{Class, Country};
use crate::policy::target::Target;

fn packed(digits: &str) -> Packed {
    Packed::international(digits.as_bytes()).unwrap()
}

fn subject(called: &str, country: &str) -> Subject {
    Subject {
        to: Destination {
            digits: packed(called),
            country: Country::parse(country),
            class: Class::Fixed,
        },
        caller: packed("81335570000"),
        minute: Minute::default(),
        inbound: false,
    }
}

fn limits(of: &[(Quantity, u32)]) -> Limits {
    let mut limits = Limits::NONE;
    for &(quantity, limit) in of {
        limits.set(quantity, limit);
    }
    limits
}

fn at(seconds: u64) -> Now {
    Now::default() + Duration::from_secs(seconds)
}

/// A rule set's worth of caps for the tests: which scope, and what is allowed.
struct Rules {
    version: u64,
    book: Arc<Book>,
    caps: Vec<(Scope, Measure)>,
}

impl Rules {
    fn new(version: u64, book: &Arc<Book>, caps: &[(Scope, Limits)]) -> Self {
        let measure = |scope: &Scope, limits| Measure {
            meter: book.meter(scope).unwrap(),
            limits,
            twin: false,
            money_only: false,
            observe: false,
        };
        Self {
            version,
            book: Arc::clone(book),
            caps: caps
                .iter()
                .map(|(scope, limits)| (scope.clone(), measure(scope, *limits)))
                .collect(),
        }
    }

    fn claims<'r>(&'r self, subject: &Subject, out: &mut Claims<'r>) {
        for (cap, (scope, measure)) in (0..).zip(&self.caps) {
            let there = subject.to.country.map(|it| Target::Country(it).word());
            if scope.to[0] == 0 || there == Some(scope.to[0]) {
                out.push(Claim {
                    measure,
                    budget: None,
                    cap,
                });
            }
        }
    }

    fn admit(&self, now: Now, subject: Subject) -> Result<Hold, UsedUp> {
        let mut claims = Claims::new();
        self.claims(&subject, &mut claims);
        let call = Admission {
            subject,
            claims: &claims,
            version: self.version,
            zone: &Zone::new(TimeZone::UTC),
            wall: self.book.wall(now),
            asks: None,
            rigour: Rigour::Plain,
        };
        let admitted = self.book.admit(
            now,
            &call,
            |subject, out| self.claims(subject, out),
            |_, _| None,
        );
        admitted.map(|entry| entry.hold)
    }
}

fn country(code: &str) -> Scope {
    let country = Country::parse(code).unwrap();
    Scope {
        to: [Target::Country(country).word(), 0],
        ..Scope::default()
    }
}

fn each(who: Who) -> Scope {
    Scope {
        each: Some(who),
        ..Scope::default()
    }
}

#[test]
fn all_claims_are_taken_together_or_none_is() {
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let wide = (
        Scope::default(),
        limits(&[(Quantity::AtOnce, 10), (Quantity::PerDay, 5)]),
    );
    let narrow = (country("us"), limits(&[(Quantity::AtOnce, 1)]));
    let rules = Rules::new(1, &book, &[wide, narrow]);
    let first = rules.admit(at(1), subject("12125551234", "us")).unwrap();
    for _ in 0..20 {
        let UsedUp { cap, over } = rules
            .admit(at(1), subject("12125551234", "us"))
            .unwrap_err();
        assert_eq!(
            (cap, over.quantity, over.value, over.threshold),
            (1, Quantity::AtOnce, 1, 1)
        );
    }
    // The refused ones took nothing from the day's five.
    let more: Vec<Hold> = (0..4)
        .map(|_| rules.admit(at(1), subject("442071838750", "gb")).unwrap())
        .collect();
    let UsedUp { cap, over } = rules
        .admit(at(1), subject("442071838750", "gb"))
        .unwrap_err();
    assert_eq!((cap, over.quantity), (0, Quantity::PerDay));
    first.release(at(2));
    more.into_iter().for_each(|hold| hold.release(at(2)));
    assert_eq!(counters.live(), 0);
    assert!(
        rules.admit(at(2), subject("442071838750", "gb")).is_err(),
        "never given back"
    );
    rules
        .admit(at(86_400), subject("442071838750", "gb"))
        .unwrap()
        .release(at(86_400));
    assert_eq!((counters.live(), counters.leaked()), (0, 0));
}

#[test]
fn a_reload_resets_nothing_and_a_new_live_cap_counts_what_lives() {
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let old = Rules::new(
        1,
        &book,
        &[(Scope::default(), limits(&[(Quantity::AtOnce, 100)]))],
    );
    let mut holds: Vec<Hold> = (0..3)
        .map(|_| old.admit(at(1), subject("12125551234", "us")).unwrap())
        .collect();
    holds.push(old.admit(at(1), subject("442071838750", "gb")).unwrap());

    let again = counters.book(&"acme".into());
    let caps = [
        (Scope::default(), limits(&[(Quantity::AtOnce, 100)])),
        (country("us"), limits(&[(Quantity::AtOnce, 4)])),
    ];
    let new = Rules::new(2, &again, &caps);
    holds.push(new.admit(at(2), subject("12125551234", "us")).unwrap());
    assert!(
        new.admit(at(2), subject("12125551234", "us")).is_err(),
        "four live"
    );
    // A shard that has not changed over lets one more in; the newer rules see it.
    holds.push(old.admit(at(2), subject("12125551234", "us")).unwrap());
    holds.swap_remove(0).release(at(3));
    let UsedUp { over, .. } = new.admit(at(3), subject("12125551234", "us")).unwrap_err();
    assert_eq!(over.value, 4);
    holds.into_iter().for_each(|hold| hold.release(at(4)));
    assert_eq!(counters.live(), 0);
}

#[test]
fn numbers_beyond_the_limit_share_one_counter() {
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let measure = Measure {
        meter: book.meter(&each(Who::Called)).unwrap(),
        limits: limits(&[(Quantity::PerHour, 2)]),
        twin: false,
        money_only: false,
        observe: false,
    };
    let admit = |now: Now, called: u32| {
        let digits = (10_000_000 + called).to_string();
        let subject = subject(&digits, "us");
        let claims = [Claim {
            measure: &measure,
            budget: None,
            cap: 7,
        }];
        let call = Admission {
            subject,
            claims: &claims,
            version: 1,
            zone: &Zone::new(TimeZone::UTC),
            wall: book.wall(now),
            asks: None,
            rigour: Rigour::Plain,
        };
        match book.admit(now, &call, |_, _| {}, |_, _| None) {
            Ok(entry) => {
                entry.hold.release(now);
                true
            }
            Err(_) => false,
        }
    };
    let full = u32::try_from(KEYS_MAX).unwrap();
    assert!((0..full).all(|called| admit(at(1), called)));
    assert!(admit(at(2), full) && admit(at(2), full + 1));
    assert!(!admit(at(2), full + 2), "the shared counter is used up");
    assert!(
        admit(at(2), 5),
        "one with a counter of its own still has room"
    );
    assert!(!admit(at(2), 5));
    // Next day none of it matters, and numbers have counters of their own again.
    let tomorrow = 2 * 86_400;
    assert!(admit(at(tomorrow), full + 2) && admit(at(tomorrow), full + 2));
    assert!(!admit(at(tomorrow), full + 2));
    assert!(admit(at(tomorrow), full + 3));
}

#[test]
fn a_cap_is_exact_among_threads() {
    const CAP: u32 = 100;
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let caps = [
        (
            Scope::default(),
            limits(&[(Quantity::AtOnce, CAP), (Quantity::PerHour, 2_000)]),
        ),
        (country("us"), limits(&[(Quantity::AtOnce, CAP - 1)])),
    ];
    let rules = Rules::new(1, &book, &caps);
    let (alive, most) = (
        std::sync::atomic::AtomicU32::new(0),
        std::sync::atomic::AtomicU32::new(0),
    );
    let full = std::sync::Barrier::new(8);
    let admitted: usize = std::thread::scope(|scope| {
        let worker = |seed: u64| {
            let (rules, alive, most, full) = (&rules, &alive, &most, &full);
            move || {
                // First all at once until there is no place left, then to and fro.
                let call = || rules.admit(at(0), subject("442071838750", "gb"));
                let mut held: Vec<_> = std::iter::from_fn(|| call().ok()).collect();
                let mut admitted = held.len();
                alive.fetch_add(u32::try_from(admitted).unwrap(), Ordering::SeqCst);
                full.wait();
                let taken = alive.load(Ordering::SeqCst);
                full.wait();
                assert_eq!(taken, CAP, "every place is taken");
                for i in 0..4_000_u64 {
                    let now = Now {
                        mono: Mono::from_nanos(i * 1_000 + seed),
                        wall: Wall::from_micros(0),
                    };
                    let to = if (i + seed).is_multiple_of(3) {
                        "us"
                    } else {
                        "gb"
                    };
                    if let Ok(hold) = rules.admit(now, subject("442071838750", to)) {
                        admitted += 1;
                        let count = alive.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(count, Ordering::SeqCst);
                        held.push(hold);
                    }
                    if (i * 7 + seed) % 5 < 2
                        && let Some(hold) = held.pop()
                    {
                        alive.fetch_sub(1, Ordering::SeqCst);
                        hold.release(now);
                    }
                }
                held.into_iter().for_each(|hold| {
                    alive.fetch_sub(1, Ordering::SeqCst);
                    hold.release(Now::default());
                });
                admitted
            }
        };
        let workers: Vec<_> = (0..8).map(|seed| scope.spawn(worker(seed))).collect();
        workers.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert!(most.into_inner() <= CAP, "never passed");
    let later = at(1);
    let alone = std::iter::from_fn(|| rules.admit(later, subject("442071838750", "gb")).ok());
    let alone = alone.map(|hold| hold.release(later)).count();
    assert_eq!(
        admitted + alone,
        2_000,
        "every place of the hour was given out, and no other"
    );
    assert_eq!((counters.live(), counters.leaked()), (0, 0));
}

#[test]
fn a_dropped_hold_is_a_leak_that_stays_counted() {
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let rules = Rules::new(
        1,
        &book,
        &[(Scope::default(), limits(&[(Quantity::AtOnce, 1)]))],
    );
    drop(rules.admit(at(1), subject("12125551234", "us")).unwrap());
    drop(Hold::nothing());
    assert_eq!(counters.leaked(), 1);
    assert!(rules.admit(at(2), subject("12125551234", "us")).is_err());
}

#[test]
fn books_that_nobody_has_and_that_count_nothing_are_forgotten() {
    let counters = Counters::new();
    let book = counters.book(&"acme".into());
    let rules = Rules::new(
        1,
        &book,
        &[(Scope::default(), limits(&[(Quantity::PerHour, 1)]))],
    );
    rules
        .admit(at(1), subject("12125551234", "us"))
        .unwrap()
        .release(at(1));
    drop((rules, book));
    counters.sweep(at(2));
    let book = counters.book(&"acme".into());
    let rules = Rules::new(
        2,
        &book,
        &[(Scope::default(), limits(&[(Quantity::PerHour, 1)]))],
    );
    assert!(
        rules.admit(at(2), subject("12125551234", "us")).is_err(),
        "still counted"
    );
    drop((rules, book));
    counters.sweep(at(2 * 86_400));
    assert!(lock(&counters.books.0).is_empty());
}
