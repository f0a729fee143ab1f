//! `tollgate run --take-over`: from the Tollgate that runs to the one that starts.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::admin::protocol::{Order, Request, VERSION};
use crate::admin::{Given, Unanswered, take_over};
use crate::ledger::{Fault, Ledger, legible};
use crate::net::clock;
use crate::policy::Counters;

use super::cli::Configuration;
use super::{ask, rules, sources};

/// How long the predecessor may take to end once it has given its sockets away.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// Gets the sockets of the Tollgate that runs with this configuration; none if there
/// is none. What would keep this one from starting is looked for before that.
///
/// # Errors
/// One line: what is wrong, and what to do. The predecessor goes on.
pub(super) fn inherit(configuration: &Configuration) -> Result<Option<Vec<OwnedFd>>, String> {
    let config = &configuration.config;
    if let Err(broken) = rules::load(configuration, &Counters::new()) {
        return Err(format!("nothing is taken over: {}", broken.show()));
    }
    let directory = sources::ledger_of(config)?;
    legible(&directory).map_err(|fault| format!("nothing is taken over: {fault}"))?;
    let socket = sources::socket_of(config)?;
    let request = Request {
        v: VERSION,
        order: Order::HandOver,
        behalf: ask::behalf(),
    };
    match take_over(&socket, &request) {
        Ok(Given::Sockets(sockets)) => Ok(Some(sockets)),
        Ok(Given::Refused(fault)) => Err(fault.text),
        Err(Unanswered::Nobody) => {
            tracing::info!("nobody runs whom to take over from");
            Ok(None)
        }
        Err(fault) => Err(format!("{}: {fault}", socket.display())),
    }
}

/// Opens the ledger; where there is a predecessor that ends, once that has closed it.
///
/// # Errors
/// [`Fault`].
pub(super) fn ledger(directory: &Path, wait: bool) -> Result<Ledger, Fault> {
    let end = clock::now().mono + PATIENCE;
    loop {
        match Ledger::open(directory) {
            Err(Fault::Locked { .. }) if wait && clock::now().mono < end => sleep(PAUSE),
            opened => return opened,
        }
    }
}
