//! Leases by the rules: what a call must hold to be let in, to go on, and what is
//! booked when it is over.

use std::time::Duration;

use super::counters::{
    Admission, Budget, Claim, Claims, Entry, Hold, Kept, Quantity, Renewal as Request, Rigour,
    Statement, Subject, Sum, Used, UsedUp, Zone,
};
use super::lane::{Cap, Lane};
use super::lease::{Course, Rate};
use super::money::{Amount, Currency, Money};
use super::reason::Reason;
use super::ruleset::{Mode, RuleId, RuleSet, TenantId};
use super::tariff::Price;
use super::verdict::Refused;
use crate::base::limits::LEASES_S;
use crate::base::time::{Mono, Now, Wall};

/// What happens to live calls when a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenSpent {
    /// They are hung up when their leases end.
    HangUp,
    /// They go on, and what they cost beyond the budget is recorded.
    RefuseNew,
}

/// A budget, and where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub budget: Budget,
    /// The rule of the first limit in it; the other's follows.
    pub first_rule: u32,
}

impl Allowance {
    /// Its rules.
    fn rules(&self) -> impl Iterator<Item = RuleId> {
        let limits = [self.budget.per_day, self.budget.per_month];
        let limited = limits.into_iter().flatten();
        (self.first_rule..)
            .zip(limited)
            .map(|(rule, _)| RuleId(rule))
    }

    /// Its limits, and the rule that states each.
    pub(super) fn limits(&self) -> impl Iterator<Item = (Quantity, Money, RuleId)> {
        let day = (Quantity::MoneyPerDay, self.budget.per_day);
        let month = (Quantity::MoneyPerMonth, self.budget.per_month);
        let limits = [day, month].into_iter();
        limits.filter_map(|(quantity, limit)| Some((quantity, limit?, self.rule(quantity))))
    }

    /// The smallest of its limits, which none of the others lets a day exceed.
    pub(super) fn least(&self) -> Option<(Money, RuleId)> {
        let limits = [self.budget.per_day, self.budget.per_month];
        let limits = limits.into_iter().flatten().zip(self.rules());
        limits.min_by_key(|(limit, _)| *limit)
    }

    /// The rule that limits `quantity`.
    fn rule(&self, quantity: Quantity) -> RuleId {
        let behind = quantity == Quantity::MoneyPerMonth && self.budget.per_day.is_some();
        RuleId(self.first_rule.saturating_add(behind.into()))
    }
}

/// For how long a call may run before it must ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// From its answer on, or from its INVITE where ringing is billed; after a
    /// renewal, from then on.
    pub lasts: Duration,
    /// The session interval that the carrier is to be asked for (RFC 4028).
    pub interval: Duration,
    /// The carrier bills from the INVITE on.
    pub from_invite: bool,
    /// What the call holds now, of every budget that covers it.
    pub reserved: Amount,
    /// The most that a minute of it costs, whenever it is.
    pub minute: Money,
}

/// What came of booking a call.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// What it has cost in all. Where the rules have no price for it, what it held is
    /// booked, of no currency; none where it held nothing.
    pub cost: Option<Amount>,
    /// It still holds something.
    pub holds: bool,
    /// What is to be journalled of it, where budgets cover it.
    pub statement: Option<Statement>,
}

/// What becomes of a live call that asks for more time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// No budget covers it: it need not ask again under these rules.
    Free,
    /// It may go on for so long.
    Granted(Lease),
    /// The same, although a budget is used up: so the rules say.
    Over(Lease, Refused),
    /// It must be hung up.
    Refused(Refused),
}

impl RuleSet {
    /// What a call to `subject` costs, if the tenant's tariff says, or that of its
    /// `[inbound]` for a call from a carrier.
    pub(super) fn rate<'r>(&'r self, lane: &Lane, subject: &Subject, now: Now) -> Option<Rate<'r>> {
        let price: Price<'r> = match subject.inbound {
            false => self.price_to(lane, &subject.to)?,
            true => self.inbound_price(lane, &subject.to)?,
        };
        let zone: &'r Zone = self.zones.get(usize::from(lane.zone))?;
        Some(Rate {
            price,
            zone,
            wall: lane.book.wall(now),
        })
    }

    /// Lets a call in with the longest lease that its budgets have room for. It
    /// begins as `begin` says, given a session interval.
    pub(super) fn lease(
        &self,
        rate: &Rate<'_>,
        begin: impl Fn(Duration) -> Course,
        now: Now,
        observes: bool,
        admit: impl Fn(Option<Sum>, Rigour) -> Result<Entry, UsedUp>,
    ) -> Result<(Entry, Lease), UsedUp> {
        let try_for = |(lasts, interval), rigour| {
            let course = begin(interval);
            let asks = course.reserve(rate, now, lasts);
            let lease = Lease {
                lasts,
                interval: course.interval(),
                from_invite: rate.price.bills_ringing(),
                reserved: rate.amount(&asks),
                minute: rate.price.dearest(60),
            };
            admit(Some(asks), rigour).map(|entry| (entry, lease))
        };
        let [longer @ .., shortest] = LEASES_S.map(durations);
        for terms in longer {
            match try_for(terms, Rigour::AskLess) {
                Err(over) if over.over.quantity.is_money() => {}
                Err(_) if observes => return try_for(terms, Rigour::Regardless),
                answer => return answer,
            }
        }
        try_for(shortest, Rigour::of(observes))
    }

    /// The least that its budgets must have free for a call to be let in at `at`
    /// that may ring for `ring`.
    pub(super) fn least(rate: &Rate<'_>, ring: Duration, at: Wall) -> Money {
        let now = Now {
            mono: Mono::ZERO,
            wall: at,
        };
        let [.., (lasts, interval)] = LEASES_S.map(durations);
        let asks = Course::new(now, ring, interval).reserve(rate, now, lasts);
        asks.money
    }

    /// What a call must hold that was let in at `since` by rules under which no
    /// budget covered it. What became of it since is not known here.
    pub(super) fn ask_anew(
        &self,
        lane: &Lane,
        subject: &Subject,
        since: Mono,
        now: Now,
    ) -> Option<Sum> {
        let rate = self.rate(lane, subject, now)?;
        let [(lasts, interval), ..] = LEASES_S.map(durations);
        let begun = Now { mono: since, ..now };
        let begin = match subject.inbound {
            false => Course::new,
            true => Course::inbound,
        };
        let mut course = begin(begun, Duration::ZERO, interval);
        course.answered(Course::OWN, begun, Some(interval));
        Some(course.reserve(&rate, now, lasts))
    }

    /// Asks for more time for a call that lives, by these rules and at these
    /// prices, though it was let in by others. Where that is not granted it keeps
    /// what it holds, which pays for hanging up.
    #[must_use]
    pub fn renew(&self, hold: &Hold, course: &Course, now: Now) -> Renewal {
        let Some(call) = hold.standing() else {
            return Renewal::Free;
        };
        let lane = self.tenant_named(call.book.name());
        let Some(lane) = lane.and_then(|tenant| self.lane(tenant)) else {
            return match call.held {
                Some(_) => Renewal::Refused(Refused::because(Reason::NoTenant)),
                None => Renewal::Free,
            };
        };
        let mut claims = Claims::new();
        self.claims(lane, &call.subject, &mut claims);
        if call.held.is_none() && claims.iter().all(|claim| claim.budget.is_none()) {
            return Renewal::Free;
        }
        let Some(rate) = self.rate(lane, &call.subject, now) else {
            // Most calls from carriers have no price, and cost nothing.
            let free = call.subject.inbound && call.held.is_none();
            return match free || lane.overshoots() || observed_only(&claims) {
                true => Renewal::Free,
                false => Renewal::Refused(Refused::because(Reason::NoPrice)),
            };
        };
        let mut refused = None;
        let interval = course.interval();
        for (at, (lasts, _)) in LEASES_S.map(durations).into_iter().enumerate() {
            let last = at + 1 == LEASES_S.len();
            let request = Request {
                claims: &claims,
                version: self.version,
                zone: rate.zone,
                asks: course.reserve(&rate, now, lasts),
                rigour: match last {
                    true => Rigour::of(lane.overshoots()),
                    false => Rigour::AskLess,
                },
            };
            let lease = Lease {
                lasts,
                interval,
                from_invite: rate.price.bills_ringing(),
                reserved: rate.amount(&request.asks),
                minute: rate.price.dearest(60),
            };
            let renewed = hold.renew(
                now,
                &request,
                |subject, out| self.claims(lane, subject, out),
                |subject, since| self.ask_anew(lane, subject, since, now),
            );
            match renewed {
                Ok(None) => return Renewal::Granted(lease),
                Ok(Some(over)) => return Renewal::Over(lease, self.spent(over)),
                Err(over) => refused = Some(self.spent(over)),
            }
        }
        Renewal::Refused(refused.unwrap_or_else(|| Refused::because(Reason::BudgetSpent)))
    }

    /// Lets a call in again that was let in before a restart, whatever the caps say:
    /// it lives. Where the rules have its tenant no more, it holds what it held. None
    /// where nothing is known of it.
    #[must_use]
    pub fn readmit(&self, kept: &Kept, now: Now) -> Option<Hold> {
        let tenant = self.tenant_named(&kept.tenant);
        let Some(lane) = tenant.and_then(|tenant| self.lane(tenant)) else {
            return self.readmit_strange(kept, now);
        };
        let zone = self.zones.get(usize::from(lane.zone))?;
        let subject = kept.subject()?;
        let mut claims = Claims::new();
        self.claims(lane, &subject, &mut claims);
        let call = Admission {
            subject,
            claims: &claims,
            version: self.version,
            zone,
            wall: lane.book.wall(now),
            asks: None,
            rigour: Rigour::Regardless,
        };
        Some(lane.book.readmit(
            now,
            &call,
            kept,
            |subject, out| self.claims(lane, subject, out),
            |subject, since| self.ask_anew(lane, subject, since, now),
        ))
    }

    /// The same for a call of a tenant that only earlier rules had.
    fn readmit_strange(&self, kept: &Kept, now: Now) -> Option<Hold> {
        let book = self.books.known(&kept.tenant)?;
        let call = Admission {
            subject: kept.subject()?,
            claims: &[],
            version: self.version,
            // No day is counted that would end by it.
            zone: self.zones.first()?,
            wall: book.wall(now),
            asks: None,
            rigour: Rigour::Regardless,
        };
        Some(book.readmit(now, &call, kept, |_, _| {}, |_, _| None))
    }

    /// Books what a call has cost so far, beyond what was `booked` of it before,
    /// and has it hold only what a carrier may yet bill.
    pub fn settle(&self, hold: &Hold, course: &Course, booked: Money, now: Now) -> Settled {
        let Some(call) = hold.standing() else {
            return Settled::default();
        };
        let lane = self.tenant_named(call.book.name());
        let lane = lane.and_then(|tenant| self.lane(tenant));
        let rate = lane.and_then(|lane| self.rate(lane, &call.subject, now));
        let Some(rate) = rate else {
            return Settled {
                cost: call.held.as_ref().map(|held| Amount {
                    currency: Currency::NONE,
                    money: booked.saturating_add(held.money),
                }),
                holds: false,
                statement: hold.book(call.held.as_ref(), None),
            };
        };
        let cost = course.cost(&rate, now);
        let fresh = Sum {
            money: cost.money.saturating_sub(booked),
            ..cost
        };
        let left = course.is_open().then(|| {
            let all = course.reserve(&rate, now, Duration::ZERO);
            Sum {
                money: all.money.saturating_sub(cost.money),
                ..all
            }
        });
        Settled {
            cost: Some(Amount {
                currency: rate.price.currency(),
                money: cost.money.max(booked),
            }),
            holds: left.is_some(),
            statement: hold.book(Some(&fresh), left.as_ref()),
        }
    }

    /// What became of a tenant's own budget in the period that it is now: its
    /// `[budget]`, not those of a `[[cap]]`. None if there is none for
    /// `quantity`, or nothing was spent of it yet.
    #[must_use]
    pub fn used(&self, tenant: TenantId, quantity: Quantity, now: Now) -> Option<Used> {
        let lane = self.lane(tenant)?;
        let zone = self.zones.get(usize::from(lane.zone))?;
        let meter = lane.book.own_meter();
        lane.book.used(now, zone, meter?, quantity)
    }

    fn spent(&self, over: UsedUp) -> Refused {
        Refused {
            value: over.over.value,
            threshold: over.over.threshold,
            rule: self.rule_of(&over),
            ..Refused::because(Reason::used_up(over.over.quantity))
        }
    }

    /// The rules of a cap, one for each thing that it limits.
    pub(super) fn rules_of_cap(&self, cap: &Cap) -> impl Iterator<Item = RuleId> {
        let limited = Quantity::COUNTS
            .into_iter()
            .filter(|it| cap.measure.limits.has(*it));
        let counts = limited.map(|quantity| cap.rule(quantity));
        let allowance = self.allowances.get(cap.allowance as usize);
        counts.chain(allowance.into_iter().flat_map(Allowance::rules))
    }

    /// The rule that says what may not be used up.
    pub(super) fn rule_of(&self, over: &UsedUp) -> Option<RuleId> {
        let cap = self.caps.get(over.cap as usize)?;
        match over.over.quantity {
            quantity if quantity.is_money() => {
                let allowance = self.allowances.get(cap.allowance as usize)?;
                Some(allowance.rule(quantity))
            }
            quantity => Some(cap.rule(quantity)),
        }
    }
}

/// Whether budgets cover a call, and none of them refuses.
fn observed_only(claims: &[Claim<'_>]) -> bool {
    let mut budgets = claims.iter().filter(|claim| claim.budget.is_some());
    let first = budgets.next();
    first.is_some_and(|first| first.measure.observe) && budgets.all(|claim| claim.measure.observe)
}

impl Lane {
    /// Whether live calls go on when a budget is used up.
    pub(super) fn overshoots(&self) -> bool {
        self.when_spent == WhenSpent::RefuseNew || self.mode == Mode::Observe
    }
}

/// The figures of [`LEASES_S`].
pub(super) fn durations((lasts, interval): (u32, u32)) -> (Duration, Duration) {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    (seconds(lasts), seconds(interval))
}
