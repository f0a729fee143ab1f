//! The core dies, and lives again: what of its calls must go on, and of what
//! nobody can say any more how it goes on.

use super::{Id, Tap};
use crate::link::Nanos;
use crate::seen::{Met, Seen};
use crate::wire::Method;

impl Tap {
    /// The core is dead. An established call must survive that; of anything that is
    /// under way only the end counts.
    pub fn crash(&mut self, now: Nanos, seen: &mut Seen) {
        for call in 0..self.calls.len() {
            let legs = self.calls[call].legs;
            let established = legs
                .iter()
                .all(|leg| leg.is_some_and(|leg| self.is_established(leg)));
            if established {
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
        for server in &mut self.servers {
            let unacked = server.method == Method::Invite && server.acked.is_none();
            server.excused |= server.answer.is_none() || unacked;
        }
        for client in &mut self.clients {
            client.excused |= client.answer.is_none();
        }
        self.bill.crash(now);
    }

    /// The core lives again, and its shards have calls of other shards.
    pub fn restarted(&mut self, shard_of: impl Fn(&[u8]) -> u8) {
        for leg in &mut self.legs {
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
