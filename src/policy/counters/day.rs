//! The calendar: which day of a time zone it is, by a clock that may lie.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::base::time::{Now, Wall};

/// How far the wall clock may run from the monotonic one before it is followed.
const DRIFT: Duration = Duration::from_secs(1);

/// The wall clock, checked against the monotonic one.
///
/// A wall clock that jumps would open a new day early, and with it a new day's
/// worth of calls. So after a jump time is reckoned on from where both clocks
/// agreed last, until someone confirms the new time.
///
/// Shards read and move it without a lock: what they agree on differs by less
/// than a jump in any case.
#[derive(Debug)]
pub(super) struct CivilClock {
    /// Microseconds by which the wall clock is ahead of the monotonic one;
    /// [`CivilClock::UNKNOWN`] before the first look.
    ahead: AtomicI64,
}

impl Default for CivilClock {
    fn default() -> Self {
        Self {
            ahead: AtomicI64::new(Self::UNKNOWN),
        }
    }
}

impl CivilClock {
    const UNKNOWN: i64 = i64::MIN;

    /// What the wall shows at `now`, as far as it can be believed.
    pub(super) fn read(&self, now: Now) -> Wall {
        let ahead = now.ahead();
        let agreed = self.ahead.load(Ordering::Relaxed);
        if agreed == Self::UNKNOWN {
            self.agree(ahead);
            return now.wall;
        }
        let reckoned = now.reckoned(agreed).wall;
        // Most looks find what the last one left, and write nothing.
        let apart = Duration::from_micros(ahead.abs_diff(agreed));
        if reckoned == now.wall && apart > DRIFT {
            self.agree(ahead);
        }
        reckoned
    }

    /// Both clocks agree where the wall clock is so many microseconds ahead of the
    /// monotonic one.
    pub(super) fn agree(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// By how many seconds the wall clock is ahead of what is believed; 0 if it is
    /// believed.
    pub(super) fn ahead_s(&self, now: Now) -> i64 {
        let believed = self.read(now).as_micros();
        now.wall.as_micros().saturating_sub(believed) / SECOND
    }

    /// Takes the next look for right, whatever it shows.
    pub(super) fn confirm(&self) {
        self.agree(Self::UNKNOWN);
    }
}

/// Days, counted from 1970-01-01 by a time zone's own calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Dates {
    /// The first.
    pub first: i32,
    /// The last; not before the first.
    pub last: i32,
}

impl Dates {
    /// From the earlier first to the later last.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Counted from 1970-01-01.
    pub number: i32,
    /// When it begins.
    pub start: Wall,
    /// When the next one does.
    pub end: Wall,
}

/// A time zone, and the calendar day in it that was asked for last.
#[derive(Debug)]
pub(in crate::policy) struct Zone {
    zone: TimeZone,
    /// That day, packed: see [`Packed`]. Zero is no day.
    day: AtomicU64,
}

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Seconds of a plain day.
const DAY: i64 = 86_400;

/// A day in one word: its number, how many seconds before or after midnight in
/// UTC it begins, and how many it has.
struct Packed;

impl Packed {
    /// The bits of a start, and of a length.
    const BITS: u32 = 20;
    /// Half the range of a start, and of a number.
    const EVEN: i64 = 1 << (Self::BITS - 1);
    const NUMBERS: i64 = 1 << 23;

    fn pack(day: &Day) -> Option<u64> {
        let number = i64::from(day.number);
        let start = day.start.as_micros();
        let length = day.end.as_micros().checked_sub(start)?;
        // A day that cannot be written down is found anew each time.
        if start % SECOND != 0 || length % SECOND != 0 {
            return None;
        }
        let parts = [
            (number + Self::NUMBERS, Self::NUMBERS * 2),
            (start / SECOND - number * DAY + Self::EVEN, Self::EVEN * 2),
            (length / SECOND, Self::EVEN * 2),
        ];
        parts.into_iter().try_fold(0, |word, (part, range)| {
            let part = u64::try_from(part).ok().filter(|_| part < range)?;
            Some(word << Self::BITS | part)
        })
    }

    fn unpack(word: u64) -> Day {
        let part = |bits: u32, range: i64| {
            let mask = u64::try_from(range - 1).unwrap_or(0);
            i64::try_from(word >> bits & mask).unwrap_or(0)
        };
        let number = part(2 * Self::BITS, Self::NUMBERS * 2) - Self::NUMBERS;
        let start = number * DAY + part(Self::BITS, Self::EVEN * 2) - Self::EVEN;
        Day {
            number: i32::try_from(number).unwrap_or(0),
            start: Wall::from_micros(start * SECOND),
            end: Wall::from_micros((start + part(0, Self::EVEN * 2)) * SECOND),
        }
    }
}

/// A minute, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Minute(u32);

impl Minute {
    const MICROS: i64 = 60_000_000;

    /// The minute that `wall` is in.
    pub(in crate::policy) fn of(wall: Wall) -> Self {
        Self(u32::try_from(wall.as_micros().div_euclid(Self::MICROS)).unwrap_or(0))
    }
}

impl Zone {
    /// A zone.
    pub(in crate::policy) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            day: AtomicU64::new(0),
        }
    }

    /// The date and time of day in the zone; none past the calendar's own end.
    pub(in crate::policy) fn civil(&self, minute: Minute) -> Option<DateTime> {
        let micros = i64::from(minute.0).saturating_mul(Minute::MICROS);
        let at = Timestamp::from_microsecond(micros).ok()?;
        Some(self.zone.to_datetime(at))
    }

    /// How many seconds the zone's clocks are ahead of UTC at `wall`; none past
    /// the calendar's own end.
    pub(in crate::policy) fn offset(&self, wall: Wall) -> i64 {
        let at = Timestamp::from_microsecond(wall.as_micros());
        at.map_or(0, |at| self.zone.to_offset(at).seconds().into())
    }

    /// The day that `wall` falls on.
    pub(super) fn day(&self, wall: Wall) -> Day {
        let known = Packed::unpack(self.day.load(Ordering::Relaxed));
        if (known.start..known.end).contains(&wall) {
            return known;
        }
        let day = found(wall, &self.zone).unwrap_or_else(|| utc_day(wall));
        if let Some(word) = Packed::pack(&day) {
            self.day.store(word, Ordering::Relaxed);
        }
        day
    }

    /// The days that a time from one moment to a later one touches. `now` lies
    /// near both: this is for hours, not for years.
    pub(in crate::policy) fn dates(&self, now: Wall, from: Wall, until: Wall) -> Dates {
        let today = self.day(now);
        let days = |micros: i64| i32::try_from(micros / (DAY * SECOND)).unwrap_or(i32::MAX);
        let micros = |wall: Wall| wall.as_micros();
        let before = micros(today.start).saturating_sub(micros(from)).max(0);
        let behind = micros(until).saturating_sub(micros(today.end)).max(-1);
        // What is a little longer ago than a day may be two dates ago, or one
        // where that day had 25 hours: then it counts in one more.
        let earlier = if before > 0 { 1 + days(before) } else { 0 };
        let later = if behind >= 0 { 1 + days(behind) } else { 0 };
        Dates {
            first: today.number.saturating_sub(earlier),
            last: today.number.saturating_add(later),
        }
    }
}

/// The day around `wall`; none past the calendar's own end.
fn found(wall: Wall, zone: &TimeZone) -> Option<Day> {
    let at = Timestamp::from_microsecond(wall.as_micros()).ok()?;
    let start = at.to_zoned(zone.clone()).start_of_day().ok()?;
    let next = start.date().checked_add(1.day()).ok()?;
    let end = next.to_zoned(zone.clone()).ok()?;
    let wall_of = |t: Timestamp| Wall::from_micros(t.as_microsecond());
    let epoch = jiff::civil::date(1970, 1, 1);
    let number = start
        .date()
        .since((jiff::Unit::Day, epoch))
        .ok()?
        .get_days();
    Some(Day {
        number,
        start: wall_of(start.timestamp()),
        end: wall_of(end.timestamp()),
    })
}

/// The same in days of 86,400 s, for a clock beyond any calendar.
fn utc_day(wall: Wall) -> Day {
    let micros = wall.as_micros();
    let start = micros.saturating_sub(micros.rem_euclid(DAY * SECOND));
    Day {
        number: i32::try_from(start / (DAY * SECOND)).unwrap_or(i32::MAX),
        start: Wall::from_micros(start),
        end: Wall::from_micros(start.saturating_add(DAY * SECOND)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    fn at(zone: &TimeZone, text: &str) -> Wall {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        let zoned = civil.to_zoned(zone.clone()).unwrap();
        Wall::from_micros(zoned.timestamp().as_microsecond())
    }

    #[test]
    fn a_day_is_the_zones_own_even_when_clocks_change() {
        let db = jiff::tz::TimeZoneDatabase::bundled();
        let tokyo = db.get("Asia/Tokyo").unwrap();
        let day = Zone::new(tokyo.clone());
        for _ in 0..2 {
            let end = day.day(at(&tokyo, "2026-03-01T23:59:59.999999")).end;
            assert_eq!(end, at(&tokyo, "2026-03-02T00:00:00"));
            let end = day.day(at(&tokyo, "2026-03-02T00:00:00")).end;
            assert_eq!(end, at(&tokyo, "2026-03-03T00:00:00"));
        }

        let paris = db.get("Europe/Paris").unwrap();
        let day = Zone::new(paris.clone());
        for (first, next) in [("03-29", "03-30"), ("10-25", "10-26"), ("06-30", "07-01")] {
            let next = at(&paris, &format!("2026-{next}T00:00:00"));
            for time in ["00:00:00", "12:00:00", "23:59:59.999999", "00:30:00"] {
                assert_eq!(
                    day.day(at(&paris, &format!("2026-{first}T{time}"))).end,
                    next
                );
            }
        }
    }

    #[test]
    fn dates_are_those_of_the_zone() {
        let db = jiff::tz::TimeZoneDatabase::bundled();
        for name in [
            "Asia/Tokyo",
            "Europe/Paris",
            "Pacific/Apia",
            "America/New_York",
            "UTC",
        ] {
            let zone = db.get(name).unwrap();
            let days = Zone::new(zone.clone());
            let number = |wall: Wall| {
                let at = Timestamp::from_microsecond(wall.as_micros()).unwrap();
                let date = at.to_zoned(zone.clone()).date();
                let epoch = jiff::civil::date(1970, 1, 1);
                date.since((jiff::Unit::Day, epoch)).unwrap().get_days()
            };
            for hour in 0..24 * 500 {
                let now = Wall::from_micros((1_767_000_000 + hour * 3_600 - 86_400 * 30) * SECOND);
                let late = now + Duration::from_secs(2 * 3_600);
                let early = Wall::from_micros(now.as_micros() - 3 * 3_600 * SECOND);
                assert_eq!(days.day(now).number, number(now), "{name}");
                let dates = days.dates(now, early, late);
                assert_eq!(
                    (dates.first, dates.last),
                    (number(early), number(late)),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_clock_beyond_any_calendar_still_has_days() {
        let day = Zone::new(TimeZone::UTC);
        for far in [i64::MAX - 1, i64::MIN + 86_400_000_000, -1, 0] {
            let far = Wall::from_micros(far);
            assert!(day.day(far).end > far);
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_not_believed_until_confirmed() {
        let clock = CivilClock::default();
        let start = Now {
            mono: Mono::from_nanos(5_000_000_000),
            wall: Wall::from_micros(1_000_000_000_000),
        };
        assert_eq!(clock.read(start), start.wall);
        // A step of half a minute is what a time service does.
        let mut now = start + Duration::from_secs(100);
        now.wall = now.wall + Duration::from_secs(30);
        assert_eq!(clock.read(now), now.wall);
        // A day is not.
        let mut jumped = now + Duration::from_secs(1);
        jumped.wall = jumped.wall + Duration::from_secs(86_400);
        assert_eq!(clock.read(jumped), now.wall + Duration::from_secs(1));
        let later = jumped + Duration::from_secs(9);
        assert_eq!(clock.read(later), now.wall + Duration::from_secs(10));
        assert_eq!(clock.ahead_s(later), 86_400);
        clock.confirm();
        assert_eq!(clock.ahead_s(later), 0);
        assert_eq!(clock.read(later), later.wall);
        assert_eq!(clock.read(later), later.wall);
        // Nor is a step back; and it may come back by itself.
        let mut back = later + Duration::from_secs(1);
        back.wall = now.wall;
        assert_eq!(clock.read(back), later.wall + Duration::from_secs(1));
        assert_eq!(clock.ahead_s(back), -86_411);
    }

    #[test]
    fn shards_may_read_the_clocks_a_little_apart() {
        let clock = CivilClock::default();
        let early = Now {
            mono: Mono::from_nanos(10_000_000_000),
            wall: Wall::from_micros(50_000_000),
        };
        let late = early + Duration::from_millis(5);
        assert_eq!(clock.read(late), late.wall);
        assert_eq!(clock.read(early), early.wall);
    }
}
