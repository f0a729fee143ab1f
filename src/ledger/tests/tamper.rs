//! Whatever is done to a ledger before its last checkpoint is found, with its place.
//! `PROPTEST_CASES=10000` tries as often as you like.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::chain::{chaining, fill, sign, small};
use super::*;
use crate::record::frame;

/// A ledger of two shards, some segments and checkpoints, and its key.
struct Original {
    segments: Vec<Segment>,
    notes: Vec<String>,
    key: PublicKey,
}

/// A segment, as far as it is signed.
#[derive(Clone)]
struct Segment {
    shard: u16,
    sequence: u64,
    /// As it lies on the disk.
    bytes: Vec<u8>,
    /// Where its frames begin, and the end of the last one.
    frames: Vec<usize>,
}

impl Segment {
    fn signed(&self) -> usize {
        *self.frames.last().unwrap()
    }
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let folder = Temporary::new();
    let ledger = small(&folder);
    let mut follower = chaining(&ledger);
    for round in 0..5 {
        for shard in 0..2 {
            let mut journal = Journal::open(&ledger, shard, at(0)).unwrap();
            fill(&mut journal, 11 + round);
        }
        sign(&mut follower);
    }
    let mut segments = Vec::new();
    for shard in 0..2 {
        for sequence in segment::sequences(&segment::folder(&folder.ledger(), shard)).unwrap() {
            let bytes = std::fs::read(folder.segment(shard, sequence)).unwrap();
            let mut frames = vec![usize::try_from(segment::HEADER).unwrap()];
            while let Some(found) = frame::split(&bytes[*frames.last().unwrap()..]).unwrap() {
                frames.push(frames.last().unwrap() + found.bytes.len());
            }
            segments.push(Segment {
                shard,
                sequence,
                bytes,
                frames,
            });
        }
    }
    let file = notes::files(&folder.ledger()).unwrap().pop().unwrap();
    let notes = notes::read(&file).unwrap().0;
    Original {
        segments,
        notes: notes.into_iter().map(|it| it.text).collect(),
        key: *ledger.public_key(),
    }
});

#[derive(Debug, Clone)]
enum Tampering {
    Flip {
        segment: Index,
        byte: Index,
        bit: u8,
    },
    /// The frame's own checksum is right again.
    Rewrite {
        segment: Index,
        frame: Index,
        byte: Index,
    },
    Cut {
        segment: Index,
        byte: Index,
    },
    /// To its end, and whatever is behind it.
    CutAll {
        segment: Index,
        byte: Index,
    },
    SwapFrames {
        segment: Index,
        one: Index,
        other: Index,
    },
    SwapSegments {
        one: Index,
        other: Index,
    },
    DropFrame {
        segment: Index,
        frame: Index,
    },
    DropSegment {
        segment: Index,
    },
    RepeatFrame {
        segment: Index,
        frame: Index,
    },
    RepeatSegment {
        one: Index,
        other: Index,
    },
    FlipNote {
        note: Index,
        byte: Index,
        bit: u8,
    },
    DropNote {
        note: Index,
    },
    RepeatNote {
        note: Index,
    },
    SwapNotes {
        one: Index,
        other: Index,
    },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    use Tampering::*;
    let i = any::<Index>;
    prop_oneof![
        3 => (i(), i(), 0u8..8).prop_map(|(segment, byte, bit)| Flip { segment, byte, bit }),
        2 => (i(), i(), i()).prop_map(|(segment, frame, byte)| Rewrite { segment, frame, byte }),
        1 => (i(), i()).prop_map(|(segment, byte)| Cut { segment, byte }),
        1 => (i(), i()).prop_map(|(segment, byte)| CutAll { segment, byte }),
        2 => (i(), i(), i()).prop_map(|(segment, one, other)| SwapFrames { segment, one, other }),
        1 => (i(), i()).prop_map(|(one, other)| SwapSegments { one, other }),
        2 => (i(), i()).prop_map(|(segment, frame)| DropFrame { segment, frame }),
        1 => i().prop_map(|segment| DropSegment { segment }),
        2 => (i(), i()).prop_map(|(segment, frame)| RepeatFrame { segment, frame }),
        1 => (i(), i()).prop_map(|(one, other)| RepeatSegment { one, other }),
        1 => (i(), i(), 0u8..8).prop_map(|(note, byte, bit)| FlipNote { note, byte, bit }),
        1 => i().prop_map(|note| DropNote { note }),
        1 => i().prop_map(|note| RepeatNote { note }),
        1 => (i(), i()).prop_map(|(one, other)| SwapNotes { one, other }),
    ]
}

/// Where something was done: a shard's segment and byte, or among the notes.
type Spot = Option<(u16, u64, usize)>;

/// Does it to a copy. Where; nothing if it makes no difference.
fn tamper(what: &Tampering, copy: &mut Vec<Segment>, notes: &mut Vec<Vec<u8>>) -> Vec<Spot> {
    use Tampering::*;
    let spot = |it: &Segment, byte| Some((it.shard, it.sequence, byte));
    // The last note is the last checkpoint itself.
    let before_last = notes.len() - 1;
    match what {
        Flip { segment, byte, bit } => {
            let it = segment.get(copy);
            let (at, index) = (byte.index(it.signed()), segment.index(copy.len()));
            copy[index].bytes[at] ^= 1 << bit;
            vec![spot(&copy[index], at)]
        }
        Rewrite {
            segment,
            frame,
            byte,
        } => {
            let it = &mut copy[segment.index(ORIGINAL.segments.len())];
            let at = frame.index(it.frames.len() - 1);
            let (from, to) = (it.frames[at], it.frames[at + 1]);
            let place = from + frame::HEADER + byte.index(to - from - frame::HEADER);
            it.bytes[place] ^= 0x11;
            let mut summed = it.bytes[from..from + 4].to_vec();
            summed.extend_from_slice(&it.bytes[from + frame::HEADER..to]);
            it.bytes[from + 4..from + 8].copy_from_slice(&crc32fast::hash(&summed).to_le_bytes());
            vec![spot(it, place)]
        }
        Cut { segment, byte } => {
            let it = &mut copy[segment.index(ORIGINAL.segments.len())];
            let at = byte.index(it.signed());
            it.bytes.truncate(at);
            vec![spot(it, at)]
        }
        CutAll { segment, byte } => {
            let it = &mut copy[segment.index(ORIGINAL.segments.len())];
            let at = byte.index(it.signed());
            it.bytes.truncate(at);
            let (shard, sequence, spot) = (it.shard, it.sequence, spot(it, at));
            copy.retain(|it| it.shard != shard || it.sequence <= sequence);
            vec![spot]
        }
        SwapFrames {
            segment,
            one,
            other,
        } => {
            let it = &mut copy[segment.index(ORIGINAL.segments.len())];
            let [one, other] = [one, other].map(|at| at.index(it.frames.len() - 1));
            let (one, other) = (one.min(other), one.max(other));
            let frame = |at: usize| it.bytes[it.frames[at]..it.frames[at + 1]].to_vec();
            if frame(one) == frame(other) {
                return Vec::new();
            }
            let mut bytes = it.bytes[..it.frames[one]].to_vec();
            bytes.extend(frame(other));
            bytes.extend_from_slice(&it.bytes[it.frames[one + 1]..it.frames[other]]);
            bytes.extend(frame(one));
            bytes.extend_from_slice(&it.bytes[it.frames[other + 1]..]);
            it.bytes = bytes;
            vec![spot(it, it.frames[one])]
        }
        SwapSegments { one, other } => {
            let [one, other] = [one, other].map(|at| at.index(copy.len()));
            if one == other {
                return Vec::new();
            }
            let bytes = copy[one].bytes.clone();
            copy[one].bytes = std::mem::replace(&mut copy[other].bytes, bytes);
            vec![spot(&copy[one], 0), spot(&copy[other], 0)]
        }
        DropFrame { segment, frame } => {
            let it = &mut copy[segment.index(ORIGINAL.segments.len())];
            let at = frame.index(it.frames.len() - 1);
            it.bytes.drain(it.frames[at]..it.frames[at + 1]);
            vec![spot(it, it.frames[at])]
        }
        DropSegment { segment } => {
            let gone = copy.remove(segment.index(copy.len()));
            vec![spot(&gone, 0)]
        }
        RepeatFrame { segment, frame } => {
            let index = segment.index(copy.len());
            let last = copy.get(index + 1).is_none_or(|it| it.sequence == 1);
            let it = &mut copy[index];
            let at = frame.index(it.frames.len() - 1);
            let (from, to) = (it.frames[at], it.frames[at + 1]);
            if last && to == it.signed() {
                // What comes behind the last checkpoint is not signed.
                return Vec::new();
            }
            let again = it.bytes[from..to].to_vec();
            it.bytes.splice(to..to, again);
            vec![spot(it, to)]
        }
        RepeatSegment { one, other } => {
            let [one, other] = [one, other].map(|at| at.index(copy.len()));
            if one == other {
                return Vec::new();
            }
            copy[other].bytes = copy[one].bytes.clone();
            vec![spot(&copy[other], 0)]
        }
        FlipNote { note, byte, bit } => {
            let note = &mut notes[note.index(before_last)];
            let at = byte.index(note.len());
            note[at] ^= 1 << bit;
            vec![None]
        }
        DropNote { note } => {
            let at = note.index(before_last);
            notes.remove(at);
            // And what the first one proves.
            let first = (at == 0).then_some(Some((0, 1, 0)));
            first.into_iter().chain([None]).collect()
        }
        RepeatNote { note } => {
            let at = note.index(before_last);
            notes.insert(at, notes[at].clone());
            vec![None]
        }
        SwapNotes { one, other } => {
            let [one, other] = [one, other].map(|at| at.index(before_last));
            notes.swap(one, other);
            if one == other { Vec::new() } else { vec![None] }
        }
    }
}

/// Whether a finding's place is where something was done.
fn covers(finding: &Finding, spot: Spot) -> bool {
    let Some((to, end)) = &finding.to else {
        return spot.is_none();
    };
    let Some((shard, sequence, byte)) = spot else {
        return false;
    };
    let place = |path: &Path, byte: u64| {
        let number = path.file_stem().unwrap().to_str().unwrap().parse();
        (number.unwrap_or(0), byte)
    };
    let spot = (sequence, byte as u64);
    let inside = (place(&finding.file, finding.from)..=place(to, *end)).contains(&spot);
    inside
        && finding
            .file
            .parent()
            .unwrap()
            .ends_with(format!("shard-{shard:03}"))
}

fn lay_out(folder: &Temporary, segments: &[Segment], notes: &[Vec<u8>]) {
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for it in segments {
        write(folder.segment(it.shard, it.sequence), &it.bytes);
    }
    let pile = folder.ledger().join("checkpoints/2027-01-15.txt");
    write(pile, &notes.concat());
}

proptest! {
    #[test]
    fn tampering_is_found_with_its_place(what in tampering()) {
        let folder = Temporary::new();
        let mut segments = ORIGINAL.segments.clone();
        let mut notes: Vec<_> = ORIGINAL.notes.iter().map(|it| it.clone().into_bytes()).collect();
        let spots = tamper(&what, &mut segments, &mut notes);
        lay_out(&folder, &segments, &notes);
        let report = verify(&folder.ledger(), &ORIGINAL.key, None).unwrap();
        for spot in &spots {
            let found = report.findings.iter().any(|it| covers(it, *spot));
            prop_assert!(found, "{spot:?} is not in {:#?}", report.findings);
        }
        prop_assert_eq!(report.findings.is_empty(), spots.is_empty(), "{:#?}", report.findings);
    }
}

#[test]
fn what_nobody_touched_is_sound() {
    let folder = Temporary::new();
    let notes: Vec<_> = ORIGINAL
        .notes
        .iter()
        .map(|it| it.clone().into_bytes())
        .collect();
    assert!(notes.len() > 4 && ORIGINAL.segments.len() > 4);
    lay_out(&folder, &ORIGINAL.segments, &notes);
    let report = verify(&folder.ledger(), &ORIGINAL.key, None).unwrap();
    assert_eq!((report.findings.as_slice(), report.unsigned), (&[][..], 0));
}
