//! What a turn takes.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The processor time that this thread has used.
pub fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// Times turns.
#[derive(Debug, Default)]
pub struct Meter {
    /// It does now.
    pub counts: bool,
    /// What they took together.
    pub time: Duration,
    /// The longest.
    pub longest: Duration,
    /// How many there were.
    pub turns: u64,
}

impl Meter {
    /// Does this work.
    pub fn of(&mut self, work: &mut dyn FnMut()) {
        let before = used();
        work();
        let took = used().saturating_sub(before);
        if self.counts {
            self.time += took;
            self.longest = self.longest.max(took);
            self.turns += 1;
        }
    }
}
