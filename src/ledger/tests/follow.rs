use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::base::time::Now;
use crate::ledger::{Content, Follower, Found, Place, Sink};
use crate::record::frame::Damage;

/// What a sink keeps on its disk: its place, and what it has made of the records.
#[derive(Debug, Clone, Default)]
struct Kept {
    places: Vec<(u16, Place)>,
    seen: Vec<(u16, u64, String)>,
    /// So many came last, and it may rest.
    rests: usize,
    resets: usize,
}

impl Kept {
    fn of(&self, shard: u16) -> Vec<String> {
        let own = self.seen.iter().filter(|it| it.0 == shard);
        own.map(|it| it.2.clone()).collect()
    }
}

/// Makes durable what it took when it rests, or never.
struct Collector {
    disk: Arc<Mutex<Kept>>,
    memory: Kept,
    forgetful: bool,
}

impl Collector {
    fn boxed(disk: &Arc<Mutex<Kept>>, forgetful: bool) -> Box<dyn Sink> {
        Box::new(Self {
            disk: Arc::clone(disk),
            memory: disk.lock().unwrap().clone(),
            forgetful,
        })
    }
}

impl Sink for Collector {
    fn place(&mut self, shard: u16) -> Option<Place> {
        let places = self.memory.places.iter();
        let own = places.rev().find(|it| it.0 == shard);
        own.map(|it| it.1)
    }

    fn reset(&mut self, shard: u16) {
        self.memory.seen.retain(|it| it.0 != shard);
        self.memory.places.retain(|it| it.0 != shard);
        self.memory.resets += 1;
    }

    fn take(&mut self, found: &Found<'_>) {
        let text = match found.content {
            Content::Header(bytes) => {
                assert_eq!(bytes, found.bytes);
                assert_eq!(found.place.offset, 0);
                None
            }
            Content::Record(Record::Note { what, detail, .. }) => Some(match *what {
                "test" => (*detail).to_owned(),
                what => what.to_owned(),
            }),
            Content::Record(other) => Some(format!("{other:?}")),
            Content::Frame => panic!("this one reads"),
            Content::Damage(damage) => Some(format!("!{damage:?}")),
            Content::Missing(segments) => Some(format!("!{segments} missing")),
        };
        if let Some(before) = self.place(found.shard) {
            assert!(found.place >= before, "{found:?} comes after {before:?}");
        }
        if !matches!(
            found.content,
            Content::Missing(_) | Content::Damage(Damage::Torn)
        ) {
            assert!(found.after > found.place, "{found:?}");
        }
        self.memory
            .seen
            .extend(text.map(|text| (found.shard, found.place.count, text)));
        self.memory.places.retain(|it| it.0 != found.shard);
        self.memory.places.push((found.shard, found.after));
    }

    fn rest(&mut self, _now: Now, _caught_up: bool, last: bool) {
        self.memory.rests += 1;
        if last || !self.forgetful {
            *self.disk.lock().unwrap() = self.memory.clone();
        }
    }
}

/// Small segments, so that they are changed often.
fn small(folder: &Temporary) -> Ledger {
    Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(4096)
}

fn follower(ledger: &Ledger, disks: &[&Arc<Mutex<Kept>>]) -> Follower {
    let sinks = disks.iter().map(|disk| Collector::boxed(disk, false));
    Follower::new(ledger.clone(), sinks.collect(), Now::default)
}

fn drain(follower: &mut Follower) {
    for _ in 0..1000 {
        if follower.round().unwrap() {
            return;
        }
    }
    panic!("the follower finds no end");
}

/// One step of a life with journals and a follower.
#[derive(Debug, Clone)]
enum Step {
    Append {
        shard: u16,
        lengths: Vec<usize>,
    },
    FailedAppend {
        shard: u16,
        keep: usize,
    },
    Reopen {
        shard: u16,
    },
    Round,
    /// The follower ends as a process that is killed: nothing more is kept.
    Killed,
    /// It ends in order.
    Ended,
}

fn step() -> impl Strategy<Value = Step> {
    let lengths = prop::collection::vec(prop_oneof![9 => 1usize..900, 1 => 3000usize..9000], 1..5);
    prop_oneof![
        8 => (0u16..2, lengths).prop_map(|(shard, lengths)| Step::Append { shard, lengths }),
        1 => (0u16..2, 1usize..500).prop_map(|(shard, keep)| Step::FailedAppend { shard, keep }),
        1 => (0u16..2).prop_map(|shard| Step::Reopen { shard }),
        4 => Just(Step::Round),
        1 => Just(Step::Killed),
        1 => Just(Step::Ended),
    ]
}

/// Two journals, a follower, and two sinks of which one keeps nothing until the end.
struct Life {
    folder: Temporary,
    ledger: Ledger,
    journals: Vec<Option<Journal>>,
    written: Vec<Vec<String>>,
    disks: [Arc<Mutex<Kept>>; 2],
    follower: Option<Follower>,
}

impl Life {
    fn new() -> Self {
        let folder = Temporary::new();
        let ledger = small(&folder);
        let open = |shard| Some(Journal::open(&ledger, shard, at(0)).unwrap());
        Self {
            journals: (0..2).map(open).collect(),
            folder,
            ledger,
            written: vec![Vec::new(); 2],
            disks: Default::default(),
            follower: None,
        }
    }

    fn follower(&mut self) -> &mut Follower {
        let (ledger, disks) = (&self.ledger, &self.disks);
        self.follower.get_or_insert_with(|| {
            let sinks = vec![
                Collector::boxed(&disks[0], false),
                Collector::boxed(&disks[1], true),
            ];
            Follower::new(ledger.clone(), sinks, Now::default)
        })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { shard, lengths } => {
                let shard = usize::from(*shard);
                let mut turn = Vec::new();
                for &length in lengths {
                    let number = self.written[shard].len();
                    let detail = format!("{number:0length$}");
                    turn.extend(note(1, &detail));
                    self.written[shard].push(detail);
                }
                self.journals[shard]
                    .as_mut()
                    .unwrap()
                    .append(&turn)
                    .unwrap();
            }
            Step::FailedAppend { shard, keep } => {
                let mut turn = note(1, "of no effect");
                turn.extend(note(1, &"x".repeat(400)));
                let part = &turn[..(*keep).min(turn.len())];
                let shard = usize::from(*shard);
                self.journals[shard].as_mut().unwrap().spoil_for_test(part);
            }
            Step::Reopen { shard } => {
                // A journal that ends with a failed write has not ended in order.
                let end = self.written[usize::from(*shard)].len().to_string();
                let lengths = vec![end.len()];
                self.step(&Step::Append {
                    shard: *shard,
                    lengths,
                });
                let journal = &mut self.journals[usize::from(*shard)];
                *journal = None;
                *journal = Some(Journal::open(&self.ledger, *shard, at(0)).unwrap());
            }
            Step::Round => {
                let _ = self.follower().round().unwrap();
            }
            Step::Killed => self.follower = None,
            Step::Ended => {
                self.follower();
                self.follower.take().unwrap().finish().unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every sink is brought every record once, in its shard's order, whatever
    /// happens between.
    #[test]
    fn every_record_comes_once_and_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
        }
        life.step(&Step::Append { shard: 0, lengths: vec![5] });
        life.step(&Step::Append { shard: 1, lengths: vec![5] });
        life.step(&Step::Ended);
        for disk in &life.disks {
            let kept = disk.lock().unwrap();
            prop_assert_eq!(kept.resets, 0);
            for shard in 0..2 {
                prop_assert_eq!(kept.of(shard), life.written[usize::from(shard)].clone());
            }
            for shard in 0..2 {
                let counts = kept.seen.iter().filter(|it| it.0 == shard).map(|it| it.1);
                let expected: Vec<_> = (0..life.written[usize::from(shard)].len() as u64).collect();
                prop_assert_eq!(counts.collect::<Vec<_>>(), expected);
            }
        }
        let all = life.written.iter().flatten().count();
        prop_assert_eq!(details(&life.folder.ledger()).len(), all);
    }
}

#[test]
fn it_keeps_up_with_a_writer_and_ends_having_seen_all() {
    const COUNT: i64 = 30_000;
    let folder = Temporary::new();
    let ledger = Ledger::open(&folder.ledger())
        .unwrap()
        .with_segment_size(1 << 18);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let disk: Arc<Mutex<Kept>> = Arc::default();
    let following = follower(&ledger, &[&disk]).start().unwrap();
    for index in 0..COUNT {
        journal
            .append(&note(index, &format!("{index:0100}")))
            .unwrap();
        // It works beside the writer, without being asked.
        while index == COUNT / 2 && disk.lock().unwrap().seen.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    drop(journal);
    Journal::open(&ledger, 0, at(0))
        .unwrap()
        .append(&note(COUNT, "the end"))
        .unwrap();
    following.finish();
    let seen = disk.lock().unwrap().of(0);
    assert_eq!(seen.len(), usize::try_from(COUNT).unwrap() + 1);
    assert_eq!(seen.last().unwrap(), "the end");
}

#[test]
fn a_shard_of_an_earlier_life_is_read_to_its_torn_end() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 5, at(0)).unwrap();
    journal.append(&note(1, "first")).unwrap();
    let torn = note(2, "second");
    journal.spoil_for_test(&torn[..torn.len() - 3]);
    drop((journal, ledger));

    let ledger = small(&folder);
    let disk = Arc::default();
    let mut life = follower(&ledger, &[&disk]);
    drain(&mut life);
    drain(&mut life);
    assert_eq!(disk.lock().unwrap().of(5), ["first", "!Torn"]);
    // It is written again, and goes on where the torn record was.
    let mut journal = Journal::open(&ledger, 5, at(0)).unwrap();
    journal.append(&note(3, "third")).unwrap();
    drain(&mut life);
    let expected = ["first", "!Torn", "ledger_cut", "third"];
    assert_eq!(disk.lock().unwrap().of(5), expected);
    drop(life);
    let mut life = follower(&ledger, &[&disk]);
    drain(&mut life);
    assert_eq!(disk.lock().unwrap().of(5), expected);
}

#[test]
fn damage_and_missing_segments_are_told_and_stepped_over() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    for index in 0..200 {
        journal
            .append(&note(index, &format!("{index:0100}")))
            .unwrap();
    }
    let header = usize::try_from(segment::HEADER).unwrap();
    for (sequence, place) in [(2, header + 150), (3, 5)] {
        let path = folder.segment(0, sequence);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[place] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
    }
    let gone = std::fs::read(folder.segment(0, 4)).unwrap();
    std::fs::remove_file(folder.segment(0, 4)).unwrap();
    let disk = Arc::default();
    drain(&mut follower(&ledger, &[&disk]));
    let seen = disk.lock().unwrap().of(0);
    let damage: Vec<_> = seen.iter().filter(|it| it.starts_with('!')).collect();
    let one = note(0, &format!("{:0100}", 0)).len();
    let expected = [
        format!("!Corrupt {{ skip: {one} }}"),
        format!("!Corrupt {{ skip: {header} }}"),
        "!1 missing".to_owned(),
    ];
    assert_eq!(damage, expected.iter().collect::<Vec<_>>());
    let lost = 1 + (gone.len() - header) / one;
    assert_eq!(seen.len(), 200 + 3 - lost);
    assert_eq!(seen.last().unwrap(), &format!("{:0100}", 199));
}

#[test]
fn a_place_that_is_not_there_begins_again() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    journal.append(&note(1, "first")).unwrap();
    let disk = Arc::default();
    drain(&mut follower(&ledger, &[&disk]));
    for place in [(1, 4000), (2, 64)] {
        let (segment, offset) = place;
        let count = 7;
        disk.lock().unwrap().places = vec![(
            0,
            Place {
                segment,
                offset,
                count,
            },
        )];
        drain(&mut follower(&ledger, &[&disk]));
        assert_eq!(disk.lock().unwrap().of(0), ["first"]);
    }
    assert_eq!(disk.lock().unwrap().resets, 2);
}

#[test]
fn segments_that_were_retired_are_no_reason_to_begin_again() {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut journal = Journal::open(&ledger, 0, at(0)).unwrap();
    let disk = Arc::default();
    for index in 0..60 {
        journal
            .append(&note(index, &format!("{index:0100}")))
            .unwrap();
    }
    drain(&mut follower(&ledger, &[&disk]));
    for sequence in segment::sequences(&segment::folder(&folder.ledger(), 0)).unwrap() {
        let place = disk.lock().unwrap().places[0].1;
        if sequence < place.segment {
            std::fs::remove_file(folder.segment(0, sequence)).unwrap();
        }
    }
    for index in 60..70 {
        journal
            .append(&note(index, &format!("{index:0100}")))
            .unwrap();
    }
    drain(&mut follower(&ledger, &[&disk]));
    let kept = disk.lock().unwrap();
    assert_eq!((kept.resets, kept.of(0).len()), (0, 70));
}
