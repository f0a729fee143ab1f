//! A carrier that asks for credentials (RFC 3261 §22): Tollgate has them, and the phone
//! system neither has nor sees any of it. What the call holds stays as it is.

use crate::policy::{Answered, Peer, Registration};
use crate::record::Side;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::transaction::Reply;

use super::call::{Owner, Role, Stage};
use super::{Arrived, Turn};

impl Turn<'_> {
    /// Sends the request once more that a carrier has answered with a challenge, with
    /// what proves whose it is. False where that is not to be: then the response is the
    /// request's last.
    ///
    /// Credentials go to the carrier of this call alone, for what was sent to it, and
    /// for its realm: nobody else can have Tollgate make any.
    pub(super) fn answer_challenge(
        &mut self,
        reply: &Reply<Owner>,
        request: &Message,
        arrived: &Arrived<'_>,
    ) -> bool {
        let side = match reply.owner.role {
            Role::Bye(side, _) => Some(side),
            Role::Relay | Role::Refresh(_) => {
                let exchange = self.call.exchange_by_client(reply.key);
                // One of an earlier life is not known as a whole.
                let open = exchange.filter(|it| matches!(it.stage, Stage::Open) && !it.resumed);
                open.map(|it| it.from.other())
            }
            Role::Refer(_) | Role::Aside => None,
        };
        let carrier = self.call.carrier_side();
        if side != Some(carrier) {
            return false;
        }
        let Some((id, value)) = self.proof(carrier, request, arrived) else {
            return false;
        };
        // It is there, and nobody has heard of that: as after a 100.
        self.stay_if_heard(100);
        if !self.send_again(carrier, reply, request, &[(id, &value)]) {
            return false;
        }
        if arrived.essentials.cseq.method == Method::Invite
            && let Some(proofs) = &mut self.call.leg_mut(carrier).proofs
        {
            proofs.of_invite.retain(|(other, _)| *other != id);
            proofs.of_invite.push((id, value));
        }
        true
    }

    /// The field that answers the challenge.
    fn proof(
        &mut self,
        side: Side,
        request: &Message,
        arrived: &Arrived<'_>,
    ) -> Option<(HeaderId, Vec<u8>)> {
        let rules = std::sync::Arc::clone(&self.tools.rules);
        let leg = self.call.leg_mut(side);
        let Some(peer @ Peer::Carrier(id)) = rules.peer_of(arrived.flow) else {
            return None;
        };
        let account: &Registration = rules.carrier(id)?.registration.as_ref()?;
        if rules.peer_of(leg.flow) != Some(peer) {
            return None;
        }
        let cnonce = self.tools.mint.token();
        let proofs = leg.proofs.get_or_insert_default();
        let before: &mut Answered = &mut proofs.answered;
        let answer = account.answer((request, arrived.message), cnonce, before);
        let credential = answer.ok()?;
        Some((credential.id, credential.value))
    }

    /// A request of the call's has its last answer: if the carrier asked for credentials
    /// before, it asks no more.
    pub(super) fn note_taken(&mut self) {
        let side = self.call.carrier_side();
        if let Some(proofs) = &mut self.call.leg_mut(side).proofs {
            proofs.answered.taken();
        }
    }
}
