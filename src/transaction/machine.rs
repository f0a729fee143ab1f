//! What the four machines share: the table tells one of them what happened, and
//! it answers what is to be done. No machine knows messages, keys or clocks.

use std::time::Duration;

/// The RFC's three basic spans; all of Timer A to M are made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// A round trip (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// The longest pause between retransmissions of anything but an INVITE.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for Timers {
    /// The RFC's values: 500 ms, 4 s, 5 s.
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// 64·T1: Timers B, F, H, J, L and M.
    pub(super) fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer D: as long as the other side may repeat its response, whatever T1
    /// it reckons with.
    pub(super) fn completed(&self) -> Duration {
        self.give_up().max(Duration::from_secs(32))
    }

    /// The pause after the `sent`-th retransmission: T1, doubled each time, up to
    /// `most`. Never nothing, however the spans are set.
    pub(super) fn pause(&self, sent: u8, most: Duration) -> Duration {
        let times = 1_u32.checked_shl(u32::from(sent)).unwrap_or(u32::MAX);
        let pause = self.t1.saturating_mul(times).min(most);
        pause.max(Duration::from_millis(1))
    }

    /// The pause before the first retransmission; none at all where the transport
    /// itself repeats what is lost.
    pub(super) fn first_pause(&self, reliable: bool) -> Clock {
        if reliable {
            Clock::Keep
        } else {
            Clock::After(self.pause(0, Duration::MAX))
        }
    }
}

/// `span` on an unreliable transport; nothing where the transport itself repeats
/// what is lost, so that nothing can come twice.
pub(super) const fn unless(reliable: bool, span: Duration) -> Duration {
    if reliable { Duration::ZERO } else { span }
}

/// What becomes of one of a transaction's two timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clock {
    /// It stays as it is.
    #[default]
    Keep,
    /// It does not fire any more.
    Stop,
    /// It fires after this span, and not at the time set before.
    After(Duration),
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Send {
    /// The packet that is stored: the request, the last response, or the ACK.
    Stored,
    /// An ACK for the response that was received, to be stored for the next.
    NewAck,
    /// A CANCEL, in a transaction of its own.
    Cancel,
}

/// That what was received goes up to the transaction user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// As news.
    First,
    /// As a 2xx behind a final response that the user had already.
    Again,
}

/// How a transaction got to its Terminated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// It ran its course.
    Ended,
    /// What it waited for did not come.
    TimedOut,
    /// It could not send.
    Failed,
    /// What carried its request closed.
    Cut,
}

/// What a step asks for. The default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    pub(super) send: Option<Send>,
    pub(super) pass: Option<Pass>,
    /// The timer for retransmissions: A, E, G.
    pub(super) resend: Clock,
    /// The timer that ends a state: B, D, F, H, I, J, K, L, M.
    pub(super) end: Clock,
    /// The stored packet will not be sent again.
    pub(super) release: bool,
    /// The transaction is terminated and must be destroyed.
    pub(super) over: Option<Over>,
}

impl Todo {
    /// Send the stored packet, and nothing else.
    pub(super) const fn send() -> Self {
        Self {
            send: Some(Send::Stored),
            ..Self::NOTHING
        }
    }

    /// Pass what was received up, and nothing else.
    pub(super) const fn pass(pass: Pass) -> Self {
        Self {
            pass: Some(pass),
            ..Self::NOTHING
        }
    }

    /// End, and nothing else.
    pub(super) const fn over(over: Over) -> Self {
        Self {
            over: Some(over),
            ..Self::NOTHING
        }
    }

    pub(super) const NOTHING: Self = Self {
        send: None,
        pass: None,
        resend: Clock::Keep,
        end: Clock::Keep,
        release: false,
        over: None,
    };
}
