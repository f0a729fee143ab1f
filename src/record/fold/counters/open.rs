//! Calls that are counted, hold money, or may yet be billed.

use serde::{Deserialize, Serialize};

use super::Time;
use crate::base::tally::{Billing, Marks, Scope, Which};
use crate::base::time::{Mono, Wall};
use crate::record::{CallRef, encode};

/// A call that is counted among the live, or holds money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) tenant: Box<str>,
    pub(super) marks: Marks,
    pub(super) since: Time,
    pub(super) held: Option<Held>,
    pub(super) ended: bool,
}

/// A call that was over then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Over {
    #[serde(with = "encode::wall")]
    pub(super) at: Wall,
    pub(super) call: CallRef,
}

/// What a call holds of budgets; nothing where only its billing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How often the tenant's counters had been reset.
    pub resets: u64,
    /// How much, in millionths of the currency's unit.
    pub money: u64,
    /// The days that it counts in, from the first to the last.
    pub days: (i32, i32),
    /// The counters, and whether it counts in their day and in their month.
    pub places: Vec<(Scope, Which, bool, bool)>,
    /// What is known of what it costs.
    pub billing: Option<Billing>,
}

/// A call that lived when its life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lived {
    /// Whose it is.
    pub tenant: Box<str>,
    /// What caps look at in it.
    pub marks: Marks,
    /// When it was let in.
    pub since: Mono,
    /// The same, by the wall clock.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// What it holds.
    pub held: Option<Held>,
    /// A carrier's answer may have come of which nobody will ever hear.
    #[serde(skip)]
    pub missed: bool,
}

impl Open {
    /// Whether it holds money.
    pub(super) fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.money > 0)
    }
}
