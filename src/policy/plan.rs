//! A trunk's dial plan: how its dialled digits are read, and how the number is written.

use std::collections::BTreeMap;
use std::fmt;

use super::number::{NotANumber, NotANumberKind, Number, Reading};
use super::numbering::{Country, Numbering};

/// A dial plan as written in `policies/plans/*.toml`. Absent lists are empty, absent texts "".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSpec {
    /// `name`
    pub name: String,
    /// `country`: ISO 3166 alpha-2 in lower case; "" for a plan of no country.
    pub country: String,
    /// `[before]`: what may stand in front of a number.
    pub before: BeforeSpec,
    /// `international.prefixes`: "010", "+"; what is behind them is an international number.
    pub international_prefixes: Vec<String>,
    /// `national.prefix`: "0"; what is behind it is a number of the country. `None`: not dialled at all.
    pub national_prefix: Option<String>,
    /// `national.optional`: the prefix may be left out.
    pub national_optional: bool,
    /// `emergency.numbers`
    pub emergency_numbers: Vec<String>,
    /// `[emergency.urn]`: "sos.fire" → "119".
    pub emergency_urns: BTreeMap<String, String>,
    /// `[services]`: "104" → "service.paid".
    pub services: BTreeMap<String, String>,
    /// `parameters.allowed`: user-part and tel parameters that may be there, and mean nothing.
    pub parameters: Vec<String>,
}

/// `[before]`: digits that may stand in front of a number, each once, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeforeSpec {
    /// `withhold_caller`
    pub withhold_caller: Vec<String>,
    /// `show_caller`
    pub show_caller: Vec<String>,
    /// `carrier_codes`: one of them at most.
    pub carrier_codes: Vec<String>,
    /// `ignored`: others that change nothing about where the call goes (Japan: 122).
    pub ignored: Vec<String>,
}

/// What is wrong with a plan, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFault {
    /// The key, as in the file ("before.withhold_caller").
    pub field: &'static str,
    /// The value at fault, as in the file; "" where something is missing.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// In what form the carrier wants a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NumberFormat {
    /// "+442071838750"
    #[default]
    E164,
    /// As it is dialled at home: "0335571234"; abroad as [`NumberFormat::International`].
    National,
    /// Behind the plan's own international prefix: "010442071838750".
    International,
}

impl NumberFormat {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::E164, Self::National, Self::International];

    /// "e164", "national" or "international".
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

/// A dial plan, ready to read with.
#[derive(Clone, Debug)]
pub struct Plan {
    name: Box<str>,
    country: Option<Country>,
}

impl Plan {
    /// Checks a plan against itself and the numbering table.
    ///
    /// # Errors
    ///
    /// Every fault of the plan.
    pub fn new(spec: PlanSpec, numbering: &Numbering) -> Result<Self, Vec<PlanFault>> {
        let _ = numbering;
        Ok(Self {
            name: spec.name.into(),
            country: Country::parse(&spec.country),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The country it dials in, if it is one's.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        self.country
    }

    /// Reads what was dialled.
    ///
    /// # Errors
    ///
    /// Why it has no single meaning.
    pub fn read(&self, _uri: &[u8], _numbering: &Numbering) -> Result<Reading, NotANumber> {
        Err(NotANumber {
            kind: NotANumberKind::NoPrefix,
            at: 0,
        })
    }

    /// Writes the user part of the outgoing URI.
    ///
    /// # Errors
    ///
    /// Only what `out` says.
    pub fn write(
        &self,
        number: &Number,
        _format: NumberFormat,
        out: &mut impl fmt::Write,
    ) -> fmt::Result {
        out.write_str(number.as_str())
    }
}
