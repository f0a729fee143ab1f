//! A carrier redirects a call: was it followed where it may, and refused on record where
//! it may not?

use super::judge::{Verdict, user_of};
use super::{Id, Sent, Tap, Turn};
use crate::dial::{Dialled, Group};
use crate::peer::T64;
use crate::plan::CallPlan;
use crate::redirect::Redirect;
use crate::seen::Met;
use crate::wire::Wire;

/// Contacts of one redirection, and of one call, that are followed.
const OF_ONE: usize = 4;
const OF_CALL: usize = 8;

impl Tap {
    /// A 3xx came to an INVITE of the core's.
    pub(super) fn redirected_in(&mut self, client: Id, wire: &std::rc::Rc<Wire>) {
        let Some(server) = self.clients[client].relay_of else {
            return;
        };
        let state = &mut self.servers[server];
        let opens = state.request.to_tag.is_empty();
        state.offers.push(std::rc::Rc::clone(wire));
        let open = state.answer.is_none() && !state.cancelled && !state.excused;
        if opens && open && !self.clients[client].excused {
            self.redirect = Some((server, client));
        }
    }

    /// What an INVITE is for that leaves for one which was sent on before, if the last
    /// attempt was redirected there.
    pub(super) fn redirected_to(
        &self,
        turn: &Turn<'_>,
        id: Id,
        packet: &Sent,
        planned: &CallPlan,
    ) -> Option<Dialled> {
        let server = &self.servers[id];
        let client = &self.clients[server.relay?];
        let failed = match client.answer {
            Some((300..=599, at)) => at == turn.now,
            Some(_) => false,
            None => turn.now >= client.at + T64,
        };
        if !(failed || client.excused) || server.been.len() > OF_CALL {
            return None;
        }
        let user = user_of(packet.wire.text(packet.wire.uri));
        let carrier = packet.to.wrapping_sub(turn.peers.tenants);
        let leads = |dial: &&Dialled| {
            let said = |offer: &std::rc::Rc<Wire>| contains(offer.head(), dial.uri.as_bytes());
            let real = !dial.canonical.is_empty() && dial.group != Group::Emergency;
            real && turn.rules.written(dial, carrier, false) == user
                && !self.has_been(id, planned, dial)
                && server.offers.iter().any(said)
        };
        let mut contacts = planned.redirects.iter().flat_map(|it| &it.contacts);
        let found = contacts.find_map(|(dial, _)| Some(dial).filter(leads))?;
        Some(found.clone())
    }

    fn has_been(&self, id: Id, planned: &CallPlan, dial: &Dialled) -> bool {
        let been = &self.servers[id].been;
        been.contains(&dial.canonical) || planned.dial.canonical == dial.canonical
    }

    /// The turn of a 3xx is over.
    pub(super) fn redirection(&mut self, turn: &mut Turn<'_>) {
        let Some((id, client)) = self.redirect.take() else {
            return;
        };
        if self.servers[id].relay != Some(client) || self.servers[id].excused {
            return;
        }
        let plan = turn
            .peers
            .plan_of(self.servers[id].peer, &self.servers[id].request);
        let Some(plan) = plan.map(|plan| turn.peers.plans[plan as usize].clone()) else {
            return;
        };
        if plan.dial.group == Group::Emergency {
            return;
        }
        turn.seen.note(match plan.inbound {
            true => Met::ForwardingRefused,
            false => Met::RedirectRefused,
        });
        let call_id = self.servers[id]
            .request
            .at(self.servers[id].request.call_id);
        // What a phone system redirects to is another call, which no tenant may make here.
        let written = match plan.inbound {
            true => self.turn_records.has_refused_one(),
            false => self.turn_records.has_refused(call_id),
        };
        if !written {
            self.fail(
                turn.now,
                "a redirection was refused without a record".into(),
            );
        }
        let offer = self.servers[id].offers.last().cloned();
        let offer = offer.filter(|_| !plan.inbound);
        let offer = offer.and_then(|wire| {
            let said = |it: &&Redirect| {
                let mut contacts = it.contacts.iter();
                contacts.all(|(dial, _)| contains(wire.head(), dial.uri.as_bytes()))
            };
            plan.redirects.iter().find(said).cloned()
        });
        if let Some(offer) = offer
            && self.all_pass(turn, id, &plan, &offer)
        {
            self.fail(turn.now, format!("not followed without cause: {offer:?}"));
        }
    }

    /// A REFER in a call was answered. A phone system's is another call, which no tenant
    /// may make here; a carrier's is carried out for nobody. Either is on record.
    pub(super) fn transfer(&mut self, turn: &mut Turn<'_>, id: Id) -> Result<(), String> {
        let server = &self.servers[id];
        let code = server.answer.map_or(0, |answer| answer.0);
        if code == 202 {
            turn.seen.note(Met::TransferTried);
            let phones = u64::from(server.peer) < self.places.tenants;
            return match phones && self.turn_records.has_refused_one() {
                true => Ok(()),
                false => Err("a REFER accepted that is no phone system's, or not on record".into()),
            };
        }
        if code != 603 {
            let known = matches!(code, 400 | 481 | 491 | 500);
            return known
                .then_some(())
                .ok_or(format!("a REFER answered {code}"));
        }
        turn.seen.note(Met::TransferRefused);
        let leg = server.leg.ok_or("a REFER declined in no call")?;
        // One that was left behind has none any more.
        let Some(caller) = self.calls[self.legs[leg].call].legs[0] else {
            return Ok(());
        };
        let invite = &self.servers[self.legs[caller].invite].request;
        match self.turn_records.has_refused(invite.at(invite.call_id)) {
            true => Ok(()),
            false => Err("a REFER was declined without a record".into()),
        }
    }

    /// Whether a call may go to whichever of these places, for certain.
    fn all_pass(&mut self, turn: &mut Turn<'_>, id: Id, plan: &CallPlan, to: &Redirect) -> bool {
        let taken: usize = self.servers[id].offers.len() * OF_ONE;
        if taken > OF_CALL || to.contacts.len() > OF_ONE || turn.gate.block.is_some() {
            return false;
        }
        let tenant = turn.rules.tenants[usize::from(plan.tenant)].clone();
        to.contacts.iter().all(|(dial, _)| {
            let planned = CallPlan {
                dial: dial.clone(),
                ..plan.clone()
            };
            tenant.allow & dial.group.bit() != 0
                && !self.has_been(id, plan, dial)
                && !Self::is_limited(turn, &planned)
                && self.caps(turn, &planned, &tenant) == Verdict::Pass
        })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}
