//! How much strangers sent lately, in a table of a fixed size.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::base::limits::STRANGERS_SEEN;
use crate::base::time::Mono;

/// Places that one address may have: the one of these that was seen the least is given to
/// whoever is new.
const WAYS: usize = 4;

/// Counts of messages, each of one address alone: two never share a count, so that nobody is
/// banned for another's messages. Who is crowded out begins anew.
#[derive(Debug)]
pub(super) struct Sights(Box<[[Option<Sight>; WAYS]]>);

#[derive(Clone, Copy, Debug)]
struct Sight {
    net: IpNet,
    since: Mono,
    count: u32,
}

impl Default for Sights {
    fn default() -> Self {
        Self(vec![[None; WAYS]; STRANGERS_SEEN / WAYS].into())
    }
}

impl Sights {
    /// One more. How many there were within such a time.
    pub(super) fn count(&mut self, now: Mono, net: IpNet, within: Duration) -> u32 {
        let fresh = |it: &Sight| now.saturating_since(it.since) < within;
        let Some(set) = self.set(net) else {
            return 0;
        };
        let own = set.iter().position(|it| it.is_some_and(|it| it.net == net));
        let least = set.iter().enumerate().min_by_key(|(_, it)| {
            let known = it.filter(fresh);
            known.map_or(0, |it| it.count)
        });
        let Some(place) = own.or_else(|| least.map(|(at, _)| at)) else {
            return 0;
        };
        let Some(place) = set.get_mut(place) else {
            return 0;
        };
        let before = place.filter(|it| it.net == net && fresh(it));
        let (since, count) = before.map_or((now, 0), |it| (it.since, it.count));
        let count = count.saturating_add(1);
        *place = Some(Sight { net, since, count });
        count
    }

    /// Begins anew for an address.
    pub(super) fn forget(&mut self, net: IpNet) {
        for place in self.set(net).into_iter().flatten() {
            *place = place.filter(|it| it.net != net);
        }
    }

    fn set(&mut self, net: IpNet) -> Option<&mut [Option<Sight>; WAYS]> {
        let sets = u64::try_from(self.0.len()).ok().filter(|it| *it > 0)?;
        let place = FixedState::default().hash_one(net) % sets;
        self.0.get_mut(usize::try_from(place).ok()?)
    }
}
