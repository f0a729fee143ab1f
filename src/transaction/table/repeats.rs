//! Refusals that are repeated because no ACK comes.
//!
//! Who floods does not acknowledge, and each refusal would be sent eleven times (RFC 3261
//! §17.2.1, Timer G): the flood would be multiplied, and more sent for it than for all calls.

use crate::base::limits::REFUSALS_REPEATED;
use crate::base::time::Mono;

const SECOND_NANOS: u64 = 1_000_000_000;

/// Lets so many pass in a second.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    second: u64,
    passed: u32,
}

impl Repeats {
    pub(super) fn pass(&mut self, now: Mono) -> bool {
        let second = now.as_nanos() / SECOND_NANOS;
        if second != self.second {
            *self = Self { second, passed: 0 };
        }
        let pass = self.passed < REFUSALS_REPEATED;
        self.passed += u32::from(pass);
        pass
    }
}
