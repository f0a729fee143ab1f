//! The one scanner: datagrams, streams and steering all see a message through it,
//! so that no two of them can disagree about where a field or a message ends.
//!
//! It indexes the head in one pass: start line, header fields, the empty line. It
//! refuses (RFC 3261 §7, §25.1) what another box might read differently: a CR or
//! LF that is no line end, NUL, names that are no tokens, second copies of single
//! fields, and lengths that are no numbers. Values are parsed elsewhere, on demand.

use super::error::{FaultKind, Unreadable};
use super::head::Head;
use super::header::HeaderId;
use super::lex;
use super::line::StartLine;
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

/// Indexes a datagram as one message.
///
/// A message with a fault still comes out, so that a request can be answered: ask
/// [`Message::fault`]. Bytes behind the Content-Length are left unread (RFC 3261
/// §18.3). Never allocates.
///
/// # Errors
/// [`Unreadable`] where there is nothing to answer: only line ends, or a first line
/// that is not SIP's.
pub fn scan(buf: Bytes) -> Result<Message, Unreadable> {
    let (start, fault, at) = start::start_line(window(&buf))?;
    // Made before it is filled, so that it need not be copied when it is.
    let mut message = Message::new(buf, Head::new(start, fault), 0);
    let (buf, head, body_end) = message.parts();
    head.read_fields(buf, at);
    let head_end = head.end();
    let room = buf.len() - head_end;
    let body = match head.content_length {
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
        None => room,
    };
    if body > room {
        head.note(FaultKind::ContentLengthBeyond, head_end);
    }
    *body_end = head_end + body.min(room);
    Ok(message)
}

/// The first line of a datagram alone, as [`scan`] reads it: so much can be known of one
/// that there is no time for.
///
/// # Errors
/// As [`scan`].
pub fn first_line(buf: &[u8]) -> Result<StartLine<'_>, Unreadable> {
    let (start, _, _) = start::start_line(window(buf))?;
    Ok(start.line(buf))
}

/// Whether a request names a dialog, as far as its first To says so without being read as
/// such: for who has to know what to do first, and is not to be misled but by who sent it.
pub fn names_dialog(buf: &[u8]) -> bool {
    const TAG: &[u8] = b";tag=";
    for line in window(buf)
        .split(|&byte| byte == b'\n')
        .skip(1)
        .take(MAX_FIELDS)
    {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let name = name.trim_ascii_end();
        if name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t") {
            let value = value.unwrap_or_default();
            return value
                .windows(TAG.len())
                .any(|it| it.eq_ignore_ascii_case(TAG));
        }
        if line.trim_ascii().is_empty() {
            return false;
        }
    }
    false
}

/// The part of the received bytes that the head must be in.
fn window(buf: &[u8]) -> &[u8] {
    buf.get(..MAX_HEAD).unwrap_or(buf)
}

impl Head {
    /// Indexes the head at the start of `buf`.
    pub(crate) fn read(buf: &[u8]) -> Result<Self, Unreadable> {
        let (start, fault, at) = start::start_line(window(buf))?;
        let mut head = Self::new(start, fault);
        head.read_fields(buf, at);
        Ok(head)
    }

    /// Indexes the fields of `buf` from `at` on.
    #[inline(always)]
    fn read_fields(&mut self, buf: &[u8], at: usize) {
        let text = window(buf);
        let end = self.index(text, at).unwrap_or_else(|(kind, place)| {
            let kind = match kind {
                FaultKind::NoEndOfHead if text.len() < buf.len() => FaultKind::HeadTooLong,
                kind => kind,
            };
            self.note(kind, place);
            text.len()
        });
        self.end_at(end);
    }

    /// Indexes the fields from `at` on; gives where the head ends. An error ends the
    /// indexing: the rest has no sure meaning.
    #[inline(always)]
    fn index(&mut self, text: &[u8], at: usize) -> Result<usize, (FaultKind, usize)> {
        let mut rest = text.get(at..).unwrap_or_default();
        loop {
            let line = text.len() - rest.len();
            let next = match plain_field(rest) {
                Some((id, value, next)) => {
                    // Behind the value are its CRLF and the next lines.
                    let start = text.len() - next.len() - 2 - value.len();
                    self.enter(id, line, start, value)?;
                    rest = next;
                    continue;
                }
                None if rest.starts_with(b"\r\n") => return Ok(line + 2),
                None => self.field(text, line)?,
            };
            rest = text.get(next..).unwrap_or_default();
        }
    }

    /// Indexes the field that starts at `line`, whatever it looks like; gives where
    /// the next one starts.
    fn field(&mut self, text: &[u8], line: usize) -> Result<usize, (FaultKind, usize)> {
        let behind = text.get(line..).unwrap_or_default();
        let (name, _) = lex::span(behind, lex::TOKEN);
        let name_end = line + name.len();
        let Line { end, next } = line_end(text, line, name_end)?;
        let field = text.get(name_end..end).unwrap_or_default();
        let ([b':', value @ ..], [_, ..]) = (skip_wsp(field), name) else {
            self.note(FaultKind::HeaderName, name_end);
            return Ok(next);
        };
        let value = lex::skip_lws(value);
        let start = end - value.len();
        let id = HeaderId::lookup(name);
        self.enter(id, line, start, lex::trim_lws_end(value))?;
        Ok(next)
    }
}

/// A field as nearly all are: a known name and its colon, perhaps one space, a value
/// without white space at its ends, in one line. Gives the value, and the text from
/// the next line on.
#[inline(always)]
fn plain_field(rest: &[u8]) -> Option<(HeaderId, &[u8], &[u8])> {
    // Found first, and without regard to the name, so that the next line need not wait
    // for it. NUL, LF and CR are below 14, as are the tab and a few bytes seldom seen.
    let end = words::find(rest, |word| words::below(word, 14));
    let (line, [b'\r', b'\n', next @ ..]) = rest.split_at_checked(end)? else {
        return None;
    };
    let (id, colon) = HeaderId::at_start(rest)?;
    let value = match line.get(colon + 1..)? {
        [b' ', value @ ..] | value => value,
    };
    let plain = matches!(value, [b'!'..=255] | [b'!'..=255, .., b'!'..=255]);
    (plain && !matches!(next, [b' ' | b'\t', ..])).then_some((id, value, next))
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
}

/// Finds the end of the line that starts at `line`, searching from `from` on.
#[inline]
fn line_end(text: &[u8], line: usize, from: usize) -> Result<Line, (FaultKind, usize)> {
    let mut at = from;
    loop {
        at = line_break(text, at);
        match text.get(at..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => {
                at += 3;
            }
            [b'\r', b'\n', ..] => {
                return Ok(Line {
                    end: at,
                    next: at + 2,
                });
            }
            [] | [b'\r'] => return Err((FaultKind::NoEndOfHead, text.len())),
            [0, ..] => return line_end_with_nul(text, line),
            _ => return Err((FaultKind::BareLineBreak, at)),
        }
    }
}

/// The offset of the first CR, LF or NUL from `from` on, or the end of the text.
#[inline(always)]
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
    loop {
        let at = text.len() - rest.len();
        rest = match rest {
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] => tail,
            [b'\r', b'\n', ..] => {
                let next = at + 2;
                return Ok(Line { end: at, next });
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
