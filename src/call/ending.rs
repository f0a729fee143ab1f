//! What the journal is told of a call's end.

use crate::base::time::Now;
use crate::policy::Amount;
use crate::record::{Party, Record};

use super::call::{Call, Ending};
use super::{Event, Outbox, Turn};

impl Turn<'_> {
    /// Says that the call is on its way to its end, where that takes more than this
    /// step: after a restart it must not go on.
    pub(super) fn journal_ending(&mut self) {
        let carrier = self.call.leg(self.call.carrier_side()).progress;
        let told = self.call.told_ending || carrier.is_closed();
        if let Some(ending) = self.call.ending.filter(|_| !told) {
            self.call.told_ending = true;
            self.journal_not_to_go_on(ending.by, ending.cause);
        }
    }

    /// Says that the call is not to go on after a restart.
    pub(super) fn journal_not_to_go_on(&mut self, by: Party, cause: &str) {
        self.out.journal(&Record::Ending {
            call: self.call.reference,
            wall: self.now.wall,
            by,
            cause,
        });
    }
}

impl Call {
    /// Says that the call is over.
    pub(super) fn journal_end(&self, now: Now, cost: Option<Amount>, out: &mut Outbox) {
        let ending = self.ending.unwrap_or(Ending {
            by: Party::Tollgate,
            cause: "closed",
            status: 0,
        });
        let duration = self
            .answered
            .map(|start| now.mono.saturating_since(start.mono));
        let record = Record::Ended {
            call: self.reference,
            wall: now.wall,
            answered: duration.is_some(),
            duration_ms: duration.map_or(0, |length| {
                u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
            }),
            by: ending.by,
            cause: ending.cause,
            status: ending.status,
            cost: cost.map_or(0, |cost| cost.money.millionths()),
            currency: cost.as_ref().map_or("", |cost| cost.currency.as_str()),
        };
        out.journal(&record);
        out.events.push(Event::Ended {
            call: self.reference,
            duration,
            by: ending.by,
            cause: ending.cause,
        });
    }
}
