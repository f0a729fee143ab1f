//! Reading: from a URI to the one number that it means.

use std::ops::Range;

use super::dialled::{Dialled, Style};
use super::steps::Part;
use super::{Lead, Meaning, Plan, urn};
use crate::base::limits::DIALLED_BYTES;
use crate::policy::number::{Kind, NotANumber, NotANumberKind, Number, Privacy, Reading, offset};
use crate::policy::numbering::{Impossible, Length, Numbering};
use crate::sip::uri::{SipUri, TelUri, Uri};

/// Reads a URI, and says on the way what each stretch of the digits is.
pub(super) fn uri(
    plan: &Plan,
    uri: &Uri<'_>,
    numbering: &Numbering,
    note: impl FnMut(&Dialled<'_>, Part, Range<usize>),
) -> Result<Reading, NotANumber> {
    match uri {
        Uri::Sip(uri) => sip(plan, uri, numbering, note),
        Uri::Tel(uri) => tel(plan, uri, numbering, note),
        Uri::Urn(text) => {
            within(text.len())?;
            urn::read(text)
        }
        Uri::Other { .. } => Err(NotANumberKind::Scheme.at(0)),
    }
}

/// Refuses to read more than any number needs.
fn within(bytes: usize) -> Result<(), NotANumber> {
    match bytes <= DIALLED_BYTES {
        true => Ok(()),
        false => Err(NotANumberKind::Length.at(DIALLED_BYTES)),
    }
}

fn sip(
    plan: &Plan,
    uri: &SipUri<'_>,
    numbering: &Numbering,
    note: impl FnMut(&Dialled<'_>, Part, Range<usize>),
) -> Result<Reading, NotANumber> {
    let user = uri.user.unwrap_or_default();
    if uri.password.is_some() {
        return Err(NotANumberKind::Password.at(user.len()));
    }
    if uri.headers.is_some() {
        return Err(NotANumberKind::Headers.at(user.len()));
    }
    within(user.len())?;
    // Behind more parameters than that it is not looked for: then separators are none.
    let short = within(uri.params.len()).is_ok();
    let kind = short.then(|| uri.param(b"user")).flatten().flatten();
    let phone = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"phone"));
    let style = if phone { Style::Phone } else { Style::User };
    let end = user
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(user.len());
    let (number, params) = user.split_at_checked(end).unwrap_or_default();
    let context = parameters(plan, params, end)?;
    let dialled = Dialled::collect(number, style)?;
    let reading = dialled_number(plan, &dialled, numbering, note)?;
    context.judge(plan, &dialled, reading)
}

fn tel(
    plan: &Plan,
    uri: &TelUri<'_>,
    numbering: &Numbering,
    note: impl FnMut(&Dialled<'_>, Part, Range<usize>),
) -> Result<Reading, NotANumber> {
    within(uri.number.len().saturating_add(uri.params.len()))?;
    let context = parameters(plan, uri.params, uri.number.len())?;
    let dialled = Dialled::collect(uri.number, Style::Tel)?;
    let reading = dialled_number(plan, &dialled, numbering, note)?;
    let local = !dialled.bytes().starts_with(b"+");
    // RFC 3966 §5.1.4: a local number without a context is nobody's. An emergency
    // number is everybody's.
    if local && context == Context::None && reading.kind != Kind::Emergency {
        return Err(NotANumberKind::NoContext.at(uri.number.len()));
    }
    context.judge(plan, &dialled, reading)
}

/// The `phone-context` of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    None,
    /// The plan's own country; the parameter's offset.
    Own(u16),
}

impl Context {
    /// A context belongs to a local number, and only an emergency number may have
    /// one that the plan does not list: it is no prefix (RFC 3966 §5.1.5).
    fn judge(
        self,
        plan: &Plan,
        dialled: &Dialled<'_>,
        reading: Reading,
    ) -> Result<Reading, NotANumber> {
        let Self::Own(at) = self else {
            return Ok(reading);
        };
        let local = !dialled.bytes().contains(&b'+');
        let listed = plan
            .parameters
            .iter()
            .any(|name| name.eq_ignore_ascii_case(CONTEXT));
        if local && (listed || reading.kind == Kind::Emergency) {
            Ok(reading)
        } else {
            Err(NotANumber {
                kind: NotANumberKind::Context,
                at,
            })
        }
    }
}

const CONTEXT: &[u8] = b"phone-context";

/// Judges the parameters of a number, `;name=value;name`, which begin at this offset.
fn parameters(plan: &Plan, params: &[u8], start: usize) -> Result<Context, NotANumber> {
    let mut context = Context::None;
    if params.is_empty() {
        return Ok(context);
    }
    let mut at = start;
    for param in params.split(|byte| *byte == b';').skip(1) {
        at += 1;
        let (name, value) = match param.iter().position(|byte| *byte == b'=') {
            Some(end) => {
                let (name, value) = param.split_at_checked(end).unwrap_or_default();
                (name, value.get(1..).unwrap_or_default())
            }
            None => (param, &[][..]),
        };
        if name.eq_ignore_ascii_case(CONTEXT) {
            if context != Context::None || !is_own_country(plan, value) {
                return Err(NotANumberKind::Context.at(at));
            }
            context = Context::Own(offset(at));
        } else if !plan
            .parameters
            .iter()
            .any(|listed| name.eq_ignore_ascii_case(listed))
        {
            return Err(NotANumberKind::Parameter.at(at));
        }
        at += param.len();
    }
    Ok(context)
}

/// Whether a context is `+` and the calling code of the plan's country.
fn is_own_country(plan: &Plan, context: &[u8]) -> bool {
    !plan.code.is_empty() && context.strip_prefix(b"+") == Some(&*plan.code)
}

/// What of the digits in front of a number was seen.
#[derive(Default)]
struct Seen {
    privacy: Option<Privacy>,
    carrier_code: bool,
    ignored: u32,
}

impl Seen {
    /// Notes what stands in front of the number; each once, never shown and withheld.
    fn note(&mut self, lead: Lead) -> Result<(), NotANumberKind> {
        let (asked, already) = match lead {
            Lead::Withhold => (Some(Privacy::Withhold), self.privacy.is_some()),
            Lead::Show => (Some(Privacy::Show), self.privacy.is_some()),
            Lead::CarrierCode => (None, std::mem::replace(&mut self.carrier_code, true)),
            Lead::Ignored(place) => {
                let bit = 1_u32 << (place & 31);
                let already = self.ignored & bit != 0;
                self.ignored |= bit;
                (None, already)
            }
            Lead::International | Lead::National => (None, false),
        };
        match (asked, self.privacy) {
            (Some(new), Some(old)) if new != old => Err(NotANumberKind::ShownAndWithheld),
            _ if already => Err(NotANumberKind::Repeated),
            (None, _) => Ok(()),
            (Some(new), _) => {
                self.privacy = Some(new);
                Ok(())
            }
        }
    }
}

/// Reads the digits from the left. Every round takes at least one digit away.
fn dialled_number(
    plan: &Plan,
    dialled: &Dialled<'_>,
    numbering: &Numbering,
    mut note: impl FnMut(&Dialled<'_>, Part, Range<usize>),
) -> Result<Reading, NotANumber> {
    let digits = dialled.bytes();
    let mut seen = Seen::default();
    let mut at = 0;
    loop {
        let rest = digits.get(at..).unwrap_or_default();
        let fault = |kind| {
            Err(NotANumber {
                kind,
                at: dialled.place(at),
            })
        };
        let (whole, lead) = plan.meaning(rest);
        if let Some(kind) = whole {
            let Some(number) = Number::short(rest) else {
                return fault(NotANumberKind::Length);
            };
            note(dialled, Part::Whole(kind), at..digits.len());
            return Ok(Reading {
                number,
                kind,
                privacy: seen.privacy,
            });
        }
        let (code, from): (&[u8], usize) = match (rest.first(), lead) {
            (None, _) => return fault(NotANumberKind::Empty),
            (Some(b'+'), _) if plan.plus => (b"", at + 1),
            (_, Some((Lead::International, length))) => (b"", at + length),
            (_, Some((Lead::National, length))) => (&plan.code, at + length),
            (_, Some((lead, length))) => {
                if let Err(kind) = seen.note(lead) {
                    return fault(kind);
                }
                note(dialled, Part::of(lead), at..at + length);
                at += length;
                continue;
            }
            (Some(b'0'..=b'9'), None) if plan.bare => (&plan.code, at),
            (_, None) => return fault(NotANumberKind::NoPrefix),
        };
        if from > at {
            let prefix = lead.map_or(Part::Plus, |(lead, _)| Part::of(lead));
            note(dialled, prefix, at..from);
        }
        let (number, kind) = international(dialled, code, from, numbering).map_err(|fault| {
            // "00…" where 0 is the national prefix: the prefix is what is not known.
            if fault.kind == NotANumberKind::TrunkPrefix && !code.is_empty() {
                NotANumber {
                    kind: NotANumberKind::NoPrefix,
                    at: dialled.place(at),
                }
            } else {
                fault
            }
        })?;
        note(dialled, Part::behind(code), from..digits.len());
        return Ok(Reading {
            number,
            kind,
            privacy: seen.privacy,
        });
    }
}

/// The international number with this calling code (empty: the digits begin with
/// it) and the digits from this index on.
fn international(
    dialled: &Dialled<'_>,
    code: &[u8],
    from: usize,
    numbering: &Numbering,
) -> Result<(Number, Kind), NotANumber> {
    let rest = dialled.bytes().get(from..).unwrap_or_default();
    let fault = |kind, index| NotANumber {
        kind,
        at: dialled.place(index),
    };
    if let Some(plus) = rest.iter().position(|byte| *byte == b'+') {
        return Err(fault(NotANumberKind::Plus, from + plus));
    }
    if rest.is_empty() {
        return Err(fault(NotANumberKind::Empty, from));
    }
    let end = from + rest.len();
    let number = Number::join(&[b"+", code, rest]);
    let digits = number.as_ref().and_then(Number::international_digits);
    let (Some(number), Some(digits)) = (number, digits) else {
        return Err(fault(NotANumberKind::Length, end));
    };
    let range = numbering.lookup(digits);
    if range.length == Length::Ok {
        return Ok((
            number,
            Kind::International {
                country: range.country,
                class: range.class,
            },
        ));
    }
    Err(match numbering.why_impossible(digits) {
        Impossible::CallingCode => fault(NotANumberKind::CallingCode, from),
        Impossible::TrunkPrefix => {
            let known = digits.len() - rest.len();
            let zero = numbering.calling_code_length(digits).saturating_sub(known);
            fault(NotANumberKind::TrunkPrefix, from + zero)
        }
        Impossible::Length => fault(NotANumberKind::Length, end),
    })
}

impl Plan {
    /// What the digits are as a whole, and what they begin with.
    pub(super) fn meaning(&self, digits: &[u8]) -> (Option<Kind>, Option<(Lead, usize)>) {
        let (mut whole, mut lead) = (None, None);
        for (
            Meaning {
                lead: found,
                whole: kind,
            },
            length,
        ) in self.meanings.matches(digits)
        {
            lead = found.map(|found| (found, length)).or(lead);
            whole = kind.filter(|_| length == digits.len());
        }
        (whole, lead)
    }
}
