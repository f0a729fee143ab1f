//! The place reached in one shard's series.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::record::Record;
use crate::record::frame::{self, Damage, MAX_PAYLOAD};

use super::super::Fault;
use super::super::mark::Mark;
use super::super::segment::{self, HEADER, Header};
use super::{Content, Found, Place, Sink};

/// How much is read at a time. A frame that is longer is read whole.
const WINDOW: u64 = 256 << 10;

/// No frame is longer than this.
const FRAME_MAX: u64 = (frame::HEADER + MAX_PAYLOAD) as u64;

/// Reads one shard's journal.
#[derive(Debug)]
pub(in crate::ledger) struct Cursor {
    shard: u16,
    folder: PathBuf,
    /// None: nobody writes this shard's journal.
    mark: Option<Arc<Mark>>,
    /// Where each sink stands, in their order: it is given nothing before that.
    wanted: Vec<Place>,
    at: Place,
    file: Option<File>,
    bytes: Vec<u8>,
    /// What is left of this segment up to here is no record: a torn one, which was
    /// told, or room for more.
    no_more_to: Option<u64>,
    /// The last segment that there was before anything was read, where nobody leaves a
    /// mark: only those before it are certainly whole.
    last: u64,
}

impl Cursor {
    pub(in crate::ledger) fn new(ledger: &Path, shard: u16) -> Self {
        Self {
            shard,
            folder: segment::folder(ledger, shard),
            mark: None,
            wanted: Vec::new(),
            at: Place::default(),
            file: None,
            bytes: Vec::new(),
            no_more_to: None,
            last: 0,
        }
    }

    /// Learns whether this process writes the shard's journal.
    pub(super) fn is_written_by(&mut self, marks: &BTreeMap<u16, Arc<Mark>>) {
        if self.mark.is_none() {
            self.mark = marks.get(&self.shard).map(Arc::clone);
        }
    }

    /// Goes to the first place that a sink wants.
    pub(in crate::ledger) fn begin(
        &mut self,
        sinks: &mut [Box<dyn Sink + '_>],
    ) -> Result<(), Fault> {
        for sink in sinks {
            let place = match sink.place(self.shard) {
                Some(place) if self.reaches(place)? => place,
                Some(_) => {
                    sink.reset(self.shard);
                    Place::default()
                }
                None => Place::default(),
            };
            self.wanted.push(place);
        }
        self.at = self.wanted.iter().min().copied().unwrap_or_default();
        Ok(())
    }

    pub(super) const fn shard(&self) -> u16 {
        self.shard
    }

    /// Whether the journal reaches as far as a place. Segments that were retired
    /// meanwhile are no reason to begin again.
    fn reaches(&self, place: Place) -> Result<bool, Fault> {
        let Some(last) = self.sequences()?.pop() else {
            return Ok(false);
        };
        if place.segment != last {
            return Ok(place.segment < last);
        }
        let path = segment::path(&self.folder, last);
        let end = match self.written() {
            Some((segment, end)) if segment == last => end,
            _ => path.metadata().map_err(Fault::io("read", &path))?.len(),
        };
        Ok(place.offset <= end)
    }

    fn sequences(&self) -> Result<Vec<u64>, Fault> {
        segment::sequences(&self.folder).map_err(Fault::io("read", &self.folder))
    }

    /// The segment that is being written, and how far; None if none is.
    fn written(&self) -> Option<(u64, u64)> {
        self.mark.as_ref().map(|mark| mark.read())
    }

    /// The segment behind which there is none to be read yet.
    fn last(&self) -> u64 {
        self.written().map_or(self.last, |(segment, _)| segment)
    }

    /// Hands over what comes next, some `budget` bytes of it. Whether there is
    /// nothing more.
    pub(in crate::ledger) fn read(
        &mut self,
        budget: u64,
        sinks: &mut [Box<dyn Sink + '_>],
    ) -> Result<bool, Fault> {
        if self.mark.is_none() {
            self.last = self.sequences()?.pop().unwrap_or_default();
        }
        let mut left = budget;
        while left > 0 {
            let before = self.at;
            if self.file.is_none() && !self.open(sinks)? {
                return Ok(true);
            }
            let end = self.end()?;
            if self.at.offset < end && self.no_more_to != Some(end) {
                self.read_window(end, sinks)?;
            } else if !self.leave() {
                return Ok(true);
            }
            left = left.saturating_sub(self.at.offset.saturating_sub(before.offset).max(1));
        }
        Ok(false)
    }

    /// Where what is written of this segment ends.
    fn end(&self) -> Result<u64, Fault> {
        match self.written() {
            Some((segment, end)) if segment == self.at.segment => Ok(end),
            _ => {
                let path = segment::path(&self.folder, self.at.segment);
                let metadata = self.file.as_ref().map(File::metadata).transpose();
                let metadata = metadata.map_err(Fault::io("read", &path))?;
                Ok(metadata.map_or(0, |it| it.len()))
            }
        }
    }

    /// Opens the segment reached, or the next one that there is. Whether there is
    /// one.
    fn open(&mut self, sinks: &mut [Box<dyn Sink + '_>]) -> Result<bool, Fault> {
        let limit = self.last();
        let mut there = self.sequences()?.into_iter();
        let Some(sequence) = there.find(|it| (self.at.segment..=limit).contains(it)) else {
            return Ok(false);
        };
        let path = segment::path(&self.folder, sequence);
        let file = File::open(&path).map_err(Fault::io("read", &path))?;
        if sequence > self.at.segment {
            // Of what lies before the oldest one, nothing was expected.
            let missing = sequence.saturating_sub(self.at.segment);
            let expected = self.at.segment > 0;
            self.at = Place {
                segment: sequence,
                offset: 0,
                count: self.at.count,
            };
            if expected {
                self.tell(self.at, &[], Content::Missing(missing), sinks);
            }
        }
        if self.at.offset == 0 {
            self.read_header(&path, &file, sinks)?;
        }
        self.file = Some(file);
        Ok(true)
    }

    fn read_header(
        &mut self,
        path: &Path,
        file: &File,
        sinks: &mut [Box<dyn Sink + '_>],
    ) -> Result<(), Fault> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let length = usize::try_from(HEADER).unwrap_or(usize::MAX);
        segment::fill(file, 0, length, &mut bytes).map_err(Fault::io("read", path))?;
        let good = Header::decode(&bytes)
            .is_some_and(|it| it.shard == self.shard && it.sequence == self.at.segment);
        let after = Place {
            offset: HEADER,
            ..self.at
        };
        let content = match good {
            true => Content::Header(&bytes),
            false => Content::Damage(Damage::Corrupt { skip: bytes.len() }),
        };
        self.tell(after, &bytes, content, sinks);
        self.bytes = bytes;
        Ok(())
    }

    /// Goes on to the next segment. False if there is none yet.
    fn leave(&mut self) -> bool {
        if self.at.segment >= self.last() {
            return false;
        }
        self.file = None;
        self.no_more_to = None;
        self.at = Place {
            segment: self.at.segment + 1,
            offset: 0,
            count: self.at.count,
        };
        true
    }

    /// Hands over the frames that lie in one window.
    fn read_window(&mut self, end: u64, sinks: &mut [Box<dyn Sink + '_>]) -> Result<(), Fault> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut size = WINDOW;
        loop {
            let left = end.saturating_sub(self.at.offset);
            let whole = left <= size;
            self.fill(left.min(size), whole, &mut bytes)?;
            if self.hand_over(&bytes, whole, sinks) {
                // Its writer may come back and fill the room.
                self.no_more_to = whole.then_some(end);
                break;
            }
            // A longer frame, or damage: that is believed of the whole rest only.
            size = match size {
                WINDOW => FRAME_MAX,
                _ => u64::MAX,
            };
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Reads so many bytes from the place reached on; `whole` says that nothing is
    /// written behind them.
    fn fill(&self, length: u64, whole: bool, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let path = segment::path(&self.folder, self.at.segment);
        let Some(file) = &self.file else {
            return Ok(());
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        // Up to a mark all is written. Otherwise another process may be at it.
        let read = match whole && self.mark.is_none() {
            true => segment::fill_settled(file, self.at.offset, length, bytes),
            false => segment::fill(file, self.at.offset, length, bytes),
        };
        read.map_err(Fault::io("read", &path))
    }

    /// Hands over the frames that these bytes begin with; `whole` says that
    /// nothing is written behind them. False if more of them must be read first.
    fn hand_over(&mut self, bytes: &[u8], whole: bool, sinks: &mut [Box<dyn Sink + '_>]) -> bool {
        let reads = sinks.iter().any(|sink| sink.reads());
        let mut rest = bytes;
        while !rest.is_empty() {
            let record;
            let (taken, content) = match frame::split(rest) {
                Ok(Some(found)) if !reads => (found.bytes.len(), Content::Frame),
                Ok(Some(found)) => {
                    record = frame::decode(found.payload);
                    (found.bytes.len(), content(&found, record.as_ref()))
                }
                // Damage and the end are believed of the whole rest only.
                _ if !whole => return rest.len() < bytes.len(),
                Ok(None) => return true,
                Err(damage @ Damage::Corrupt { skip }) => (skip, Content::Damage(damage)),
                Err(damage) => {
                    self.tell(self.at, rest, Content::Damage(damage), sinks);
                    return true;
                }
            };
            let (taken, behind) = rest.split_at(taken.clamp(1, rest.len()));
            let intact = !matches!(content, Content::Damage(Damage::Corrupt { .. }));
            let after = Place {
                segment: self.at.segment,
                offset: self.at.offset.saturating_add(length(taken)),
                count: self.at.count + u64::from(intact),
            };
            self.tell(after, taken, content, sinks);
            rest = behind;
        }
        true
    }

    /// Tells the sinks what lies at the place reached, and steps over it.
    fn tell(
        &mut self,
        after: Place,
        bytes: &[u8],
        content: Content<'_>,
        sinks: &mut [Box<dyn Sink + '_>],
    ) {
        let found = Found {
            shard: self.shard,
            place: self.at,
            after,
            bytes,
            content,
        };
        for (sink, wanted) in sinks.iter_mut().zip(&self.wanted) {
            let reached = (self.at.segment, self.at.offset);
            if reached >= (wanted.segment, wanted.offset) {
                sink.take(&found);
            }
        }
        self.at = after;
    }
}

fn content<'a>(found: &frame::Frame<'_>, record: Option<&'a Record<'a>>) -> Content<'a> {
    match record {
        Some(record) => Content::Record(record),
        None => Content::Damage(Damage::Unknown {
            version: found.payload.first().copied().unwrap_or(0),
            skip: found.bytes.len(),
        }),
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
