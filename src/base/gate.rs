//! How many strangers are asked who they are.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::limits::{CHALLENGE_SLOTS, CHALLENGES_OF_ALL, CHALLENGES_OF_SOURCE};
use crate::base::time::Mono;
use crate::base::token::keyed128;

/// Counts what strangers ask in a second, of each and of all. Addresses whose hashes
/// share a place share its count.
#[derive(Debug)]
pub struct Gate {
    all: Second,
    each: Box<[Second]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    begin: Mono,
    count: u32,
}

impl Second {
    fn passes(&mut self, now: Mono, most: u32) -> bool {
        if now.saturating_since(self.begin) >= Duration::from_secs(1) {
            (self.begin, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= most
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            all: Second::default(),
            each: vec![Second::default(); CHALLENGE_SLOTS].into_boxed_slice(),
        }
    }
}

impl Gate {
    /// Whether one more of this address's may be answered.
    pub fn passes(&mut self, now: Mono, source: IpAddr, key: u128) -> bool {
        let text = source.to_canonical().to_string();
        let places = u128::try_from(self.each.len()).unwrap_or(1).max(1);
        let place = keyed128(key, &[b"gate", text.as_bytes()]) % places;
        let slot = usize::try_from(place)
            .ok()
            .and_then(|it| self.each.get_mut(it));
        slot.is_some_and(|it| it.passes(now, CHALLENGES_OF_SOURCE))
            && self.all.passes(now, CHALLENGES_OF_ALL)
    }
}
