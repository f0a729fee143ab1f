//! The one scanner: datagrams, streams and steering all see a message through it,
//! so that no two of them can disagree about where a field or a message ends.
//!
//! It indexes the head in one pass: start line, header fields, the empty line. It
//! refuses (RFC 3261 §7, §25.1) what another box might read differently: a CR or
//! LF that is no line end, NUL, names that are no tokens, second copies of single
//! fields, and lengths that are no numbers. Values are parsed elsewhere, on demand.

use super::error::{Fault, FaultKind, Unreadable, UnreadableReason};
use super::header::{self, HeaderId};
use super::lex;
use super::line::{MAX_METHOD, Method};
use super::message::Message;
use bytes::Bytes;

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
    /// Offsets within the window always fit: it has at most [`MAX_HEAD`] bytes.
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

#[inline]
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
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
        let (start, fault, mut at) = start_line(text)?;
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
                head.end = offset(at.saturating_add(2));
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
        let (name, _) = lex::span(behind, lex::TOKEN);
        let name_end = line.saturating_add(name.len());
        let Line { end, next, folded } = line_end(text, line, name_end)?;
        let field = text.get(name_end..end).unwrap_or_default();
        let [b':', value @ ..] = skip_wsp(field) else {
            self.note(FaultKind::HeaderName, name_end);
            return Ok(next);
        };
        if name.is_empty() {
            self.note(FaultKind::HeaderName, line);
            return Ok(next);
        }
        let trimmed = lex::skip_lws(value);
        let start = end.saturating_sub(trimmed.len());
        let trimmed = lex::trim_lws_end(trimmed);
        let id = HeaderId::lookup(name);
        let Some(slot) = self.slots.get_mut(usize::from(self.count)) else {
            return Err((FaultKind::TooManyFields, line));
        };
        *slot = Slot {
            line: offset(line),
            value: Span::new(start, start.saturating_add(trimmed.len())),
            id,
            folded,
        };
        self.enter(id, line, trimmed);
        Ok(next)
    }

    /// Enters the newest field in the index by name, and checks what its name alone
    /// asks for.
    #[inline]
    fn enter(&mut self, id: HeaderId, line: usize, value: &[u8]) {
        let at = self.count;
        self.count = at.saturating_add(1);
        let Some(first) = self.first.get_mut(id as usize) else {
            return;
        };
        let repeated = *first != NONE;
        if !repeated {
            *first = at;
        }
        if id == HeaderId::ContentLength {
            let length = lex::number_up_to(value, u64::from(u32::MAX));
            let length = length.and_then(|length| u32::try_from(length).ok());
            if length.is_none() {
                self.note(FaultKind::ContentLength, line);
            } else if !repeated {
                self.content_length = length;
            } else if length != self.content_length {
                self.note(FaultKind::ContentLengthConflict, line);
            }
        }
        if repeated && id.single() {
            self.note(FaultKind::Duplicate, line);
        }
    }
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
        let rest = text.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr3(b'\r', b'\n', 0, rest) else {
            return Err((FaultKind::NoEndOfHead, text.len()));
        };
        at = at.saturating_add(found);
        match rest.get(found..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => {
                folded = true;
                at = at.saturating_add(3);
            }
            [b'\r', b'\n', ..] => {
                return Ok(Line {
                    end: at,
                    next: at.saturating_add(2),
                    folded,
                });
            }
            [b'\r'] => return Err((FaultKind::NoEndOfHead, text.len())),
            [0, ..] => return line_end_with_nul(text, line),
            _ => return Err((FaultKind::BareLineBreak, at)),
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
        let at = text.len().saturating_sub(rest.len());
        rest = match rest {
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] => {
                folded = true;
                tail
            }
            [b'\r', b'\n', ..] => {
                let next = at.saturating_add(2);
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

/// Indexes the start line; gives its index, its fault, and where the next line starts.
#[inline]
fn start_line(text: &[u8]) -> Result<(Start, Option<Fault>, usize), Unreadable> {
    let unreadable = |reason| Err(Unreadable { reason });
    let mut rest = text;
    while let [b'\r', b'\n', tail @ ..] = rest {
        rest = tail;
    }
    if matches!(rest, [] | [b'\r']) {
        return unreadable(UnreadableReason::Empty);
    }
    let at = text.len().saturating_sub(rest.len());
    let end = memchr::memchr3(b'\r', b'\n', 0, rest).and_then(|end| rest.split_at_checked(end));
    let Some((line, [b'\r', b'\n', ..])) = end else {
        return unreadable(UnreadableReason::NotSip);
    };
    let next = at.saturating_add(line.len()).saturating_add(2);
    if line.starts_with(b"SIP/") {
        return match status_line(line, at) {
            Some(start) => Ok((start, None, next)),
            None => unreadable(UnreadableReason::StatusLine),
        };
    }
    match request_line(line, at) {
        Some((start, fault)) => Ok((start, fault, next)),
        None => unreadable(UnreadableReason::NotSip),
    }
}

/// `SIP/2.0 SP code [SP reason]`, starting at offset `at`. The SP behind the code is
/// often left out when the reason is empty.
#[inline]
fn status_line(line: &[u8], at: usize) -> Option<Start> {
    let [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] =
        line.strip_prefix(b"SIP/2.0 ")?
    else {
        return None;
    };
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    let digit = |digit: &u8| u16::from(*digit - b'0');
    let end = at.saturating_add(line.len());
    Some(Start::Response {
        code: digit(a) * 100 + digit(b) * 10 + digit(c),
        reason: Span::new(end.saturating_sub(reason.len()), end),
    })
}

/// `Method SP Request-URI SP SIP/2.0`, starting at offset `at`. Anything that has a
/// token in front and a version behind is a request, if a faulty one.
#[inline]
fn request_line(line: &[u8], at: usize) -> Option<(Start, Option<Fault>)> {
    let (method_text, rest) = lex::span(line, lex::TOKEN);
    let is_wsp = |byte: &u8| matches!(byte, b' ' | b'\t');
    let last = line.iter().rposition(|byte| !is_wsp(byte))?;
    let trimmed = line.get(..=last)?;
    let (uri, version) = trimmed.split_at_checked(memchr::memrchr2(b' ', b'\t', trimmed)?)?;
    let uri = uri.get(method_text.len()..)?;
    if method_text.is_empty() || !rest.first().is_some_and(is_wsp) || !is_version(version) {
        return None;
    }
    let strict_uri = uri
        .strip_prefix(b" ")
        .is_some_and(|uri| lex::all(uri, lex::ADDRESS));
    let kind = if version.get(1..) != Some(b"SIP/2.0") {
        Some(FaultKind::Version)
    } else if !strict_uri || version.first() != Some(&b' ') || trimmed.len() != line.len() {
        Some(FaultKind::RequestLine)
    } else if method_text.len() > MAX_METHOD {
        Some(FaultKind::MethodTooLong)
    } else {
        None
    };
    let after = lex::skip_lws(uri);
    let uri_end = at.saturating_add(trimmed.len().saturating_sub(version.len()));
    let uri_at = uri_end.saturating_sub(after.len());
    let uri_end = uri_at.saturating_add(lex::trim_lws_end(after).len());
    let start = Start::Request {
        method: Method::lookup(method_text),
        method_text: Span::new(at, at.saturating_add(method_text.len())),
        uri: Span::new(uri_at, uri_end),
    };
    Some((start, kind.map(|kind| Fault::new(kind, uri_at))))
}

/// White space and `SIP/` digits `.` digits.
fn is_version(text: &[u8]) -> bool {
    let numbers = text
        .get(1..)
        .and_then(|text| text.strip_prefix(b"SIP/"))
        .and_then(lex::number)
        .and_then(|(_, rest)| lex::number(rest.strip_prefix(b".")?));
    matches!(numbers, Some((_, [])))
}

#[cfg(test)]
mod tests;
