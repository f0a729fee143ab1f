//! What is told of besides calls.

use crate::base::time::Wall;
use crate::record::Record;

/// What was noted, or ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The short name of a note or an order.
    pub what: String,
    /// About what.
    pub detail: String,
    /// Who ordered it; empty if nobody did.
    pub by: String,
    /// Why, as whoever ordered it said.
    pub why: String,
    /// It is about every tenant.
    pub all: bool,
    /// Calls that were up were hung up.
    pub hang_up: bool,
    /// For so many seconds; 0 for as long as nobody takes it back.
    pub lasts_s: u64,
}

impl Event {
    /// What was noted or ordered, and when: of this tenant, or of everybody.
    pub(super) fn of(shard: u16, record: &Record<'_>, whose: &str) -> Option<(Wall, Self)> {
        match *record {
            Record::Note {
                wall, what, detail, ..
            // Those are of a carrier, which may have a tenant's name.
            } if !what.starts_with("registration-") => {
                let (tenant, detail) = detail.split_once(": ")?;
                let event = Self {
                    what: what.to_owned(),
                    detail: detail.to_owned(),
                    ..Self::default()
                };
                (tenant == whose).then_some((wall, event))
            }
            // Every shard has these.
            Record::Ordered {
                wall,
                order,
                tenant,
                detail,
                by,
                why,
                hang_up,
                lasts_s,
                ..
            } if shard == 0 && (tenant.is_empty() || tenant == whose) => {
                let [what, detail, by, why] = [order, detail, by, why].map(str::to_owned);
                let event = Self {
                    what,
                    detail,
                    by,
                    why,
                    all: tenant.is_empty(),
                    hang_up,
                    lasts_s,
                };
                Some((wall, event))
            }
            Record::Reset {
                wall,
                tenant,
                by,
                why,
                ..
            } if shard == 0 && tenant == whose => {
                let [what, by, why] = ["reset", by, why].map(str::to_owned);
                let event = Self {
                    what,
                    by,
                    why,
                    ..Self::default()
                };
                Some((wall, event))
            }
            _ => None,
        }
    }
}
