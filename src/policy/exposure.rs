//! The most that a tenant can lose in a day, and what makes it so.
//!
//! A budget bounds what is spent on a day. Where live calls may overshoot it, each
//! that lives when it is spent adds the longest call at most. Caps on numbers of
//! calls bound what the calls cost that are begun on a day: calls to the targets of
//! narrower caps are bounded each by itself and together by what is left, each
//! share by the smaller of
//!
//! ```text
//! calls at once x a day and the longest call x the dearest minute
//!     + calls a day x what a call costs besides its time
//! calls a day x the longest call at the dearest time
//! ```
//!
//! Calls at once alone bound nothing where a call costs anything besides its
//! time: it may be hung up as soon as it is answered, and the next one begun.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counters::{Meters, Quantity, Who, Zone};
use super::lane::{Cap, Lane, Longest};
use super::matcher::{self, Decision};
use super::money::{Currency, Money};
use super::number::Number;
use super::numbering::{Class, Country};
use super::ruleset::{Mode, RuleId, RuleSet, TenantId};
use super::spots::{Spot, services};
use super::table::Table;
use super::target::Packed;
use super::tariff::Price;
use crate::base::time::Wall;
use inbound::Inbound;

/// For how long the carrier may bill a call that Tollgate has ended: an answer
/// that came late, and a BYE that is repeated (64 x T1, twice).
const MARGIN: u32 = 64;

/// What one tenant can lose in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Whose.
    pub tenant: TenantId,
    /// What it is in; none without a tariff.
    pub currency: Option<Currency>,
    /// The most.
    pub most: Most,
    /// What of the rules sets it.
    pub by: Vec<RuleId>,
    /// What the caps on numbers of calls alone would allow, if they bound it.
    pub by_caps: Option<Money>,
    /// How they come to that.
    pub shares: Vec<Share>,
    /// Where it may call at the highest price for a minute.
    pub dearest: Option<Dearest>,
}

/// The most that can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    /// No more than this.
    AtMost(Money),
    /// Any amount.
    Unbounded(Unbounded),
}

/// Why nothing bounds a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbounded {
    /// There is no tariff: nobody knows what a call costs.
    NoTariff,
    /// Calls are only observed: what is over a limit goes out all the same.
    Observed,
    /// There is neither a budget nor a cap on how many calls there are.
    NoLimit,
    /// The same is true of calls from carriers to the tenant's own numbers, which cost
    /// it something, and of no others.
    Inbound,
}

/// What calls under one narrower cap, or under none, can cost in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The most; none if nothing bounds it.
    pub most: Option<Money>,
    /// What of the rules sets it.
    pub by: Vec<RuleId>,
    /// What the narrower cap is on; none for all other calls.
    pub on: Option<String>,
}

/// The dearest of the destinations that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dearest {
    /// The digits it begins with, where the rules or the tariff name some.
    pub prefix: Option<Number>,
    /// Its country, if it has one.
    pub country: Option<Country>,
    /// Its class.
    pub class: Class,
    /// What a call of a minute costs there, at most.
    pub minute: Money,
}

/// What the calls of one share cost, at most.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Costs {
    per_minute: Money,
    besides: Money,
    call: Money,
}

impl Costs {
    fn add(&mut self, price: &Price<'_>, longest: u32) {
        *self = self.max(Self {
            per_minute: price.per_minute(),
            besides: price.besides(longest),
            call: price.dearest(longest),
        });
    }

    /// The larger of each.
    fn max(self, other: Self) -> Self {
        Self {
            per_minute: self.per_minute.max(other.per_minute),
            besides: self.besides.max(other.besides),
            call: self.call.max(other.call),
        }
    }
}

impl Exposure {
    /// What the shares come to: all of them, or all calls as one share, if that
    /// is less.
    fn together(&mut self, wide: &Scope, day: u64, costs: &Costs) {
        let mut scope = *wide;
        scope.money = None;
        let sum = self.shares.iter().try_fold(Money::ZERO, |sum, share| {
            share.most.map(|most| sum.saturating_add(most))
        });
        let (one, by) = scope.most(costs, day);
        if let Some(one) = one
            && sum.is_none_or(|sum| one < sum)
        {
            self.shares = vec![Share {
                most: Some(one),
                by,
                on: None,
            }];
        }
        self.by_caps = sum.into_iter().chain(one).min();
    }
}

/// What the calls cost whose narrowest cap is the same.
struct Under {
    costs: Costs,
    /// The first of the caps on each target that covers all of them.
    caps: Vec<u32>,
}

/// Whether a cap refuses whatever it has no room for. What is observed refuses nothing,
/// and others let some calls by: those of other hours, or to where else the cap is not
/// on. A budget that calls share with others is looked at by itself.
const fn is_always(cap: &Cap) -> bool {
    !(cap.measure.observe || cap.measure.money_only || cap.condition != 0)
}

/// What bounds the calls of one share.
#[derive(Clone, Copy)]
struct Scope {
    at_once: Option<(u64, RuleId)>,
    /// In a day.
    calls: Option<(u64, RuleId)>,
    money: Option<(Money, RuleId)>,
    /// Live calls go on when that is spent.
    overshoots: bool,
    longest: Longest,
}

/// The smaller of two limits.
fn tighter<T: Ord + Copy>(one: &mut Option<(T, RuleId)>, other: Option<(T, RuleId)>) {
    let all = one.iter().copied().chain(other);
    *one = all.min_by_key(|(limit, _)| *limit);
}

impl Scope {
    /// Adds a cap that counts in `times` places at once, on a day of so many seconds.
    fn add(&mut self, cap: &Cap, times: u64, day: u64, money: Option<(Money, RuleId)>) {
        self.longest = self.longest.min(cap.longest);
        let all = money.map(|(money, rule)| (money.saturating_mul(times), rule));
        tighter(&mut self.money, all);
        for quantity in Quantity::COUNTS {
            let Some(limit) = cap.measure.limits.on(quantity) else {
                continue;
            };
            let limit = u64::from(limit).saturating_mul(times);
            let rule = cap.rule(quantity);
            let spans = match quantity {
                Quantity::AtOnce => {
                    tighter(&mut self.at_once, Some((limit, rule)));
                    continue;
                }
                Quantity::PerSecond => day,
                Quantity::PerMinute => day.div_ceil(60),
                Quantity::PerHour => day.div_ceil(3_600),
                Quantity::PerDay => 1,
                // Each may be called again and again; money is bounded by itself.
                _ => continue,
            };
            tighter(&mut self.calls, Some((limit.saturating_mul(spans), rule)));
        }
    }

    /// The most that its budget lets be spent in a day.
    fn spent(&self, costs: &Costs) -> Option<(Money, Vec<RuleId>)> {
        let (money, rule) = self.money?;
        if !self.overshoots {
            return Some((money, vec![rule]));
        }
        let (at_once, second) = self.at_once?;
        let over = costs.call.saturating_mul(at_once);
        Some((money.saturating_add(over), vec![rule, second]))
    }

    /// The most that its calls cost in a day.
    fn most(&self, costs: &Costs, day: u64) -> (Option<Money>, Vec<RuleId>) {
        if *costs == Costs::default() {
            return (Some(Money::ZERO), Vec::new());
        }
        let mut all: Vec<(Money, Vec<RuleId>)> = Vec::new();
        all.extend(self.spent(costs));
        if let Some((calls, rule)) = self.calls {
            all.push((costs.call.saturating_mul(calls), vec![rule]));
        }
        let besides = match (costs.besides, self.calls) {
            (Money::ZERO, _) => Some((Money::ZERO, None)),
            (besides, Some((calls, rule))) => Some((besides.saturating_mul(calls), Some(rule))),
            (_, None) => None,
        };
        if let (Some((at_once, rule)), Some((besides, second))) = (self.at_once, besides) {
            let seconds = day.saturating_add(self.longest.call.into());
            let time = costs.per_minute.of_seconds(seconds).saturating_mul(at_once);
            let rules = [rule].into_iter().chain(second).collect();
            all.push((time.saturating_add(besides), rules));
        }
        let least = all.into_iter().min_by_key(|(money, _)| *money);
        least.map_or((None, Vec::new()), |(money, by)| (Some(money), by))
    }
}

impl RuleSet {
    /// What each tenant can lose in a day, from this time on. Slow, for commands.
    #[must_use]
    pub fn exposure(&self, at: Wall) -> Vec<Exposure> {
        let mut spots: BTreeMap<u16, Vec<Spot>> = BTreeMap::new();
        let lanes = (0..).map(TenantId).zip(&self.lanes);
        lanes
            .map(|(tenant, lane)| {
                let of_tariff = spots
                    .entry(lane.tariff)
                    .or_insert_with(|| self.tariff_spots(lane));
                self.exposure_of(tenant, lane, of_tariff, at)
            })
            .collect()
    }

    /// Where prices can differ: at every prefix of the tariff, for every sort of
    /// number there, and everywhere else.
    fn tariff_spots(&self, lane: &Lane) -> Vec<Spot> {
        let prefixes = self.tariffs.get(usize::from(lane.tariff));
        let prefixes = prefixes.into_iter().flat_map(|tariff| tariff.prefixes());
        let everywhere = Packed::default();
        let all = prefixes.chain([everywhere]);
        let all = all.flat_map(|prefix| self.spots(prefix));
        all.chain(services()).collect()
    }

    fn exposure_of(&self, tenant: TenantId, lane: &Lane, of_tariff: &[Spot], at: Wall) -> Exposure {
        let mut exposure = Exposure {
            tenant,
            currency: self.tariff(tenant).map(super::tariff::Tariff::currency),
            most: Most::Unbounded(Unbounded::NoTariff),
            by: Vec::new(),
            by_caps: None,
            shares: Vec::new(),
            dearest: None,
        };
        let zone = self.zones.get(usize::from(lane.zone));
        let day = zone.map_or(LONG_DAY, |zone| longest_day(zone, at));
        if exposure.currency.is_none() {
            return exposure;
        }
        let wide = self.wide_scope(lane, day);
        let (costs, dearest) = self.costs(lane, &wide, of_tariff);
        let all = costs
            .values()
            .fold(Costs::default(), |all, it| all.max(it.costs));
        exposure.dearest = dearest;
        for (cap, under) in costs {
            let mut scope = wide;
            // The budget is for all of them together.
            scope.money = None;
            for cap in under.caps.iter().flat_map(|first| self.caps_from(*first)) {
                self.add(&mut scope, cap, Who::Caller, lane, day);
            }
            let (most, by) = scope.most(&under.costs, day);
            let on = self.name_of(lane, cap);
            exposure.shares.push(Share { most, by, on });
        }
        exposure.together(&wide, day, &all);
        let inbound = self.inbound_share(tenant, lane, day);
        let spent = Inbound::spent(inbound.as_ref(), wide.spent(&all), wide.overshoots);
        let only_inbound = inbound.is_some_and(|it| it.join(&mut exposure));
        let shares = exposure.shares.iter().flat_map(|it| it.by.iter().copied());
        let by_caps = exposure.by_caps.map(|sum| (sum, shares.collect()));
        let all = by_caps.into_iter().chain(spent);
        let least: Option<(Money, Vec<RuleId>)> = all.min_by_key(|(money, _)| *money);
        exposure.most = match least {
            _ if lane.mode == Mode::Observe => Most::Unbounded(Unbounded::Observed),
            None if only_inbound => Most::Unbounded(Unbounded::Inbound),
            None => Most::Unbounded(Unbounded::NoLimit),
            Some((money, by)) => {
                exposure.by = by;
                exposure.by.sort_unstable();
                exposure.by.dedup();
                Most::AtMost(money)
            }
        };
        exposure
    }

    /// What bounds all calls of a tenant.
    fn wide_scope(&self, lane: &Lane, day: u64) -> Scope {
        self.scope_of((lane.wide_caps, lane.wide_count), Who::Caller, lane, day)
    }

    /// What so many caps from the first one on bound, whose calls have the tenant's own
    /// numbers at this end.
    fn scope_of(&self, (first, count): (u32, u8), own: Who, lane: &Lane, day: u64) -> Scope {
        let mut scope = Scope {
            at_once: None,
            calls: None,
            money: None,
            overshoots: lane.overshoots(),
            longest: lane.longest(),
        };
        for at in (first..).take(count.into()) {
            if let Some(cap) = self.caps.get(at as usize) {
                self.add(&mut scope, cap, own, lane, day);
            }
        }
        scope
    }

    /// Adds what a cap bounds to a scope whose calls all go where the cap is on.
    fn add(&self, scope: &mut Scope, cap: &Cap, own: Who, lane: &Lane, day: u64) {
        if !is_always(cap) {
            return;
        }
        match cap.measure.meter {
            Meters::Fixed(_) => scope.add(cap, 1, day, self.money_of(cap)),
            Meters::Each(_, who) if who == own => {
                let own = lane.own().of(&self.entries).iter();
                let numbers = own.fold(0_u64, |sum, entry| {
                    sum.saturating_add(entry.as_range().count())
                });
                scope.add(cap, numbers, day, self.money_of(cap));
            }
            // There is no end of numbers at the other end.
            Meters::Each(..) => scope.longest = scope.longest.min(cap.longest),
        }
    }

    /// The caps on one target, of which this is the first.
    pub(super) fn caps_from(&self, first: u32) -> impl Iterator<Item = &Cap> {
        let mut more = true;
        let caps = self.caps.get(first as usize..).unwrap_or_default().iter();
        caps.take_while(move |cap| std::mem::replace(&mut more, cap.more))
    }

    /// What calls cost that are allowed, by the narrowest cap that they count under
    /// ([`NO_CAP`] for none), and the dearest of them.
    fn costs(
        &self,
        lane: &Lane,
        wide: &Scope,
        of_tariff: &[Spot],
    ) -> (BTreeMap<u32, Under>, Option<Dearest>) {
        let home = self.home(lane);
        let rules = self.destinations_of(lane);
        let caps = Table::new(lane.cap_targets().of(&self.entries), lane.cap_kinds);
        let prefixes: Vec<Packed> = rules.all_prefixes().chain(caps.all_prefixes()).collect();
        let own = prefixes.into_iter().flat_map(|prefix| self.spots(prefix));
        let mut costs: BTreeMap<u32, Under> = BTreeMap::new();
        let mut dearest: Option<Dearest> = None;
        for Spot { to } in of_tariff.iter().copied().chain(own) {
            match matcher::decide(rules, &to, home) {
                Decision::Allow(_) | Decision::Observe(_) => {}
                Decision::Deny(_) | Decision::Uncovered => continue,
            }
            let Some(price) = self.price_to(lane, &to) else {
                continue;
            };
            // From the narrowest on.
            let mut covering = Vec::new();
            caps.covering(&to, home, |entry| {
                if self.caps_from(entry.value).any(is_always) {
                    covering.push(entry.value);
                }
            });
            let cap = covering.first().copied().unwrap_or(NO_CAP);
            let always = covering.iter().flat_map(|first| self.caps_from(*first));
            let always = always.filter(|cap| is_always(cap));
            let longest = always.fold(wide.longest, |all, cap| all.min(cap.longest));
            let ring = if price.bills_ringing() {
                longest.ring
            } else {
                0
            };
            let seconds = longest.call.saturating_add(ring).saturating_add(MARGIN);
            let under = costs.entry(cap).or_insert_with(|| Under {
                costs: Costs::default(),
                caps: covering.clone(),
            });
            under.costs.add(&price, seconds);
            under.caps.retain(|it| covering.contains(it));
            let minute = price.dearest(60);
            if dearest.as_ref().is_none_or(|it| it.minute < minute) {
                dearest = Some(Dearest {
                    prefix: Some(to.digits)
                        .filter(|it| !it.is_short())
                        .filter(|it| to.country.and_then(|of| self.code_of(of)) != Some(*it))
                        .and_then(Packed::number),
                    country: to.country,
                    class: to.class,
                    minute,
                });
            }
        }
        (costs, dearest)
    }

    /// What a narrower cap is on.
    fn name_of(&self, lane: &Lane, cap: u32) -> Option<String> {
        let targets = lane.cap_targets().of(&self.entries).iter();
        let entry = targets.clone().find(|entry| entry.value == cap)?;
        let cap = self.caps.get(entry.value as usize)?;
        let text = self.rule(self.rules_of_cap(cap).next()?).text;
        let mut names = text.split('"').skip(1).step_by(2);
        let name = names.find(|name| !matches!(*name, "caller" | "called"));
        name.map(str::to_owned)
    }

    /// Whether a budget is for all of a tenant's calls.
    pub(super) fn has_budget(&self, lane: &Lane, at: Wall) -> bool {
        let zone = self.zones.get(usize::from(lane.zone));
        let day = zone.map_or(LONG_DAY, |zone| longest_day(zone, at));
        self.wide_scope(lane, day).money.is_some()
    }

    /// How much money a cap allows in a day.
    pub(super) fn money_of(&self, cap: &Cap) -> Option<(Money, RuleId)> {
        self.allowances.get(cap.allowance as usize)?.least()
    }
}

/// No narrower cap.
const NO_CAP: u32 = u32::MAX;

/// The longest day there is: on which clocks are set back.
const LONG_DAY: u64 = 90_000;

/// The seconds of the longest day in the year that begins at `at`.
fn longest_day(zone: &Zone, at: Wall) -> u64 {
    let weeks = (0..54_u64).map(|week| at + Duration::from_secs(week * 7 * 86_400));
    let first = zone.offset(at);
    let mut offsets = weeks.map(|wall| zone.offset(wall));
    if offsets.all(|offset| offset == first) {
        86_400
    } else {
        LONG_DAY
    }
}

mod inbound;

#[cfg(test)]
mod tests;
