//! The index at size: how long it takes to make, how large it is, and how long a
//! tenant's day takes to list. `INDEX_CALLS=10000000` is the whole of it.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    clippy::cast_sign_loss,
    reason = "a bench that cannot go on ends"
)]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use tollgate::base::time::{Now, Wall};
use tollgate::ledger::{Indexing, Journal, Keep, Ledger, Wanted, calls};
use tollgate::net::clock;
use tollgate::record::{Buffer, CallRef, Decision, Direction, Party, Record};

const DAYS: u64 = 10;
const TENANTS: u64 = 1_000;
const DAY: i64 = 86_400_000_000;
/// 2026-07-01.
const BEGIN: i64 = 1_782_864_000_000_000;

fn main() {
    let count = std::env::var("INDEX_CALLS").ok();
    let count: u64 = count.map_or(20_000, |text| text.parse().unwrap());
    let directory = std::env::temp_dir().join(format!("tollgate-index-{}", std::process::id()));
    let ledger = Ledger::open(&directory).unwrap();
    write(&ledger, count);
    let start = Instant::now();
    drop(Indexing::start(ledger.clone(), Keep::default(), clock_that_waits).unwrap());
    let took = start.elapsed();
    let size = size_of(&directory.join("index"));
    println!(
        "{count} calls indexed in {:.1} s ({:.1} µs each), {} bytes each",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / count as f64,
        size / count
    );
    let mut worst = Duration::ZERO;
    for sample in 0..50 {
        let day = BEGIN + DAY * (sample % DAYS as i64);
        let wanted = Wanted {
            tenant: Some(format!("tenant-{}", (sample * 37) % TENANTS as i64)),
            since: Some(Wall::from_micros(day)),
            until: Some(Wall::from_micros(day + DAY)),
            ..Wanted::default()
        };
        let start = Instant::now();
        let found = calls(&directory, &wanted).unwrap();
        let took = start.elapsed();
        assert_eq!(found.calls.len() as u64, count / DAYS / TENANTS);
        worst = worst.max(took);
    }
    println!(
        "a tenant's day of {} calls is listed in {:.1} ms at most",
        count / DAYS / TENANTS,
        worst.as_secs_f64() * 1e3
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The end has all the patience that it takes.
fn clock_that_waits() -> Now {
    Now {
        wall: clock::now().wall,
        ..Now::default()
    }
}

fn write(ledger: &Ledger, count: u64) {
    let mut journal = Journal::open(ledger, 0, Wall::from_micros(BEGIN)).unwrap();
    let mut buffer = Buffer::new();
    let step = DAY * DAYS as i64 / count as i64;
    for index in 0..count {
        let wall = Wall::from_micros(BEGIN + step * index as i64);
        let tenant = format!("tenant-{}", index % TENANTS);
        let number = format!("+4420{:08}", index % 100_000_000);
        let call = CallRef(index + 1);
        let refused = index.is_multiple_of(10);
        let verdict = Record::Verdict {
            call,
            wall,
            tenant: &tenant,
            source: "192.0.2.10:5060".parse().unwrap(),
            direction: Direction::Outbound,
            caller: b"+81335570000",
            received_uri: number.as_bytes(),
            number: &number,
            decision: if refused {
                Decision::Refuse
            } else {
                Decision::Allow
            },
            reason: if refused { "destination-denied" } else { "" },
            rule_file: "tenants/acme.toml",
            rule_line: 19,
            value: 0,
            threshold: 0,
            rules_hash8: 1,
            a_call_id: b"a84b4c76e66710@192.0.2.10",
            b_call_id: b"b",
            carrier: "upstream",
        };
        buffer.append(&verdict).unwrap();
        if !refused {
            let ended = Record::Ended {
                call,
                wall,
                answered: true,
                duration_ms: 61_000,
                by: Party::Caller,
                cause: "bye",
                status: 200,
                cost: 8_000_000,
                currency: "JPY",
            };
            buffer.append(&ended).unwrap();
        }
        if buffer.bytes().len() > 1 << 16 {
            journal.append(buffer.bytes()).unwrap();
            buffer.clear();
        }
    }
    journal.append(buffer.bytes()).unwrap();
}

fn size_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
}
