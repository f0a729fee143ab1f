mod chain;
mod export;
mod follow;
mod incident;
mod index;
mod late;
mod recover;
mod retire;
mod tamper;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::time::Wall;
use crate::record::{Buffer, CallRef, Decision, Direction, Leg, Party, Record, Session, frame};

/// A folder that goes when the test ends.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tollgate-ledger-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.0.join("var/ledger")
    }

    fn segment(&self, shard: u16, sequence: u64) -> PathBuf {
        segment::path(&segment::folder(&self.ledger(), shard), sequence)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(micros: i64) -> Wall {
    Wall::from_micros(micros)
}

/// A leg to a peer there, as it is after its first answer.
fn leg<'t>(peer: &str, call_id: &'t [u8], local_tag: &'t [u8]) -> Leg<'t> {
    Leg {
        flow: Flow::to(ListenerId(0), Transport::Udp, peer.parse().unwrap()),
        call_id,
        local_uri: b"sip:l",
        local_tag,
        remote_uri: b"sip:r",
        remote_tag: b"r",
        target: b"sip:t",
        routes: b"",
        local_cseq: 1,
        remote_cseq: 1,
        allow: None,
        session: Session::NONE,
    }
}

fn note(micros: i64, detail: &str) -> Vec<u8> {
    let mut buffer = Buffer::new();
    buffer
        .append(&Record::Note {
            wall: at(micros),
            what: "test",
            detail,
            count: 1,
        })
        .unwrap();
    buffer.bytes().to_vec()
}

/// The notes' details in the order they are read, and damage as `!…`.
fn details(directory: &Path) -> Vec<String> {
    let mut reader = Reader::open(directory).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        found.push(match entry.content {
            Ok(Record::Note {
                what: "test",
                detail,
                ..
            }) => detail.to_owned(),
            Ok(Record::Note { what, .. }) => what.to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(damage) => format!("!{damage:?}"),
        });
    }
    found
}

#[test]
fn what_is_appended_is_read_after_reopening() {
    let folder = Temporary::new();
    for life in 0..3 {
        let ledger = Ledger::open(&folder.ledger()).unwrap();
        let mut journal = Journal::open(&ledger, 0, at(life)).unwrap();
        assert_eq!(journal.resumed().cut, 0);
        assert_eq!(journal.resumed().records, u64::try_from(life).unwrap());
        journal
            .append(&note(life, &format!("life {life}")))
            .unwrap();
        journal.sync().unwrap();
    }
    assert_eq!(details(&folder.ledger()), ["life 0", "life 1", "life 2"]);
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&folder.ledger()), 0o700);
    assert_eq!(mode(&segment::folder(&folder.ledger(), 0)), 0o700);
    assert_eq!(mode(&folder.segment(0, 1)), 0o600);
    assert_eq!(folder.segment(0, 1).metadata().unwrap().len(), SEGMENT_SIZE);
}

#[test]
fn full_segments_are_left_for_the_next() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 3, at(0)).unwrap();
    let mut written = Vec::new();
    for index in 0..200 {
        let detail = format!("{index:0100}");
        journal.append(&note(index, &detail)).unwrap();
        if journal.wants_room() {
            journal.prepare().unwrap();
            assert!(!journal.wants_room());
        }
        written.push(detail);
    }
    // One that fits no segment still goes in one piece.
    let long = "x".repeat(10_000);
    journal.append(&note(200, &long)).unwrap();
    journal.append(&note(201, "after")).unwrap();
    written.extend([long, "after".to_owned()]);
    assert_eq!(details(&folder.ledger()), written);
    let sequences = segment::sequences(&segment::folder(&folder.ledger(), 3)).unwrap();
    assert!(sequences.len() > 5, "{sequences:?}");
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());

    drop(journal);
    let mut journal = Journal::open(&ledger, 3, at(300)).unwrap();
    journal.append(&note(300, "another life")).unwrap();
    written.push("another life".to_owned());
    assert_eq!(details(&folder.ledger()), written);
}

#[test]
fn a_kill_at_any_byte_of_the_last_write_loses_only_that_record() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    journal.append(&note(1, "first")).unwrap();
    let whole = note(2, "second");
    journal.append(&whole).unwrap();
    drop(journal);
    let path = folder.segment(0, 1);
    let bytes = std::fs::read(&path).unwrap();
    let end = usize::try_from(segment::HEADER).unwrap() + note(1, "first").len() + whole.len();
    for keep in 0..whole.len() {
        for zeros in [0, 4096 - end] {
            let mut cut = bytes[..end - whole.len() + keep].to_vec();
            cut.resize(cut.len() + zeros, 0);
            std::fs::write(&path, &cut).unwrap();
            let torn = if keep == 0 { vec![] } else { vec!["!Torn"] };
            assert_eq!(
                details(&folder.ledger()),
                [vec!["first"], torn.clone()].concat()
            );

            let mut journal = Journal::open(&ledger, 0, at(3)).unwrap();
            assert_eq!(journal.resumed().records, 1);
            assert_eq!(journal.resumed().cut > 0, keep > 0);
            assert!(!journal.resumed().damaged);
            journal.append(&note(4, "third")).unwrap();
            drop(journal);
            let told = torn.iter().map(|_| "ledger_cut").collect();
            let expected = [vec!["first"], told, vec!["third"]].concat();
            assert_eq!(details(&folder.ledger()), expected, "{keep} bytes left");
        }
    }
}

/// Of two segments that a killed life left, the disk may have the later one alone.
#[test]
fn a_life_goes_on_only_from_what_the_disk_has() {
    let folder = Temporary::new();
    let open = || {
        let ledger = Ledger::open(&folder.ledger())?.with_segment_size(4096);
        Journal::open(&ledger, 0, at(3))
    };
    let mut journal = open().unwrap();
    journal.append(&note(1, &"x".repeat(3_000))).unwrap();
    journal.append(&note(2, &"y".repeat(3_000))).unwrap();
    drop(journal);
    open().unwrap();
    let earlier = folder.segment(0, 1);
    std::fs::remove_file(&earlier).unwrap();
    // What cannot be synced.
    std::os::unix::fs::symlink("/dev/null", &earlier).unwrap();
    let fault = open().unwrap_err().to_string();
    assert!(fault.contains("sync"), "{fault}");
}

#[test]
fn a_damaged_segment_is_left_alone() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let start = usize::try_from(segment::HEADER).unwrap();
    for position in [3, 30, start + 9] {
        let _ = std::fs::remove_dir_all(segment::folder(&folder.ledger(), 0));
        let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
        for detail in ["first", "second"] {
            journal.append(&note(1, detail)).unwrap();
        }
        drop(journal);
        let path = folder.segment(0, 1);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[position] ^= 4;
        std::fs::write(&path, &bytes).unwrap();

        let mut journal = Journal::open(&ledger, 0, at(2)).unwrap();
        assert!(journal.resumed().damaged);
        journal.append(&note(3, "third")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let found = details(&folder.ledger());
        let (damage, kept): (Vec<_>, Vec<_>) = found.iter().partition(|text| text.starts_with('!'));
        assert_eq!(damage.len(), 1);
        let expected: &[&str] = if position < start {
            &["first", "second", "ledger_damaged", "third"]
        } else {
            &["second", "ledger_damaged", "third"]
        };
        assert_eq!(kept, expected);
    }
}

#[test]
fn shards_are_merged_by_time_and_keep_their_own_order() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let write = |shard, times: &[i64]| {
        let mut journal = Journal::open(&ledger, shard, at(0)).unwrap();
        for &micros in times {
            journal
                .append(&note(micros, &format!("{shard}:{micros}")))
                .unwrap();
        }
    };
    write(0, &[10, 40, 35, 50]);
    write(1, &[20, 30, 45, 60]);
    let expected = [
        "0:10", "1:20", "1:30", "0:40", "0:35", "1:45", "0:50", "1:60",
    ];
    assert_eq!(details(&folder.ledger()), expected);
}

#[test]
fn one_writer_at_a_time() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let journal = Journal::open(&ledger, 0, at(0)).unwrap();
    drop(ledger);
    let fault = Ledger::open(&folder.ledger()).unwrap_err();
    let expected = format!("is being written by process {}", std::process::id());
    assert!(fault.to_string().contains(&expected), "{fault}");
    drop(journal);
    Ledger::open(&folder.ledger()).unwrap();
}

#[test]
fn the_key_stays() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger()).unwrap();
    let key = ledger.key().unwrap();
    assert_eq!(ledger.key().unwrap(), key);
    let path = folder.ledger().join("key");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert_ne!(
        Ledger::open(&Temporary::new().ledger())
            .unwrap()
            .key()
            .unwrap(),
        key
    );
    std::fs::write(&path, "half a k").unwrap();
    let fault = ledger.key().unwrap_err().to_string();
    assert!(fault.contains("restore it from a backup"), "{fault}");
}

#[test]
fn faults_say_what_to_do() {
    let folder = Temporary::new();
    let file = folder.0.join("file");
    std::fs::write(&file, "").unwrap();
    let fault = Ledger::open(&file.join("ledger")).unwrap_err().to_string();
    assert!(fault.contains("set another [ledger] directory"), "{fault}");
    assert!(fault.contains("file/ledger"), "{fault}");
    let fault = Reader::open(&folder.0.join("none"))
        .unwrap_err()
        .to_string();
    assert!(fault.contains("or the [ledger] directory"), "{fault}");
    for kind in [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull,
        io::ErrorKind::ReadOnlyFilesystem,
    ] {
        let fault = Fault::io("create", &file)(io::Error::from(kind)).to_string();
        assert!(fault.contains("[ledger] directory"), "{fault}");
        assert_eq!(fault.lines().count(), 1);
    }
}

#[test]
fn a_ledger_is_read_while_it_is_written() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(1 << 20);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    const COUNT: usize = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..COUNT {
                let micros = i64::try_from(index).unwrap();
                journal
                    .append(&note(micros, &format!("{index:0150}")))
                    .unwrap();
            }
        });
        let mut before = 0;
        while before < COUNT {
            let found = details(&folder.ledger());
            assert!(found.len() >= before);
            for (index, detail) in found.iter().enumerate() {
                // A record that is being written as it is read may look torn.
                let last_of_segment = detail == "!Torn";
                assert!(
                    last_of_segment || *detail == format!("{index:0150}"),
                    "{detail}"
                );
            }
            before = found.len();
            if found.last().is_some_and(|last| last.ends_with("19999")) {
                break;
            }
        }
    });
    assert_eq!(details(&folder.ledger()).len(), COUNT);
}

#[test]
fn a_failed_write_leaves_no_trace_behind_the_next() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    journal.append(&note(1, "first")).unwrap();
    journal.spoil_for_test(&note(2, "a long one of which a part was written")[..30]);
    journal.append(&note(3, "x")).unwrap();
    assert_eq!(details(&folder.ledger()), ["first", "x"]);
}

#[test]
fn damage_in_an_old_segment_does_not_hide_what_follows() {
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    for index in 0..100 {
        journal
            .append(&note(index, &format!("{index:050}")))
            .unwrap();
    }
    let path = folder.segment(0, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let found = details(&folder.ledger());
    assert_eq!(found.len(), 100);
    let damaged = |text: &&String| text.starts_with("!Corrupt");
    assert_eq!(found.iter().filter(damaged).count(), 1);
    assert!(found[99].ends_with("99"));
}
