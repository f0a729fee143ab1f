//! How a tenant stands just now: for people to see, not to judge by.

use std::sync::Arc;

use super::counters::{Meters, Quantity, Used};
use super::lane::{Cap, Lane};
use super::money::{Currency, Money};
use super::ruleset::{RuleId, RuleSet, TenantId};
use crate::base::time::Now;

/// A tenant at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub tenant: Arc<str>,
    /// Its calls that live. Emergency calls are not counted.
    pub calls: u64,
    /// What of its budgets is used: of its own, of those of a `[[cap]]` that is of all
    /// its calls or of those to some destinations, and of those of `[inbound]`. Budgets that each caller or
    /// each called number has are not among them.
    pub spent: Vec<Spent>,
}

/// A budget in the period that it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Money a day, or a month.
    pub quantity: Quantity,
    /// The budget.
    pub limit: Money,
    /// What became of it.
    pub used: Used,
    /// In which currency.
    pub currency: Currency,
    /// What states it.
    pub rule: RuleId,
    /// It is of all the tenant's calls.
    pub own: bool,
}

impl Standing {
    /// Whether there is nothing to tell of it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let unspent = |it: &Spent| it.used == Used::default();
        self.calls == 0 && self.spent.iter().all(unspent)
    }
}

impl RuleSet {
    /// How a tenant stands, if the set has it.
    #[must_use]
    pub fn standing(&self, id: TenantId, now: Now) -> Option<Standing> {
        let (tenant, lane) = (self.tenant(id)?, self.lane(id)?);
        let zone = self.zones.get(usize::from(lane.zone))?;
        let inbound = self.tariffs.get(usize::from(tenant.inbound_tariff));
        let tariff = self.tariff_of(lane).or(inbound);
        let currency = tariff.map_or(Currency::NONE, |it| it.currency());
        let mut spent: Vec<Spent> = Vec::new();
        for cap in self.caps_of(lane) {
            let (Meters::Fixed(meter), Some(allowance)) = (
                cap.measure.meter,
                self.allowances.get(cap.allowance as usize),
            ) else {
                continue;
            };
            for (quantity, limit, rule) in allowance.limits() {
                // A cap on several destinations stands at each.
                if spent.iter().any(|it| it.rule == rule) {
                    continue;
                }
                let used = lane.book.used(now, zone, meter, quantity);
                spent.push(Spent {
                    quantity,
                    limit,
                    used: used.unwrap_or_default(),
                    currency,
                    rule,
                    own: lane.book.own_meter() == Some(meter),
                });
            }
        }
        Some(Standing {
            tenant: Arc::clone(&tenant.name),
            calls: lane.book.calls_up(),
            spent,
        })
    }

    /// The caps of a tenant: those on all its calls, those on calls from carriers, then
    /// those on destinations.
    fn caps_of<'a>(&'a self, lane: &'a Lane) -> impl Iterator<Item = &'a Cap> {
        let count = usize::from(lane.wide_count) + usize::from(lane.inbound_count);
        let wide = (lane.wide_caps..).take(count);
        let wide = wide.filter_map(|at| self.caps.get(at as usize));
        let targets = lane.cap_targets().of(&self.entries).iter();
        wide.chain(targets.flat_map(|entry| self.caps_from(entry.value)))
    }
}
