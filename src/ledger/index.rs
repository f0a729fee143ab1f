//! The index: every call as a row of SQLite, one file a day, made from the journal
//! behind the calls' way. It is evidence of nothing, and can be made again at will:
//! whatever is missing of it is made anew from the journal.
//!
//! ```text
//! index/2026-11-29.sqlite   the calls that were judged on that day, UTC
//! index/state.json          how far the journal is in it, and which days there are
//! ```

mod day;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Mono, Now, Wall};
use crate::record::Record;

use super::follow::Bell;
use super::segment::{self, HEADER, Header};
use super::{Content, Fault, Follower, Found, Keep, Ledger, Place, Sink, folder};
use day::Day;

pub use query::{Call, Calls, Summed, Wanted, calls};

/// The folder of the days.
const FOLDER: &str = "index";

/// What is kept beside the days.
const STATE: &str = "index/state.json";

/// Another form of the rows is another number, and has all made anew.
const FORM: u32 = 2;

/// Days that are open at once: at midnight calls of two have their ends.
const OPEN_DAYS: usize = 3;

/// How many days after its beginning a call may end, for its row to be looked for.
const LONGEST_DAYS: i64 = 2;

/// How often the state is kept: what comes after it is put in once more after a
/// crash, which changes nothing.
const KEPT_EVERY: Duration = Duration::from_secs(5);

/// How long after trouble it is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// The thread's niceness: everything else goes first.
const NICE: i32 = 19;

const DAY_MICROS: i64 = 86_400_000_000;

/// A day, counted from the epoch in UTC.
type DayNumber = i64;

fn day_of(wall: Wall) -> DayNumber {
    wall.as_micros().div_euclid(DAY_MICROS)
}

fn begin_of(day: DayNumber) -> Wall {
    Wall::from_micros(day.saturating_mul(DAY_MICROS))
}

/// The file of a day.
fn file_of(directory: &Path, day: DayNumber) -> PathBuf {
    let name = format!("{}.sqlite", super::notes::day(begin_of(day)));
    directory.join(FOLDER).join(name)
}

/// How far the journal is in the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    form: u32,
    places: BTreeMap<u16, Place>,
    days: BTreeSet<DayNumber>,
}

/// Makes the index of what a follower brings.
struct Index {
    ledger: Ledger,
    state: State,
    kept: State,
    kept_at: Option<Mono>,
    open: BTreeMap<DayNumber, Day>,
    lost: Arc<Lost>,
    /// How many days it goes back.
    days: Option<i64>,
}

/// Says that the index is to be opened anew.
#[derive(Debug, Default)]
struct Lost {
    /// Something of it is gone, or broken.
    any: AtomicBool,
    /// It could not be written: it is tried again later.
    trouble: AtomicBool,
}

impl Lost {
    fn is(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether that was so before.
    fn set(&self) -> bool {
        self.any.swap(true, Ordering::Relaxed)
    }
}

impl Index {
    fn open(ledger: &Ledger, keep: Keep, lost: Arc<Lost>) -> Result<Self, Fault> {
        folder::create_folder(&ledger.directory.join(FOLDER))?;
        let kept = ledger.kept(STATE)?;
        let kept: Option<State> = kept.and_then(|it| serde_json::from_slice(&it).ok());
        let mut state = kept.unwrap_or_default();
        if state.form != FORM {
            for &day in &state.days {
                remove(&file_of(&ledger.directory, day))?;
            }
            state = State {
                form: FORM,
                ..State::default()
            };
        }
        let mut index = Self {
            ledger: ledger.clone(),
            kept: state.clone(),
            state,
            kept_at: None,
            open: BTreeMap::new(),
            lost,
            days: keep.days.and_then(|days| i64::try_from(days).ok()),
        };
        for day in index.missing() {
            index.give_up(day)?;
        }
        Ok(index)
    }

    /// Days whose files are gone.
    fn missing(&self) -> Vec<DayNumber> {
        let directory = &self.ledger.directory;
        let gone = |day: &DayNumber| match self.open.get(day) {
            Some(open) => !open.is_there(),
            None => !file_of(directory, *day).exists(),
        };
        self.state.days.iter().copied().filter(gone).collect()
    }

    /// Has a day made anew.
    fn give_up(&mut self, day: DayNumber) -> Result<(), Fault> {
        let path = file_of(&self.ledger.directory, day);
        tracing::warn!("the index lacks {}: it is made anew", path.display());
        self.open.remove(&day);
        remove(&path)?;
        self.state.days.remove(&day);
        let begin = begin_of(day);
        for (&shard, place) in &mut self.state.places {
            *place = (*place).min(place_of(&self.ledger.directory, shard, begin)?);
        }
        Ok(())
    }

    /// Has this day made anew soon, for it cannot be used.
    fn broken(&mut self, day: DayNumber, error: &rusqlite::Error) {
        if self.lost.set() {
            return;
        }
        self.lost.trouble.store(true, Ordering::Relaxed);
        let path = file_of(&self.ledger.directory, day);
        tracing::error!("the index {} cannot be written: {error}", path.display());
        let disk_is_full = matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::CannotOpen)
        );
        // What was not kept together with its rows comes again.
        self.state = self.kept.clone();
        if !disk_is_full && let Err(fault) = self.give_up(day).and_then(|()| self.keep()) {
            tracing::error!("the index cannot be made anew: {fault}");
        }
    }

    /// Runs this on a day's file, which is made if it is missing and `create` says so.
    /// What it gives; None if there is none.
    fn on<T>(
        &mut self,
        day: DayNumber,
        create: bool,
        run: impl FnOnce(&mut Day) -> rusqlite::Result<T>,
    ) -> Option<T> {
        if self.lost.is() || !(create || self.state.days.contains(&day)) {
            return None;
        }
        let done = self.opened(day).and_then(run);
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                self.broken(day, &error);
                None
            }
        }
    }

    fn opened(&mut self, day: DayNumber) -> rusqlite::Result<&mut Day> {
        if !self.open.contains_key(&day) {
            while self.open.len() >= OPEN_DAYS
                && let Some((_, mut oldest)) = self.open.pop_first()
            {
                oldest.commit()?;
            }
            let path = file_of(&self.ledger.directory, day);
            self.open.insert(day, Day::open(&path)?);
            self.state.days.insert(day);
        }
        self.open.get_mut(&day).ok_or(rusqlite::Error::InvalidQuery)
    }

    fn record(&mut self, found: &Found<'_>, record: &Record<'_>) {
        let (shard, wall) = (found.shard, record.wall());
        match (record, wall) {
            (Record::Verdict { .. }, Some(wall)) => {
                self.on(day_of(wall), true, |day| day.verdict(shard, record));
            }
            (Record::Refusals { .. }, Some(wall)) => {
                let place = found.place;
                self.on(day_of(wall), true, |day| day.refusals(shard, place, record));
            }
            (
                Record::Answered { .. } | Record::Ended { .. } | Record::Booked { .. },
                Some(wall),
            ) => {
                // The row is where the call began.
                for day in (0..=LONGEST_DAYS).map(|back| day_of(wall) - back) {
                    let done = self.on(day, false, |day| day.later(shard, record));
                    if done == Some(true) {
                        return;
                    }
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self) {
        let mut failed = None;
        for (&day, open) in &mut self.open {
            if let Err(error) = open.commit() {
                failed.get_or_insert((day, error));
            }
        }
        if let Some((day, error)) = failed {
            self.broken(day, &error);
        }
    }

    /// Removes the days that are not kept any more. Days are reckoned from the
    /// latest one that has calls, and not by a clock.
    fn retire(&mut self) -> Result<(), Fault> {
        let (Some(days), Some(&latest)) = (self.days, self.state.days.last()) else {
            return Ok(());
        };
        let kept = self.state.days.split_off(&latest.saturating_sub(days));
        for day in std::mem::replace(&mut self.state.days, kept) {
            self.open.remove(&day);
            remove(&file_of(&self.ledger.directory, day))?;
        }
        Ok(())
    }

    fn keep(&mut self) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(&self.state).unwrap_or_default();
        self.ledger.keep(STATE, &bytes)?;
        self.kept = self.state.clone();
        Ok(())
    }
}

impl Sink for Index {
    fn place(&mut self, shard: u16) -> Option<Place> {
        self.state.places.get(&shard).copied()
    }

    fn reset(&mut self, shard: u16) {
        self.state.places.remove(&shard);
    }

    fn take(&mut self, found: &Found<'_>) {
        if let Content::Record(record) = found.content {
            self.record(found, record);
        }
        if !self.lost.is() {
            self.state.places.insert(found.shard, found.after);
        }
    }

    fn rest(&mut self, now: Now, _caught_up: bool, last: bool) {
        self.commit();
        let due = self.kept_at.is_none_or(|at| now.mono >= at + KEPT_EVERY);
        if !(due || last) || self.lost.is() {
            return;
        }
        self.kept_at = Some(now.mono);
        let mut kept = self.retire();
        for day in self.missing() {
            self.lost.set();
            kept = kept.and(self.give_up(day));
        }
        if self.state != self.kept {
            kept = kept.and(self.keep());
        }
        if let Err(fault) = kept {
            tracing::error!("the index's state cannot be kept: {fault}");
        }
    }
}

/// From where on a shard's segments tell of a day.
fn place_of(directory: &Path, shard: u16, begin: Wall) -> Result<Place, Fault> {
    let folder = segment::folder(directory, shard);
    let mut found = 0;
    for sequence in segment::sequences(&folder).map_err(Fault::io("read", &folder))? {
        let path = segment::path(&folder, sequence);
        let mut bytes = vec![0; usize::try_from(HEADER).unwrap_or(0)];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, 0));
        let header = read.ok().and_then(|()| Header::decode(&bytes));
        // One that cannot be read begins after the one before it.
        if found > 0 && header.is_some_and(|it| it.wall >= begin) {
            break;
        }
        found = sequence;
    }
    Ok(Place {
        segment: found,
        ..Place::default()
    })
}

/// Removes a day, and what SQLite has put beside it.
fn remove(path: &Path) -> Result<(), Fault> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Fault::io("remove", Path::new(&name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The index in the making, in a thread of its own that everything else goes before.
/// Dropped, it ends when what was written is in it.
#[derive(Debug)]
pub struct Indexing {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Indexing {
    /// Begins to index a ledger, by that clock, as many days back as are kept.
    ///
    /// # Errors
    /// [`Fault`]: there can be no thread.
    pub fn start(ledger: Ledger, keep: Keep, clock: fn() -> Now) -> Result<Self, Fault> {
        let bell = Arc::new(Bell::default());
        let directory = ledger.directory.clone();
        let thread = thread::Builder::new()
            .name("index".to_owned())
            .spawn({
                let bell = Arc::clone(&bell);
                move || {
                    if let Err(error) = rustix::process::nice(NICE) {
                        tracing::debug!(%error, "the index is made at an ordinary priority");
                    }
                    while let Some(pause) = attempt(&ledger, keep, clock, &bell) {
                        // An end does not wait for what takes its time to go.
                        if !pause.is_zero() && bell.wait(pause) {
                            break;
                        }
                    }
                }
            })
            .map_err(Fault::io("start a thread for the index of", &directory))?;
        Ok(Self {
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Indexing {
    fn drop(&mut self) {
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic was said by the thread itself.
            let _said = thread.join();
        }
    }
}

/// Indexes until the end, or until something of the index is lost: then it says when
/// to try again.
fn attempt(ledger: &Ledger, keep: Keep, clock: fn() -> Now, bell: &Bell) -> Option<Duration> {
    let lost = Arc::new(Lost::default());
    let index = match Index::open(ledger, keep, Arc::clone(&lost)) {
        Ok(index) => index,
        Err(fault) => {
            tracing::error!("the index cannot be made: {fault}");
            return Some(RETRY);
        }
    };
    let mut follower = Follower::new(ledger.clone(), vec![Box::new(index)], clock);
    let mut failing = false;
    loop {
        match follower.round() {
            Ok(true) => failing = false,
            Ok(false) if !bell.rings() => continue,
            Ok(false) => {}
            Err(fault) if !failing => {
                failing = true;
                tracing::error!("the journal cannot be indexed: {fault}");
            }
            Err(_) => {}
        }
        if lost.is() {
            let trouble = lost.trouble.load(Ordering::Relaxed);
            return Some(if trouble { RETRY } else { Duration::ZERO });
        }
        if bell.wait(super::follow::INTERVAL) {
            if let Err(fault) = follower.finish() {
                tracing::error!("the journal was not indexed to its end: {fault}");
            }
            return None;
        }
    }
}
