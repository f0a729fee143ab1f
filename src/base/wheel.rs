//! Timers: a hierarchical wheel, so that setting, cancelling and firing one
//! costs the same however many there are.
//!
//! The lowest ring has a slot for each of the next 4,096 ticks (41 s): every
//! timer of a transaction goes straight there and is touched again only to fire
//! or be cancelled. Three rings above, 64 slots each, hold what is further off
//! (43 minutes, 46 hours, 124 days); when the wheel reaches one of their slots,
//! its timers move down. What is further still waits in the outermost slot and
//! is placed anew from there. Bit maps say which slots are taken, so a clock
//! that jumps by hours goes from one taken slot to the next.

use std::fmt;
use std::time::Duration;

use super::slab::{Key, Slab};
use super::time::Mono;

/// The wheel's resolution: a timer fires up to this much late, never early.
pub const TICK: Duration = Duration::from_millis(10);

const TICK_NANOS: u64 = 10_000_000;

/// Slots of the lowest ring, as a power of two; also how many ticks a slot of
/// the ring above covers.
const LOW_BITS: u32 = 12;
const LOW_SLOTS: u32 = 1 << LOW_BITS;
/// Slots of each upper ring, as a power of two: one word of bits each.
const HIGH_BITS: u32 = 6;
const HIGH_SLOTS: u32 = 1 << HIGH_BITS;
const HIGH_RINGS: u32 = 3;
const SLOTS: u32 = LOW_SLOTS + HIGH_RINGS * HIGH_SLOTS;

/// No node.
const NONE: u32 = u32::MAX;

/// Names a timer that was set. After it fired or was cancelled it names none.
pub struct TimerId(Key<Timer>);

/// Tags [`TimerId`]s.
enum Timer {}

impl Clone for TimerId {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for TimerId {}

impl PartialEq for TimerId {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for TimerId {}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A timer, linked into the circular list of its slot.
struct Node<K> {
    due: u64,
    key: K,
    next: u32,
    prev: u32,
    slot: u32,
}

/// Timers that carry a `K` each.
pub struct Wheel<K: Copy> {
    start: Mono,
    /// The tick that was reached. Every timer due before it has been popped;
    /// the ones due at it are in its slot of the lowest ring.
    elapsed: u64,
    nodes: Slab<Node<K>, Timer>,
    /// The first node of each slot's list, ring by ring, the lowest first.
    heads: Box<[u32]>,
    /// Which slots of the lowest ring are taken, and which words of that have a
    /// bit set.
    low: [u64; 64],
    low_words: u64,
    /// Which slots of each upper ring are taken.
    high: [u64; 3],
}

impl<K: Copy> Wheel<K> {
    /// A wheel without timers, whose ticks are counted from `start`.
    #[must_use]
    pub fn new(start: Mono) -> Self {
        Self {
            start,
            elapsed: 0,
            nodes: Slab::tagged(usize::MAX),
            heads: (0..SLOTS).map(|_| NONE).collect(),
            low: [0; 64],
            low_words: 0,
            high: [0; 3],
        }
    }

    /// Sets a timer that is popped at `at` or, by less than one [`TICK`], after;
    /// at the next pop if `at` has gone by. Any `at` is accepted.
    pub fn schedule(&mut self, at: Mono, key: K) -> TimerId {
        let nanos = at.as_nanos().saturating_sub(self.start.as_nanos());
        let due = nanos.div_ceil(TICK_NANOS);
        let node = Node {
            due,
            key,
            next: NONE,
            prev: NONE,
            slot: NONE,
        };
        match self.nodes.insert(node) {
            Ok(id) => {
                self.place(id.index(), due);
                TimerId(id)
            }
            // Only with 2^32 timers, for which no host has the memory.
            Err(_) => TimerId(Key::NEVER),
        }
    }

    /// Stops a timer. False if it had fired or been cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        if self.nodes.get(id.0).is_none() {
            return false;
        }
        self.unlink(id.0.index());
        self.nodes.remove(id.0).is_some()
    }

    /// When to call [`Wheel::pop_expired`] next: less than one tick after the
    /// first timer is due, or before that, when far timers have to move down
    /// (at most once in 41 s). `None` without timers.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let tick = match self.heads.get(low_slot(self.elapsed)) {
            Some(&NONE) | None => self.next_tick()?,
            Some(_) => self.elapsed,
        };
        let after = Duration::from_nanos(tick.saturating_mul(TICK_NANOS));
        Some(self.start + after)
    }

    /// Takes out one timer that is due at `now`, the earliest tick's first. To
    /// be called until it says `None`.
    pub fn pop_expired(&mut self, now: Mono) -> Option<K> {
        let nanos = now.as_nanos().saturating_sub(self.start.as_nanos());
        let reached = nanos / TICK_NANOS;
        loop {
            if let Some(key) = self.pop_current() {
                return Some(key);
            }
            match self.next_tick() {
                Some(tick) if tick <= reached => self.advance(tick),
                _ => {
                    self.elapsed = self.elapsed.max(reached);
                    return None;
                }
            }
        }
    }

    /// Timers that are set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no timer is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Pops from the slot of the tick that was reached.
    fn pop_current(&mut self) -> Option<K> {
        let head = *self.heads.get(low_slot(self.elapsed))?;
        if head == NONE {
            return None;
        }
        self.unlink(head);
        self.nodes.remove_at(head).map(|node| node.key)
    }

    /// The next tick at which a slot is taken. The current one must be empty.
    fn next_tick(&self) -> Option<u64> {
        let mut next = self.next_low();
        for (ring, taken) in (1..).zip(self.high) {
            let bits = shift(ring);
            let here = self.elapsed >> bits;
            let turned = taken.rotate_right(high_place(here + 1));
            if turned != 0 {
                let tick = (here + 1 + u64::from(turned.trailing_zeros())) << bits;
                next = Some(next.map_or(tick, |earlier| earlier.min(tick)));
            }
        }
        next
    }

    /// The next tick at which a slot of the lowest ring is taken.
    fn next_low(&self) -> Option<u64> {
        let here = low_slot(self.elapsed);
        let word_here = here / 64;
        let word = self.low.get(word_here)?;
        // Two shifts, as one by 64 would overflow.
        let rest = (word >> (here % 64)) >> 1;
        if rest != 0 {
            return Some(self.elapsed + 1 + u64::from(rest.trailing_zeros()));
        }
        let turn = u32::try_from(word_here + 1).ok()?;
        let words = self.low_words.rotate_right(turn % 64);
        if words == 0 {
            return None;
        }
        let word = (word_here + 1 + usize::try_from(words.trailing_zeros()).ok()?) % 64;
        let bit = usize::try_from(self.low.get(word)?.trailing_zeros()).ok()?;
        let slot = u64::try_from(word * 64 + bit).ok()?;
        let ahead = slot.wrapping_sub(self.elapsed) & u64::from(LOW_SLOTS - 1);
        Some(self.elapsed + ahead)
    }

    /// Goes on to `tick`, moving down what the upper rings hold for it.
    fn advance(&mut self, tick: u64) {
        self.elapsed = tick;
        for ring in (1..=HIGH_RINGS).rev() {
            let bits = shift(ring);
            if tick.trailing_zeros() < bits {
                continue;
            }
            let slot = high_slot(ring, tick >> bits);
            while let Some(&head) = self.heads.get(slot)
                && let Some(due) = self.nodes.at(head).map(|node| node.due)
            {
                self.unlink(head);
                self.place(head, due);
            }
        }
    }

    /// Puts a node into the slot that its tick has, seen from here.
    fn place(&mut self, index: u32, due: u64) {
        let due = due.max(self.elapsed);
        if due - self.elapsed < u64::from(LOW_SLOTS) {
            return self.link(index, low_slot(due));
        }
        for ring in 1..=HIGH_RINGS {
            let bits = shift(ring);
            let (here, there) = (self.elapsed >> bits, due >> bits);
            if there - here < u64::from(HIGH_SLOTS) {
                return self.link(index, high_slot(ring, there));
            }
        }
        let outermost = (self.elapsed >> shift(HIGH_RINGS)) + u64::from(HIGH_SLOTS - 1);
        self.link(index, high_slot(HIGH_RINGS, outermost));
    }

    /// Appends a node to a slot's list.
    fn link(&mut self, index: u32, slot: usize) {
        let Some(head) = self.heads.get_mut(slot) else {
            return;
        };
        let first = if *head == NONE { index } else { *head };
        *head = first;
        let last = match self.nodes.at_mut(first) {
            Some(node) if first != index => std::mem::replace(&mut node.prev, index),
            _ => index,
        };
        if let Some(node) = self.nodes.at_mut(last) {
            node.next = index;
        }
        if let Some(node) = self.nodes.at_mut(index) {
            node.prev = last;
            node.next = first;
            node.slot = u32::try_from(slot).unwrap_or(NONE);
        }
        self.mark(slot, true);
    }

    /// Takes a node out of its slot's list.
    fn unlink(&mut self, index: u32) {
        let Some(&Node {
            next, prev, slot, ..
        }) = self.nodes.at(index)
        else {
            return;
        };
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        if let Some(node) = self.nodes.at_mut(next) {
            node.prev = prev;
        }
        if let Some(node) = self.nodes.at_mut(prev) {
            node.next = next;
        }
        let Some(head) = self.heads.get_mut(slot) else {
            return;
        };
        if next == index {
            *head = NONE;
            self.mark(slot, false);
        } else if *head == index {
            *head = next;
        }
    }

    /// Sets or clears a slot's bit.
    fn mark(&mut self, slot: usize, taken: bool) {
        let (word, bit) = (slot / 64, slot % 64);
        if let Some(bits) = self.low.get_mut(word) {
            set(bits, bit, taken);
            let any = *bits != 0;
            set(&mut self.low_words, word, any);
        } else if let Some(bits) = self.high.get_mut(word.saturating_sub(self.low.len())) {
            set(bits, bit, taken);
        }
    }
}

impl<K: Copy> fmt::Debug for Wheel<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("elapsed", &self.elapsed)
            .field("timers", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

/// How many ticks a slot of an upper ring (1 is the lowest of them) covers, as
/// a power of two.
const fn shift(ring: u32) -> u32 {
    LOW_BITS + HIGH_BITS * (ring - 1)
}

/// Where the lowest ring keeps a tick.
fn low_slot(tick: u64) -> usize {
    usize::try_from(tick & u64::from(LOW_SLOTS - 1)).unwrap_or(0)
}

/// A slot number's place in an upper ring.
fn high_place(number: u64) -> u32 {
    u32::try_from(number & u64::from(HIGH_SLOTS - 1)).unwrap_or(0)
}

/// Where an upper ring keeps a slot number.
fn high_slot(ring: u32, number: u64) -> usize {
    let slot = LOW_SLOTS + HIGH_SLOTS * (ring - 1) + high_place(number);
    usize::try_from(slot).unwrap_or(0)
}

const fn set(bits: &mut u64, bit: usize, on: bool) {
    if on {
        *bits |= 1 << bit;
    } else {
        *bits &= !(1 << bit);
    }
}

#[cfg(test)]
mod tests;
