//! F5: journal files and what reads them.
//!
//! ```text
//! var/ledger/                 0700
//!   lock                      held while a Tollgate writes; holds its process id
//!   key                       keeps Call-IDs in their buckets from run to run
//!   sign.key                  signs checkpoints; what verifies them is in public.key
//!   checkpoints/              one file a day: how far each shard's chain had come
//!   rules.json                the rules that last compiled
//!   index/                    one file a day: every call as a row (see `index`)
//!   shard-000/                one series of segments for each shard
//!     00000001.tgj            0600; header, then frames (see `record::frame`), then zeros
//!     00000002.tgj
//!     next                    preallocated for the segment after
//!   fold-000                  what a series comes to at a place in it
//! ```
//! A [`Journal`] appends with one write a turn. Nothing is synced to the disk on
//! the way: what was written survives the end of the process, however it comes,
//! but not the loss of power. A [`Reader`] needs no lock and writes nothing, so
//! it also reads a folder that is being written, or a copy of one.

mod beginning;
mod chain;
mod checkpoint;
mod export;
mod folder;
mod follow;
mod incident;
mod index;
mod journal;
mod late;
mod latest;
mod mark;
mod note;
mod notes;
mod reader;
mod recover;
mod retire;
mod segment;
mod snapshot;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use crate::record::frame::VERSION;

pub use beginning::Beginning;
pub use chain::Chain;
pub use export::{ExportError, Filter, Form, Summary, export};
pub use folder::Ledger;
pub use follow::{Content, Follower, Following, Found, Place, Sink};
pub use incident::{Event, Exhibit, Incident, Pair, Span, Table, Timeline, incident};
pub use index::{Call, Calls, Indexing, Summed, Wanted, calls};
pub use journal::{Journal, Resumed};
pub use late::Unsigned;
pub use latest::Latest;
pub use mark::Syncing;
pub use note::PublicKey;
pub use reader::{Entry, Reader};
pub use recover::legible;
pub use retire::Keep;
pub use segment::SEGMENT_SIZE;
pub use snapshot::Snapshots;
pub use verify::{Expected, Finding, Remark, Report, Wrong, public_key, verify};

/// Why a ledger cannot be opened, in one line with what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Another process writes this ledger.
    Locked {
        /// The ledger's folder.
        directory: PathBuf,
        /// That process's id, if it could be read.
        pid: Option<u32>,
    },
    /// A key's file holds no key.
    Key {
        /// The file.
        path: PathBuf,
        /// How many hexadecimal digits it should have.
        digits: usize,
        /// What follows from removing it.
        without: &'static str,
    },
    /// There is no key to verify with.
    PublicKey {
        /// The file that should hold it.
        path: PathBuf,
    },
    /// The index cannot be read.
    Index {
        /// The file of the day.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A file given as a checkpoint holds none.
    NoCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A segment holds records of another version of Tollgate.
    Version {
        /// The segment.
        path: PathBuf,
        /// The version of its records.
        version: u8,
    },
    /// The operating system refused.
    Io {
        /// What was being done: "create", "write" …
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Fault {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// What is wrong, without what follows from it for the journal.
    #[must_use]
    pub fn plainly(&self) -> String {
        match self {
            Self::Io {
                doing,
                path,
                source,
            } => format!("cannot {doing} {}: {source}", path.display()),
            other => other.to_string(),
        }
    }

    /// Whether it is that a disk is full: all goes on when it is not any more.
    #[must_use]
    pub fn is_lack_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(source.kind(), StorageFull | QuotaExceeded)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked { directory, pid } => {
                write!(
                    to,
                    "the ledger {} is being written by ",
                    directory.display()
                )?;
                match pid {
                    Some(pid) => write!(to, "process {pid}")?,
                    None => write!(to, "another process")?,
                }
                write!(to, ": stop that first, or set another [ledger] directory")
            }
            Self::Key {
                path,
                digits,
                without,
            } => write!(
                to,
                "{} does not hold {digits} hexadecimal digits: restore it from a backup, or \
                 remove it ({without})",
                path.display()
            ),
            Self::PublicKey { path } => write!(
                to,
                "{} is not there, or holds no public key: name the ledger's own with --key FILE, or the ledger's \
                 folder, where it is called public.key",
                path.display()
            ),
            Self::Index { path, source } => write!(
                to,
                "cannot read the index {}: {source}: remove that file, and a Tollgate that runs \
                 makes it anew",
                path.display()
            ),
            Self::NoCheckpoint { path } => write!(
                to,
                "{} holds no checkpoint: give a file with one as it stands in the ledger's \
                 checkpoints folder",
                path.display()
            ),
            Self::Version { path, version } => write!(
                to,
                "{} holds records of version {version}, which this Tollgate ({VERSION}) does not \
                 read: it cannot know which calls are up and what was spent. Start the version \
                 that wrote them; or set another [ledger] directory, where every cap and budget \
                 starts anew, and keep this one as evidence",
                path.display()
            ),
            Self::Io {
                doing,
                path,
                source,
            } => {
                write!(to, "cannot {doing} {}: {source}", path.display())?;
                match advice(source.kind()) {
                    Some(advice) => write!(to, ": {advice}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Index { source, .. } => Some(source),
            Self::Locked { .. }
            | Self::Key { .. }
            | Self::PublicKey { .. }
            | Self::NoCheckpoint { .. }
            | Self::Version { .. } => None,
        }
    }
}

/// What to do about it.
fn advice(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::PermissionDenied => {
            "give the user that Tollgate runs as the right to write there, \
             or set another [ledger] directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "that file system is mounted read-only; set another [ledger] directory"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no calls are let through without a journal, emergency calls excepted; free some \
             space, or set a [ledger] directory on another disk"
        }
        io::ErrorKind::NotFound => {
            "check that path, or the [ledger] directory in the configuration"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a folder should be; set another [ledger] directory"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
