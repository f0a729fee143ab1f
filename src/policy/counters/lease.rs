//! What calls hold of budgets, from their INVITE until no carrier can bill them
//! any more: taken, changed and booked under the book's one lock.

use std::sync::Arc;
use std::time::Duration;

use super::book::{Book, Claim, Claims, Hold, Rigour, Subject, UsedUp};
use super::day::Zone;
use super::kept::Statement;
use super::lock;
use super::meter::Quantity;
use super::pages::{Moment, Pages};
use super::purse::{Budget, Sum, Used};
use crate::base::tally::Scope;
use crate::base::time::{Mono, Now};

/// A call that lives and asks to hold another sum.
pub(in crate::policy) struct Renewal<'a> {
    /// What covers it by the rules that are asked.
    pub claims: &'a [Claim<'a>],
    /// The number of their rule set.
    pub version: u64,
    /// The tenant's time zone there.
    pub zone: &'a Zone,
    /// What it asks for, in place of what it holds.
    pub asks: Sum,
    /// What becomes of it where a budget is used up.
    pub rigour: Rigour,
}

/// A call as its book knows it.
pub(in crate::policy) struct Standing<'h> {
    /// The book.
    pub book: &'h Arc<Book>,
    /// What the call is.
    pub subject: Subject,
    /// What it holds of budgets.
    pub held: Option<Sum>,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Hold {
    /// Gives back the call's places under caps, but no money yet. The only place
    /// that does. `talked` is how long it lasted from its answer, if there was one.
    pub fn leave(&self, now: Now, talked: Option<Duration>) {
        let Some((book, call)) = &self.0 else {
            return;
        };
        let called = lock(&book.pages).leave(now, *call);
        book.ended(called, talked, now);
    }

    /// Whose call it is; nobody's if it holds nothing.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.as_ref().map_or("", |(book, _)| book.name())
    }

    /// What the call is, and what it holds.
    pub(in crate::policy) fn standing(&self) -> Option<Standing<'_>> {
        let (book, call) = self.0.as_ref()?;
        let pages = lock(&book.pages);
        Some(Standing {
            book,
            subject: pages.subject(*call)?,
            held: pages.purses.held(*call),
        })
    }

    /// Has the call hold another sum of money, if every budget that covers it has
    /// room. Otherwise it keeps what it holds, and the first without room is
    /// returned. The last two are as for [`Book::admit`].
    ///
    /// # Errors
    ///
    /// The budget that is used up.
    pub(in crate::policy) fn renew<'r>(
        &self,
        now: Now,
        renewal: &Renewal<'_>,
        covers: impl Fn(&Subject, &mut Claims<'r>),
        asks: impl Fn(&Subject, Mono) -> Option<Sum>,
    ) -> Result<Option<UsedUp>, UsedUp> {
        let Some((book, call)) = &self.0 else {
            return Ok(None);
        };
        let wall = book.wall(now);
        let day_end = renewal.zone.day(wall).end;
        let mut pages = lock(&book.pages);
        let moment = pages.moment(now.mono, wall, day_end);
        pages.catch_up(&moment, renewal.version, covers, asks);
        let Some(subject) = pages.subject(*call) else {
            return Ok(None);
        };
        let (claims, asks) = (renewal.claims, &renewal.asks);
        let over = pages.short(Some(*call), &subject, claims, asks, renewal.rigour)?;
        pages.hold_money(*call, &subject, claims, asks, &moment);
        Ok(over)
    }

    /// Books what the call has cost, and has it hold `left` from now on. Where
    /// that is nothing it holds nothing any more.
    /// What came of it, if any budget covers the call.
    pub(in crate::policy) fn book(
        &self,
        cost: Option<&Sum>,
        left: Option<&Sum>,
    ) -> Option<Statement> {
        let (book, call) = self.0.as_ref()?;
        let mut pages = lock(&book.pages);
        let places = pages.purses.places(*call);
        if let Some(cost) = cost {
            pages.purses.book(*call, cost);
        }
        match left {
            Some(left) if pages.purses.held(*call).is_some() => pages.purses.hold(*call, left),
            Some(_) => {}
            None => pages.purses.give_back(*call),
        }
        let held = pages.purses.held(*call);
        Statement::new(pages.resets, places, cost, held.as_ref())
    }
}

impl Book {
    /// The meter of all the tenant's calls, if rules ever named it.
    pub(in crate::policy) fn own_meter(&self) -> Option<u32> {
        lock(&self.pages).known(&Scope::default())
    }

    /// What became today of the budget of the tenant's own that is counted in a
    /// meter; none if money never was.
    pub(in crate::policy) fn used(
        &self,
        now: Now,
        zone: &Zone,
        meter: u32,
        quantity: Quantity,
    ) -> Option<Used> {
        let day = zone.day(self.wall(now)).number;
        lock(&self.pages).purses.used(meter, quantity, day)
    }
}

impl Pages {
    /// The first claim whose budget has no room for what a call (a new one, if
    /// none) asks for, and is not to refuse it.
    ///
    /// # Errors
    ///
    /// The first that is.
    pub(super) fn short(
        &self,
        call: Option<u32>,
        subject: &Subject,
        claims: &[Claim<'_>],
        asks: &Sum,
        rigour: Rigour,
    ) -> Result<Option<UsedUp>, UsedUp> {
        let mut observed = None;
        for claim in claims {
            let Some(budget) = claim.budget else { continue };
            let meter = self.find(claim.measure.meter, subject);
            let Some(over) = self.purses.short(call, meter, budget, asks) else {
                continue;
            };
            let cap = claim.cap;
            if rigour.refuses(claim.measure, over.quantity) {
                return Err(UsedUp { cap, over });
            }
            observed = observed.or(Some(UsedUp { cap, over }));
        }
        Ok(observed)
    }

    /// Has a call hold what it asks for, of every budget that covers it and of
    /// those that did under earlier rules.
    pub(super) fn hold_money(
        &mut self,
        call: u32,
        subject: &Subject,
        claims: &[Claim<'_>],
        asks: &Sum,
        moment: &Moment,
    ) {
        let covered = claims.iter().any(|claim| claim.budget.is_some());
        if covered || self.purses.held(call).is_some() {
            self.purses.hold(call, asks);
        }
        for claim in claims {
            let Some(budget) = claim.budget else { continue };
            let meter = self.find_or_open(claim.measure.meter, subject, moment);
            if let Some(meter) = meter {
                let of = self.which(claim.measure.meter, subject, meter);
                self.purses.join(call, (meter, of), budget);
                self.keep(meter, budget, asks, moment);
            }
        }
    }

    /// Keeps a meter for as long as its money is counted.
    fn keep(&mut self, meter: u32, budget: &Budget, asks: &Sum, moment: &Moment) {
        let over_midnight = asks.dates.first != asks.dates.last;
        let mut until = moment.day_end;
        if over_midnight {
            until = until + DAY;
        }
        if budget.per_month.is_some() {
            until = until + DAY * 31;
        }
        if let Some(meter) = self.meters.get_mut(meter as usize) {
            meter.keep_until(until);
        }
    }

    /// Has a call that lives hold of the budgets of newer rules, too: what it
    /// holds already, or else what `asks` says.
    pub(super) fn join_money(
        &mut self,
        call: u32,
        (subject, since): (&Subject, Mono),
        claims: &[Claim<'_>],
        moment: &Moment,
        asks: &impl Fn(&Subject, Mono) -> Option<Sum>,
    ) {
        if claims.iter().all(|claim| claim.budget.is_none()) {
            return;
        }
        let held = self.purses.held(call);
        if let Some(sum) = held.or_else(|| asks(subject, since)) {
            self.hold_money(call, subject, claims, &sum, moment);
        }
    }
}
