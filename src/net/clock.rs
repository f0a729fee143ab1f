//! The one place that reads clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::base::time::{Mono, Now, Wall};

/// What time it is, on both clocks (`CLOCK_BOOTTIME` and `CLOCK_REALTIME`;
/// neither costs a system call).
#[must_use]
pub fn now() -> Now {
    let wall = read(ClockId::CLOCK_REALTIME);
    let micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
    Now {
        mono: mono(),
        wall: Wall::from_micros(micros),
    }
}

/// The monotonic clock alone.
#[must_use]
pub fn mono() -> Mono {
    let boot = read(ClockId::CLOCK_BOOTTIME);
    Mono::from_nanos(u64::try_from(boot.as_nanos()).unwrap_or(u64::MAX))
}

/// When the runtime's own clock will show what ours shows at `deadline`, but
/// `longest` from now at the latest: the runtime's clock stands still while
/// the host sleeps, so that a wait across a sleep would come out too long.
pub(super) fn runtime_deadline(deadline: Option<Mono>, longest: Duration) -> Instant {
    let wait = deadline.map_or(longest, |at| at.saturating_since(mono()).min(longest));
    Instant::now() + wait
}

fn read(clock: ClockId) -> Duration {
    // Linux has had both clocks since 2.6.39, and then the call cannot fail.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run() {
        let first = now();
        std::thread::sleep(Duration::from_millis(2));
        let second = now();
        let passed = second.mono.saturating_since(first.mono);
        assert!(passed >= Duration::from_millis(2), "{passed:?}");
        // Later than the day this was written, earlier than the year 2200.
        let year_2026 = 1_767_225_600_000_000;
        let year_2200 = 7_258_118_400_000_000;
        assert!((year_2026..year_2200).contains(&second.wall.as_micros()));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_wait_has_both_ends() {
        let longest = Duration::from_secs(1);
        let before = Instant::now();
        assert!(runtime_deadline(None, longest) >= before + longest);
        assert!(runtime_deadline(Some(Mono::ZERO), longest) < before + longest);
        let far = mono() + Duration::from_secs(3600);
        assert!(runtime_deadline(Some(far), longest) < before + longest * 2);
    }
}
