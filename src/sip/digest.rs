//! Digest authentication: RFC 7616 as SIP has it (RFC 3261 §22, RFC 8760).
//!
//! `auth` is the one quality of protection that is offered or answered. A challenge
//! without any (RFC 2069) is answered too, since carriers still send it; credentials
//! without any are not taken. `auth-int` is refused: a B2BUA's bodies are not its own.

mod compute;
mod value;

use std::fmt;

use super::error::{Fault, FaultKind};
use value::Pairs;

pub use compute::{Account, Answer, Asked, Hex};

/// How digests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// MD5, which every SIP device has.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512, cut to 256 bits.
    Sha512T256,
}

/// An algorithm (RFC 7616 §3.3, §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Algorithm {
    /// The hash.
    pub hash: Hash,
    /// Whether the key is of one session (`-sess`).
    pub session: bool,
}

impl Algorithm {
    /// Every one, with its name.
    const ALL: [(Self, &'static str); 6] = [
        (Self::new(Hash::Md5, false), "MD5"),
        (Self::new(Hash::Md5, true), "MD5-sess"),
        (Self::new(Hash::Sha256, false), "SHA-256"),
        (Self::new(Hash::Sha256, true), "SHA-256-sess"),
        (Self::new(Hash::Sha512T256, false), "SHA-512-256"),
        (Self::new(Hash::Sha512T256, true), "SHA-512-256-sess"),
    ];

    /// The one with this hash.
    #[must_use]
    pub const fn new(hash: Hash, session: bool) -> Self {
        Self { hash, session }
    }

    /// The one of this name, in any case.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        let (known, _) = all.find(|(_, it)| it.as_bytes().eq_ignore_ascii_case(name))?;
        Some(known)
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == self).map_or("", |it| it.1)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What WWW-Authenticate or Proxy-Authenticate asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'m> {
    /// Whose accounts are meant.
    pub realm: &'m [u8],
    /// What the answer is to be made with.
    pub nonce: &'m [u8],
    /// What is to be said back as it is.
    pub opaque: Option<&'m [u8]>,
    /// The answer before was right, and its nonce too old.
    pub stale: bool,
    /// How it is to be answered; `None` if by an algorithm that is not known here.
    pub algorithm: Option<Algorithm>,
    /// Whether `auth` is among the qualities of protection; `None` without any.
    pub auth: Option<bool>,
}

impl<'m> Challenge<'m> {
    /// Reads a field's value; `None` if it is of another scheme than Digest.
    ///
    /// # Errors
    /// [`FaultKind::Digest`]: no list of parameters, one of them twice, or no realm or
    /// nonce. A realm or the like with a `\` in it is refused too, as programs differ in
    /// what they hash of it.
    pub fn parse(value: &'m [u8]) -> Result<Option<Self>, Fault> {
        let Some(pairs) = Pairs::of(value)? else {
            return Ok(None);
        };
        let pairs = pairs.all()?;
        Ok(Some(Self {
            realm: pairs.text("realm")?.ok_or(FAULT)?,
            nonce: pairs.text("nonce")?.ok_or(FAULT)?,
            opaque: pairs.text("opaque")?,
            stale: (pairs.text("stale")?).is_some_and(|it| it.eq_ignore_ascii_case(b"true")),
            algorithm: algorithm(pairs.text("algorithm")?),
            auth: pairs.text("qop")?.map(offers_auth),
        }))
    }

    /// How it can be answered from here; `None` if it cannot.
    #[must_use]
    pub fn answerable(&self) -> Option<Algorithm> {
        // Without a quality of protection there is no client nonce, which a session's key
        // is made of.
        let algorithm = self.algorithm?;
        match self.auth {
            Some(auth) => auth.then_some(algorithm),
            None => (!algorithm.session).then_some(algorithm),
        }
    }
}

/// What Authorization or Proxy-Authorization says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'m> {
    /// The account.
    pub username: &'m [u8],
    /// Of which realm.
    pub realm: &'m [u8],
    /// The challenge that is answered.
    pub nonce: &'m [u8],
    /// The Request-URI that the answer is for.
    pub uri: &'m [u8],
    /// The answer, in hexadecimal digits.
    pub response: &'m [u8],
    /// How it was made.
    pub algorithm: Algorithm,
    /// The client's own nonce.
    pub cnonce: &'m [u8],
    /// How often the nonce was answered, this time included.
    pub count: u32,
}

impl<'m> Credentials<'m> {
    /// Reads a field's value; `None` if it is of another scheme than Digest.
    ///
    /// # Errors
    /// [`FaultKind::Digest`]: what is missing or malformed, as in [`Challenge::parse`]; an
    /// unknown algorithm; a hashed or encoded user name; and all but `qop=auth`, without
    /// which whoever hears an answer can give it again.
    pub fn parse(value: &'m [u8]) -> Result<Option<Self>, Fault> {
        let Some(pairs) = Pairs::of(value)? else {
            return Ok(None);
        };
        let pairs = pairs.all()?;
        let needed = |name| pairs.text(name)?.ok_or(FAULT);
        let hashed = pairs.text("userhash")?.unwrap_or(b"false");
        if !hashed.eq_ignore_ascii_case(b"false") || !needed("qop")?.eq_ignore_ascii_case(b"auth") {
            return Err(FAULT);
        }
        Ok(Some(Self {
            username: needed("username")?,
            realm: needed("realm")?,
            nonce: needed("nonce")?,
            uri: needed("uri")?,
            response: needed("response")?,
            algorithm: algorithm(pairs.text("algorithm")?).ok_or(FAULT)?,
            cnonce: needed("cnonce")?,
            count: count(needed("nc")?).ok_or(FAULT)?,
        }))
    }
}

/// The realm and the nonce that credentials name, however they answer.
#[must_use]
pub fn answered(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let pairs = Pairs::of(value).ok()??.all().ok()?;
    let text = |name| pairs.text(name).ok().flatten();
    Some((text("realm")?, text("nonce")?))
}

/// What is wrong with whatever is no challenge and no credentials.
const FAULT: Fault = Fault {
    kind: FaultKind::Digest,
    at: 0,
};

/// MD5 where none is named (RFC 7616 §3.3).
fn algorithm(name: Option<&[u8]>) -> Option<Algorithm> {
    match name {
        None => Some(Algorithm::new(Hash::Md5, false)),
        Some(name) => Algorithm::parse(name),
    }
}

/// Whether `auth` is in a list of qualities of protection.
fn offers_auth(list: &[u8]) -> bool {
    let mut offered = list.split(|&byte| byte == b',');
    offered.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"auth"))
}

/// A nonce count: eight hexadecimal digits, and never zero.
fn count(text: &[u8]) -> Option<u32> {
    let digits = text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    let count = u32::from_str_radix(text, 16).ok();
    count.filter(|it| *it > 0)
}

#[cfg(test)]
mod tests;
