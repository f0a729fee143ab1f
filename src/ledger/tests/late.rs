//! What was signed long after it was written.

use super::chain::{chaining, now, sign, small, verified, wait};
use super::*;

/// A life's first record.
fn started() -> Record<'static> {
    Record::Started {
        wall: now().wall,
        shard: 0,
        shards: 1,
        program: "",
        boot: "",
    }
}

/// Appends a note every five seconds, for so long.
fn live(journal: &mut Journal, seconds: u64) {
    for _ in 0..seconds / 5 {
        wait(5);
        let micros = now().wall.as_micros();
        journal.append(&note(micros, &format!("{micros}"))).unwrap();
    }
}

/// A life that is signed, and whose last seconds are not, so many of them.
fn killed(folder: &Temporary, unsigned: u64) {
    let ledger = small(folder);
    let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
    journal.begin(&[started()]).unwrap();
    let mut follower = chaining(&ledger);
    live(&mut journal, 20);
    sign(&mut follower);
    live(&mut journal, unsigned);
}

/// What a start finds, and what is said when it has signed.
fn next(folder: &Temporary) -> (Option<String>, Report) {
    let ledger = small(folder);
    let unsigned = ledger.unsigned().unwrap();
    let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
    journal.begin(&[started()]).unwrap();
    sign(&mut chaining(&ledger));
    let report = verified(&folder.ledger());
    (unsigned.map(|it| it.to_string()), report)
}

#[test]
fn what_a_crash_leaves_is_signed_by_the_next_life_and_no_fault() {
    let folder = Temporary::new();
    for life in 1..4 {
        killed(&folder, 10);
        wait(100_000);
        let (unsigned, report) = next(&folder);
        assert_eq!(unsigned, None);
        assert_eq!((&report.findings[..], &report.late[..]), (&[][..], &[][..]));
        let said = format!("shard 0: {life} times a run ended before its last records were signed");
        assert!(report.remarks[0].starts_with(&said), "{:?}", report.remarks);
        assert_eq!(report.remarks.len(), 1);
    }
}

#[test]
fn a_life_of_which_more_is_unsigned_is_told_of() {
    let folder = Temporary::new();
    killed(&folder, 3_600);
    wait(100_000);
    let (unsigned, report) = next(&folder);
    let unsigned = unsigned.unwrap();
    assert!(
        unsigned.starts_with("the last checkpoint, 1, does not cover"),
        "{unsigned}"
    );
    assert_eq!(report.findings, []);
    let late = report.late.iter().map(ToString::to_string);
    let late: Vec<_> = late.collect();
    assert_eq!(late.len(), 1, "{late:?}");
    assert!(late[0].contains(": 720 records, written from "), "{late:?}");
    assert!(
        late[0].contains("by checkpoint 2: nothing proves"),
        "{late:?}"
    );
    // It stays so, and what comes after it is as it should be.
    killed(&folder, 5);
    let (unsigned, report) = next(&folder);
    assert_eq!((unsigned, report.late.len()), (None, 1));
}

#[test]
fn who_takes_checkpoints_away_is_told_of() {
    for keep in [0, 1] {
        let folder = Temporary::new();
        let ledger = small(&folder);
        let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
        journal.begin(&[started()]).unwrap();
        let mut follower = chaining(&ledger);
        for _ in 0..10 {
            live(&mut journal, 30);
            sign(&mut follower);
        }
        drop((journal, follower, ledger));
        let file = notes::files(&folder.ledger()).unwrap().pop().unwrap();
        let kept = notes::read(&file).unwrap().0.into_iter().take(keep);
        let kept: String = kept.map(|it| it.text).collect();
        match keep {
            0 => std::fs::remove_dir_all(file.parent().unwrap()).unwrap(),
            _ => std::fs::write(&file, kept).unwrap(),
        }
        wait(60);
        let (unsigned, report) = next(&folder);
        let unsigned = unsigned.unwrap();
        let said = match keep {
            0 => "there is no checkpoint that this ledger's key has signed",
            _ => "the last checkpoint, 1, does not cover",
        };
        assert!(unsigned.starts_with(said), "{unsigned}");
        assert!(unsigned.contains("00000001.tgj"), "{unsigned}");
        assert_eq!(
            (report.findings.len(), report.late.len()),
            (0, 1),
            "{report:#?}"
        );
    }
}

#[test]
fn a_ledger_that_is_new_has_nothing_unsigned() {
    let folder = Temporary::new();
    assert_eq!(small(&folder).unsigned().unwrap(), None);
    assert_eq!(next(&folder).0, None);
}
