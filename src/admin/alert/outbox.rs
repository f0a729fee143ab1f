//! What waits for each place, and the threads that bring it there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::base::limits::{ALERT_PAUSE_S, ALERTS_WAITING};

use super::Message;

/// Why a place did not take a message, in a few words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent(pub String);

/// Where messages go.
pub trait Destination: Send {
    /// What it is called in the log, and in what is kept over restarts: the same
    /// in each run, without secrets.
    fn name(&self) -> String;

    /// Brings a message there. It returns within [`crate::base::limits::ALERT_SEND_S`]
    /// or so.
    ///
    /// # Errors
    /// [`Unsent`]: it is to be tried again.
    fn send(&mut self, message: &Message) -> Result<(), Unsent>;
}

/// What waits, by the name of the place.
pub type Waiting = BTreeMap<String, VecDeque<Message>>;

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
    waiting: Waiting,
    /// No more comes: what waits is tried once more.
    ending: bool,
    /// Threads that are at work.
    busy: usize,
}

impl Outbox {
    /// What an earlier run left, for the places that there are now.
    #[must_use]
    pub fn new(names: &[String], mut left: Waiting) -> Self {
        let take = |name: &String| (name.clone(), left.remove(name).unwrap_or_default());
        let state = State {
            waiting: names.iter().map(take).collect(),
            ..State::default()
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Has every place get a message.
    pub fn post(&self, message: &Message) {
        let mut state = self.lock();
        for queue in state.waiting.values_mut() {
            queue.push_back(message.clone());
            if queue.len() > ALERTS_WAITING
                && let Some(oldest) = queue.pop_front()
                && let Some(next) = queue.front_mut()
            {
                next.left_out = next.left_out.saturating_add(oldest.left_out + 1);
            }
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// What waits now, to be kept.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.lock().waiting.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under the lock.
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first message to a place; none at the end.
    fn next(&self, name: &str) -> Option<Message> {
        let mut state = self.lock();
        loop {
            let first = state.waiting.get(name).and_then(VecDeque::front);
            if let Some(message) = first {
                return Some(message.clone());
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
        if let Some(queue) = state.waiting.get_mut(name)
            && queue.front().is_some_and(|it| it.id == id)
        {
            queue.pop_front();
        }
        drop(state);
        self.0.changed.notify_all();
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

    fn serve(&self, mut destination: Box<dyn Destination>) {
        let name = destination.name();
        let mut pause = Duration::ZERO;
        while let Some(message) = self.next(&name) {
            match destination.send(&message) {
                Ok(()) => {
                    if !pause.is_zero() {
                        tracing::info!(to = %name, "alerts are taken again");
                    }
                    pause = Duration::ZERO;
                    self.taken(&name, &message.id);
                }
                Err(Unsent(why)) => {
                    if pause.is_zero() {
                        tracing::warn!(to = %name, why, "an alert was not taken, and is tried again");
                    }
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
                tracing::error!(to = %name, %error, "no thread for alerts: none are sent there");
            }
        }
        Sending(self.clone())
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
