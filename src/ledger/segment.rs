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
use std::path::{Path, PathBuf};

use crate::base::time::Wall;

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
pub(super) fn clear_from(file: &File, at: u64, size: u64) -> io::Result<()> {
    file.set_len(at)?;
    let room = size.saturating_sub(at);
    if room == 0 {
        return Ok(());
    }
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let at = i64::try_from(at).map_err(too_large)?;
    let room = i64::try_from(room).map_err(too_large)?;
    nix::fcntl::posix_fallocate(file, at, room).map_err(io::Error::from)
}
