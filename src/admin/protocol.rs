//! What is said over the control socket.
//!
//! A client sends one line of JSON, `{"v":1,"order":"status"}`, and gets lines of
//! JSON, `{"v":1,"reply":{…}}`. All but the last of them have `"more":true`; then the
//! connection is closed. Whoever reads an answer passes over keys that it does not
//! know; an order with one is refused, since what it asks for would not be done.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

mod flood;
mod registered;

pub use flood::{Banned, Bans, Shed};
pub use registered::Registration;

/// The version of this protocol. A change that an older client or server would
/// misread raises it.
pub const VERSION: u32 = 1;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// What is to be done.
    pub order: Order,
    /// On whose behalf, if the client is run for somebody (`sudo`). Taken down as
    /// what it is: the client's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<String>,
}

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Tell what is going on.
    Status,
    /// Read the rules again.
    Reload,
    /// Block calls.
    Block(Block),
    /// Block them no longer.
    Unblock(Unblock),
    /// Hand the sockets over to whoever asks, and end without hanging up.
    HandOver,
    /// Begin a tenant's counters anew.
    Reset {
        /// Whose.
        tenant: String,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// Tell which strangers are banned.
    Bans,
    /// Lift bans of strangers.
    LiftBans {
        /// Whose; none for all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// Tell whether the clock is believed, or have it believed.
    Clock {
        /// It is right.
        #[serde(default)]
        confirm: bool,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
}

/// Which calls a block is about. None is about an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every call.
    Everything,
    /// Calls that go abroad.
    International,
}

/// Calls to be blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Whose; none for every tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which of them.
    pub scope: Scope,
    /// Whether those that are up are hung up.
    #[serde(default)]
    pub hang_up: bool,
    /// For how many seconds; none for as long as nobody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why, in the operator's words; may be empty.
    #[serde(default)]
    pub why: String,
}

/// A block to be lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unblock {
    /// Whose; none for the one of every tenant's calls. Those of single tenants stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which; none for either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Why, in the operator's words; may be empty.
    #[serde(default)]
    pub why: String,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub v: u32,
    /// Whether another line follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// What it says.
    pub reply: Reply,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What is going on.
    Status(Box<Status>),
    /// New rules are in force.
    Reloaded(Rules),
    /// Calls are blocked, or no longer.
    Blocks(Blocks),
    /// The sockets of all listeners come with this line.
    HandedOver,
    /// A tenant's counters begin anew.
    Reset {
        /// Whose.
        tenant: String,
        /// How often that was done to them.
        times: u64,
        /// Every shard has it in its journal.
        recorded: bool,
    },
    /// Which strangers are banned.
    Bans(Bans),
    /// Whether the clock is believed.
    Clock(Clock),
    /// It was not done.
    Fault(Fault),
}

/// The wall clock. One that jumped is not believed: days and months of caps and
/// budgets go by the reckoning from before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What it shows (RFC 3339, UTC).
    pub shows: String,
    /// By how many seconds that is ahead of what is believed; 0 if it is believed.
    pub ahead_s: i64,
    /// By how many it was before it was confirmed; none if that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_s: Option<i64>,
    /// Every shard has that in its journal.
    pub recorded: bool,
}

/// What became of an order about blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// The block that came into force, or those that were lifted.
    pub changed: Vec<Blocked>,
    /// Every block that is in force now.
    pub in_force: Vec<Blocked>,
    /// How many shards obey: all of them.
    pub shards: u16,
    /// Whether every shard has it in its journal.
    pub recorded: bool,
}

/// Calls that are blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Whose; none for every tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which of them.
    pub scope: Scope,
    /// Since when (RFC 3339, UTC).
    pub since: String,
    /// Until when; none for as long as nobody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who ordered it.
    pub by: String,
    /// The user's number.
    pub uid: u32,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Why an order was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// For programs: see [`FaultKind`].
    pub kind: FaultKind,
    /// One line: what is wrong, and what to do.
    pub text: String,
    /// Further lines, such as each fault of a file of rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Fault {
    /// A fault in one line.
    #[must_use]
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            details: Vec::new(),
        }
    }
}

/// What sort of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The client is another user.
    Forbidden,
    /// Too many others are connected.
    Busy,
    /// The request is no JSON, or asks for what nobody knows.
    Malformed,
    /// It is longer than a request may be.
    TooLong,
    /// It did not come in time.
    TooSlow,
    /// It is of another version of the protocol.
    Version,
    /// The rules are broken, and stay as they were.
    Rules,
    /// A shard did not say in time that it obeys.
    Silent,
    /// There is no such tenant, or no such block.
    Unknown,
    /// What is asked for is out of bounds.
    Bounds,
    /// It is in force, but cannot be kept over a restart.
    Unkept,
    /// It cannot hand over now, and goes on.
    Held,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Their hash, by which the ledger names them.
    pub hash: String,
    /// How many sets there were in this run, this one included.
    pub version: u64,
    /// How many tenants they have.
    pub tenants: usize,
    /// How many rules.
    pub rules: usize,
}

/// What is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Tollgate's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started (RFC 3339, UTC).
    pub since: String,
    /// For how many seconds it has run.
    pub seconds: u64,
    /// The configuration.
    pub configuration: String,
    /// The ledger's folder.
    pub ledger: String,
    /// The rules in force.
    pub rules: Rules,
    /// The files were broken when they were read last, and these are older rules.
    #[serde(default)]
    pub files_broken: bool,
    /// How many shards there are.
    pub shards: usize,
    /// It is being stopped, and lets no new call in.
    pub stopping: bool,
    /// Calls that are up or in set-up, emergency calls included. One that was ended and
    /// whose peers have yet to say so is none of them.
    pub calls: u64,
    /// Of these, emergency calls.
    #[serde(default)]
    pub emergency_calls: u64,
    /// By how many seconds the wall clock is ahead of what is believed: see [`Clock`].
    #[serde(default)]
    pub clock_ahead_s: i64,
    /// What is blocked.
    #[serde(default)]
    pub blocks: Vec<Blocked>,
    /// Why the next start would not know that, if it would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_unkept: Option<String>,
    /// Whose messages were shed, the most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shed: Vec<Shed>,
    /// How many strangers are banned.
    #[serde(default)]
    pub banned: usize,
    /// The journal.
    pub journal: Journal,
    /// The carriers.
    pub carriers: Vec<Carrier>,
    /// What phone systems have registered here, in the order of their accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<Registration>,
    /// How many further ones there are.
    #[serde(default)]
    pub phones_left_out: usize,
    /// Tenants with calls, or with money spent: the busiest first.
    pub tenants: Vec<Tenant>,
    /// How many further ones there are.
    pub tenants_left_out: usize,
    /// Where alerts go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Place>,
    /// Messages that are kept out, because they broke the program once.
    pub quarantined: usize,
    /// What was counted since the start, and is not zero.
    pub counts: Vec<Count>,
}

/// How the journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Shards whose journal cannot be written now: they let in emergency calls only.
    pub shards_without: u64,
    /// Shards whose journal was taken from its folder: what they record is lost when
    /// Tollgate ends.
    #[serde(default)]
    pub misplaced: usize,
    /// Bytes written since the start.
    pub bytes: u64,
    /// Bytes of records that were lost.
    pub lost: u64,
}

/// A carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// Where calls to it go.
    pub address: String,
    /// How Tollgate's account with it stands, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
    /// What is, while the carrier agrees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registration>,
    /// How it fares: `up`, `rests` where it asked to be left alone for a while, or
    /// `down` where it does not answer.
    #[serde(default)]
    pub state: String,
    /// Calls to it that live, emergency calls included.
    #[serde(default)]
    pub calls: u32,
    /// How many may live at once; none for as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_at_once: Option<u32>,
    /// What its name leads to, if it is reached by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<LeadsTo>,
}

/// What a carrier's name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadsTo {
    /// Where calls go, the first choice first.
    pub gateways: Vec<Gateway>,
    /// Where none go, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// When it was last looked up with success, since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<String>,
    /// Why it cannot be looked up now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How often that has failed in a row.
    #[serde(default)]
    pub failures: u32,
}

/// One address of a carrier's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Where it is.
    pub address: String,
    /// How it fares, as a carrier does.
    pub state: String,
}

/// A tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its calls that live; emergency calls are not counted.
    pub calls: u64,
    /// Its budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// A tenant's budget, in the period that it is now. Amounts are decimal numbers as
/// text, in the currency's own unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The `[[cap]]` that states it; none if it is the tenant's `[budget]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<String>,
    /// `day` or `month`.
    pub period: String,
    /// ISO 4217.
    pub currency: String,
    /// How much there is of it.
    pub limit: String,
    /// What calls that are over have cost.
    pub spent: String,
    /// What live calls hold.
    pub held: String,
    /// Both together, of a thousand of the limit.
    pub used_permille: u64,
}

/// A place that alerts go to. What is counted is counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which: without secrets.
    pub to: String,
    /// Alerts that wait for it.
    pub waiting: usize,
    /// Alerts that it took.
    pub taken: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Alerts left out, because too many waited.
    pub left_out: u64,
    /// Why the last try failed; none if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Something counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// A short name.
    pub name: String,
    /// How many.
    pub value: u64,
    /// Of what, in words that follow the number.
    pub what: String,
}
