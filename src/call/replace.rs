//! An INVITE that takes the place of a phone system's dialog in a call that is up (RFC
//! 3891): the other half of a transfer to whom the phone system has called before.
//!
//! It costs nothing new, and is no new call: it is carried to the carrier like an INVITE
//! inside the dialog, and once the carrier's offer is answered the leg is the sender's. Only
//! another call of the same tenant may do so, from inside.

use std::sync::Arc;

use crate::base::time::Now;
use crate::policy::TenantId;
use crate::record::{Direction, Side};
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::replaces::Replaces;
use crate::transaction::ServerKey;

use super::call::{Call, CallKey, Owner, Role};
use super::elsewhere::{PHONE_SYSTEM, Wish, not_offered};
use super::inside::Elsewhere;
use super::leg::Leg;
use super::topology;
use super::{Arrived, Calls, Outbox, Turn};

impl Calls {
    /// Whether this is an INVITE that takes the place of a dialog. It is dealt with if so.
    pub(super) fn replaces(
        &mut self,
        now: Now,
        tenant: TenantId,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) -> bool {
        let value = arrived.message.first(HeaderId::Replaces);
        let Some(value) = value.filter(|_| arrived.is_inside()) else {
            return false;
        };
        let Some((key, side)) = self.replaced(tenant, value) else {
            self.refuse_replacing(now, tenant, arrived, out);
            self.answer(now, server, 481, out, |_| {});
            return true;
        };
        self.turn(key, now, out, |turn| turn.replace(side, server, arrived));
        true
    }

    /// Records that a call was to be transferred to one that is not there, or is another's.
    fn refuse_replacing(
        &mut self,
        now: Now,
        tenant: TenantId,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let rules = &self.tools.rules;
        let tenant = rules.tenant(tenant).map(|it| Arc::clone(&it.name));
        let target = arrived.message.uri().unwrap_or_default();
        let told = format!("{PHONE_SYSTEM} would transfer a call");
        let wish = Wish::outside(tenant, Direction::Outbound, arrived, (target, told));
        let refused = not_offered(rules, &wish);
        self.refuse_wish(now, wish, &refused, out);
    }

    /// The call and its leg that a Replaces of this tenant's names.
    fn replaced(&self, tenant: TenantId, value: &[u8]) -> Option<(CallKey, Side)> {
        let dialog = Replaces::parse(value).filter(|it| !it.early_only)?;
        let (key, side) = self.tools.by_tag(dialog.to_tag)?;
        let call = self.calls.get(key)?;
        let leg = call.leg(side);
        let same = leg.call_id() == dialog.call_id && leg.far.tag() == dialog.from_tag;
        let theirs = self.tools.rules.tenant_named(&call.tenant) == Some(tenant);
        (same && theirs && call.may_be_led(side)).then_some((key, side))
    }
}

impl Turn<'_> {
    /// Carries an INVITE on that is to take this leg's place.
    fn replace(&mut self, side: Side, server: ServerKey, arrived: &Arrived<'_>) {
        let far = topology::caller_end(arrived);
        let busy = self.collision(side, arrived.essentials.cseq.method);
        let code = match (&far, busy) {
            (None, _) => Some(400),
            (_, busy) if self.call.is_led() => busy.or(Some(491)),
            (_, busy) => busy,
        };
        let (Some(far), None) = (far, code) else {
            return self.refuse_for_now(server, side, code.unwrap_or(400));
        };
        let essentials = arrived.essentials;
        let mut leg = Leg::new(
            arrived.flow,
            self.tools.mint.token(),
            essentials.call_id,
            essentials.to.uri_text,
            essentials.from.uri_text,
        );
        leg.far = far;
        leg.remote_cseq = Some(essentials.cseq.number);
        leg.allow = MethodSet::allow(arrived.message);
        let tag = leg.local_tag;
        self.tools.index_leg(self.key, side, tag);
        let owner = Owner {
            call: self.key,
            role: Role::Relay,
        };
        self.tools.transactions.set_owner(server, owner);
        self.call.elsewhere = Some(Box::new(Elsewhere::Replaced { leg, server }));
        self.relay(side, server, tag, arrived);
    }

    /// Something in the dialog of an INVITE that is to take this leg's place. Says whether it
    /// was that. Its ACK with the answer to the carrier's offer has it do so; without one
    /// whoever sent it could not use the offer, and the leg stays what it is.
    pub(super) fn of_replacing(
        &mut self,
        side: Side,
        server: Option<ServerKey>,
        arrived: &Arrived<'_>,
    ) -> bool {
        let Some(Elsewhere::Replaced { leg, server: by }) = self.call.elsewhere.as_deref() else {
            return false;
        };
        let (tag, by, essentials) = (leg.local_tag, *by, arrived.essentials);
        let theirs = tag.text() == *essentials.to_tag.unwrap_or_default()
            && leg.call_id() == essentials.call_id
            && leg.far.tag() == arrived.sender_tag();
        match server {
            _ if !theirs => return false,
            Some(server) => {
                let ends = essentials.cseq.method == Method::Bye;
                self.respond(server, (if ends { 200 } else { 491 }, tag), b"", |_| {});
                if ends {
                    self.not_replaced_by(by);
                }
            }
            None if arrived.message.body().is_empty() => {
                self.not_replaced_by(by);
                self.stop_resending_to(side);
            }
            None => {
                if let Some(leg) = self.call.take_replacing(by) {
                    self.lead(side, leg);
                    self.acknowledged(side, arrived);
                }
            }
        }
        true
    }

    /// This INVITE does not take the leg's place. Says whether it was to.
    pub(super) fn not_replaced_by(&mut self, by: ServerKey) -> bool {
        let leg = self.call.take_replacing(by);
        if let Some(leg) = &leg {
            self.tools.forget_tag(leg.local_tag);
        }
        leg.is_some()
    }
}

impl Call {
    /// The leg that this INVITE is to bring in another's place.
    pub(super) fn replacing(&self, by: ServerKey) -> Option<&Leg> {
        match self.elsewhere.as_deref()? {
            Elsewhere::Replaced { leg, server } if *server == by => Some(leg),
            _ => None,
        }
    }

    fn take_replacing(&mut self, by: ServerKey) -> Option<Leg> {
        self.replacing(by)?;
        match *self.elsewhere.take()? {
            Elsewhere::Replaced { leg, .. } => Some(leg),
            _ => None,
        }
    }
}
