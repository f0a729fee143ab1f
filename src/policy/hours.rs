//! Hours of the week, and the days on which they are not.

use std::sync::Arc;

use jiff::civil::{Date, DateTime};

/// Named hours of a tenant: `[hours.office]`.
#[derive(Debug)]
pub(super) struct Hours {
    /// Their name, by which counters know them.
    pub name: Arc<str>,
    /// In minutes from Monday 0:00, each to before the second.
    pub spans: Vec<(u16, u16)>,
    /// Dates on which they are not; sorted, from the first to the last of each.
    pub holidays: Vec<(Date, Date)>,
}

/// The minutes of a day.
pub(super) const DAY: u16 = 24 * 60;

/// Inside some hours, or outside of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct When {
    /// Which, of all hours in a rule set.
    pub hours: u32,
    /// Outside of them.
    pub outside: bool,
}

impl Hours {
    /// Whether a time of the tenant's zone is within them.
    pub(super) fn contain(&self, time: DateTime) -> bool {
        let date = time.date();
        let day = u16::try_from(time.weekday().to_monday_zero_offset()).unwrap_or(0);
        let of_day = time.hour().unsigned_abs();
        let minute = day * DAY + u16::from(of_day) * 60 + u16::from(time.minute().unsigned_abs());
        let behind = self.holidays.partition_point(|(first, _)| *first <= date);
        let holiday = behind.checked_sub(1).and_then(|at| self.holidays.get(at));
        let is_holiday = holiday.is_some_and(|(_, last)| date <= *last);
        let inside = |(from, to): &(u16, u16)| (*from..*to).contains(&minute);
        !is_holiday && self.spans.iter().any(inside)
    }
}
