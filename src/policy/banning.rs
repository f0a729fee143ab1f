//! Which strangers are banned, and for how long: `[bans]` of the main file.

use std::time::Duration;

/// When an address that no rules name is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banning {
    /// So many messages of it ban it; none and nobody is banned.
    pub messages: u32,
    /// The time within which they come.
    pub within: Duration,
    /// How long a ban lasts.
    pub lasts: Duration,
    /// The table of nftables that the kernel drops what is banned by; none for no such.
    pub nftables: Option<Box<str>>,
}

impl Default for Banning {
    fn default() -> Self {
        Self {
            messages: 100,
            within: Duration::from_secs(10),
            lasts: Duration::from_secs(3_600),
            nftables: None,
        }
    }
}
