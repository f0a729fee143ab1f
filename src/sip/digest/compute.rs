//! The hashes, and what is written of them.

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use subtle::ConstantTimeEq;

use super::{Challenge, Credentials, Hash};

/// A hash in hexadecimal digits: 32 of MD5, 64 of the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex {
    digits: [u8; 64],
    length: u8,
}

impl Hex {
    fn of(hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [b'0'; 64];
        let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut length = 0;
        for (digit, half) in digits.iter_mut().zip(halves) {
            *digit = DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
            length += 1;
        }
        Self { digits, length }
    }
}

impl AsRef<[u8]> for Hex {
    fn as_ref(&self) -> &[u8] {
        let length = usize::from(self.length);
        self.digits.get(..length).unwrap_or_default()
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_ref()))
    }
}

impl Hash {
    /// The hash of `parts` with colons between them, which is how all of RFC 7616 is
    /// hashed.
    fn of(self, parts: &[&[u8]]) -> Hex {
        fn run<D: Digest>(parts: &[&[u8]]) -> Hex {
            let mut hash = D::new();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    hash.update(b":");
                }
                hash.update(part);
            }
            Hex::of(&hash.finalize())
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512T256 => run::<Sha512_256>(parts),
        }
    }
}

/// Who answers, and with what.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// The account's name.
    pub username: &'a [u8],
    /// Its password.
    pub password: &'a [u8],
}

impl fmt::Debug for Account<'_> {
    /// Says nothing of the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

/// What a request says that an answer covers.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a [u8],
    /// Its Request-URI.
    pub uri: &'a [u8],
}

/// What a response covers beside the request.
struct Nonces<'a> {
    nonce: &'a [u8],
    /// The client's nonce and count; `None` without a quality of protection.
    own: Option<(&'a [u8], u32)>,
}

impl Account<'_> {
    /// RFC 7616 §3.4.1.
    fn response(
        &self,
        algorithm: super::Algorithm,
        realm: &[u8],
        asked: &Asked<'_>,
        nonces: &Nonces<'_>,
    ) -> Hex {
        let hash = algorithm.hash;
        let mut key = hash.of(&[self.username, realm, self.password]);
        if let (true, Some((cnonce, _))) = (algorithm.session, nonces.own) {
            key = hash.of(&[key.as_ref(), nonces.nonce, cnonce]);
        }
        let what = hash.of(&[asked.method, asked.uri]);
        let (key, what) = (key.as_ref(), what.as_ref());
        match nonces.own {
            None => hash.of(&[key, nonces.nonce, what]),
            Some((cnonce, count)) => {
                let count = Hex::of(&count.to_be_bytes());
                hash.of(&[key, nonces.nonce, count.as_ref(), cnonce, b"auth", what])
            }
        }
    }

    /// Whether credentials are this account's answer for a request of this method. Takes
    /// as long for a wrong one, whatever is wrong with it. Whether their realm, nonce, URI
    /// and count are those that they should be is for the caller to see.
    #[must_use]
    pub fn gave(&self, credentials: &Credentials<'_>, method: &[u8]) -> bool {
        let asked = Asked {
            method,
            uri: credentials.uri,
        };
        let nonces = Nonces {
            nonce: credentials.nonce,
            own: Some((credentials.cnonce, credentials.count)),
        };
        let right = self.response(credentials.algorithm, credentials.realm, &asked, &nonces);
        let said = credentials.response.to_ascii_lowercase();
        let response = bool::from(right.as_ref().ct_eq(&said));
        let name = bool::from(self.username.ct_eq(credentials.username));
        response & name
    }
}

/// The answer to a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The challenge.
    pub challenge: &'a Challenge<'a>,
    /// A nonce of ours, a token.
    pub cnonce: &'a [u8],
    /// How often this nonce is answered, this time included: from 1.
    pub count: u32,
}

impl Answer<'_> {
    /// The value of Authorization or Proxy-Authorization with which a request is sent
    /// again; `None` where the challenge cannot be answered from here (see
    /// [`Challenge::answerable`]), or the account's name cannot be written between quotes.
    #[must_use]
    pub fn write(&self, account: &Account<'_>, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let challenge = self.challenge;
        let algorithm = challenge.answerable()?;
        let bare = |it: &&u8| matches!(it, b'"' | b'\\') || it.is_ascii_control();
        let mut written = account.username.iter().chain(asked.uri);
        if written.any(|it| bare(&it)) {
            return None;
        }
        let own = challenge.auth.map(|_| (self.cnonce, self.count));
        let nonces = Nonces {
            nonce: challenge.nonce,
            own,
        };
        let response = account.response(algorithm, challenge.realm, asked, &nonces);
        let mut value = b"Digest username=\"".to_vec();
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|it| value.extend_from_slice(it));
        put(&[account.username, b"\", realm=\"", challenge.realm]);
        put(&[b"\", nonce=\"", challenge.nonce, b"\", uri=\"", asked.uri]);
        put(&[b"\", response=\"", response.as_ref(), b"\", algorithm="]);
        put(&[algorithm.as_str().as_bytes()]);
        if let Some(opaque) = challenge.opaque {
            put(&[b", opaque=\"", opaque, b"\""]);
        }
        if let Some((cnonce, count)) = own {
            let count = Hex::of(&count.to_be_bytes());
            put(&[b", qop=auth, nc=", count.as_ref(), b", cnonce=\"", cnonce]);
            put(&[b"\""]);
        }
        Some(value)
    }
}
