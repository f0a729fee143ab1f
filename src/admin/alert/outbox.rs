//! What waits for each place, and the threads that bring it there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::base::limits::{
    ALERT_CHECKPOINT_S, ALERT_FIRST_CHECKPOINT_S, ALERT_PAUSE_S, ALERTS_WAITING,
};
use crate::base::time::Mono;

use super::Message;

/// Why a place did not take a message, in a few words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent(pub String);

/// Where messages go.
pub trait Destination: Send {
    /// What it is called in the log, and in what is kept over restarts: the same
    /// in each run, without secrets.
    fn name(&self) -> String;

    /// Brings a message there, and with it the ledger's last checkpoint; empty if
    /// there is none. It returns within [`crate::base::limits::ALERT_SEND_S`] or so.
    ///
    /// # Errors
    /// [`Unsent`]: it is to be tried again.
    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent>;

    /// Whether it says that it has taken a message.
    fn answers(&self) -> bool {
        true
    }

    /// Whether it is also to have checkpoints when nothing happens.
    fn keeps_checkpoints(&self) -> bool {
        false
    }

    /// Brings a checkpoint there.
    ///
    /// # Errors
    /// [`Unsent`]: a later one takes its place.
    fn keep(&mut self, _checkpoint: &str) -> Result<(), Unsent> {
        Ok(())
    }
}

/// What waits, by the name of the place.
pub type Waiting = BTreeMap<String, VecDeque<Message>>;

/// How a place fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fares {
    /// Which place.
    pub name: String,
    /// Messages that wait for it.
    pub waiting: usize,
    /// Messages that it took since the start.
    pub taken: u64,
    /// Tries that failed since the start.
    pub failed: u64,
    /// Messages left out since the start, because too many waited.
    pub left_out: u64,
    /// Why the last try failed; none if it did not.
    pub fault: Option<String>,
}

/// What waits for each place.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    places: BTreeMap<String, Place>,
    /// The ledger's last checkpoint.
    checkpoint: Option<Arc<str>>,
    /// There are messages of an earlier run, to be sent with this run's first checkpoint.
    left: bool,
    /// What time it was lately, and when all places were last told of that.
    clock: Mono,
    told: Mono,
    /// No more comes: what waits is tried once more.
    ending: bool,
    /// Threads that are at work.
    busy: usize,
}

#[derive(Debug, Default)]
struct Place {
    queue: VecDeque<Message>,
    taken: u64,
    failed: u64,
    left_out: u64,
    fault: Option<String>,
}

/// What a place is to get next: a message with the last checkpoint, or that alone.
struct Next {
    message: Option<Message>,
    checkpoint: Option<Arc<str>>,
    at: Mono,
}

/// The checkpoint that a place has, and since when.
#[derive(Debug, Default)]
struct Kept {
    note: Option<Arc<str>>,
    at: Mono,
}

impl State {
    /// Whether a place is to have the last checkpoint, though nothing happened.
    fn is_due(&self, kept: &Kept) -> bool {
        let pause = Duration::from_secs(ALERT_CHECKPOINT_S);
        let late = self.ending || kept.note.is_none() || self.clock >= kept.at + pause;
        late && kept.note != self.checkpoint
    }
}

impl Outbox {
    /// What an earlier run left, for the places that there are now.
    #[must_use]
    pub fn new(names: &[String], mut left: Waiting) -> Self {
        let place = |name: &String| {
            let queue = left.remove(name).unwrap_or_default();
            let place = Place {
                queue,
                ..Place::default()
            };
            (name.clone(), place)
        };
        let places: BTreeMap<_, _> = names.iter().map(place).collect();
        let state = State {
            left: places.values().any(|it| !it.queue.is_empty()),
            places,
            ..State::default()
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Has every place get these messages. `kept` is called with all that waits then,
    /// before any thread is woken for them.
    pub fn post(&self, messages: &[Message], kept: impl FnOnce(Waiting)) {
        let mut state = self.lock();
        for place in state.places.values_mut() {
            messages.iter().for_each(|it| place.push(it));
        }
        drop(state);
        kept(self.waiting());
        self.0.changed.notify_all();
    }

    /// What waits now, to be kept.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let state = self.lock();
        let places = state.places.iter();
        places
            .map(|(name, it)| (name.clone(), it.queue.clone()))
            .collect()
    }

    /// How each place fares.
    #[must_use]
    pub fn fares(&self) -> Vec<Fares> {
        let state = self.lock();
        let fares = state.places.iter().map(|(name, it)| Fares {
            name: name.clone(),
            waiting: it.queue.len(),
            taken: it.taken,
            failed: it.failed,
            left_out: it.left_out,
            fault: it.fault.clone(),
        });
        fares.collect()
    }

    /// Nothing can be brought to this place in this run; what comes for it waits for
    /// another one.
    pub fn give_up(&self, name: &str, why: &str) {
        if let Some(place) = self.lock().places.get_mut(name) {
            place.fault = Some(why.to_owned());
        }
    }

    /// This is the ledger's last checkpoint now. To be called some times a second.
    pub fn checkpoint(&self, note: &Arc<str>, now: Mono) {
        let mut state = self.lock();
        state.clock = now;
        let due = now >= state.told + Duration::from_secs(ALERT_CHECKPOINT_S);
        if due || state.checkpoint.as_ref() != Some(note) {
            state.checkpoint = Some(Arc::clone(note));
            state.told = now;
            drop(state);
            self.0.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under the lock.
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what a place is to get next; none at the end. `kept` is the
    /// checkpoint that it has, if it keeps any.
    fn next(&self, name: &str, kept: Option<&Kept>) -> Option<Next> {
        let mut state = self.lock();
        loop {
            let (checkpoint, at) = (state.checkpoint.clone(), state.clock);
            let place = state.places.get(name);
            if let Some(message) = place.and_then(|it| it.queue.front()) {
                let message = Some(message.clone());
                return Some(Next {
                    message,
                    checkpoint,
                    at,
                });
            }
            if checkpoint.is_some() && kept.is_some_and(|it| state.is_due(it)) {
                let message = None;
                return Some(Next {
                    message,
                    checkpoint,
                    at,
                });
            }
            if state.ending {
                return None;
            }
            let waited = self.0.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A message has come to its place.
    fn taken(&self, name: &str, id: &str) {
        let mut state = self.lock();
        if let Some(place) = state.places.get_mut(name) {
            place.taken = place.taken.saturating_add(1);
            place.fault = None;
            if place.queue.front().is_some_and(|it| it.id == id) {
                place.queue.pop_front();
            }
        }
        drop(state);
        self.0.changed.notify_all();
    }

    fn failed(&self, name: &str, why: &str) {
        if let Some(place) = self.lock().places.get_mut(name) {
            place.failed = place.failed.saturating_add(1);
            place.fault = Some(why.to_owned());
        }
    }

    /// Waits before the next try. Whether it is the end instead.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .0
            .changed
            .wait_timeout_while(state, pause, |it| !it.ending);
        waited.unwrap_or_else(PoisonError::into_inner).0.ending
    }

    /// Waits for this run's first checkpoint, if there is something left of an earlier
    /// one: what is sent is to show that the journal has it.
    fn wait_for_checkpoint(&self) {
        let wait = Duration::from_secs(ALERT_FIRST_CHECKPOINT_S);
        let state = self.lock();
        let _waited = self.0.changed.wait_timeout_while(state, wait, |it| {
            it.left && it.checkpoint.is_none() && !it.ending
        });
    }

    fn serve(&self, mut destination: Box<dyn Destination>) {
        let name = destination.name();
        self.wait_for_checkpoint();
        let mut pause = Duration::ZERO;
        let keeps = destination.keeps_checkpoints();
        let mut kept = keeps.then(Kept::default);
        while let Some(Next {
            message,
            checkpoint,
            at,
        }) = self.next(&name, kept.as_ref())
        {
            let note = checkpoint.as_deref().unwrap_or_default();
            let sent = match &message {
                Some(message) => destination.send(message, note),
                None => destination.keep(note),
            };
            if let Some(kept) = &mut kept
                && (sent.is_ok() || message.is_none())
            {
                *kept = Kept {
                    note: checkpoint,
                    at,
                };
            }
            match (sent, message) {
                (Ok(()), None) => {}
                (Ok(()), Some(message)) => {
                    if !pause.is_zero() {
                        tracing::info!(to = %name, "alerts are taken again");
                    }
                    pause = Duration::ZERO;
                    self.taken(&name, &message.id);
                }
                // A later one says more.
                (Err(Unsent(why)), None) => self.failed(&name, &why),
                (Err(Unsent(why)), Some(_)) => {
                    if pause.is_zero() {
                        tracing::warn!(to = %name, why, "an alert was not taken, and is tried again");
                    }
                    self.failed(&name, &why);
                    let longest = Duration::from_secs(ALERT_PAUSE_S);
                    pause = (pause * 2).clamp(Duration::from_secs(1), longest);
                    if self.pause(pause) {
                        break;
                    }
                }
            }
        }
        self.lock().busy -= 1;
        self.0.changed.notify_all();
    }

    /// Brings messages to each of these places, by a thread each. What has no thread
    /// waits for another start.
    #[must_use]
    pub fn start(&self, destinations: Vec<Box<dyn Destination>>) -> Sending {
        for destination in destinations {
            let (outbox, name) = (self.clone(), destination.name());
            self.lock().busy += 1;
            let started = thread::Builder::new()
                .name("alerts".to_owned())
                .spawn(move || outbox.serve(destination));
            if let Err(error) = started {
                self.lock().busy -= 1;
                self.give_up(&name, "there was no thread for it");
                tracing::error!(to = %name, %error, "no thread for alerts: none are sent there");
            }
        }
        Sending(self.clone())
    }
}

impl Place {
    fn push(&mut self, message: &Message) {
        self.queue.push_back(message.clone());
        if self.queue.len() > ALERTS_WAITING
            && let Some(oldest) = self.queue.pop_front()
            && let Some(next) = self.queue.front_mut()
        {
            self.left_out = self.left_out.saturating_add(1);
            let before = oldest.left_out.saturating_add(1);
            next.left_out = next.left_out.saturating_add(before);
        }
    }
}

/// Messages on their way.
#[derive(Debug)]
pub struct Sending(Outbox);

impl Sending {
    /// Gives what still waits so long to be taken. What is not is for the next
    /// start, if it is kept.
    pub fn finish(self, patience: Duration) {
        let mut state = self.0.lock();
        state.ending = true;
        let changed = &self.0.0.changed;
        changed.notify_all();
        let _waited = changed.wait_timeout_while(state, patience, |it| it.busy > 0);
    }
}
