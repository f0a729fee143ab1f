//! The load: both ends of every call, in one thread with a processor of its own.
//!
//! Calls begin by the clock, whatever became of those before, so that one that is held
//! up holds up no other. Nothing is sent twice: what gets lost is lost, and counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::socket::SockaddrIn;

use crate::batch::{BATCH, Port, wait};
use crate::sip::{self, Looks, Read};
use crate::{CALLEE, CALLER, GATE};

/// After so long without a message nothing more is expected.
const SILENCE: Duration = Duration::from_millis(1_500);

/// What is to be called.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Calls a second.
    pub rate: u32,
    /// Of these seconds nothing is measured: timers of 32 s are to be paid for.
    pub warm: u32,
    /// For so many seconds it is.
    pub seconds: u32,
    /// For how long a call is up; for ever if none.
    pub hold: Option<Duration>,
    /// What is called, and how its messages look.
    pub looks: Looks<'a>,
}

/// What became of it. Calls that began while it was warming up are counted, too, but
/// for what says otherwise.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls that began.
    pub begun: u64,
    /// Answered, and ended where they are to end.
    pub done: u64,
    /// Refused with 603.
    pub refused: u64,
    /// Ended in any other way.
    pub failed: u64,
    /// INVITEs and answers that came again: the subject had waited for too long.
    pub again: u64,
    /// INVITEs that the callee saw.
    pub at_callee: u64,
    /// How late the latest INVITE left, in nanoseconds.
    pub late: u64,
    /// From the caller's INVITE to the callee's, in nanoseconds, after the warming up.
    pub there: Vec<u32>,
    /// From the callee's 200 to the caller's.
    pub back: Vec<u32>,
}

impl Outcome {
    /// Calls that nobody ended.
    pub fn lost(&self) -> u64 {
        self.begun - self.done - self.refused - self.failed
    }

    /// Whether all calls went as they should, each message once.
    pub fn is_clean(&self) -> bool {
        self.lost() == 0 && self.failed == 0 && self.again == 0
    }
}

/// The value that so many of a thousand do not exceed.
pub fn permille(values: &mut [u32], of: usize) -> u32 {
    values.sort_unstable();
    let at = (values.len() * of / 1_000).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(0)
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Calling,
    Up,
    Over,
}

struct Call {
    /// When its INVITE left, and its 200 at the callee: nanoseconds.
    invited: u64,
    answered: u64,
    stage: Stage,
}

/// The load on its way.
pub struct Load<'a> {
    caller: Port,
    callee: Port,
    book: Book<'a>,
}

/// What is known of the calls.
struct Book<'a> {
    plan: Plan<'a>,
    gate: SockaddrIn,
    start: Instant,
    calls: Vec<Call>,
    /// BYEs that wait for their time, in its order.
    byes: VecDeque<(u64, Vec<u8>)>,
    outcome: Outcome,
}

/// What is to be sent, and where to.
type Sends = Vec<(SockaddrIn, Vec<u8>)>;

impl<'a> Load<'a> {
    /// Opens both ends.
    pub fn new(plan: Plan<'a>) -> Result<Self, String> {
        let gate: std::net::SocketAddrV4 = GATE.parse().map_err(|_| "no address")?;
        Ok(Self {
            caller: Port::open(CALLER)?,
            callee: Port::open(CALLEE)?,
            book: Book {
                plan,
                gate: gate.into(),
                start: Instant::now(),
                calls: Vec::new(),
                byes: VecDeque::new(),
                outcome: Outcome::default(),
            },
        })
    }

    /// Makes all calls; `measure` is called when the warming up is over.
    pub fn run(&mut self, mut measure: impl FnMut()) -> Outcome {
        let plan = self.book.plan;
        let all = u64::from(plan.warm + plan.seconds) * u64::from(plan.rate);
        let every = 1_000_000_000 / u64::from(plan.rate);
        let mut warming = true;
        self.book.start = Instant::now();
        let mut heard = 0;
        loop {
            let now = self.book.now();
            if warming && now >= self.book.warm() {
                warming = false;
                measure();
            }
            self.begin(all, every, now);
            if self.at_callee() + self.at_caller() > 0 {
                heard = self.book.now();
                continue;
            }
            let now = self.book.now();
            let (begun, waiting) = (self.book.outcome.begun, !self.book.byes.is_empty());
            let quiet = Duration::from_nanos(now.saturating_sub(heard)) > SILENCE;
            if begun == all && !waiting && (quiet || self.book.outcome.lost() == 0) {
                return std::mem::take(&mut self.book.outcome);
            }
            let next = if begun < all { begun * every } else { u64::MAX };
            let bye = self.book.byes.front().map_or(u64::MAX, |(due, _)| *due);
            let rest = next.min(bye).saturating_sub(now).min(20_000_000);
            wait(&[&self.caller, &self.callee], Duration::from_nanos(rest));
        }
    }

    /// Goes on answering for so long, without new calls.
    pub fn linger(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.at_callee() + self.at_caller() == 0 {
                wait(&[&self.caller, &self.callee], Duration::from_millis(20));
            }
        }
    }

    /// Sends what is due, a batch of calls at most.
    fn begin(&mut self, all: u64, every: u64, now: u64) {
        let book = &mut self.book;
        for _ in 0..BATCH {
            let call = book.outcome.begun;
            let due = call * every;
            if call == all || due > now {
                break;
            }
            book.outcome.late = book.outcome.late.max(now - due);
            let looks = book.plan.looks;
            let invite = |out: &mut Vec<u8>| sip::invite(out, call, looks);
            self.caller.put(book.gate, invite);
            book.outcome.begun += 1;
            let invited = book.now();
            book.calls.push(Call {
                invited,
                answered: 0,
                stage: Stage::Calling,
            });
        }
        while book.byes.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, bytes)) = book.byes.pop_front() {
                self.caller
                    .put(book.gate, |out| out.extend_from_slice(&bytes));
            }
        }
        self.caller.flush();
    }

    /// What comes to the callee: it answers each request at once.
    fn at_callee(&mut self) -> usize {
        let (book, mut sends) = (&mut self.book, Sends::new());
        let now = book.now();
        let count = self.callee.receive(|from, bytes| {
            let Some(request) = sip::read(bytes).filter(|it| it.status == 0) else {
                return;
            };
            let wide = book.plan.looks.wide;
            let mut answer = |status: &str| {
                sends.push((
                    from,
                    written(|out| sip::respond(out, status, &request, wide)),
                ));
            };
            match request.method {
                b"INVITE" => {
                    answer("180 Ringing");
                    answer("200 OK");
                    book.invited(&request, now);
                }
                b"ACK" => {}
                _ => answer("200 OK"),
            }
        });
        leave(&mut self.callee, sends);
        count
    }

    /// What comes to the caller.
    fn at_caller(&mut self) -> usize {
        let (book, mut sends) = (&mut self.book, Sends::new());
        let now = book.now();
        let count = self.caller.receive(|from, bytes| {
            let Some(read) = sip::read(bytes) else { return };
            match read.status {
                // A refresh, or the subject hangs up.
                0 if read.method == b"ACK" => {}
                0 => {
                    let ok = written(|out| sip::respond(out, "200 OK", &read, false));
                    sends.push((from, ok));
                }
                1..200 => {}
                _ => book.answered(&read, now, &mut sends),
            }
        });
        leave(&mut self.caller, sends);
        count
    }
}

fn written(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    fill(&mut out);
    out
}

fn leave(port: &mut Port, sends: Sends) {
    for (to, bytes) in sends {
        port.put(to, |out| out.extend_from_slice(&bytes));
    }
    port.flush();
}

impl Book<'_> {
    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    fn warm(&self) -> u64 {
        u64::from(self.plan.warm) * 1_000_000_000
    }

    /// An INVITE is at the callee.
    fn invited(&mut self, request: &Read<'_>, now: u64) {
        let warm = self.warm();
        let at = request.call.and_then(|call| usize::try_from(call).ok());
        // A refresh of the subject's own is none of ours.
        let Some(call) = at.and_then(|at| self.calls.get_mut(at)) else {
            return;
        };
        if call.answered > 0 {
            self.outcome.again += 1;
            return;
        }
        call.answered = now;
        self.outcome.at_callee += 1;
        if call.invited >= warm {
            self.outcome
                .there
                .push(short(now.saturating_sub(call.invited)));
        }
    }

    /// A final response is at the caller.
    fn answered(&mut self, read: &Read<'_>, now: u64, sends: &mut Sends) {
        let (warm, looks, gate) = (self.warm(), self.plan.looks, self.gate);
        let Some(number) = read.call else { return };
        let at = usize::try_from(number).ok();
        let Some(call) = at.and_then(|at| self.calls.get_mut(at)) else {
            return;
        };
        let outcome = &mut self.outcome;
        match (read.method, read.status, call.stage) {
            (b"INVITE", 200..=299, stage) => {
                let ack = written(|out| sip::inside(out, number, "ACK", looks, read));
                sends.push((gate, ack));
                if stage != Stage::Calling {
                    outcome.again += 1;
                    return;
                }
                call.stage = Stage::Up;
                if call.invited >= warm {
                    outcome.back.push(short(now.saturating_sub(call.answered)));
                }
                let Some(hold) = self.plan.hold else {
                    outcome.done += 1;
                    return;
                };
                let bye = written(|out| sip::inside(out, number, "BYE", looks, read));
                self.byes.push_back((now + nanos(hold), bye));
            }
            (b"INVITE", status, stage) => {
                let ack = written(|out| sip::ack_refusal(out, number, looks, read));
                sends.push((gate, ack));
                match (stage, status) {
                    (Stage::Calling, 603) => outcome.refused += 1,
                    (Stage::Calling, _) => outcome.failed += 1,
                    _ => outcome.again += 1,
                }
                call.stage = Stage::Over;
            }
            (b"BYE", status, Stage::Up) => {
                call.stage = Stage::Over;
                match status {
                    200..=299 => outcome.done += 1,
                    _ => outcome.failed += 1,
                }
            }
            _ => {}
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn short(nanos: u64) -> u32 {
    u32::try_from(nanos).unwrap_or(u32::MAX)
}
