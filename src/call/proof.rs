//! Calls from where somebody has registered: over UDP that says little, so each proves
//! whose it is.

use crate::base::time::Now;
use crate::policy::{Peer, Proof, TenantId, challenge};
use crate::sip::header::HeaderId;
use crate::transaction::ServerKey;

use super::{Arrived, Calls, Outbox};

impl Calls {
    /// Asks who calls, where that is to be asked and is not proved: 407. Never an
    /// emergency call.
    pub(super) fn asks_proof(
        &mut self,
        now: Now,
        tenant: TenantId,
        server: ServerKey,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Arrived { flow, message, .. } = *arrived;
        let (rules, key) = (&self.tools.rules, self.tools.bucket_key);
        if !rules.wants_proof(flow) || self.is_emergency(Peer::Tenant(tenant), arrived) {
            return false;
        }
        let fields = (message, HeaderId::ProxyAuthorization);
        let stale = match rules.prove((key, now.mono), flow, fields) {
            Proof::Given(account) if account.tenant == tenant => return false,
            Proof::Given(_) => false,
            Proof::Wanted { stale } => stale,
        };
        let rules = std::sync::Arc::clone(rules);
        self.answer(now, server, 407, out, |draft| {
            for algorithm in rules.algorithms(flow) {
                let value = challenge((key, now.mono), (message, flow.remote), *algorithm, stale);
                draft.put(HeaderId::ProxyAuthenticate, value.as_bytes());
            }
        });
        true
    }
}
