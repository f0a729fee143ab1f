//! Where a message came from and where its answer goes: RFC 5626's flow.

use std::net::{IpAddr, SocketAddr};

/// Which of the configured listeners, in the order of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// How messages are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// RFC 768 datagrams: a message each, which may be lost, doubled or overtaken.
    Udp,
}

impl Transport {
    /// Whether the transport itself repeats what is lost (RFC 3261 §17 sets
    /// several timers by this).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
        }
    }

    /// The name in a Via header (RFC 3261 §25.1, `transport`).
    #[must_use]
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
        }
    }
}

/// One way between a listener of ours and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The local end.
    pub listener: ListenerId,
    /// How messages are carried.
    pub transport: Transport,
    /// The peer's address: a message's source, or where one is to be sent.
    pub remote: SocketAddr,
    /// Which of our addresses the peer called, on a listener that has them all;
    /// what goes back leaves from there. `None` elsewhere, and where the peer has
    /// not called.
    pub local: Option<IpAddr>,
}
