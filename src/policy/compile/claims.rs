//! What is odd in who sends from where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::base::flow::Transport;
use crate::policy::diagnostic::{Fault, Faults, Place};
use crate::policy::ruleset::{Listener, Peer};

/// Every claimed network, whose it is and where that is said.
type Claims = BTreeMap<IpNet, (Peer, Place)>;

/// Warns of all of it.
pub(super) fn lint(listeners: &[Listener], claims: &Claims, faults: &mut Faults<'_>) {
    unheard_claims(listeners, claims, faults);
    nested_claims(claims, faults);
    forgeable_claims(listeners, claims, faults);
}

/// Warns where a tenant is known by a public address alone, at a listener that hears
/// datagrams from outside: whoever can forge that address calls as the tenant.
fn forgeable_claims(listeners: &[Listener], claims: &Claims, faults: &mut Faults<'_>) {
    let hears = |v4: bool| {
        let mut datagrams = listeners.iter().filter(|it| it.transport == Transport::Udp);
        datagrams.any(|it| it.bind.is_ipv4() == v4 && !it.bind.ip().is_loopback())
    };
    for (net, (peer, place)) in claims {
        let is_v4 = matches!(net, IpNet::V4(_));
        if matches!(peer, Peer::Tenant(_)) && hears(is_v4) && !is_inside(net.network()) {
            let fault = Fault::warning(format!("over UDP anybody can send as `{net}`"))
                .label("a source address alone says whose calls these are")
                .help("use tls_names, or an [[account]] and challenge = true in [[listen]], or keep forged sources out at the router");
            faults.add(*place, fault);
        }
    }
}

/// Whether an address is of a network that is not reached from outside.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            let [a, b, ..] = it.octets();
            // RFC 6598: behind a carrier's translation.
            let shared = a == 100 && (64..128).contains(&b);
            it.is_private() || it.is_loopback() || it.is_link_local() || shared
        }
        IpAddr::V6(it) => it.is_unique_local() || it.is_loopback() || it.is_unicast_link_local(),
    }
}

/// Warns of networks that no listener hears.
fn unheard_claims(listeners: &[Listener], claims: &Claims, faults: &mut Faults<'_>) {
    for (net, (_, place)) in claims {
        let is_v4 = matches!(net, IpNet::V4(_));
        let heard = listeners.iter().any(|it| it.bind.is_ipv4() == is_v4);
        if !heard && !listeners.is_empty() {
            let version = if is_v4 { "IPv4" } else { "IPv6" };
            let fault = Fault::warning(format!("no listener hears this {version} address"));
            let help = format!("add a [[listen]] with an {version} address");
            faults.add(*place, fault.label("nothing comes from there").help(help));
        }
    }
}

/// Warns of networks that lie within another peer's: the narrower claim decides, so
/// that what comes from there is not the other's.
fn nested_claims(claims: &Claims, faults: &mut Faults<'_>) {
    // In the order of their first addresses, the wider first: those that may hold
    // the one at hand are the last ones that did not end before it.
    let mut outer: Vec<(IpNet, Peer, Place)> = Vec::new();
    for (&net, &(peer, place)) in claims {
        outer.retain(|(wide, ..)| wide.contains(&net));
        if let Some(&(wide, other, first)) = outer.last()
            && other != peer
        {
            let first = faults.pointer(first);
            let fault = Fault::warning(format!("`{net}` is part of `{wide}`, another peer's"));
            let help = format!(
                "what comes from there is not that peer's any more: {first} claims the whole; take \
                 this out if that is not meant"
            );
            faults.add(place, fault.help(help));
        }
        outer.push((net, peer, place));
    }
}
