//! The records themselves.
//!
//! The encoding names a variant by its place in the enum and fields by their
//! order: a variant is only ever added at the end, and a variant whose fields
//! change raises [`super::frame::VERSION`].

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::base::flow::Flow;
use crate::base::time::Wall;

use super::encode;

/// A call's number in its shard's journal, never used for another call in it.
///
/// A shard counts upward from a start that lies above all it has written:
/// the wall clock's microseconds at its start serve, since no shard begins a
/// million calls a second.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct CallRef(pub u64);

/// What became of a call set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A rule allows it; the carrier's INVITE follows.
    Allow,
    /// It would have been refused; the tenant only observes, so it goes.
    Observe,
    /// It never leaves.
    Refuse,
    /// An emergency call: it goes before every rule.
    Emergency,
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the tenant to a carrier: what costs money.
    Outbound,
    /// From a carrier to the tenant.
    Inbound,
}

/// One leg of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The leg towards who calls: its INVITE came to us.
    Caller,
    /// The leg towards who is called: its INVITE is ours.
    Callee,
}

impl Side {
    /// The other leg.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// Who did something to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Who calls.
    Caller,
    /// Who is called.
    Callee,
    /// Tollgate itself: a limit reached, an order of the operator, a fault.
    Tollgate,
}

/// One leg as a dialog (RFC 3261 §12): all that a later request on it is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg<'a> {
    /// The way to the peer that this leg uses.
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    /// The Call-ID.
    #[serde(serialize_with = "encode::bytes")]
    pub call_id: &'a [u8],
    /// Our own URI in From or To.
    #[serde(serialize_with = "encode::bytes")]
    pub local_uri: &'a [u8],
    /// Our tag.
    #[serde(serialize_with = "encode::bytes")]
    pub local_tag: &'a [u8],
    /// The peer's URI in To or From.
    #[serde(serialize_with = "encode::bytes")]
    pub remote_uri: &'a [u8],
    /// The peer's tag; empty until it has given one.
    #[serde(serialize_with = "encode::bytes")]
    pub remote_tag: &'a [u8],
    /// The remote target: the Request-URI of the next request.
    #[serde(serialize_with = "encode::bytes")]
    pub target: &'a [u8],
    /// The route set, as the value of one Route field in the order it is sent;
    /// empty if there is none.
    #[serde(serialize_with = "encode::bytes")]
    pub routes: &'a [u8],
    /// The CSeq number of the last request we sent.
    pub local_cseq: u32,
    /// The CSeq number of the peer's last request; 0 before its first.
    pub remote_cseq: u32,
}

/// What the journal holds. Invariant 4: each is in the journal before the
/// message it belongs to leaves.
///
/// Byte fields hold what was received or sent, unfolded; text fields are our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record<'a> {
    /// A shard began to write. *Restart*: all before it is of an earlier life;
    /// without a [`Record::Stopped`] in between, that one ended in a crash.
    Started {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Which shard this is, from 0.
        shard: u16,
        /// How many there are.
        shards: u16,
        /// Tollgate's version.
        program: &'a str,
        /// The host's boot id: another one means that the host went down too,
        /// and what was not synced may be gone. Empty if the host tells none.
        boot: &'a str,
    },
    /// A rule set came into force. *Evidence*: which rules later verdicts mean.
    RulesLoaded {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// The hash over every source of the rules.
        #[serde(with = "encode::hash")]
        hash: [u8; 32],
        /// Counts the rule sets of this run, from 1.
        version: u64,
    },
    /// A call was judged. *Verdict*: before its 603, or before its INVITE.
    /// *Restart*: what the call holds of every counter follows from it.
    Verdict {
        /// The call.
        call: CallRef,
        /// When it was judged; sliding windows are rebuilt from this.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Whose call it is; empty if it is nobody's.
        tenant: &'a str,
        /// Where the INVITE came from.
        #[serde(with = "encode::address")]
        source: SocketAddr,
        /// Which way it goes.
        direction: Direction,
        /// Who calls, as judged and shown onward.
        #[serde(serialize_with = "encode::bytes")]
        caller: &'a [u8],
        /// The Request-URI as received.
        #[serde(serialize_with = "encode::bytes")]
        received_uri: &'a [u8],
        /// The canonical number; empty if it has none.
        number: &'a str,
        /// What was decided.
        decision: Decision,
        /// Why: the reason's short name; empty if a rule plainly allows it.
        reason: &'a str,
        /// The file of the rule that decided; empty if none did.
        rule_file: &'a str,
        /// The rule's line in it, from 1; 0 if none did.
        rule_line: u32,
        /// What was counted, in the reason's unit; 0 if nothing was.
        value: u64,
        /// The limit that it met; 0 if there was none.
        threshold: u64,
        /// The first eight bytes of the rule set's hash, big-endian.
        #[serde(with = "encode::hash8")]
        rules_hash8: u64,
        /// The caller leg's Call-ID.
        #[serde(serialize_with = "encode::bytes")]
        a_call_id: &'a [u8],
        /// The callee leg's Call-ID; empty if the call never leaves.
        #[serde(serialize_with = "encode::bytes")]
        b_call_id: &'a [u8],
        /// The carrier, to or from; empty if the call never leaves.
        carrier: &'a str,
    },
    /// An INVITE of ours goes out: one for each attempt of a call. *Set-up*.
    /// *Restart*: enough to CANCEL it, and to ACK and BYE a 200 that comes late.
    Setup {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Where it goes: a carrier's name, or the tenant's on an inbound call.
        peer: &'a str,
        /// The callee leg; its peer has given no tag yet.
        leg: Leg<'a>,
        /// The branch of our INVITE's Via, magic cookie included.
        #[serde(serialize_with = "encode::bytes")]
        branch: &'a [u8],
    },
    /// The callee answered. *Answer*: before the caller's 200.
    /// *Restart*: both dialogs, and until when the call may run.
    Answered {
        /// The call.
        call: CallRef,
        /// When: what it costs runs from here.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// When it is hung up at the latest.
        #[serde(with = "encode::wall")]
        ends_by: Wall,
        /// The session interval on the carrier's leg in seconds (RFC 4028);
        /// 0 if it has no session timer.
        session_expires: u32,
        /// The leg towards who calls.
        caller: Leg<'a>,
        /// The leg towards who is called.
        callee: Leg<'a>,
    },
    /// A peer moved its remote target (RFC 3261 §12.2). *Target refresh*.
    Target {
        /// The call.
        call: CallRef,
        /// Whose target.
        side: Side,
        /// The new target URI.
        #[serde(serialize_with = "encode::bytes")]
        target: &'a [u8],
    },
    /// A leg's CSeq numbers moved. *CSeq advance*: so that our BYE after a
    /// restart is not refused as out of order.
    CSeq {
        /// The call.
        call: CallRef,
        /// Which leg.
        side: Side,
        /// The number of the last request we sent on it.
        local: u32,
        /// The number of the peer's last request on it; 0 before its first.
        remote: u32,
    },
    /// A call is over on the carrier's side; what it held is given back. *End*.
    Ended {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Whether it was ever answered.
        answered: bool,
        /// From answer to end in milliseconds; 0 if it was not answered.
        duration_ms: u64,
        /// Who ended it.
        by: Party,
        /// Why: a short name.
        cause: &'a str,
        /// The final status of the set-up (RFC 3261 §21); 0 if none came.
        status: u16,
        /// What it has cost at the most, in millionths of the currency's unit:
        /// this was booked. 0 if it has no price.
        #[serde(with = "encode::money")]
        cost: u64,
        /// In which currency (ISO 4217); empty if it has no price.
        currency: &'a str,
    },
    /// Something worth keeping that is no call: messages dropped as malformed,
    /// strangers, faults. *Evidence* only.
    Note {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Which kind: a short name.
        what: &'a str,
        /// In words; may be empty.
        detail: &'a str,
        /// How many times since the last such note.
        count: u64,
    },
    /// A shard ended in order. *Restart*: nothing was lost up to here.
    Stopped {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Calls that were still up.
        live: u64,
    },
    /// A call holds money of every budget that covers it: before its INVITE, and
    /// each time that this changes. *Lease renewal*. *Restart*: what the call
    /// holds, and until when it may run.
    Lease {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// For how many seconds it holds it, before it must ask again: from its
        /// answer on; from now on if it was answered.
        lasts_s: u32,
        /// How much, in millionths of the currency's unit.
        #[serde(with = "encode::money")]
        reserved: u64,
        /// The currency (ISO 4217).
        currency: &'a str,
        /// What there would be of the budget that is overshot, in millionths; 0
        /// if none is.
        value: u64,
        /// That budget; 0 if none is overshot.
        threshold: u64,
    },
    /// A call that was over has cost more: another answer came late. What was
    /// booked in all takes the place of the end's cost.
    Booked {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Whose call it was.
        tenant: &'a str,
        /// What it has cost at the most, in millionths of the currency's unit.
        #[serde(with = "encode::money")]
        cost: u64,
        /// The currency (ISO 4217).
        currency: &'a str,
    },
}

impl Record<'_> {
    /// When it happened; `None` for those that take their call's time.
    #[must_use]
    pub const fn wall(&self) -> Option<Wall> {
        match self {
            Self::Started { wall, .. }
            | Self::RulesLoaded { wall, .. }
            | Self::Verdict { wall, .. }
            | Self::Setup { wall, .. }
            | Self::Answered { wall, .. }
            | Self::Ended { wall, .. }
            | Self::Note { wall, .. }
            | Self::Stopped { wall, .. }
            | Self::Lease { wall, .. }
            | Self::Booked { wall, .. } => Some(*wall),
            Self::Target { .. } | Self::CSeq { .. } => None,
        }
    }

    /// The call it belongs to.
    #[must_use]
    pub const fn call(&self) -> Option<CallRef> {
        match self {
            Self::Verdict { call, .. }
            | Self::Setup { call, .. }
            | Self::Answered { call, .. }
            | Self::Target { call, .. }
            | Self::CSeq { call, .. }
            | Self::Ended { call, .. }
            | Self::Lease { call, .. }
            | Self::Booked { call, .. } => Some(*call),
            Self::Started { .. }
            | Self::RulesLoaded { .. }
            | Self::Note { .. }
            | Self::Stopped { .. } => None,
        }
    }
}
