//! What all series of a ledger come to, and which of this life's shards gets what of it.
//!
//! The calls are dealt by the bucket of their caller's Call-ID: there may be more
//! shards than before, or fewer.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::{Binding, Call};
use super::{CallRef, Fold, Record};
use crate::base::tally::{Tallies, add_up};
use crate::base::time::{Now, Wall};
use crate::base::token::Buckets;

/// What the ledger holds of earlier lives.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What every counter has come to, by tenant.
    pub tallies: BTreeMap<Box<str>, Tallies>,
    /// What each account's phone system has registered, in the order in which they did.
    pub bindings: Vec<Binding>,
    /// Every call that a peer may still know of, and in which series it was found.
    calls: Vec<(u16, Call)>,
    /// Every series there is.
    series: Vec<u16>,
    /// Copies of such calls, which a start that broke off has left in other series.
    doubles: Vec<(u16, CallRef)>,
    /// The highest number that any series gave to a call.
    highest: CallRef,
    /// Places that could not be read. What they held is not known.
    pub damaged: u64,
    /// How far the wall clock was ahead of the monotonic one ([`Now::ahead`]) when it was
    /// believed last, in this boot of the host.
    pub ahead: Option<i64>,
}

/// A call for one of this life's shards.
#[derive(Clone, Debug)]
pub struct Taken {
    /// In which series it was found.
    pub was_shard: u16,
    /// What it was called there.
    pub was: CallRef,
    /// The call, with the number that it has now.
    pub call: Call,
}

/// What one shard takes over.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// Its calls.
    pub calls: Vec<Taken>,
    /// Above every number that calls have.
    pub next: CallRef,
}

/// What each shard of this life takes over.
#[derive(Clone, Debug, Default)]
pub struct Dealt {
    /// For each shard, in order.
    pub shares: Vec<Share>,
    /// The series that no shard of this life goes on with.
    pub retired: Vec<u16>,
    /// Calls that are over and hold something, by the series that they have left.
    moved: BTreeMap<u16, Vec<CallRef>>,
}

impl Recovered {
    /// What these series come to, each with its shard's number, for a life that begins
    /// `now`, in this boot of the host.
    #[must_use]
    pub fn of(folds: impl IntoIterator<Item = (u16, Fold)>, now: Now, boot: &str) -> Self {
        let folds: Vec<_> = folds.into_iter().collect();
        let agreed = folds.iter().filter_map(|(_, it)| it.counters.agreed(boot));
        let ahead = agreed.max_by_key(|it| it.mono).map(Now::ahead);
        // By a clock that jumped, nothing is older than it is.
        let now = ahead.map_or(now, |ahead| now.reckoned(ahead));
        let mut recovered = Self {
            ahead,
            ..Self::default()
        };
        let mut bindings = BTreeMap::new();
        for (shard, fold) in folds {
            recovered.series.push(shard);
            // A REGISTER with another Call-ID may have come to another shard.
            for binding in fold.bindings(now, boot) {
                let last = bindings.entry(binding.account.clone());
                let last = last.or_insert_with(|| binding.clone());
                if binding.at > last.at {
                    *last = binding;
                }
            }
            recovered.highest = recovered.highest.max(fold.calls.highest());
            let (tallies, calls) = fold.taken_over(now, boot);
            add_up(&mut recovered.tallies, tallies);
            let calls = calls.into_iter().map(|call| (shard, call));
            recovered.calls.extend(calls);
        }
        recovered.forget_doubles();
        recovered.bindings = bindings.into_values().collect();
        recovered.bindings.sort_by_key(|it| it.at);
        recovered
    }

    /// How many calls are up.
    #[must_use]
    pub fn up(&self) -> usize {
        let up = self.calls.iter().filter(|(_, call)| call.end.is_none());
        up.count()
    }

    /// What calls that are over still hold, in millionths.
    #[cfg(test)]
    pub(crate) fn owed(&self) -> u64 {
        let over = self.calls.iter().filter(|(_, call)| call.end.is_some());
        let held = over.filter_map(|(_, call)| call.counted.as_ref()?.held.as_ref());
        held.map(|held| held.money).sum()
    }

    /// A start that broke off may have written a call anew beside its first place.
    /// Nothing has happened in between, so one is as good as the other.
    fn forget_doubles(&mut self) {
        let (mut seen, tag) = (BTreeSet::new(), |call: &Call| {
            let legs = call.legs.as_ref();
            legs.map(|legs| legs.callee.local_tag.clone())
        });
        // What one of them holds is counted nowhere else.
        let counted = self.calls.iter().filter(|(_, it)| it.counted.is_some());
        let counted: BTreeSet<_> = counted.filter_map(|(_, it)| tag(it)).collect();
        let doubles = &mut self.doubles;
        self.calls.retain(|(shard, call)| {
            let tag = tag(call).filter(|tag| call.counted.is_some() || !counted.contains(tag));
            let first = tag.is_some_and(|tag| seen.insert(tag));
            if !first && call.counted.is_some() {
                doubles.push((*shard, call.reference));
            }
            first
        });
        // In its own series a copy has the same number, and is the same.
        let kept = self.calls.iter().map(|(shard, it)| (*shard, it.reference));
        let kept: BTreeSet<_> = kept.collect();
        self.doubles.retain(|it| !kept.contains(it));
    }

    /// Deals the calls to so many shards. Who is dealt a call of another shard's
    /// series gives it a number of its own.
    #[must_use]
    pub fn deal(self, buckets: &Buckets, shards: u16, wall: Wall) -> Dealt {
        let clock = u64::try_from(wall.as_micros()).unwrap_or(0);
        let mut next = self.highest.0.max(clock);
        let mut shares: Vec<Share> = (0..shards).map(|_| Share::default()).collect();
        let mut moved = BTreeMap::<u16, Vec<CallRef>>::new();
        // What these hold is held by the one that goes on.
        for (shard, call) in self.doubles {
            moved.entry(shard).or_default().push(call);
        }
        for (was_shard, mut call) in self.calls {
            let call_id = call.legs.as_ref().map(|legs| legs.call_id());
            let shard = buckets.bucket(call_id.unwrap_or_default()).shard(shards);
            let was = call.reference;
            if shard != was_shard {
                next = next.saturating_add(1);
                call.reference = CallRef(next);
                if call.end.is_some() && call.counted.is_some() {
                    moved.entry(was_shard).or_default().push(was);
                }
            }
            if let Some(share) = shares.get_mut(usize::from(shard)) {
                share.calls.push(Taken {
                    was_shard,
                    was,
                    call,
                });
            }
        }
        for share in &mut shares {
            share.next = CallRef(next.saturating_add(1));
        }
        let retired = self.series.into_iter().filter(|series| *series >= shards);
        Dealt {
            shares,
            retired: retired.collect(),
            moved,
        }
    }
}

impl Dealt {
    /// What a series says last of its earlier lives: which calls hold nothing there any
    /// more, as they do in another series, and that `calls` are taken over.
    #[must_use]
    pub fn resumed(&self, series: u16, wall: Wall, calls: u64) -> Vec<Record<'static>> {
        let moved = self.moved.get(&series);
        let moved = moved.into_iter().flatten().map(|&call| Record::Account {
            call,
            resets: 0,
            booked: 0,
            booked_in: (0, 0),
            held: 0,
            held_in: (0, 0),
            places: b"",
            billing: b"",
        });
        moved.chain([Record::Resumed { wall, calls }]).collect()
    }
}

impl Taken {
    /// What its new shard's journal says of it, with its [`Call::state`].
    #[must_use]
    pub fn restored<'r>(&'r self, wall: Wall, state: &'r [u8]) -> Record<'r> {
        Record::Restored {
            call: self.call.reference,
            wall,
            was_shard: self.was_shard,
            was: self.was,
            tenant: &self.call.tenant,
            number: &self.call.number,
            state,
        }
    }
}
