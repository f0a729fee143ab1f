//! The command line: what can be said, and the help that teaches it.

mod evidence;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::policy::{Amount, duration};

pub(super) use evidence::{
    Calls, Export, Indicators, Json, Language, Ledger, Moment, Place, Report, Verify,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// A firewall for telephone calls: every call is judged before the carrier sees it.
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Begin with:
  tollgate demo                       what it is for, live, in 12 seconds
  tollgate check -c tollgate.toml     is the configuration right?
  tollgate explain -c tollgate.toml --tenant T NUMBER    why is it refused?
  tollgate run   -c tollgate.toml     judge calls
  tollgate status -c tollgate.toml    what is it doing?
  tollgate block T -c tollgate.toml --hang-up    stop a tenant's calls, now

Exit codes: 0 all is well; 1 a fault, said on standard error; 2 the command
line makes no sense."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// See the toll fraud of 2015 refused, live, on this machine.
    #[command(after_help = "\
Example:
  tollgate demo

A small phone system, a small carrier and Tollgate between them, talking SIP
over loopback for 12 seconds: it needs no configuration, no root and no fixed
port, and leaves nothing behind. What it tells is counted at the phone system
and at the carrier; exit code 1 if an attack call reached the carrier or an
ordinary call failed. Ctrl-C ends it early, with 130.

Next: tollgate check -c FILE")]
    Demo,
    /// Judge calls: the firewall itself.
    #[command(after_help = "\
Example:
  tollgate run -c /etc/tollgate/tollgate.toml --log json

SIGHUP reads the rules again; if they are broken, the old ones stay in force
and every fault is logged. A start with broken rules takes the last good ones,
if there are any. The first SIGTERM or SIGINT refuses new calls and waits for
those that are up (stop_after in [run] says how long); the second hangs up.
A new version takes over at once with --take-over, and calls that are up go on.
Try the configuration first: tollgate check -c FILE")]
    Run(Run),
    /// Tell what a Tollgate that runs is doing.
    #[command(after_help = "\
Examples:
  tollgate status -c tollgate.toml
  tollgate status -c tollgate.toml --json | jq .calls

It asks over the control socket: `control` in the ledger's folder, unless
[admin] socket says otherwise. Only the user that Tollgate runs as, and root,
may ask.")]
    Status(Status),
    /// Stop calls, at once and whatever the rules say: a tenant's, or everybody's.
    #[command(after_help = "\
Examples:
  tollgate block acme -c tollgate.toml --hang-up
  tollgate block acme -c tollgate.toml --international --for 2h --why 'ticket 17'
  tollgate block --all -c tollgate.toml

Every new call but emergency calls is refused, from the tenant and to it, or with
--international its calls abroad. Calls that are up go on, unless --hang-up ends
those of the same kind; an emergency call is never ended. When this returns, it
is in force in every shard, in the journal with who ordered it and why, and kept
over reloads and restarts. It is over when --for is, or with tollgate unblock;
tollgate status shows what is in force.")]
    Block(Block),
    /// Let calls be made again that were stopped by tollgate block.
    #[command(after_help = "\
Examples:
  tollgate unblock acme -c tollgate.toml
  tollgate unblock --all -c tollgate.toml

--all lifts what block --all ordered; what was ordered for single tenants stays,
and is shown.")]
    Unblock(Unblock),
    /// Alerts: who is told at once of what was stopped ([alerts] in the configuration).
    #[command(subcommand, arg_required_else_help = true)]
    Alert(Alert),
    /// Have a Tollgate that runs read its rules again.
    #[command(after_help = "\
Example:
  tollgate reload -c tollgate.toml

What SIGHUP does, but it waits until the new rules are in force in every shard.
If they are broken, each fault is shown, the old ones stay in force, and the exit
code is 1.")]
    Reload(Reload),
    /// Have a tenant's counters begin anew.
    #[command(after_help = "\
Example:
  tollgate reset -c tollgate.toml --tenant acme --why \"false alarm, ticket 4711\"

What was counted against its caps so far is forgotten: calls in the last second,
minute and hour, calls and different numbers of the day, and what was spent of
its budgets in the day and the month. Calls that are up go on being counted, and
keep what they hold. Patterns of fraud are not forgotten. It is written into the
ledger, with who did it and why; no reload and no restart does this.")]
    Reset(Reset),
    /// List the strangers who are not heard because they send too much, or lift their bans.
    #[command(after_help = "\
Examples:
  tollgate bans -c tollgate.toml
  tollgate bans -c tollgate.toml --lift 192.0.2.9 --why 'our new phone system'

[bans] in the configuration says who is banned, and for how long. No phone system
and no carrier is: an address that rules name is heard again as soon as they are in
force. Of IPv6 a whole /64 is banned. A ban that was lifted is written into the
ledger, with who did it and why; who goes on sending as before is banned again.
A restart forgets all bans.")]
    Bans(Bans),
    /// Say whether the machine's clock is believed, or confirm it after it jumped.
    #[command(after_help = "\
Examples:
  tollgate clock -c tollgate.toml
  tollgate clock -c tollgate.toml --confirm --why \"the time service was down\"

A clock that jumps by more than a minute could open a new day early, and with it a
new day's budget. So it is not believed: days and months of caps and budgets go by
the reckoning from before the jump, until the clock is confirmed. That is written
into the ledger, with who did it and why.")]
    Clock(Clock),
    /// Validate the configuration and every file it draws in.
    #[command(after_help = "\
Example:
  tollgate check -c tollgate.toml

Every fault is shown with its file, line and a caret, not only the first; exit
code 1 if there is one. Warnings are no faults: rules that never decide, what is
allowed without a price, a tenant without a budget. If all is well, the summary
ends with the hash of the rules, by which the ledger names them. Next: tollgate
run -c FILE, or, if it is running, tollgate reload -c FILE.")]
    Check(Configuration),
    /// Say how a number is read, which rule decides, and what it would cost.
    #[command(after_help = "\
Examples:
  tollgate explain -c tollgate.toml --tenant acme 010442071838750
  tollgate explain -c tollgate.toml --tenant acme --json sip:110@gw

What is dialled is a Request-URI, or the digits that would stand in one. Nothing
is counted: whether a cap is used up just now is not asked. In the JSON, verdict
is allow, refuse, emergency, or observe where a call goes out only because the
tenant is observed; canonical is the number, or \"-\" where there is none.

Exit codes: 0 the call would go out; 3 it would be refused; 1 a fault.")]
    Explain(Explain),
    /// Say the most that each tenant can lose in a day, and what makes it so.
    #[command(after_help = "\
Examples:
  tollgate exposure -c tollgate.toml
  tollgate exposure -c tollgate.toml --max \"JPY 100000\" || echo too much

Lost is what calls cost by the tariff. The smallest bound counts: a budget, for
what is spent on one day, or what the caps leave room for, for the calls begun
on one day. What no figure has in it is
listed below the figures.

Exit codes: 0; 1 a fault, or with --max a tenant that can lose more, or any
amount, or money of another currency.")]
    Exposure(Exposure),
    /// List the calls that were judged, the latest first.
    #[command(after_help = "\
Examples:
  tollgate calls -c tollgate.toml --tenant acme --since 2026-07-01
  tollgate calls -c tollgate.toml --verdict refuse --number +232 --limit 20
  sqlite3 var/ledger/index/2026-07-01.sqlite 'select number, reason from calls'

It reads the index: one file of SQLite for each day, made from the journal some
seconds behind it. The index is a copy for looking things up; the evidence is
the journal (tollgate ledger). A file of it that is removed is made again. Columns,
and the fields of --json, have the names that tollgate ledger export gives them.")]
    Calls(Calls),
    /// Read the ledger: the evidence of every call.
    #[command(subcommand, arg_required_else_help = true)]
    Ledger(Ledger),
}

#[derive(Clone, Debug, Args)]
pub(super) struct Configuration {
    /// The configuration; the paths in it are relative to its folder.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Accept settings that this version reads but does not act on yet, with a
    /// warning for each. Without this they are faults.
    #[arg(long)]
    pub(super) preview: bool,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The configuration; the paths in it are relative to its folder.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: PathBuf,
    /// Whose phone system dials.
    #[arg(long, value_name = "T")]
    pub(super) tenant: String,
    /// The number that the phone system says is calling; without this, the
    /// tenant's default.
    #[arg(long, value_name = "N")]
    pub(super) caller: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(super) json: bool,
    /// What is dialled.
    #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
    pub(super) number: String,
}

impl Exposure {
    /// What is not acted on yet bounds nothing, and is accepted.
    pub(super) fn configuration(&self) -> Configuration {
        Configuration {
            config: self.config.clone(),
            preview: true,
        }
    }
}

impl Explain {
    /// What is not acted on yet changes no verdict, and is accepted.
    pub(super) fn configuration(&self) -> Configuration {
        Configuration {
            config: self.config.clone(),
            preview: true,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Exposure {
    /// The configuration; the paths in it are relative to its folder.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: PathBuf,
    /// Fail if a tenant can lose more than this in a day: "JPY 100000".
    #[arg(long, value_name = "AMOUNT", value_parser = Amount::parse)]
    pub(super) max: Option<Amount>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose calls, and which.
#[derive(Debug, Args)]
pub(super) struct Kind {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Whose calls.
    #[arg(value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// Every tenant's calls; behind a TENANT, all of that tenant's.
    #[arg(long)]
    pub(super) all: bool,
    /// Only calls that go abroad, to numbers of no country, or to codes that set up
    /// forwarding.
    #[arg(long)]
    pub(super) international: bool,
    /// Why: for the journal and for who comes after you.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) why: String,
}

#[derive(Debug, Args)]
pub(super) struct Block {
    #[command(flatten)]
    pub(super) kind: Kind,
    /// Hang up such calls that are up.
    #[arg(long)]
    pub(super) hang_up: bool,
    /// For how long: 2h, 30m, 1h30m. Without this, until it is lifted.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) lasts: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Unblock {
    #[command(flatten)]
    pub(super) kind: Kind,
}

#[derive(Debug, Subcommand)]
pub(super) enum Alert {
    /// Send a trial to every place that alerts go to.
    #[command(after_help = "\
Example:
  tollgate alert test -c tollgate.toml

It says of each place whether the trial was taken; exit code 1 if one was not. No
Tollgate has to run. Secrets are read as this user, and from this environment.
Whether the alerts of one that runs are taken: tollgate status.")]
    Test(Configuration),
}

#[derive(Debug, Args)]
pub(super) struct Reload {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Reset {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Whose counters.
    #[arg(long, value_name = "T")]
    pub(super) tenant: String,
    /// Why, for the ledger.
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
}

/// An address, or that of a network.
fn address(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    text.split('/').next().unwrap_or(text).parse()
}

#[derive(Debug, Args)]
pub(super) struct Bans {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Lift the ban of this address, as it is listed.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) lift: Option<IpAddr>,
    /// Lift all bans.
    #[arg(long, conflicts_with = "lift")]
    pub(super) all: bool,
    /// Why, for the ledger.
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Clock {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The clock is right: days and months go by it from now on.
    #[arg(long)]
    pub(super) confirm: bool,
    /// Why, for the ledger.
    #[arg(long, value_name = "TEXT", requires = "confirm")]
    pub(super) why: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// The form of the log on standard error. TOLLGATE_LOG sets its level:
    /// error, warn, info (as it is without), debug or trace.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) log: Log,
    /// Take over from the Tollgate that runs with this configuration, if one does:
    /// it ends without hanging up, its calls go on here, and what arrives meanwhile
    /// waits. If the rules are broken, it goes on and this one does not start.
    #[arg(long)]
    pub(super) take_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Log {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_commands_agree_with_themselves() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_written_below_options_fits_a_terminal() {
        fn look(command: &clap::Command) {
            let text = command.get_after_help().map(ToString::to_string);
            for line in text.unwrap_or_default().lines() {
                let name = command.get_name();
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn times_have_the_same_names_everywhere() {
        for words in ["ledger report --tenant t", "ledger export", "calls"] {
            for (from, to) in [("--from", "--to"), ("--since", "--until")] {
                let more = ["-c", "f", from, "2026-07-01", to, "2026-07-02"];
                let words = words.split(' ').chain(more);
                let read = Cli::try_parse_from(["tollgate"].into_iter().chain(words));
                assert!(read.is_ok(), "{read:?}");
            }
        }
    }
}
