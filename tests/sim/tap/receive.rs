//! What comes into the core, and what must follow from it at once.

use std::rc::Rc;

use super::{Expect, Id, Inviter, Sent, Tap, Turn, in_key, out_key, tag_hash};
use crate::link::{Nanos, SEC};
use crate::peer::T64;
use crate::seen::Met;
use crate::wire::{Method, Wire};

impl Tap {
    /// Remembers where a peer wants to be reached.
    pub(super) fn learn_contact(&mut self, leg: Id, dialog: usize, wire: &Wire) {
        if wire.contact.is_empty() {
            return;
        }
        let hash = tag_hash(wire, wire.contact);
        let contacts = &mut self.legs[leg].dialogs[dialog].contacts;
        if contacts[0] != hash {
            *contacts = [hash, contacts[0], contacts[1]];
        }
    }

    pub(super) fn request_in(
        &mut self,
        turn: &mut Turn<'_>,
        from: u8,
        wire: &Rc<Wire>,
        sent: &[Sent],
    ) -> Expect {
        if let Some(&id) = self.by_branch_in.get(&in_key(from, wire)) {
            if wire.method == Method::Ack && self.servers[id].method == Method::Invite {
                return self.refusal_acked(turn, id);
            }
            let again = sent.iter().any(|s| s.wire.hash == self.servers[id].last);
            // Its timers may run a little later than due.
            let early = turn.now.saturating_sub(self.slack);
            let quiet = sent.is_empty() && !self.is_over(id, early, self.slack);
            if again || quiet || !self.may_be_over(id, turn.now) {
                return self.repeated(turn, id);
            }
        }
        if wire.method == Method::Ack {
            return self.ok_acked(turn, from, wire);
        }
        let leg = self.leg_by(wire.at(wire.call_id), wire.at(wire.to_tag));
        let id = self.new_server(turn, from, wire);
        self.current.0 = Some(id);
        match wire.method {
            Method::Cancel => self.cancel_in(turn, from, wire, id),
            Method::Invite if wire.to_tag.is_empty() => Expect::Judged(id),
            _ if wire.to_tag.is_empty() => {
                turn.seen.note(match wire.method {
                    Method::Options => Met::Options,
                    _ => Met::Unknown405,
                });
                Expect::Response(id)
            }
            _ => self.inside(turn, from, wire, id, leg),
        }
    }

    /// A request came again.
    fn repeated(&mut self, turn: &mut Turn<'_>, id: Id) -> Expect {
        turn.seen.note(Met::RequestRepeatedByPeer);
        let server = &self.servers[id];
        if let Some(leg) = server.leg {
            self.about(leg);
        }
        let server = &self.servers[id];
        let over = self.may_be_over(id, turn.now);
        if server.excused || over || server.acked.is_some() || server.last == 0 {
            return Expect::Anything;
        }
        if server.method == Method::Invite && server.answer.is_some_and(|a| a.0 < 300) {
            return Expect::Anything; // RFC 6026: absorbed, the 2xx has a timer
        }
        Expect::Again(id)
    }

    /// Whether a transaction of a peer's may be forgotten by now.
    fn may_be_over(&self, id: Id, now: Nanos) -> bool {
        self.servers[id].excused || self.is_over(id, now, 0)
    }

    /// Whether its last timer is due: I if the ACK came before H (RFC 3261 §17.2.1),
    /// which may run so much `late`.
    fn is_over(&self, id: Id, now: Nanos, late: Nanos) -> bool {
        let server = &self.servers[id];
        // Over a stream nothing comes twice, and nobody waits for it.
        let stream = server
            .request
            .text(server.request.via)
            .starts_with("SIP/2.0/TCP");
        // What was under way has begun anew, if its call went on.
        let anew = server.resumed && !self.ended_by(id, self.lives_since.saturating_sub(1));
        let since = if anew { self.lives_since } else { 0 };
        let answer = server
            .answer
            .map(|(code, hash, at)| (code, hash, at.max(since)));
        match answer {
            Some((_, _, at)) if stream => now >= server.acked.unwrap_or(at),
            Some((_, _, at)) => match server.acked {
                Some(acked) if acked < at + T64 + late => now >= acked + 5 * SEC,
                _ => now >= at + T64,
            },
            // Nobody asks again for longer than that.
            None => server.method != Method::Invite && now >= server.at + T64,
        }
    }

    /// The ACK to a refusal, in the INVITE's own transaction.
    fn refusal_acked(&mut self, turn: &Turn<'_>, id: Id) -> Expect {
        let server = &mut self.servers[id];
        if server.answer.is_some_and(|a| a.0 >= 300) && server.acked.is_none() {
            server.acked = Some(turn.now);
        }
        Expect::Anything
    }

    /// The ACK to a 2xx: of its dialog.
    fn ok_acked(&mut self, turn: &Turn<'_>, from: u8, wire: &Wire) -> Expect {
        let Some(leg) = self.leg_by(wire.at(wire.call_id), wire.at(wire.to_tag)) else {
            return Expect::Silence;
        };
        if self.legs[leg].peer != from {
            return Expect::Silence;
        }
        self.about(leg);
        if let Some(dialog) = self.dialog(leg, tag_hash(wire, wire.from_tag)) {
            let state = &mut self.legs[leg].dialogs[dialog];
            if let Some(ok) = state.accepted(Inviter::Peer, wire.cseq) {
                ok.acked = ok.acked.or(Some(turn.now));
            }
        }
        Expect::Anything
    }

    fn cancel_in(&mut self, turn: &mut Turn<'_>, from: u8, wire: &Wire, id: Id) -> Expect {
        let key = crate::wire::hash2(&[from, Method::Invite as u8], wire.at(wire.branch));
        let Some(&invite) = self.by_branch_in.get(&key) else {
            return Expect::Response(id);
        };
        let server = &mut self.servers[invite];
        if server.answer.is_some() {
            turn.seen.note(Met::CancelAfterFinal);
        } else {
            server.cancelled = true;
        }
        let relay = server.relay;
        if let Some(leg) = self.servers[invite].leg {
            self.about(leg);
            self.servers[id].leg = Some(leg);
            let other = self.other_invite(leg);
            if let Some(client) = other.or(relay)
                && self.clients[client].answer.is_none()
            {
                turn.seen.note(if self.clients[client].provisional {
                    Met::CancelWhileRinging
                } else {
                    Met::CancelBeforeProvisional
                });
            }
        }
        Expect::Response(id)
    }

    /// The core's first INVITE on the other side of this leg's call.
    pub(super) fn other_invite(&self, leg: Id) -> Option<Id> {
        let call = &self.calls[self.legs[leg].call];
        let other = call.legs.iter().flatten().find(|&&l| l != leg)?;
        self.legs[*other].out.then_some(self.legs[*other].invite)
    }

    /// The other leg of this leg's call.
    pub(super) fn other_leg(&self, leg: Id) -> Option<Id> {
        let call = &self.calls[self.legs[leg].call];
        call.legs.iter().flatten().copied().find(|&l| l != leg)
    }

    /// A request with a To tag.
    fn inside(
        &mut self,
        turn: &mut Turn<'_>,
        from: u8,
        wire: &Wire,
        id: Id,
        leg: Option<Id>,
    ) -> Expect {
        let Some(leg) = leg.filter(|&leg| self.legs[leg].peer == from) else {
            turn.seen.note(Met::Gone481);
            return Expect::Response(id);
        };
        self.about(leg);
        self.servers[id].leg = Some(leg);
        let Some(dialog) = self.dialog(leg, tag_hash(wire, wire.from_tag)) else {
            turn.seen.note(Met::Gone481);
            self.servers[id].leg = None;
            return Expect::Response(id);
        };
        if matches!(wire.method, Method::Invite | Method::Update) {
            self.learn_contact(leg, dialog, wire);
        }
        self.servers[id].amiss = self.amiss(turn, leg, wire);
        self.legs[leg].hear(wire);
        if wire.method == Method::Bye {
            let main = self.legs[leg].dialogs[dialog].bye_out.is_some();
            if main {
                turn.seen.note(Met::CrossingByes);
            }
            let out = self.legs[leg].out;
            turn.seen.note(if out {
                Met::HungUpByCallee
            } else {
                Met::HungUpByCaller
            });
            self.session_kept(turn, leg);
            let state = &mut self.legs[leg].dialogs[dialog];
            state.bye_in = state.bye_in.or(Some(turn.now));
            return Expect::Response(id);
        }
        match wire.method {
            Method::Options | Method::Refer | Method::Other => Expect::Response(id),
            _ => Expect::Anything,
        }
    }

    /// Why a request inside a dialog may not be taken (RFC 3261 §12.2.2, §14.2).
    fn amiss(&self, turn: &Turn<'_>, leg: Id, wire: &Wire) -> Option<&'static str> {
        let news = wire.cseq > self.legs[leg].heard(wire) || self.outlived(leg, wire);
        if !news && wire.method != Method::Bye {
            return Some("its CSeq is old");
        }
        let crosses = |id: Id| {
            let client = &self.clients[id];
            client.method == Method::Invite
                && client.leg == leg
                && client.answer.is_none()
                && client.cancel.is_none()
                && !client.excused
                && !self.invite_gone(id, turn.now)
        };
        let crossing = wire.method == Method::Invite && (0..self.clients.len()).any(crosses);
        crossing.then_some("it crosses an INVITE")
    }

    pub(super) fn response_in(&mut self, turn: &mut Turn<'_>, from: u8, wire: &Rc<Wire>) -> Expect {
        let Some(&id) = self.by_branch_out.get(&out_key(wire)) else {
            return Expect::Silence;
        };
        let client = &self.clients[id];
        if client.peer != from {
            return Expect::Silence;
        }
        self.current.1 = Some(id);
        self.about(self.clients[id].leg);
        let client = &self.clients[id];
        if client.method == Method::Invite {
            return self.invite_response(turn, id, wire);
        }
        let client = &mut self.clients[id];
        if !wire.is_final() {
            client.provisional = true;
        } else if client.answer.is_some() {
            turn.seen.note(Met::FinalRepeatedByPeer);
            return Expect::Silence;
        } else {
            client.answer = Some((wire.code, turn.now));
            if turn.now < client.at + T64 {
                self.mid_answered(turn, id, wire);
            } else {
                client.excused = true;
            }
        }
        Expect::Anything
    }

    fn mid_answered(&mut self, turn: &mut Turn<'_>, id: Id, wire: &Wire) {
        let client = &self.clients[id];
        let leg = client.leg;
        if client.method == Method::Bye && wire.code >= 300 {
            turn.seen.note(Met::ByeRefused);
        }
        if client.refresh {
            turn.seen.note(match wire.code {
                ..300 => Met::Refreshed,
                491 => Met::RefreshGlare,
                _ => Met::RefreshFailed,
            });
            // It would not refresh, but it is alive, which was the question.
            if let (300.., Some(timer)) = (wire.code, &mut self.legs[leg].timer) {
                timer.1 = turn.now;
            }
        }
        if client.method == Method::Update && wire.code < 300 {
            self.legs[leg].timer = wire.session.map(|(seconds, _)| (seconds, turn.now));
            let tag = tag_hash(wire, wire.to_tag);
            if let Some(dialog) = self.dialog(leg, tag) {
                self.learn_contact(leg, dialog, wire);
            }
        }
    }

    /// A response to an INVITE of the core's, the first or a later one.
    fn invite_response(&mut self, turn: &mut Turn<'_>, id: Id, wire: &Rc<Wire>) -> Expect {
        let leg = self.clients[id].leg;
        if wire.code > 100 && wire.code < 300 && !wire.to_tag.is_empty() {
            let dialog = self.dialog_or_new(leg, tag_hash(wire, wire.to_tag));
            self.learn_contact(leg, dialog, wire);
            let route = match wire.record_route.is_empty() {
                true => 0,
                false => tag_hash(wire, wire.record_route),
            };
            if self.legs[leg].invite == id && self.legs[leg].out {
                self.legs[leg].dialogs[dialog].route = route;
            }
        }
        let gone = self.invite_gone(id, turn.now);
        if !wire.is_final() {
            match gone {
                false => self.clients[id].provisional = true,
                true => self.clients[id].late_provisional = true,
            }
            if wire.code > 100 {
                turn.seen.note(Met::Rang);
                self.clients[id].rang = true;
                if self.clients[id].left {
                    turn.seen.note(Met::LeftBehindRang);
                }
            }
            return Expect::Anything;
        }
        if wire.code < 300 {
            return self.ok_in(turn, id, wire, gone);
        }
        if wire.code < 400 && self.clients[id].answer.is_none() {
            self.redirected_in(id, wire);
        }
        let client = &mut self.clients[id];
        match client.answer {
            Some((code, at)) => {
                turn.seen.note(Met::FinalRepeatedByPeer);
                if code < 300 || turn.now >= at + T64 {
                    return Expect::Anything;
                }
            }
            None if gone => {
                // Perhaps it is still taken, if its timer is not worked off.
                client.answer = Some((wire.code, turn.now));
                client.excused = true;
                return Expect::Anything;
            }
            None => {
                client.answer = Some((wire.code, turn.now));
                turn.seen.note(match wire.code {
                    300..400 => Met::Redirected,
                    _ => Met::CarrierRefused,
                });
            }
        }
        if self.clients[id].excused {
            return Expect::Anything;
        }
        Expect::Ack(id)
    }

    /// Whether the core may have given an unanswered INVITE up: Timer B, or
    /// 64 × T1 after its CANCEL.
    fn invite_gone(&self, id: Id, now: Nanos) -> bool {
        let client = &self.clients[id];
        if client.answer.is_some() {
            return false;
        }
        match client.cancel {
            Some(cancel) => now >= self.clients[cancel].at + T64,
            None => !client.provisional && now >= client.at + T64,
        }
    }

    /// A 2xx to an INVITE of the core's.
    fn ok_in(&mut self, turn: &mut Turn<'_>, id: Id, wire: &Wire, gone: bool) -> Expect {
        let leg = self.clients[id].leg;
        let dialog = self.dialog_or_new(leg, tag_hash(wire, wire.to_tag));
        let before = self.clients[id].answer;
        let late = before.is_some_and(|(code, at)| code >= 300 || turn.now >= at + T64);
        if gone || late || self.clients[id].excused {
            let state = &mut self.legs[leg].dialogs[dialog];
            state.doubtful |= state.ok.is_none();
            state.accept(Inviter::Core, wire.cseq, turn.now);
            let client = &mut self.clients[id];
            if client.answer.is_none() {
                client.answer = Some((wire.code, turn.now));
                client.excused = true;
            }
            return Expect::Anything;
        }
        if self.clients[id].cancel.is_some() {
            turn.seen.note(Met::CancelMetOk);
        }
        if before.is_none() {
            self.clients[id].answer = Some((wire.code, turn.now));
            self.legs[leg].timer = wire.session.map(|(seconds, _)| (seconds, turn.now));
            turn.seen.note(Met::Answered);
            if self.legs[leg].dial.is_some() {
                turn.seen.note(Met::RedirectedTalk);
            }
            if self.clients[id].left {
                turn.seen.note(Met::LeftBehindAnswered);
            }
            if self.late_for_caller(leg) {
                turn.seen.note(Met::LateOk);
            }
        }
        let excused = self.clients[id].excused || self.legs[leg].excused;
        let state = &mut self.legs[leg].dialogs[dialog];
        if !state.accept(Inviter::Core, wire.cseq, turn.now) {
            turn.seen.note(Met::OkRepeatedByPeer);
            let acked = state
                .accepted(Inviter::Core, wire.cseq)
                .is_some_and(|ok| ok.acked.is_some());
            // Who has said BYE, or answered one, waits for no ACK.
            let bye = state.bye_out.map(|bye| self.clients[bye].answer);
            let ended = state.bye_in.is_some() || bye.flatten().is_some();
            return if acked && !ended && !excused {
                turn.seen.note(Met::AckRepeated);
                Expect::AckAgain(leg, dialog)
            } else {
                Expect::Anything
            };
        }
        if before.is_some() {
            turn.seen.note(Met::ForkAnswered);
        }
        Expect::Anything
    }

    /// Whether the side that called has had its refusal already.
    fn late_for_caller(&self, leg: Id) -> bool {
        let Some(other) = self.other_leg(leg) else {
            return false;
        };
        let invite = self.legs[other].invite;
        !self.legs[other].out && self.servers[invite].answer.is_some_and(|a| a.0 >= 300)
    }
}
