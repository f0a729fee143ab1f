//! Messages that wait until their records are on the disk, where being written is
//! not enough: those of a turn that has drawn ahead, and behind them the others; with
//! `durability = "disk"`, those of every turn. The shard goes on meanwhile; one thread
//! beside it syncs, and what came during one sync shares the next.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::time::Mono;
use crate::shard::Outbox;
use crate::transaction::{Origin, Transmit};

use super::desk::Letter;
use super::mailbox::Mailbox;

/// Has what was appended to a journal on the disk, from a thread of its own.
pub trait Syncer: Send {
    /// Returns when all that was appended before the call is on the disk.
    ///
    /// # Errors
    /// It may be lost if the power fails.
    fn sync(&mut self) -> io::Result<()>;
}

/// How long messages wait for a disk. Then it counts as failed: what is under way
/// goes on, emergency calls with it, and no new call is let in.
const PATIENCE: Duration = Duration::from_secs(1);

/// A turn's messages.
#[derive(Debug)]
struct Turn {
    /// The sync that they wait for.
    ticket: u64,
    transmits: Vec<Transmit>,
    /// Whose of them do not leave if it fails.
    openings: Vec<Origin>,
}

/// What comes of a wait.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// What is to be sent.
    pub(super) transmits: Vec<Transmit>,
    /// Whose messages were kept back.
    pub(super) kept_back: Vec<Origin>,
}

/// The messages of one shard that wait.
#[derive(Debug)]
pub(super) struct Hold {
    /// Every turn waits that has records.
    every: bool,
    order: Arc<Order>,
    thread: Option<JoinHandle<()>>,
    queue: VecDeque<Turn>,
    /// The last sync that was asked for, and the last that was done.
    ticket: u64,
    synced: u64,
    /// When the first of the queue began to wait.
    since: Option<Mono>,
    /// When the disk last did not answer in time, or with an error; None while it
    /// is well.
    failed: Option<Mono>,
    /// It failed since it was last asked whether it did.
    stumbled: bool,
}

impl Hold {
    /// Starts the thread. It posts [`Letter::Synced`] when a sync is done.
    pub(super) fn start(
        shard: u16,
        every: bool,
        mut syncer: Box<dyn Syncer>,
        mailbox: Mailbox<Letter>,
    ) -> io::Result<Self> {
        let order = Arc::new(Order::default());
        let thread = thread::Builder::new()
            .name(format!("sync-{shard}"))
            .spawn({
                let order = Arc::clone(&order);
                move || {
                    while let Some(ticket) = order.next() {
                        let error = syncer.sync().err();
                        mailbox.urge(Letter::Synced(ticket, error));
                    }
                }
            })?;
        Ok(Self {
            every,
            order,
            thread: Some(thread),
            queue: VecDeque::new(),
            ticket: 0,
            synced: 0,
            since: None,
            failed: None,
            stumbled: false,
        })
    }

    /// Whether every turn's records are to be on the disk.
    pub(super) const fn is_for_every_turn(&self) -> bool {
        self.every
    }

    /// Whether records get to the disk.
    pub(super) const fn is_trusted(&self) -> bool {
        self.failed.is_none()
    }

    /// The same, and whether all did since this was last asked. What one sync has lost,
    /// the next one says nothing of.
    pub(super) const fn was_trusted(&mut self) -> bool {
        !std::mem::replace(&mut self.stumbled, false) && self.failed.is_none()
    }

    /// Takes the messages of a turn whose records were appended, if `written`. What of
    /// it need not wait is left where it is.
    pub(super) fn take(&mut self, now: Mono, written: bool, turn: &mut Outbox) {
        let (transmits, openings) = (&mut turn.transmits, &mut turn.openings);
        let written = written && (turn.drawn || self.every && !turn.records.is_empty());
        if written {
            self.ticket += 1;
            self.order.give(self.ticket);
        }
        // Also where the turn that has drawn said nothing itself. Behind a disk that
        // failed only that waits which may not leave, until it is given up.
        let waits = self.ticket > self.synced || !self.queue.is_empty();
        if !waits || (self.failed.is_some() && openings.is_empty() && self.queue.is_empty()) {
            return;
        }
        if transmits.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        self.queue.push_back(Turn {
            ticket: self.ticket,
            transmits: std::mem::take(transmits),
            openings: std::mem::take(openings),
        });
    }

    /// A sync is done, or has failed.
    pub(super) fn synced(&mut self, now: Mono, ticket: u64, well: bool) -> Released {
        self.failed = (!well).then_some(now);
        self.stumbled |= !well;
        if well {
            self.synced = ticket;
        }
        let released = self.release(well, |turn| turn.ticket <= ticket);
        self.since = (!self.queue.is_empty()).then_some(now);
        released
    }

    /// Gives up waiting, if it takes too long, and tries a disk again that has failed.
    pub(super) fn tend(&mut self, now: Mono) -> Option<Released> {
        if self.failed.is_some_and(|at| now >= at + PATIENCE) {
            self.failed = Some(now);
            self.ticket += 1;
            self.order.give(self.ticket);
        }
        let since = self.since?;
        if now < since + PATIENCE {
            return None;
        }
        self.failed = Some(now);
        self.since = None;
        Some(self.release(false, |_| true))
    }

    /// When [`Self::tend`] is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let first = self.since.into_iter().chain(self.failed).min();
        first.map(|at| at + PATIENCE)
    }

    /// All that still waits, for the end.
    pub(super) fn finish(&mut self) -> Released {
        self.order.end();
        if let Some(thread) = self.thread.take() {
            // A panic was said by the thread itself.
            let _said = thread.join();
        }
        self.release(true, |_| true)
    }

    fn release(&mut self, well: bool, due: impl Fn(&Turn) -> bool) -> Released {
        let mut released = Released::default();
        while let Some(mut turn) = self.queue.pop_front_if(|turn| due(turn)) {
            if !well {
                released.kept_back.append(&mut turn.openings);
            }
            released.transmits.append(&mut turn.transmits);
        }
        // With what repeats them, also where that waits for a later sync.
        let Released {
            transmits,
            kept_back,
        } = &mut released;
        let waiting = self.queue.iter_mut().map(|turn| &mut turn.transmits);
        for transmits in waiting.chain([transmits]) {
            transmits.retain(|it| !kept_back.contains(&it.origin));
        }
        released
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The thread may be at a disk that does not answer: it is not waited for.
        self.order.end();
    }
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Order {
    state: Mutex<State>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: u64,
    taken: u64,
    over: bool,
}

impl Order {
    fn give(&self, ticket: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wanted = ticket;
        drop(state);
        self.given.notify_one();
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        drop(state);
        self.given.notify_one();
    }

    /// Waits for something to sync; None at the end, when all was.
    fn next(&self) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .given
            .wait_while(state, |it| !it.over && it.wanted == it.taken)
            .unwrap_or_else(PoisonError::into_inner);
        if state.wanted == state.taken {
            return None;
        }
        state.taken = state.wanted;
        Some(state.taken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::base::flow::{Flow, ListenerId, Transport};
    use crate::record::{CallRef, Record};
    use crate::sip::Draft;

    /// A disk whose syncs are told by the test alone.
    struct Silent;

    impl Syncer for Silent {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn hold(every: bool) -> Hold {
        Hold::start(0, every, Box::new(Silent), Mailbox::new()).unwrap()
    }

    /// A turn with one message, perhaps with what must be on the disk before it leaves.
    fn turn(drawn: bool) -> Outbox {
        let mut turn = Outbox::default();
        turn.transmits.push(message(Origin::Stateless));
        turn.drawn = drawn;
        turn
    }

    /// A message, by whose it is.
    fn message(origin: Origin) -> Transmit {
        let mut scratch = Vec::new();
        Transmit {
            flow: Flow {
                listener: ListenerId(0),
                transport: Transport::Udp,
                remote: "127.0.0.2:5070".parse().unwrap(),
                local: None,
                connection: None,
                name: None,
            },
            packet: Draft::response(&mut scratch, 100, b"Trying").seal(None),
            origin,
        }
    }

    /// A turn that draws ahead and, the first time, opens something.
    fn take_opening(hold: &mut Hold, now: Mono, openings: &mut Vec<Origin>) {
        let mut turn = turn(true);
        turn.openings.append(openings);
        hold.take(now, true, &mut turn);
    }

    #[test]
    fn messages_leave_in_their_order_once_their_records_are_on_the_disk() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        let take = |hold: &mut Hold, drawn| {
            let mut turn = turn(drawn);
            hold.take(now, true, &mut turn);
            turn.transmits.len()
        };
        assert_eq!(take(&mut hold, false), 1, "nothing to wait for");
        assert_eq!(take(&mut hold, true), 0);
        assert_eq!(take(&mut hold, false), 0, "behind one that waits");
        assert_eq!(take(&mut hold, true), 0);
        assert_eq!(hold.synced(now, 1, true).transmits.len(), 2);
        assert!(hold.tend(now + PATIENCE / 2).is_none());
        assert_eq!(hold.synced(now, 2, true).transmits.len(), 1);
        assert_eq!(hold.deadline(), None);
        assert!(hold.is_trusted());
    }

    #[test]
    fn what_follows_a_turn_that_drew_and_said_nothing_waits_for_it() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        let mut silent = Outbox::default();
        silent.drawn = true;
        hold.take(now, true, &mut silent);
        let mut next = turn(false);
        hold.take(now, true, &mut next);
        assert_eq!(next.transmits.len(), 0);
        assert_eq!(hold.synced(now, 1, true).transmits.len(), 1);
        let mut last = turn(false);
        hold.take(now, true, &mut last);
        assert_eq!(last.transmits.len(), 1, "all is on the disk");
    }

    /// The shard hears of it only at the end of its turn.
    #[test]
    fn nothing_is_opened_after_a_sync_has_failed() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        let mut drawing = turn(true);
        hold.take(now, true, &mut drawing);
        hold.synced(now, 1, false);
        let mut opening = turn(false);
        opening.openings.push(Origin::Stateless);
        hold.take(now, true, &mut opening);
        assert_eq!(opening.transmits.len(), 0);
        let released = hold.tend(now + PATIENCE).unwrap();
        assert_eq!((released.transmits.len(), released.kept_back.len()), (0, 1));
    }

    #[test]
    fn a_sync_that_has_failed_is_told_also_where_the_next_one_has_not() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        assert!(hold.was_trusted());
        for _ in 0..2 {
            hold.take(now, true, &mut turn(true));
        }
        hold.synced(now, 1, false);
        hold.synced(now, 2, true);
        assert!(!hold.was_trusted(), "the shard must draw again");
        assert!(hold.was_trusted());
    }

    /// Keeps what was written when a sync began, and takes its time.
    struct Slow(Arc<[AtomicU64; 2]>);

    impl Syncer for Slow {
        fn sync(&mut self) -> io::Result<()> {
            let written = self.0[0].load(Ordering::SeqCst);
            thread::sleep(Duration::from_millis(40));
            self.0[1].store(written, Ordering::SeqCst);
            Ok(())
        }
    }

    #[test]
    fn at_the_end_all_is_on_the_disk_before_it_leaves() {
        let disk = Arc::new([const { AtomicU64::new(0) }; 2]);
        let slow = Box::new(Slow(Arc::clone(&disk)));
        let mut hold = Hold::start(0, false, slow, Mailbox::new()).unwrap();
        for written in 1..3 {
            disk[0].store(written, Ordering::SeqCst);
            hold.take(Mono::ZERO, true, &mut turn(true));
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(hold.finish().transmits.len(), 2);
        assert_eq!(disk[1].load(Ordering::SeqCst), 2);
    }

    /// Whose they are does not matter here.
    #[test]
    fn what_repeats_an_opening_that_was_kept_back_never_leaves() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        let mut openings = vec![Origin::Stateless];
        take_opening(&mut hold, now, &mut openings);
        take_opening(&mut hold, now, &mut openings);
        let released = hold.synced(now, 1, false);
        assert_eq!((released.transmits.len(), released.kept_back.len()), (0, 1));
        assert!(!hold.is_trusted());
        assert_eq!(hold.synced(now, 2, true).transmits.len(), 0);
        assert!(hold.is_trusted());
    }

    #[test]
    fn a_disk_that_says_nothing_is_waited_for_no_longer_than_a_second() {
        let (mut hold, now) = (hold(false), Mono::ZERO);
        let mut openings = vec![Origin::Stateless];
        take_opening(&mut hold, now, &mut openings);
        assert_eq!(hold.deadline(), Some(now + PATIENCE));
        let released = hold.tend(now + PATIENCE).unwrap();
        assert_eq!((released.transmits.len(), released.kept_back.len()), (0, 1));
        // What opens nothing does not wait for it.
        let mut turn = turn(true);
        hold.take(now + PATIENCE, true, &mut turn);
        assert_eq!(turn.transmits.len(), 1);
    }

    #[test]
    fn only_where_every_record_is_to_be_on_the_disk_turns_wait_that_draw_nothing() {
        for every in [false, true] {
            let mut hold = hold(every);
            for (recorded, written) in [(false, true), (true, false), (true, true)] {
                let mut turn = turn(false);
                if recorded {
                    turn.journal(&Record::Acked { call: CallRef(1) });
                }
                hold.take(Mono::ZERO, written, &mut turn);
                let waits = every && recorded && written;
                assert_eq!(turn.transmits.is_empty(), waits);
            }
        }
    }
}
