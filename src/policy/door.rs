//! Who registers here: accounts of the tenants' phone systems, the challenges that they
//! answer, and where they are.
//!
//! A nonce holds its own time and the address that it was made for, under a key: nothing
//! is kept of a challenge that nobody answers, and an answer is of no use elsewhere. What
//! was answered rightly is kept until its nonce is too old, so that it counts once.

mod bindings;
mod tries;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use subtle::ConstantTimeEq;

use crate::base::flow::Flow;
use crate::base::limits::{NONCE_S, NONCES};
use crate::base::time::Mono;
use crate::base::token::{Token, keyed128};
use crate::sip::digest::{self, Algorithm, Credentials, Hash};
use crate::sip::header::HeaderId;
use crate::sip::message::Message;

use super::alerting::SecretIn;
use super::registration::Secret;
use super::ruleset::{Peer, RuleSet, TenantId};

pub use bindings::Binding;
use bindings::Bindings;
use tries::Tries;

/// What accounts are of: the same for all, so that a challenge tells nothing.
pub(crate) const REALM: &str = "tollgate";

/// The algorithms of our challenges, unless a listener says otherwise, the best first
/// (RFC 8760 §2.4).
pub(super) const ALGORITHMS: [Algorithm; 2] = [
    Algorithm::new(Hash::Sha256, false),
    Algorithm::new(Hash::Md5, false),
];

/// An account of a tenant's phone system.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name; no two tenants have the same.
    pub username: Box<str>,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where its password is.
    pub secret: SecretIn,
    pub(super) password: Secret,
}

/// What came of a request's credentials.
#[derive(Debug)]
pub(crate) enum Proof<'r> {
    /// They are this account's.
    Given(&'r Account),
    /// They are not, or there are none.
    Wanted {
        /// They may be, but their nonce is too old.
        stale: bool,
    },
}

/// What all shards know of who registers here.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
    pub(super) bindings: Bindings,
}

#[derive(Debug, Default)]
struct State {
    /// What was answered rightly, by the hash of its nonce.
    answered: HashMap<u128, Answered, FixedState>,
    failures: Tries,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    /// The highest count.
    count: u32,
    /// A hash of the answer with it: the same may come again, as a retransmission.
    response: u128,
    /// Forgotten then: the nonce is too old.
    until: Mono,
}

impl Account {
    /// Without its password: see [`RuleSet::read_secrets`].
    pub(super) fn new(username: Box<str>, tenant: TenantId, secret: SecretIn) -> Self {
        Self {
            username,
            tenant,
            secret,
            password: Secret::default(),
        }
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer that is right may count: not if it, or one after it, did before.
    fn count(&self, now: Mono, nonce: Nonce, said: &Credentials<'_>) -> bool {
        let (key, response) = (keyed128(0, &[said.nonce]), keyed128(0, &[said.response]));
        let mut state = self.lock();
        let full = state.answered.len() >= NONCES;
        if full {
            state.answered.retain(|_, it| it.until > now);
        }
        let room = state.answered.len() < NONCES;
        match state.answered.get_mut(&key) {
            Some(before) if said.count > before.count => {
                (before.count, before.response) = (said.count, response);
                true
            }
            Some(before) => said.count == before.count && response == before.response,
            None if room => {
                let until = Mono::ZERO + Duration::from_secs(u64::from(nonce.made_s) + NONCE_S + 1);
                let answered = Answered {
                    count: said.count,
                    response,
                    until,
                };
                state.answered.insert(key, answered);
                true
            }
            None => false,
        }
    }
}

/// A nonce that is one of ours.
#[derive(Clone, Copy, Debug)]
struct Nonce {
    /// When it was made: seconds on the monotonic clock.
    made_s: u32,
    /// Of the request that it was made for: two of one second are not the same.
    salt: u16,
}

impl Nonce {
    fn seconds(now: Mono) -> u32 {
        u32::try_from(now.saturating_since(Mono::ZERO).as_secs()).unwrap_or(u32::MAX)
    }

    fn token(self, key: u128, source: SocketAddr) -> Token {
        let (time, salt) = (self.made_s.to_be_bytes(), self.salt.to_be_bytes());
        let source = source.to_string();
        let parts: [&[u8]; 4] = [b"nonce", &time, &salt, source.as_bytes()];
        Token::from_hash(keyed128(key, &parts))
    }

    fn text(self, key: u128, source: SocketAddr) -> String {
        let token = self.token(key, source);
        format!("{:08x}{:04x}{token}", self.made_s, self.salt)
    }

    /// Reads one that was made for this address.
    fn read(text: &[u8], key: u128, source: SocketAddr) -> Option<Self> {
        let (time, rest) = text.split_at_checked(8)?;
        let (salt, token) = rest.split_at_checked(4)?;
        let number = |digits: &[u8]| {
            let plain = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| plain)?;
            u32::from_str_radix(digits, 16).ok()
        };
        let nonce = Self {
            made_s: number(time)?,
            salt: u16::try_from(number(salt)?).ok()?,
        };
        let ours = nonce.token(key, source).text();
        bool::from(ours.ct_eq(token)).then_some(nonce)
    }

    fn is_old(self, now: Mono) -> bool {
        let age = Self::seconds(now).checked_sub(self.made_s);
        age.is_none_or(|age| u64::from(age) > NONCE_S)
    }
}

/// The value of a challenge to this request, which came from that address.
pub(crate) fn challenge(
    (key, now): (u128, Mono),
    (request, source): (&Message, SocketAddr),
    algorithm: Algorithm,
    stale: bool,
) -> String {
    let [.., a, b] = keyed128(key, &[b"salt", request.bytes()]).to_be_bytes();
    let nonce = Nonce {
        made_s: Nonce::seconds(now),
        salt: u16::from_be_bytes([a, b]),
    };
    let nonce = nonce.text(key, source);
    let stale = if stale { ", stale=true" } else { "" };
    // What is not said is MD5, and an answer to a stranger is to be short.
    let algorithm = match algorithm.hash {
        Hash::Md5 => String::new(),
        _ => format!(", algorithm={algorithm}"),
    };
    format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\"{algorithm}{stale}")
}

impl RuleSet {
    /// Whether any phone system has an account here.
    #[must_use]
    pub fn has_accounts(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Whether calls from there are to prove whose they are: their source alone says
    /// nothing, and the listener challenges.
    #[must_use]
    pub fn wants_proof(&self, flow: Flow) -> bool {
        let listener = self.listeners().get(usize::from(flow.listener.0));
        flow.name.is_none()
            && listener.is_some_and(|it| it.challenge)
            && self.peer(flow.listener, flow.remote.ip()).is_none()
    }

    /// Whether somebody may yet become known there, by registering.
    #[must_use]
    pub fn lets_register(&self, flow: Flow) -> bool {
        self.has_accounts() && self.wants_proof(flow)
    }

    /// A connection is gone: who had registered over it is there no more.
    pub fn unbind_gone(&self, flow: Flow) {
        self.door.bindings.remove_gone(flow);
    }

    /// Which tenant's phone system has registered from there.
    pub(super) fn registered_at(&self, flow: Flow) -> Option<Peer> {
        let tenant = self.door.bindings.at(flow)?;
        self.tenant_named(&tenant).map(Peer::Tenant)
    }

    /// Takes a binding in place of the account's last one; says whose it takes the place
    /// of besides.
    pub(crate) fn bind(&self, binding: Arc<Binding>) -> Vec<Arc<Binding>> {
        self.door.bindings.put(binding)
    }

    /// Takes what was registered in an earlier life, if these rules have the account, and
    /// listen where it is.
    pub(crate) fn bind_again(&self, now: Mono, binding: Binding) {
        let account = self.accounts.get(&*binding.account);
        let tenant = account.and_then(|it| self.tenant(it.tenant));
        let listener = self.listeners.get(usize::from(binding.flow.listener.0));
        let listens = listener.is_some_and(|it| it.transport == binding.flow.transport);
        if tenant.is_some_and(|it| it.name == binding.tenant) && listens && binding.until > now {
            self.bind(Arc::new(binding));
        }
    }

    /// What is registered, in the order of the accounts.
    #[must_use]
    pub fn bindings(&self) -> Vec<Arc<Binding>> {
        self.door.bindings.all()
    }

    /// What a tenant's phone systems register with.
    fn accounts_of(&self, tenant: &str) -> impl Iterator<Item = &Account> {
        let id = self.tenant_named(tenant);
        let accounts = self.accounts.values();
        accounts.filter(move |it| Some(it.tenant) == id)
    }

    /// Whether whoever sends from there is this tenant's phone system, as whoever sends from
    /// `before` was: one that registers may do so from elsewhere in the middle of a call.
    pub(crate) fn is_still(&self, tenant: &str, before: Flow, now: Flow) -> bool {
        let peer = self.peer_of(now);
        let tenant = || self.tenant_named(tenant).map(Peer::Tenant);
        peer == self.peer_of(before) || (peer.is_some() && peer == tenant())
    }

    /// Whether a tenant's phone system may come back to its calls, though it is not known
    /// to be anywhere now: by registering.
    pub(crate) fn may_come_back(&self, tenant: &str) -> bool {
        self.accounts_of(tenant).next().is_some()
    }

    /// Removes an account's binding.
    pub(crate) fn unbind(&self, account: &str) {
        self.door.bindings.remove(account);
    }

    /// An account's binding.
    pub(crate) fn binding_of(&self, account: &str) -> Option<Arc<Binding>> {
        self.door.bindings.of(account)
    }

    /// Where a tenant's phone system is that has registered.
    pub(crate) fn binding_towards(&self, tenant: &str) -> Option<Arc<Binding>> {
        self.door.bindings.towards(tenant)
    }

    /// Forgets bindings that are over, and of accounts that there are no more; says when
    /// the next one is over, and which of these accounts had one.
    pub(crate) fn tidy_bindings(&self, now: Mono) -> (Option<Mono>, Vec<Arc<Binding>>) {
        let keeps = |it: &Binding| self.accounts.contains_key(&*it.account);
        self.door.bindings.keep(now, keeps)
    }

    /// What a challenge to who comes from there asks for.
    pub(crate) fn algorithms(&self, flow: Flow) -> &[Algorithm] {
        let listener = self.listeners().get(usize::from(flow.listener.0));
        listener.map_or(&ALGORITHMS, |it| &it.algorithms)
    }

    /// Looks at the credentials of a request from `flow`, in the fields of this id.
    /// Answers the same for every account that there is or is not, and works as long.
    pub(crate) fn prove(
        &self,
        (key, now): (u128, Mono),
        flow: Flow,
        (request, id): (&Message, HeaderId),
    ) -> Proof<'_> {
        let wanted = Proof::Wanted { stale: false };
        let mut said = request
            .all(id)
            .filter_map(|it| Credentials::parse(it).ok()?);
        let Some(said) = said.find(|it| it.realm == REALM.as_bytes()) else {
            return wanted;
        };
        let Some(nonce) = Nonce::read(said.nonce, key, flow.remote) else {
            return wanted;
        };
        if nonce.is_old(now) {
            return Proof::Wanted { stale: true };
        }
        let source = flow.remote.ip().to_string();
        let who: [&[u8]; 2] = [source.as_bytes(), said.username];
        let at_home = self.door.bindings.is_at(said.username, flow);
        let account = std::str::from_utf8(said.username).ok();
        let account = account.and_then(|it| self.accounts.get(it));
        if self
            .door
            .lock()
            .failures
            .are_too_many(key, now, who, at_home)
        {
            return wanted;
        }
        let nobody = Secret::default();
        let password = account.map_or(&nobody, |it| &it.password);
        let right = digest::Account {
            username: said.username,
            password: password.bytes(),
        };
        let right = right.gave(&said, request.method_text()) & (Some(said.uri) == request.uri());
        match account.filter(|it| right && !it.password.bytes().is_empty()) {
            None => {
                self.door.lock().failures.note(key, now, who);
                wanted
            }
            Some(account) if self.door.count(now, nonce, &said) => Proof::Given(account),
            Some(_) => Proof::Wanted { stale: true },
        }
    }
}

#[cfg(test)]
mod tests;
