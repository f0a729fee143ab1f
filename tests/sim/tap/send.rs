//! The requests that come out of the core.

use std::rc::Rc;

use super::{Call, Client, Id, Inviter, Leg, Sent, Tap, Turn, out_key, tag_hash};
use crate::link::{MS, SEC};
use crate::peer::{T1, T64};
use crate::seen::Met;
use crate::wire::{Method, Wire, hash2};

impl Tap {
    pub(super) fn request_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) {
        let wire = &packet.wire;
        let result = match (wire.method, self.by_branch_out.get(&out_key(wire)).copied()) {
            (Method::Ack, _) => self.ack_out(turn, packet),
            (Method::Cancel, Some(id)) if self.reviving || self.is_of_before(id) => {
                self.cancel_out(turn, packet)
            }
            (Method::Update | Method::Info, Some(id)) if self.is_of_before(id) => {
                self.carried_again(turn, packet, id)
            }
            (_, Some(id)) => self.repeat_out(turn, packet, id),
            (Method::Cancel, None) => self.cancel_out(turn, packet),
            (Method::Invite, None) if wire.to_tag.is_empty() => self.invite_out(turn, packet),
            (_, None) => self.inside_out(turn, packet),
        };
        if let Err(what) = result {
            self.fail(turn.now, what);
        }
    }

    /// A request repeated: RFC 3261 §17.1.1.2, §17.1.2.2.
    fn repeat_out(&mut self, turn: &mut Turn<'_>, packet: &Sent, id: Id) -> Result<(), String> {
        let leg = self.clients[id].leg;
        self.about(leg);
        let slack = self.slack;
        let client = &mut self.clients[id];
        let name = client.method.name();
        let invite = client.method == Method::Invite;
        if client.request.hash != packet.wire.hash || client.peer != packet.to {
            return Err(format!("another {name} under the same branch"));
        }
        if turn.peers.hosts[usize::from(packet.to)].stream {
            return Err(format!("{name} repeated over a stream"));
        }
        if client.answer.is_some() && !client.excused {
            return Err(format!("{name} repeated after its final response"));
        }
        if invite && client.provisional {
            return Err("INVITE repeated after a provisional response".into());
        }
        if client.sends >= if invite { 7 } else { 11 } {
            return Err(format!("{name} repeated too often"));
        }
        if turn.now < client.last + T1 || turn.now >= client.at + T64 + slack {
            return Err(format!("{name} repeated at the wrong time"));
        }
        client.sends += 1;
        client.last = turn.now;
        if invite {
            turn.seen.note(Met::InviteRepeatedByCore);
        }
        Ok(())
    }

    pub(super) fn new_client(&mut self, turn: &Turn<'_>, packet: &Sent, leg: Id) -> Id {
        let id = self.clients.len();
        self.by_branch_out.insert(out_key(&packet.wire), id);
        self.clients.push(Client {
            peer: packet.to,
            method: packet.wire.method,
            request: Rc::clone(&packet.wire),
            at: turn.now,
            last: turn.now,
            sends: 1,
            provisional: false,
            rang: false,
            left: false,
            late_provisional: false,
            answer: None,
            cancel: None,
            leg,
            relay_of: None,
            excused: false,
            cut: None,
            resumed: false,
            refresh: false,
        });
        id
    }

    /// The first INVITE of a new leg: only in the turn of the INVITE that was
    /// judged for it.
    fn invite_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let retried = self.current.1.filter(|&id| {
            let client = &self.clients[id];
            let first = &client.request;
            let longer = client.answer.is_some_and(|a| a.0 == 422);
            // It may go to another carrier or number instead.
            let there = wire.at(wire.call_id) != first.at(first.call_id);
            client.method == Method::Invite && longer && !there
        });
        if let Some(before) = retried {
            return self.invite_retried(turn, packet, before);
        }
        let Some(server) = self
            .current
            .0
            .filter(|&id| self.servers[id].method == Method::Invite)
        else {
            return self.moved_on(turn, packet);
        };
        if self.servers[server].relay.is_some() {
            return Err("a second INVITE for one".into());
        }
        let shards = (turn.shards)(wire.at(wire.call_id));
        if shards != turn.shard {
            return Err(format!("the new Call-ID belongs to shard {shards}"));
        }
        let call = self.calls.len();
        let Some(plan) = turn
            .peers
            .plan_of(self.servers[server].peer, &self.servers[server].request)
        else {
            return Err("an INVITE for a request of no plan".into());
        };
        self.plan = Some(plan);
        let leg = self.legs.len();
        let (peer, shard) = (self.servers[server].peer, turn.shard);
        self.legs.push(leg_of(call, peer, shard, false, server));
        self.legs[leg].invited = self.servers[server].request.cseq;
        self.servers[server].leg = Some(leg);
        let other = self.legs.len();
        self.legs.push(leg_of(call, packet.to, shard, true, 0));
        let id = self.new_client(turn, packet, other);
        self.legs[other].invite = id;
        self.legs[other].cseq = wire.cseq;
        self.legs[other].offered = crate::wire::hash(wire.body());
        self.clients[id].relay_of = Some(server);
        self.servers[server].relay = Some(id);
        self.servers[server].tried.push(packet.to);
        self.calls.push(Call {
            plan,
            legs: [Some(leg), Some(other)],
        });
        self.dialogs
            .insert(hash2(wire.at(wire.call_id), wire.at(wire.from_tag)), other);
        let expected = hash2(b"", wire.at(wire.call_id));
        if turn.peers.expected.insert(expected, plan).is_some() {
            return Err("a Call-ID minted twice".into());
        }
        Ok(())
    }

    /// After 422 (RFC 4028 §7.3) the same INVITE once more: the same Call-ID
    /// and a higher CSeq.
    fn invite_retried(&mut self, turn: &Turn<'_>, packet: &Sent, before: Id) -> Result<(), String> {
        let leg = self.clients[before].leg;
        let wire = &packet.wire;
        let first = &self.clients[before].request;
        if wire.at(wire.call_id) != first.at(first.call_id) || wire.cseq <= self.legs[leg].cseq {
            return Err("after 422, another Call-ID or an old CSeq".into());
        }
        if wire.at(wire.uri) != first.at(first.uri) {
            return Err("after 422, another number".into());
        }
        let id = self.new_client(turn, packet, leg);
        let server = self.clients[before].relay_of;
        self.clients[id].relay_of = server;
        if let Some(server) = server {
            self.servers[server].relay = Some(id);
        }
        self.legs[leg].invite = id;
        self.legs[leg].cseq = wire.cseq;
        Ok(())
    }

    /// RFC 3261 §9.1: after a provisional, before the final, once.
    fn cancel_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let key = hash2(&[Method::Invite as u8], wire.at(wire.branch));
        let Some(&invite) = self.by_branch_out.get(&key) else {
            return Err("a CANCEL of nothing".into());
        };
        let leg = self.clients[invite].leg;
        self.about(leg);
        let client = &self.clients[invite];
        let request = &client.request;
        if client.peer != packet.to {
            return Err("a CANCEL to another peer".into());
        }
        let rang = client.provisional || client.late_provisional;
        let late = client.answer.is_some() || !rang;
        // After a restart nobody knows whether it rings, or what answered beside.
        let refused = client.answer.is_some_and(|answer| answer.0 >= 300);
        // Nor, once a carrier's call is over, whether the phone system has said so: it
        // could ring on for nobody.
        let rings_on = self.reviving && u64::from(packet.to) < self.places.tenants;
        if late && (!client.resumed || refused && !rings_on) {
            return Err(format!(
                "a CANCEL too early or too late ({:?})",
                client.answer
            ));
        }
        let same = wire.at(wire.uri) == request.at(request.uri)
            && wire.at(wire.call_id) == request.at(request.call_id)
            && wire.at(wire.from) == request.at(request.from)
            && wire.at(wire.to) == request.at(request.to)
            && wire.cseq == request.cseq;
        if !same {
            return Err("a CANCEL unlike its INVITE".into());
        }
        let id = self.new_client(turn, packet, leg);
        self.clients[invite].cancel = Some(id);
        self.clients[invite].provisional = true;
        Ok(())
    }

    fn ack_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let key = hash2(&[Method::Invite as u8], wire.at(wire.branch));
        if let Some(&invite) = self.by_branch_out.get(&key) {
            let client = &self.clients[invite];
            let request = &client.request;
            if client.answer.is_none_or(|a| a.0 < 300) {
                return Err("an ACK to no refusal".into());
            }
            if wire.cseq != request.cseq || wire.at(wire.uri) != request.at(request.uri) {
                return Err("an ACK unlike its INVITE".into());
            }
            return Ok(());
        }
        let Some(leg) = self.leg_by(wire.at(wire.call_id), wire.at(wire.from_tag)) else {
            return Err("an ACK in no dialog".into());
        };
        self.about(leg);
        let Some(dialog) = self.dialog(leg, tag_hash(wire, wire.to_tag)) else {
            return Err("an ACK to a tag nobody has".into());
        };
        let passes = self.passes(wire);
        let state = &mut self.legs[leg].dialogs[dialog];
        let Some(ok) = state.accepted(Inviter::Core, wire.cseq) else {
            return Err("an ACK to no 2xx".into());
        };
        if ok.ack != wire.hash && !passes {
            return Err("an ACK with a body that nobody sent".into());
        }
        ok.ack = wire.hash;
        if ok.acked.is_none() {
            ok.acked = Some(turn.now);
            if !wire.body().is_empty() {
                turn.seen.note(Met::AckWithAnswer);
            }
        }
        self.target(leg, dialog, wire, turn)
    }

    /// A new request inside a dialog.
    fn inside_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let name = wire.method.name();
        let Some(leg) = self.leg_by(wire.at(wire.call_id), wire.at(wire.from_tag)) else {
            return Err(format!("{name} in no dialog"));
        };
        self.about(leg);
        if self.legs[leg].peer != packet.to {
            return Err(format!("{name} to another peer than the dialog's"));
        }
        let Some(dialog) = self.dialog(leg, tag_hash(wire, wire.to_tag)) else {
            return Err(format!("{name} to a tag nobody has"));
        };
        // Each dialog has a CSeq space, which begins with the INVITE's.
        let before = self.legs[leg].cseq.max(self.legs[leg].dialogs[dialog].cseq);
        let told_again = wire.method == Method::Bye && self.may_part_again(leg);
        let parted = told_again && self.legs[leg].dialogs[dialog].bye_out.is_some();
        if wire.cseq <= before && before != 0 && !parted {
            return Err(format!("{name} with CSeq {} after {before}", wire.cseq));
        }
        self.legs[leg].dialogs[dialog].cseq = wire.cseq;
        let id = self.new_client(turn, packet, leg);
        self.target(leg, dialog, wire, turn)?;
        if let Some(before) = self.legs[leg].dialogs[dialog].bye_out {
            // A carrier gets it again when it never answered the first.
            let before = &self.clients[before];
            let unheard = before.answer.is_none() && turn.now >= before.at + T64;
            if wire.method != Method::Bye || !(unheard || before.excused || told_again) {
                return Err(format!("{name} after BYE"));
            }
            turn.seen.note(Met::ByeAgain);
        } else {
            self.session_kept(turn, leg);
        }
        if wire.method == Method::Bye {
            return self.bye_out(turn, leg, dialog, id);
        }
        if self.legs[leg].dialogs[dialog].bye_in.is_some() {
            return Err(format!("{name} after the peer's BYE"));
        }
        self.relayed_out(turn, packet, leg, id)
    }

    /// A request of the other side's goes on, or the core refreshes.
    fn relayed_out(
        &mut self,
        turn: &mut Turn<'_>,
        packet: &Sent,
        leg: Id,
        id: Id,
    ) -> Result<(), String> {
        let wire = &packet.wire;
        if wire.method == Method::Notify {
            let asked = self.current.0.map(|server| &self.servers[server]);
            let refers = asked.filter(|it| it.method == Method::Refer && it.leg == Some(leg));
            let accepted = refers.is_some_and(|it| it.answer.is_some_and(|it| it.0 == 202));
            return match accepted && wire.body().starts_with(b"SIP/2.0 ") {
                true => Ok(()),
                false => Err("a NOTIFY of no transfer".into()),
            };
        }
        let from = self.current.0.filter(|&server| {
            let request = &self.servers[server];
            let same = request.method == wire.method || request.method == Method::Prack;
            same && request.leg.is_some() && request.leg == self.other_leg(leg)
        });
        let Some(server) = from else {
            let refresh = matches!(wire.method, Method::Update | Method::Invite);
            if !refresh || wire.session.is_none() {
                return Err(format!("{} that nobody asked for", wire.method.name()));
            }
            let body = crate::wire::hash(wire.body());
            if !wire.body().is_empty() && self.legs[leg].offered != body {
                return Err("a refresh with a new session description".into());
            }
            self.clients[id].refresh = true;
            return Ok(());
        };
        if let Some(why) = self.servers[server].amiss {
            return Err(format!("{} passed on: {why}", wire.method.name()));
        }
        if !self.passes(wire) {
            return Err(format!("{} with another body", wire.method.name()));
        }
        if wire.method == Method::Invite && !wire.body().is_empty() {
            self.legs[leg].offered = crate::wire::hash(wire.body());
        }
        self.clients[id].relay_of = Some(server);
        self.servers[server].relay = Some(id);
        match wire.method {
            Method::Invite => turn.seen.note(Met::ReInviteRelayed),
            Method::Update => turn.seen.note(Met::UpdateRelayed),
            Method::Info => turn.seen.note(Met::InfoRelayed),
            Method::Prack => turn.seen.note(Met::PrackRelayed),
            _ => {}
        }
        Ok(())
    }

    /// Whether a body is none, or that of the present input.
    pub(super) fn passes(&self, wire: &Wire) -> bool {
        let input = self.input.as_ref();
        wire.body().is_empty()
            || input.is_some_and(|input| {
                input.body() == wire.body()
                    && input.at(input.content_type) == wire.at(wire.content_type)
            })
    }

    fn bye_out(
        &mut self,
        turn: &mut Turn<'_>,
        leg: Id,
        dialog: usize,
        id: Id,
    ) -> Result<(), String> {
        let state = &self.legs[leg];
        if !state.out && state.dialogs[dialog].opened().is_none() {
            // RFC 3261 §15: a callee waits for the ACK or its time-out.
            let waited = state.dialogs[dialog].ok.map_or(0, |at| turn.now - at);
            if waited + 50 * MS < T64 && !state.excused {
                return Err(format!(
                    "BYE before the ACK, {} ms after the 2xx",
                    waited / MS
                ));
            }
        }
        let state = &self.legs[leg];
        if state.out && state.dialogs[dialog].opened().is_none() && !state.excused {
            return Err("BYE before the ACK to the callee's 2xx".into());
        }
        let told_again = self.may_part_again(leg);
        let state = &mut self.legs[leg].dialogs[dialog];
        if state.opened().is_some_and(|at| turn.now >= at + 360 * SEC) {
            turn.seen.note(Met::TalkedTooLong);
        }
        if state.ok.is_none() {
            return Err("BYE to a dialog that is not established".into());
        }
        // A BYE may have overtaken its own 2xx.
        if state
            .bye_in
            .is_some_and(|bye| state.ok.is_none_or(|ok| ok <= bye))
            && !told_again
        {
            return Err("BYE after the peer's BYE".into());
        }
        state.bye_out = Some(id);
        state.parted = state.parted.or(Some(turn.now));
        Ok(())
    }

    /// The Request-URI is the peer's last Contact, the Route its set.
    fn target(
        &self,
        leg: Id,
        dialog: usize,
        wire: &Wire,
        turn: &mut Turn<'_>,
    ) -> Result<(), String> {
        let state = &self.legs[leg].dialogs[dialog];
        if !state.contacts.contains(&tag_hash(wire, wire.uri)) {
            let uri = wire.text(wire.uri);
            return Err(format!("{} goes to {uri}, no Contact", wire.method.name()));
        }
        let route = if wire.routes == 0 {
            0
        } else {
            tag_hash(wire, wire.route)
        };
        if route != state.route || wire.routes > 1 {
            return Err(format!("{} without the dialog's route", wire.method.name()));
        }
        if route != 0 {
            turn.seen.note(Met::RouteSet);
        }
        Ok(())
    }
}

pub(super) fn leg_of(call: Id, peer: u8, shard: u8, out: bool, invite: Id) -> Leg {
    Leg {
        call,
        peer,
        shard,
        out,
        invite,
        cseq: 0,
        invited: 0,
        heard: Vec::new(),
        offered: 0,
        dialogs: Vec::new(),
        timer: None,
        excused: false,
        urgent: false,
        dial: None,
    }
}
