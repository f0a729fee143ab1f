//! Where calls can go: every place at which rules, caps or rows of a tariff can
//! differ, for questions about all of them.

use super::number::Number;
use super::numbering::{Class, Country};
use super::ruleset::RuleSet;
use super::target::{Destination, Packed};

/// Where calls can go that are alike to all rules, caps and rows of a tariff.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub to: Destination,
}

/// Short codes: they are of their class alone.
pub(super) fn services() -> impl Iterator<Item = Spot> {
    let short = Number::short(b"0").as_ref().and_then(Packed::of);
    let services = Class::ALL.into_iter().filter(|class| class.is_service());
    services.filter_map(move |class| Some(Spot::new(short?, (None, class))))
}

impl Spot {
    /// Numbers of this sort that begin with these digits.
    pub(super) fn new(digits: Packed, (country, class): (Option<Country>, Class)) -> Self {
        Self {
            to: Destination {
                digits,
                country,
                class,
            },
        }
    }
}

impl RuleSet {
    /// The sorts of numbers that begin with a prefix; of all numbers, if it has no
    /// digits: then each with its country's code.
    pub(super) fn spots(&self, prefix: Packed) -> impl Iterator<Item = Spot> {
        let number = prefix.number();
        let digits = number.as_ref().and_then(Number::international_digits);
        let sorts = self.numbering.sorts_under(digits.unwrap_or_default());
        sorts.into_iter().map(move |sort| {
            let code = match sort.0 {
                Some(country) if number.is_none() => self.code_of(country),
                _ => None,
            };
            Spot::new(code.unwrap_or(prefix), sort)
        })
    }

    /// The digits of a country's calling code.
    pub(super) fn code_of(&self, country: Country) -> Option<Packed> {
        let code = self.numbering.calling_code(country)?;
        Packed::international(code.as_bytes())
    }
}
