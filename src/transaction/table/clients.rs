//! Requests sent for the user, and the responses to them.

use crate::base::flow::Flow;
use crate::base::time::Mono;
use crate::base::token::Token;
use crate::sip::{Essentials, HeaderId, Message, Method, Packet};

use super::super::follow_up;
use super::super::invite_client::{Event as InviteEvent, InviteClient};
use super::super::machine::{Over, Pass, Send, Timers, Todo};
use super::super::matching::{cancel_id, client_id, response_id};
use super::super::non_invite_client::{Event as OtherEvent, NonInviteClient};
use super::super::{ClientKey, Expired, Matched, Origin, Reply, Transmit};
use super::{Clocks, Side, Table, Which};

/// A client transaction.
#[derive(Debug)]
pub(super) struct Client<U> {
    pub(super) id: u128,
    flow: Flow,
    machine: Machine,
    pub(super) method: Method,
    /// Whose it is; a CANCEL is nobody's but the table's.
    pub(super) owner: Option<U>,
    /// What may have to be sent again, or an ACK or CANCEL be made from: the
    /// request, then the ACK, then nothing.
    pub(super) packet: Option<Packet>,
    /// The Reason of a CANCEL that has to wait.
    reason: Option<Box<[u8]>>,
    /// What it weighs: see `weight.rs`.
    pub(super) held: usize,
    pub(super) clocks: Clocks,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteClient),
    Other(NonInviteClient),
}

/// What can happen to either machine.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A response with this status code was received.
    Response(u16),
    Timer(Which),
    SendFailed,
    /// The connection has closed.
    Closed,
    NeverLeft,
}

impl Machine {
    fn start(method: Method, timers: &Timers, reliable: bool) -> (Self, Todo) {
        if method == Method::Invite {
            let (machine, todo) = InviteClient::start(timers, reliable);
            (Self::Invite(machine), todo)
        } else {
            let (machine, todo) = NonInviteClient::start(timers, reliable);
            (Self::Other(machine), todo)
        }
    }

    fn step(&mut self, event: Event, timers: &Timers, reliable: bool) -> Todo {
        match self {
            Self::Invite(machine) => {
                let event = match event {
                    Event::Response(..200) => InviteEvent::Provisional,
                    Event::Response(200..300) => InviteEvent::Success,
                    Event::Response(300..) => InviteEvent::Failure,
                    Event::Timer(Which::Resend) => InviteEvent::Resend,
                    Event::Timer(Which::End) => InviteEvent::End,
                    Event::SendFailed => InviteEvent::SendFailed,
                    Event::Closed => InviteEvent::Closed,
                    Event::NeverLeft => InviteEvent::NeverLeft,
                };
                machine.step(event, timers, reliable)
            }
            Self::Other(machine) => {
                let event = match event {
                    Event::Response(..200) => OtherEvent::Provisional,
                    Event::Response(200..) => OtherEvent::Final,
                    Event::Timer(Which::Resend) => OtherEvent::Resend,
                    Event::Timer(Which::End) => OtherEvent::End,
                    Event::SendFailed | Event::NeverLeft => OtherEvent::SendFailed,
                    Event::Closed => OtherEvent::Closed,
                };
                machine.step(event, timers, reliable)
            }
        }
    }
}

impl<U: Copy> Table<U> {
    /// Sends a request, not an ACK, in a transaction of its own. Its topmost Via
    /// must have the branch `z9hG4bK` and `branch`, freshly minted. `None` at the
    /// limit: nothing is sent then, nor kept.
    #[must_use = "without its key, the transaction cannot be told from others"]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one thing the request needs"
    )]
    pub fn request(
        &mut self,
        now: Mono,
        flow: Flow,
        method: Method,
        branch: Token,
        packet: Packet,
        owner: U,
        out: &mut Vec<Transmit>,
    ) -> Option<ClientKey> {
        let id = client_id(branch, method);
        self.start_client(now, id, flow, method, packet, Some(owner), out)
    }

    /// Takes up an INVITE that was sent before a restart: nothing is sent, and it
    /// waits for what comes, or for [`Table::cancel`]. `packet` is what a CANCEL or
    /// an ACK is made from. `None` as for [`Table::request`].
    pub fn resume_invite(
        &mut self,
        flow: Flow,
        branch: Token,
        packet: Packet,
        owner: U,
    ) -> Option<ClientKey> {
        self.insert_client(Client {
            id: client_id(branch, Method::Invite),
            flow,
            machine: Machine::Invite(InviteClient::resumed()),
            method: Method::Invite,
            owner: Some(owner),
            packet: Some(packet),
            reason: None,
            held: 0,
            clocks: Clocks::default(),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one thing the request needs"
    )]
    fn start_client(
        &mut self,
        now: Mono,
        id: u128,
        flow: Flow,
        method: Method,
        packet: Packet,
        owner: Option<U>,
        out: &mut Vec<Transmit>,
    ) -> Option<ClientKey> {
        let reliable = flow.transport.is_reliable();
        let (machine, todo) = Machine::start(method, &self.timers, reliable);
        let key = self.insert_client(Client {
            id,
            flow,
            machine,
            method,
            owner,
            packet: Some(packet),
            reason: None,
            held: 0,
            clocks: Clocks::default(),
        })?;
        self.apply_to_client(now, key, &todo, &[], out);
        Some(key)
    }

    /// Cancels an INVITE (RFC 3261 §9.1), with the value of a Reason field
    /// (RFC 3326). The CANCEL waits for a provisional response, and is not sent if
    /// a final one comes first. If none comes within 64·T1 of it, the INVITE has
    /// timed out.
    pub fn cancel(
        &mut self,
        now: Mono,
        key: ClientKey,
        reason: Option<&[u8]>,
        out: &mut Vec<Transmit>,
    ) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Machine::Invite(machine) = &mut client.machine else {
            return;
        };
        let reliable = client.flow.transport.is_reliable();
        let todo = machine.step(InviteEvent::Cancel, &self.timers, reliable);
        if machine.wants_cancel() || todo.send.is_some() {
            client.reason = reason.map(Box::from);
        }
        self.apply_to_client(now, key, &todo, &[], out);
    }

    /// Forgets a request that nobody waits for any more: it is not sent again, and what
    /// answers it is a stray.
    pub fn forget(&mut self, key: ClientKey) {
        self.end(Side::Client(key), Over::Ended, &mut Vec::new());
    }

    /// The request that a response answers, while it is kept: an INVITE till its
    /// final response was taken in.
    #[must_use]
    pub fn request_of(&self, e: &Essentials<'_>) -> Option<Packet> {
        let key = self.client_index.get(&response_id(e)?)?;
        let client = self.clients.get(*key)?;
        client
            .packet
            .clone()
            .filter(|_| client.method == e.cseq.method)
    }

    /// The way of a request, until its transaction is over.
    #[must_use]
    pub fn flow_of(&self, key: ClientKey) -> Option<Flow> {
        Some(self.clients.get(key)?.flow)
    }

    /// Takes a response in. The ACK to a refused INVITE is sent from here.
    pub fn receive_response(
        &mut self,
        now: Mono,
        msg: &Message,
        e: &Essentials<'_>,
        out: &mut Vec<Transmit>,
    ) -> Matched<U> {
        let (Some(code), Some(id)) = (msg.status(), response_id(e)) else {
            return Matched::Stray;
        };
        // More than our own Via means that it was not meant for us (§8.1.3.3).
        if !msg.all(HeaderId::Via).eq([e.via.text]) {
            return Matched::Stray;
        }
        let Some(key) = self.client_index.get(&id).copied() else {
            return Matched::Stray;
        };
        let Some(client) = self.clients.get_mut(key) else {
            return Matched::Stray;
        };
        if client.method != e.cseq.method {
            return Matched::Stray;
        }
        let owner = client.owner;
        let reliable = client.flow.transport.is_reliable();
        let event = Event::Response(code);
        let todo = client.machine.step(event, &self.timers, reliable);
        let to = msg.first(HeaderId::To).unwrap_or_default();
        self.apply_to_client(now, key, &todo, to, out);
        match (todo.pass, owner) {
            (Some(pass), Some(owner)) => Matched::Pass(Reply {
                key,
                owner,
                repeat: pass == Pass::Again,
            }),
            _ => Matched::Absorbed,
        }
    }

    pub(super) fn client_timer(
        &mut self,
        now: Mono,
        key: ClientKey,
        which: Which,
        out: &mut Vec<Transmit>,
    ) -> Option<Over> {
        self.step_client(now, key, Event::Timer(which), out)
    }

    /// A step for a failure, in which nothing is sent.
    pub(super) fn client_send_failed(&mut self, now: Mono, key: ClientKey) -> Option<Over> {
        self.step_client(now, key, Event::SendFailed, &mut Vec::new())
    }

    pub(super) fn client_never_left(&mut self, now: Mono, key: ClientKey) -> Option<Over> {
        self.step_client(now, key, Event::NeverLeft, &mut Vec::new())
    }

    /// Tells the requests that went out over a connection that it has closed: `flow`
    /// is that connection. Those without a final response are over, or cancelled.
    pub fn flow_closed(
        &mut self,
        now: Mono,
        flow: Flow,
        out: &mut Vec<Transmit>,
        events: &mut Vec<Expired<U>>,
    ) {
        let cut: Vec<ClientKey> = self
            .clients
            .iter()
            .filter(|(_, client)| went_over(client.flow, flow))
            .map(|(key, _)| key)
            .collect();
        for key in cut {
            let sent = out.len();
            if let Some(over) = self.step_client(now, key, Event::Closed, out) {
                self.end(Side::Client(key), over, events);
            } else if let Some(client) = self.clients.get(key).filter(|_| out.len() > sent)
                && let Some(owner) = client.owner
            {
                events.push(Expired::ClientCut {
                    key,
                    owner,
                    method: client.method,
                    cancelled: true,
                });
            }
        }
    }

    fn step_client(
        &mut self,
        now: Mono,
        key: ClientKey,
        event: Event,
        out: &mut Vec<Transmit>,
    ) -> Option<Over> {
        let client = self.clients.get_mut(key)?;
        let reliable = client.flow.transport.is_reliable();
        let todo = client.machine.step(event, &self.timers, reliable);
        self.apply_to_client(now, key, &todo, &[], out);
        todo.over
    }

    /// Does what a step asks for, but for ending the transaction. `to` is the To of
    /// the response that led to it.
    fn apply_to_client(
        &mut self,
        now: Mono,
        key: ClientKey,
        todo: &Todo,
        to: &[u8],
        out: &mut Vec<Transmit>,
    ) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client
            .clocks
            .set(&mut self.wheel, now, Side::Client(key), todo);
        if todo.send == Some(Send::Cancel) {
            return self.send_cancel(now, key, out);
        }
        if todo.send == Some(Send::NewAck) {
            client.reason = None;
            client.packet = client
                .packet
                .take()
                .and_then(|invite| follow_up::ack(&mut self.scratch, &invite, to));
        }
        if todo.send.is_some()
            && let Some(packet) = &client.packet
        {
            out.push(Transmit {
                flow: client.flow,
                packet: packet.clone(),
                origin: Origin::Client(key),
            });
        }
        if todo.release {
            client.packet = None;
            client.reason = None;
        }
        let (held, packet) = (&mut client.held, &mut client.packet);
        self.weight.change(held, 0, packet);
    }

    /// Sends the CANCEL of an INVITE in a transaction of its own; at the limit once
    /// and without one, as the INVITE ends by itself in any case.
    fn send_cancel(&mut self, now: Mono, key: ClientKey, out: &mut Vec<Transmit>) {
        let Some(invite) = self.clients.get_mut(key) else {
            return;
        };
        let (id, flow) = (invite.id, invite.flow);
        let reason = invite.reason.take();
        let Some(packet) = invite
            .packet
            .as_ref()
            .and_then(|invite| follow_up::cancel(&mut self.scratch, invite, reason.as_deref()))
        else {
            return;
        };
        let id = cancel_id(id);
        let started = self.start_client(now, id, flow, Method::Cancel, packet.clone(), None, out);
        if started.is_none() {
            out.push(Transmit {
                flow,
                packet,
                origin: Origin::Stateless,
            });
        }
    }
}

/// Whether what was to be sent to `to` went over the connection `closed`.
fn went_over(to: Flow, closed: Flow) -> bool {
    let way = |flow: Flow| (flow.listener, flow.transport);
    way(to) == way(closed)
        && match to.connection {
            Some(_) => to.connection == closed.connection,
            None => to.remote == closed.remote,
        }
}
