//! What a start finds, and takes over.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::base::tally::{Billing, Marks, Place};
use crate::base::time::{Mono, Now};
use crate::base::token::Buckets;
use crate::record::{Dealt, Recovered, Share, write_billing, write_places};

const PEER: &str = "192.0.2.1:5060";
const KEY: u128 = 5;

/// Which of so many shards has a call.
fn shard_of(name: &str, shards: usize) -> u16 {
    let bucket = Buckets::new(KEY).bucket(format!("{name}@pbx").as_bytes());
    bucket.shard(u16::try_from(shards).unwrap())
}

/// Writes a call that was answered, as a shard of so many would.
fn call(journals: &mut [Journal], at_micros: i64, name: &str) {
    let call_id = format!("{name}@pbx");
    let shard = shard_of(name, journals.len());
    let (call, wall) = (CallRef(u64::try_from(at_micros).unwrap()), at(at_micros));
    let source: SocketAddr = PEER.parse().unwrap();
    let leg = leg(PEER, call_id.as_bytes(), name.as_bytes());
    let records = [
        Record::Verdict {
            call,
            wall,
            tenant: "acme",
            source,
            direction: Direction::Outbound,
            caller: b"",
            received_uri: b"",
            number: "+442071838750",
            decision: Decision::Allow,
            reason: "",
            rule_file: "",
            rule_line: 0,
            value: 0,
            threshold: 0,
            rules_hash8: 0,
            a_call_id: call_id.as_bytes(),
            b_call_id: b"b",
            carrier: "up",
        },
        Record::Setup {
            call,
            wall,
            peer: "up",
            leg,
            branch: b"z",
            caller: leg,
            asked: b"",
        },
        Record::Answered {
            call,
            wall,
            ends_by: at(at_micros + 1),
            session_expires: 0,
            caller: leg,
            callee: leg,
        },
    ];
    journals[usize::from(shard)].begin(&records).unwrap();
}

fn opening(shard: u16, shards: u16, wall: Wall) -> Vec<Record<'static>> {
    vec![Record::Started {
        wall,
        shard,
        shards,
        program: "",
        boot: "",
    }]
}

/// The ledger, with small segments.
fn small(folder: &Temporary) -> Ledger {
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    ledger.with_segment_size(1 << 16)
}

/// A life of so many shards: its journals, and the names of the calls that each
/// shard takes over.
fn life(folder: &Temporary, shards: u16, wall: i64) -> (Vec<Journal>, Vec<BTreeSet<String>>) {
    let ledger = small(folder);
    let wall = at(wall);
    let dealt = ledger
        .recover(Now::default(), "")
        .unwrap()
        .deal(&Buckets::new(KEY), shards, wall);
    let names = dealt.shares.iter().map(names).collect();
    let opening = |shard| opening(shard, shards, wall);
    let mut beginning = Beginning::of(&ledger, Arc::new(dealt), wall, opening).unwrap();
    beginning.go_on().unwrap();
    let journals = (0..shards).map(|shard| beginning.journal(shard).unwrap());
    (journals.collect(), names)
}

fn names(share: &Share) -> BTreeSet<String> {
    let legs = share.calls.iter().map(|taken| &taken.call.legs);
    legs.map(|legs| String::from_utf8_lossy(&legs.as_ref().unwrap().callee.local_tag).into())
        .collect()
}

#[test]
fn calls_are_taken_over_by_the_shards_of_their_buckets_whatever_their_number() {
    let folder = Temporary::new();
    let (mut journals, _) = life(&folder, 2, 1_000);
    let all: BTreeSet<String> = (0..20).map(|index| format!("call{index}")).collect();
    for (index, name) in (0..).zip(&all) {
        call(&mut journals, 1_001 + index, name);
    }
    drop(journals);
    for (round, shards) in [3_u16, 1, 4, 4, 2].into_iter().enumerate() {
        let wall = 2_000 + 1_000 * i64::try_from(round).unwrap();
        let (journals, taken) = life(&folder, shards, wall);
        assert_eq!(journals.len(), usize::from(shards));
        for (shard, names) in (0..).zip(&taken) {
            for name in names {
                assert_eq!(shard_of(name, usize::from(shards)), shard);
            }
        }
        let count: usize = taken.iter().map(BTreeSet::len).sum();
        assert_eq!(count, all.len(), "{shards} shards");
        assert_eq!(taken.into_iter().flatten().collect::<BTreeSet<_>>(), all);
    }
}

#[test]
fn no_two_calls_of_a_shard_have_one_number() {
    let folder = Temporary::new();
    let (mut journals, _) = life(&folder, 2, 1_000);
    // Both shards count from the same time.
    let mut counts = [1_000, 1_000];
    for index in 0..20 {
        let name = format!("call{index}");
        let count = &mut counts[usize::from(shard_of(&name, 2))];
        *count += 1;
        call(&mut journals, *count, &name);
    }
    drop(journals);
    let ledger = small(&folder);
    let recovered = ledger.recover(Now::default(), "").unwrap();
    assert_eq!(recovered.up(), 20);
    let dealt = recovered.deal(&Buckets::new(KEY), 1, at(500));
    let share = &dealt.shares[0];
    let numbers: BTreeSet<CallRef> = share.calls.iter().map(|it| it.call.reference).collect();
    assert_eq!(numbers.len(), 20);
    assert!(numbers.iter().all(|number| *number < share.next));
}

/// A start with so many shards that ends after so many of them have their calls.
fn breaks_off(folder: &Temporary, (shards, steps): (u16, usize), wall: i64) -> Arc<Dealt> {
    let (ledger, wall) = (small(folder), at(wall));
    let recovered = ledger.recover(Now::default(), "").unwrap();
    let dealt = Arc::new(recovered.deal(&Buckets::new(KEY), shards, wall));
    let opening = |shard| opening(shard, shards, wall);
    let beginning = Beginning::of(&ledger, Arc::clone(&dealt), wall, opening);
    beginning.unwrap().take_over(steps).unwrap();
    dealt
}

#[test]
fn a_start_that_breaks_off_loses_nothing() {
    let folder = Temporary::new();
    let (mut journals, _) = life(&folder, 2, 1_000);
    let all: BTreeSet<String> = (0..9).map(|index| format!("call{index}")).collect();
    for (index, name) in (0..).zip(&all) {
        call(&mut journals, 1_001 + index, name);
    }
    drop(journals);
    for (shards, steps) in [(1, 0), (3, 1), (3, 2), (1, 1), (2, 2), (2, 3)] {
        let dealt = breaks_off(&folder, (shards, steps), 3_000);
        let found = dealt.shares.iter().flat_map(names).collect::<BTreeSet<_>>();
        assert_eq!(found, all, "{shards} shards, {steps} steps");
        let count: usize = dealt.shares.iter().map(|it| it.calls.len()).sum();
        assert_eq!(count, all.len());
    }
    let (_, taken) = life(&folder, 2, 4_000);
    assert_eq!(taken.into_iter().flatten().collect::<BTreeSet<_>>(), all);
}

/// What cannot be written at the beginning is written later, once, and no shard goes on
/// before all can.
#[test]
fn a_start_that_cannot_be_written_goes_on_where_it_was() {
    let folder = Temporary::new();
    let (mut journals, _) = life(&folder, 1, 1_000);
    let all: BTreeSet<String> = (0..600).map(|index| format!("call{index}")).collect();
    for (index, name) in (0..).zip(&all) {
        call(&mut journals, 1_001 + index, name);
    }
    drop(journals);
    let (ledger, wall) = (small(&folder), at(3_000));
    let dealt = ledger.recover(Now::default(), "").unwrap();
    let dealt = dealt.deal(&Buckets::new(KEY), 3, wall);
    let opening = |shard| opening(shard, 3, wall);
    let mut beginning = Beginning::of(&ledger, Arc::new(dealt), wall, opening).unwrap();
    let obstacle = segment::folder(&folder.ledger(), 2).join("next");
    std::fs::create_dir_all(&obstacle).unwrap();
    let count = |what: &str| {
        let found = details(&folder.ledger());
        found.iter().filter(|it| it.starts_with(what)).count()
    };
    for _ in 0..3 {
        let fault = beginning.go_on().unwrap_err().to_string();
        assert!(fault.contains("cannot create"), "{fault}");
        assert!(!beginning.is_done());
        assert!(beginning.journal(0).is_none() && beginning.syncing(0).is_none());
        // That of the first life, and those of two shards.
        assert_eq!((count("Started"), count("Resumed")), (3, 1));
    }
    std::fs::remove_dir(&obstacle).unwrap();
    beginning.go_on().unwrap();
    beginning.go_on().unwrap();
    assert!(beginning.is_done());
    assert_eq!((count("Started"), count("Resumed")), (4, 4));
    assert_eq!(count("Restored"), 600);
    for shard in 0..3 {
        assert!(beginning.journal(shard).is_some() && beginning.syncing(shard).is_some());
        assert!(beginning.journal(shard).is_none());
    }
    drop((beginning, ledger));
    let (_, taken) = life(&folder, 3, 4_000);
    assert_eq!(taken.into_iter().flatten().collect::<BTreeSet<_>>(), all);
}

/// What a write has left of a record gives way to zeros, and the room behind it stays.
#[test]
fn what_a_life_has_left_room_for_is_kept() {
    let folder = Temporary::new();
    let open = || Journal::open(&small(&folder), 0, at(1)).unwrap();
    open().append(&note(1, "first")).unwrap();
    let path = folder.segment(0, 1);
    let before = std::fs::read(&path).unwrap();
    let mut torn = before.clone();
    let end = 64 + note(1, "first").len();
    torn[end..end + 30].copy_from_slice(&note(2, "one that was written in part")[..30]);
    std::fs::write(&path, &torn).unwrap();
    let next = segment::folder(&folder.ledger(), 0).join("next");
    std::fs::write(&next, vec![7; 100_000]).unwrap();
    let mut journal = open();
    assert_eq!(journal.resumed().cut, 30);
    assert_eq!(details(&folder.ledger()), ["first", "ledger_cut"]);
    let rest = std::fs::read(&path).unwrap();
    let written = frame::written(&rest[end..]) + end;
    assert!(rest[written..].iter().all(|&byte| byte == 0));
    assert_eq!((rest.len(), before.len()), (1 << 16, 1 << 16));
    assert_eq!(std::fs::read(&next).unwrap(), vec![0; 1 << 16]);
    for index in 0..1_000 {
        let note = note(index, &format!("{index:080}"));
        journal.append(&note).unwrap();
    }
    assert_eq!(details(&folder.ledger()).len(), 1_002);
}

#[test]
fn records_of_another_version_are_not_guessed_at() {
    let folder = Temporary::new();
    drop(life(&folder, 1, 1_000));
    let ledger = small(&folder);
    let mut older = vec![0; frame::HEADER];
    older.extend_from_slice(&[2, 10, 1, 2, 3, 0xFF]);
    assert!(frame::seal_for_test(&mut older));
    let mut journal = Journal::open(&ledger, 0, at(2_000)).unwrap();
    journal.append(&older).unwrap();
    let fault = ledger.recover(Now::default(), "").unwrap_err().to_string();
    assert!(fault.contains("records of version 2"), "{fault}");
}

fn clock() -> Now {
    Now::default()
}

#[test]
fn a_snapshot_spares_reading_and_one_that_is_damaged_costs_only_that() {
    let folder = Temporary::new();
    let (mut journals, _) = life(&folder, 2, 1_000);
    let all: BTreeSet<String> = (0..30).map(|index| format!("call{index}")).collect();
    let mut kept = false;
    for (index, name) in (0..).zip(&all) {
        call(&mut journals, 1_001 + index, name);
        if index % 10 == 9 {
            drop(std::mem::take(&mut journals));
            let ledger = small(&folder);
            let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Snapshots::new(ledger.clone()))];
            Follower::new(ledger.clone(), sinks, clock)
                .finish()
                .unwrap();
            let open = |shard| Journal::open(&ledger, shard, at(2_000)).unwrap();
            journals = (0..2).map(open).collect();
            kept = true;
        }
    }
    drop(journals);
    assert!(kept);
    let found = || {
        let ledger = small(&folder);
        let recovered = ledger.recover(Now::default(), "").unwrap();
        assert_eq!((recovered.up(), recovered.damaged), (30, 0));
        let dealt = recovered.deal(&Buckets::new(KEY), 1, at(3_000));
        names(&dealt.shares[0])
    };
    assert_eq!(found(), all);
    // What is before its place is not read: damage there is of no matter now.
    let segment = folder.segment(0, 1);
    let whole = std::fs::read(&segment).unwrap();
    let mut bytes = whole.clone();
    bytes[100..140].fill(0xAA);
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(found(), all);
    std::fs::write(&segment, &whole).unwrap();
    // A snapshot that cannot be read, or reaches further than the journal.
    for shard in 0..2 {
        let path = folder.ledger().join(format!("fold-{shard:03}"));
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(found(), all);
        std::fs::write(&path, b"").unwrap();
        assert_eq!(found(), all);
    }
}

/// Ends such a call, of whose budget seven are still held.
fn ended(journals: &mut [Journal], at_micros: i64, name: &str) {
    let shard = shard_of(name, journals.len());
    let (call, wall) = (CallRef(u64::try_from(at_micros).unwrap()), at(at_micros));
    let place = Place {
        scope: 3,
        day: true,
        ..Place::default()
    };
    let mut places = Vec::new();
    write_places(&[place], &mut places);
    let mut billing = Vec::new();
    write_billing(&Billing::default(), &mut billing);
    let records = [
        Record::Scope {
            number: 3,
            tenant: "acme",
            inbound: false,
            each: None,
            to: [0; 2],
            hours: "",
            outside: false,
        },
        Record::Counted {
            call,
            tenant: "acme",
            mono: Mono::from_nanos(1),
            wall,
            day_end: at(86_400_000_000),
            resets: 0,
            marks: Marks::default(),
            places: &places,
        },
        Record::Ended {
            call,
            wall,
            answered: true,
            duration_ms: 1,
            by: Party::Caller,
            cause: "bye",
            status: 200,
            cost: 0,
            currency: "JPY",
        },
        Record::Account {
            call,
            resets: 0,
            booked: 0,
            booked_in: (0, 0),
            held: 7,
            held_in: (0, 0),
            places: &places,
            billing: &billing,
        },
    ];
    // As a shard does: the account first, then the end.
    let [scope, counted, end, account] = records;
    let journal = &mut journals[usize::from(shard)];
    journal.begin(&[scope, counted, account, end]).unwrap();
}

/// What is booked, and what calls that are over hold.
fn money(recovered: &Recovered) -> (u64, u64) {
    let tallies = recovered.tallies.get("acme").into_iter();
    let counters = tallies.flat_map(|it| it.counters.values());
    let booked = counters.flat_map(|it| it.days.values()).sum();
    (booked, recovered.owed())
}

/// Calls of two shards that are over and hold something.
fn twenty_ended(folder: &Temporary) {
    let (mut journals, _) = life(folder, 2, 1_000);
    for index in 0..20 {
        let name = format!("call{index}");
        call(&mut journals, 1_001 + index, &name);
        ended(&mut journals, 1_001 + index, &name);
    }
}

#[test]
fn what_calls_hold_that_are_over_is_neither_booked_nor_held_twice_in_whatever_series() {
    let folder = Temporary::new();
    twenty_ended(&folder);
    for (round, shards) in [3_u16, 1, 4, 4, 2].into_iter().enumerate() {
        let wall = 2_000 + 1_000 * i64::try_from(round).unwrap();
        let recovered = small(&folder).recover(Now::default(), "").unwrap();
        assert_eq!(money(&recovered), (0, 140), "before {shards} shards");
        drop(life(&folder, shards, wall));
    }
    // Half a minute later nobody knows of them, and what they held is gone.
    drop(life(&folder, 2, 60_000_000));
    let recovered = small(&folder).recover(Now::default(), "").unwrap();
    assert_eq!(money(&recovered), (140, 0));
}

#[test]
fn what_calls_hold_that_are_over_is_booked_once_whatever_starts_broke_off() {
    let folder = Temporary::new();
    twenty_ended(&folder);
    for (round, (shards, steps)) in [(3, 3), (3, 1), (5, 4), (1, 1), (2, 2)]
        .into_iter()
        .enumerate()
    {
        let wall = 2_000 + 1_000 * i64::try_from(round).unwrap();
        breaks_off(&folder, (shards, steps), wall);
        let recovered = small(&folder).recover(Now::default(), "").unwrap();
        assert_eq!(
            money(&recovered),
            (0, 140),
            "{shards} shards, {steps} steps"
        );
    }
    for shards in [4, 2] {
        drop(life(&folder, shards, 9_000));
        let recovered = small(&folder).recover(Now::default(), "").unwrap();
        assert_eq!(money(&recovered), (0, 140), "in {shards} shards");
    }
}
