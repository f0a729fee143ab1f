//! Tries that failed: of an address, and of an account.

use std::time::Duration;

use crate::base::limits::{TRIES_OF_ACCOUNT, TRIES_OF_SOURCE, TRIES_S, TRY_SLOTS};
use crate::base::time::Mono;
use crate::base::token::keyed128;

/// Counts of failures, in places that hashes give. Two that share a place share its
/// count, so that the table neither grows nor forgets.
#[derive(Debug)]
pub(super) struct Tries {
    sources: Box<[Slot]>,
    accounts: Box<[Slot]>,
}

impl Default for Tries {
    fn default() -> Self {
        let slots = || vec![Slot::default(); TRY_SLOTS].into_boxed_slice();
        Self {
            sources: slots(),
            accounts: slots(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    count: u32,
    /// When the first of them was.
    since: Mono,
}

impl Slot {
    fn count(self, now: Mono) -> u32 {
        match now.saturating_since(self.since) < Duration::from_secs(TRIES_S) {
            true => self.count,
            false => 0,
        }
    }

    fn note(&mut self, now: Mono) {
        let count = self.count(now);
        if count == 0 {
            self.since = now;
        }
        self.count = count.saturating_add(1);
    }
}

fn at<'s>(slots: &'s mut [Slot], key: u128, who: &[u8]) -> Option<&'s mut Slot> {
    let places = u128::try_from(slots.len()).ok().filter(|it| *it > 0)?;
    let place = keyed128(key, &[b"tries", who]) % places;
    slots.get_mut(usize::try_from(place).ok()?)
}

impl Tries {
    /// Whether this address, or this account from anywhere, has failed too often. A phone
    /// system that is where it has registered from is not kept out by what others try.
    pub(super) fn are_too_many(
        &mut self,
        key: u128,
        now: Mono,
        [source, account]: [&[u8]; 2],
        at_home: bool,
    ) -> bool {
        let count = |slot: Option<&mut Slot>| slot.map_or(0, |it| it.count(now));
        let of_source = count(at(&mut self.sources, key, source));
        let of_account = count(at(&mut self.accounts, key, account));
        of_source >= TRIES_OF_SOURCE || !at_home && of_account >= TRIES_OF_ACCOUNT
    }

    /// One more.
    pub(super) fn note(&mut self, key: u128, now: Mono, [source, account]: [&[u8]; 2]) {
        for (slots, who) in [(&mut self.sources, source), (&mut self.accounts, account)] {
            if let Some(slot) = at(slots, key, who) {
                slot.note(now);
            }
        }
    }
}
