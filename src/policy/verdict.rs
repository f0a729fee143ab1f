//! What becomes of a call: read, matched, counted.

use std::time::Duration;

use super::counters::{
    Admission, Claims, Counted, Entry, Hold, Minute, Rigour, Subject, UsedUp, Zone,
};
use super::facts::{Caller, Facts, Identity, Presentation};
use super::lane::{Lane, Longest, NO_TARIFF};
use super::lease::Course;
use super::matcher::{self, Decision as Matched};
use super::number::{Kind, NotANumber, NotANumberKind, Number, Reading};
use super::numbering::{Class, Country};
use super::pattern::{Alert, Stage, Watched};
use super::plan::Plan;
use super::reason::Reason;
use super::ruleset::{Mode, RuleId, RuleSet, TenantId};
use super::spending::Lease;
use super::target::{Destination, Packed};
use crate::base::time::Now;

/// A call as it may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The number it goes to: this is what is sent.
    pub number: Number,
    /// The number's class; none for an emergency.
    pub class: Option<Class>,
    /// The number's country, if it has one.
    pub country: Option<Country>,
    /// Who the carrier is told is calling.
    pub caller: Caller,
    /// Whether the caller is to be shown.
    pub presentation: Presentation,
    /// The rule that allows it; none for an emergency, and in observe mode
    /// where no rule does.
    pub rule: Option<RuleId>,
}

/// A call that does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Why what was dialled is no number, if that is the reason.
    pub unread: Option<NotANumber>,
    /// The rule that refuses it; none where no rule allows it.
    pub rule: Option<RuleId>,
    /// The number, if it could be read.
    pub number: Option<Number>,
    /// What was counted, where a cap is used up; else zero.
    pub value: u64,
    /// What is allowed of it, where a cap is used up; else zero.
    pub threshold: u64,
    /// A pattern that this call makes, whatever it is refused for.
    pub alert: Option<Alert>,
}

impl Refused {
    /// A refusal for a reason that has nothing to do with the call itself.
    #[must_use]
    pub fn because(reason: Reason) -> Self {
        Self::new(reason, None, None)
    }

    fn unread(unread: NotANumber) -> Self {
        Self {
            unread: Some(unread),
            ..Self::new(Reason::NoSingleMeaning, None, None)
        }
    }

    fn denied(rule: RuleId, number: Number) -> Self {
        Self::new(Reason::DestinationDenied, Some(rule), Some(number))
    }

    pub(super) fn new(reason: Reason, rule: Option<RuleId>, number: Option<Number>) -> Self {
        Self {
            reason,
            unread: None,
            rule,
            number,
            value: 0,
            threshold: 0,
            alert: None,
        }
    }
}

/// What the rules say of a call before anything is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An emergency: it leaves, whatever else the rules say.
    Emergency(Permit),
    /// It is allowed, if the caps have room.
    Allow(Permit),
    /// So it is, by a rule that would refuse it and only observes.
    Observe(Refused, Permit),
    /// It is not; and what it would leave as in observe mode, if its number can
    /// be read.
    Refuse(Refused, Option<Permit>),
}

/// A call that leaves.
#[derive(Debug)]
#[must_use = "it holds places under caps"]
pub struct Allowed {
    /// As what it leaves.
    pub permit: Permit,
    /// What it holds in the counters, until it is over.
    pub hold: Hold,
    /// Where it was counted; nowhere in an emergency.
    pub counted: Option<Counted>,
    /// What it holds of budgets, if any covers it, and for how long.
    pub lease: Option<Lease>,
    /// Why it would have been refused, where that is only observed.
    pub observed: Option<Refused>,
    /// A pattern that this call makes.
    pub alert: Option<Alert>,
    /// The longest that it may last once it is answered.
    pub longest_call: Duration,
    /// The longest that it may ring.
    pub longest_ring: Duration,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Verdict {
    /// It is an emergency, and leaves uncounted.
    Emergency(Allowed),
    /// It leaves, and was counted.
    Allow(Allowed),
    /// It does not leave.
    Refuse(Refused),
}

/// What a call is judged by.
pub(super) struct Tenancy<'r> {
    pub lane: &'r Lane,
    pub plan: &'r Plan,
    pub zone: &'r Zone,
}

/// What the destination rules say.
#[derive(Clone, Copy)]
enum Ruling {
    Allow(RuleId),
    Observe(RuleId),
    Refuse(Reason, Option<RuleId>),
}

/// A call that was read and matched, in few bytes.
struct Considered {
    reading: Reading,
    identity: Identity,
    /// What caps look at, and what the rules say; nothing of both in an emergency.
    ruled: Option<(Subject, Ruling)>,
}

impl RuleSet {
    /// What the rules say of a call, without looking at counters or touching
    /// them. Allocates nothing.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        let Some(tenancy) = self.tenancy(facts.tenant) else {
            return Decision::Refuse(Refused::new(Reason::NoTenant, None, None), None);
        };
        let considered = match self.consider(&tenancy, facts) {
            Ok(considered) => considered,
            Err(unread) => return Decision::Refuse(Refused::unread(unread), None),
        };
        let mut permit = permit(&considered, facts);
        match considered.ruled {
            None => Decision::Emergency(permit),
            Some((_, Ruling::Allow(rule))) => {
                permit.rule = Some(rule);
                Decision::Allow(permit)
            }
            Some((_, Ruling::Observe(rule))) => {
                Decision::Observe(Refused::denied(rule, permit.number), permit)
            }
            Some((_, Ruling::Refuse(reason, rule))) => {
                let refused = Refused::new(reason, rule, Some(permit.number));
                let observed = reason != Reason::NoPrice || tenancy.lane.unpriced;
                Decision::Refuse(refused, observed.then_some(permit))
            }
        }
    }

    /// Judges a call: reads it, matches it, and takes its places under all caps
    /// or none. Allocates nothing once the tenant's counters have grown.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>, now: Now) -> Verdict {
        let Some(tenancy) = self.tenancy(facts.tenant) else {
            return Verdict::Refuse(Refused::new(Reason::NoTenant, None, None));
        };
        let lane = tenancy.lane;
        self.warm_lane(lane);
        let considered = match self.consider(&tenancy, facts) {
            Ok(considered) => considered,
            Err(unread) => {
                let stage = Stage::RefusedByRule;
                let alert = self.watch(&tenancy, facts, None, stage, now).alert;
                let refused = Refused::unread(unread);
                return Verdict::Refuse(Refused { alert, ..refused });
            }
        };
        let number = considered.reading.number;
        let Some((subject, ruling)) = &considered.ruled else {
            return Verdict::Emergency(emergency(permit(&considered, facts)));
        };
        let stage = match ruling {
            Ruling::Refuse(..) => Stage::RefusedByRule,
            Ruling::Allow(_) | Ruling::Observe(_) => Stage::Ruled,
        };
        let watched = self.watch(&tenancy, facts, Some(subject), stage, now);
        let alert = watched.alert;
        let (rule, observed) = match (ruling, watched.refuse) {
            (&Ruling::Allow(rule), None) => (Some(rule), None),
            _ => match uncounted(lane, ruling, &watched, number) {
                Ok(allowed) => allowed,
                Err(refused) => return Verdict::Refuse(refused),
            },
        };
        let Admitted {
            entry:
                Entry {
                    hold,
                    over,
                    counted,
                },
            longest,
            lease,
        } = match self.admit(&tenancy, subject, Duration::ZERO, now) {
            Ok(admitted) => admitted,
            Err(used_up) => {
                let stage = Stage::RefusedByCap;
                let later = self.watch(&tenancy, facts, Some(subject), stage, now);
                let refused = self.used_up(used_up, number);
                let alert = alert.or(later.alert);
                return Verdict::Refuse(Refused { alert, ..refused });
            }
        };
        Verdict::Allow(Allowed {
            permit: Permit {
                rule,
                ..permit(&considered, facts)
            },
            hold,
            counted: Some(counted),
            lease,
            observed: observed.or_else(|| over.map(|it| self.used_up(it, number))),
            alert,
            longest_call: seconds(longest.call),
            longest_ring: seconds(longest.ring),
        })
    }

    pub(super) fn tenancy(&self, tenant: TenantId) -> Option<Tenancy<'_>> {
        let lane = self.lane(tenant)?;
        Some(Tenancy {
            lane,
            plan: self.plans.get(usize::from(lane.plan))?,
            zone: self.zones.get(usize::from(lane.zone))?,
        })
    }

    /// Reads a call and matches it against the destinations.
    fn consider(
        &self,
        &Tenancy { lane, plan, .. }: &Tenancy<'_>,
        facts: &Facts<'_>,
    ) -> Result<Considered, NotANumber> {
        let reading = plan.read(&facts.request_uri, &self.numbering)?;
        let identity = self.identify(lane, plan, facts);
        if reading.kind == Kind::Emergency {
            return Ok(Considered {
                reading,
                identity: identity.without_others(),
                ruled: None,
            });
        }
        let to = Destination::of(&reading).ok_or(NotANumber {
            kind: NotANumberKind::Length,
            at: 0,
        })?;
        let mut ruling = match matcher::decide(self.destinations_of(lane), &to, plan.country()) {
            Matched::Uncovered => Ruling::Refuse(Reason::DestinationNotAllowed, None),
            Matched::Deny(rule) => Ruling::Refuse(Reason::DestinationDenied, Some(RuleId(rule))),
            Matched::Allow(rule) => Ruling::Allow(RuleId(rule)),
            Matched::Observe(rule) => Ruling::Observe(RuleId(rule)),
        };
        if let (Ruling::Allow(_) | Ruling::Observe(_), Some((reason, rule))) =
            (ruling, identity.refused)
        {
            ruling = Ruling::Refuse(reason, Some(rule));
        }
        let ruling = self.with_a_price(facts.tenant, lane, &to, ruling);
        let subject = Subject {
            to,
            caller: identity.counted,
            minute: Minute::default(),
            inbound: false,
        };
        Ok(Considered {
            reading,
            identity,
            ruled: Some((subject, ruling)),
        })
    }

    /// Refuses what would go out without a price, where the tenant has a tariff.
    fn with_a_price(
        &self,
        tenant: TenantId,
        lane: &Lane,
        to: &Destination,
        ruling: Ruling,
    ) -> Ruling {
        let goes = match ruling {
            Ruling::Allow(_) | Ruling::Observe(_) => true,
            Ruling::Refuse(..) => lane.mode == Mode::Observe && !lane.unpriced,
        };
        if !goes || lane.tariff == NO_TARIFF || self.price_to(lane, to).is_some() {
            return ruling;
        }
        let rule = self.tenant(tenant).and_then(|it| it.tariff_rule);
        Ruling::Refuse(Reason::NoPrice, rule)
    }

    /// Takes the call's places under all caps that cover it, and of their budgets
    /// what it may cost, where the carrier takes no shorter session than `least`.
    pub(super) fn admit(
        &self,
        tenancy: &Tenancy<'_>,
        subject: &Subject,
        least: Duration,
        now: Now,
    ) -> Result<Admitted, UsedUp> {
        let lane = tenancy.lane;
        let wall = lane.book.wall(now);
        let minute = Minute::of(wall);
        let subject = Subject { minute, ..*subject };
        let mut claims = Claims::new();
        self.claims(lane, &subject, &mut claims);
        let caps = claims.iter();
        let caps = caps.filter_map(|claim| self.caps.get(claim.cap as usize));
        // The shortest of what the tenant and its narrower caps allow.
        let longest = caps.fold(lane.longest(), |longest, cap| longest.min(cap.longest));
        let observes = lane.mode == Mode::Observe;
        let admit = |asks, rigour| {
            let admission = Admission {
                subject,
                claims: &claims,
                version: self.version,
                zone: tenancy.zone,
                wall,
                asks,
                rigour,
            };
            lane.book.admit(
                now,
                &admission,
                |subject, out| self.claims(lane, subject, out),
                |subject, since| self.ask_anew(lane, subject, since, now),
            )
        };
        let covered = claims.iter().any(|claim| claim.budget.is_some());
        let rate = covered.then(|| self.rate(lane, &subject, now)).flatten();
        let Some(rate) = rate else {
            return Ok(Admitted {
                entry: admit(None, Rigour::of(observes))?,
                longest,
                lease: None,
            });
        };
        let ring = seconds(longest.ring);
        let begin = |interval: Duration| match subject.inbound {
            false => Course::new(now, ring, interval),
            true => Course::inbound(now, ring, interval.max(least)),
        };
        self.lease(&rate, begin, now, observes, admit)
            .map(|(entry, lease)| Admitted {
                entry,
                longest,
                lease: Some(lease),
            })
    }

    pub(super) fn used_up(&self, used_up: UsedUp, number: Number) -> Refused {
        let rule = self.rule_of(&used_up);
        let over = used_up.over;
        Refused {
            value: over.value,
            threshold: over.threshold,
            ..Refused::new(Reason::used_up(over.quantity), rule, Some(number))
        }
    }
}

/// A call that is let in.
pub(super) struct Admitted {
    pub entry: Entry,
    pub longest: Longest,
    pub lease: Option<Lease>,
}

/// The longest that an emergency call may take and ring, whatever the tenant's
/// caps are: so long that none is cut off, and none is forgotten.
const LONGEST_EMERGENCY: Duration = Duration::from_secs(24 * 3_600);
const LONGEST_EMERGENCY_RING: Duration = Duration::from_secs(600);

/// An emergency call, which leaves uncounted.
pub(super) fn emergency(permit: Permit) -> Allowed {
    Allowed {
        permit,
        hold: Hold::nothing(),
        counted: None,
        lease: None,
        observed: None,
        alert: None,
        longest_call: LONGEST_EMERGENCY,
        longest_ring: LONGEST_EMERGENCY_RING,
    }
}

/// What becomes of a call before caps are asked: the rule that allows it, and what
/// would have refused it where that is only observed.
///
/// # Errors
///
/// What refuses it.
fn uncounted(
    lane: &Lane,
    ruling: &Ruling,
    watched: &Watched,
    number: Number,
) -> Result<(Option<RuleId>, Option<Refused>), Refused> {
    let alert = watched.alert;
    let enforced = |refused: Refused| {
        let refused = Refused { alert, ..refused };
        match lane.lets_go(refused.reason) {
            true => Ok(refused),
            false => Err(refused),
        }
    };
    let (rule, observed) = match *ruling {
        Ruling::Allow(rule) => (Some(rule), None),
        Ruling::Observe(rule) => (None, Some(Refused::denied(rule, number))),
        Ruling::Refuse(reason, rule) => {
            let refused = Refused::new(reason, rule, Some(number));
            (None, Some(enforced(refused)?))
        }
    };
    let Some(pattern) = watched.refuse else {
        return Ok((rule, observed));
    };
    let by_pattern = enforced(Refused::by_pattern(pattern, number))?;
    Ok((rule, observed.or(Some(by_pattern))))
}

pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// The call as it would leave.
fn permit(considered: &Considered, facts: &Facts<'_>) -> Permit {
    let Considered {
        reading, identity, ..
    } = considered;
    let (country, class) = match reading.kind {
        Kind::International { country, class } => (country, Some(class)),
        Kind::Service(class) => (None, Some(class)),
        Kind::Emergency => (None, None),
    };
    Permit {
        number: reading.number,
        class,
        country,
        caller: Caller {
            // Compiled rules have a number to show. Were there none, an emergency
            // call must leave all the same.
            number: identity.number.number().unwrap_or(reading.number),
            replaced: identity.replaced,
            by: match identity.number == identity.counted {
                true => Packed::default(),
                false => identity.counted,
            },
        },
        presentation: facts.presentation(reading.privacy),
        rule: None,
    }
}

pub(super) mod explain;

#[cfg(test)]
mod tests;
