//! A trunk's dial plan: what its dialled digits mean, and how a number is written for it.
//!
//! Reading is strict: what has no single meaning is no number. Digits are read
//! from the left in a bounded loop:
//!
//! ```text
//! { before }   184 186 carrier code …   each once, in any order
//! then one of
//!   the whole rest is an emergency number or a short code
//!   international prefix or +, digits   "010 44 20 7183 8750"
//!   national prefix, digits             "0 3 3557 1234"
//! ```
//!
//! and the digits of a number must be ones that can exist by the numbering table.

use std::collections::BTreeMap;

use super::number::{Kind, NotANumber, Number, Reading};
use super::numbering::{Country, Numbering};
use super::prefix::Trie;
use crate::sip::uri::Uri;

pub use steps::{Part, Step};

mod check;
mod dialled;
mod read;
mod steps;
mod urn;
mod write;

/// A dial plan as written in `policies/plans/*.toml`. What is absent there is empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSpec {
    /// `name`
    pub name: String,
    /// `country`: ISO 3166 alpha-2 in lower case; empty for a plan of no country.
    pub country: String,
    /// `[before]`: what may stand in front of a number.
    pub before: BeforeSpec,
    /// `international.prefixes`: what is behind one of them is an international
    /// number; "+" is one too.
    pub international_prefixes: Vec<String>,
    /// `national.prefix`: what is behind it is a number of the plan's country.
    /// `Some("")`: national numbers are dialled bare. `None`: they are not dialled.
    pub national_prefix: Option<String>,
    /// `national.optional`: the national prefix may be left out.
    pub national_optional: bool,
    /// `emergency.numbers`
    pub emergency_numbers: Vec<String>,
    /// `[emergency.urn]`: what the carrier takes for "sos", "sos.fire" …
    pub emergency_urns: BTreeMap<String, String>,
    /// `[services]`: short codes, each with its class ("service.paid").
    pub services: BTreeMap<String, String>,
    /// `parameters.allowed`: parameters of a number that may be there and mean
    /// nothing; "phone-context" allows the plan's own country as context.
    pub parameters: Vec<String>,
}

/// `[before]`: digits that may stand in front of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeforeSpec {
    /// `withhold_caller`
    pub withhold_caller: Vec<String>,
    /// `show_caller`
    pub show_caller: Vec<String>,
    /// `carrier_codes`
    pub carrier_codes: Vec<String>,
    /// `ignored`: others that do not change where the call goes (Japan: "122").
    pub ignored: Vec<String>,
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFault {
    /// The key in the file ("before.withhold_caller").
    pub field: &'static str,
    /// The value at fault as it stands in the file (of a table, the key); empty
    /// where something is missing.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// In what form a carrier wants numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NumberFormat {
    /// "+442071838750"
    #[default]
    E164,
    /// At home behind the national prefix ("0335571234"), abroad as `International`.
    National,
    /// Behind the plan's first international prefix of digits ("010442071838750").
    International,
}

impl NumberFormat {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::E164, Self::National, Self::International];

    /// The form of this name: "e164", "national" or "international".
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::E164 => "e164",
            Self::National => "national",
            Self::International => "international",
        }
    }
}

/// A dial plan that was checked, ready to read with.
#[derive(Clone, Debug)]
pub struct Plan {
    name: Box<str>,
    country: Option<Country>,
    /// The country's calling code, or empty.
    code: Box<[u8]>,
    /// What digits mean, in front of a number or as a whole.
    meanings: Trie<Meaning>,
    /// A `+` leads to an international number.
    plus: bool,
    /// A rest without a known prefix is a national number.
    bare: bool,
    /// The international prefix of digits that is written.
    international: Option<Box<[u8]>>,
    /// The national prefix that is written; empty if numbers are dialled bare.
    national: Option<Box<[u8]>>,
    /// What is dialled for an emergency URN.
    urns: Box<[Urn]>,
    parameters: Box<[Box<[u8]>]>,
}

/// What some digits mean.
#[derive(Clone, Copy, Debug, Default)]
struct Meaning {
    /// In front of a number.
    lead: Option<Lead>,
    /// As the whole number: emergency, or a short code.
    whole: Option<Kind>,
}

/// An emergency service and the number dialled for it.
#[derive(Clone, Debug)]
struct Urn {
    /// What follows "urn:service:" ("sos.fire").
    path: Box<str>,
    number: Box<str>,
}

/// What digits in front of a number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Withhold,
    Show,
    CarrierCode,
    /// One of `before.ignored`, by its place there.
    Ignored(u8),
    International,
    National,
}

impl Plan {
    /// Checks a plan against itself and against the numbering table.
    ///
    /// # Errors
    ///
    /// Every fault of the plan, in the order of its keys.
    pub fn new(spec: PlanSpec, numbering: &Numbering) -> Result<Self, Vec<PlanFault>> {
        check::compile(&spec, numbering)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The country it dials in; `None` if it is no country's.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        self.country
    }

    /// What a short code is here; `None` for any other number.
    pub(super) fn short_code(&self, number: &Number) -> Option<Kind> {
        self.meaning(number.as_bytes()).0
    }

    /// Reads a dialled URI. At most one pass over its text; no allocation.
    ///
    /// # Errors
    ///
    /// Why it has no single meaning, or why no such number can exist.
    pub fn read(&self, uri: &Uri<'_>, numbering: &Numbering) -> Result<Reading, NotANumber> {
        read::uri(self, uri, numbering, |_, _, _| {})
    }
}

#[cfg(test)]
mod tests;
