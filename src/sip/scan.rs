//! The one scanner: datagrams, streams and steering all see a message through it,
//! so that no two of them can disagree about where a field or a message ends.
//!
//! It indexes the head in one pass: start line, header fields, the empty line. It
//! refuses (RFC 3261 §7, §25.1) what another box might read differently: a CR or
//! LF that is no line end, NUL, names that are no tokens, second copies of single
//! fields, and lengths that are no numbers. Values are parsed elsewhere, on demand.

use super::error::{Fault, FaultKind, Unreadable};
use super::header::{self, HeaderId};
use super::lex;
use super::line::Method;
use super::message::Message;
use super::words;
use bytes::Bytes;

mod start;

/// The most header fields of a message. A message with more has the fault
/// [`FaultKind::TooManyFields`], and the fields behind are not indexed.
pub const MAX_FIELDS: usize = 64;

/// The longest head, in bytes, empty line included. A longer one has the fault
/// [`FaultKind::HeadTooLong`].
pub const MAX_HEAD: usize = 65_535;

/// In [`Head::first`]: no such field.
const NONE: u8 = u8::MAX;

/// Indexes a datagram as one message.
///
/// A message with a fault still comes out, so that a request can be answered: ask
/// [`Message::fault`]. Bytes behind the Content-Length are left unread (RFC 3261
/// §18.3). Never allocates.
///
/// # Errors
/// [`Unreadable`] where there is nothing to answer: only line ends, or a first line
/// that is not SIP's.
#[inline]
pub fn scan(buf: Bytes) -> Result<Message, Unreadable> {
    let mut head = Head::read(&buf)?;
    let room = buf.len().saturating_sub(usize::from(head.end));
    let body = match head.content_length {
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
        None => room,
    };
    if body > room {
        let at = head
            .first(HeaderId::ContentLength)
            .map_or(0, |slot| slot.line);
        head.note(FaultKind::ContentLengthBeyond, usize::from(at));
    }
    let body_end = usize::from(head.end).saturating_add(body.min(room));
    Ok(Message::new(buf, head, body_end))
}

/// A stretch of the message, by offsets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    #[inline]
    fn new(start: usize, end: usize) -> Self {
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

/// An offset in the window as it is kept.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the window has at most 65,535 bytes"
)]
const fn offset(at: usize) -> u16 {
    at as u16
}

/// The start line's index.
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

/// One header field's index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    line: u16,
    value: Span,
    pub(crate) id: HeaderId,
    /// Whether there is a fold somewhere in the field.
    pub(crate) folded: bool,
}

impl Slot {
    const EMPTY: Self = Self {
        line: 0,
        value: Span { start: 0, end: 0 },
        id: HeaderId::Other,
        folded: false,
    };

    #[inline]
    pub(crate) fn value<'m>(&self, buf: &'m [u8]) -> &'m [u8] {
        self.value.of(buf)
    }

    pub(crate) fn name<'m>(&self, buf: &'m [u8]) -> &'m [u8] {
        let line = buf.get(usize::from(self.line)..).unwrap_or_default();
        lex::span(line, lex::TOKEN).0
    }
}

/// The index of a message's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: Start,
    pub(crate) fault: Option<Fault>,
    /// The first fault that leaves the message's end uncertain.
    pub(crate) uncertain: Option<Fault>,
    pub(crate) content_length: Option<u32>,
    /// Behind the empty line.
    pub(crate) end: u16,
    count: u8,
    /// By [`HeaderId`]: the first slot, or [`NONE`].
    first: [u8; header::IDS],
    slots: [Slot; MAX_FIELDS],
}

impl Head {
    /// Indexes the head at the start of `buf`.
    #[inline]
    pub(crate) fn read(buf: &[u8]) -> Result<Self, Unreadable> {
        let text = buf.get(..MAX_HEAD).unwrap_or(buf);
        let (start, fault, mut at) = start::start_line(text)?;
        let mut head = Self {
            start,
            fault,
            uncertain: None,
            content_length: None,
            end: 0,
            count: 0,
            first: [NONE; header::IDS],
            slots: [Slot::EMPTY; MAX_FIELDS],
        };
        loop {
            if text.get(at..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
                head.end = offset(at + 2);
                return Ok(head);
            }
            at = match head.field(text, at) {
                Ok(next) => next,
                Err((kind, place)) => {
                    let kind = match kind {
                        FaultKind::NoEndOfHead if text.len() < buf.len() => FaultKind::HeadTooLong,
                        kind => kind,
                    };
                    head.note(kind, place);
                    head.end = offset(text.len());
                    return Ok(head);
                }
            };
        }
    }

    #[inline]
    pub(crate) fn slots(&self) -> &[Slot] {
        self.slots
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    #[inline]
    pub(crate) fn first(&self, id: HeaderId) -> Option<&Slot> {
        self.slots_of(id).next()
    }

    #[inline]
    pub(crate) fn slots_of(&self, id: HeaderId) -> impl Iterator<Item = &Slot> {
        let from = self.first.get(id as usize).copied().unwrap_or(NONE);
        let slots = self.slots().get(usize::from(from)..).unwrap_or_default();
        slots.iter().filter(move |slot| slot.id == id)
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

    /// Indexes the field that starts at `line`; gives where the next one starts. An
    /// error ends the indexing: the rest has no sure meaning.
    #[inline]
    fn field(&mut self, text: &[u8], line: usize) -> Result<usize, (FaultKind, usize)> {
        let behind = text.get(line..).unwrap_or_default();
        let Some((id, colon)) = HeaderId::at_start(behind) else {
            return self.other_field(text, line);
        };
        // Nearly always there is one space, and none at the end.
        let mut start = line + colon + 2;
        if !matches!(behind.get(colon..), Some([b':', b' ', b'!'..=255, ..])) {
            start -= 1;
        }
        let Line { end, next, folded } = line_end(text, line, start)?;
        let value = text.get(start..end).unwrap_or_default();
        let value = match value {
            [b'!'..=255, .., b'!'..=255] | [b'!'..=255] => value,
            _ => {
                let tail = lex::skip_lws(value);
                start = end - tail.len();
                lex::trim_lws_end(tail)
            }
        };
        self.enter(id, line, start, value, folded)?;
        Ok(next)
    }

    /// [`Self::field`] for a name that is unknown, or has white space behind it, or
    /// is near the end.
    #[cold]
    fn other_field(&mut self, text: &[u8], line: usize) -> Result<usize, (FaultKind, usize)> {
        let behind = text.get(line..).unwrap_or_default();
        let (name, _) = lex::span(behind, lex::TOKEN);
        let name_end = line + name.len();
        let Line { end, next, folded } = line_end(text, line, name_end)?;
        let field = text.get(name_end..end).unwrap_or_default();
        let ([b':', value @ ..], [_, ..]) = (skip_wsp(field), name) else {
            self.note(FaultKind::HeaderName, name_end);
            return Ok(next);
        };
        let value = lex::skip_lws(value);
        let start = end - value.len();
        let id = HeaderId::lookup(name);
        self.enter(id, line, start, lex::trim_lws_end(value), folded)?;
        Ok(next)
    }

    /// Enters a field in the index, and checks what its name alone asks for.
    #[inline]
    fn enter(
        &mut self,
        id: HeaderId,
        line: usize,
        start: usize,
        value: &[u8],
        folded: bool,
    ) -> Result<(), (FaultKind, usize)> {
        let Some(slot) = self.slots.get_mut(usize::from(self.count)) else {
            return Err((FaultKind::TooManyFields, line));
        };
        *slot = Slot {
            line: offset(line),
            value: Span::new(start, start + value.len()),
            id,
            folded,
        };
        let Some(first) = self.first.get_mut(id as usize) else {
            return Ok(());
        };
        let repeated = *first != NONE;
        if repeated {
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

    /// Checks a field of an id that was there before.
    fn repeated(&mut self, id: HeaderId, line: usize, value: &[u8]) {
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

/// Without the spaces and tabs in front.
#[inline]
fn skip_wsp(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Where a line ends, folds included.
struct Line {
    /// At its CRLF.
    end: usize,
    /// Behind its CRLF.
    next: usize,
    /// Whether it has folds.
    folded: bool,
}

/// Finds the end of the line that starts at `line`, searching from `from` on.
#[inline]
fn line_end(text: &[u8], line: usize, from: usize) -> Result<Line, (FaultKind, usize)> {
    let mut at = from;
    let mut folded = false;
    loop {
        at = line_break(text, at);
        match text.get(at..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => {
                folded = true;
                at += 3;
            }
            [b'\r', b'\n', ..] => {
                return Ok(Line {
                    end: at,
                    next: at + 2,
                    folded,
                });
            }
            [] | [b'\r'] => return Err((FaultKind::NoEndOfHead, text.len())),
            [0, ..] => return line_end_with_nul(text, line),
            _ => return Err((FaultKind::BareLineBreak, at)),
        }
    }
}

/// The offset of the first CR, LF or NUL from `from` on, or the end of the text.
#[inline]
fn line_break(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        // All three are below 14, as are the tab and a few bytes seldom seen.
        at += words::find(text.get(at..).unwrap_or_default(), |word| {
            words::below(word, 14)
        });
        match text.get(at) {
            Some(b'\r' | b'\n' | 0) | None => return at,
            Some(_) => at += 1,
        }
    }
}

/// [`line_end`] for a line with a NUL in it, byte by byte: a NUL may only be the
/// second byte of a quoted pair (RFC 3261 §25.1).
#[cold]
fn line_end_with_nul(text: &[u8], line: usize) -> Result<Line, (FaultKind, usize)> {
    let whole = text.get(line..).unwrap_or_default();
    let mut rest = whole;
    let mut quoted = false;
    let mut folded = false;
    loop {
        let at = text.len() - rest.len();
        rest = match rest {
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] => {
                folded = true;
                tail
            }
            [b'\r', b'\n', ..] => {
                let next = at + 2;
                return Ok(Line {
                    end: at,
                    next,
                    folded,
                });
            }
            [] | [b'\r'] => return Err((FaultKind::NoEndOfHead, text.len())),
            [b'\r' | b'\n', ..] => return Err((FaultKind::BareLineBreak, at)),
            [0, ..] => return Err((FaultKind::Nul, at)),
            [b'\\', b'\r' | b'\n', ..] => rest.get(1..).unwrap_or_default(),
            [b'\\', _, tail @ ..] if quoted => tail,
            [byte, tail @ ..] => {
                quoted ^= *byte == b'"';
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests;
