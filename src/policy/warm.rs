//! Has the processor fetch what judging a call reads before it is read.
//!
//! With very many tenants most of it is in no cache, and each of it is found by what is
//! read before it: who sends leads to the tenant's lane, that to its book, that to its
//! meters. To wait for one after the other takes longer than all else together. So each
//! of it is asked for as soon as it is known where it lies, for all calls that were
//! received at once: then the waits of a batch overlap.

use std::hint::black_box;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::counters::Book;
use super::lane::{Lane, Part};
use super::ruleset::{Peer, RuleSet};
use super::table::Entry;
use crate::base::limits::BATCH;

impl RuleSet {
    /// Has the processor fetch what judging calls from these sources will read; of the
    /// first [`BATCH`] of them. Changes nothing but the time that takes.
    pub fn warm(&self, sources: impl Iterator<Item = IpAddr>) {
        let sources: SmallVec<[IpAddr; BATCH]> = sources.take(BATCH).collect();
        for source in &sources {
            self.peers.warm(*source);
        }
        let tenant = |source: &IpAddr| match self.peers.find(*source)? {
            Peer::Tenant(tenant) => self.lane(tenant),
            Peer::Carrier(_) => None,
        };
        let lanes: SmallVec<[&Lane; BATCH]> = sources.iter().filter_map(tenant).collect();
        for lane in &lanes {
            black_box(lane.end);
        }
        for lane in &lanes {
            self.warm_lane(lane);
        }
        Book::warm_insides(lanes.iter().map(|lane| &*lane.book));
    }

    /// The same of one tenant, from its lane on.
    pub(super) fn warm_lane(&self, lane: &Lane) {
        /// Entries on a cache line.
        const STEP: usize = 64 / size_of::<Entry>();
        lane.book.warm();
        let all = Part {
            start: lane.own,
            end: lane.end,
        };
        for entry in all.of(&self.entries).iter().step_by(STEP).take(8) {
            black_box(entry.value);
        }
        for cap in (lane.wide_caps..).take(2) {
            black_box(self.caps.get(cap as usize).map(|it| it.first_rule));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::flow::ListenerId;
    use crate::policy::samples::{MAIN, rules, tenant};

    #[test]
    fn whoever_sends_and_however_many_there_are_every_lock_is_given_back() {
        let rules = rules(MAIN, &tenant("127.0.0.4/32", ""));
        let sources = ["127.0.0.4", "127.0.0.2", "127.0.0.9", "2001:db8::1"];
        let sources = sources.map(|it| it.parse::<IpAddr>().unwrap());
        assert!(rules.peer(ListenerId(0), sources[0]).is_some());
        // The same tenant again and again: its lock is taken already.
        rules.warm(sources.into_iter().cycle().take(3 * BATCH));
        rules.warm(std::iter::empty());
        assert!(rules.lanes.iter().all(|it| it.book.calls_up() == 0));
    }
}
