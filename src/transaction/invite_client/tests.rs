//! Every row of the figure, and the spans.

use super::*;

const STATES: [State; 4] = [
    State::Calling,
    State::Proceeding,
    State::Completed,
    State::Accepted,
];
const EVENTS: [Event; 9] = [
    Event::Provisional,
    Event::Success,
    Event::Failure,
    Event::Cancel,
    Event::Resend,
    Event::End,
    Event::SendFailed,
    Event::Closed,
    Event::NeverLeft,
];

fn after(seconds: u64) -> Clock {
    Clock::After(Duration::from_secs(seconds))
}

/// The figure's rows; what is not here leaves everything as it was.
fn figure(state: State, event: Event) -> Option<(State, Todo)> {
    use {Event as E, State as S};
    let stop = Todo {
        resend: Clock::Stop,
        ..Todo::default()
    };
    let first = Some(Pass::First);
    Some(match (state, event) {
        (S::Calling, E::Provisional) => {
            let (pass, end) = (first, Clock::Stop);
            (S::Proceeding, Todo { pass, end, ..stop })
        }
        (S::Calling | S::Proceeding, E::Success) => {
            let (pass, end, release) = (first, after(32), true);
            (
                S::Accepted,
                Todo {
                    pass,
                    end,
                    release,
                    ..stop
                },
            )
        }
        (S::Calling | S::Proceeding, E::Failure) => {
            let (send, pass, end) = (Some(Send::NewAck), first, after(32));
            (
                S::Completed,
                Todo {
                    send,
                    pass,
                    end,
                    ..stop
                },
            )
        }
        (S::Calling, E::Resend) => {
            let resend = after(1);
            (
                S::Calling,
                Todo {
                    resend,
                    ..Todo::send()
                },
            )
        }
        (S::Calling, E::SendFailed | E::NeverLeft) => (S::Calling, Todo::over(Over::Failed)),
        (S::Calling | S::Proceeding, E::End) => (state, Todo::over(Over::TimedOut)),
        (S::Proceeding, E::Provisional) => (state, Todo::pass(Pass::First)),
        (S::Calling, E::Closed) => (state, Todo::over(Over::Cut)),
        (S::Proceeding, E::Cancel | E::Closed) => {
            let (send, end) = (Some(Send::Cancel), after(32));
            (
                state,
                Todo {
                    send,
                    end,
                    ..Todo::default()
                },
            )
        }
        (S::Completed, E::Failure) => (state, Todo::send()),
        (S::Completed | S::Accepted, E::Success) => (state, Todo::pass(Pass::Again)),
        (S::Completed, E::SendFailed) => (state, Todo::over(Over::Failed)),
        (S::Completed | S::Accepted, E::End) => (state, Todo::over(Over::Ended)),
        _ => return None,
    })
}

#[test]
fn every_row_of_the_figure() {
    for state in STATES {
        for event in EVENTS {
            let (mut machine, _) = InviteClient::start(&Timers::default(), false);
            machine.state = state;
            let todo = machine.step(event, &Timers::default(), false);
            let expected = figure(state, event).unwrap_or((state, Todo::default()));
            assert_eq!((machine.state, todo), expected, "{state:?} {event:?}");
        }
    }
}

#[test]
fn what_may_have_arrived_cannot_fail_any_more() {
    let (mut machine, _) = InviteClient::start(&Timers::default(), false);
    let _ = machine.step(Event::Resend, &Timers::default(), false);
    let todo = machine.step(Event::SendFailed, &Timers::default(), false);
    assert_eq!((machine.state, todo), (State::Calling, Todo::default()));
}

#[test]
fn the_first_state_sends_and_repeats() {
    let (_, todo) = InviteClient::start(&Timers::default(), false);
    let resend = Clock::After(Duration::from_millis(500));
    assert_eq!(
        todo,
        Todo {
            resend,
            end: after(32),
            ..Todo::send()
        }
    );
}

#[test]
fn a_reliable_transport_repeats_nothing() {
    let (mut machine, todo) = InviteClient::start(&Timers::default(), true);
    assert_eq!((todo.resend, todo.end), (Clock::Keep, after(32)));
    let todo = machine.step(Event::Failure, &Timers::default(), true);
    assert_eq!((todo.send, todo.end), (Some(Send::NewAck), after(0)));
}

#[test]
fn a_cancel_waits_for_a_provisional_response_and_is_sent_once() {
    let timers = Timers::default();
    let (mut machine, _) = InviteClient::start(&timers, false);
    assert_eq!(machine.step(Event::Cancel, &timers, false), Todo::default());
    let todo = machine.step(Event::Provisional, &timers, false);
    let expected = Todo {
        send: Some(Send::Cancel),
        resend: Clock::Stop,
        end: after(32),
        ..Todo::pass(Pass::First)
    };
    assert_eq!(todo, expected);
    assert_eq!(machine.step(Event::Cancel, &timers, false), Todo::default());
    let more = machine.step(Event::Provisional, &timers, false);
    assert_eq!(more, Todo::pass(Pass::First), "the span is not begun again");
}

#[test]
fn a_connection_that_closes_cancels_what_rings_once() {
    let timers = Timers::default();
    let (mut machine, _) = InviteClient::start(&timers, true);
    let _ = machine.step(Event::Provisional, &timers, true);
    let cancel = machine.step(Event::Closed, &timers, true);
    assert_eq!((cancel.send, cancel.end), (Some(Send::Cancel), after(32)));
    for event in [Event::Closed, Event::Cancel] {
        assert_eq!(machine.step(event, &timers, true), Todo::default());
    }
}

#[test]
fn a_final_response_overtakes_the_wish_to_cancel() {
    let timers = Timers::default();
    for (event, send) in [(Event::Success, None), (Event::Failure, Some(Send::NewAck))] {
        let (mut machine, _) = InviteClient::start(&timers, false);
        machine.step(Event::Cancel, &timers, false);
        assert_eq!(machine.step(event, &timers, false).send, send);
    }
}

#[test]
fn timer_a_doubles_without_limit() {
    let timers = Timers::default();
    let (mut machine, mut todo) = InviteClient::start(&timers, false);
    for half_seconds in [1, 2, 4, 8, 16, 32, 64] {
        let pause = Duration::from_millis(500 * half_seconds);
        assert_eq!(todo.resend, Clock::After(pause));
        todo = machine.step(Event::Resend, &timers, false);
    }
}

#[test]
fn timer_d_is_never_under_32_seconds() {
    let timers = Timers {
        t1: Duration::from_millis(50),
        ..Timers::default()
    };
    let (mut machine, _) = InviteClient::start(&timers, false);
    assert_eq!(machine.step(Event::Failure, &timers, false).end, after(32));
}
