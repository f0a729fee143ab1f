//! Who calls whom, as a carrier is told: written afresh from what was judged.

use crate::base::token::Buckets;
use crate::policy::{
    Allowed, Carrier, Gateway, Permit, Presentation, RuleSet, Seat, Tenant, TenantId,
};
use crate::record::{CallRef, Direction};

use super::account::Account;
use super::leg::Far;
use super::onward::Onward;
use super::open::Opening;

/// The URI of who does not want to be named (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// The URIs of the carrier's leg, written afresh.
pub(super) struct Uris {
    pub(super) called: String,
    /// Of who does not want to be named, if that is so.
    anonymous: Option<&'static str>,
    pub(super) identity: String,
    pub(super) diversion: Option<String>,
}

impl Uris {
    /// Who calls, as everybody may see.
    pub(super) fn from(&self) -> &str {
        self.anonymous.unwrap_or(&self.identity)
    }

    pub(super) fn of(
        rules: &RuleSet,
        tenant: TenantId,
        carrier: &Carrier,
        permit: &Permit,
        (scheme, here): (&str, &str),
    ) -> Self {
        let mut user = String::with_capacity(32);
        if let Some(plan) = rules.plan(tenant) {
            let format = carrier.number_format;
            // Writing to a string cannot fail.
            let _ = plan.write(&permit.number, format, &mut user);
        }
        let host = &carrier.host;
        let called = match user.as_bytes().first() {
            Some(b'u') => user,
            _ => [scheme, &user, "@", host, carrier.user_param(&user)].concat(),
        };
        let number = permit.caller.number.as_str();
        let withheld = permit.presentation == Presentation::Withhold;
        Self {
            called,
            anonymous: withheld.then_some(ANONYMOUS),
            identity: ["sip:", number, "@", here].concat(),
            diversion: permit
                .caller
                .forwarded_by()
                .map(|number| format!("sip:{}@{here}", number.as_str())),
        }
    }
}

/// The Privacy header's value (RFC 3323).
fn privacy(presentation: Presentation) -> Option<&'static [u8]> {
    match presentation {
        Presentation::Unstated => None,
        Presentation::Show => Some(b"none"),
        Presentation::Withhold => Some(b"id"),
    }
}

/// A call that leaves for a carrier.
pub(super) struct Leaving<'a> {
    pub(super) reference: CallRef,
    pub(super) emergency: bool,
    pub(super) tenant: &'a Tenant,
    pub(super) abroad: bool,
    pub(super) carrier: &'a Carrier,
    pub(super) gateway: &'a Gateway,
    pub(super) call_id: [u8; Buckets::AIMED_LEN],
    /// The value of Route that the carrier wants there.
    pub(super) routes: &'a [u8],
    pub(super) uris: &'a Uris,
}

impl<'a> Leaving<'a> {
    /// What its leg says and the call keeps: the caller's end, its place at the carrier,
    /// and where else it may go; as what it was admitted, and what it may cost.
    pub(super) fn opening(
        self,
        (far, seat, onward): (Far, Seat, Option<Box<Onward>>),
        allowed: Allowed,
        account: Option<Box<Account>>,
    ) -> Opening<'a> {
        let (carrier, uris) = (self.carrier, self.uris);
        Opening {
            reference: self.reference,
            direction: Direction::Outbound,
            emergency: self.emergency,
            tenant: &self.tenant.name,
            abroad: self.abroad,
            peer: &carrier.name,
            far,
            hold: Some(allowed.hold),
            seat: Some(seat),
            onward,
            account,
            call_id: self.call_id,
            flow: self.gateway.flow(),
            uri: uris.called.as_bytes(),
            target: None,
            routes: self.routes,
            from: uris.from().as_bytes(),
            identity: Some(uris.identity.as_bytes()),
            diversion: uris.diversion.as_deref().map(str::as_bytes),
            privacy: privacy(allowed.permit.presentation),
            numbers: uris
                .anonymous
                .is_none()
                .then_some((allowed.permit.caller.number, allowed.permit.number)),
            ring: allowed.longest_ring,
            longest: allowed.longest_call,
        }
    }
}
