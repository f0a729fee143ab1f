//! Denials that leave what their words may seem to deny.

use std::collections::{BTreeMap, BTreeSet};

use super::{Warning, named, sort};
use crate::policy::lane::Lane;
use crate::policy::matcher;
use crate::policy::ruleset::{RuleId, RuleSet};
use crate::policy::spots::{Spot, services};

impl RuleSet {
    /// Warns of denials of a country, `international` or `any` beside which a class that is
    /// not ordinary stays allowed there by its name.
    pub(super) fn passed_over(&self, lane: &Lane, everywhere: &[Spot], found: &mut Vec<Warning>) {
        let (rules, home) = (self.destinations_of(lane), self.home(lane));
        let mut left: BTreeMap<u32, (u32, BTreeSet<String>)> = BTreeMap::new();
        for Spot { to } in everywhere.iter().copied().chain(services()) {
            let Some((class, denials)) = matcher::passed_over(rules, &to, home) else {
                continue;
            };
            for denial in denials {
                let (_, sorts) = left
                    .entry(denial.value)
                    .or_insert_with(|| (class.value, BTreeSet::new()));
                sorts.insert(sort(&to));
            }
        }
        for (denial, (class, sorts)) in left {
            let text = |rule| self.rule(RuleId(rule)).text;
            let some = named(&sorts);
            found.push(Warning {
                rule: RuleId(denial),
                at_name: false,
                title: format!(
                    "`{}` does not deny what `{}` allows: {some}",
                    text(denial),
                    text(class)
                ),
                help: "a country, `international` and `any` are about ordinary numbers alone: \
                       deny these by name, too, or do not allow the class"
                    .to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALL, lint};

    #[test]
    fn a_denial_beside_which_a_dear_class_stays_allowed_is_shown() {
        let found = lint("allow = [\"us\", \"uan\"]\ndeny = [\"jp\"]", ALL);
        let title = "10:9 `deny \"jp\"` does not deny what `allow \"uan\"` allows: jp.uan";
        assert!(found.iter().any(|it| it == title), "{found:?}");
        for clear in [
            "allow = [\"us\", \"uan\"]\ndeny = [\"jp.uan\"]",
            "allow = [\"us\", \"jp.uan\"]\ndeny = [\"jp.fixed\"]",
        ] {
            assert_eq!(lint(clear, ALL), [""; 0], "{clear}");
        }
    }
}
