//! Texts in rule files that stand for something: durations, addresses, number
//! ranges.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::diagnostic::nearest;
use super::target::Packed;
use crate::base::flow::Transport;

/// Reads "4h", "3m", "30s", "1h30m".
///
/// # Errors
///
/// What is expected instead.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "write a number and its unit, h, m or s: \"4h\", \"90s\", \"1h30m\"";
    let mut total = 0_u64;
    let mut number: Option<u64> = None;
    let mut units = [("h", 3_600), ("m", 60), ("s", 1)].into_iter();
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let more = number.unwrap_or(0).checked_mul(10);
            number = Some(
                more.and_then(|n| n.checked_add(digit.into()))
                    .ok_or(EXPECTED)?,
            );
            continue;
        }
        // Each unit once, the larger first.
        let (_, seconds) = units
            .find(|(unit, _)| unit.starts_with(c))
            .ok_or(EXPECTED)?;
        let part = number.take().and_then(|n| n.checked_mul(seconds));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or(EXPECTED)?;
    }
    if number.is_some() || text.is_empty() {
        return Err(EXPECTED);
    }
    Ok(Duration::from_secs(total))
}

/// Where a signalling address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// An address.
    Address(SocketAddr),
    /// A name to be looked up.
    Name,
}

/// A domain name to be looked up as RFC 3263 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The transport, if it is given.
    pub transport: Option<Transport>,
    /// The name, in small letters and without a dot at its end.
    pub host: String,
    /// The port, if it is given.
    pub port: Option<u16>,
}

/// Reads `udp:127.0.0.1:5060`, `udp:[::1]:5060`, `udp:sip.example.net`; without a
/// port it is 5060, or 5061 with TLS.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn signalling(text: &str) -> Result<(Transport, Endpoint), &'static str> {
    const EXPECTED: &str = "write the transport, the address and the port: \"udp:192.0.2.1:5060\" \
                            or \"udp:[2001:db8::1]:5060\"";
    let (scheme, rest) = text.split_once(':').ok_or(EXPECTED)?;
    let scheme = match scheme {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        _ if nearest(scheme, ["udp"].into_iter()).is_some() => {
            return Err("did you mean udp? Write, say, \"udp:192.0.2.1:5060\"");
        }
        _ => return Err(EXPECTED),
    };
    if let Ok(address) = host_and_port(rest, scheme.default_port()) {
        return Ok((scheme, Endpoint::Address(address)));
    }
    match name_and_port(rest)? {
        Some(_) => Ok((scheme, Endpoint::Name)),
        None => Err(EXPECTED),
    }
}

/// Reads `udp:sip.example.net`, `tls:sip.example.net:5061`, `sip.example.net`; none if it
/// is no domain name.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn named(text: &str) -> Result<Option<Named>, &'static str> {
    let (transport, rest) = match signalling(text) {
        Ok((transport, Endpoint::Name)) => {
            let (_, rest) = text.split_once(':').unwrap_or_default();
            (Some(transport), rest)
        }
        Ok(_) => return Ok(None),
        Err(_) if text.contains('.') && matches!(name_and_port(text), Ok(Some(_))) => (None, text),
        Err(help) => return Err(help),
    };
    let read = name_and_port(rest)?;
    Ok(read.map(|(host, port)| Named {
        transport,
        host: host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
        port,
    }))
}

/// Whether this text is the address of a listener.
pub(super) fn is_listener(text: &str, transport: Transport, bind: SocketAddr) -> bool {
    signalling(text) == Ok((transport, Endpoint::Address(bind)))
}

/// Reads `sip.example.net` or `sip.example.net:5060`; none if it is no domain name.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn name_and_port(text: &str) -> Result<Option<(&str, Option<u16>)>, &'static str> {
    let (name, port) = match text.rsplit_once(':') {
        Some((_, port)) if is_no_port(port) => return Err(PORTS),
        Some((name, port)) => match port.parse::<u16>() {
            Ok(port) => (name, Some(port)),
            Err(_) => (text, None),
        },
        None => (text, None),
    };
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let is_name = name.bytes().all(letters) && name.bytes().any(|b| b.is_ascii_alphabetic());
    Ok(is_name.then_some((name, port)))
}

const PORTS: &str = "a port is a number from 1 to 65535";

/// Whether these digits are no port.
fn is_no_port(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && !text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Reads `192.0.2.1:5060`, `[::1]:5060`, `192.0.2.1`, `[::1]` or `::1`. IPv4
/// mapped into IPv6 is IPv4.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn host_and_port(text: &str, port: u16) -> Result<SocketAddr, &'static str> {
    const EXPECTED: &str = "write an address, and a port if need be: \"192.0.2.1\", \
                            \"192.0.2.1:5060\", \"[2001:db8::1]:5060\"";
    if let Ok(address) = SocketAddr::from_str(text) {
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        return if address.port() == 0 {
            Err(PORTS)
        } else {
            Ok(canonical)
        };
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && is_no_port(port)
        && (host.ends_with(']') || !host.contains(':'))
    {
        return Err(PORTS);
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let ip = IpAddr::from_str(bare.unwrap_or(text)).map_err(|_| EXPECTED)?;
    Ok(SocketAddr::new(ip.to_canonical(), port))
}

/// Reads "192.0.2.0/24", or "192.0.2.1" for that address alone. IPv4 mapped into
/// IPv6 is IPv4.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    const EXPECTED: &str = "write an address and how many of its bits count: \"192.0.2.0/24\", \
                            \"2001:db8::/32\"";
    let net = match IpNet::from_str(text) {
        Ok(net) => net,
        Err(_) => IpNet::from(IpAddr::from_str(text).map_err(|_| EXPECTED.to_owned())?),
    };
    let net = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4),
            None => net,
        },
        other => other,
    };
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!(
            "bits behind the network's are set; write \"{}\"",
            net.trunc()
        ))
    }
}

/// Numbers from the first to the last, of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberRange {
    /// The first.
    pub first: Packed,
    /// The last.
    pub last: Packed,
}

impl NumberRange {
    /// What ranges are sorted by: ranges of one length do not interleave.
    pub(super) fn order(&self) -> (u32, Packed) {
        (self.first.length(), self.first)
    }

    /// How many numbers it has.
    pub(super) fn count(&self) -> u64 {
        let value = |number: Packed| {
            let number = number.number();
            let digits = number.as_ref().and_then(|it| it.international_digits());
            let digits = digits.unwrap_or_default().iter();
            digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))
        };
        value(self.last).saturating_sub(value(self.first)) + 1
    }

    /// Whether some number is in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let same_length = self.first.length() == other.first.length();
        same_length && self.first <= other.last && other.first <= self.last
    }

    /// Whether the number is one of them.
    pub(super) fn contains(&self, number: Packed) -> bool {
        // Numbers in between in the order of digits may also be longer.
        (self.first..=self.last).contains(&number)
            && !number.is_short()
            && number.length() == self.first.length()
    }
}

/// Reads "+81335570000", with spaces if you like.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn number(text: &str) -> Result<Packed, &'static str> {
    const EXPECTED: &str = "write the whole number with + and the country's code: \"+81335570000\"";
    let digits = text.trim().strip_prefix('+').ok_or(EXPECTED)?;
    let digits: String = digits.chars().filter(|c| !" -.".contains(*c)).collect();
    Packed::international(digits.as_bytes()).ok_or(EXPECTED)
}

/// Reads "+81335570000", or "+81335570000..+81335570099" for all from the first
/// to the last.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn number_range(text: &str) -> Result<NumberRange, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first.length() != last.length() {
        return Err("both ends of a range have the same number of digits".to_owned());
    }
    if first > last {
        return Err(format!(
            "the lower number comes first: \"{last:?}..{first:?}\""
        ));
    }
    Ok(NumberRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("4h", 14_400), ("90s", 90), ("1h30m", 5_400), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "4",
            "h",
            "4d",
            "30m1h",
            "1m1m",
            "-1s",
            "99999999999999999999h",
            "1 h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signalling_addresses() {
        let at = |text: &str| Endpoint::Address(text.parse().unwrap());
        assert_eq!(
            signalling("udp:127.0.0.1:5070"),
            Ok((Transport::Udp, at("127.0.0.1:5070")))
        );
        assert_eq!(
            signalling("tls:192.0.2.1"),
            Ok((Transport::Tls, at("192.0.2.1:5061")))
        );
        assert_eq!(
            signalling("udp:[::1]:5060"),
            Ok((Transport::Udp, at("[::1]:5060")))
        );
        assert_eq!(
            signalling("tcp:[::1]"),
            Ok((Transport::Tcp, at("[::1]:5060")))
        );
        for text in [
            "127.0.0.1:5060",
            "sctp:127.0.0.1",
            "udp:",
            "udp:1.2.3.4.5",
            "udp:a b",
            "udp:1.2.3.4:0",
        ] {
            assert!(signalling(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_carriers() {
        let read = |text: &str| {
            let named = named(text).unwrap().unwrap();
            (named.transport, named.host, named.port)
        };
        let host = || "sip.example.net".to_owned();
        assert_eq!(
            read("udp:SIP.example.net:5062"),
            (Some(Transport::Udp), host(), Some(5062))
        );
        assert_eq!(
            read("tls:sip.example.net."),
            (Some(Transport::Tls), host(), None)
        );
        assert_eq!(read("sip.example.net"), (None, host(), None));
        assert_eq!(read("sip.example.net:5062"), (None, host(), Some(5062)));
        assert_eq!(
            read("udp:gate"),
            (Some(Transport::Udp), "gate".into(), None)
        );
        for text in ["udp:192.0.2.1", "udp:[::1]:5060"] {
            assert_eq!(named(text), Ok(None), "{text}");
        }
        for text in [
            "127.0.0.1:5060",
            "gate",
            "upd:sip.example.net",
            "sctp:sip.example.net",
            "sip:sip.example.net",
            "sip.example.net:0",
            "udp:sip.example.net:70000",
            "udp:sip_example.net",
            "",
        ] {
            assert!(named(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(
            network("::ffff:192.0.2.0/120").unwrap().to_string(),
            "192.0.2.0/24"
        );
        assert!(
            network("192.0.2.7/24")
                .unwrap_err()
                .contains("192.0.2.0/24")
        );
        assert!(network("192.0.2/24").is_err());
        assert!(network("192.0.2.0/33").is_err());
    }

    #[test]
    fn number_ranges_hold_numbers_of_one_length() {
        let range = number_range("+81 3-3557-0000..+81335570099").unwrap();
        let holds = |digits: &str| range.contains(number(digits).unwrap());
        assert!(holds("+81335570000") && holds("+81335570050") && holds("+81335570099"));
        assert!(!holds("+81335570100") && !holds("+813355700501") && !holds("+8133557005"));
        for text in [
            "0335570000",
            "+81335570000..99",
            "+2..+1",
            "+1..+22",
            "+",
            "+81x",
        ] {
            assert!(number_range(text).is_err(), "{text}");
        }
    }
}
