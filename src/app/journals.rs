//! The shards' journals at a start and at an end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::time::Wall;
use crate::ledger::{Beginning, Fault, Journal, Ledger, Syncing};
use crate::net;
use crate::policy::RuleSet;
use crate::record::{Dealt, Record};

use super::run::boot;

/// What each journal of this life begins with, written as soon as it can be.
#[derive(Clone)]
pub(super) struct Begun(Arc<Mutex<Beginning>>);

/// A journal for each shard, each beginning with who writes it, by which rules, and
/// with what the shard takes over of the lives before.
///
/// On a full disk that is written as soon as there is room. Until then the shards have
/// journals that cannot be written.
///
/// # Errors
/// [`Fault`]: the ledger cannot be written, and not because the disk is full.
pub(super) fn journals(
    ledger: &Ledger,
    dealt: &Arc<Dealt>,
    rules: &RuleSet,
) -> Result<(Vec<Box<dyn net::Journal>>, Begun), Fault> {
    let wall = net::clock::now().wall;
    let boot = boot();
    let unsigned = ledger.unsigned()?.map(|it| it.to_string());
    if let Some(unsigned) = &unsigned {
        tracing::warn!("ledger: {unsigned}");
    }
    let shards = u16::try_from(dealt.shares.len()).unwrap_or(u16::MAX);
    let opening = |shard| {
        let note = unsigned.as_ref().filter(|_| shard == 0);
        let note = note.map(|unsigned| Record::Note {
            wall,
            what: "ledger_unsigned",
            detail: unsigned,
            count: 1,
        });
        let begins = [
            Record::Started {
                wall,
                shard,
                shards,
                program: env!("CARGO_PKG_VERSION"),
                boot: boot.trim(),
            },
            Record::RulesLoaded {
                wall,
                hash: rules.hash(),
                version: rules.version(),
            },
        ];
        begins.into_iter().chain(note).collect()
    };
    let mut beginning = Beginning::of(ledger, Arc::clone(dealt), wall, opening)?;
    match beginning.go_on() {
        Err(fault) if fault.is_lack_of_room() => tracing::warn!(
            "{fault}: Tollgate starts all the same. What it knows of calls, caps and budgets is as \
             the journal has it; calls that are up go on, emergency calls pass, and no other is let \
             in before the journal can be written"
        ),
        begun => begun?,
    }
    let durable = beginning.is_durable();
    let begun = Begun(Arc::new(Mutex::new(beginning)));
    let journal = |shard| match begun.journal(shard) {
        Some(journal) => Box::new(journal) as Box<dyn net::Journal>,
        None => Box::new(Waiting {
            shard,
            begun: begun.clone(),
            durable,
            open: None,
        }),
    };
    let journals = (0..shards).map(journal).collect();
    Ok((journals, begun))
}

impl Begun {
    fn on<T>(&self, run: impl FnOnce(&mut Beginning) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn journal(&self, shard: u16) -> Option<Journal> {
        self.on(|it| it.journal(shard))
    }

    /// Writes into each journal that it ended in order, if all is written and `whole`:
    /// without this, the next start takes it for a crash.
    ///
    /// # Errors
    /// [`Fault`]: one cannot be written.
    pub(super) fn close(
        &self,
        whole: bool,
        ledger: &Ledger,
        shards: u16,
        live: u64,
    ) -> Result<(), Fault> {
        if !(whole && self.on(|it| it.is_done())) {
            // The next start must not take what is written for all there was.
            return Ok(());
        }
        let wall = net::clock::now().wall;
        (0..shards).try_for_each(|shard| {
            Journal::open(ledger, shard, wall)?.begin(&[Record::Stopped { wall, live }])
        })
    }
}

/// A shard's journal that does not have yet what it begins with.
struct Waiting {
    shard: u16,
    begun: Begun,
    durable: bool,
    open: Option<Journal>,
}

impl Waiting {
    /// The journal, once all of this life's have what they begin with: until then, nothing
    /// else may be written to any.
    fn open(&mut self) -> io::Result<&mut Journal> {
        let journal = match self.open.take() {
            Some(journal) => journal,
            None => self.begun.on(|beginning| {
                beginning.go_on().map_err(told)?;
                beginning.journal(self.shard).ok_or_else(not_yet)
            })?,
        };
        Ok(self.open.insert(journal))
    }
}

fn told(fault: Fault) -> io::Error {
    let kind = match fault.is_lack_of_room() {
        true => io::ErrorKind::StorageFull,
        false => io::ErrorKind::Other,
    };
    io::Error::new(kind, fault.to_string())
}

fn not_yet() -> io::Error {
    io::Error::new(
        io::ErrorKind::StorageFull,
        "the journal has not begun yet: the disk was full at the start",
    )
}

impl net::Journal for Waiting {
    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.open()?.append(frames)
    }

    fn wants_room(&self) -> bool {
        self.open.as_ref().is_none_or(Journal::wants_room)
    }

    fn new_day(&mut self, wall: Wall) -> io::Result<()> {
        match &mut self.open {
            Some(journal) => journal.new_day(wall),
            None => Ok(()),
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.open()?.prepare()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.open()?.sync()
    }

    fn syncer(&self) -> Option<Box<dyn net::Syncer>> {
        Some(Box::new(WaitingSync {
            shard: self.shard,
            begun: self.begun.clone(),
            syncing: None,
        }))
    }

    fn is_durable(&self) -> bool {
        self.durable
    }
}

/// What syncs such a journal.
struct WaitingSync {
    shard: u16,
    begun: Begun,
    syncing: Option<Syncing>,
}

impl net::Syncer for WaitingSync {
    fn sync(&mut self) -> io::Result<()> {
        let syncing = match self.syncing.take() {
            Some(syncing) => syncing,
            None => {
                let syncing = self.begun.on(|it| it.syncing(self.shard));
                syncing.ok_or_else(not_yet)?
            }
        };
        self.syncing.insert(syncing).sync()
    }
}

impl net::Journal for Journal {
    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        Journal::append(self, frames)
    }

    fn wants_room(&self) -> bool {
        Journal::wants_room(self)
    }

    fn new_day(&mut self, wall: Wall) -> io::Result<()> {
        Journal::new_day(self, wall)
    }

    fn prepare(&mut self) -> io::Result<()> {
        Journal::prepare(self)
    }

    fn sync(&mut self) -> io::Result<()> {
        Journal::sync(self)
    }

    fn syncer(&self) -> Option<Box<dyn net::Syncer>> {
        Some(Box::new(self.syncing()))
    }

    fn is_durable(&self) -> bool {
        Journal::is_durable(self)
    }
}

impl net::Syncer for Syncing {
    fn sync(&mut self) -> io::Result<()> {
        Syncing::sync(self)
    }
}
