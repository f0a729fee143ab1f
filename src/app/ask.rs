//! The commands that speak to a Tollgate that runs.

use std::path::Path;

use crate::admin::protocol::{Fault, Order, Reply, Request, VERSION};
use crate::admin::{Talk, Unanswered, ask};

use super::{log, sources};

/// Sends an order to the Tollgate that runs with this configuration; none if nobody
/// listens.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn try_order(config: &Path, order: Order) -> Result<Option<Talk>, String> {
    let socket = sources::socket_of(config)?;
    let request = Request {
        v: VERSION,
        order,
        behalf: behalf(),
    };
    match ask(&socket, &request) {
        Ok(talk) => Ok(Some(talk)),
        Err(Unanswered::Nobody) => Ok(None),
        Err(fault) => Err(format!("{}: {fault}", socket.display())),
    }
}

/// The same, where nothing can be done unless one runs.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn order(config: &Path, order: Order) -> Result<Talk, String> {
    try_order(config, order)?.ok_or_else(|| {
        format!(
            "no Tollgate is running with this configuration: start one with tollgate run -c {}",
            config.display()
        )
    })
}

/// The one line of an answer that has no more.
///
/// # Errors
/// There is none, or it is a fault: its lines are shown, and the last is returned.
pub(super) fn last(talk: Talk) -> Result<Reply, String> {
    let mut last = Err("Tollgate ended before it answered".to_owned());
    for reply in talk {
        last = match reply {
            Ok(Reply::Fault(fault)) => return Err(show(&fault)),
            Ok(reply) => Ok(reply),
            Err(fault) => return Err(fault.to_string()),
        };
    }
    last
}

/// Shows what a fault has to say beside its one line.
pub(super) fn show(fault: &Fault) -> String {
    for line in &fault.details {
        log::say(line);
    }
    fault.text.clone()
}

/// What this program cannot make anything of.
pub(super) fn unexpected(reply: &Reply) -> String {
    format!("an answer to something else came: {reply:?}")
}

/// For whom `sudo` runs this.
pub(super) fn behalf() -> Option<String> {
    let name = std::env::var("SUDO_USER").ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    (!name.is_empty() && name.len() <= 64 && name.chars().all(plain)).then_some(name)
}
