//! A new call from a carrier: brought to the phone system of the tenant whose
//! number is called.

use std::sync::Arc;

use crate::base::flow::Flow;
use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{Carrier, CarrierId, Inbound, Reason, Refused, RuleSet, Tenant};
use crate::record::{CallRef, Decision, Direction};
use crate::sip::fields;
use crate::sip::header::HeaderId;
use crate::sip::uri::Uri;
use crate::transaction::ServerKey;

use super::open::Opening;
use super::outbound::Judged;
use super::{Arrived, Calls, Event, Outbox, topology};

/// The user part for a caller who has no number, or none that may be shown.
const UNKNOWN: &str = "anonymous";

impl Calls {
    pub(super) fn inbound(
        &mut self,
        now: Now,
        carrier: CarrierId,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let Some(far) = topology::caller_end(arrived) else {
            return self.answer(now, server, 400, out, |_| {});
        };
        let rules = Arc::clone(&self.tools.rules);
        let ruling = match (
            self.closed(arrived.message),
            arrived.message.uri().map(Uri::parse),
        ) {
            (Some(reason), _) => Inbound::Refuse(Refused::because(reason)),
            (None, Some(Ok(uri))) => rules.judge_inbound(&uri),
            (None, _) => Inbound::Refuse(Refused::because(Reason::NoSingleMeaning)),
        };
        let (id, number, to) = match ruling {
            Inbound::Deliver { tenant, number, to } => (tenant, number, to),
            Inbound::Refuse(refused) => {
                self.refuse_call(now, None, server, &refused, arrived, out);
                return;
            }
        };
        let (Some(tenant), Some(carrier)) = (rules.tenant(id), rules.carrier(carrier)) else {
            return self.answer(now, server, 603, out, |_| {});
        };
        let reference = self.tools.number_call();
        let call_id = self.tools.mint_call_id(arrived.essentials.call_id);
        let (from, identity) = callers(arrived, self.tools.here.at(to.listener));
        let delivered = Delivered {
            call: reference,
            tenant,
            carrier,
            number,
            from: from.as_bytes(),
            call_id: &call_id,
        };
        delivered.announce(now, &rules, arrived, out);
        let called = format!("sip:{}@{}", number.as_str(), to.address);
        let opening = Opening {
            reference,
            direction: Direction::Inbound,
            emergency: false,
            peer: &tenant.name,
            far,
            hold: None,
            account: None,
            call_id,
            flow: Flow {
                listener: to.listener,
                transport: to.transport,
                remote: to.address,
                local: None,
            },
            uri: called.as_bytes(),
            from: from.as_bytes(),
            identity: identity.as_deref().map(str::as_bytes),
            privacy: None,
            ring: tenant.longest_ring,
            longest: tenant.longest_call,
        };
        self.open(now, server, arrived, opening, out);
    }
}

/// A call that goes to a phone system, for the journal and the log.
struct Delivered<'a> {
    call: CallRef,
    tenant: &'a Tenant,
    carrier: &'a Carrier,
    number: Number,
    from: &'a [u8],
    call_id: &'a [u8],
}

impl Delivered<'_> {
    fn announce(&self, now: Now, rules: &RuleSet, arrived: &Arrived<'_>, out: &mut Outbox) {
        Judged {
            call: self.call,
            tenant: &self.tenant.name,
            direction: Direction::Inbound,
            decision: Decision::Allow,
            number: Some(&self.number),
            caller: self.from,
            rule: None,
            observed: None,
            call_id: self.call_id,
            carrier: &self.carrier.name,
        }
        .journal(now, rules, arrived, out);
        out.events.push(Event::Allowed {
            call: self.call,
            tenant: Arc::clone(&self.tenant.name),
            number: self.number,
            emergency: false,
            observed: None,
        });
    }
}

/// The caller as the phone system is told: From, and what the carrier asserts.
/// Hosts are Tollgate's own, so that nobody behind the carrier is named.
fn callers(arrived: &Arrived<'_>, here: &str) -> (String, Option<String>) {
    let written = |user: &str| format!("sip:{user}@{here}");
    let from = arrived.essentials.from.uri().ok();
    let asserted = fields::addresses(arrived.message, HeaderId::PAssertedIdentity)
        .find_map(|address| address.ok()?.uri().ok());
    let from = from
        .as_ref()
        .and_then(caller)
        .map_or_else(|| written(UNKNOWN), written);
    (from, asserted.as_ref().and_then(caller).map(written))
}

/// The number in a URI, if it is nothing but a number.
fn caller<'m>(uri: &Uri<'m>) -> Option<&'m str> {
    let user = match uri {
        Uri::Sip(sip) => sip.user?,
        Uri::Tel(tel) => tel.number,
        _ => return None,
    };
    let digits = user.strip_prefix(b"+").unwrap_or(user);
    let plain = !digits.is_empty() && digits.len() <= 32 && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(user).ok().filter(|_| plain)
}
