//! Hosts and ports (RFC 3261 §25.1, RFC 5118).

use super::error::FaultKind;
use super::lex::{self, Parsed, flaw};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest host name, in bytes (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// A host: an address, or a name to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// An IPv4 address, or an IPv6 address out of its brackets.
    Ip(IpAddr),
    /// A host name as received.
    Name(&'a [u8]),
}

impl<'a> Host<'a> {
    /// Reads a whole text as a host. An IPv6 address may lack its brackets, as in
    /// `received` and `maddr` parameters (RFC 5118 §4.5).
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        match host(text) {
            Ok(([], host)) => Some(host),
            _ => v6(text).map(|address| Self::Ip(IpAddr::V6(address))),
        }
    }

    /// The address, if it is one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host<'_> {
    /// As in a URI: IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(&String::from_utf8_lossy(name)),
        }
    }
}

/// A host at the start of `text`.
#[inline(always)]
pub(crate) fn host(text: &[u8]) -> Parsed<'_, Host<'_>> {
    if let [b'[', inner @ ..] = text {
        let end = inner.iter().position(|&byte| byte == b']');
        let parts = end.and_then(|end| inner.split_at_checked(end));
        let Some((address, [_, rest @ ..])) = parts else {
            return flaw(FaultKind::Host, text);
        };
        return match v6(address) {
            Some(address) => Ok((rest, Host::Ip(IpAddr::V6(address)))),
            None => flaw(FaultKind::Host, text),
        };
    }
    if let Some((address, rest)) = v4_start(text)
        && !rest.first().is_some_and(|&byte| lex::is(byte, lex::HOST))
    {
        return Ok((rest, Host::Ip(IpAddr::V4(address))));
    }
    let (name, rest) = lex::long_span(text, lex::HOST);
    match name {
        [] => flaw(FaultKind::Host, text),
        _ if ends_in_number(name) => flaw(FaultKind::Host, text),
        [b'.' | b'-', ..] => flaw(FaultKind::Host, text),
        _ if name.len() > MAX_NAME => flaw(FaultKind::Host, text),
        _ => Ok((rest, Host::Name(name))),
    }
}

/// `host [COLON port]` without white space around the colon, as in URIs.
#[inline(always)]
pub(crate) fn host_port(text: &[u8]) -> Parsed<'_, (Host<'_>, Option<u16>)> {
    let (rest, host) = host(text)?;
    match rest {
        [b':', digits @ ..] => {
            let (rest, port) = port(digits)?;
            Ok((rest, (host, Some(port))))
        }
        _ => Ok((rest, (host, None))),
    }
}

/// A port from 1 to 65,535.
#[inline(always)]
pub(crate) fn port(text: &[u8]) -> Parsed<'_, u16> {
    let mut port: u32 = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest
        && port <= u32::from(u16::MAX)
    {
        port = port * 10 + u32::from(*digit - b'0');
        rest = tail;
    }
    match u16::try_from(port) {
        Ok(port @ 1..) => Ok((rest, port)),
        _ => flaw(FaultKind::Port, text),
    }
}

/// Whether the last label is a number, decimal or hexadecimal: resolvers take such
/// a name for an address, so it must be one. (RFC 3261's `toplabel` refuses any
/// leading digit, but host names such as `5f3a2b` are in use.)
fn ends_in_number(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if !matches!(name, [.., last] if last.is_ascii_hexdigit() || matches!(last, b'x' | b'X')) {
        return name.is_empty() || name.ends_with(b".");
    }
    let last = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    match last {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        _ => last.iter().all(u8::is_ascii_digit),
    }
}

/// A dotted IPv4 address at the start of `text`. Leading zeros are refused: some read
/// them as octal.
#[inline(always)]
fn v4_start(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = octet(text)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), rest))
}

#[inline(always)]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let (value, rest) = match text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let tens = u16::from(*a - b'0') * 10 + u16::from(*b - b'0');
            (tens * 10 + u16::from(*c - b'0'), rest)
        }
        [a @ b'1'..=b'9', b @ b'0'..=b'9', rest @ ..] => {
            (u16::from(*a - b'0') * 10 + u16::from(*b - b'0'), rest)
        }
        [a @ b'0'..=b'9', rest @ ..] => (u16::from(*a - b'0'), rest),
        _ => return None,
    };
    Some((u8::try_from(value).ok()?, rest))
}

/// An IPv6 address. The three colons that RFC 3261's grammar let slip in front of
/// an IPv4 tail are read as two (RFC 5118 §4.10); anywhere else they are refused.
fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (head, tail) = text.split_once(":::")?;
    v4_start(tail.as_bytes()).filter(|(_, rest)| rest.is_empty())?;
    let mut buffer = [0; 48];
    let mut length = 0;
    for part in [head, "::", tail] {
        let end = part.len().checked_add(length)?;
        buffer
            .get_mut(length..end)?
            .copy_from_slice(part.as_bytes());
        length = end;
    }
    let joined = buffer.get(..length)?;
    std::str::from_utf8(joined).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<u16>)> {
        match host_port(text.as_bytes()) {
            Ok(([], (host, port))) => Some((host.to_string(), port)),
            _ => None,
        }
    }

    #[test]
    fn hosts_of_every_form() {
        let good = [
            ("192.0.2.1", "192.0.2.1", None),
            ("gw.example.com:5070", "gw.example.com", Some(5070)),
            ("my_pbx.local.", "my_pbx.local.", None),
            ("5f3a2b", "5f3a2b", None),
            ("[2001:db8::10]:5070", "[2001:db8::10]", Some(5070)),
            ("[2001:db8::10:5070]", "[2001:db8::10:5070]", None),
            (
                "[::ffff:192.0.2.10]:19823",
                "[::ffff:192.0.2.10]",
                Some(19823),
            ),
            ("[2001:db8:::192.0.2.1]", "[2001:db8::c000:201]", None),
        ];
        for (text, host, port) in good {
            assert_eq!(read(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host() {
        let bad = [
            "",
            ":5060",
            "a:0",
            "a:65536",
            "a:",
            "a:99999999999999999999",
            "[]",
            "[::1",
            "[:::]",
            "[2001:db8:::1]",
            "a:b:::",
            "2001:db8::10",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "-a",
            ".a",
            "a b",
            "[::1%eth0]",
            "host.5",
            "0x7f000001",
            "a..",
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_may_lack_brackets() {
        let address = Some(Host::Ip("2001:db8::9:255".parse().unwrap()));
        assert_eq!(Host::parse(b"2001:db8::9:255"), address);
        assert_eq!(Host::parse(b"[2001:db8::9:255]"), address);
        assert_eq!(Host::parse(b"2001:db8::9:255]"), None);
    }
}
