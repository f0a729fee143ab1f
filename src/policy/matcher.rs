//! Which of a tenant's destination rules decides about a number.
//!
//! A prefix is more specific than a country's class, that than a country, that
//! than a class, that than `international`, that than `any`; of two prefixes the
//! longer. The most specific rule that covers the number decides, and a denial
//! of the same target wins. But where a class is denied, no rule allows its
//! numbers except one that names the class in that country, or a prefix wholly
//! inside the class. A country, `international` and `any` cover only numbers of
//! ordinary classes. A rule that only observes stands where a denial would, and
//! lets go what the other denials leave.

use std::cmp::Reverse;

use super::diagnostic::At;
use super::numbering::{Class, Classes, Country};
use super::table::{Entry, Flags, Table};
use super::target::{Destination, Target};

/// The entry denies; without it, it allows.
const DENY: Flags = Flags::bit(0);
/// All assigned numbers that begin with this prefix are of one class.
const ONE_CLASS: Flags = Flags::bit(1);
/// No number that begins with this prefix is assigned.
const UNASSIGNED: Flags = Flags::bit(2);
/// The entry would deny, but lets go.
const OBSERVE: Flags = Flags::bit(3);

/// What a rule does with the calls it decides about. Of the same target the
/// later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// They may go.
    Allow,
    /// They go, and are recorded as those that would have been denied.
    Observe,
    /// They do not go.
    Deny,
}

/// What one line under `[destinations]` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct DestinationRule {
    /// What it is about.
    pub target: Target,
    /// What it does with that.
    pub says: Says,
}

/// What the rules of a tenant say about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// This rule allows it.
    Allow(u32),
    /// This rule denies it.
    Deny(u32),
    /// This rule would, and only observes.
    Observe(u32),
    /// No rule covers it, so that it is denied.
    Uncovered,
}

/// The entry of a rule numbered `number`. `under` are the classes of the assigned
/// numbers that begin with its prefix, if it is one.
pub(super) fn entry(rule: DestinationRule, number: u32, under: Classes) -> Entry {
    let inside = match rule.target {
        Target::Prefix(_) if under.is_empty() => UNASSIGNED,
        Target::Prefix(_) if under.is_one() => ONE_CLASS,
        _ => Flags::NONE,
    };
    let flags = match rule.says {
        Says::Allow => inside,
        Says::Observe => inside.and(OBSERVE),
        Says::Deny => DENY,
    };
    Entry::new(rule.target, flags, number)
}

/// What the arranged `rules` say about a destination dialled in `home`.
pub(super) fn decide(rules: Table<'_>, to: &Destination, home: Option<Country>) -> Decision {
    let of_class = rules.exact(Target::Class(to.class));
    let denied = |entry: &&Entry| entry.flags().has(DENY) || entry.flags().has(OBSERVE);
    let denied_class = of_class.filter(denied);
    for prefix in rules.prefixes(to.digits) {
        let flags = prefix.flags();
        if flags.has(DENY) {
            return Decision::Deny(prefix.value);
        }
        let is_inside = match to.class {
            Class::Unassigned => flags.has(UNASSIGNED),
            _ => flags.has(ONE_CLASS),
        };
        if denied_class.is_none() || is_inside {
            return said(prefix);
        }
    }
    let in_country = to.country.map(|it| Target::CountryClass(it, to.class));
    if let Some(entry) = in_country.and_then(|target| rules.exact(target)) {
        return said(entry);
    }
    if let Some(class) = denied_class {
        // A denial that is only observed lifts none.
        let country = to.country.filter(|_| to.class.is_ordinary());
        let country = country.and_then(|it| rules.exact(Target::Country(it)));
        let denies = country.filter(|entry| entry.flags().has(DENY));
        return said(denies.unwrap_or(class));
    }
    wider(rules, to, home, of_class).map_or(Decision::Uncovered, said)
}

/// The row of a tariff that a destination dialled in `home` falls under, by the
/// same order: nothing is denied there.
pub(super) fn row<'t>(
    rows: Table<'t>,
    to: &Destination,
    home: Option<Country>,
) -> Option<&'t Entry> {
    let in_country = || {
        let target = to.country.map(|it| Target::CountryClass(it, to.class));
        target.and_then(|target| rows.exact(target))
    };
    let of_class = || rows.exact(Target::Class(to.class));
    let prefix = rows.prefixes(to.digits).next();
    let narrow = prefix.or_else(in_country);
    narrow.or_else(|| wider(rows, to, home, of_class()))
}

/// The most specific entry of a country, a class (which is `of_class`, if there
/// is one), everything abroad or everything.
fn wider<'t>(
    table: Table<'t>,
    to: &Destination,
    home: Option<Country>,
    of_class: Option<&'t Entry>,
) -> Option<&'t Entry> {
    let ordinary = to.class.is_ordinary();
    let country = to.country.filter(|_| ordinary).map(Target::Country);
    let foreign = ordinary && to.country.is_some() && to.is_abroad(home);
    let wider = [
        country.and_then(|target| table.exact(target)),
        of_class,
        foreign
            .then(|| table.exact(Target::International))
            .flatten(),
        ordinary.then(|| table.exact(Target::Any)).flatten(),
    ];
    wider.into_iter().flatten().next()
}

/// The denials of a country, of everything abroad or of everything that a destination
/// would fall under, but for its class, and the rule on that class which allows it.
pub(super) fn passed_over<'t>(
    rules: Table<'t>,
    to: &Destination,
    home: Option<Country>,
) -> Option<(&'t Entry, impl Iterator<Item = &'t Entry>)> {
    if to.class.is_ordinary() {
        return None;
    }
    let class = rules.exact(Target::Class(to.class))?;
    if decide(rules, to, home) != Decision::Allow(class.value) {
        return None;
    }
    let abroad = to.country.is_some() && to.is_abroad(home);
    let wider = [
        to.country.map(Target::Country),
        abroad.then_some(Target::International),
        Some(Target::Any),
    ];
    let wider = wider.into_iter().flatten();
    let denials = wider.filter_map(move |target| rules.exact(target));
    Some((class, denials.filter(|entry| entry.flags().has(DENY))))
}

fn said(entry: &Entry) -> Decision {
    if entry.flags().has(DENY) {
        Decision::Deny(entry.value)
    } else if entry.flags().has(OBSERVE) {
        Decision::Observe(entry.value)
    } else {
        Decision::Allow(entry.value)
    }
}

/// Of rules with the same target, those that never decide: what is written
/// twice, and what is also denied. The others, each target once.
pub(super) fn settle(
    rules: Vec<At<DestinationRule>>,
    mut shadowed: impl FnMut(&At<DestinationRule>, &At<DestinationRule>),
) -> Vec<At<DestinationRule>> {
    let mut order: Vec<usize> = (0..rules.len()).collect();
    let key = |at: &usize| {
        rules
            .get(*at)
            .map(|it| (it.value.target.word(), Reverse(it.value.says), *at))
    };
    order.sort_unstable_by_key(key);
    let mut kept: Vec<At<DestinationRule>> = Vec::with_capacity(rules.len());
    for rule in order.into_iter().filter_map(|at| rules.get(at)) {
        match kept.last() {
            Some(last) if last.value.target == rule.value.target => shadowed(rule, last),
            _ => kept.push(*rule),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
