//! Where a name leads (RFC 3263 §4).
//!
//! ```text
//!              a port?      yes ---------------------------------+
//!                | no                                            |
//!            a transport?   yes ------------+                    |
//!                | no                       |                    |
//!              NAPTR   none: each transport |                    |
//!                |                          v                    v
//!                +----------------------> SRV   none: ------> A, AAAA
//!                                           +------------------> of each target
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::records::{Pointer, Server, addresses, pointers, servers};
use super::wire::{Asked, Domain, Unasked};
use crate::base::flow::Transport;
use crate::base::limits::{GATEWAYS_PER_CARRIER, NAME_POINTERS, NAME_TTL};
use crate::policy::{Located, Wanted};

/// What a lookup has come to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// In order of their priorities.
    pub(super) ways: Vec<Located>,
    /// For how long that holds.
    pub(super) holds: Duration,
    /// Ways of these ranks may be missing: their names could not be asked for now.
    pub(super) open: Vec<Rank>,
    /// Why something is missing.
    pub(super) missing: Option<Unasked>,
    /// How many targets and addresses there are beyond those that are used.
    pub(super) beyond: usize,
}

/// How many of so many there is no place for.
pub(super) const fn beyond(count: usize) -> usize {
    count.saturating_sub(GATEWAYS_PER_CARRIER)
}

/// What the addresses of one name have in common.
pub(super) type Rank = (u16, u16, Transport, u16);

/// The rank of a way.
pub(super) fn rank(way: &Located) -> Rank {
    (way.priority, way.weight, way.transport, way.address.port())
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// Nobody can tell now.
    Unasked(Unasked),
    /// There is no such name.
    NoName,
    /// There is one, and it leads to no address.
    NoAddress,
    /// Its owner says that it has no such service (RFC 2782, target ".").
    NoService,
}

impl std::fmt::Display for Nowhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unasked(why) => write!(f, "{why}"),
            Self::NoName => f.write_str("there is no such name"),
            Self::NoAddress => f.write_str("it leads to no address that is of use"),
            Self::NoService => f.write_str("its owner says that it has no such service"),
        }
    }
}

impl From<Unasked> for Nowhere {
    fn from(why: Unasked) -> Self {
        Self::Unasked(why)
    }
}

/// One lookup.
struct Lookup<'a, A> {
    wanted: &'a Wanted,
    asked: &'a mut A,
    outcome: Outcome,
    ttl: u32,
    no_name: bool,
}

/// Looks a name up.
pub(super) fn locate(wanted: &Wanted, asked: &mut impl Asked) -> Result<Outcome, Nowhere> {
    let host = Domain::vec_from_str(&wanted.host).map_err(|_| Nowhere::NoName)?;
    let mut lookup = Lookup {
        wanted,
        asked,
        outcome: Outcome::default(),
        ttl: u32::MAX,
        no_name: false,
    };
    let transport = match wanted.transport {
        Some(transport) => Some(transport),
        None => preferred(&wanted.over),
    };
    let Some(transport) = transport else {
        return Err(Nowhere::NoAddress);
    };
    let (found, port) = match wanted.port {
        Some(port) => (None, port),
        None => (lookup.services(&host)?, transport.default_port()),
    };
    match found {
        Some((over, servers)) => lookup.targets(over, servers)?,
        None => lookup.host(&host, (0, 0, transport, port)),
    }
    lookup.end()
}

/// What a name without a transport is reached over where DNS does not say either: by
/// datagrams (RFC 3263 §4.1), if there is a listener for them.
fn preferred(over: &[Transport]) -> Option<Transport> {
    let udp = over.iter().find(|it| **it == Transport::Udp);
    udp.or(over.first()).copied()
}

impl<A: Asked> Lookup<'_, A> {
    /// The servers that SRV records name, and over what; none where there are none.
    fn services(&mut self, host: &Domain) -> Result<Option<(Transport, Vec<Server>)>, Nowhere> {
        if let Some(transport) = self.wanted.transport {
            return self.service(&service(host, transport)?, transport);
        }
        let found = pointers(self.asked, host)?;
        let over = &self.wanted.over;
        let mut ranked: Vec<(Transport, Pointer)> = found
            .all
            .into_iter()
            .filter_map(|it| {
                let transport = offered(&it)?;
                over.contains(&transport).then_some((transport, it))
            })
            .collect();
        ranked.sort_by_key(|(_, it)| (it.order, it.preference));
        for (transport, pointer) in ranked.into_iter().take(NAME_POINTERS) {
            self.ttl = self.ttl.min(found.ttl.unwrap_or(u32::MAX));
            if let Some(servers) = self.service(&pointer.replacement, transport)? {
                return Ok(Some(servers));
            }
        }
        for transport in self.wanted.over.clone() {
            if let Some(servers) = self.service(&service(host, transport)?, transport)? {
                return Ok(Some(servers));
            }
        }
        Ok(None)
    }

    fn service(
        &mut self,
        name: &Domain,
        transport: Transport,
    ) -> Result<Option<(Transport, Vec<Server>)>, Nowhere> {
        let found = servers(self.asked, name)?;
        let Some(ttl) = found.ttl else {
            return Ok(None);
        };
        self.ttl = self.ttl.min(ttl);
        Ok(Some((transport, found.all)))
    }

    /// The addresses of each target.
    fn targets(&mut self, transport: Transport, mut servers: Vec<Server>) -> Result<(), Nowhere> {
        servers.retain(|it| !it.target.is_root());
        if servers.is_empty() {
            return Err(Nowhere::NoService);
        }
        // In one order, whichever the answer has.
        servers.sort_by(|one, next| {
            let key = |it: &Server| (it.priority, std::cmp::Reverse(it.weight), it.port);
            key(one)
                .cmp(&key(next))
                .then_with(|| one.target.cmp(&next.target))
        });
        self.outcome.beyond += beyond(servers.len());
        for server in servers.iter().take(GATEWAYS_PER_CARRIER) {
            let rank = (server.priority, server.weight, transport, server.port);
            self.host(&server.target, rank);
        }
        Ok(())
    }

    /// The addresses of one name. What cannot be looked up does not take the rest along.
    fn host(&mut self, name: &Domain, rank: Rank) {
        let (priority, weight, transport, port) = rank;
        let versions = [(false, self.wanted.v4), (true, self.wanted.v6)];
        for (v6, _) in versions.into_iter().filter(|it| it.1) {
            let found = match addresses(self.asked, name, v6) {
                Ok(found) => found,
                Err(why) => {
                    // What leads round and round, or is no message, is not there.
                    if !matches!(why, Unasked::TooMany | Unasked::Unreadable) {
                        self.outcome.open.push(rank);
                    }
                    self.outcome.missing = Some(why);
                    continue;
                }
            };
            self.no_name |= found.no_name;
            let Some(ttl) = found.ttl else {
                continue;
            };
            self.ttl = self.ttl.min(ttl);
            let mut all: Vec<IpAddr> = found.all;
            all.sort_unstable();
            self.outcome.beyond += beyond(all.len());
            all.truncate(GATEWAYS_PER_CARRIER);
            self.outcome.ways.extend(all.into_iter().map(|ip| Located {
                priority,
                weight,
                transport,
                address: SocketAddr::new(ip, port),
            }));
        }
    }

    fn end(self) -> Result<Outcome, Nowhere> {
        let mut outcome = self.outcome;
        outcome.ways.sort_unstable();
        outcome.ways.dedup();
        outcome.beyond += beyond(outcome.ways.len());
        outcome.ways.truncate(GATEWAYS_PER_CARRIER);
        if !outcome.ways.iter().any(Located::can_be_reached) {
            // As who answers for others says of what he blocks: no reason to forget more.
            outcome.ways.clear();
        }
        let (least, most) = NAME_TTL;
        outcome.holds = Duration::from_secs(self.ttl.into()).clamp(least, most);
        match outcome.missing.take() {
            Some(why) if outcome.ways.is_empty() => Err(why.into()),
            why if !outcome.ways.is_empty() => Ok(Outcome {
                missing: why,
                ..outcome
            }),
            _ if self.no_name => Err(Nowhere::NoName),
            _ => Err(Nowhere::NoAddress),
        }
    }
}

/// The name of a service (RFC 3263 §4.1).
fn service(host: &Domain, transport: Transport) -> Result<Domain, Nowhere> {
    let labels = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp | Transport::Inside => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    // One that has no room for it before it has no such name.
    Domain::vec_from_str(&format!("{labels}.{host}")).map_err(|_| Nowhere::NoName)
}

/// What a NAPTR record leads to, if it leads to a SIP service by SRV records.
fn offered(pointer: &Pointer) -> Option<Transport> {
    let terminal = pointer.flags.eq_ignore_ascii_case(b"s") && !pointer.replacement.is_root();
    let services = pointer.services.to_ascii_uppercase();
    let transport = match services.as_slice() {
        b"SIP+D2U" => Transport::Udp,
        b"SIP+D2T" => Transport::Tcp,
        b"SIPS+D2T" => Transport::Tls,
        _ => return None,
    };
    terminal.then_some(transport)
}
