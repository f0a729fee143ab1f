//! What holds where more comes than can be handled.

/// Batches that a turn receives, or one from each listener, where the turn before left
/// something: a shard that cannot keep up must at least see whose messages it has too many
/// of. What is left after that waits in the kernel.
pub const BATCHES_BEHIND: usize = 64;

/// Messages that wait for a shard which cannot keep up: those that begin something. One
/// peer has half of the room at the most, several share it, and what is beyond is shed.
/// So much is an honest peer's burst; and at 20,000 a second the last one waits a fifth of a
/// second, before which nobody repeats it (T1, RFC 3261 §17.1.1.1).
pub const WAITING_NEW: usize = 8_192;

/// The same of what belongs to something that is going on.
pub const WAITING_UNDER_WAY: usize = 16_384;

/// The same of INVITEs to emergency numbers.
pub const WAITING_EMERGENCIES: usize = 2_048;

/// Bytes of messages of each of these classes that wait. At the limit what comes is shed,
/// as it is beyond those numbers.
pub const WAITING_BYTES: usize = 16 << 20;

/// Messages of each of these classes that are handled in a turn: emergencies, what is under
/// way, what is new. A call that is let in makes about six times as many messages as it began
/// with, so that what was begun is done with before more is. In between the sockets are read.
pub const SERVED: [usize; 3] = [16, 64, 16];

/// Messages from connections that wait with these for a shard. They are never shed: at the
/// limit the shard takes no more of what it is sent by other threads, until mailboxes are
/// full and TCP makes the peers wait.
pub const WAITING_CONNECTED: usize = 512;

/// Peers that are named as those whose messages were shed. Further ones are told of as
/// others.
pub const SHED_NAMES: usize = 64;

/// Messages from connections that wait for a shard in its mailbox. At the limit nothing is
/// read from connections, so that there is room for what other shards have for it.
pub const MAILBOX_CONNECTED: usize = 512;

/// Refusals that a shard repeats in a second because no ACK came, where the caller has heard
/// nothing else (RFC 3261 §17.2.1, Timer G). Beyond, a refusal is sent once for each time
/// that its INVITE comes: so often a caller who has not heard it repeats that.
pub const REFUSALS_REPEATED: u32 = 500;

/// Addresses that are banned at once. At the limit no further one is: a stranger's messages
/// are dropped unread all the same.
pub const BANS: usize = 10_000;

/// Strangers whose messages are counted at once. At the limit the count begins anew of whoever
/// sent the least.
pub const STRANGERS_SEEN: usize = 4_096;

/// Changes of bans that wait for the kernel to be told. At the limit it is told all bans instead.
pub const NFT_CHANGES: usize = 1_000;

/// Seconds that `nft` may take. Then it is ended, and tried again later.
pub const NFT_S: u64 = 5;
