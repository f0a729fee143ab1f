//! What could not be sent, or may be lost with its connection: nothing certain is
//! expected of it any more.

use super::{Sent, Tap, in_key, out_key};
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
    /// what the core waited for is cut short.
    pub fn stream_closed(&mut self, peer: u8) {
        let clients = self.clients.iter_mut().filter(|it| it.peer == peer);
        for client in clients.filter(|it| it.answer.is_none()) {
            client.excused = true;
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
}
