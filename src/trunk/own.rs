//! One registration of Tollgate's, and the REGISTER it is kept up with (RFC 3261 §10.2).

use std::sync::Arc;
use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::limits::REGISTER_PAUSE_S;
use crate::base::token::{Buckets, Token};
use crate::base::wheel::TimerId;
use crate::policy::{Answered, Carrier, CarrierId, Gateway, Registration};
use crate::sip::draft::{Draft, Packet};
use crate::sip::header::HeaderId;
use crate::transaction::ClientKey;

/// What is registered with one carrier, and how far that has come.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: CarrierId,
    pub(super) name: Arc<str>,
    pub(super) account: Registration,
    /// The way to the carrier.
    pub(super) flow: Flow,
    /// Our address on that way, as text.
    pub(super) here: String,
    /// The user part of our Contact.
    pub(super) user: [u8; Token::LEN],
    /// Which instance of a user agent that is (RFC 5626 §4.1), for a GRUU.
    pub(super) instance: String,
    pub(super) call_id: [u8; Buckets::AIMED_LEN],
    pub(super) tag: Token,
    pub(super) cseq: u32,
    /// For how many seconds it asks: more than is configured where the carrier wants that.
    pub(super) asks_s: u32,
    pub(super) answered: Answered,
    /// Rounds that failed since the last one that did not.
    pub(super) failures: u32,
    /// Why the last one did.
    pub(super) why: String,
    /// The REGISTER under way.
    pub(super) client: Option<ClientKey>,
    /// Runs to the next REGISTER.
    pub(super) next: Option<TimerId>,
    /// Runs to the end of what was granted.
    pub(super) end: Option<TimerId>,
}

impl Own {
    /// Whether it is the account of this carrier as it is now, on a way that it still has.
    pub(super) fn is_of(&self, carrier: &Carrier, here: impl Fn(&Gateway) -> String) -> bool {
        let way = |it: &Gateway| it.flow() == self.flow && here(it) == self.here;
        self.name == carrier.name
            && carrier.gateways.iter().any(way)
            && carrier.registration.as_ref() == Some(&self.account)
    }

    /// What is registered: a URI.
    pub(super) fn contact(&self) -> Vec<u8> {
        let here = [self.here.as_str(), self.flow.transport.uri_param()].map(str::as_bytes);
        let [address, param] = here;
        [b"sip:", self.user.as_slice(), b"@", address, param].concat()
    }

    /// The next REGISTER.
    pub(super) fn register(&mut self, scratch: &mut Vec<u8>, branch: Token) -> Packet {
        self.cseq = self.cseq.saturating_add(1);
        let transport = self.flow.transport;
        let mut draft = Draft::request(scratch, b"REGISTER", self.account.registrar.as_bytes());
        draft.put_args(
            HeaderId::Via,
            format_args!(
                "SIP/2.0/{} {};branch=z9hG4bK{branch};rport",
                transport.via_name(),
                self.here
            ),
        );
        draft.put(HeaderId::MaxForwards, b"70");
        let aor = self.account.aor.as_bytes();
        draft.put_parts(HeaderId::From, &[b"<", aor, b">;tag=", &self.tag.text()]);
        draft.put_parts(HeaderId::To, &[b"<", aor, b">"]);
        draft.put(HeaderId::CallId, &self.call_id);
        draft.put_args(HeaderId::CSeq, format_args!("{} REGISTER", self.cseq));
        let (contact, instance) = (self.contact(), self.instance.as_bytes());
        let parts: [&[u8]; 5] = [b"<", &contact, b">;+sip.instance=\"<", instance, b">\""];
        match self.account.gruu {
            true => draft.put_parts(HeaderId::Contact, &parts),
            false => draft.put_parts(HeaderId::Contact, &[b"<", &contact, b">"]),
        };
        draft.put_args(HeaderId::Expires, format_args!("{}", self.asks_s));
        let supported: &[u8] = match self.account.gruu {
            true => b"path, gruu",
            false => b"path",
        };
        draft.put(HeaderId::Supported, supported);
        draft.seal(None)
    }
}

/// How long to wait after so many failures in a row, `chance` of 1,024 parts of the upper
/// half of it: carriers that come back must not hear all at once (RFC 5626 §4.5).
pub(super) fn pause(failures: u32, chance: u128) -> Duration {
    let (least, most) = REGISTER_PAUSE_S;
    let seconds = least
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(most);
    let whole = Duration::from_secs(u64::from(seconds.clamp(least, most)));
    part(whole / 2, whole / 2, chance)
}

/// When to renew what was granted for so many seconds: in its third quarter, so that
/// there is time left to try again.
pub(super) fn renewal(granted_s: u32, chance: u128) -> Duration {
    let (least, _) = REGISTER_PAUSE_S;
    let whole = Duration::from_secs(u64::from(granted_s.max(2 * least)));
    part(whole / 2, whole / 4, chance)
}

fn part(sure: Duration, more: Duration, chance: u128) -> Duration {
    let parts = u32::try_from(chance % 1_024).unwrap_or(0);
    sure + more * parts / 1_024
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pause_grows_and_has_an_end(failures in any::<u32>(), chance in any::<u128>()) {
            let pause = pause(failures, chance).as_secs_f64();
            let (least, most) = REGISTER_PAUSE_S;
            prop_assert!(pause >= f64::from(least) / 2.0 && pause <= f64::from(most));
        }

        #[test]
        fn a_renewal_comes_before_the_end(granted in 10_u32.., chance in any::<u128>()) {
            let renewal = renewal(granted, chance).as_secs_f64();
            let whole = f64::from(granted);
            prop_assert!(renewal >= whole / 2.0 && renewal <= whole * 0.75);
        }
    }
}
