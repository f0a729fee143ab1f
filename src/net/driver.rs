//! A shard's loop: wait until something is there, take it, journal, send, log.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::yield_now;

use crate::base::limits::{BATCH, BATCHES_BEHIND, FLUSHES};
use crate::base::time::{Mono, Now};
use crate::record::TIME_GAP;
use crate::shard::{Command, Note};
use crate::transaction::Origin;

use super::clock::{self, Alarm, Gaps};
use super::desk::{Desk, Letter};
use super::hold::{Hold, Released};
use super::log::Logger;
use super::mailbox::Mailbox;
use super::pen::Pen;
use super::reins::Receipt;
use super::rules::Job;
use super::stats::Stats;
use super::wire::{Unsent, Wire};

/// The loop looks round at least this often: a wait is reckoned on a clock
/// that stands still while the host sleeps, and a socket's edge could be lost
/// behind a failed receive call.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a [`Driver`] is made of.
pub(super) struct Parts {
    pub(super) desk: Desk,
    pub(super) wire: Wire,
    pub(super) pen: Pen,
    /// Where messages wait for the disk, if they are to.
    pub(super) hold: Option<Hold>,
    pub(super) mailbox: Mailbox<Letter>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) stats: Arc<Stats>,
    pub(super) shard: u16,
}

/// One shard's thread, apart from the thread.
pub(super) struct Driver {
    pub(super) desk: Desk,
    pen: Pen,
    hold: Option<Hold>,
    wire: Wire,
    logger: Logger,
    mailbox: Mailbox<Letter>,
    inbox: VecDeque<Letter>,
    /// Sends that failed, and which the core does not know of yet.
    failed: Vec<Unsent>,
    /// INVITEs that were held back because their calls are not recorded, and of
    /// which the core does not know yet.
    unrecorded: Vec<Origin>,
    /// To be given when nothing waits that was read before.
    settling: Vec<Receipt>,
    /// Where rule sets go to be freed.
    jobs: mpsc::Sender<Job>,
    stats: Arc<Stats>,
    gaps: Gaps,
    /// When the sockets were last tried without being asked to.
    probed: Mono,
    /// New calls are refused because of the journal.
    closed: bool,
    stopping: bool,
    /// A successor waits for the end.
    ceding: bool,
}

impl Driver {
    /// To be called within the runtime that [`Self::run`] will run in.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            desk,
            wire,
            pen,
            hold,
            mailbox,
            jobs,
            stats,
            shard,
        } = parts;
        Self {
            desk,
            wire,
            pen,
            hold,
            logger: Logger::new(shard),
            mailbox,
            inbox: VecDeque::new(),
            failed: Vec::new(),
            unrecorded: Vec::new(),
            settling: Vec::new(),
            jobs,
            stats,
            gaps: Gaps::default(),
            probed: Mono::ZERO,
            closed: false,
            stopping: false,
            ceding: false,
        }
    }

    /// Runs until told to stop.
    pub(super) async fn run(&mut self) {
        let mut alarm = Alarm::new(LONGEST_SLEEP);
        // Before the first message: a journal may have begun without room.
        self.tend_journal(clock::now());
        while !self.stopping {
            let now = clock::now();
            let more = self.turn(now);
            let held = self.hold.as_ref().and_then(Hold::deadline);
            let due = self.desk.next_deadline().into_iter().chain(held);
            let deadline = due.chain(self.pen.deadline()).min();
            if more || deadline.is_some_and(|at| at <= now.mono) {
                // The runtime gets to look at the sockets in between.
                yield_now().await;
                continue;
            }
            alarm.set(deadline);
            poll_fn(|context| {
                let awake = self.wire.is_readable(context)
                    || self.mailbox.poll_letter(context).is_ready()
                    || alarm.poll(context).is_ready();
                if awake {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Takes a bounded share of what is there and sees it through to the wire.
    /// Whether there may be more.
    fn turn(&mut self, now: Now) -> bool {
        self.stats.turns.add(1);
        self.look_at_clock(now);
        self.desk.tick(now);
        self.read_mail(now);
        let probe = now.mono.saturating_since(self.probed) >= LONGEST_SLEEP;
        if probe {
            self.probed = now.mono;
        }
        let desk = &mut self.desk;
        let batches = if desk.is_behind() { BATCHES_BEHIND } else { 1 };
        let more = self.wire.receive(probe, batches, |listener, batch| {
            desk.batch(now, listener, batch);
        });
        desk.serve(now);
        desk.fell_behind(more);
        if desk.has_served_all() {
            desk.receipts.append(&mut self.settling);
        }
        if let Some((listener, errno)) = self.wire.take_trouble() {
            self.logger.unreceived(now.mono, listener, errno);
        }
        if let Some(strangers) = self.desk.strangers {
            self.stats.last_stranger.set(strangers.last);
        }
        self.logger.strangers(now.mono, &mut self.desk.strangers);
        self.logger
            .sheds(now.mono, &self.desk.tell_sheds(now, false));
        self.desk.post();
        self.flush(now);
        self.tend_journal(now);
        for receipt in self.desk.receipts.drain(..) {
            receipt.give(!self.closed);
        }
        self.desk.rest();
        let untold = !self.failed.is_empty() || !self.unrecorded.is_empty();
        let unfinished = untold || !self.desk.outbox.is_empty();
        more || unfinished || !self.inbox.is_empty() || self.desk.is_behind()
    }

    /// Has it written down if time did not go on bit by bit: before anything that shows it.
    fn look_at_clock(&mut self, now: Now) {
        if let Some(detail) = self.gaps.look(now) {
            let note = Note {
                what: TIME_GAP,
                detail: detail.into(),
                count: 1,
            };
            self.desk.command(now, Command::Note(note));
        }
    }

    /// Lets no new call in while the journal cannot be trusted.
    fn tend_journal(&mut self, now: Now) {
        self.pen.tend(now);
        if let Some(released) = self.hold.as_mut().and_then(|it| it.tend(now.mono)) {
            tracing::error!(
                "the disk does not take the journal in time: new calls are refused, emergency \
                 calls excepted"
            );
            self.release(released);
        }
        let held = self.hold.as_mut().is_none_or(Hold::was_trusted);
        let trusted = self.pen.is_trusted() && held;
        if trusted == self.closed {
            self.closed = !trusted;
            self.stats.journal_faults.set(usize::from(self.closed));
            self.desk.command(now, Command::Journal { trusted });
        }
    }

    /// Handles as many letters as a socket's batch has datagrams. Where there are more, the
    /// messages among them wait for their turns.
    fn read_mail(&mut self, now: Now) {
        if self.inbox.is_empty() {
            self.mailbox.collect(&mut self.inbox);
        }
        let behind = self.desk.is_behind() || self.inbox.len() > BATCH;
        if !behind {
            self.desk.expect(self.inbox.iter());
        }
        while !self.desk.is_full() {
            let Some(letter) = self.inbox.pop_front() else {
                return;
            };
            let now_due = match behind {
                true => self.desk.defer(now, letter),
                false => Some(letter),
            };
            let Some(letter) = now_due else {
                continue;
            };
            match letter {
                Letter::Synced(ticket, error) => self.synced(now, ticket, error),
                // Confirmed when what had been read before is handled, or handed on.
                Letter::Read(wanted, receipt) => {
                    self.wire.read(wanted);
                    self.settling.push(receipt);
                }
                Letter::Order(None, receipt) if self.wire.is_deaf() => self.settling.push(receipt),
                // Told, and logged, like those of a socket.
                Letter::Unsent(unsent) => self.failed.push(unsent),
                letter => {
                    self.ceding |= matches!(letter, Letter::Cede);
                    self.stopping |= !self.desk.letter(now, letter);
                }
            }
        }
    }

    /// The disk has taken the journal up to a ticket, or refused to.
    fn synced(&mut self, now: Now, ticket: u64, error: Option<io::Error>) {
        let Some(hold) = &mut self.hold else { return };
        let trusted = hold.is_trusted();
        let released = hold.synced(now.mono, ticket, error.is_none());
        match error {
            Some(error) if trusted => tracing::error!(
                %error,
                "the disk does not take the journal: new calls are refused, emergency calls \
                 excepted"
            ),
            None if !trusted => tracing::warn!("the disk takes the journal again"),
            _ => {}
        }
        self.release(released);
    }

    /// Sends what has waited for the disk.
    fn release(&mut self, mut released: Released) {
        self.stats.unrecorded.add_len(released.kept_back.len());
        self.unrecorded.append(&mut released.kept_back);
        self.desk.cross(&mut released.transmits);
        self.wire.send(&released.transmits, &mut self.failed);
    }

    /// The last thing: what is written is to be on the disk, and what waits for that
    /// is sent.
    pub(super) fn close(&mut self) {
        self.pen.close(clock::now().mono, !self.ceding);
        if let Some(released) = self.hold.as_mut().map(Hold::finish) {
            self.release(released);
        }
    }

    /// Journals, sends and logs what the turn left, in this order. Where it
    /// cannot be journalled, no call is opened but emergency calls; what belongs
    /// to calls that are up is sent, and its records follow.
    fn flush(&mut self, now: Now) {
        for _ in 0..FLUSHES {
            for unsent in self.failed.drain(..) {
                self.logger.unsent(now.mono, &unsent);
                self.desk.failed(now, unsent.origin);
            }
            for origin in self.unrecorded.drain(..) {
                self.desk.unrecorded(now, origin);
            }
            let outbox = &mut self.desk.outbox;
            if outbox.is_empty() {
                return;
            }
            let every = self.hold.as_ref().is_some_and(Hold::is_for_every_turn);
            let leaves = !outbox.transmits.is_empty() || !self.desk.receipts.is_empty();
            let records = outbox.records.bytes();
            let written = if leaves || outbox.drawn || every {
                self.pen.append(now.mono, records)
            } else {
                if !records.is_empty() {
                    self.pen.add(now.mono, records);
                }
                true
            };
            if !written {
                let held = &outbox.openings;
                outbox.transmits.retain(|it| !held.contains(&it.origin));
                self.stats.unrecorded.add_len(held.len());
                self.unrecorded.append(&mut outbox.openings);
            }
            if let Some(hold) = &mut self.hold {
                hold.take(now.mono, written, outbox);
            }
            let mut transmits = std::mem::take(&mut outbox.transmits);
            self.desk.cross(&mut transmits);
            self.wire.send(&transmits, &mut self.failed);
            let outbox = &mut self.desk.outbox;
            outbox.transmits = transmits;
            // What breaks from here on, no message did.
            self.desk.handling = Bytes::new();
            for event in outbox.events.drain(..) {
                self.logger.log(now.mono, &event);
            }
            for rules in outbox.retired.drain(..) {
                // Should nobody be there to free it, the shard must.
                let _freed_here = self.jobs.send(Job::Free(rules));
            }
            outbox.clear();
        }
    }
}
