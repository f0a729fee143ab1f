//! What becomes of a call that comes from a carrier.

use std::sync::Arc;
use std::time::Duration;

use super::blocks::Blocks;
use super::counters::{Counted, Hold, Minute, Subject};
use super::door::Binding;
use super::lane::Lane;
use super::number::Number;
use super::reason::Reason;
use super::ruleset::{Delivery, RuleSet, TenantId};
use super::spending::Lease;
use super::target::Destination;
use super::tariff::Price;
use super::verdict::{Admitted, Refused, seconds};
use crate::base::time::Now;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

/// A call that a carrier asks for.
#[derive(Clone, Copy, Debug)]
pub struct InboundFacts<'a> {
    /// Where it is to go.
    pub request_uri: Uri<'a>,
    /// P-Asserted-Identity (RFC 3325).
    pub pai: Option<NameAddr<'a>>,
    /// From.
    pub from: NameAddr<'a>,
    /// The shortest session that the carrier takes (Min-SE, RFC 4028 §5); zero if it
    /// does not say.
    pub least_interval: Duration,
}

/// What becomes of a call from a carrier.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "judging a call allocates nothing, and this is not kept"
)]
pub enum Inbound {
    /// It goes to a tenant's phone system.
    Deliver(Delivered),
    /// It does not; whose it is, if it is anybody's. A tenant's caps refuse only
    /// what is the tenant's.
    Refuse(Refused, Option<TenantId>),
}

/// A call that goes to a tenant's phone system.
#[derive(Debug)]
#[must_use = "it holds places under caps"]
pub struct Delivered {
    /// Whose it is.
    pub tenant: TenantId,
    /// The called number.
    pub number: Number,
    /// Where it goes.
    pub to: Delivery,
    /// Who has registered there; none where the rules say where that is.
    pub binding: Option<Arc<Binding>>,
    /// What it holds in the counters, until it is over.
    pub hold: Hold,
    /// Where it was counted.
    pub counted: Counted,
    /// Why it would have been refused, where that is only observed.
    pub observed: Option<Refused>,
    /// What it holds of budgets, if it costs anything and any covers it.
    pub lease: Option<Lease>,
    /// The longest that it may last once it is answered.
    pub longest_call: Duration,
    /// The longest that it may ring.
    pub longest_ring: Duration,
}

/// Whose number is called, and where that tenant's calls go.
struct Called {
    tenant: TenantId,
    number: Number,
    delivery: Delivery,
    binding: Option<Arc<Binding>>,
    to: Destination,
}

impl RuleSet {
    /// What a call from a carrier to one of the tenant's numbers costs the tenant; none
    /// for most, which cost nothing.
    pub(super) fn inbound_price(&self, lane: &Lane, to: &Destination) -> Option<Price<'_>> {
        let tenant = self.tenant(self.tenant_named(lane.book.name())?)?;
        let tariff = self.tariffs.get(usize::from(tenant.inbound_tariff))?;
        tariff.price(to, self.home(lane))
    }

    /// Where a tenant's calls go: to the address in its rules, or to where it has
    /// registered.
    fn way_to(&self, tenant: TenantId) -> Option<(Delivery, Option<Arc<Binding>>)> {
        let tenant = self.tenant(tenant)?;
        if let Some(delivery) = tenant.inbound {
            return Some((delivery, None));
        }
        let binding = self.binding_towards(&tenant.name)?;
        let delivery = Delivery {
            transport: binding.flow.transport,
            address: binding.flow.remote,
            listener: binding.flow.listener,
            large_from: None,
        };
        Some((delivery, Some(binding)))
    }

    /// Judges a call that comes from a carrier: whose number is called, where
    /// that tenant's calls go, whether the tenant's caps on inbound calls have room,
    /// and its budgets, if calls to that number cost it anything. The number may be in any tenant's own national form.
    #[must_use]
    pub fn judge_inbound(&self, facts: &InboundFacts<'_>, blocks: &Blocks, now: Now) -> Inbound {
        let called = match self.called(facts) {
            Ok(called) => called,
            Err(refused) => return Inbound::Refuse(refused, None),
        };
        let (tenant, number) = (called.tenant, called.number);
        let name = self.tenant(tenant).map_or("", |it| &it.name);
        if blocks.cover(name, false, self.believed(tenant, now)) {
            let blocked = Refused::new(Reason::Blocked, None, Some(number));
            return Inbound::Refuse(blocked, Some(tenant));
        }
        self.deliver(called, facts, now)
    }

    /// Whether it is to a number of a tenant that takes calls.
    #[must_use]
    pub fn serves(&self, facts: &InboundFacts<'_>) -> bool {
        self.called(facts).is_ok()
    }

    /// Whose number is called, and where that tenant's calls go.
    fn called(&self, facts: &InboundFacts<'_>) -> Result<Called, Refused> {
        let mut refused = Refused::new(Reason::CalledNotServed, None, None);
        for (at, plan) in self.plans.iter().enumerate() {
            let reading = match plan.read(&facts.request_uri, &self.numbering) {
                Ok(reading) => reading,
                Err(unread) => {
                    refused.unread = refused.unread.or(Some(unread));
                    continue;
                }
            };
            let number = reading.number;
            refused.number = refused.number.or(Some(number));
            let (Some(tenant), Some(to)) =
                (self.tenant_of_called(&number), Destination::of(&reading))
            else {
                continue;
            };
            let its_plan = self.lane(tenant).map(|lane| usize::from(lane.plan));
            if let (true, Some((delivery, binding))) = (its_plan == Some(at), self.way_to(tenant)) {
                return Ok(Called {
                    tenant,
                    number,
                    delivery,
                    binding,
                    to,
                });
            }
        }
        if refused.number.is_some() {
            refused.unread = None;
        } else {
            refused.reason = Reason::NoSingleMeaning;
        }
        Err(refused)
    }

    /// Takes the places under its tenant's caps of a call that can be delivered.
    fn deliver(&self, called: Called, facts: &InboundFacts<'_>, now: Now) -> Inbound {
        let Called {
            tenant,
            number,
            delivery,
            binding,
            to,
        } = called;
        let Some(tenancy) = self.tenancy(tenant) else {
            return Inbound::Refuse(Refused::because(Reason::NoTenant), None);
        };
        let caller = facts.pai.as_ref().unwrap_or(&facts.from);
        let subject = Subject {
            to,
            // Callers without a number count as one.
            caller: self.read_caller(tenancy.plan, caller).unwrap_or_default(),
            minute: Minute::default(),
            inbound: true,
        };
        match self.admit(&tenancy, &subject, facts.least_interval, now) {
            Ok(Admitted {
                entry,
                longest,
                lease,
            }) => Inbound::Deliver(Delivered {
                tenant,
                number,
                to: delivery,
                binding,
                hold: entry.hold,
                counted: entry.counted,
                observed: entry.over.map(|it| self.used_up(it, number)),
                lease,
                longest_call: seconds(longest.call),
                longest_ring: seconds(longest.ring),
            }),
            Err(used_up) => Inbound::Refuse(self.used_up(used_up, number), Some(tenant)),
        }
    }
}
