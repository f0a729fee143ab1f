//! What lies between a shard's sockets and its core: admission, steering, and
//! the mail of the other shards. It waits for nothing and sends nothing.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::limits::{MAILBOX_LETTERS, MAILBOX_RESERVE, SERVED, WAITING_CONNECTED};
use crate::base::time::{Mono, Now};
use crate::base::token::Buckets;
use crate::policy::RuleSet;
use crate::shard::{Command, Input, Note, Outbox, Shard, shard_of};
use crate::sip::fields::Essentials;
use crate::sip::{Message, Method, names_dialog, scan};
use crate::transaction::{Origin, Transmit};

use super::admit::{Block, Unheard, admit, read};
use super::bans::Bans;
use super::intake::{Class, Intake, Party};
use super::log::Strangers;
use super::mailbox::Mailbox;
use super::quarantine::Quarantine;
use super::reins::Receipt;
use super::run::Restored;
use super::sheds::{Shed, Sheds};
use super::stats::Stats;
use super::udp::{Batch, Datagram};
use super::wire::Unsent;

/// What one shard's thread sends another's, or the main thread any.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every letter is a message; boxed, each would be an allocation"
)]
pub(super) enum Letter {
    /// A message whose call lives at the receiver.
    Message { flow: Flow, message: Message },
    /// For the receiver's core.
    Command(Command),
    /// The same, if it is one, and that it is in force is to be said.
    Order(Option<Command>, Receipt),
    /// The receiver reads its sockets no more, or again; that it has begun to is to
    /// be said.
    Read(bool, Receipt),
    /// All that was appended up to this ticket is on the disk, or may not be.
    Synced(u64, Option<io::Error>),
    /// A message of the receiver's could not be sent over a connection.
    Unsent(Unsent),
    /// A connection is closed over which the receiver has sent requests.
    FlowClosed(Flow),
    /// The receiver's thread is to end.
    Stop,
    /// The same, for a successor, which reads the journal at once: it need not be on
    /// the disk for that.
    Cede,
}

/// What waits for its turn where the shard cannot keep up.
#[derive(Debug)]
enum Waiting {
    /// Not read yet.
    Datagram(Flow, Bytes),
    /// What another thread has read, and sent here.
    Message(Box<(Flow, Message)>),
}

/// How the requests begin that rules may have to judge.
const INVITE: &[u8] = b"INVITE ";

/// A shard with its way in.
pub(super) struct Desk {
    shard: Shard,
    pub(super) outbox: Outbox,
    id: u16,
    buckets: Buckets,
    rules: Arc<RuleSet>,
    quarantine: Quarantine,
    bans: Bans,
    /// Every shard's mailbox, in order of their ids, one's own included.
    mailboxes: Vec<Mailbox<Letter>>,
    /// What goes to each of them at the end of the turn: one lock and one
    /// wake-up for all of it.
    outgoing: Vec<Vec<Letter>>,
    draining: bool,
    block: Block,
    intake: Intake<Waiting>,
    /// The turn before left something in a socket, or had more letters than it handles.
    behind: bool,
    /// How much of what waits came over connections.
    connected: usize,
    sheds: Sheds,
    /// What is being handled, should it break the program.
    pub(super) handling: Bytes,
    pub(super) strangers: Option<Strangers>,
    /// To be given when the turn's records are written.
    pub(super) receipts: Vec<Receipt>,
    stats: Arc<Stats>,
}

impl Desk {
    pub(super) fn new(
        shard: Shard,
        id: u16,
        buckets: Buckets,
        rules: Arc<RuleSet>,
        (quarantine, bans): (Quarantine, Bans),
        mailboxes: Vec<Mailbox<Letter>>,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            shard,
            outbox: Outbox::default(),
            id,
            buckets,
            rules,
            quarantine,
            bans,
            outgoing: mailboxes.iter().map(|_| Vec::new()).collect(),
            mailboxes,
            draining: false,
            block: Block::new(),
            intake: Intake::new(),
            behind: false,
            connected: 0,
            sheds: Sheds::default(),
            handling: Bytes::new(),
            strangers: None,
            receipts: Vec::new(),
            stats,
        }
    }

    /// Takes over calls of an earlier life. What follows from that leaves before
    /// anything of this life.
    pub(super) fn restore(&mut self, now: Now, restored: Restored) {
        let Restored { calls, next } = restored;
        self.shard.restore(now, calls, next, &mut self.outbox);
    }

    /// Whether more came than could be handled at once. What comes then waits, so that
    /// its peers can take turns.
    pub(super) fn is_behind(&self) -> bool {
        self.behind || !self.intake.is_empty()
    }

    /// Says whether this turn left something that had come.
    pub(super) const fn fell_behind(&mut self, behind: bool) {
        self.behind = behind;
    }

    /// Whether nothing waits that was read before.
    pub(super) fn has_served_all(&self) -> bool {
        self.intake.is_empty()
    }

    /// Datagrams that came to `listener`.
    pub(super) fn batch(&mut self, now: Now, listener: ListenerId, batch: Batch<'_>) {
        if !self.is_behind() {
            let calls = batch.clone().filter(|it| it.bytes.starts_with(INVITE));
            self.rules.warm(calls.map(|it| it.source.ip()));
        }
        for datagram in batch {
            self.datagram(now, listener, &datagram);
        }
    }

    /// A datagram that came to `listener`.
    fn datagram(&mut self, now: Now, listener: ListenerId, datagram: &Datagram<'_>) {
        let by = (&*self.rules, &self.bans);
        let party = match admit(by, now, listener, datagram, &self.stats) {
            Ok(party) => party,
            Err(Unheard::Stranger) => return self.note_stranger(now, datagram.source.ip()),
            Err(Unheard::Banned | Unheard::Nothing) => return,
        };
        let flow = Flow {
            listener,
            transport: Transport::Udp,
            remote: datagram.source,
            local: datagram.local,
            connection: None,
            name: None,
        };
        if !self.is_behind() {
            let bytes = self.block.keep(datagram.bytes);
            return self.read(now, flow, bytes);
        }
        let class = Class::of(&self.rules, party, datagram.bytes);
        let length = datagram.bytes.len();
        if !self.intake.has_room(class, party, length) {
            return self.shed(now, party, class);
        }
        // The block is this turn's alone.
        let bytes = Bytes::copy_from_slice(datagram.bytes);
        let waiting = Waiting::Datagram(flow, bytes);
        self.intake.put(class, party, length, waiting);
    }

    /// A datagram whose turn it is.
    fn read(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        // Set before anything tries to understand it.
        self.handling = bytes.clone();
        let Some(message) = read(&self.quarantine, bytes, &self.stats) else {
            return;
        };
        let shards = u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX);
        let owner = shard_of(&self.buckets, shards, message.call_id());
        match self.outgoing.get_mut(usize::from(owner)) {
            Some(outgoing) if owner != self.id => {
                outgoing.push(Letter::Message { flow, message });
            }
            _ => self.message(now, flow, message),
        }
    }

    /// Has a letter with a message wait for its turn; another one is returned.
    pub(super) fn defer(&mut self, now: Now, letter: Letter) -> Option<Letter> {
        let Letter::Message { flow, message } = letter else {
            return Some(letter);
        };
        let peer = self.rules.peer_of(flow);
        let party = peer.map_or(Party::Strangers, Party::Peer);
        let class = match (message.method(), message.uri()) {
            (Some(method), Some(uri)) => {
                let within = method == Method::Invite && names_dialog(message.bytes());
                Class::of_request((&self.rules, party), method, uri, within)
            }
            _ => Class::UnderWay,
        };
        let length = message.bytes().len();
        if flow.transport.is_reliable() {
            // Nobody would repeat it.
            self.connected += 1;
        } else if !self.intake.has_room(class, party, length) {
            self.shed(now, party, class);
            return None;
        }
        let waiting = Waiting::Message(Box::new((flow, message)));
        self.intake.put(class, party, length, waiting);
        None
    }

    /// Whether no more letters are to be taken before some of what waits is handled.
    pub(super) const fn is_full(&self) -> bool {
        self.connected >= WAITING_CONNECTED
    }

    fn shed(&mut self, now: Now, party: Party, class: Class) {
        self.stats.shed.add(1);
        self.sheds.count(now.mono, party, class);
    }

    /// Handles the next of what waits.
    pub(super) fn serve(&mut self, now: Now) {
        for (class, count) in Class::ALL.into_iter().zip(SERVED) {
            for _ in 0..count {
                match self.intake.take(class) {
                    None => break,
                    Some(Waiting::Datagram(flow, bytes)) => self.read(now, flow, bytes),
                    Some(Waiting::Message(waiting)) => {
                        let (flow, message) = *waiting;
                        let connected = usize::from(flow.transport.is_reliable());
                        self.connected = self.connected.saturating_sub(connected);
                        self.handling = message.bytes().clone();
                        self.message(now, flow, message);
                    }
                }
            }
        }
    }

    /// Has written down what was shed, once a second, or whatever there is at the `end`.
    /// Returns it.
    pub(super) fn tell_sheds(&mut self, now: Now, end: bool) -> Vec<Shed> {
        let sheds = self.sheds.due((!end).then_some(now.mono), &self.rules);
        for shed in &sheds {
            let command = Command::Note(Note {
                what: "shed",
                detail: shed.to_string().into(),
                count: shed.all(),
            });
            self.command(now, command);
        }
        self.stats.sheds.add(&sheds);
        sheds
    }

    /// Letters that come next, for the rules to be ready for the calls among them.
    pub(super) fn expect<'l>(&self, letters: impl Iterator<Item = &'l Letter>) {
        self.rules.warm(letters.filter_map(|letter| match letter {
            Letter::Message { flow, message } if message.method() == Some(Method::Invite) => {
                Some(flow.remote.ip())
            }
            _ => None,
        }));
    }

    /// Notes for the log who was dropped because nobody knows it, and bans who goes on.
    fn note_stranger(&mut self, now: Now, source: IpAddr) {
        self.strangers = Some(Strangers::and(self.strangers, source));
        if let Some(ban) = self.bans.sees(now, &self.rules, source, false) {
            self.command(now, ban.note());
        }
    }

    /// A letter from another thread. False if it says to end this one.
    pub(super) fn letter(&mut self, now: Now, letter: Letter) -> bool {
        match letter {
            Letter::Message { flow, message } => {
                self.handling = message.bytes().clone();
                self.message(now, flow, message);
            }
            Letter::Command(command) => self.command(now, command),
            // The driver's own.
            Letter::Synced(..) | Letter::Read(..) => {}
            Letter::Order(command, receipt) => {
                if let Some(command) = command {
                    self.command(now, command);
                }
                self.receipts.push(receipt);
            }
            Letter::Unsent(unsent) => self.failed(now, unsent.origin),
            Letter::FlowClosed(flow) => {
                self.handling = Bytes::new();
                let input = Input::FlowClosed { flow };
                self.shard.handle(now, input, &mut self.outbox);
            }
            Letter::Stop | Letter::Cede => {
                self.tell_sheds(now, true);
                self.command(now, Command::Close);
                return false;
            }
        }
        true
    }

    /// A message of a call of this shard.
    fn message(&mut self, now: Now, flow: Flow, message: Message) {
        let input = Input::Message { flow, message };
        self.shard.handle(now, input, &mut self.outbox);
    }

    /// A command to the core.
    pub(super) fn command(&mut self, now: Now, command: Command) {
        if matches!(command, Command::Rules(_)) {
            // By the rules that they were counted by.
            self.tell_sheds(now, true);
        }
        self.handling = Bytes::new();
        match &command {
            Command::Rules(rules) => {
                self.rules = Arc::clone(rules);
                self.bans.obey(rules);
            }
            Command::Drain => self.draining = true,
            _ => {}
        }
        let input = Input::Command(command);
        self.shard.handle(now, input, &mut self.outbox);
    }

    /// A message that could not be sent.
    pub(super) fn failed(&mut self, now: Now, origin: Origin) {
        self.handling = Bytes::new();
        let input = Input::SendFailed { origin };
        self.shard.handle(now, input, &mut self.outbox);
    }

    /// The INVITE that opens a call, held back because the call is not recorded.
    pub(super) fn unrecorded(&mut self, now: Now, origin: Origin) {
        self.handling = Bytes::new();
        let input = Input::Unrecorded { origin };
        self.shard.handle(now, input, &mut self.outbox);
    }

    /// Lets timers fire that are due.
    pub(super) fn tick(&mut self, now: Now) {
        if self
            .shard
            .next_deadline()
            .is_some_and(|due| due <= now.mono)
        {
            self.shard.handle(now, Input::Tick, &mut self.outbox);
        }
    }

    /// When the core must be called next.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.shard.next_deadline()
    }

    /// Posts what other shards are to have.
    pub(super) fn post(&mut self) {
        for (mailbox, letters) in self.mailboxes.iter().zip(&mut self.outgoing) {
            if !letters.is_empty() {
                let count = letters.len();
                let _all = post(&self.rules, mailbox, letters, MAILBOX_LETTERS);
                self.stats
                    .hopped
                    .add_len(count.saturating_sub(letters.len()));
                self.stats.hop_dropped.add_len(letters.len());
                letters.clear();
            }
        }
    }

    /// Takes out of these what goes from a call here to one elsewhere inside, and has its
    /// shard have it. Nobody would repeat it.
    pub(super) fn cross(&self, transmits: &mut Vec<Transmit>) {
        let inside = |it: &mut Transmit| it.flow.leads_to().is_some();
        for Transmit { flow, packet, .. } in transmits.extract_if(.., inside) {
            let shards = u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX);
            let owner = flow.leads_to().map(|bucket| bucket.shard(shards));
            let mailbox = owner.and_then(|it| self.mailboxes.get(usize::from(it)));
            // What Tollgate writes can be read.
            if let (Some(mailbox), Ok(message)) = (mailbox, scan(Bytes::from_owner(packet))) {
                let flow = flow.back();
                mailbox.urge(Letter::Message { flow, message });
            }
        }
    }

    /// Ends the turn: nothing received in it is needed any more.
    pub(super) fn rest(&mut self) {
        self.handling = Bytes::new();
        self.block.rewind();
        let counts = self.shard.counts();
        self.stats.calls.set(counts.live);
        self.stats.up.set(counts.up);
        self.stats.emergencies.set(counts.emergencies);
        // Last: who sees it also sees the calls that were let in before.
        self.stats.draining.set(usize::from(self.draining));
    }
}

/// Posts `letters` as far as there is room, as if `most` were all of it. Whether there was
/// for all.
pub(super) fn post(
    rules: &RuleSet,
    mailbox: &Mailbox<Letter>,
    letters: &mut Vec<Letter>,
    most: usize,
) -> bool {
    mailbox.post(letters, most);
    if !letters.is_empty() {
        post_to_full(rules, mailbox, letters);
    }
    letters.is_empty()
}

/// Posts what must go into a full mailbox: calls that are up are not to suffer
/// from a flood of new ones, and emergency calls from nothing.
fn post_to_full(rules: &RuleSet, mailbox: &Mailbox<Letter>, letters: &mut Vec<Letter>) {
    let mut under_way: Vec<_> = letters.extract_if(.., is_under_way).collect();
    mailbox.post(&mut under_way, MAILBOX_LETTERS + MAILBOX_RESERVE);
    let emergency = |letter: &mut Letter| is_emergency(rules, letter);
    let mut emergencies: Vec<_> = letters.extract_if(.., emergency).collect();
    mailbox.post(&mut emergencies, MAILBOX_LETTERS + 2 * MAILBOX_RESERVE);
    letters.append(&mut under_way);
    letters.append(&mut emergencies);
}

/// Whether a message belongs to what is going on already, as far as it says
/// itself: a response, a request inside a dialog, a CANCEL.
fn is_under_way(letter: &mut Letter) -> bool {
    let Letter::Message { message, .. } = letter else {
        return false;
    };
    match message.method() {
        None | Some(Method::Cancel) => true,
        Some(_) => Essentials::parse(message).is_ok_and(|it| it.to_tag.is_some()),
    }
}

fn is_emergency(rules: &RuleSet, letter: &Letter) -> bool {
    let Letter::Message { message, .. } = letter else {
        return false;
    };
    message.method() == Some(Method::Invite)
        && message.uri().is_some_and(|uri| rules.is_emergency(uri))
}

#[cfg(test)]
mod tests;
