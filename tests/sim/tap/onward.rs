//! A call goes on at another carrier: may it, and is it whole?

use super::judge::{Verdict, user_of};
use super::send::leg_of;
use super::{Call, Id, Sent, Tap, Turn};
use crate::dial::{Dialled, Group};
use crate::link::{MS, Nanos};
use crate::peer::T64;
use crate::plan::CallPlan;
use crate::seen::Met;
use crate::wire::{Method, hash2};

/// How long a carrier has for its first word.
const FIRST_ANSWER: Nanos = 1_500 * MS;

impl Tap {
    /// An INVITE that is for one that was sent on before: to another carrier, when the
    /// last one has failed, and if the caps have room for it.
    pub(super) fn moved_on(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let (asked, number) = self.attempt_written(wire.at(wire.call_id), false)?;
        let mut servers = (0..self.servers.len()).rev();
        let of = |id: Id| {
            let (server, request) = (&self.servers[id], &self.servers[id].request);
            let opens = server.method == Method::Invite && request.to_tag.is_empty();
            let open = server.answer.is_none() && server.relay.is_some();
            let same = request.at(request.call_id) == asked && request.body() == wire.body();
            let planned = self.attempt_of(turn, id, packet);
            planned.filter(|_| opens && open && same).map(|it| (id, it))
        };
        let Some((server, (planned, redirected))) = servers.find_map(of) else {
            return Err("sent on to another carrier without cause".into());
        };
        if number != planned.dial.canonical {
            return Err(format!("sent on as a call to {number}"));
        }
        if (turn.shards)(wire.at(wire.call_id)) != turn.shard {
            return Err("the new Call-ID belongs to another shard".into());
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
        self.attempt_written(wire.at(wire.call_id), Self::is_limited(turn, &planned))?;
        let emergency = planned.dial.group == Group::Emergency;
        let tenant = turn.rules.tenants[usize::from(planned.tenant)].clone();
        if !emergency && self.caps(turn, &planned, &tenant) == Verdict::Refuse {
            return Err("sent on above a cap".into());
        }
        if !emergency && turn.gate.closed(turn.now, &planned).is_some() && !turn.gate.draining {
            return Err("sent on, but it is blocked".into());
        }
        if redirected && tenant.allow & planned.dial.group.bit() == 0 {
            return Err("redirected to where no rule allows".into());
        }
        self.note(turn, server, (emergency, redirected));
        let client = self.part(turn, packet, (server, caller));
        if redirected {
            let dial = &planned.dial;
            self.servers[server].been.push(dial.canonical.clone());
            self.servers[server].tried = vec![packet.to];
            self.servers[server].dial = Some(dial.clone());
        }
        let leg = self.clients[client].leg;
        self.legs[leg].dial = self.servers[server].dial.clone();
        let expected = hash2(b"", wire.at(wire.call_id));
        if turn.peers.expected.insert(expected, plan).is_some() {
            return Err("a Call-ID minted twice".into());
        }
        self.passed(turn, server, client, &planned)
    }

    /// The call that an INVITE is for, if it may follow the last attempt of this one; and
    /// whether it was redirected.
    fn attempt_of(&self, turn: &Turn<'_>, id: Id, packet: &Sent) -> Option<(CallPlan, bool)> {
        let server = &self.servers[id];
        let plan = turn.peers.plan_of(server.peer, &server.request)?;
        let planned = &turn.peers.plans[plan as usize];
        let to = |dial: Dialled| CallPlan {
            dial,
            ..planned.clone()
        };
        let now = to(server.dial.clone().unwrap_or(planned.dial.clone()));
        let carrier = packet.to.wrapping_sub(turn.peers.tenants);
        let user = user_of(packet.wire.text(packet.wire.uri));
        let same = turn.rules.written(&now.dial, carrier, false) == user;
        if same && !server.tried.contains(&packet.to) && self.may_leave(turn, id) {
            return Some((now, false));
        }
        let dial = self.redirected_to(turn, id, packet, planned)?;
        // Who does not want to be named stays so.
        let withheld = planned.dial.withheld;
        Some((to(Dialled { withheld, ..dial }), true))
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

    fn note(&self, turn: &mut Turn<'_>, server: Id, (emergency, redirected): (bool, bool)) {
        let relay = self.servers[server].relay;
        let silent = relay.is_some_and(|id| self.clients[id].answer.is_none());
        if redirected {
            turn.seen.note(Met::RedirectFollowed);
            if relay.is_some_and(|id| self.clients[id].rang) {
                turn.seen.note(Met::RedirectAfterRinging);
            }
            return;
        }
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
