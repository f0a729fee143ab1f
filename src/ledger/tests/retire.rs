use super::chain::{fill, jump, sign, small, verified, wait};
use super::*;

/// A follower that chains and retires.
fn keeping(ledger: &Ledger, keep: Keep) -> Follower {
    let chain = Chain::open(ledger).unwrap().keeping(keep);
    Follower::new(ledger.clone(), vec![Box::new(chain)], super::chain::now)
}

fn segments(folder: &Temporary) -> Vec<u64> {
    segment::sequences(&segment::folder(&folder.ledger(), 0)).unwrap()
}

const HOUR: u64 = 3_600;

#[test]
fn the_oldest_segments_go_first_and_are_not_missed() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let keep = Keep {
        days: None,
        bytes: Some(20_000),
    };
    let mut follower = keeping(&ledger, keep);
    for _ in 0..4 {
        fill(&mut journal, 60);
        sign(&mut follower);
    }
    let before = segments(&folder);
    assert!(before.len() > 10, "{before:?}");
    wait(HOUR);
    sign(&mut follower);
    let kept = segments(&folder);
    assert!(
        (3..=5).contains(&kept.len()) && kept.last() == before.last(),
        "{kept:?}"
    );
    let report = verified(&folder.ledger());
    assert_eq!((report.findings.as_slice(), report.unsigned), (&[][..], 0));
    // After a restart the same, and after another round of it.
    drop(follower);
    let mut follower = keeping(&ledger, keep);
    fill(&mut journal, 100);
    sign(&mut follower);
    assert_eq!(verified(&folder.ledger()).findings, []);
    // What someone else removed is missed.
    std::fs::remove_file(folder.segment(0, segments(&folder)[0])).unwrap();
    let findings = verified(&folder.ledger()).findings;
    assert!(
        findings[0].to_string().contains("this segment is missing"),
        "{findings:?}"
    );
}

#[test]
fn what_is_old_goes_but_not_by_a_clock_that_jumped() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, super::chain::now().wall).unwrap();
    let keep = Keep {
        days: Some(41),
        bytes: None,
    };
    let mut follower = keeping(&ledger, keep);
    for _ in 0..3 {
        journal
            .append(&note(super::chain::now().wall.as_micros(), "today"))
            .unwrap();
        sign(&mut follower);
        wait(86_400);
        journal.new_day(super::chain::now().wall).unwrap();
    }
    journal
        .append(&note(super::chain::now().wall.as_micros(), "today"))
        .unwrap();
    sign(&mut follower);
    assert_eq!(segments(&folder), [1, 2, 3, 4], "a segment for each day");
    jump(39 * 86_400);
    sign(&mut follower);
    wait(HOUR);
    sign(&mut follower);
    assert_eq!(segments(&folder), [1, 2, 3, 4]);
    // A day later the clock has been right for long enough.
    wait(86_400 - 2 * HOUR);
    sign(&mut follower);
    assert_eq!(segments(&folder), [1, 2, 3, 4]);
    wait(2 * HOUR);
    sign(&mut follower);
    assert_eq!(segments(&folder), [3, 4]);
    assert_eq!(verified(&folder.ledger()).findings, []);
}

#[test]
fn checkpoints_of_what_is_gone_go_too() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let keep = Keep {
        days: None,
        bytes: Some(10_000),
    };
    let mut follower = keeping(&ledger, keep);
    for _ in 0..8 {
        for index in 0..20 {
            let wall = super::chain::now().wall.as_micros();
            journal
                .append(&note(wall, &format!("{index:0150}")))
                .unwrap();
        }
        sign(&mut follower);
        wait(86_400);
    }
    sign(&mut follower);
    let days = notes::files(&folder.ledger()).unwrap().len();
    assert!((3..=6).contains(&days), "{days}");
    assert_eq!(verified(&folder.ledger()).findings, []);
}

#[test]
fn a_start_by_a_clock_that_jumped_takes_nothing_for_old() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let keep = Keep {
        days: Some(41),
        bytes: None,
    };
    let mut journal = Journal::open(&ledger, 0, super::chain::now().wall).unwrap();
    let mut follower = keeping(&ledger, keep);
    for _ in 0..2 {
        let wall = super::chain::now().wall.as_micros();
        journal.append(&note(wall, "today")).unwrap();
        sign(&mut follower);
        wait(86_400);
        journal.new_day(super::chain::now().wall).unwrap();
    }
    follower.finish().unwrap();
    drop(journal);
    jump(463 * 86_400);
    // What a life begins with is signed before anything is looked at.
    let now = super::chain::now().wall;
    let mut journal = Journal::open(&ledger, 0, now).unwrap();
    journal.append(&note(now.as_micros(), "started")).unwrap();
    sign(&mut keeping(&ledger, keep));
    assert_eq!(segments(&folder), [1, 2, 3]);
}
