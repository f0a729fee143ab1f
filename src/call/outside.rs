//! Requests outside a dialog: what all of them must satisfy (RFC 3261 §8.2), and
//! where they go.

use smallvec::SmallVec;

use crate::base::limits::{UNSUPPORTED_BYTES, UNSUPPORTED_NAMED};
use crate::base::time::Now;
use crate::policy::Peer;
use crate::sip::draft::Draft;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use crate::transaction::ServerKey;

use super::refresh::{self, Offer};
use super::{Arrived, Calls, Outbox, topology};

impl Calls {
    /// A request that begins a transaction.
    pub(super) fn new_request(
        &mut self,
        now: Now,
        peer: Peer,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let essentials = arrived.essentials;
        if essentials.to_tag.is_some() {
            self.in_dialog(now, Some(server), arrived, out);
            return;
        }
        let unacceptable = self.unacceptable(arrived);
        if let Some(code) = unacceptable.filter(|code| !self.excuses(*code, peer, arrived)) {
            self.answer(now, server, code, out, |draft| {
                explain(draft, code, arrived.message);
            });
            return;
        }
        match essentials.cseq.method {
            Method::Invite => match peer {
                Peer::Tenant(tenant) if self.replaces(now, tenant, server, arrived, out) => {}
                Peer::Tenant(tenant) if self.asks_proof(now, tenant, server, arrived, out) => {}
                Peer::Tenant(tenant) => self.outbound(now, tenant, server, arrived, out),
                Peer::Carrier(carrier) => self.inbound(now, carrier, server, arrived, out),
            },
            Method::Options => self.answer(now, server, 200, out, |draft| {
                let allow = match peer {
                    Peer::Tenant(_) => topology::ALLOW_PHONES,
                    Peer::Carrier(_) => topology::ALLOW,
                };
                draft.put(HeaderId::Allow, allow);
                draft.put(HeaderId::Accept, b"application/sdp");
                draft.put(HeaderId::Supported, b"100rel, timer");
            }),
            Method::Refer => self.refuse_referral(now, peer, server, arrived, out),
            method => {
                let code = match method {
                    Method::Bye | Method::Prack | Method::Update | Method::Info => 481,
                    Method::Other => 501,
                    _ => 405,
                };
                self.answer(now, server, code, out, |draft| {
                    explain(draft, code, arrived.message);
                });
            }
        }
    }

    /// What every request outside a dialog must satisfy (RFC 3261 §8.2.2).
    fn unacceptable(&self, arrived: &Arrived<'_>) -> Option<u16> {
        let Arrived {
            message,
            essentials,
            ..
        } = arrived;
        match message.uri().map(Uri::parse) {
            Some(Ok(Uri::Other { .. })) => return Some(416),
            Some(Ok(_)) => {}
            // Whatever a caller dials is judged, and its refusal recorded.
            Some(Err(_)) if essentials.cseq.method == Method::Invite => {}
            Some(Err(_)) | None => return Some(400),
        }
        if essentials.max_forwards == Some(0) {
            return Some(483);
        }
        if topology::unsupported(message).next().is_some() {
            return Some(420);
        }
        if essentials.cseq.method != Method::Invite {
            return None;
        }
        if self.is_looped(arrived) {
            return Some(482);
        }
        Offer::asks_too_little(message).then_some(422)
    }

    /// An emergency call is not turned away for what it asks of the protocol
    /// besides: it goes without that. Only a loop and too many hops stop it, which
    /// more hops would not help.
    fn excuses(&self, code: u16, peer: Peer, arrived: &Arrived<'_>) -> bool {
        matches!(code, 420 | 422) && self.is_emergency(peer, arrived)
    }

    /// The same INVITE over a second path (RFC 3261 §8.2.2.2), or one of our own
    /// that came back.
    fn is_looped(&self, arrived: &Arrived<'_>) -> bool {
        let Arrived { essentials, .. } = *arrived;
        // What comes from inside is ours, and meant to come.
        if arrived.is_inside() {
            return false;
        }
        let from_tag = arrived.sender_tag();
        let origin = self.tools.origin(essentials.call_id, from_tag);
        let merged = self
            .tools
            .by_origin(origin)
            .and_then(|key| self.calls.get(key));
        let number = essentials.cseq.number;
        let peer = |flow| self.tools.rules.peer_of(flow);
        // Emergency calls may have no Call-ID: then nothing says that they are the same.
        if !essentials.call_id.is_empty()
            && merged.is_some_and(|call| {
                call.was_opened_by(number) && peer(call.caller.flow) == peer(arrived.flow)
            })
        {
            return true;
        }
        let ours = self.tools.by_tag(from_tag);
        let leg = ours.and_then(|(key, side)| Some(self.calls.get(key)?.leg(side)));
        leg.is_some_and(|leg| leg.call_id() == essentials.call_id)
    }
}

/// Adds what an error response has to say besides its code.
pub(super) fn explain(draft: &mut Draft<'_>, code: u16, message: &Message) {
    match code {
        405 | 501 => {
            draft.put(HeaderId::Allow, topology::ALLOW);
        }
        420 => {
            let mut named: SmallVec<[&[u8]; UNSUPPORTED_NAMED]> = SmallVec::new();
            let tags = topology::unsupported(message);
            for tag in tags.filter(|tag| tag.len() <= UNSUPPORTED_BYTES) {
                if named.len() < UNSUPPORTED_NAMED && !named.contains(&tag) {
                    named.push(tag);
                }
            }
            draft.put_list(HeaderId::Unsupported, &named);
        }
        422 => refresh::put_least(draft),
        _ => {}
    }
}
