//! The start line (RFC 3261 §7.1, §7.2).

use super::super::error::{Fault, FaultKind, Unreadable, UnreadableReason};
use super::super::head::{Span, Start};
use super::super::lex;
use super::super::line::{MAX_METHOD, Method};
use super::line_break;

/// Indexes the start line; gives its index, its fault, and where the next line starts.
#[inline]
pub(super) fn start_line(text: &[u8]) -> Result<(Start, Option<Fault>, usize), Unreadable> {
    let unreadable = |reason| Err(Unreadable { reason });
    let mut rest = text;
    while let [b'\r', b'\n', tail @ ..] = rest {
        rest = tail;
    }
    if matches!(rest, [] | [b'\r']) {
        return unreadable(UnreadableReason::Empty);
    }
    let at = text.len() - rest.len();
    let end = line_break(text, at);
    let line = text.get(at..end).unwrap_or_default();
    if !matches!(text.get(end..), Some([b'\r', b'\n', ..])) {
        return unreadable(UnreadableReason::NotSip);
    }
    let next = end + 2;
    if version(line, b"SIP/").is_some() {
        return match status_line(line, at) {
            Some(start) => Ok((start, None, next)),
            None => unreadable(UnreadableReason::StatusLine),
        };
    }
    if let Some(start) = request_line(line, at) {
        return Ok((start, None, next));
    }
    match faulty_request_line(line, at) {
        Some((start, fault)) => Ok((start, Some(fault), next)),
        None => unreadable(UnreadableReason::NotSip),
    }
}

/// `SIP/2.0 SP code [SP reason]`, starting at offset `at`. The SP behind the code is
/// often left out when the reason is empty.
#[inline]
fn status_line(line: &[u8], at: usize) -> Option<Start> {
    let [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] =
        version(line, b"SIP/2.0 ")?
    else {
        return None;
    };
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    let digit = |digit: &u8| u16::from(*digit - b'0');
    let end = at + line.len();
    Some(Start::Response {
        code: digit(a) * 100 + digit(b) * 10 + digit(c),
        reason: Span::new(end - reason.len(), end),
    })
}

/// `Method SP Request-URI SP SIP/2.0`, starting at offset `at`.
#[inline]
fn request_line(line: &[u8], at: usize) -> Option<Start> {
    let (method_text, rest) = lex::span(line, lex::TOKEN);
    let (uri, end) = rest.strip_prefix(b" ")?.split_last_chunk::<8>()?;
    version(end, b" SIP/2.0")?;
    if method_text.is_empty() || method_text.len() > MAX_METHOD || !lex::is_address(uri) {
        return None;
    }
    let method_end = at + method_text.len();
    let uri_at = method_end + 1;
    Some(Start::Request {
        method: Method::lookup(method_text),
        method_text: Span::new(at, method_end),
        uri: Span::new(uri_at, uri_at + uri.len()),
    })
}

/// What has a token in front and a version behind is a request, if a faulty one.
#[cold]
fn faulty_request_line(line: &[u8], at: usize) -> Option<(Start, Fault)> {
    let (method_text, rest) = lex::span(line, lex::TOKEN);
    let is_wsp = |byte: &u8| matches!(byte, b' ' | b'\t');
    let last = line.iter().rposition(|byte| !is_wsp(byte))?;
    let trimmed = line.get(..=last)?;
    let (uri, spaced) = trimmed.split_at_checked(memchr::memrchr2(b' ', b'\t', trimmed)?)?;
    let uri = uri.get(method_text.len()..)?;
    let last_word = spaced.get(1..)?;
    if method_text.is_empty() || !rest.first().is_some_and(is_wsp) || !is_version(last_word) {
        return None;
    }
    let ours = last_word.eq_ignore_ascii_case(b"SIP/2.0");
    let kind = match ours {
        true if method_text.len() > MAX_METHOD => FaultKind::MethodTooLong,
        true => FaultKind::RequestLine,
        false => FaultKind::Version,
    };
    let after = lex::skip_lws(uri);
    let uri_at = at + (trimmed.len() - spaced.len()) - after.len();
    let start = Start::Request {
        method: Method::lookup(method_text),
        method_text: Span::new(at, at + method_text.len()),
        uri: Span::new(uri_at, uri_at + lex::trim_lws_end(after).len()),
    };
    Some((start, Fault::new(kind, uri_at)))
}

/// What stands behind `prefix`, which is a version or the start of one: those are
/// read in any case (RFC 3261 §7.1).
#[inline]
fn version<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    (start == prefix || start.eq_ignore_ascii_case(prefix)).then_some(rest)
}

/// `SIP/` digits `.` digits.
fn is_version(text: &[u8]) -> bool {
    let numbers = version(text, b"SIP/")
        .and_then(lex::number)
        .and_then(|(_, rest)| lex::number(rest.strip_prefix(b".")?));
    matches!(numbers, Some((_, [])))
}
