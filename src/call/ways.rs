//! Which carrier a call leaves to.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::flow::Transport;
use crate::base::time::Now;
use crate::policy::{Carrier, CarrierId, RuleSet, Seat, TenantId};

use super::table::Tools;
use super::{Arrived, topology};

/// The names of carriers that a call may yet go to, the next one first.
pub(super) type Further = SmallVec<[Arc<str>; 2]>;

/// The carrier that a call leaves to.
pub(super) struct Way<'r> {
    pub(super) carrier: &'r Carrier,
    /// The call's place there.
    pub(super) seat: Seat,
    /// Where it may go if that does not answer.
    pub(super) further: Further,
}

/// The transport that the onward way has to have, if it must be one.
pub(super) fn onward(
    rules: &RuleSet,
    tenant: TenantId,
    arrived: &Arrived<'_>,
) -> Option<Transport> {
    let carriers = rules.tenant(tenant).map_or(&[][..], |it| &it.carriers);
    let mut ways = carriers.iter().filter_map(|it| rules.carrier(it.carrier));
    let first = ways.clone().next().map(|it| it.transport);
    let secure = arrived.message.uri().is_some_and(topology::is_secure);
    let tls = secure && ways.any(|it| it.transport == Transport::Tls);
    if tls { Some(Transport::Tls) } else { first }
}

impl Tools {
    /// The carrier that a call leaves to: the first that may carry it and has a place
    /// for it. Emergency calls have one everywhere.
    pub(super) fn way<'r>(
        &mut self,
        now: Now,
        rules: &'r RuleSet,
        (tenant, emergency): (TenantId, bool),
        arrived: &Arrived<'_>,
    ) -> Option<Way<'r>> {
        let mint = &mut self.mint;
        // The low bits of a token are as good as any.
        let draw = || u64::try_from(mint.token().bits() & u128::from(u64::MAX)).unwrap_or(0);
        let ways = rules.ways(tenant, emergency, now.mono, draw);
        let secure = arrived.message.uri().is_some_and(topology::is_secure);
        let carries = |id: &CarrierId| {
            let carrier = rules.carrier(*id)?;
            carrier.carries(secure, emergency).then_some(carrier)
        };
        let ways: SmallVec<[&Carrier; 4]> = ways.iter().filter_map(carries).collect();
        let mut places = ways.iter().enumerate();
        let taken = places.find_map(|(at, carrier)| Some((at, carrier.seat(emergency)?)));
        let (at, seat) = taken?;
        let (full, rest) = ways.split_at_checked(at)?;
        let (carrier, further) = rest.split_first()?;
        Some(Way {
            carrier,
            seat,
            further: further
                .iter()
                .chain(full)
                .map(|it| Arc::clone(&it.name))
                .collect(),
        })
    }
}
