//! Where a turn's records are gathered.

use postcard::ser_flavors::Flavor;

use super::Record;
use super::frame::{self, END, HEADER, MAX_PAYLOAD, VERSION};

/// A record larger than [`MAX_PAYLOAD`]. Nothing of it was kept: what it belongs
/// to must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "the record is longer than {MAX_PAYLOAD} bytes")
    }
}

impl std::error::Error for TooLong {}

/// Encoded records in a row, ready to be written. Cleared and used again each
/// turn, it allocates only while it grows to the largest turn seen.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    records: usize,
}

impl Buffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            records: 0,
        }
    }

    /// Adds a record's frame at the end.
    ///
    /// # Errors
    /// [`TooLong`]: the buffer is as it was. No record made from two messages
    /// of at most 65,535 bytes each comes near the limit.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), TooLong> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        self.bytes.push(VERSION);
        let end = start + HEADER + MAX_PAYLOAD;
        let encoded = postcard::serialize_with_flavor(
            record,
            Tail {
                bytes: &mut self.bytes,
                end,
            },
        );
        self.bytes.push(END);
        let frame = self.bytes.get_mut(start..).unwrap_or_default();
        if encoded.is_ok() && frame::seal(frame) {
            self.records += 1;
            Ok(())
        } else {
            self.bytes.truncate(start);
            Err(TooLong)
        }
    }

    /// Every frame appended since the last [`Self::clear`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records that is.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Empties the buffer and keeps its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records = 0;
    }
}

/// Lets postcard write at the buffer's end, up to a limit.
struct Tail<'b> {
    bytes: &'b mut Vec<u8>,
    end: usize,
}

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        if self.bytes.len().saturating_add(data.len()) > self.end {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
