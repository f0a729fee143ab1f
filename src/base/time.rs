//! Points in time, always handed in: nothing below the driver reads a clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::CLOCK_JUMP_S;

/// A point on a monotonic clock that also counts while the host sleeps
/// (`CLOCK_BOOTTIME`), in nanoseconds from an arbitrary origin.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Mono(u64);

impl Mono {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    /// Saturates at the clock's end, 584 years after its origin.
    fn add(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// A point in civil time: microseconds since the Unix epoch, UTC. It may jump;
/// only records, calendar days and hours are reckoned by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

impl Wall {
    /// The point `micros` microseconds after (or, negative, before) the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// RFC 3339, in UTC: whole seconds, or as many digits of one as the precision says. The
/// rest is cut off and not rounded, so that a time is shown the same way everywhere, and
/// never as one that was yet to come.
impl fmt::Display for Wall {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = to.precision().unwrap_or(0);
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(to, "{time:.digits$}"),
            Err(_) => write!(to, "{} µs", self.0),
        }
    }
}

/// How many seconds a call lasted, for people: one that has begun counts, as it does on a
/// bill.
#[must_use]
pub const fn seconds_begun(lasted: Duration) -> u64 {
    let begun = lasted.subsec_nanos() > 0;
    lasted.as_secs().saturating_add(begun as u64)
}

impl Add<Duration> for Wall {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// What time it is, on both clocks. Every handler is given one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and sliding windows.
    pub mono: Mono,
    /// For records and the calendar.
    pub wall: Wall,
}

impl Now {
    /// By how many microseconds the wall clock is ahead of the monotonic one.
    #[must_use]
    pub fn ahead(self) -> i64 {
        let mono = i64::try_from(self.mono.as_nanos() / 1_000).unwrap_or(i64::MAX);
        self.wall.as_micros().saturating_sub(mono)
    }

    /// The same time by the reckoning from where the wall clock was so far ahead, if it
    /// has jumped since: by more than [`CLOCK_JUMP_S`].
    #[must_use]
    pub fn reckoned(self, agreed: i64) -> Self {
        let jump = self.ahead().saturating_sub(agreed);
        if Duration::from_micros(jump.unsigned_abs()) <= Duration::from_secs(CLOCK_JUMP_S.into()) {
            return self;
        }
        let wall = Wall(self.wall.0.saturating_sub(jump));
        Self { wall, ..self }
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self {
            mono: self.mono + by,
            wall: self.wall + by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_and_seconds_that_have_begun_count() {
        let wall = Wall::from_micros(1_799_999_999_999_999);
        assert_eq!(wall.to_string(), "2027-01-15T07:59:59Z");
        assert_eq!(format!("{wall:.3}"), "2027-01-15T07:59:59.999Z");
        assert_eq!(format!("{wall:.6}"), "2027-01-15T07:59:59.999999Z");
        assert_eq!(
            Wall::from_micros(i64::MAX).to_string(),
            "9223372036854775807 µs"
        );
        let begun = [0, 1, 999, 1_000, 1_001].map(|ms| seconds_begun(Duration::from_millis(ms)));
        assert_eq!(begun, [0, 1, 1, 1, 2]);
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Mono::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Mono::ZERO.saturating_since(end), Duration::ZERO);
        let later = Now::default() + Duration::from_millis(2);
        assert_eq!(later.mono.as_nanos(), 2_000_000);
        assert_eq!(later.wall.as_micros(), 2_000);
        assert_eq!(
            later.mono.saturating_since(Mono::ZERO),
            Duration::from_millis(2)
        );
    }
}
