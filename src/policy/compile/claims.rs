//! Who sends from where, and what is odd in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::build::Build;
use crate::base::flow::Transport;
use crate::policy::carrier::{Carrier, LeftOut};
use crate::policy::diagnostic::{Fault, Faults, Place};
use crate::policy::peers::Peers;
use crate::policy::ruleset::{CarrierId, Listener, Peer};

/// Every claimed network, whose it is and where that is said.
type Claims = BTreeMap<IpNet, (Peer, Place)>;

/// Who sends from where. Whoever is sent to must be known by the address that its answers
/// come from.
pub(super) fn settle(build: &mut Build<'_>, faults: &mut Faults<'_>) -> Peers {
    let claims = std::mem::take(&mut build.claims);
    super::tls::unasked_names(build, faults);
    lint(&build.listeners, &claims, faults);
    let mut nets: Vec<(IpNet, Peer)> = claims.iter().map(|(net, it)| (*net, it.0)).collect();
    nets.extend(found(build, &nets));
    build.peers_hash = hash(build, &nets);
    let peers = Peers::new(nets.into_iter());
    for (at, peer) in &build.reached {
        let ip = at.value.ip();
        let label = match peers.find(ip) {
            known if known == Some(*peer) => continue,
            Some(_) => "what comes from there is another peer's",
            None => "what comes from there is a stranger's",
        };
        let fault = Fault::error(format!("`{ip}` is not among the `sources` of its peer"));
        let help = format!("its answers would be dropped: add \"{ip}\" to `sources`");
        faults.add(at.place, fault.label(label).help(help));
    }
    for (id, carrier) in (0..).map(CarrierId).zip(&mut build.carriers) {
        if carrier.looked_up.is_some() {
            leave_out(carrier, |ip| peers.find(ip) == Some(Peer::Carrier(id)));
        }
    }
    peers
}

/// Where names lead, as far as the rules give it to nobody: to each address its first
/// carrier. An answer must not make a carrier of somebody's phone system.
fn found(build: &Build<'_>, claimed: &[(IpNet, Peer)]) -> Vec<(IpNet, Peer)> {
    if build.found.is_empty() {
        return Vec::new();
    }
    let claimed = Peers::new(claimed.iter().copied());
    let mut seen = BTreeSet::new();
    let free = build
        .found
        .iter()
        .filter(|(ip, _)| claimed.find(*ip).is_none() && seen.insert(*ip));
    free.map(|(ip, id)| (IpNet::from(*ip), Peer::Carrier(*id)))
        .collect()
}

/// Leaves out the gateways that are not known as the carrier's.
fn leave_out(carrier: &mut Carrier, its: impl Fn(IpAddr) -> bool) {
    let gateways = std::mem::take(&mut carrier.gateways).into_iter();
    let (its, others): (Vec<_>, Vec<_>) = gateways.partition(|it| its(it.address.ip()));
    carrier.gateways = its.into();
    let others = others.iter().map(|it| (it.address, LeftOut::NotIts));
    carrier.left_out = carrier.left_out.iter().copied().chain(others).collect();
}

/// BLAKE3 of who sends from where.
fn hash(build: &Build<'_>, nets: &[(IpNet, Peer)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let nets = nets.iter().map(|(net, peer)| (net.to_string(), *peer));
    let names = build.named.iter();
    let names = names.map(|(name, (peer, _))| (name.clone(), *peer));
    for (from, peer) in nets.chain(names) {
        let (kind, name) = match peer {
            Peer::Tenant(id) => (
                "tenant",
                build.tenants.get(id.0 as usize).map(|it| &it.name),
            ),
            Peer::Carrier(id) => (
                "carrier",
                build.carriers.get(usize::from(id.0)).map(|it| &it.name),
            ),
        };
        let name = name.map_or("", |it| it);
        hasher.update(format!("{from} {kind} {name}\n").as_bytes());
    }
    for (account, _) in build.accounts.values() {
        let tenant = build.tenants.get(account.tenant.0 as usize);
        let tenant = tenant.map_or("", |it| &it.name);
        hasher.update(format!("account {} tenant {tenant}\n", account.username).as_bytes());
    }
    hasher.finalize().into()
}

/// Warns of all that is odd.
fn lint(listeners: &[Listener], claims: &Claims, faults: &mut Faults<'_>) {
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
        let inside = [net.network(), net.broadcast()].into_iter().all(is_inside);
        if matches!(peer, Peer::Tenant(_)) && hears(is_v4) && !inside {
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
