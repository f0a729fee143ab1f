//! The next attempt of a call, in the place of the one that was left behind: see `onward`.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::flow::Transport;
use crate::base::time::Now;
use crate::policy::{Allowed, Carrier, Gateway, Refused, RuleSet, Seat, TenantId};
use crate::record::Direction;
use crate::sip::fields::Essentials;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::transaction::ServerKey;

use super::account::Account;
use super::call::{CallKey, Exchange};
use super::judged::{Asked, Judged};
use super::leg::{Far, Leg};
use super::onward::Onward;
use super::open::Carried;
use super::uris::{Leaving, Uris};
use super::{Calls, Event, Outbox, topology};

/// Where the call goes on, and what that was admitted as.
pub(super) struct Next<'r> {
    pub(super) tenant: TenantId,
    pub(super) carrier: &'r Carrier,
    pub(super) gateway: &'r Gateway,
    pub(super) seat: Seat,
    pub(super) allowed: Allowed,
}

/// The caller's side of a call.
pub(super) struct CallersSide {
    pub(super) leg: Leg,
    pub(super) opening: Exchange,
    pub(super) server: ServerKey,
}

impl Calls {
    /// The next attempt, in the place of the one that was left behind.
    pub(super) fn attempt(
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
        let (emergency, origin) = (before.emergency, before.origin);
        let abroad = !emergency && rules.is_abroad(id, &onward.permit.number);
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
        let observed = allowed.observed.as_ref();
        announce(now, &rules, &leaving, (&onward, observed, &side.leg), out);
        let ring = allowed.longest_ring;
        let account = (!emergency).then(|| Account::new(now, ring, allowed.lease));
        self.journal_counts(now, reference, &allowed, account.as_deref(), out);
        let mut onward = onward;
        let asked = std::mem::take(&mut onward.asked);
        let onward = (!emergency || !onward.further.is_empty()).then_some(onward);
        let mut opening = leaving.opening((Far::default(), seat, onward), allowed, account);
        let server = side.server;
        let call = opening.call_of(side.leg, side.opening, origin, &mut self.tools);
        let carried = Carried {
            message: invite,
            forwards: forwards(invite),
            asked: &asked,
        };
        match self.calls.insert(call) {
            Ok(key) => {
                self.turn(key, now, out, |turn| {
                    turn.invite(server, &carried, &opening)
                });
                self.turn(key, now, out, |turn| turn.keep_asked(|| asked));
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
    (onward, observed, caller): (&Onward, Option<&Refused>, &Leg),
    out: &mut Outbox,
) {
    let (permit, carrier) = (&onward.permit, leaving.carrier);
    let invite = scan(Bytes::copy_from_slice(&onward.asked)).ok();
    let dialled = invite.as_ref().and_then(Message::uri).unwrap_or_default();
    let judged = Judged {
        call: leaving.reference,
        tenant: &leaving.tenant.name,
        direction: Direction::Outbound,
        decision: onward.decision,
        number: Some(&permit.number),
        caller: permit.caller.number.as_bytes(),
        rule: observed.map_or(permit.rule, |refused| refused.rule),
        observed,
        call_id: &leaving.call_id,
        carrier: &carrier.name,
    };
    let asked = Asked {
        source: caller.flow.remote,
        uri: onward.target.as_deref().unwrap_or(dialled),
        call_id: caller.call_id(),
    };
    judged.journal_asked(now, rules, &asked, out);
    out.events.push(Event::Onward {
        call: leaving.reference,
        number: permit.number,
        carrier: Arc::clone(&carrier.name),
        redirected: onward.target.is_some(),
    });
}

/// The Max-Forwards of an INVITE of ours, which another one in its place has, too.
pub(super) fn forwards(invite: &Message) -> u8 {
    let essentials = Essentials::parse(invite).ok();
    essentials
        .and_then(|it| it.max_forwards)
        .unwrap_or(super::MAX_FORWARDS)
}
