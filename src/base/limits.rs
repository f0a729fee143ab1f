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

/// Diversions of one call that are looked at, and entries of its history. Those
/// beyond are not.
pub const DIVERSIONS_PER_CALL: usize = 8;

/// Dialogs beyond its own that are hung up for one call: forks that answered
/// too, or too late. Those beyond get an ACK and are left to their session
/// timers.
pub const STRAYS_PER_CALL: usize = 8;
