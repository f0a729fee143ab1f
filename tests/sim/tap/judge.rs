//! Was an INVITE judged right? An allow model of its own, and the caps counted
//! at the carrier's side of the core.

use std::collections::VecDeque;
use std::rc::Rc;

use super::{Id, Tap, Turn};
use crate::dial::Group;
use crate::link::{MS, Nanos, SEC};
use crate::peer::T64;
use crate::plan::CallPlan;
use crate::rules::Tenant;
use crate::seen::Met;
use crate::wire::Wire;

/// What each tenant's calls have used.
#[derive(Debug)]
pub struct Ledger {
    tenants: Vec<Used>,
    /// Which caps the last call met, for people.
    said: String,
}

#[derive(Debug, Default)]
struct Used {
    /// The carriers' legs, and whether they count as international.
    legs: Vec<(Id, bool)>,
    /// When calls left, and on which day.
    left: VecDeque<(Nanos, i64)>,
}

impl Ledger {
    /// Nothing used yet.
    pub fn new(tenants: usize) -> Self {
        Self {
            tenants: (0..tenants).map(|_| Used::default()).collect(),
            said: String::new(),
        }
    }
}

/// Whether a leg holds its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Yes,
    /// It depends on when timers were worked off.
    Maybe,
    No,
}

/// What the model says of an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Refuse,
    /// Within the time that the core may take.
    Either,
}

impl Tap {
    /// The turn of a new INVITE is over: was it refused or passed on, rightly?
    pub(super) fn judged(&mut self, turn: &mut Turn<'_>, id: Id) {
        let server = &self.servers[id];
        let plan = turn.peers.plan_of(server.peer, &server.request);
        self.plan = plan;
        let server = &self.servers[id];
        let (out, answer) = (server.relay, server.answer.map(|a| a.0));
        if server.last == 0 {
            return self.fail(turn.now, "an INVITE with no response at once".into());
        }
        let Some(plan) = plan else {
            if out.is_some() {
                self.fail(turn.now, "a stray INVITE was passed on".into());
            }
            return;
        };
        let planned = turn.peers.plans[plan as usize].clone();
        let verdict = self.verdict(turn, id, &planned);
        let result = match (verdict, out, answer) {
            (Err(why), Some(_), _) => Err(format!("passed on, but {why}")),
            (Ok(Verdict::Refuse), Some(_), _) => {
                let (said, held) = (&self.ledger.said, self.holders(plan, turn.now));
                Err(format!("passed on above a cap: {said}; {held}"))
            }
            // A copy that comes after ten minutes of ringing, when its transaction
            // is over and its call is still remembered, is a merged request.
            (Ok(Verdict::Pass), None, Some(482)) if planned.dial.group == Group::Emergency => {
                Ok(())
            }
            (Ok(Verdict::Pass), None, Some(482)) if self.is_old(id) => Ok(()),
            (Ok(Verdict::Pass), None, Some(603 | 486)) if self.is_for_money(id) => {
                self.refused_for_money(turn, &planned)
            }
            (Ok(Verdict::Pass), None, code) => {
                let held = self.holders(plan, turn.now);
                Err(format!("refused ({code:?}) without cause; {held}"))
            }
            (_, None, None) => Err("neither refused nor passed on".into()),
            (verdict, None, Some(code)) => {
                let capped = verdict == Ok(Verdict::Refuse);
                self.refused(turn, id, code, &planned, capped)
            }
            (_, Some(client), _) => self.passed(turn, id, client, &planned),
        };
        let money = Self::is_limited(turn, &planned);
        let result = result.and_then(|()| self.verdict_written(id, &planned, money));
        if let Err(what) = result {
            let uri = &planned.dial.uri;
            self.fail(turn.now, format!("an INVITE to {uri} was {what}"));
        }
    }

    /// The tenant's calls that hold a slot, for people.
    fn holders(&self, plan: u32, now: Nanos) -> String {
        let tenant = &self.ledger.tenants;
        let of = |leg: Id| self.calls[self.legs[leg].call].plan;
        let legs = tenant
            .iter()
            .filter(|used| used.legs.iter().any(|l| of(l.0) != plan));
        let text = legs.map(|used| {
            let held = used
                .legs
                .iter()
                .map(|&(leg, far)| (of(leg), far, self.held(leg, now)));
            format!("{:?}", held.collect::<Vec<_>>())
        });
        text.collect::<Vec<_>>().join("; ")
    }

    /// The model's verdict; the error says why no cap can matter.
    fn verdict(
        &mut self,
        turn: &mut Turn<'_>,
        id: Id,
        plan: &CallPlan,
    ) -> Result<Verdict, &'static str> {
        let server = &self.servers[id];
        if server.request.max_forwards == Some(0) {
            turn.seen.note(Met::TooManyHops);
            return Err("its Max-Forwards is 0");
        }
        let merged = self.is_merged(id);
        if merged == Some(true) {
            return Err("it is a merged request");
        }
        let closed = turn.gate.closed(turn.now, plan);
        if plan.inbound {
            return match plan.own {
                _ if turn.gate.draining => Err("the core drains"),
                true if closed.is_some() => Err("it is blocked"),
                true if merged.is_some() => Ok(Verdict::Either),
                true => Ok(Verdict::Pass),
                false => Err("nobody has that number"),
            };
        }
        if plan.dial.group == Group::Emergency {
            match turn.gate.block {
                _ if turn.gate.draining => turn.seen.note(Met::EmergencyInDrain),
                Some(_) => turn.seen.note(Met::EmergencyInBlock),
                None => {}
            }
            let tenant = &turn.rules.tenants[usize::from(plan.tenant)];
            if self.caps(turn, plan, &tenant.clone()) == Verdict::Refuse {
                turn.seen.note(Met::EmergencyOverCap);
            }
            return Ok(if merged.is_some() {
                Verdict::Either
            } else {
                Verdict::Pass
            });
        }
        if let Some(why) = closed {
            turn.seen.note(match turn.gate.draining {
                true => Met::RefusedInDrain,
                false => Met::RefusedByBlock,
            });
            return Err(why);
        }
        let tenant = turn.rules.tenants[usize::from(plan.tenant)].clone();
        if plan.dial.canonical.is_empty() {
            turn.seen.note(Met::NoNumber);
            return Err("it has no single meaning");
        }
        if tenant.allow & plan.dial.group.bit() == 0 {
            return Err("no rule allows it");
        }
        match self.caps(turn, plan, &tenant) {
            Verdict::Pass if merged.is_some() => Ok(Verdict::Either),
            verdict => Ok(verdict),
        }
    }

    /// RFC 3261 §8.2.2.2: another branch, but all else is the same. Says
    /// whether the first is still without an answer.
    fn is_merged(&self, id: Id) -> Option<bool> {
        let request = &self.servers[id].request;
        let same = |other: &super::Server| {
            let earlier = &other.request;
            other.method == request.method
                && earlier.cseq == request.cseq
                && earlier.at(earlier.call_id) == request.at(request.call_id)
                && earlier.at(earlier.from_tag) == request.at(request.from_tag)
        };
        let from = id.saturating_sub(200);
        let mut others = self.servers[from..id]
            .iter()
            .rev()
            .filter(|other| same(other));
        let first = others.next()?;
        Some(first.answer.is_none() || others.any(|other| other.answer.is_none()))
    }

    pub(super) fn caps(
        &mut self,
        turn: &mut Turn<'_>,
        plan: &CallPlan,
        tenant: &Tenant,
    ) -> Verdict {
        let now = turn.now;
        let abroad = plan.dial.group.is_international();
        let mut used = std::mem::take(&mut self.ledger.tenants[usize::from(plan.tenant)]);
        used.legs
            .retain(|&(leg, _)| self.held(leg, now) != Held::No);
        let count = |all: bool, held: Held| {
            let counts = |&&(leg, far): &&(Id, bool)| (all || far) && self.held(leg, now) == held;
            used.legs.iter().filter(counts).count() as u64
        };
        let mut verdict = Verdict::Pass;
        let mut said = String::new();
        let mut meet = |cap: Met, limit: u64, sure: u64, maybe: u64| {
            if sure >= limit {
                said.push_str(&format!("{cap:?} {sure} of {limit} "));
                verdict = Verdict::Refuse;
                turn.seen.note(cap);
            } else if sure + maybe >= limit && verdict == Verdict::Pass {
                verdict = Verdict::Either;
            }
        };
        let (all, perhaps) = (count(true, Held::Yes), count(true, Held::Maybe));
        meet(Met::CapOnCalls, tenant.at_once, all, perhaps);
        if abroad {
            let (far, perhaps) = (count(false, Held::Yes), count(false, Held::Maybe));
            meet(Met::CapOnNarrow, tenant.abroad_at_once, far, perhaps);
        }
        let windows = [
            (Met::CapOnSecond, tenant.per_second, SEC),
            (Met::CapOnMinute, tenant.per_minute, 60 * SEC),
            (Met::CapOnHour, tenant.per_hour, 3600 * SEC),
        ];
        for (cap, limit, span) in windows {
            let within = |&&(at, _): &&(Nanos, i64)| at + span > now;
            let left = used.left.iter().rev().take_while(within).count();
            meet(cap, limit, left as u64, 0);
        }
        let today = used
            .left
            .iter()
            .rev()
            .take_while(|l| l.1 == turn.day)
            .count();
        meet(Met::CapOnDay, tenant.per_day, today as u64, 0);
        self.ledger.tenants[usize::from(plan.tenant)] = used;
        self.ledger.said = said;
        verdict
    }

    /// Whether a carrier's leg holds its slot: from the INVITE until the leg
    /// is finally answered, or its transaction times out.
    pub(super) fn held(&self, leg: Id, now: Nanos) -> Held {
        let state = &self.legs[leg];
        let client = &self.clients[state.invite];
        let until = |end: Nanos| {
            if now < end {
                Held::Yes
            } else if self.ticked[usize::from(state.shard)] >= end + 20 * MS {
                Held::No
            } else {
                Held::Maybe
            }
        };
        let held = match client.answer {
            Some((300.., _)) => Held::No,
            None => match client.cancel {
                Some(cancel) => until(self.clients[cancel].at + T64),
                None if client.provisional => Held::Yes,
                None if client.late_provisional => Held::Maybe,
                None => until(client.at + T64),
            },
            Some((_, at)) => match client.cancel.map(|cancel| self.clients[cancel].at) {
                // After a restart it is not known to be answered.
                Some(cancel) if cancel > at && until(cancel + T64) != Held::No => Held::Maybe,
                _ => self.dialogs_held(leg, until),
            },
        };
        if state.excused && held == Held::Yes {
            Held::Maybe
        } else {
            held
        }
    }

    fn dialogs_held(&self, leg: Id, until: impl Fn(Nanos) -> Held) -> Held {
        let mut any = false;
        let dialogs = &self.legs[leg].dialogs;
        // Forks that answer after the first may be ended without a slot.
        let first = dialogs.iter().filter_map(|d| d.ok).min();
        for dialog in dialogs.iter().filter(|d| d.ok.is_some()) {
            let held = match (dialog.bye_in, dialog.bye_out) {
                _ if dialog.doubtful => Held::Maybe,
                (Some(_), None) => Held::No,
                (None, None) => Held::Yes,
                (crossed, Some(bye)) => match self.clients[bye].answer {
                    // A send of it failed: the core may not know, and ask again.
                    Some(_) if self.clients[bye].excused => Held::Maybe,
                    Some(_) => Held::No,
                    None if self.clients[bye].excused => {
                        match until(self.clients[bye].at + T64 + 5 * SEC) {
                            Held::No => Held::No,
                            Held::Maybe | Held::Yes => Held::Maybe,
                        }
                    }
                    // BYEs crossed: the core may wait for its own's answer.
                    None if crossed.is_some() => match until(self.clients[bye].at + T64) {
                        Held::No => Held::No,
                        Held::Maybe | Held::Yes => Held::Maybe,
                    },
                    None => until(self.clients[bye].at + T64),
                },
            };
            match held {
                Held::No => {}
                _ if dialog.ok == first => return held,
                _ => any = true,
            }
        }
        if any { Held::Maybe } else { Held::No }
    }

    /// A refusal: 603 with a reason, unless a message's own fault.
    fn refused(
        &mut self,
        turn: &mut Turn<'_>,
        id: Id,
        code: u16,
        plan: &CallPlan,
        capped: bool,
    ) -> Result<(), String> {
        let server = &self.servers[id];
        let own_fault = server.request.max_forwards == Some(0) || self.is_merged(id).is_some();
        if plan.inbound {
            turn.seen.note(Met::InboundRefused);
        } else if own_fault {
            self.servers[id].excused |= !plan.dial.uri.is_ascii();
            if !matches!(code, 482 | 483 | 603) && plan.dial.uri.is_ascii() {
                return Err(format!("answered {code}"));
            }
        } else {
            turn.seen.note(Met::Refused);
            if capped {
                turn.seen.note(Met::RefusedByCap);
            }
            // A Request-URI outside ASCII is no SIP at all.
            let no_uri = code == 400 && !plan.dial.uri.is_ascii();
            if no_uri {
                self.servers[id].excused = true;
            } else if code != 603 {
                return Err(format!("refused with {code}, not 603"));
            }
        }
        Ok(())
    }

    /// The INVITE that left: the number, the caller, the hops, the body.
    pub(super) fn passed(
        &mut self,
        turn: &mut Turn<'_>,
        id: Id,
        client: Id,
        plan: &CallPlan,
    ) -> Result<(), String> {
        let (server, client) = (&self.servers[id], &self.clients[client]);
        let (came, went) = (&server.request, &client.request);
        let carrier = client.peer.wrapping_sub(turn.peers.tenants);
        let emergency = plan.dial.group == Group::Emergency;
        let right = match plan.inbound {
            true => client.peer == plan.tenant,
            false if self.places.several || emergency => u64::from(carrier) < self.places.carriers,
            false => carrier == plan.carrier,
        };
        if !right {
            return Err(format!("sent to peer {}", client.peer));
        }
        if !plan.inbound && carrier != plan.carrier {
            turn.seen.note(Met::SecondWay);
        }
        let user = user_of(went.text(went.uri));
        if user != turn.rules.written(&plan.dial, carrier, plan.inbound) {
            return Err(format!("sent as {user}, not {}", plan.dial.canonical));
        }
        if user_of(went.text(went.to)) != user {
            return Err(format!("sent To {}", went.text(went.to)));
        }
        let hops = came.max_forwards.map_or(70, |hops| hops - 1);
        if went.max_forwards != Some(hops) {
            return Err(format!("sent with Max-Forwards {:?}", went.max_forwards));
        }
        if came.body() != went.body() || came.at(came.content_type) != went.at(went.content_type) {
            return Err("sent with another body".into());
        }
        if went.contact.is_empty() || (went.supported | came.supported) != went.supported | 2 {
            return Err("sent without Contact, or with less Supported".into());
        }
        if came.body().is_empty() {
            turn.seen.note(Met::DelayedOffer);
        }
        let leg = client.leg;
        if plan.inbound {
            turn.seen.note(Met::InboundAllowed);
            let (came, went) = (Rc::clone(came), Rc::clone(went));
            self.called_billed(turn, plan, (&came, &went));
            return Ok(());
        }
        let caller = caller(turn, plan, went)?;
        turn.seen.note(if emergency {
            Met::Emergency
        } else {
            Met::Allowed
        });
        if caller {
            turn.seen.note(Met::CallerReplaced);
        }
        self.legs[leg].urgent = emergency;
        let went = Rc::clone(went);
        self.call_billed(turn, plan, carrier, &went);
        if !emergency {
            let used = &mut self.ledger.tenants[usize::from(plan.tenant)];
            used.legs.push((leg, plan.dial.group.is_international()));
            used.left.push_back((turn.now, turn.day));
        }
        Ok(())
    }
}

/// The caller that is shown: one of the tenant's numbers, or nobody.
/// Says whether it was replaced.
fn caller(turn: &Turn<'_>, plan: &CallPlan, went: &Wire) -> Result<bool, String> {
    let from = went.text(went.from);
    let shown = user_of(from);
    let tenant = &turn.rules.tenants[usize::from(plan.tenant)];
    let own = plan.caller.number.starts_with(&tenant.own);
    let number = if own {
        plan.caller.number.as_str()
    } else {
        &tenant.default_caller
    };
    if plan.dial.withheld {
        let hidden = from.contains("sip:anonymous@anonymous.invalid");
        if !hidden || !went.text(went.privacy).contains("id") {
            return Err(format!("not withheld: From {from}"));
        }
    } else if shown.trim_start_matches('+') != number.trim_start_matches('+') {
        return Err(format!("sent From {from}, not {number}"));
    }
    Ok(!own)
}

/// The user part of the first SIP URI in a text.
pub fn user_of(text: &str) -> &str {
    let start = text.find("sip:").map_or(0, |at| at + 4);
    let rest = &text[start..];
    rest.split('@').next().unwrap_or_default()
}
