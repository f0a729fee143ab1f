//! How far a shard's journal is written, for who follows it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The end of what a journal has appended. The shard's thread sets it after each
/// append: one store, and no one waits for anyone.
///
/// Without it a follower could read what a write that failed half-way left, and
/// what the journal then writes over.
#[derive(Debug, Default)]
pub(super) struct Mark {
    at: AtomicU64,
    /// The number of the segment that was begun last, and which file that is.
    file: Mutex<Option<(u64, Inode)>>,
}

/// A file's device and number.
type Inode = (u64, u64);

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

impl Mark {
    /// Both numbers in one word, so that they are read as one. Segments are far
    /// smaller than 4 GB, and far fewer.
    pub(super) fn set(&self, segment: u64, end: u64) {
        let [segment, end] = [segment, end].map(|it| it.min(u64::from(u32::MAX)));
        self.at.store(segment << 32 | end, Ordering::Release);
    }

    /// The segment that is written, and the end of what is written of it.
    pub(super) fn read(&self) -> (u64, u64) {
        let word = self.at.load(Ordering::Acquire);
        (word >> 32, word & u64::from(u32::MAX))
    }

    /// This file is written from now on.
    pub(super) fn begin(&self, segment: u64, file: &File) {
        let metadata = file.metadata().ok();
        let mut begun = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = metadata.map(|it| (segment, inode(&it)));
    }

    /// Whether what is written is not what has its name in this folder.
    fn is_misplaced(&self, folder: &Path) -> bool {
        let begun = *self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((segment, file)) = begun else {
            return false;
        };
        match super::segment::path(folder, segment).metadata() {
            Ok(there) => inode(&there) != file,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
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
    pub(super) fn begin(&self, shard: u16, (segment, end): (u64, u64), file: &File) -> Arc<Mark> {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(shard).or_default();
        mark.begin(segment, file);
        mark.set(segment, end);
        Arc::clone(mark)
    }

    /// The shards of a ledger whose journal is written, and not in its folder.
    pub(super) fn misplaced(&self, ledger: &Path) -> Vec<u16> {
        let all = self.all().into_iter();
        let misplaced =
            all.filter(|(shard, mark)| mark.is_misplaced(&super::segment::folder(ledger, *shard)));
        misplaced.map(|(shard, _)| shard).collect()
    }

    /// All that there are.
    pub(super) fn all(&self) -> BTreeMap<u16, Arc<Mark>> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.clone()
    }
}
