//! Whose traffic comes from an address: the longest prefix that somebody claimed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::ruleset::Peer;

/// Claims of one prefix length. What is in it comes from rule files, so nobody
/// outside can make its keys collide.
type Claims<A> = HashMap<A, Peer, FixedState>;

/// Every claimed network: one table a prefix length in use, the longest first.
#[derive(Debug, Default)]
pub(super) struct Peers {
    v4: Vec<(u32, Claims<u32>)>,
    v6: Vec<(u128, Claims<u128>)>,
}

impl Peers {
    /// Adds the claims; each network may be claimed once.
    pub(super) fn new(claims: impl Iterator<Item = (IpNet, Peer)>) -> Self {
        // Longer masks are greater numbers.
        let mut v4: BTreeMap<Reverse<u32>, Claims<u32>> = BTreeMap::new();
        let mut v6: BTreeMap<Reverse<u128>, Claims<u128>> = BTreeMap::new();
        for (net, peer) in claims {
            match net {
                IpNet::V4(net) => {
                    let claims = v4.entry(Reverse(net.netmask().to_bits())).or_default();
                    claims.insert(net.network().to_bits(), peer);
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
                .map(|(mask, claims)| (mask.0, claims))
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
                tables.find_map(|(mask, claims)| claims.get(&(bits & mask)).copied())
            }
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                let mut tables = self.v6.iter();
                tables.find_map(|(mask, claims)| claims.get(&(bits & mask)).copied())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::policy::ruleset::TenantId;

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
