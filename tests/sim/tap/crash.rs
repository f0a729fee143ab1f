//! The core dies, and lives again: what of its calls must go on, and of what
//! nobody can say any more how it goes on.

use std::rc::Rc;

use super::{Id, Inviter, Leg, Sent, Server, Tap, Turn, in_key};
use crate::link::{Nanos, SEC};
use crate::peer::T64;
use crate::seen::{Met, Seen};
use crate::wire::{Method, Wire};

/// Who changes a call that outlives the core has an answer so soon after.
const ANSWERED: Nanos = 13 * SEC;

impl Tap {
    /// The core is dead. An established call must survive that; of anything that is
    /// under way only the end counts.
    pub fn crash(&mut self, now: Nanos, seen: &mut Seen) {
        let mut up = vec![false; self.calls.len()];
        for (call, up) in up.iter_mut().enumerate() {
            let legs = self.calls[call].legs;
            *up = legs
                .iter()
                .all(|leg| leg.is_some_and(|leg| self.is_established(leg)));
            if *up {
                seen.note(Met::CallSurvived);
                continue;
            }
            for leg in legs.into_iter().flatten() {
                if self.legs[leg].out && self.clients[self.legs[leg].invite].answer.is_none() {
                    seen.note(Met::SetUpCutOff);
                }
                self.legs[leg].excused = true;
            }
        }
        let goes_on = |legs: &[Leg], leg: Option<Id>| leg.is_some_and(|leg| up[legs[leg].call]);
        for id in 0..self.servers.len() {
            let acked = self.is_acked(&self.servers[id]);
            let server = &mut self.servers[id];
            let invites = server.method == Method::Invite;
            let opens = invites && server.request.to_tag.is_empty();
            let changes = invites && !opens && server.relay.is_some();
            server.survived = opens && server.leg.is_some() || changes;
            if server.survived && !acked {
                server.resumed = true;
                // Of a call that goes on everybody gets an answer.
                let owed = opens || goes_on(&self.legs, server.leg);
                server.excused |= server.answer.is_none() && !owed;
            } else {
                // Only the INVITEs of calls are remembered, if they want an answer.
                let key = in_key(server.peer, &server.request);
                if self.by_branch_in.get(&key) == Some(&id) {
                    self.by_branch_in.remove(&key);
                }
                server.excused |= server.answer.is_none();
            }
        }
        self.unheard = self.byes_unheard(&up);
        for client in &mut self.clients {
            let opens = client.method == Method::Invite && client.request.to_tag.is_empty();
            // Nobody is there any more to acknowledge a refusal again.
            let refused = client.answer.is_some_and(|answer| answer.0 >= 300);
            // Nor of one that was given up: its call may be over, and is not taken up again.
            let given_up = opens && client.cancel.is_some();
            let changes = client.method == Method::Invite && !client.refresh;
            let awaited = opens || changes && goes_on(&self.legs, Some(client.leg));
            client.excused |= !awaited && client.answer.is_none() || refused || given_up;
            client.resumed = client.method == Method::Invite;
        }
        self.crashed = true;
        self.leases.clear();
        self.bill.crash(now);
    }

    /// The BYEs to others who answered beside calls that are up, of which nobody knows
    /// whether they were heard: leg, dialog, and the BYE.
    fn byes_unheard(&self, up: &[bool]) -> Vec<(Id, usize, Id)> {
        let legs = self.legs.iter().enumerate();
        let legs = legs.filter(|(_, it)| it.out && up[it.call] && !it.excused);
        let dialogs = legs.flat_map(|(leg, it)| {
            let dialogs = it.dialogs.iter().enumerate();
            let dialogs = dialogs.filter(|(_, it)| it.bye_in.is_none() && !it.doubtful);
            dialogs.filter_map(move |(dialog, it)| Some((leg, dialog, it.bye_out?)))
        });
        let unheard = |&(_, _, bye): &(Id, usize, Id)| {
            let bye = &self.clients[bye];
            bye.answer.is_none() && !bye.excused
        };
        dialogs.filter(unheard).collect()
    }

    /// The core lives again: these are hung up again, if they may still be there.
    pub fn revived(&mut self, now: Nanos) {
        for (leg, dialog, bye) in std::mem::take(&mut self.unheard) {
            self.about(leg);
            let state = &self.legs[leg].dialogs[dialog];
            let lately = state.parted.is_some_and(|at| now < at + T64);
            if state.bye_out == Some(bye) && lately {
                self.fail(now, "who answered beside a call got no BYE again".into());
            }
        }
    }

    /// Whether a request came before the core died: it is no news then, and may still be
    /// answered.
    pub(super) fn outlived(&self, leg: Id, wire: &Wire) -> bool {
        let mut before = self.servers.iter();
        before.any(|it| {
            it.at < self.lives_since && it.leg == Some(leg) && it.request.hash == wire.hash
        })
    }

    /// Whether a request of the core's is of an earlier life.
    pub(super) fn is_of_before(&self, client: Id) -> bool {
        self.clients[client].last < self.lives_since
    }

    /// Such a request goes on once more, as the one that it was.
    pub(super) fn carried_again(
        &mut self,
        turn: &mut Turn<'_>,
        packet: &Sent,
        id: Id,
    ) -> Result<(), String> {
        let leg = self.clients[id].leg;
        self.about(leg);
        let client = &self.clients[id];
        let name = client.method.name();
        let asked = self.current.0.filter(|&server| {
            let server = &self.servers[server];
            server.method == client.method && server.leg == self.other_leg(leg)
        });
        let Some(server) = asked else {
            return Err(format!("{name} of an earlier life that nobody asked for"));
        };
        let client = &mut self.clients[id];
        let (before, now) = (&client.request, &packet.wire);
        // What it says of the session may have changed.
        let same = before.cseq == now.cseq
            && before.at(before.uri) == now.at(now.uri)
            && before.body() == now.body();
        if !same || client.peer != packet.to {
            return Err(format!(
                "another {name} under the same branch after a restart"
            ));
        }
        turn.seen.note(Met::CarriedAgain);
        (client.at, client.last, client.sends) = (turn.now, turn.now, 1);
        client.request = Rc::clone(&packet.wire);
        client.answer = None;
        client.excused = false;
        client.relay_of = Some(server);
        self.servers[server].relay = Some(id);
        Ok(())
    }

    /// Whether an INVITE of a call that has outlived the core should have had its answer.
    pub(super) fn is_overdue(&self, id: Id, now: Nanos) -> bool {
        let server = &self.servers[id];
        let due = server.due.filter(|_| server.answer.is_none());
        due.is_some_and(|due| now > due && !self.ended_by(id, due))
    }

    /// Whether somebody had hung up by then: that is an answer, too, if the core died
    /// meanwhile.
    pub(super) fn ended_by(&self, id: Id, due: Nanos) -> bool {
        let leg = self.servers[id].leg;
        let legs = leg
            .into_iter()
            .chain(leg.and_then(|leg| self.other_leg(leg)));
        let mut dialogs = legs.flat_map(|leg| &self.legs[leg].dialogs);
        dialogs.any(|it| it.bye_in.into_iter().chain(it.parted).any(|at| at <= due))
    }

    /// Whether a leg may get another BYE: nobody remembers the last one, and somebody
    /// may not have got it.
    pub(super) fn may_part_again(&self, leg: Id) -> bool {
        let invite = self.legs[leg].invite;
        let answers = self.legs[leg].out && self.current.1 == Some(invite);
        self.reviving || answers && self.clients[invite].resumed
    }

    /// Who may not know it is told again how its INVITE ended: as before.
    pub(super) fn told_again(&mut self, id: Id, wire: &Wire, now: Nanos) -> Result<(), String> {
        let last = &self.servers[id];
        let key = in_key(last.peer, &last.request);
        let same = |it: &Server| {
            let answered = |(code, _, _)| code == wire.code || code < 300 && !self.is_acked(it);
            in_key(it.peer, &it.request) == key && it.answer.is_some_and(answered)
        };
        // Its INVITE may have come again, and been answered otherwise, when all was over.
        let Some(told) = (0..=id).rev().find(|&it| same(&self.servers[it])) else {
            let code = last.answer.map_or(0, |answer| answer.0);
            return Err(format!("two final responses, {code} and {}", wire.code));
        };
        let server = &mut self.servers[told];
        server.answer = Some((wire.code, wire.hash, now));
        server.acked = None;
        self.by_branch_in.insert(key, told);
        Ok(())
    }

    /// Whether an INVITE is older than one of the same caller's whose call has outlived
    /// the core: of a restart on, all that counts is the last CSeq.
    pub(super) fn is_old(&self, id: Id) -> bool {
        let asked = &self.servers[id].request;
        let later = |it: &&Server| {
            let other = &it.request;
            it.survived
                && other.cseq >= asked.cseq
                && other.at(other.call_id) == asked.at(asked.call_id)
                && other.at(other.from_tag) == asked.at(asked.from_tag)
        };
        self.servers[..id].iter().any(|it| later(&it))
    }

    /// Whether the ACK to the 2xx to an INVITE came, and was waited for: not by who has
    /// said BYE before.
    fn is_acked(&self, server: &Server) -> bool {
        let mut dialogs = server.leg.iter().flat_map(|&leg| &self.legs[leg].dialogs);
        dialogs.any(|dialog| {
            let waits = |at: Nanos| dialog.bye_in.is_none_or(|bye| at < bye);
            let mut oks = dialog.oks.iter();
            oks.any(|ok| {
                let its = ok.by == Inviter::Peer && ok.cseq == server.request.cseq;
                its && ok.acked.is_some_and(waits)
            })
        })
    }

    /// The core lives again, and its shards have calls of other shards. Refreshes of
    /// peers' may have been lost meanwhile, and come again.
    pub fn restarted(&mut self, now: Nanos, shard_of: impl Fn(&[u8]) -> u8) {
        self.lives_since = now;
        let changes = |it: &&mut Server| it.resumed && !it.request.to_tag.is_empty();
        for server in self.servers.iter_mut().filter(changes) {
            server.due = server
                .answer
                .is_none()
                .then_some(now + ANSWERED + self.slack);
        }
        self.bill.restarted(now);
        for leg in &mut self.legs {
            if let Some((seconds, last)) = &mut leg.timer {
                let session = u64::from(*seconds) * SEC;
                *last = (*last).max((now + T64).saturating_sub(session));
            }
            let invite = match leg.out {
                true => &self.clients[leg.invite].request,
                false => &self.servers[leg.invite].request,
            };
            leg.shard = shard_of(invite.at(invite.call_id));
        }
    }

    /// Whether the dialog of a leg is up, and nobody has hung up.
    fn is_established(&self, leg: Id) -> bool {
        let leg = &self.legs[leg];
        let up = |d: &super::Dialog| {
            d.opened().is_some() && d.bye_in.is_none() && d.bye_out.is_none() && !d.doubtful
        };
        !leg.excused && !leg.dialogs.is_empty() && leg.dialogs.iter().any(up)
    }
}
