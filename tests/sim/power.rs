//! A host that goes down under the core: what was written last may be gone.
//!
//! Who forgets calls cannot treat them well, so of all that the simulation asks for only
//! one thing is left: that the carriers' bills stay within the budgets.

use tollgate::record::{Fold, Record, frame};

use crate::rng::Rng;

/// One series, as it is on the disk.
#[derive(Default)]
pub struct Disk {
    /// What is there for certain.
    synced: Fold,
    /// What was written since, frame by frame.
    tail: Vec<Vec<u8>>,
}

impl Disk {
    /// A turn's records are written, and have to be there before its messages leave if
    /// it has drawn ahead.
    pub fn write(&mut self, mut records: &[u8], drawn: bool) {
        while let Ok(Some((_, rest))) = frame::next(records) {
            let (frame, _) = records.split_at(records.len() - rest.len());
            self.tail.push(frame.to_vec());
            records = rest;
        }
        if drawn {
            self.sync(usize::MAX);
        }
    }

    /// The same of a record at a start.
    pub fn begin(&mut self, record: &Record<'_>) {
        self.sync(usize::MAX);
        self.synced.apply(record);
    }

    /// As many of what was written last are there.
    fn sync(&mut self, frames: usize) {
        for frame in self.tail.drain(..).take(frames) {
            if let Ok(Some((record, _))) = frame::next(&frame) {
                self.synced.apply(&record);
            }
        }
    }

    /// The host goes down, and what was not there for certain may have been.
    pub fn fail(&mut self, rng: &mut Rng) -> Fold {
        let frames = self.tail.len() as u64;
        let kept = [0, frames, rng.below(frames + 1)][rng.below(3) as usize];
        self.sync(kept as usize);
        self.synced.clone()
    }
}
