//! A call that a carrier redirects (RFC 3261 §8.1.3.4): each Contact of its 3xx is a call
//! of the same tenant, read by its plan and judged as if it had been dialled. The address in
//! it is not where the call goes: that is one of the tenant's carriers, as for any other.
//!
//! - Nobody has dialled an emergency number that a carrier redirects to, and it has no
//!   exemption: it is refused.
//! - A number that the call has been to is not tried again, but where the same carrier
//!   names another of its own gateways for it.
//! - What is refused is recorded as a call of its own, and the next Contact is tried.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::limits::{RECORDED_TEXT, REDIRECT_CONTACTS, REDIRECTS_PER_CALL};
use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{
    Carrier, Decision as Ruling, Facts, Gateway, Peer, Presentation, Reason, Refused, RuleSet,
    Verdict,
};
use crate::record::{Decision, Direction};
use crate::sip::fields;
use crate::sip::header::HeaderId;
use crate::sip::host::Host;
use crate::sip::message::Message;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;
use crate::transaction::ClientKey;

use super::attempt::Next;
use super::call::{Call, CallKey};
use super::elsewhere::Wish;
use super::judged::clipped;
use super::onward::Onward;
use super::outbound::no_way;
use super::ways::Way;
use super::{Calls, Outbox, topology};

/// Where a call is redirected to, and where it has been.
#[derive(Debug)]
pub(super) struct Redirects {
    /// Where it may yet go, the next one last.
    waiting: Vec<Target>,
    /// The numbers that it went to.
    been: SmallVec<[Number; 1]>,
    /// How many Contacts it was redirected to in all.
    taken: usize,
}

/// A Contact that a call is redirected to.
#[derive(Debug)]
struct Target {
    /// Its URI, as far as records hold it.
    uri: Box<[u8]>,
    /// It is one more than is followed.
    beyond: bool,
}

impl Redirects {
    /// Of a call to this number.
    pub(super) fn begin(number: Number) -> Self {
        Self {
            waiting: Vec::new(),
            been: SmallVec::from_slice(&[number]),
            taken: 0,
        }
    }

    /// What a 3xx leads to, the most wanted first: URIs, as far as records hold them.
    pub(super) fn of(message: &Message) -> impl Iterator<Item = Box<[u8]>> {
        let mut redirects = Self {
            waiting: Vec::new(),
            been: SmallVec::new(),
            taken: 0,
        };
        redirects.note(message);
        redirects.waiting.into_iter().rev().map(|it| it.uri)
    }

    /// Whether there is anywhere else to try.
    pub(super) fn lead_on(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the Contacts of a 3xx in front of those that wait, the most wanted first; one
    /// without any as one that nobody can read.
    fn note(&mut self, message: &Message) {
        let mut contacts: SmallVec<[(u16, &[u8]); REDIRECT_CONTACTS]> = SmallVec::new();
        for contact in fields::addresses(message, HeaderId::Contact) {
            let read = contact.map(|it| (preference(&it), it.uri_text));
            contacts.push(read.unwrap_or_default());
        }
        if contacts.is_empty() {
            contacts.push((0, b""));
        }
        // Among equals their order counts.
        contacts.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
        contacts.truncate(REDIRECT_CONTACTS);
        let before = self.waiting.len();
        for (_, uri) in contacts {
            self.taken += 1;
            self.waiting.push(Target {
                uri: clipped(uri).into(),
                beyond: self.taken > REDIRECTS_PER_CALL,
            });
        }
        if let Some(new) = self.waiting.get_mut(before..) {
            new.reverse();
        }
    }
}

/// The `q` of a Contact in thousandths (RFC 3261 §25.1, qvalue). One that is none is the
/// least.
fn preference(contact: &NameAddr<'_>) -> u16 {
    let Some(q) = contact.param(b"q").flatten() else {
        return 1_000;
    };
    let q = std::str::from_utf8(q).unwrap_or_default();
    let (whole, part) = q.split_once('.').unwrap_or((q, ""));
    let digits = part.len() <= 3 && part.bytes().all(|it| it.is_ascii_digit());
    let part = format!("{part:0<3}").parse().unwrap_or(0);
    match whole {
        "0" if digits => part,
        "1" if digits && part == 0 => 1_000,
        _ => 0,
    }
}

impl Target {
    /// The URI, if it has a meaning. One as long as a record holds may be cut off.
    fn uri(&self) -> Option<Uri<'_>> {
        let whole = self.uri.len() < RECORDED_TEXT;
        Uri::parse(&self.uri).ok().filter(|_| whole)
    }
}

/// Who calls, and which number of the tenant's forwards that, as addresses that the rules
/// read the same of again.
struct Shown([Option<String>; 2]);

impl Shown {
    fn of(onward: &Onward) -> Self {
        let caller = &onward.permit.caller;
        let numbers = [Some(caller.number), caller.forwarded_by()];
        Self(numbers.map(|it| it.map(|it| format!("sip:{}@redirected.invalid", it.as_str()))))
    }

    fn addresses(&self) -> [NameAddr<'_>; 2] {
        self.0.each_ref().map(|it| NameAddr {
            display: None,
            uri_text: it.as_ref().map_or(b"", |it| it.as_bytes()),
            params: b"",
        })
    }
}

impl Call {
    /// Its carrier redirects it, if this is the INVITE that opens it.
    pub(super) fn note_redirection(&mut self, client: ClientKey, message: &Message) {
        if self.ending.is_some() || !self.opens_with(client) {
            return;
        }
        if let Some(onward) = &mut self.onward {
            onward.redirects.note(message);
        }
    }
}

impl Calls {
    /// The next place that a call is redirected to and may go. Those before it are refused.
    pub(super) fn next_target<'r>(
        &mut self,
        now: Now,
        rules: &'r RuleSet,
        key: CallKey,
        onward: &mut Onward,
        out: &mut Outbox,
    ) -> Option<Next<'r>> {
        while let Some(target) = onward.redirects.waiting.pop() {
            match self.judge_target(now, rules, key, (onward, &target), out) {
                Ok(next) => {
                    let permit = next.allowed.permit;
                    onward.redirects.been.push(permit.number);
                    onward.permit = permit;
                    onward.decision = match next.allowed.observed {
                        Some(_) => Decision::Observe,
                        None => Decision::Allow,
                    };
                    onward.target = Some(target.uri);
                    return Some(next);
                }
                Err(refused) => self.refuse_target(now, key, (onward, &target), &refused, out),
            }
        }
        None
    }

    /// Refuses all places that a call is redirected to.
    pub(super) fn refuse_targets(
        &mut self,
        now: Now,
        key: CallKey,
        onward: &mut Onward,
        reason: Reason,
        out: &mut Outbox,
    ) {
        while let Some(target) = onward.redirects.waiting.pop() {
            let refused = Refused::because(reason);
            self.refuse_target(now, key, (onward, &target), &refused, out);
        }
    }

    /// Judges a place that a call is redirected to as if its caller had dialled that, and
    /// takes a place at a carrier for it.
    fn judge_target<'r>(
        &mut self,
        now: Now,
        rules: &'r RuleSet,
        key: CallKey,
        (onward, target): (&mut Onward, &Target),
        out: &mut Outbox,
    ) -> Result<Next<'r>, Refused> {
        let call = self.calls.get(key);
        let call = call.ok_or(Refused::because(Reason::NotFollowed))?;
        let uri = target.uri();
        let uri = uri.ok_or(Refused::because(Reason::NoSingleMeaning))?;
        let tenant = rules.tenant_named(&call.tenant);
        let tenant = tenant.ok_or(Refused::because(Reason::NoTenant))?;
        let (caller, source) = (Shown::of(onward), call.caller.flow.remote.ip());
        let [from, by] = caller.addresses();
        let facts = Facts {
            tenant,
            source,
            request_uri: uri,
            pai: None,
            ppi: None,
            from,
            forwarded_by: if by.uri_text.is_empty() { &[] } else { &[by] },
            privacy: onward.permit.presentation == Presentation::Withhold,
        };
        let own = may_follow(rules, call, &facts, (onward, target))?;
        if let Some(refused) = rules.blocked(&self.blocks, &facts, now) {
            return Err(refused);
        }
        let verdict = rules.judge(&facts, now);
        self.tell(now, tenant, &verdict, source, out);
        let mut allowed = match verdict {
            Verdict::Allow(allowed) => allowed,
            Verdict::Refuse(refused) => return Err(refused),
            Verdict::Emergency(allowed) => return Err(not_followed(allowed.permit.number)),
        };
        // What the caller has dialled for that is no part of where it is redirected to.
        allowed.permit.presentation = onward.permit.presentation;
        let way = match own {
            Some((carrier, gateway)) => Way::at(carrier, gateway),
            None => self.tools.way(now, rules, (tenant, false, onward.secure)),
        };
        let Some(way) = way else {
            let number = allowed.permit.number;
            allowed.hold.release(now);
            return Err(no_way(rules, tenant, number));
        };
        onward.further = way.further;
        Ok(Next {
            tenant,
            carrier: way.carrier,
            gateway: way.gateway,
            seat: way.seat,
            allowed,
        })
    }

    /// Records that a call was redirected to where it may not go.
    fn refuse_target(
        &mut self,
        now: Now,
        key: CallKey,
        (onward, target): (&Onward, &Target),
        refused: &Refused,
        out: &mut Outbox,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let carrier = carrier_of(&self.tools.rules, call).map_or("", |it| &it.name);
        let dialled = onward.permit.number.as_str();
        let wish = Wish {
            tenant: Arc::clone(&call.tenant),
            direction: Direction::Outbound,
            source: call.caller.flow.remote,
            caller: onward.permit.caller.number.as_bytes().into(),
            call_id: call.caller.call_id().into(),
            target: target.uri.clone(),
            what: "redirect-refused",
            told: format!("{carrier} redirected a call to {dialled}"),
        };
        self.refuse_wish(now, wish, refused, out);
    }
}

/// The carrier that a call is at.
pub(super) fn carrier_of<'r>(rules: &'r RuleSet, call: &Call) -> Option<&'r Carrier> {
    match rules.peer_of(call.callee.flow)? {
        Peer::Carrier(id) => rules.carrier(id),
        Peer::Tenant(_) => None,
    }
}

/// Whether a call may be redirected to this place, before rules are asked. The gateway where
/// the carrier that it is at wants the same number: another one of its own.
fn may_follow<'r>(
    rules: &'r RuleSet,
    call: &Call,
    facts: &Facts<'_>,
    (onward, target): (&Onward, &Target),
) -> Result<Option<(&'r Carrier, &'r Gateway)>, Refused> {
    let number = match rules.decide(facts) {
        Ruling::Emergency(permit) | Ruling::Allow(permit) | Ruling::Observe(_, permit) => {
            permit.number
        }
        Ruling::Refuse(refused, permit) => match permit.map(|it| it.number).or(refused.number) {
            Some(number) => number,
            None => return Ok(None),
        },
    };
    if target.beyond {
        return Err(not_followed(number));
    }
    // Who did not ask for TLS may not be able to.
    if topology::is_secure(&target.uri) && !onward.secure {
        return Err(Refused {
            number: Some(number),
            ..Refused::because(Reason::NotSecure)
        });
    }
    if !onward.redirects.been.contains(&number) {
        return Ok(None);
    }
    let carrier = carrier_of(rules, call);
    let elsewhere = carrier.and_then(|it| Some((it, named_gateway(it, facts, onward)?)));
    match elsewhere.filter(|(_, it)| it.address != call.callee.flow.remote) {
        Some(elsewhere) if number == onward.permit.number => Ok(Some(elsewhere)),
        _ => Err(not_followed(number)),
    }
}

/// The gateway of the carrier's that a target names by its address.
fn named_gateway<'r>(
    carrier: &'r Carrier,
    facts: &Facts<'_>,
    onward: &Onward,
) -> Option<&'r Gateway> {
    let Uri::Sip(uri) = &facts.request_uri else {
        return None;
    };
    let Host::Ip(address) = uri.host else {
        return None;
    };
    let port = uri.port;
    let mut gateways = carrier.gateways.iter();
    gateways.find(|it| {
        let there = it.address.ip() == address.to_canonical();
        let port = port.is_none_or(|port| port == it.address.port());
        there && port && it.carries(onward.secure, false)
    })
}

pub(super) fn not_followed(number: Number) -> Refused {
    Refused {
        number: Some(number),
        ..Refused::because(Reason::NotFollowed)
    }
}
