//! The calendar: which day of a time zone it is, by a clock that may lie.

use std::time::Duration;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::tz::TimeZone;

use crate::base::time::{Mono, Now, Wall};

/// How far the wall clock may run from the monotonic one between two looks
/// before it is not believed.
const JUMP: Duration = Duration::from_secs(60);

/// The wall clock, checked against the monotonic one.
///
/// A wall clock that jumps would open a new day early, and with it a new day's
/// worth of calls. So after a jump time is reckoned on from the last moment
/// both clocks agreed on, until someone confirms the new time.
#[derive(Debug, Default)]
pub(super) struct CivilClock {
    agreed: Option<Now>,
    /// Which confirmation this clock has seen: see [`CivilClock::read`].
    confirmed: u64,
}

impl CivilClock {
    /// What the wall shows at `now`, as far as it can be believed.
    /// `confirmation` counts how often someone said that the clock is right.
    pub(super) fn read(&mut self, now: Now, confirmation: u64) -> Wall {
        let expected = match self.agreed {
            Some(at) if self.confirmed == confirmation => {
                at.wall + now.mono.saturating_since(at.mono)
            }
            _ => now.wall,
        };
        self.confirmed = confirmation;
        let apart = expected.as_micros().abs_diff(now.wall.as_micros());
        let believed = if u128::from(apart) > JUMP.as_micros() {
            expected
        } else {
            now.wall
        };
        let mono: Mono = self.agreed.map_or(now.mono, |at| at.mono.max(now.mono));
        self.agreed = Some(Now {
            mono,
            wall: believed,
        });
        believed
    }
}

/// The calendar day of a tenant's zone, kept until it is over.
#[derive(Debug, Default)]
pub(super) struct Day {
    start: Wall,
    end: Wall,
    /// The version of the rules whose zone the bounds are reckoned in.
    version: u64,
}

impl Day {
    /// When the day that `wall` falls on ends in `zone`, the zone of the rules
    /// numbered `version`.
    pub(super) fn end(&mut self, wall: Wall, zone: &TimeZone, version: u64) -> Wall {
        if version != self.version || wall < self.start || wall >= self.end {
            (self.start, self.end) = bounds(wall, zone).unwrap_or_else(|| utc_bounds(wall));
            self.version = version;
        }
        self.end
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

    fn at(zone: &TimeZone, text: &str) -> Wall {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        let zoned = civil.to_zoned(zone.clone()).unwrap();
        Wall::from_micros(zoned.timestamp().as_microsecond())
    }

    #[test]
    fn a_day_is_the_zones_own_even_when_clocks_change() {
        let db = jiff::tz::TimeZoneDatabase::bundled();
        let tokyo = db.get("Asia/Tokyo").unwrap();
        let mut day = Day::default();
        let end = day.end(at(&tokyo, "2026-03-01T23:59:59.999999"), &tokyo, 1);
        assert_eq!(end, at(&tokyo, "2026-03-02T00:00:00"));
        let end = day.end(at(&tokyo, "2026-03-02T00:00:00"), &tokyo, 1);
        assert_eq!(end, at(&tokyo, "2026-03-03T00:00:00"));

        let paris = db.get("Europe/Paris").unwrap();
        let noon = at(&paris, "2026-03-29T12:00:00");
        assert_eq!(day.end(noon, &paris, 2), at(&paris, "2026-03-30T00:00:00"));
        assert_eq!(
            day.end.as_micros() - day.start.as_micros(),
            23 * 3_600_000_000
        );
        let noon = at(&paris, "2026-10-25T12:00:00");
        day.end(noon, &paris, 2);
        assert_eq!(
            day.end.as_micros() - day.start.as_micros(),
            25 * 3_600_000_000
        );
    }

    #[test]
    fn a_clock_beyond_any_calendar_still_has_days() {
        let zone = TimeZone::UTC;
        let mut day = Day::default();
        let far = Wall::from_micros(i64::MAX - 1);
        assert!(day.end(far, &zone, 1) > far);
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_not_believed_until_confirmed() {
        let mut clock = CivilClock::default();
        let start = Now {
            mono: Mono::from_nanos(5_000_000_000),
            wall: Wall::from_micros(1_000_000_000_000),
        };
        assert_eq!(clock.read(start, 0), start.wall);
        // A step of half a minute is what a time service does.
        let mut now = start + Duration::from_secs(100);
        now.wall = now.wall + Duration::from_secs(30);
        assert_eq!(clock.read(now, 0), now.wall);
        // A day is not.
        let mut jumped = now + Duration::from_secs(1);
        jumped.wall = jumped.wall + Duration::from_secs(86_400);
        assert_eq!(clock.read(jumped, 0), now.wall + Duration::from_secs(1));
        let later = jumped + Duration::from_secs(9);
        assert_eq!(clock.read(later, 0), now.wall + Duration::from_secs(10));
        assert_eq!(clock.read(later, 1), later.wall);
        assert_eq!(clock.read(later, 1), later.wall);
        // Nor is a step back; and it may come back by itself.
        let mut back = later + Duration::from_secs(1);
        back.wall = now.wall;
        assert_eq!(clock.read(back, 1), later.wall + Duration::from_secs(1));
    }

    #[test]
    fn shards_may_read_the_clocks_a_little_apart() {
        let mut clock = CivilClock::default();
        let early = Now {
            mono: Mono::from_nanos(10_000_000_000),
            wall: Wall::from_micros(50_000_000),
        };
        let late = early + Duration::from_millis(5);
        assert_eq!(clock.read(late, 0), late.wall);
        assert_eq!(clock.read(early, 0), early.wall);
    }
}
