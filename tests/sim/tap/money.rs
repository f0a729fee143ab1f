//! What the tap knows of money: which calls the carriers bill, and whether a
//! budget can be spent.

use super::{Id, Tap, Turn};
use crate::dial::Group;
use crate::link::Nanos;
use crate::plan::CallPlan;
use crate::seen::Met;
use crate::wire::{Wire, hash2};

impl Tap {
    /// Whether a budget covers a call.
    pub(super) fn is_limited(turn: &Turn<'_>, plan: &CallPlan) -> bool {
        let budget = turn.rules.tenants[usize::from(plan.tenant)].budget;
        let abroad = plan.dial.group.is_international();
        let costs = match plan.dial.group {
            Group::Emergency => false,
            group => !plan.inbound || turn.rules.prices.of(group).is_some() && plan.own,
        };
        costs && budget.limits(abroad).next().is_some()
    }

    /// A call leaves for a carrier, which will bill it.
    pub(super) fn call_billed(
        &mut self,
        turn: &Turn<'_>,
        plan: &CallPlan,
        carrier: u8,
        went: &Wire,
    ) {
        if plan.dial.group == Group::Emergency {
            return;
        }
        let number = turn.peers.expected.get(&hash2(b"", went.at(went.call_id)));
        let number = number.copied().unwrap_or_default();
        let whose = (number, plan.tenant, carrier);
        self.bill.invited(turn.now, whose, plan.dial.group, went);
    }

    /// A call comes from a carrier, which will bill it if the number has a price.
    pub(super) fn called_billed(
        &mut self,
        turn: &mut Turn<'_>,
        plan: &CallPlan,
        (came, went): (&Wire, &Wire),
    ) {
        if turn.rules.prices.of(plan.dial.group).is_none() {
            return;
        }
        turn.seen.note(Met::InboundPriced);
        let number = turn.peers.expected.get(&hash2(b"", went.at(went.call_id)));
        let number = number.copied().or(self.plan).unwrap_or_default();
        let whose = (number, plan.tenant, plan.carrier);
        self.bill.came(turn.now, whose, (came, went));
    }

    /// Whether the core says that a budget is spent.
    pub(super) fn is_for_money(&self, id: Id) -> bool {
        self.servers[id].spent
    }

    /// A budget is said to be spent: can it be?
    pub(super) fn refused_for_money(
        &self,
        turn: &mut Turn<'_>,
        plan: &CallPlan,
    ) -> Result<(), String> {
        turn.seen.note(Met::RefusedForMoney);
        let budget = turn.rules.tenants[usize::from(plan.tenant)].budget;
        let abroad = plan.dial.group.is_international();
        let ask = self.bill.least_ask(plan.dial.group);
        let most = |abroad| self.bill.most_of(plan.tenant, abroad, turn.now);
        let (all, far) = (most(false), most(true));
        let own = budget.day.into_iter().chain(budget.month);
        let wide = own.min().is_some_and(|limit| all + ask > limit);
        let narrow = budget.abroad.filter(|_| abroad);
        if wide || narrow.is_some_and(|limit| far + ask > limit) {
            return Ok(());
        }
        Err(format!(
            "refused for money: at most {all} of {budget:?}, asking {ask}"
        ))
    }

    /// Notes a breach that is about a call.
    pub fn fail_about(&mut self, plan: u32, at: Nanos, what: String) {
        self.plan = Some(plan);
        self.fail(at, what);
    }
}
