//! What was dialled, byte by byte: escapes are decoded once, separators dropped
//! where the grammar has them, and nothing but digits and a `+` remains.

use crate::policy::number::{NotANumber, NotANumberKind, offset};

/// The most digits looked at: a number, and what may stand in front of it.
const MOST: usize = 48;

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

/// The digits dialled, and the text in which they stood.
pub(super) struct Dialled<'t> {
    text: &'t [u8],
    style: Style,
    digits: [u8; MOST],
    length: usize,
}

impl<'t> Dialled<'t> {
    /// Reads a text; it has at least one digit.
    pub(super) fn collect(text: &'t [u8], style: Style) -> Result<Self, NotANumber> {
        let mut dialled = Self {
            text,
            style,
            digits: [0; MOST],
            length: 0,
        };
        // Most numbers are digits and nothing else.
        let digits = text.strip_prefix(b"+").unwrap_or(text);
        if !digits.is_empty()
            && digits.iter().all(u8::is_ascii_digit)
            && let Some(place) = dialled.digits.get_mut(..text.len())
        {
            place.copy_from_slice(text);
            dialled.length = text.len();
            return Ok(dialled);
        }
        let mut written = Written {
            text,
            at: 0,
            style,
            plain: true,
        };
        let mut any = false;
        while let Some((byte, at)) = written.next()? {
            any |= byte != b'+';
            let slot = dialled.digits.get_mut(dialled.length);
            *slot.ok_or(NotANumberKind::Length.at(at))? = byte;
            dialled.length += 1;
        }
        if any {
            Ok(dialled)
        } else {
            Err(NotANumberKind::Empty.at(text.len()))
        }
    }

    /// The digits, and the `+` if there is one.
    pub(super) fn bytes(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }

    /// Where the digit in front of this index ended in the text.
    #[cold]
    pub(super) fn end(&self, index: usize) -> u16 {
        let mut written = self.written();
        for _ in 0..index {
            // Nothing goes wrong: it was read before.
            let _digit = written.next();
        }
        offset(written.at)
    }

    fn written(&self) -> Written<'_> {
        Written {
            text: self.text,
            at: 0,
            style: self.style,
            plain: true,
        }
    }

    /// Where the digit of this index stood in the text; behind the last, its end.
    #[cold]
    pub(super) fn place(&self, index: usize) -> u16 {
        let mut written = self.written();
        let mut place = self.text.len();
        for _ in 0..=index {
            place = written
                .next()
                .ok()
                .flatten()
                .map_or(self.text.len(), |(_, at)| at);
        }
        offset(place)
    }
}

/// Goes through the text of a number.
struct Written<'t> {
    text: &'t [u8],
    at: usize,
    style: Style,
    /// Nothing but digits so far.
    plain: bool,
}

impl Written<'_> {
    /// The next digit or `+`, and its offset.
    #[inline]
    fn next(&mut self) -> Result<Option<(u8, usize)>, NotANumber> {
        while let Some(&first) = self.text.get(self.at) {
            let at = self.at;
            let (byte, width) = if first == b'%' {
                (self.escape()?, 3)
            } else {
                (first, 1)
            };
            self.at += width;
            let plain = self.plain;
            self.plain &= byte.is_ascii_digit();
            match byte {
                b'0'..=b'9' => return Ok(Some((byte, at))),
                // What may stand in front of a number may stand in front of its `+`.
                b'+' if plain && (at == 0 || self.style != Style::Tel) => {
                    return Ok(Some((byte, at)));
                }
                b'+' => return Err(NotANumberKind::Plus.at(at)),
                b'-' | b'.' | b'(' | b')' if self.style != Style::User => {}
                b'-' | b'.' | b'(' | b')' => return Err(NotANumberKind::Separator.at(at)),
                _ => return Err(NotANumberKind::NotADigit.at(at)),
            }
        }
        Ok(None)
    }

    /// The byte that the escape here stands for; it is not decoded again.
    #[cold]
    fn escape(&self) -> Result<u8, NotANumber> {
        let digits = self.text.get(self.at + 1..self.at + 3);
        let decoded = digits
            .filter(|_| self.style != Style::Tel)
            .and_then(|digits| {
                let mut value = 0;
                for &digit in digits {
                    value = value << 4 | char::from(digit).to_digit(16)?;
                }
                u8::try_from(value).ok()
            });
        decoded.ok_or(NotANumberKind::Escape.at(self.at))
    }
}
