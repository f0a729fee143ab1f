//! How a number is read, step by step: for people.

use super::{Lead, Plan, read};
use crate::policy::number::{Kind, NotANumber, Reading};
use crate::policy::numbering::Numbering;
use crate::sip::uri::Uri;

/// What a stretch of the dialled digits is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The caller's number is to be withheld.
    Withhold,
    /// The caller's number is to be shown.
    Show,
    /// It chooses a carrier.
    CarrierCode,
    /// It changes nothing.
    Ignored,
    /// What leads to an international number.
    InternationalPrefix,
    /// A `+`: an international number follows.
    Plus,
    /// What leads to a number of the plan's country.
    NationalPrefix,
    /// The country's code.
    CallingCode,
    /// The digits of an international number; behind a [`Part::CallingCode`], the
    /// rest of it.
    International,
    /// The digits of a number of the plan's country.
    National,
    /// An emergency number or a short code of the trunk.
    Whole(Kind),
}

impl Part {
    /// What stands in front of a number.
    pub(super) fn of(lead: Lead) -> Self {
        match lead {
            Lead::Withhold => Self::Withhold,
            Lead::Show => Self::Show,
            Lead::CarrierCode => Self::CarrierCode,
            Lead::Ignored(_) => Self::Ignored,
            Lead::International => Self::InternationalPrefix,
            Lead::National => Self::NationalPrefix,
        }
    }

    /// What stands behind a calling code that was known, or that is in it.
    pub(super) fn behind(code: &[u8]) -> Self {
        if code.is_empty() {
            Self::International
        } else {
            Self::National
        }
    }

    /// A few words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Withhold => "do not show the caller's number",
            Self::Show => "show the caller's number",
            Self::CarrierCode => "a carrier's code",
            Self::Ignored => "changes nothing",
            Self::InternationalPrefix | Self::Plus => "an international number follows",
            Self::NationalPrefix => "a number of this country follows",
            Self::CallingCode => "the country's code",
            Self::International | Self::National => "the number",
            Self::Whole(Kind::Emergency) => "an emergency number",
            Self::Whole(_) => "a short code of the trunk",
        }
    }
}

/// One step: these bytes of what was dialled (as in [`NotANumber::at`]) are that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The first byte.
    pub start: u16,
    /// Behind the last byte.
    pub end: u16,
    /// What they are.
    pub part: Part,
}

impl Plan {
    /// Reads a dialled URI as [`Plan::read`] does, and says how.
    pub fn steps(
        &self,
        uri: &Uri<'_>,
        numbering: &Numbering,
    ) -> (Vec<Step>, Result<Reading, NotANumber>) {
        let mut steps = Vec::new();
        let reading = read::uri(self, uri, numbering, |dialled, part, digits| {
            let mut step = |part, start: usize, end: usize| {
                // An escape is longer than its digit: up to where the last one ends.
                steps.push(Step {
                    start: dialled.place(start),
                    end: dialled.end(end),
                    part,
                });
            };
            let all = dialled.bytes().get(digits.clone()).unwrap_or_default();
            let code = match part {
                Part::International => numbering.calling_code_length(all),
                _ => 0,
            };
            let split = digits.start + code;
            if code > 0 {
                step(Part::CallingCode, digits.start, split);
            }
            step(part, split, digits.end);
        });
        (steps, reading)
    }
}
