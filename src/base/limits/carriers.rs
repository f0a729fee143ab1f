//! How long carriers are waited for, and how far their redirections are followed.

use std::time::Duration;

/// Calls and probes in a row that a carrier says nothing to before it counts as down:
/// then calls go past it while there is another.
pub const CARRIER_FAILURES: u8 = 3;

/// Answers in a row that a carrier which was down must give to count as up.
pub const CARRIER_ANSWERS: u8 = 2;

/// For how long no call tries a carrier that is down and is not probed.
pub const CARRIER_PAUSE: Duration = Duration::from_secs(30);

/// The longest that a carrier is left alone because it asks for it (Retry-After of a
/// 503). What it asks for beyond that does not count.
pub const CARRIER_REST: Duration = Duration::from_secs(600);

/// How long a carrier has for its first word on an INVITE before the call goes to the
/// next one, where there is another.
pub const FIRST_ANSWER: Duration = Duration::from_millis(1_500);

/// Carriers that one call may be sent to, one after the other. An emergency call is
/// sent to as many as there are, up to this.
pub const CARRIERS_PER_CALL: usize = 16;

/// How long a carrier has to answer a probe.
pub const PROBE_WAIT: Duration = Duration::from_secs(4);

/// Contacts of one redirection that are tried, those with the highest `q` first. Those
/// beyond are not.
pub const REDIRECT_CONTACTS: usize = 4;

/// Contacts that one call is redirected to, whichever redirection they are of. Those
/// beyond are refused.
pub const REDIRECTS_PER_CALL: usize = 8;
