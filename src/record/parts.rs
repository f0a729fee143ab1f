//! What records are made of.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::base::flow::Flow;
use crate::base::tally::{Place, month_of};
use crate::base::time::{Mono, Wall};

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

    /// Who is at the leg's far end.
    #[must_use]
    pub const fn party(self) -> Party {
        match self {
            Self::Caller => Party::Caller,
            Self::Callee => Party::Callee,
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
    /// The Call-ID; empty if it is known from before, as both URIs are then.
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
    /// The remote target: the Request-URI of the next request; empty if it is the peer's
    /// URI.
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
    /// The methods that the peer takes, if it said (Allow): a bit for each.
    pub allow: Option<u32>,
    /// The session timer; [`Session::NONE`] without one.
    pub session: Session,
}

impl Leg<'_> {
    /// The leg without what a dialog never changes (RFC 3261 §12): Call-ID and both URIs.
    #[must_use]
    pub const fn since_setup(self) -> Self {
        Self {
            call_id: b"",
            local_uri: b"",
            remote_uri: b"",
            ..self
        }
    }
}

/// A leg's session timer (RFC 4028).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session interval in seconds; 0 if there is none.
    pub seconds: u32,
    /// Whether Tollgate sends the refreshes.
    pub ours: bool,
}

impl Session {
    /// No session timer.
    pub const NONE: Self = Self {
        seconds: 0,
        ours: false,
    };
}

/// A request inside a dialog that is carried to the other leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried<'a> {
    /// The call.
    pub call: CallRef,
    /// The leg whose peer sent it.
    pub side: Side,
    /// The way that it came.
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    /// Its CSeq number there.
    pub cseq: u32,
    /// Its CSeq number on the other leg.
    pub onward: u32,
    /// The branch of its Via on the other leg, without the magic cookie.
    #[serde(serialize_with = "encode::bytes")]
    pub branch: &'a [u8],
    /// Tells it from others that have its number, by its method and topmost Via; 0 where the
    /// same request goes out once more.
    pub mark: u64,
    /// Of an INVITE what its response needs; empty for other methods.
    #[serde(serialize_with = "encode::bytes")]
    pub asked: &'a [u8],
}

/// A dialog with who answered beside the call, or too late for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside<'a> {
    /// The call.
    pub call: CallRef,
    /// When.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// Its number in the call's account.
    pub dialog: u8,
    /// Nobody is hung up there any more; what follows is empty then.
    pub over: bool,
    /// The peer's tag.
    #[serde(serialize_with = "encode::bytes")]
    pub tag: &'a [u8],
    /// The remote target.
    #[serde(serialize_with = "encode::bytes")]
    pub target: &'a [u8],
    /// The route set, as in [`Leg`].
    #[serde(serialize_with = "encode::bytes")]
    pub routes: &'a [u8],
}

/// How an INVITE inside a dialog ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The call.
    pub call: CallRef,
    /// When.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// The leg whose peer sent it.
    pub side: Side,
    /// Its final status; a 2xx was acknowledged.
    pub status: u16,
}

/// A leg in another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led<'a> {
    /// The call.
    pub call: CallRef,
    /// When.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// Which leg.
    pub side: Side,
    /// What it is now; without the peer's tag, nobody has answered yet.
    #[serde(borrow)]
    pub leg: Leg<'a>,
    /// The branch of our INVITE's Via there, without the magic cookie, if that opens the
    /// call; empty if it is up.
    #[serde(serialize_with = "encode::bytes")]
    pub branch: &'a [u8],
}

/// What is registered for an account of a phone system (RFC 3261 §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound<'a> {
    /// When.
    #[serde(with = "encode::wall")]
    pub wall: Wall,
    /// The same, by the monotonic clock.
    pub mono: Mono,
    /// The account.
    pub account: &'a str,
    /// Whose it is.
    pub tenant: &'a str,
    /// For how many seconds; 0 if nothing is registered for it any more.
    pub lasts_s: u32,
    /// Since when there was no gap.
    #[serde(with = "encode::wall")]
    pub since: Wall,
    /// The way that the REGISTER came.
    #[serde(with = "encode::flow")]
    pub flow: Flow,
    /// The Contact's URI.
    #[serde(serialize_with = "encode::bytes")]
    pub contact: &'a [u8],
    /// The called number is to be written into that (RFC 6140).
    pub bulk: bool,
    /// The value of the Route that calls to it have (RFC 3327); may be empty.
    #[serde(serialize_with = "encode::bytes")]
    pub path: &'a [u8],
    /// The REGISTER's Call-ID.
    #[serde(serialize_with = "encode::bytes")]
    pub call_id: &'a [u8],
    /// Its CSeq number.
    pub cseq: u32,
}

/// What of a counter is drawn ahead, so that a loss of power forgets none of it: see
/// [`super::Ahead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// Calls let in on the day that ends then.
    Calls(#[serde(with = "encode::wall")] Wall),
    /// Money of a day, counted from 1970-01-01, in millionths of the currency's unit.
    Day(i32),
    /// Money of a month, counted from the year 0.
    Month(i32),
}

/// Days and months that still matter when a later one has begun.
pub(super) const PERIODS: i32 = 2;

impl Stock {
    /// Those of money that counts in these days, from the first to the last.
    pub(super) fn of((first, last): (i32, i32)) -> SmallVec<[Self; 4]> {
        // Of a long call the last periods matter, in which it still counts.
        let periods = |first: i32, last: i32| first.max(last.saturating_sub(PERIODS))..=last;
        let days = periods(first, last).map(Self::Day);
        let months = (month_of(first), month_of(last));
        days.chain(periods(months.0, months.1).map(Self::Month))
            .collect()
    }

    /// Whether money counts there in such a period.
    pub(super) const fn is_of(self, place: &Place) -> bool {
        match self {
            Self::Calls(_) => false,
            Self::Day(_) => place.day,
            Self::Month(_) => place.month,
        }
    }

    /// Whether nobody asks for it any more where there is this later one.
    pub(super) const fn is_past(self, later: Self) -> bool {
        const DAY: i64 = 86_400_000_000;
        match (self, later) {
            (Self::Calls(it), Self::Calls(later)) => {
                it.as_micros().saturating_add(2 * DAY) < later.as_micros()
            }
            (Self::Day(it), Self::Day(later)) | (Self::Month(it), Self::Month(later)) => {
                it.saturating_add(PERIODS) < later
            }
            _ => false,
        }
    }
}
