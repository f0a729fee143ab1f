//! What one shard's thread hands to another: messages whose call lives there,
//! and commands.
//!
//! A post wakes the owner only if it sleeps. The owner says so under the same
//! lock under which it finds the box empty, so no letter can fall between; and
//! a thread that is busy, or already woken, costs the poster no system call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A mailbox, as both ends see it. `T` is what is sent.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    letters: VecDeque<T>,
    /// Present while the owner sleeps, and nobody has woken it yet.
    sleeper: Option<Waker>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<T> Mailbox<T> {
    /// An empty box.
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                letters: VecDeque::new(),
                sleeper: None,
            })),
        }
    }

    /// Posts `letters`, in order, with one wake-up at most, until there are
    /// `limit` in the box. The rest stays in `letters`.
    pub(super) fn post(&self, letters: &mut Vec<T>, limit: usize) {
        let mut state = self.lock();
        let room = limit.saturating_sub(state.letters.len());
        let taken = room.min(letters.len());
        state.letters.extend(letters.drain(..taken));
        wake(state);
    }

    /// Posts one letter even to a full box: for commands, which are few and
    /// must arrive.
    pub(super) fn urge(&self, letter: T) {
        let mut state = self.lock();
        state.letters.push_back(letter);
        wake(state);
    }

    /// Takes everything into `inbox`, which must be empty (the two exchange
    /// their storage, so that neither allocates in the long run).
    pub(super) fn collect(&self, inbox: &mut VecDeque<T>) {
        debug_assert!(inbox.is_empty());
        let mut state = self.lock();
        state.sleeper = None;
        std::mem::swap(&mut state.letters, inbox);
    }

    /// Ready when there is a letter. Otherwise the next post wakes the task.
    pub(super) fn poll_letter(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.letters.is_empty() {
            match &mut state.sleeper {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let sleeper = state.sleeper.take();
    drop(state);
    if let Some(waker) = sleeper {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Alarm(AtomicUsize);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_sleeper_is_woken_once() {
        let (bell, mailbox) = (Arc::new(Alarm(AtomicUsize::new(0))), Mailbox::new());
        let waker = Waker::from(Arc::clone(&bell));
        let context = Context::from_waker(&waker);
        mailbox.urge(1);
        assert_eq!(bell.0.load(Ordering::Relaxed), 0, "nobody sleeps");
        assert!(mailbox.poll_letter(&context).is_ready());
        let mut inbox = VecDeque::new();
        mailbox.collect(&mut inbox);
        assert_eq!(inbox, [1]);
        assert!(mailbox.poll_letter(&context).is_pending());
        mailbox.post(&mut vec![2, 3], 9);
        mailbox.urge(4);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_box_keeps_the_first() {
        let mailbox = Mailbox::new();
        mailbox.post(&mut vec![1, 2], 3);
        let mut more = vec![3, 4, 5];
        mailbox.post(&mut more, 3);
        assert_eq!(more, [4, 5]);
        mailbox.post(&mut more, 4);
        assert_eq!(more, [5]);
        mailbox.urge(6);
        let mut inbox = VecDeque::new();
        mailbox.collect(&mut inbox);
        assert_eq!(inbox, [1, 2, 3, 4, 6]);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        const POSTERS: usize = 3;
        const EACH: usize = 20_000;
        let mailbox = Mailbox::new();
        let posters: Vec<_> = (0..POSTERS)
            .map(|poster| {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        mailbox.post(&mut vec![(poster, n)], usize::MAX);
                        if n % 64 == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let (mut inbox, mut next, mut total) = (VecDeque::new(), [0; POSTERS], 0);
        // A lost wake-up leaves this waiting for ever.
        while total < POSTERS * EACH {
            runtime.block_on(poll_fn(|context| mailbox.poll_letter(context)));
            mailbox.collect(&mut inbox);
            for (poster, n) in inbox.drain(..) {
                assert_eq!(n, next[poster], "order is kept");
                next[poster] += 1;
                total += 1;
            }
        }
        for poster in posters {
            poster.join().unwrap();
        }
    }
}
