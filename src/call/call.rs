//! A call: two legs, what it holds of the tenant's caps, and what is under way
//! between the legs.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::flow::Flow;
use crate::base::slab::Key;
use crate::base::time::{Mono, Now};
use crate::base::token::Token;
use crate::base::wheel::TimerId;
use crate::policy::{Hold, RuleSet, Seat};
use crate::record::{CallRef, Direction, Party, Side};
use crate::sip::draft::Packet;
use crate::sip::line::Method;
use crate::transaction::{ClientKey, ServerKey};

use super::account::Account;
use super::inside::Elsewhere;
use super::leg::{Far, Leg};
use super::onward::Onward;

/// A call's place in the shard's slab.
pub(super) type CallKey = Key<Call>;

/// Whose transaction it is: a call's, and which part of the call it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(super) call: CallKey,
    pub(super) role: Role,
}

/// What a transaction does for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Carries a request from one leg to the other: see [`Exchange`].
    Relay,
    /// A BYE of Tollgate's on the given leg, in the call's own dialog or one
    /// beside it: see `Course::answered`.
    Bye(Side, u8),
    /// A session refresh of Tollgate's on the given leg.
    Refresh(Side),
    /// The INVITE to where the phone system on the given leg has the call go.
    Refer(Side),
    /// Whatever is answered changes nothing.
    Aside,
}

/// A timer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Nobody answered for as long as the tenant allows.
    Ring,
    /// The call has lasted as long as the tenant allows.
    Longest,
    /// The carrier has said nothing yet, and there is another.
    FirstAnswer,
    /// A 2xx to an INVITE has no ACK yet (RFC 3261 §13.3.1.4).
    Resend(ServerKey),
    /// A relayed INVITE has no final response yet: 100 alone sets no limit
    /// (RFC 3261 §16.6 step 11 has a timer C for it).
    Unanswered(ServerKey),
    /// One of an earlier life was cancelled, and nobody has said so: see `restore::carried`.
    Unheard(ServerKey),
    /// What is reserved of budgets lasts no longer.
    Lease,
    /// A BYE to the carrier in this dialog could not be sent: it is sent again.
    Bye(u8),
    /// A leg's session is due for a refresh, or was not refreshed (RFC 4028 §10).
    Session(Side),
    /// No stray 2xx is to be expected any more.
    Linger,
}

/// A request carried from one leg to the other and its answer carried back.
/// The INVITE that opens the call is the first.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) method: Method,
    /// It is the INVITE that opens the call.
    pub(super) opening: bool,
    /// The leg the request came in on.
    pub(super) from: Side,
    /// The request's transaction on that leg. None for a refresh of our own.
    pub(super) server: Option<ServerKey>,
    /// Its transaction on the other leg.
    pub(super) client: Option<ClientKey>,
    /// Our tag in the requester's dialog.
    pub(super) tag: Token,
    pub(super) server_cseq: u32,
    pub(super) client_cseq: u32,
    /// The Session-Expires that the requester is told in a 2xx, if any.
    pub(super) offer: Option<super::refresh::Offer>,
    pub(super) stage: Stage,
    /// The session description in it, which is in force once it is answered 2xx:
    /// see `Leg::description`.
    pub(super) offered: Option<Box<[u8]>>,
    /// It was under way before a restart, inside the dialog: nobody knows whether the
    /// other leg has it, nor what was offered.
    pub(super) resumed: bool,
}

/// How far an exchange has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// No final response yet.
    Open,
    /// A 2xx to an INVITE came, and went to the requester.
    Answered {
        /// The copies that the requester gets until its ACK comes.
        unacked: Option<Resend>,
        /// The ACK to who answered, once it was sent: for when the 2xx is seen
        /// again.
        ack: Option<Packet>,
    },
    /// The requester was answered otherwise (CANCEL, a BYE, a limit); what the
    /// other leg still says to the request is dealt with by Tollgate alone.
    Abandoned,
}

/// A 2xx that has no ACK yet (RFC 3261 §13.3.1.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Resend {
    /// The time from the last copy to the next.
    pub(super) interval: Duration,
    /// Runs to the next copy.
    pub(super) timer: TimerId,
    /// The copies stop here: 64*T1 after the first.
    pub(super) until: Mono,
}

impl Exchange {
    /// A request of Tollgate's own on the leg where this tag is ours: nobody waits for what
    /// is answered.
    pub(super) const fn of_ours(method: Method, (on, tag): (Side, Token), cseq: u32) -> Self {
        Self {
            method,
            opening: false,
            from: on.other(),
            server: None,
            client: None,
            tag,
            server_cseq: 0,
            client_cseq: cseq,
            offer: None,
            stage: Stage::Open,
            offered: None,
            resumed: false,
        }
    }

    /// The requester has its 2xx, and has not acknowledged it.
    pub(super) fn is_unacked(&self) -> bool {
        matches!(
            &self.stage,
            Stage::Answered {
                unacked: Some(_),
                ..
            }
        )
    }

    /// It is an open refresh of our own on this leg.
    pub(super) fn refreshes(&self, side: Side) -> bool {
        let ours = self.server.is_none() && self.from == side.other();
        ours && matches!(self.stage, Stage::Open)
    }

    /// Another one of its kind would collide with it.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Open) || self.is_unacked()
    }
}

/// An early dialog with one of the callee's forks, and the tag under which the
/// caller knows it (RFC 3261 §13.2.2.4: a B2BUA shows each fork as a dialog of
/// its own).
#[derive(Debug)]
pub(super) struct Fork {
    /// Our tag towards the caller.
    pub(super) local_tag: Token,
    /// The callee's end.
    pub(super) far: Far,
    /// The CSeq of the last request of the caller's in this dialog, and of the
    /// callee's: each dialog has its own (RFC 3261 §12.1).
    pub(super) caller_cseq: Option<u32>,
    pub(super) callee_cseq: Option<u32>,
}

/// Why and by whom a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) by: Party,
    pub(super) cause: &'static str,
    pub(super) status: u16,
}

/// One call. It lives from the INVITE that was let through until both legs owe
/// nothing to anybody.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) reference: CallRef,
    pub(super) direction: Direction,
    /// An emergency call: whatever fails is said so that the phone system tries
    /// another way.
    pub(super) emergency: bool,
    /// Whose it is.
    pub(super) tenant: Arc<str>,
    /// It goes abroad, as `policy::Scope` says.
    pub(super) abroad: bool,
    /// An operator's order is about to hang it up.
    pub(super) doomed: bool,
    /// The leg whose peer opened the call.
    pub(super) caller: Leg,
    /// The leg that Tollgate opened.
    pub(super) callee: Leg,
    pub(super) forks: SmallVec<[Fork; 1]>,
    pub(super) exchanges: SmallVec<[Exchange; 1]>,
    /// What the call holds of its tenant's caps. Its places are given back when
    /// the carrier's leg is closed, its money when no answer can come any more.
    pub(super) hold: Option<Hold>,
    /// Its place at the carrier that it went to, until that one's leg is closed.
    pub(super) seat: Option<Seat>,
    /// Where it may go on if its carrier does not answer, until that has said something.
    pub(super) onward: Option<Box<Onward>>,
    /// Its callee has said something to the INVITE.
    pub(super) heard: bool,
    /// Its phone system has it go elsewhere, or may yet.
    pub(super) elsewhere: Option<Box<Elsewhere>>,
    /// What it may cost. None for emergency calls.
    pub(super) account: Option<Box<Account>>,
    /// Ring, later the longest call.
    pub(super) limit: Option<TimerId>,
    pub(super) longest: Duration,
    /// Runs while a 2xx may still come to an INVITE that timed out.
    pub(super) linger: Option<TimerId>,
    /// Runs until a BYE that could not be sent is sent again.
    pub(super) bye_again: Option<TimerId>,
    /// Dialogs beside the call's own that were hung up: see `hang_up_stray`.
    pub(super) strays: Vec<Far>,
    /// Set once somebody or something ended the call.
    pub(super) ending: Option<Ending>,
    /// The caller's leg is to be hung up as soon as its ACK arrives
    /// (RFC 3261 §15: no BYE by the UAS before that).
    pub(super) bye_after_ack: bool,
    pub(super) answered: Option<Now>,
    /// Nothing is owed on either leg; it only waits for stray responses.
    pub(super) over: bool,
    /// Nobody and nothing has ended it.
    pub(super) up: bool,
    /// The end is in the journal.
    pub(super) reported: bool,
    /// That it is on its way to its end is in the journal.
    pub(super) told_ending: bool,
    /// It was taken over from an earlier life.
    pub(super) restored: bool,
    /// Key to what the INVITE came from: see `Tools::origin`.
    pub(super) origin: u128,
}

impl Call {
    pub(super) fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    pub(super) fn leg_mut(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// The leg that costs money: the carrier's.
    pub(super) fn carrier_side(&self) -> Side {
        match self.direction {
            Direction::Outbound => Side::Callee,
            Direction::Inbound => Side::Caller,
        }
    }

    /// Whether one of its peers is not known any more: nobody could end the call then. A
    /// phone system that was not known to be there before either may come back by
    /// registering.
    pub(super) fn has_lost_peer(
        &self,
        rules: &RuleSet,
        is_known: impl Fn(Flow) -> bool,
        was_known: impl Fn(Flow) -> bool,
    ) -> bool {
        let lost = |side: Side| {
            let flow = self.leg(side).flow;
            let phones = side != self.carrier_side();
            let returns = || phones && !was_known(flow) && rules.may_come_back(&self.tenant);
            !is_known(flow) && !returns()
        };
        !self.emergency && (lost(Side::Caller) || lost(Side::Callee))
    }

    /// Gives back all that the call holds of its tenant's caps.
    pub(super) fn release(&mut self, now: Now) {
        let talked = self.talked(now);
        if let Some(hold) = self.hold.take() {
            hold.end(now, talked);
        }
    }

    /// How long it lasts since its answer, if there was one.
    pub(super) fn talked(&self, now: Now) -> Option<Duration> {
        let answered = self.answered.map(|it| it.mono);
        answered.map(|it| now.mono.saturating_since(it))
    }

    /// Every timer that the call has set.
    pub(super) fn timers(&self) -> impl Iterator<Item = TimerId> {
        let sessions =
            [&self.caller, &self.callee].map(|leg| leg.session.map(|session| session.timer));
        let resends = self.exchanges.iter().map(|exchange| match &exchange.stage {
            Stage::Answered { unacked, .. } => unacked.map(|resend| resend.timer),
            _ => None,
        });
        let account = self.account.as_ref();
        let lease = account.and_then(|account| account.timer());
        [self.limit, self.linger, lease]
            .into_iter()
            .chain([self.bye_again])
            .chain([self.onward.as_ref().and_then(|it| it.timer)])
            .chain(sessions)
            .chain(resends)
            .flatten()
    }

    /// Whether the INVITE that opened the call had this CSeq number.
    pub(super) fn was_opened_by(&self, cseq: u32) -> bool {
        let opening = self.exchanges.iter().find(|exchange| exchange.opening);
        let before = self.caller.remote_cseq.filter(|_| self.restored);
        opening.is_some_and(|exchange| exchange.server_cseq == cseq)
            || before.is_some_and(|last| cseq <= last)
    }

    /// Stops the copies of a 2xx; the timer is the caller's to cancel.
    pub(super) fn stop_resending(&mut self, at: usize) -> Option<TimerId> {
        match &mut self.exchanges.get_mut(at)?.stage {
            Stage::Answered { unacked, .. } => Some(unacked.take()?.timer),
            _ => None,
        }
    }

    /// Drops the exchanges that nobody waits for any more.
    pub(super) fn drop_settled(&mut self) {
        self.exchanges
            .retain(|exchange| exchange.client.is_some() || exchange.is_under_way());
    }

    pub(super) fn exchange_by_client(&mut self, key: ClientKey) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .find(|exchange| exchange.client == Some(key))
    }

    /// Ends the exchange that this transaction carries.
    pub(super) fn take_exchange(&mut self, key: ClientKey) -> Option<Exchange> {
        let mut known = self.exchanges.iter();
        let at = known.position(|exchange| exchange.client == Some(key))?;
        Some(self.exchanges.swap_remove(at))
    }

    pub(super) fn exchange_by_server(&mut self, key: ServerKey) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .find(|exchange| exchange.server == Some(key))
    }

    /// RFC 3261 §12.2.2: a request of a peer's must count up in its dialog, which
    /// its tags name.
    pub(super) fn admit_cseq(
        &mut self,
        side: Side,
        (to_tag, from_tag): (&[u8], &[u8]),
        number: u32,
    ) -> bool {
        let mut forks = self.forks.iter_mut();
        let last = match side {
            Side::Caller => {
                let fork = forks.find(|fork| fork.local_tag.text() == *to_tag);
                fork.map_or(&mut self.caller.remote_cseq, |it| &mut it.caller_cseq)
            }
            Side::Callee => {
                let fork = forks.find(|fork| fork.far.tag() == from_tag);
                fork.map_or(&mut self.callee.remote_cseq, |it| &mut it.callee_cseq)
            }
        };
        let newer = last.is_none_or(|last| number > last);
        if newer {
            *last = Some(number);
        }
        newer
    }

    /// Whether the dialog with this tag was hung up beside the call's own.
    pub(super) fn is_stray(&self, callee_tag: &[u8]) -> bool {
        self.strays.iter().any(|stray| stray.tag() == callee_tag)
    }

    /// The fork that the callee's tag names.
    pub(super) fn fork(&self, callee_tag: &[u8]) -> Option<&Fork> {
        self.forks.iter().find(|fork| fork.far.tag() == callee_tag)
    }

    /// Our tag and the far end on the leg a request goes to: the confirmed
    /// dialog's, or those of the early dialog that it belongs to.
    pub(super) fn ends(&self, to: Side, tag: Token, from_tag: &[u8]) -> Option<(Token, &Far)> {
        let leg = self.leg(to);
        if leg.progress.up {
            return Some((leg.local_tag, &leg.far));
        }
        if !leg.progress.pending {
            return None;
        }
        match to {
            Side::Callee => {
                let fork = self.forks.iter().find(|fork| fork.local_tag == tag)?;
                Some((leg.local_tag, &fork.far))
            }
            Side::Caller => {
                let fork = self.fork(from_tag)?;
                Some((fork.local_tag, &leg.far))
            }
        }
    }
}
