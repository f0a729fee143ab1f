//! What a start finds in the ledger of the lives before it.
//!
//! Each series of segments is read on its own (`record::Fold`), and all of them
//! together are the state (`record::Recovered`). The calls are then dealt to this
//! life's shards, and written anew into their shards' journals. Only when every journal has its own does each say so with
//! [`Record::Resumed`]: a start that breaks off in between has lost nothing. Where a
//! snapshot was kept (see `snapshot`), only what is behind it is read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::time::{Now, Wall};
use crate::record::frame::{Damage, VERSION};
use crate::record::{Dealt, Fold, Record, Recovered, Share};

use super::{Fault, Journal, Ledger, Reader, segment};

/// How many calls are written anew at a time.
const CHUNK: usize = 256;

/// Whether this version reads what was written to a ledger last, by a Tollgate that
/// may still run.
///
/// # Errors
/// [`Fault`]: it cannot be read, or another version wrote it.
pub fn legible(directory: &Path) -> Result<(), Fault> {
    if !directory.is_dir() {
        return Ok(());
    }
    let mut reader = Reader::open(directory)?.latest();
    while let Some(entry) = reader.next()? {
        // A damage hides nothing that would be missed later: the rest is read all the same.
        if let Err(damage) = &entry.content {
            of_this_version(damage, entry.segment)?;
        }
    }
    Ok(())
}

fn of_this_version(damage: &Damage, segment: &Path) -> Result<(), Fault> {
    match *damage {
        Damage::Unknown { version, .. } if version != VERSION => Err(Fault::Version {
            path: segment.to_path_buf(),
            version,
        }),
        _ => Ok(()),
    }
}

impl Ledger {
    /// Reads what the ledger holds of earlier lives, for one that begins `now`, in
    /// this boot of the host.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be read, or another version wrote it.
    pub fn recover(&self, now: Now, boot: &str) -> Result<Recovered, Fault> {
        let mut folds = BTreeMap::<u16, Fold>::new();
        let mut damaged = 0_u64;
        let mut reader = Reader::open(&self.directory)?;
        for shard in segment::shards(&self.directory).map_err(Fault::io("read", &self.directory))? {
            if let Some((place, fold)) = self.kept_fold(shard) {
                folds.insert(shard, fold);
                reader.skip_to(shard, place);
            }
        }
        while let Some(entry) = reader.next()? {
            match entry.content {
                Ok(record) => folds.entry(entry.shard).or_default().apply(&record),
                // The last write of a life that was killed: nothing followed from it.
                Err(Damage::Torn) => {}
                Err(damage) => {
                    of_this_version(&damage, entry.segment)?;
                    damaged = damaged.saturating_add(1);
                }
            }
        }
        let mut recovered = Recovered::of(folds, now, boot);
        recovered.damaged = damaged;
        Ok(recovered)
    }
}

impl Dealt {
    /// Opens a journal for each shard, each beginning with what `opening` says of it
    /// and with the calls that it takes over.
    ///
    /// # Errors
    /// [`Fault`]: one cannot be written. The ledger then still holds all there was.
    pub fn resume<'r>(
        &self,
        ledger: &Ledger,
        wall: Wall,
        opening: impl Fn(u16) -> Vec<Record<'r>>,
    ) -> Result<Vec<Journal>, Fault> {
        let open = |shard| -> Result<Journal, Fault> {
            let mut journal = Journal::open(ledger, shard, wall)?;
            journal.begin(&opening(shard))?;
            Ok(journal)
        };
        let sync = |journal: &mut Journal| {
            let synced = journal.sync();
            synced.map_err(Fault::io("sync", &ledger.directory))
        };
        let mut journals = Vec::with_capacity(self.shares.len());
        for (shard, share) in (0..).zip(&self.shares) {
            let mut journal = open(shard)?;
            journal.take_over(share, wall)?;
            // None is given up in one series before the disk has it in another.
            sync(&mut journal)?;
            journals.push(journal);
        }
        for (shard, (journal, share)) in (0..).zip(journals.iter_mut().zip(&self.shares)) {
            let calls = u64::try_from(share.calls.len()).unwrap_or(u64::MAX);
            journal.begin(&self.resumed(shard, wall, calls))?;
            // Of what this life draws ahead, only it knows; of the rest, only this.
            sync(journal)?;
        }
        for &shard in &self.retired {
            let mut ends = self.resumed(shard, wall, 0);
            ends.push(Record::Stopped { wall, live: 0 });
            let mut journal = open(shard)?;
            journal.begin(&ends)?;
            sync(&mut journal)?;
        }
        Ok(journals)
    }
}

impl Journal {
    /// Writes the calls of earlier lives anew.
    pub(super) fn take_over(&mut self, share: &Share, wall: Wall) -> Result<(), Fault> {
        for taken in share.calls.chunks(CHUNK) {
            let states: Vec<_> = taken.iter().map(|taken| taken.call.state()).collect();
            let records = taken.iter().zip(&states);
            let records = records.map(|(taken, state)| taken.restored(wall, state));
            self.begin(&records.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
