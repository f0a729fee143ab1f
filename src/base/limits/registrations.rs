//! Limits of registrations, Tollgate's own and those of phone systems here.

/// Seconds until a REGISTER is sent again that has failed: at first, and at the most. The
/// time doubles with each failure, and half of it is left to chance.
pub const REGISTER_PAUSE_S: (u32, u32) = (5, 300);

/// The longest time for which Tollgate registers, and for which a carrier can have it
/// wait, in seconds. Longer ones count as this.
pub const REGISTER_MOST_S: u32 = 86_400;

/// Nonces of ours that were answered rightly, until they are too old. At the limit no
/// new one is taken: whoever answers one is asked again.
pub const NONCES: usize = 1 << 16;

/// For how many seconds a nonce of ours may be answered.
pub const NONCE_S: u64 = 300;

/// Tries to prove an account's password that may fail within [`TRIES_S`], of one address.
/// Then whatever comes from there is asked again, right or not.
pub const TRIES_OF_SOURCE: u32 = 20;

/// The same of one account, whoever tries; but not where its phone system is.
pub const TRIES_OF_ACCOUNT: u32 = 200;

/// See [`TRIES_OF_SOURCE`].
pub const TRIES_S: u64 = 600;

/// Places in which such tries are counted, of addresses and of accounts. Beyond them some
/// share a place, and its count.
pub const TRY_SLOTS: usize = 1 << 10;

/// Strangers' requests that a shard answers in a second with a challenge, of one address
/// and of all. Those beyond get no answer.
pub const CHALLENGES_OF_SOURCE: u32 = 20;

/// See [`CHALLENGES_OF_SOURCE`].
pub const CHALLENGES_OF_ALL: u32 = 500;

/// Places in which those of each address are counted. Beyond them some share a place.
pub const CHALLENGE_SLOTS: usize = 1 << 10;

/// Connections (TCP and TLS) of nobody known at listeners that challenge, over all and of
/// one address. At the limit of all the oldest goes, at that of an address the new one.
pub const UNKNOWN_CONNECTIONS: usize = 1 << 10;

/// See [`UNKNOWN_CONNECTIONS`].
pub const UNKNOWN_PER_SOURCE: usize = 32;

/// Seconds until somebody must have registered over one. Then it is closed.
pub const UNKNOWN_S: u64 = 32;

/// Messages until then. With one more it is closed.
pub const UNKNOWN_MESSAGES: u8 = 8;

/// Bytes of a message that is not whole, until then. With more it is closed.
pub const UNKNOWN_BYTES: usize = 1 << 13;

/// The shortest and the longest time, in seconds, for which a phone system registers here.
/// It is asked to ask for more than the first, and gets no more than the second.
pub const REGISTERED_S: (u32, u32) = (30, 300);

/// A registration that goes on as it was is in the journal again after so many seconds.
pub const BOUND_NOTED_S: u64 = 10;

/// How often within [`BOUND_NOTED_S`] an account may change where it is, or end its
/// registration: each time is a record in the journal. Beyond, it is answered 503.
pub const BOUND_CHANGES: u8 = 20;

/// Registrations of phone systems that a status names. Of further ones only the number is
/// told.
pub const STATUS_PHONES: usize = 200;
