//! What the tap keeps: transactions, dialogs, legs and calls.

use std::rc::Rc;

use super::Id;
use crate::dial::Dialled;
use crate::link::Nanos;
use crate::wire::{Method, Wire, hash2};

/// A request that a peer sent to the core.
#[derive(Debug)]
pub struct Server {
    pub peer: u8,
    pub method: Method,
    pub request: Rc<Wire>,
    pub at: Nanos,
    /// Status, hash and time of the core's final response.
    pub answer: Option<(u16, u64, Nanos)>,
    /// The hash of the last response of any kind.
    pub last: u64,
    pub acked: Option<Nanos>,
    pub cancelled: bool,
    /// The carriers that it was sent on to.
    pub tried: Vec<u8>,
    /// The redirections that came for it, and the numbers that it went to because of them.
    pub offers: Vec<Rc<Wire>>,
    pub been: Vec<String>,
    /// Where it goes now, if that is not what was dialled.
    pub dial: Option<Dialled>,
    pub leg: Option<Id>,
    /// The client transaction that carries it to the other side.
    pub relay: Option<Id>,
    /// Why it must be refused, whatever it asks.
    pub amiss: Option<&'static str>,
    /// A send of it failed, or its outcome is nobody's business.
    pub excused: bool,
    /// The core has died since, and not answered it again.
    pub resumed: bool,
    /// By when it must be answered, if its call has outlived the core and is up then.
    pub due: Option<Nanos>,
    /// Its call has outlived the core.
    pub survived: bool,
    /// It was refused for money.
    pub spent: bool,
}

/// A request that the core sent to a peer.
#[derive(Debug)]
pub struct Client {
    pub peer: u8,
    pub method: Method,
    pub request: Rc<Wire>,
    pub at: Nanos,
    pub last: Nanos,
    pub sends: u32,
    pub provisional: bool,
    /// One beyond 100 came.
    pub rang: bool,
    /// Its call went on at another carrier.
    pub left: bool,
    /// One came when Timer B was due: the core may have taken it, or given up.
    pub late_provisional: bool,
    pub answer: Option<(u16, Nanos)>,
    pub cancel: Option<Id>,
    pub leg: Id,
    pub relay_of: Option<Id>,
    pub excused: bool,
    /// When the connection that it went out on closed, before its answer.
    pub cut: Option<Nanos>,
    /// The core has died since.
    pub resumed: bool,
    /// It refreshes the session.
    pub refresh: bool,
}

/// A dialog with one tag of the peer's.
#[derive(Debug)]
pub struct Dialog {
    pub tag: u64,
    /// The CSeq of the core's last request in it.
    pub cseq: u32,
    /// When the first 2xx to an INVITE came or went.
    pub ok: Option<Nanos>,
    /// The INVITEs that were answered 2xx.
    pub oks: Vec<Accepted>,
    pub bye_out: Option<Id>,
    /// When the first BYE to it left.
    pub parted: Option<Nanos>,
    pub bye_in: Option<Nanos>,
    /// Its 2xx came when the INVITE may have been given up already.
    pub doubtful: bool,
    /// The peer's last Contacts, as hashes.
    pub contacts: [u64; 3],
    /// Its Record-Route, as a hash; 0: none.
    pub route: u64,
}

/// Who sent an INVITE of a dialog: each side counts its CSeq by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inviter {
    Core,
    Peer,
}

/// An INVITE that was answered 2xx, and its ACK.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub by: Inviter,
    pub cseq: u32,
    /// When its first ACK was sent, or came.
    pub acked: Option<Nanos>,
    /// The hash of the ACK that was sent.
    pub ack: u64,
}

impl Leg {
    /// The highest CSeq that the peer has used in the dialog of this request.
    pub(super) fn heard(&self, wire: &Wire) -> u32 {
        let dialog = both_tags(wire);
        let heard = self.heard.iter().find(|(known, _)| *known == dialog);
        heard.map_or(self.invited, |&(_, cseq)| cseq)
    }

    /// Notes the CSeq of a request of the peer's.
    pub(super) fn hear(&mut self, wire: &Wire) {
        let dialog = both_tags(wire);
        let cseq = self.heard(wire).max(wire.cseq);
        self.heard.retain(|(known, _)| *known != dialog);
        self.heard.push((dialog, cseq));
    }
}

impl Dialog {
    /// The INVITE of this CSeq that was answered 2xx.
    pub(super) fn accepted(&mut self, by: Inviter, cseq: u32) -> Option<&mut Accepted> {
        let mut oks = self.oks.iter_mut();
        oks.find(|ok| ok.by == by && ok.cseq == cseq)
    }

    /// Notes a 2xx. Says whether it is the first to this INVITE.
    pub(super) fn accept(&mut self, by: Inviter, cseq: u32, at: Nanos) -> bool {
        self.ok = self.ok.or(Some(at));
        if self.accepted(by, cseq).is_some() {
            return false;
        }
        self.oks.push(Accepted {
            by,
            cseq,
            acked: None,
            ack: 0,
        });
        true
    }

    /// When the 2xx that made the dialog was ACKed.
    pub(super) fn opened(&self) -> Option<Nanos> {
        self.oks.first().and_then(|ok| ok.acked)
    }
}

/// One side of a call, as the core sees it.
#[derive(Debug)]
pub struct Leg {
    pub call: Id,
    pub peer: u8,
    pub shard: u8,
    /// The core is the caller here.
    pub out: bool,
    /// The first INVITE: a client's number if `out`, else a server's.
    pub invite: Id,
    pub cseq: u32,
    /// The CSeq of the peer's INVITE that made the leg; 0: the core made it.
    pub invited: u32,
    /// The highest CSeq of the peer's own requests in each dialog, which both
    /// its tags name: forks count by themselves (RFC 3261 §12.2.2).
    pub heard: Vec<(u64, u32)>,
    /// The body of the last INVITE that went out, as a hash.
    pub offered: u64,
    pub dialogs: Vec<Dialog>,
    /// The session timer: seconds, and when it was last refreshed.
    pub timer: Option<(u32, Nanos)>,
    pub excused: bool,
    /// An emergency call, which no cap of a tenant's shortens.
    pub urgent: bool,
    /// What it goes to, if that is not what was dialled.
    pub dial: Option<Dialled>,
}

/// A call: what came in, and what went out for it.
#[derive(Debug)]
pub struct Call {
    pub plan: u32,
    pub legs: [Option<Id>; 2],
}

/// The key of a request's dialog on its leg.
fn both_tags(wire: &Wire) -> u64 {
    hash2(wire.at(wire.to_tag), wire.at(wire.from_tag))
}
