//! Every limit of the product, each with what happens at it.

/// Server transactions a shard keeps at once, emergency calls' share apart. At
/// the limit a new request is not kept (`Arrival::Full`) and its sender's own
/// retransmissions bring it again.
pub const SERVER_TRANSACTIONS: usize = 1 << 20;

/// Server transactions on top of [`SERVER_TRANSACTIONS`], which only requests
/// let in as emergencies may take. At the limit they too are not kept.
pub const SERVER_TRANSACTIONS_RESERVE: usize = 1 << 12;

/// Client transactions a shard keeps at once. At the limit a request is not
/// sent, and who asked for it is told. It is above the server side's limits
/// together, so that what was let in can also be sent on and torn down.
pub const CLIENT_TRANSACTIONS: usize = (1 << 20) + (1 << 14);

/// Bytes of one file of rules. A larger one is not read, and the rules are not
/// taken over.
pub const RULE_FILE_BYTES: usize = 100_000_000;

/// Bytes of one tariff: about a million rows. A larger one is a fault, and the
/// rules are not taken over.
pub const TARIFF_BYTES: usize = 50_000_000;

// Timers have no limit of their own: each belongs to a transaction or a call,
// of which there are limits.

/// Calls a shard keeps at once. At the limit a new call is refused.
pub const CALLS_PER_SHARD: usize = 1 << 20;

/// Early dialogs of one INVITE (forks) that the caller sees apart. Those beyond
/// share the first one's tag.
pub const FORKS_PER_CALL: usize = 8;

/// Requests under way between the legs of one call. At the limit a further one
/// is answered 500 with Retry-After.
pub const EXCHANGES_PER_CALL: usize = 8;

/// Dialogs beyond its own that are hung up for one call: forks that answered
/// too, or too late. Those beyond get an ACK and are left to their session
/// timers.
pub const STRAYS_PER_CALL: usize = 8;

/// What a call may ask of its budgets, the longest first: seconds until it must
/// ask again, and the session interval on its carrier's leg (RFC 4028), which the
/// carrier may go on for should Tollgate fall silent. A minute costs a book one
/// look a minute and call. Where a budget has no room for that, less is asked
/// for, so that a small one can be used to its end; at the last, the call is
/// refused or hung up. The intervals are those that RFC 4028 §5 allows at least.
pub const LEASES_S: [(u32, u32); 3] = [(60, 180), (30, 120), (10, 90)];

/// Seconds by which a carrier's clock may differ from ours. So much is added to
/// every time that is priced.
pub const CLOCK_SKEW_S: u32 = 2;

/// Seconds by which a 200 may come late: as long as it is repeated
/// (64 × T1, RFC 3261 §13.3.1.4). A call may have been billed for so long before
/// its answer was seen.
pub const LATE_ANSWER_S: u32 = 32;

/// Seconds for which a BYE is repeated before it times out (64 × T1, RFC 3261
/// §17.1.2.2). A call may be billed for so long after it was hung up, and then
/// for another session interval.
pub const TEARDOWN_S: u32 = 32;

/// Answers to one INVITE, beside the first, for which money is reserved until no
/// more can come: a carrier that forks may bring two. Further ones are hung up
/// and booked all the same, and may then exceed a budget.
pub const ANSWERS_BESIDE: u32 = 1;
