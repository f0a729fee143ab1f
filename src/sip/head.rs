//! Where everything in a message's head is: what the scanner fills in.

use super::error::{Fault, FaultKind};
use super::header::{self, HeaderId};
use super::lex;
use super::line::{Method, StartLine};
use super::scan::MAX_FIELDS;

/// No slot.
const NONE: u8 = u8::MAX;

/// A stretch of the message, by offsets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: offset(start),
            end: offset(end),
        }
    }

    #[inline]
    pub(crate) fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }
}

/// An offset in the head as it is kept.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the scanner looks at no more than 65,535 bytes"
)]
const fn offset(at: usize) -> u16 {
    at as u16
}

/// The start line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Request {
        method: Method,
        method_text: Span,
        uri: Span,
    },
    Response {
        code: u16,
        reason: Span,
    },
}

impl Start {
    /// What it indexes in `buf`.
    #[inline]
    pub(crate) fn line(self, buf: &[u8]) -> StartLine<'_> {
        match self {
            Self::Request { method, uri, .. } => StartLine::Request {
                method,
                uri: uri.of(buf),
            },
            Self::Response { code, reason } => StartLine::Response {
                code,
                reason: reason.of(buf),
            },
        }
    }
}

/// One header field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    line: u16,
    value: Span,
    pub(crate) id: HeaderId,
    /// The next field of this id, or [`NONE`]; not kept for [`HeaderId::Other`].
    next: u8,
}

impl Slot {
    const EMPTY: Self = Self {
        line: 0,
        value: Span { start: 0, end: 0 },
        id: HeaderId::Other,
        next: NONE,
    };

    /// The value, without the white space around it.
    #[inline]
    pub(crate) fn value<'m>(&self, buf: &'m [u8]) -> &'m [u8] {
        self.value.of(buf)
    }

    /// The name as received.
    pub(crate) fn name<'m>(&self, buf: &'m [u8]) -> &'m [u8] {
        let line = buf.get(usize::from(self.line)..).unwrap_or_default();
        lex::span(line, lex::TOKEN).0
    }
}

/// The index of a message's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: Start,
    /// The first fault.
    pub(crate) fault: Option<Fault>,
    /// The first fault that leaves the message's end uncertain.
    pub(crate) uncertain: Option<Fault>,
    pub(crate) content_length: Option<u32>,
    /// Behind the empty line.
    end: u16,
    count: u8,
    /// By [`HeaderId`]: the first slot, or [`NONE`].
    first: [u8; header::IDS],
    slots: [Slot; MAX_FIELDS],
}

impl Head {
    /// A head without fields yet.
    #[inline]
    pub(crate) fn new(start: Start, fault: Option<Fault>) -> Self {
        Self {
            start,
            fault,
            uncertain: None,
            content_length: None,
            end: 0,
            count: 0,
            first: [NONE; header::IDS],
            slots: [Slot::EMPTY; MAX_FIELDS],
        }
    }

    /// Where the head ends, behind its empty line.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        usize::from(self.end)
    }

    #[inline]
    pub(crate) fn end_at(&mut self, end: usize) {
        self.end = offset(end);
    }

    /// The fields in order.
    #[inline]
    pub(crate) fn slots(&self) -> &[Slot] {
        self.slots
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// The first field of this id.
    #[inline]
    pub(crate) fn first(&self, id: HeaderId) -> Option<&Slot> {
        let at = *self.first.get(id as usize)?;
        self.slots().get(usize::from(at))
    }

    /// The fields of this id in order.
    #[inline]
    pub(crate) fn slots_of(&self, id: HeaderId) -> Slots<'_> {
        Slots {
            slots: self.slots(),
            next: self.first.get(id as usize).copied().unwrap_or(NONE),
        }
    }

    /// Keeps the first fault, and the first that leaves the end uncertain.
    #[cold]
    pub(crate) fn note(&mut self, kind: FaultKind, at: usize) {
        let fault = Fault::new(kind, at);
        self.fault.get_or_insert(fault);
        if kind.breaks_framing() {
            self.uncertain.get_or_insert(fault);
        }
    }

    /// Enters the field of a line that starts at `line` and has its value at `start`,
    /// and checks what its name alone asks for.
    ///
    /// # Errors
    /// Where it is one too many.
    #[inline(always)]
    pub(crate) fn enter(
        &mut self,
        id: HeaderId,
        line: usize,
        start: usize,
        value: &[u8],
    ) -> Result<(), (FaultKind, usize)> {
        let Some(slot) = self.slots.get_mut(usize::from(self.count)) else {
            return Err((FaultKind::TooManyFields, line));
        };
        *slot = Slot {
            line: offset(line),
            value: Span::new(start, start + value.len()),
            id,
            next: NONE,
        };
        let Some(first) = self.first.get_mut(id as usize) else {
            return Ok(());
        };
        if *first != NONE {
            self.repeated(id, line, value);
        } else {
            *first = self.count;
            if id == HeaderId::ContentLength {
                self.content_length = length(value);
                if self.content_length.is_none() {
                    self.note(FaultKind::ContentLength, line);
                }
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Links the newest field, of an id that was there before, and checks it.
    fn repeated(&mut self, id: HeaderId, line: usize, value: &[u8]) {
        if id == HeaderId::Other {
            return;
        }
        let mut at = self.first.get(id as usize).copied().unwrap_or(NONE);
        while let Some(slot) = self.slots.get_mut(usize::from(at)) {
            at = slot.next;
            if at == NONE {
                slot.next = self.count;
            }
        }
        if id == HeaderId::ContentLength {
            match length(value) {
                None => self.note(FaultKind::ContentLength, line),
                length if length != self.content_length => {
                    self.note(FaultKind::ContentLengthConflict, line);
                }
                _ => {}
            }
        }
        if id.single() {
            self.note(FaultKind::Duplicate, line);
        }
    }
}

/// The value of a Content-Length.
fn length(value: &[u8]) -> Option<u32> {
    let length = lex::number_up_to(value, u64::from(u32::MAX))?;
    u32::try_from(length).ok()
}

/// Iterates over the fields of one id. See [`Head::slots_of`].
#[derive(Clone, Debug)]
pub(crate) struct Slots<'h> {
    slots: &'h [Slot],
    next: u8,
}

impl<'h> Iterator for Slots<'h> {
    type Item = &'h Slot;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let found = self.slots.get(usize::from(self.next))?;
        self.next = match found.id {
            HeaderId::Other => self.next_other(),
            _ => found.next,
        };
        Some(found)
    }
}

impl Slots<'_> {
    /// The next field of an unknown name; those are not linked.
    fn next_other(&self) -> u8 {
        let behind = self.next + 1;
        let rest = self.slots.get(usize::from(behind)..).unwrap_or_default();
        let ahead = rest.iter().position(|slot| slot.id == HeaderId::Other);
        ahead
            .and_then(|ahead| behind.checked_add(u8::try_from(ahead).ok()?))
            .unwrap_or(NONE)
    }
}
