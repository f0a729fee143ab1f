//! `tollgate clock`: whether the machine's clock is believed.

use crate::admin::protocol::{Order, Reply};

use super::cli::Clock as Wanted;
use super::control::span;
use super::{ask, print};

/// `tollgate clock`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: Wanted) -> Result<(), String> {
    let (confirm, why) = (wanted.confirm, wanted.why.unwrap_or_default());
    let reply = ask::last(ask::order(&wanted.config, Order::Clock { confirm, why })?)?;
    let Reply::Clock(clock) = &reply else {
        return Err(ask::unexpected(&reply));
    };
    let shows = &clock.shows;
    print(&match (clock.ahead_s, clock.confirmed_s) {
        (0, Some(0)) => format!("the clock shows {shows}, and was believed before\n"),
        (0, Some(was)) => format!("the clock shows {shows}: believed again ({})\n", apart(was)),
        (0, None) => format!("the clock shows {shows}, and is believed\n"),
        (ahead, _) => format!("the clock shows {shows}: NOT BELIEVED, {}\n", apart(ahead)),
    })?;
    match clock.recorded {
        true => Ok(()),
        false => Err("it is not in every shard's journal, which cannot be written now".to_owned()),
    }
}

/// How far the clock is from what is believed, in words.
pub(super) fn apart(ahead_s: i64) -> String {
    let by = span(ahead_s.unsigned_abs());
    match ahead_s < 0 {
        true => format!("it jumped back by {by}"),
        false => format!("it jumped ahead by {by}"),
    }
}
