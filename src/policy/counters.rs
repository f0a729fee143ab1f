//! Counters, which belong to what they count and not to a rule's text.
//!
//! A [`Counters`] outlives every rule set. It has one book a tenant; a book has
//! every counter of that tenant behind one short lock, so that all caps of a call
//! are checked and taken together or not at all, exactly, with nothing to roll
//! back. A counter is found again by its scope, whatever rules name it, so a
//! reload resets nothing. No lock guard leaves this folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::time::Now;
use crate::policy::door::Door;
use crate::policy::registration::Registered;

mod book;
mod day;
mod kept;
mod lease;
mod meter;
mod numbers;
mod pages;
mod purse;
mod scopes;
mod trunk;
mod watch;

pub(super) use crate::base::tally::{Scope, Who};
pub use book::Hold;
pub(super) use book::{
    Admission, Book, Claim, Claims, Entry, Measure, Meters, Rigour, Subject, UsedUp,
};
use day::CivilClock;
pub(super) use day::{Dates, Minute, Zone};
pub use kept::{Counted, Kept, Owed, Statement};
pub(super) use lease::Renewal;
pub(super) use meter::Limits;
pub use meter::Quantity;
pub(super) use numbers::NUMBERS_MAX;
pub use purse::Used;
pub(super) use purse::{Budget, Sum};
pub use trunk::{Seat, Service, Trunk, Turned};
pub(super) use watch::{PatternKey, Seen, Sign, Then};

/// What all books have in common.
#[derive(Debug, Default)]
struct Shared {
    /// Holds that were dropped without being released.
    leaked: AtomicU64,
    /// The wall clock, as far as it is believed.
    clock: CivilClock,
    /// How many rule sets were numbered.
    versions: AtomicU64,
    /// How many scopes were.
    scopes: AtomicU32,
}

/// Every counter of every tenant. Outlives the rule sets compiled against it.
#[derive(Debug, Default)]
pub struct Counters {
    books: Arc<Books>,
    door: Arc<Door>,
    registrations: Mutex<BTreeMap<Arc<str>, Arc<Registered>>>,
    trunks: Mutex<BTreeMap<Arc<str>, Arc<Trunk>>>,
    gateways: Mutex<BTreeMap<Arc<str>, Arc<Trunk>>>,
    shared: Arc<Shared>,
}

/// The books of all tenants, by name.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<BTreeMap<Arc<str>, Arc<Book>>>);

impl Books {
    /// The book of a tenant that rules have, or had.
    pub(super) fn known(&self, tenant: &str) -> Option<Arc<Book>> {
        lock(&self.0).get(tenant).map(Arc::clone)
    }
}

impl Counters {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The book of a tenant, opened if there is none.
    pub(super) fn book(&self, tenant: &Arc<str>) -> Arc<Book> {
        let mut books = lock(&self.books.0);
        let open = || Arc::new(Book::new(Arc::clone(&self.shared), Arc::clone(tenant)));
        Arc::clone(books.entry(Arc::clone(tenant)).or_insert_with(open))
    }

    /// The books, for a rule set to look into.
    pub(super) fn books(&self) -> Arc<Books> {
        Arc::clone(&self.books)
    }

    /// Who registers here: one for all rule sets.
    pub(super) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// How the registration with a carrier stands: one for all rule sets.
    pub(super) fn registered(&self, carrier: &Arc<str>) -> Arc<Registered> {
        let mut registrations = lock(&self.registrations);
        Arc::clone(registrations.entry(Arc::clone(carrier)).or_default())
    }

    /// What shards share of a carrier of this name.
    pub(super) fn trunk(&self, carrier: &Arc<str>) -> Arc<Trunk> {
        let mut trunks = lock(&self.trunks);
        let open = || Arc::new(Trunk::new(Arc::clone(carrier)));
        Arc::clone(trunks.entry(Arc::clone(carrier)).or_insert_with(open))
    }

    /// The same of one of its gateways: whether that one answers.
    pub(super) fn gateway(&self, carrier: &Arc<Trunk>, at: SocketAddr) -> Arc<Trunk> {
        let name: Arc<str> = format!("{} at {at}", carrier.name()).into();
        let mut gateways = lock(&self.gateways);
        let open = || Arc::new(Trunk::gateway(Arc::clone(&name), Arc::clone(carrier)));
        Arc::clone(gateways.entry(Arc::clone(&name)).or_insert_with(open))
    }

    /// The number of the next rule set: later ones have higher numbers.
    pub(super) fn next_version(&self) -> u64 {
        self.shared.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The sum of every counter of live things. Zero when no call lives.
    #[must_use]
    pub fn live(&self) -> u64 {
        let trunks = lock(&self.trunks);
        let at_carriers: u64 = trunks.values().map(|it| u64::from(it.calls())).sum();
        drop(trunks);
        at_carriers
            + self.places()
            + lock(&self.books.0)
                .values()
                .map(|book| book.reserving())
                .sum::<u64>()
    }

    /// As [`Self::live`], without the money that stays reserved for a call that is
    /// over while its carrier may yet answer.
    #[must_use]
    pub fn places(&self) -> u64 {
        lock(&self.books.0).values().map(|book| book.live()).sum()
    }

    /// Holds that were dropped without being released: each is a fault of the
    /// program, and its call counts as live until the process ends.
    #[must_use]
    pub fn leaked(&self) -> u64 {
        self.shared.leaked.load(Ordering::Relaxed)
    }

    /// By how many seconds the wall clock is ahead of the reckoning that calendar days
    /// go by; 0 where it is believed.
    ///
    /// A clock that runs away from the monotonic one by more than a minute is not
    /// believed until it is confirmed.
    #[must_use]
    pub fn clock_ahead_s(&self, now: Now) -> i64 {
        self.shared.clock.ahead_s(now)
    }

    /// What time it is, as far as the wall clock is believed.
    #[must_use]
    pub fn believed(&self, now: Now) -> Now {
        let wall = self.shared.clock.read(now);
        Now { wall, ..now }
    }

    /// In an earlier life in this boot of the host, both clocks agreed where the wall
    /// clock was so far ahead ([`Now::ahead`]). To be called before anything looks at it.
    pub fn agree(&self, ahead: i64) {
        self.shared.clock.agree(ahead);
    }

    /// Takes the wall clock for right, after it jumped.
    pub fn confirm_clock(&self) {
        self.shared.clock.confirm();
    }

    /// Forgets the books of tenants that no rule set has any more and that count
    /// nothing that still matters. To be called now and then.
    pub fn sweep(&self, now: Now) {
        // Whoever has a book has a reference to it, and new ones are given out
        // under this lock only.
        lock(&self.books.0).retain(|_, book| Arc::strong_count(book) > 1 || !book.is_at_rest(now));
        lock(&self.registrations).retain(|_, it| Arc::strong_count(it) > 1);
        lock(&self.gateways).retain(|_, gateway| Arc::strong_count(gateway) > 1);
        lock(&self.trunks).retain(|_, trunk| Arc::strong_count(trunk) > 1);
    }
}

/// Locks; a panic elsewhere does not make the counters untrue, as each change
/// is made whole or not begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
