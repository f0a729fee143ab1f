//! Reads the table's text form.
//!
//! Three kinds of line, fields apart by tabs, in this order:
//!
//! ```text
//! version  libphonenumber 9.0.43          what it was generated from
//! code     81          jp                 a calling code and its countries
//! 8150[1-9]   jp       ip       12        a range: prefix, country or -, class, lengths
//! ```
//!
//! In a prefix `[1-9]` is one of these digits and `x` any. Ranges that begin
//! alike stand together, and none overlaps another: every number is in one at
//! most. A length counts all digits, the calling code's too.

use std::iter;

use super::{Assigned, Class, Country, Node, Numbering};

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
    /// A prefix that is none, or is longer than a number.
    Prefix,
    /// A country that is no country.
    Country,
    /// A class that is no class.
    Class,
    /// Lengths that are no lengths, or shorter than their prefix.
    Lengths,
    /// A range without a calling code above it.
    NoCode,
    /// A range that overlaps one before it, or stands apart from those that begin alike.
    Overlap,
    /// The version is missing.
    NoVersion,
    /// More than the table can count.
    TooMuch,
}

impl TableFaultKind {
    /// A sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Field => {
                "the line has too few fields, too many, or a word that is none of the table's"
            }
            Self::Prefix => "the prefix is none, or longer than a number",
            Self::Country => "the country is none",
            Self::Class => "the class is none",
            Self::Lengths => "the lengths are none, or shorter than the prefix",
            Self::NoCode => "no calling code above has this range",
            Self::Overlap => {
                "the range overlaps one above, or stands apart from those that begin alike"
            }
            Self::NoVersion => "it says no version",
            Self::TooMuch => "it has more than a table can have",
        }
    }
}

/// The table while it is read.
#[derive(Default)]
struct Loading {
    version: Option<Box<str>>,
    codes: Vec<Box<str>>,
    /// The place in `codes` of the last range's.
    code: usize,
    countries: Vec<(Country, Box<str>)>,
    ranges: Vec<Line>,
    nodes: Vec<Node>,
    assigned: Vec<Assigned>,
}

/// A range's line.
struct Line {
    number: usize,
    /// For each place of the prefix the digits that may stand there, as bits.
    prefix: [u16; Numbering::MOST_DIGITS],
    places: usize,
    /// How many places are the calling code's.
    code: usize,
    assigned: Assigned,
}

impl Numbering {
    /// Reads a table's text form.
    ///
    /// # Errors
    ///
    /// A line that is wrong, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TableFault> {
        let mut loading = Loading::default();
        for (number, line) in (1..).zip(text.lines()) {
            if !line.is_empty() && !line.starts_with('#') {
                loading
                    .line(number, line)
                    .map_err(|kind| TableFault { line: number, kind })?;
            }
        }
        let ranges = std::mem::take(&mut loading.ranges);
        loading.node(&ranges, 0)?;
        loading.countries.sort_unstable();
        let last = text.lines().count();
        Ok(Self {
            version: loading.version.ok_or(TableFault {
                line: last,
                kind: TableFaultKind::NoVersion,
            })?,
            countries: loading.countries.into_boxed_slice(),
            nodes: loading.nodes.into_boxed_slice(),
            assigned: loading.assigned.into_boxed_slice(),
        })
    }
}

impl Loading {
    fn line(&mut self, number: usize, line: &str) -> Result<(), TableFaultKind> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().ok_or(TableFaultKind::Field);
        match next()? {
            "version" => self.version = Some(next()?.into()),
            "code" => self.code(next()?, next()?)?,
            prefix => {
                let fields = (next()?, next()?, next()?);
                self.range(number, prefix, fields)?;
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
        number: usize,
        text: &str,
        (country, class, lengths): (&str, &str, &str),
    ) -> Result<(), TableFaultKind> {
        let country = match country {
            "-" => None,
            code => Some(Country::parse(code).ok_or(TableFaultKind::Country)?),
        };
        let class = Class::parse(class).ok_or(TableFaultKind::Class)?;
        let mut prefix = [0; Numbering::MOST_DIGITS];
        let mut places = 0;
        for digits in places_of(text) {
            let place = prefix.get_mut(places).ok_or(TableFaultKind::Prefix)?;
            *place = digits.ok_or(TableFaultKind::Prefix)?;
            places += 1;
        }
        let lengths = lengths_of(lengths, places).ok_or(TableFaultKind::Lengths)?;
        // Ranges of a code stand together: mostly it is the last one's.
        if !self
            .codes
            .get(self.code)
            .is_some_and(|code| text.starts_with(&**code))
        {
            let found = self.codes.iter().position(|code| text.starts_with(&**code));
            self.code = found.ok_or(TableFaultKind::NoCode)?;
        }
        let code = self.codes.get(self.code).map_or(0, |code| code.len());
        let assigned = Assigned {
            lengths,
            class,
            country,
        };
        self.ranges.push(Line {
            number,
            prefix,
            places,
            code,
            assigned,
        });
        Ok(())
    }

    /// Adds the node at which these ranges have so many digits behind them.
    fn node(&mut self, ranges: &[Line], depth: usize) -> Result<u16, TableFault> {
        let start = ranges
            .iter()
            .take_while(|line| line.places == depth)
            .count();
        let (own, mut below) = ranges.split_at_checked(start).unwrap_or_default();
        let number = ranges.first().map_or(0, |line| line.number);
        let too_much = |_| TableFault {
            line: number,
            kind: TableFaultKind::TooMuch,
        };
        let place = u16::try_from(self.nodes.len()).map_err(too_much)?;
        let mut node = Node {
            first: u16::try_from(self.assigned.len()).map_err(too_much)?,
            count: u8::try_from(own.len()).map_err(too_much)?,
            ..Node::of(ranges, depth)
        };
        self.assigned.extend(own.iter().map(|line| line.assigned));
        // The place is kept: nodes below come behind it.
        self.nodes.push(Node::default());
        while let Some(line) = below.first() {
            let fault = TableFault {
                line: line.number,
                kind: TableFaultKind::Overlap,
            };
            let digits = line.digits(depth).ok_or(fault)?;
            let alike = below
                .iter()
                .take_while(|l| l.digits(depth) == Some(digits))
                .count();
            let (group, behind) = below.split_at_checked(alike).unwrap_or_default();
            below = behind;
            let child = self.node(group, depth + 1)?;
            for (digit, next) in node.next.iter_mut().enumerate() {
                if digits & (1 << digit) != 0 {
                    if *next != 0 {
                        return Err(fault);
                    }
                    *next = child;
                }
            }
        }
        if let Some(slot) = self.nodes.get_mut(usize::from(place)) {
            *slot = node;
        }
        Ok(place)
    }
}

impl Line {
    fn digits(&self, depth: usize) -> Option<u16> {
        self.prefix
            .get(depth)
            .copied()
            .filter(|_| depth < self.places)
    }
}

impl Node {
    /// What the ranges below a node have in common.
    fn of(ranges: &[Line], depth: usize) -> Self {
        let Some(first) = ranges.first().filter(|line| depth >= line.code) else {
            return Self::default();
        };
        let country = first.assigned.country;
        let one = ranges.iter().all(|line| line.assigned.country == country);
        Self {
            lengths: ranges
                .iter()
                .fold(0, |bits, line| bits | line.assigned.lengths),
            code: depth == first.code,
            country: country.filter(|_| one),
            ..Self::default()
        }
    }
}

/// The digits that may stand at each place of a prefix, as bits; `None` for what is none.
fn places_of(prefix: &str) -> impl Iterator<Item = Option<u16>> + '_ {
    let mut rest = prefix;
    iter::from_fn(move || {
        let mut chars = rest.chars();
        let bits = match chars.next()? {
            'x' => Some(0x3ff),
            '[' => {
                let (inside, behind) = chars.as_str().split_once(']').unwrap_or_default();
                chars = behind.chars();
                one_of(inside)
            }
            digit => digit.to_digit(10).map(|d| 1 << d),
        };
        rest = chars.as_str();
        Some(bits)
    })
}

/// The digits of "02-4" as bits.
fn one_of(text: &str) -> Option<u16> {
    let mut bits = 0;
    let mut chars = text.chars().peekable();
    while let Some(low) = chars.next() {
        let low = low.to_digit(10)?;
        let mut high = low;
        if chars.next_if_eq(&'-').is_some() {
            high = chars.next()?.to_digit(10)?;
        }
        for digit in low..=high {
            bits |= 1_u16 << digit;
        }
    }
    Some(bits).filter(|bits| *bits != 0)
}

/// The lengths "9,11-12" as bits; none may be shorter than the prefix.
fn lengths_of(text: &str, prefix: usize) -> Option<u16> {
    let mut bits = 0_u16;
    for part in text.split(',') {
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
