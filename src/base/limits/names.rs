//! Limits of what carriers are called, and of what that leads to.

use std::time::Duration;

/// Places that one carrier's name may lead to; what an answer has beyond them is left out.
pub const GATEWAYS_PER_CARRIER: usize = 8;

/// Gateways that one call may be sent to, one after the other.
pub const HOPS_PER_CALL: usize = 32;

/// Name servers that are asked, one after the other.
pub const RESOLVERS: usize = 4;

/// Questions that one lookup of a carrier's name may ask: NAPTR, three services, and two
/// versions of IP for each of its targets.
pub const NAME_QUESTIONS: usize = 24;

/// How long one lookup may take.
pub const NAME_TIME: Duration = Duration::from_secs(10);

/// Datagrams that are looked at for the answer to one question.
pub const NAME_DATAGRAMS: usize = 32;

/// Records of one answer that are looked at.
pub const NAME_RECORDS: usize = 128;

/// CNAMEs that are followed, one after the other.
pub const NAME_CNAMES: usize = 8;

/// NAPTR records that are followed, the best first.
pub const NAME_POINTERS: usize = 3;

/// For how long an answer holds at the least and at the most, whatever its TTL says.
pub const NAME_TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(86_400));

/// How long it takes until a name that could not be looked up is tried again: at first, and
/// after many failures.
pub const NAME_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// For how long a carrier is known by an address that its name has led to: as long as calls
/// may last.
pub const NAME_REMEMBERED: Duration = Duration::from_secs(86_400);

/// How many such addresses are remembered of a name.
pub const NAME_EARLIER: usize = 32;

/// How long a start and a reload wait for names that were never looked up.
pub const NAME_FIRST: Duration = Duration::from_secs(3);
