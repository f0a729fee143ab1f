//! The INVITE server transaction: RFC 3261 §17.2.1 with RFC 6026 §7.1.
//!
//! ```text
//!                  | INVITE received: pass
//!                  v
//!            +--------------+--- INVITE: send the last 1xx, if any
//!            |  PROCEEDING  |--- 1xx from the user: send
//!            +--------------+
//!               |        | 2xx from the user: send, start L
//!               |        +--------------------+
//!               | 300-699 from the user:      v
//!               | send, start G and H    +--------------+--- INVITE: absorbed
//!               v                        |   ACCEPTED   |--- ACK: pass
//!            +--------------+            +--------------+--- 2xx from the
//!            |  COMPLETED   |                 |              user: send
//!            +--------------+                 | L
//!               | |  INVITE: send             v
//!               | |  G: send, G doubles up   over
//!               | |     to T2
//!               | |  H: tell user ----------------------------------> over
//!               | ACK: stop G, start I
//!               v
//!            +--------------+--- INVITE, ACK: absorbed
//!            |  CONFIRMED   |--- I ---------------------------------> over
//!            +--------------+
//! ```
//!
//! A response that could not be sent changes no state (RFC 6026 §8.8): the
//! transaction has to stay, so that a repeated INVITE is not taken for a new one.

use super::machine::{Clock, Over, Pass, Timers, Todo, unless};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

/// What happens to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The INVITE was received again.
    Request,
    /// Its ACK was received.
    Ack,
    /// The user sends a 1xx.
    Provisional,
    /// The user sends a 2xx, for the first time or again.
    Success,
    /// The user sends a 300-699.
    Failure,
    /// The retransmission timer fired.
    Resend,
    /// The state's timer fired.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InviteServer {
    state: State,
    /// Retransmissions so far.
    resent: u8,
}

impl InviteServer {
    /// The transaction in its first state, which waits for the user alone.
    pub(super) const fn start() -> Self {
        Self {
            state: State::Proceeding,
            resent: 0,
        }
    }

    pub(super) fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        use {Event as E, State as S};
        match (self.state, event) {
            (S::Proceeding, E::Request | E::Provisional) => Todo::send(),
            (S::Proceeding, E::Success) => {
                self.state = State::Accepted;
                Todo {
                    end: Clock::After(timers.give_up()),
                    ..Todo::send()
                }
            }
            (S::Proceeding, E::Failure) => {
                self.state = State::Completed;
                Todo {
                    resend: timers.first_pause(reliable),
                    end: Clock::After(timers.give_up()),
                    ..Todo::send()
                }
            }
            (S::Completed, E::Request) => Todo::send(),
            (S::Completed, E::Resend) => {
                self.resent = self.resent.saturating_add(1);
                Todo {
                    resend: Clock::After(timers.pause(self.resent, timers.t2)),
                    ..Todo::send()
                }
            }
            (S::Completed, E::Ack) => {
                self.state = State::Confirmed;
                Todo {
                    resend: Clock::Stop,
                    end: Clock::After(unless(reliable, timers.t4)),
                    release: true,
                    ..Todo::default()
                }
            }
            (S::Completed, E::End) => Todo::over(Over::TimedOut),
            (S::Accepted, E::Ack) => Todo::pass(Pass::First),
            (S::Accepted, E::Success) => Todo::send(),
            (S::Confirmed | S::Accepted, E::End) => Todo::over(Over::Ended),
            _ => Todo::default(),
        }
    }

    /// Whether a 2xx was sent.
    pub(super) fn is_accepted(self) -> bool {
        self.state == State::Accepted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STATES: [State; 4] = [
        State::Proceeding,
        State::Completed,
        State::Confirmed,
        State::Accepted,
    ];
    const EVENTS: [Event; 7] = [
        Event::Request,
        Event::Ack,
        Event::Provisional,
        Event::Success,
        Event::Failure,
        Event::Resend,
        Event::End,
    ];

    fn after(millis: u64) -> Clock {
        Clock::After(Duration::from_millis(millis))
    }

    /// The figure's rows; what is not here leaves everything as it was.
    fn figure(state: State, event: Event) -> Option<(State, Todo)> {
        use {Event as E, State as S};
        let send = Todo::send();
        Some(match (state, event) {
            (S::Proceeding, E::Request | E::Provisional) => (state, send),
            (S::Proceeding, E::Success) => (
                S::Accepted,
                Todo {
                    end: after(32_000),
                    ..send
                },
            ),
            (S::Proceeding, E::Failure) => {
                let (resend, end) = (after(500), after(32_000));
                (
                    S::Completed,
                    Todo {
                        resend,
                        end,
                        ..send
                    },
                )
            }
            (S::Completed, E::Request) => (state, send),
            (S::Completed, E::Resend) => (
                state,
                Todo {
                    resend: after(1_000),
                    ..send
                },
            ),
            (S::Completed, E::Ack) => {
                let (resend, end, release) = (Clock::Stop, after(5_000), true);
                (
                    S::Confirmed,
                    Todo {
                        resend,
                        end,
                        release,
                        ..Todo::default()
                    },
                )
            }
            (S::Completed, E::End) => (state, Todo::over(Over::TimedOut)),
            (S::Accepted, E::Ack) => (state, Todo::pass(Pass::First)),
            (S::Accepted, E::Success) => (state, send),
            (S::Confirmed | S::Accepted, E::End) => (state, Todo::over(Over::Ended)),
            _ => return None,
        })
    }

    #[test]
    fn every_row_of_the_figure() {
        for state in STATES {
            for event in EVENTS {
                let mut machine = InviteServer { state, resent: 0 };
                let todo = machine.step(event, &Timers::default(), false);
                let expected = figure(state, event).unwrap_or((state, Todo::default()));
                assert_eq!((machine.state, todo), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_repeats_nothing() {
        let timers = Timers::default();
        let mut machine = InviteServer::start();
        let refused = machine.step(Event::Failure, &timers, true);
        assert_eq!((refused.resend, refused.end), (Clock::Keep, after(32_000)));
        assert_eq!(machine.step(Event::Ack, &timers, true).end, after(0));
    }

    #[test]
    fn timer_g_doubles_up_to_t2() {
        let timers = Timers::default();
        let mut machine = InviteServer::start();
        let mut todo = machine.step(Event::Failure, &timers, false);
        for millis in [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000] {
            assert_eq!(todo.resend, after(millis));
            todo = machine.step(Event::Resend, &timers, false);
        }
    }
}
