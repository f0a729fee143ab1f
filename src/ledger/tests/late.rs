//! What was signed long after it was written.

use super::chain::{chaining, jump, now, sign, small, verified, wait};
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
        let first = report.remarks[0].to_string();
        assert!(first.starts_with(&said), "{first}");
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

/// Puts a folder where checkpoints are written, as if the disk had no room for them.
struct NoRoom(PathBuf);

impl NoRoom {
    fn new(folder: &Temporary) -> Self {
        let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
        std::fs::rename(&pile, folder.ledger().join("elsewhere")).unwrap();
        std::fs::create_dir(&pile).unwrap();
        Self(pile)
    }

    fn end(self, folder: &Temporary) {
        std::fs::remove_dir(&self.0).unwrap();
        std::fs::rename(folder.ledger().join("elsewhere"), &self.0).unwrap();
    }
}

#[test]
fn a_life_on_a_full_disk_has_signed_in_time() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
    journal.begin(&[started()]).unwrap();
    let mut follower = chaining(&ledger);
    sign(&mut follower);
    let shown = ledger.latest().note();
    let full = NoRoom::new(&folder);
    for _ in 0..20 {
        live(&mut journal, 10);
        sign(&mut follower);
        // Nothing goes out that a crash would take back.
        assert_eq!(ledger.latest().note(), shown);
    }
    full.end(&folder);
    // Where nothing more is recorded, too.
    sign(&mut follower);
    let report = verified(&folder.ledger());
    assert_eq!(
        report,
        Report {
            checkpoints: 21,
            last: report.last,
            records: 41,
            ..Report::default()
        }
    );
    assert_ne!(ledger.latest().note(), shown);
    live(&mut journal, 10);
    sign(&mut follower);
    assert_eq!(verified(&folder.ledger()).checkpoints, 22);
}

/// Who has the disk then may do as he likes: what was signed in the meantime tells.
#[test]
fn what_is_changed_on_a_full_disk_is_found() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
    journal.begin(&[started()]).unwrap();
    let mut follower = chaining(&ledger);
    sign(&mut follower);
    let full = NoRoom::new(&folder);
    live(&mut journal, 100);
    sign(&mut follower);
    let path = folder.segment(0, 1);
    let bytes = std::fs::read(&path).unwrap();
    let at = frame::written(&bytes) - 2;
    let changed: Vec<u8> = bytes
        .iter()
        .enumerate()
        .map(|(i, b)| if i == at { b ^ 1 } else { *b })
        .collect();
    std::fs::write(&path, changed).unwrap();
    live(&mut journal, 100);
    sign(&mut follower);
    full.end(&folder);
    sign(&mut follower);
    let report = verified(&folder.ledger());
    assert!(!report.findings.is_empty(), "{report:#?}");
}

/// So many checkpoints have their room ahead that a life which is killed on a full disk
/// has left its own there.
#[test]
fn checkpoints_have_room_ahead() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
    let mut follower = chaining(&ledger);
    for round in 0..3 {
        live(&mut journal, 10);
        sign(&mut follower);
        let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
        let metadata = pile.metadata().unwrap();
        let text = std::fs::read_to_string(&pile).unwrap();
        assert_eq!(text.matches("checkpoint ").count(), round + 1);
        assert_eq!(metadata.len(), text.len() as u64);
        assert!(
            metadata.blocks() * 512 >= metadata.len() + notes::ROOM / 2,
            "{}",
            metadata.blocks()
        );
    }
    // The day before gives back what it did not need.
    let before = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    wait(86_400);
    live(&mut journal, 10);
    sign(&mut follower);
    let files = notes::files(&folder.ledger()).unwrap();
    assert_eq!(files.len(), 2);
    assert!(before.metadata().unwrap().blocks() * 512 < notes::ROOM / 2);
}

/// A life whose clock was set ahead just before it was killed, or that slept.
#[test]
fn a_gap_that_is_noted_explains_itself() {
    for (noted, asleep) in [(true, false), (true, true), (false, false)] {
        let folder = Temporary::new();
        {
            let ledger = small(&folder);
            let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
            journal.begin(&[started()]).unwrap();
            let mut follower = chaining(&ledger);
            live(&mut journal, 20);
            sign(&mut follower);
            live(&mut journal, 5);
            match asleep {
                true => wait(3_600),
                false => jump(3_600),
            }
            if noted {
                note_gap(&mut journal, "the clock was set ahead by 3600 s");
            }
            live(&mut journal, 5);
        }
        wait(100_000);
        let (unsigned, report) = next(&folder);
        assert_eq!(report.findings, []);
        assert_eq!(
            (unsigned.is_none(), report.late.is_empty()),
            (noted, noted),
            "{report:#?}"
        );
        assert_eq!(
            report.remarks.len(),
            usize::from(noted) * 2,
            "{:?}",
            report.remarks
        );
    }
}

/// The journal notes that time went on at once.
fn note_gap(journal: &mut Journal, detail: &str) {
    let note = Record::Note {
        wall: now().wall,
        what: crate::record::TIME_GAP,
        detail,
        count: 1,
    };
    journal.begin(&[note]).unwrap();
}

/// One note does not explain an hour of records, nor do several.
#[test]
fn a_gap_explains_nothing_else() {
    let folder = Temporary::new();
    {
        let ledger = small(&folder);
        let mut journal = Journal::open(&ledger, 0, now().wall).unwrap();
        journal.begin(&[started()]).unwrap();
        let mut follower = chaining(&ledger);
        live(&mut journal, 20);
        sign(&mut follower);
        for _ in 0..10 {
            live(&mut journal, 10);
            jump(360);
            note_gap(&mut journal, "the clock was set ahead by 360 s");
        }
    }
    wait(100_000);
    let (unsigned, report) = next(&folder);
    assert!(unsigned.is_some());
    assert_eq!(report.late.len(), 1, "{report:#?}");
}

#[test]
fn a_ledger_that_is_new_has_nothing_unsigned() {
    let folder = Temporary::new();
    assert_eq!(small(&folder).unsigned().unwrap(), None);
    assert_eq!(next(&folder).0, None);
}
