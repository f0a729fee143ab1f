//! `[destinations]`: where a tenant may call.

use super::build::Build;
use super::tenant::{Arranged, arrange};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex};
use crate::policy::matcher::{self, DestinationRule};
use crate::policy::model::TenantFile;
use crate::policy::target::Target;

/// Takes a tenant's destinations into the set.
pub(super) fn destinations(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Arranged {
    let mut rules = Vec::with_capacity(file.allow.len() + file.deny.len());
    read(build, &file.allow, false, &mut rules, faults);
    read(build, &file.deny, true, &mut rules, faults);
    if file.allow.is_empty() {
        let fault = Fault::warning("nothing is allowed").label("only emergency calls leave");
        let help = "say under [destinations] what is: allow = [\"jp.fixed\", \"us\", \"+44 20\"]";
        faults.add(file.place, fault.help(help));
    }
    let rules = matcher::settle(rules, |shadowed, by| {
        let other = faults.pointer(by.place);
        let title = if shadowed.value.deny == by.value.deny {
            format!("`{}` is there twice", shadowed.value.target)
        } else {
            format!("`{}` is allowed, and denied", shadowed.value.target)
        };
        let help = if shadowed.value.deny == by.value.deny {
            format!("the other is at {other}")
        } else {
            format!("the denial at {other} wins")
        };
        faults.add(
            shadowed.place,
            Fault::warning(title).label("has no effect").help(help),
        );
    });
    let start = build.entries.len();
    for rule in rules {
        let verb = if rule.value.deny { "deny" } else { "allow" };
        let text = format!("{verb} \"{}\"", rule.value.target);
        let id = build.rule(rule.place, lines, text);
        let entry = matcher::entry(rule.value, id.0, build.numbering);
        build.entries.push(entry);
    }
    arrange(&mut build.entries, start)
}

fn read(
    build: &Build<'_>,
    texts: &[At<&str>],
    deny: bool,
    rules: &mut Vec<At<DestinationRule>>,
    faults: &mut Faults<'_>,
) {
    for text in texts {
        match Target::parse(text.value, build.numbering) {
            Ok(target) => rules.push(text.with(DestinationRule { target, deny })),
            Err(fault) => faults.add(text.place, Fault::error(fault.title).help(fault.help)),
        }
    }
}
