//! Frames: how records lie in a file, and how damage shows.
//!
//! ```text
//! length u32 LE | CRC-32 u32 LE | payload: version u8, postcard …, 0xFF
//! ```
//! The checksum covers the length and the payload. The byte at the end is never
//! zero, so a frame that was written whole and then damaged is not taken for one
//! whose writing was cut short. Eight zero bytes, where a
//! frame would begin, end the sequence: segments are preallocated with zeros, and
//! no frame has length 0.

use super::Record;

/// The payload's first byte. Another one means another encoding.
pub const VERSION: u8 = 6;

/// The payload's last byte.
pub(super) const END: u8 = 0xFF;

/// Bytes in front of a payload.
pub const HEADER: usize = 8;

/// The longest payload, in bytes. [`super::Buffer::append`] refuses a longer
/// record, and a longer length read from a file is damage.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Why the bytes at hand are no frame that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The last write was cut short: the frame runs past the end of what was
    /// written, and nothing intact follows. What a crash leaves.
    Torn,
    /// Bytes changed after they were written, or earlier ones went missing.
    Corrupt {
        /// How many bytes to skip to the next intact frame, or to the end if
        /// there is none.
        skip: usize,
    },
    /// The frame is intact, but its payload is of a kind that this version does
    /// not know.
    Unknown {
        /// The payload's version byte.
        version: u8,
        /// How many bytes to skip to what follows it.
        skip: usize,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Torn => write!(to, "the last record was only written in part"),
            Self::Corrupt { skip } => write!(to, "{skip} bytes were changed or are missing"),
            Self::Unknown { version, .. } => write!(
                to,
                "a record (version {version}) that this version of Tollgate does not know"
            ),
        }
    }
}

impl std::error::Error for Damage {}

/// An intact frame, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame as it lies in the file: what the chain is made over.
    pub bytes: &'a [u8],
    /// Its payload, for [`decode`].
    pub payload: &'a [u8],
    /// What follows the frame.
    pub rest: &'a [u8],
}

/// Splits the first frame off. `None` at the end: nothing left, or only zeros.
///
/// # Errors
/// [`Damage::Torn`] or [`Damage::Corrupt`].
pub fn split(bytes: &[u8]) -> Result<Option<Frame<'_>>, Damage> {
    if let Some(found) = intact(bytes) {
        return Ok(Some(found));
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    match Search::new(bytes).next_intact() {
        Some(skip) => Err(Damage::Corrupt { skip }),
        None if claims_more_than(bytes, written(bytes)) => Err(Damage::Torn),
        None => Err(Damage::Corrupt { skip: bytes.len() }),
    }
}

/// Reads the first record: the record, and what follows it. `None` at the end.
///
/// # Errors
/// [`Damage`], which also says how to go on reading.
pub fn next(bytes: &[u8]) -> Result<Option<(Record<'_>, &[u8])>, Damage> {
    let Some(frame) = split(bytes)? else {
        return Ok(None);
    };
    match decode(frame.payload) {
        Some(record) => Ok(Some((record, frame.rest))),
        None => Err(Damage::Unknown {
            version: frame.payload.first().copied().unwrap_or(0),
            skip: frame.bytes.len(),
        }),
    }
}

/// The record in an intact frame's payload; `None` if this version does not
/// know its kind.
#[must_use]
pub fn decode(payload: &[u8]) -> Option<Record<'_>> {
    let (&version, body) = payload.split_first()?;
    if version != VERSION {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [END])) => Some(record),
        _ => None,
    }
}

/// Fills in the header of a frame whose payload is in place; false if the
/// payload is too long.
pub(super) fn seal(frame: &mut [u8]) -> bool {
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER>() else {
        return false;
    };
    if payload.len() > MAX_PAYLOAD {
        return false;
    }
    let Ok(length) = u32::try_from(payload.len()) else {
        return false;
    };
    let [l0, l1, l2, l3] = length.to_le_bytes();
    let [c0, c1, c2, c3] = checksum(length, payload).to_le_bytes();
    *header = [l0, l1, l2, l3, c0, c1, c2, c3];
    true
}

/// The same, for tests that make frames of other versions.
#[cfg(test)]
pub(crate) fn seal_for_test(frame: &mut [u8]) -> bool {
    seal(frame)
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// A header's two numbers.
fn header(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*length), u32::from_le_bytes(*sum), rest))
}

/// The frame at the start, if its checksum holds.
fn intact(bytes: &[u8]) -> Option<Frame<'_>> {
    let (length, sum, rest) = header(bytes)?;
    let size = usize::try_from(length).ok()?;
    if size == 0 || size > MAX_PAYLOAD {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(size)?;
    let (bytes, _) = bytes.split_at_checked(HEADER + size)?;
    (checksum(length, payload) == sum).then_some(Frame {
        bytes,
        payload,
        rest,
    })
}

/// Looks behind damage for the next intact frame.
///
/// Bytes that all look like headers of long frames must not cost a checksum of
/// their whole length each: the checksum between two marks comes from those of all
/// bytes up to either, so that one costs as much as two steps between marks.
struct Search<'a> {
    bytes: &'a [u8],
    /// The checksum of the first `n` steps, for as many `n` as were needed yet.
    marks: Vec<u32>,
}

/// Bytes between two marks.
const STEP: usize = 512;

impl<'a> Search<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            marks: vec![0],
        }
    }

    /// Where the first intact frame behind the first byte begins.
    fn next_intact(&mut self) -> Option<usize> {
        let mut at = 1;
        loop {
            // No length is 0, so a row of zeros is passed over as a whole.
            let zeros = self.bytes.get(at..)?.iter().position(|&byte| byte != 0)?;
            at = at.max((at + zeros).saturating_sub(3));
            if self.is_intact(at) {
                return Some(at);
            }
            at += 1;
        }
    }

    fn is_intact(&mut self, at: usize) -> bool {
        let Some((length, sum, rest)) = self.bytes.get(at..).and_then(header) else {
            return false;
        };
        let Ok(size) = usize::try_from(length) else {
            return false;
        };
        if size == 0 || size > MAX_PAYLOAD || size > rest.len() {
            return false;
        }
        let start = at + HEADER;
        self.checksum(length, start, start + size) == sum
    }

    /// [`checksum`] of the payload between the two.
    fn checksum(&mut self, length: u32, start: usize, end: usize) -> u32 {
        let (first, last) = (start.div_ceil(STEP), end / STEP);
        let bytes = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        if first >= last {
            return checksum(length, bytes(start, end));
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&length.to_le_bytes());
        hasher.update(bytes(start, first * STEP));
        let after = bytes(last * STEP, end);
        hasher.combine(&self.between(first, last));
        hasher.update(after);
        hasher.finalize()
    }

    /// The checksum of what lies between two marks.
    fn between(&mut self, first: usize, last: usize) -> crc32fast::Hasher {
        let amount = u64::try_from((last - first) * STEP).unwrap_or(u64::MAX);
        // A checksum is linear: what all up to `last` has, less what all up to
        // `first` has when as many zeros follow it.
        let mut before = crc32fast::Hasher::new_with_initial(self.mark(first));
        before.combine(&crc32fast::Hasher::new_with_initial_len(0, amount));
        let sum = self.mark(last) ^ before.finalize();
        crc32fast::Hasher::new_with_initial_len(sum, amount)
    }

    /// The checksum of the first `n` steps.
    fn mark(&mut self, n: usize) -> u32 {
        while self.marks.len() <= n {
            let start = (self.marks.len() - 1) * STEP;
            let step = self.bytes.get(start..start + STEP).unwrap_or_default();
            let last = self.marks.last().copied().unwrap_or_default();
            let mut hasher = crc32fast::Hasher::new_with_initial(last);
            hasher.update(step);
            self.marks.push(hasher.finalize());
        }
        self.marks.get(n).copied().unwrap_or_default()
    }
}

/// How many bytes there are before the zeros at the end.
#[must_use]
pub fn written(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    // Whole blocks compare much faster than bytes, and a segment's tail is long.
    let mut left = bytes;
    while let Some((before, block)) = left.split_last_chunk::<4096>() {
        if *block != ZEROS {
            break;
        }
        left = before;
    }
    left.iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)
}

/// Whether the frame at the start ends behind the `written` bytes. A length of 0
/// or above the limit claims nothing: no writer wrote that.
fn claims_more_than(bytes: &[u8], written: usize) -> bool {
    match header(bytes) {
        _ if written < HEADER => true,
        Some((length, _, _)) => usize::try_from(length)
            .is_ok_and(|size| (1..=MAX_PAYLOAD).contains(&size) && HEADER + size > written),
        None => true,
    }
}
