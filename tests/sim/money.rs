//! When all is over: what the carriers bill is within the budgets, and booked.

use crate::calendar::day;
use crate::peer::Map;
use crate::rules::Budget;
use crate::seen::Met;
use crate::world::World;

impl World {
    /// The bill of each tenant is within its budgets, and booked.
    pub fn money(&mut self) {
        let now = self.net.now;
        let today = day(self.wall, now);
        for tenant in 0..self.peers.tenants {
            let (all, abroad) = self.tap.bill.days(tenant, now);
            if all.len() > 1 {
                self.net.seen.note(Met::BilledOnTwoDays);
            }
            let most = |of: fn(&Budget) -> Option<u64>| {
                let budgets = self
                    .rules
                    .iter()
                    .map(|it| it.tenants[usize::from(tenant)].budget);
                let limits = budgets.map(|it| of(&it).filter(|_| !it.overshoots));
                // One that was not there for a while bounds nothing.
                limits.reduce(|one, other| Some(one?.max(other?))).flatten()
            };
            let mut wrong = None;
            let mut within = |what: &str, limit: Option<u64>, sum: u64| {
                if let Some(limit) = limit.filter(|limit| sum > *limit) {
                    wrong = Some(format!(
                        "tenant {tenant} was billed {sum} of {limit} {what}"
                    ));
                }
            };
            for (day, sum) in &all {
                within(&format!("on day {day}"), most(|it| it.day), *sum);
            }
            for (day, sum) in &abroad {
                within(&format!("abroad on day {day}"), most(|it| it.abroad), *sum);
            }
            let mut months: Map<i64, u64> = Map::default();
            for (day, sum) in &all {
                // A run begins in December at the earliest: 2026 is day 20,454.
                *months.entry(i64::from(*day >= 20_454)).or_default() += sum;
            }
            for (month, sum) in &months {
                within(&format!("in month {month}"), most(|it| it.month), *sum);
            }
            let always = most(|it| it.day).is_some();
            let billed = all.get(&today).copied().unwrap_or_default();
            let booked = self.core.booked_today(tenant, now).unwrap_or_default();
            if always && booked < billed {
                wrong = Some(format!(
                    "tenant {tenant}: booked {booked} today, billed {billed}"
                ));
            }
            if let Some(wrong) = wrong {
                self.tap.overrun(now, wrong);
            }
        }
        for _ in 0..self.tap.bill.unheard() {
            self.net.seen.note(Met::AnswerNeverHeard);
        }
        if let Some((plan, what)) = self.tap.bill.unfair(now) {
            self.tap.fail_about(plan, now, what);
        }
    }
}
