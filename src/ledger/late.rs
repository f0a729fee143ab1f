//! What was signed long after it was written: nothing proves that it was not changed in
//! between.
//!
//! A life that is killed leaves up to ten seconds of records that the next one signs, and
//! who looks at a ledger cannot tell these from others. More than that is left by a disk
//! that was full when the life was killed, and had no room for its checkpoints, by a chain
//! that did not keep up, or by somebody who took checkpoints away. Nothing in such records
//! can explain it: whoever has the disk, and not the key, could have written that, too.
//!
//! A clock that was set ahead makes seconds look like hours, and so does a machine that
//! sleeps. That, the journal notes ([`TIME_GAP`]), and one such note is believed: who wrote
//! it without the key could as well have written other times to his records.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::time::Wall;
use crate::record::{Record, TIME_GAP};

use super::checkpoint::{Checkpoint, time};
use super::{Fault, Ledger, Place, Reader, chain, segment};

/// What a life may leave unsigned, and how long a record may wait for being signed: ten
/// seconds, and as long as a busy machine takes.
pub(super) const USUAL: Duration = Duration::from_secs(60);

/// When records of one life were written, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lapse {
    pub(super) first: Wall,
    pub(super) last: Wall,
    /// From when to when time went on at once among them.
    pub(super) gap: Option<(Wall, Wall)>,
}

impl Lapse {
    pub(super) const fn from(wall: Wall) -> Self {
        Self {
            first: wall,
            last: wall,
            gap: None,
        }
    }

    /// Another record, which shows that time.
    pub(super) fn take(&mut self, record: &Record<'_>, wall: Wall) {
        let noted = matches!(record, Record::Note { what, .. } if *what == TIME_GAP);
        if noted && wall > self.last {
            self.gap.get_or_insert((self.last, wall));
        }
        self.last = self.last.max(wall);
    }

    /// Whether it is more than a life that is killed leaves.
    pub(super) fn is_long(&self) -> bool {
        let gap = self
            .gap
            .map_or(Duration::ZERO, |(from, to)| to.saturating_since(from));
        self.first + USUAL + gap < self.last
    }
}

/// Records of an earlier life that no checkpoint covers, more of them than one that is
/// killed leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The number of the last checkpoint.
    checkpoint: Option<u64>,
    shard: u16,
    segment: PathBuf,
    offset: u64,
    /// When the first of them was written.
    from: Wall,
}

impl std::fmt::Display for Unsigned {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            checkpoint,
            shard,
            segment,
            offset,
            from,
        } = self;
        let (segment, from) = (segment.display(), time(*from));
        match checkpoint {
            Some(number) => write!(to, "the last checkpoint, {number}, does not cover")?,
            None => write!(
                to,
                "there is no checkpoint that this ledger's key has signed for"
            )?,
        }
        write!(
            to,
            " what shard {shard} wrote from {from} on ({segment}, byte {offset}): it is signed now, \
             and nothing proves that it was not changed before. Who removes checkpoints leaves \
             that, or a disk that was full for hours: compare with those that were kept elsewhere (tollgate ledger \
             verify --expect)"
        )
    }
}

impl Ledger {
    /// Whether earlier lives have left more unsigned than one that is killed does.
    ///
    /// # Errors
    /// [`Fault`]: the ledger cannot be read.
    pub fn unsigned(&self) -> Result<Option<Unsigned>, Fault> {
        let last = chain::last(self)?.0.map(|(checkpoint, _)| checkpoint);
        let mut reader = Reader::open(&self.directory)?;
        for it in last.iter().flat_map(|it: &Checkpoint| &it.shards) {
            let path = segment::path(&segment::folder(&self.directory, it.shard), it.at.segment);
            // What is not there any more is told by the chain.
            let end = path.metadata().map_or(0, |it| it.len());
            let offset = it.at.offset.min(end);
            reader.skip_to(it.shard, Place { offset, ..it.at });
        }
        let mut begun = std::collections::BTreeMap::<u16, (Unsigned, Lapse)>::new();
        while let Some(entry) = reader.next()? {
            let Ok(record) = entry.content else { continue };
            if begins(&record) {
                begun.remove(&entry.shard);
            }
            let Some(wall) = shown(&record) else { continue };
            let (first, lapse) = begun.entry(entry.shard).or_insert_with(|| {
                let first = Unsigned {
                    checkpoint: last.as_ref().map(|it| it.number),
                    shard: entry.shard,
                    segment: entry.segment.to_path_buf(),
                    offset: entry.offset,
                    from: wall,
                };
                (first, Lapse::from(wall))
            });
            lapse.take(&record, wall);
            if lapse.is_long() {
                return Ok(Some(first.clone()));
            }
        }
        Ok(None)
    }
}

/// Whether a life begins with a record: with what it found at the end of the one before,
/// or with the word that it has begun.
pub(super) fn begins(record: &Record<'_>) -> bool {
    match record {
        Record::Started { .. } => true,
        Record::Note { what, .. } => {
            matches!(*what, "ledger_cut" | "ledger_damaged" | "ledger_foreign")
        }
        _ => false,
    }
}

/// What the wall clock showed; nothing of records that have the time as it was believed.
pub(super) fn shown(record: &Record<'_>) -> Option<Wall> {
    match record {
        Record::Counted { .. } => None,
        _ => record.wall(),
    }
}

/// Records of one life that were signed long after they were written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// By which checkpoint, and when.
    pub(super) number: u64,
    pub(super) signed: Wall,
    pub(super) from: (u64, u64),
    pub(super) to: (u64, u64),
    pub(super) records: u64,
    pub(super) lapse: Lapse,
}
