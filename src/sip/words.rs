//! Eight bytes at a time: searching without a branch a byte.
//!
//! A *flag* is the high bit of a byte of a `u64` read in little-endian order. A set
//! of flags is exact up to its lowest one; above that there may be false ones, as a
//! borrow runs on from byte to byte. So only the lowest may be used, and sets may be
//! joined by `|`.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes that no search here looks for.
const PADDING: u64 = repeat(b'a');

/// A word of eight times this byte.
pub(super) const fn repeat(byte: u8) -> u64 {
    // A `const fn` cannot call `u64::from`.
    ONES.wrapping_mul(byte as u64)
}

/// The first eight bytes of a text as a word, zeros behind them.
pub(super) const fn of(text: &[u8]) -> u64 {
    let mut word = 0;
    let mut rest = text;
    let mut at = 0;
    while let Some((first, tail)) = rest.split_first()
        && at < 8
    {
        word |= (*first as u64) << (8 * at);
        rest = tail;
        at += 1;
    }
    word
}

/// A text of at most eight bytes as a word, zeros behind it.
#[inline]
pub(super) fn short(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => padded(text) & !(u64::MAX << (8 * text.len())),
    }
}

/// Flags the bytes below `limit`, which is at most 128.
#[inline]
pub(super) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(repeat(limit)) & !word & HIGHS
}

/// Flags the bytes that are `byte`.
#[inline]
pub(super) const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ repeat(byte), 1)
}

/// Flags the bytes above 126: DEL and what is not ASCII.
#[inline]
pub(super) const fn above_ascii(word: u64) -> u64 {
    (word.wrapping_add(ONES) | word) & HIGHS
}

/// Flags the bytes that are no letter, no digit, no `-` and no `.`; here every flag is
/// exact.
#[inline]
pub(super) const fn not_plain(word: u64) -> u64 {
    let low = word & !HIGHS;
    let small = low | repeat(0x20);
    let letter = at_least(small, b'a') & !at_least(small, b'z' + 1);
    // `-`, `.`, `/` and the digits are neighbours; `/` alone is not wanted.
    let other = at_least(low, b'-') & !at_least(low, b'9' + 1);
    let no_slash = (low ^ repeat(b'/')).wrapping_add(repeat(0x7f));
    (word | !(letter | other & no_slash)) & HIGHS
}

/// Flags the bytes from `limit` on, of a word of ASCII bytes; every flag is exact,
/// and other bits are left over.
#[inline]
const fn at_least(word: u64, limit: u8) -> u64 {
    word.wrapping_add(repeat(0x80 - limit))
}

/// Flags the bytes that are no decimal digit.
#[inline]
pub(super) const fn not_digit(word: u64) -> u64 {
    let from_zero = word ^ repeat(b'0');
    (from_zero.wrapping_add(repeat(0x80 - 10)) | from_zero) & HIGHS
}

/// The offset of the lowest flag in its word; 8 if there is none.
#[inline]
pub(super) const fn lowest(flags: u64) -> usize {
    (flags.trailing_zeros() / 8) as usize
}

/// A mask of the bytes in front of the lowest flag; of all if there is none.
#[inline]
pub(super) const fn before(flags: u64) -> u64 {
    ((flags & flags.wrapping_neg()) >> 7).wrapping_sub(1)
}

/// As [`find`], for what is mostly within eight bytes.
#[inline(always)]
pub(super) fn find_near(text: &[u8], flags: impl Fn(u64) -> u64) -> usize {
    match text.split_first_chunk::<8>() {
        Some((word, rest)) => {
            let found = flags(u64::from_le_bytes(*word));
            match found {
                0 => 8 + find(rest, flags),
                _ => lowest(found),
            }
        }
        None => lowest(flags(padded(text))).min(text.len()),
    }
}

/// The offset of the first byte of `text` that `flags` flags; its length if none is.
#[inline(always)]
pub(super) fn find(text: &[u8], flags: impl Fn(u64) -> u64) -> usize {
    let (pairs, tail) = text.as_chunks::<16>();
    let mut at = 0;
    for pair in pairs {
        let (a, b) = halves(pair);
        let (a, b) = (flags(a), flags(b));
        if a | b != 0 {
            let (found, base) = if a != 0 { (a, 0) } else { (b, 8) };
            return at + base + lowest(found);
        }
        at += 16;
    }
    if let Some((word, tail)) = tail.split_first_chunk::<8>() {
        let found = flags(u64::from_le_bytes(*word));
        if found != 0 {
            return at + lowest(found);
        }
        return at + 8 + lowest(flags(padded(tail))).min(tail.len());
    }
    at + lowest(flags(padded(tail))).min(tail.len())
}

#[inline]
fn halves(pair: &[u8; 16]) -> (u64, u64) {
    match pair.as_chunks::<8>().0 {
        [a, b] => (u64::from_le_bytes(*a), u64::from_le_bytes(*b)),
        _ => (0, 0),
    }
}

/// Fewer than eight bytes as a word, with padding behind them.
#[inline]
fn padded(tail: &[u8]) -> u64 {
    let bits = 8 * tail.len();
    let word = match (tail.first_chunk(), tail.last_chunk()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_le_bytes(*last));
            u64::from(u32::from_le_bytes(*first)) | last << (bits.saturating_sub(32) & 63)
        }
        _ => tail
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    word | PADDING << (bits & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAD: u8 = b'a';

    proptest! {
        #[test]
        fn the_first_is_found(text in proptest::collection::vec(any::<u8>(), 0..40), limit in 0..=PAD, byte: u8) {
            let first = |hit: &dyn Fn(u8) -> bool| {
                text.iter().position(|&byte| hit(byte)).unwrap_or(text.len())
            };
            // The padding is never looked for.
            let byte = if byte == PAD { b';' } else { byte };
            prop_assert_eq!(find(&text, |word| below(word, limit)), first(&|b| b < limit));
            prop_assert_eq!(find(&text, |word| equal(word, byte)), first(&|b| b == byte));
            prop_assert_eq!(find(&text, above_ascii), first(&|b| b > 126));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            prop_assert_eq!(find(&text, not_plain), first(&|b| !plain(b)));
            prop_assert_eq!(find(&text, not_digit), first(&|b| !b.is_ascii_digit()));
            let both = |word| below(word, limit) | equal(word, byte) | above_ascii(word);
            let any = |b| b < limit || b == byte || b > 126;
            prop_assert_eq!(find(&text, both), first(&any));
            prop_assert_eq!(find_near(&text, both), first(&any));
            let start = &text[..text.len().min(8)];
            prop_assert_eq!(short(start), of(start));
        }
    }
}
