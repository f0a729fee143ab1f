//! Wishes that a call go elsewhere, and may not: what is recorded of them, and what is told.
//!
//! A carrier's redirection is followed where the rules allow it (`redirect`), and so are a
//! phone system's own (`forward`) and its transfers (`transfer`). A carrier has nobody's call
//! transferred, nor has anybody a call made out of nothing: that is not carried out, and
//! nothing of it is passed on.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{Peer, Reason, Refused, RuleSet};
use crate::record::{Decision, Direction, Record, Side};
use crate::sip::draft::Draft;
use crate::sip::header::HeaderId;
use crate::sip::uri::Uri;
use crate::transaction::ServerKey;

use super::call::{Call, CallKey};
use super::evidence::{Extent, Kind};
use super::judged::{Asked, Judged, clipped};
use super::redirect::carrier_of;
use super::transfer::refer_to;
use super::{Arrived, Calls, Event, Outbox};

/// Who calls the phone system's own, in what is told.
pub(super) const PHONE_SYSTEM: &str = "the phone system";

/// A wish that a call go elsewhere.
pub(super) struct Wish {
    /// Whose call it is; empty if it is nobody's.
    pub(super) tenant: Arc<str>,
    /// Which way the wish came: as a call would.
    pub(super) direction: Direction,
    pub(super) source: SocketAddr,
    /// Who called, as judged.
    pub(super) caller: Box<[u8]>,
    /// The Call-ID of the caller's leg.
    pub(super) call_id: Box<[u8]>,
    /// The URI that it names, as far as records hold it.
    pub(super) target: Box<[u8]>,
    /// What the journal and alerts call its refusal.
    pub(super) what: &'static str,
    /// Who wishes what, for people.
    pub(super) told: String,
}

impl Wish {
    /// Of a phone system or a carrier, whose message about this call this is.
    pub(super) fn of(
        call: &Call,
        side: Side,
        (source, target): (SocketAddr, &[u8]),
        told: String,
    ) -> Self {
        Self {
            tenant: Arc::clone(&call.tenant),
            direction: match side == call.carrier_side() {
                true => Direction::Inbound,
                false => Direction::Outbound,
            },
            source,
            caller: clipped(call.caller.remote_uri()).into(),
            call_id: call.caller.call_id().into(),
            target: clipped(target).into(),
            what: "transfer-refused",
            told,
        }
    }

    /// Of a request outside a call.
    pub(super) fn outside(
        tenant: Option<Arc<str>>,
        direction: Direction,
        arrived: &Arrived<'_>,
        (target, told): (&[u8], String),
    ) -> Self {
        Self {
            tenant: tenant.unwrap_or_else(|| "".into()),
            direction,
            source: arrived.flow.remote,
            caller: clipped(arrived.essentials.from.uri_text).into(),
            call_id: arrived.essentials.call_id.into(),
            target: clipped(target).into(),
            what: "transfer-refused",
            told,
        }
    }
}

impl Calls {
    /// Records that a wish was refused, and says so.
    pub(super) fn refuse_wish(
        &mut self,
        now: Now,
        wish: Wish,
        refused: &Refused,
        out: &mut Outbox,
    ) {
        let call = self.tools.number_call();
        let rules = &self.tools.rules;
        let kind = Kind {
            tenant: rules.tenant_named(&wish.tenant),
            direction: wish.direction,
            reason: refused.reason,
        };
        let code = refused.reason.code();
        let to = refused.number.as_ref().map_or("no number", Number::as_str);
        let detail = format!("{}: {} to {to}: {code}", wish.tenant, wish.told);
        let extent = self.evidence.take(now, kind, wish.source, refused.number);
        if extent != Extent::Counted {
            let judged = Judged {
                call,
                tenant: &wish.tenant,
                direction: wish.direction,
                decision: Decision::Refuse,
                number: refused.number.as_ref(),
                caller: &wish.caller,
                rule: refused.rule,
                observed: Some(refused),
                call_id: b"",
                carrier: "",
            };
            let asked = Asked {
                source: wish.source,
                uri: &wish.target,
                call_id: &wish.call_id,
            };
            judged.journal_asked(now, rules, &asked, out);
        }
        // What an operator has blocked is known.
        if extent != Extent::Counted && refused.reason != Reason::Blocked {
            out.journal(&Record::Note {
                wall: now.wall,
                what: wish.what,
                detail: &detail,
                count: 1,
            });
        }
        out.events.push(Event::Elsewhere {
            detail,
            reason: refused.reason,
        });
    }

    /// A REFER inside a call that is not carried out.
    pub(super) fn refuse_transfer(
        &mut self,
        now: Now,
        (key, side): (CallKey, Side),
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let named = refer_to(arrived.message);
        let (target, code) = named.map_or((b"".as_slice(), 400), |it| (it, 603));
        let carrier = carrier_of(&self.tools.rules, call).filter(|_| side == call.carrier_side());
        let by = carrier.map_or(PHONE_SYSTEM, |it| &it.name);
        let told = format!("{by} would transfer a call");
        let wish = Wish::of(call, side, (arrived.flow.remote, target), told);
        let refused = not_offered(&self.tools.rules, &wish);
        self.refuse_wish(now, wish, &refused, out);
        self.answer_in(now, key, side, (server, code), out);
    }

    /// A REFER that is of no call.
    pub(super) fn refuse_referral(
        &mut self,
        now: Now,
        peer: Peer,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let named = refer_to(arrived.message);
        let (target, status) = named.map_or((b"".as_slice(), 400), |it| (it, 603));
        let rules = &self.tools.rules;
        let (tenant, direction, by) = match peer {
            Peer::Tenant(id) => {
                let name = rules.tenant(id).map(|it| Arc::clone(&it.name));
                (name, Direction::Outbound, PHONE_SYSTEM)
            }
            Peer::Carrier(id) => {
                let name = rules.carrier(id).map_or("", |it| &it.name);
                (None, Direction::Inbound, name)
            }
        };
        let told = format!("{by} would have a call made");
        let wish = Wish::outside(tenant, direction, arrived, (target, told));
        let refused = not_offered(rules, &wish);
        self.refuse_wish(now, wish, &refused, out);
        self.answer(now, server, status, out, explain);
    }

    /// Answers a request of a call's as its dialog does.
    fn answer_in(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        (server, code): (ServerKey, u16),
        out: &mut Outbox,
    ) {
        self.turn(key, now, out, |turn| {
            let tag = turn.call.leg(side).local_tag;
            turn.respond(server, (code, tag), b"", |draft| {
                if code == 603 {
                    explain(draft);
                }
            });
        });
    }
}

/// What a refusal says of itself (RFC 3326).
fn explain(draft: &mut Draft<'_>) {
    let code = Reason::NoTransfers.code();
    draft.put_args(
        HeaderId::Reason,
        format_args!("Q.850;cause=21;text=\"{code}\""),
    );
}

/// Why a wish of that kind is refused, with the number that it names by the tenant's plan.
pub(super) fn not_offered(rules: &RuleSet, wish: &Wish) -> Refused {
    let plan = rules
        .tenant_named(&wish.tenant)
        .and_then(|id| rules.plan(id));
    let uri = Uri::parse(&wish.target).ok();
    let reading = plan
        .zip(uri)
        .and_then(|(plan, uri)| plan.read(&uri, rules.numbering()).ok());
    Refused {
        number: reading.map(|it| it.number),
        ..Refused::because(Reason::NoTransfers)
    }
}
