//! The server transaction of every method but INVITE and ACK: RFC 3261 §17.2.2.
//!
//! ```text
//!                  | request received: pass, start the guard
//!                  v
//!            +--------------+--- request: absorbed
//!            |    TRYING    |--- guard: tell user -------------------> over
//!            +--------------+
//!               |      | 1xx from the user: send
//!               |      v
//!               |   +--------------+--- request: send the last 1xx
//!               |   |  PROCEEDING  |--- 1xx from the user: send
//!               |   +--------------+--- guard: tell user ------------> over
//!               |      |
//!               v      v 200-699 from the user: send, start J
//!            +--------------+--- request: send
//!            |  COMPLETED   |--- J ----------------------------------> over
//!            +--------------+
//! ```
//!
//! The guard, 64·T1, is ours. The client's Timer F is over by then, so any
//! answer would be late: nothing is sent, no 408 above all (RFC 4320 §4.2), nor
//! any 1xx of the transaction's own (§4.1). A response that could not be sent
//! changes no state (RFC 6026 §8.8).

use super::machine::{Clock, Over, Timers, Todo, unless};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

/// What happens to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The request was received again.
    Request,
    /// The user sends a 1xx.
    Provisional,
    /// The user sends a 200-699.
    Final,
    /// The state's timer fired.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NonInviteServer {
    state: State,
}

impl NonInviteServer {
    /// The transaction in its first state, and what it does on entering it.
    pub(super) fn start(timers: &Timers) -> (Self, Todo) {
        let machine = Self {
            state: State::Trying,
        };
        let todo = Todo {
            end: Clock::After(timers.give_up()),
            ..Todo::default()
        };
        (machine, todo)
    }

    pub(super) fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        use {Event as E, State as S};
        match (self.state, event) {
            (S::Trying | S::Proceeding, E::Provisional) => {
                self.state = State::Proceeding;
                Todo::send()
            }
            (S::Trying | S::Proceeding, E::Final) => {
                self.state = State::Completed;
                Todo {
                    end: Clock::After(unless(reliable, timers.give_up())),
                    ..Todo::send()
                }
            }
            (S::Proceeding | S::Completed, E::Request) => Todo::send(),
            (S::Trying | S::Proceeding, E::End) => Todo::over(Over::TimedOut),
            (S::Completed, E::End) => Todo::over(Over::Ended),
            (S::Trying, E::Request) | (S::Completed, E::Provisional | E::Final) => Todo::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STATES: [State; 3] = [State::Trying, State::Proceeding, State::Completed];
    const EVENTS: [Event; 4] = [Event::Request, Event::Provisional, Event::Final, Event::End];

    fn after(seconds: u64) -> Clock {
        Clock::After(Duration::from_secs(seconds))
    }

    /// The figure's rows; what is not here leaves everything as it was.
    fn figure(state: State, event: Event) -> Option<(State, Todo)> {
        use {Event as E, State as S};
        let send = Todo::send();
        Some(match (state, event) {
            (S::Trying | S::Proceeding, E::Provisional) => (S::Proceeding, send),
            (S::Trying | S::Proceeding, E::Final) => (
                S::Completed,
                Todo {
                    end: after(32),
                    ..send
                },
            ),
            (S::Proceeding | S::Completed, E::Request) => (state, send),
            (S::Trying | S::Proceeding, E::End) => (state, Todo::over(Over::TimedOut)),
            (S::Completed, E::End) => (state, Todo::over(Over::Ended)),
            _ => return None,
        })
    }

    #[test]
    fn every_row_of_the_figure() {
        for state in STATES {
            for event in EVENTS {
                let mut machine = NonInviteServer { state };
                let todo = machine.step(event, &Timers::default(), false);
                let expected = figure(state, event).unwrap_or((state, Todo::default()));
                assert_eq!((machine.state, todo), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_repeats_nothing() {
        let (mut machine, todo) = NonInviteServer::start(&Timers::default());
        assert_eq!(
            todo,
            Todo {
                end: after(32),
                ..Todo::default()
            }
        );
        let answered = machine.step(Event::Final, &Timers::default(), true);
        assert_eq!((answered.resend, answered.end), (Clock::Keep, after(0)));
    }
}
