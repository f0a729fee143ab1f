use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::base::time::Now;

thread_local! {
    static CLOCK: Cell<Now> = const { Cell::new(Now {
        mono: crate::base::time::Mono::ZERO,
        wall: Wall::from_micros(1_800_000_000_000_000),
    }) };
}

/// Lets this thread's clock go on.
pub(super) fn wait(seconds: u64) {
    CLOCK.set(CLOCK.get() + Duration::from_secs(seconds));
}

/// Has the wall clock alone go on.
pub(super) fn jump(seconds: u64) {
    let now = CLOCK.get();
    CLOCK.set(Now {
        mono: now.mono,
        wall: now.wall + Duration::from_secs(seconds),
    });
}

/// This thread's time.
pub(super) fn now() -> Now {
    CLOCK.get()
}

/// A follower that chains, by this thread's clock.
pub(super) fn chaining(ledger: &Ledger) -> Follower {
    let chain = Chain::open(ledger).unwrap();
    Follower::new(ledger.clone(), vec![Box::new(chain)], || CLOCK.get())
}

/// Has all that was written chained and signed.
pub(super) fn sign(follower: &mut Follower) {
    wait(10);
    while !follower.round().unwrap() {}
}

pub(super) fn small(folder: &Temporary) -> Ledger {
    Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096)
}

pub(super) fn verified(folder: &Path) -> Report {
    verify(folder, &public_key(folder).unwrap(), None).unwrap()
}

/// Appends notes of some hundred bytes.
pub(super) fn fill(journal: &mut Journal, count: usize) {
    for index in 0..count {
        let micros = i64::try_from(index).unwrap();
        journal
            .append(&note(micros, &format!("{index:0150}")))
            .unwrap();
    }
}

/// What is said of it.
fn said(report: &Report) -> String {
    let findings = report.findings.iter().map(ToString::to_string);
    let lines: Vec<_> = findings
        .chain(report.remarks.iter().map(ToString::to_string))
        .collect();
    lines.join("\n")
}

#[test]
fn lives_of_two_shards_are_one_chain() {
    let folder = Temporary::new();
    let mut records = 0;
    for life in 0..4 {
        let ledger = small(&folder);
        let mut follower = chaining(&ledger);
        for shard in 0..2 {
            let mut journal = Journal::open(&ledger, shard, at(0)).unwrap();
            fill(&mut journal, 30);
            sign(&mut follower);
            fill(&mut journal, 20 + usize::from(shard));
        }
        records += 101;
        // One that is killed signs nothing more; another one that ends does.
        if life % 2 == 1 {
            follower.finish().unwrap();
        }
        let report = verified(&folder.ledger());
        assert_eq!(said(&report), "");
        assert_eq!(report.records, records);
        let unsigned = if life % 2 == 1 { 0 } else { 21 };
        assert_eq!(report.unsigned, unsigned);
    }
    assert_eq!(verified(&folder.ledger()).checkpoints, 10);
}

#[test]
fn a_copy_and_the_public_key_are_enough() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 60);
    chaining(&ledger).finish().unwrap();
    let key = folder.0.join("key.txt");
    std::fs::copy(folder.ledger().join("public.key"), &key).unwrap();
    for name in ["public.key", "sign.key", "key", "lock"] {
        let _ = std::fs::remove_file(folder.ledger().join(name));
    }
    let fault = public_key(&folder.ledger()).unwrap_err().to_string();
    assert!(fault.contains("--key FILE"), "{fault}");
    let report = verify(&folder.ledger(), &public_key(&key).unwrap(), None).unwrap();
    assert_eq!((said(&report).as_str(), report.unsigned), ("", 0));
}

#[test]
fn a_record_cut_short_is_no_fault() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 3);
    chaining(&ledger).finish().unwrap();
    journal.append(&note(1, "unsigned")).unwrap();
    journal.spoil_for_test(&note(2, "torn")[..20]);
    let report = verified(&folder.ledger());
    assert_eq!((report.findings.len(), report.unsigned), (0, 1));
    assert!(said(&report).contains("only written in part"), "{report:?}");
    drop((journal, ledger));
    // It is cut off at the next start, and the chain goes on.
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 3);
    chaining(&ledger).finish().unwrap();
    let report = verified(&folder.ledger());
    let wrong = report.findings.len() + report.late.len();
    assert_eq!((wrong, report.unsigned), (0, 0), "{report:?}");
}

#[test]
fn a_checkpoint_that_is_wanted_comes_early_and_is_shown() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let latest = ledger.latest();
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let mut follower = chaining(&ledger);
    fill(&mut journal, 2);
    sign(&mut follower);
    let first = latest.note().unwrap();
    let mut signed = |seconds| {
        wait(seconds);
        follower.round().unwrap();
        latest.note().unwrap() != first
    };
    fill(&mut journal, 2);
    assert!(!signed(1), "nobody is in a hurry");
    latest.want();
    assert!(signed(1));
    let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    let text = std::fs::read_to_string(&pile).unwrap();
    assert!(text.starts_with(&*first) && text.ends_with(&*latest.note().unwrap()));
    drop((journal, follower, ledger));
    // The next life has it from the beginning.
    let ledger = small(&folder);
    let _chain = Chain::open(&ledger).unwrap();
    assert_eq!(ledger.latest().note(), latest.note());
}

#[test]
fn an_expected_checkpoint_finds_a_tail_that_was_cut_off() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let mut follower = chaining(&ledger);
    fill(&mut journal, 40);
    sign(&mut follower);
    let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    let early = std::fs::read(&pile).unwrap();
    let segments = segment::sequences(&segment::folder(&folder.ledger(), 0)).unwrap();
    fill(&mut journal, 40);
    sign(&mut follower);
    let kept = folder.0.join("kept");
    // As a mail that it came with may be saved.
    let notes = std::fs::read_to_string(&pile)
        .unwrap()
        .replace('\n', "\r\n");
    let mail = format!("What was stopped.\r\n\r\nThe last checkpoint:\r\n\r\n{notes}");
    std::fs::write(&kept, mail).unwrap();
    let expected = Expected::read(&kept).unwrap();
    // And the body of a webhook.
    let note = expected.0.last().unwrap();
    let body = serde_json::json!({"id": "a", "checkpoint": note.text}).to_string();
    std::fs::write(&kept, body).unwrap();
    let told = Expected::read(&kept).unwrap();
    assert_eq!(told.0.last().unwrap().text, note.text);
    let key = *ledger.public_key();
    let verify = || verify(&folder.ledger(), &key, Some(&expected)).unwrap();
    assert_eq!(said(&verify()), "");

    // All that came later is taken away, checkpoint and all.
    std::fs::write(&pile, early).unwrap();
    for sequence in segment::sequences(&segment::folder(&folder.ledger(), 0)).unwrap() {
        if sequence > *segments.last().unwrap() {
            std::fs::remove_file(folder.segment(0, sequence)).unwrap();
        }
    }
    assert_eq!(said(&verified(&folder.ledger())), "");
    let text = said(&verify());
    assert!(text.contains("its end was cut off"), "{text}");
    assert!(
        text.contains("records are missing: the journal ends in"),
        "{text}"
    );

    // And something else is signed in its place.
    drop((journal, follower));
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 41);
    chaining(&ledger).finish().unwrap();
    assert_eq!(said(&verified(&folder.ledger())), "");
    let text = said(&verify());
    assert!(
        text.contains("not the checkpoint 2 that is expected"),
        "{text}"
    );
}

#[test]
fn records_that_went_after_they_were_signed_are_told_at_the_next_start() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 40);
    chaining(&ledger).finish().unwrap();
    drop(journal);
    let folder_of_shard = segment::folder(&folder.ledger(), 0);
    let last = segment::sequences(&folder_of_shard).unwrap().pop().unwrap();
    std::fs::remove_file(folder.segment(0, last)).unwrap();
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 2);
    chaining(&ledger).finish().unwrap();
    let text = said(&verified(&folder.ledger()));
    assert!(text.contains("shard 0 was signed anew"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn another_keys_segments_and_checkpoints_are_told() {
    let (folder, other) = (Temporary::new(), Temporary::new());
    for folder in [&folder, &other] {
        let ledger = small(folder);
        let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
        fill(&mut journal, 60);
        chaining(&ledger).finish().unwrap();
    }
    let key = public_key(&other.ledger()).unwrap();
    let text = said(&verify(&folder.ledger(), &key, None).unwrap());
    assert!(
        text.contains("this checkpoint is signed with another key"),
        "{text}"
    );
    assert!(
        text.contains("no checkpoint that this key has signed"),
        "{text}"
    );
    assert!(
        text.contains("this segment is of a ledger with another key"),
        "{text}"
    );

    std::fs::copy(other.segment(0, 2), folder.segment(0, 2)).unwrap();
    let text = said(&verified(&folder.ledger()));
    assert!(
        text.contains("00000002.tgj, bytes 0 to 64: this segment is of"),
        "{text}"
    );
    assert!(!text.contains("00000003.tgj, bytes"), "{text}");
}

#[test]
fn a_key_that_was_lost_leaves_what_it_signed_alone() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let old = *ledger.public_key();
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 5);
    chaining(&ledger).finish().unwrap();
    drop((journal, ledger));
    std::fs::remove_file(folder.ledger().join("sign.key")).unwrap();
    let ledger = small(&folder);
    assert_ne!(*ledger.public_key(), old);
    let journal = Journal::open(&ledger, 0, at(0)).unwrap();
    assert!(journal.resumed().foreign);
    chaining(&ledger).finish().unwrap();
    let found = details(&folder.ledger());
    assert_eq!(found.len(), 6);
    assert_eq!(found[5], "ledger_foreign");
}

#[test]
fn clocks_that_stepped_back_are_remarked() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let mut follower = chaining(&ledger);
    for micros in [0, 5_000_000, 4_500_000, 1_000_000, 2_000_000] {
        journal.append(&note(micros, "x")).unwrap();
    }
    sign(&mut follower);
    journal.append(&note(2_000_000, "y")).unwrap();
    let before = CLOCK.get();
    CLOCK.set(Now {
        mono: before.mono,
        wall: at(before.wall.as_micros() - 90_000_000_000),
    });
    sign(&mut follower);
    let report = verified(&folder.ledger());
    assert_eq!(report.findings, []);
    let text = said(&report);
    assert!(text.contains("stepped back 1 times, first in"), "{text}");
    assert!(text.contains("from 1970-01-01T00:00:04.500000Z to 1970-01-01T00:00:01.000000Z"));
    assert!(
        text.contains("the clock stepped back between checkpoint 1"),
        "{text}"
    );
}

#[test]
fn a_shard_that_is_gone_is_missed() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    for shard in 0..2 {
        let mut journal = Journal::open(&ledger, shard, at(0)).unwrap();
        fill(&mut journal, 5);
    }
    chaining(&ledger).finish().unwrap();
    std::fs::remove_dir_all(segment::folder(&folder.ledger(), 1)).unwrap();
    let text = said(&verified(&folder.ledger()));
    assert!(text.contains("has signed 5 records"), "{text}");
    std::fs::remove_dir_all(folder.ledger().join("checkpoints")).unwrap();
    let text = said(&verified(&folder.ledger()));
    assert!(text.contains("nothing here is proved"), "{text}");
}

#[test]
fn without_a_checkpoint_nothing_but_what_it_proved_is_told() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut follower = chaining(&ledger);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    for count in [3, 4, 5, 30] {
        fill(&mut journal, count);
        sign(&mut follower);
    }
    let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    let all = notes::read(&pile).unwrap().0;
    let told = |without: &[usize]| {
        let kept = all
            .iter()
            .enumerate()
            .filter(|(at, _)| !without.contains(at));
        let text: String = kept.map(|(_, it)| it.text.as_str()).collect();
        std::fs::write(&pile, text).unwrap();
        said(&verified(&folder.ledger()))
    };
    assert_eq!(told(&[]), "");
    for (without, proof) in [
        (&[1][..], "without checkpoint 2, which is missing"),
        (&[1, 2], "without the checkpoints 2 to 3, which are missing"),
        (&[0], "without checkpoint 1, which is missing"),
    ] {
        let said = told(without);
        assert!(said.contains(proof), "{said}");
        assert!(!said.contains("changed"), "{said}");
        let stretches = said.lines().filter(|it| it.contains(".tgj"));
        assert_eq!(stretches.count(), 1, "{said}");
    }
}

#[test]
fn what_could_not_be_written_is_written_with_what_follows() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut follower = chaining(&ledger);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    fill(&mut journal, 3);
    sign(&mut follower);
    let pile = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    let elsewhere = folder.ledger().join("elsewhere");
    std::fs::rename(&pile, &elsewhere).unwrap();
    std::fs::create_dir(&pile).unwrap();
    fill(&mut journal, 30);
    sign(&mut follower);
    std::fs::remove_dir(&pile).unwrap();
    std::fs::rename(&elsewhere, &pile).unwrap();
    fill(&mut journal, 3);
    sign(&mut follower);
    let report = verified(&folder.ledger());
    assert_eq!(
        (said(&report).as_str(), report.checkpoints, report.unsigned),
        ("", 3, 0)
    );
}

/// Copies a folder, and those in it; `named` says which of them.
fn copy(from: &Path, to: &Path, named: &dyn Fn(&str) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let target = to.join(&name);
        match entry.path().is_dir() {
            true if named(&name) => copy(&entry.path(), &target, &|_| true),
            true => {}
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A ledger that is written while it is copied: whose checkpoints are copied last, these
/// speak of records that the copy does not have.
#[test]
fn a_copy_is_whole_if_its_checkpoints_were_copied_first() {
    for checkpoints_first in [true, false] {
        let folder = Temporary::new();
        let ledger = small(&folder);
        let mut follower = chaining(&ledger);
        let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
        fill(&mut journal, 30);
        sign(&mut follower);
        let copied = folder.0.join("copy");
        let named = |name: &str| (name == "checkpoints") == checkpoints_first;
        copy(&folder.ledger(), &copied, &named);
        fill(&mut journal, 30);
        sign(&mut follower);
        copy(&folder.ledger(), &copied, &|name| !named(name));
        let report = verified(&copied);
        let said = said(&report);
        match checkpoints_first {
            true => assert_eq!((said.as_str(), report.unsigned), ("", 30)),
            false => {
                assert!(said.contains("then copy `checkpoints` first"), "{said}");
                // What of it is there lies before the last checkpoint.
                assert_eq!((report.findings.len(), report.unsigned), (1, 0), "{said}");
            }
        }
    }
}
