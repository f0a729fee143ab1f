//! Requests received, and the user's responses to them.

use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::time::Mono;
use crate::sip::{Echo, Essentials, Message, Method, Packet, reply_to};

use super::super::invite_server::{Event as InviteEvent, InviteServer};
use super::super::machine::{Clock, Over, Timers, Todo};
use super::super::matching::request_id;
use super::super::non_invite_server::{Event as OtherEvent, NonInviteServer};
use super::super::{Arrival, Origin, ServerKey, Transmit};
use super::{Clocks, Side, Table, Which};

/// A server transaction.
#[derive(Debug)]
pub(super) struct Server<U> {
    pub(super) id: u128,
    /// Where its responses go.
    flow: Flow,
    machine: Machine,
    pub(super) method: Method,
    pub(super) owner: Option<U>,
    /// What responses are made from, till the final one.
    pub(super) echo: Option<Echo>,
    /// The last response, while it may be sent again.
    pub(super) packet: Option<Packet>,
    /// It was refused before it was told of anything else: whoever has not heard that goes
    /// on asking (RFC 3261 §17.1.1.2, Timer A).
    refused_at_once: bool,
    /// What it weighs: see `weight.rs`.
    pub(super) held: usize,
    pub(super) clocks: Clocks,
}

impl<U> Server<U> {
    /// Whether it is an INVITE to which a 2xx was sent.
    fn is_accepted(&self) -> bool {
        matches!(&self.machine, Machine::Invite(machine) if machine.is_accepted())
    }
}

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    Other(NonInviteServer),
}

/// What can happen to either machine.
#[derive(Clone, Copy, Debug)]
enum Event {
    Request,
    /// The user's response, with this status code.
    Response(u16),
    Timer(Which),
}

impl Machine {
    fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        match self {
            Self::Invite(machine) => {
                let event = match event {
                    Event::Request => InviteEvent::Request,
                    Event::Response(..200) => InviteEvent::Provisional,
                    Event::Response(200..300) => InviteEvent::Success,
                    Event::Response(300..) => InviteEvent::Failure,
                    Event::Timer(Which::Resend) => InviteEvent::Resend,
                    Event::Timer(Which::End) => InviteEvent::End,
                };
                machine.step(event, timers, reliable)
            }
            Self::Other(machine) => {
                let event = match event {
                    Event::Request => OtherEvent::Request,
                    Event::Response(..200) => OtherEvent::Provisional,
                    Event::Response(200..) => OtherEvent::Final,
                    Event::Timer(Which::End) => OtherEvent::End,
                    Event::Timer(Which::Resend) => return Todo::NOTHING,
                };
                machine.step(event, timers, reliable)
            }
        }
    }
}

impl<U: Copy> Table<U> {
    /// Takes a request in: a new transaction is made, or the request is found to
    /// belong to one (RFC 3261 §17.2.3). `flow` is where it came from. A response
    /// is absorbed.
    pub fn receive_request(
        &mut self,
        now: Mono,
        flow: Flow,
        msg: &Message,
        e: &Essentials<'_>,
        out: &mut Vec<Transmit>,
    ) -> Arrival<U> {
        self.receive(now, flow, msg, e, false, out)
    }

    /// As [`Table::receive_request`], for what is known to be an emergency: it may
    /// take room that is kept for that.
    pub fn receive_emergency(
        &mut self,
        now: Mono,
        flow: Flow,
        msg: &Message,
        e: &Essentials<'_>,
        out: &mut Vec<Transmit>,
    ) -> Arrival<U> {
        self.receive(now, flow, msg, e, true, out)
    }

    fn receive(
        &mut self,
        now: Mono,
        flow: Flow,
        msg: &Message,
        e: &Essentials<'_>,
        urgent: bool,
        out: &mut Vec<Transmit>,
    ) -> Arrival<U> {
        let Some(method) = msg.method() else {
            return Arrival::Absorbed;
        };
        let key = self.key;
        let id_for = |method: &[u8]| request_id(key, method, flow.remote.ip(), msg, e);
        if method == Method::Ack {
            return self.receive_ack(now, id_for(b"INVITE"), out);
        }
        let id = id_for(msg.method_text());
        if let Some(known) = self.server_index.get(&id).copied() {
            self.step_server(now, known, Event::Request, out);
            return Arrival::Absorbed;
        }
        let invite = (method == Method::Cancel).then(|| id_for(b"INVITE"));
        let invite = invite.and_then(|id| self.server_index.get(&id).copied());
        // A CANCEL frees room, so it may take of what is kept.
        if !self.has_room(urgent || invite.is_some()) {
            return Arrival::Full;
        }
        let Some(new) = self.start_server(now, id, flow, msg, e, out) else {
            return Arrival::Full;
        };
        if method != Method::Cancel {
            return Arrival::New(new);
        }
        Arrival::Cancel {
            cancel: new,
            invite: invite.map(|invite| {
                let owner = self.servers.get(invite).and_then(|server| server.owner);
                (invite, owner)
            }),
        }
    }

    fn start_server(
        &mut self,
        now: Mono,
        id: u128,
        flow: Flow,
        msg: &Message,
        e: &Essentials<'_>,
        out: &mut Vec<Transmit>,
    ) -> Option<ServerKey> {
        let method = msg.method()?;
        let (machine, todo) = match method {
            Method::Invite => (Machine::Invite(InviteServer::start()), Todo::NOTHING),
            _ => {
                let (machine, todo) = NonInviteServer::start(&self.timers);
                (Machine::Other(machine), todo)
            }
        };
        let key = self.insert_server(Server {
            id,
            flow: Flow {
                remote: reply_to(e, flow.remote, flow.transport),
                ..flow
            },
            machine,
            method,
            owner: None,
            echo: Some(Echo::new(msg, e, flow.remote)),
            packet: None,
            refused_at_once: false,
            held: 0,
            clocks: Clocks::default(),
        })?;
        self.apply_to_server(now, key, &todo, out);
        Some(key)
    }

    /// An ACK, which is part of the transaction of an INVITE that was refused, and
    /// none of one that was accepted, or is not known.
    fn receive_ack(&mut self, now: Mono, id: u128, out: &mut Vec<Transmit>) -> Arrival<U> {
        let Some(key) = self.server_index.get(&id).copied() else {
            return Arrival::Ack;
        };
        let Some(server) = self.servers.get_mut(key) else {
            return Arrival::Ack;
        };
        let Machine::Invite(machine) = &mut server.machine else {
            return Arrival::Ack;
        };
        let reliable = server.flow.transport.is_reliable();
        let todo = machine.step(InviteEvent::Ack, &self.timers, reliable);
        self.apply_to_server(now, key, &todo, out);
        match todo.pass {
            Some(_) => Arrival::Ack,
            None => Arrival::Absorbed,
        }
    }

    /// Says whose a transaction is. Told back with a CANCEL, and when it is over.
    pub fn set_owner(&mut self, key: ServerKey, owner: U) {
        if let Some(server) = self.servers.get_mut(key) {
            server.owner = Some(owner);
        }
    }

    /// What responses to the request are made from, till a final one was sent.
    #[must_use]
    pub fn echo(&self, key: ServerKey) -> Option<&Echo> {
        self.servers.get(key)?.echo.as_ref()
    }

    /// Where the transaction's responses go (RFC 3261 §18.2.2, RFC 3581).
    #[must_use]
    pub fn flow(&self, key: ServerKey) -> Option<Flow> {
        Some(self.servers.get(key)?.flow)
    }

    /// Sends a response, and sends it again as long as the transaction has to. What
    /// comes behind a final response is dropped, but for further 2xx to an INVITE.
    pub fn respond(
        &mut self,
        now: Mono,
        key: ServerKey,
        code: u16,
        packet: Packet,
        out: &mut Vec<Transmit>,
    ) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let reliable = server.flow.transport.is_reliable();
        let event = Event::Response(code);
        let todo = server.machine.step(event, &self.timers, reliable);
        if todo.send.is_none() {
            return;
        }
        server.refused_at_once = code >= 300 && server.packet.is_none();
        server.packet = Some(packet);
        if code >= 200 {
            server.echo = None;
        }
        self.apply_to_server(now, key, &todo, out);
        self.forget_beyond_half(now, key);
    }

    /// Who floods would fill the table for 32 s (Timers H and J), and nobody else's requests
    /// were taken. So beyond its half an answer to what nothing follows from is sent once and
    /// not kept: who repeats the request gets another.
    fn forget_beyond_half(&mut self, now: Mono, key: ServerKey) {
        let spare = self.servers.len() <= self.limits.server / 2 && self.weight.has_half();
        let Some(server) = self.servers.get_mut(key).filter(|_| !spare) else {
            return;
        };
        let alone = server.refused_at_once || server.method == Method::Options;
        if server.echo.is_none() && server.owner.is_none() && alone {
            let todo = Todo {
                resend: Clock::Stop,
                end: Clock::After(Duration::ZERO),
                ..Todo::NOTHING
            };
            server
                .clocks
                .set(&mut self.wheel, now, Side::Server(key), &todo);
        }
    }

    /// Sends the 2xx to an INVITE once more: its retransmission is the user's
    /// (RFC 3261 §13.3.1.4), for as long as the transaction lasts.
    pub fn resend_2xx(&mut self, now: Mono, key: ServerKey, out: &mut Vec<Transmit>) {
        if self.servers.get(key).is_some_and(Server::is_accepted) {
            self.step_server(now, key, Event::Response(200), out);
        }
    }

    /// Says that the ACK to a 2xx came: it will not have to be sent again, and is
    /// forgotten.
    pub fn acknowledged(&mut self, key: ServerKey) {
        let server = self.servers.get_mut(key);
        if let Some(server) = server.filter(|server| server.is_accepted()) {
            server.packet = None;
        }
        self.weigh(key);
    }

    /// Takes an INVITE for one that got a 2xx, which nobody keeps, and its ACK: nothing is
    /// sent, and what is repeated of it is absorbed.
    pub fn accepted_before(&mut self, now: Mono, key: ServerKey) {
        if let Some(server) = self.servers.get_mut(key) {
            (server.packet, server.echo) = (None, None);
        }
        self.step_server(now, key, Event::Response(200), &mut Vec::new());
    }

    fn weigh(&mut self, key: ServerKey) {
        if let Some(server) = self.servers.get_mut(key) {
            let echo = server.echo.as_ref().map_or(0, Echo::len);
            let (held, packet) = (&mut server.held, &mut server.packet);
            self.weight.change(held, echo, packet);
        }
    }

    pub(super) fn server_timer(
        &mut self,
        now: Mono,
        key: ServerKey,
        which: Which,
        out: &mut Vec<Transmit>,
    ) -> Option<Over> {
        self.step_server(now, key, Event::Timer(which), out)
    }

    fn step_server(
        &mut self,
        now: Mono,
        key: ServerKey,
        event: Event,
        out: &mut Vec<Transmit>,
    ) -> Option<Over> {
        let server = self.servers.get_mut(key)?;
        let reliable = server.flow.transport.is_reliable();
        let mut todo = server.machine.step(event, &self.timers, reliable);
        let by_itself = matches!(event, Event::Timer(Which::Resend)) && todo.send.is_some();
        if by_itself && server.refused_at_once && !self.repeats.pass(now) {
            // As if it were lost on the way.
            todo.send = None;
        }
        self.apply_to_server(now, key, &todo, out);
        todo.over
    }

    /// Does what a step asks for, but for ending the transaction.
    fn apply_to_server(&mut self, now: Mono, key: ServerKey, todo: &Todo, out: &mut Vec<Transmit>) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        server
            .clocks
            .set(&mut self.wheel, now, Side::Server(key), todo);
        if todo.send.is_some()
            && let Some(packet) = &server.packet
        {
            out.push(Transmit {
                flow: server.flow,
                packet: packet.clone(),
                origin: Origin::Server(key),
            });
        }
        if todo.release {
            server.packet = None;
        }
        self.weigh(key);
    }
}
