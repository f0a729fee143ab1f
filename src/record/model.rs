//! The records themselves.
//!
//! The encoding names a variant by its place in the enum and fields by their
//! order: a variant is only ever added at the end, and a variant whose fields
//! change raises [`super::frame::VERSION`].

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::base::tally::{Marks, Which, Who};
use crate::base::time::{Mono, Wall};

use super::encode;
use super::parts::{
    Beside, Bound, CallRef, Carried, Decision, Direction, Led, Leg, Party, Session, Settled, Side,
    Stock,
};

/// What the journal holds. Invariant 4: each is in the journal before the
/// message it belongs to leaves.
/// Byte fields hold what was received or sent, unfolded; text fields are our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record<'a> {
    /// A shard began to write. *Restart*: all before it is of an earlier life;
    /// without a [`Record::Stopped`] in between, that one ended in a crash. The
    /// calls of that life are still what is known of it until [`Record::Resumed`].
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
        /// The branch of our INVITE's Via, without the magic cookie.
        #[serde(serialize_with = "encode::bytes")]
        branch: &'a [u8],
        /// The caller leg.
        caller: Leg<'a>,
        /// The caller's INVITE, as its response needs it; empty if a [`Record::Invite`] has it.
        #[serde(serialize_with = "encode::bytes")]
        asked: &'a [u8],
    },
    /// The callee answered. *Answer*: before the caller's 200.
    /// *Restart*: both dialogs, and until when the call may run.
    Answered {
        /// The call.
        call: CallRef,
        /// When: what it costs runs from here.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// When it is hung up at the latest; `wall` if it came too late, and its caller was refused.
        #[serde(with = "encode::wall")]
        ends_by: Wall,
        /// The session interval on the carrier's leg in seconds (RFC 4028), or 0.
        session_expires: u32,
        /// The leg towards who calls, as [`Leg::since_setup`] leaves it.
        caller: Leg<'a>,
        /// The leg towards who is called, too.
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
    /// A leg's CSeq numbers moved. *CSeq advance*: our BYE after a restart is in order.
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
        /// What was booked of it at the most, in millionths; 0 if it has no price.
        #[serde(with = "encode::money")]
        cost: u64,
        /// In which currency (ISO 4217); empty if it has no price.
        currency: &'a str,
    },
    /// Something worth keeping that is no call: strangers, faults. *Evidence* only.
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
    /// A call holds money of every budget that covers it: before its INVITE, and each time that this changes.
    /// *Lease renewal*. *Restart*: what the call holds, and until when it may run.
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
        /// The most that a minute costs by the tariff, at whatever hour, in millionths.
        #[serde(with = "encode::money")]
        minute: u64,
        /// What there would be of the budget that is overshot, in millionths; 0
        /// if none is.
        value: u64,
        /// That budget; 0 if none is overshot.
        threshold: u64,
    },
    /// A call that was over has cost more. What was booked in all takes the place of the end's cost.
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
    /// An operator's order came into force in this shard. *Evidence*: who, and why.
    Ordered {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// What was ordered: `block`, `unblock`, `lift-ban`; `clock` where it was confirmed.
        order: &'a str,
        /// Whose calls it is about; empty for every tenant's.
        tenant: &'a str,
        /// For a block `everything` (but emergency calls) or `international`. For a clock,
        /// how far it was ahead of what was believed.
        detail: &'a str,
        /// Such calls that were up are hung up.
        hang_up: bool,
        /// For how many seconds it holds; 0 for as long as nobody takes it back.
        lasts_s: u64,
        /// The user who gave it, as the kernel says (`SO_PEERCRED`, unix(7)).
        uid: u32,
        /// The user's name.
        by: &'a str,
        /// What the user gave as the reason; may be empty.
        why: &'a str,
    },
    /// The INVITE that the verdict before it is of. *Evidence* only.
    Invite {
        /// The call.
        call: CallRef,
        /// As it was received, without the values of credentials and keys.
        #[serde(serialize_with = "encode::bytes")]
        message: &'a [u8],
    },
    /// Refused calls that were too many to have a verdict each. *Evidence* only.
    Refusals {
        /// When this was written.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Whose calls; empty if they are nobody's.
        tenant: &'a str,
        /// Which way they go.
        direction: Direction,
        /// Why: the reason's short name.
        reason: &'a str,
        /// When the first one was refused.
        #[serde(with = "encode::wall")]
        first: Wall,
        /// When the last one was.
        #[serde(with = "encode::wall")]
        last: Wall,
        /// How many there were.
        count: u64,
        /// Where the last one came from.
        #[serde(with = "encode::address")]
        source: SocketAddr,
        /// The canonical number of the last one; empty if it has none.
        number: &'a str,
    },
    /// The caller acknowledged the answer. *Restart*: the call is up; before this, its callee's 2xx comes again.
    Acked {
        /// The call.
        call: CallRef,
    },
    /// A leg's session timer was agreed afresh (RFC 4028). *Restart*: who refreshes it, how often, when next.
    Session {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Which leg.
        side: Side,
        /// What was agreed.
        session: Session,
    },
    /// A session description that a refresh by re-INVITE has to repeat (RFC 4028 §7.4), but none with keys.
    Description {
        /// The call.
        call: CallRef,
        /// The leg that it was sent on.
        side: Side,
        /// The description; empty if there is none to repeat any more.
        #[serde(serialize_with = "encode::bytes")]
        body: &'a [u8],
    },
    /// The INVITE that opens a call goes out once more (RFC 4028 §7.3). *Set-up*.
    /// *Restart*: takes the place of the one in [`Record::Setup`].
    Retried {
        /// The call.
        call: CallRef,
        /// Its CSeq number.
        cseq: u32,
        /// The branch of its Via, without the magic cookie.
        #[serde(serialize_with = "encode::bytes")]
        branch: &'a [u8],
    },
    /// Somebody or something ends a call: before its BYE is answered, or sent. *Restart*: it is not to go on.
    Ending {
        /// The call.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Who ends it.
        by: Party,
        /// Why: a short name.
        cause: &'a str,
    },
    /// A call of an earlier life is taken over, as it was when that life ended.
    Restored {
        /// The call. The same as before, unless another shard's journal has it now.
        call: CallRef,
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// In which shard's journal it was.
        was_shard: u16,
        /// What it was called there.
        was: CallRef,
        /// Whose call it is.
        tenant: &'a str,
        /// The canonical number.
        number: &'a str,
        /// All that is known of it: see `fold::Call`.
        #[serde(serialize_with = "encode::bytes")]
        state: &'a [u8],
    },
    /// All calls of earlier lives that this shard takes over are written anew, and
    /// so are those of every other shard. *Restart*: what was before
    /// [`Record::Started`] is not needed any more.
    Resumed {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// How many calls this shard took over.
        calls: u64,
    },
    /// What a scope's number stands for: before the first record of this life that
    /// names it. *Restart*: see [`Record::Counted`].
    Scope {
        /// The number; it means nothing after the next [`Record::Started`].
        number: u32,
        /// Whose calls are counted.
        tenant: &'a str,
        /// Those that come from carriers.
        inbound: bool,
        /// Each number by itself.
        each: Option<Who>,
        /// The words of the targets that they go to.
        to: [u64; 2],
        /// Let in within these hours; empty for any time.
        hours: &'a str,
        /// Or outside of them.
        outside: bool,
    },
    /// A call was counted, in the same turn as its verdict. *Restart*: all windows,
    /// days and different numbers are rebuilt from this, without any rules.
    Counted {
        /// The call.
        call: CallRef,
        /// Whose it is.
        tenant: &'a str,
        /// When, by the monotonic clock.
        mono: Mono,
        /// When, by the wall clock as far as it was believed.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// When the day ends that it counts in.
        #[serde(with = "encode::wall")]
        day_end: Wall,
        /// How often the tenant's counters had been reset.
        resets: u64,
        /// What caps look at in it.
        marks: Marks,
        /// The counters.
        #[serde(serialize_with = "encode::places")]
        places: &'a [u8],
    },
    /// A tenant's counters were reset by hand: what was counted before with a smaller
    /// number of resets is forgotten.
    Reset {
        /// When.
        #[serde(with = "encode::wall")]
        wall: Wall,
        /// Whose.
        tenant: &'a str,
        /// How often they were, this time included.
        resets: u64,
        /// Who did it.
        by: &'a str,
        /// Why, in words; may be empty.
        why: &'a str,
    },
    /// What a call holds of budgets changed, or something was booked of it; in the same turn as
    /// [`Record::Lease`], [`Record::Ended`] or [`Record::Booked`]. *Restart*: all money is rebuilt from this.
    Account {
        /// The call.
        call: CallRef,
        /// How often the tenant's counters had been reset.
        resets: u64,
        /// What was booked now, in millionths of the currency's unit.
        booked: u64,
        /// The days that this counts in, from the first to the last, counted from
        /// 1970-01-01.
        booked_in: (i32, i32),
        /// What it holds from now on, in millionths.
        held: u64,
        /// The days that this counts in.
        held_in: (i32, i32),
        /// The counters.
        #[serde(serialize_with = "encode::places")]
        places: &'a [u8],
        /// What is known of what it costs: see [`crate::base::tally::Billing`]; empty
        /// once it is over.
        #[serde(serialize_with = "encode::billing")]
        billing: &'a [u8],
    },
    /// The call goes on at another carrier, as a call of its own, and this one waits for what
    /// its carrier may yet say. *Restart*: it has nothing to do with its caller any more.
    Parted {
        /// The call.
        call: CallRef,
        /// Its tag in place of the one that the caller knows.
        #[serde(serialize_with = "encode::bytes")]
        tag: &'a [u8],
    },
    /// So much the calls that this shard has counted in this life may come to: on the disk before they do.
    /// *Restart*: after a loss of power, so much they have come to.
    Drawn {
        /// The scope's number.
        scope: u32,
        /// Which of the scope's counters.
        which: Which,
        /// What is counted, and when.
        stock: Stock,
        /// How often the tenant's counters had been reset.
        resets: u64,
        /// How much.
        upto: u64,
    },
    /// A wall clock that had jumped was confirmed. *Restart*: days go by both clocks.
    Agreed {
        /// The monotonic clock.
        mono: Mono,
        /// The wall clock.
        #[serde(with = "encode::wall")]
        wall: Wall,
    },
    /// A phone system registered, or no more: before it is told. *Restart*: it is called there.
    Bound(Bound<'a>),
    /// A request inside a dialog goes on to the other leg. *Restart*: it may be answered yet.
    Carried(Carried<'a>),
    /// An INVITE inside a dialog is over: with its answer, or the ACK to that. *Restart*: see there.
    Settled(Settled),
    /// Somebody beside a call is hung up, or has heard that. *Restart*: it is hung up again.
    Beside(Beside<'a>),
    /// A call is led elsewhere. *Restart*: this is its leg from then on.
    Led(Led<'a>),
}
