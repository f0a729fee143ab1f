//! What all connections share: the ways to the shards, the list of connections,
//! and the rules.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use nix::errno::Errno;
use tokio::sync::Notify;

use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::token::Buckets;
use crate::policy::RuleSet;
use crate::shard::shard_of;
use crate::sip::Message;
use crate::transaction::{Origin, Transmit};

use super::super::bans::Bans;
use super::super::clock;
use super::super::desk::{Letter, post};
use super::super::log::Strangers;
use super::super::mailbox::Mailbox;
use super::super::quarantine::Quarantine;
use super::super::reins::InForce;
use super::super::stats::Stats;
use super::super::wire::Unsent;
use super::line::{Line, Unwritten};
use super::lines::Lines;
use super::shake::Shaking;
use super::unknown::Unknown;
use super::{Seat, begin};
use crate::base::limits::{MAILBOX_CONNECTED, STREAM_READ_BYTES};

/// What every task of the thread holds.
pub(super) struct Hub {
    pub(super) in_force: InForce,
    pub(super) lines: RefCell<Lines>,
    pub(super) shaking: Shaking,
    pub(super) unknown: Unknown,
    ways: RefCell<Ways>,
    /// Where every task reads to; what is not whole is copied from it.
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Bytes of messages that are not whole, over all connections.
    pub(super) partial: Cell<usize>,
    pub(super) quarantine: Quarantine,
    bans: Bans,
    pub(super) stats: Arc<Stats>,
    /// Connections that closed lately, and seconds since.
    closed: RefCell<VecDeque<(u8, Flow)>>,
    pub(super) strangers: Cell<Option<Strangers>>,
    /// The last fault of a connection, for the log.
    pub(super) trouble: RefCell<Option<(SocketAddr, String)>>,
    /// Which of our addresses connections of each listener leave from.
    from: Vec<Option<IpAddr>>,
    /// Told when a mailbox is full.
    pub(super) full: Notify,
}

/// For how many seconds the last messages of a connection may wait to be handled.
const LAST_MESSAGES_S: u8 = 2;

/// The ways to the shards.
struct Ways {
    buckets: Buckets,
    mailboxes: Vec<Mailbox<Letter>>,
    /// What had no room there. While there is any, nothing is read.
    held: Vec<Vec<Letter>>,
    /// Who waits until there is room.
    sleepers: Vec<Waker>,
}

impl Hub {
    pub(super) fn new(seat: &Seat, files: usize) -> Self {
        let mailboxes = seat.mailboxes.clone();
        Self {
            in_force: seat.in_force.clone(),
            lines: RefCell::new(Lines::new(files)),
            shaking: Shaking::default(),
            unknown: Unknown::new(seat.bucket_key),
            ways: RefCell::new(Ways {
                buckets: Buckets::new(seat.bucket_key),
                held: mailboxes.iter().map(|_| Vec::new()).collect(),
                mailboxes,
                sleepers: Vec::new(),
            }),
            scratch: RefCell::new(vec![0; STREAM_READ_BYTES].into_boxed_slice()),
            partial: Cell::new(0),
            quarantine: seat.quarantine.clone(),
            bans: seat.bans.clone(),
            stats: Arc::clone(&seat.stats),
            closed: RefCell::default(),
            strangers: Cell::new(None),
            trouble: RefCell::new(None),
            from: seat.sockets.iter().map(|it| it.leaves_from()).collect(),
            full: Notify::new(),
        }
    }

    /// The rules in force: not to be kept.
    pub(super) fn rules(&self) -> Arc<RuleSet> {
        self.in_force.rules()
    }

    /// Someone has connected. Strangers are closed without a word.
    pub(super) fn accepted(
        self: &Rc<Self>,
        listener: ListenerId,
        transport: Transport,
        stream: tokio::net::TcpStream,
        remote: SocketAddr,
    ) {
        let (rules, tls) = self.in_force.both();
        let asks = transport == Transport::Tls && tls.server(listener).is_some_and(|it| it.asks);
        let known = rules.peer(listener, remote.ip()).is_some();
        if !known && self.bans.holds(clock::now(), remote.ip()) {
            return self.stats.banned.add(1);
        }
        let flow = Flow::to(listener, transport, remote);
        let registers = !asks && !known && rules.lets_register(flow);
        if !asks && !known && !registers {
            return self.note_stranger(remote.ip());
        }
        let line = self.lines.borrow_mut().accept(flow);
        match line {
            Some(line) if !registers || self.unknown.begin(&line) => {
                begin::answer(Rc::clone(self), line, stream);
            }
            Some(line) => {
                self.lines.borrow_mut().remove(line.id);
                self.stats.streams_refused.add(1);
            }
            None => self.stats.streams_refused.add(1),
        }
        self.count();
    }

    /// Someone is closed whom no rules name, and banned if that happens too often. Not where
    /// somebody who is known is connected from the same address (a network behind address
    /// translation).
    pub(super) fn note_stranger(&self, source: IpAddr) {
        self.stats.strangers.add(1);
        let seen = Strangers::and(self.strangers.get(), source);
        self.strangers.set(Some(seen));
        let rules = self.rules();
        let shared = |line: &Rc<Line>| {
            let flow = line.flow();
            flow.remote.ip() == source && rules.peer_of(flow).is_some()
        };
        if self.lines.borrow().iter().any(shared) {
            return;
        }
        let ban = self.bans.sees(clock::now(), &rules, source, true);
        if let Some(ban) = ban {
            self.tell(0, Letter::Command(ban.note()));
        }
    }

    /// Sends a shard's messages, each over the connection that leads there, or a
    /// new one.
    pub(super) fn send(self: &Rc<Self>, shard: u16, transmits: Vec<Transmit>) {
        for transmit in transmits {
            let Transmit {
                flow,
                packet,
                origin,
            } = transmit;
            let line = self.lines.borrow().find(flow);
            let stateless = origin == Origin::Stateless;
            if stateless && line.is_none() && self.rules().peer_of(flow).is_none() {
                // What a stranger is answered ends with its connection.
                continue;
            }
            let queued = line
                .or_else(|| self.connect(flow))
                .is_some_and(|it| it.push(Unwritten::message(packet, shard, origin)).is_ok());
            if !queued {
                self.unsent(shard, origin, flow.remote, Errno::ENOBUFS);
            }
        }
    }

    fn connect(self: &Rc<Self>, flow: Flow) -> Option<Rc<Line>> {
        let flow = match flow.name {
            None => flow,
            // Whom we connect to is known by its address: if that is the same one's.
            Some(_) => {
                let rules = self.rules();
                let there = rules.peer(flow.listener, flow.remote.ip());
                let same = there.is_some() && there == rules.peer_of(flow);
                same.then_some(Flow { name: None, ..flow })?
            }
        };
        if let Some(line) = self.lines.borrow().find(flow) {
            return Some(line);
        }
        let line = self.lines.borrow_mut().connect(flow)?;
        let from = self.from.get(usize::from(flow.listener.0)).copied();
        begin::call(Rc::clone(self), Rc::clone(&line), from.flatten());
        self.count();
        Some(line)
    }

    /// A message came over `line`. Its call's shard gets it.
    pub(super) fn deliver(&self, rules: &RuleSet, line: &Line, message: Message) {
        let mut ways = self.ways.borrow_mut();
        let ways = &mut *ways;
        let shards = u16::try_from(ways.mailboxes.len()).unwrap_or(u16::MAX);
        let owner = usize::from(shard_of(&ways.buckets, shards, message.call_id()));
        let flow = line.flow();
        let letter = Letter::Message { flow, message };
        if let (Some(mailbox), Some(held)) = (ways.mailboxes.get(owner), ways.held.get_mut(owner)) {
            held.push(letter);
            if !post(rules, mailbox, held, MAILBOX_CONNECTED) {
                self.full.notify_one();
            }
        }
    }

    /// Whether reading has to wait. If so, the task is woken when it can go on.
    pub(super) fn must_wait(&self, waker: &Waker) -> bool {
        let mut ways = self.ways.borrow_mut();
        let waits = ways.held.iter().any(|held| !held.is_empty());
        if waits {
            ways.sleepers.push(waker.clone());
        }
        waits
    }

    /// Tries once more to hand over what had no room. Whether all of it had.
    pub(super) fn retry(&self) -> bool {
        let rules = self.rules();
        let mut ways = self.ways.borrow_mut();
        let ways = &mut *ways;
        let mut all = true;
        for (mailbox, held) in ways.mailboxes.iter().zip(&mut ways.held) {
            all &= held.is_empty() || post(&rules, mailbox, held, MAILBOX_CONNECTED);
        }
        if all {
            ways.sleepers.drain(..).for_each(Waker::wake);
        }
        all
    }

    /// Tells a shard that a message of its could not be sent.
    fn unsent(&self, shard: u16, origin: Origin, remote: SocketAddr, errno: Errno) {
        self.stats.send_failed.add(1);
        let unsent = Unsent {
            origin,
            remote,
            errno,
        };
        self.tell(shard, Letter::Unsent(unsent));
    }

    fn tell(&self, shard: u16, letter: Letter) {
        let ways = self.ways.borrow();
        if let Some(mailbox) = ways.mailboxes.get(usize::from(shard)) {
            mailbox.urge(letter);
        }
    }

    /// A connection is gone, or was never made: whoever waits for something over it
    /// is told.
    pub(super) fn gone(&self, line: &Line, errno: Errno) {
        self.lines.borrow_mut().remove(line.id);
        self.closed.borrow_mut().push_back((0, line.flow()));
        if self.unknown.end(line) {
            self.note_stranger(line.flow.remote.ip());
        }
        let (queue, asked) = line.close();
        for unwritten in queue {
            if let Some((shard, origin)) = unwritten.sender() {
                self.unsent(shard, origin, line.flow.remote, errno);
            }
        }
        for shard in asked {
            self.tell(shard, Letter::FlowClosed(line.flow()));
        }
        self.count();
    }

    /// A second has passed. Who had registered over a connection that closed is there no
    /// more, once its last messages have been handled: a BYE and the end come together.
    fn unbind_closed(&self, rules: &RuleSet) {
        let mut closed = self.closed.borrow_mut();
        closed.iter_mut().for_each(|(seconds, _)| *seconds += 1);
        while let Some((_, flow)) = closed.pop_front_if(|(seconds, _)| *seconds > LAST_MESSAGES_S) {
            rules.unbind_gone(flow);
        }
    }

    /// Has everybody go who is no peer any more, or does not become one in time.
    pub(super) fn sweep(&self) {
        let rules = self.rules();
        self.unbind_closed(&rules);
        let known = |line: &Line| rules.peer_of(line.flow()).is_some();
        self.unknown.pass_second(known);
        for line in self.lines.borrow().iter() {
            // Who shakes hands has no name yet.
            if line.is_shaking() || known(line) || self.unknown.holds(line) {
                continue;
            }
            // What was registered is over: it may be again.
            let again = line.accepted && rules.lets_register(line.flow());
            if !again || !self.unknown.begin(line) {
                line.unwant();
            }
        }
    }

    /// A stranger says something: whether that may go on.
    pub(super) fn hear(&self, rules: &RuleSet, line: &Line, message: Message) -> bool {
        let asks = self.unknown.asks(clock::now().mono, line, &message);
        if asks == Some(true) {
            self.deliver(rules, line, message);
        }
        asks.is_some()
    }

    /// Whether nothing waits to be written anywhere.
    pub(super) fn is_idle(&self) -> bool {
        self.lines.borrow().iter().all(|line| line.is_idle())
    }

    fn count(&self) {
        self.stats.streams.set(self.lines.borrow().len());
    }
}
