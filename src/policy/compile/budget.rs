//! `[budget]`, and what a `[[cap]]` says of money: what calls may cost.

use super::build::Build;
use crate::policy::counters::{Budget, Quantity};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex, Place};
use crate::policy::model::{BudgetTable, CapTable, TenantFile};
use crate::policy::money::{Amount, Currency, Money};
use crate::policy::spending::{Allowance, WhenSpent};
use crate::policy::tariff::Tariff;

/// A tenant's tariffs, as places among the set's.
#[derive(Clone, Copy)]
pub(super) struct Tariffs {
    /// Of calls to carriers.
    pub outbound: u16,
    /// Of calls from carriers.
    pub inbound: u16,
}

/// What one scope's calls may cost, each limit with its place.
pub(super) struct Draft {
    limits: Vec<(Quantity, At<Amount>)>,
    /// It is `[budget]`, whose keys are shorter.
    own: bool,
}

/// What a `[[cap]]` says, or `[inbound]` and each of its caps of calls from carriers.
pub(super) fn narrower(
    build: &Build<'_>,
    file: &TenantFile<'_>,
    (tariffs, inbound): (Tariffs, bool),
    table: &CapTable<'_>,
    faults: &mut Faults<'_>,
) -> Option<Draft> {
    let named = match inbound {
        false => file.tariff.is_some(),
        true => file.inbound.as_ref().is_some_and(|it| it.tariff.is_some()),
    };
    if inbound && !named {
        unpriced(table, faults);
        return None;
    }
    let tariff = match inbound {
        false => tariffs.outbound,
        true => tariffs.inbound,
    };
    read(build, (tariff, named), (&table.money, false), faults)
}

/// What `[budget]` says.
pub(super) fn own(
    build: &Build<'_>,
    file: &TenantFile<'_>,
    tariffs: Tariffs,
    table: &BudgetTable<'_>,
    faults: &mut Faults<'_>,
) -> Option<Draft> {
    let inbound = file.inbound.iter();
    let inbound = inbound.flat_map(|it| it.narrower.iter().chain([&it.caps]));
    let caps = || file.narrower.iter().chain(inbound.clone());
    // Beside other faults it may only follow from them.
    let limits_nothing = table.money.is_empty() && caps().all(|cap| cap.money.is_empty());
    if limits_nothing && !faults.any_errors() {
        let fault = Fault::warning("this budget limits nothing");
        faults.add(table.place, fault.help("add per_day or per_month"));
    }
    let named = file.tariff.is_some();
    read(
        build,
        (tariffs.outbound, named),
        (&table.money, true),
        faults,
    )
}

/// What calls from carriers cost counts in `[budget]`, too: a tenant's tariffs are in one
/// currency.
pub(super) fn one_currency(
    build: &Build<'_>,
    file: &TenantFile<'_>,
    tariffs: Tariffs,
    faults: &mut Faults<'_>,
) {
    let currency = |at: u16| build.tariffs.get(usize::from(at)).map(Tariff::currency);
    let both = currency(tariffs.outbound).zip(currency(tariffs.inbound));
    let name = file.inbound.as_ref().and_then(|table| table.tariff);
    let both = both.filter(|(one, other)| ![*one, *other].contains(&Currency::NONE));
    if let (Some((outbound, currency)), Some(name)) = (both, name)
        && outbound != currency
    {
        let fault = Fault::error(format!(
            "this tariff is in {currency}, that of calls to carriers in {outbound}"
        ));
        let help = format!("write it in {outbound}: what these calls cost counts in [budget], too");
        faults.add(name.place, fault.help(help));
    }
}

/// In `[caps]` there is no place for money.
pub(super) fn misplaced(table: &CapTable<'_>, faults: &mut Faults<'_>) {
    for (quantity, text) in &table.money {
        let fault = Fault::error(format!("`{quantity}` is for [[cap]]"));
        let key = key(*quantity, true);
        let help = format!("write it under [budget], as {key} = \"{}\"", text.value);
        faults.add(text.place, fault.help(help));
    }
}

/// Nor for calls from carriers that cost nothing.
fn unpriced(table: &CapTable<'_>, faults: &mut Faults<'_>) {
    for (quantity, text) in &table.money {
        let fault = Fault::error(format!(
            "`{quantity}` needs a `tariff` under [inbound]: no call from a carrier has a price"
        ));
        let help = "add, say, tariff = \"jp-inbound\", and what calls to your own freephone \
                    numbers cost you to policies/tariffs/jp-inbound.csv; or limit how many calls \
                    there are";
        faults.add(text.place, fault.help(help));
    }
}

/// Adds a budget to what is on the same scope: it has one.
pub(super) fn join(of_scope: &mut Option<Draft>, money: Draft, faults: &mut Faults<'_>) {
    match of_scope {
        Some(first) => first.add(money, faults),
        none => *none = Some(money),
    }
}

/// What happens to live calls when a budget is used up.
pub(super) fn when_spent(file: &TenantFile<'_>, faults: &mut Faults<'_>) -> WhenSpent {
    let said = file.budget.as_ref().and_then(|table| table.when_spent);
    match said.map(|text| text.value) {
        None | Some("hang_up") => WhenSpent::HangUp,
        Some("refuse_new") => WhenSpent::RefuseNew,
        Some(other) => {
            let fault = Fault::error(format!("`{other}` is not what can be done"));
            let place = said.map_or(file.place, |text| text.place);
            faults.add(place, fault.help("write \"hang_up\" or \"refuse_new\""));
            WhenSpent::HangUp
        }
    }
}

fn key(quantity: Quantity, own: bool) -> &'static str {
    match (quantity, own) {
        (Quantity::MoneyPerDay, true) => "per_day",
        (Quantity::MoneyPerMonth, true) => "per_month",
        (quantity, _) => quantity.key(),
    }
}

fn read(
    build: &Build<'_>,
    (tariff, named): (u16, bool),
    (money, own): (&[(Quantity, At<&str>)], bool),
    faults: &mut Faults<'_>,
) -> Option<Draft> {
    let limits = money.iter().filter_map(|&(quantity, text)| {
        let amount = amount(text, faults)?;
        is_usable(build, (tariff, named), amount, faults).then_some((quantity, amount))
    });
    let limits: Vec<_> = limits.collect();
    (!limits.is_empty()).then_some(Draft { limits, own })
}

fn amount(text: At<&str>, faults: &mut Faults<'_>) -> Option<At<Amount>> {
    match Amount::parse(text.value) {
        Ok(amount) => Some(text.with(amount)),
        Err(help) => {
            let fault = Fault::error(format!("`{}` is no amount of money", text.value));
            faults.add(text.place, fault.help(help));
            None
        }
    }
}

/// Whether calls have prices that can be compared with a limit: a tariff that is named.
fn is_usable(
    build: &Build<'_>,
    (tariff, named): (u16, bool),
    amount: At<Amount>,
    faults: &mut Faults<'_>,
) -> bool {
    if amount.value.money == Money::ZERO {
        let fault = Fault::error("a budget of nothing would refuse every call");
        let help = "to refuse a destination, write it under [destinations] in `deny`";
        faults.add(amount.place, fault.help(help));
        return false;
    }
    let Some(tariff) = build.tariffs.get(usize::from(tariff)) else {
        if !named {
            let fault = Fault::error("a budget needs a `tariff`: no call has a price");
            let help = "add, say, tariff = \"jp-carrier\", and what your carrier charges to \
                        policies/tariffs/jp-carrier.csv";
            faults.add(amount.place, fault.help(help));
        }
        return false;
    };
    let (currency, other) = (tariff.currency(), amount.value.currency);
    // A tariff of which nothing could be read has a fault of its own.
    if currency != other && currency != Currency::NONE {
        let fault = Fault::error(format!(
            "the budget is in {other}, the tariff in {currency}"
        ));
        let help = format!("write it in {currency}");
        faults.add(amount.place, fault.help(help));
    }
    currency == other
}

impl Draft {
    /// Adds what another table says of the same scope.
    fn add(&mut self, other: Self, faults: &mut Faults<'_>) {
        for (quantity, amount) in other.limits {
            match self.limits.iter().find(|(it, _)| *it == quantity) {
                Some((_, first)) => {
                    let first = faults.pointer(first.place);
                    let fault = Fault::error(format!("`{quantity}` is limited here already"));
                    let help = format!("the other limit is at {first}");
                    faults.add(amount.place, fault.help(help));
                }
                None => self.limits.push((quantity, amount)),
            }
        }
        self.limits.sort_by_key(|(quantity, _)| *quantity);
    }

    /// Its place among the set's allowances; its rules are noted.
    pub(super) fn allowance(
        &self,
        build: &mut Build<'_>,
        (heading, mode): (&str, &str),
        lines: &LineIndex,
    ) -> u32 {
        let mut budget = Budget::default();
        let mut first_rule = u32::MAX;
        for &(quantity, amount) in &self.limits {
            let heading = if self.own { "[budget]" } else { heading };
            let text = format!(
                "{heading} {} = \"{}\"{mode}",
                key(quantity, self.own),
                amount.value
            );
            first_rule = first_rule.min(rule(build, amount.place, lines, text));
            let limit = Some(amount.value.money);
            match quantity {
                Quantity::MoneyPerDay => budget.per_day = limit,
                _ => budget.per_month = limit,
            }
        }
        build.allowances.push(Allowance { budget, first_rule });
        u32::try_from(build.allowances.len() - 1).unwrap_or(u32::MAX)
    }
}

fn rule(build: &mut Build<'_>, place: Place, lines: &LineIndex, text: String) -> u32 {
    build.rule(place, lines, text).0
}
