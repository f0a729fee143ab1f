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
use crate::record::{Record, Side};
use crate::sip::header::HeaderId;
use crate::sip::line::{Method, reason_phrase};
use crate::sip::message::Message;
use crate::sip::name_addr::NameAddr;
use crate::sip::replaces::Replaces;
use crate::sip::uri::Uri;
use crate::transaction::{ClientKey, Origin, ServerKey, Transmit};

use super::call::{Call, CallKey, Exchange, Owner, Role, Stage};
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
    invite: Option<ClientKey>,
    /// The re-INVITE to the carrier, with the offer of who answered.
    offer: Option<ClientKey>,
    /// What was agreed of the session on the leg.
    session: Option<(u32, bool)>,
    /// The number of the REFER: which subscription its NOTIFYs are of (RFC 3515 §2.4.6).
    id: u32,
    /// The last response that the phone system was told.
    told: u16,
    /// The phone system has hung up.
    left: bool,
    /// The call is over: whoever answers is hung up.
    given_up: bool,
}

/// Where a REFER wants the call to go.
struct Goal<'m> {
    /// What would be dialled.
    uri: &'m [u8],
    /// Which dialog it is to take the place of.
    replaces: Option<Vec<u8>>,
}

impl<'m> Goal<'m> {
    /// `None` if it asks for anything but a call.
    fn of(message: &'m Message) -> Option<Self> {
        let text = refer_to(message)?;
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

    fn referral(&mut self) -> Option<&mut Referral> {
        match self.elsewhere.as_deref_mut()? {
            Elsewhere::Referred(it) => Some(it),
            _ => None,
        }
    }

    fn take_referral(&mut self) -> Option<Referral> {
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
        let goal = Goal::of(arrived.message);
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
                topology::put_allow(draft, allow);
                draft.put(HeaderId::Supported, b"timer");
                refresh::put_request(draft, refresh::wanted(false));
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
            session: None,
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
    fn notify(&mut self, side: Side, code: u16) {
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

    /// What is answered to the INVITE of a transfer.
    pub(super) fn refer_answered(
        &mut self,
        side: Side,
        client: ClientKey,
        code: u16,
        arrived: &Arrived<'_>,
    ) {
        let Some(referral) = self.call.referral() else {
            return;
        };
        match code {
            _ if referral.invite != Some(client) => {}
            ..=100 => {}
            ..=199 => self.notify(side, code),
            ..=299 => {
                referral.invite = None;
                self.target_answered(side, arrived);
            }
            _ => {
                referral.invite = None;
                self.transfer_failed(side, code);
            }
        }
    }

    /// No final response came to it.
    pub(super) fn refer_unanswered(&mut self, side: Side, client: ClientKey) {
        if let Some(referral) = self.call.referral()
            && referral.invite == Some(client)
        {
            referral.invite = None;
            self.transfer_failed(side, 408);
        }
    }

    /// Who it is transferred to has answered, with an offer: that goes to the carrier.
    fn target_answered(&mut self, side: Side, arrived: &Arrived<'_>) {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        let far = topology::far_of(arrived.message, tag, true);
        let there = self.call.leg(side.other()).progress.up;
        let busy = self.call.exchanges.iter().any(Exchange::is_under_way);
        let Some(referral) = self.call.referral() else {
            return;
        };
        let given_up = referral.given_up;
        referral.session = refresh::agreed(arrived.message);
        referral.leg.progress.up = true;
        referral.leg.progress.pending = false;
        if let Ok(far) = far {
            referral.leg.far = far;
        }
        if given_up || !there || busy || arrived.message.body().is_empty() {
            return self.transfer_failed(side, if busy { 491 } else { 488 });
        }
        self.offer_onward(side, arrived.message);
    }

    /// A re-INVITE to the carrier with what who answered the transfer offers.
    fn offer_onward(&mut self, side: Side, offer: &Message) {
        let to = side.other();
        let cseq = self.call.leg_mut(to).next_cseq();
        let head = self.head_of(&Method::Invite, cseq);
        let leg = self.call.leg(to);
        let session = leg.session;
        let packet = self.tools.packet(
            leg,
            &head,
            |draft| {
                draft.put(HeaderId::Allow, topology::ALLOW);
                draft.put(HeaderId::Supported, b"timer");
                refresh::put_again(draft, session);
                topology::carry(draft, offer);
            },
            offer.body(),
        );
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        let exchange = Exchange {
            method: Method::Invite,
            opening: false,
            from: side,
            server: None,
            client: None,
            tag: leg.local_tag,
            server_cseq: 0,
            client_cseq: cseq,
            offer: None,
            stage: Stage::Open,
            offered: self.description_to_keep(to, offer.body()),
        };
        self.send_exchange(exchange, flow, head.branch, packet);
        let sent = self
            .call
            .exchanges
            .last()
            .filter(|it| it.client_cseq == cseq);
        let client = sent.and_then(|it| it.client);
        if let Some(referral) = self.call.referral() {
            referral.offer = client;
        }
        if client.is_none() {
            self.transfer_failed(side, 500);
        }
    }

    /// The final response to that re-INVITE, if this is it.
    pub(super) fn offer_answered(
        &mut self,
        to: Side,
        client: ClientKey,
        code: u16,
        arrived: &Arrived<'_>,
    ) -> bool {
        let side = to.other();
        let referral = self.call.referral();
        if referral.is_none_or(|it| it.offer != Some(client)) {
            return false;
        }
        if code >= 300 {
            self.call.take_exchange(client);
            self.transfer_failed(side, code);
            if matches!(code, 408 | 481) {
                self.hang_up("dialog-gone");
            }
            return true;
        }
        let offered = self.call.exchange_by_client(client).and_then(|exchange| {
            exchange.stage = Stage::Answered {
                unacked: None,
                ack: None,
            };
            exchange.offered.take()
        });
        self.acknowledge(to);
        self.refresh_target(to, arrived.message);
        self.session_agreed(to, arrived.message);
        self.offer_accepted(to, offered);
        self.notify(side, 200);
        if let Some(referral) = self.call.take_referral() {
            self.carried_out(side, referral, arrived);
        }
        true
    }

    /// Both ends have agreed: the phone system is not needed any more.
    fn carried_out(&mut self, side: Side, referral: Referral, answer: &Arrived<'_>) {
        let leg = referral.leg;
        self.out.journal(&Record::Note {
            wall: self.now.wall,
            what: "transferred",
            detail: &format!(
                "{}: call {} goes on with {}",
                self.call.tenant,
                self.call.reference.0,
                String::from_utf8_lossy(leg.remote_uri()),
            ),
            count: 1,
        });
        self.acknowledge_target(&leg, Some(answer.message));
        self.withdraw_requests_of(side);
        self.stop_resending_to(side);
        self.lead(side, leg, referral.session);
    }

    /// The ACK to who answered a transfer, with the carrier's answer to its offer.
    fn acknowledge_target(&mut self, leg: &Leg, answer: Option<&Message>) {
        let head = self.head_of(&Method::Ack, leg.local_cseq);
        let body = answer.map_or(b"".as_slice(), Message::body);
        let packet = self.tools.packet(
            leg,
            &head,
            |draft| {
                if let Some(answer) = answer {
                    topology::carry(draft, answer);
                }
            },
            body,
        );
        self.out.transmits.push(Transmit {
            flow: leg.flow,
            packet,
            origin: Origin::Stateless,
        });
    }

    /// A transfer comes to nothing: the call goes on as it was, if its phone system is
    /// still there.
    pub(super) fn transfer_failed(&mut self, side: Side, code: u16) {
        let code = self.code_onward(side, code);
        self.notify(side, code);
        let Some(mut referral) = self.call.take_referral() else {
            return;
        };
        self.tools.forget_tag(referral.leg.local_tag);
        if referral.leg.progress.up {
            self.acknowledge_target(&referral.leg, None);
            let cseq = referral.leg.next_cseq();
            let head = self.head_of(&Method::Bye, cseq);
            let packet = self.tools.packet(&referral.leg, &head, |_| {}, b"");
            self.send_aside(Method::Bye, head.branch, (referral.leg.flow, packet));
        }
        if referral.left {
            self.hang_up("transfer-failed");
        }
    }

    /// Something of who it is transferred to, before the carrier has taken the offer. Says
    /// whether it was that.
    pub(super) fn of_target(
        &mut self,
        side: Side,
        server: Option<ServerKey>,
        arrived: &Arrived<'_>,
    ) -> bool {
        let Some(referral) = self.call.referral() else {
            return false;
        };
        let essentials = arrived.essentials;
        let tag = referral.leg.local_tag;
        let theirs = tag.text() == *essentials.to_tag.unwrap_or_default()
            && referral.leg.call_id() == essentials.call_id;
        let (true, Some(server)) = (theirs, server) else {
            return theirs;
        };
        if essentials.cseq.method == Method::Bye {
            referral.leg.progress.up = false;
            self.respond(server, (200, tag), b"", |_| {});
            self.transfer_failed(side, 480);
        } else {
            self.respond(server, (491, tag), b"", |_| {});
        }
        true
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
        self.journal_left(side);
        true
    }

    /// After a restart nobody is there any more, nor on the way.
    fn journal_left(&mut self, side: Side) {
        let Some(leg) = self.call.elsewhere.as_ref().and_then(|it| it.leg()) else {
            return;
        };
        let tag = leg.local_tag.text();
        let record = Record::Led {
            call: self.call.reference,
            wall: self.now.wall,
            side,
            leg: leg.as_record(&tag),
            branch: b"",
        };
        self.out.journal(&record);
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
