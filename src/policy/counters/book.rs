//! One tenant's counters behind one lock.

use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use smallvec::SmallVec;

use super::day::{Minute, Zone};
use super::kept::Counted;
use super::meter::{Limits, Over, Quantity};
use super::pages::Pages;
use super::purse::{Budget, Sum};
use super::watch::{PatternKey, Seen, Sight, Watch};
use super::{Shared, lock};
use crate::base::limits::BATCH;
use crate::base::tally::{Scope, Who};
use crate::base::time::{Mono, Now, Wall};
use crate::policy::target::{Destination, Packed};

/// Which meter of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Meters {
    /// The one of this place, found when the rules were compiled.
    Fixed(u32),
    /// The one of the call's own number, among those of this place.
    Each(u32, Who),
}

/// A scope, and what is allowed there.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Measure {
    /// Where it is counted.
    pub meter: Meters,
    /// What is allowed.
    pub limits: Limits,
    /// Another measure of the same meter comes before it, and counts.
    pub twin: bool,
    /// Calls have no place there: only what they cost is counted.
    pub money_only: bool,
    /// What is over it is let in.
    pub observe: bool,
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

/// A call's claims: one for each cap that covers it.
pub(in crate::policy) type Claims<'r> = SmallVec<[Claim<'r>; 8]>;

/// What caps look at in a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Subject {
    /// Where it goes.
    pub to: Destination,
    /// The number that it shows.
    pub caller: Packed,
    /// When it is let in.
    pub minute: Minute,
    /// It comes from a carrier.
    pub inbound: bool,
}

impl Subject {
    /// What it is counted by.
    pub(super) fn key(&self, who: Who) -> (Packed, Packed) {
        match who {
            Who::Caller => (self.caller, Packed::default()),
            Who::Called => (Packed::default(), self.to.digits),
            Who::Pair => (self.caller, self.to.digits),
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
    /// What [`Book::wall`] says.
    pub wall: Wall,
    /// What it asks to hold of every budget that covers it, if anything does.
    pub asks: Option<Sum>,
    /// What becomes of it where one is used up.
    pub rigour: Rigour,
}

/// What becomes of a call where a cap or a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Rigour {
    /// It can ask for less money: it is refused by budgets that are only observed,
    /// too.
    AskLess,
    /// It is refused, unless that is only observed.
    Plain,
    /// It goes.
    Regardless,
}

impl Rigour {
    /// What becomes of a call that cannot ask for less.
    pub(in crate::policy) fn of(regardless: bool) -> Self {
        match regardless {
            true => Self::Regardless,
            false => Self::Plain,
        }
    }

    /// Whether what is used up of `quantity` refuses.
    pub(super) fn refuses(self, measure: &Measure, quantity: Quantity) -> bool {
        match self {
            Self::AskLess => !measure.observe || quantity.is_money(),
            Self::Plain => !measure.observe,
            Self::Regardless => false,
        }
    }
}

/// A call that is let in.
#[derive(Debug)]
pub(in crate::policy) struct Entry {
    /// What it holds.
    pub hold: Hold,
    /// What would have refused it, where that is only observed.
    pub over: Option<UsedUp>,
    /// Where it was counted.
    pub counted: Counted,
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
    /// What patterns have seen; nothing before the tenant has any.
    pub(super) watch: OnceLock<Box<Mutex<Watch>>>,
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

    /// Gives back all that the call held, which nobody answered or which has
    /// left, and books nothing: see [`Hold::leave`] and `RuleSet::settle`.
    pub fn release(self, now: Now) {
        self.end(now, None);
    }

    /// The same for a call that was answered, if it was: `talked` is how long it
    /// lasted from then on.
    pub fn end(mut self, now: Now, talked: Option<Duration>) {
        if let Some((book, call)) = self.0.take() {
            let mut pages = lock(&book.pages);
            let called = pages.leave(now, call);
            pages.free(call);
            drop(pages);
            book.ended(called, talked, now);
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
            watch: OnceLock::new(),
            end: 0,
        }
    }

    /// The tenant's name.
    pub(in crate::policy) fn name(&self) -> &str {
        &self.name
    }

    /// Has the processor fetch the book's memory, while there is other work to do.
    pub(in crate::policy) fn warm(self: &Arc<Self>) {
        black_box((Arc::strong_count(self), Arc::as_ptr(&self.shared), self.end));
    }

    /// The same of what is in the middle of these books, once [`Book::warm`] was called
    /// for each: of [`BATCH`] at the most.
    pub(in crate::policy) fn warm_insides<'b>(books: impl Iterator<Item = &'b Self>) {
        // Taking a lock, and giving it back, waits for what was asked for before. So all
        // are taken, then all is asked for. Who has one keeps it: nobody waits here.
        let free = books.take(BATCH).filter_map(|it| it.pages.try_lock().ok());
        let all: SmallVec<[MutexGuard<'_, Pages>; BATCH]> = free.collect();
        for pages in &all {
            pages.warm();
        }
        for pages in &all {
            pages.warm_times();
        }
    }

    /// What the wall clock shows, as far as it can be believed.
    pub(in crate::policy) fn wall(&self, now: Now) -> Wall {
        self.shared.clock.read(now)
    }

    /// The meter or meters of a scope, which stay the same for good.
    ///
    /// # Errors
    ///
    /// At the limit of scopes.
    pub(in crate::policy) fn meter(&self, scope: &Scope) -> Result<Meters, TooManyScopes> {
        lock(&self.pages)
            .named(scope, &self.shared.scopes)
            .ok_or(TooManyScopes)
    }

    /// The place of what a pattern has seen, which is kept for good; `None` at the
    /// limit. As many sights are remembered as it takes, for as long.
    pub(in crate::policy) fn pattern(&self, key: PatternKey, keep: u32, reach: u64) -> Option<u32> {
        lock(self.watch.get_or_init(Box::default)).place(key, keep, reach)
    }

    /// Notes a call in a pattern of this place; see [`Watch::see`].
    pub(in crate::policy) fn see(
        &self,
        place: u32,
        seen: Seen,
        threshold: (u32, u64),
        quiet: bool,
        now: Mono,
    ) -> Option<Sight> {
        lock(self.watch.get()?).see(place, seen, threshold, quiet, now)
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
    ) -> Result<Entry, UsedUp> {
        let wall = call.wall;
        let day_end = call.zone.day(wall).end;
        let mut pages = lock(&self.pages);
        let moment = pages.moment(now.mono, wall, day_end);
        pages.catch_up(&moment, call.version, covers, asks);
        let over = pages.over(&moment, call)?;
        let (place, counted) = pages.take(&moment, call);
        drop(pages);
        Ok(Entry {
            hold: Hold(Some((Arc::clone(self), place))),
            over,
            counted,
        })
    }

    /// Tells the patterns of a call to `called` that has left, if it came from the
    /// tenant and was answered.
    pub(super) fn ended(&self, called: Option<Packed>, talked: Option<Duration>, now: Now) {
        if let (Some(watch), Some(called), Some(talked)) = (self.watch.get(), called, talked) {
            lock(watch).ended(called, talked, now.mono);
        }
    }

    /// The sum of all counters of live things.
    pub(super) fn live(&self) -> u64 {
        lock(&self.pages).live()
    }

    /// How many of the tenant's calls live. Emergency calls are not counted.
    pub(in crate::policy) fn calls_up(&self) -> u64 {
        lock(&self.pages).calls_up()
    }

    /// The calls that money is reserved for.
    pub(super) fn reserving(&self) -> u64 {
        lock(&self.pages).reserving()
    }

    /// Whether nothing in here matters any more.
    pub(super) fn is_at_rest(&self, now: Now) -> bool {
        lock(&self.pages).is_at_rest(now)
    }
}

#[cfg(test)]
mod tests;
