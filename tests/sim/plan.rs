//! What a seed's calls will do, drawn before the run: when each begins, what
//! is dialled, and how either side behaves or misbehaves.

use crate::dial::{Dialled, Group, dial};
use crate::link::{MS, Nanos, SEC};
use crate::redirect::Redirect;
use crate::rng::Rng;

/// Something a side does inside an established call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mid {
    /// A re-INVITE, with an offer or without.
    ReInvite {
        offer: bool,
    },
    Update {
        offer: bool,
    },
    Info,
    Options,
    Refer,
    Unknown,
    /// An INFO whose CSeq was used before.
    BadCSeq,
    /// A PRACK for nothing.
    StrayPrack,
    HangUp,
}

/// How a side answers a request inside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok,
    Code(u16),
    /// Nothing at all.
    Silence,
    /// 200, but this much later.
    Late(Nanos),
}

/// What both sides of a call have.
#[derive(Clone, Debug)]
pub struct Side {
    /// From here on, after its first message, it is gone without a word.
    pub dies_after: Option<Nanos>,
    /// What it does this long after the call was established.
    pub mids: Vec<(Nanos, Mid)>,
    pub reply: Reply,
    pub bye: Reply,
    /// Supports 100rel.
    pub rel: bool,
    /// Supports session timers; the seconds it asks for.
    pub timer: Option<u32>,
    /// Hangs up when a session refresh stays out.
    pub expires: bool,
    /// Its Contact names a host that it is not.
    pub foreign_contact: bool,
    /// A proxy of its own stays in the way (Record-Route).
    pub routed: bool,
    /// 0: plain; 1: compact names; 2: folds and odd case.
    pub style: u8,
    /// Every request leaves this many times at once.
    pub storm: u8,
}

/// A second INVITE with the same Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// A new CSeq number.
    Later,
    /// The same CSeq, another branch: as if merged behind a forking proxy.
    Merged,
}

/// What a caller does.
#[derive(Clone, Debug)]
pub struct Caller {
    pub number: String,
    /// How long it keeps its ACK to a 2xx back; `None`: for ever.
    pub ack_after: Option<Nanos>,
    pub cancel_after: Option<Nanos>,
    pub delayed_offer: bool,
    pub max_forwards: u8,
    pub second: Option<(Nanos, Second)>,
    /// Sends the INVITE again, this long after the final response.
    pub again_after: Option<Nanos>,
    /// To names another number than the Request-URI.
    pub other_to: bool,
    pub side: Side,
}

/// A step of a callee before the call is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Trying,
    /// A provisional of fork `fork`.
    Ring {
        code: u16,
        fork: u8,
        reliable: bool,
    },
    Answer {
        fork: u8,
    },
    Refuse(u16),
}

/// What a callee does with a CANCEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    Obey,
    /// 200 to the CANCEL, and 200 to the INVITE this much later.
    Answer(Nanos),
    /// 200 to the CANCEL, and no more.
    Ignore,
    /// No answer to the CANCEL either.
    Silence,
}

/// How a callee takes the session timer that it is offered (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It knows none.
    None,
    /// The other side shall refresh.
    Theirs,
    /// It refreshes itself.
    Ours,
    /// 422 first.
    TooSmall,
    /// It agrees to far more than anyone asked for.
    Ages,
}

/// What a callee does.
#[derive(Clone, Debug)]
pub struct Callee {
    pub steps: Vec<(Nanos, Step)>,
    pub on_cancel: OnCancel,
    pub session: Session,
    pub side: Side,
}

/// What the first carrier that gets a call does with it, where there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It is not there.
    Dead,
    /// 503 after so long; before that 100 or nothing; then Retry-After or not.
    Out {
        after: Nanos,
        trying: bool,
        rests: bool,
    },
    /// It says nothing for so long, and then answers.
    Late(Nanos),
}

/// One call.
#[derive(Clone, Debug)]
pub struct CallPlan {
    pub at: Nanos,
    pub inbound: bool,
    pub tenant: u8,
    pub carrier: u8,
    pub dial: Dialled,
    /// Inbound: the called number is the tenant's.
    pub own: bool,
    pub caller: Caller,
    pub callee: Callee,
    pub first: Option<First>,
    /// How carriers redirect it, one after the other.
    pub redirects: Vec<Redirect>,
}

/// How wild a seed's peers are.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    /// Odd behaviours, of a thousand, for each that a side may show.
    pub odd: u64,
    /// Calls begin within this time.
    pub span: Nanos,
    pub tenants: u64,
    pub carriers: u64,
    /// Each tenant may use all of them.
    pub several: bool,
    /// Who calls hangs on until it is hung up, as fraud does.
    pub holds: bool,
}

/// Tollgate's host as the peers name it.
pub const HOST: &str = "10.5.0.1";

/// The calls of a seed, in no order.
pub fn draw(rng: &mut Rng, mood: Mood, count: usize) -> Vec<CallPlan> {
    let mut calls = Vec::with_capacity(count);
    while calls.len() < count {
        let at = rng.below(mood.span);
        let tenant = rng.below(mood.tenants) as u8;
        // Bursts of one tenant: what the caps are for.
        let burst = if rng.permille(60) {
            rng.range(4, 14)
        } else {
            1
        };
        for _ in 0..burst {
            let at = at + rng.below(if burst > 1 { 2 * SEC } else { 1 });
            calls.push(call(rng, mood, at, tenant));
        }
    }
    calls
}

fn call(rng: &mut Rng, mood: Mood, at: Nanos, tenant: u8) -> CallPlan {
    let inbound = rng.permille(120);
    let own = !inbound || rng.permille(800);
    let carrier = tenant % mood.carriers as u8;
    let dial = if inbound {
        called(rng, tenant, own)
    } else {
        let groups = [
            Group::JpFixed,
            Group::JpMobile,
            Group::Us,
            Group::London,
            Group::British,
            Group::SierraLeone,
            Group::Premium,
            Group::Forwarding,
            Group::Emergency,
            Group::Nothing,
        ];
        let group = groups[rng.weighted(&[30, 20, 14, 14, 3, 5, 2, 2, 4, 6])];
        dial(rng, group, HOST)
    };
    let mut caller = caller(rng, mood, inbound, tenant);
    let mut callee = callee(rng, mood, inbound);
    if rng.permille(60) {
        // Offers that cross.
        let at = rng.range(1, 10) * SEC;
        for side in [&mut caller.side, &mut callee.side] {
            side.mids.push((at, Mid::ReInvite { offer: true }));
        }
    }
    let first = (mood.several && !inbound && rng.permille(300)).then(|| first(rng));
    CallPlan {
        first,
        redirects: Vec::new(),
        at,
        inbound,
        tenant,
        carrier,
        dial,
        own,
        caller,
        callee,
    }
}

fn first(rng: &mut Rng) -> First {
    match rng.below(4) {
        0 => First::Dead,
        1 => First::Late(rng.below(40 * SEC)),
        _ => First::Out {
            after: rng.below(3) * rng.below(2 * SEC),
            trying: rng.permille(500),
            rests: rng.permille(200),
        },
    }
}

/// An inbound call's number: one of the tenant's, or nobody's.
fn called(rng: &mut Rng, tenant: u8, own: bool) -> Dialled {
    let number = if own {
        format!("+8133557{tenant}0{:02}", rng.below(100))
    } else {
        format!("+8167777{:04}", rng.below(10_000))
    };
    Dialled {
        uri: format!("sip:{number}@{HOST}"),
        canonical: number,
        group: if own { Group::Own } else { Group::JpFixed },
        withheld: false,
    }
}

fn caller(rng: &mut Rng, mood: Mood, inbound: bool, tenant: u8) -> Caller {
    let odd = mood.odd;
    let number = if inbound {
        format!("+8190{}{:07}", rng.range(1, 10), rng.below(10_000_000))
    } else if rng.permille(150) {
        "+442071830000".into()
    } else {
        format!("+8133557{tenant}0{:02}", rng.below(100))
    };
    let ack_after = match rng.weighted(&[1000, odd, odd]) {
        0 => Some(0),
        1 => Some(rng.below(20 * SEC)),
        _ => None,
    };
    let cancel_after = rng.permille(150).then(|| match rng.below(3) {
        0 => rng.below(300 * MS),
        1 => rng.below(4 * SEC),
        _ => rng.below(30 * SEC),
    });
    let seconds = [Second::Later, Second::Merged];
    let second = rng
        .permille(odd / 2)
        .then(|| (rng.below(6 * SEC), *rng.pick(&seconds)));
    Caller {
        number,
        ack_after,
        cancel_after,
        delayed_offer: rng.permille(80),
        max_forwards: if rng.permille(15) {
            0
        } else {
            rng.range(10, 71) as u8
        },
        second,
        again_after: rng.permille(odd / 2).then(|| rng.below(45 * SEC)),
        other_to: !inbound && rng.permille(30),
        side: side(rng, mood),
    }
}

fn side(rng: &mut Rng, mood: Mood) -> Side {
    let odd = mood.odd;
    let reply = match rng.weighted(&[1000, odd, odd / 2, odd]) {
        0 => Reply::Ok,
        1 => Reply::Code(*rng.pick(&[488, 491, 481, 408, 500, 405])),
        2 => Reply::Silence,
        _ => Reply::Late(rng.below(10 * SEC)),
    };
    let bye = match rng.weighted(&[1000, odd, odd, odd / 2]) {
        0 => Reply::Ok,
        1 => Reply::Code(*rng.pick(&[481, 408, 500])),
        2 => Reply::Silence,
        _ => Reply::Late(rng.below(8 * SEC)),
    };
    Side {
        dies_after: rng.permille(odd / 2).then(|| rng.below(60 * SEC)),
        mids: mids(rng, mood),
        reply,
        bye,
        rel: rng.permille(300),
        timer: rng.permille(250).then(|| *rng.pick(&[90, 180, 600, 1800])),
        expires: rng.permille(700),
        foreign_contact: rng.permille(80),
        routed: rng.permille(150),
        style: rng.weighted(&[80, 10, 10]) as u8,
        storm: if rng.permille(odd / 4) {
            rng.range(5, 40) as u8
        } else {
            1
        },
    }
}

/// What a side does in a call, and when it hangs up if it does.
fn mids(rng: &mut Rng, mood: Mood) -> Vec<(Nanos, Mid)> {
    let mut mids = Vec::new();
    for _ in 0..rng.weighted(&[70, 15, 10, 5]) {
        let mid = match rng.weighted(&[30, 25, 25, 4, 4, 3, 3, 3]) {
            0 => Mid::ReInvite {
                offer: rng.permille(800),
            },
            1 => Mid::Update {
                offer: rng.permille(700),
            },
            2 => Mid::Info,
            3 => Mid::Options,
            4 => Mid::Refer,
            5 => Mid::Unknown,
            6 => Mid::BadCSeq,
            _ => Mid::StrayPrack,
        };
        // Whole seconds now and then, so that both sides move at once.
        let at = if rng.permille(200) {
            rng.below(20) * SEC
        } else {
            rng.below(30 * SEC)
        };
        mids.push((at, mid));
    }
    let talk = match rng.weighted(&[55, 20, 15, 10]) {
        0 => rng.below(30 * SEC),
        1 => rng.below(6) * 5 * SEC,
        2 => rng.below(200 * SEC),
        _ => return mids,
    };
    if !rng.permille(mood.odd) && !mood.holds {
        mids.push((talk, Mid::HangUp));
    }
    mids
}

fn callee(rng: &mut Rng, mood: Mood, inbound: bool) -> Callee {
    let on_cancel = match rng.weighted(&[700, 150, 80, 40]) {
        0 => OnCancel::Obey,
        1 => OnCancel::Answer(rng.below(3) * rng.below(4 * SEC)),
        2 => OnCancel::Ignore,
        _ => OnCancel::Silence,
    };
    let session = match rng.weighted(&[40, 40, 15, 5, 5]) {
        0 => Session::None,
        1 => Session::Theirs,
        2 => Session::Ours,
        3 => Session::TooSmall,
        _ => Session::Ages,
    };
    let mut side = side(rng, mood);
    if inbound {
        side.timer = None;
    }
    Callee {
        steps: steps(rng, mood),
        on_cancel,
        session,
        side,
    }
}

fn steps(rng: &mut Rng, mood: Mood) -> Vec<(Nanos, Step)> {
    let mut steps = Vec::new();
    if rng.permille(mood.odd / 2) {
        return steps; // No answer at all.
    }
    if rng.permille(800) {
        steps.push((rng.below(200 * MS), Step::Trying));
    }
    let forks = if rng.permille(100) {
        rng.range(2, 4)
    } else {
        1
    };
    let mut at = 0;
    for _ in 0..rng.weighted(&[15, 60, 15, 10]) {
        at += rng.below(3 * SEC);
        steps.push((
            at,
            Step::Ring {
                code: *rng.pick(&[180, 180, 183, 181]),
                fork: rng.below(forks) as u8,
                reliable: rng.permille(400),
            },
        ));
    }
    at += match rng.weighted(&[20, 60, 15, 5]) {
        0 => rng.below(200 * MS),
        1 => rng.below(8 * SEC),
        2 => rng.below(40 * SEC),
        _ => return steps, // Rings for ever.
    };
    if rng.permille(220) {
        let codes = [
            486, 480, 404, 503, 500, 603, 408, 302, 300, 401, 407, 488, 606, 422,
        ];
        steps.push((at, Step::Refuse(*rng.pick(&codes))));
        return steps;
    }
    steps.push((at, Step::Answer { fork: 0 }));
    for fork in 1..forks {
        if rng.permille(500) {
            let at = at + rng.below(3) * rng.below(2 * SEC);
            steps.push((at, Step::Answer { fork: fork as u8 }));
            break; // For one more answer money is reserved.
        }
    }
    steps
}
