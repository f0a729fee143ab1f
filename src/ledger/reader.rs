//! Reads a ledger: every record of every shard, in the order of time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::time::Wall;
use crate::record::Record;
use crate::record::frame::{self, Damage, MAX_PAYLOAD};

use super::Fault;
use super::follow::Place;
use super::segment::{self, HEADER, Header};

/// No frame is longer than this.
const FRAME_MAX: usize = frame::HEADER + MAX_PAYLOAD;
/// How much of a segment is held at a time.
const WINDOW: usize = 4 * FRAME_MAX;

/// One record, or the damage found in its place.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whose journal it is in.
    pub shard: u16,
    /// The segment it is in.
    pub segment: &'a Path,
    /// Where it begins there, in bytes.
    pub offset: u64,
    /// When it happened, or else the time of the record before it.
    pub wall: Wall,
    /// The bytes there: of a record, its whole frame.
    pub bytes: &'a [u8],
    /// What is there.
    pub content: Result<Record<'a>, Damage>,
}

/// Reads the records that a ledger held when it was opened and, of a ledger that
/// is being written, most of what came meanwhile. Shards are merged by wall time;
/// a shard's own order is always kept, even where its clock went back.
#[derive(Debug)]
pub struct Reader {
    shards: Vec<Cursor>,
    missing: u64,
}

impl Reader {
    /// Opens the ledger in `directory` for reading. Nothing is locked or written.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be read, or there is no such folder.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        let (mut shards, mut missing) = (Vec::new(), 0_u64);
        for shard in segment::shards(directory).map_err(Fault::io("read", directory))? {
            let folder = segment::folder(directory, shard);
            let sequences = segment::sequences(&folder).map_err(Fault::io("read", &folder))?;
            let pairs = sequences.iter().zip(sequences.iter().skip(1));
            let gaps = pairs.map(|(one, next)| next.saturating_sub(*one).saturating_sub(1));
            missing = gaps.fold(missing, u64::saturating_add);
            shards.push(Cursor {
                shard,
                folder,
                sequences: sequences.into(),
                start: None,
                window: None,
                wall: Wall::default(),
                ready: None,
            });
        }
        Ok(Self { shards, missing })
    }

    /// The same, of each shard only the latest segment.
    pub(super) fn latest(mut self) -> Self {
        for cursor in &mut self.shards {
            let earlier = cursor.sequences.len().saturating_sub(1);
            cursor.sequences.drain(..earlier);
        }
        self
    }

    /// Begins a shard's records at a place in its series.
    pub(super) fn skip_to(&mut self, shard: u16, place: Place) {
        if let Some(cursor) = self.shards.iter_mut().find(|it| it.shard == shard) {
            cursor
                .sequences
                .retain(|sequence| *sequence >= place.segment);
            cursor.start = Some(place);
        }
    }

    /// How many segments are missing between others.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// Whether there is no shard's journal at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The next record, or the next damage; `None` at the end.
    ///
    /// # Errors
    /// [`Fault`]: a segment cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the reader, which no iterator's item can"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, Fault> {
        for cursor in &mut self.shards {
            cursor.advance()?;
        }
        let first = self
            .shards
            .iter_mut()
            .filter(|cursor| cursor.ready.is_some())
            .min_by_key(|cursor| (cursor.wall, cursor.shard));
        Ok(first.and_then(Cursor::take))
    }
}

/// What lies at a cursor.
#[derive(Clone, Copy, Debug)]
enum Ready {
    /// An intact record of so many bytes.
    Record(usize),
    /// Damage, and how many bytes to skip.
    Damage(Damage, usize),
}

/// The place reached in one shard's series.
#[derive(Debug)]
struct Cursor {
    shard: u16,
    folder: PathBuf,
    sequences: VecDeque<u64>,
    /// Where to begin, if not at the beginning.
    start: Option<Place>,
    window: Option<Window>,
    wall: Wall,
    ready: Option<Ready>,
}

impl Cursor {
    /// Finds what comes next, if that is not known yet.
    fn advance(&mut self) -> Result<(), Fault> {
        while self.ready.is_none() {
            let Some(window) = &mut self.window else {
                let Some(sequence) = self.sequences.pop_front() else {
                    return Ok(());
                };
                self.open(sequence)?;
                continue;
            };
            if window.rest().len() < FRAME_MAX && !window.at_end {
                window.load(WINDOW)?;
            }
            match frame::next(window.rest()) {
                Ok(Some((record, rest))) => {
                    self.wall = record.wall().unwrap_or(self.wall);
                    self.ready = Some(Ready::Record(window.rest().len() - rest.len()));
                }
                // Damage and the end are believed only of the whole rest, read when
                // no writer is at it any more.
                _ if !window.settled => window.settle()?,
                Ok(None) => self.window = None,
                Err(damage) => {
                    let skip = match damage {
                        Damage::Torn => window.rest().len(),
                        Damage::Corrupt { skip } | Damage::Unknown { skip, .. } => skip,
                    };
                    self.ready = Some(Ready::Damage(damage, skip));
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, sequence: u64) -> Result<(), Fault> {
        let path = segment::path(&self.folder, sequence);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Retired since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Fault::io("read", &path)(error)),
        };
        let mut window = Window::new(path, file);
        window.load(WINDOW)?;
        let header = Header::decode(window.rest())
            .filter(|header| header.shard == self.shard && header.sequence == sequence);
        let size = usize::try_from(HEADER)
            .unwrap_or(usize::MAX)
            .min(window.rest().len());
        match header {
            Some(header) => {
                self.wall = header.wall;
                let start = self.start.take().filter(|it| it.segment == sequence);
                match start.filter(|it| it.offset > HEADER) {
                    Some(place) => {
                        window.base = place.offset;
                        window.from = 0;
                        window.load(WINDOW)?;
                    }
                    None => window.from += size,
                }
            }
            None => self.ready = Some(Ready::Damage(Damage::Corrupt { skip: size }, size)),
        }
        self.window = Some(window);
        Ok(())
    }

    /// Hands out what was found, and steps over it.
    fn take(&mut self) -> Option<Entry<'_>> {
        let ready = self.ready.take()?;
        let window = self.window.as_mut()?;
        let (start, offset) = (window.from, window.offset());
        let skip = match ready {
            Ready::Record(skip) | Ready::Damage(_, skip) => skip,
        };
        window.from = start.saturating_add(skip).min(window.bytes.len());
        let content = match ready {
            Ready::Damage(damage, _) => Err(damage),
            Ready::Record(_) => match frame::next(window.bytes.get(start..)?) {
                Ok(found) => Ok(found?.0),
                Err(damage) => Err(damage),
            },
        };
        Some(Entry {
            bytes: window.bytes.get(start..window.from).unwrap_or_default(),
            shard: self.shard,
            segment: &window.path,
            offset,
            wall: self.wall,
            content,
        })
    }
}

/// A part of a segment.
#[derive(Debug)]
struct Window {
    path: PathBuf,
    file: File,
    /// Where in the file `bytes` begins.
    base: u64,
    bytes: Vec<u8>,
    /// How much of `bytes` is done with.
    from: usize,
    /// Whether `bytes` reached the end of the file when it was read.
    at_end: bool,
    /// Whether `bytes` is all that was once written from a place here on.
    settled: bool,
}

impl Window {
    fn new(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file,
            base: 0,
            bytes: Vec::new(),
            from: 0,
            at_end: false,
            settled: false,
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    /// Where `rest` begins in the file.
    fn offset(&self) -> u64 {
        self.base
            .saturating_add(u64::try_from(self.from).unwrap_or(u64::MAX))
    }

    /// Reads afresh from the place reached, up to `limit` bytes.
    fn load(&mut self, limit: usize) -> Result<(), Fault> {
        let left = self.left()?;
        segment::fill(&self.file, self.base, left.min(limit), &mut self.bytes)
            .map_err(Fault::io("read", &self.path))?;
        self.at_end = self.bytes.len() < limit;
        Ok(())
    }

    /// Reads all that is written from the place reached on.
    fn settle(&mut self) -> Result<(), Fault> {
        let left = self.left()?;
        segment::fill_settled(&self.file, self.base, left, &mut self.bytes)
            .map_err(Fault::io("read", &self.path))?;
        self.at_end = true;
        self.settled = true;
        Ok(())
    }

    /// Goes to the place reached, and tells how many bytes the file has behind it.
    fn left(&mut self) -> Result<usize, Fault> {
        self.base = self.offset();
        self.from = 0;
        let size = self
            .file
            .metadata()
            .map_err(Fault::io("read", &self.path))?;
        let left = size.len().saturating_sub(self.base);
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }
}
