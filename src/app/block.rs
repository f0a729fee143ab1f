//! `tollgate block` and `unblock`: calls are stopped, at once and whatever the rules
//! say, or let go again.

use std::fmt::Write;

use crate::admin::protocol::{Block, Blocked, Blocks, Order, Reply, Scope, Unblock};

use super::blocks::words;
use super::cli::{self, Kind};
use super::control::span;
use super::render::count;
use super::{ask, print};

/// `tollgate block`.
///
/// # Errors
/// One line: why it is not done, and what to do.
pub(super) fn block(wanted: &cli::Block) -> Result<(), String> {
    let kind = &wanted.kind;
    let order = Order::Block(Block {
        tenant: kind.tenant.clone(),
        scope: scope(kind)?.unwrap_or(Scope::Everything),
        hang_up: wanted.hang_up,
        seconds: wanted.lasts.map(|it| it.as_secs()),
        why: kind.why.clone(),
    });
    let told = give(kind, order)?;
    let mut text = String::new();
    for block in &told.changed {
        let time = wanted.lasts.map(|it| format!(" ({})", span(it.as_secs())));
        let time = time.unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "blocked: {}{time}", line(block));
    }
    if wanted.hang_up {
        text.push_str("such calls that are up are being hung up\n");
    }
    let _ = writeln!(text, "{}", in_force(&told));
    let who = kind.tenant.as_deref().unwrap_or("--all");
    let config = kind.config.display();
    let _ = writeln!(text, "it is over with: tollgate unblock {who} -c {config}");
    print(&text)
}

/// `tollgate unblock`.
///
/// # Errors
/// As [`block`].
pub(super) fn unblock(wanted: &cli::Unblock) -> Result<(), String> {
    let kind = &wanted.kind;
    let order = Order::Unblock(Unblock {
        tenant: kind.tenant.clone(),
        scope: scope(kind)?,
        why: kind.why.clone(),
    });
    let told = give(kind, order)?;
    let mut text = String::new();
    for block in &told.changed {
        let _ = writeln!(text, "no longer blocked: {}", line(block));
    }
    let _ = writeln!(text, "{}", in_force(&told));
    for block in &told.in_force {
        let _ = writeln!(text, "still blocked: {}", line(block));
    }
    print(&text)
}

fn give(kind: &Kind, order: Order) -> Result<Blocks, String> {
    let reply = ask::last(ask::order(&kind.config, order)?)?;
    match reply {
        Reply::Blocks(told) => Ok(told),
        other => Err(ask::unexpected(&other)),
    }
}

/// Which calls are meant, if it is said.
fn scope(kind: &Kind) -> Result<Option<Scope>, String> {
    if kind.tenant.is_none() && !kind.all {
        return Err(
            "whose calls? Name a tenant, or say --all for those of every tenant".to_owned(),
        );
    }
    match (kind.international, kind.all && kind.tenant.is_some()) {
        (true, true) => Err(
            "--all and --international are two things: all of a tenant's \
                             calls, or those abroad"
                .to_owned(),
        ),
        (true, false) => Ok(Some(Scope::International)),
        (false, true) => Ok(Some(Scope::Everything)),
        (false, false) => Ok(None),
    }
}

/// Where it is in force.
fn in_force(told: &Blocks) -> String {
    let shards = count(told.shards.into(), "shard", "shards");
    let journal = match told.recorded {
        true => "and in the journal",
        false => "but not in the journal, which cannot be written now",
    };
    format!("in force in {shards}, kept over restarts, {journal}")
}

/// A block in one line.
pub(super) fn line(block: &Blocked) -> String {
    let whose = block.tenant.as_deref().unwrap_or("every tenant");
    let until = match &block.until {
        Some(until) => format!(" until {until}"),
        None => String::new(),
    };
    let why = match block.why.is_empty() {
        true => String::new(),
        false => format!(": {}", block.why),
    };
    let (calls, since, by) = (words(block.scope), &block.since, &block.by);
    format!("{whose}: {calls}{until}, by {by} at {since}{why}")
}
