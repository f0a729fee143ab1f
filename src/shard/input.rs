//! What a shard is told.

use std::sync::Arc;

use crate::base::flow::Flow;
use crate::policy::{RuleSet, Switch};
use crate::sip::message::Message;
use crate::transaction::Origin;

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "an input lives for one turn, and most are messages"
)]
pub enum Input {
    /// A message arrived. Its `flow` is where it came from.
    Message {
        /// The listener it came in on, and the peer's address.
        flow: Flow,
        /// The message, scanned.
        message: Message,
    },
    /// A message of [`super::Outbox::transmits`] could not be sent.
    SendFailed {
        /// Whose it was.
        origin: Origin,
    },
    /// A connection on which requests of this shard went out has closed. What was not
    /// sent by then is told with `SendFailed`.
    FlowClosed {
        /// The connection, and its far end.
        flow: Flow,
    },
    /// A message of [`super::Outbox::openings`] was not sent, because the turn's
    /// records could not be written.
    Unrecorded {
        /// Whose it was.
        origin: Origin,
    },
    /// Time has passed; see [`super::Shard::next_deadline`].
    Tick,
    /// An order of the operator's.
    Command(Command),
}

/// What an operator can order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Judge by these rules from now on.
    Rules(Arc<RuleSet>),
    /// Let no new call in, except to emergency numbers.
    Drain,
    /// Whether the journal can be trusted. While it cannot, no new call is let
    /// in, except to emergency numbers.
    Journal {
        /// It can.
        trusted: bool,
    },
    /// Hang up every call, except to emergency numbers.
    HangUpAll,
    /// Block what is said, and nothing else, and hang up what the order says.
    Block(Arc<Switch>),
    /// The shard ends: record what waits to be recorded with more of its kind.
    Close,
    /// Write down that a tenant's counters began anew.
    Reset(Arc<Reset>),
    /// Write down what was seen before anything reached the core.
    Note(Note),
    /// Write down that bans of strangers were lifted.
    Lifted(Arc<Lifted>),
    /// Write down that the wall clock is believed again.
    Confirmed(Arc<Confirmed>),
}

/// Something that was seen before anything reached the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What sort: a short name.
    pub what: &'static str,
    /// In words.
    pub detail: Box<str>,
    /// How often.
    pub count: u64,
}

/// Bans of strangers were lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Whose.
    pub detail: Box<str>,
    /// The user who did it.
    pub uid: u32,
    /// The user's name.
    pub by: Box<str>,
    /// Why, in words; may be empty.
    pub why: Box<str>,
}

/// A wall clock that had jumped was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// By how many seconds it was ahead of what was believed before.
    pub ahead_s: i64,
    /// The user who did it.
    pub uid: u32,
    /// The user's name.
    pub by: Box<str>,
    /// Why, in words; may be empty.
    pub why: Box<str>,
}

/// A tenant's counters were reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Whose.
    pub tenant: Box<str>,
    /// How often they were, this time included.
    pub times: u64,
    /// Who did it.
    pub by: Box<str>,
    /// Why, in words; may be empty.
    pub why: Box<str>,
}
