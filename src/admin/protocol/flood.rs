//! What is said of floods.

use serde::{Deserialize, Serialize};

/// Strangers who are banned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// Those who are.
    pub banned: Vec<Banned>,
    /// Those whose bans were lifted by the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifted: Vec<Banned>,
    /// Whether every shard has that in its journal.
    pub recorded: bool,
}

/// A stranger who is banned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// An address, or a network of IPv6.
    pub source: String,
    /// Since when (RFC 3339, UTC).
    pub since: String,
    /// Until when.
    pub until: String,
    /// Messages of it that Tollgate has dropped since; the kernel counts its own.
    pub dropped: u64,
}

/// Messages of one peer that were dropped, since it sent the most while more came than could
/// be handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// Whose: a tenant, `carrier NAME`, or `strangers` at a listener that challenges.
    pub whose: String,
    /// What would have begun something.
    pub new: u64,
    /// What belonged to something that was going on.
    pub under_way: u64,
    /// INVITEs to emergency numbers.
    pub emergency: u64,
}
