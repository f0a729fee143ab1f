//! How messages find their transaction: RFC 3261 §17.1.3 and §17.2.3.

use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use smallvec::SmallVec;

use crate::base::spread::Spread;
use crate::base::token::{Token, keyed128};
use crate::sip::{Essentials, Host, Message, Method};

/// Finds transactions by what [`request_id`] or [`response_id`] made of a message.
pub(super) type Index<K> = Spread<u128, K, BuildHasherDefault<Uniform>>;

/// Hashes what is uniform already: a keyed hash, or a token of ours. An attacker
/// can choose neither so as to fill one bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    }
}

/// The server transaction that a request from `source` belongs to (§17.2.3).
/// `method` is the one that made the transaction: INVITE for an ACK, and for the
/// transaction that a CANCEL cancels.
///
/// The source's address counts too, so that no peer can reach into the
/// transactions of another by copying its branch.
pub(super) fn request_id(
    key: u128,
    method: &[u8],
    source: IpAddr,
    msg: &Message,
    e: &Essentials<'_>,
) -> u128 {
    let source = octets(source);
    let Some(branch) = e.via.branch_token() else {
        // An RFC 2543 client, whose branch alone says nothing. The To tag is left
        // out: it is the one thing that the ACK has of its own.
        let from_tag = e.from_tag.unwrap_or_default();
        let number = e.cseq.number.to_be_bytes();
        let uri = msg.uri().unwrap_or_default();
        let parts: [&[u8]; 8] = [
            b"2543", method, uri, from_tag, e.call_id, &number, e.via.text, &source,
        ];
        return keyed128(key, &parts);
    };
    let (kind, host): (&[u8], SmallVec<[u8; 64]>) = match e.via.host {
        Host::Ip(address) => (b"ip", octets(address).into_iter().collect()),
        Host::Name(name) => (b"name", name.iter().map(u8::to_ascii_lowercase).collect()),
    };
    let port = e.via.port.unwrap_or(0).to_be_bytes();
    keyed128(key, &[b"3261", method, branch, kind, &host, &port, &source])
}

/// An address as 16 bytes, IPv4 as its IPv6-mapped form.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Tells a CANCEL from the INVITE with the same branch (§9.1).
const CANCEL: u128 = 1 << 127;

/// The client transaction that a request with this branch makes.
pub(super) fn client_id(branch: Token, method: Method) -> u128 {
    match method {
        Method::Cancel => branch.bits() | CANCEL,
        _ => branch.bits(),
    }
}

/// The client transaction of the CANCEL to the INVITE with this id.
pub(super) const fn cancel_id(invite: u128) -> u128 {
    invite | CANCEL
}

/// The client transaction that a response belongs to (§17.1.3); `None` if its
/// branch is none of ours.
pub(super) fn response_id(e: &Essentials<'_>) -> Option<u128> {
    let branch = Token::parse(e.via.branch_token()?)?;
    Some(client_id(branch, e.cseq.method))
}
