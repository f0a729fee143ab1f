//! F2: RFC 3261 §17 and RFC 6026: one machine a file, one table for all.
//!
//! The table is told what arrives, what its user wants, and what time it is; it
//! says what to send ([`Transmit`]) and what came of it. It owns every
//! retransmission and every time-out, so that its user sees each request and
//! each response once, except a 2xx to an INVITE (RFC 6026).

#![forbid(unsafe_code)]

mod follow_up;
mod invite_client;
mod invite_server;
mod machine;
mod matching;
mod non_invite_client;
mod non_invite_server;
mod table;

use crate::base::flow::Flow;
use crate::base::slab::Key;
use crate::sip::{Method, Packet};

pub use machine::Timers;
pub use table::Table;

/// Tags [`ServerKey`]s.
#[derive(Debug)]
pub enum ServerSide {}

/// Tags [`ClientKey`]s.
#[derive(Debug)]
pub enum ClientSide {}

/// Names a server transaction until it is over.
pub type ServerKey = Key<ServerSide>;

/// Names a client transaction until it is over.
pub type ClientKey = Key<ClientSide>;

/// A message to be sent, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From which listener, and to where.
    pub flow: Flow,
    /// The message.
    pub packet: Packet,
    /// Who is to be told if it cannot be sent.
    pub origin: Origin,
}

/// Whose message it was that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A server transaction's response.
    Server(ServerKey),
    /// A client transaction's request, or its ACK to a refusal.
    Client(ClientKey),
    /// A client transaction's request, of the table that is for REGISTER alone.
    Register(ClientKey),
    /// Nobody's: an ACK to a 2xx, an answer without a transaction.
    Stateless,
}

/// What a received request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Arrival<U> {
    /// A new request, neither ACK nor CANCEL. The user must answer it; to an
    /// INVITE with a 100 at once.
    New(ServerKey),
    /// A new CANCEL (RFC 3261 §9.2). The user must answer it: 200, or 481 without
    /// an INVITE.
    Cancel {
        /// The CANCEL's own transaction.
        cancel: ServerKey,
        /// The INVITE to be cancelled, answered or not, and its owner.
        invite: Option<(ServerKey, Option<U>)>,
    },
    /// The ACK to a 2xx, or to nothing: for the dialog to say.
    Ack,
    /// Dealt with: a retransmission, or the ACK to a refusal.
    Absorbed,
    /// There is no room. Nothing was kept, so its retransmission will ask again.
    Full,
}

/// A response that the user has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<U> {
    /// The transaction that it answers.
    pub key: ClientKey,
    /// That transaction's owner.
    pub owner: U,
    /// A 2xx to an INVITE that had its final response before: the same 2xx again,
    /// or one of another branch (told by its To tag). Each wants an ACK, and one
    /// that is not wanted a BYE.
    pub repeat: bool,
}

/// What a received response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Matched<U> {
    /// News for the user.
    Pass(Reply<U>),
    /// Dealt with: a retransmission, or the answer to a CANCEL.
    Absorbed,
    /// It answers nothing that was asked, and is to be dropped (RFC 6026 §7.2).
    Stray,
}

/// What became of a transaction, some time after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired<U> {
    /// No final response came in time (Timer B or F, or 64·T1 after a CANCEL). The
    /// transaction is over; RFC 3261 §8.1.3.1 has it taken for a 408.
    ClientTimeout {
        /// The transaction.
        key: ClientKey,
        /// Its owner.
        owner: U,
        /// Its method.
        method: Method,
    },
    /// The request, or an ACK, could not be sent. The transaction is over;
    /// RFC 3261 §8.1.3.1 has it taken for a 503.
    ClientFailed {
        /// The transaction.
        key: ClientKey,
        /// Its owner.
        owner: U,
        /// Its method.
        method: Method,
    },
    /// The connection that the request went out on has closed, and no final response
    /// came before. Whether the peer has it is not known; RFC 3261 §8.1.3.1 has it
    /// taken for a 503.
    ClientCut {
        /// The transaction.
        key: ClientKey,
        /// Its owner.
        owner: U,
        /// Its method.
        method: Method,
        /// An INVITE that the peer had begun to answer: it was cancelled, and the
        /// transaction goes on until that is settled. All others are over.
        cancelled: bool,
    },
    /// The transaction ran its course after its final response.
    ClientEnded {
        /// The transaction.
        key: ClientKey,
        /// Its owner.
        owner: U,
        /// Its method.
        method: Method,
    },
    /// A response could not be sent. The transaction goes on (RFC 6026 §8.8).
    ServerFailed {
        /// The transaction.
        key: ServerKey,
        /// Its owner, if it has one.
        owner: Option<U>,
        /// Its method.
        method: Method,
    },
    /// The transaction is over.
    ServerEnded {
        /// The transaction.
        key: ServerKey,
        /// Its owner, if it has one.
        owner: Option<U>,
        /// Its method.
        method: Method,
        /// False if the ACK to a refused INVITE did not come (Timer H), or if
        /// the user left another request without an answer.
        acked: bool,
    },
}

/// What a [`Table`] holds. All zero at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Server transactions.
    pub server: usize,
    /// Client transactions, CANCELs among them.
    pub client: usize,
    /// Timers set.
    pub timers: usize,
    /// Bytes kept of messages.
    pub bytes: usize,
}
