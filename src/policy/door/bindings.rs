//! Where the phone systems are that have registered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::time::{Mono, Wall};

/// Where an account's phone system is (RFC 3261 §10).
#[derive(Clone, Debug)]
pub struct Binding {
    /// The account.
    pub account: Box<str>,
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The way that its REGISTER came, which is the way back.
    pub flow: Flow,
    /// Its Contact's URI.
    pub contact: Box<[u8]>,
    /// Every number of the tenant's is to be written into that (RFC 6140).
    pub bulk: bool,
    /// The value of the Route that calls to it have (RFC 3327); may be empty.
    pub path: Box<[u8]>,
    /// Until then.
    pub until: Mono,
    /// Since when it has been there, without a gap.
    pub since: Wall,
    /// When the journal was told of it last.
    pub noted: Mono,
    /// The REGISTER that it is of.
    pub call_id: Box<[u8]>,
    /// Its CSeq number.
    pub cseq: u32,
}

impl Binding {
    /// Whether it is the same phone system, where it was.
    #[must_use]
    pub fn is_where(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.contact.clone(), it.bulk, it.path.clone());
        self.tenant == other.tenant
            && way(self.flow) == way(other.flow)
            && said(self) == said(other)
    }

    /// The Request-URI of a call to this number.
    #[must_use]
    pub fn target(&self, number: &str) -> Vec<u8> {
        let contact = self.contact.to_vec();
        let scheme = contact.iter().position(|&byte| byte == b':');
        let Some((scheme, rest)) = scheme.and_then(|it| contact.split_at_checked(it + 1)) else {
            return contact;
        };
        match self.bulk {
            true => [scheme, number.as_bytes(), b"@", rest].concat(),
            false => contact,
        }
    }
}

/// A way to a peer, as far as it is the same for all of its messages.
type Way = (ListenerId, Transport, SocketAddr);

fn way(flow: Flow) -> Way {
    (flow.listener, flow.transport, flow.remote)
}

/// Every binding: one an account.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    all: Mutex<All>,
    /// How many there are, for who would not wait to hear that there are none.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct All {
    /// Names come from rule files, addresses from who has a password.
    by_account: HashMap<Box<str>, Arc<Binding>, FixedState>,
    by_way: HashMap<Way, Arc<Binding>, FixedState>,
    /// The one that registered last.
    by_tenant: HashMap<Arc<str>, Arc<Binding>, FixedState>,
}

impl All {
    fn remove(&mut self, account: &str) {
        let Some(old) = self.by_account.remove(account) else {
            return;
        };
        // What other accounts it stood before stand in its place.
        let others = || {
            self.by_account
                .values()
                .filter(|it| it.tenant == old.tenant)
        };
        let is_it = |it: Option<&Arc<Binding>>| it.is_some_and(|it| Arc::ptr_eq(it, &old));
        if is_it(self.by_way.get(&way(old.flow))) {
            let other = others().find(|it| way(it.flow) == way(old.flow)).cloned();
            match other {
                Some(other) => self.by_way.insert(way(old.flow), other),
                None => self.by_way.remove(&way(old.flow)),
            };
        }
        if is_it(self.by_tenant.get(&old.tenant)) {
            match others().next().cloned() {
                Some(other) => self.by_tenant.insert(Arc::clone(&old.tenant), other),
                None => self.by_tenant.remove(&old.tenant),
            };
        }
    }
}

impl Bindings {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, all: &All) {
        self.count.store(all.by_account.len(), Ordering::Release);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The account's.
    pub(crate) fn of(&self, account: &str) -> Option<Arc<Binding>> {
        self.lock().by_account.get(account).map(Arc::clone)
    }

    /// Whether the account's phone system is there.
    pub(super) fn is_at(&self, account: &[u8], flow: Flow) -> bool {
        let account = std::str::from_utf8(account).ok();
        let known = account.and_then(|it| self.of(it));
        known.is_some_and(|it| way(it.flow) == way(flow))
    }

    /// Who is there; the tenant's name.
    pub(crate) fn at(&self, flow: Flow) -> Option<Arc<str>> {
        if self.is_empty() {
            return None;
        }
        let all = self.lock();
        all.by_way.get(&way(flow)).map(|it| Arc::clone(&it.tenant))
    }

    /// Whether somebody has registered from an address of `net`.
    pub(crate) fn is_any_in(&self, net: IpNet) -> bool {
        if self.is_empty() {
            return false;
        }
        let all = self.lock();
        let mut ways = all.by_way.keys();
        ways.any(|(_, _, from)| net.contains(&from.ip().to_canonical()))
    }

    /// Where a tenant's calls go.
    pub(crate) fn towards(&self, tenant: &str) -> Option<Arc<Binding>> {
        self.lock().by_tenant.get(tenant).map(Arc::clone)
    }

    /// Takes a binding in place of the account's last one; says whose it takes the place
    /// of besides.
    pub(crate) fn put(&self, binding: Arc<Binding>) -> Vec<Arc<Binding>> {
        let mut gone = Vec::new();
        let mut all = self.lock();
        all.remove(&binding.account);
        // What comes from there is one tenant's: another's that was there has moved.
        while let Some(other) = all.by_way.get(&way(binding.flow)).cloned()
            && other.tenant != binding.tenant
        {
            all.remove(&other.account);
            gone.push(other);
        }
        all.by_way.insert(way(binding.flow), Arc::clone(&binding));
        all.by_tenant
            .insert(Arc::clone(&binding.tenant), Arc::clone(&binding));
        all.by_account.insert(binding.account.clone(), binding);
        self.counted(&all);
        gone
    }

    /// Removes the account's.
    pub(crate) fn remove(&self, account: &str) {
        let mut all = self.lock();
        all.remove(account);
        self.counted(&all);
    }

    /// Removes those that were made over this connection.
    pub(crate) fn remove_gone(&self, flow: Flow) {
        if self.is_empty() || flow.connection.is_none() {
            return;
        }
        let mut all = self.lock();
        while let Some(gone) = all.by_way.get(&way(flow)).cloned()
            && gone.flow.connection == flow.connection
        {
            all.remove(&gone.account);
        }
        self.counted(&all);
    }

    /// All of them, in the order of their accounts.
    pub(crate) fn all(&self) -> Vec<Arc<Binding>> {
        let mut all: Vec<_> = self.lock().by_account.values().cloned().collect();
        all.sort_unstable_by(|one, other| one.account.cmp(&other.account));
        all
    }

    /// Removes what is over, or not to be kept; says when the next one is over, and what
    /// was not to be kept.
    pub(crate) fn keep(
        &self,
        now: Mono,
        keeps: impl Fn(&Binding) -> bool,
    ) -> (Option<Mono>, Vec<Arc<Binding>>) {
        let mut all = self.lock();
        let gone = all.by_account.values();
        let gone = gone.filter(|it| it.until <= now || !keeps(it));
        let mut gone: Vec<Arc<Binding>> = gone.cloned().collect();
        for binding in &gone {
            all.remove(&binding.account);
        }
        self.counted(&all);
        gone.retain(|it| it.until > now);
        (all.by_account.values().map(|it| it.until).min(), gone)
    }
}
