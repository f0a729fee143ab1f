//! Reads the table's text form.
//!
//! Three kinds of line, fields apart by tabs, in this order:
//!
//! ```text
//! version  what it was generated from
//! code     81   jp                the calling code and its countries, comma-separated
//! 8150     jp   ip       12       a range: prefix, country or -, class, lengths
//! ```
//!
//! Ranges are sorted by prefix and do not overlap: every number is in one at
//! most. A length counts all digits, the calling code's too.

use std::collections::HashMap;

use super::{Assigned, Class, Country, Node, Numbering};
use crate::policy::prefix::{InsertError, TrieBuilder};

/// The table's text is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: TableFaultKind,
}

/// What can be wrong with a line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFaultKind {
    /// Too few fields, too many, or a word that is none of the table's.
    Field,
    /// A prefix that is no digits, or is longer than a number.
    Prefix,
    /// A country that is no country.
    Country,
    /// A class that is no class.
    Class,
    /// Lengths that are no lengths, or shorter than their prefix.
    Lengths,
    /// A range without a calling code above it.
    NoCode,
    /// The version is missing.
    NoVersion,
    /// More than the table can count.
    TooMuch,
}

/// The table while it is read.
#[derive(Default)]
struct Loading {
    version: Option<Box<str>>,
    countries: Vec<(Country, Box<str>)>,
    codes: Vec<Box<str>>,
    nodes: HashMap<Box<[u8]>, Growing>,
}

/// One prefix while the table is read.
#[derive(Default)]
struct Growing {
    lengths: u16,
    own: Vec<Assigned>,
    country: Shared,
}

/// The countries seen under a prefix.
#[derive(Clone, Copy, Default)]
enum Shared {
    #[default]
    None,
    One(Option<Country>),
    Many,
}

impl Numbering {
    /// Reads a table's text form.
    ///
    /// # Errors
    ///
    /// The first line that is wrong, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TableFault> {
        let mut loading = Loading::default();
        for (line, fields) in (1..).zip(text.lines()) {
            if fields.is_empty() || fields.starts_with('#') {
                continue;
            }
            loading
                .line(fields)
                .map_err(|kind| TableFault { line, kind })?;
        }
        loading.finish().map_err(|kind| TableFault {
            line: text.lines().count(),
            kind,
        })
    }
}

impl Loading {
    fn line(&mut self, line: &str) -> Result<(), TableFaultKind> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().ok_or(TableFaultKind::Field);
        match next()? {
            "version" => self.version = Some(next()?.into()),
            "code" => self.code(next()?, next()?)?,
            prefix => {
                let (country, class, lengths) = (next()?, next()?, next()?);
                self.range(prefix, country, class, lengths)?;
            }
        }
        if fields.next().is_some() {
            Err(TableFaultKind::Field)
        } else {
            Ok(())
        }
    }

    fn code(&mut self, code: &str, countries: &str) -> Result<(), TableFaultKind> {
        self.codes.push(code.into());
        for country in countries.split(',').filter(|c| *c != "-") {
            let country = Country::parse(country).ok_or(TableFaultKind::Country)?;
            self.countries.push((country, code.into()));
        }
        Ok(())
    }

    fn range(
        &mut self,
        prefix: &str,
        country: &str,
        class: &str,
        lengths: &str,
    ) -> Result<(), TableFaultKind> {
        let country = match country {
            "-" => None,
            code => Some(Country::parse(code).ok_or(TableFaultKind::Country)?),
        };
        let class = Class::parse(class).ok_or(TableFaultKind::Class)?;
        if prefix.len() > Numbering::MOST_DIGITS {
            return Err(TableFaultKind::Prefix);
        }
        let lengths = mask(lengths, prefix.len()).ok_or(TableFaultKind::Lengths)?;
        let code = self.codes.iter().find(|code| prefix.starts_with(&***code));
        let code = code.ok_or(TableFaultKind::NoCode)?.len();
        for end in code..=prefix.len() {
            let digits = prefix.as_bytes().get(..end).ok_or(TableFaultKind::Prefix)?;
            let node = self.nodes.entry(digits.into()).or_default();
            node.lengths |= lengths;
            node.country = match node.country {
                Shared::None => Shared::One(country),
                Shared::One(one) if one == country => Shared::One(one),
                Shared::One(_) | Shared::Many => Shared::Many,
            };
            if end == prefix.len() {
                node.own.push(Assigned {
                    lengths,
                    class,
                    country,
                });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Numbering, TableFaultKind> {
        let mut profiles: Vec<Assigned> = Vec::new();
        let mut places: HashMap<Vec<Assigned>, u16> = HashMap::new();
        let mut builder = TrieBuilder::new();
        let mut nodes: Vec<_> = self.nodes.drain().collect();
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        for (digits, growing) in nodes {
            let count = u8::try_from(growing.own.len()).map_err(|_| TableFaultKind::TooMuch)?;
            let fresh = u16::try_from(profiles.len()).map_err(|_| TableFaultKind::TooMuch)?;
            let first = *places.entry(growing.own.clone()).or_insert_with(|| {
                profiles.extend_from_slice(&growing.own);
                fresh
            });
            let country = match growing.country {
                Shared::One(country) => country,
                Shared::None | Shared::Many => None,
            };
            let code = self.codes.iter().any(|code| code.as_bytes() == &*digits);
            let node = Node {
                lengths: growing.lengths,
                first,
                count,
                code,
                country,
            };
            builder.insert(&digits, node).map_err(|fault| match fault {
                InsertError::NotADigit(_) => TableFaultKind::Prefix,
                InsertError::Full => TableFaultKind::TooMuch,
            })?;
        }
        self.countries.sort_unstable();
        Ok(Numbering {
            version: self.version.ok_or(TableFaultKind::NoVersion)?,
            countries: self.countries.into_boxed_slice(),
            ranges: builder.build(),
            profiles: profiles.into_boxed_slice(),
        })
    }
}

/// The lengths "9,11-12" as bits; none may be shorter than the prefix.
fn mask(lengths: &str, prefix: usize) -> Option<u16> {
    let mut bits = 0_u16;
    for part in lengths.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (low.parse::<usize>().ok()?, high.parse::<usize>().ok()?);
        if low < prefix || high < low || high > Numbering::MOST_DIGITS {
            return None;
        }
        for length in low..=high {
            bits |= 1 << length;
        }
    }
    Some(bits)
}
