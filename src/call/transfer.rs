//! A phone system transfers its call (REFER, RFC 3515): to a number, which is a call of the
//! same tenant made as if it had dialled that (see `inside`); or to the far end of another
//! of its calls (Replaces, RFC 3891), whose leg towards the phone system the new one takes.
//!
//! ```text
//!   phone system            call (carrier A)                the other call
//!        | REFER                  |                                |
//!        |----------------------->|  INVITE, without an offer      |
//!        | 202, NOTIFY 100        |------------------------------->|  judged as if dialled
//!        |<-----------------------|              200 with an offer |
//!        |                        |<-------------------------------|
//!        |          re-INVITE to A with that offer, 200 of A       |
//!        | NOTIFY 200, BYE        |  ACK with A's answer           |
//!        |<-----------------------|------------------------------->|
//! ```
//!
//! (RFC 3725 §4.1: who is asked for an offer answers it in its ACK.) Until A has taken the
//! offer the call stays as it was, and if any of it fails it goes on as it was. A phone
//! system that hangs up meanwhile only leaves: A waits for who it was transferred to.

use crate::base::limits::RECORDED_TEXT;
use crate::base::time::Now;
use crate::record::Side;
use crate::sip::header::HeaderId;
use crate::sip::line::{Method, reason_phrase};
use crate::sip::message::Message;
use crate::sip::name_addr::NameAddr;
use crate::sip::replaces::Replaces;
use crate::sip::uri::Uri;
use crate::transaction::{ClientKey, ServerKey};

use super::call::{Call, CallKey, Owner, Role};
use super::inside::Elsewhere;
use super::leg::Leg;
use super::topology;
use super::{Arrived, Calls, Outbox, Turn, refresh};

/// A transfer that is carried out.
#[derive(Debug)]
pub(super) struct Referral {
    /// The leg to the call that was asked for.
    pub(super) leg: Leg,
    /// Its INVITE, until that is finally answered.
    pub(super) invite: Option<ClientKey>,
    /// The re-INVITE to the carrier, with the offer of who answered.
    pub(super) offer: Option<ClientKey>,
    /// The number of the REFER: which subscription its NOTIFYs are of (RFC 3515 §2.4.6).
    id: u32,
    /// The last response that the phone system was told.
    told: u16,
    /// The phone system has hung up.
    pub(super) left: bool,
    /// The call is over: whoever answers is hung up.
    pub(super) given_up: bool,
}

/// Where a phone system wants its call to go.
pub(super) struct Goal<'m> {
    /// What would be dialled.
    pub(super) uri: &'m [u8],
    /// Which dialog it is to take the place of.
    pub(super) replaces: Option<Vec<u8>>,
}

impl<'m> Goal<'m> {
    /// `None` if this URI asks for anything but a call.
    pub(super) fn of(text: &'m [u8]) -> Option<Self> {
        let (uri, replaces) = match Uri::parse(text).ok()? {
            Uri::Sip(sip) => {
                let invites = |it: Option<&[u8]>| it.is_some_and(|it| it == b"INVITE");
                if !sip.param(b"method").is_none_or(invites) {
                    return None;
                }
                let end = memchr::memchr(b'?', text).unwrap_or(text.len());
                (text.get(..end)?, sip.header(b"Replaces"))
            }
            Uri::Tel(_) => (text, None),
            Uri::Urn(_) | Uri::Other { .. } => return None,
        };
        let replaced = replaces.as_deref().map(Replaces::parse);
        let sound = replaced.is_none_or(|it| it.is_some()) && text.len() < RECORDED_TEXT;
        sound.then_some(Self { uri, replaces })
    }
}

/// The URI in Refer-To (RFC 3515 §2.1).
pub(super) fn refer_to(message: &Message) -> Option<&[u8]> {
    let address = NameAddr::parse(message.first(HeaderId::ReferTo)?).ok()?;
    Some(address.uri_text)
}

impl Call {
    /// Whether the phone system on this side may have it go elsewhere.
    pub(super) fn may_be_led(&self, side: Side) -> bool {
        let phones = side != self.carrier_side() && !self.emergency;
        let both = [&self.caller, &self.callee].map(|leg| leg.progress.up);
        phones && !self.doomed && self.ending.is_none() && both == [true; 2]
    }

    /// Whether it is being led elsewhere already.
    pub(super) fn is_led(&self) -> bool {
        let leg = self.elsewhere.as_ref().map(|it| it.leg());
        leg.is_some_and(|it| it.is_some())
    }

    /// Whether whom it is transferred to may yet answer.
    pub(super) fn is_referring(&self) -> bool {
        matches!(self.elsewhere.as_deref(), Some(Elsewhere::Referred(_)))
    }

    pub(super) fn referral(&mut self) -> Option<&mut Referral> {
        match self.elsewhere.as_deref_mut()? {
            Elsewhere::Referred(it) => Some(it),
            _ => None,
        }
    }

    pub(super) fn take_referral(&mut self) -> Option<Referral> {
        let this = |it: &mut Box<Elsewhere>| matches!(**it, Elsewhere::Referred(_));
        match *self.elsewhere.take_if(this)? {
            Elsewhere::Referred(it) => Some(it),
            _ => None,
        }
    }
}

impl Calls {
    /// A REFER inside a call.
    pub(super) fn transfer(
        &mut self,
        now: Now,
        (key, side): (CallKey, Side),
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let goal = refer_to(arrived.message).and_then(Goal::of);
        let call = self.calls.get(key).filter(|it| it.may_be_led(side));
        let (Some(goal), Some(call)) = (goal, call) else {
            return self.refuse_transfer(now, (key, side), server, arrived, out);
        };
        let led = call.is_led();
        // What it asks for costs money, as an INVITE would.
        let tenant = self.tools.rules.tenant_named(&call.tenant);
        if tenant.is_some_and(|it| self.asks_proof(now, it, server, arrived, out)) {
            return;
        }
        self.turn(key, now, out, |turn| match led {
            true => turn.refuse_for_now(server, side, 491),
            false => turn.refer(side, server, &goal, arrived),
        });
    }
}

impl Turn<'_> {
    /// Has the call go where a REFER wants it, if it may.
    fn refer(&mut self, side: Side, server: ServerKey, goal: &Goal<'_>, arrived: &Arrived<'_>) {
        let replaces = goal.replaces.as_deref();
        let other = replaces.and_then(Replaces::parse);
        let bucket = other.map(|it| self.tools.buckets.bucket(it.call_id));
        let mut leg = self.leg_inside(side, goal.uri, bucket);
        let cseq = leg.next_cseq();
        let before = self.call.leg(side);
        let reach = topology::Reach::on(&self.tools.rules, before);
        let (tag, here) = (before.local_tag, self.tools.here.text(before.flow.listener));
        self.respond(server, (202, tag), b"", |draft| {
            topology::put_contact(draft, &here, reach);
        });
        let mut head = self.head_of(&Method::Invite, cseq);
        head.max_forwards = arrived.forwards();
        let allow = self.call.leg(side.other()).allow;
        let packet = self.tools.packet(
            &leg,
            &head,
            |draft| {
                topology::put_allow(draft, allow, false);
                draft.put(HeaderId::Supported, b"timer");
                refresh::put_request(draft, refresh::LEAST);
                if let Some(replaces) = replaces {
                    draft.put(HeaderId::Replaces, replaces);
                }
            },
            b"",
        );
        let owner = Owner {
            call: self.key,
            role: Role::Refer(side),
        };
        let (now, out) = (self.now.mono, &mut self.out.transmits);
        let transactions = &mut self.tools.transactions;
        let (method, flow) = (Method::Invite, leg.flow);
        let invite = transactions.request(now, flow, method, head.branch, packet, owner, out);
        self.call.elsewhere = Some(Box::new(Elsewhere::Referred(Referral {
            leg,
            invite,
            offer: None,
            id: arrived.essentials.cseq.number,
            told: 0,
            left: false,
            given_up: false,
        })));
        self.notify(side, 100);
        if invite.is_none() {
            self.transfer_failed(side, 500);
        }
    }

    /// Tells the phone system what became of its transfer (RFC 3515 §2.4.4).
    pub(super) fn notify(&mut self, side: Side, code: u16) {
        let Some(referral) = self.call.referral() else {
            return;
        };
        if referral.left || referral.told == code {
            return;
        }
        referral.told = code;
        let id = referral.id;
        let phrase = String::from_utf8_lossy(reason_phrase(code));
        let body = format!("SIP/2.0 {code} {phrase}\r\n");
        let state: &[u8] = match code {
            ..=199 => b"active;expires=300",
            _ => b"terminated;reason=noresource",
        };
        self.aside(
            side,
            Method::Notify,
            |draft| {
                draft.put_args(HeaderId::Event, format_args!("refer;id={id}"));
                draft.put(HeaderId::SubscriptionState, state);
                draft.put(HeaderId::ContentType, b"message/sipfrag;version=2.0");
            },
            body.as_bytes(),
        );
    }

    /// A phone system that is transferring its call hangs up: it only leaves, and its end of
    /// the call is where it will be. Says whether that is so.
    pub(super) fn leaves(&mut self, side: Side, server: ServerKey) -> bool {
        let Some(referral) = self.call.referral() else {
            return false;
        };
        if referral.given_up || referral.left {
            return false;
        }
        referral.left = true;
        self.refuse(server, side, 200);
        self.call.leg_mut(side).progress.up = false;
        self.withdraw_requests_of(side);
        self.stop_resending_to(side);
        self.set_session(side, None);
        // If it is not carried out before a restart, the call is over.
        self.journal_not_to_go_on(side.party(), "bye");
        true
    }

    /// The call ends: nobody needs who it was transferred to.
    pub(super) fn give_up_transfer(&mut self) {
        let side = self.call.carrier_side().other();
        let Some(referral) = self.call.referral() else {
            return;
        };
        if std::mem::replace(&mut referral.given_up, true) {
            return;
        }
        match referral.invite {
            Some(invite) => {
                self.notify(side, 487);
                let (now, transmits) = (self.now.mono, &mut self.out.transmits);
                self.tools.transactions.cancel(now, invite, None, transmits);
            }
            None => self.transfer_failed(side, 487),
        }
    }
}
