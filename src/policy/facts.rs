//! What of a call the rules look at, and what of the caller goes on to the
//! carrier.

use super::number::{Number, Privacy};
use super::plan::Plan;
use super::ruleset::{Lane, Otherwise, RuleSet, TenantId};
use super::target::Packed;
use crate::sip::host::Host;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

/// A call that a tenant's phone system asks for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose it is: by where it came from, never by what it says.
    pub tenant: TenantId,
    /// Where it is to go.
    pub request_uri: Uri<'a>,
    /// P-Asserted-Identity (RFC 3325).
    pub pai: Option<NameAddr<'a>>,
    /// P-Preferred-Identity (RFC 3325).
    pub ppi: Option<NameAddr<'a>>,
    /// From.
    pub from: NameAddr<'a>,
    /// Whether a Privacy field (RFC 3323) asks that the caller be hidden.
    pub privacy: bool,
}

/// What the carrier is told of the caller's wish (RFC 3323, RFC 3325 §9.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presentation {
    /// Nothing: the number is shown, unless the carrier has other orders.
    #[default]
    Unstated,
    /// `Privacy: none`: the caller dialled that it be shown (Japan: 186).
    Show,
    /// `Privacy: id` and an anonymous From (Japan: 184).
    Withhold,
}

/// Who the carrier is told is calling: always a number of the tenant's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number.
    pub number: Number,
    /// It is not the one that the phone system gave.
    pub replaced: bool,
}

impl Facts<'_> {
    /// What the caller wishes: dialled digits go before header fields.
    pub(super) fn presentation(&self, dialled: Option<Privacy>) -> Presentation {
        match dialled {
            Some(Privacy::Withhold) => Presentation::Withhold,
            Some(Privacy::Show) => Presentation::Show,
            None if self.privacy || is_anonymous(&self.from) => Presentation::Withhold,
            None => Presentation::Unstated,
        }
    }

    /// The number that the phone system gives as the caller's: what it asserts,
    /// else prefers, else says in From.
    fn caller(&self, plan: &Plan, rules: &RuleSet) -> Option<Packed> {
        let address = self
            .pai
            .as_ref()
            .or(self.ppi.as_ref())
            .unwrap_or(&self.from);
        let uri = address.uri().ok()?;
        let reading = plan.read(&uri, rules.numbering()).ok()?;
        Packed::of(&reading.number)
    }
}

/// Whether a From says that it says nothing (RFC 3323 §4.1.1.3).
fn is_anonymous(from: &NameAddr<'_>) -> bool {
    let Ok(Uri::Sip(uri)) = from.uri() else {
        return false;
    };
    let user = uri.user.unwrap_or_default();
    let host = match uri.host {
        Host::Name(name) => name,
        Host::Ip(_) => b"",
    };
    user.eq_ignore_ascii_case(b"anonymous") || host.eq_ignore_ascii_case(b"anonymous.invalid")
}

/// Who is calling, as far as the tenant's numbers go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// The number to show.
    pub number: Packed,
    /// It is not the one that was given.
    pub replaced: bool,
    /// It was not the tenant's, and the tenant says that such calls are refused.
    pub refused: bool,
}

impl RuleSet {
    /// The number to show for a call.
    pub(super) fn identify(&self, lane: &Lane, plan: &Plan, facts: &Facts<'_>) -> Identity {
        let given = facts.caller(plan, self);
        match given.filter(|&number| self.owns(lane, number)) {
            Some(number) => Identity {
                number,
                replaced: false,
                refused: false,
            },
            None => Identity {
                number: lane.default,
                replaced: true,
                refused: lane.otherwise == Otherwise::Refuse,
            },
        }
    }
}
