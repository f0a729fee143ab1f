//! Money of one scope: what was booked on a day or in a month, and what live
//! calls hold of it.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::day::Dates;
use super::meter::{Over, Quantity, part_of};
use crate::base::tally::{Place, Tally as Past, Which, month_of};
use crate::policy::money::Money;

/// How much money calls may cost in one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Budget {
    /// In a calendar day of the tenant's time zone.
    pub per_day: Option<Money>,
    /// In a calendar month.
    pub per_month: Option<Money>,
}

/// What a call asks for, or gets booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Sum {
    /// How much: of each budget that covers the call.
    pub money: Money,
    /// When it may be spent. It counts in every period that this touches.
    pub dates: Dates,
}

/// What became of a budget in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// What calls that are over have cost.
    pub booked: Money,
    /// What calls that live, or may still be billed, hold.
    pub held: Money,
}

/// What money is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Window {
    Day,
    Month,
}

impl Window {
    /// The windows that a budget limits.
    fn of(budget: &Budget) -> impl Iterator<Item = (Self, Money)> {
        let day = budget.per_day.map(|limit| (Self::Day, limit));
        let month = budget.per_month.map(|limit| (Self::Month, limit));
        day.into_iter().chain(month)
    }

    fn quantity(self) -> Quantity {
        match self {
            Self::Day => Quantity::MoneyPerDay,
            Self::Month => Quantity::MoneyPerMonth,
        }
    }

    /// The first and the last period that `dates` touch.
    fn periods(self, dates: Dates) -> (i32, i32) {
        match self {
            Self::Day => (dates.first, dates.last),
            Self::Month => (month_of(dates.first), month_of(dates.last)),
        }
    }

    /// How many periods behind the present one are kept: a clock that is set back
    /// a little, over midnight, must not find an empty day.
    const KEPT: i32 = 1;
}

/// One period's money.
#[derive(Clone, Copy, Debug)]
struct Tally {
    period: i32,
    /// What calls that are over have cost.
    booked: Money,
    /// What calls that live may yet cost, altogether.
    held: Money,
    /// How many those are.
    calls: u32,
}

/// The money of one scope in one kind of window, by period. Periods that nobody
/// looks at any more are dropped.
#[derive(Debug)]
struct Purse {
    /// Whose: a scope by its number, and which of its meters.
    of: (u32, Which),
    window: Window,
    /// How far ahead of what is used is drawn.
    part: u64,
    tallies: SmallVec<[Tally; 2]>,
}

impl Purse {
    fn of(&self, period: i32) -> Option<&Tally> {
        self.tallies.iter().find(|it| it.period == period)
    }

    /// The sum that would stand there if `asked` were held in place of `held`,
    /// where that is over the limit.
    fn over(&self, held: Option<&Sum>, asked: &Sum, limit: Money) -> Option<Money> {
        let (first, last) = self.window.periods(asked.dates);
        let had = held.map(|it| self.window.periods(it.dates));
        let sums = (first..=last).filter_map(|period| {
            let before = had.filter(|(first, last)| (*first..=*last).contains(&period));
            let before = before.and(held).map_or(Money::ZERO, |it| it.money);
            let tally = self.of(period);
            let used = tally.map_or(Money::ZERO, |it| it.booked.saturating_add(it.held));
            // A call that asks for no more than it holds is not told that others
            // have overspent.
            let sum = used.saturating_sub(before).saturating_add(asked.money);
            (sum > limit && asked.money > before).then_some(sum)
        });
        sums.max()
    }

    fn change(&mut self, dates: Dates, mut change: impl FnMut(&mut Tally)) {
        let (first, last) = self.window.periods(dates);
        for period in first..=last {
            self.of_period(period, first - Window::KEPT, &mut change);
        }
    }

    /// Changes one period's money. Of others those from `kept` on stay.
    fn of_period(&mut self, period: i32, kept: i32, change: impl FnOnce(&mut Tally)) {
        let at = match self.tallies.iter().position(|it| it.period == period) {
            Some(at) => at,
            None => {
                let matters = |it: &mut Tally| it.calls > 0 || it.period >= kept;
                self.tallies.retain(matters);
                self.tallies.push(Tally {
                    period,
                    booked: Money::ZERO,
                    held: Money::ZERO,
                    calls: 0,
                });
                self.tallies.len() - 1
            }
        };
        if let Some(tally) = self.tallies.get_mut(at) {
            change(tally);
        }
    }

    /// Adds to what was booked in a period.
    fn add(&mut self, period: i32, money: Money) {
        self.of_period(period, period - Window::KEPT, |tally| {
            tally.booked = tally.booked.saturating_add(money);
        });
    }

    fn hold(&mut self, sum: &Sum) {
        self.change(sum.dates, |tally| {
            tally.held = tally.held.saturating_add(sum.money);
            tally.calls = tally.calls.saturating_add(1);
        });
    }

    fn give_back(&mut self, sum: &Sum) {
        self.change(sum.dates, |tally| {
            tally.held = tally.held.saturating_sub(sum.money);
            tally.calls = tally.calls.saturating_sub(1);
        });
    }

    fn book(&mut self, sum: &Sum) {
        self.change(sum.dates, |tally| {
            tally.booked = tally.booked.saturating_add(sum.money);
        });
    }
}

/// What a call holds, and in which purses.
#[derive(Debug)]
struct Lease {
    sum: Sum,
    purses: SmallVec<[u32; 4]>,
}

/// All money of a book: purses by the meter whose scope they are of, and what
/// calls hold, by the call's place.
#[derive(Debug, Default)]
pub(super) struct Purses {
    all: Vec<Purse>,
    spare: Vec<u32>,
    by_meter: BTreeMap<(u32, Window), u32>,
    leases: Vec<Option<Lease>>,
}

impl Purses {
    fn find(&self, meter: u32, window: Window) -> Option<(u32, &Purse)> {
        let at = *self.by_meter.get(&(meter, window))?;
        Some((at, self.all.get(at as usize)?))
    }

    fn find_or_open(&mut self, meter: u32, of: (u32, Which), window: Window) -> u32 {
        let (all, spare) = (&mut self.all, &mut self.spare);
        *self.by_meter.entry((meter, window)).or_insert_with(|| {
            let fresh = Purse {
                of,
                window,
                part: 0,
                tallies: SmallVec::new(),
            };
            if let Some(at) = spare.pop()
                && let Some(place) = all.get_mut(at as usize)
            {
                *place = fresh;
                return at;
            }
            all.push(fresh);
            u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Forgets the money of a meter that stands for nothing any more.
    pub(super) fn close(&mut self, meter: u32) {
        for window in [Window::Day, Window::Month] {
            if let Some(at) = self.by_meter.remove(&(meter, window)) {
                self.spare.push(at);
            }
        }
    }

    fn lease(&self, call: Option<u32>) -> Option<&Lease> {
        self.leases.get(call? as usize)?.as_ref()
    }

    /// What a call holds.
    pub(super) fn held(&self, call: u32) -> Option<Sum> {
        self.lease(Some(call)).map(|lease| lease.sum)
    }

    /// What of a budget, with its meter if that is open, has no room for what
    /// `call` (a new one, if none) asks to hold.
    pub(super) fn short(
        &self,
        call: Option<u32>,
        meter: Option<u32>,
        budget: &Budget,
        asked: &Sum,
    ) -> Option<Over> {
        let lease = self.lease(call);
        Window::of(budget).find_map(|(window, limit)| {
            let purse = meter.and_then(|meter| self.find(meter, window));
            let sum = match purse {
                Some((place, purse)) => {
                    let lease = lease.filter(|it| it.purses.contains(&place));
                    purse.over(lease.map(|it| &it.sum), asked, limit)?
                }
                None => Some(asked.money).filter(|sum| *sum > limit)?,
            };
            Some(Over {
                quantity: window.quantity(),
                value: sum.millionths(),
                threshold: limit.millionths(),
            })
        })
    }

    /// Has `call` hold `asked` in place of what it holds, in all purses in which
    /// it holds anything. The dates only grow: what was begun earlier, and may
    /// have been spent longer, still was.
    pub(super) fn hold(&mut self, call: u32, asked: &Sum) {
        if self.leases.len() <= call as usize {
            self.leases.resize_with(call as usize + 1, || None);
        }
        let Some(slot) = self.leases.get_mut(call as usize) else {
            return;
        };
        let Some(lease) = slot else {
            *slot = Some(Lease {
                sum: *asked,
                purses: SmallVec::new(),
            });
            return;
        };
        let grown = Sum {
            money: asked.money,
            dates: lease.sum.dates.and(asked.dates),
        };
        for &at in &lease.purses {
            if let Some(purse) = self.all.get_mut(at as usize) {
                purse.give_back(&lease.sum);
                purse.hold(&grown);
            }
        }
        lease.sum = grown;
    }

    /// Has `call` hold what it holds in this budget of a meter, too, if it does
    /// not yet.
    pub(super) fn join(&mut self, call: u32, (meter, of): (u32, (u32, Which)), budget: &Budget) {
        for (window, limit) in Window::of(budget) {
            let at = self.find_or_open(meter, of, window);
            let lease = self.leases.get_mut(call as usize).and_then(Option::as_mut);
            let (Some(lease), Some(purse)) = (lease, self.all.get_mut(at as usize)) else {
                continue;
            };
            purse.part = part_of(limit.millionths());
            if !lease.purses.contains(&at) {
                purse.hold(&lease.sum);
                lease.purses.push(at);
            }
        }
    }

    /// Where a call holds money; nowhere if it is in no purse.
    pub(super) fn places(&self, call: u32) -> SmallVec<[Place; 4]> {
        let lease = self.lease(Some(call)).into_iter();
        let purses = lease.flat_map(|lease| &lease.purses);
        let purses = purses.filter_map(|at| self.all.get(*at as usize));
        let place = |purse: &Purse| Place {
            scope: purse.of.0,
            which: purse.of.1,
            day: purse.window == Window::Day,
            month: purse.window == Window::Month,
            part: purse.part,
            ..Place::default()
        };
        purses.map(place).collect()
    }

    /// Books what was booked in a meter's purses before a restart.
    pub(super) fn restore(&mut self, meter: u32, of: (u32, Which), past: &Past) {
        for (window, periods) in [(Window::Day, &past.days), (Window::Month, &past.months)] {
            if periods.is_empty() {
                continue;
            }
            let at = self.find_or_open(meter, of, window);
            for (&period, &money) in periods {
                if let Some(purse) = self.all.get_mut(at as usize) {
                    purse.add(period, Money::from_millionths(money));
                }
            }
        }
    }

    /// Forgets what was booked, and nothing of what is held.
    pub(super) fn reset(&mut self) {
        let tallies = self.all.iter_mut().flat_map(|it| &mut it.tallies);
        tallies.for_each(|tally| tally.booked = Money::ZERO);
    }

    /// Books what a call has cost where it holds anything.
    pub(super) fn book(&mut self, call: u32, cost: &Sum) {
        let lease = self.leases.get(call as usize).and_then(Option::as_ref);
        for &at in lease.iter().flat_map(|lease| &lease.purses) {
            if let Some(purse) = self.all.get_mut(at as usize) {
                purse.book(cost);
            }
        }
    }

    /// Gives back what a call holds.
    pub(super) fn give_back(&mut self, call: u32) {
        let slot = self.leases.get_mut(call as usize);
        let Some(lease) = slot.and_then(Option::take) else {
            return;
        };
        for at in lease.purses {
            if let Some(purse) = self.all.get_mut(at as usize) {
                purse.give_back(&lease.sum);
            }
        }
    }

    /// How many places calls have in purses. Zero when no call lives.
    pub(super) fn calls(&self) -> u64 {
        let tallies = self.all.iter().flat_map(|purse| &purse.tallies);
        tallies
            .map(|tally| u64::from(tally.calls) + u64::from(tally.held != Money::ZERO))
            .sum()
    }

    /// What was booked in the period of `day`, and what is held in it.
    pub(super) fn used(&self, meter: u32, quantity: Quantity, day: i32) -> Option<Used> {
        let (window, period) = match quantity {
            Quantity::MoneyPerDay => (Window::Day, day),
            _ => (Window::Month, month_of(day)),
        };
        let (_, purse) = self.find(meter, window)?;
        let tally = purse.of(period);
        Some(tally.map_or_else(Used::default, |it| Used {
            booked: it.booked,
            held: it.held,
        }))
    }
}
