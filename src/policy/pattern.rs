//! Patterns of fraud in a tenant's calls: what each looks at, and what follows.

use super::counters::{Book, Seen, Sign, Subject, Then};
use super::facts::Facts;
use super::hours::When;
use super::number::Number;
use super::numbering::Country;
use super::reason::Reason;
use super::ruleset::{RuleId, RuleSet};
use super::target::Target;
use super::verdict::{Refused, Tenancy};
use crate::base::time::Now;

/// A pattern that was seen, to be told once for as long as it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which.
    pub reason: Reason,
    /// The `[[pattern]]`.
    pub rule: RuleId,
    /// How much of it was seen.
    pub value: u32,
    /// How much it takes.
    pub threshold: u32,
}

/// A `[[pattern]]`, compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What is looked at.
    pub sign: Sign,
    /// Where the tenant's book keeps what was seen.
    pub place: u32,
    /// How much of it makes the pattern.
    pub count: u32,
    /// Within how many nanoseconds.
    pub within: u64,
    /// What follows from it.
    pub then: Then,
    /// Burst: when, and to where.
    pub when: Option<When>,
    pub to: Option<Target>,
    /// New country: those that are none.
    pub known: Box<[Country]>,
    pub rule: RuleId,
}

/// What a call's patterns come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    /// What is to be told.
    pub alert: Option<Alert>,
    /// What the call is to be refused for.
    pub refuse: Option<Alert>,
}

/// How far a call has come when patterns look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No rule of destinations or callers refuses it.
    Ruled,
    /// One does, or it cannot be read.
    RefusedByRule,
    /// Its destination is allowed, but a cap has no room. It was looked at before.
    RefusedByCap,
}

impl RuleSet {
    /// Notes a call in all patterns of its tenant. `subject` is what it is, if it
    /// could be read.
    #[inline]
    pub(super) fn watch(
        &self,
        tenancy: &Tenancy<'_>,
        facts: &Facts<'_>,
        subject: Option<&Subject>,
        stage: Stage,
        now: Now,
    ) -> Watched {
        match tenancy.lane.watched {
            true => self.look(tenancy, facts, subject, stage, now),
            false => Watched::default(),
        }
    }

    #[inline(never)]
    fn look(
        &self,
        tenancy: &Tenancy<'_>,
        facts: &Facts<'_>,
        subject: Option<&Subject>,
        stage: Stage,
        now: Now,
    ) -> Watched {
        let mut watched = Watched::default();
        let lane = tenancy.lane;
        let patterns = self.tenant(facts.tenant).map(|tenant| tenant.patterns);
        for pattern in patterns.unwrap_or_default().of(&self.patterns) {
            let Some(seen) = self.seen(tenancy, pattern, facts, subject, stage, now) else {
                continue;
            };
            let quiet = watched.alert.is_some();
            pattern.look(&lane.book, seen, quiet, now, &mut watched);
        }
        watched
    }

    /// What of a call a pattern looks at; nothing if it is not about such a call.
    fn seen(
        &self,
        Tenancy { lane, plan, .. }: &Tenancy<'_>,
        pattern: &Pattern,
        facts: &Facts<'_>,
        subject: Option<&Subject>,
        stage: Stage,
        now: Now,
    ) -> Option<Seen> {
        if let (Sign::Refusals, source) = (pattern.sign, facts.source) {
            return Some(Seen::source(source, stage != Stage::Ruled));
        }
        let to = &subject?.to;
        let let_go = stage == Stage::Ruled;
        match pattern.sign {
            Sign::PrefixWalk { digits } if stage != Stage::RefusedByCap => {
                Seen::walk(to.digits, digits)
            }
            Sign::ShortCalls { range, .. } if let_go => Some(Seen::range(to.digits, range)),
            Sign::NewCountry if let_go && to.is_abroad(plan.country()) => {
                let country = to.country.filter(|it| pattern.known.contains(it));
                country.is_none().then(|| Seen::country(to.country))
            }
            Sign::Burst if let_go => {
                let minute = super::counters::Minute::of(lane.book.wall(now));
                let then = pattern
                    .when
                    .is_none_or(|it| self.is_within(lane, minute, it));
                let there = pattern.to.is_none_or(|it| it.covers(to, plan.country()));
                (then && there).then_some(Seen::ALL)
            }
            _ => None,
        }
    }
}

impl Pattern {
    fn look(&self, book: &Book, seen: Seen, quiet: bool, now: Now, watched: &mut Watched) {
        let (count, within) = (self.count, self.within);
        let Some(sight) = book.see(self.place, seen, (count, within), quiet, now.mono) else {
            return;
        };
        let alert = Alert {
            reason: Reason::of_sign(self.sign),
            rule: self.rule,
            value: sight.value,
            threshold: count,
        };
        if sight.tell {
            watched.alert = Some(alert);
        }
        if self.then != Then::Alert {
            watched.refuse = watched.refuse.or(Some(alert));
        }
    }
}

impl Refused {
    /// A refusal because of a pattern.
    pub(super) fn by_pattern(it: Alert, number: Number) -> Self {
        Self {
            number: Some(number),
            rule: Some(it.rule),
            value: it.value.into(),
            threshold: it.threshold.into(),
            ..Self::because(it.reason)
        }
    }
}
