//! The same call at another carrier, where one does not answer (RFC 3263 §4.3); or to
//! another number, where a carrier redirects it: see `redirect`.
//!
//! Each attempt is a call of its own, with its own verdict in the journal, its own places
//! and its own lease. The next one takes the caller's side over; the one before has no
//! caller any more, and lives for as long as its carrier may say anything: a 200 that
//! comes late is acknowledged, hung up and paid for, as after a CANCEL.
//!
//! ```text
//!   caller ---- call ---- carrier A          caller    call ---- carrier A
//!                  (503, or nothing)   ->       |
//!                                               +----- call ---- carrier B
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{CALLS_PER_SHARD, FIRST_ANSWER};
use crate::base::time::Now;
use crate::base::wheel::TimerId;
use crate::policy::{Allowed, Permit, Reason, RuleSet};
use crate::record::{Decision, Direction, Party, Record};
use crate::sip::draft::Packet;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::transaction::{ClientKey, Expired, Reply};

use super::attempt::{CallersSide, Next};
use super::call::{Alarm, Call, CallKey, Ending, Exchange, Owner, Role, Stage};
use super::leg::{Leg, Progress};
use super::redirect::Redirects;
use super::ways::Further;
use super::{Arrived, Calls, Outbox, Turn, topology};

/// What a call takes with it to another carrier, or to another number.
#[derive(Debug)]
pub(super) struct Onward {
    /// At which other carriers it may be tried.
    pub(super) further: Further,
    /// To which other numbers, and where it has been.
    pub(super) redirects: Redirects,
    /// As what.
    pub(super) permit: Permit,
    pub(super) decision: Decision,
    /// It goes over TLS or not at all.
    pub(super) secure: bool,
    /// What it was redirected to, as far as records hold it; none where it goes to what
    /// its caller dialled.
    pub(super) target: Option<Box<[u8]>>,
    /// Of the caller's INVITE what its response needs, as an INVITE, once ours was sent.
    pub(super) asked: Vec<u8>,
    /// Our INVITE, once it was sent.
    pub(super) packet: Option<Packet>,
    /// Runs until its carrier has said nothing for too long.
    pub(super) timer: Option<TimerId>,
}

/// What becomes of the attempt that a call leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Its carrier has said nothing, and may yet.
    Silent,
    /// It is over in this turn.
    Over,
}

impl Onward {
    /// What a call takes along. Emergency calls are not redirected.
    pub(super) fn of(
        further: Further,
        (decision, allowed): (Decision, &Allowed),
        arrived: &Arrived<'_>,
    ) -> Option<Box<Self>> {
        if further.is_empty() && decision == Decision::Emergency {
            return None;
        }
        let uri = arrived.message.uri().unwrap_or_default();
        Some(Box::new(Self {
            further,
            redirects: Redirects::begin(allowed.permit.number),
            permit: allowed.permit,
            decision,
            secure: topology::is_secure(uri),
            target: None,
            asked: Vec::new(),
            packet: None,
            timer: None,
        }))
    }
}

impl Calls {
    /// A final response came. Where its carrier is out of service the call goes on at
    /// another, if it may: nobody has heard anything of it yet. Where it is redirected it
    /// goes to where that leads, if it may. An emergency call tries every carrier, whatever
    /// the last has said.
    pub(super) fn refused_onward(
        &mut self,
        now: Now,
        reply: &Reply<Owner>,
        message: &Message,
        out: &mut Outbox,
    ) {
        let code = message.status().unwrap_or_default();
        let call = self.calls.get_mut(reply.owner.call);
        let Some(call) = call.filter(|_| code >= 300 && reply.owner.role == Role::Relay) else {
            return;
        };
        if let (300..=399, Direction::Inbound) = (code, call.direction) {
            return self.forward(now, (reply.owner.call, reply.key), message, out);
        }
        if let (300..=399, false) = (code, call.emergency) {
            call.note_redirection(reply.key, message);
        }
        if let (false, Some(onward)) = (call.emergency, &mut call.onward)
            && !matches!(code, 408 | 503)
        {
            // Whoever says so is there, and speaks for this number.
            onward.further.clear();
        }
        let redirects = call.onward.as_ref().map(|it| &it.redirects);
        let fails = match code {
            408 | 503 => true,
            487 => false,
            _ if call.emergency => true,
            // RFC 3261 §16.7 step 5: 6xx is said for every other place, too.
            ..=599 => redirects.is_some_and(Redirects::lead_on),
            _ => false,
        };
        if fails {
            self.move_on(now, (reply.owner.call, reply.key), Before::Over, out);
        }
    }

    /// The INVITE's transaction ended without an answer, or it could not be sent.
    pub(super) fn expired_onward(&mut self, now: Now, event: &Expired<Owner>, out: &mut Outbox) {
        let (key, owner, before) = match *event {
            // It is cancelled over another connection, and may yet be answered.
            Expired::ClientCut {
                key,
                owner,
                cancelled: true,
                ..
            } => (key, owner, Before::Silent),
            Expired::ClientTimeout { key, owner, .. }
            | Expired::ClientFailed { key, owner, .. }
            | Expired::ClientCut { key, owner, .. } => (key, owner, Before::Over),
            _ => return,
        };
        if owner.role == Role::Relay {
            self.move_on(now, (owner.call, key), before, out);
        }
    }

    /// The carrier has said nothing for [`FIRST_ANSWER`].
    pub(super) fn first_answer_due(&mut self, now: Now, key: CallKey, out: &mut Outbox) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if let Some(onward) = &mut call.onward {
            onward.timer = None;
        }
        let mut exchanges = call.exchanges.iter();
        let client = exchanges.find(|it| it.opening).and_then(|it| it.client);
        if let Some(client) = client {
            self.move_on(now, (key, client), Before::Silent, out);
        }
    }

    /// Calls in set-up stay where they are from now on: what they were let in by does
    /// not hold any more. Emergency calls may still go anywhere. Where a call is redirected
    /// to is judged by what holds then.
    pub(super) fn hold_in_place(&mut self) {
        let keys = self.calls.iter();
        let keys = keys.filter(|(_, call)| call.onward.is_some() && !call.emergency);
        let keys: Vec<CallKey> = keys.map(|(key, _)| key).collect();
        for key in keys {
            let call = self.calls.get_mut(key);
            let Some(onward) = call.and_then(|it| it.onward.as_mut()) else {
                continue;
            };
            onward.further.clear();
            if let Some(timer) = onward.timer.take() {
                self.tools.wheel.cancel(timer);
            }
        }
    }

    /// Has the call go on at the next carrier that has room, or else to the next number
    /// that it was redirected to, if it may.
    fn move_on(
        &mut self,
        now: Now,
        (key, client): (CallKey, ClientKey),
        before: Before,
        out: &mut Outbox,
    ) {
        let (barred, rules) = (self.barred(key), Arc::clone(&self.tools.rules));
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if call.ending.is_some() || !call.opens_with(client) {
            return;
        }
        let Some(mut onward) = call.onward.take() else {
            return;
        };
        if let Some(timer) = onward.timer.take() {
            self.tools.wheel.cancel(timer);
        }
        if let Some(reason) = barred {
            if before == Before::Over {
                self.refuse_targets(now, key, &mut onward, reason, out);
            }
            return;
        }
        if before == Before::Over
            && let Some(hold) = &call.hold
        {
            // Its carrier is done with it, and the next attempt needs its places.
            hold.leave(now, None);
        }
        let packet = onward.packet.clone();
        let Some(invite) = packet.and_then(|it| scan(Bytes::from_owner(it)).ok()) else {
            return;
        };
        let mut next = next(&rules, call, &mut onward, now);
        if next.is_none() && before == Before::Over {
            next = self.next_target(now, &rules, key, &mut onward, out);
        }
        match next {
            Some(next) => {
                self.leave_behind(now, (key, client), before, (next, onward, &invite), out);
            }
            None if before == Before::Over => {}
            // It may be let go on when this attempt is over.
            None => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.onward = Some(onward);
                }
            }
        }
    }

    /// Why a call may not go on, whatever it is: unless it is an emergency.
    fn barred(&self, key: CallKey) -> Option<Reason> {
        let call = self.calls.get(key).filter(|it| !it.emergency)?;
        if self.unrecorded {
            return Some(Reason::JournalFault);
        }
        if call.doomed {
            return Some(Reason::Blocked);
        }
        (self.calls.len() >= CALLS_PER_SHARD).then_some(Reason::NotFollowed)
    }

    /// Parts the caller's side from the attempt so far, and begins the next.
    fn leave_behind(
        &mut self,
        now: Now,
        (key, client): (CallKey, ClientKey),
        before: Before,
        (next, onward, invite): (Next<'_>, Box<Onward>, &Message),
        out: &mut Outbox,
    ) {
        let mut side = None;
        self.turn(key, now, out, |turn| {
            side = turn.part();
            if before == Before::Silent {
                turn.callee_silent();
                turn.end(Ending {
                    by: Party::Tollgate,
                    cause: "failed-over",
                    status: 0,
                });
                let transmits = &mut turn.out.transmits;
                turn.tools
                    .transactions
                    .cancel(now.mono, client, None, transmits);
            }
        });
        match side {
            Some(side) => self.attempt(now, side, key, (next, onward, invite), out),
            None => next.allowed.hold.release(now),
        }
    }
}

/// The next carrier with a place, and what the call holds there.
fn next<'r>(rules: &'r RuleSet, call: &Call, onward: &mut Onward, now: Now) -> Option<Next<'r>> {
    let tenant = rules.tenant_named(&call.tenant)?;
    let hold = call.hold.as_ref()?;
    let all = onward.further.clone();
    let taken = all.iter().enumerate().find_map(|(at, (name, address))| {
        let carrier = rules.carriers().iter().find(|it| it.name == *name)?;
        let mut gateways = carrier.gateways.iter();
        // A name may lead elsewhere by now; of calls in set-up only emergencies get here then.
        let gateway = gateways.find(|it| it.address == *address);
        let gateway = gateway.or(carrier.gateways.first())?;
        let carries = gateway.carries(onward.secure, call.emergency);
        let seat = carries.then(|| carrier.seat(gateway, call.emergency))??;
        Some((at, (carrier, gateway), seat))
    });
    let (at, (carrier, gateway), seat) = taken?;
    let allowed = rules.again(hold, onward.permit, now)?;
    onward.further.drain(..=at);
    Some(Next {
        tenant,
        carrier,
        gateway,
        seat,
        allowed,
    })
}

impl Call {
    /// Whether this is the INVITE that opens it, and its caller waits for an answer.
    pub(super) fn opens_with(&self, client: ClientKey) -> bool {
        let mut exchanges = self.exchanges.iter();
        exchanges.any(|it| {
            let waits = matches!(it.stage, Stage::Open) && it.server.is_some();
            it.opening && it.client == Some(client) && waits
        })
    }
}

impl Turn<'_> {
    /// Keeps of the caller's INVITE what its response needs, for the next attempt.
    pub(super) fn keep_asked(&mut self, asked: impl FnOnce() -> Vec<u8>) {
        if let Some(onward) = &mut self.call.onward {
            onward.asked = asked();
        }
    }

    /// The callee has [`FIRST_ANSWER`] for its first word, if there is another to go to.
    pub(super) fn await_first_answer(&mut self) {
        let onward = self.call.onward.as_ref();
        if onward.is_none_or(|it| it.further.is_empty()) {
            return;
        }
        let (key, now) = (self.key, self.now.mono);
        let timer = self
            .tools
            .schedule(key, Alarm::FirstAnswer, now, FIRST_ANSWER);
        if let Some(onward) = &mut self.call.onward {
            onward.timer = Some(timer);
        }
    }

    /// The callee has said this: with more than 100 it is the one, and once it answers
    /// nobody else is asked any more.
    pub(super) fn stay_if_heard(&mut self, code: u16) {
        let Some(onward) = &mut self.call.onward else {
            return;
        };
        let timer = onward.timer.take();
        if code > 100 {
            onward.further.clear();
        }
        if matches!(code, 200..=299) {
            self.call.onward = None;
        }
        if let Some(timer) = timer {
            self.tools.wheel.cancel(timer);
        }
    }

    /// Takes the caller's side out of the call: what its callee still says is dealt with
    /// by Tollgate alone. Where the caller has heard of that one, it hears of the next as of
    /// another fork: what it knows of the first does not hold for it.
    fn part(&mut self) -> Option<CallersSide> {
        let (tag, fresh) = (self.tools.mint.token(), self.tools.mint.token());
        let call = &mut *self.call;
        let rang = !call.forks.is_empty();
        let caller_tag = if rang { fresh } else { call.caller.local_tag };
        let exchange = call.exchanges.iter_mut().find(|it| it.opening)?;
        let server = exchange.server.take()?;
        exchange.stage = Stage::Abandoned;
        let opening = Exchange {
            method: exchange.method,
            opening: true,
            from: exchange.from,
            server: Some(server),
            client: None,
            tag: caller_tag,
            server_cseq: exchange.server_cseq,
            client_cseq: 0,
            offer: exchange.offer,
            stage: Stage::Open,
            offered: None,
            resumed: false,
        };
        let stub = Leg::new(call.caller.flow, tag, call.caller.call_id(), b"", b"");
        let mut leg = std::mem::replace(&mut call.caller, stub);
        leg.local_tag = caller_tag;
        call.caller.progress = Progress::default();
        if let Some(ring) = call.limit.take() {
            self.tools.wheel.cancel(ring);
        }
        self.out.journal(&Record::Parted {
            call: call.reference,
            tag: &tag.text(),
        });
        Some(CallersSide {
            leg,
            opening,
            server,
        })
    }
}
