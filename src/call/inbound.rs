//! A new call from a carrier: brought to the phone system of the tenant whose
//! number is called.

use std::sync::Arc;
use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{
    Carrier, CarrierId, Delivered, Inbound, InboundFacts, Reason, Refused, RuleSet, Tenant,
};
use crate::record::{CallRef, Decision, Direction};
use crate::sip::fields;
use crate::sip::header::HeaderId;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;
use crate::transaction::ServerKey;

use super::account::{Account, journal_lease};
use super::judged::Judged;
use super::open::Opening;
use super::outbound::Asker;
use super::refresh::Offer;
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
        let call = match self.judge_inbound(now, carrier, arrived) {
            Inbound::Deliver(call) => call,
            Inbound::Refuse(refused, tenant) => {
                let asker = Asker::Carrier(tenant);
                self.refuse_call(now, asker, server, &refused, arrived, out);
                return;
            }
        };
        let (number, to) = (call.number, call.to);
        let tenant = rules.tenant(call.tenant);
        let (Some(tenant), Some(carrier)) = (tenant, rules.carrier(carrier)) else {
            call.hold.release(now);
            return self.answer(now, server, 603, out, |_| {});
        };
        let reference = self.tools.number_call();
        let call_id = self.tools.mint_call_id(arrived.essentials.call_id);
        let (from, identity) = callers(arrived, self.tools.here.at(to.listener));
        let through = Through {
            call: reference,
            tenant,
            carrier,
            judged: &call,
            from: from.as_bytes(),
            call_id: &call_id,
        };
        through.announce(now, &rules, arrived, out);
        let account = self.account_of(now, reference, &call, out);
        let scheme = topology::onward_scheme(arrived, to.transport);
        let called = format!("{scheme}{}@{}", number.as_str(), to.address);
        let (flow, target, path) = way_of(&call);
        let opening = Opening {
            reference,
            direction: Direction::Inbound,
            emergency: false,
            tenant: &tenant.name,
            abroad: false,
            peer: &tenant.name,
            far,
            hold: Some(call.hold),
            seat: None,
            onward: None,
            account: Some(account),
            call_id,
            flow,
            uri: called.as_bytes(),
            target: target.as_deref(),
            routes: &path,
            from: from.as_bytes(),
            identity: identity.as_deref().map(str::as_bytes),
            diversion: None,
            privacy: None,
            numbers: shown(identity.as_ref().unwrap_or(&from)).map(|it| (it, number)),
            ring: call.longest_ring,
            longest: call.longest_call,
        };
        self.open(now, server, arrived, opening, out);
    }

    /// Its account, with what it is counted in and holds of budgets on record.
    fn account_of(
        &mut self,
        now: Now,
        reference: CallRef,
        call: &Delivered,
        out: &mut Outbox,
    ) -> Box<Account> {
        let account = Account::inbound(now, call.longest_ring, call.lease);
        let named = &mut self.tools.named;
        named.journal_counted(reference, &call.hold, &call.counted, out);
        if let Some(lease) = &call.lease {
            journal_lease(reference, now, lease, out);
            named.journal_held(reference, &call.hold, &account, out);
        }
        account
    }

    fn judge_inbound(&self, now: Now, carrier: CarrierId, arrived: &Arrived<'_>) -> Inbound {
        let judged = self.judge_called(now, carrier, arrived);
        let Inbound::Deliver(call) = judged else {
            return judged;
        };
        match Self::insecure(arrived, Some(call.to.transport)) {
            None => Inbound::Deliver(call),
            Some(reason) => {
                call.hold.release(now);
                Inbound::Refuse(Refused::because(reason), Some(call.tenant))
            }
        }
    }

    fn judge_called(&self, now: Now, carrier: CarrierId, arrived: &Arrived<'_>) -> Inbound {
        match (
            self.closed(arrived.message)
                .or_else(|| Self::insecure(arrived, None)),
            arrived.message.uri().map(Uri::parse),
        ) {
            (Some(reason), _) => Inbound::Refuse(Refused::because(reason), None),
            (None, Some(Ok(request_uri))) => {
                let facts = InboundFacts {
                    request_uri,
                    pai: asserted(arrived),
                    from: arrived.essentials.from,
                    least_interval: least_interval(arrived),
                };
                let facts = self.meant(carrier, facts, arrived);
                self.tools.rules.judge_inbound(&facts, &self.blocks, now)
            }
            (None, _) => Inbound::Refuse(Refused::because(Reason::NoSingleMeaning), None),
        }
    }

    /// A registrar brings a call to the Contact that is registered with it (RFC 3261
    /// §16.5), and the number that was called stands in To. Where that is none of ours,
    /// the account's own number was.
    fn meant<'a>(
        &'a self,
        carrier: CarrierId,
        facts: InboundFacts<'a>,
        arrived: &Arrived<'a>,
    ) -> InboundFacts<'a> {
        let rules = &self.tools.rules;
        let carrier = rules.carrier(carrier);
        let account = carrier.and_then(|it| Some((it, it.registration.as_ref()?)));
        let (Some((carrier, account)), Uri::Sip(uri)) = (account, facts.request_uri) else {
            return facts;
        };
        if uri.user != Some(&self.tools.contact_user(&carrier.name)) {
            return facts;
        }
        let to = arrived.essentials.to.uri();
        let aor = Uri::parse(account.aor.as_bytes());
        let called = [to, aor].into_iter().flatten();
        let mut called = called.map(|request_uri| InboundFacts {
            request_uri,
            ..facts
        });
        called.find(|it| rules.serves(it)).unwrap_or(facts)
    }
}

/// The way to the phone system that a call goes to; its Request-URI and Route, where it
/// has registered.
fn way_of(call: &Delivered) -> (Flow, Option<Vec<u8>>, Box<[u8]>) {
    let to = call.to;
    match &call.binding {
        Some(it) => (
            it.flow,
            Some(it.target(call.number.as_str())),
            it.path.clone(),
        ),
        None => (
            Flow::to(to.listener, to.transport, to.address),
            None,
            Box::default(),
        ),
    }
}

/// A call that goes to a phone system, for the journal and the log.
struct Through<'a> {
    call: CallRef,
    tenant: &'a Tenant,
    carrier: &'a Carrier,
    judged: &'a Delivered,
    from: &'a [u8],
    call_id: &'a [u8],
}

impl Through<'_> {
    fn announce(&self, now: Now, rules: &RuleSet, arrived: &Arrived<'_>, out: &mut Outbox) {
        let observed = self.judged.observed.as_ref();
        Judged {
            call: self.call,
            tenant: &self.tenant.name,
            direction: Direction::Inbound,
            decision: observed.map_or(Decision::Allow, |_| Decision::Observe),
            number: Some(&self.judged.number),
            caller: self.from,
            rule: observed.and_then(|it| it.rule),
            observed,
            call_id: self.call_id,
            carrier: &self.carrier.name,
        }
        .journal(now, rules, arrived, out);
        out.events.push(Event::Allowed {
            call: self.call,
            tenant: Arc::clone(&self.tenant.name),
            number: self.judged.number,
            emergency: false,
            observed: observed.map(|it| it.reason),
        });
    }
}

/// The caller as the phone system is told: From, and what the carrier asserts.
/// Hosts are Tollgate's own, so that nobody behind the carrier is named.
fn callers(arrived: &Arrived<'_>, here: &str) -> (String, Option<String>) {
    let written = |user: &str| format!("sip:{user}@{here}");
    let from = arrived.essentials.from.uri().ok();
    // RFC 3325 §7: who does not want to be named is not named to a phone.
    let withheld = fields::privacy(arrived.message).any(|value| {
        let hides = [b"id".as_slice(), b"user", b"header"];
        hides.iter().any(|hide| value.eq_ignore_ascii_case(hide))
    });
    let asserted = asserted(arrived)
        .and_then(|address| address.uri().ok())
        .filter(|_| !withheld);
    let from = from
        .as_ref()
        .and_then(caller)
        .map_or_else(|| written(UNKNOWN), written);
    (from, asserted.as_ref().and_then(caller).map(written))
}

/// The canonical number in a URI that was written here, if there is one.
fn shown(uri: &str) -> Option<Number> {
    Number::parse_international(uri.split(['@', ':']).nth(1)?)
}

/// The shortest session that the carrier takes.
fn least_interval(arrived: &Arrived<'_>) -> Duration {
    let offer = Offer::of(arrived.message);
    Duration::from_secs(offer.map_or(0, Offer::least).into())
}

/// Who the carrier says is calling.
fn asserted<'m>(arrived: &Arrived<'m>) -> Option<NameAddr<'m>> {
    let mut addresses = fields::addresses(arrived.message, HeaderId::PAssertedIdentity);
    addresses.find_map(|address| address.ok().filter(|it| it.uri().is_ok()))
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
