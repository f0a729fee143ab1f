//! F6: configuration, boot, and one file a subcommand.

mod alerts;
mod ask;
mod bans;
mod block;
mod blocks;
mod calls;
mod check;
mod cli;
mod clock;
mod control;
mod demo;
mod explain;
mod exposure;
mod heir;
mod journals;
mod kept_bans;
mod last_good;
mod ledger;
mod log;
mod names;
mod registered;
mod reload;
mod render;
mod report;
mod reset;
mod rules;
mod run;
mod secrets;
mod sources;
mod status;
mod tls;
mod verify;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::policy::{RuleSet, TenantId};

/// The program: reads the command line, does what it says, and answers with 0,
/// with 1 for a fault (said on standard error), or with 2 for a command line
/// that makes no sense.
#[must_use]
pub fn main() -> ExitCode {
    let well = |()| ExitCode::SUCCESS;
    let done = match cli::Cli::parse().command {
        cli::Command::Demo => demo::run(),
        cli::Command::Ledger(cli::Ledger::Export(wanted)) => ledger::run(wanted).map(well),
        cli::Command::Ledger(cli::Ledger::Verify(wanted)) => verify::run(&wanted),
        cli::Command::Ledger(cli::Ledger::Report(wanted)) => report::run(wanted).map(well),
        cli::Command::Calls(wanted) => calls::run(wanted).map(well),
        cli::Command::Check(wanted) => check::run(&wanted).map(well),
        cli::Command::Explain(wanted) => explain::run(&wanted),
        cli::Command::Exposure(wanted) => exposure::run(&wanted).map(well),
        cli::Command::Run(wanted) => run::run(wanted).map(well),
        cli::Command::Status(wanted) => status::run(&wanted).map(well),
        cli::Command::Reset(wanted) => reset::run(wanted).map(well),
        cli::Command::Bans(wanted) => bans::run(wanted).map(well),
        cli::Command::Clock(wanted) => clock::run(wanted).map(well),
        cli::Command::Alert(cli::Alert::Test(wanted)) => alerts::test(&wanted).map(well),
        cli::Command::Reload(wanted) => reload::run(&wanted).map(well),
        cli::Command::Block(wanted) => block::block(&wanted).map(well),
        cli::Command::Unblock(wanted) => block::unblock(&wanted).map(well),
    };
    let code = done.unwrap_or_else(|text| {
        log::say(&format!("tollgate: {text}"));
        ExitCode::FAILURE
    });
    log::finish();
    code
}

/// The tenant of this name.
///
/// # Errors
/// One line: there is none, and what there is.
fn tenant(rules: &RuleSet, name: &str) -> Result<TenantId, String> {
    rules.tenant_named(name).ok_or_else(|| {
        let names = rules.tenants().iter().take(20);
        let names: Vec<&str> = names.map(|it| &*it.name).collect();
        match names.is_empty() {
            true => format!("there is no tenant `{name}`, nor any other"),
            false => format!("there is no tenant `{name}`: there is {}", names.join(", ")),
        }
    })
}

/// Prints to standard output. That whoever reads it has had enough is no fault.
fn print(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write the output: {error}"))
        }
        _ => Ok(()),
    }
}
