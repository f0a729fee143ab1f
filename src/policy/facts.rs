//! What of a call the rules look at, and what of the caller goes on to the
//! carrier.

use std::net::IpAddr;

use super::lane::{Forwarded, Lane, Otherwise};
use super::number::{Number, Privacy};
use super::plan::Plan;
use super::reason::Reason;
use super::ruleset::{RuleId, RuleSet, TenantId};
use super::target::Packed;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

/// A call that a tenant's phone system asks for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose it is: by where it came from, never by what it says.
    pub tenant: TenantId,
    /// The address that it came from.
    pub source: IpAddr,
    /// Where it is to go.
    pub request_uri: Uri<'a>,
    /// P-Asserted-Identity (RFC 3325).
    pub pai: Option<NameAddr<'a>>,
    /// P-Preferred-Identity (RFC 3325).
    pub ppi: Option<NameAddr<'a>>,
    /// From.
    pub from: NameAddr<'a>,
    /// Who forwarded it, the last one first: Diversion (RFC 5806), History-Info
    /// (RFC 7044); or transferred it: Referred-By (RFC 3892).
    pub forwarded_by: &'a [NameAddr<'a>],
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

/// Who the carrier is told is calling: a number of the tenant's own, or one that
/// such a number forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number.
    pub number: Number,
    /// It is not the one that the phone system gave.
    pub replaced: bool,
    /// See [`Caller::forwarded_by`]; zero for none.
    pub(super) by: Packed,
}

impl Caller {
    /// The tenant's number that forwards a call which shows another's.
    #[must_use]
    pub fn forwarded_by(&self) -> Option<Number> {
        let by = Some(self.by).filter(|it| *it != Packed::default());
        by.and_then(Packed::number)
    }
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

    /// Where the phone system says who is calling: in what it asserts, else
    /// prefers, else in From.
    fn caller(&self) -> &NameAddr<'_> {
        self.pai
            .as_ref()
            .or(self.ppi.as_ref())
            .unwrap_or(&self.from)
    }
}

/// What is in front of the `@` of a sip URI, and what is behind it, with all that
/// may be in them: for a quick look at what nearly always is plain.
fn user_and_rest(uri: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = match uri {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', rest @ ..]
        | [
            b's' | b'S',
            b'i' | b'I',
            b'p' | b'P',
            b's' | b'S',
            b':',
            rest @ ..,
        ] => rest,
        _ => return None,
    };
    let (user, rest) = match rest.iter().position(|byte| *byte == b'@') {
        Some(at) => rest.split_at_checked(at)?,
        None => (&[][..], rest),
    };
    Some((user, rest.strip_prefix(b"@").unwrap_or(rest)))
}

/// Whether a From says that it says nothing (RFC 3323 §4.1.1.3).
fn is_anonymous(from: &NameAddr<'_>) -> bool {
    const HOST: &[u8] = b"anonymous.invalid";
    let Some((user, rest)) = user_and_rest(from.uri_text) else {
        return false;
    };
    let host = rest.get(..HOST.len()).unwrap_or_default();
    user.eq_ignore_ascii_case(b"anonymous") || host.eq_ignore_ascii_case(HOST)
}

/// Who is calling, as far as the tenant's numbers go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// The number to show.
    pub number: Packed,
    /// The tenant's number that the call counts for.
    pub counted: Packed,
    /// It is not the one that was given.
    pub replaced: bool,
    /// It was not the tenant's, and the tenant says that such calls are refused.
    pub refused: Option<(Reason, RuleId)>,
}

impl Identity {
    fn own(number: Packed) -> Self {
        Self {
            number,
            counted: number,
            replaced: false,
            refused: None,
        }
    }

    /// What shows no number but the tenant's.
    pub(super) fn without_others(self) -> Self {
        Self {
            number: self.counted,
            replaced: self.replaced || self.number != self.counted,
            ..self
        }
    }
}

impl RuleSet {
    /// The number to show for a call.
    pub(super) fn identify(&self, lane: &Lane, plan: &Plan, facts: &Facts<'_>) -> Identity {
        let address = facts.caller();
        let own = |number: &Packed| self.owns(lane, *number);
        let given = self
            .plain_caller(lane, address)
            .filter(own)
            .or_else(|| self.read_caller(plan, address).filter(own));
        match given {
            Some(number) => Identity::own(number),
            None => self.stranger(lane, plan, facts),
        }
    }

    /// The same, of a caller whose number is not the tenant's.
    #[cold]
    fn stranger(&self, lane: &Lane, plan: &Plan, facts: &Facts<'_>) -> Identity {
        let address = facts.caller();
        let own = |number: &Packed| self.owns(lane, *number);
        let mut forwarded = facts.forwarded_by.iter();
        let by = forwarded.find_map(|by| self.read_caller(plan, by).filter(own));
        let other = Identity {
            replaced: true,
            ..Identity::own(lane.default)
        };
        match (by, lane.forwarded) {
            (Some(by), Forwarded::Replace) => Identity {
                replaced: true,
                ..Identity::own(by)
            },
            (Some(by), Forwarded::Keep) => {
                let given = self.read_caller(plan, address);
                let given = given.filter(|number| !number.is_short());
                Identity {
                    number: given.unwrap_or(by),
                    replaced: given.is_none(),
                    ..Identity::own(by)
                }
            }
            (Some(_), Forwarded::Refuse) => Identity {
                // The line about it is behind the one about callers.
                refused: Some((Reason::CallForwarded, RuleId(lane.callers.0 + 1))),
                ..other
            },
            _ => Identity {
                refused: (lane.otherwise == Otherwise::Refuse)
                    .then_some((Reason::CallerNotOwn, lane.callers)),
                ..other
            },
        }
    }

    /// A caller's number written with `+`, or behind the national prefix, and
    /// with nothing else to it. That it is read without the plan cannot make it
    /// another's: it only counts if it is the tenant's own.
    fn plain_caller(&self, lane: &Lane, address: &NameAddr<'_>) -> Option<Packed> {
        let (user, _) = user_and_rest(address.uri_text)?;
        if let Some(digits) = user.strip_prefix(b"+") {
            return Packed::international(digits);
        }
        let home = self.homes.get(usize::from(lane.plan))?;
        let digits = user.strip_prefix(home.prefix.as_deref()?)?;
        Packed::joined(&home.code, digits)
    }

    /// A caller's number as the plan reads it.
    pub(super) fn read_caller(&self, plan: &Plan, address: &NameAddr<'_>) -> Option<Packed> {
        let reading = plan.read(&address.uri().ok()?, self.numbering()).ok()?;
        Packed::of(&reading.number)
    }
}
