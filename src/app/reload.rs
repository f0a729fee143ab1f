//! `tollgate reload`: the rules are read again, and what came of it is said.

use crate::admin::protocol::{Order, Reply};

use super::cli::Reload;
use super::render::count;
use super::{ask, print};

/// `tollgate reload`.
///
/// # Errors
/// One line: why the rules stay as they were; each fault is shown before.
pub(super) fn run(wanted: &Reload) -> Result<(), String> {
    let reply = ask::last(ask::order(&wanted.config, Order::Reload)?)?;
    let Reply::Reloaded(rules) = &reply else {
        return Err(ask::unexpected(&reply));
    };
    print(&format!(
        "new rules are in force: {}, {}, hash {}\n",
        count(rules.tenants, "tenant", "tenants"),
        count(rules.rules, "rule", "rules"),
        rules.hash,
    ))
}
