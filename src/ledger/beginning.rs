//! What stands at the beginning of a life in its journals.
//!
//! The calls of earlier lives are dealt to this life's shards, and written anew into their
//! shards' journals. Only when every journal has its own does each say so with
//! [`Record::Resumed`]: a start that breaks off in between has lost nothing. On a full disk
//! the life goes on meanwhile, and nothing of it is written before all of this is.

use std::io;
use std::sync::Arc;

use crate::base::time::Wall;
use crate::record::{Buffer, Dealt, Record, Taken};

use super::{Fault, Journal, Ledger, Syncing};

/// How many calls are written anew at a time.
const CHUNK: usize = 256;

/// The journals of a life, until each has what stands at its beginning.
#[derive(Debug)]
pub struct Beginning {
    ledger: Ledger,
    dealt: Arc<Dealt>,
    wall: Wall,
    /// Those that this life writes, in the order of its shards, and behind them those that
    /// it only ends.
    series: Vec<Series>,
    done: bool,
}

/// One shard's journal.
#[derive(Debug)]
struct Series {
    shard: u16,
    /// What says first whose life it is, in frames.
    opening: Vec<u8>,
    journal: Option<Journal>,
    /// How much is written of what it begins with: its opening, and chunks of calls.
    written: usize,
    /// That it has resumed is written, too.
    resumed: bool,
    syncing: Option<Syncing>,
}

impl Beginning {
    /// Of a life that begins at this time with these calls, each of its journals with what
    /// `opening` says of it. Nothing is written yet.
    ///
    /// # Errors
    /// [`Fault`]: what `opening` says cannot be written anywhere.
    pub fn of<'r>(
        ledger: &Ledger,
        dealt: Arc<Dealt>,
        wall: Wall,
        opening: impl Fn(u16) -> Vec<Record<'r>>,
    ) -> Result<Self, Fault> {
        let series = |shard| -> Result<Series, Fault> {
            let mut buffer = Buffer::new();
            opening(shard)
                .iter()
                .try_for_each(|record| buffer.append(record))
                .map_err(io::Error::other)
                .map_err(Fault::io("write", &ledger.directory))?;
            Ok(Series {
                shard,
                opening: buffer.bytes().to_vec(),
                journal: None,
                written: 0,
                resumed: false,
                syncing: None,
            })
        };
        let ours = (0..).zip(&dealt.shares).map(|(shard, _)| shard);
        let all = ours.chain(dealt.retired.iter().copied());
        let series = all.map(series).collect::<Result<_, _>>()?;
        Ok(Self {
            ledger: ledger.clone(),
            dealt,
            wall,
            series,
            done: false,
        })
    }

    /// Writes what is not written yet. Where it is all written and on the disk, this does
    /// nothing.
    ///
    /// # Errors
    /// [`Fault`]: something cannot be written. The ledger then still holds all there was,
    /// and this may be tried again.
    pub fn go_on(&mut self) -> Result<(), Fault> {
        if self.done {
            return Ok(());
        }
        self.take_over(usize::MAX)?;
        let (ledger, dealt, wall) = (&self.ledger, &*self.dealt, self.wall);
        let ours = dealt.shares.len().min(self.series.len());
        let (ours, retired) = self.series.split_at_mut(ours);
        for (series, share) in ours.iter_mut().zip(&dealt.shares) {
            let calls = u64::try_from(share.calls.len()).unwrap_or(u64::MAX);
            // Of what this life draws ahead, only it knows; of the rest, only this.
            series.resume(ledger, &dealt.resumed(series.shard, wall, calls))?;
        }
        for series in &mut *retired {
            series.take_over(ledger, &[], wall)?;
            let mut ends = dealt.resumed(series.shard, wall, 0);
            ends.push(Record::Stopped { wall, live: 0 });
            series.resume(ledger, &ends)?;
        }
        for series in ours {
            series.syncing = series.journal.as_ref().map(Journal::syncing);
        }
        for series in retired {
            series.journal = None;
        }
        self.done = true;
        Ok(())
    }

    /// Has the calls of earlier lives on the disk in the journals of so many shards.
    pub(super) fn take_over(&mut self, shards: usize) -> Result<(), Fault> {
        self.ledger.keep_what_waits()?;
        let shares = self.dealt.shares.iter();
        for (series, share) in self.series.iter_mut().zip(shares).take(shards) {
            // None is given up in one series before the disk has it in another.
            series.take_over(&self.ledger, &share.calls, self.wall)?;
        }
        Ok(())
    }

    /// Whether all of it is written.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether messages are to wait until their records are on the disk.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.ledger.durable
    }

    /// A shard's journal, to go on with: once, when all is written.
    #[must_use]
    pub fn journal(&mut self, shard: u16) -> Option<Journal> {
        self.series_of(shard)?.journal.take()
    }

    /// What syncs that journal from another thread: once, when all is written.
    #[must_use]
    pub fn syncing(&mut self, shard: u16) -> Option<Syncing> {
        self.series_of(shard)?.syncing.take()
    }

    fn series_of(&mut self, shard: u16) -> Option<&mut Series> {
        let series = self.series.iter_mut().find(|it| it.shard == shard);
        series.filter(|_| self.done)
    }
}

impl Series {
    /// Has the opening and the calls of earlier lives on the disk.
    fn take_over(&mut self, ledger: &Ledger, calls: &[Taken], wall: Wall) -> Result<(), Fault> {
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => none.insert(Journal::open(ledger, self.shard, wall)?),
        };
        if self.written == 0 {
            let written = journal.append(&self.opening);
            written.map_err(Fault::io("write", &ledger.directory))?;
            self.written = 1;
        }
        for taken in calls.chunks(CHUNK).skip(self.written.saturating_sub(1)) {
            let states: Vec<_> = taken.iter().map(|taken| taken.call.state()).collect();
            let records = taken.iter().zip(&states);
            let records = records.map(|(taken, state)| taken.restored(wall, state));
            journal.begin(&records.collect::<Vec<_>>())?;
            self.written = self.written.saturating_add(1);
        }
        let synced = journal.sync();
        synced.map_err(Fault::io("sync", &ledger.directory))
    }

    /// Has on the disk that it has taken over what it does.
    fn resume(&mut self, ledger: &Ledger, ends: &[Record<'_>]) -> Result<(), Fault> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        if !self.resumed {
            journal.begin(ends)?;
            self.resumed = true;
        }
        let synced = journal.sync();
        synced.map_err(Fault::io("sync", &ledger.directory))
    }
}
