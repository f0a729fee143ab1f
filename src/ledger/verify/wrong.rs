//! What can be wrong with a ledger.

use crate::base::time::Wall;
use crate::record::frame::Damage;

use super::super::checkpoint::time;
use super::super::late::Stretch;

/// What is not as it was signed; in English as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong {
    /// There is no checkpoint at all.
    NoCheckpoint,
    /// What stands there is no checkpoint.
    NotACheckpoint,
    /// A checkpoint is signed with another key.
    OtherKey,
    /// A checkpoint was changed.
    Changed,
    /// A checkpoint of another version.
    UnknownForm,
    /// Checkpoints are missing, from one number to another.
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// They are the first that there were, and were not retired.
        first: bool,
    },
    /// A checkpoint is there twice.
    Twice(u64),
    /// There are two of one number.
    Different(u64),
    /// One stands behind a later one.
    Behind {
        /// Its number.
        number: u64,
        /// That of the later one.
        later: u64,
    },
    /// One does not follow the one that is before it.
    DoesNotFollow {
        /// Its number.
        number: u64,
        /// That of the one before.
        before: u64,
    },
    /// A shard was signed anew, since what had been signed was not there.
    Anew {
        /// Whose journal.
        shard: u16,
        /// When.
        at: Wall,
    },
    /// Another one than the one that is expected.
    NotExpected(u64),
    /// An expected one is not there.
    ExpectedMissing {
        /// Its number.
        number: u64,
        /// When it was signed.
        at: Wall,
        /// The number of the last one that is there.
        last: u64,
    },
    /// Segments are missing, so many.
    SegmentsMissing(u64),
    /// Not what a checkpoint has signed.
    NotAsSigned(u64),
    /// Nothing proves it without these checkpoints.
    Unproved {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A segment that stands in another's place.
    InPlaceOf {
        /// Its number.
        segment: u64,
        /// Its shard.
        shard: u16,
    },
    /// A segment of a ledger with another key.
    Foreign,
    /// A segment's header was changed.
    Header,
    /// A record is cut short, and others follow.
    CutShort,
    /// A shard's journal is missing altogether.
    ShardMissing {
        /// The last checkpoint that names it.
        number: u64,
        /// How many records that has signed.
        records: u64,
    },
    /// The journal ends before what was signed of it does.
    EndMissing {
        /// The segment that it ends in.
        segment: u64,
        /// The byte that it ends at.
        byte: u64,
        /// The last checkpoint.
        number: u64,
        /// How many records that has signed.
        records: u64,
    },
    /// Bytes that are no record.
    Damaged(Damage),
    /// Records that were signed long after they were written.
    Late {
        /// How many.
        records: u64,
        /// When the first one was written.
        first: Wall,
        /// When the last one was.
        last: Wall,
        /// When they were signed.
        signed: Wall,
        /// By which checkpoint.
        number: u64,
    },
}

impl From<Stretch> for Wrong {
    fn from(it: Stretch) -> Self {
        Self::Late {
            records: it.records,
            first: it.lapse.first,
            last: it.lapse.last,
            signed: it.signed,
            number: it.number,
        }
    }
}

/// One checkpoint, or several.
fn range(from: u64, to: u64) -> String {
    match from == to {
        true => format!("checkpoint {from}"),
        false => format!("checkpoints {from} to {to}"),
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Late {
                records,
                first,
                last,
                signed,
                number,
            } => write!(
                f,
                "{records} records, written from {} to {}, were only signed at {}, by checkpoint \
                 {number}: nothing proves that they were not changed before",
                time(first),
                time(last),
                time(signed)
            ),
            Self::SegmentsMissing(1) => f.write_str("this segment is missing"),
            Self::SegmentsMissing(many) => {
                write!(f, "this segment is missing, and {} after it", many - 1)
            }
            Self::NotAsSigned(number) => write!(
                f,
                "this is not what checkpoint {number} has signed: records were changed, moved, \
                 removed or added"
            ),
            Self::Unproved { from, to } => {
                let (the, are) = if from == to {
                    ("", "is")
                } else {
                    ("the ", "are")
                };
                let which = range(from, to);
                write!(
                    f,
                    "nothing proves this without {the}{which}, which {are} missing"
                )
            }
            Self::InPlaceOf { segment, shard } => {
                write!(
                    f,
                    "this is segment {segment} of shard {shard}, put in its place"
                )
            }
            Self::Foreign => f.write_str("this segment is of a ledger with another key"),
            Self::Header => f.write_str("the segment's header was changed"),
            Self::CutShort => f.write_str("a record is cut short, and others follow"),
            Self::ShardMissing { number, records } => write!(
                f,
                "the shard's journal is missing: checkpoint {number} has signed {records} records \
                 of it"
            ),
            Self::EndMissing {
                segment,
                byte,
                number,
                records,
            } => write!(
                f,
                "records are missing: the journal ends in segment {segment} at byte {byte}, and \
                 checkpoint {number} has signed {records} records of it. Its end was cut off; or \
                 this is a copy of a ledger that was being written, whose segments were copied \
                 before its checkpoints: then copy `checkpoints` first, and the rest after it"
            ),
            Self::Damaged(damage) => write!(f, "{damage}"),
            ref of_checkpoints => of_checkpoints.say(f),
        }
    }
}

impl Wrong {
    /// What is wrong with a checkpoint.
    fn say(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NotACheckpoint => f.write_str("this is no checkpoint"),
            Self::OtherKey => f.write_str("this checkpoint is signed with another key"),
            Self::Changed => f.write_str("this checkpoint was changed after it was signed"),
            Self::UnknownForm => {
                f.write_str("this checkpoint is of a form that this version does not know")
            }
            Self::Missing { from, to, first } => {
                let are = if from == to { "is" } else { "are" };
                let retired = if first {
                    ", and nothing was retired"
                } else {
                    ""
                };
                write!(f, "{} {are} missing{retired}", range(from, to))
            }
            Self::Twice(number) => write!(f, "checkpoint {number} is there twice"),
            Self::Different(number) => write!(
                f,
                "there are two different checkpoints {number}: the ledger was put back to an \
                 earlier state and signed again"
            ),
            Self::Behind { number, later } => {
                write!(f, "checkpoint {number} stands behind checkpoint {later}")
            }
            Self::DoesNotFollow { number, before } => write!(
                f,
                "checkpoint {number} does not follow the checkpoint {before} that is here"
            ),
            Self::Anew { shard, at } => write!(
                f,
                "shard {shard} was signed anew from its oldest record on at {}: what had been \
                 signed of it before was not there",
                time(at)
            ),
            Self::NotExpected(number) => write!(
                f,
                "this is not the checkpoint {number} that is expected: the ledger was put back to \
                 an earlier state and signed again"
            ),
            Self::ExpectedMissing { number, at, last } => write!(
                f,
                "this checkpoint {number} of {} is missing in the ledger, whose last one is {last}: \
                 its end was cut off",
                time(at)
            ),
            _ => f.write_str(
                "there is no checkpoint that this key has signed: nothing here is proved",
            ),
        }
    }
}
