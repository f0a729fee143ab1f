//! What the journal says is so: state after a restart is a function of a shard's
//! records in their order, and of nothing else.
//!
//! A [`Fold`] is taken further by one record at a time, and can be kept at any
//! record's boundary: what it was at a place and the records behind it make what
//! all records make. It knows no rules; what becomes of what it holds is decided
//! by whoever takes it over.

mod bindings;
mod calls;
mod counters;
mod presence;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Record;
use crate::base::tally::Tallies;
use crate::base::time::Now;
use bindings::Bindings;

pub use bindings::Binding;
pub use calls::{Answer, Beside, Call, Calls, Carried, Change, End, Ending, Lease, Leg, Legs};
pub use counters::{Counters, Held, Lived};

/// What one shard's series of records comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Which calls are up, and how each stands.
    pub calls: Calls,
    /// What was counted and spent.
    pub counters: Counters,
    /// What phone systems have registered.
    bindings: Bindings,
}

impl Fold {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, record: &Record<'_>) {
        self.calls.apply(record);
        self.counters.apply(record);
        self.bindings.apply(record, self.counters.boots());
    }

    /// What phone systems have registered, for a life that begins `now`, in this boot of
    /// the host. What is over is among it: it says that what came before is over, too.
    #[must_use]
    pub fn bindings(&self, now: Now, boot: &str) -> Vec<Binding> {
        self.bindings
            .taken_over(now, self.counters.clock(now, boot))
    }

    /// What the series comes to for a life that begins `now`, in this boot of the
    /// host: what its counters have come to, by tenant, and every call that somebody
    /// may still know of.
    #[must_use]
    pub fn taken_over(self, now: Now, boot: &str) -> (BTreeMap<Box<str>, Tallies>, Vec<Call>) {
        let Self {
            calls, counters, ..
        } = self;
        let missed = !counters.is_up(boot) || calls.may_have_missed(now.wall);
        let counted = |call: &Call| {
            let lived = match call.end {
                None => counters.lived(call.reference, now, boot),
                Some(_) => counters.left(call.reference, now, boot),
            };
            lived.map(|lived| Lived { missed, ..lived })
        };
        let calls: Vec<_> = calls
            .into_calls()
            .map(|call| Call {
                counted: counted(&call),
                ..call
            })
            .collect();
        let kept = calls.iter().filter(|call| call.counted.is_some());
        let kept: BTreeSet<_> = kept.map(|call| call.reference).collect();
        (counters.tallies(now, boot, &kept), calls)
    }
}
