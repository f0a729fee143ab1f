//! What was dialled, byte by byte: escapes are decoded once, separators dropped
//! where the grammar has them, and nothing but digits and a `+` remains.

use crate::policy::number::{NotANumber, NotANumberKind, offset};

/// How the text of a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The user part of a SIP URI: escapes, no separators.
    User,
    /// The user part with `user=phone`: escapes and separators (RFC 3261 §19.1.1).
    Phone,
    /// The number of a `tel` URI: separators, no escapes (RFC 3966 §3).
    Tel,
}

/// The digits dialled and where each of them stood.
pub(super) struct Dialled {
    digits: [u8; Dialled::MOST],
    places: [u16; Dialled::MOST],
    length: usize,
    /// The offset behind the text.
    end: u16,
}

impl Dialled {
    /// The most digits looked at: a number, and what may stand in front of it.
    pub(super) const MOST: usize = 48;

    /// Reads a text; at least one digit.
    pub(super) fn collect(text: &[u8], style: Style) -> Result<Self, NotANumber> {
        let mut dialled = Self {
            digits: [0; Self::MOST],
            places: [0; Self::MOST],
            length: 0,
            end: offset(text.len()),
        };
        // Nothing but digits so far.
        let mut plain = true;
        let mut at = 0;
        while let Some(&first) = text.get(at) {
            let (byte, width) = match first {
                b'%' => (escape(text, at, style)?, 3),
                byte => (byte, 1),
            };
            let kind = match byte {
                b'0'..=b'9' => None,
                // What may stand in front of a number may stand in front of its `+`.
                b'+' if plain && (at == 0 || style != Style::Tel) => None,
                b'+' => Some(NotANumberKind::Plus),
                b'-' | b'.' | b'(' | b')' if style == Style::User => {
                    Some(NotANumberKind::Separator)
                }
                b'-' | b'.' | b'(' | b')' => None,
                _ => Some(NotANumberKind::NotADigit),
            };
            if let Some(kind) = kind {
                return Err(kind.at(at));
            }
            plain &= byte.is_ascii_digit();
            if byte.is_ascii_digit() || byte == b'+' {
                dialled.push(byte, at)?;
            }
            at += width;
        }
        if dialled.bytes().iter().any(u8::is_ascii_digit) {
            Ok(dialled)
        } else {
            Err(NotANumberKind::Empty.at(text.len()))
        }
    }

    /// The digits, and the `+` if there is one.
    pub(super) fn bytes(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }

    /// Where the digit of this index stood in the text; behind the last, its end.
    pub(super) fn place(&self, index: usize) -> u16 {
        self.places
            .get(..self.length)
            .and_then(|p| p.get(index))
            .copied()
            .unwrap_or(self.end)
    }

    fn push(&mut self, byte: u8, at: usize) -> Result<(), NotANumber> {
        let slots = (
            self.digits.get_mut(self.length),
            self.places.get_mut(self.length),
        );
        let (Some(digit), Some(slot)) = slots else {
            return Err(NotANumberKind::Length.at(at));
        };
        (*digit, *slot) = (byte, offset(at));
        self.length += 1;
        Ok(())
    }
}

/// The byte that an escape stands for; it is not decoded again.
fn escape(text: &[u8], at: usize, style: Style) -> Result<u8, NotANumber> {
    let digits = text.get(at + 1..at + 3).filter(|_| style != Style::Tel);
    let decoded = digits.and_then(|digits| {
        let mut value = 0;
        for &digit in digits {
            value = value << 4 | char::from(digit).to_digit(16)?;
        }
        u8::try_from(value).ok()
    });
    decoded.ok_or(NotANumberKind::Escape.at(at))
}
