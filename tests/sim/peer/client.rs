//! A peer's client transactions: RFC 3261 §17.1, as a peer needs it.

use std::rc::Rc;

use super::{Client, NOBODY, Peers, Purpose, State, T1, T2, T64, Timer};
use crate::link::{Nanos, SEC};
use crate::net::{Net, Task};
use crate::plan::Mid;
use crate::text::{Body, Request, request};
use crate::wire::{Method, REL, Wire};

impl Peers {
    /// Sends a request of a leg in a transaction of its own.
    pub fn send(
        &mut self,
        net: &mut Net,
        leg: u32,
        purpose: Purpose,
        method: Method,
        extra: &str,
        body: &Body,
    ) -> u32 {
        let state = &mut self.legs[leg as usize];
        if method != Method::Cancel {
            state.cseq += 1;
        }
        let tx = match method {
            Method::Cancel => state.invite,
            _ => self.clients.len() as u32,
        };
        let wire = self.write(leg, method, tx, extra, body);
        self.start(net, leg, purpose, wire, !body.bytes.is_empty())
    }

    /// Writes a request of a leg under its present CSeq.
    fn write(&self, leg: u32, method: Method, tx: u32, extra: &str, body: &Body) -> Rc<Wire> {
        let state = &self.legs[leg as usize];
        let host = &self.hosts[state.peer as usize];
        let plan = &self.plans[state.plan as usize];
        let side = self.side(leg);
        let first = state.remote_tag.is_empty() || method == Method::Cancel;
        let opening = first && state.caller;
        let contact = match method {
            Method::Invite | Method::Update => self.contact(leg),
            _ => String::new(),
        };
        request(
            host,
            &Request {
                method,
                uri: if opening {
                    plan.dial.uri.as_bytes()
                } else {
                    &state.target
                },
                tx,
                from: &state.local,
                from_tag: &state.tag,
                to: &state.remote,
                to_tag: if opening { "" } else { &state.remote_tag },
                call_id: &state.call_id,
                cseq: state.cseq,
                max_forwards: if opening {
                    plan.caller.max_forwards
                } else {
                    70
                },
                extra,
                contact: &contact,
                style: side.style,
                body,
            },
        )
    }

    /// Puts a request on the way and keeps it until it is answered.
    pub fn start(
        &mut self,
        net: &mut Net,
        leg: u32,
        purpose: Purpose,
        wire: Rc<Wire>,
        offered: bool,
    ) -> u32 {
        let peer = self.legs[leg as usize].peer;
        let stream = self.hosts[usize::from(peer)].stream;
        for _ in 1..if stream { 1 } else { self.side(leg).storm } {
            net.send_in(peer, &wire);
        }
        self.start_as(net, peer, leg, purpose, wire, offered)
    }

    /// The same for a peer, whether it is in a leg or not.
    pub fn start_as(
        &mut self,
        net: &mut Net,
        peer: u8,
        leg: u32,
        purpose: Purpose,
        wire: Rc<Wire>,
        offered: bool,
    ) -> u32 {
        let tx = self.clients.len() as u32;
        net.send_in(peer, &wire);
        self.clients.push(Client {
            leg,
            peer,
            purpose,
            wire,
            wait: T1,
            proceeding: false,
            over: false,
            code: 0,
            ack: None,
            ack_tag: String::new(),
            offered,
        });
        // RFC 3261 §17.1.1.2, §17.1.2.2: a stream loses nothing.
        if !self.hosts[usize::from(peer)].stream {
            net.after(T1, Task::Repeat { server: false, tx });
        }
        net.after(T64, Task::GiveUp { server: false, tx });
        tx
    }

    pub(super) fn repeat_request(&mut self, net: &mut Net, tx: u32) {
        let client = &mut self.clients[tx as usize];
        let invite = client.wire.method == Method::Invite;
        if client.over
            || (invite && client.proceeding)
            || self.is_dead(self.clients[tx as usize].leg)
        {
            return;
        }
        let client = &mut self.clients[tx as usize];
        client.wait = if invite {
            client.wait * 2
        } else if client.proceeding {
            T2
        } else {
            (client.wait * 2).min(T2)
        };
        net.send_in(client.peer, &client.wire);
        net.after(client.wait, Task::Repeat { server: false, tx });
    }

    /// Whether a leg fell silent.
    pub(super) fn is_dead(&self, leg: u32) -> bool {
        leg != NOBODY && self.legs[leg as usize].dead
    }

    pub(super) fn request_timed_out(&mut self, net: &mut Net, tx: u32) {
        let client = &mut self.clients[tx as usize];
        let leg = client.leg;
        let invite = client.wire.method == Method::Invite;
        if leg == NOBODY {
            client.over = true;
        }
        if client.over {
            return;
        }
        let cancelled = self.legs[leg as usize].cancelled;
        if invite && client.proceeding && !cancelled && client.purpose == Purpose::Call {
            return; // It rings; only a CANCEL sets a limit.
        }
        client.over = true;
        let purpose = client.purpose;
        self.closed(leg, tx);
        match purpose {
            Purpose::Call => self.legs[leg as usize].state = State::Over,
            Purpose::ReInvite | Purpose::Refresh => self.hang_up(net, leg),
            // RFC 3261 §15.1.1: unheard or not, who said BYE has gone.
            Purpose::Bye => self.legs[leg as usize].state = State::Over,
            Purpose::Cancel | Purpose::Other | Purpose::Attack => {}
        }
    }

    /// This side's INVITE is no longer open.
    fn closed(&mut self, leg: u32, tx: u32) {
        if leg != NOBODY && self.legs[leg as usize].mine_open == Some(tx) {
            self.legs[leg as usize].mine_open = None;
        }
    }

    pub(super) fn receive_response(&mut self, net: &mut Net, wire: &Rc<Wire>) {
        let Some(tx) = self.client_of(wire) else {
            return;
        };
        let client = &mut self.clients[tx as usize];
        let leg = client.leg;
        if leg == NOBODY || self.legs[leg as usize].dead {
            client.over |= leg == NOBODY && wire.is_final();
            return;
        }
        if !wire.is_final() {
            client.proceeding = true;
            if client.purpose == Purpose::Call {
                self.provisional(net, leg, wire);
            }
            return;
        }
        if client.over {
            self.final_again(net, tx);
            return;
        }
        client.over = true;
        client.code = wire.code;
        self.closed(leg, tx);
        if client_is_invite(&self.clients[tx as usize]) && wire.code >= 300 {
            self.ack_refusal(net, tx, wire);
        }
        match self.clients[tx as usize].purpose {
            Purpose::Call => self.call_answered(net, leg, tx, wire),
            Purpose::ReInvite => self.reinvite_answered(net, leg, tx, wire),
            Purpose::Refresh => self.refresh_answered(net, leg, tx, wire),
            Purpose::Other if matches!(wire.code, 481 | 408) => self.hang_up(net, leg),
            Purpose::Bye => self.legs[leg as usize].state = State::Over,
            Purpose::Attack => self.second_answered(net, leg, tx, wire),
            Purpose::Other | Purpose::Cancel => {}
        }
    }

    /// The final response to a second INVITE: a dialog of its own is ended.
    fn second_answered(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        if self.clients[tx as usize].wire.method != Method::Invite || wire.code >= 300 {
            return;
        }
        self.ack_ok(net, tx, wire, 0);
        let state = &mut self.legs[leg as usize];
        let kept = std::mem::replace(&mut state.remote_tag, wire.text(wire.to_tag).to_string());
        let target = std::mem::replace(&mut state.target, wire.at(wire.contact).to_vec());
        self.send(net, leg, Purpose::Attack, Method::Bye, "", &Body::default());
        self.legs[leg as usize].remote_tag = kept;
        self.legs[leg as usize].target = target;
    }

    /// The client transaction that a response answers. The branch holds its
    /// number, except that a CANCEL borrows its INVITE's.
    fn client_of(&self, wire: &Wire) -> Option<u32> {
        let branch = wire.text(wire.branch);
        let tx: u32 = branch.rsplit('-').next()?.parse().ok()?;
        let client = self.clients.get(tx as usize)?;
        if client.wire.method == wire.method {
            return Some(tx);
        }
        let cancel = wire.method == Method::Cancel && client_is_invite(client);
        let same = |c: &&Client| c.wire.method == Method::Cancel && c.leg == client.leg;
        if !cancel {
            return None;
        }
        let later = self.clients[tx as usize..].iter().position(|c| same(&c))?;
        Some(tx + later as u32)
    }

    /// The ACK to a final other than 2xx: the INVITE's branch and CSeq.
    fn ack_refusal(&mut self, net: &mut Net, tx: u32, wire: &Wire) {
        let client = &self.clients[tx as usize];
        let leg = &self.legs[client.leg as usize];
        let to_tag = wire.text(wire.to_tag).to_string();
        let ack = request(
            &self.hosts[client.peer as usize],
            &Request {
                method: Method::Ack,
                uri: client.wire.at(client.wire.uri),
                tx: self.branch_of(tx),
                from: &leg.local,
                from_tag: &leg.tag,
                to: &leg.remote,
                to_tag: &to_tag,
                call_id: &leg.call_id,
                cseq: client.wire.cseq,
                max_forwards: 70,
                extra: "",
                contact: "",
                style: self.side(client.leg).style,
                body: &Body::default(),
            },
        );
        net.send_in(client.peer, &ack);
        self.clients[tx as usize].ack = Some(ack);
    }

    /// The number in a transaction's branch.
    fn branch_of(&self, tx: u32) -> u32 {
        let wire = &self.clients[tx as usize].wire;
        let number = wire.text(wire.branch).rsplit('-').next();
        number.and_then(|n| n.parse().ok()).unwrap_or(tx)
    }

    /// The ACK to a 2xx, with the answer if the 2xx held the offer.
    pub(super) fn ack_ok(&mut self, net: &mut Net, tx: u32, wire: &Wire, wait: Nanos) {
        let (leg, offered) = {
            let client = &self.clients[tx as usize];
            (client.leg, client.offered)
        };
        let body = if offered || wire.body().is_empty() {
            Body::default()
        } else {
            self.sdp(net, leg)
        };
        let target = wire.at(wire.contact).to_vec();
        let to_tag = wire.text(wire.to_tag).to_string();
        let serial = self.next_serial() as u32;
        let state = &self.legs[leg as usize];
        let ack = request(
            &self.hosts[state.peer as usize],
            &Request {
                method: Method::Ack,
                uri: &target,
                tx: 10_000_000 + serial,
                from: &state.local,
                from_tag: &state.tag,
                to: &state.remote,
                to_tag: &to_tag,
                call_id: &state.call_id,
                cseq: self.clients[tx as usize].wire.cseq,
                max_forwards: 70,
                extra: "",
                contact: "",
                style: self.side(leg).style,
                body: &body,
            },
        );
        let peer = state.peer;
        self.clients[tx as usize].ack = Some(Rc::clone(&ack));
        self.clients[tx as usize].ack_tag = to_tag;
        if wait == 0 {
            net.send_in(peer, &ack);
        } else {
            net.after(wait, Task::Ack(tx));
        }
    }

    pub(super) fn late_ack(&mut self, net: &mut Net, tx: u32) {
        let client = &self.clients[tx as usize];
        if let (Some(ack), false) = (&client.ack, self.is_dead(client.leg)) {
            net.send_in(client.peer, ack);
        }
    }

    /// A final response once more, or another fork's.
    fn final_again(&mut self, net: &mut Net, tx: u32) {
        let client = &self.clients[tx as usize];
        if client.wire.method != Method::Invite {
            return;
        }
        let leg = &self.legs[client.leg as usize];
        let plan = &self.plans[leg.plan as usize];
        let keeps_back = leg.caller && client.code < 300 && plan.caller.ack_after != Some(0);
        if let (Some(ack), false) = (&client.ack, keeps_back) {
            net.send_in(client.peer, ack);
        }
    }

    /// A provisional response to the first INVITE.
    fn provisional(&mut self, net: &mut Net, leg: u32, wire: &Rc<Wire>) {
        let state = &mut self.legs[leg as usize];
        if wire.to_tag.is_empty() || state.state != State::Early {
            return;
        }
        state.remote_tag = wire.text(wire.to_tag).to_string();
        if !wire.contact.is_empty() {
            state.target = wire.at(wire.contact).to_vec();
        }
        if wire.required & REL == 0 || wire.rseq == 0 || state.target.is_empty() {
            return;
        }
        if state.pracked.1 == state.remote_tag && state.pracked.0 >= wire.rseq {
            return;
        }
        state.pracked = (wire.rseq, state.remote_tag.clone());
        let rack = format!("RAck: {} {} INVITE\r\n", wire.rseq, wire.cseq);
        self.send(
            net,
            leg,
            Purpose::Other,
            Method::Prack,
            &rack,
            &Body::default(),
        );
    }

    /// The final response to a re-INVITE of this side's.
    fn reinvite_answered(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        match wire.code {
            ..300 => {
                self.ack_ok(net, tx, wire, 0);
                if !wire.contact.is_empty() {
                    self.legs[leg as usize].target = wire.at(wire.contact).to_vec();
                }
            }
            481 | 408 => self.hang_up(net, leg),
            491 if net.rng.permille(500) => {
                // RFC 3261 §14.1: again after a while.
                let wait = net.rng.below(4 * SEC);
                let mids = &self.side(leg).mids;
                let again = |m: &(Nanos, Mid)| matches!(m.1, Mid::ReInvite { .. });
                if let Some(index) = mids.iter().position(again) {
                    net.after(wait, Task::Mid(leg, index as u8));
                }
            }
            _ => {}
        }
    }

    /// The final response to a session refresh of this side's.
    fn refresh_answered(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        if self.clients[tx as usize].wire.method == Method::Invite && wire.code < 300 {
            self.ack_ok(net, tx, wire, 0);
        }
        if matches!(wire.code, 481 | 408) {
            self.hang_up(net, leg);
        }
    }

    /// Takes the session timer that the two sides agreed on.
    pub(super) fn take_timer(&mut self, net: &mut Net, leg: u32, timer: Timer) {
        self.legs[leg as usize].timer = Some(timer);
        let seconds = u64::from(timer.seconds) * SEC;
        if timer.mine {
            net.after(seconds / 2, Task::Refresh(leg));
        } else {
            net.after(seconds, Task::Expire(leg));
        }
    }
}

/// Whether a client transaction is an INVITE's.
fn client_is_invite(client: &Client) -> bool {
    client.wire.method == Method::Invite
}
