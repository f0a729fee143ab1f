//! An INVITE that takes the place of a phone system's dialog in a call that is up (RFC
//! 3891): the other half of a transfer to whom the phone system has called before.
//!
//! It costs nothing new, and is no new call: it is carried to the carrier like an INVITE
//! inside the dialog, and once the carrier takes it the leg is the sender's. Only another
//! call of the same tenant may do so, from inside.

use crate::base::time::Now;
use crate::policy::TenantId;
use crate::record::Side;
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::replaces::Replaces;
use crate::transaction::ServerKey;

use super::call::{Call, CallKey, Owner, Role};
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
            self.answer(now, server, 481, out, |_| {});
            return true;
        };
        self.turn(key, now, out, |turn| turn.replace(side, server, arrived));
        true
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

    /// The carrier has taken this INVITE: if it was to take the requester's leg's place, it
    /// does.
    pub(super) fn replaced_by(&mut self, side: Side, by: ServerKey) {
        if let Some(leg) = self.call.take_replacing(by) {
            self.lead(side, leg, None);
        }
    }

    /// The carrier has not taken it.
    pub(super) fn not_replaced_by(&mut self, by: ServerKey) {
        if let Some(leg) = self.call.take_replacing(by) {
            self.tools.forget_tag(leg.local_tag);
        }
    }
}

impl Call {
    /// The leg that this INVITE is to bring in another's place.
    fn take_replacing(&mut self, by: ServerKey) -> Option<Leg> {
        let this = |it: &mut Box<Elsewhere>| matches!(**it, Elsewhere::Replaced { server, .. } if server == by);
        match *self.elsewhere.take_if(this)? {
            Elsewhere::Replaced { leg, .. } => Some(leg),
            _ => None,
        }
    }
}
