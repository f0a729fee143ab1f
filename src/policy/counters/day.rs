//! The calendar: which day of a time zone it is, by a clock that may lie.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::base::time::{Now, Wall};

/// How far the wall clock may run from the monotonic one before it is not
/// believed, and from how far on it is followed.
const JUMP: Duration = Duration::from_secs(60);
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
        let mono = i64::try_from(now.mono.as_nanos() / 1_000).unwrap_or(i64::MAX);
        let ahead = now.wall.as_micros().saturating_sub(mono);
        let agreed = self.ahead.load(Ordering::Relaxed);
        let apart = Duration::from_micros(ahead.abs_diff(agreed));
        if agreed != Self::UNKNOWN && apart > JUMP {
            return Wall::from_micros(mono.saturating_add(agreed));
        }
        // Most looks find what the last one left, and write nothing.
        if agreed == Self::UNKNOWN || apart > DRIFT {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
        now.wall
    }

    /// Takes the next look for right, whatever it shows.
    pub(super) fn confirm(&self) {
        self.ahead.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}

/// A time zone, and the calendar day in it that was asked for last.
#[derive(Debug)]
pub(in crate::policy) struct Zone {
    zone: TimeZone,
    /// When that day starts, in seconds, above [`Zone::LENGTH_BITS`] bits of how
    /// many seconds it has. Zero is no day.
    day: AtomicI64,
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
    const LENGTH_BITS: u32 = 20;

    /// A zone.
    pub(in crate::policy) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            day: AtomicI64::new(0),
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

    /// When the day that `wall` falls on ends.
    pub(super) fn day_end(&self, wall: Wall) -> Wall {
        const SECOND: i64 = 1_000_000;
        let day = self.day.load(Ordering::Relaxed);
        let (start, length) = (
            day >> Self::LENGTH_BITS,
            day & ((1 << Self::LENGTH_BITS) - 1),
        );
        let (start, length) = (start.saturating_mul(SECOND), length * SECOND);
        let passed = wall.as_micros().wrapping_sub(start);
        if (0..length).contains(&passed) {
            return Wall::from_micros(start.saturating_add(length));
        }
        let (start, end) = bounds(wall, &self.zone).unwrap_or_else(|| utc_bounds(wall));
        let (start, length) = (
            start.as_micros(),
            end.as_micros().saturating_sub(start.as_micros()),
        );
        // A day that cannot be written down is found anew each time.
        let whole = start % SECOND == 0 && length % SECOND == 0;
        let seconds = length / SECOND;
        let fits = seconds >> Self::LENGTH_BITS == 0;
        if whole
            && fits
            && let Some(start) = (start / SECOND).checked_mul(1 << Self::LENGTH_BITS)
        {
            self.day.store(start | seconds, Ordering::Relaxed);
        }
        end
    }
}

/// Midnight to midnight around `wall`; none past the calendar's own end.
fn bounds(wall: Wall, zone: &TimeZone) -> Option<(Wall, Wall)> {
    let at = Timestamp::from_microsecond(wall.as_micros()).ok()?;
    let start = at.to_zoned(zone.clone()).start_of_day().ok()?;
    let next = start.date().checked_add(1.day()).ok()?;
    let end = next.to_zoned(zone.clone()).ok()?;
    let wall_of = |t: Timestamp| Wall::from_micros(t.as_microsecond());
    Some((wall_of(start.timestamp()), wall_of(end.timestamp())))
}

/// The same in days of 86,400 s, for a clock beyond any calendar.
fn utc_bounds(wall: Wall) -> (Wall, Wall) {
    const DAY: i64 = 86_400_000_000;
    let start = wall
        .as_micros()
        .saturating_sub(wall.as_micros().rem_euclid(DAY));
    (
        Wall::from_micros(start),
        Wall::from_micros(start.saturating_add(DAY)),
    )
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
            let end = day.day_end(at(&tokyo, "2026-03-01T23:59:59.999999"));
            assert_eq!(end, at(&tokyo, "2026-03-02T00:00:00"));
            let end = day.day_end(at(&tokyo, "2026-03-02T00:00:00"));
            assert_eq!(end, at(&tokyo, "2026-03-03T00:00:00"));
        }

        let paris = db.get("Europe/Paris").unwrap();
        let day = Zone::new(paris.clone());
        for (first, next) in [("03-29", "03-30"), ("10-25", "10-26"), ("06-30", "07-01")] {
            let next = at(&paris, &format!("2026-{next}T00:00:00"));
            for time in ["00:00:00", "12:00:00", "23:59:59.999999", "00:30:00"] {
                assert_eq!(
                    day.day_end(at(&paris, &format!("2026-{first}T{time}"))),
                    next
                );
            }
        }
    }

    #[test]
    fn a_clock_beyond_any_calendar_still_has_days() {
        let day = Zone::new(TimeZone::UTC);
        for far in [i64::MAX - 1, i64::MIN + 86_400_000_000, -1, 0] {
            let far = Wall::from_micros(far);
            assert!(day.day_end(far) > far);
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
        clock.confirm();
        assert_eq!(clock.read(later), later.wall);
        assert_eq!(clock.read(later), later.wall);
        // Nor is a step back; and it may come back by itself.
        let mut back = later + Duration::from_secs(1);
        back.wall = now.wall;
        assert_eq!(clock.read(back), later.wall + Duration::from_secs(1));
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
