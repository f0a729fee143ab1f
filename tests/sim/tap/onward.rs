//! A call goes on at another carrier: may it, and is it whole?

use super::judge::Verdict;
use super::send::leg_of;
use super::{Call, Id, Sent, Tap, Turn};
use crate::dial::Group;
use crate::link::{MS, Nanos};
use crate::peer::T64;
use crate::seen::Met;
use crate::wire::{Method, hash2};

/// How long a carrier has for its first word.
const FIRST_ANSWER: Nanos = 1_500 * MS;

impl Tap {
    /// An INVITE that is for one that was sent on before: to another carrier, when the
    /// last one has failed, and if the caps have room for it.
    pub(super) fn moved_on(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let asked = self.attempt_written(wire.at(wire.call_id), false)?.to_vec();
        let mut servers = (0..self.servers.len()).rev();
        let of = |&id: &Id| {
            let (server, request) = (&self.servers[id], &self.servers[id].request);
            let opens = server.method == Method::Invite && request.to_tag.is_empty();
            let open = server.answer.is_none() && server.relay.is_some();
            let same = request.at(request.call_id) == asked && request.body() == wire.body();
            opens && open && same && self.may_leave(turn, id)
        };
        let Some(server) = servers.find(of) else {
            return Err("sent on to another carrier without cause".into());
        };
        if (turn.shards)(wire.at(wire.call_id)) != turn.shard {
            return Err("the new Call-ID belongs to another shard".into());
        }
        if self.servers[server].tried.contains(&packet.to) {
            return Err("a call twice at the same carrier".into());
        }
        if self.servers[server].cancelled {
            return Err("a call that was cancelled went on".into());
        }
        let (peer, request) = (self.servers[server].peer, &self.servers[server].request);
        let plan = turn.peers.plan_of(peer, request);
        let (Some(plan), Some(caller)) = (plan, self.servers[server].leg) else {
            return Err("a call of no plan went on".into());
        };
        self.plan = Some(plan);
        let planned = turn.peers.plans[plan as usize].clone();
        self.attempt_written(wire.at(wire.call_id), Self::is_limited(turn, &planned))?;
        let emergency = planned.dial.group == Group::Emergency;
        let tenant = turn.rules.tenants[usize::from(planned.tenant)].clone();
        if !emergency && self.caps(turn, &planned, &tenant) == Verdict::Refuse {
            return Err("sent on above a cap".into());
        }
        if !emergency && turn.gate.closed(turn.now, &planned).is_some() && !turn.gate.draining {
            return Err("sent on, but it is blocked".into());
        }
        self.note(turn, server, emergency);
        let client = self.part(turn, packet, (server, caller));
        let expected = hash2(b"", wire.at(wire.call_id));
        if turn.peers.expected.insert(expected, plan).is_some() {
            return Err("a Call-ID minted twice".into());
        }
        self.passed(turn, server, client, &planned)
    }

    /// Whether the last attempt of this INVITE is one to give up.
    fn may_leave(&self, turn: &Turn<'_>, server: Id) -> bool {
        let server = &self.servers[server];
        let plan = turn.peers.plan_of(server.peer, &server.request);
        let emergency =
            plan.is_some_and(|plan| turn.peers.plans[plan as usize].dial.group == Group::Emergency);
        let Some(client) = server.relay.map(|id| &self.clients[id]) else {
            return false;
        };
        let waited = turn.now.saturating_sub(client.at);
        let failed = match client.answer {
            Some((503 | 408, at)) => at == turn.now,
            Some((300.., at)) => emergency && at == turn.now,
            Some(_) => false,
            None => !client.provisional && waited >= FIRST_ANSWER || waited >= T64,
        };
        !client.rang && (failed || client.excused)
    }

    fn note(&self, turn: &mut Turn<'_>, server: Id, emergency: bool) {
        let relay = self.servers[server].relay;
        let silent = relay.is_some_and(|id| self.clients[id].answer.is_none());
        turn.seen.note(match (emergency, silent) {
            (true, _) => Met::EmergencyWentOn,
            (false, true) => Met::WentOnInSilence,
            (false, false) => Met::WentOn,
        });
    }

    /// The leg that is left behind is a call of its own from now on.
    fn part(&mut self, turn: &Turn<'_>, packet: &Sent, (server, caller): (Id, Id)) -> Id {
        let wire = &packet.wire;
        let call = self.legs[caller].call;
        let plan = self.calls[call].plan;
        if let Some(behind) = self.servers[server].relay {
            self.clients[behind].left = true;
            self.clients[behind].relay_of = None;
            let leg = self.clients[behind].leg;
            self.legs[leg].call = self.calls.len();
            self.calls.push(Call {
                plan,
                legs: [None, Some(leg)],
            });
        }
        let leg = self.legs.len();
        self.legs.push(leg_of(call, packet.to, turn.shard, true, 0));
        let id = self.new_client(turn, packet, leg);
        self.legs[leg].invite = id;
        self.legs[leg].cseq = wire.cseq;
        self.legs[leg].offered = crate::wire::hash(wire.body());
        self.clients[id].relay_of = Some(server);
        self.servers[server].relay = Some(id);
        self.servers[server].tried.push(packet.to);
        self.calls[call].legs[1] = Some(leg);
        let key = hash2(wire.at(wire.call_id), wire.at(wire.from_tag));
        self.dialogs.insert(key, leg);
        id
    }
}
