//! The one place that reads clocks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, Sleep, sleep};

use crate::base::limits::TIME_GAP_S;
use crate::base::time::{Mono, Now, Wall};

/// The monotonic clock's origin lies so long before the host's start that what
/// happened before that has a time, too: calls outlive a restart of the host.
const ORIGIN: Duration = Duration::from_secs(366 * 24 * 3_600);

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
    let since = ORIGIN + read(ClockId::CLOCK_BOOTTIME);
    Mono::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Notices where time does not go on bit by bit, for a loop that looks every second.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    before: Option<Now>,
}

impl Gaps {
    /// What has happened since the last look, in words: the wall clock was set, or nothing
    /// ran. None if neither did; what a time service corrects bit by bit is nothing.
    pub(super) fn look(&mut self, now: Now) -> Option<String> {
        let before = self.before.replace(now)?;
        let set = now.ahead().saturating_sub(before.ahead()) / 1_000_000;
        let way = if set < 0 { "back" } else { "ahead" };
        let set = set.unsigned_abs();
        let ran = now.mono.saturating_since(before.mono).as_secs();
        let long = |seconds: u64| seconds >= u64::from(TIME_GAP_S);
        match (long(set), long(ran)) {
            (true, _) => Some(format!("the clock was set {way} by {set} s")),
            (false, true) => Some(format!("nothing ran for {ran} s")),
            (false, false) => None,
        }
    }
}

/// Wakes a task at a deadline. Setting it later costs nothing: it then rings
/// at the earlier time as well, once. Deadlines move later with every message,
/// and moving the runtime's timer to and fro would cost a system call each time.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Mono,
    longest: Duration,
}

impl Alarm {
    /// An alarm that rings after `longest` at the latest, whatever it is set
    /// to: the runtime's clock stands still while the host sleeps, so that a
    /// wait across a sleep comes out too long.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            sleep: Box::pin(sleep(longest)),
            at: mono() + longest,
            longest,
        }
    }

    /// Sets it to `deadline`.
    pub(super) fn set(&mut self, deadline: Option<Mono>) {
        let now = mono();
        let last = now + self.longest;
        let at = deadline.map_or(last, |deadline| deadline.min(last));
        if at < self.at || self.sleep.is_elapsed() {
            let wait = at.saturating_since(now);
            self.sleep.as_mut().reset(Instant::now() + wait);
            self.at = at;
        }
    }

    /// Ready once it has rung; the task is woken then.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(context)
    }
}

fn read(clock: ClockId) -> Duration {
    // Linux has had both clocks since 2.6.39, and then the call cannot fail.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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

    #[test]
    fn a_gap_is_noticed_once() {
        let mut gaps = Gaps::default();
        let mut now = now();
        assert_eq!(gaps.look(now), None);
        for (ran, set, noticed) in [
            (1, 0, None),
            (1, 9, None),
            (9, 0, None),
            (1, 3_600, Some("the clock was set ahead by 3600 s")),
            (1, 0, None),
            (1, -60, Some("the clock was set back by 60 s")),
            (50, 0, Some("nothing ran for 50 s")),
            (1, 0, None),
        ] {
            now = now + Duration::from_secs(ran);
            now.wall = Wall::from_micros(now.wall.as_micros() + set * 1_000_000);
            assert_eq!(gaps.look(now).as_deref(), noticed);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_rings_in_time() {
        let mut alarm = Alarm::new(Duration::from_millis(50));
        for (wish, least) in [(Some(5), 5), (Some(1), 1), (Some(9_000), 50), (None, 50)] {
            let start = mono();
            alarm.set(wish.map(|wish| start + Duration::from_millis(wish)));
            poll_fn(|context| alarm.poll(context)).await;
            let waited = mono().saturating_since(start).as_millis();
            assert!(
                (least..least + 2_000).contains(&waited),
                "{wish:?}: {waited}"
            );
        }
        // Set later, it still rings at the earlier time, and then not again.
        let start = mono();
        alarm.set(Some(start + Duration::from_millis(5)));
        alarm.set(Some(start + Duration::from_millis(30)));
        for least in [5, 30] {
            poll_fn(|context| alarm.poll(context)).await;
            assert!(mono().saturating_since(start) >= Duration::from_millis(least));
            alarm.set(Some(start + Duration::from_millis(30)));
        }
    }
}
