//! Which carriers a call is sent to, and in which order.

use std::time::Duration;

use smallvec::SmallVec;

use super::carrier::{Carrier, Gateway};
use super::counters::{Hold, Service};
use super::ruleset::{CarrierId, RuleSet, TenantId};
use super::verdict::{Admitted, Allowed, Permit, emergency, seconds};
use crate::base::limits::{CARRIERS_PER_CALL, HOPS_PER_CALL};
use crate::base::time::{Mono, Now};

/// A carrier that a tenant's calls may leave to: as RFC 2782 has it for servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The carrier.
    pub carrier: CarrierId,
    /// One with a lower priority comes first.
    pub priority: u16,
    /// Of those with the same one, which share of the calls it gets first.
    pub weight: u16,
}

/// One gateway of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The carrier.
    pub carrier: CarrierId,
    /// Its place in [`Carrier::gateways`](super::Carrier::gateways).
    pub gateway: u8,
}

/// Gateways in the order in which a call is to try them.
pub type Ways = SmallVec<[Hop; 4]>;

/// What is chosen by priority and weight.
trait Ranked: Copy {
    fn priority(&self) -> u16;
    fn weight(&self) -> u16;
}

impl Ranked for Choice {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

/// A gateway, by its place.
type Placed<'r> = (u8, &'r Gateway);

impl Ranked for Placed<'_> {
    fn priority(&self) -> u16 {
        self.1.priority
    }

    fn weight(&self) -> u16 {
        self.1.weight
    }
}

impl RuleSet {
    /// The gateways that a call of this tenant may leave to: those of the carriers that it
    /// names, by priority, and by weight and chance among equals (RFC 2782); `draw` gives
    /// random numbers. Those that do not answer come last, and one that asked to be left
    /// alone is, while there is another. An emergency call may leave to all that there are.
    #[must_use]
    pub fn ways(
        &self,
        tenant: TenantId,
        emergency: bool,
        now: Mono,
        mut draw: impl FnMut() -> u64,
    ) -> Ways {
        let choices = self.tenant(tenant).map_or(&[][..], |it| &it.carriers);
        let mut carriers: SmallVec<[CarrierId; 4]> = in_order(choices, &mut draw)
            .iter()
            .map(|choice| choice.carrier)
            .collect();
        if emergency {
            let all = (0..self.carriers.len()).filter_map(|at| u16::try_from(at).ok());
            for other in all.map(CarrierId).take(CARRIERS_PER_CALL) {
                if !carriers.contains(&other) {
                    carriers.push(other);
                }
            }
        }
        let mut ways = Ways::new();
        for id in carriers {
            if let Some(carrier) = self.carrier(id) {
                ways.extend(hops(id, carrier, &mut draw));
            }
        }
        match ways.as_slice() {
            [] | [_] => ways,
            several => self.by_health(several, emergency, now),
        }
    }

    /// The carrier and the gateway that a hop leads to.
    #[must_use]
    pub fn hop(&self, hop: Hop) -> Option<(&Carrier, &Gateway)> {
        let carrier = self.carrier(hop.carrier)?;
        Some((carrier, carrier.gateways.get(usize::from(hop.gateway))?))
    }

    fn by_health(&self, ways: &[Hop], emergency: bool, now: Mono) -> Ways {
        let fares = |hop: &Hop| {
            let hop = self.hop(*hop);
            hop.map_or(Service::Down, |(carrier, gateway)| {
                gateway.trunk.fares_for_call(now, carrier.probe.is_some())
            })
        };
        let ways: SmallVec<[(Hop, Service); 4]> =
            ways.iter().map(|hop| (*hop, fares(hop))).collect();
        let those = |fares: Service| ways.iter().filter(move |it| it.1 == fares).map(|it| it.0);
        let mut ordered: Ways = those(Service::Up).chain(those(Service::Down)).collect();
        if emergency || ordered.is_empty() {
            ordered.extend(those(Service::Rests));
        }
        ordered.truncate(HOPS_PER_CALL);
        ordered
    }
}

impl RuleSet {
    /// Takes the places of a call once more that goes to another carrier, and what it may
    /// cost there: what it holds of the first one's stays held. None if a cap has no room
    /// for that, or a budget.
    #[must_use]
    pub fn again(&self, hold: &Hold, permit: Permit, now: Now) -> Option<Allowed> {
        let Some(call) = hold.standing() else {
            return Some(emergency(permit));
        };
        let tenancy = self.tenancy(self.tenant_named(call.book.name())?)?;
        let Admitted {
            entry,
            longest,
            lease,
        } = self
            .admit(&tenancy, &call.subject, Duration::ZERO, now)
            .ok()?;
        Some(Allowed {
            permit,
            hold: entry.hold,
            counted: Some(entry.counted),
            lease,
            observed: None,
            alert: None,
            longest_call: seconds(longest.call),
            longest_ring: seconds(longest.ring),
        })
    }
}

/// A carrier's gateways, in the order in which a call is to try them.
fn hops(carrier: CarrierId, of: &Carrier, draw: impl FnMut() -> u64) -> Ways {
    let placed: SmallVec<[Placed<'_>; 2]> = (0..).zip(&of.gateways).collect();
    let hops = in_order(&placed, draw).into_iter();
    hops.map(|(gateway, _)| Hop { carrier, gateway }).collect()
}

/// By priority, and among equals by weight and chance: RFC 2782, "Weight".
fn in_order<R: Ranked>(choices: &[R], mut draw: impl FnMut() -> u64) -> SmallVec<[R; 4]> {
    if choices.len() == 1 {
        return choices.iter().copied().collect();
    }
    let mut ordered = SmallVec::new();
    for equals in choices.chunk_by(|one, next| one.priority() == next.priority()) {
        let mut left: SmallVec<[R; 4]> = equals.iter().copied().collect();
        while left.len() > 1 {
            let at = pick(&left, &mut draw);
            ordered.push(left.remove(at));
        }
        ordered.extend(left.first().copied());
    }
    ordered
}

/// One of several: each as often as its share of all weights. Weight 0 is all but
/// nothing beside another, and as good as any where all have it.
fn pick<R: Ranked>(left: &[R], draw: &mut impl FnMut() -> u64) -> usize {
    // Fine enough that a weight of 0 is drawn once in a while.
    let weigh = |choice: &R| u64::from(choice.weight()) * 1_000 + 1;
    let sum: u64 = left.iter().map(weigh).sum();
    let mut drawn = draw() % sum.max(1);
    for (at, choice) in left.iter().enumerate() {
        match drawn.checked_sub(weigh(choice)) {
            Some(rest) => drawn = rest,
            None => return at,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choice(at: u16, priority: u16, weight: u16) -> Choice {
        Choice {
            carrier: CarrierId(at),
            priority,
            weight,
        }
    }

    proptest! {
        #[test]
        fn every_carrier_comes_once_and_a_lower_priority_first(
            ranks in prop::collection::vec((0_u16..3, any::<u16>()), 0..8),
            draws in prop::collection::vec(any::<u64>(), 8),
        ) {
            let mut choices: Vec<Choice> = (0..).zip(&ranks)
                .map(|(at, &(priority, weight))| choice(at, priority, weight)).collect();
            choices.sort_by_key(|it| it.priority);
            let mut draws = draws.into_iter().cycle();
            let ways = in_order(&choices, || draws.next().unwrap());
            let mut all: Vec<u16> = ways.iter().map(|it| it.carrier.0).collect();
            let rank = |at: u16| ranks[usize::from(at)].0;
            prop_assert!(all.is_sorted_by_key(|at| rank(*at)));
            all.sort_unstable();
            prop_assert!(all.into_iter().map(usize::from).eq(0..ranks.len()));
        }
    }

    #[test]
    fn a_weight_is_a_share_of_the_calls() {
        let choices = [choice(0, 1, 3), choice(1, 1, 1), choice(2, 1, 0)];
        let mut first = [0_u32; 3];
        let mut seed = 1_u64;
        for _ in 0..40_000 {
            let ways = in_order(&choices, || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed >> 20
            });
            first[usize::from(ways[0].carrier.0)] += 1;
        }
        assert!((29_000..31_000).contains(&first[0]), "{first:?}");
        assert!((9_000..11_000).contains(&first[1]), "{first:?}");
        assert!(first[2] < 100, "{first:?}");
    }
}
