//! How a tenant stands just now: for people to see, not to judge by.

use std::sync::Arc;

use super::counters::{Meters, Quantity, Used};
use super::lane::Lane;
use super::money::{Currency, Money};
use super::ruleset::{RuleSet, TenantId};
use crate::base::time::Now;

/// A tenant at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub tenant: Arc<str>,
    /// Its calls that live. Emergency calls are not counted.
    pub calls: u64,
    /// What of its own budgets is used, of each period that has one.
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
    /// How a tenant stands, if the set has it. Its budgets are those of its
    /// `[budget]`, not those of a `[[cap]]`.
    #[must_use]
    pub fn standing(&self, id: TenantId, now: Now) -> Option<Standing> {
        let (tenant, lane) = (self.tenant(id)?, self.lane(id)?);
        let tariff = self.tariff_of(lane);
        let currency = tariff.map_or(Currency::NONE, |it| it.currency());
        let spent = self.budget_of(lane).map(|(quantity, limit)| Spent {
            quantity,
            limit,
            used: self.used(id, quantity, now).unwrap_or_default(),
            currency,
        });
        Some(Standing {
            tenant: Arc::clone(&tenant.name),
            calls: lane.book.calls_up(),
            spent: spent.collect(),
        })
    }

    /// The limits of a tenant's own budget.
    fn budget_of(&self, lane: &Lane) -> impl Iterator<Item = (Quantity, Money)> {
        let own = lane.book.own_meter().map(Meters::Fixed);
        let caps = (lane.wide_caps..).take(lane.wide_count.into());
        let caps = caps.filter_map(|at| self.caps.get(at as usize));
        let mut caps = caps.filter(|cap| Some(cap.measure.meter) == own);
        let budget = caps.find_map(|cap| self.allowances.get(cap.allowance as usize));
        let day = budget.and_then(|it| Some((Quantity::MoneyPerDay, it.budget.per_day?)));
        let month = budget.and_then(|it| Some((Quantity::MoneyPerMonth, it.budget.per_month?)));
        day.into_iter().chain(month)
    }
}
