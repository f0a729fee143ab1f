//! Tollgate's own accounts with carriers: what it registers, and how that stands.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::flow::Flow;
use crate::base::time::{Mono, Wall};
use crate::base::token::{Token, keyed128};
use crate::sip::digest::{Account, Challenge};

use super::alerting::SecretIn;
use super::ruleset::RuleSet;

/// An account with a carrier. The phone systems do not know it, so that whoever owns one
/// of them cannot go round the rules.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Whose calls are to come here (RFC 3261 §10): a `sip:` URI.
    pub aor: String,
    /// The Request-URI of a REGISTER.
    pub registrar: String,
    /// The account's name.
    pub username: String,
    /// The one realm that may ask for the account.
    pub realm: String,
    /// Whether anything is registered; if not, the account only answers challenges.
    pub registers: bool,
    /// Whether the carrier is asked for a GRUU, and called by what it gives. Not all that give
    /// one take in-dialog requests to it.
    pub gruu: bool,
    /// For how long it registers, in seconds: 60 to 86,400.
    pub expires_s: u32,
    /// Where the password is.
    pub secret: SecretIn,
    /// How it stands, over reloads too.
    pub standing: Arc<Registered>,
    password: Secret,
}

impl PartialEq for Registration {
    /// Whether the same is registered; not how it stands.
    fn eq(&self, other: &Self) -> bool {
        let texts = |it: &Self| {
            let texts = [&it.aor, &it.registrar, &it.username, &it.realm];
            texts.map(String::clone)
        };
        texts(self) == texts(other)
            && (self.registers, self.expires_s) == (other.registers, other.expires_s)
            && self.gruu == other.gruu
            && self.password == other.password
    }
}

impl Eq for Registration {}

impl Registration {
    /// Without its password, which no file of rules has: see [`RuleSet::read_secrets`].
    pub(super) fn new(
        [aor, registrar, username, realm]: [String; 4],
        (registers, expires_s): (bool, u32),
        secret: SecretIn,
        standing: Arc<Registered>,
    ) -> Self {
        Self {
            aor,
            registrar,
            username,
            realm,
            registers,
            gruu: false,
            expires_s,
            secret,
            standing,
            password: Secret::default(),
        }
    }

    /// The account, for this challenge of its carrier's; `None` where that is of another
    /// realm, or the password is not known.
    #[must_use]
    pub fn account(&self, challenge: &Challenge<'_>) -> Option<Account<'_>> {
        let asked = challenge.realm == self.realm.as_bytes();
        (asked && !self.password.0.is_empty()).then_some(Account {
            username: self.username.as_bytes(),
            password: &self.password.0,
        })
    }

    /// Which instance of a user agent registers with the carrier of this name (RFC 5626
    /// §4.1): the same over restarts.
    #[must_use]
    pub fn instance(key: u128, carrier: &str) -> String {
        let parts: [&[u8]; 2] = [b"instance", carrier.as_bytes()];
        // RFC 9562 §5.8: the version and the variant have their bits.
        let bits = keyed128(key, &parts) & !(0xf << 76) & !(0b11 << 62) | 8 << 76 | 0b10 << 62;
        let hex = format!("{bits:032x}");
        let spans = [0..8, 8..12, 12..16, 16..20, 20..32];
        let parts = spans.map(|it| hex.get(it).unwrap_or_default());
        format!("urn:uuid:{}", parts.join("-"))
    }

    /// The user part of the Contact that is registered with the carrier of this name: the
    /// same over restarts, so that a registrar has one and not two, and of no use to
    /// anybody who does not know `key`.
    #[must_use]
    pub fn contact_user(key: u128, carrier: &str) -> [u8; Token::LEN] {
        let parts: [&[u8]; 2] = [b"registered contact", carrier.as_bytes()];
        Token::from_hash(keyed128(key, &parts)).text()
    }
}

/// A password; empty where it is not known.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secret(Arc<[u8]>);

impl Secret {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    /// Says nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(left out)")
    }
}

/// How a registration stands: written by the shard that has it, for all to read.
#[derive(Debug, Default)]
pub struct Registered(Mutex<RegistrationState>);

/// See [`Registered`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RegistrationState {
    /// Nothing has come of it yet.
    #[default]
    Begun,
    /// The carrier has agreed to it.
    Good {
        /// Until then.
        until: Mono,
        /// Since when it has, without a gap in this life.
        since: Wall,
        /// What is registered: a URI.
        contact: Arc<[u8]>,
        /// The way to its registrar.
        flow: Flow,
        /// Where the carrier wants requests to be sent through (RFC 3608): the value of a
        /// Route; may be empty.
        routes: Arc<[u8]>,
        /// What the carrier has given for being called at.
        gruus: Gruus,
    },
    /// The carrier has not, or no more.
    Lost {
        /// Why, in words.
        why: String,
    },
}

/// Globally routable URIs of a registered Contact (RFC 5627 §3.1); each may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gruus {
    /// It says whose it is, and lasts.
    pub public: Arc<[u8]>,
    /// It does not.
    pub temporary: Arc<[u8]>,
}

impl Registered {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.lock().clone()
    }

    /// Notes how it stands, and says how it stood.
    pub(crate) fn set(&self, state: RegistrationState) -> RegistrationState {
        std::mem::replace(&mut self.lock(), state)
    }

    /// The value of the Route that requests to the carrier have; empty for none.
    pub(crate) fn routes(&self) -> Arc<[u8]> {
        match &*self.lock() {
            RegistrationState::Good { routes, .. } => Arc::clone(routes),
            RegistrationState::Begun | RegistrationState::Lost { .. } => Arc::default(),
        }
    }

    /// The URI that the carrier has given for being called at; empty for none. Where the
    /// caller is not shown, only one that does not say whose it is.
    pub(crate) fn gruu(&self, anonymous: bool) -> Arc<[u8]> {
        match &*self.lock() {
            RegistrationState::Good { gruus, .. } if anonymous => Arc::clone(&gruus.temporary),
            RegistrationState::Good { gruus, .. } => Arc::clone(&gruus.public),
            RegistrationState::Begun | RegistrationState::Lost { .. } => Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RegistrationState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RuleSet {
    /// Takes the passwords that `before` has: these are the same rules.
    pub fn keep_secrets(&mut self, before: &Self) {
        for (carrier, before) in self.carriers.iter_mut().zip(&before.carriers) {
            if let (Some(to), Some(from)) = (&mut carrier.registration, &before.registration) {
                to.password = from.password.clone();
            }
        }
        for (name, account) in &mut self.accounts {
            if let Some(before) = before.accounts.get(name) {
                account.password = before.password.clone();
            }
        }
    }

    /// Has the passwords of all accounts read, Tollgate's own and those of phone systems.
    /// What is wrong comes back, one line for each that cannot be: that carrier's
    /// challenges are not answered, or that account lets nobody in.
    pub fn read_secrets(
        &mut self,
        mut read: impl FnMut(&SecretIn) -> Result<Vec<u8>, String>,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        for carrier in &mut self.carriers {
            let Some(registration) = &mut carrier.registration else {
                continue;
            };
            match read(&registration.secret) {
                Ok(secret) => registration.password = Secret(secret.into()),
                Err(fault) => faults.push(format!(
                    "carrier {} has no password from Tollgate: {fault}",
                    carrier.name
                )),
            }
        }
        for account in self.accounts.values_mut() {
            match read(&account.secret) {
                Ok(secret) => account.password = Secret(secret.into()),
                Err(fault) => faults.push(format!(
                    "nobody can register as {}: {fault}",
                    account.username
                )),
            }
        }
        faults.sort_unstable();
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_the_realm_that_is_configured() {
        let texts = ["sip:1@c", "sip:c", "1", "c"].map(str::to_owned);
        let secret = SecretIn::Env("X".to_owned());
        let mut own = Registration::new(texts, (true, 60), secret, Arc::default());
        let challenge = |realm: &'static str| {
            let text = format!("Digest realm=\"{realm}\", nonce=\"n\"");
            let text: &'static str = text.leak();
            Challenge::parse(text.as_bytes()).unwrap().unwrap()
        };
        assert!(own.account(&challenge("c")).is_none(), "no password yet");
        own.password = Secret(Arc::from(b"SECRET".as_slice()));
        assert!(own.account(&challenge("c")).is_some());
        for other in ["", "C", "c.", "other", "c "] {
            assert!(own.account(&challenge(other)).is_none(), "{other}");
        }
        assert!(!format!("{own:?} {:?}", own.account(&challenge("c"))).contains("SECRET"));
    }

    #[test]
    fn an_instance_is_a_uuid_and_the_same_over_restarts() {
        let one = Registration::instance(1, "a");
        assert_eq!(one, Registration::instance(1, "a"));
        assert_ne!(one, Registration::instance(1, "b"));
        let uuid = one.strip_prefix("urn:uuid:").unwrap();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(uuid.as_bytes()[14], b'8');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }

    #[test]
    fn a_contact_is_the_same_over_restarts_and_each_carrier_s_own() {
        let contact = Registration::contact_user;
        assert_eq!(contact(1, "a"), contact(1, "a"));
        assert_ne!(contact(1, "a"), contact(1, "b"));
        assert_ne!(contact(1, "a"), contact(2, "a"));
    }
}
