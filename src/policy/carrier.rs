//! A carrier, as the rules have it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::counters::{Seat, Trunk};
use super::plan::NumberFormat;
use super::registration::Registration;
use crate::base::flow::{ListenerId, Transport};

/// Where calls can leave to.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// Its name.
    pub name: Arc<str>,
    /// How messages are carried.
    pub transport: Transport,
    /// Where its requests go.
    pub address: SocketAddr,
    /// From where.
    pub listener: ListenerId,
    /// From where requests that are too long for a datagram go over TCP, if it says so.
    pub large_from: Option<ListenerId>,
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

impl Carrier {
    /// The value of Route that its registrar wants calls to have (RFC 3608); empty for none.
    pub(crate) fn routes(&self) -> Arc<[u8]> {
        let registration = self.registration.as_ref();
        registration.map_or_else(Arc::default, |it| it.standing.routes())
    }

    /// Whether it may carry a call: one that is `secure` goes over TLS alone, unless it is
    /// an emergency.
    pub(crate) fn carries(&self, secure: bool, emergency: bool) -> bool {
        emergency || !secure || self.transport == Transport::Tls
    }

    /// A call's place at it, if there is one; emergency calls always have one.
    pub(crate) fn seat(&self, emergency: bool) -> Option<Seat> {
        self.trunk.take(self.calls_at_once.filter(|_| !emergency))
    }

    /// What stands behind the address of a URI with this user part.
    pub(crate) fn user_param(&self, user: &str) -> &'static str {
        match self.user_phone.unwrap_or(user.starts_with('+')) {
            true => ";user=phone",
            false => "",
        }
    }
}
