//! What is said of registrations.

use serde::{Deserialize, Serialize};

/// Something that is registered: with Tollgate, or by it with a carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Whose phone system has registered here; or the carrier that Tollgate has registered
    /// with.
    pub name: String,
    /// The account: its name, or the address of record.
    pub account: String,
    /// The Contact's URI.
    pub contact: String,
    /// Since when, without a gap (RFC 3339, UTC).
    pub since: String,
    /// Until when, if it is not renewed.
    pub until: String,
    /// The way that the REGISTER came, and calls go; or the way to the carrier:
    /// `udp:192.0.2.1:5060`.
    pub way: String,
}
