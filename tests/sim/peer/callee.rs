//! What a callee does before the call is established.

use std::rc::Rc;

use super::{Leg, NOBODY, Peers, State, T1, T64, Timer};
use crate::net::{Net, Task};
use crate::plan::{First, OnCancel, Session, Step};
use crate::seen::Met;
use crate::text::Body;
use crate::wire::{Method, REL, TIMER, Wire, hash2};

/// Session intervals that nobody may agree to, in seconds.
const AGES: [u32; 3] = [2_000, 86_400, u32::MAX];

impl Peers {
    /// The first INVITE of a call came.
    pub(super) fn called(&mut self, net: &mut Net, peer: u8, tx: u32, wire: &Rc<Wire>) {
        let key = hash2(b"", wire.at(wire.call_id));
        let Some(&plan) = self.expected.get(&key) else {
            self.reply(net, tx, 404, "", &Body::default());
            return;
        };
        let leg = self.callee_leg(net, peer, tx, plan, wire);
        self.servers[tx as usize].leg = leg;
        if self.winding_down {
            self.refuse_early(net, leg, 480);
            return;
        }
        let first = self.plans[plan as usize].first;
        let attempted = self.attempted.insert(plan, ()).is_some();
        if let Some(first) = first.filter(|_| !attempted) {
            return self.first(net, (leg, tx), first);
        }
        if self.is_redirected(net, (leg, plan)) {
            return;
        }
        let callee = &self.plans[plan as usize].callee;
        if callee.session == Session::TooSmall && wire.session.is_some_and(|s| s.0 < 400) {
            net.seen.note(Met::SessionTooSmall);
            self.reply(net, tx, 422, "Min-SE: 400\r\n", &Body::default());
            self.legs[leg as usize].state = State::Over;
            return;
        }
        for (index, &(wait, _)) in callee.steps.iter().enumerate() {
            net.after(wait, Task::Step(leg, index as u8));
        }
        if let Some(wait) = callee.side.dies_after {
            net.seen.note(Met::SilentDeath);
            net.after(wait, Task::Die(leg));
        }
    }

    /// This carrier will send the call elsewhere.
    fn is_redirected(&mut self, net: &mut Net, (leg, plan): (u32, u32)) -> bool {
        let level = self.redirected.entry(plan).or_default();
        let redirects = &self.plans[plan as usize].redirects;
        let Some(redirect) = redirects.get(usize::from(*level)) else {
            return false;
        };
        net.after(redirect.after, Task::Redirect(leg, *level));
        *level += 1;
        if redirect.rings {
            self.ring(net, leg, 180, 0, false);
        }
        true
    }

    /// This carrier is the first to get the call, and will not take it.
    fn first(&mut self, net: &mut Net, (leg, tx): (u32, u32), first: First) {
        match first {
            First::Dead => self.legs[leg as usize].dead = true,
            First::Late(wait) => net.after(wait, Task::Reply(tx, 200)),
            First::Out {
                after,
                trying,
                rests,
            } => {
                if trying {
                    self.reply(net, tx, 100, "", &Body::default());
                }
                if rests {
                    self.reply(net, tx, 503, "Retry-After: 20\r\n", &Body::default());
                    self.legs[leg as usize].state = State::Over;
                } else {
                    net.after(after, Task::Reply(tx, 503));
                }
            }
        }
    }

    fn callee_leg(&mut self, net: &mut Net, peer: u8, tx: u32, plan: u32, wire: &Wire) -> u32 {
        let leg = self.legs.len() as u32;
        let host = &self.hosts[peer as usize];
        self.by_call
            .insert(hash2(&[peer], wire.at(wire.call_id)), leg);
        let text = |span| wire.text(span).to_string();
        let bare = |value: String| value.split(";tag=").next().unwrap_or_default().to_string();
        self.legs.push(Leg {
            plan,
            peer,
            caller: false,
            call_id: text(wire.call_id),
            tag: format!("{}{leg}.{:x}", host.mark, net.rng.any()),
            remote_tag: text(wire.from_tag),
            local: bare(text(wire.to)),
            remote: bare(text(wire.from)),
            target: wire.at(wire.contact).to_vec(),
            cseq: net.rng.below(1 << 20) as u32,
            heard: wire.cseq,
            state: State::Early,
            dead: false,
            cancelled: false,
            invite: tx,
            mine_open: None,
            theirs_open: Some(tx),
            reliable: None,
            rseq: net.rng.below(1000) as u32,
            pracked: (0, String::new()),
            timer: None,
            bye: false,
        });
        leg
    }

    /// A callee's next step.
    pub(super) fn step(&mut self, net: &mut Net, leg: u32, step: u8) {
        let state = &self.legs[leg as usize];
        let tx = state.invite;
        let plan = &self.plans[state.plan as usize];
        let Some(&(_, step_taken)) = plan.callee.steps.get(usize::from(step)) else {
            return;
        };
        let early = state.state == State::Early && !state.dead && !state.cancelled;
        match step_taken {
            _ if state.dead => {}
            Step::Trying if early => self.reply(net, tx, 100, "", &Body::default()),
            Step::Ring {
                code,
                fork,
                reliable,
            } if early => self.ring(net, leg, code, fork, reliable),
            Step::Answer { fork: 0 } if early => {
                if state.reliable.is_some() {
                    net.after(T1, Task::Step(leg, step)); // RFC 3262 §3: PRACK first
                } else {
                    self.answer(net, leg);
                }
            }
            Step::Answer { fork } if fork > 0 && state.state == State::Up && !state.bye => {
                let tag = format!("{}f{fork}", state.tag);
                let (body, routes) = (self.sdp(net, leg), self.route_line(leg));
                self.reply_as(net, tx, 200, &tag, &routes, &body);
            }
            Step::Refuse(code) if early => {
                let extra = match code {
                    300..=399 => "Contact: <sip:+23276123456@203.0.113.66>\r\n",
                    401 => "WWW-Authenticate: Digest realm=\"hidden\", nonce=\"1\"\r\n",
                    407 => "Proxy-Authenticate: Digest realm=\"hidden\", nonce=\"1\"\r\n",
                    503 => "Retry-After: 30\r\n",
                    _ => "",
                };
                self.reply(net, tx, code, extra, &Body::default());
                self.legs[leg as usize].state = State::Over;
            }
            _ => {}
        }
    }

    fn ring(&mut self, net: &mut Net, leg: u32, code: u16, fork: u8, reliable: bool) {
        let state = &self.legs[leg as usize];
        let tx = state.invite;
        let request = Rc::clone(&self.servers[tx as usize].request);
        let tag = if fork == 0 {
            state.tag.clone()
        } else {
            format!("{}f{fork}", state.tag)
        };
        if fork > 0 {
            net.seen.note(Met::Fork);
        }
        let reliable = reliable && request.supported & REL != 0 && state.reliable.is_none();
        let body = if code == 183 || reliable {
            self.sdp(net, leg)
        } else {
            Body::default()
        };
        let mut extra = self.route_line(leg);
        if reliable {
            self.legs[leg as usize].rseq += 1;
            let rseq = self.legs[leg as usize].rseq;
            extra.push_str(&format!("Require: 100rel\r\nRSeq: {rseq}\r\n"));
        }
        self.reply_as(net, tx, code, &tag, &extra, &body);
        if reliable {
            let last = self.servers[tx as usize].last.clone();
            let rseq = self.legs[leg as usize].rseq;
            self.legs[leg as usize].reliable = last.map(|wire| (rseq, wire, T1));
            net.after(T1, Task::Reliable(leg));
        }
    }

    pub(super) fn repeat_reliable(&mut self, net: &mut Net, leg: u32) {
        let state = &mut self.legs[leg as usize];
        if state.dead || state.state != State::Early {
            return;
        }
        let Some((_, wire, wait)) = &mut state.reliable else {
            return;
        };
        *wait *= 2;
        if *wait > T64 {
            state.reliable = None;
            self.refuse_early(net, leg, 504); // RFC 3262 §3
            return;
        }
        net.send_in(state.peer, wire);
        net.after(*wait, Task::Reliable(leg));
    }

    /// Answers the call.
    fn answer(&mut self, net: &mut Net, leg: u32) {
        let tx = self.legs[leg as usize].invite;
        let request = Rc::clone(&self.servers[tx as usize].request);
        let mut extra = self.route_line(leg);
        extra.push_str("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO\r\n");
        extra.push_str(&self.timer_lines(net, leg, &request));
        let body = self.sdp(net, leg);
        self.legs[leg as usize].state = State::Up;
        self.reply(net, tx, 200, &extra, &body);
    }

    /// What the 200 says of session timers (RFC 4028).
    fn timer_lines(&mut self, net: &mut Net, leg: u32, request: &Wire) -> String {
        let plan = &self.plans[self.legs[leg as usize].plan as usize];
        let ours = match plan.callee.session {
            Session::None => return String::new(),
            Session::Theirs | Session::TooSmall => false,
            Session::Ours => true,
            Session::Ages => net.rng.permille(500),
        };
        let (Some((seconds, refresher)), true) = (request.session, request.supported & TIMER != 0)
        else {
            return String::new();
        };
        // §9: who is asked to refresh by the request, does.
        let ages = plan.callee.session == Session::Ages;
        let mine = refresher.filter(|_| !ages).map_or(ours, |uac| !uac);
        let seconds = if ages {
            net.seen.note(Met::SessionForAges);
            *net.rng.pick(&AGES)
        } else {
            seconds
        };
        let timer = Timer {
            seconds,
            mine,
            refreshed: net.now,
        };
        self.take_timer(net, leg, timer);
        let who = if mine { "uas" } else { "uac" };
        format!("Require: timer\r\nSession-Expires: {seconds};refresher={who}\r\n")
    }

    fn route_line(&self, leg: u32) -> String {
        if !self.side(leg).routed {
            return String::new();
        }
        let host = &self.hosts[self.legs[leg as usize].peer as usize];
        format!("Record-Route: <sip:{}r@{};lr>\r\n", host.mark, host.addr)
    }

    /// Refuses a call that was not answered yet.
    pub(super) fn refuse_early(&mut self, net: &mut Net, leg: u32, code: u16) {
        let state = &mut self.legs[leg as usize];
        if state.state != State::Early || state.caller {
            return;
        }
        state.state = State::Over;
        let tx = state.invite;
        self.reply(net, tx, code, "", &Body::default());
    }

    /// The caller's CANCEL came.
    pub(super) fn cancelled(&mut self, net: &mut Net, peer: u8, tx: u32, wire: &Rc<Wire>) {
        let key = hash2(&[peer, Method::Invite as u8], wire.at(wire.branch));
        let invite = self.by_branch.get(&key).copied();
        let leg = invite.map_or(NOBODY, |tx| self.servers[tx as usize].leg);
        let Some(invite) = invite else {
            self.reply(net, tx, 481, "", &Body::default());
            return;
        };
        self.servers[tx as usize].leg = leg;
        if leg == NOBODY || self.servers[invite as usize].code >= 200 {
            self.reply(net, tx, 200, "", &Body::default());
            return;
        }
        if self.is_dead(leg) {
            return;
        }
        if self.legs[leg as usize].invite != invite {
            // A re-INVITE is cancelled: RFC 3261 §9.2.
            self.reply(net, tx, 200, "", &Body::default());
            self.late_reply(net, invite, 487);
            return;
        }
        let plan = &self.plans[self.legs[leg as usize].plan as usize];
        match plan.callee.on_cancel {
            OnCancel::Obey => {
                self.reply(net, tx, 200, "", &Body::default());
                self.refuse_early(net, leg, 487);
            }
            OnCancel::Answer(wait) => {
                self.reply(net, tx, 200, "", &Body::default());
                self.legs[leg as usize].cancelled = true;
                net.after(wait, Task::Reply(invite, 200));
            }
            OnCancel::Ignore => {
                self.reply(net, tx, 200, "", &Body::default());
                self.legs[leg as usize].cancelled = true;
            }
            OnCancel::Silence => self.legs[leg as usize].cancelled = true,
        }
    }

    /// Says 200 to a request of the other side.
    pub(super) fn accept(&mut self, net: &mut Net, leg: u32, tx: u32, request: &Rc<Wire>) {
        let first = self.legs[leg as usize].invite == tx && !self.legs[leg as usize].caller;
        if first {
            if self.legs[leg as usize].state == State::Early {
                self.answer(net, leg);
            }
            return;
        }
        let offer = !request.body().is_empty();
        let invite = request.method == Method::Invite;
        let body = if invite || (request.method == Method::Update && offer) {
            self.sdp(net, leg)
        } else {
            Body::default()
        };
        let mut extra = String::new();
        if let (Some((seconds, refresher)), true) = (
            request.session,
            matches!(request.method, Method::Invite | Method::Update),
        ) {
            let who = if refresher == Some(false) {
                "uas"
            } else {
                "uac"
            };
            let plan = &self.plans[self.legs[leg as usize].plan as usize];
            let ages = plan.callee.session == Session::Ages && !self.legs[leg as usize].caller;
            let seconds = if ages { *net.rng.pick(&AGES) } else { seconds };
            extra = format!("Require: timer\r\nSession-Expires: {seconds};refresher={who}\r\n");
            if let Some(timer) = &mut self.legs[leg as usize].timer {
                timer.refreshed = net.now;
            }
        }
        self.reply(net, tx, 200, &extra, &body);
    }
}
