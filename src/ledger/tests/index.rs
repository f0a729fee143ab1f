use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::base::time::{Mono, Now};

/// A clock that goes on by a second with each look at it.
fn clock() -> Now {
    static SECONDS: AtomicU32 = AtomicU32::new(0);
    let seconds = u64::from(SECONDS.fetch_add(1, Ordering::Relaxed));
    Now {
        mono: Mono::from_nanos(seconds * 1_000_000_000),
        wall: at(0),
    }
}

fn day(number: i64) -> i64 {
    number * 86_400_000_000
}

fn index_once(ledger: &Ledger) {
    drop(Indexing::start(ledger.clone(), Keep::default(), clock).unwrap());
}

fn all(folder: &Temporary) -> Calls {
    calls(&folder.ledger(), &Wanted::default()).unwrap()
}

/// A call at a time, by a tenant.
fn place(journal: &mut Journal, number: u64, tenant: &str, micros: i64, decision: Decision) {
    let mut buffer = Buffer::new();
    buffer
        .append(&Record::Verdict {
            call: CallRef(number),
            wall: at(micros),
            tenant,
            source: "127.0.0.3:5060".parse().unwrap(),
            direction: Direction::Outbound,
            caller: b"+81335570000",
            received_uri: b"sip:0335571234@gw",
            number: if number.is_multiple_of(2) {
                "+442071838750"
            } else {
                "+81335571234"
            },
            decision,
            reason: "destination-denied",
            rule_file: "tenants/acme.toml",
            rule_line: 19,
            value: 0,
            threshold: 0,
            rules_hash8: 1,
            a_call_id: b"a",
            b_call_id: b"b",
            carrier: "upstream",
        })
        .unwrap();
    journal.append(buffer.bytes()).unwrap();
}

fn end(journal: &mut Journal, number: u64, micros: i64) {
    let mut buffer = Buffer::new();
    buffer
        .append(&Record::Ended {
            call: CallRef(number),
            wall: at(micros),
            answered: true,
            duration_ms: 61_000,
            by: Party::Callee,
            cause: "bye",
            status: 200,
            cost: 2_670_000,
            currency: "JPY",
        })
        .unwrap();
    journal.append(buffer.bytes()).unwrap();
}

/// Two days of two tenants' calls, of which one goes on over midnight.
fn two_days(journal: &mut Journal) {
    place(journal, 1, "acme", day(10), Decision::Allow);
    place(journal, 2, "other", day(10) + 1, Decision::Allow);
    place(journal, 3, "acme", day(10) + 2, Decision::Refuse);
    end(journal, 2, day(10) + 5);
    place(journal, 4, "acme", day(11) + 3, Decision::Refuse);
    end(journal, 1, day(11) + 9);
    let mut buffer = Buffer::new();
    let source: SocketAddr = "127.0.0.3:5060".parse().unwrap();
    buffer
        .append(&Record::Refusals {
            wall: at(day(11) + 10),
            tenant: "acme",
            direction: Direction::Outbound,
            reason: "destination-denied",
            first: at(day(11) + 4),
            last: at(day(11) + 9),
            count: 5_000,
            source,
            number: "+442071838750",
        })
        .unwrap();
    journal.append(buffer.bytes()).unwrap();
}

fn numbers(found: &Calls) -> Vec<u64> {
    found.calls.iter().map(|it| it.call).collect()
}

#[test]
fn calls_are_found_by_what_they_are() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    index_once(&ledger);
    let found = all(&folder);
    assert_eq!(numbers(&found), [4, 3, 2, 1]);
    assert_eq!(found.beside.len(), 1);
    assert_eq!(found.beside[0].count, 5_000);
    let first = &found.calls[3];
    assert_eq!(first.duration_ms, Some(61_000));
    assert_eq!(
        (first.cost, first.currency.as_deref()),
        (Some(2_670_000), Some("JPY"))
    );
    assert_eq!(first.ended_at, Some(at(day(11) + 9)));
    assert_eq!(found.calls[0].ended_at, None);
    let by = |wanted: Wanted| numbers(&calls(&folder.ledger(), &wanted).unwrap());
    let acme = || Wanted {
        tenant: Some("acme".to_owned()),
        ..Wanted::default()
    };
    assert_eq!(by(acme()), [4, 3, 1]);
    assert_eq!(
        by(Wanted {
            most: Some(2),
            ..acme()
        }),
        [4, 3]
    );
    assert_eq!(
        by(Wanted {
            since: Some(at(day(10) + 1)),
            until: Some(at(day(11))),
            ..acme()
        }),
        [3]
    );
    let refused = Wanted {
        decision: Some(Decision::Refuse),
        number: Some("+44".to_owned()),
        ..acme()
    };
    assert_eq!(by(refused), [4]);
    let most = Wanted {
        most: Some(1),
        ..acme()
    };
    assert!(calls(&folder.ledger(), &most).unwrap().more);
}

#[test]
fn what_is_missing_of_it_is_made_anew() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    index_once(&ledger);
    let whole = all(&folder);
    let index = folder.ledger().join("index");
    // A day, then its state, then all.
    std::fs::remove_file(index.join("1970-01-11.sqlite")).unwrap();
    index_once(&ledger);
    assert_eq!(all(&folder), whole);
    std::fs::write(
        index.join("1970-01-12.sqlite"),
        "no database at all, but long enough",
    )
    .unwrap();
    std::fs::remove_file(index.join("state.json")).unwrap();
    index_once(&ledger);
    index_once(&ledger);
    assert_eq!(all(&folder), whole);
    std::fs::remove_dir_all(&index).unwrap();
    index_once(&ledger);
    assert_eq!(all(&folder), whole);
}

#[test]
fn it_is_nobody_elses_business() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    index_once(&ledger);
    let index = folder.ledger().join("index");
    // As earlier versions left it.
    let older = index.join("1970-01-12.sqlite");
    std::fs::set_permissions(&older, Permissions::from_mode(0o644)).unwrap();
    place(&mut journal, 5, "acme", day(11) + 30, Decision::Allow);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let indexing = Indexing::start(ledger.clone(), Keep::default(), clock).unwrap();
    while mode(&older) != 0o600 || all(&folder).calls.len() < 5 {
        std::thread::sleep(Duration::from_millis(20));
    }
    for file in std::fs::read_dir(&index).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(indexing);
}

#[test]
fn it_may_be_deleted_while_it_is_made() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    let indexing = Indexing::start(ledger.clone(), Keep::default(), clock).unwrap();
    let index = folder.ledger().join("index");
    let wait = |what: &dyn Fn() -> bool| {
        while !what() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(&|| index.join("state.json").exists() && all(&folder).calls.len() == 4);
    std::fs::remove_file(index.join("1970-01-11.sqlite")).unwrap();
    place(&mut journal, 5, "acme", day(11) + 30, Decision::Allow);
    wait(&|| calls(&folder.ledger(), &Wanted::default()).is_ok_and(|it| it.calls.len() == 5));
    drop(indexing);
    assert_eq!(numbers(&all(&folder)), [5, 4, 3, 2, 1]);
}

/// What a kill leaves out is put in at the next start, and nothing twice.
#[test]
fn a_kill_leaves_it_neither_short_nor_double() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    index_once(&ledger);
    let state = std::fs::read(folder.ledger().join("index/state.json")).unwrap();
    place(&mut journal, 6, "acme", day(11) + 40, Decision::Allow);
    end(&mut journal, 6, day(11) + 50);
    index_once(&ledger);
    let whole = all(&folder);
    // The rows are there, and its state is from before.
    std::fs::write(folder.ledger().join("index/state.json"), state).unwrap();
    index_once(&ledger);
    assert_eq!(all(&folder), whole);
}

#[test]
fn days_that_are_not_kept_go() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(day(10))).unwrap();
    two_days(&mut journal);
    place(&mut journal, 9, "acme", day(50), Decision::Allow);
    let keep = Keep {
        days: Some(39),
        bytes: None,
    };
    drop(Indexing::start(ledger.clone(), keep, clock).unwrap());
    assert_eq!(numbers(&all(&folder)), [9, 4]);
}
