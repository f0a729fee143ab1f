//! Which carriers a call is sent to, and in which order.

use std::time::Duration;

use smallvec::SmallVec;

use super::counters::{Hold, Service};
use super::ruleset::{CarrierId, RuleSet, TenantId};
use super::verdict::{Admitted, Allowed, Permit, emergency, seconds};
use crate::base::limits::CARRIERS_PER_CALL;
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

/// Carriers in the order in which a call is to try them.
pub type Ways = SmallVec<[CarrierId; 4]>;

impl RuleSet {
    /// The carriers that a call of this tenant may leave to: those it names, by
    /// priority, and by weight and chance among equals (RFC 2782); `draw` gives random
    /// numbers. Those that do not answer come last, and one that asked to be left alone
    /// is, while there is another. An emergency call may leave to all that there are.
    #[must_use]
    pub fn ways(
        &self,
        tenant: TenantId,
        emergency: bool,
        now: Mono,
        draw: impl FnMut() -> u64,
    ) -> Ways {
        let choices = self.tenant(tenant).map_or(&[][..], |it| &it.carriers);
        let mut ways = match choices {
            [only] => SmallVec::from_slice(&[only.carrier]),
            choices => in_order(choices, draw),
        };
        if emergency {
            let all = (0..self.carriers.len()).filter_map(|at| u16::try_from(at).ok());
            for other in all.map(CarrierId).take(CARRIERS_PER_CALL) {
                if !ways.contains(&other) {
                    ways.push(other);
                }
            }
        }
        match ways.as_slice() {
            [] | [_] => ways,
            several => self.by_health(several, emergency, now),
        }
    }

    fn by_health(&self, ways: &[CarrierId], emergency: bool, now: Mono) -> Ways {
        let fares = |id: &CarrierId| {
            let carrier = self.carrier(*id);
            carrier.map_or(Service::Down, |it| {
                it.trunk.fares_for_call(now, it.probe.is_some())
            })
        };
        let ways: SmallVec<[(CarrierId, Service); 4]> =
            ways.iter().map(|id| (*id, fares(id))).collect();
        let those = |fares: Service| ways.iter().filter(move |it| it.1 == fares).map(|it| it.0);
        let mut ordered: Ways = those(Service::Up).chain(those(Service::Down)).collect();
        if emergency || ordered.is_empty() {
            ordered.extend(those(Service::Rests));
        }
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

/// By priority, and among equals by weight and chance: RFC 2782, "Weight".
fn in_order(choices: &[Choice], mut draw: impl FnMut() -> u64) -> Ways {
    let mut ways = Ways::new();
    for equals in choices.chunk_by(|one, next| one.priority == next.priority) {
        let mut left: SmallVec<[Choice; 4]> = SmallVec::from_slice(equals);
        while left.len() > 1 {
            let at = pick(&left, &mut draw);
            ways.push(left.remove(at).carrier);
        }
        ways.extend(left.first().map(|last| last.carrier));
    }
    ways
}

/// One of several: each as often as its share of all weights. Weight 0 is all but
/// nothing beside another, and as good as any where all have it.
fn pick(left: &[Choice], draw: &mut impl FnMut() -> u64) -> usize {
    // Fine enough that a weight of 0 is drawn once in a while.
    let weigh = |choice: &Choice| u64::from(choice.weight) * 1_000 + 1;
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
            let mut all: Vec<u16> = ways.iter().map(|it| it.0).collect();
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
            first[usize::from(ways[0].0)] += 1;
        }
        assert!((29_000..31_000).contains(&first[0]), "{first:?}");
        assert!((9_000..11_000).contains(&first[1]), "{first:?}");
        assert!(first[2] < 100, "{first:?}");
    }
}
