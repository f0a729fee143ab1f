//! A received message: its bytes, and where in them everything is.

use super::error::Fault;
use super::head::{Head, Slots, Start};
use super::header::HeaderId;
use super::line::{Method, StartLine};
use bytes::Bytes;
use std::fmt;

/// A received message. It owns its bytes and an index of the head; nothing is
/// copied or decoded. Made by [`scan`](super::scan::scan).
///
/// It pins the block its bytes were received in: keep it for one turn only.
#[derive(Clone)]
pub struct Message {
    buf: Bytes,
    head: Head,
    /// Where the body ends; what is behind it in `buf` was never looked at.
    body_end: usize,
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'m> {
    /// Which field it is.
    pub id: HeaderId,
    /// The name as received, without white space.
    pub name: &'m [u8],
    /// The value without the white space around it, folds still inside.
    pub value: &'m [u8],
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.buf)
            .field("fault", &self.head.fault)
            .field("body", &(self.head.end()..self.body_end))
            .finish()
    }
}

impl Message {
    pub(crate) fn new(buf: Bytes, head: Head, body_end: usize) -> Self {
        Self {
            buf,
            head,
            body_end,
        }
    }

    /// What the scanner fills in: the bytes, their index, the end of the body.
    pub(crate) fn parts(&mut self) -> (&Bytes, &mut Head, &mut usize) {
        (&self.buf, &mut self.head, &mut self.body_end)
    }

    /// The first fault that was found while indexing. What was indexed can be used
    /// to answer the request; a response with a fault is to be dropped.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.head.fault
    }

    /// The start line.
    #[must_use]
    pub fn start(&self) -> StartLine<'_> {
        self.head.start.line(&self.buf)
    }

    /// The request's method; `None` for a response.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        match self.head.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The request's method as received; empty for a response.
    #[must_use]
    pub fn method_text(&self) -> &[u8] {
        match self.head.start {
            Start::Request { method_text, .. } => method_text.of(&self.buf),
            Start::Response { .. } => &[],
        }
    }

    /// The Request-URI as received; `None` for a response.
    #[must_use]
    pub fn uri(&self) -> Option<&[u8]> {
        match self.head.start {
            Start::Request { uri, .. } => Some(uri.of(&self.buf)),
            Start::Response { .. } => None,
        }
    }

    /// The status code, 100 to 699; `None` for a request.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.head.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(code),
        }
    }

    /// The value of the first field of this id, without the white space around it,
    /// folds (CRLF and white space) still inside. `None` if there is no such field,
    /// and for [`HeaderId::Other`].
    #[inline]
    #[must_use]
    pub fn first(&self, id: HeaderId) -> Option<&[u8]> {
        Some(self.head.first(id)?.value(&self.buf))
    }

    /// The values of all fields of this id, in order.
    #[inline]
    pub fn all(&self, id: HeaderId) -> impl Iterator<Item = &[u8]> {
        self.values(id)
    }

    /// All header fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.head.slots().iter().map(|slot| Field {
            id: slot.id,
            name: slot.name(&self.buf),
            value: slot.value(&self.buf),
        })
    }

    /// The body: as long as Content-Length says, or up to the end of the datagram.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.buf
            .get(self.head.end()..self.body_end)
            .unwrap_or_default()
    }

    /// The bytes as received, with what may stand behind the body.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.buf
    }

    /// The bytes as received, up to the end of the body.
    pub(crate) fn whole(&self) -> &[u8] {
        self.buf.get(..self.body_end).unwrap_or_default()
    }

    /// The Call-ID; empty if there is none.
    #[inline]
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.first(HeaderId::CallId).unwrap_or_default()
    }

    /// Where `part`, a slice of this message, stands in its bytes.
    pub(crate) fn offset_of(&self, part: &[u8]) -> usize {
        part.as_ptr()
            .addr()
            .saturating_sub(self.buf.as_ptr().addr())
    }

    /// As [`Self::all`], by name.
    #[inline]
    pub(crate) fn values(&self, id: HeaderId) -> Values<'_> {
        Values {
            slots: self.head.slots_of(id),
            buf: &self.buf,
        }
    }
}

/// Iterates over the values of all fields of one id.
#[derive(Clone, Debug)]
pub(crate) struct Values<'m> {
    slots: Slots<'m>,
    buf: &'m [u8],
}

impl<'m> Iterator for Values<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.slots.next()?.value(self.buf))
    }
}
