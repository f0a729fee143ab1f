//! Writing the journal, also when it cannot be written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::UNWRITTEN_BYTES;
use crate::base::time::{Mono, Now, Wall};

use super::hold::Syncer;
use super::stats::Stats;

/// Where a shard's records go.
pub trait Journal: Send {
    /// Appends `frames` with one write. Once it returns they outlive the process.
    ///
    /// # Errors
    /// None of them counts as written then.
    fn append(&mut self, frames: &[u8]) -> io::Result<()>;

    /// Whether [`Self::prepare`] should be called soon.
    fn wants_room(&self) -> bool;

    /// Goes on to the next segment if it is a new day.
    ///
    /// # Errors
    /// There is no room: no new call may be let in.
    fn new_day(&mut self, _wall: Wall) -> io::Result<()> {
        Ok(())
    }

    /// Makes room for what will be appended later.
    ///
    /// # Errors
    /// There is no room: no new call may be let in.
    fn prepare(&mut self) -> io::Result<()>;

    /// Waits until all that was appended is on the disk.
    ///
    /// # Errors
    /// It may be lost if the power fails.
    fn sync(&mut self) -> io::Result<()>;

    /// What does so from another thread. None if no message waits for that, not even
    /// one of a turn that has drawn ahead.
    fn syncer(&self) -> Option<Box<dyn Syncer>> {
        None
    }

    /// Whether no message may leave before its records are on the disk; otherwise it is
    /// enough that they outlive the process.
    fn is_durable(&self) -> bool {
        false
    }
}

/// How long after a failure the journal is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long records wait for others to be written with. What crosses the network before
/// a process dies may be lost as well.
const COMPANY: Duration = Duration::from_millis(50);

/// So many bytes do not wait.
const ENOUGH: usize = 64 << 10;

/// A shard's journal, and what was not or could not be written to it yet.
pub(super) struct Pen {
    journal: Box<dyn Journal>,
    /// What waits for company, and since when.
    waiting: Vec<u8>,
    since: Option<Mono>,
    unwritten: Vec<u8>,
    /// When the journal failed last; None while it can be trusted.
    failed: Option<Mono>,
    shard: u16,
    stats: Arc<Stats>,
}

impl Pen {
    pub(super) fn new(journal: Box<dyn Journal>, shard: u16, stats: Arc<Stats>) -> Self {
        Self {
            journal,
            waiting: Vec::new(),
            since: None,
            unwritten: Vec::new(),
            failed: None,
            shard,
            stats,
        }
    }

    /// Whether every record was written and there is room for more. If not,
    /// no new call may be let in; those that live go on.
    pub(super) const fn is_trusted(&self) -> bool {
        self.failed.is_none()
    }

    /// Takes the records of a turn in which nothing leaves. Were they lost with the
    /// process, it would be as if what the turn took in had been: so they need no write
    /// of their own.
    pub(super) fn add(&mut self, now: Mono, records: &[u8]) {
        self.waiting.extend_from_slice(records);
        self.since.get_or_insert(now);
        if self.waiting.len() >= ENOUGH {
            self.append(now, &[]);
        }
    }

    /// Appends a turn's records with one write, and those that wait for one before them.
    /// What cannot be written is kept, and goes in front of what comes later. Whether
    /// they are written.
    pub(super) fn append(&mut self, now: Mono, records: &[u8]) -> bool {
        if self.since.take().is_none() {
            return self.write(now, records);
        }
        let mut all = std::mem::take(&mut self.waiting);
        all.extend_from_slice(records);
        let written = self.write(now, &all);
        all.clear();
        self.waiting = all;
        written
    }

    fn write(&mut self, now: Mono, records: &[u8]) -> bool {
        if records.is_empty() {
            return true;
        }
        if !self.unwritten.is_empty() {
            self.keep(records);
            return false;
        }
        match self.journal.append(records) {
            Ok(()) => {
                self.stats.journal_bytes.add_len(records.len());
                true
            }
            Err(error) => {
                self.keep(records);
                self.distrust(now, &error);
                false
            }
        }
    }

    /// When [`Self::tend`] has something to write.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.since.map(|at| at + COMPANY)
    }

    /// Keeps what cannot be written now, as far as there is room for it: what
    /// came first tells the most.
    fn keep(&mut self, records: &[u8]) {
        let length = records.len();
        if self.unwritten.len().saturating_add(length) <= UNWRITTEN_BYTES {
            self.unwritten.extend_from_slice(records);
            return;
        }
        if self.stats.journal_lost.value() == 0 {
            let shard = self.shard;
            tracing::error!(shard, "memory for the journal is full: records are lost");
        }
        self.stats.journal_lost.add_len(length);
    }

    /// Between turns: writes what has waited long enough, makes room in time, and tries
    /// again what failed.
    pub(super) fn tend(&mut self, now: Now) {
        if self.deadline().is_some_and(|at| at <= now.mono) {
            self.append(now.mono, &[]);
        }
        if self.failed.is_none()
            && let Err(error) = self.journal.new_day(now.wall)
        {
            return self.distrust(now.mono, &error);
        }
        self.tend_room(now.mono);
    }

    fn tend_room(&mut self, now: Mono) {
        let waits = self.failed.is_some_and(|at| now < at + RETRY);
        let due = self.failed.is_some() || self.journal.wants_room();
        if waits || !due {
            return;
        }
        match self.catch_up() {
            Ok(()) => self.trust(),
            Err(error) => self.distrust(now, &error),
        }
    }

    /// Writes all that is left, for the end, and waits until it is on the disk if it
    /// is to be.
    pub(super) fn close(&mut self, now: Mono, to_disk: bool) {
        self.append(now, &[]);
        let written = self.catch_up().and_then(|()| match to_disk {
            true => self.journal.sync(),
            false => Ok(()),
        });
        if let Err(error) = written {
            let (shard, lost) = (self.shard, self.unwritten.len());
            tracing::error!(shard, lost, %error, "the journal could not be finished");
            self.stats.journal_lost.add_len(lost);
        }
    }

    fn catch_up(&mut self) -> io::Result<()> {
        if !self.unwritten.is_empty() {
            self.journal.append(&self.unwritten)?;
            self.stats.journal_bytes.add_len(self.unwritten.len());
            self.unwritten = Vec::new();
        }
        self.journal.prepare()
    }

    fn trust(&mut self) {
        if self.failed.take().is_some() {
            tracing::warn!(shard = self.shard, "the journal is written again");
        }
    }

    fn distrust(&mut self, now: Mono, error: &io::Error) {
        self.stats.journal_failed.add(1);
        let shard = self.shard;
        if self.failed.replace(now).is_none() {
            tracing::error!(
                shard,
                %error,
                "the journal cannot be written: new calls are refused, emergency calls excepted"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Disk {
        fn set_full(&self, full: bool) {
            self.0.lock().unwrap().1 = full;
        }

        fn text(&self) -> Vec<u8> {
            self.0.lock().unwrap().0.clone()
        }

        fn room(&self) -> io::Result<()> {
            match self.0.lock().unwrap().1 {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl Journal for Disk {
        fn append(&mut self, frames: &[u8]) -> io::Result<()> {
            self.room()?;
            self.0.lock().unwrap().0.extend_from_slice(frames);
            Ok(())
        }

        fn wants_room(&self) -> bool {
            self.text().len() > 5
        }

        fn prepare(&mut self) -> io::Result<()> {
            self.room()
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_could_not_be_written_comes_first_later() {
        let (disk, stats) = (Disk::default(), Arc::new(Stats::default()));
        let mut pen = Pen::new(Box::new(disk.clone()), 0, Arc::clone(&stats));
        let mut now = Mono::ZERO;
        pen.append(now, b"one ");
        disk.set_full(true);
        pen.append(now, b"two ");
        assert!(!pen.is_trusted());
        disk.set_full(false);
        pen.append(now, b"three ");
        pen.tend_room(now);
        assert!(!pen.is_trusted(), "tried again too soon");
        now = now + RETRY;
        pen.tend_room(now);
        assert!(pen.is_trusted());
        pen.append(now, b"four");
        assert_eq!(disk.text(), b"one two three four");
        assert_eq!(stats.journal_bytes.value(), 18);
    }

    #[test]
    fn what_waits_for_company_is_written_in_its_order_and_soon() {
        let disk = Disk::default();
        let mut pen = Pen::new(Box::new(disk.clone()), 0, Arc::default());
        let now = Now {
            mono: Mono::ZERO,
            wall: Wall::from_micros(0),
        };
        pen.add(now.mono, b"one ");
        assert_eq!(disk.text(), b"");
        assert!(pen.append(now.mono, b"two "));
        assert_eq!((disk.text(), pen.deadline()), (b"one two ".to_vec(), None));
        pen.add(now.mono, b"three ");
        pen.tend(now);
        assert_eq!(disk.text(), b"one two ");
        assert_eq!(pen.deadline(), Some(now.mono + COMPANY));
        pen.tend(now + COMPANY);
        assert_eq!(disk.text(), b"one two three ");
        pen.add(now.mono, &[b'x'; ENOUGH]);
        assert_eq!(disk.text().len(), 14 + ENOUGH);
        // One that cannot be written waits with all others.
        disk.set_full(true);
        pen.add(now.mono, b"four ");
        assert!(!pen.append(now.mono, b"five "));
        pen.add(now.mono, b"six ");
        disk.set_full(false);
        pen.close(now.mono, true);
        assert!(disk.text().ends_with(b"four five six "));
    }

    #[test]
    fn memory_for_a_dead_disk_has_an_end() {
        let (disk, stats) = (Disk::default(), Arc::new(Stats::default()));
        let mut pen = Pen::new(Box::new(disk.clone()), 0, Arc::clone(&stats));
        disk.set_full(true);
        let turn = vec![b'x'; UNWRITTEN_BYTES / 4];
        for _ in 0..6 {
            assert!(!pen.append(Mono::ZERO, &turn));
        }
        assert_eq!(pen.unwritten.len(), UNWRITTEN_BYTES);
        assert_eq!(stats.journal_lost.value(), 2 * turn.len() as u64);
        disk.set_full(false);
        pen.tend_room(Mono::ZERO + RETRY);
        assert!(pen.append(Mono::ZERO, b"later"));
        assert_eq!(disk.text().len(), UNWRITTEN_BYTES + 5);
    }

    #[test]
    fn no_room_for_later_is_no_trust_now() {
        let disk = Disk::default();
        let mut pen = Pen::new(Box::new(disk.clone()), 0, Arc::default());
        pen.append(Mono::ZERO, b"123456");
        disk.set_full(true);
        pen.tend_room(Mono::ZERO);
        assert!(!pen.is_trusted());
        disk.set_full(false);
        pen.tend_room(Mono::ZERO + RETRY);
        assert!(pen.is_trusted());
        assert_eq!(disk.text(), b"123456");
    }
}
