//! Segment files: their names, their header, their room on the disk.
//!
//! ```text
//! 0   magic "TOLLGATE"          8
//! 8   version u32 LE            4
//! 12  shard u32 LE              4
//! 16  sequence u64 LE           8
//! 24  wall time i64 LE, µs      8
//! 32  whose key signs it       16
//! 48  zeros                    12
//! 60  CRC-32 u32 LE of 0..60    4
//! 64  frames
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::time::Wall;
use crate::record::frame;

/// How large a segment is made, in bytes.
pub const SEGMENT_SIZE: u64 = 64 << 20;

/// How many bytes of a segment its header takes.
pub(super) const HEADER: u64 = 64;

const MAGIC: [u8; 8] = *b"TOLLGATE";
const VERSION: u32 = 2;
const SUMMED: usize = 60;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) shard: u16,
    pub(super) sequence: u64,
    /// When it was begun.
    pub(super) wall: Wall,
    /// Of which key's ledger it is ([`super::note::PublicKey::series`]).
    pub(super) series: [u8; 16],
}

impl Header {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUMMED + 4);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.shard).to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.wall.as_micros().to_le_bytes());
        bytes.extend_from_slice(&self.series);
        bytes.resize(SUMMED, 0);
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` if these bytes are no header that this version wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (summed, rest) = bytes.split_at_checked(SUMMED)?;
        let sum = u32::from_le_bytes(*rest.first_chunk()?);
        let (magic, rest) = summed.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (shard, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (wall, rest) = rest.split_first_chunk::<8>()?;
        let series = rest.first_chunk::<16>()?;
        let known = *magic == MAGIC
            && u32::from_le_bytes(*version) == VERSION
            && crc32fast::hash(summed) == sum;
        known.then_some(Self {
            shard: u16::try_from(u32::from_le_bytes(*shard)).ok()?,
            sequence: u64::from_le_bytes(*sequence),
            wall: Wall::from_micros(i64::from_le_bytes(*wall)),
            series: *series,
        })
    }
}

/// The folder of a shard's segments.
pub(super) fn folder(ledger: &Path, shard: u16) -> PathBuf {
    ledger.join(format!("shard-{shard:03}"))
}

/// A segment's path.
pub(super) fn path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:08}.tgj"))
}

/// Every shard that has a folder here, in order.
pub(super) fn shards(ledger: &Path) -> io::Result<Vec<u16>> {
    named(ledger, |name| name.strip_prefix("shard-")?.parse().ok())
}

/// Every segment in a shard's folder, in order.
pub(super) fn sequences(folder: &Path) -> io::Result<Vec<u64>> {
    named(folder, |name| name.strip_suffix(".tgj")?.parse().ok())
}

fn named<T: Ord>(folder: &Path, number: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        found.extend(entry?.file_name().to_str().and_then(&number));
    }
    found.sort_unstable();
    Ok(found)
}

/// Empties a file from `at` on and gives it room up to `size`, which reads as
/// zeros. Where this succeeds, no later write into that room runs out of disk.
///
/// Room that is there is kept, also where this fails: on a full disk it could not be
/// had again.
pub(super) fn clear_from(file: &File, at: u64, size: u64) -> io::Result<()> {
    let size = size.max(at);
    wipe(file, at, size)?;
    let length = file.metadata()?.len();
    if length < at || length > size {
        file.set_len(length.clamp(at, size))?;
    }
    let room = size.saturating_sub(at);
    if room == 0 {
        return Ok(());
    }
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let at = i64::try_from(at).map_err(too_large)?;
    let room = i64::try_from(room).map_err(too_large)?;
    nix::fcntl::posix_fallocate(file, at, room).map_err(io::Error::from)
}

/// How much is wiped at a time.
const WIPED: usize = 64 << 10;

static ZEROS: [u8; WIPED] = [0; WIPED];

/// Writes zeros over what a file holds from `from` up to `to`. Where it has zeros nothing
/// is written.
fn wipe(file: &File, from: u64, to: u64) -> io::Result<()> {
    let (mut at, mut bytes) = (from, Vec::new());
    while at < to {
        let most = usize::try_from(to - at).map_or(WIPED, |left| left.min(WIPED));
        fill(file, at, most, &mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        // Compared as a whole: that is many times faster than byte by byte.
        if let Some(zeros) = ZEROS.get(..bytes.len())
            && bytes != zeros
        {
            file.write_all_at(zeros, at)?;
        }
        at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Reads so many bytes from `at` on, or those that there are.
pub(super) fn fill(
    file: &impl FileExt,
    at: u64,
    length: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    bytes.resize(length, 0);
    let mut read = 0;
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        let place = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        match file.read_at(room, place) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(())
}

/// Reads the same of a file whose writer may be at it, without the zeros at its end.
///
/// Nothing keeps a writer from overtaking a reader, who then sees the end of a frame
/// and not its middle. So what was there at one look is read at another: by then all
/// that lies before it is written.
pub(super) fn fill_settled(
    file: &impl FileExt,
    at: u64,
    length: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    fill(file, at, length, bytes)?;
    let written = frame::written(bytes);
    fill(file, at, written, bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Buffer, Record};
    use frame::Damage;

    /// A file whose writer goes on while it is read: by a step after each piece.
    struct Growing {
        bytes: Vec<u8>,
        written: Cell<usize>,
        steps: RefCell<Vec<usize>>,
    }

    /// Bytes that are read in one piece.
    const PIECE: usize = 64;

    impl FileExt for Growing {
        fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
            let at = usize::try_from(at).unwrap();
            let size = to.len().min(PIECE - at % PIECE);
            let size = size.min(self.bytes.len().saturating_sub(at));
            for (place, byte) in (at..at + size).zip(to) {
                *byte = match place < self.written.get() {
                    true => self.bytes[place],
                    false => 0,
                };
            }
            let step = self.steps.borrow_mut().pop().unwrap_or(0);
            self.written.set(self.written.get() + step);
            Ok(size)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Records with details of these lengths, and where each ends.
    fn records(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut buffer = Buffer::new();
        let ends = lengths.iter().map(|&length| {
            let record = Record::Note {
                wall: Wall::from_micros(1),
                what: "test",
                detail: &"x".repeat(length),
                count: 1,
            };
            buffer.append(&record).unwrap();
            buffer.bytes().len()
        });
        let ends = ends.collect();
        (buffer.bytes().to_vec(), ends)
    }

    /// How many records there are, and what ends them.
    fn count(mut bytes: &[u8]) -> (usize, Option<Damage>) {
        for count in 0.. {
            bytes = match frame::split(bytes) {
                Ok(Some(frame)) => frame.rest,
                Ok(None) => return (count, None),
                Err(damage) => return (count, Some(damage)),
            };
        }
        (0, None)
    }

    #[test]
    fn what_a_writer_overtakes_is_not_taken_for_damage() {
        // The second record lies in three pieces; the first of these is read before it
        // is written, the others after that.
        let (mut bytes, ends) = records(&[20, 150]);
        bytes.resize(1024, 0);
        let file = || Growing {
            bytes: bytes.clone(),
            written: Cell::new(ends[0]),
            steps: RefCell::new(vec![ends[1] - ends[0]]),
        };
        let (mut once, mut settled) = (Vec::new(), Vec::new());
        fill(&file(), 0, bytes.len(), &mut once).unwrap();
        let damage = count(&once);
        assert!(
            matches!(damage, (1, Some(Damage::Corrupt { .. }))),
            "{damage:?}"
        );
        fill_settled(&file(), 0, bytes.len(), &mut settled).unwrap();
        assert_eq!(count(&settled), (2, None));
    }

    proptest! {
        #[test]
        fn however_a_writer_goes_on_only_the_last_record_may_look_torn(
            lengths in vec(0_usize..400, 1..12),
            begun in any::<prop::sample::Index>(),
            steps in vec(prop_oneof![Just(0), 0_usize..600], 0..200),
        ) {
            let (mut bytes, ends) = records(&lengths);
            let begun = begun.index(bytes.len() + 1);
            bytes.resize(bytes.len() + 5_000, 0);
            let whole = ends.iter().filter(|&&end| end <= begun).count();
            let length = bytes.len();
            let file = Growing { bytes, written: Cell::new(begun), steps: RefCell::new(steps) };
            let mut read = Vec::new();
            fill_settled(&file, 0, length, &mut read).unwrap();
            let (count, damage) = count(&read);
            prop_assert!(count >= whole);
            prop_assert!(matches!(damage, None | Some(Damage::Torn)), "{damage:?}");
        }
    }
}
