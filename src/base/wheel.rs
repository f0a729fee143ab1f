//! Timers: a hierarchical wheel, so that setting, cancelling and firing one
//! costs the same however many there are.
//!
//! The lowest ring has a slot for each of the next 4,096 ticks (41 s): every
//! timer of a transaction goes straight there and is touched again only to fire
//! or be cancelled. Four rings above, of 4,096 slots as well, hold what is further
//! off (11 minutes, 3 hours, 46 hours, 31 days). A slot is 16 of the ring below. Its timers
//! move down a few at a time while the wheel comes near it, since in a wheel of a million
//! each is in no cache; what is left moves when the wheel is there. What is further off
//! still waits in the outermost slot and is placed anew from there. Bit maps say which slots are taken, so a clock
//! that jumps by hours goes from one taken slot to the next.

use std::fmt;
use std::time::Duration;

use super::slab::{Key, Slab};
use super::time::Mono;

/// The wheel's resolution: a timer fires up to this much late, never early.
pub const TICK: Duration = Duration::from_millis(10);

const TICK_NANOS: u64 = 10_000_000;

/// How many rings there are: the outermost reaches further than any timer that a call sets.
const RINGS: u32 = 5;
/// Slots of each ring: as many as 64 words have bits, of which one word tells which are
/// none.
const SLOTS: u64 = 64 * 64;
/// How many slots of the ring below one covers, as a power of two.
const RING_BITS: u32 = 4;

/// How many timers each ring moves down before their time whenever the wheel goes on: so many
/// that of 6,000 calls a second none are left for it, so few that it takes no time.
const MOVED_AHEAD: u32 = 64;

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
    /// Which slots are taken, of each ring.
    taken: Box<[Taken; RINGS as usize]>,
}

/// Which slots of a ring are taken.
#[derive(Clone, Copy)]
struct Taken {
    slots: [u64; 64],
    /// Which words of that have a bit set.
    words: u64,
}

impl<K: Copy> Wheel<K> {
    /// A wheel without timers, whose ticks are counted from `start`.
    #[must_use]
    pub fn new(start: Mono) -> Self {
        Self {
            start,
            elapsed: 0,
            nodes: Slab::tagged(usize::MAX),
            heads: (0..u64::from(RINGS) * SLOTS).map(|_| NONE).collect(),
            taken: Box::new(
                [Taken {
                    slots: [0; 64],
                    words: 0,
                }; RINGS as usize],
            ),
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
    /// (at most once in 0.64 s). `None` without timers.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let tick = match self.heads.get(slot(0, self.elapsed)) {
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
        let head = *self.heads.get(slot(0, self.elapsed))?;
        if head == NONE {
            return None;
        }
        self.unlink(head);
        self.nodes.remove_at(head).map(|node| node.key)
    }

    /// The next tick at which a slot is taken. The current one must be empty.
    fn next_tick(&self) -> Option<u64> {
        let rings = (0..RINGS).zip(self.taken.iter());
        let ticks = rings.filter_map(|(ring, taken)| {
            let here = self.elapsed >> shift(ring);
            Some(taken.after(here)? << shift(ring))
        });
        ticks.min()
    }

    /// Goes on to `tick`, moving down what the upper rings hold for it.
    fn advance(&mut self, tick: u64) {
        self.elapsed = tick;
        for ring in (1..RINGS).rev() {
            let bits = shift(ring);
            if tick.trailing_zeros() < bits {
                continue;
            }
            let slot = slot(ring, tick >> bits);
            while self.move_down(slot) {}
        }
        self.move_ahead();
    }

    /// Moves some of what the upper rings' next slots hold down already, so that less is left
    /// to be moved at once.
    fn move_ahead(&mut self) {
        for ring in 1..RINGS {
            let next = slot(ring, (self.elapsed >> shift(ring)) + 1);
            let mut left = MOVED_AHEAD;
            while left > 0 && self.move_down(next) {
                left -= 1;
            }
        }
    }

    /// Places a slot's first node anew, seen from here. False if there is none.
    fn move_down(&mut self, slot: usize) -> bool {
        let head = self.heads.get(slot).copied().unwrap_or(NONE);
        let Some(due) = self.nodes.at(head).map(|node| node.due) else {
            return false;
        };
        self.unlink(head);
        self.place(head, due);
        true
    }

    /// Puts a node into the slot that its tick has, seen from here.
    fn place(&mut self, index: u32, due: u64) {
        let due = due.max(self.elapsed);
        for ring in 0..RINGS {
            let bits = shift(ring);
            let (here, there) = (self.elapsed >> bits, due >> bits);
            if there - here < SLOTS {
                return self.link(index, slot(ring, there));
            }
        }
        let outermost = (self.elapsed >> shift(RINGS - 1)) + SLOTS - 1;
        self.link(index, slot(RINGS - 1, outermost));
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
        let Some(ring) = self.taken.get_mut(word / 64) else {
            return;
        };
        if let Some(bits) = ring.slots.get_mut(word % 64) {
            set(bits, bit, taken);
            let any = *bits != 0;
            set(&mut ring.words, word % 64, any);
        }
    }
}

impl Taken {
    /// The number of the next slot that is taken, after this one and less than a turn
    /// away.
    fn after(&self, here: u64) -> Option<u64> {
        let place = place_of(here);
        let word_here = place / 64;
        let word = self.slots.get(word_here)?;
        // Two shifts, as one by 64 would overflow.
        let rest = (word >> (place % 64)) >> 1;
        if rest != 0 {
            return Some(here + 1 + u64::from(rest.trailing_zeros()));
        }
        let turn = u32::try_from(word_here + 1).ok()?;
        let words = self.words.rotate_right(turn % 64);
        if words == 0 {
            return None;
        }
        let word = (word_here + 1 + usize::try_from(words.trailing_zeros()).ok()?) % 64;
        let bit = usize::try_from(self.slots.get(word)?.trailing_zeros()).ok()?;
        let next = u64::try_from(word * 64 + bit).ok()?;
        Some(here + (next.wrapping_sub(here) & (SLOTS - 1)))
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

/// How many ticks a slot of a ring (0 is the lowest) covers, as a power of two.
const fn shift(ring: u32) -> u32 {
    RING_BITS * ring
}

/// A slot number's place in its ring.
fn place_of(number: u64) -> usize {
    usize::try_from(number & (SLOTS - 1)).unwrap_or(0)
}

/// Where a ring keeps a slot number.
fn slot(ring: u32, number: u64) -> usize {
    let before = usize::try_from(u64::from(ring) * SLOTS).unwrap_or(0);
    before + place_of(number)
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
