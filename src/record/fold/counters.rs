//! What was counted and spent, as the records of one series say.

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// One series' part of every counter; the parts of all series add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {}

impl Counters {
    /// Takes the next record of the series into account.
    pub fn apply(&mut self, _record: &Record<'_>) {}
}
