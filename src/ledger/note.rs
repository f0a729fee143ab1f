//! Signed notes: a short text, and below it who signed it. The form is C2SP's
//! `signed-note` with Ed25519, which other programs read and verify too.
//!
//! ```text
//! the text, in lines
//!
//! — tollgate BASE64(key id, signature)
//! ```

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// What our keys are called in a note.
const NAME: &str = "tollgate";

/// Ed25519's number in the notes' form.
const ALGORITHM: u8 = 1;

/// What the line of a signature begins with: an em dash and a space.
pub(super) const SIGNED: &str = "\u{2014} ";

/// Verifies what a ledger's key has signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads what [`std::fmt::Display`] writes: `tollgate+ID+KEY`, one line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, key) = text
            .trim()
            .strip_prefix(NAME)?
            .strip_prefix('+')?
            .split_once('+')?;
        let bytes = BASE64.decode(key).ok()?;
        let (&ALGORITHM, key) = bytes.split_first()? else {
            return None;
        };
        let key = Self(key.try_into().ok()?);
        (id == hex(&key.id())).then_some(key)
    }

    /// What notes name it by.
    fn id(&self) -> [u8; 4] {
        let mut named = format!("{NAME}\n").into_bytes();
        named.push(ALGORITHM);
        named.extend_from_slice(&self.0);
        let digest = digest(&SHA256, &named);
        digest.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// What the segments of a ledger with this key name it by.
    pub(super) fn series(&self) -> [u8; 16] {
        let hash = blake3::hash(&self.0);
        hash.as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![ALGORITHM];
        bytes.extend_from_slice(&self.0);
        write!(to, "{NAME}+{}+{}", hex(&self.id()), BASE64.encode(bytes))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "PublicKey({self})")
    }
}

/// Signs a ledger's checkpoints.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// The key that this secret makes.
    pub(super) fn new(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a text, whose last line must be a whole one.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut bytes = self.public.id().to_vec();
        bytes.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n{SIGNED}{NAME} {}\n", BASE64.encode(bytes))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "SigningKey({})", self.public)
    }
}

/// Why a note cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// It is no note.
    Malformed,
    /// This key has not signed it, but another one may have.
    OtherKey,
    /// The signature is of another text.
    Changed,
}

/// The text of a note that this key has signed.
pub(super) fn open<'n>(note: &'n str, key: &PublicKey) -> Result<&'n str, Unsigned> {
    let (text, signature) = note
        .rsplit_once(&format!("\n{SIGNED}"))
        .ok_or(Unsigned::Malformed)?;
    let (name, encoded) = signature
        .strip_suffix('\n')
        .and_then(|line| line.split_once(' '))
        .ok_or(Unsigned::Malformed)?;
    let bytes = BASE64.decode(encoded).map_err(|_| Unsigned::Malformed)?;
    let (id, signature) = bytes.split_first_chunk::<4>().ok_or(Unsigned::Malformed)?;
    if name != NAME || *id != key.id() {
        return Err(Unsigned::OtherKey);
    }
    UnparsedPublicKey::new(&ED25519, &key.0)
        .verify(text.as_bytes(), signature)
        .map_err(|_| Unsigned::Changed)?;
    Ok(text)
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads so many bytes in hexadecimal.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_believed_of_its_signer_alone() {
        let [one, other] = [1, 2].map(|seed| SigningKey::new(&[seed; 32]).unwrap());
        let note = one.sign("a text\nin lines\n");
        assert_eq!(open(&note, one.public()), Ok("a text\nin lines\n"));
        assert_eq!(open(&note, other.public()), Err(Unsigned::OtherKey));
        let changed = note.replace("lines", "linen");
        assert_eq!(open(&changed, one.public()), Err(Unsigned::Changed));
        for cut in (0..note.len()).filter(|&at| note.is_char_boundary(at)) {
            assert!(open(&note[..cut], one.public()).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_public_key_reads_back() {
        let key = *SigningKey::new(&[7; 32]).unwrap().public();
        let text = key.to_string();
        assert_eq!(PublicKey::parse(&format!("{text}\n")), Some(key));
        assert_eq!(text.lines().count(), 1);
        for wrong in ["", "tollgate+00000000+AQ==", &text[1..], &text[..60]] {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
    }

    /// The example of the notes' own description (C2SP `signed-note`), but for the
    /// key's name, is made the same way: the id is SHA-256 of name, newline,
    /// algorithm and key.
    #[test]
    fn ids_are_made_as_described() {
        let key = *SigningKey::new(&[0; 32]).unwrap().public();
        // Ed25519's public key for a secret of zeros (RFC 8032's construction).
        let known = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
        assert_eq!(hex(&key.0), known);
        assert!(
            key.to_string()
                .ends_with("+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
        );
    }
}
