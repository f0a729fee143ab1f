//! `[destinations]`: where a tenant may call.

use super::build::Build;
use super::tenant::{Arranged, arrange};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex};
use crate::policy::matcher::{self, DestinationRule, Says};
use crate::policy::model::TenantFile;
use crate::policy::number::Number;
use crate::policy::numbering::{Class, Classes};
use crate::policy::target::Target;

/// Takes a tenant's destinations into the set.
pub(super) fn destinations(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Arranged {
    let mut rules = Vec::with_capacity(file.allow.len() + file.deny.len());
    read(build, &file.allow, Says::Allow, &mut rules, faults);
    read(build, &file.observe, Says::Observe, &mut rules, faults);
    read(build, &file.deny, Says::Deny, &mut rules, faults);
    // Beside other faults it may only follow from them.
    if file.allow.is_empty() && file.observe.is_empty() && !faults.any_errors() {
        let fault = Fault::warning("nothing is allowed").label("only emergency calls leave");
        let help = "say under [destinations] what is: allow = [\"jp.fixed\", \"us\", \"+44 20\"]";
        faults.add(file.place, fault.help(help));
    }
    let rules = matcher::settle(rules, |shadowed, by| {
        let other = faults.pointer(by.place);
        let target = shadowed.value.target;
        let (title, help) = match (shadowed.value.says, by.value.says) {
            (this, that) if this == that => (
                format!("`{target}` is there twice"),
                format!("the other is at {other}"),
            ),
            (Says::Allow, Says::Deny) => (
                format!("`{target}` is allowed, and denied"),
                format!("the denial at {other} wins"),
            ),
            (Says::Allow, _) => (
                format!("`{target}` is allowed, and observed"),
                format!("it goes all the same, and is recorded: see {other}"),
            ),
            _ => (
                format!("`{target}` is observed, and denied"),
                format!("the denial at {other} wins"),
            ),
        };
        faults.add(
            shadowed.place,
            Fault::warning(title).label("has no effect").help(help),
        );
    });
    warn_of_what_prefixes_allow(build, &rules, faults);
    let start = build.entries.len();
    for rule in rules {
        let verb = match rule.value.says {
            Says::Allow => "allow",
            Says::Observe => "observe",
            Says::Deny => "deny",
        };
        let text = format!("{verb} \"{}\"", rule.value.target);
        let id = build.rule(rule.place, lines, text);
        let under = build.classes_under(rule.value.target);
        let entry = matcher::entry(rule.value, id.0, under);
        build.entries.push(entry);
    }
    arrange(&mut build.entries, start)
}

/// A prefix allows all that begins with it, and is more specific than a
/// country's class: both may be more than its writer thought of.
fn warn_of_what_prefixes_allow(
    build: &mut Build<'_>,
    rules: &[At<DestinationRule>],
    faults: &mut Faults<'_>,
) {
    let denied = |target| {
        let mut rules = rules.iter().map(|rule| rule.value);
        rules.any(|rule| rule.says != Says::Allow && rule.target == target)
    };
    for rule in rules {
        let Target::Prefix(digits) = rule.value.target else {
            continue;
        };
        let under = build.classes_under(rule.value.target);
        if rule.value.says != Says::Allow {
            continue;
        }
        if under.is_one() {
            warn_of_a_dear_prefix(rule, under, rules, faults);
            continue;
        }
        let mut dear = under.iter().filter(|class| !class.is_ordinary());
        let mut undenied: Vec<&str> = Vec::new();
        undenied.extend(
            dear.by_ref()
                .filter(|&it| !denied(Target::Class(it)))
                .map(Class::as_str),
        );
        if !undenied.is_empty() {
            let title = format!(
                "`{}` also allows {}",
                rule.value.target,
                undenied.join(", ")
            );
            let fault = Fault::warning(title).help(
                "a country covers ordinary numbers only; or deny these classes, or write longer \
                 prefixes",
            );
            faults.add(rule.place, fault);
        }
        let numbers = digits.number();
        for other in rules.iter().filter(|other| other.value.says == Says::Deny) {
            let Target::CountryClass(country, class) = other.value.target else {
                continue;
            };
            let code = build.numbering.calling_code(country).unwrap_or_default();
            let begins = |number: &Number| {
                let digits = number.as_str().get(1..).unwrap_or_default();
                digits.starts_with(code) || code.starts_with(digits)
            };
            if under.contains(class) && numbers.as_ref().is_some_and(begins) {
                let (allowed, denied) = (rule.value.target, other.value.target);
                let title = format!("`{allowed}` allows numbers that `{denied}` denies");
                let fault = Fault::warning(title).label("a prefix is more specific");
                let at = faults.pointer(other.place);
                let help = format!("the denial is at {at}; deny the class \"{class}\" instead");
                faults.add(rule.place, fault.help(help));
            }
        }
    }
}

/// A prefix wholly inside a class is allowed even where the class is denied; with
/// neither said, its writer may not know what numbers these are.
fn warn_of_a_dear_prefix(
    rule: &At<DestinationRule>,
    under: Classes,
    rules: &[At<DestinationRule>],
    faults: &mut Faults<'_>,
) {
    for class in under.iter().filter(|class| !class.is_ordinary()) {
        let named = |it: &At<DestinationRule>| it.value.target == Target::Class(class);
        if !rules.iter().any(named) {
            let title = format!("every number of `{}` is {class}", rule.value.target);
            let help = format!("if that is meant, write \"{class}\" under `deny` beside it");
            faults.add(rule.place, Fault::warning(title).help(help));
        }
    }
}

fn read(
    build: &Build<'_>,
    texts: &[At<&str>],
    says: Says,
    rules: &mut Vec<At<DestinationRule>>,
    faults: &mut Faults<'_>,
) {
    for text in texts {
        match Target::parse(text.value, &build.numbering) {
            Ok(target) => rules.push(text.with(DestinationRule { target, says })),
            Err(fault) => faults.add(text.place, Fault::error(fault.title).help(fault.help)),
        }
    }
}
