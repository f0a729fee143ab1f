//! `tollgate check`: is the configuration right?

use std::fmt::Write;

use crate::net::clock;
use crate::policy::{Counters, RuleSet};

use super::cli::Configuration;
use super::render::count;
use super::rules::{self, Broken};
use super::{alerts, log, secrets, tls};

/// `tollgate check`: shows every fault, or sums the configuration up.
///
/// # Errors
/// One line, after the faults themselves were shown.
pub(super) fn run(wanted: &Configuration) -> Result<(), String> {
    let mut rules = rules::load(wanted, &Counters::new()).map_err(Broken::show)?;
    let secrets = secrets::read(&mut rules, &wanted.config);
    let hints = rules.set.lint(&rules.sources, clock::now().wall);
    rules.show_warnings(&hints);
    let expiring = tls::check(&rules, &wanted.config).map_err(Broken::show)?;
    rules.show(&expiring);
    let mut faults = alerts::faults(&rules.set.run().alerts, &wanted.config);
    faults.extend(secrets);
    for fault in &faults {
        log::say(&format!("{}: warning: {fault}", wanted.config.display()));
    }
    let warnings = rules.warnings() + hints.len() + expiring.len() + faults.len();
    let config = wanted.config.display().to_string();
    super::print(&summary(&rules.set, warnings, &config))
}

fn summary(rules: &RuleSet, warnings: usize, config: &str) -> String {
    let mut text = format!("{config}: all is well");
    if warnings > 0 {
        let warnings = count(warnings, "warning", "warnings");
        let _infallible = write!(text, ", with {warnings}");
    }
    let counts = [
        count(rules.tenants().len(), "tenant", "tenants"),
        count(rules.rule_count(), "rule", "rules"),
        count(rules.carriers().len(), "carrier", "carriers"),
        count(rules.listeners().len(), "listener", "listeners"),
    ];
    let _infallible = write!(text, "\n  {}", counts.join(", "));
    let named = rules.wants().names.len();
    if named > 0 {
        let carriers = count(named, "carrier is", "carriers are");
        let how = "reached by name, which is looked up while Tollgate runs and not here";
        let _infallible = write!(text, "\n  {carriers} {how}");
    }
    let hash = rules.hash();
    text.push_str("\n  rule set ");
    for byte in hash {
        let _infallible = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}
