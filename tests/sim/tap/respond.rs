//! The responses that come out of the core.

use super::{Id, Inviter, Sent, Tap, Turn, in_key, tag_hash};
use crate::dial::Group;
use crate::peer::T64;
use crate::seen::Met;
use crate::wire::{Method, REL, Wire, hash2};

impl Tap {
    pub(super) fn response_out(&mut self, turn: &mut Turn<'_>, packet: &Sent) {
        let known = self
            .by_branch_in
            .get(&in_key(packet.to, &packet.wire))
            .copied();
        if let Err(what) = self.response(turn, packet)
            && known.is_none_or(|id| !self.servers[id].excused)
        {
            self.fail(turn.now, what);
        }
    }

    fn response(&mut self, turn: &mut Turn<'_>, packet: &Sent) -> Result<(), String> {
        let wire = &packet.wire;
        let Some(&id) = self.by_branch_in.get(&in_key(packet.to, wire)) else {
            // Damaged messages may be answered without a transaction.
            return match self.current {
                (None, None) if wire.code >= 400 => Ok(()),
                _ => Err(format!("a {} to no request", wire.code)),
            };
        };
        if let Some(leg) = self.servers[id].leg {
            self.about(leg);
        } else {
            self.plan = turn.peers.plan_of(packet.to, &self.servers[id].request);
        }
        self.echoes(id, wire)?;
        if wire.is_final() && self.is_overdue(id, turn.now) {
            return Err("an answer long after a restart".into());
        }
        let server = &mut self.servers[id];
        let again = std::mem::replace(&mut server.last, wire.hash) == wire.hash;
        // Its transaction has begun anew.
        if wire.is_final() && std::mem::take(&mut server.resumed) {
            if !server.request.to_tag.is_empty() {
                turn.seen.note(Met::ChangeOutlived);
            }
            server.answer = server.answer.map(|(code, hash, _)| (code, hash, turn.now));
        }
        match server.answer {
            // It is not known to have been answered, for a while.
            Some(_) if wire.code == 100 && server.resumed => return Ok(()),
            Some((code, _, _)) if !wire.is_final() => {
                return Err(format!("a {} after the final {code}", wire.code));
            }
            Some((_, hash, _)) if hash == wire.hash && !self.reviving => {
                return self.repeated_out(turn, id);
            }
            Some(_) if self.reviving || server.survived => {
                return self.told_again(id, wire, turn.now);
            }
            Some((code, _, _)) => {
                return Err(format!("two final responses, {code} and {}", wire.code));
            }
            None if again => return Ok(()),
            None => {}
        }
        if server.method != Method::Invite && !wire.is_final() {
            return Err(format!("{} to a {}", wire.code, server.method.name()));
        }
        if wire.is_final() {
            server.answer = Some((wire.code, wire.hash, turn.now));
            server.spent = wire.text(wire.reason).contains("budget-spent");
        }
        if server.method == Method::Invite && wire.code > 100 && wire.code < 300 {
            self.opens_dialog(turn, id, wire)?;
        }
        if wire.is_final() {
            if self.waited_in_vain(id, turn.now) {
                return Err("an INVITE waited for a connection that had closed".into());
            }
            self.answered(turn, id, wire)?;
        }
        self.session_agreed(turn, id, wire);
        self.body(id, wire)
    }

    /// What a response copies of its request (RFC 3261 §8.2.6.2).
    fn echoes(&self, id: Id, wire: &Wire) -> Result<(), String> {
        let request = &self.servers[id].request;
        let same = wire.at(wire.call_id) == request.at(request.call_id)
            && wire.cseq == request.cseq
            && wire.at(wire.from_tag) == request.at(request.from_tag)
            && wire.vias == request.vias;
        if !same {
            return Err(format!("a {} unlike its request", wire.code));
        }
        if !request.to_tag.is_empty() && wire.at(wire.to_tag) != request.at(request.to_tag) {
            return Err(format!("a {} with another To tag", wire.code));
        }
        if wire.code > 100 && wire.to_tag.is_empty() {
            return Err(format!("a {} without a To tag", wire.code));
        }
        Ok(())
    }

    fn repeated_out(&mut self, turn: &mut Turn<'_>, id: Id) -> Result<(), String> {
        let server = &self.servers[id];
        let Some((code, _, _)) = server.answer else {
            return Ok(());
        };
        let unasked = self.current.0.is_none();
        if code >= 300 && turn.peers.hosts[usize::from(server.peer)].stream {
            return Err(format!("a {code} repeated over a stream"));
        }
        // What is told again after a restart looks alike, and is another matter.
        if server.method == Method::Invite && unasked && !self.crashed {
            turn.seen.note(if code < 300 {
                Met::OkRepeatedByCore
            } else {
                Met::TimerG
            });
        }
        if server.acked.is_some() && code >= 300 && server.method == Method::Invite {
            return Err("a refusal repeated after its ACK".into());
        }
        Ok(())
    }

    /// A provisional or a 2xx to an INVITE makes a dialog.
    fn opens_dialog(&mut self, turn: &mut Turn<'_>, id: Id, wire: &Wire) -> Result<(), String> {
        let request = &self.servers[id].request;
        let Some(leg) = self.servers[id].leg else {
            return Err(format!(
                "a {} to an INVITE that was not passed on",
                wire.code
            ));
        };
        let key = hash2(wire.at(wire.call_id), wire.at(wire.to_tag));
        let (tag, cseq) = (tag_hash(request, request.from_tag), request.cseq);
        let (contact, route) = (std::rc::Rc::clone(request), request.record_route);
        if self
            .dialogs
            .insert(key, leg)
            .is_some_and(|other| other != leg)
        {
            return Err("a To tag that another call has".into());
        }
        let dialog = self.dialog_or_new(leg, tag);
        if self.legs[leg].invite == id && !self.legs[leg].out {
            self.learn_contact(leg, dialog, &contact);
            if !route.is_empty() {
                self.legs[leg].dialogs[dialog].route = tag_hash(&contact, route);
            }
        }
        if wire.code >= 200 {
            let state = &mut self.legs[leg].dialogs[dialog];
            state.accept(Inviter::Peer, cseq, turn.now);
        }
        if wire.required & REL != 0 {
            if self.servers[id].request.supported & REL == 0 {
                return Err("100rel for who does not support it".into());
            }
            turn.seen.note(Met::RelPassed);
        }
        if (wire.required & REL != 0) != (wire.rseq != 0) {
            return Err("RSeq and Require: 100rel belong together".into());
        }
        Ok(())
    }

    /// A final response: does it say what the other side said?
    fn answered(&mut self, turn: &mut Turn<'_>, id: Id, wire: &Wire) -> Result<(), String> {
        if (300..400).contains(&wire.code) {
            return Err("a redirection was let out".into());
        }
        if self.servers[id].method == Method::Refer && self.servers[id].leg.is_some() {
            self.transfer(turn, id)?;
        }
        let server = &self.servers[id];
        if let (..300, Some(why)) = (wire.code, server.amiss) {
            return Err(format!(
                "a {} to a {}: {why}",
                wire.code,
                server.method.name()
            ));
        }
        let first = server.request.to_tag.is_empty();
        let plan = self
            .plan
            .and_then(|plan| turn.peers.plans.get(plan as usize));
        let emergency = plan.is_some_and(|it| it.dial.group == Group::Emergency && !it.inbound);
        let relays = first && emergency && server.relay.is_some();
        if relays && wire.code >= 300 && !matches!(wire.code, 487 | 503) {
            return Err(format!("an emergency call failed with {}", wire.code));
        }
        let relayed = server
            .relay
            .map(|relay| self.clients[relay].answer.map(|a| a.0));
        let excused = server.cancelled || server.excused || self.ended_early(id);
        match (server.method, relayed) {
            // Only where the caller cancelled before.
            (Method::Invite, Some(Some(code)))
                if first && code < 300 && wire.code >= 300 && !excused =>
            {
                return Err(format!(
                    "{} to the caller, {code} from the callee",
                    wire.code
                ));
            }
            (Method::Invite, Some(answer))
                if wire.code < 300 && answer.is_none_or(|c| c >= 300) =>
            {
                return Err("a 2xx that nobody gave".into());
            }
            (Method::Invite, None) if wire.code < 300 => {
                return Err("a 2xx to an INVITE that was not passed on".into());
            }
            (Method::Invite, _) if first && wire.code < 300 => self.answer_written()?,
            (Method::Invite, Some(None)) if first => self.gave_up(turn, id),
            (_, Some(Some(code))) if !first && (code < 300) != (wire.code < 300) => {
                let ended = self.servers[id].leg.is_some_and(|leg| self.is_ending(leg));
                let old = turn.now >= self.servers[id].at + T64;
                if !ended && !old {
                    return Err(format!("{} here, {code} there", wire.code));
                }
            }
            _ => {}
        }
        if self.servers[id].method == Method::Invite && wire.code == 491 {
            turn.seen.note(Met::Glare);
        }
        Ok(())
    }

    /// A 2xx to an INVITE or UPDATE says what session timer holds.
    fn session_agreed(&mut self, turn: &Turn<'_>, id: Id, wire: &Wire) {
        let server = &self.servers[id];
        let says = matches!(server.method, Method::Invite | Method::Update);
        if let (true, 200..300, Some(leg)) = (says, wire.code, server.leg) {
            self.legs[leg].timer = wire.session.map(|(seconds, _)| (seconds, turn.now));
        }
    }

    /// Whether the callee's call was over before its caller was answered.
    fn ended_early(&self, id: Id) -> bool {
        let leg = self.servers[id].leg.and_then(|leg| self.other_leg(leg));
        leg.is_some_and(|leg| self.is_ending(leg))
    }

    /// Whether a BYE came or went on either leg of this leg's call.
    fn is_ending(&self, leg: Id) -> bool {
        let ending = |leg: Id| {
            let dialogs = &self.legs[leg].dialogs;
            dialogs
                .iter()
                .any(|d| d.bye_in.is_some() || d.bye_out.is_some())
        };
        ending(leg) || self.other_leg(leg).is_some_and(ending)
    }

    /// The caller is refused while the callee has not answered: why?
    fn gave_up(&self, turn: &mut Turn<'_>, id: Id) {
        let server = &self.servers[id];
        let Some(relay) = server.relay else { return };
        let client = &self.clients[relay];
        match (server.cancelled, client.provisional) {
            (true, _) => {}
            (false, false) => {
                turn.seen.note(Met::CarrierSilent);
                if client.sends >= 7 {
                    turn.seen.note(Met::TimerB);
                }
            }
            (false, true) => turn.seen.note(Met::RangTooLong),
        }
    }

    /// Bodies pass unchanged, from the response that is relayed.
    fn body(&self, id: Id, wire: &Wire) -> Result<(), String> {
        let relays = self.current.1.is_some() && self.servers[id].relay == self.current.1;
        if wire.body().is_empty() || (relays && self.passes(wire)) {
            return Ok(());
        }
        Err(format!("a {} with a body that nobody sent", wire.code))
    }
}
