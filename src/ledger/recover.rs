//! What a start finds in the ledger of the lives before it.
//!
//! Each series of segments is read on its own (`record::Fold`), and all of them
//! together are the state (`record::Recovered`), which `beginning` has written anew. Where
//! a snapshot was kept (see `snapshot`), only what is behind it is read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::time::Now;
use crate::record::frame::{Damage, VERSION};
use crate::record::{Fold, Recovered};

use super::{Fault, Ledger, Reader, segment};

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
