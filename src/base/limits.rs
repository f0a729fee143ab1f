//! Every limit of the product, each with what happens at it.

mod carriers;
mod names;
mod overload;
mod registrations;

pub use carriers::{
    CARRIER_ANSWERS, CARRIER_FAILURES, CARRIER_PAUSE, CARRIER_REST, CARRIERS_PER_CALL,
    FIRST_ANSWER, PROBE_WAIT, REDIRECT_CONTACTS, REDIRECTS_PER_CALL,
};
pub use names::{
    GATEWAYS_PER_CARRIER, HOPS_PER_CALL, NAME_AGAIN, NAME_CNAMES, NAME_DATAGRAMS, NAME_EARLIER,
    NAME_FIRST, NAME_POINTERS, NAME_QUESTIONS, NAME_RECORDS, NAME_REMEMBERED, NAME_TIME, NAME_TTL,
    RESOLVERS,
};
pub use overload::{
    BANS, BATCHES_BEHIND, MAILBOX_CONNECTED, NFT_CHANGES, NFT_S, REFUSALS_REPEATED, SERVED,
    SHED_NAMES, STRANGERS_SEEN, WAITING_BYTES, WAITING_CONNECTED, WAITING_EMERGENCIES, WAITING_NEW,
    WAITING_UNDER_WAY,
};
pub use registrations::{
    BOUND_CHANGES, BOUND_NOTED_S, CHALLENGE_SLOTS, CHALLENGES_OF_ALL, CHALLENGES_OF_SOURCE,
    NONCE_S, NONCES, REGISTER_MOST_S, REGISTER_PAUSE_S, REGISTERED_S, STATUS_PHONES,
    TRIES_OF_ACCOUNT, TRIES_OF_SOURCE, TRIES_S, TRY_SLOTS, UNKNOWN_BYTES, UNKNOWN_CONNECTIONS,
    UNKNOWN_MESSAGES, UNKNOWN_PER_SOURCE, UNKNOWN_S,
};

/// Server transactions a shard keeps at once, emergency calls' share apart. At
/// the limit a new request is not kept (`Arrival::Full`) and its sender's own
/// retransmissions bring it again.
pub const SERVER_TRANSACTIONS: usize = 1 << 20;

/// Server transactions on top of [`SERVER_TRANSACTIONS`], which only requests
/// let in as emergencies may take. At the limit they too are not kept.
pub const SERVER_TRANSACTIONS_RESERVE: usize = 1 << 12;

/// Bytes of messages that a shard's transactions keep: what may have to be sent
/// again, and what responses repeat of their requests. At the limit a new request is
/// not kept (`Arrival::Full`), and its sender's own retransmissions bring it again.
pub const TRANSACTION_BYTES: usize = 256 << 20;

/// Bytes on top of [`TRANSACTION_BYTES`], which emergency calls (of no more than
/// [`LARGEST_INVITE`]) may take, who hangs up, what is sent on, and answers. At the
/// limit nothing but BYE and CANCEL is sent in a transaction any more, and an answer
/// is sent once, and not kept for when its request comes again.
pub const TRANSACTION_BYTES_RESERVE: usize = 64 << 20;

/// Bytes of what a response repeats of its request: Via, From, To, Call-ID and CSeq.
/// A request with more is answered 513 and forgotten, unless it is an emergency
/// call's. Twenty hops come to some 2 kB.
pub const ECHO_BYTES: usize = 8_192;

/// Bytes of a session description that is kept so that a session refresh can repeat
/// it. A larger one is not, and the session is refreshed by UPDATE.
pub const DESCRIPTION_BYTES: usize = 16_384;

/// Client transactions a shard keeps at once. At the limit a request is not
/// sent, and who asked for it is told. It is above the server side's limits
/// together, so that what was let in can also be sent on and torn down.
pub const CLIENT_TRANSACTIONS: usize = (1 << 20) + (1 << 14);

/// Bytes of the main file, of a tenant's and of a plan: some 50,000 lines. A larger
/// one is not read, and the rules are not taken over.
pub const RULE_FILE_BYTES: usize = 4_000_000;

/// Bytes of one tariff: about a million rows. A larger one is not read, and the
/// rules are not taken over.
pub const TARIFF_BYTES: usize = 50_000_000;

// Timers have no limit of their own: each belongs to a transaction or a call,
// of which there are limits.

/// Calls a shard keeps at once. At the limit a new call is refused.
pub const CALLS_PER_SHARD: usize = 1 << 20;

/// Messages from one call to another that a shard hands on in one turn. What is more waits
/// for its next.
pub const INSIDE_PER_TURN: usize = 64;

/// The bytes of an INVITE that opens a call. A call keeps copies of it while it
/// rings, so that a larger one is refused, unless it is an emergency's. A larger ACK
/// goes on, and is not kept for when its 2xx comes again.
/// Session descriptions with a location (RFC 6442) come to some 6 kB.
pub const LARGEST_INVITE: usize = 16_384;

/// The bytes that are read as a number, with its parameters: those of a sip URI's
/// user part, of a tel URI or of a URN. A longer one has no meaning, and its call is
/// refused: reading takes the same few microseconds at most, whatever is sent.
pub const DIALLED_BYTES: usize = 512;

/// The bytes of a Request-URI or of a caller's URI that a record holds. The rest is
/// cut off: no number is that long.
pub const RECORDED_TEXT: usize = 1_024;

/// Refusals of one tenant for one reason whose INVITEs are recorded as they came, in
/// a minute and a shard. Of those beyond, only the verdicts are.
pub const REFUSALS_WHOLE: u32 = 100;

/// Refusals of one tenant for one reason of which the verdicts are recorded, in a
/// minute and a shard. Those beyond are recorded together: how many, and when the
/// first and the last was.
pub const REFUSALS_RECORDED: u32 = 1_000;

/// Pairs of tenant and reason that are told apart for [`REFUSALS_WHOLE`], in a minute
/// and a shard. At the limit further ones have their verdicts recorded alone.
pub const EVIDENCE_KINDS: usize = 1 << 16;

/// Challenges of a carrier that are answered one behind the other, each of which says
/// that the answer before was right and late. The next one is not.
pub const CHALLENGES_IN_A_ROW: u8 = 3;

/// Parameters of a challenge or of credentials (RFC 7616). With more it is malformed.
pub const DIGEST_PARAMS: usize = 32;

/// The bytes of a Reason field (RFC 3326) that is passed on. A longer one is left
/// out: what a peer says must not make a BYE or CANCEL too large to arrive.
pub const REASON_BYTES: usize = 128;

/// The bytes of a route set that a peer gives (Record-Route): what a request of ours
/// repeats must leave room for the rest of it in a datagram. A longer one counts as
/// none, and requests go straight to the peer.
pub const ROUTE_SET_BYTES: usize = 8_192;

/// The bytes of a Contact's URI, to which requests of ours are addressed. A longer one
/// counts as none.
pub const TARGET_BYTES: usize = 2_048;

/// Calls on top of [`CALLS_PER_SHARD`], for emergencies alone.
pub const CALLS_RESERVE: usize = 1 << 12;

/// Requests between the legs of a call that are kept at all: beside those under
/// way the answered INVITEs whose 2xx may come again. At the limit a further one is
/// answered 500 with Retry-After.
pub const EXCHANGES_KEPT: usize = 4 * EXCHANGES_PER_CALL;

/// Extensions that a 420 names (RFC 3261 §8.2.2.3). Those beyond are left out: an
/// answer is never to be many times its request.
pub const UNSUPPORTED_NAMED: usize = 16;

/// The bytes of an extension's name that a 420 repeats. A longer one is left out.
pub const UNSUPPORTED_BYTES: usize = 64;

/// Early dialogs of one INVITE (forks) that the caller sees apart. Those beyond
/// share the first one's tag.
pub const FORKS_PER_CALL: usize = 8;

/// Requests under way between the legs of one call. At the limit a further one
/// is answered 500 with Retry-After.
pub const EXCHANGES_PER_CALL: usize = 8;

/// Different numbers that a cap can be told to allow a day: so many are remembered.
/// Calls that are let go all the same are counted as one of them.
pub const NUMBERS_PER_DAY: u32 = 10_000;

/// Diversions of one call that are looked at, and entries of its history. Those
/// beyond are not.
pub const DIVERSIONS_PER_CALL: usize = 8;

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

/// Bytes of an Identity field that is looked into, and how many of a call may go on; the
/// others are dropped.
pub const PASSPORT_BYTES: usize = 4_096;
/// See [`PASSPORT_BYTES`].
pub const PASSPORTS_PER_CALL: usize = 4;

/// Seconds by which the wall clock may run from the monotonic one before it is not
/// believed any more: a time service's steps are smaller.
pub const CLOCK_JUMP_S: u32 = 60;

/// Seconds by which the wall clock may be set, or for which a shard may do nothing at all,
/// without a note in the journal.
pub const TIME_GAP_S: u32 = 10;

/// Seconds by which a carrier's clock may differ from ours. So much is added to
/// every time that is priced.
pub const CLOCK_SKEW_S: u32 = 2;

/// Seconds by which a 200 may come late: as long as it is repeated
/// (64 × T1, RFC 3261 §13.3.1.4). A call may have been billed for so long before
/// its answer was seen.
pub const LATE_ANSWER_S: u32 = 32;

/// Seconds in which a 200 comes again at least once, even if one copy is lost: twice T2
/// (RFC 3261 §13.3.1.4).
pub const REPEATED_S: u32 = 8;

/// Seconds for which nobody may have been there to hear a 200 that is heard all the
/// same: for as long again it is repeated, every four seconds.
pub const ABSENCE_S: u32 = LATE_ANSWER_S / 2;

/// Seconds for which a BYE is repeated before it times out (64 × T1, RFC 3261
/// §17.1.2.2). A call may be billed for so long after it was hung up, and then
/// for another session interval.
pub const TEARDOWN_S: u32 = 32;

/// Answers to one INVITE, beside the first, for which money is reserved until no
/// more can come: a carrier that forks may bring two. Further ones are hung up
/// and booked all the same, and may then exceed a budget.
pub const ANSWERS_BESIDE: u32 = 1;

/// Datagrams that one system call receives or sends. Beyond 32 the share of the
/// call itself in the cost is lost in the noise; what is left waits for the next
/// call, in its order.
pub const BATCH: usize = 32;

/// The block in which a turn's messages lie one behind the other, in bytes: the
/// longest datagram and most turns' whole batches, and it stays in the
/// second-level cache. At the limit the turn goes on in another block.
pub const RECEIVE_BLOCK_BYTES: usize = 128 << 10;

/// What the kernel is asked to hold for each listener of what was received and
/// not yet read, and of what was sent and has not left, in bytes: a quarter of a
/// second of 20,000 messages a second. At the limit it drops, and SIP repeats.
pub const KERNEL_BUFFER_BYTES: usize = 8 << 20;

/// How often a turn waits for a full send buffer to drain, a millisecond each
/// time. Then the rest of the turn's messages are dropped, and SIP repeats them.
pub const SEND_WAITS: u8 = 3;

/// How often in a row failures to send are handed to the core, which may then
/// send something else. What fails after that waits for the next turn.
pub const FLUSHES: u8 = 4;

/// Messages that wait for a shard in its mailbox. At the limit requests that
/// begin something are dropped and counted, and SIP repeats them.
pub const MAILBOX_LETTERS: usize = 4096;

/// Messages of what is under way already (responses, and requests inside a
/// dialog) that wait on top of [`MAILBOX_LETTERS`]; and emergency calls on top
/// of these. At the limit they too are dropped and counted.
pub const MAILBOX_RESERVE: usize = 1024;

/// Records that wait in memory for a journal which cannot be written, in bytes a
/// shard. At the limit further ones are lost, which the log says.
pub const UNWRITTEN_BYTES: usize = 16 << 20;

/// Messages that broke the program and are kept out. At the limit the oldest may
/// come in again.
pub const QUARANTINE: usize = 256;

/// Log lines of one kind that a shard writes a second. At the limit further ones
/// are counted, and the count is logged when the second is over; the journal has
/// them all.
pub const LOG_LINES_PER_SECOND: u32 = 20;

/// Lines of the log that wait for being written, in bytes, unless one alone is
/// longer. At the limit further ones are lost, which the log says once it is read
/// again.
pub const LOG_QUEUE_BYTES: usize = 1 << 20;

/// Lines written after which the log says how many were lost meanwhile, if it did
/// not come to say so before.
pub const LOG_LINES_UNTOLD: usize = 1_000;

/// Calls that an operator's order hangs up at once in a shard, and the milliseconds
/// until the next ones: 8,000 a second. What else the shard does waits no longer than
/// for those few, and what a peer gets at once fits into its socket's buffer.
pub const HANG_UPS_AT_ONCE: usize = 16;

/// See [`HANG_UPS_AT_ONCE`].
pub const HANG_UP_PAUSE_MS: u64 = 2;

/// Places that alerts go to. More of them are a fault of the configuration.
pub const ALERT_DESTINATIONS: usize = 8;

/// Alerts that wait for one place to take them, over restarts too. At the limit the
/// oldest is left out, and the next one says how many were.
pub const ALERTS_WAITING: usize = 500;

/// Kinds of alerts that are counted apart. At the limit new ones are counted together.
pub const ALERT_GROUPS: usize = 1_024;

/// Seconds for which alike events are counted before the owner is told of the first.
pub const ALERT_GATHER_S: u64 = 2;

/// Seconds after which the owner is told again of what goes on.
pub const ALERT_AGAIN_S: u64 = 3_600;

/// The same, of messages from addresses that no peer has: they never end.
pub const ALERT_STRANGERS_AGAIN_S: u64 = 86_400;

/// Seconds between two checkpoints that a collector of syslog is sent, unless an
/// alert goes there.
pub const ALERT_CHECKPOINT_S: u64 = 60;

/// Seconds that alerts of an earlier run wait for this run's first checkpoint.
pub const ALERT_FIRST_CHECKPOINT_S: u64 = 5;

/// The longest checkpoint that a collector of syslog is sent, in bytes: what a
/// datagram holds of it in base64. At the limit it gets none, and the log says so.
pub const ALERT_CHECKPOINT_BYTES: usize = 45_000;

/// Seconds that a place has to take an alert, before it is tried again later.
pub const ALERT_SEND_S: u64 = 10;

/// Bytes of what a relay of mail says, its certificates included, that are read. At the
/// limit the mail is tried again later.
pub const RELAY_BYTES: usize = 65_536;

/// Seconds that a relay of mail has to say goodbye, when it has taken the mail.
pub const ALERT_QUIT_S: u64 = 1;

/// The longest pause between two tries, in seconds. It doubles from one second on.
pub const ALERT_PAUSE_S: u64 = 300;

/// The longest secret that is read from a file, in bytes. A longer one is a fault.
pub const SECRET_BYTES: usize = 4_096;

/// The largest file of certificates, in bytes. A larger one is a fault.
pub const CA_BYTES: usize = 4 << 20;

/// Tenants that an export remembers the calls of, to name them to whoever asked for another.
pub const EXPORT_TENANTS: usize = 20;

/// Rows that a report counts of one kind: numbers, sources. Further ones share a row.
pub const REPORT_KEYS: usize = 10_000;

/// Parts of the time that a report counts calls in: enough that an hour in four days can
/// be looked at.
pub const REPORT_PARTS: usize = 9_600;

/// Notes and orders that a report tells. Of further ones it says how many there were.
pub const REPORT_EVENTS: usize = 200;

/// Blocks that may be in force at once. At the limit an order for another one is
/// refused: block every tenant instead.
pub const BLOCKS: usize = 1_000;

/// The bytes of what an operator gives as the reason of an order. A longer one is
/// refused.
pub const WHY_BYTES: usize = 1_000;

/// Seconds within which every shard must say that an operator's order is in force.
/// Then the operator is told which ones have not.
pub const ORDER_TIME_S: u64 = 5;

/// Sockets that a program hands to its successor: as many as the kernel lets one
/// message carry (`SCM_MAX_FD`). Of further listeners, the successor opens new ones.
pub const HANDED_SOCKETS: usize = 253;

/// The bytes of one request over the control socket. A longer one is refused, and
/// the connection closed.
pub const CONTROL_REQUEST_BYTES: usize = 1 << 16;

/// The bytes of one line of an answer that a client reads. A longer one is a fault.
pub const CONTROL_ANSWER_BYTES: usize = 1 << 22;

/// Connections to the control socket at once. Further ones are told so, and closed.
pub const CONTROL_CONNECTIONS: usize = 16;

/// Seconds that a client of the control socket has to say what it wants, and to
/// take each line of the answer. Then it is closed.
pub const CONTROL_TIME_S: u64 = 5;

/// Tenants that a status names. Of further ones only the number is told.
pub const STATUS_TENANTS: usize = 200;

/// Seconds for which a call that ended is still known after a restart: as long as its
/// BYE or its final answer is repeated (64 × T1, RFC 3261 §17). Whichever peer did not
/// get it before gets it then.
pub const CLOSING_S: u32 = 32;

/// Calls of one shard that ended within [`CLOSING_S`] and are still known after a
/// restart. At the limit the oldest are forgotten.
pub const CLOSING_CALLS: usize = 1 << 16;

/// Connections (TCP and TLS) that may be open at once, if the system allows so many
/// files: three of four for those that peers make, one of four for ours. At the limit
/// one that has said nothing whole is closed for a new one; if there is none, the new
/// one is closed, or what was to be sent over it could not be.
pub const STREAMS: usize = 1 << 14;

/// Connections that one address may have open at once, and as many that we may have to
/// it. At the limit there are no further ones. Some programs make one for each call.
pub const STREAMS_PER_SOURCE: usize = 1 << 10;

/// Open files that are left for everything but connections.
pub const FILES_BESIDE: usize = 128;

/// Bytes of a request above which it does not fit a datagram for sure (RFC 3261
/// §18.1.1, where nobody knows what the path takes): it goes over TCP, if its peer's
/// `large_over_tcp` says that it may.
pub const LARGE_REQUEST_BYTES: usize = 1_300;

/// What one read from a connection takes, in bytes. What is left waits for the next.
pub const STREAM_READ_BYTES: usize = 1 << 16;

/// Bytes that wait to be written to one connection. At the limit further messages
/// cannot be sent, which their senders are told.
pub const STREAM_QUEUE_BYTES: usize = 1 << 18;

/// Bytes that wait to be written, over all connections. At the limit further messages
/// cannot be sent, which their senders are told.
pub const STREAM_QUEUES_BYTES: usize = 1 << 28;

/// Bytes of messages that are not whole yet, over all connections. At the limit the
/// connection that adds to them is closed.
pub const STREAM_PARTIAL_BYTES: usize = 1 << 28;

/// Turns of shards whose messages wait for the thread of the connections. At the limit
/// further messages cannot be sent, which their senders are told.
pub const STREAM_ERRANDS: usize = 1 << 14;

/// Seconds that a connection may take to be made. Then what was to be sent over it
/// could not be.
pub const STREAM_CONNECT_S: u64 = 3;

/// TLS handshakes of those who connect that may be under way at once. At the limit the
/// oldest is broken off.
pub const HANDSHAKES: usize = 1 << 10;

/// TLS handshakes that one address may have under way at once. At the limit its further
/// connections are closed.
pub const HANDSHAKES_PER_SOURCE: usize = 64;

/// Names of a certificate that are looked at. Further ones are not.
pub const CERTIFICATE_NAMES: usize = 64;

/// Certificates that a listener has beside its first.
pub const CERTIFICATES: usize = 32;

/// Seconds that a TLS handshake may take. Then the connection is closed.
pub const HANDSHAKE_S: u64 = 5;

/// Seconds from a connection's begin until something whole must have been heard over
/// it. Then it is closed.
pub const STREAM_FIRST_S: u64 = 15;

/// Seconds from a message's first byte to its last. Then the connection is closed.
pub const STREAM_MESSAGE_S: u64 = 15;

/// Seconds for which a peer may take nothing of what waits for it. Then the connection
/// is closed.
pub const STREAM_WRITE_S: u64 = 10;

/// Seconds after which a connection is closed that nobody has used.
pub const STREAM_IDLE_S: u64 = 900;

/// Seconds from one sign of life that is asked for to the next, on connections that we
/// made (RFC 5626 §4.4.1 has 120 at most over TCP).
pub const STREAM_PING_S: u64 = 60;
