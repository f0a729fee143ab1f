//! One shard's journal: where its records go.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::time::Wall;
use crate::record::frame::{self, Damage};
use crate::record::{Buffer, Record};

use super::folder::{create_folder, private};
use super::mark::{Mark, Syncing};
use super::segment::{self, HEADER, Header};
use super::{Fault, Ledger};

/// What opening a journal found at the end of an earlier life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The last segment of that life; `None` if there was none.
    pub segment: Option<PathBuf>,
    /// How many intact records it holds.
    pub records: u64,
    /// How many bytes of a record written only in part were cut off its end.
    pub cut: u64,
    /// Whether it is damaged. It is then left as it is, as evidence, and a new
    /// one was begun.
    pub damaged: bool,
    /// Whether it is of a ledger with another key: left as it is, too.
    pub foreign: bool,
}

/// Appends to a shard's segments.
#[derive(Debug)]
pub struct Journal {
    _lock: Arc<File>,
    folder: PathBuf,
    shard: u16,
    size: u64,
    sequence: u64,
    file: File,
    /// The end of what was written whole.
    at: u64,
    /// Whether a failed write may have left something behind `at`, or there may be no
    /// room behind it.
    spoiled: bool,
    /// The segment after this one, with its room on the disk.
    next: Option<File>,
    /// This life began without room for the next segment.
    cramped: bool,
    /// What was found of an earlier life, in frames, as long as it is not written.
    found: Vec<u8>,
    /// Whether the current segment's name may not be on the disk yet.
    unsynced_name: bool,
    /// The segments before this one are on the disk.
    settled: u64,
    /// The time of the last record that a segment was begun with.
    wall: Wall,
    /// The day on which the segment was begun.
    day: i64,
    resumed: Resumed,
    /// Tells who follows how far this is.
    mark: Arc<Mark>,
    /// Whose key signs it.
    series: [u8; 16],
    durable: bool,
}

impl Journal {
    /// Opens a shard's journal for appending, at the end of what is whole. What
    /// was found is in [`Self::resumed`], in the log, and, if anything was cut or
    /// damaged, in the journal itself, before anything else.
    ///
    /// Where there is no room for the next segment, [`Self::wants_room`] says so.
    ///
    /// # Errors
    /// [`Fault`]: there is no right to write, or no room for a segment where one must be
    /// begun.
    pub fn open(ledger: &Ledger, shard: u16, wall: Wall) -> Result<Self, Fault> {
        let folder = segment::folder(&ledger.directory, shard);
        create_folder(&folder)?;
        let last = segment::sequences(&folder)
            .map_err(Fault::io("read", &folder))?
            .pop();
        // What this life says rests on what earlier ones wrote last: above all, that
        // what they had drawn is known to be used or not.
        settle(&folder, 0).map_err(Fault::io("sync", &folder))?;
        let (size, mut resumed) = (ledger.segment_size, Resumed::default());
        let series = ledger.public_key().series();
        let header = |sequence| Header {
            shard,
            sequence,
            wall,
            series,
        };
        let going_on = match last {
            Some(sequence) => resume(&folder, header(sequence), size, &mut resumed)?,
            None => None,
        };
        let mut day = day_of(wall);
        let (sequence, file, at, spoiled) = match going_on {
            Some(last) => {
                day = day_of(last.begun);
                (last.sequence, last.file, last.at, !last.has_room)
            }
            None => {
                let sequence = last.unwrap_or(0).saturating_add(1);
                let path = segment::path(&folder, sequence);
                let file = room(&folder, size)
                    .and_then(|file| begin(&folder, header(sequence), file))
                    .map_err(Fault::io("create", &path))?;
                (sequence, file, HEADER, false)
            }
        };
        let mark = ledger.marks.begin(shard, (sequence, at), &file);
        let mut journal = Self {
            _lock: Arc::clone(&ledger.lock),
            next: None,
            cramped: false,
            found: Vec::new(),
            unsynced_name: true,
            settled: sequence,
            spoiled,
            folder,
            shard,
            size,
            sequence,
            file,
            at,
            wall,
            day,
            resumed,
            mark,
            series,
            durable: ledger.durable,
        };
        journal.start(wall)?;
        Ok(journal)
    }

    /// Makes sure of the next segment, and reports what was found.
    fn start(&mut self, wall: Wall) -> Result<(), Fault> {
        let path = segment::path(&self.folder, self.sequence);
        match self
            .prepare()
            .map_err(Fault::io("preallocate a segment after", &path))
        {
            Err(fault) if fault.is_lack_of_room() => {
                self.cramped = true;
                tracing::warn!("ledger: {fault}");
            }
            prepared => prepared?,
        }
        let Resumed {
            segment: Some(found),
            cut,
            damaged,
            foreign,
            ..
        } = &self.resumed
        else {
            return Ok(());
        };
        let (what, detail) = match (*damaged, *cut) {
            _ if *foreign => (
                "ledger_foreign",
                format!(
                    "{} is of a ledger with another key; it is left as it is",
                    found.display()
                ),
            ),
            (true, _) => (
                "ledger_damaged",
                format!("{} is damaged; it is left as it is", found.display()),
            ),
            (false, 0) => return Ok(()),
            (false, cut) => (
                "ledger_cut",
                format!(
                    "{cut} bytes of a record written only in part were cut off {}",
                    found.display()
                ),
            ),
        };
        tracing::warn!("ledger: {detail}");
        let note = Record::Note {
            wall,
            what,
            detail: &detail,
            count: 1,
        };
        let mut buffer = Buffer::new();
        buffer
            .append(&note)
            .map_err(io::Error::other)
            .map_err(Fault::io("write", &path))?;
        self.found = buffer.bytes().to_vec();
        match self.tell_found().map_err(Fault::io("write", &path)) {
            Err(fault) if fault.is_lack_of_room() => Ok(()),
            told => told,
        }
    }

    /// Writes what was found, if that is not done yet.
    fn tell_found(&mut self) -> io::Result<()> {
        let found = std::mem::take(&mut self.found);
        let written = self.append(&found);
        if written.is_err() {
            self.found = found;
        }
        written
    }

    /// Appends what stands at the beginning of this life, before any turn.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be written.
    pub fn begin(&mut self, records: &[Record<'_>]) -> Result<(), Fault> {
        let path = segment::path(&self.folder, self.sequence);
        let mut buffer = Buffer::new();
        records
            .iter()
            .try_for_each(|record| buffer.append(record))
            .map_err(io::Error::other)
            .and_then(|()| self.append(buffer.bytes()))
            .map_err(Fault::io("write", &path))
    }

    /// What was there before.
    #[must_use]
    pub const fn resumed(&self) -> &Resumed {
        &self.resumed
    }

    /// Appends whole frames (a [`Buffer`]'s bytes) with one write. Once it
    /// returns, they outlive this process.
    ///
    /// # Errors
    /// What the system said; none of the frames count as written then, what they
    /// belong to must not be sent, and the next append starts where this one did.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        if !self.found.is_empty() {
            self.tell_found()?;
        }
        let length = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        if self.at > HEADER && self.at.saturating_add(length) > self.size {
            self.rotate(frames)?;
        }
        if self.spoiled {
            segment::clear_from(&self.file, self.at, self.size)?;
            self.spoiled = false;
        }
        if let Err(error) = self.file.write_all_at(frames, self.at) {
            self.spoiled = true;
            return Err(error);
        }
        self.at = self.at.saturating_add(length);
        self.mark.set(self.sequence, self.at);
        Ok(())
    }

    /// Whether it is time to call [`Self::prepare`]: the next segment is not there yet,
    /// and the current one is half full, or there was no room for the next one at the
    /// start.
    #[must_use]
    pub const fn wants_room(&self) -> bool {
        self.next.is_none() && (self.cramped || self.at > self.size / 2)
    }

    /// Goes on to the next segment if this one was begun on another day (UTC), so
    /// that days can be retired apart.
    ///
    /// # Errors
    /// What the system said: above all, that the disk is full.
    pub fn new_day(&mut self, wall: Wall) -> io::Result<()> {
        let day = day_of(wall);
        if self.day >= day {
            return Ok(());
        }
        if self.at > HEADER {
            self.wall = wall;
            self.rotate(&[])?;
        }
        self.day = day;
        Ok(())
    }

    /// Gives the next segment its room on the disk. To be called between turns
    /// when [`Self::wants_room`]; while it fails no new call may be admitted, so
    /// that what is left of this segment is kept for the calls that are up.
    /// Without it, the append that needs the next segment makes it on the spot.
    ///
    /// # Errors
    /// What the system said: above all, that the disk is full.
    pub fn prepare(&mut self) -> io::Result<()> {
        if self.next.is_none() {
            self.next = Some(room(&self.folder, self.size)?);
        }
        self.cramped = false;
        Ok(())
    }

    /// Waits until all that was appended is on the disk.
    ///
    /// # Errors
    /// What the system said. It may be lost then, if the power fails.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_name {
            settle(&self.folder, self.settled)?;
            self.unsynced_name = false;
            self.settled = self.sequence;
        }
        self.file.sync_data()
    }

    /// Whether messages wait until their records are on the disk.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.durable
    }

    /// What syncs this journal from another thread.
    #[must_use]
    pub fn syncing(&self) -> Syncing {
        Syncing {
            folder: self.folder.clone(),
            mark: Arc::clone(&self.mark),
            first: self.sequence,
            open: None,
        }
    }

    /// What a write that failed half-way leaves.
    #[cfg(test)]
    pub(super) fn spoil_for_test(&mut self, part: &[u8]) {
        self.file.write_all_at(part, self.at).unwrap();
        self.spoiled = true;
    }

    /// Goes on to the next segment. The one left behind gives its unused room back.
    fn rotate(&mut self, frames: &[u8]) -> io::Result<()> {
        self.prepare()?;
        if self.spoiled {
            // What a failed write left is not to be read as if it counted.
            self.file.set_len(self.at)?;
        }
        if let Ok(Some((record, _))) = frame::next(frames) {
            self.wall = record.wall().unwrap_or(self.wall);
        }
        let Some(next) = self.next.take() else {
            return Ok(());
        };
        let sequence = self.sequence.saturating_add(1);
        let header = Header {
            shard: self.shard,
            sequence,
            wall: self.wall,
            series: self.series,
        };
        let file = begin(&self.folder, header, next)?;
        self.mark.begin(sequence, &file);
        let full = std::mem::replace(&mut self.file, file);
        if let Err(error) = full.set_len(self.at) {
            tracing::warn!("ledger: cannot shorten a full segment: {error}");
        }
        self.sequence = sequence;
        self.at = HEADER;
        self.spoiled = false;
        self.unsynced_name = true;
        Ok(())
    }
}

/// So many segments may be written before the system has them on the disk by itself.
const UNSETTLED: usize = 16;

/// Has on the disk what may not be there yet of the segments from this one on, and their
/// names.
fn settle(folder: &Path, from: u64) -> io::Result<()> {
    let sequences = segment::sequences(folder)?;
    let wanted = sequences.iter().rev().take_while(|it| **it >= from);
    for &sequence in wanted.take(UNSETTLED) {
        File::open(segment::path(folder, sequence))?.sync_data()?;
    }
    File::open(folder)?.sync_all()
}

/// The day in UTC, counted from the epoch.
const fn day_of(wall: Wall) -> i64 {
    wall.as_micros().div_euclid(86_400_000_000)
}

/// A new file without a number yet, with its room on the disk.
fn room(folder: &Path, size: u64) -> io::Result<File> {
    let mut options = private();
    let file = options.read(true).truncate(false);
    let file = file.open(folder.join("next"))?;
    if let Err(error) = segment::clear_from(&file, 0, size) {
        // What there was of it is of more use to others.
        let _given_back = file.set_len(0);
        return Err(error);
    }
    Ok(file)
}

/// Makes that file a segment. It gets its name last, so that a named segment has
/// its header.
fn begin(folder: &Path, header: Header, file: File) -> io::Result<File> {
    file.write_all_at(&header.encode(), 0)?;
    std::fs::rename(folder.join("next"), segment::path(folder, header.sequence))?;
    Ok(file)
}

/// The last segment of an earlier life, to go on in.
struct Last {
    sequence: u64,
    file: File,
    /// The end of what is whole.
    at: u64,
    begun: Wall,
    /// Whether what is behind that has its room on the disk.
    has_room: bool,
}

/// Finds the end of the last segment, which should have a header like `wanted`,
/// and cuts off what was written only in part. `None` if it is damaged or not of
/// this ledger: then a new one is to be begun.
fn resume(
    folder: &Path,
    wanted: Header,
    size: u64,
    resumed: &mut Resumed,
) -> Result<Option<Last>, Fault> {
    let path = segment::path(folder, wanted.sequence);
    let bytes = std::fs::read(&path).map_err(Fault::io("read", &path))?;
    resumed.segment = Some(path.clone());
    let start = usize::try_from(HEADER).unwrap_or(usize::MAX);
    let header = Header::decode(&bytes)
        .filter(|it| it.shard == wanted.shard && it.sequence == wanted.sequence);
    resumed.damaged = header.is_none();
    resumed.foreign = header.is_some_and(|it| it.series != wanted.series);
    let mut rest = bytes.get(start..).unwrap_or_default();
    let torn = loop {
        match frame::split(rest) {
            Ok(Some(frame)) => {
                resumed.records += 1;
                rest = frame.rest;
            }
            Ok(None) => break 0,
            Err(Damage::Torn) => break frame::written(rest),
            Err(Damage::Corrupt { skip } | Damage::Unknown { skip, .. }) => {
                resumed.damaged = true;
                rest = rest.get(skip..).unwrap_or_default();
            }
        }
    };
    let Some(header) = header.filter(|_| !(resumed.damaged || resumed.foreign)) else {
        return Ok(None);
    };
    resumed.cut = u64::try_from(torn).unwrap_or(u64::MAX);
    let at = u64::try_from(bytes.len() - rest.len()).unwrap_or(u64::MAX);
    let mut options = private();
    let file = options.read(true).truncate(false).open(&path);
    let file = file.map_err(Fault::io("write", &path))?;
    let cleared = segment::clear_from(&file, at, size).map_err(Fault::io("preallocate", &path));
    let has_room = match cleared {
        Err(fault) if fault.is_lack_of_room() => {
            tracing::warn!("ledger: {fault}");
            false
        }
        cleared => cleared.map(|()| true)?,
    };
    Ok(Some(Last {
        sequence: wanted.sequence,
        file,
        at,
        begun: header.wall,
        has_room,
    }))
}
