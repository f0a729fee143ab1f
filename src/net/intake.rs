//! Where messages wait while a shard cannot keep up, and who is then served.
//!
//! ```text
//!              room for     taken a turn
//! emergency    its own      first     INVITEs to emergency numbers
//! under way    its own      most      responses, ACK, BYE, CANCEL and the like
//! new          its own      some      INVITEs, and all that begins something
//! ```
//! In each of these every peer has a queue of its own, and they take turns: so whoever
//! sends little is served at once, however much another one sends. A peer may have as
//! much waiting as there is still room for (Choudhury and Hahne's dynamic thresholds):
//! one that floods gets half of the room at the most, and what it sends beyond that is
//! shed, while there is room for whoever comes next.
//!
//! What waits is never older than some tenths of a second, which is less than the time
//! after which SIP repeats something: no retransmission waits beside its original.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::base::limits::{WAITING_BYTES, WAITING_EMERGENCIES, WAITING_NEW, WAITING_UNDER_WAY};
use crate::policy::{Peer, RuleSet};
use crate::sip::{Method, StartLine, first_line, names_dialog};

/// Who has one share. It is a peer, however many addresses it sends from: with a share for
/// each address, whoever has many would have the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Party {
    /// A tenant or a carrier.
    Peer(Peer),
    /// Everybody who is asked who they are, together.
    Strangers,
}

/// What a message is to a shard that cannot keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// An INVITE to an emergency number, which is the last to be shed.
    Emergency,
    /// Part of what is going on: without it work that was begun is not done with.
    UnderWay,
    /// It begins something.
    New,
}

impl Class {
    /// Every one, the most urgent first.
    pub(super) const ALL: [Self; 3] = [Self::Emergency, Self::UnderWay, Self::New];

    /// What something received is, by its first line, and of an INVITE by its To.
    pub(super) fn of(rules: &RuleSet, party: Party, received: &[u8]) -> Self {
        match first_line(received) {
            Ok(StartLine::Response { .. }) => Self::UnderWay,
            Ok(StartLine::Request { method, uri }) => {
                let within = method == Method::Invite && names_dialog(received);
                Self::of_request((rules, party), method, uri, within)
            }
            // It is no message; that is said when its turn comes.
            Err(_) => Self::New,
        }
    }

    /// The same of a request. `within`: it is an INVITE that names a dialog. Of a stranger's
    /// nothing is going on.
    pub(super) fn of_request(
        (rules, party): (&RuleSet, Party),
        method: Method,
        uri: &[u8],
        within: bool,
    ) -> Self {
        match method {
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Prack
            | Method::Update
            | Method::Info => Self::UnderWay,
            // Whose emergency calls are none are strangers.
            Method::Invite if party != Party::Strangers && rules.is_emergency(uri) => {
                Self::Emergency
            }
            Method::Invite if party != Party::Strangers && within => Self::UnderWay,
            _ => Self::New,
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Emergency => 0,
            Self::UnderWay => 1,
            Self::New => 2,
        }
    }
}

/// What waits, of all classes and all parties.
#[derive(Debug)]
pub(super) struct Intake<T> {
    lanes: [Lane<T>; 3],
}

impl<T> Intake<T> {
    pub(super) fn new() -> Self {
        Self::with_room([WAITING_EMERGENCIES, WAITING_UNDER_WAY, WAITING_NEW])
    }

    /// With room for so many of each class.
    fn with_room(most: [usize; 3]) -> Self {
        Self {
            lanes: most.map(Lane::new),
        }
    }

    /// Whether a party may have so many bytes more waiting.
    pub(super) fn has_room(&self, class: Class, party: Party, bytes: usize) -> bool {
        self.lane(class).is_some_and(|it| it.has_room(party, bytes))
    }

    /// Has something wait for its turn, room or not.
    pub(super) fn put(&mut self, class: Class, party: Party, bytes: usize, item: T) {
        if let Some(lane) = self.lanes.get_mut(class.place()) {
            lane.put(party, bytes, item);
        }
    }

    /// What comes next.
    pub(super) fn take(&mut self, class: Class) -> Option<T> {
        self.lanes.get_mut(class.place())?.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|it| it.held.count == 0)
    }

    fn lane(&self, class: Class) -> Option<&Lane<T>> {
        self.lanes.get(class.place())
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    count: usize,
    bytes: usize,
}

/// What waits of one class.
#[derive(Debug)]
struct Lane<T> {
    /// How many may wait.
    most: usize,
    held: Held,
    queues: HashMap<Party, Queue<T>, FixedState>,
    /// Who has something waiting, in the order of their turns.
    turns: VecDeque<Party>,
}

#[derive(Debug)]
struct Queue<T> {
    bytes: usize,
    items: VecDeque<(usize, T)>,
}

impl<T> Lane<T> {
    fn new(most: usize) -> Self {
        Self {
            most,
            held: Held::default(),
            queues: HashMap::default(),
            turns: VecDeque::new(),
        }
    }

    fn has_room(&self, party: Party, bytes: usize) -> bool {
        let of = self.queues.get(&party);
        let (count, held) = of.map_or((0, 0), |it| (it.items.len(), it.bytes));
        let room = self.most.saturating_sub(self.held.count);
        let room_bytes = WAITING_BYTES.saturating_sub(self.held.bytes);
        count < room && held.saturating_add(bytes) <= room_bytes
    }

    fn put(&mut self, party: Party, bytes: usize, item: T) {
        let queue = match self.queues.entry(party) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.turns.push_back(party);
                entry.insert(Queue {
                    bytes: 0,
                    items: VecDeque::new(),
                })
            }
        };
        queue.items.push_back((bytes, item));
        queue.bytes = queue.bytes.saturating_add(bytes);
        self.held.count += 1;
        self.held.bytes = self.held.bytes.saturating_add(bytes);
    }

    /// The oldest of whose turn it is.
    fn take(&mut self) -> Option<T> {
        let party = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&party)?;
        let (bytes, item) = queue.items.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(bytes);
        if queue.items.is_empty() {
            self.queues.remove(&party);
        } else {
            self.turns.push_back(party);
        }
        self.held.count = self.held.count.saturating_sub(1);
        self.held.bytes = self.held.bytes.saturating_sub(bytes);
        Some(item)
    }
}

#[cfg(test)]
mod tests;
