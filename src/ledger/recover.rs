//! What a start finds in the ledger of the lives before it.
//!
//! Each series of segments is read on its own (`record::Fold`), and all of them
//! together are the state. The calls are then dealt to this life's shards, of which
//! there may be more or fewer, by the bucket of their Call-ID, and written anew into
//! their shards' journals. Only when every journal has its own does each say so with
//! [`Record::Resumed`]: a start that breaks off in between has lost nothing. Where a
//! snapshot was kept (see `snapshot`), only what is behind it is read.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::base::tally::{Tallies, add_up};
use crate::base::time::{Now, Wall};
use crate::base::token::Buckets;
use crate::record::fold::Call;
use crate::record::frame::{Damage, VERSION};
use crate::record::{CallRef, Fold, Record};

use super::{Fault, Journal, Ledger, Reader, segment};

/// How many calls are written anew at a time.
const CHUNK: usize = 256;

/// What the ledger holds of earlier lives.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What every counter has come to, by tenant.
    pub tallies: BTreeMap<Box<str>, Tallies>,
    /// Every call that a peer may still know of, and in which series it was found.
    calls: Vec<(u16, Call)>,
    /// Every series there is.
    series: Vec<u16>,
    /// The highest number that any series gave to a call.
    highest: CallRef,
    /// Places that could not be read. What they held is not known.
    pub damaged: u64,
}

/// A call for one of this life's shards.
#[derive(Clone, Debug)]
pub struct Taken {
    /// In which series it was found.
    pub was_shard: u16,
    /// What it was called there.
    pub was: CallRef,
    /// The call, with the number that it has now.
    pub call: Call,
}

/// What one shard takes over.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// Its calls.
    pub calls: Vec<Taken>,
    /// Above every number that calls have.
    pub next: CallRef,
}

/// What each shard of this life takes over.
#[derive(Clone, Debug, Default)]
pub struct Dealt {
    /// For each shard, in order.
    pub shares: Vec<Share>,
    /// The series that no shard of this life goes on with.
    pub retired: Vec<u16>,
}

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

impl Recovered {
    /// What these series come to, each with its shard's number, for a life that begins
    /// `now`, in this boot of the host.
    #[must_use]
    pub fn of(folds: impl IntoIterator<Item = (u16, Fold)>, now: Now, boot: &str) -> Self {
        let mut recovered = Self::default();
        for (shard, fold) in folds {
            recovered.series.push(shard);
            recovered.highest = recovered.highest.max(fold.calls.highest());
            let (tallies, calls) = fold.taken_over(now, boot);
            add_up(&mut recovered.tallies, tallies);
            let calls = calls.into_iter().map(|call| (shard, call));
            recovered.calls.extend(calls);
        }
        recovered.forget_doubles();
        recovered
    }

    /// How many calls are up.
    #[must_use]
    pub fn up(&self) -> usize {
        let up = self.calls.iter().filter(|(_, call)| call.end.is_none());
        up.count()
    }

    /// A start that broke off may have written a call anew beside its first place.
    /// Nothing has happened in between, so one is as good as the other.
    fn forget_doubles(&mut self) {
        let mut seen = HashSet::new();
        self.calls.retain(|(_, call)| {
            let legs = call.legs.as_ref();
            legs.is_some_and(|legs| seen.insert(legs.callee.local_tag.clone()))
        });
    }

    /// Deals the calls to so many shards. Who is dealt a call of another shard's
    /// series gives it a number of its own.
    #[must_use]
    pub fn deal(self, buckets: &Buckets, shards: u16, wall: Wall) -> Dealt {
        let clock = u64::try_from(wall.as_micros()).unwrap_or(0);
        let mut next = self.highest.0.max(clock);
        let mut shares: Vec<Share> = (0..shards).map(|_| Share::default()).collect();
        for (was_shard, mut call) in self.calls {
            let call_id = call.legs.as_ref().map(|legs| &*legs.caller.call_id);
            let shard = buckets.bucket(call_id.unwrap_or_default()).shard(shards);
            let was = call.reference;
            if shard != was_shard {
                next = next.saturating_add(1);
                call.reference = CallRef(next);
            }
            if let Some(share) = shares.get_mut(usize::from(shard)) {
                share.calls.push(Taken {
                    was_shard,
                    was,
                    call,
                });
            }
        }
        for share in &mut shares {
            share.next = CallRef(next.saturating_add(1));
        }
        let retired = self.series.into_iter().filter(|series| *series >= shards);
        Dealt {
            shares,
            retired: retired.collect(),
        }
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
        let mut journals = Vec::with_capacity(self.shares.len());
        for (shard, share) in (0..).zip(&self.shares) {
            let mut journal = open(shard)?;
            journal.take_over(share, wall)?;
            journals.push(journal);
        }
        for (journal, share) in journals.iter_mut().zip(&self.shares) {
            let calls = u64::try_from(share.calls.len()).unwrap_or(u64::MAX);
            journal.begin(&[Record::Resumed { wall, calls }])?;
        }
        for shard in &self.retired {
            let ends = [
                Record::Resumed { wall, calls: 0 },
                Record::Stopped { wall, live: 0 },
            ];
            open(*shard)?.begin(&ends)?;
        }
        Ok(journals)
    }
}

impl Journal {
    /// Writes the calls of earlier lives anew.
    pub(super) fn take_over(&mut self, share: &Share, wall: Wall) -> Result<(), Fault> {
        for taken in share.calls.chunks(CHUNK) {
            let states: Vec<_> = taken.iter().map(|taken| taken.call.state()).collect();
            let records = taken
                .iter()
                .zip(&states)
                .map(|(taken, state)| Record::Restored {
                    call: taken.call.reference,
                    wall,
                    was_shard: taken.was_shard,
                    was: taken.was,
                    tenant: &taken.call.tenant,
                    number: &taken.call.number,
                    state,
                });
            self.begin(&records.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
