//! The log lines of a shard's events, no more of them than someone could read.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use crate::base::flow::ListenerId;
use crate::base::limits::LOG_LINES_PER_SECOND;
use crate::base::time::Mono;
use crate::policy::number::Number;
use crate::record::Party;
use crate::shard::Event;

use super::sheds::Shed;
use super::wire::Unsent;

/// How often the log tells of strangers.
const STRANGERS_EVERY: Duration = Duration::from_secs(60);

const SECOND_NANOS: u64 = 1_000_000_000;

/// Writes events to the log, a bounded number of each kind.
#[derive(Debug)]
pub(super) struct Logger {
    shard: u16,
    calls: Gate,
    refusals: Gate,
    ends: Gate,
    faults: Gate,
    network: Gate,
    /// When the log was last told of strangers.
    told: Option<Mono>,
    /// When it was last told of what was shed.
    told_of_sheds: Option<Mono>,
}

/// Datagrams of strangers that the log was not told of yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strangers {
    pub(super) datagrams: u64,
    /// Who sent the last of them.
    pub(super) last: IpAddr,
}

impl Strangers {
    /// These, and one more.
    pub(super) fn and(seen: Option<Self>, last: IpAddr) -> Self {
        let before = seen.map_or(0, |it| it.datagrams);
        Self {
            datagrams: before.saturating_add(1),
            last,
        }
    }
}

/// Lets so many through a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    second: u64,
    passed: u32,
    held: u64,
}

impl Gate {
    /// Whether one more may pass, and how many were held back in an earlier
    /// second that nobody was told of yet.
    pub(super) fn pass(&mut self, now: Mono) -> (bool, u64) {
        let second = now.as_nanos() / SECOND_NANOS;
        let mut untold = 0;
        if second != self.second {
            self.second = second;
            self.passed = 0;
            untold = std::mem::take(&mut self.held);
        }
        let pass = self.passed < LOG_LINES_PER_SECOND;
        if pass {
            self.passed += 1;
        } else {
            self.held += 1;
        }
        (pass, untold)
    }

    /// [`Self::pass`], and whoever reads the log is told.
    fn pass_and_tell(&mut self, now: Mono, shard: u16) -> bool {
        let (pass, untold) = self.pass(now);
        if untold > 0 {
            tracing::warn!(shard, untold, "there were more lines like the next one");
        }
        pass
    }
}

impl Logger {
    pub(super) fn new(shard: u16) -> Self {
        Self {
            shard,
            calls: Gate::default(),
            refusals: Gate::default(),
            ends: Gate::default(),
            faults: Gate::default(),
            network: Gate::default(),
            told: None,
            told_of_sheds: None,
        }
    }

    /// Logs who is not known, now and then, and forgets it: most often it is a
    /// phone system whose `sources` are wrong.
    pub(super) fn strangers(&mut self, now: Mono, seen: &mut Option<Strangers>) {
        let due = self.told.is_none_or(|at| now >= at + STRANGERS_EVERY);
        if let (true, Some(Strangers { datagrams, last })) = (due, *seen) {
            let shard = self.shard;
            tracing::info!(shard, datagrams, %last, "dropped unread: no `sources` name who sends this");
            *seen = None;
            self.told = Some(now);
        }
    }

    /// Logs now and then that more comes than can be handled, and of whom the most.
    pub(super) fn sheds(&mut self, now: Mono, sheds: &[Shed]) {
        let due = self
            .told_of_sheds
            .is_none_or(|at| now >= at + STRANGERS_EVERY);
        if let (true, Some(most)) = (due, sheds.first()) {
            let shard = self.shard;
            tracing::warn!(shard, shed = %most, "more comes than can be handled: who sends the most loses the most");
            self.told_of_sheds = Some(now);
        }
    }

    /// Logs `event`, unless there were too many like it this second.
    pub(super) fn log(&mut self, now: Mono, event: &Event) {
        let gate = match event {
            Event::Allowed {
                emergency: true, ..
            } => {
                // There is no number of emergency calls of which one is not worth a line.
                write(event);
                return;
            }
            // What is out of the ordinary is worth a line; other calls are many.
            Event::Allowed {
                observed: Some(_), ..
            } => &mut self.refusals,
            Event::Ended { by, cause, .. } if is_odd(*by, cause) => &mut self.ends,
            Event::Allowed { .. } | Event::Answered { .. } | Event::Ended { .. } => {
                if !tracing::enabled!(tracing::Level::DEBUG) {
                    return;
                }
                &mut self.calls
            }
            Event::Refused { .. } | Event::Elsewhere { .. } => &mut self.refusals,
            _ => &mut self.faults,
        };
        if gate.pass_and_tell(now, self.shard) {
            write(event);
        }
    }

    /// Logs that a message could not be sent, unless there were too many.
    pub(super) fn unsent(&mut self, now: Mono, unsent: &Unsent) {
        if self.network.pass_and_tell(now, self.shard) {
            let (to, error) = (unsent.remote, unsent.errno.desc());
            tracing::warn!(%to, error, "a message could not be sent");
        }
    }

    /// Logs that a listener could not be read, unless there were too many.
    pub(super) fn unreceived(&mut self, now: Mono, listener: ListenerId, errno: Errno) {
        if self.network.pass_and_tell(now, self.shard) {
            let (listener, error) = (listener.0, errno.desc());
            tracing::error!(listener, error, "a listener cannot be read");
        }
    }
}

/// Whether a call did not end as its two sides wanted: Tollgate ended it, such as
/// for its budget, or the other side was never heard.
fn is_odd(by: Party, cause: &str) -> bool {
    by == Party::Tollgate || cause == "no-answer"
}

/// A carrier brings calls, or why it does not.
fn registration(carrier: &str, lost: Option<&str>) {
    match lost {
        Some(why) => tracing::warn!(%carrier, why, "not registered: the carrier brings no calls"),
        None => tracing::info!(%carrier, "registered"),
    }
}

/// A carrier answers again, or no more.
fn carrier(carrier: &str, up: bool) {
    match up {
        true => tracing::warn!(%carrier, "a carrier answers again"),
        false => {
            tracing::error!(%carrier, "a carrier does not answer: calls go past it where they can")
        }
    }
}

/// A call goes on elsewhere, or may not.
fn onward(event: &Event) {
    match event {
        Event::Onward {
            call,
            number,
            carrier,
            redirected: true,
        } => {
            tracing::info!(call = call.0, %number, %carrier, "a carrier has redirected the call: it goes on there");
        }
        Event::Onward { call, carrier, .. } => {
            tracing::info!(call = call.0, %carrier, "a carrier did not answer: the call goes on at another");
        }
        Event::Elsewhere { detail, reason } => {
            tracing::warn!(%reason, "a redirection or transfer is refused: {detail}");
        }
        _ => {}
    }
}

fn write(event: &Event) {
    match event {
        Event::Allowed {
            call,
            tenant,
            number,
            emergency: true,
            ..
        } => tracing::warn!(call = call.0, %tenant, %number, "emergency call"),
        Event::Allowed {
            call,
            tenant,
            number,
            observed: None,
            ..
        } => tracing::debug!(call = call.0, %tenant, %number, "allowed"),
        Event::Allowed {
            call,
            tenant,
            number,
            observed: Some(reason),
            ..
        } => tracing::info!(call = call.0, %tenant, %number, %reason, "only observed: it goes out"),
        Event::Registration { carrier, lost } => registration(carrier, lost.as_deref()),
        Event::Refused {
            tenant,
            source,
            number,
            reason,
        } => {
            let number = number.as_ref().map_or("-", Number::as_str);
            tracing::info!(%tenant, %source, number, %reason, "refused");
        }
        Event::Alert {
            tenant,
            source,
            number,
            reason,
            value,
            threshold,
        } => {
            let number = number.as_ref().map_or("-", Number::as_str);
            tracing::warn!(%tenant, %source, number, %reason, value, threshold, "a pattern of fraud");
        }
        Event::Onward { .. } | Event::Elsewhere { .. } => onward(event),
        Event::Carrier { carrier, up } => self::carrier(carrier, *up),
        Event::Answered { call } => tracing::debug!(call = call.0, "answered"),
        Event::Ended {
            call,
            duration,
            by,
            cause,
        } => {
            let seconds = duration.map(|duration| duration.as_secs_f64());
            match is_odd(*by, cause) {
                true => tracing::info!(call = call.0, seconds, ?by, cause, "ended"),
                false => tracing::debug!(call = call.0, seconds, ?by, cause, "ended"),
            }
        }
        Event::Malformed { flow, fault } => {
            tracing::info!(source = %flow.remote, fault, "a malformed message");
        }
        Event::Full { what } => tracing::error!(what, "a table is full"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_counted() {
        let (mut gate, start) = (Gate::default(), Mono::from_nanos(5 * SECOND_NANOS));
        let passed = (0..100).filter(|_| gate.pass(start).0).count();
        assert_eq!(passed, 20);
        let later = start + Duration::from_secs(3);
        assert_eq!(gate.pass(later), (true, 80));
        assert_eq!(gate.pass(later), (true, 0));
    }
}
