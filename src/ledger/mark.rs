//! How far a shard's journal is written, for who follows it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The end of what a journal has appended. The shard's thread sets it after each
/// append: one store, and no one waits for anyone.
///
/// Without it a follower could read what a write that failed half-way left, and
/// what the journal then writes over.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicU64);

impl Mark {
    /// Both numbers in one word, so that they are read as one. Segments are far
    /// smaller than 4 GB, and far fewer.
    pub(super) fn set(&self, segment: u64, end: u64) {
        let [segment, end] = [segment, end].map(|it| it.min(u64::from(u32::MAX)));
        self.0.store(segment << 32 | end, Ordering::Release);
    }

    /// The segment that is written, and the end of what is written of it.
    pub(super) fn read(&self) -> (u64, u64) {
        let word = self.0.load(Ordering::Acquire);
        (word >> 32, word & u64::from(u32::MAX))
    }
}

/// Has a journal on the disk, from another thread than its writer's.
#[derive(Debug)]
pub struct Syncing {
    pub(super) folder: PathBuf,
    pub(super) mark: Arc<Mark>,
    /// The first segment that is to be synced.
    pub(super) first: u64,
    /// The segment that was synced last, and its number.
    pub(super) open: Option<(u64, File)>,
}

impl Syncing {
    /// Returns when all that was appended before the call is on the disk.
    ///
    /// # Errors
    /// What the system said. It may be lost then, if the power fails.
    pub fn sync(&mut self) -> io::Result<()> {
        let (segment, _) = self.mark.read();
        let from = match &self.open {
            Some((open, file)) => {
                file.sync_data()?;
                open.saturating_add(1)
            }
            None => self.first,
        };
        for sequence in from..=segment {
            let file = File::open(super::segment::path(&self.folder, sequence))?;
            file.sync_data()?;
            File::open(&self.folder)?.sync_all()?;
            self.open = Some((sequence, file));
        }
        Ok(())
    }
}

/// The marks of the shards that this process has written.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Arc<Mutex<BTreeMap<u16, Arc<Mark>>>>);

impl Marks {
    /// The mark of a shard whose journal is opened there. It stays when that is closed
    /// and opened again.
    pub(super) fn begin(&self, shard: u16, segment: u64, end: u64) -> Arc<Mark> {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(shard).or_default();
        mark.set(segment, end);
        Arc::clone(mark)
    }

    /// All that there are.
    pub(super) fn all(&self) -> BTreeMap<u16, Arc<Mark>> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.clone()
    }
}
