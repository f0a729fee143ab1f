//! kill -9 in the middle of writing: everything that was appended is there.

#![cfg(feature = "ledger")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tollgate::base::time::Wall;
use tollgate::ledger::{Journal, Ledger, Reader};
use tollgate::record::frame::Damage;
use tollgate::record::{Buffer, Record};

const WRITER: &str = "TOLLGATE_TEST_WRITER";

fn open(directory: &Path) -> Journal {
    let ledger = Ledger::open(directory).unwrap().with_segment_size(1 << 16);
    Journal::open(&ledger, 0, Wall::from_micros(0)).unwrap()
}

/// Not a test of its own: the process that the other test kills. It says each
/// record's number once the record is appended.
#[test]
#[ignore = "a process for the other test to kill"]
fn writer() {
    let Some(directory) = std::env::var_os(WRITER) else {
        return;
    };
    let first: u64 = std::env::var("TOLLGATE_TEST_FIRST")
        .unwrap()
        .parse()
        .unwrap();
    let mut journal = open(&PathBuf::from(directory));
    let mut said = std::fs::File::create("/dev/stderr").unwrap();
    let mut buffer = Buffer::new();
    let detail = "x".repeat(300);
    for count in first.. {
        buffer.clear();
        let record = Record::Note {
            wall: Wall::from_micros(1),
            what: "numbered",
            detail: &detail,
            count,
        };
        buffer.append(&record).unwrap();
        journal.append(buffer.bytes()).unwrap();
        writeln!(said, "appended {count}").unwrap();
    }
}

/// Runs the writer, kills it after a while, and gives the last number it said.
fn life(directory: &Path, first: u64, length: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(WRITER, directory)
        .env("TOLLGATE_TEST_FIRST", first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let listening = std::thread::spawn(move || {
        let numbers = said.lines().map_while(Result::ok).filter_map(|line| {
            let number = line.strip_prefix("appended ")?.parse().ok()?;
            Some(number)
        });
        numbers.last()
    });
    std::thread::sleep(length);
    child.kill().unwrap();
    child.wait().unwrap();
    listening.join().unwrap()
}

#[test]
fn a_kill_loses_nothing_that_was_appended() {
    let name = format!("tollgate-kill-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let mut first = 1;
    for round in 0..6 {
        let last = life(&directory, first, Duration::from_millis(60 + 37 * round));
        let mut reader = Reader::open(&directory).unwrap();
        let mut next = 1;
        while let Some(entry) = reader.next().unwrap() {
            match entry.content {
                Ok(Record::Note {
                    what: "numbered",
                    count,
                    ..
                }) => {
                    assert_eq!(count, next);
                    next += 1;
                }
                Ok(Record::Note {
                    what: "ledger_cut", ..
                }) => {}
                // A signal ends a write between two pages, too: nobody was told of that record.
                Err(Damage::Torn) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(
            last.is_none_or(|last| next > last),
            "{last:?} was appended, {next} is next"
        );
        // One may have been appended and not said.
        assert!(next <= last.unwrap_or(first - 1) + 2);
        first = next;
    }
    assert!(first > 100, "the writers hardly came to write: {first}");
    std::fs::remove_dir_all(&directory).unwrap();
}
