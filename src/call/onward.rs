//! The same call at another carrier, where one does not answer (RFC 3263 §4.3).
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

use crate::base::flow::Transport;
use crate::base::limits::{CALLS_PER_SHARD, FIRST_ANSWER};
use crate::base::time::Now;
use crate::base::wheel::TimerId;
use crate::policy::{Allowed, Carrier, Gateway, Permit, RuleSet, Seat, TenantId};
use crate::record::{Decision, Direction, Party, Record};
use crate::sip::draft::Packet;
use crate::sip::echo::essence;
use crate::sip::fields::Essentials;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::transaction::{ClientKey, Expired, Reply, ServerKey};

use super::account::Account;
use super::call::{Alarm, Call, CallKey, Ending, Exchange, Owner, Role, Stage};
use super::judged::{Asked, Judged, clipped};
use super::leg::{Far, Leg, Progress};
use super::open::Carried;
use super::uris::{Leaving, Uris};
use super::ways::Further;
use super::{Arrived, Calls, Event, Outbox, Turn, topology};

/// What a call takes with it to another carrier.
#[derive(Debug)]
pub(super) struct Onward {
    /// Where it may go.
    pub(super) further: Further,
    /// As what.
    pub(super) permit: Permit,
    pub(super) decision: Decision,
    /// It goes over TLS or not at all.
    pub(super) secure: bool,
    /// The Request-URI that its caller sent, as far as records hold it.
    pub(super) received_uri: Box<[u8]>,
    /// Of the caller's INVITE what its response needs, as an INVITE.
    pub(super) asked: Box<[u8]>,
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

/// Where the call goes on, and what that was admitted as.
struct Next<'r> {
    tenant: TenantId,
    carrier: &'r Carrier,
    gateway: &'r Gateway,
    seat: Seat,
    allowed: Allowed,
}

/// The caller's side of a call.
struct CallersSide {
    leg: Leg,
    opening: Exchange,
    server: ServerKey,
}

impl Onward {
    /// What a call takes along, if there is anywhere else to go.
    pub(super) fn of(
        further: Further,
        (decision, allowed): (Decision, &Allowed),
        arrived: &Arrived<'_>,
    ) -> Option<Box<Self>> {
        if further.is_empty() {
            return None;
        }
        let uri = arrived.message.uri().unwrap_or_default();
        Some(Box::new(Self {
            further,
            permit: allowed.permit,
            decision,
            secure: topology::is_secure(uri),
            received_uri: clipped(uri).into(),
            asked: essence(arrived.message).into(),
            packet: None,
            timer: None,
        }))
    }
}

impl Calls {
    /// A final response came. Where its carrier is out of service the call goes on at
    /// another, if it may: nobody has heard anything of it yet. An emergency call tries
    /// every one, whatever the last has said.
    pub(super) fn refused_onward(
        &mut self,
        now: Now,
        reply: &Reply<Owner>,
        code: u16,
        out: &mut Outbox,
    ) {
        let emergency = self
            .calls
            .get(reply.owner.call)
            .is_some_and(|it| it.emergency);
        let fails = match code {
            408 | 503 => true,
            300.. => emergency && code != 487,
            _ => false,
        };
        if fails && reply.owner.role == Role::Relay {
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
    /// not hold any more. Emergency calls may still go anywhere.
    pub(super) fn hold_in_place(&mut self) {
        let keys = self.calls.iter();
        let keys = keys.filter(|(_, call)| call.onward.is_some() && !call.emergency);
        let keys: Vec<CallKey> = keys.map(|(key, _)| key).collect();
        for key in keys {
            let onward = self.calls.get_mut(key).and_then(|it| it.onward.take());
            if let Some(timer) = onward.and_then(|it| it.timer) {
                self.tools.wheel.cancel(timer);
            }
        }
    }

    /// Has the call go on at the next carrier that has room, if it may.
    fn move_on(
        &mut self,
        now: Now,
        (key, client): (CallKey, ClientKey),
        before: Before,
        out: &mut Outbox,
    ) {
        let room = self.calls.len() < CALLS_PER_SHARD;
        let (unrecorded, rules) = (self.unrecorded, Arc::clone(&self.tools.rules));
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let may = call.emergency || room && !unrecorded && !call.doomed;
        if !may || call.ending.is_some() || !call.opens_with(client) {
            return;
        }
        let Some(mut onward) = call.onward.take() else {
            return;
        };
        if let Some(timer) = onward.timer.take() {
            self.tools.wheel.cancel(timer);
        }
        if before == Before::Over
            && let Some(hold) = &call.hold
        {
            // Its carrier is done with it, and the next attempt needs its places.
            hold.leave(now, None);
        }
        let next = next(&rules, call, &mut onward, now);
        let invite = onward.packet.take().and_then(|packet| {
            let invite = scan(Bytes::from_owner(packet.clone())).ok();
            onward.packet = Some(packet);
            invite
        });
        match next.zip(invite) {
            Some((next, invite)) => {
                self.leave_behind(now, (key, client), before, (next, onward, &invite), out);
            }
            // It may be let go on when this attempt is over.
            None if before == Before::Silent => call.onward = Some(onward),
            None => {}
        }
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

    /// The next attempt, in the place of the one that was left behind.
    fn attempt(
        &mut self,
        now: Now,
        side: CallersSide,
        behind: CallKey,
        (next, onward, invite): (Next<'_>, Box<Onward>, &Message),
        out: &mut Outbox,
    ) {
        let rules = Arc::clone(&self.tools.rules);
        let Next {
            tenant: id,
            carrier,
            gateway,
            seat,
            allowed,
        } = next;
        let (Some(tenant), Some(before)) = (rules.tenant(id), self.calls.get(behind)) else {
            allowed.hold.release(now);
            return;
        };
        let (emergency, abroad, origin) = (before.emergency, before.abroad, before.origin);
        let reference = self.tools.number_call();
        let call_id = self.tools.mint_call_id(side.leg.call_id());
        let scheme = match onward.secure && gateway.transport == Transport::Tls {
            true => topology::SIPS,
            false => "sip:",
        };
        let here = self.tools.here.at(gateway.listener);
        let uris = Uris::of(&rules, id, carrier, &onward.permit, (scheme, here));
        let routes = carrier.routes();
        let leaving = Leaving {
            reference,
            emergency,
            tenant,
            abroad,
            carrier,
            gateway,
            call_id,
            routes: &routes,
            uris: &uris,
        };
        announce(now, &rules, &leaving, (&onward, &side.leg), out);
        let account = (!emergency).then(|| {
            let ring = allowed.longest_ring;
            Account::new(now, ring, allowed.lease)
        });
        self.journal_counts(now, reference, &allowed, account.as_deref(), out);
        let invited = onward.asked.clone();
        let further = (!onward.further.is_empty()).then_some(onward);
        let mut opening = leaving.opening((Far::default(), seat, further), allowed, account);
        let server = side.server;
        let call = opening.call_of(side.leg, side.opening, origin, &mut self.tools);
        let carried = Carried {
            message: invite,
            forwards: forwards(invite),
            asked: &invited,
        };
        match self.calls.insert(call) {
            Ok(key) => {
                self.turn(key, now, out, |turn| {
                    turn.invite(server, &carried, &opening)
                });
            }
            Err(call) => self.no_room(now, (server, call), emergency, out),
        }
    }
}

/// Says where the call goes on.
fn announce(
    now: Now,
    rules: &RuleSet,
    leaving: &Leaving<'_>,
    (onward, caller): (&Onward, &Leg),
    out: &mut Outbox,
) {
    let (permit, carrier) = (&onward.permit, leaving.carrier);
    let judged = Judged {
        call: leaving.reference,
        tenant: &leaving.tenant.name,
        direction: Direction::Outbound,
        decision: onward.decision,
        number: Some(&permit.number),
        caller: permit.caller.number.as_bytes(),
        rule: permit.rule,
        observed: None,
        call_id: &leaving.call_id,
        carrier: &carrier.name,
    };
    let asked = Asked {
        source: caller.flow.remote,
        uri: &onward.received_uri,
        call_id: caller.call_id(),
    };
    judged.journal_asked(now, rules, &asked, out);
    out.events.push(Event::Onward {
        call: leaving.reference,
        carrier: Arc::clone(&carrier.name),
    });
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

/// The Max-Forwards of an INVITE of ours, which another one in its place has, too.
fn forwards(invite: &Message) -> u8 {
    let essentials = Essentials::parse(invite).ok();
    essentials
        .and_then(|it| it.max_forwards)
        .unwrap_or(super::MAX_FORWARDS)
}

impl Call {
    /// Whether this is the INVITE that opens it, and its caller waits for an answer.
    fn opens_with(&self, client: ClientKey) -> bool {
        let mut exchanges = self.exchanges.iter();
        exchanges.any(|it| {
            let waits = matches!(it.stage, Stage::Open) && it.server.is_some();
            it.opening && it.client == Some(client) && waits
        })
    }
}

impl Turn<'_> {
    /// The callee has [`FIRST_ANSWER`] for its first word, if there is another to go to.
    pub(super) fn await_first_answer(&mut self) {
        if self.call.onward.is_none() {
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

    /// The callee has said this: with more than 100 it is the one.
    pub(super) fn stay_if_heard(&mut self, code: u16) {
        let Some(onward) = &mut self.call.onward else {
            return;
        };
        let timer = onward.timer.take();
        if code > 100 {
            self.call.onward = None;
        }
        if let Some(timer) = timer {
            self.tools.wheel.cancel(timer);
        }
    }

    /// Takes the caller's side out of the call: what its callee still says is dealt with
    /// by Tollgate alone.
    fn part(&mut self) -> Option<CallersSide> {
        let tag = self.tools.mint.token();
        let call = &mut *self.call;
        let exchange = call.exchanges.iter_mut().find(|it| it.opening)?;
        let server = exchange.server.take()?;
        exchange.stage = Stage::Abandoned;
        let opening = Exchange {
            method: exchange.method,
            opening: true,
            from: exchange.from,
            server: Some(server),
            client: None,
            tag: exchange.tag,
            server_cseq: exchange.server_cseq,
            client_cseq: 0,
            offer: exchange.offer,
            stage: Stage::Open,
            offered: None,
        };
        let stub = Leg::new(call.caller.flow, tag, call.caller.call_id(), b"", b"");
        let leg = std::mem::replace(&mut call.caller, stub);
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
