//! Which carrier a call leaves to.

use std::net::SocketAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::flow::Transport;
use crate::base::time::Now;
use crate::policy::{Carrier, Gateway, Hop, RuleSet, Seat, TenantId};

use super::table::Tools;
use super::{Arrived, topology};

/// Where a call may yet go, the next place first: the names of carriers, and which of
/// their gateways. Both mean the same under other rules, too.
pub(super) type Further = SmallVec<[(Arc<str>, SocketAddr); 2]>;

/// The carrier that a call leaves to.
pub(super) struct Way<'r> {
    pub(super) carrier: &'r Carrier,
    pub(super) gateway: &'r Gateway,
    /// The call's place there.
    pub(super) seat: Seat,
    /// Where it may go if that does not answer.
    pub(super) further: Further,
}

impl<'r> Way<'r> {
    /// To this gateway and no other, if its carrier has a place.
    pub(super) fn at(carrier: &'r Carrier, gateway: &'r Gateway) -> Option<Self> {
        Some(Self {
            carrier,
            gateway,
            seat: carrier.seat(gateway, false)?,
            further: Further::new(),
        })
    }
}

/// The transport that the onward way has to have, if it must be one.
pub(super) fn onward(
    rules: &RuleSet,
    tenant: TenantId,
    arrived: &Arrived<'_>,
) -> Option<Transport> {
    let carriers = rules.tenant(tenant).map_or(&[][..], |it| &it.carriers);
    let carriers = carriers.iter().filter_map(|it| rules.carrier(it.carrier));
    let mut ways = carriers.flat_map(|it| &it.gateways);
    let first = ways.clone().next().map(|it| it.transport);
    let secure = arrived.message.uri().is_some_and(topology::is_secure);
    let tls = secure && ways.any(|it| it.transport == Transport::Tls);
    if tls { Some(Transport::Tls) } else { first }
}

/// Whether it is known of any carrier of a tenant's where that is.
pub(super) fn anywhere(rules: &RuleSet, tenant: TenantId) -> bool {
    let carriers = rules.tenant(tenant).map_or(&[][..], |it| &it.carriers);
    let mut carriers = carriers.iter().filter_map(|it| rules.carrier(it.carrier));
    carriers.any(|it| !it.gateways.is_empty())
}

impl Tools {
    /// The carrier that a call leaves to: the first that may carry it and has a place
    /// for it. Emergency calls have one everywhere.
    pub(super) fn way<'r>(
        &mut self,
        now: Now,
        rules: &'r RuleSet,
        (tenant, emergency, secure): (TenantId, bool, bool),
    ) -> Option<Way<'r>> {
        let mint = &mut self.mint;
        // The low bits of a token are as good as any.
        let draw = || u64::try_from(mint.token().bits() & u128::from(u64::MAX)).unwrap_or(0);
        let ways = rules.ways(tenant, emergency, now.mono, draw);
        let carries = |hop: &Hop| {
            let (carrier, gateway) = rules.hop(*hop)?;
            let carries = gateway.carries(secure, emergency);
            carries.then_some((carrier, gateway))
        };
        let ways: SmallVec<[(&Carrier, &Gateway); 4]> = ways.iter().filter_map(carries).collect();
        let mut places = ways.iter().enumerate();
        let taken = places.find_map(|(at, (carrier, gateway))| {
            let seat = carrier.seat(gateway, emergency)?;
            Some((at, seat))
        });
        let (at, seat) = taken?;
        let (full, rest) = ways.split_at_checked(at)?;
        let ((carrier, gateway), further) = rest.split_first()?;
        let further = further.iter().chain(full);
        Some(Way {
            carrier,
            gateway,
            seat,
            further: further
                .map(|(carrier, gateway)| (Arc::clone(&carrier.name), gateway.address))
                .collect(),
        })
    }
}
