//! What is minted, and what is hashed: branches, tags, Call-IDs, buckets.
//!
//! Everything here is keyed. Who lacks the key can neither guess the next token
//! nor aim many inputs at one bucket; who has it replays a run exactly.

use std::fmt;

use siphasher::sip128::{SipHasher13, SipHasher24};

/// The 32 digits of a token's text, each worth five bits.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 80 unguessable bits: RFC 3261 §19.3 asks for 32 of them in a tag, and for
/// global uniqueness in tags, branches and Call-IDs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token([u8; 10]);

impl Token {
    /// How many bytes the text has.
    pub const LEN: usize = 16;

    /// The text: lower-case letters and digits, each worth five bits.
    #[must_use]
    pub fn text(self) -> [u8; Self::LEN] {
        let bits = self.bits();
        let mut text = [b'0'; Self::LEN];
        for (place, out) in (0_u32..).zip(text.iter_mut().rev()) {
            let digit = usize::try_from((bits >> (5 * place)) & 31).unwrap_or(0);
            *out = DIGITS.get(digit).copied().unwrap_or(b'0');
        }
        text
    }

    /// Reads a text back, in either case (RFC 3261 §7.3.1: tokens have none);
    /// `None` if it is not one that [`Token::text`] writes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::LEN {
            return None;
        }
        let mut bits = 0_u128;
        for byte in text {
            let byte = byte.to_ascii_lowercase();
            let digit = DIGITS.iter().position(|known| *known == byte)?;
            bits = (bits << 5) | u128::try_from(digit).ok()?;
        }
        Some(Self::from_hash(bits))
    }

    /// The token of a keyed hash's low 80 bits.
    #[must_use]
    pub fn from_hash(bits: u128) -> Self {
        let [.., a, b, c, d, e, f, g, h, i, j] = bits.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, i, j])
    }

    /// The 80 bits, as the low ones: for use as a key.
    #[must_use]
    pub fn bits(self) -> u128 {
        let [a, b, c, d, e, f, g, h, i, j] = self.0;
        u128::from_be_bytes([0, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j])
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Mints tokens: a keyed hash of a counter. The same key mints the same tokens
/// in the same order, so each run of each shard is given its own.
#[derive(Clone)]
pub struct Mint {
    hash: SipHasher24,
    minted: u64,
}

impl Mint {
    /// A mint that nobody without `key` can foretell.
    #[must_use]
    pub fn new(key: u128) -> Self {
        Self {
            hash: SipHasher24::new_with_key(&key.to_le_bytes()),
            minted: 0,
        }
    }

    /// The next token. Two are equal by chance only, once in 2^40 or so.
    pub fn token(&mut self) -> Token {
        let hash = self.hash.hash(&self.minted.to_le_bytes());
        self.minted = self.minted.wrapping_add(1);
        Token::from_hash(u128::from(hash))
    }
}

impl fmt::Debug for Mint {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint")
            .field("minted", &self.minted)
            .finish_non_exhaustive()
    }
}

/// Which 1,024th of all calls a call belongs to; see [`Buckets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// One that the first shard owns, however many there are.
    pub const FIRST: Self = Self(0);

    /// The owner of this bucket among `shards` (numbered from 0): each owns a
    /// run of neighbouring buckets, no run longer than another by two.
    #[must_use]
    pub fn shard(self, shards: u16) -> u16 {
        let shard = u32::from(self.0) * u32::from(shards) / u32::from(Buckets::COUNT);
        u16::try_from(shard).unwrap_or(0)
    }

    /// The bucket with this number; none if there is none.
    #[must_use]
    pub fn new(index: u16) -> Option<Self> {
        (index < Buckets::COUNT).then_some(Self(index))
    }

    /// The bucket's number, below [`Buckets::COUNT`].
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }
}

/// Spreads calls over a fixed number of buckets by their Call-ID. The key is
/// kept, so a call's bucket outlives a restart and a change of core count.
#[derive(Clone)]
pub struct Buckets(SipHasher13);

impl Buckets {
    /// How many buckets there are.
    pub const COUNT: u16 = 1024;

    /// The buckets of this `key`.
    #[must_use]
    pub fn new(key: u128) -> Self {
        Self(SipHasher13::new_with_key(&key.to_le_bytes()))
    }

    /// How many bytes a Call-ID of [`Buckets::aim`] has.
    pub const AIMED_LEN: usize = Token::LEN + 2;

    /// The bucket of a Call-ID (compared byte by byte, RFC 3261 §20.8).
    ///
    /// A Call-ID of [`Buckets::AIMED_LEN`] bytes that ends in two of a token's
    /// digits moves its bucket by what they say: that is how [`Buckets::aim`]
    /// reaches any bucket with one hash.
    #[must_use]
    pub fn bucket(&self, call_id: &[u8]) -> Bucket {
        let (hashed, moved) = match call_id.split_last_chunk::<2>() {
            Some((front, [high, low])) if front.len() == Token::LEN => {
                match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => (front, high << 5 | low),
                    _ => (call_id, 0),
                }
            }
            _ => (call_id, 0),
        };
        let low = u128::from(self.0.hash(hashed)) % u128::from(Self::COUNT);
        Bucket(u16::try_from(low).unwrap_or(0) ^ moved)
    }

    /// A Call-ID made from `token` that belongs to `bucket`.
    #[must_use]
    pub fn aim(&self, token: Token, bucket: Bucket) -> [u8; Self::AIMED_LEN] {
        let mut call_id = [b'0'; Self::AIMED_LEN];
        let text = token.text();
        let moved = self.bucket(&text).0 ^ bucket.0;
        let ends = [moved >> 5, moved & 31].map(|value| DIGITS.get(usize::from(value)));
        let digits = text.iter().chain(ends.into_iter().flatten());
        for (out, byte) in call_id.iter_mut().zip(digits) {
            *out = *byte;
        }
        call_id
    }
}

/// What one digit of a token's text is worth.
fn digit(byte: u8) -> Option<u16> {
    let byte = byte.to_ascii_lowercase();
    (0..)
        .zip(DIGITS)
        .find(|(_, known)| **known == byte)
        .map(|(value, _)| value)
}

impl fmt::Debug for Buckets {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}

/// A keyed hash of `parts`, as good as the parts themselves to tell inputs
/// apart. Each part counts with its length: `["ab", "c"]` is not `["a", "bc"]`.
#[must_use]
pub fn keyed128(key: u128, parts: &[&[u8]]) -> u128 {
    let hash = SipHasher13::new_with_key(&key.to_le_bytes());
    // Hashing one run of bytes is several times faster than many short ones.
    let mut buf = [0; 256];
    if let Some(run) = gather(parts, &mut buf) {
        return u128::from(hash.hash(run));
    }
    let mut run = vec![0; parts.iter().map(|part| part.len() + LENGTH).sum()];
    u128::from(hash.hash(gather(parts, &mut run).unwrap_or_default()))
}

/// Bytes that a part's length takes.
const LENGTH: usize = size_of::<u32>();

/// Writes the parts one behind the other, each behind its length; `None` if `buf`
/// is too short.
fn gather<'b>(parts: &[&[u8]], buf: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut used = 0;
    for part in parts {
        let rest = buf.get_mut(used..)?;
        let (length, rest) = rest.split_first_chunk_mut::<LENGTH>()?;
        *length = u32::try_from(part.len()).ok()?.to_le_bytes();
        rest.get_mut(..part.len())?.copy_from_slice(part);
        used += LENGTH + part.len();
    }
    buf.get(..used)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mint_replays_with_its_key_only() {
        let (mut one, mut same, mut other) = (Mint::new(7), Mint::new(7), Mint::new(8));
        let minted: Vec<Token> = (0..1000).map(|_| one.token()).collect();
        let again: Vec<Token> = (0..1000).map(|_| same.token()).collect();
        assert_eq!(minted, again);
        let all: HashSet<Token> = minted
            .into_iter()
            .chain((0..1000).map(|_| other.token()))
            .collect();
        assert_eq!(all.len(), 2000);
    }

    #[test]
    fn no_digit_stands_for_another() {
        let known: HashSet<&u8> = DIGITS.iter().collect();
        assert_eq!(known.len(), 32);
        assert_eq!(Token::parse(b"000000000000000u"), None);
        assert_eq!(Token::parse(b"00000000000000"), None);
        assert_eq!(Token::parse(b"00000000000000000"), None);
    }

    #[test]
    fn buckets_are_all_used_and_evenly_owned() {
        let buckets = Buckets::new(3);
        let mut seen = vec![0_u32; usize::from(Buckets::COUNT)];
        for call in 0..102_400_u32 {
            let bucket = buckets.bucket(call.to_string().as_bytes());
            seen[usize::from(bucket.index())] += 1;
        }
        assert!(
            seen.iter().all(|calls| (40..200).contains(calls)),
            "{seen:?}"
        );
        for shards in [1, 2, 3, 7, 64, 1024] {
            let mut owned = vec![0_u16; usize::from(shards)];
            for bucket in 0..Buckets::COUNT {
                owned[usize::from(Bucket(bucket).shard(shards))] += 1;
            }
            let (least, most) = (owned.iter().min(), owned.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{owned:?}");
        }
    }

    #[test]
    fn a_part_counts_with_its_length() {
        let whole = keyed128(1, &[b"ab", b"c"]);
        assert_ne!(whole, keyed128(1, &[b"a", b"bc"]));
        assert_ne!(whole, keyed128(1, &[b"abc"]));
        assert_ne!(whole, keyed128(1, &[b"ab", b"c", b""]));
        assert_ne!(whole, keyed128(2, &[b"ab", b"c"]));
        assert_eq!(whole, keyed128(1, &[b"ab", b"c"]));
    }

    #[test]
    fn parts_may_be_long() {
        let long = [b'x'; 1_000];
        let whole = keyed128(1, &[&long, b"y"]);
        assert_ne!(whole, keyed128(1, &[&long, b"z"]));
        assert_ne!(whole, keyed128(1, &[&long[1..], b"xy"]));
        assert_ne!(whole, keyed128(1, &[]));
    }

    proptest! {
        #[test]
        fn text_reads_back(bits in any::<[u8; 10]>()) {
            let token = Token(bits);
            let text = token.text();
            prop_assert_eq!(Token::parse(&text), Some(token));
            prop_assert_eq!(Token::parse(&text.to_ascii_uppercase()), Some(token));
            prop_assert_eq!(token.to_string().into_bytes(), text.to_vec());
        }
    }

    #[test]
    fn an_aimed_call_id_hits_its_bucket() {
        let buckets = Buckets::new(7);
        let mut mint = Mint::new(9);
        for index in 0..Buckets::COUNT {
            let call_id = buckets.aim(mint.token(), Bucket(index));
            assert_eq!(buckets.bucket(&call_id), Bucket(index));
        }
    }
}
