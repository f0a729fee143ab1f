//! What each series comes to, kept now and then beside it, so that a start need not
//! read it from its beginning.
//!
//! A snapshot is a [`Fold`] and the place that it reaches: the records behind it are
//! applied to it at a start. One that cannot be read is said loudly and costs time,
//! nothing else: the series itself is read then.
//!
//! ```text
//! CRC-32 u32 LE of what follows | version u8 | postcard: place, fold
//! ```

use std::collections::BTreeMap;
use std::fs::File;

use crate::base::time::{Mono, Now};
use crate::record::Fold;

use super::follow::{Content, Found, Place, Sink};
use super::{Fault, Ledger, segment};

/// Of the encoding: raised when what a [`Fold`] is made of changes.
const VERSION: u8 = 8;

/// A snapshot is taken after so many records, but not more often than
/// [`SOONEST_S`]; and after [`LATEST_S`], if there were any.
const RECORDS: u64 = 50_000;
const SOONEST_S: u64 = 10;
const LATEST_S: u64 = 300;

/// How many times as long as the last snapshot the journal behind it is, before the next
/// is taken: one costs as much as it is long, however little is new in it. After a crash
/// at a thousand calls a second, a start takes some two seconds so.
const TIMES: u64 = 4;

/// Keeps a snapshot of each series.
#[derive(Debug)]
pub struct Snapshots {
    ledger: Ledger,
    series: BTreeMap<u16, Series>,
    /// When this life began, and when it took the last ones.
    begun: Option<Mono>,
    taken: Option<Mono>,
    /// That they cannot be was said.
    failing: bool,
}

/// One series, as far as it was read.
#[derive(Debug, Default)]
struct Series {
    place: Place,
    fold: Fold,
    /// Records since the last snapshot, and their bytes.
    fresh: u64,
    fresh_bytes: u64,
    /// How long that is.
    length: u64,
}

impl Series {
    /// Whether a snapshot would spare a start something.
    const fn is_due(&self) -> bool {
        self.fresh >= RECORDS && self.fresh_bytes >= self.length.saturating_mul(TIMES)
    }
}

impl Snapshots {
    /// Of the series of this ledger.
    #[must_use]
    pub const fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            series: BTreeMap::new(),
            begun: None,
            taken: None,
            failing: false,
        }
    }

    /// Takes those that are due, or whatever has something new.
    fn keep(&mut self, all: bool) -> Result<(), Fault> {
        for (shard, series) in &mut self.series {
            if series.is_due() || (all && series.fresh > 0) {
                let (place, fold) = (series.place, &series.fold);
                let before = usize::try_from(series.length).unwrap_or(0);
                let length = self.ledger.keep_fold(*shard, place, fold, before)?;
                series.length = u64::try_from(length).unwrap_or(u64::MAX);
                (series.fresh, series.fresh_bytes) = (0, 0);
            }
        }
        Ok(())
    }
}

impl Sink for Snapshots {
    fn place(&mut self, shard: u16) -> Option<Place> {
        let (place, fold) = self.ledger.kept_fold(shard)?;
        let series = Series {
            place,
            fold,
            ..Series::default()
        };
        self.series.insert(shard, series);
        Some(place)
    }

    fn reset(&mut self, shard: u16) {
        self.series.insert(shard, Series::default());
    }

    fn take(&mut self, found: &Found<'_>) {
        let series = self.series.entry(found.shard).or_default();
        series.place = found.after;
        if let Content::Record(record) = found.content {
            series.fold.apply(record);
            series.fresh = series.fresh.saturating_add(1);
            let length = u64::try_from(found.bytes.len()).unwrap_or(u64::MAX);
            series.fresh_bytes = series.fresh_bytes.saturating_add(length);
        }
    }

    fn rest(&mut self, now: Now, _caught_up: bool, last: bool) {
        let begun = *self.begun.get_or_insert(now.mono);
        let since = |at: Mono| now.mono.saturating_since(at).as_secs();
        let all = last || since(self.taken.unwrap_or(begun)) >= LATEST_S;
        // The first in a life does not wait: lives that all end sooner would leave more and
        // more to be read at each start.
        let may = self.taken.is_none_or(|at| since(at) >= SOONEST_S);
        let due = may && self.series.values().any(Series::is_due);
        if !due && !all {
            return;
        }
        self.taken = Some(now.mono);
        match self.keep(all) {
            Ok(()) => self.failing = false,
            Err(fault) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("no snapshot for a quick start can be kept: {fault}");
                }
            }
        }
    }
}

impl Ledger {
    /// Says how long it is; `before` is how long the last one was.
    fn keep_fold(
        &self,
        shard: u16,
        place: Place,
        fold: &Fold,
        before: usize,
    ) -> Result<usize, Fault> {
        // The journal must not come to end before the place after a loss of power.
        let folder = segment::folder(&self.directory, shard);
        let path = segment::path(&folder, place.segment);
        File::open(&path)
            .and_then(|file| file.sync_data())
            .map_err(Fault::io("sync", &path))?;
        let mut bytes = Vec::with_capacity(before.saturating_add(before / 8));
        bytes.extend([0; 4]);
        bytes.push(VERSION);
        // Into memory, nothing here can fail.
        bytes = postcard::to_extend(&(place, fold), bytes).unwrap_or_default();
        if let Some((sum, rest)) = bytes.split_first_chunk_mut::<4>() {
            *sum = crc32fast::hash(rest).to_le_bytes();
        }
        self.keep(&name(shard), &bytes)?;
        Ok(bytes.len())
    }

    /// A shard's snapshot, if there is one to go on from.
    pub(super) fn kept_fold(&self, shard: u16) -> Option<(Place, Fold)> {
        let path = self.directory.join(name(shard));
        let bytes = match self.kept(&name(shard)) {
            Ok(bytes) => bytes?,
            Err(fault) => {
                tracing::error!("{fault}: the whole journal of shard {shard} is read instead");
                return None;
            }
        };
        let kept = read(&bytes).filter(|(place, _)| self.has(shard, *place));
        if kept.is_none() {
            tracing::error!(
                "{} is damaged, or of another journal or version: the whole journal of shard \
                 {shard} is read instead",
                path.display()
            );
        }
        kept
    }

    /// Whether a shard's series reaches as far as a place.
    fn has(&self, shard: u16, place: Place) -> bool {
        let folder = segment::folder(&self.directory, shard);
        let metadata = segment::path(&folder, place.segment).metadata();
        metadata.is_ok_and(|metadata| metadata.len() >= place.offset)
    }
}

fn name(shard: u16) -> String {
    format!("fold-{shard:03}")
}

fn read(bytes: &[u8]) -> Option<(Place, Fold)> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (&version, fold) = rest.split_first()?;
    let fold = postcard::from_bytes(fold).ok();
    fold.filter(|_| version == VERSION)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::time::Wall;
    use crate::ledger::Journal;

    #[test]
    fn a_life_that_ends_soon_leaves_the_next_one_no_more_to_read() {
        let folder = super::super::tests::Temporary::new();
        let ledger = Ledger::open(&folder.ledger()).unwrap();
        let _journal = Journal::open(&ledger, 0, Wall::from_micros(0)).unwrap();
        let mut snapshots = Snapshots::new(ledger.clone());
        let place = Place {
            segment: 1,
            ..Place::default()
        };
        let mut now = Now::default();
        let mut taken = |fresh| {
            let series = snapshots.series.entry(0).or_default();
            (series.place, series.fresh, series.fresh_bytes) = (place, fresh, fresh * 100);
            snapshots.rest(now, true, false);
            now.mono = now.mono + Duration::from_secs(1);
            snapshots.series[&0].fresh == 0
        };
        assert!(!taken(RECORDS - 1));
        assert!(taken(RECORDS));
        assert!(ledger.kept_fold(0).is_some());
        // The next one is not so soon.
        for _ in 0..SOONEST_S - 1 {
            assert!(!taken(RECORDS));
        }
        assert!(taken(RECORDS));
    }

    #[test]
    fn a_snapshot_is_worth_what_it_costs() {
        let series = |fresh, fresh_bytes, length| Series {
            fresh,
            fresh_bytes,
            length,
            ..Series::default()
        };
        // The first one, and one of few calls.
        assert!(!series(RECORDS - 1, 10_000_000, 0).is_due());
        assert!(series(RECORDS, 10_000_000, 0).is_due());
        assert!(series(RECORDS, 10_000_000, 1_000_000).is_due());
        // Of many calls that go on, with little new.
        assert!(!series(RECORDS, 10_000_000, 100_000_000).is_due());
        assert!(series(5_000_000, 800_000_000, 100_000_000).is_due());
    }
}
