//! Follows the journal as it is written: one thread of low priority hands every
//! record of every shard, in its shard's order, to those who make something of it.
//!
//! Nothing is handed over on a call's way: the follower reads the files, some
//! times a second, up to the [`Mark`] that each shard's thread leaves behind what
//! it wrote.

pub(super) mod cursor;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Now;
use crate::record::Record;
use crate::record::frame::Damage;

use super::{Fault, Ledger, segment};
use cursor::Cursor;

/// A place in one shard's series of segments. A later place is greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// The segment's number, from 1.
    pub segment: u64,
    /// Bytes from the segment's beginning.
    pub offset: u64,
    /// Intact records before it, those of earlier segments included.
    pub count: u64,
}

/// What lies at a place.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A segment begins: the bytes of its header.
    Header(&'a [u8]),
    /// A record.
    Record(&'a Record<'a>),
    /// A whole frame that no sink wants read: see [`Sink::reads`].
    Frame,
    /// An intact frame of a kind that this version does not know, or bytes that
    /// are no frame. A torn one is followed by nothing in its segment.
    Damage(Damage),
    /// Segments that should be there are not: as many as this.
    Missing(u64),
}

/// One thing found in a shard's journal.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Whose journal it is in.
    pub shard: u16,
    /// Where it begins.
    pub place: Place,
    /// Where what follows it begins: the place to go on from.
    pub after: Place,
    /// The bytes of it: of a record, its whole frame.
    pub bytes: &'a [u8],
    /// What it is.
    pub content: Content<'a>,
}

/// Who makes something of the journal's records.
///
/// A sink keeps its places together with what it has made of the records, so that
/// a restart can neither leave one out nor bring one twice.
pub trait Sink: Send {
    /// From where on it wants a shard's records; `None`: from the oldest on.
    /// Asked once for each shard, before its first.
    fn place(&mut self, shard: u16) -> Option<Place>;

    /// The place that [`Self::place`] named does not exist: the journal is not
    /// the one it was of. All records come again from the oldest on.
    fn reset(&mut self, shard: u16);

    /// Whether it looks into records. To have them read is half of what following costs.
    fn reads(&self) -> bool {
        true
    }

    /// Takes the next thing found in a shard's journal.
    fn take(&mut self, found: &Found<'_>);

    /// A round is over, some times a second: the time to make durable what was
    /// taken. `caught_up` says that there was nothing more to read, and `last`
    /// that nothing will follow.
    fn rest(&mut self, now: Now, caught_up: bool, last: bool);
}

/// How often the journal is looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// How long the end waits for what is still unread. Who follows goes on from its
/// place at the next start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread's niceness. Not the lowest: a machine that is busy for hours must
/// not leave the chain hours behind.
const NICE: i32 = 10;

/// How many bytes of each shard a round reads before others have their turn.
const ROUND_BYTES: u64 = 4 << 20;

/// Reads what is new in every shard's journal, round by round.
pub struct Follower {
    ledger: Ledger,
    sinks: Vec<Box<dyn Sink>>,
    clock: fn() -> Now,
    cursors: Vec<Cursor>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("ledger", &self.ledger.directory)
            .field("sinks", &self.sinks.len())
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// Follows `ledger` for `sinks`, by that clock. Shards that only an earlier
    /// life had are read to their end.
    #[must_use]
    pub const fn new(ledger: Ledger, sinks: Vec<Box<dyn Sink>>, clock: fn() -> Now) -> Self {
        Self {
            ledger,
            sinks,
            clock,
            cursors: Vec::new(),
        }
    }

    /// Hands over what is new, or a share of it. Whether there was nothing more.
    ///
    /// # Errors
    /// The first [`Fault`] of those that shards met. Others were read, and each
    /// goes on where it stands at the next round.
    pub fn round(&mut self) -> Result<bool, Fault> {
        self.read(false)
    }

    /// Hands over all that is there, for the last time.
    ///
    /// # Errors
    /// [`Fault`]: what could not be read. The rest was handed over.
    pub fn finish(mut self) -> Result<(), Fault> {
        let end = (self.clock)().mono + PATIENCE;
        let mut read = Ok(false);
        while matches!(read, Ok(false)) && (self.clock)().mono < end {
            read = self.read(false);
        }
        self.read(true).and(read).map(|_| ())
    }

    fn read(&mut self, last: bool) -> Result<bool, Fault> {
        if self.sinks.is_empty() {
            return Ok(true);
        }
        let mut result = self.meet();
        let mut caught_up = result.is_ok();
        for cursor in &mut self.cursors {
            match cursor.read(ROUND_BYTES, &mut self.sinks) {
                Ok(done) => caught_up &= done,
                Err(fault) => {
                    caught_up = false;
                    result = result.and(Err(fault));
                }
            }
        }
        let now = (self.clock)();
        for sink in &mut self.sinks {
            sink.rest(now, caught_up, last);
        }
        result.map(|()| caught_up)
    }

    /// Begins with shards not seen before.
    fn meet(&mut self) -> Result<(), Fault> {
        let marks = self.ledger.marks.all();
        let directory = &self.ledger.directory;
        for cursor in &mut self.cursors {
            cursor.is_written_by(&marks);
        }
        if !self.cursors.is_empty() && self.cursors.len() >= marks.len() {
            return Ok(());
        }
        for shard in segment::shards(directory).map_err(Fault::io("read", directory))? {
            if self.cursors.iter().any(|it| it.shard() == shard) {
                continue;
            }
            let mut cursor = Cursor::new(directory, shard);
            cursor.is_written_by(&marks);
            cursor.begin(&mut self.sinks)?;
            self.cursors.push(cursor);
        }
        Ok(())
    }

    /// Follows in a thread of its own.
    ///
    /// # Errors
    /// [`Fault`]: there can be no thread.
    pub fn start(self) -> Result<Following, Fault> {
        let directory = self.ledger.directory.clone();
        let bell = Arc::new(Bell::default());
        let thread = thread::Builder::new()
            .name("follower".to_owned())
            .spawn({
                let bell = Arc::clone(&bell);
                move || {
                    let follow = AssertUnwindSafe(|| self.follow(&bell));
                    if catch_unwind(follow).is_err() {
                        tracing::error!(
                            "the journal is not followed any more, by a defect of the program: \
                             no checkpoint is made until the next start"
                        );
                    }
                }
            })
            .map_err(Fault::io("start a thread to follow", &directory))?;
        Ok(Following {
            bell,
            thread: Some(thread),
        })
    }

    fn follow(mut self, bell: &Bell) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the journal is followed at an ordinary priority");
        }
        let mut failing = false;
        while !bell.wait(INTERVAL) {
            // As much as there is; an end that is asked for has its own patience.
            loop {
                match self.round() {
                    Ok(true) => failing = false,
                    Ok(false) if !bell.rings() => continue,
                    Ok(false) => {}
                    Err(fault) if !failing => {
                        failing = true;
                        tracing::error!("the journal cannot be followed: {fault}");
                    }
                    Err(_) => {}
                }
                break;
            }
        }
        if let Err(fault) = self.finish() {
            tracing::error!("the journal was not followed to its end: {fault}");
        }
    }
}

/// A follower at work. Dropped, it ends as by [`Self::finish`].
#[derive(Debug)]
pub struct Following {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Waits until everything written so far was handed over, and ends. To be
    /// called when the journals are closed.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic was said by the thread itself.
            let _said = thread.join();
        }
    }
}

/// Ends the wait.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    pub(super) fn rings(&self) -> bool {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long. Whether it is the end instead.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (rung, _) = self
            .wake
            .wait_timeout_while(rung, time, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung
    }
}
