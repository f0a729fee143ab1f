//! Where a message came from and where its answer goes: RFC 5626's flow.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;

use super::token::Bucket;

/// Which of the configured listeners, in the order of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// How messages are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// RFC 768 datagrams: a message each, which may be lost, doubled or overtaken.
    Udp,
    /// RFC 9293 connections: streams of messages, in order, until they close.
    Tcp,
    /// TLS over TCP (RFC 3261 §26.3.2).
    Tls,
    /// From one call of Tollgate's to another: nothing that leaves the process, and nobody
    /// outside can send by it. See [`Flow::inside`].
    Inside,
}

impl Transport {
    /// Whether the transport itself repeats what is lost (RFC 3261 §17 sets
    /// several timers by this).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls | Self::Inside => true,
        }
    }

    /// The name in a Via header (RFC 3261 §25.1, `transport`).
    #[must_use]
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Inside => "INSIDE",
        }
    }

    /// The word in front of an address that is reached this way, in rules and to people.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Inside => "inside",
        }
    }

    /// The parameter that has a URI reached this way (RFC 3261 §19.1.1); nothing
    /// where a URI with a numeric host is reached so without it (RFC 3263 §4.1).
    #[must_use]
    pub const fn uri_param(self) -> &'static str {
        match self {
            Self::Udp | Self::Inside => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }

    /// The port where none is written (RFC 3261 §18.1.1, §19.1.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp | Self::Inside => 5060,
            Self::Tls => 5061,
        }
    }
}

/// One connection, of all that the process has ever had. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub NonZeroU64);

/// Whom a certificate is for: a hash of the name, so that a flow stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(pub [u8; 16]);

/// One way between a listener of ours and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The local end.
    pub listener: ListenerId,
    /// How messages are carried.
    pub transport: Transport,
    /// The peer's address: a message's source, or where one is to be sent. Over a
    /// stream it is connected to if `connection` is not there.
    pub remote: SocketAddr,
    /// Which of our addresses the peer called, on a listener that has them all;
    /// what goes back leaves from there. `None` elsewhere, and where the peer has
    /// not called.
    pub local: Option<IpAddr>,
    /// The connection that a message came on, and on which one is to be sent for as
    /// long as it lasts. `None` for datagrams, and where any connection to `remote`
    /// will do.
    pub connection: Option<ConnectionId>,
    /// Whom the peer's certificate is for, where that says who it is. `None` where its
    /// address does.
    pub name: Option<PeerName>,
}

impl Flow {
    /// The way to an address, whatever connection there is.
    #[must_use]
    pub const fn to(listener: ListenerId, transport: Transport, remote: SocketAddr) -> Self {
        Self {
            listener,
            transport,
            remote,
            local: None,
            connection: None,
            name: None,
        }
    }

    /// The way from a call in the bucket `from` to one in `to`, both of whom this name is
    /// for. What goes there counts as sent by who is at the far end of this flow, in whose
    /// stead Tollgate sends it.
    #[must_use]
    pub fn inside(self, of: PeerName, (from, to): (Bucket, Bucket)) -> Self {
        Self {
            transport: Transport::Inside,
            local: Some(between(from.index(), to.index())),
            connection: None,
            name: Some(of),
            ..self
        }
    }

    /// The way back of one that is [inside](Self::inside); any other is its own.
    #[must_use]
    pub fn back(self) -> Self {
        match self.ends() {
            Some((from, to)) => Self {
                local: Some(between(to, from)),
                ..self
            },
            None => self,
        }
    }

    /// The bucket of the call that it leads to, if it is [inside](Self::inside).
    #[must_use]
    pub fn leads_to(self) -> Option<Bucket> {
        Bucket::new(self.ends()?.1)
    }

    /// The buckets that one inside goes from and to.
    fn ends(self) -> Option<(u16, u16)> {
        match (self.transport, self.local) {
            (Transport::Inside, Some(IpAddr::V6(local))) => {
                let [.., from, to] = local.segments();
                Some((from, to))
            }
            _ => None,
        }
    }
}

/// Two buckets where an address stands: one of the discard prefix (RFC 6666), which is
/// nobody's.
fn between(from: u16, to: u16) -> IpAddr {
    Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, from, to).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_inside_leads_there_and_back() {
        let remote = "192.0.2.1:5060".parse().unwrap();
        let way = Flow::to(ListenerId(3), Transport::Udp, remote);
        assert_eq!((way.back(), way.leads_to()), (way, None));
        let ends = [5, 1023].map(|it| Bucket::new(it).unwrap());
        let inside = way.inside(PeerName([1; 16]), (ends[0], ends[1]));
        assert_eq!(inside.leads_to(), Some(ends[1]));
        assert_eq!(inside.back().leads_to(), Some(ends[0]));
        assert_eq!(inside.back().back(), inside);
        assert_eq!(inside.remote, remote);
    }
}
