//! The way from one call to another, inside.
//!
//! A phone system that has its call go elsewhere (REFER, its own 3xx) asks for another
//! call. Tollgate makes that in its stead, as if it had dialled: the call's leg towards the
//! phone system leads to Tollgate itself, where what arrives is read, judged, counted and
//! recorded like any INVITE of that tenant's. Each of the two calls has its carrier, its
//! places and its account as ever, and knows nothing of the other but this leg. That has a
//! short session timer (RFC 4028): should one of them be gone after a restart, the other one
//! ends, too.
//!
//! ```text
//!   carrier ---- call ---- phone system        carrier ---- call
//!                                        ->                   | inside
//!                                              carrier ---- call
//! ```

use crate::base::flow::{Flow, PeerName};
use crate::base::token::{Bucket, Token};
use crate::record::{Led, Record, Side};
use crate::sip::draft::{Draft, Packet};
use crate::sip::line::Method;
use crate::transaction::ServerKey;

use super::call::{Owner, Role};
use super::leg::{Far, Leg, Session};
use super::table::Tools;
use super::topology::{self, Ends, Head};
use super::transfer::Referral;
use super::{Turn, refresh};

/// What becomes of a call's leg towards its phone system.
#[derive(Debug)]
pub(super) enum Elsewhere {
    /// Our INVITE to the phone system, which may yet redirect it: see `forward`.
    Invited(Packet),
    /// A REFER is carried out: see `transfer`.
    Referred(Referral),
    /// An INVITE is to take its place, once the carrier takes that: see `replace`.
    Replaced {
        /// The leg that it opens.
        leg: Leg,
        /// Its transaction.
        server: ServerKey,
    },
}

impl Elsewhere {
    /// The leg that is to take the other's place.
    pub(super) fn leg(&self) -> Option<&Leg> {
        match self {
            Self::Invited(_) => None,
            Self::Referred(it) => Some(&it.leg),
            Self::Replaced { leg, .. } => Some(leg),
        }
    }
}

impl Turn<'_> {
    /// A leg to another call, as the phone system at `side` would have it: to what it would
    /// dial, or to the call whose bucket this is.
    pub(super) fn leg_inside(&mut self, side: Side, target: &[u8], to: Option<Bucket>) -> Leg {
        let with = self.call.caller.call_id();
        let own = self.tools.buckets.bucket(with);
        let call_id = self.tools.mint_call_id(with);
        let tag = self.tools.mint.token();
        let before = self.call.leg(side);
        let of = PeerName::of_tenant(&self.call.tenant);
        let flow = before.flow.inside(of, (own, to.unwrap_or(own)));
        // Who calls there is the phone system, but where it is called itself: then its caller.
        let caller = match before.progress.up {
            true => before.remote_uri(),
            false => before.local_uri(),
        };
        let mut leg = Leg::new(flow, tag, &call_id, caller, target);
        leg.far = Far::new(b"", target, b"");
        self.tools.index_leg(self.key, side, tag);
        leg
    }

    /// The head of a request of Tollgate's own.
    pub(super) fn head_of<'m>(&mut self, method: &'m Method, cseq: u32) -> Head<'m> {
        Head {
            method: method.as_str().as_bytes(),
            cseq,
            branch: self.tools.mint.token(),
            max_forwards: super::MAX_FORWARDS,
        }
    }

    /// Asks the peer at `side` in passing: whatever it answers changes nothing.
    pub(super) fn aside(
        &mut self,
        side: Side,
        method: Method,
        fill: impl FnOnce(&mut Draft<'_>),
        body: &[u8],
    ) {
        let cseq = self.call.leg_mut(side).next_cseq();
        self.journal_cseq(side);
        let head = self.head_of(&method, cseq);
        let leg = self.call.leg(side);
        let packet = self.tools.packet(leg, &head, fill, body);
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        self.send_aside(method, head.branch, (flow, packet));
    }

    pub(super) fn send_aside(
        &mut self,
        method: Method,
        branch: Token,
        (flow, packet): (Flow, Packet),
    ) {
        let owner = Owner {
            call: self.key,
            role: Role::Aside,
        };
        let (now, out) = (self.now.mono, &mut self.out.transmits);
        let transactions = &mut self.tools.transactions;
        // Without room for it the peer finds out by its own timers.
        let _untold = transactions.request(now, flow, method, branch, packet, owner, out);
    }

    /// Has the leg on `side` be another one from now on, which is up. Whoever was there before
    /// is told good-bye, if it is still there.
    pub(super) fn lead(&mut self, side: Side, leg: Leg) {
        if std::mem::take(&mut self.call.leg_mut(side).progress.up) {
            self.aside(side, Method::Bye, |_| {}, b"");
        }
        self.leave(side, leg);
        self.call.leg_mut(side).progress.up = true;
        self.call.leg_mut(side).progress.pending = false;
        self.journal_led(side, b"");
        // Whatever its other end does.
        self.set_session(side, Some((refresh::LEAST, true)));
    }

    /// Puts another leg in the place of one that nobody is to be told anything on any more.
    pub(super) fn leave(&mut self, side: Side, leg: Leg) {
        let before = std::mem::replace(self.call.leg_mut(side), leg);
        if let Some(Session { timer, .. }) = before.session {
            self.tools.wheel.cancel(timer);
        }
        self.tools.forget_tag(before.local_tag);
    }

    /// Says which leg there is now, and by which INVITE that opens the call, if one does.
    pub(super) fn journal_led(&mut self, side: Side, branch: &[u8]) {
        let leg = self.call.leg(side);
        let tag = leg.local_tag.text();
        let record = Record::Led(Led {
            call: self.call.reference,
            wall: self.now.wall,
            side,
            leg: leg.as_record(&tag),
            branch,
        });
        self.out.journal(&record);
    }
}

impl Tools {
    /// A request of ours on a leg, whether or not it is its call's own.
    pub(super) fn packet(
        &mut self,
        leg: &Leg,
        head: &Head<'_>,
        fill: impl FnOnce(&mut Draft<'_>),
        body: &[u8],
    ) -> Packet {
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &leg.far,
            here: self.here.at(leg.flow.listener),
        };
        let mut draft = topology::request(&mut self.scratch, &ends, head);
        if matches!(head.method, b"INVITE" | b"NOTIFY" | b"UPDATE") {
            let reach = topology::Reach::on(&self.rules, leg);
            topology::put_contact(&mut draft, ends.here, reach);
        }
        fill(&mut draft);
        draft.seal(Some(body))
    }
}
