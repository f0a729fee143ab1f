//! The one number that dialled digits mean.

use std::fmt;

use super::numbering::{Class, Country, Numbering};

/// A canonical number: `+` and an international number, a short code of the
/// trunk ("110"), or an emergency service's URN ("urn:service:sos.fire").
///
/// Inline and `Copy`; two equal numbers are the same destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// Zero behind the text, so that equality is that of the arrays.
    text: [u8; Number::LONGEST],
    length: u8,
}

impl Number {
    /// The longest text in bytes.
    pub const LONGEST: usize = 63;

    /// The international number with these digits, without the `+`: 1 to 15 ASCII digits.
    #[must_use]
    pub fn international(digits: &[u8]) -> Option<Self> {
        Self::digits_behind("+", digits)
    }

    /// The short code with these digits: 1 to 15.
    #[must_use]
    pub fn short(digits: &[u8]) -> Option<Self> {
        Self::digits_behind("", digits)
    }

    /// The international number written "+81335571234", without separators.
    ///
    /// Says nothing about whether it exists: see [`Numbering::lookup`].
    #[must_use]
    pub fn parse_international(text: &str) -> Option<Self> {
        Self::international(text.as_bytes().strip_prefix(b"+")?)
    }

    fn digits_behind(sign: &str, digits: &[u8]) -> Option<Self> {
        let all = (1..=Numbering::MOST_DIGITS).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit);
        if all {
            Self::join(&[sign.as_bytes(), digits])
        } else {
            None
        }
    }

    /// The number of so many ASCII digits, which begin `text`, with zeros behind them.
    pub(super) fn of_digits(plus: bool, text: [u8; 16], count: usize) -> Option<Self> {
        let (mut all, at) = ([0; Self::LONGEST], usize::from(plus));
        *all.first_mut()? = b'+';
        all.get_mut(at..at + text.len())?.copy_from_slice(&text);
        (1..=Numbering::MOST_DIGITS)
            .contains(&count)
            .then_some(Self {
                text: all,
                length: u8::try_from(at + count).ok()?,
            })
    }

    /// Whether there is a `+`, the first bytes behind it, and how many there are of all.
    pub(super) fn digits(&self) -> (bool, [u8; 16], usize) {
        let plus = self.text.first() == Some(&b'+');
        let at = usize::from(plus);
        let text = self.text.get(at..).and_then(|it| it.first_chunk());
        let count = usize::from(self.length).saturating_sub(at);
        (plus, text.copied().unwrap_or_default(), count)
    }

    /// The parts one behind the other, if they fit.
    pub(super) fn join(parts: &[&[u8]]) -> Option<Self> {
        let mut text = [0; Self::LONGEST];
        let mut at = 0;
        for part in parts {
            text.get_mut(at..at + part.len())?.copy_from_slice(part);
            at += part.len();
        }
        Some(Self {
            text,
            length: u8::try_from(at).ok()?,
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes, all ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// The digits of an international number, without the `+`; `None` for any other.
    #[must_use]
    pub fn international_digits(&self) -> Option<&[u8]> {
        self.as_bytes().strip_prefix(b"+")
    }

    /// Whether it is the URN of a service.
    #[must_use]
    pub fn is_urn(&self) -> bool {
        self.as_bytes().starts_with(b"urn:")
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the caller asked for with the digits in front of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// Do not show my number (Japan: 184).
    Withhold,
    /// Show it (Japan: 186).
    Show,
}

/// What sort of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An international number.
    International {
        /// Its country, if it has one.
        country: Option<Country>,
        /// Its class.
        class: Class,
    },
    /// A short code of the trunk, with the class that the plan gives it.
    Service(Class),
    /// An emergency number or URN.
    Emergency,
}

/// What the dialled digits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Reading {
    /// The number.
    pub number: Number,
    /// What sort of number it is.
    pub kind: Kind,
    /// What the caller asked for, if anything.
    pub privacy: Option<Privacy>,
}

/// The dialled digits have no single meaning, or no such number can exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotANumber {
    /// Why.
    pub kind: NotANumberKind,
    /// Where: the offset in bytes into what was dialled, as received (the user
    /// part of a `sip:` URI, the number of a `tel:` URI, a whole URN).
    pub at: u16,
}

/// An offset as [`NotANumber`] keeps it.
pub(super) fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// Why dialled digits are no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotANumberKind {
    /// The scheme of the URI is neither `sip`, `sips`, `tel` nor `urn`.
    Scheme,
    /// There is nothing where the number should be.
    Empty,
    /// A byte that is no digit: a letter, `*`, `#`, a control byte, a byte above 127.
    NotADigit,
    /// A `%` that no two hexadecimal digits follow, or one in a `tel` URI.
    Escape,
    /// A `+` that is not in front of the number.
    Plus,
    /// A separator where the grammar allows none.
    Separator,
    /// A password behind the number.
    Password,
    /// Headers in the URI.
    Headers,
    /// A parameter of the number that the plan does not list.
    Parameter,
    /// A local `tel` number without a context.
    NoContext,
    /// A context that is not the plan's own country, or one for an international number.
    Context,
    /// The same digits in front of the number twice, or two carrier codes.
    Repeated,
    /// Show and withhold the caller's number at once.
    ShownAndWithheld,
    /// No prefix that the plan knows, and no short code.
    NoPrefix,
    /// A national prefix behind the calling code (`+81 0…`), or twice.
    TrunkPrefix,
    /// No country has this calling code.
    CallingCode,
    /// No number of this length exists where the digits fall.
    Length,
    /// A URN that names no emergency service.
    Urn,
}

impl NotANumberKind {
    /// The fault at this offset.
    pub(super) fn at(self, at: usize) -> NotANumber {
        NotANumber {
            kind: self,
            at: offset(at),
        }
    }

    /// The name for the log and the ledger ("not-a-digit").
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Empty => "empty",
            Self::NotADigit => "not-a-digit",
            Self::Escape => "escape",
            Self::Plus => "plus",
            Self::Separator => "separator",
            Self::Password => "password",
            Self::Headers => "uri-headers",
            Self::Parameter => "parameter",
            Self::NoContext => "no-context",
            Self::Context => "context",
            Self::Repeated => "repeated",
            Self::ShownAndWithheld => "shown-and-withheld",
            Self::NoPrefix => "no-prefix",
            Self::TrunkPrefix => "trunk-prefix",
            Self::CallingCode => "calling-code",
            Self::Length => "length",
            Self::Urn => "urn",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Scheme => "only sip, sips, tel and urn:service:sos URIs hold a number",
            Self::Empty => "there is no number",
            Self::NotADigit => "a number is made of the digits 0 to 9 alone",
            Self::Escape => "two hexadecimal digits must follow a %, and tel: has no escapes",
            Self::Plus => "a + may only stand in front of the country's code",
            Self::Separator => "separators are for tel: and user=phone, between digits",
            Self::Password => "a number has no password",
            Self::Headers => "a URI to call has no headers",
            Self::Parameter => "the dial plan does not allow this parameter of a number",
            Self::NoContext => "a local tel: number needs a phone-context",
            Self::Context => {
                "a phone-context is no prefix: it is taken only with a short number of the plan's own country"
            }
            Self::Repeated => "what stands in front of a number may stand there once",
            Self::ShownAndWithheld => "the caller's number cannot be both shown and withheld",
            Self::NoPrefix => "the dial plan knows neither this prefix nor this short code",
            Self::TrunkPrefix => "the national prefix does not belong here",
            Self::CallingCode => "no country has this calling code",
            Self::Length => "no number of this length exists here",
            Self::Urn => "only urn:service:sos and its children can be called",
        }
    }
}

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind.sentence(), self.at)
    }
}

impl std::error::Error for NotANumber {}
