//! Calls of an earlier life, taken over as the journal says that they stand.
//!
//! - One that is up goes on. Its timers run as they would have; what is overdue is
//!   due now, and comes before anything else.
//! - One whose answer the caller had not acknowledged waits for its callee's 2xx,
//!   which comes again until it is acknowledged (RFC 3261 §13.3.1.4).
//! - One that was being set up ends: the caller gets a final answer, the callee a
//!   CANCEL, and ACK and BYE if it answers all the same.
//! - One that was being ended is ended, and of one that ended lately whoever may not
//!   know of it is told again.

mod carried;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::base::flow::{Flow, Transport};
use crate::base::time::{Mono, Now, Wall};
use crate::base::token::Token;
use crate::policy::number::Number;
use crate::policy::{Listener, Seat};
use crate::record::fold::{self, Legs};
use crate::record::{CallRef, Decision, Direction, Party, Side};
use crate::sip::fields::{Essentials, MethodSet};
use crate::sip::line::Method;
use crate::sip::scan;
use crate::transaction::{Arrival, ClientKey, ServerKey};

use super::call::{Alarm, Call, Ending, Exchange, Owner, Role, Stage};
use super::counted;
use super::leg::{Far, Leg, Progress, Session};
use super::open::{failure, own_failure, with_reason};
use super::teardown::strays_of;
use super::topology::{self, Ends, Head};
use super::{Calls, Event, Outbox, Turn};

/// Refreshes that are due at once are sent one behind the other, within this time.
const SPREAD_MS: u64 = 10_000;

/// How long a peer that refreshes a session has for it, whatever time is left of
/// the session: its requests were lost for a while, and it repeats them.
const GRACE: Duration = Duration::from_secs(32);

impl Calls {
    /// Takes over calls of an earlier life. New calls are numbered from `next` on.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        calls: Vec<fold::Call>,
        next: CallRef,
        out: &mut Outbox,
    ) {
        self.tools.number_from(next);
        for (nth, kept) in (0..).zip(calls) {
            let Some(call) = self.restored(now, &kept) else {
                continue;
            };
            let Ok(key) = self.calls.insert(call) else {
                out.events.push(Event::Full { what: "calls" });
                continue;
            };
            self.turn(key, now, out, |turn| turn.take_over(&kept, nth));
        }
    }

    /// A call as far as it can be told from its records alone.
    fn restored(&self, now: Now, kept: &fold::Call) -> Option<Call> {
        let legs = kept.legs.as_ref()?;
        let caller = self.leg(&legs.caller)?;
        let callee = self.leg(&legs.callee)?;
        let origin = self.tools.origin(caller.call_id(), caller.far.tag());
        let answer = legs.answer.as_ref();
        let longest = answer.map(|answer| answer.ends_by.saturating_since(answer.at));
        let ending = kept.ending.as_ref();
        let mut call = Call {
            reference: kept.reference,
            direction: kept.direction,
            emergency: kept.decision == Decision::Emergency,
            caller,
            callee,
            forks: SmallVec::new(),
            exchanges: SmallVec::new(),
            hold: None,
            seat: None,
            onward: None,
            elsewhere: None,
            heard: true,
            account: None,
            limit: None,
            longest: longest.unwrap_or_default(),
            tenant: Arc::from(&*kept.tenant),
            abroad: self.is_abroad(kept),
            doomed: false,
            linger: None,
            bye_again: None,
            strays: Vec::new(),
            ending: ending.map(|it| again(it.by, &it.cause)),
            bye_after_ack: false,
            answered: answer
                .filter(|_| !legs.is_late())
                .map(|answer| earlier(now, answer.at)),
            over: false,
            up: false,
            reported: kept.end.is_some(),
            told_ending: ending.is_some(),
            restored: true,
            origin,
        };
        // One that is over may still hold what a carrier could bill.
        if kept.end.is_none() || kept.counted.is_some() {
            (call.hold, call.account) = self.taken_over(now, kept);
        }
        let billed = call.account.iter().flat_map(|it| it.course.beside());
        call.strays = strays_of(legs, billed);
        if kept.end.is_none() {
            call.seat = self.seat_of(kept, call.callee.flow);
            // The carrier may have agreed to a longer session since its account was told.
            let session = legs.leg(call.carrier_side()).session;
            if let Some(course) = call.course() {
                course.agreed(Duration::from_secs(session.seconds.into()));
            }
        }
        Some(call)
    }

    /// Its place at its carrier, whatever the cap there says: it has one.
    fn seat_of(&self, kept: &fold::Call, flow: Flow) -> Option<Seat> {
        let mut carriers = self.tools.rules.carriers().iter();
        let carrier = carriers.find(|it| *it.name == *kept.carrier)?;
        let outbound = kept.direction == Direction::Outbound;
        let at = carrier.gateway_at(flow.remote.ip());
        let trunk = at.map_or(&carrier.trunk, |it| &it.trunk);
        outbound.then(|| trunk.take(None))?
    }

    /// Whether it goes abroad by the rules of now; what they cannot say does.
    fn is_abroad(&self, kept: &fold::Call) -> bool {
        let rules = &self.tools.rules;
        let digits = kept.number.as_bytes();
        let number = Number::parse_international(&kept.number).or_else(|| Number::short(digits));
        let tenant = rules.tenant_named(&kept.tenant);
        let told = tenant.zip(number);
        let abroad = told.is_none_or(|(tenant, number)| rules.is_abroad(tenant, &number));
        kept.direction == Direction::Outbound && abroad
    }

    /// The way to a peer, by the listeners of now: its own, or one like it.
    fn way(&self, kept: Flow) -> Flow {
        if kept.transport == Transport::Inside {
            return kept;
        }
        let listeners = self.tools.rules.listeners();
        let fits = |it: &&Listener| {
            it.transport == kept.transport && it.bind.is_ipv4() == kept.remote.is_ipv4()
        };
        let own = listeners.get(usize::from(kept.listener.0)).filter(fits);
        let like_it = || listeners.iter().find(fits);
        let listener = own.or_else(like_it).or(listeners.first());
        listener.map_or(kept, |it| Flow {
            listener: it.id,
            transport: it.transport,
            ..kept
        })
    }

    fn leg(&self, kept: &fold::Leg) -> Option<Leg> {
        let tag = Token::parse(&kept.local_tag)?;
        let flow = self.way(kept.flow);
        let mut leg = Leg::new(flow, tag, &kept.call_id, &kept.local_uri, &kept.remote_uri);
        leg.far = Far::new(&kept.remote_tag, &kept.target, &kept.routes);
        // A BYE may have been sent, which the journal does not count.
        leg.local_cseq = kept.local_cseq.saturating_add(1);
        leg.remote_cseq = (kept.remote_cseq > 0).then_some(kept.remote_cseq);
        leg.allow = kept.allow.map(MethodSet::from_bits);
        leg.progress = Progress::default();
        let repeats = kept.session.ours && !leg.takes(Method::Update);
        let description = Some(&kept.description).filter(|it| repeats && !it.is_empty());
        leg.description = description.cloned();
        leg.carried = kept.carried.clone().map(Box::new);
        Some(leg)
    }
}

/// A time of an earlier life, on both clocks.
fn earlier(now: Now, wall: Wall) -> Now {
    let ago = now.wall.saturating_since(wall);
    let nanos = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
    Now {
        mono: Mono::from_nanos(now.mono.as_nanos().saturating_sub(nanos)),
        wall: wall.min(now.wall),
    }
}

/// Why a call ended, as it was told before.
fn again(by: Party, cause: &str) -> Ending {
    const CAUSES: [&str; 18] = [
        "bye",
        "blocked",
        "cancelled",
        "failed-over",
        "flow-closed",
        "longest-ring",
        "longest-call",
        "session-expired",
        "session-refresh-unanswered",
        "session-refresh-refused",
        "budget-spent",
        "shutdown",
        "no-ack",
        "no-response",
        "lease-over",
        "peer-removed",
        "dialog-gone",
        "transfer-failed",
    ];
    let known = CAUSES.into_iter().find(|known| *known == cause);
    Ending {
        by,
        cause: known.unwrap_or("restart"),
        status: 0,
    }
}

impl Turn<'_> {
    /// Goes on with the call, or ends it.
    fn take_over(&mut self, kept: &fold::Call, nth: u64) {
        self.tools.index(self.key, self.call);
        let Some(legs) = &kept.legs else { return };
        if let Some(end) = &kept.end {
            self.hang_up_strays_again(legs);
            self.tell_of_end(kept, legs, end);
            return;
        }
        let acked = legs.answer.as_ref().is_some_and(|answer| answer.acked);
        let open = Progress {
            pending: !acked,
            up: self.call.answered.is_some(),
            byes: 0,
        };
        self.call.caller.progress = open;
        self.call.callee.progress = open;
        self.call.callee.progress.up |= legs.is_late();
        self.hang_up_strays_again(legs);
        if !acked {
            self.resume_invite(legs);
        }
        let due = counted::due(kept);
        if let Some(ending) = self.call.ending {
            self.end_again(ending);
        } else if !open.up {
            self.end_set_up();
        } else if self.is_peer_gone() {
            self.hang_up("peer-removed");
        } else if kept.lease.is_some() && self.is_stranger() {
            // Nobody could say what it may still cost.
            self.hang_up("restart");
        } else if due.is_some_and(|due| due <= self.now.mono) {
            self.hang_up("lease-over");
        } else {
            self.go_on(legs, acked, due, nth);
        }
    }

    /// The call is up, and goes on: its lease runs until `due`.
    fn go_on(&mut self, legs: &Legs, acked: bool, due: Option<Mono>, nth: u64) {
        if let Some(due) = due {
            self.run_lease(due.saturating_since(self.now.mono));
        }
        let least = if acked {
            self.run_longest();
            self.resume_changes(legs);
            Duration::ZERO
        } else {
            // By then it is acknowledged, or over.
            let (now, ring) = (self.now.mono, self.tools.timers.t1 * 64);
            self.call.limit = Some(self.tools.schedule(self.key, Alarm::Ring, now, ring));
            ring
        };
        for side in [Side::Caller, Side::Callee] {
            self.resume_session(side, legs.leg(side), nth, least);
        }
    }

    /// The call was being ended. Who ended it needs no telling.
    fn end_again(&mut self, ending: Ending) {
        for side in [Side::Caller, Side::Callee] {
            if ending.by == side.party() && ending.cause == "bye" {
                self.call.leg_mut(side).progress.up = false;
            }
        }
        let code = self.told(ending.by, ending.cause);
        self.give_up_invite(code, None);
        self.hang_up("restart");
    }

    /// The call was being set up: its caller is to try again, or another way.
    fn end_set_up(&mut self) {
        let code = self.told(Party::Tollgate, "restart");
        self.end(Ending {
            by: Party::Tollgate,
            cause: "restart",
            status: code,
        });
        self.give_up_invite(code, None);
    }

    /// What the caller is told of a call that ended in set-up, and was told before if
    /// it ended so before.
    fn told(&self, by: Party, cause: &str) -> u16 {
        match (by, self.call.direction) {
            (Party::Caller, _) => 487,
            (Party::Callee, _) if cause == "flow-closed" => 503,
            (Party::Tollgate, _) if cause == "blocked" => 603,
            // Who was answered was hung up.
            (Party::Tollgate, Direction::Outbound)
                if cause == "restart" && self.call.answered.is_none() =>
            {
                own_failure(self.call.emergency)
            }
            _ => 480,
        }
    }

    /// Whether nothing is known of its tenant any more.
    fn is_stranger(&self) -> bool {
        let tenant = self.tools.rules.tenant_named(&self.call.tenant);
        self.call.hold.is_none() || tenant.is_none()
    }

    /// Whether the rules do not know one of its peers any more: nobody could end the
    /// call then.
    fn is_peer_gone(&self) -> bool {
        let rules = &self.tools.rules;
        let known = |flow| rules.peer_of(flow).is_some();
        self.call.has_lost_peer(rules, known, |_| false)
    }

    /// The INVITE that opened the call, on both sides.
    fn resume_invite(&mut self, legs: &Legs) {
        let server = self.resume_server(&legs.asked, legs.caller.flow);
        // Of one that answered too late only the 2xx can come again.
        let client = match legs.is_late() {
            true => None,
            false => self.resume_client(legs),
        };
        if client.is_none() {
            self.call.callee.progress.pending = false;
        }
        let call = &mut *self.call;
        let exchange = Exchange {
            method: Method::Invite,
            opening: true,
            from: Side::Caller,
            server: server.map(|(server, _)| server),
            client,
            tag: call.caller.local_tag,
            server_cseq: server.map_or(0, |(_, cseq)| cseq),
            client_cseq: legs.cseq,
            offer: None,
            stage: Stage::Open,
            offered: None,
            resumed: false,
        };
        call.exchanges = smallvec![exchange];
    }

    fn owner(&self) -> Owner {
        Owner {
            call: self.key,
            role: Role::Relay,
        }
    }

    /// A peer's INVITE, as if it came now, but that it is no news.
    fn resume_server(&mut self, asked: &[u8], flow: Flow) -> Option<(ServerKey, u32)> {
        let invite = scan(Bytes::copy_from_slice(asked)).ok()?;
        // An emergency call's may have been let in as it is.
        let essentials = Essentials::parse(&invite)
            .or_else(|_| Essentials::salvage(&invite))
            .ok()?;
        let arrival = self.tools.transactions.receive_emergency(
            self.now.mono,
            flow,
            &invite,
            &essentials,
            &mut self.out.transmits,
        );
        let Arrival::New(server) = arrival else {
            return None;
        };
        let owner = self.owner();
        self.tools.transactions.set_owner(server, owner);
        Some((server, essentials.cseq.number))
    }

    /// Our INVITE to the callee.
    fn resume_client(&mut self, legs: &Legs) -> Option<ClientKey> {
        let branch = Token::parse(&legs.branch)?;
        let leg = &self.call.callee;
        // As it was sent: without what its answer told.
        let far = Far::new(b"", leg.remote_uri(), b"");
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let head = Head {
            method: b"INVITE",
            cseq: legs.cseq,
            branch,
            max_forwards: super::MAX_FORWARDS,
        };
        let packet = topology::request(&mut self.tools.scratch, &ends, &head).seal(None);
        let (flow, owner) = (leg.flow, self.owner());
        let transactions = &mut self.tools.transactions;
        transactions.resume_invite(flow, branch, packet, owner)
    }

    /// A leg's session timer, which does nothing before `least` is over.
    fn resume_session(&mut self, side: Side, kept: &fold::Leg, nth: u64, least: Duration) {
        if kept.session.seconds == 0 {
            return;
        }
        // Whether the other call is still there either of them asks at once.
        let inside = self.call.leg(side).flow.transport == Transport::Inside;
        let (ours, interval) = (
            kept.session.ours || inside,
            Duration::from_secs(kept.session.seconds.into()),
        );
        let passed = self.now.wall.saturating_since(kept.agreed);
        let due = Session::due(interval, ours).saturating_sub(passed);
        let wait = match ours {
            // The carrier's first: that is the one that costs money.
            true if due.is_zero() => {
                let later = u64::from(side != self.call.carrier_side());
                Duration::from_millis(nth % SPREAD_MS + later)
            }
            true => due,
            false => due.max(GRACE),
        };
        let wait = match inside {
            true => Duration::ZERO,
            false => wait.max(least),
        };
        let (now, alarm) = (self.now.mono, Alarm::Session(side));
        let timer = self.tools.schedule(self.key, alarm, now, wait);
        self.call.leg_mut(side).session = Some(Session {
            interval,
            ours,
            timer,
            cut: false,
        });
    }

    /// A call that ended lately: the side that costs nothing may not know it, nor who
    /// waits for an answer.
    fn tell_of_end(&mut self, kept: &fold::Call, legs: &Legs, end: &fold::End) {
        let ending = again(end.by, "restart");
        self.end(ending);
        let (now, wait) = (self.now.mono, self.tools.timers.t1 * 64);
        self.call.linger = Some(self.tools.schedule(self.key, Alarm::Linger, now, wait));
        let side = self.call.carrier_side().other();
        let hung_up = |it: &fold::Ending| it.by == side.party() && &*it.cause == "bye";
        let knows = kept.ending.as_ref().is_some_and(hung_up);
        let up = legs.answer.is_some() && !(legs.is_late() && side == Side::Caller);
        if up && !knows {
            self.call.leg_mut(side).progress.up = true;
            self.hang_up_leg(side);
        }
        let code = match end.status {
            300.. => self.code_onward(Side::Caller, end.status),
            _ => self.told(end.by, ""),
        };
        let inbound = self.call.direction == Direction::Inbound;
        if inbound && legs.answer.is_none() && end.by != Party::Callee {
            // Over on the carrier's side: the phone system may ring on.
            self.call.callee.progress.pending = true;
            self.resume_invite(legs);
            self.give_up_invite(code, None);
        } else if !legs.asked.is_empty() {
            let server = self.resume_server(&legs.asked, legs.caller.flow);
            let Some((server, _)) = server else { return };
            let code = failure(self.call.emergency, code);
            let tag = self.call.caller.local_tag;
            self.respond(server, (code, tag), b"", |draft| with_reason(draft, code));
        }
    }
}
