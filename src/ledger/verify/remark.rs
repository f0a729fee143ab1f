//! What is worth knowing of a ledger, and no fault.

use std::path::PathBuf;

use crate::base::time::Wall;

use super::super::checkpoint::time;

/// Worth knowing, and no fault; in English as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The last checkpoint of a file was only written in part.
    PartialCheckpoint {
        /// The file.
        file: PathBuf,
    },
    /// The last record was only written in part.
    PartialRecord {
        /// The segment.
        segment: PathBuf,
        /// The byte that it begins at.
        byte: u64,
    },
    /// The clock showed an earlier time at a checkpoint than at the one before.
    EarlierCheckpoint {
        /// The one before, and its time.
        before: (u64, Wall),
        /// The one of an earlier time.
        later: (u64, Wall),
    },
    /// Records of a shard show an earlier time than those before.
    EarlierRecords {
        /// Whose journal.
        shard: u16,
        /// How often.
        times: u64,
        /// The segment of the first of them.
        segment: PathBuf,
        /// The byte that it begins at.
        byte: u64,
        /// The time of the one before.
        from: Wall,
        /// Its own.
        to: Wall,
    },
    /// Runs ended before their last records were signed.
    SignedLater {
        /// Whose journal.
        shard: u16,
        /// How many.
        times: u64,
        /// The segment of the first such record.
        segment: PathBuf,
        /// The byte that it begins at.
        byte: u64,
        /// When it was written.
        written: Wall,
        /// When it was signed.
        signed: Wall,
    },
    /// Time did not go on bit by bit among such records, as the journal notes.
    Gap {
        /// Whose journal.
        shard: u16,
        /// The segment of the first of these records.
        segment: PathBuf,
        /// The byte that it begins at.
        byte: u64,
        /// What the clock showed before.
        from: Wall,
        /// What it showed then.
        to: Wall,
    },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PartialCheckpoint { file } => {
                let file = file.display();
                write!(f, "{file}: the last checkpoint was only written in part")
            }
            Self::PartialRecord { segment, byte } => write!(
                f,
                "{}, byte {byte}: the last record was only written in part, as a crash leaves it",
                segment.display()
            ),
            Self::EarlierCheckpoint {
                before: (number, at),
                later: (after, later),
            } => write!(
                f,
                "the clock stepped back between checkpoint {number} ({}) and {after} ({})",
                time(*at),
                time(*later)
            ),
            Self::EarlierRecords {
                shard,
                times,
                segment,
                byte,
                from,
                to,
            } => write!(
                f,
                "shard {shard}: the clock stepped back {times} times, first in {} at byte {byte}: \
                 from {} to {}",
                segment.display(),
                time(*from),
                time(*to)
            ),
            Self::SignedLater {
                shard,
                times,
                segment,
                byte,
                written,
                signed,
            } => write!(
                f,
                "shard {shard}: {times} times a run ended before its last records were signed, as a \
                 crash leaves it, and the next one signed them; first in {} at byte {byte}: written \
                 at {}, signed at {}",
                segment.display(),
                time(*written),
                time(*signed)
            ),
            Self::Gap {
                shard,
                segment,
                byte,
                from,
                to,
            } => write!(
                f,
                "shard {shard}: among the records from {} at byte {byte} on, which the next run \
                 signed, time went on from {} to {} at once, as the journal notes: the clock was set, or \
                 the machine slept",
                segment.display(),
                time(*from),
                time(*to)
            ),
        }
    }
}
