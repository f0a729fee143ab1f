//! `tollgate reset`: a tenant's counters begin anew.

use crate::admin::protocol::{Order, Reply};

use super::cli::Reset;
use super::{ask, print};

/// `tollgate reset`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: Reset) -> Result<(), String> {
    let (tenant, why) = (wanted.tenant, wanted.why.unwrap_or_default());
    let reply = ask::last(ask::order(&wanted.config, Order::Reset { tenant, why })?)?;
    let Reply::Reset {
        tenant, recorded, ..
    } = &reply
    else {
        return Err(ask::unexpected(&reply));
    };
    print(&format!("the counters of {tenant} begin anew\n"))?;
    match recorded {
        true => Ok(()),
        false => Err(
            "it is not in every shard's journal yet, which cannot be written now: a restart before \
             that undoes it"
                .to_owned(),
        ),
    }
}
