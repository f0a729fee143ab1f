//! Writing: the user part that goes out, afresh from the number.

use std::fmt::{self, Write};

use super::{Lead, NumberFormat, Plan, urn};
use crate::policy::number::Number;

impl Plan {
    /// Writes the user part of the outgoing URI, in the form that the carrier wants.
    ///
    /// Emergency numbers and short codes are written bare in every form, an
    /// emergency URN as the number that the plan gives it. Where a form would be
    /// read as another number (or does not exist in the plan), the next more
    /// explicit one is written: national, international, e164.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn write(
        &self,
        number: &Number,
        format: NumberFormat,
        out: &mut impl Write,
    ) -> fmt::Result {
        if let Some(path) = urn::path(number) {
            return match self.emergency_number(path) {
                Some(dialled) => out.write_str(dialled),
                None => out.write_str(number.as_str()),
            };
        }
        let (Some(digits), true) = (number.international_digits(), format != NumberFormat::E164)
        else {
            return out.write_str(number.as_str());
        };
        if format == NumberFormat::National
            && let (Some(prefix), Some(rest)) =
                (self.national.as_deref(), digits.strip_prefix(&*self.code))
            && let Some(written) = self.behind(prefix, Lead::National, rest)
        {
            return out.write_str(written.as_str());
        }
        let international = self.international.as_deref();
        match international.and_then(|prefix| self.behind(prefix, Lead::International, digits)) {
            Some(written) => out.write_str(written.as_str()),
            None => out.write_str(number.as_str()),
        }
    }

    /// What is dialled for an emergency URN: the plan's number for it or, if it has
    /// none, for the service above. `None` for any other number.
    #[must_use]
    pub fn number_for_urn(&self, number: &Number) -> Option<&str> {
        self.emergency_number(urn::path(number)?)
    }

    fn emergency_number(&self, path: &[u8]) -> Option<&str> {
        let mut path = Some(path);
        while let Some(name) = path {
            if let Some(urn) = self.urns.iter().find(|urn| urn.path.as_bytes() == name) {
                return Some(&urn.number);
            }
            path = urn::parent(name);
        }
        None
    }

    /// Digits behind a prefix, if the plan takes the prefix for just that.
    ///
    /// It may not: behind Japan's 0 a number of the unassigned range +81 10 would
    /// be dialled abroad.
    fn behind(&self, prefix: &[u8], lead: Lead, digits: &[u8]) -> Option<Number> {
        let written = Number::join(&[prefix, digits])?;
        let expected = (!prefix.is_empty()).then_some((lead, prefix.len()));
        (self.meaning(written.as_bytes()) == (None, expected)).then_some(written)
    }
}
