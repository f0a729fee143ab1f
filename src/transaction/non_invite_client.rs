//! The client transaction of every method but INVITE and ACK: RFC 3261 §17.1.2.
//!
//! ```text
//!                  | request from the user: send it, start E and F
//!                  v
//!            +--------------+--- E: send request, E doubles up to T2
//!            |    TRYING    |--- F, send failed*: tell user --------> over
//!            +--------------+
//!               |      | 1xx: pass
//!               |      v
//!               |   +--------------+--- E: send request, E is T2
//!               |   |  PROCEEDING  |--- 1xx: pass
//!               |   +--------------+--- F, send failed*: tell user -> over
//!               |      |
//!               v      v 200-699: pass, stop E and F, start K
//!            +--------------+
//!            |  COMPLETED   |--- any response: absorbed
//!            +--------------+--- K ----------------------------------> over
//! ```
//!
//! (*) Over a reliable transport only: a datagram that cannot be sent is one that
//! was lost, and E repeats it.

use super::machine::{Clock, Over, Pass, Timers, Todo, unless};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

/// What happens to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A 1xx was received.
    Provisional,
    /// A 200-699 was received.
    Final,
    /// The retransmission timer fired.
    Resend,
    /// The state's timer fired.
    End,
    /// What the transaction sent could not be sent.
    SendFailed,
    /// The connection that it was sent on has closed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NonInviteClient {
    state: State,
    /// Retransmissions so far.
    resent: u8,
}

impl NonInviteClient {
    /// The transaction in its first state, and what it does on entering it.
    pub(super) fn start(timers: &Timers, reliable: bool) -> (Self, Todo) {
        let machine = Self {
            state: State::Trying,
            resent: 0,
        };
        let todo = Todo {
            resend: timers.first_pause(reliable),
            end: Clock::After(timers.give_up()),
            ..Todo::send()
        };
        (machine, todo)
    }

    pub(super) fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        use {Event as E, State as S};
        match (self.state, event) {
            (S::Trying, E::Provisional) => {
                self.state = State::Proceeding;
                Todo::pass(Pass::First)
            }
            (S::Proceeding, E::Provisional) => Todo::pass(Pass::First),
            (S::Trying | S::Proceeding, E::Final) => {
                self.state = State::Completed;
                Todo {
                    resend: Clock::Stop,
                    end: Clock::After(unless(reliable, timers.t4)),
                    release: true,
                    ..Todo::pass(Pass::First)
                }
            }
            (S::Trying | S::Proceeding, E::Resend) => self.resend(timers),
            (S::Trying | S::Proceeding, E::End) => Todo::over(Over::TimedOut),
            (S::Trying | S::Proceeding, E::Closed) => Todo::over(Over::Cut),
            (S::Trying | S::Proceeding, E::SendFailed) if reliable => Todo::over(Over::Failed),
            // Over UDP it is a loss like any other, and E repeats the request.
            (S::Trying | S::Proceeding, E::SendFailed) => Todo::default(),
            (S::Completed, E::End) => Todo::over(Over::Ended),
            (S::Completed, _) => Todo::default(),
        }
    }

    fn resend(&mut self, timers: &Timers) -> Todo {
        self.resent = self.resent.saturating_add(1);
        let pause = match self.state {
            State::Trying => timers.pause(self.resent, timers.t2),
            State::Proceeding | State::Completed => timers.pause(u8::MAX, timers.t2),
        };
        Todo {
            resend: Clock::After(pause),
            ..Todo::send()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STATES: [State; 3] = [State::Trying, State::Proceeding, State::Completed];
    const EVENTS: [Event; 6] = [
        Event::Provisional,
        Event::Final,
        Event::Resend,
        Event::End,
        Event::SendFailed,
        Event::Closed,
    ];

    fn after(seconds: u64) -> Clock {
        Clock::After(Duration::from_secs(seconds))
    }

    /// The figure's rows; what is not here leaves everything as it was.
    fn figure(state: State, event: Event) -> Option<(State, Todo)> {
        use {Event as E, State as S};
        Some(match (state, event) {
            (S::Trying | S::Proceeding, E::Provisional) => (S::Proceeding, Todo::pass(Pass::First)),
            (S::Trying | S::Proceeding, E::Final) => {
                let (resend, end, release) = (Clock::Stop, after(5), true);
                let pass = Todo::pass(Pass::First);
                (
                    S::Completed,
                    Todo {
                        resend,
                        end,
                        release,
                        ..pass
                    },
                )
            }
            (S::Trying, E::Resend) => (
                state,
                Todo {
                    resend: after(1),
                    ..Todo::send()
                },
            ),
            (S::Proceeding, E::Resend) => (
                state,
                Todo {
                    resend: after(4),
                    ..Todo::send()
                },
            ),
            (S::Trying | S::Proceeding, E::End) => (state, Todo::over(Over::TimedOut)),
            (S::Trying | S::Proceeding, E::Closed) => (state, Todo::over(Over::Cut)),
            (S::Completed, E::End) => (state, Todo::over(Over::Ended)),
            _ => return None,
        })
    }

    #[test]
    fn every_row_of_the_figure() {
        for state in STATES {
            for event in EVENTS {
                let (mut machine, _) = NonInviteClient::start(&Timers::default(), false);
                machine.state = state;
                let todo = machine.step(event, &Timers::default(), false);
                let expected = figure(state, event).unwrap_or((state, Todo::default()));
                assert_eq!((machine.state, todo), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_that_fails_ends_it() {
        for state in [State::Trying, State::Proceeding] {
            let (mut machine, _) = NonInviteClient::start(&Timers::default(), true);
            machine.state = state;
            let todo = machine.step(Event::SendFailed, &Timers::default(), true);
            assert_eq!(todo, Todo::over(Over::Failed));
        }
    }

    #[test]
    fn a_reliable_transport_repeats_nothing() {
        let (mut machine, todo) = NonInviteClient::start(&Timers::default(), true);
        assert_eq!((todo.resend, todo.end), (Clock::Keep, after(32)));
        assert_eq!(
            machine.step(Event::Final, &Timers::default(), true).end,
            after(0)
        );
    }

    #[test]
    fn timer_e_doubles_up_to_t2() {
        let timers = Timers::default();
        let (mut machine, mut todo) = NonInviteClient::start(&timers, false);
        for half_seconds in [1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8] {
            let pause = Duration::from_millis(500 * half_seconds);
            assert_eq!(todo.resend, Clock::After(pause));
            todo = machine.step(Event::Resend, &timers, false);
        }
    }
}
