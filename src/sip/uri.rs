//! URIs: sip and sips (RFC 3261 §19.1), tel (RFC 3966), urn, and any other by its scheme.

use super::error::{Fault, FaultKind};
use super::host::{self, Host};
use super::lex::{self, Parsed, fault_in, flaw, span};
use super::words;

/// A URI, by scheme. Nothing is decoded: escapes stay as they were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
    /// `urn:`, the whole text with its scheme, such as `urn:service:sos`.
    Urn(&'a [u8]),
    /// A scheme that Tollgate does not read: 416 in a Request-URI.
    Other {
        /// The scheme, without its colon.
        scheme: &'a [u8],
    },
}

/// A sip or sips URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether it is `sips:`.
    pub secure: bool,
    /// The user part, without the password, escapes undecoded, parameters of the
    /// user part still in it. Never empty.
    pub user: Option<&'a [u8]>,
    /// What follows a colon in front of the `@`; may be empty.
    pub password: Option<&'a [u8]>,
    /// The host.
    pub host: Host<'a>,
    /// The port, 1 to 65,535.
    pub port: Option<u16>,
    /// The parameters, from the first `;` on; empty if there are none.
    pub params: &'a [u8],
    /// What follows the `?`.
    pub headers: Option<&'a [u8]>,
}

/// A tel URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// The number with its `+` and its visual separators.
    pub number: &'a [u8],
    /// The parameters, from the first `;` on; empty if there are none.
    pub params: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a whole text as a URI.
    ///
    /// # Errors
    /// What is wrong first, by its offset in `text`: bytes that the scheme does not
    /// allow, a `%` without two hexadecimal digits, an empty user part, a second
    /// `@`, a host that is none, a port outside 1 to 65,535.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        match uri(text) {
            Ok((_, uri)) => Ok(uri),
            Err(error) => Err(fault_in(text, error)),
        }
    }

    /// The parameter of this name: `None` if absent, `Some(None)` without a value.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        match self {
            Self::Sip(uri) => uri.param(name),
            Self::Tel(uri) => uri.param(name),
            Self::Urn(_) | Self::Other { .. } => None,
        }
    }
}

impl<'a> SipUri<'a> {
    /// The URI parameter of this name (any case): `None` if absent, `Some(None)`
    /// without a value. Escapes are not decoded.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        find(self.params, name)
    }

    /// The URI parameters in their order.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        UriParams(self.params)
    }

    /// The header field of this name that a request to it is to have (RFC 3261 §19.1.1),
    /// its escapes undone. The first one, if there are several.
    #[must_use]
    pub fn header(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut fields = self.headers?.split(|byte| *byte == b'&');
        fields.find_map(|field| {
            let (found, value) = field.split_at_checked(memchr::memchr(b'=', field)?)?;
            let wanted = unescaped(found).eq_ignore_ascii_case(name);
            wanted.then(|| unescaped(value.get(1..).unwrap_or_default()))
        })
    }
}

/// A text with its escapes undone. One that is none stays as it is.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| digit(after.first()).zip(digit(after.get(1))));
        let byte = escaped.flatten().map(|(high, low)| high << 4 | low);
        match byte.and_then(|it| u8::try_from(it).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

impl<'a> TelUri<'a> {
    /// The parameter of this name (any case): `None` if absent, `Some(None)` without
    /// a value.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        find(self.params, name)
    }

    /// The parameters in their order.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        UriParams(self.params)
    }
}

/// Parameters of a URI: unlike those of a header field they have no white space, no
/// quotes, and escapes in names and values.
struct UriParams<'a>(&'a [u8]);

impl<'a> Iterator for UriParams<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.strip_prefix(b";")?;
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        let (param, rest) = text.split_at_checked(end)?;
        self.0 = rest;
        Some(match memchr::memchr(b'=', param) {
            Some(at) => (param.get(..at)?, param.get(at.checked_add(1)?..)),
            None => (param, None),
        })
    }
}

fn find<'a>(params: &'a [u8], name: &[u8]) -> Option<Option<&'a [u8]>> {
    UriParams(params)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[inline(always)]
fn uri(text: &[u8]) -> Parsed<'_, Uri<'_>> {
    match text {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', rest @ ..] => sip(rest, false),
        [
            b's' | b'S',
            b'i' | b'I',
            b'p' | b'P',
            b's' | b'S',
            b':',
            rest @ ..,
        ] => sip(rest, true),
        [b't' | b'T', b'e' | b'E', b'l' | b'L', b':', rest @ ..] => tel(rest),
        _ => other(text),
    }
}

#[inline(always)]
fn sip(text: &[u8], secure: bool) -> Parsed<'_, Uri<'_>> {
    let (rest, (user, password)) = match userinfo(text) {
        Err(error) if memchr::memchr(b'@', text).is_some() => return Err(error),
        Err(_) => (text, (None, None)),
        Ok(found) => found,
    };
    let (rest, (host, port)) = host::host_port(rest)?;
    let (rest, params) = uri_params(rest)?;
    let (rest, headers) = match rest {
        [b'?', headers @ ..] => {
            let rest = escaped_span(headers, lex::HEADERS)?;
            (rest, Some(before(headers, rest)))
        }
        _ => (rest, None),
    };
    let uri = SipUri {
        secure,
        user,
        password,
        host,
        port,
        params,
        headers,
    };
    match rest {
        [] => Ok((rest, Uri::Sip(uri))),
        [b'@', ..] => flaw(FaultKind::UserInfo, rest),
        _ => flaw(FaultKind::Uri, rest),
    }
}

type UserInfo<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// `user [":" password] "@"`. What is taken for that may also be a host.
#[inline(always)]
fn userinfo(text: &[u8]) -> Parsed<'_, UserInfo<'_>> {
    // Nearly always it is a number.
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let end = words::find(digits, words::not_digit);
    if end > 0
        && let Some([b'@', after @ ..]) = digits.get(end..)
    {
        let user = text.get(..text.len() - after.len() - 1);
        return Ok((after, (user, None)));
    }
    let rest = escaped_span(text, lex::USER)?;
    let user = before(text, rest);
    if user.is_empty() {
        return flaw(FaultKind::UserInfo, text);
    }
    let (rest, password) = match rest {
        [b':', password @ ..] => {
            let rest = escaped_span(password, lex::PASSWORD)?;
            (rest, Some(before(password, rest)))
        }
        _ => (rest, None),
    };
    match rest {
        [b'@', after @ ..] => Ok((after, (Some(user), password))),
        _ => flaw(FaultKind::UserInfo, rest),
    }
}

/// `*(;name[=value])` of a URI; gives its text from the first semicolon on.
#[inline(always)]
fn uri_params(text: &[u8]) -> Parsed<'_, &[u8]> {
    let mut rest = text;
    while let [b';', name @ ..] = rest {
        rest = escaped_span(name, lex::PARAM)?;
        if rest.len() == name.len() {
            return flaw(FaultKind::Uri, name);
        }
        if let [b'=', value @ ..] = rest {
            rest = escaped_span(value, lex::PARAM)?;
            if rest.len() == value.len() {
                return flaw(FaultKind::Uri, value);
            }
        }
    }
    Ok((rest, before(text, rest)))
}

fn tel(text: &[u8]) -> Parsed<'_, Uri<'_>> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let rest = span(digits, lex::TEL).1;
    if rest.len() == digits.len() {
        return flaw(FaultKind::Uri, rest);
    }
    let number = before(text, rest);
    match uri_params(rest)? {
        (rest @ [], params) => Ok((rest, Uri::Tel(TelUri { number, params }))),
        (rest, _) => flaw(FaultKind::Uri, rest),
    }
}

fn other(text: &[u8]) -> Parsed<'_, Uri<'_>> {
    let colon = memchr::memchr(b':', text).and_then(|at| text.split_at_checked(at));
    let Some((scheme, [_, body @ ..])) = colon else {
        return flaw(FaultKind::Uri, text);
    };
    let first = scheme.first().is_some_and(u8::is_ascii_alphabetic);
    let legal = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !first || !scheme.iter().all(legal) || body.is_empty() {
        return flaw(FaultKind::Uri, text);
    }
    match escaped_span(body, lex::URIC)? {
        [] if scheme.eq_ignore_ascii_case(b"urn") => Ok((&[], Uri::Urn(text))),
        [] => Ok((&[], Uri::Other { scheme })),
        rest => flaw(FaultKind::Uri, rest),
    }
}

/// The rest behind bytes in `class` and whole escapes.
#[inline(always)]
fn escaped_span(text: &[u8], class: u16) -> Result<&[u8], nom::Err<lex::Flaw<'_>>> {
    let mut rest = text;
    loop {
        rest = span(rest, class).1;
        rest = match rest {
            [b'%', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
            [b'%', ..] => return flaw(FaultKind::Escape, rest).map(|(rest, ())| rest),
            _ => return Ok(rest),
        };
    }
}

/// What of `text` stands in front of its tail `rest`.
#[inline(always)]
fn before<'a>(text: &'a [u8], rest: &[u8]) -> &'a [u8] {
    text.get(..text.len() - rest.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
