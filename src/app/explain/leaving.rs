//! What the carrier is told that is called.

use crate::policy::{Permit, RuleSet, TenantId};

/// The number as it leaves, and for which carrier.
pub(super) struct Leaving<'r> {
    /// As the carrier wants it written.
    pub(super) number: String,
    /// Of the tenant's carriers the first.
    pub(super) carrier: &'r str,
}

impl<'r> Leaving<'r> {
    /// How a call of this tenant's leaves.
    pub(super) fn of(rules: &'r RuleSet, tenant: TenantId, permit: &Permit) -> Option<Self> {
        let first = rules.tenant(tenant)?.carriers.first();
        let carrier = match first {
            Some(choice) => rules.carrier(choice.carrier)?,
            None => rules.carriers().first()?,
        };
        let mut number = String::new();
        let plan = rules.plan(tenant)?;
        let written = plan.write(&permit.number, carrier.number_format, &mut number);
        written.ok().map(|()| Self {
            number,
            carrier: &carrier.name,
        })
    }
}
