//! Virtual time and what is under way in it: packets, timers, faults.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::block::Block;
use crate::core::Origin;
use crate::link::{Links, Nanos};
use crate::rng::Rng;
use crate::seen::{Met, Seen};
use crate::wire::Wire;

/// A timer or a step of a peer.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Plan n begins.
    Begin(u32),
    /// A client or server transaction repeats its message.
    Repeat {
        server: bool,
        tx: u32,
    },
    /// It gives up.
    GiveUp {
        server: bool,
        tx: u32,
    },
    /// Leg and step number of its callee's plan.
    Step(u32, u8),
    /// Leg and number of what it does in the established call.
    Mid(u32, u8),
    /// The caller's CANCEL, second INVITE, or INVITE once more.
    Cancel(u32),
    Second(u32),
    Again(u32),
    /// The ACK to a 2xx that was kept back; client transaction.
    Ack(u32),
    /// A response that was kept back; server transaction.
    Reply(u32, u16),
    /// Leg, and which of its call's redirections.
    Redirect(u32, u8),
    /// Leg: a reliable provisional once more.
    Reliable(u32),
    /// Leg: refresh the session, or find it expired.
    Refresh(u32),
    Expire(u32),
    /// Leg: silent from now on.
    Die(u32),
    /// Something that no call planned.
    Attack,
}

/// A fault beside those of the links.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Shard n gets the rules of this version.
    Rules(u8, u8),
    Drain(u8),
    HangUpAll(u8),
    /// Shard n blocks this from now on, or nothing any more.
    Block(u8, Option<Block>),
    /// Are the calls of shard n hung up that a block was to hang up?
    Look(u8),
    /// Shard n handles nothing until then.
    Stall(u8, Nanos),
    /// Shard n goes on.
    Resume(u8),
    /// All shards die at once, and with them what they had not sent.
    Crash(Nanos),
    /// As many as this go on with what the journal says.
    Restart(u8),
    /// This peer's connection closes, with all that is under way on it.
    Close(u8),
    /// The faults stop, and everybody hangs up.
    WindDown,
}

/// Something that happens.
#[derive(Debug)]
pub enum Event {
    /// The last number is the connection's, where there is one.
    ToPeer(u8, Rc<Wire>, u64),
    /// From this peer.
    ToCore(u8, Rc<Wire>, u64),
    /// In this life of the core's.
    SendFailed(u8, u8, Origin),
    Task(Task),
    Fault(Fault),
}

struct Entry {
    at: Nanos,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The clock, the queue of events, the links and the chance they share.
pub struct Net {
    pub now: Nanos,
    pub rng: Rng,
    pub seen: Seen,
    pub links: Links,
    /// What peers have sent since this was looked at last.
    pub said: Vec<(u8, Rc<Wire>)>,
    heap: BinaryHeap<Entry>,
    order: u64,
}

impl Net {
    /// Time 0, nothing under way.
    pub fn new(rng: Rng, links: Links) -> Self {
        Self {
            now: 0,
            rng,
            seen: Seen::new(),
            links,
            said: Vec::new(),
            heap: BinaryHeap::with_capacity(1024),
            order: 0,
        }
    }

    /// Lets `event` happen at `at`, or now if that has passed.
    pub fn at(&mut self, at: Nanos, event: Event) {
        self.order += 1;
        self.heap.push(Entry {
            at: at.max(self.now),
            order: self.order,
            event,
        });
    }

    /// Lets a peer do something in a while.
    pub fn after(&mut self, wait: Nanos, task: Task) {
        self.at(self.now + wait, Event::Task(task));
    }

    /// When the next event happens.
    pub fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<Event> {
        self.heap.pop().map(|entry| entry.event)
    }

    /// Puts a peer's packet on its link.
    pub fn send_in(&mut self, from: u8, wire: &Rc<Wire>) {
        self.said.push((from, Rc::clone(wire)));
        let on = self.links.connection(from);
        self.carry((from, true), || Event::ToCore(from, Rc::clone(wire), on));
    }

    /// Puts the core's packet on the link to a peer.
    pub fn send_out(&mut self, to: u8, wire: &Rc<Wire>) {
        let on = self.links.connection(to);
        self.carry((to, false), || Event::ToPeer(to, Rc::clone(wire), on));
    }

    fn carry(&mut self, peer: (u8, bool), event: impl Fn() -> Event) {
        let (other, said) = peer;
        if let Some(at) = self.links.stream(self.now, other, !said, &mut self.rng) {
            self.seen.note(Met::OverStream);
            return self.at(at, event());
        }
        match self.links.carry(self.now, peer, &mut self.rng) {
            [None, _] => self.seen.note(Met::Lost),
            [Some(first), second] => {
                if first > self.now + self.links.base + self.links.jitter {
                    self.seen.note(Met::Overtaken);
                }
                self.at(first, event());
                if let Some(second) = second {
                    self.seen.note(Met::Doubled);
                    self.at(second, event());
                }
            }
        }
    }
}
