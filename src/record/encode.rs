//! How single fields are written: compact in the journal, readable in an export.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Bytes in one piece; in an export as text, or `{"hex": "…"}` where they are none
/// that can be shown: no UTF-8, or with characters that command a terminal or turn
/// the text round.
pub(super) fn bytes<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    if !to.is_human_readable() {
        return to.serialize_bytes(value);
    }
    match std::str::from_utf8(value)
        .ok()
        .filter(|text| is_plain(text))
    {
        Some(text) => to.serialize_str(text),
        None => {
            let mut map = to.serialize_map(Some(1))?;
            map.serialize_entry("hex", &Hex(value))?;
            map.end()
        }
    }
}

/// Whether a text shows what it says. JSON itself escapes ASCII's control characters.
fn is_plain(text: &str) -> bool {
    let misleads = |c: char| {
        matches!(c, '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    !text.chars().any(misleads)
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Places as they were written; in an export as a list.
pub(super) fn places<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        return to.collect_seq(super::places::read_places(value));
    }
    to.serialize_bytes(value)
}

/// What is known of a call's cost, as it was written; in an export readable.
pub(super) fn billing<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        return super::read_billing(value).serialize(to);
    }
    to.serialize_bytes(value)
}

/// Microseconds since the epoch; in an export RFC 3339, UTC.
pub(super) mod wall {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::time::Wall;

    pub(crate) fn serialize<S: Serializer>(value: &Wall, to: S) -> Result<S::Ok, S::Error> {
        match to.is_human_readable() {
            true => to.collect_str(&format_args!("{value:.6}")),
            false => to.serialize_i64(value.as_micros()),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Wall, D::Error> {
        i64::deserialize(from).map(Wall::from_micros)
    }
}

/// An address with its scope, which a link-local peer cannot be reached without
/// (serde's own form drops it); in an export as text.
pub(super) mod address {
    use std::net::{IpAddr, SocketAddr};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return to.collect_str(value);
        }
        let scope = match value {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        (value.ip(), value.port(), scope).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        let (ip, port, scope) = <(IpAddr, u16, u32)>::deserialize(from)?;
        let mut address = SocketAddr::new(ip, port);
        if let SocketAddr::V6(v6) = &mut address {
            v6.set_scope_id(scope);
        }
        Ok(address)
    }
}

/// A flow; in an export `UDP 192.0.2.1:5060 (listener 0)`.
pub(super) mod flow {
    use std::fmt;
    use std::net::{IpAddr, SocketAddr};

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeTuple;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::base::flow::{Flow, ListenerId, PeerName, Transport};

    /// TLS with a peer that is known by its certificate: the name follows.
    const NAMED: u8 = 3;

    /// From one call to another; for whom follows, too.
    const INSIDE: u8 = 4;

    #[derive(Serialize, Deserialize)]
    struct Address(#[serde(with = "super::address")] SocketAddr);

    pub(crate) fn serialize<S: Serializer>(value: &Flow, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return to.collect_str(&format_args!(
                "{} {} (listener {})",
                value.transport.via_name(),
                value.remote,
                value.listener.0
            ));
        }
        let transport = match (value.transport, value.name) {
            (Transport::Udp, _) => 0,
            (Transport::Tcp, _) => 1,
            (Transport::Tls, None) => 2_u8,
            (Transport::Tls, Some(_)) => NAMED,
            (Transport::Inside, _) => INSIDE,
        };
        let mut remote = value.remote;
        if value.connection.is_some() {
            // The connection is gone after a restart, and nobody listens at the port
            // that it was opened from.
            remote.set_port(value.transport.default_port());
        }
        let name = value.name.filter(|_| matches!(transport, NAMED | INSIDE));
        let mut tuple = to.serialize_tuple(4 + usize::from(name.is_some()))?;
        tuple.serialize_element(&value.listener.0)?;
        tuple.serialize_element(&transport)?;
        tuple.serialize_element(&Address(remote))?;
        tuple.serialize_element(&value.local)?;
        if let Some(name) = name {
            tuple.serialize_element(&name.0)?;
        }
        tuple.end()
    }

    struct Parts;

    impl<'de> Visitor<'de> for Parts {
        type Value = Flow;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a flow")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Flow, A::Error> {
            let listener = next(&mut parts)?;
            let kind: u8 = next(&mut parts)?;
            let Address(remote) = next(&mut parts)?;
            let local: Option<IpAddr> = next(&mut parts)?;
            let transport = match kind {
                0 => Transport::Udp,
                1 => Transport::Tcp,
                2 | NAMED => Transport::Tls,
                INSIDE => Transport::Inside,
                _ => {
                    return Err(A::Error::custom(
                        "a transport that this version does not know",
                    ));
                }
            };
            let name = match kind {
                NAMED | INSIDE => Some(PeerName(next(&mut parts)?)),
                _ => None,
            };
            Ok(Flow {
                listener: ListenerId(listener),
                transport,
                remote,
                local,
                connection: None,
                name,
            })
        }
    }

    fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A) -> Result<T, A::Error> {
        let part = parts.next_element()?;
        part.ok_or_else(|| A::Error::custom("a flow is cut short"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Flow, D::Error> {
        from.deserialize_tuple(5, Parts)
    }
}

/// A whole hash; in an export hexadecimal.
pub(super) mod hash {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return to.collect_str(&super::Hex(value));
        }
        value.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        <[u8; 32]>::deserialize(from)
    }
}

/// The head of a hash; in an export hexadecimal, so that it compares with the whole.
pub(super) mod hash8 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's `with` hands fields over by reference"
    )]
    pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        let bytes = value.to_be_bytes();
        if to.is_human_readable() {
            return to.collect_str(&super::Hex(&bytes));
        }
        bytes.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        <[u8; 8]>::deserialize(from).map(u64::from_be_bytes)
    }
}

/// An amount in millionths of a currency's unit; in an export a decimal number of the
/// unit, as text: `"16"`, `"2.67"`.
pub(super) mod money {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's `with` hands fields over by reference"
    )]
    pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return value.serialize(to);
        }
        let text = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
        to.serialize_str(text.trim_end_matches('0').trim_end_matches('.'))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::deserialize(from)
    }
}
