//! A carrier, as the rules have it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::counters::{Seat, Service, Trunk};
use super::plan::NumberFormat;
use super::registration::Registration;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::time::Mono;

/// Where calls can leave to.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// Its name.
    pub name: Arc<str>,
    /// What stands for it in URIs: an address or a domain name, with a port where one is
    /// needed.
    pub host: Arc<str>,
    /// What is looked up for it, as in [`Wanted::text`](super::Wanted::text); none where
    /// the rules have its address.
    pub looked_up: Option<Arc<str>>,
    /// Where its requests go, in order of their priorities: several where a name leads to
    /// several, and none while it leads nowhere.
    pub gateways: Box<[Gateway]>,
    /// Where its name leads, too, and nothing goes.
    pub left_out: Box<[(SocketAddr, LeftOut)]>,
    /// How it wants numbers written.
    pub number_format: NumberFormat,
    /// Whether it wants `user=phone` behind them (RFC 3261 §19.1.1); none for behind
    /// those with a `+` alone.
    pub user_phone: Option<bool>,
    /// Tollgate's account with it, if it has one: what is registered there, and what
    /// answers its challenges.
    pub registration: Option<Registration>,
    /// How many calls to it may live at once, but for emergency calls.
    pub calls_at_once: Option<u32>,
    /// How often it is asked whether it is there, if it is.
    pub probe: Option<Duration>,
    /// What shards share of it.
    pub trunk: Arc<Trunk>,
}

/// An address that a carrier is reached at.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// How messages are carried.
    pub transport: Transport,
    /// Where requests go.
    pub address: SocketAddr,
    /// From where.
    pub listener: ListenerId,
    /// From where requests that are too long for a datagram go over TCP, if it takes them so.
    pub large_from: Option<ListenerId>,
    /// One with a lower priority comes first.
    pub priority: u16,
    /// Of those with the same one, which share of the calls it gets first.
    pub weight: u16,
    /// What shards share of it: the carrier's own where the rules have its address.
    pub trunk: Arc<Trunk>,
}

/// Why nothing goes where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// It is no machine's address.
    Nobody,
    /// Tollgate itself listens there.
    Own,
    /// No listener has its transport and version of IP.
    NoListener,
    /// It is not among the carrier's `sources`, or another peer's.
    NotIts,
}

impl LeftOut {
    /// In words.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Nobody => "nobody can be reached there",
            Self::Own => "Tollgate itself listens there",
            Self::NoListener => "no listener can reach it",
            Self::NotIts => "by the rules it is not this carrier's",
        }
    }
}

impl Gateway {
    /// Whether it may carry a call: one that is `secure` goes over TLS alone, unless it is
    /// an emergency.
    pub(crate) fn carries(&self, secure: bool, emergency: bool) -> bool {
        emergency || !secure || self.transport == Transport::Tls
    }

    /// The way there.
    #[must_use]
    pub fn flow(&self) -> Flow {
        Flow::to(self.listener, self.transport, self.address)
    }
}

impl Carrier {
    /// The gateway at this address, if it is one of the carrier's.
    #[must_use]
    pub fn gateway_at(&self, ip: IpAddr) -> Option<&Gateway> {
        let mut gateways = self.gateways.iter();
        gateways.find(|it| it.address.ip() == ip.to_canonical())
    }

    /// How it fares: as the best of its gateways does, and down without any.
    #[must_use]
    pub fn fares(&self, now: Mono) -> Service {
        let all = self.gateways.iter().map(|it| it.trunk.fares(now));
        all.min_by_key(|it| match it {
            Service::Up => 0,
            Service::Rests => 1,
            Service::Down => 2,
        })
        .unwrap_or(Service::Down)
    }

    /// The value of Route that its registrar wants calls to have (RFC 3608); empty for none.
    pub(crate) fn routes(&self) -> Arc<[u8]> {
        let registration = self.registration.as_ref();
        registration.map_or_else(Arc::default, |it| it.standing.routes())
    }

    /// The URI that the carrier has given for being called at (RFC 5627); empty for none.
    pub(crate) fn gruu(&self, anonymous: bool) -> Arc<[u8]> {
        let registration = self.registration.as_ref();
        registration.map_or_else(Arc::default, |it| it.standing.gruu(anonymous))
    }

    /// A call's place at one of its gateways, if there is one; emergency calls always have
    /// one.
    pub(crate) fn seat(&self, gateway: &Gateway, emergency: bool) -> Option<Seat> {
        gateway
            .trunk
            .take(self.calls_at_once.filter(|_| !emergency))
    }

    /// What stands behind the address of a URI with this user part.
    pub(crate) fn user_param(&self, user: &str) -> &'static str {
        match self.user_phone.unwrap_or(user.starts_with('+')) {
            true => ";user=phone",
            false => "",
        }
    }
}
