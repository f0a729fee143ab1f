//! What the journal says is so: state after a restart is a function of a shard's
//! records in their order, and of nothing else.
//!
//! A [`Fold`] is taken further by one record at a time, and can be kept at any
//! record's boundary: what it was at a place and the records behind it make what
//! all records make. It knows no rules; what becomes of what it holds is decided
//! by whoever takes it over.

mod calls;
mod counters;

use serde::{Deserialize, Serialize};

use super::Record;

pub use calls::{Answer, Call, Calls, End, Ending, Lease, Leg, Legs};
pub use counters::{Counters, Held, Lived};

/// What one shard's series of records comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Which calls are up, and how each stands.
    pub calls: Calls,
    /// What was counted and spent.
    pub counters: Counters,
}

impl Fold {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, record: &Record<'_>) {
        self.calls.apply(record);
        self.counters.apply(record);
    }
}
