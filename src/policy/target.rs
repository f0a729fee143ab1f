//! What a rule can name: a prefix, a country's class, a country, a class,
//! everything abroad, everything.

use std::fmt;

use super::diagnostic::nearest;
use super::number::{Kind, Number, Reading};
use super::numbering::{Class, Country, Numbering};

/// The digits of a number or prefix in one word: 4 bits each, one more than the
/// digit, the first digit highest. The order is that of the digits as text, and
/// a prefix sorts before everything that begins with it.
///
/// The lowest 4 bits are no digit: [`Packed::SHORT`] tells a short code from an
/// international number of the same digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Packed(u64);

impl Packed {
    const SHORT: u64 = 1;

    /// At most 15 ASCII digits of an international number, without the `+`.
    pub(super) fn international(digits: &[u8]) -> Option<Self> {
        Self::joined(b"", digits)
    }

    /// The same, of a calling code and what is behind it.
    pub(super) fn joined(code: &[u8], behind: &[u8]) -> Option<Self> {
        let (length, mut text) = (code.len() + behind.len(), [0; 16]);
        text.get_mut(..code.len())?.copy_from_slice(code);
        text.get_mut(code.len()..length)?.copy_from_slice(behind);
        Self::of_text(text, length)
    }

    /// A canonical number; `None` for a URN.
    pub(super) fn of(number: &Number) -> Option<Self> {
        let (plus, text, length) = number.digits();
        let sort = if plus { 0 } else { Self::SHORT };
        Self::of_text(text, length).map(|it| Self(it.0 | sort))
    }

    /// So many ASCII digits, which begin a text.
    fn of_text(text: [u8; 16], length: usize) -> Option<Self> {
        if !(1..=Numbering::MOST_DIGITS).contains(&length) {
            return None;
        }
        let values = digits(u128::from_be_bytes(text), length)?;
        let mut word = values.wrapping_add(each(1)) & first(length);
        word = (word | word >> 4) & BYTES;
        word = (word | word >> 8) & PAIRS;
        word = (word | word >> 16) & FOURS;
        word = (word | word >> 32) & u128::from(u64::MAX);
        u64::try_from(word).ok().map(Self)
    }

    /// The number that these digits are of.
    pub(super) fn number(self) -> Option<Number> {
        let length = self.length() as usize;
        let mut text = u128::from(self.word());
        text = (text | text << 32) & FOURS;
        text = (text | text << 16) & PAIRS;
        text = (text | text << 8) & BYTES;
        text = (text | text << 4) & each(0xF);
        // One more than the digit.
        text = text.wrapping_add(each(b'0' - 1)) & first(length);
        digits(text, length)?;
        Number::of_digits(!self.is_short(), text.to_be_bytes(), length)
    }

    /// Whether it is a short code of the trunk.
    pub(super) fn is_short(self) -> bool {
        self.0 & Self::SHORT != 0
    }

    /// How many digits there are.
    pub(super) fn length(self) -> u32 {
        (u64::BITS - self.word().trailing_zeros()).div_ceil(4)
    }

    /// The words of all but the last so many digits, and of those; nothing if there
    /// are no others, or it is a short code.
    pub(super) fn split_last(self, digits: u8) -> Option<(u64, u64)> {
        let front = self
            .length()
            .checked_sub(digits.into())
            .filter(|it| *it > 0)?;
        let rest = self.word().checked_shl(4 * front)?;
        let mask = u64::MAX.checked_shl(64 - 4 * front)?;
        (!self.is_short()).then_some((self.word() & mask, rest))
    }

    /// All of it in one word, as the journal keeps it.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// What [`Packed::bits`] is of.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word itself, with the lowest 4 bits clear.
    pub(super) fn word(self) -> u64 {
        self.0 & !0xF
    }

    /// The international digits that [`Packed::word`] is of.
    pub(super) fn from_word(word: u64) -> Self {
        Self(word & !0xF)
    }

    /// Whether `word`, the word of a prefix, begins these digits.
    pub(super) fn starts_with(self, word: u64) -> bool {
        let rest = word.trailing_zeros() & !3;
        let mask = u64::MAX.checked_shl(rest).unwrap_or(0);
        self.0 & mask == word
    }
}

/// Every other byte, pair of bytes, four bytes of sixteen.
const BYTES: u128 = u128::MAX / 0xFFFF * 0xFF;
const PAIRS: u128 = u128::MAX / 0xFFFF_FFFF * 0xFFFF;
const FOURS: u128 = u128::MAX / 0xFFFF_FFFF_FFFF_FFFF * 0xFFFF_FFFF;

/// Sixteen times this byte.
const fn each(byte: u8) -> u128 {
    u128::from_be_bytes([byte; 16])
}

/// All bits of so many first bytes, 16 at the most.
fn first(bytes: usize) -> u128 {
    let behind = u32::try_from(16_usize.saturating_sub(bytes)).unwrap_or_default();
    u128::MAX.checked_shl(8 * behind).unwrap_or_default()
}

/// The values of so many ASCII digits, which are the first bytes of a text; `None` if
/// one is no digit.
fn digits(text: u128, count: usize) -> Option<u128> {
    let values = (text ^ each(b'0')) & first(count);
    // Above 9 a byte has one of the upper bits, or gets one from six more.
    let wrong = (values | values.wrapping_add(each(6))) & each(0xF0);
    (wrong == 0).then_some(values)
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("nothing"),
        }
    }
}

/// What a rule, a cap or a tariff row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// International numbers that begin with these digits: "+44 20".
    Prefix(Packed),
    /// Numbers of one class in one country: "jp.mobile".
    CountryClass(Country, Class),
    /// The numbers of one country: "us".
    Country(Country),
    /// Numbers of one class, anywhere: "premium".
    Class(Class),
    /// Numbers of every country but the plan's own: "international".
    International,
    /// Every number: "any".
    Any,
}

impl Target {
    /// A word that sorts targets: prefixes by their digits, behind all others.
    /// The lowest 4 bits are clear; no two targets have the same word.
    pub(super) fn word(self) -> u64 {
        let pair = |country: Country| u64::from(country.word());
        let parts = |kind: u64, country: u64, class: u64| kind << 56 | country << 16 | class << 4;
        match self {
            Self::Prefix(digits) => digits.word(),
            Self::CountryClass(country, class) => parts(1, pair(country), class as u64),
            Self::Country(country) => parts(2, pair(country), 0),
            Self::Class(class) => parts(3, 0, class as u64),
            Self::International => parts(4, 0, 0),
            Self::Any => parts(5, 0, 0),
        }
    }

    /// The kind of target that a word is of, 1 to 5; nothing for a prefix's.
    pub(super) const fn kind(word: u64) -> u32 {
        // Shifted so far that it fits.
        (word >> 56 & 0x7) as u32
    }

    /// Whether it covers the destination, whatever its class. `home` is the plan's
    /// country.
    pub(super) fn covers(self, to: &Destination, home: Option<Country>) -> bool {
        match self {
            Self::Prefix(prefix) => !to.digits.is_short() && to.digits.starts_with(prefix.word()),
            Self::CountryClass(country, class) => to.country == Some(country) && to.class == class,
            Self::Country(country) => to.country == Some(country),
            Self::Class(class) => to.class == class,
            Self::International => to.is_abroad(home),
            Self::Any => true,
        }
    }

    /// Reads what a rule names.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the person who wrote it.
    pub(super) fn parse(text: &str, numbering: &Numbering) -> Result<Self, TargetFault> {
        if let Some(digits) = text.strip_prefix('+') {
            return prefix(digits, numbering);
        }
        match text {
            "international" => return Ok(Self::International),
            "any" => return Ok(Self::Any),
            _ => {}
        }
        if let Some(class) = Class::parse(text) {
            return Ok(Self::Class(class));
        }
        let (country, class) = match text.split_once('.') {
            Some((country, class)) => (country, Some(class)),
            None => (text, None),
        };
        let known = Country::parse(country).filter(|&it| numbering.country_is_known(it));
        match (known, class) {
            (None, _) => Err(unknown(text, country, numbering)),
            (Some(country), None) => Ok(Self::Country(country)),
            (Some(country), Some(name)) => match Class::parse(name) {
                Some(class) if class.is_service() => Err(TargetFault::new(
                    format!("`{name}` has no country: short codes belong to the trunk"),
                    format!("write \"{name}\""),
                )),
                Some(class) => Ok(Self::CountryClass(country, class)),
                None => Err(unknown_class(name)),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(digits) => match digits.number() {
                Some(number) => write!(f, "{number}"),
                None => f.write_str("+"),
            },
            Self::CountryClass(country, class) => write!(f, "{country}.{class}"),
            Self::Country(country) => write!(f, "{country}"),
            Self::Class(class) => write!(f, "{class}"),
            Self::International => f.write_str("international"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// Why a text names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetFault {
    /// What is wrong.
    pub title: String,
    /// What to write instead.
    pub help: String,
}

impl TargetFault {
    fn new(title: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            help: help.into(),
        }
    }
}

fn prefix(text: &str, numbering: &Numbering) -> Result<Target, TargetFault> {
    let mut digits = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(byte),
            b' ' | b'-' | b'.' => {}
            _ => {
                return Err(TargetFault::new(
                    format!("`+{text}` is no prefix"),
                    "behind the + stand digits, with spaces between them if you like",
                ));
            }
        }
    }
    let Some(packed) = Packed::international(&digits) else {
        return Err(TargetFault::new(
            format!("`+{text}` is no prefix"),
            "write 1 to 15 digits behind the +; for every number write \"any\"",
        ));
    };
    if numbering.exists_under(&digits) {
        Ok(Target::Prefix(packed))
    } else {
        Err(TargetFault::new(
            format!("no number begins with `+{text}`"),
            "a prefix starts with the country's code, without a 0 behind it: \"+44 20\"",
        ))
    }
}

fn unknown(text: &str, country: &str, numbering: &Numbering) -> TargetFault {
    let title = format!("`{text}` names no destination");
    let lower = text.to_ascii_lowercase();
    let digits = text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b" -".contains(&b));
    let help = if digits {
        "write a prefix with + and the country's code (\"+44 20\"), a short code by its class \
         (\"service.paid\")"
            .to_owned()
    } else if lower != text && Target::parse(&lower, numbering).is_ok() {
        format!("write \"{lower}\": names are in lower case")
    } else if country == "uk" {
        format!("the United Kingdom is \"{}\"", text.replacen("uk", "gb", 1))
    } else if let Some(word) = nearest(text, words()) {
        format!("did you mean \"{word}\"?")
    } else {
        "write a prefix (\"+44 20\"), a country's class (\"jp.mobile\"), a country (\"us\"), a \
         class (\"premium\"), \"international\" or \"any\""
            .to_owned()
    };
    TargetFault::new(title, help)
}

fn unknown_class(name: &str) -> TargetFault {
    let title = format!("`{name}` is no class of numbers");
    match nearest(name, Class::ALL.into_iter().map(Class::as_str)) {
        Some(word) => TargetFault::new(title, format!("did you mean \"{word}\"?")),
        None => {
            let all: Vec<_> = Class::ALL.into_iter().map(Class::as_str).collect();
            TargetFault::new(title, format!("the classes are {}", all.join(", ")))
        }
    }
}

/// The words that are targets by themselves.
fn words() -> impl Iterator<Item = &'static str> {
    let classes = Class::ALL.into_iter().map(Class::as_str);
    classes.chain(["international", "any"])
}

/// What rules look at in a call: the number, its country and class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The digits.
    pub digits: Packed,
    /// Its country, if it has one.
    pub country: Option<Country>,
    /// Its class.
    pub class: Class,
}

impl Destination {
    /// What was read; `None` for an emergency call.
    pub(super) fn of(reading: &Reading) -> Option<Self> {
        Self::new(&reading.number, reading.kind)
    }

    /// A number of this kind; `None` for an emergency.
    pub(super) fn new(number: &Number, kind: Kind) -> Option<Self> {
        let (country, class) = match kind {
            Kind::International { country, class } => (country, class),
            Kind::Service(class) => (None, class),
            Kind::Emergency => return None,
        };
        Some(Self {
            digits: Packed::of(number)?,
            country,
            class,
        })
    }

    /// Whether it lies outside `home`, the plan's country.
    pub(super) fn is_abroad(&self, home: Option<Country>) -> bool {
        !self.digits.is_short() && (self.country.is_none() || self.country != home)
    }
}

#[cfg(test)]
mod tests;
