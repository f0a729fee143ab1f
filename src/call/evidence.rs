//! How much is kept of refused calls: under attack the journal must not become what
//! fills the disk, and must still show what every kind of it was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::limits::{EVIDENCE_KINDS, REFUSALS_RECORDED, REFUSALS_WHOLE};
use crate::base::time::{Mono, Now, Wall};
use crate::policy::number::Number;
use crate::policy::{Reason, RuleSet, TenantId};
use crate::record::{Direction, Record};

use super::Outbox;

/// The time for which refusals are counted.
const SPAN: Duration = Duration::from_secs(60);

/// How long a sum waits for more.
const SUM: Duration = Duration::from_secs(1);

/// Refusals that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) tenant: Option<TenantId>,
    pub(super) direction: Direction,
    pub(super) reason: Reason,
}

/// How much of a refused call is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Its verdict, and the INVITE as it came.
    Whole,
    /// Its verdict.
    Short,
    /// It is counted in a sum.
    Counted,
}

#[derive(Debug, Default)]
struct Quota {
    refused: u32,
    sum: Option<Sum>,
}

/// Refusals that are recorded together.
#[derive(Debug)]
struct Sum {
    first: Wall,
    last: Wall,
    count: u64,
    source: SocketAddr,
    number: Option<Number>,
}

/// What refusals of this minute were like.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    kinds: HashMap<Kind, Quota, foldhash::fast::FixedState>,
    /// When the minute is over; None while there was nothing in it.
    ends: Option<Mono>,
    /// When sums are to be recorded.
    due: Option<Mono>,
}

impl Evidence {
    /// Counts a refusal, and says how much of it is recorded.
    pub(super) fn take(
        &mut self,
        now: Now,
        kind: Kind,
        source: SocketAddr,
        number: Option<Number>,
    ) -> Extent {
        if self.ends.is_none_or(|ends| ends <= now.mono) {
            // Sums wait for their own time.
            self.kinds.retain(|_, quota| quota.sum.is_some());
            self.kinds.values_mut().for_each(|quota| quota.refused = 0);
            self.ends = Some(now.mono + SPAN);
        }
        if self.kinds.len() >= EVIDENCE_KINDS && !self.kinds.contains_key(&kind) {
            return Extent::Short;
        }
        let quota = self.kinds.entry(kind).or_default();
        quota.refused = quota.refused.saturating_add(1);
        if quota.refused <= REFUSALS_WHOLE {
            return Extent::Whole;
        }
        if quota.refused <= REFUSALS_RECORDED {
            return Extent::Short;
        }
        let sum = quota.sum.get_or_insert(Sum {
            first: now.wall,
            last: now.wall,
            count: 0,
            source,
            number,
        });
        (sum.last, sum.source, sum.number) = (now.wall, source, number);
        sum.count += 1;
        self.due.get_or_insert(now.mono + SUM);
        Extent::Counted
    }

    /// When [`Self::record`] is to be called.
    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Records the sums.
    pub(super) fn record(&mut self, now: Now, rules: &RuleSet, out: &mut Outbox) {
        self.due = None;
        for (kind, quota) in &mut self.kinds {
            let Some(sum) = quota.sum.take() else {
                continue;
            };
            let tenant = kind.tenant.and_then(|id| rules.tenant(id));
            out.journal(&Record::Refusals {
                wall: now.wall,
                tenant: tenant.map_or("", |tenant| &tenant.name),
                direction: kind.direction,
                reason: kind.reason.code(),
                first: sum.first,
                last: sum.last,
                count: sum.count,
                source: sum.source,
                number: sum.number.as_ref().map_or("", Number::as_str),
            });
        }
    }

    /// Begins anew: other rules may number tenants otherwise.
    pub(super) fn clear(&mut self) {
        self.kinds.clear();
        (self.ends, self.due) = (None, None);
    }
}
