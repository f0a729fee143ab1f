//! Verifies a ledger, from a copy of its folder and its public key alone: every
//! checkpoint's signature, and every shard's chain from checkpoint to checkpoint.

mod remark;
mod walk;
mod wrong;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::time::Wall;

use super::checkpoint::{Checkpoint, Head};
use super::folder::PUBLIC_KEY;
use super::follow::cursor::Cursor;
use super::note::{self, PublicKey, Unsigned};
use super::notes::{self, Note};
use super::{Fault, Sink, segment};
pub use remark::Remark;
use walk::{Anchor, Walk};
pub use wrong::Wrong;

/// Something that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The segment, or the file of checkpoints.
    pub file: PathBuf,
    /// Where it lies in there: from which byte of a segment, or in which line of a
    /// file of checkpoints.
    pub from: u64,
    /// Where it ends: in which file, before which byte; none in a file of
    /// checkpoints.
    pub to: Option<(PathBuf, u64)>,
    /// What is wrong.
    pub what: Wrong,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (file, from) = (self.file.display(), self.from);
        match &self.to {
            None => write!(to, "{file}:{from}: {}", self.what),
            Some((end, at)) if *end == self.file => {
                write!(to, "{file}, bytes {from} to {at}: {}", self.what)
            }
            Some((end, at)) => {
                let end = end.display();
                write!(
                    to,
                    "{file}, byte {from}, to {end}, byte {at}: {}",
                    self.what
                )
            }
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// What is not as it was signed.
    pub findings: Vec<Finding>,
    /// What was signed only long after it was written, more of it than a crash leaves:
    /// nothing proves that it is as it was written.
    pub late: Vec<Finding>,
    /// What is worth knowing, and no fault: a record that a crash cut short, a
    /// clock that stepped back.
    pub remarks: Vec<Remark>,
    /// Checkpoints with a good signature.
    pub checkpoints: u64,
    /// The number and time of the last one.
    pub last: Option<(u64, Wall)>,
    /// Intact records.
    pub records: u64,
    /// Of these, those behind the last checkpoint: nothing proves them yet.
    pub unsigned: u64,
}

/// Checkpoints that were kept elsewhere, for [`verify`] to expect.
#[derive(Clone, Debug)]
pub struct Expected(pub(super) Vec<Note>);

impl Expected {
    /// Reads a file with one or several checkpoints in it. What stands before each,
    /// such as the words of a mail that it came with, is passed over. The body of a
    /// webhook may be given whole.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be read, or has none in it.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let bytes = std::fs::read(file).map_err(Fault::io("read", file))?;
        let text = String::from_utf8_lossy(&bytes);
        let body: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let within = body.as_ref().and_then(|it| it.get("checkpoint")?.as_str());
        let mut notes = notes::split(file, within.unwrap_or(&text)).0;
        for note in &mut notes {
            note.strip();
        }
        if notes.is_empty() {
            let path = file.to_path_buf();
            return Err(Fault::NoCheckpoint { path });
        }
        Ok(Self(notes))
    }
}

/// The public key in a file, or in a ledger's folder.
///
/// # Errors
/// [`Fault`]: there is none.
pub fn public_key(path: &Path) -> Result<PublicKey, Fault> {
    let path = match path.is_dir() {
        true => path.join(PUBLIC_KEY),
        false => path.to_path_buf(),
    };
    let key = std::fs::read_to_string(&path).ok();
    let key = key.as_deref().and_then(PublicKey::parse);
    key.ok_or(Fault::PublicKey { path })
}

/// Verifies the ledger in `directory`, which may be a copy, or be written meanwhile.
///
/// # Errors
/// [`Fault`]: something cannot be read. What is wrong with the ledger is no error,
/// but in the [`Report`].
pub fn verify(
    directory: &Path,
    key: &PublicKey,
    expected: Option<&Expected>,
) -> Result<Report, Fault> {
    let mut report = Report::default();
    // Before the segments: what is written meanwhile only adds to them.
    let signed = read_checkpoints(directory, key, &mut report)?;
    let mut anchors = Anchors::default();
    let last = signed.last().map(|it| it.checkpoint.clone());
    for it in &signed {
        anchors.add(&it.checkpoint);
    }
    for note in expected.map_or(&[][..], |it| &it.0) {
        expect(note, key, &signed, &mut anchors, &mut report);
    }
    let mut shards = segment::shards(directory).map_err(Fault::io("read", directory))?;
    shards.extend(anchors.0.keys());
    shards.sort_unstable();
    shards.dedup();
    for shard in shards {
        let oldest = last.as_ref().and_then(|last| {
            let mut states = last.shards.iter();
            states.find(|it| it.shard == shard).map(|it| it.oldest)
        });
        let anchors = anchors.0.remove(&shard).unwrap_or_default();
        let mut walk = Walk::new(directory, shard, key.series(), oldest, anchors);
        if segment::folder(directory, shard).is_dir() {
            let mut cursor = Cursor::new(directory, shard);
            let mut sinks: [Box<dyn Sink + '_>; 1] = [Box::new(&mut walk)];
            cursor.begin(&mut sinks)?;
            while !cursor.read(u64::MAX, &mut sinks)? {}
        }
        walk.finish(&mut report);
    }
    Ok(report)
}

/// A checkpoint with a good signature.
struct Signed {
    checkpoint: Checkpoint,
    note: Note,
}

/// Every checkpoint of the ledger that its key has signed, by number; what is
/// wrong with the others, and between them, goes into the report.
fn read_checkpoints(
    directory: &Path,
    key: &PublicKey,
    report: &mut Report,
) -> Result<Vec<Signed>, Fault> {
    let mut signed = Vec::new();
    for file in notes::files(directory)? {
        let (notes, rest) = notes::read(&file)?;
        for note in notes {
            match read(&note, key) {
                Ok(checkpoint) => signed.push(Signed { checkpoint, note }),
                Err(what) => report.findings.push(finding(&note, what)),
            }
        }
        if rest > 0 {
            report.remarks.push(Remark::PartialCheckpoint { file });
        }
    }
    for (one, next) in signed.iter().zip(signed.iter().skip(1)) {
        compare(one, next, report);
    }
    signed.sort_by_key(|it| it.checkpoint.number);
    let (first, last) = (signed.first(), signed.last());
    if let (Some(first), Some(last)) = (first, last)
        && first.checkpoint.number > 1
        && last.checkpoint.shards.iter().all(|it| it.oldest <= 1)
    {
        // Checkpoints are retired with the segments that they prove.
        let what = Wrong::Missing {
            from: 1,
            to: first.checkpoint.number.saturating_sub(1),
            first: true,
        };
        report.findings.push(finding(&first.note, what));
    }
    if signed.is_empty() {
        report.findings.push(Finding {
            file: directory.join("checkpoints"),
            from: 0,
            to: None,
            what: Wrong::NoCheckpoint,
        });
    }
    for it in &signed {
        for &shard in &it.checkpoint.anew {
            let at = it.checkpoint.wall;
            let what = Wrong::Anew { shard, at };
            report.findings.push(finding(&it.note, what));
        }
    }
    report.checkpoints = u64::try_from(signed.len()).unwrap_or(u64::MAX);
    let last = signed.last().map(|it| &it.checkpoint);
    report.last = last.map(|it| (it.number, it.wall));
    Ok(signed)
}

fn read(note: &Note, key: &PublicKey) -> Result<Checkpoint, Wrong> {
    let text = note::open(&note.text, key).map_err(|fault| match fault {
        Unsigned::Malformed => Wrong::NotACheckpoint,
        Unsigned::OtherKey => Wrong::OtherKey,
        Unsigned::Changed => Wrong::Changed,
    })?;
    Checkpoint::parse(text).ok_or(Wrong::UnknownForm)
}

/// Compares a checkpoint with the one after it.
fn compare(one: &Signed, next: &Signed, report: &mut Report) {
    let [number, after] = [&one.checkpoint, &next.checkpoint].map(|it| it.number);
    let wrong = if one.note.text == next.note.text {
        Some(Wrong::Twice(number))
    } else if number == after {
        Some(Wrong::Different(number))
    } else if number > after {
        Some(Wrong::Behind {
            number: after,
            later: number,
        })
    } else if number.saturating_add(1) < after {
        Some(Wrong::Missing {
            from: number.saturating_add(1),
            to: after.saturating_sub(1),
            first: false,
        })
    } else if next.checkpoint.before != Some(one.note.hash()) {
        Some(Wrong::DoesNotFollow {
            number: after,
            before: number,
        })
    } else {
        None
    };
    let wrong = wrong.map(|what| finding(&next.note, what));
    report.findings.extend(wrong);
    let [before, later] = [one, next].map(|it| it.checkpoint.wall);
    if later < before && number < after {
        report.remarks.push(Remark::EarlierCheckpoint {
            before: (number, before),
            later: (after, later),
        });
    }
}

/// Takes a checkpoint that was kept elsewhere for as good as the ledger's own.
fn expect(
    note: &Note,
    key: &PublicKey,
    signed: &[Signed],
    anchors: &mut Anchors,
    report: &mut Report,
) {
    let checkpoint = match read(note, key) {
        Ok(checkpoint) => checkpoint,
        Err(what) => return report.findings.push(finding(note, what)),
    };
    let number = checkpoint.number;
    let same = signed.iter().find(|it| it.checkpoint.number == number);
    let oldest = signed.first().map_or(0, |it| it.checkpoint.number);
    match same {
        Some(same) if same.note.text == note.text => return,
        Some(same) => {
            let what = Wrong::NotExpected(number);
            report.findings.push(finding(&same.note, what));
        }
        // Its file was retired, which the segments need not have been.
        None if number < oldest => {}
        None => {
            let last = signed.last().map_or(0, |it| it.checkpoint.number);
            let what = Wrong::ExpectedMissing {
                number,
                at: checkpoint.wall,
                last,
            };
            report.findings.push(finding(note, what));
        }
    }
    anchors.add(&checkpoint);
}

fn finding(note: &Note, what: Wrong) -> Finding {
    Finding {
        file: note.file.clone(),
        from: u64::try_from(note.line).unwrap_or(u64::MAX),
        to: None,
        what,
    }
}

/// Every place at which a shard's head is known.
#[derive(Default)]
struct Anchors(BTreeMap<u16, Vec<Anchor>>);

impl Anchors {
    fn add(&mut self, checkpoint: &Checkpoint) {
        let (number, wall) = (checkpoint.number, checkpoint.wall);
        for &shard in &checkpoint.anew {
            // What was signed before is another chain's, and was said to be gone.
            self.0.remove(&shard);
        }
        for it in &checkpoint.starts {
            let at = (it.segment, 0);
            self.insert(it.shard, (number, wall), at, it.count, it.head);
        }
        for it in &checkpoint.shards {
            let at = (it.at.segment, it.at.offset);
            self.insert(it.shard, (number, wall), at, it.at.count, it.head);
        }
    }

    fn insert(
        &mut self,
        shard: u16,
        (number, wall): (u64, Wall),
        at: (u64, u64),
        count: u64,
        head: Head,
    ) {
        let anchor = Anchor {
            at,
            count,
            head,
            number,
            wall,
        };
        let anchors = self.0.entry(shard).or_default();
        if anchors.last() != Some(&anchor) {
            anchors.push(anchor);
        }
    }
}
