//! What could not be sent, or may be lost with its connection: nothing certain is
//! expected of it any more.

use super::{Id, Sent, Tap, in_key, out_key};
use crate::link::{Nanos, SEC};
use crate::wire::{Method, hash2};

impl Tap {
    /// The core was told that this packet could not be sent.
    pub fn send_failed(&mut self, sent: &Sent) {
        let wire = &sent.wire;
        self.bill.failed(wire);
        if wire.is_request() {
            let mut key = out_key(wire);
            if wire.method == Method::Ack {
                key = hash2(&[Method::Invite as u8], wire.at(wire.branch));
            }
            if let Some(&id) = self.by_branch_out.get(&key) {
                self.clients[id].excused = true;
                let leg = self.clients[id].leg;
                self.legs[leg].excused = true;
            }
        } else if let Some(&id) = self.by_branch_in.get(&in_key(sent.to, wire)) {
            self.servers[id].excused = true;
            if let Some(leg) = self.servers[id].leg {
                self.legs[leg].excused = true;
            }
        }
    }

    /// A peer's connection has closed: what was under way over it may be lost, and
    /// what this shard waited for is cut short, or what all did.
    pub fn stream_closed(&mut self, peer: u8, shard: Option<u8>, now: Nanos) {
        let clients = self.clients.iter_mut().filter(|it| it.peer == peer);
        let legs = &self.legs;
        let here = |leg: Id| shard.is_none_or(|shard| legs[leg].shard == shard);
        let waits = |it: &&mut super::Client| it.answer.is_none() && here(it.leg);
        let waiting: Vec<_> = clients.filter(waits).collect();
        for client in waiting {
            client.excused = true;
            client.cut = Some(now);
            self.legs[client.leg].excused = true;
            self.bill.failed(&client.request);
        }
        let servers = self.servers.iter_mut().filter(|it| it.peer == peer);
        for server in servers.filter(|it| it.answer.is_none() || it.acked.is_none()) {
            server.excused = true;
            if let Some(leg) = server.leg {
                self.legs[leg].excused = true;
            }
        }
    }
    /// Whether this INVITE went on to a callee whose connection closed before a word
    /// came of it, and was not answered then: nothing would ever have come.
    pub(super) fn waited_in_vain(&self, server: Id, now: Nanos) -> bool {
        let server = &self.servers[server];
        let leg = server.leg.filter(|_| server.method == Method::Invite);
        let invite = leg.and_then(|leg| self.other_invite(leg));
        invite.is_some_and(|id| {
            let client = &self.clients[id];
            let silent = !client.provisional && client.answer.is_none();
            silent && client.cut.is_some_and(|at| now > at + self.slack + SEC)
        })
    }
}
