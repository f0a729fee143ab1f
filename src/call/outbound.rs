//! A new call from a tenant's phone system: judged, and opened towards the
//! carrier if it may go.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::limits::DIVERSIONS_PER_CALL;
use crate::base::time::Now;
use crate::policy::number::Number;
use crate::policy::{
    Allowed, Carrier, Decision as Ruling, Facts, Peer, Reason, Refused, RuleSet, Tenant, TenantId,
    Verdict,
};
use crate::record::{CallRef, Decision, Direction, Record};
use crate::sip::fields;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;
use crate::transaction::ServerKey;

use super::account::{Account, journal_lease};
use super::evidence::Kind;
use super::judged::Judged;
use super::leg::Far;
use super::onward::Onward;
use super::open::own_failure;
use super::redirect::not_followed;
use super::uris::{Leaving, Uris};
use super::ways::{self, Way};
use super::{Arrived, Calls, Event, Outbox, topology};

impl Calls {
    pub(super) fn outbound(
        &mut self,
        now: Now,
        tenant: TenantId,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let Some(uri) = arrived.message.uri().and_then(|uri| Uri::parse(uri).ok()) else {
            let refused = Refused::because(Reason::NoSingleMeaning);
            self.refuse_call(now, Asker::Tenant(tenant), server, &refused, arrived, out);
            return;
        };
        let forwarded_by = forwarded_by(arrived);
        let facts = facts(tenant, uri, &forwarded_by, arrived);
        let rules = &self.tools.rules;
        // Nobody has dialled what a call is led to.
        if arrived.is_inside()
            && let Ruling::Emergency(permit) = rules.decide(&facts)
        {
            let (asker, refused) = (Asker::Tenant(tenant), not_followed(permit.number));
            return self.refuse_call(now, asker, server, &refused, arrived, out);
        }
        if let Some(refused) = rules.blocked(&self.blocks, &facts, now) {
            let asker = Asker::Tenant(tenant);
            return self.refuse_call(now, asker, server, &refused, arrived, out);
        }
        let emergency = || matches!(rules.decide(&facts), Ruling::Emergency(_));
        let far = match topology::caller_end(arrived) {
            Some(far) => far,
            // What is refused anyway is refused as that; nothing is counted here.
            None => match rules.decide(&facts) {
                Ruling::Emergency(_) => topology::unstated_end(arrived),
                Ruling::Refuse(refused, _) => {
                    let asker = Asker::Tenant(tenant);
                    return self.refuse_call(now, asker, server, &refused, arrived, out);
                }
                _ => return self.answer(now, server, 400, out, |_| {}),
            },
        };
        let verdict = match self.unfit(&facts, arrived).filter(|_| !emergency()) {
            Some(refused) => Verdict::Refuse(refused),
            None => rules.judge(&facts, now),
        };
        self.tell(now, tenant, &verdict, arrived.flow.remote.ip(), out);
        let (decision, allowed) = match verdict {
            Verdict::Refuse(refused) => {
                self.refuse_call(now, Asker::Tenant(tenant), server, &refused, arrived, out);
                return;
            }
            Verdict::Emergency(allowed) => (Decision::Emergency, allowed),
            Verdict::Allow(allowed) if allowed.observed.is_some() => (Decision::Observe, allowed),
            Verdict::Allow(allowed) => (Decision::Allow, allowed),
        };
        self.let_through(
            now,
            (tenant, far),
            server,
            (decision, allowed),
            arrived,
            out,
        );
    }

    /// Why this call is not let in, whatever caps say; what no rule allows is refused as
    /// that.
    fn unfit(&self, facts: &Facts<'_>, arrived: &Arrived<'_>) -> Option<Refused> {
        if let Some(reason) = self.closed(arrived.message) {
            return Some(Refused::because(reason));
        }
        let rules = &self.tools.rules;
        let onward = ways::onward(rules, facts.tenant, arrived);
        let reason = Self::insecure(arrived, onward)?;
        match rules.decide(facts) {
            Ruling::Allow(permit) | Ruling::Observe(_, permit) => Some(Refused {
                number: Some(permit.number),
                ..Refused::because(reason)
            }),
            Ruling::Emergency(_) | Ruling::Refuse(..) => None,
        }
    }

    /// Whether a request from this peer is an emergency call.
    pub(super) fn is_emergency(&self, peer: Peer, arrived: &Arrived<'_>) -> bool {
        let uri = arrived.message.uri().map(Uri::parse);
        let uri = uri.filter(|_| !arrived.is_inside());
        let (Peer::Tenant(tenant), Method::Invite, Some(Ok(uri))) =
            (peer, arrived.essentials.cseq.method, uri)
        else {
            return false;
        };
        let ruling = self.tools.rules.decide(&facts(tenant, uri, &[], arrived));
        matches!(ruling, Ruling::Emergency(_))
    }

    /// Says that a call makes a pattern of fraud, in the journal too.
    pub(super) fn tell(
        &self,
        now: Now,
        tenant: TenantId,
        verdict: &Verdict,
        source: IpAddr,
        out: &mut Outbox,
    ) {
        let (alert, number) = match verdict {
            Verdict::Refuse(refused) => (refused.alert, refused.number),
            Verdict::Allow(it) | Verdict::Emergency(it) => (it.alert, Some(it.permit.number)),
        };
        let rules = &self.tools.rules;
        let (Some(alert), Some(tenant)) = (alert, rules.tenant(tenant)) else {
            return;
        };
        let rule = rules.rule(alert.rule);
        let dialled = number.as_ref().map_or("none", Number::as_str);
        let detail = format!(
            "{}: {} of {}, number {dialled}, from {source}: {}:{}: {}",
            tenant.name, alert.value, alert.threshold, rule.file, rule.line, rule.text
        );
        out.journal(&Record::Note {
            wall: now.wall,
            what: alert.reason.code(),
            detail: &detail,
            count: alert.value.into(),
        });
        out.events.push(Event::Alert {
            tenant: Arc::clone(&tenant.name),
            source,
            number,
            reason: alert.reason,
            value: alert.value,
            threshold: alert.threshold,
        });
    }

    /// Opens the carrier's leg of a call that may go.
    fn let_through(
        &mut self,
        now: Now,
        (id, far): (TenantId, Far),
        server: ServerKey,
        (decision, allowed): (Decision, Allowed),
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let emergency = decision == Decision::Emergency;
        let rules = Arc::clone(&self.tools.rules);
        let secure = arrived.message.uri().is_some_and(topology::is_secure);
        let way = self.tools.way(now, &rules, (id, emergency, secure));
        let Some((tenant, way)) = rules.tenant(id).zip(way) else {
            allowed.hold.release(now);
            if emergency {
                return self.answer(now, server, own_failure(emergency), out, |_| {});
            }
            let refused = no_way(&rules, id, allowed.permit.number);
            return self.refuse_call(now, Asker::Tenant(id), server, &refused, arrived, out);
        };
        let Way {
            carrier,
            gateway,
            seat,
            further,
        } = way;
        let onward = Onward::of(further, (decision, &allowed), arrived);
        let reference = self.tools.number_call();
        let call_id = self.tools.mint_call_id(arrived.essentials.call_id);
        let uris = Uris::of(
            &rules,
            id,
            carrier,
            &allowed.permit,
            (
                topology::onward_scheme(arrived, gateway.transport),
                self.tools.here.at(gateway.listener),
            ),
        );
        let judged = Through {
            call: reference,
            tenant,
            decision,
            call_id: &call_id,
            carrier,
        };
        judged.announce(now, &rules, &allowed, arrived, out);
        let account = (!emergency).then(|| {
            let ring = allowed.longest_ring;
            Account::new(now, ring, allowed.lease)
        });
        self.journal_counts(now, reference, &allowed, account.as_deref(), out);
        let routes = carrier.routes();
        let leaving = Leaving {
            reference,
            emergency,
            tenant,
            abroad: !emergency && rules.is_abroad(id, &allowed.permit.number),
            carrier,
            gateway,
            call_id,
            routes: &routes,
            uris: &uris,
        };
        let opening = leaving.opening((far, seat, onward), allowed, account);
        self.open(now, server, arrived, opening, out);
    }

    /// Records what the call is counted in, and what it holds of budgets.
    pub(super) fn journal_counts(
        &mut self,
        now: Now,
        call: CallRef,
        allowed: &Allowed,
        account: Option<&Account>,
        out: &mut Outbox,
    ) {
        let named = &mut self.tools.named;
        if let Some(counted) = &allowed.counted {
            named.journal_counted(call, &allowed.hold, counted, out);
        }
        if let (Some(lease), Some(account)) = (&allowed.lease, account) {
            journal_lease(call, now, lease, out);
            named.journal_held(call, &allowed.hold, account, out);
        }
    }

    /// Refuses a call. A phone system gets the one answer after which it does not
    /// try another trunk. A carrier gets 486 where a tenant's caps leave no room:
    /// its caller hears that the line is busy, and what is set up for that case
    /// happens, but nothing where the tenant is blocked.
    pub(super) fn refuse_call(
        &mut self,
        now: Now,
        asker: Asker,
        server: ServerKey,
        refused: &Refused,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let call = self.tools.number_call();
        let (tenant, direction) = match asker {
            Asker::Tenant(tenant) => (Some(tenant), Direction::Outbound),
            Asker::Carrier(tenant) => (tenant, Direction::Inbound),
        };
        let kind = Kind {
            tenant,
            direction,
            reason: refused.reason,
        };
        let source = arrived.flow.remote;
        let extent = self.evidence.take(now, kind, source, refused.number);
        let rules = &self.tools.rules;
        let name = tenant
            .and_then(|id| rules.tenant(id))
            .map(|tenant| Arc::clone(&tenant.name));
        let tenant_name = name.unwrap_or_else(|| "".into());
        Judged {
            call,
            tenant: &tenant_name,
            direction,
            decision: Decision::Refuse,
            number: refused.number.as_ref(),
            caller: arrived.essentials.from.uri_text,
            rule: refused.rule,
            observed: Some(refused),
            call_id: b"",
            carrier: "",
        }
        .journal_some(now, rules, arrived, extent, out);
        out.events.push(Event::Refused {
            tenant: tenant_name,
            source: source.ip(),
            number: refused.number,
            reason: refused.reason,
        });
        let code = refused.reason.code();
        // Q.850's causes (RFC 3326): 17 is "user busy", 21 "call rejected".
        let (status, cause) = match asker {
            Asker::Carrier(Some(_))
                if !matches!(refused.reason, Reason::Blocked | Reason::NotSecure) =>
            {
                (486, 17)
            }
            Asker::Carrier(_) | Asker::Tenant(_) => (603, 21),
        };
        self.answer(now, server, status, out, |draft| {
            draft.put_args(
                HeaderId::Reason,
                format_args!("Q.850;cause={cause};text=\"{code}\""),
            );
        });
    }
}

/// Why a call that may leave cannot: no carrier has a place for it.
pub(super) fn no_way(rules: &RuleSet, tenant: TenantId, called: Number) -> Refused {
    let reason = match ways::anywhere(rules, tenant) {
        true => Reason::CarriersFull,
        false => Reason::CarriersNotFound,
    };
    Refused {
        number: Some(called),
        ..Refused::because(reason)
    }
}

/// Who asks for a call, and whose it is.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    /// A tenant's phone system.
    Tenant(TenantId),
    /// A carrier, for a call to a tenant's number.
    Carrier(Option<TenantId>),
}

/// What the rules look at. An identity that does not parse says nothing.
fn facts<'m>(
    tenant: TenantId,
    request_uri: Uri<'m>,
    forwarded_by: &'m [NameAddr<'m>],
    arrived: &Arrived<'m>,
) -> Facts<'m> {
    let message = arrived.message;
    // RFC 3325 §9.1 lets a tel URI stand beside a SIP URI: the first counts.
    let first = |id| fields::addresses(message, id).next()?.ok();
    Facts {
        tenant,
        source: arrived.flow.remote.ip(),
        request_uri,
        pai: first(HeaderId::PAssertedIdentity),
        ppi: first(HeaderId::PPreferredIdentity),
        from: arrived.essentials.from,
        forwarded_by,
        privacy: fields::privacy(message).any(|value| {
            [b"id".as_slice(), b"user", b"header"]
                .iter()
                .any(|hide| value.eq_ignore_ascii_case(hide))
        }),
    }
}

/// Who forwarded the call, the last one first, or transferred it. What is no address
/// counts as none: the phone system only says who it acts for.
fn forwarded_by<'m>(arrived: &Arrived<'m>) -> SmallVec<[NameAddr<'m>; 2]> {
    let all = |id| fields::addresses(arrived.message, id).flatten();
    let mut forwarded: SmallVec<[NameAddr<'m>; 2]> =
        all(HeaderId::Diversion).take(DIVERSIONS_PER_CALL).collect();
    let from = forwarded.len();
    // RFC 7044 §10.3: in the order of time.
    forwarded.extend(all(HeaderId::HistoryInfo).take(DIVERSIONS_PER_CALL));
    if let Some(history) = forwarded.get_mut(from..) {
        history.reverse();
    }
    // RFC 3892 §2.1: at most one.
    forwarded.extend(all(HeaderId::ReferredBy).take(1));
    forwarded
}

/// A call that goes to a carrier, for the journal and the log.
struct Through<'a> {
    call: CallRef,
    tenant: &'a Tenant,
    decision: Decision,
    call_id: &'a [u8],
    carrier: &'a Carrier,
}

impl Through<'_> {
    fn announce(
        self,
        now: Now,
        rules: &RuleSet,
        allowed: &Allowed,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let (permit, observed) = (&allowed.permit, allowed.observed.as_ref());
        Judged {
            call: self.call,
            tenant: &self.tenant.name,
            direction: Direction::Outbound,
            decision: self.decision,
            number: Some(&permit.number),
            caller: permit.caller.number.as_bytes(),
            rule: observed.map_or(permit.rule, |refused| refused.rule),
            observed,
            call_id: self.call_id,
            carrier: &self.carrier.name,
        }
        .journal(now, rules, arrived, out);
        out.events.push(Event::Allowed {
            call: self.call,
            tenant: Arc::clone(&self.tenant.name),
            number: permit.number,
            emergency: self.decision == Decision::Emergency,
            observed: observed.map(|refused| refused.reason),
        });
    }
}
