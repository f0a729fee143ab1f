//! Whose traffic comes from an address: the longest prefix that somebody claimed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::carrier::Gateway;
use super::ruleset::{CarrierId, Listener, Peer, RuleSet, TenantId};
use crate::base::flow::{Flow, ListenerId, PeerName, Transport};

/// Claims of one prefix length. What is in it comes from rule files, so nobody
/// outside can make its keys collide.
type Claims<A> = HashMap<A, Peer, FixedState>;

/// Every claimed network: one table a prefix length in use, the longest first.
#[derive(Debug, Default)]
pub(super) struct Peers {
    v4: Vec<(u32, Slots)>,
    v6: Vec<(u128, Claims<u128>)>,
}

impl Peers {
    /// Adds the claims; each network may be claimed once.
    pub(super) fn new(claims: impl Iterator<Item = (IpNet, Peer)>) -> Self {
        // Longer masks are greater numbers.
        let mut v4: BTreeMap<Reverse<u32>, Vec<(u32, Peer)>> = BTreeMap::new();
        let mut v6: BTreeMap<Reverse<u128>, Claims<u128>> = BTreeMap::new();
        for (net, peer) in claims {
            match net {
                IpNet::V4(net) => {
                    let claims = v4.entry(Reverse(net.netmask().to_bits())).or_default();
                    claims.push((net.network().to_bits(), peer));
                }
                IpNet::V6(net) => {
                    let claims = v6.entry(Reverse(net.netmask().to_bits())).or_default();
                    claims.insert(net.network().to_bits(), peer);
                }
            }
        }
        Self {
            v4: v4
                .into_iter()
                .map(|(mask, claims)| (mask.0, Slots::new(&claims)))
                .collect(),
            v6: v6
                .into_iter()
                .map(|(mask, claims)| (mask.0, claims))
                .collect(),
        }
    }

    /// Who claimed the longest prefix of this address. IPv4 mapped into IPv6 is
    /// IPv4.
    pub(super) fn find(&self, source: IpAddr) -> Option<Peer> {
        match source.to_canonical() {
            IpAddr::V4(ip) => {
                let bits = ip.to_bits();
                let mut tables = self.v4.iter();
                tables.find_map(|(mask, claims)| claims.find(bits & mask))
            }
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                let mut tables = self.v6.iter();
                tables.find_map(|(mask, claims)| claims.get(&(bits & mask)).copied())
            }
        }
    }

    /// Whether somebody claimed a part of a network of IPv6. This looks through all claims.
    fn has_some_in(&self, net: IpNet) -> bool {
        let IpNet::V6(net) = net else {
            return false;
        };
        let mut claims = self.v6.iter().flat_map(|(_, claims)| claims.keys());
        claims.any(|claimed| net.contains(&Ipv6Addr::from_bits(*claimed)))
    }

    /// Has the processor fetch where most searches for this address begin.
    pub(super) fn warm(&self, source: IpAddr) {
        if let IpAddr::V4(ip) = source.to_canonical() {
            for (mask, claims) in &self.v4 {
                black_box(claims.all.get(claims.place(ip.to_bits() & mask)).copied());
            }
        }
    }
}

impl RuleSet {
    /// Whose traffic comes from `source`: the longest claimed prefix wins. Who
    /// sends is the same on every listener.
    #[must_use]
    pub fn peer(&self, _listener: ListenerId, source: IpAddr) -> Option<Peer> {
        self.peers.find(source)
    }

    /// Whether a peer sends from an address of `net`, which is one IPv4 address or a network of
    /// IPv6; or a phone system has registered from there.
    #[must_use]
    pub fn has_peer_in(&self, net: IpNet) -> bool {
        self.peers.find(net.addr()).is_some()
            || self.peers.has_some_in(net)
            || self.door.bindings.is_any_in(net)
    }

    /// Whether anybody is known by a certificate, wherever it connects from.
    #[must_use]
    pub fn knows_by_certificate(&self) -> bool {
        !self.named.is_empty()
    }

    /// Who has a certificate that is for this name.
    #[must_use]
    pub fn peer_named(&self, name: PeerName) -> Option<Peer> {
        self.named.get(&name).copied()
    }

    /// Who is at the far end of `flow`: whoever its certificate is for, where it has shown
    /// one to be known by; or whoever has registered from there.
    #[must_use]
    pub fn peer_of(&self, flow: Flow) -> Option<Peer> {
        match flow.name {
            Some(name) if flow.transport == Transport::Inside => {
                self.within.get(&name).copied().map(Peer::Tenant)
            }
            Some(name) => self.peer_named(name),
            None => self
                .peer(flow.listener, flow.remote.ip())
                .or_else(|| self.registered_at(flow)),
        }
    }

    /// The listener from which requests that are too long for a datagram go over TCP to
    /// whoever is at the far end of `flow` (RFC 3261 §18.1.1). `None` where that peer
    /// does not say that it takes them so, or not over this version of IP.
    #[must_use]
    pub fn large_from(&self, flow: Flow) -> Option<&Listener> {
        let id = match self.peer_of(flow)? {
            Peer::Tenant(id) => self.tenant(id)?.inbound?.large_from,
            Peer::Carrier(id) => {
                let mut gateways = self.carrier(id)?.gateways.iter();
                let alike = |it: &&Gateway| it.address.is_ipv4() == flow.remote.is_ipv4();
                gateways.find(alike)?.large_from
            }
        };
        let listener = self.listeners().get(usize::from(id?.0))?;
        (listener.bind.is_ipv4() == flow.remote.is_ipv4()).then_some(listener)
    }

    /// Whether the same peers send from the same places as in `other`.
    #[must_use]
    pub fn has_peers_of(&self, other: &Self) -> bool {
        self.peers_hash == other.peers_hash
    }

    /// Whether whoever is at the far end of `flow` is a peer of the same name here
    /// and in `other`.
    #[must_use]
    pub fn has_peer_of(&self, other: &Self, flow: Flow) -> bool {
        let name = |rules: &Self| match rules.peer_of(flow)? {
            Peer::Tenant(id) => rules.tenant(id).map(|it| (true, Arc::clone(&it.name))),
            Peer::Carrier(id) => rules.carrier(id).map(|it| (false, Arc::clone(&it.name))),
        };
        let here = name(self);
        here.is_some() && here == name(other)
    }
}

/// IPv4 networks of one length, for few cache lines: eight bytes each, at the place
/// that their hash says or close behind it, so that finding one mostly reads one
/// line, where a map reads two, one behind the other. At least half are empty.
#[derive(Debug, Default)]
struct Slots {
    all: Box<[Slot]>,
    /// By how much a hash is shifted to be a place.
    shift: u32,
}

/// A network, and whose it is; nobody's if it is empty.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    net: u32,
    /// The peer's number plus one, doubled; odd for a carrier's. Zero for nobody.
    peer: u32,
}

impl Slot {
    fn new(net: u32, peer: Peer) -> Self {
        let (number, carrier) = match peer {
            Peer::Tenant(TenantId(id)) => (id, 0),
            Peer::Carrier(CarrierId(id)) => (id.into(), 1),
        };
        // No file of rules names two thousand million tenants.
        let peer = (number + 1) << 1 | carrier;
        Self { net, peer }
    }

    fn peer(self) -> Option<Peer> {
        let number = (self.peer >> 1).checked_sub(1)?;
        Some(match self.peer & 1 {
            0 => Peer::Tenant(TenantId(number)),
            _ => Peer::Carrier(CarrierId(u16::try_from(number).ok()?)),
        })
    }
}

impl Slots {
    fn new(claims: &[(u32, Peer)]) -> Self {
        let count = (claims.len() * 2).next_power_of_two().max(2);
        let mut slots = Self {
            all: vec![Slot::default(); count].into(),
            shift: u32::BITS - count.trailing_zeros(),
        };
        for &(net, peer) in claims {
            let start = slots.place(net);
            let (before, from) = slots.all.split_at_mut(start);
            let mut free = from.iter_mut().chain(before).filter(|it| it.peer == 0);
            if let Some(slot) = free.next() {
                *slot = Slot::new(net, peer);
            }
        }
        slots
    }

    /// Where a network stands, unless others do.
    fn place(&self, net: u32) -> usize {
        // 2^32 divided by the golden ratio: networks side by side fall far apart.
        (net.wrapping_mul(0x9E37_79B9) >> self.shift) as usize
    }

    fn find(&self, net: u32) -> Option<Peer> {
        let (before, from) = self.all.split_at_checked(self.place(net))?;
        let mut run = from.iter().chain(before).take_while(|it| it.peer != 0);
        run.find(|it| it.net == net).and_then(|it| it.peer())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn net() -> impl Strategy<Value = IpNet> {
        // Few bits differ, so that networks nest.
        let v4 = (0_u32..16, 26_u8..=32).prop_map(|(low, bits)| {
            IpNet::new(Ipv4Addr::from_bits(0x7F00_0000 | low).into(), bits)
        });
        let v6 = (0_u128..16, 120_u8..=128).prop_map(|(low, bits)| {
            IpNet::new(Ipv6Addr::from_bits(0xFD << 120 | low).into(), bits)
        });
        prop_oneof![v4, v6].prop_map(|net| net.unwrap().trunc())
    }

    #[test]
    fn what_is_not_claimed_is_nobody_s() {
        let peers = Peers::new(std::iter::empty());
        assert_eq!(peers.find([127, 0, 0, 1].into()), None);
        // Those whose hashes are alike, the highest of all among them: what runs over
        // the end goes on at the begin.
        let nets: Vec<u32> = (0..1 << 24)
            .map(|it| u32::wrapping_mul(it, 0x1_0001))
            .filter(|it| it.wrapping_mul(0x9E37_79B9) >> 24 == 0xFF)
            .take(100)
            .collect();
        let claims = nets.iter().zip(0_u16..).map(|(net, id)| {
            let net = IpNet::new(Ipv4Addr::from_bits(*net).into(), 32).unwrap();
            (net, Peer::Carrier(CarrierId(id)))
        });
        let peers = Peers::new(claims);
        for (net, id) in nets.iter().zip(0..) {
            let found = peers.find(Ipv4Addr::from_bits(*net).into());
            assert_eq!(found, Some(Peer::Carrier(CarrierId(id))));
            let beside = Ipv4Addr::from_bits(net ^ 1);
            assert!(nets.contains(&beside.to_bits()) || peers.find(beside.into()).is_none());
        }
    }

    proptest! {
        #[test]
        fn the_longest_claimed_prefix_wins(
            nets in proptest::collection::btree_set(net(), 0..20),
            low in 0_u32..16,
        ) {
            let claims: Vec<(IpNet, Peer)> =
                nets.into_iter().zip(0..).map(|(net, id)| (net, Peer::Tenant(TenantId(id)))).collect();
            let peers = Peers::new(claims.iter().copied());
            let addresses: [IpAddr; 3] = [
                Ipv4Addr::from_bits(0x7F00_0000 | low).into(),
                Ipv4Addr::from_bits(0x7F00_0000 | low).to_ipv6_mapped().into(),
                Ipv6Addr::from_bits(0xFD << 120 | u128::from(low)).into(),
            ];
            for address in addresses {
                let covering = claims.iter().filter(|(net, _)| net.contains(&address.to_canonical()));
                let slow = covering.max_by_key(|(net, _)| net.prefix_len()).map(|(_, peer)| *peer);
                prop_assert_eq!(peers.find(address), slow);
            }
        }
    }
}
