//! What transactions keep of messages, weighed in bytes, so that nobody who is known
//! can fill the memory with long messages.

use crate::sip::Packet;

/// What all transactions of a table keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    bytes: usize,
    limit: usize,
    /// On top of `limit`.
    reserve: usize,
}

impl Weight {
    pub(super) const fn new(limit: usize, reserve: usize) -> Self {
        Self {
            bytes: 0,
            limit,
            reserve,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a request can be taken in; the last of the room is for `urgent` ones.
    pub(super) const fn has_room(&self, urgent: bool) -> bool {
        match urgent {
            true => self.bytes < self.most(),
            false => self.bytes < self.limit,
        }
    }

    /// Whether half of the room is left.
    pub(super) const fn has_half(&self) -> bool {
        self.bytes <= self.limit / 2
    }

    /// Whether so much more can be kept of what is sent on.
    pub(super) const fn fits(&self, more: usize) -> bool {
        self.bytes.saturating_add(more) <= self.most()
    }

    const fn most(&self) -> usize {
        self.limit.saturating_add(self.reserve)
    }

    /// Weighs anew what a transaction keeps: `packet`, and `rest` besides; it weighed
    /// `held`. What came to it and has no room was sent once, which must do.
    pub(super) fn change(&mut self, held: &mut usize, rest: usize, packet: &mut Option<Packet>) {
        let weigh = |packet: &Option<Packet>| {
            let packet = packet.as_ref().map_or(0, Packet::len);
            packet.saturating_add(rest)
        };
        let others = self.bytes.saturating_sub(*held);
        let after = weigh(packet);
        if after > *held && others.saturating_add(after) > self.most() {
            *packet = None;
        }
        *held = weigh(packet);
        self.bytes = others.saturating_add(*held);
    }

    /// A new transaction weighs so much, room or not.
    pub(super) const fn add(&mut self, held: usize) {
        self.bytes = self.bytes.saturating_add(held);
    }

    /// A transaction that weighed so much is over.
    pub(super) const fn free(&mut self, held: usize) {
        self.bytes = self.bytes.saturating_sub(held);
    }
}
