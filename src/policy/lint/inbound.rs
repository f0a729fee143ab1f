//! Prices of calls to a tenant's own numbers that are hardly meant so.

use super::Warning;
use crate::base::time::Wall;
use crate::policy::lane::Lane;
use crate::policy::ruleset::{Mode, RuleSet, TenantId};

impl RuleSet {
    /// Warns of a tariff that has a price for none of the tenant's numbers, and of calls to
    /// them whose cost nothing bounds.
    pub(super) fn inbound_costs(
        &self,
        tenant: TenantId,
        lane: &Lane,
        at: Wall,
        found: &mut Vec<Warning>,
    ) {
        let Some((of, rule)) = self
            .tenant(tenant)
            .and_then(|it| Some((it, it.inbound_tariff_rule?)))
        else {
            return;
        };
        let (title, help) = match self.inbound_bounded(tenant, lane, at) {
            None => (
                "no row of this tariff has a price for a number of the tenant's own",
                "give it a row for each number that is billed when it is called, as +81 120 000 000",
            ),
            Some(false) if lane.mode == Mode::Enforce => (
                "no budget bounds what calls from carriers cost",
                "write, say, money_per_day = \"JPY 5000\" under [inbound], or per_day under [budget]",
            ),
            Some(_) => return,
        };
        found.push(Warning {
            rule,
            at_name: false,
            title: format!("{title}: tenant `{}`", of.name),
            help: help.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALL, lint_all};

    /// The warnings of a tenant with this below [inbound] and behind it.
    fn found(inbound: &str, rows: &str) -> Vec<String> {
        let destinations = format!(
            "allow = [\"us\"]\n[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\ntariff = \"t\"\n\
             {inbound}"
        );
        lint_all(&destinations, rows)
    }

    #[test]
    fn a_price_of_calls_from_carriers_that_nothing_bounds_is_shown() {
        let rows = format!("{ALL}\njp.fixed,0,1,60,60,JPY");
        let [outbound, own] = found("", &rows).try_into().unwrap();
        assert!(outbound.starts_with("3:10 no budget bounds"), "{outbound}");
        let title = "12:10 no budget bounds what calls from carriers cost: tenant `acme`";
        assert_eq!(own, title);
        for bound in [
            "[budget]\nper_day = \"JPY 900\"\n",
            "money_per_day = \"JPY 900\"\n[budget]\nper_month = \"JPY 9000\"\n",
        ] {
            assert_eq!(found(bound, &rows), [""; 0], "{bound}");
        }
    }

    #[test]
    fn a_tariff_without_a_row_for_any_own_number_is_shown() {
        let rows = "us,0,1,60,60,JPY\njp.freephone,0,1,60,60,JPY";
        let found = found("[budget]\nper_day = \"JPY 900\"\n", rows);
        let title = "12:10 no row of this tariff has a price for a number of the tenant's own: \
                     tenant `acme`";
        assert_eq!(found, [title]);
    }
}
