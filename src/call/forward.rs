//! A phone system redirects a call that came in (RFC 3261 §8.1.3.4, a 3xx of its own): the
//! most wanted Contact is a call of the same tenant, made as if the phone system had dialled
//! it for its caller (see `inside`). The carrier hears nothing of where that is.

use bytes::Bytes;

use crate::base::time::Now;
use crate::policy::Reason;
use crate::policy::number::Number;
use crate::record::{Party, Side};
use crate::sip::draft::Packet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::sip::uri::Uri;
use crate::transaction::ClientKey;

use super::attempt::forwards;
use super::call::{Call, CallKey, Ending, Owner, Role};
use super::elsewhere::{PHONE_SYSTEM, Wish, not_offered};
use super::inside::Elsewhere;
use super::open::own_failure;
use super::redirect::Redirects;
use super::topology::{self, Head};
use super::transfer::Goal;
use super::{Calls, Event, Outbox, Turn, refresh};

impl Calls {
    /// The phone system redirects a call that came in: if this is its INVITE.
    pub(super) fn forward(
        &mut self,
        now: Now,
        (key, client): (CallKey, ClientKey),
        message: &Message,
        out: &mut Outbox,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        if call.ending.is_some() || !call.opens_with(client) {
            return;
        }
        let source = call.callee.flow.remote;
        let told = || format!("{PHONE_SYSTEM} redirected a call");
        let wishes: Vec<Wish> = Redirects::of(message)
            .map(|target| Wish::of(call, Side::Callee, (source, &target), told()))
            .collect();
        let called = called_number(call);
        let mut forwarded = false;
        for wish in wishes {
            let mut refused = not_offered(&self.tools.rules, &wish);
            let back = called.is_some() && refused.number == called;
            let goal = Goal::of(&wish.target).filter(|it| it.replaces.is_none() && !back);
            if let Some(goal) = goal.filter(|_| !forwarded) {
                self.turn(key, now, out, |turn| forwarded = turn.forward(goal.uri));
                if forwarded {
                    continue;
                }
            }
            if forwarded || back {
                refused.reason = Reason::NotFollowed;
            }
            self.refuse_wish(now, wish, &refused, out);
        }
    }
}

/// The number of the tenant's that a call which came in is to.
fn called_number(call: &Call) -> Option<Number> {
    let Ok(Uri::Sip(uri)) = Uri::parse(call.callee.remote_uri()) else {
        return None;
    };
    Number::parse_international(std::str::from_utf8(uri.user?).ok()?)
}

impl Turn<'_> {
    /// Keeps the INVITE that went to a phone system, until that has answered it.
    pub(super) fn keep_invite(&mut self, packet: &Packet) {
        if self.call.carrier_side() == Side::Caller {
            let kept = Elsewhere::Invited(packet.clone());
            self.call.elsewhere = Some(Box::new(kept));
        }
    }

    /// Has the call go to what its phone system redirects it to. Says whether it does.
    fn forward(&mut self, target: &[u8]) -> bool {
        let kept = self.call.elsewhere.take().map(|it| *it);
        let Some(Elsewhere::Invited(packet)) = kept else {
            return false;
        };
        let Ok(invite) = scan(Bytes::from_owner(packet)) else {
            return false;
        };
        let mut leg = self.leg_inside(Side::Callee, target, None);
        let cseq = leg.next_cseq();
        let by = self.call.callee.remote_uri().to_vec();
        self.leave(Side::Callee, leg);
        let head = Head {
            max_forwards: forwards(&invite),
            ..self.head_of(&Method::Invite, cseq)
        };
        let call = &*self.call;
        let anonymous = call.callee.local_uri().starts_with(topology::ANONYMOUS);
        let packet = self.tools.packet(
            &call.callee,
            &head,
            |draft| {
                topology::carry(draft, &invite);
                topology::put_allow(draft, call.caller.allow, false);
                topology::carry_tags(draft, &invite, HeaderId::Supported, true);
                refresh::put_request(draft, refresh::LEAST);
                draft.keep(&invite, HeaderId::PAssertedIdentity);
                draft.put_parts(HeaderId::Diversion, &[b"<", &by, b">"]);
                if anonymous {
                    draft.put(HeaderId::Privacy, b"id");
                }
            },
            invite.body(),
        );
        self.journal_led(Side::Callee, &head.branch.text());
        let owner = Owner {
            call: self.key,
            role: Role::Relay,
        };
        let flow = self.call.callee.flow;
        let (now, out) = (self.now.mono, &mut self.out.transmits);
        let transactions = &mut self.tools.transactions;
        let (method, branch) = (Method::Invite, head.branch);
        let client = transactions.request(now, flow, method, branch, packet, owner, out);
        if let Some(opening) = self.call.exchanges.iter_mut().find(|it| it.opening) {
            (opening.client, opening.client_cseq) = (client, cseq);
        }
        if client.is_none() {
            self.out.events.push(Event::Full {
                what: "client transactions",
            });
            self.fail_opening(Ending {
                by: Party::Tollgate,
                cause: "full",
                status: own_failure(self.call.emergency),
            });
        }
        true
    }
}
