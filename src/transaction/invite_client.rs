//! The INVITE client transaction: RFC 3261 §17.1.1 with RFC 6026 §7.2.
//!
//! ```text
//!                  | INVITE from the user: send it, start A and B
//!                  v
//!            +-------------+--- A: send INVITE, A doubles
//!            |   CALLING   |--- B, first send failed: tell user -----> over
//!            +-------------+
//!              |  |  |  1xx: pass, stop A and B
//!              |  |  +--------------+
//!              |  |                 v
//!              |  |          +--------------+--- 1xx: pass
//!              |  |          |  PROCEEDING  |--- 64*T1 after a CANCEL:
//!              |  |          +--------------+    tell user ----------> over
//!              |  |             |       |
//!              |  +-------------|----+  |
//!              |   300-699: ACK, pass,  |
//!              |   start D      |    |  |
//!              | +--------------+    |  |
//!              v v                   v  v  2xx: pass, start M
//!         +-------------+        +--------------+
//!         |  COMPLETED  |        |   ACCEPTED   |--- 2xx: pass again
//!         +-------------+        +--------------+
//!            |  300-699: ACK            |
//!            |  2xx: pass again         | M
//!            |  D, send failed          |
//!            v                          v
//!           over                       over
//! ```
//!
//! A connection that closes under it ends it in Calling; in Proceeding it is
//! cancelled, since it may ring.
//!
//! CANCEL (§9.1) is no state of its own: it is sent once a provisional response
//! has come, and starts the 64·T1 above. A 2xx in Completed, of which the
//! figures say nothing, is a branch that was forked downstream and answered
//! late: someone talks at the user's cost, so the user hears of it.

use std::time::Duration;

use super::machine::{Clock, Over, Pass, Send, Timers, Todo, unless};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

/// The user's wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// To be sent with the first provisional response.
    Wanted,
    Sent,
}

/// What happens to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A 1xx was received.
    Provisional,
    /// A 2xx was received.
    Success,
    /// A 300-699 was received.
    Failure,
    /// The user wants the INVITE cancelled.
    Cancel,
    /// The retransmission timer fired.
    Resend,
    /// The state's timer fired.
    End,
    /// What the transaction sent could not be sent.
    SendFailed,
    /// The connection that it was sent on has closed.
    Closed,
    /// None of what it sent has left.
    NeverLeft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InviteClient {
    state: State,
    cancel: Cancel,
    /// Retransmissions so far.
    resent: u8,
}

impl InviteClient {
    /// The transaction in its first state, and what it does on entering it.
    pub(super) fn start(timers: &Timers, reliable: bool) -> (Self, Todo) {
        let machine = Self {
            state: State::Calling,
            cancel: Cancel::No,
            resent: 0,
        };
        let todo = Todo {
            resend: timers.first_pause(reliable),
            end: Clock::After(timers.give_up()),
            ..Todo::send()
        };
        (machine, todo)
    }

    /// One that had a provisional response before a restart, and may have had more:
    /// it is not sent again.
    pub(super) const fn resumed() -> Self {
        Self {
            state: State::Proceeding,
            cancel: Cancel::No,
            resent: 0,
        }
    }

    pub(super) fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        use {Event as E, State as S};
        match (self.state, event) {
            (S::Calling, E::Resend) => self.resend(timers),
            // Once it may have arrived, a failure is a loss like any other: only a
            // CANCEL takes back what may ring.
            (S::Calling, E::NeverLeft) => Todo::over(Over::Failed),
            (S::Calling, E::SendFailed) if self.resent == 0 => Todo::over(Over::Failed),
            (S::Calling | S::Proceeding, E::End) => Todo::over(Over::TimedOut),
            // Nothing would repeat it, and no answer can come but over a connection
            // that the peer makes.
            (S::Calling, E::Closed) => Todo::over(Over::Cut),
            (S::Proceeding, E::Closed) if self.cancel == Cancel::No => self.cancel(timers),
            (S::Calling, E::Cancel) => {
                self.cancel = Cancel::Wanted;
                Todo::default()
            }
            (S::Calling, E::Provisional) => self.proceed(timers),
            (S::Proceeding, E::Provisional) => Todo::pass(Pass::First),
            (S::Proceeding, E::Cancel) if self.cancel == Cancel::No => self.cancel(timers),
            (S::Calling | S::Proceeding, E::Success) => self.accept(timers),
            (S::Calling | S::Proceeding, E::Failure) => self.complete(timers, reliable),
            (S::Completed, E::Failure) => Todo::send(),
            (S::Completed | S::Accepted, E::Success) => Todo::pass(Pass::Again),
            (S::Completed, E::SendFailed) => Todo::over(Over::Failed),
            (S::Completed | S::Accepted, E::End) => Todo::over(Over::Ended),
            _ => Todo::default(),
        }
    }

    /// Whether a CANCEL waits for a provisional response.
    pub(super) fn wants_cancel(self) -> bool {
        self.cancel == Cancel::Wanted
    }

    /// Timer A, whose pause doubles as long as B lets it.
    fn resend(&mut self, timers: &Timers) -> Todo {
        self.resent = self.resent.saturating_add(1);
        Todo {
            resend: Clock::After(timers.pause(self.resent, Duration::MAX)),
            ..Todo::send()
        }
    }

    fn proceed(&mut self, timers: &Timers) -> Todo {
        self.state = State::Proceeding;
        let todo = match self.cancel {
            Cancel::Wanted => self.cancel(timers),
            Cancel::No | Cancel::Sent => Todo {
                end: Clock::Stop,
                ..Todo::default()
            },
        };
        Todo {
            pass: Some(Pass::First),
            resend: Clock::Stop,
            ..todo
        }
    }

    fn cancel(&mut self, timers: &Timers) -> Todo {
        self.cancel = Cancel::Sent;
        Todo {
            send: Some(Send::Cancel),
            end: Clock::After(timers.give_up()),
            ..Todo::default()
        }
    }

    fn accept(&mut self, timers: &Timers) -> Todo {
        self.state = State::Accepted;
        Todo {
            resend: Clock::Stop,
            end: Clock::After(timers.give_up()),
            release: true,
            ..Todo::pass(Pass::First)
        }
    }

    fn complete(&mut self, timers: &Timers, reliable: bool) -> Todo {
        self.state = State::Completed;
        Todo {
            send: Some(Send::NewAck),
            resend: Clock::Stop,
            end: Clock::After(unless(reliable, timers.completed())),
            ..Todo::pass(Pass::First)
        }
    }
}

#[cfg(test)]
mod tests;
