//! One tenant's counters behind one lock.

use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use smallvec::SmallVec;

use super::day::Zone;
use super::meter::{Limits, Over};
use super::pages::Pages;
use super::purse::{Budget, Sum};
use super::{Shared, lock};
use crate::base::time::{Mono, Now};
use crate::policy::target::{Destination, Packed, Target};

/// Whose number a cap counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Who {
    /// Each caller's number has a counter of its own.
    Caller,
    /// Each called number has.
    Called,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Scope {
    /// All of the tenant's calls.
    Tenant,
    /// Its calls to one target.
    To(Target),
}

impl Scope {
    /// A word of its own for each scope that has one meter.
    pub(super) fn word(self) -> u64 {
        match self {
            Self::Tenant => 1,
            Self::To(target) => target.word(),
        }
    }
}

/// Which meter of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Meters {
    /// The one of this place, found when the rules were compiled.
    Fixed(u32),
    /// The one of the call's own number.
    Each(Who),
}

/// A scope, and what is allowed there.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Measure {
    /// Where it is counted.
    pub meter: Meters,
    /// What is allowed.
    pub limits: Limits,
}

/// One scope that covers a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Claim<'r> {
    /// Where it is counted, and what is allowed there.
    pub measure: &'r Measure,
    /// What calls may cost there, if that is limited.
    pub budget: Option<&'r Budget>,
    /// The cap, by its user's number.
    pub cap: u32,
}

/// A claim that leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct UsedUp {
    /// The cap, by its user's number.
    pub cap: u32,
    /// What of it.
    pub over: Over,
}

/// A call's claims: one for the tenant, its caller, its called number, class,
/// country, country's class and "international", and one a prefix.
pub(in crate::policy) type Claims<'r> = SmallVec<[Claim<'r>; 8]>;

/// What caps look at in a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Subject {
    /// Where it goes.
    pub to: Destination,
    /// The number that it shows.
    pub caller: Packed,
}

impl Subject {
    pub(super) fn key(&self, who: Who) -> Packed {
        match who {
            Who::Caller => self.caller,
            Who::Called => self.to.digits,
        }
    }
}

/// A call that asks to be let in.
pub(in crate::policy) struct Admission<'a> {
    /// What it is.
    pub subject: Subject,
    /// What covers it.
    pub claims: &'a [Claim<'a>],
    /// The number of the rule set that says so.
    pub version: u64,
    /// The tenant's time zone there.
    pub zone: &'a Zone,
    /// What it asks to hold of every budget that covers it, if anything does.
    pub asks: Option<Sum>,
    /// Let it in even when a cap is used up.
    pub regardless: bool,
}

/// A tenant's rules have named more scopes since the start than are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct TooManyScopes;

/// One tenant's counters.
#[derive(Debug)]
#[repr(C)]
pub(in crate::policy) struct Book {
    pub(super) shared: Arc<Shared>,
    pub(super) pages: Mutex<Pages>,
    /// Whose it is.
    name: Arc<str>,
    /// Nothing; to be read where the book ends: see [`Book::warm`].
    end: u64,
}

/// What a call holds in the counters of its tenant. Whoever keeps the call keeps
/// this, and gives it back with [`Hold::release`] when the call is over.
#[derive(Debug, Default)]
#[must_use = "the call counts as live until the hold is released"]
pub struct Hold(pub(super) Option<(Arc<Book>, u32)>);

impl Hold {
    /// What a call holds that no cap counts: nothing.
    pub const fn nothing() -> Self {
        Self(None)
    }

    /// Gives back what the call held, and books nothing: see [`Hold::leave`] and
    /// `RuleSet::settle` for a call that may have cost money.
    pub fn release(mut self, now: Now) {
        if let Some((book, call)) = self.0.take() {
            lock(&book.pages).release(now, call);
        }
    }
}

impl Drop for Hold {
    /// A hold that is dropped is not given back: its call may still live. It is
    /// counted as a fault of the program.
    fn drop(&mut self) {
        if let Some((book, _)) = &self.0 {
            book.shared.leaked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Book {
    pub(super) fn new(shared: Arc<Shared>, name: Arc<str>) -> Self {
        Self {
            shared,
            pages: Mutex::default(),
            name,
            end: 0,
        }
    }

    /// The tenant's name.
    pub(in crate::policy) fn name(&self) -> &str {
        &self.name
    }

    /// Has the processor fetch the book's memory, while there is other work to do.
    pub(in crate::policy) fn warm(&self) {
        black_box((Arc::as_ptr(&self.shared), self.end));
    }

    /// The place of the meter of a scope, which stays the same for good.
    ///
    /// # Errors
    ///
    /// At the limit of scopes.
    pub(in crate::policy) fn meter(&self, scope: Scope) -> Result<u32, TooManyScopes> {
        lock(&self.pages).fixed(scope.word()).ok_or(TooManyScopes)
    }

    /// Lets a call in if every claim has room, and counts it under all of them.
    /// Otherwise nothing is counted, and the first claim without room is
    /// returned.
    ///
    /// `covers` says which claims cover a call that was let in under earlier
    /// rules, and `asks` what it must hold where it held nothing, so that it
    /// counts under these too.
    ///
    /// # Errors
    ///
    /// The cap that is used up.
    pub(in crate::policy) fn admit<'r>(
        self: &Arc<Self>,
        now: Now,
        call: &Admission<'_>,
        covers: impl Fn(&Subject, &mut Claims<'r>),
        asks: impl Fn(&Subject, Mono) -> Option<Sum>,
    ) -> Result<(Hold, Option<UsedUp>), UsedUp> {
        let wall = self.shared.clock.read(now);
        let day_end = call.zone.day(wall).end;
        let mut pages = lock(&self.pages);
        let moment = pages.moment(now.mono, wall, day_end);
        pages.catch_up(&moment, call.version, covers, asks);
        let over = pages.over(&moment, call);
        if let Some(over) = over
            && !call.regardless
        {
            return Err(over);
        }
        let place = pages.take(&moment, call);
        drop(pages);
        Ok((Hold(Some((Arc::clone(self), place))), over))
    }

    /// The sum of all counters of live things.
    pub(super) fn live(&self) -> u64 {
        lock(&self.pages).live()
    }

    /// Whether nothing in here matters any more.
    pub(super) fn is_at_rest(&self, now: Now) -> bool {
        lock(&self.pages).is_at_rest(now)
    }
}

#[cfg(test)]
mod tests;
