//! What a caller does: the first INVITE, its CANCEL, and the answer.

use std::rc::Rc;

use super::{Leg, NOBODY, Peers, Purpose, State, T64, Timer};
use crate::dial::Group;
use crate::link::SEC;
use crate::net::{Net, Task};
use crate::plan::{HOST, Second};
use crate::seen::Met;
use crate::text::Body;
use crate::wire::{Method, Wire, hash2};

impl Peers {
    /// Begins the call of a plan.
    pub(super) fn begin(&mut self, net: &mut Net, plan: u32) {
        if self.winding_down {
            return;
        }
        let leg = self.caller_leg(net, plan);
        let planned = self.plans[plan as usize].caller.clone();
        let body = if planned.delayed_offer {
            Body::default()
        } else {
            self.sdp(net, leg)
        };
        let extra = self.opening_lines(net, leg);
        let tx = self.send(net, leg, Purpose::Call, Method::Invite, &extra, &body);
        self.legs[leg as usize].invite = tx;
        self.legs[leg as usize].mine_open = Some(tx);
        if let Some(wait) = planned.cancel_after {
            net.after(wait, Task::Cancel(leg));
        }
        if let Some((wait, _)) = planned.second {
            net.after(wait, Task::Second(leg));
        }
        if let Some(wait) = planned.side.dies_after {
            net.seen.note(Met::SilentDeath);
            net.after(wait, Task::Die(leg));
        }
    }

    fn caller_leg(&mut self, net: &mut Net, plan: u32) -> u32 {
        let leg = self.legs.len() as u32;
        let planned = &self.plans[plan as usize];
        let peer = if planned.inbound {
            self.tenants + planned.carrier
        } else {
            planned.tenant
        };
        let host = &self.hosts[peer as usize];
        let to = if planned.caller.other_to {
            let other = if planned.dial.group == Group::SierraLeone {
                "110"
            } else {
                "01023276123456"
            };
            format!("<sip:{other}@{HOST}>")
        } else {
            format!("<{}>", planned.dial.uri)
        };
        let call_id = format!("{}{leg}.{:x}@{}", host.mark, net.rng.any(), host.ip);
        self.by_call.insert(hash2(&[peer], call_id.as_bytes()), leg);
        self.legs.push(Leg {
            plan,
            peer,
            caller: true,
            call_id,
            tag: format!("{}{leg}", host.mark),
            remote_tag: String::new(),
            local: format!(
                "\"{}\" <sip:{}@{}>",
                host.mark, planned.caller.number, host.ip
            ),
            remote: to,
            target: planned.dial.uri.clone().into_bytes(),
            cseq: net.rng.below(1 << 20) as u32,
            heard: 0,
            state: State::Early,
            dead: false,
            cancelled: false,
            invite: NOBODY,
            mine_open: None,
            theirs_open: None,
            reliable: None,
            rseq: 0,
            pracked: (0, String::new()),
            timer: None,
            bye: false,
        });
        leg
    }

    /// The header lines that only a first INVITE has.
    fn opening_lines(&self, net: &mut Net, leg: u32) -> String {
        let side = self.side(leg);
        let host = &self.hosts[self.legs[leg as usize].peer as usize];
        let mut lines =
            String::from("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO\r\n");
        let mut tags = Vec::new();
        if side.rel {
            tags.push("100rel");
        }
        if let Some(seconds) = side.timer {
            tags.push("timer");
            lines.push_str(&format!("Session-Expires: {seconds}\r\n"));
        }
        if !tags.is_empty() {
            let name = if side.style == 1 { "k" } else { "Supported" };
            lines.push_str(&format!("{name}: {}\r\n", tags.join(", ")));
        }
        if side.routed {
            lines.push_str(&format!(
                "Record-Route: <sip:{}r@{};lr>\r\n",
                host.mark, host.addr
            ));
        }
        if net.rng.permille(150) {
            let (mark, ip) = (host.mark, &host.ip);
            lines.push_str(&format!(
                "Remote-Party-ID: <sip:{mark}@{ip}>\r\nHistory-Info: <sip:{mark}@{ip}>;index=1\r\n\
                 Diversion: <sip:{mark}@{ip}>\r\nP-Charging-Vector: icid-value={mark}\r\n\
                 Subject: {mark}\r\nOrganization: {mark}\r\nCall-Info: <http://{ip}/{mark}>\r\n\
                 Authorization: Digest username=\"{mark}\"\r\nx-long : {mark}\r\n\t{mark}\r\n"
            ));
        }
        lines
    }

    /// The caller changes its mind.
    pub(super) fn cancel(&mut self, net: &mut Net, leg: u32) {
        let state = &mut self.legs[leg as usize];
        if state.dead || state.cancelled || state.state != State::Early {
            return;
        }
        state.cancelled = true;
        // RFC 3261 §9.1 would wait for a provisional; many do not.
        let (wire, invite) = (self.cancel_wire(leg), self.legs[leg as usize].invite);
        self.start(net, leg, Purpose::Cancel, wire, false);
        net.after(
            T64,
            Task::GiveUp {
                server: false,
                tx: invite,
            },
        );
    }

    /// A CANCEL for a leg's first INVITE.
    fn cancel_wire(&self, leg: u32) -> Rc<Wire> {
        use crate::text::{Request, request};
        let state = &self.legs[leg as usize];
        let invite = &self.clients[state.invite as usize].wire;
        request(
            &self.hosts[state.peer as usize],
            &Request {
                method: Method::Cancel,
                uri: invite.at(invite.uri),
                tx: state.invite,
                from: &state.local,
                from_tag: &state.tag,
                to: &state.remote,
                to_tag: "",
                call_id: &state.call_id,
                cseq: invite.cseq,
                max_forwards: 70,
                extra: "Reason: SIP;cause=487;text=\"gone\"\r\n",
                contact: "",
                style: self.side(leg).style,
                body: &Body::default(),
            },
        )
    }

    /// The final response to the first INVITE.
    pub(super) fn call_answered(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        let planned = &self.plans[self.legs[leg as usize].plan as usize];
        let (ack_after, again) = (planned.caller.ack_after, planned.caller.again_after);
        if let Some(wait) = again {
            net.after(wait, Task::Again(leg));
        }
        if wire.code >= 300 {
            if self.legs[leg as usize].invite == tx {
                self.legs[leg as usize].state = State::Over;
            }
            return;
        }
        let state = &mut self.legs[leg as usize];
        state.remote_tag = wire.text(wire.to_tag).to_string();
        state.target = wire.at(wire.contact).to_vec();
        state.state = State::Up;
        let cancelled = state.cancelled;
        if let Some(wait) = ack_after {
            self.ack_ok(net, tx, wire, wait);
        }
        if let Some((seconds, mine)) = wire.session {
            let timer = Timer {
                seconds,
                mine: mine != Some(false),
                refreshed: net.now,
            };
            self.take_timer(net, leg, timer);
        }
        if cancelled || self.winding_down {
            self.hang_up(net, leg);
        } else {
            self.talk(net, leg);
        }
    }

    /// Lets a leg do in the call what it planned.
    pub(super) fn talk(&mut self, net: &mut Net, leg: u32) {
        for index in 0..self.side(leg).mids.len() {
            let wait = self.side(leg).mids[index].0;
            net.after(wait, Task::Mid(leg, index as u8));
        }
    }

    /// A second INVITE with the Call-ID of the first.
    pub(super) fn second_invite(&mut self, net: &mut Net, leg: u32) {
        let state = &self.legs[leg as usize];
        if state.dead || state.state != State::Early || self.winding_down {
            return;
        }
        let Some((_, kind)) = self.plans[state.plan as usize].caller.second else {
            return;
        };
        if kind == Second::Merged {
            self.legs[leg as usize].cseq -= 1;
        }
        net.seen.note(match kind {
            Second::Merged => Met::MergedInvite,
            Second::Later => Met::SecondInvite,
        });
        let kept = std::mem::take(&mut self.legs[leg as usize].remote_tag);
        let body = self.sdp(net, leg);
        let extra = self.opening_lines(net, leg);
        self.send(net, leg, Purpose::Attack, Method::Invite, &extra, &body);
        self.legs[leg as usize].remote_tag = kept;
    }

    /// The first INVITE comes once more, after its final response.
    pub(super) fn invite_again(&mut self, net: &mut Net, leg: u32) {
        let state = &self.legs[leg as usize];
        let stream = self.hosts[usize::from(state.peer)].stream;
        if !state.dead && !self.winding_down && !stream {
            net.seen.note(Met::InviteAfterFinal);
            net.send_in(state.peer, &self.clients[state.invite as usize].wire);
        }
    }

    /// Hangs up, once.
    pub(super) fn hang_up(&mut self, net: &mut Net, leg: u32) {
        let state = &mut self.legs[leg as usize];
        if state.dead || state.bye || state.state != State::Up {
            return;
        }
        state.bye = true;
        let reason = "Reason: Q.850;cause=16\r\n";
        self.send(
            net,
            leg,
            Purpose::Bye,
            Method::Bye,
            reason,
            &Body::default(),
        );
    }

    /// The session ran out, if nobody refreshed it.
    pub(super) fn expire(&mut self, net: &mut Net, leg: u32) {
        let state = &self.legs[leg as usize];
        let Some(timer) = state.timer else { return };
        if state.dead || state.state != State::Up {
            return;
        }
        let end = timer.refreshed + u64::from(timer.seconds) * SEC;
        if net.now < end {
            net.after(end - net.now, Task::Expire(leg));
            return;
        }
        net.seen.note(Met::SessionExpired);
        if self.side(leg).expires {
            self.hang_up(net, leg);
        }
    }
}
