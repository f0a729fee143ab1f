//! What calls from carriers to a tenant's own numbers can cost it in a day.

use super::{Costs, Exposure, LONG_DAY, MARGIN, Scope, Share};
use crate::base::time::Wall;
use crate::policy::counters::Who;
use crate::policy::lane::Lane;
use crate::policy::money::Money;
use crate::policy::number::Number;
use crate::policy::ruleset::{RuleId, RuleSet, TenantId};
use crate::policy::target::Packed;
use crate::policy::tariff::{Price, Tariff};
use crate::policy::values::NumberRange;

/// The calls to a tenant's own numbers that cost it anything.
pub(super) struct Inbound {
    share: Share,
    /// What those that live can overshoot a budget by, if anything bounds that.
    over: Option<Money>,
}

impl Inbound {
    /// What a budget of all calls comes to in a day, which calls of these may overshoot
    /// where others may.
    pub(super) fn spent(
        this: Option<&Self>,
        spent: Option<(Money, Vec<RuleId>)>,
        overshoots: bool,
    ) -> Option<(Money, Vec<RuleId>)> {
        let (money, by) = spent?;
        let over = match this {
            Some(inbound) if overshoots => inbound.over?,
            _ => Money::ZERO,
        };
        Some((money.saturating_add(over), by))
    }

    /// Adds its share. Says whether nothing but caps on these calls is missing.
    pub(super) fn join(self, exposure: &mut Exposure) -> bool {
        let before = exposure.by_caps;
        let both = before.zip(self.share.most);
        exposure.by_caps = both.map(|(one, other)| one.saturating_add(other));
        exposure.shares.push(self.share);
        before.is_some() && exposure.by_caps.is_none()
    }
}

impl RuleSet {
    /// What calls from carriers can cost in a day of so many seconds; none where all of
    /// them are free.
    pub(super) fn inbound_share(&self, tenant: TenantId, lane: &Lane, day: u64) -> Option<Inbound> {
        let scope = self.inbound_scope(lane, day);
        let seconds = scope.longest.call.saturating_add(MARGIN);
        let mut costs = Costs::default();
        let mut dearest: Option<(Money, Number)> = None;
        for (number, price) in self.priced_numbers(tenant, lane) {
            costs.add(&price, seconds);
            let call = price.dearest(seconds);
            if dearest.is_none_or(|(most, _)| most < call) {
                dearest = Some((call, number));
            }
        }
        let (_, number) = dearest?;
        let (most, by) = scope.most(&costs, day);
        let at_once = scope.at_once.map(|(at_once, _)| at_once);
        Some(Inbound {
            share: Share {
                most,
                by,
                on: Some(format!("its own numbers, as {number}")),
            },
            over: at_once.map(|at_once| costs.call.saturating_mul(at_once)),
        })
    }

    /// Whether a budget bounds what calls from carriers cost; none where all are free.
    pub(in crate::policy) fn inbound_bounded(
        &self,
        tenant: TenantId,
        lane: &Lane,
        at: Wall,
    ) -> Option<bool> {
        self.priced_numbers(tenant, lane).next()?;
        let bounded = self.inbound_scope(lane, LONG_DAY).money.is_some();
        Some(bounded || self.has_budget(lane, at))
    }

    /// What bounds all of them, but for what bounds the tenant's other calls, too.
    fn inbound_scope(&self, lane: &Lane, day: u64) -> Scope {
        let first = lane.wide_caps.saturating_add(lane.wide_count.into());
        self.scope_of((first, lane.inbound_count), Who::Called, lane, day)
    }

    /// Of the tenant's own numbers at which prices can differ those that have one.
    fn priced_numbers<'r>(
        &'r self,
        tenant: TenantId,
        lane: &'r Lane,
    ) -> impl Iterator<Item = (Number, Price<'r>)> {
        let tenant = self.tenant(tenant);
        let tariff = tenant.and_then(|it| self.tariffs.get(usize::from(it.inbound_tariff)));
        let ranges = lane.own().of(&self.entries).iter();
        let ranges = ranges.map(|entry| entry.as_range());
        let all = tariff.into_iter().flat_map(move |tariff| {
            let ranges = ranges.clone();
            ranges.flat_map(move |range| corners(tariff, range).map(move |it| (tariff, it)))
        });
        all.filter_map(move |(tariff, number)| {
            let to = self.destination(lane, &number)?;
            Some((number, tariff.price(&to, self.home(lane))?))
        })
    }
}

/// The numbers of a range from which on another row may be for them, and its ends.
fn corners(tariff: &Tariff, range: NumberRange) -> impl Iterator<Item = Number> {
    let begun = tariff.prefixes().filter_map(move |prefix| {
        let number = prefix.number()?;
        let mut digits = number.international_digits()?.to_vec();
        digits.resize(range.first.length() as usize, b'0');
        Packed::international(&digits).filter(|it| range.contains(*it))
    });
    let ends = [range.first, range.last].into_iter();
    ends.chain(begun).filter_map(Packed::number)
}
