//! Why a call is judged as it is: for people, before anything is counted.

use std::time::Duration;

use super::{Decision, LONGEST_EMERGENCY, LONGEST_EMERGENCY_RING, seconds};
use crate::base::time::Wall;
use crate::policy::counters::{Claims, Minute, Subject};
use crate::policy::facts::Facts;
use crate::policy::lease::Rate;
use crate::policy::money::{Amount, Currency, Money};
use crate::policy::number::Number;
use crate::policy::numbering::{Class, Country};
use crate::policy::plan::Step;
use crate::policy::ruleset::{RuleId, RuleSet, TenantId};

/// What the rules say of a call, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What becomes of it, as far as no cap is used up.
    pub decision: Decision,
    /// The number's class and country; none for an emergency, and for what has no
    /// number.
    pub sort: Option<(Option<Class>, Option<Country>)>,
    /// How the number was read.
    pub steps: Vec<Step>,
    /// What it costs; none where nothing says so, and for an emergency.
    pub price: Option<Priced>,
    /// What its budgets must have free for it to be let in; none if there are none,
    /// or nothing says what it costs.
    pub reserve: Option<Amount>,
    /// The caps that it counts under; none for an emergency and for what has no
    /// number.
    pub caps: Vec<RuleId>,
    /// The longest that it may last once it is answered.
    pub longest_call: Duration,
    /// The longest that it may ring.
    pub longest_ring: Duration,
}

/// What a call costs, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priced {
    /// What it is in.
    pub currency: Currency,
    /// A call of a minute, now.
    pub minute: Money,
    /// The most that a call of a minute may ever cost: over a change of rate carriers bill
    /// differently, and this is what no sane bill exceeds.
    pub minute_at_worst: Money,
    /// A minute of ringing that nobody answers, now.
    pub attempt: Money,
}

impl RuleSet {
    /// What the rules say of a call at this time, and why. Slow, for commands.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>, at: Wall) -> Explanation {
        let mut explanation = Explanation {
            decision: self.decide(facts),
            sort: None,
            steps: Vec::new(),
            price: None,
            reserve: None,
            caps: Vec::new(),
            longest_call: LONGEST_EMERGENCY,
            longest_ring: LONGEST_EMERGENCY_RING,
        };
        let Some(tenancy) = self.tenancy(facts.tenant) else {
            return explanation;
        };
        explanation.steps = tenancy.plan.steps(&facts.request_uri, &self.numbering).0;
        let Ok(considered) = self.consider(&tenancy, facts) else {
            return explanation;
        };
        let Some((subject, _)) = &considered.ruled else {
            return explanation;
        };
        explanation.sort = Some((Some(subject.to.class), subject.to.country));
        let until = at + Duration::from_secs(60);
        explanation.price = self
            .price_to(tenancy.lane, &subject.to)
            .map(|price| Priced {
                currency: price.currency(),
                minute: price.at_most(tenancy.zone, at, until, 60),
                minute_at_worst: price.dearest(60),
                attempt: price.attempt(tenancy.zone, at, until, 60),
            });
        let mut claims = Claims::new();
        let subject = Subject {
            minute: Minute::of(at),
            ..*subject
        };
        self.claims(tenancy.lane, &subject, &mut claims);
        let caps = claims.iter();
        let caps = caps.filter_map(|claim| self.caps.get(claim.cap as usize));
        let mut longest = tenancy.lane.longest();
        for cap in caps {
            explanation.caps.extend(self.rules_of_cap(cap));
            longest = longest.min(cap.longest);
        }
        explanation.longest_call = seconds(longest.call);
        explanation.longest_ring = seconds(longest.ring);
        let price = self.price_to(tenancy.lane, &subject.to);
        let price = price.filter(|_| claims.iter().any(|claim| claim.budget.is_some()));
        explanation.reserve = price.map(|price| {
            let (zone, wall) = (tenancy.zone, at);
            let rate = Rate { price, zone, wall };
            Amount {
                currency: price.currency(),
                money: Self::least(&rate, seconds(longest.ring), at),
            }
        });
        explanation
    }

    /// The number that a tenant shows in place of one that is not its own.
    #[must_use]
    pub fn default_caller(&self, tenant: TenantId) -> Option<Number> {
        self.lane(tenant)?.default.number()
    }
}
