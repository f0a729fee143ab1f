//! A peer's server transactions: RFC 3261 §17.2, as a peer needs it.

use std::rc::Rc;

use super::{NOBODY, Peers, Server, State, T1, T2, T64, branch_key};
use crate::link::Nanos;
use crate::net::{Net, Task};
use crate::plan::Reply;
use crate::text::{Body, Response, response};
use crate::wire::{Method, Wire};

impl Peers {
    pub(super) fn receive_request(&mut self, net: &mut Net, peer: u8, wire: &Rc<Wire>) {
        let key = branch_key(peer, wire);
        if let Some(&tx) = self.by_branch.get(&key) {
            let server = &mut self.servers[tx as usize];
            if wire.method == Method::Ack {
                server.acked = true;
                return;
            }
            let leg = server.leg;
            if let (Some(last), false) =
                (&server.last, leg != NOBODY && self.legs[leg as usize].dead)
            {
                net.send_in(peer, last);
            }
            return;
        }
        if wire.method == Method::Ack {
            self.acked(net, peer, wire);
            return;
        }
        let tx = self.servers.len() as u32;
        let leg = self.leg_of(peer, wire).unwrap_or(NOBODY);
        self.servers.push(Server {
            leg,
            peer,
            request: Rc::clone(wire),
            last: None,
            others: Vec::new(),
            code: 0,
            acked: false,
            wait: T1,
            answered: 0,
        });
        self.by_branch.insert(key, tx);
        if leg != NOBODY && self.legs[leg as usize].dead {
            return;
        }
        match wire.method {
            Method::Cancel => self.cancelled(net, peer, tx, wire),
            Method::Invite if wire.to_tag.is_empty() => self.called(net, peer, tx, wire),
            _ if leg == NOBODY => self.reply(net, tx, 481, "", &Body::default()),
            _ => self.inside(net, leg, tx, wire),
        }
    }

    /// An ACK to a 2xx.
    fn acked(&mut self, net: &mut Net, peer: u8, wire: &Rc<Wire>) {
        let Some(leg) = self.leg_of(peer, wire) else {
            return;
        };
        let state = &self.legs[leg as usize];
        let to_tag = wire.text(wire.to_tag).to_string();
        let candidates = [state.theirs_open, (!state.caller).then_some(state.invite)];
        for tx in candidates.into_iter().flatten() {
            if tx == NOBODY || self.servers[tx as usize].request.cseq != wire.cseq {
                continue;
            }
            let server = &mut self.servers[tx as usize];
            for (tag, _, acked) in &mut server.others {
                if *tag == to_tag {
                    *acked = true;
                    return;
                }
            }
            let first = !server.acked;
            server.acked = true;
            if first {
                self.confirmed(net, leg, tx);
            }
            return;
        }
    }

    /// The ACK to this side's 2xx has come.
    fn confirmed(&mut self, net: &mut Net, leg: u32, tx: u32) {
        let state = &mut self.legs[leg as usize];
        if state.theirs_open == Some(tx) {
            state.theirs_open = None;
        }
        if state.invite == tx && !state.caller && state.state == State::Up {
            if self.winding_down {
                self.hang_up(net, leg);
            } else {
                self.talk(net, leg);
            }
        }
    }

    /// Answers a request, and repeats the answer as its transaction must.
    pub fn reply(&mut self, net: &mut Net, tx: u32, code: u16, extra: &str, body: &Body) {
        let leg = self.servers[tx as usize].leg;
        let tag = if leg == NOBODY {
            "stray".to_string()
        } else {
            self.legs[leg as usize].tag.clone()
        };
        self.reply_as(net, tx, code, &tag, extra, body);
    }

    /// The same, under a fork's tag.
    pub(super) fn reply_as(
        &mut self,
        net: &mut Net,
        tx: u32,
        code: u16,
        tag: &str,
        extra: &str,
        body: &Body,
    ) {
        let server = &self.servers[tx as usize];
        let (leg, peer) = (server.leg, server.peer);
        let opens = matches!(server.request.method, Method::Invite | Method::Update);
        let contact = if leg != NOBODY && opens && (101..300).contains(&code) {
            self.contact(leg)
        } else {
            String::new()
        };
        let style = if leg == NOBODY {
            0
        } else {
            self.side(leg).style
        };
        let wire = response(
            &self.hosts[peer as usize],
            &server.request,
            &Response {
                code,
                to_tag: if code == 100 { "" } else { tag },
                extra,
                contact: &contact,
                style,
                body,
            },
        );
        net.send_in(peer, &wire);
        let server = &mut self.servers[tx as usize];
        if server.code >= 200 {
            server.others.push((tag.to_string(), wire, false));
            return;
        }
        server.last = Some(wire);
        server.code = code;
        if code >= 200 && server.request.method == Method::Invite {
            server.answered = net.now;
            if code < 300 || !self.hosts[usize::from(peer)].stream {
                net.after(T1, Task::Repeat { server: true, tx });
            }
            net.after(T64, Task::GiveUp { server: true, tx });
        }
    }

    /// Answers a request of the other side as this side's plan says.
    pub(super) fn reply_as_planned(&mut self, net: &mut Net, tx: u32, reply: Reply) {
        match reply {
            Reply::Ok => self.late_reply(net, tx, 200),
            Reply::Code(code) => self.late_reply(net, tx, code),
            Reply::Silence => {}
            Reply::Late(wait) => net.after(wait, Task::Reply(tx, 200)),
        }
    }

    pub(super) fn repeat_response(&mut self, net: &mut Net, tx: u32) {
        let server = &mut self.servers[tx as usize];
        let open = server.others.iter().any(|(_, _, acked)| !acked);
        if server.acked && !open || self.is_dead(self.servers[tx as usize].leg) {
            return;
        }
        let server = &mut self.servers[tx as usize];
        if net.now - server.answered >= T64 {
            return;
        }
        if let (Some(last), false) = (&server.last, server.acked) {
            net.send_in(server.peer, last);
        }
        for (_, wire, acked) in &server.others {
            if !acked {
                net.send_in(server.peer, wire);
            }
        }
        server.wait = next_wait(server.wait);
        net.after(server.wait, Task::Repeat { server: true, tx });
    }

    /// No ACK came to this side's final response.
    pub(super) fn never_acked(&mut self, net: &mut Net, tx: u32) {
        let server = &self.servers[tx as usize];
        let leg = server.leg;
        if server.acked || leg == NOBODY {
            return;
        }
        if self.legs[leg as usize].theirs_open == Some(tx) {
            self.legs[leg as usize].theirs_open = None;
        }
        if server.code < 300 {
            self.hang_up(net, leg); // RFC 3261 §13.3.1.4
        }
    }

    pub(super) fn late_reply(&mut self, net: &mut Net, tx: u32, code: u16) {
        let server = &self.servers[tx as usize];
        let (leg, request) = (server.leg, Rc::clone(&server.request));
        if server.code >= 200 || self.is_dead(leg) {
            return;
        }
        if code == 200 && leg != NOBODY {
            self.accept(net, leg, tx, &request);
        } else {
            self.reply(net, tx, code, "", &Body::default());
            let state = &mut self.legs[leg as usize];
            state.theirs_open = None;
            if state.invite == tx && !state.caller {
                state.state = State::Over;
            }
        }
    }
}

/// RFC 3261 §13.3.1.4 and Timer G: doubled up to T2.
fn next_wait(wait: Nanos) -> Nanos {
    (wait * 2).min(T2)
}
