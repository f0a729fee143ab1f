//! The command line: what can be said, and the help that teaches it.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::time::Wall;
use crate::policy::Amount;

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
    /// Have a Tollgate that runs read its rules again.
    #[command(after_help = "\
Example:
  tollgate reload -c tollgate.toml

What SIGHUP does, but it waits until the new rules are in force in every shard.
If they are broken, each fault is shown, the old ones stay in force, and the exit
code is 1.")]
    Reload(Reload),
    /// Validate the configuration and every file it draws in.
    #[command(after_help = "\
Example:
  tollgate check -c tollgate.toml

Every fault is shown with its file, line and a caret, not only the first; exit
code 1 if there is one. Warnings are no faults: rules that never decide, what is
allowed without a price, a tenant without a budget. If all is well, the summary ends with the hash of the
rules, by which the ledger names them. Next: tollgate run -c FILE, or, if it is
running, SIGHUP.")]
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
    /// Read the ledger: the evidence of every call.
    #[command(subcommand, arg_required_else_help = true)]
    Ledger(Ledger),
}

#[derive(Debug, Args)]
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

#[derive(Debug, Args)]
pub(super) struct Reload {
    /// The configuration that it runs with.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// The form of the log on standard error. TOLLGATE_LOG sets its level:
    /// error, warn, info (as it is without), debug or trace.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) log: Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Log {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Print the ledger as lines of JSON, oldest first.
    #[command(after_help = "\
Examples:
  tollgate ledger export -c tollgate.toml --tenant acme --since 2026-07-01
  tollgate ledger export --dir copy-of-ledger | jq 'select(.decision==\"refuse\")'

It only reads: a ledger that is being written, or a copy of one, will do. Each
line names its kind in \"record\"; a call's lines share \"shard\" and \"call\".
Damage gets a line of its own, and exit code 1; a last record that a crash cut
short gets a line, too, but is no fault.")]
    Export(Export),
    /// Say whether the ledger is as it was written, and where it is not.
    #[command(after_help = "\
Examples:
  tollgate ledger verify -c tollgate.toml
  tollgate ledger verify copy-of-ledger --key public.key --expect checkpoint.txt

Every ten seconds in which something happened, Tollgate signs how far the journal
has come. Whatever was changed, cut off, moved, removed or repeated before the
last of these checkpoints is found, with its place. What came after it is only
counted: a checkpoint kept elsewhere, and given with --expect, shows whether the
end was cut off. A copy of the folder and of public.key will do; sign.key is no
part of what should be handed on.

Exit codes: 0 all is as it was signed; 1 it is not, or a fault.")]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The ledger's folder, or a copy of it.
    #[arg(
        value_name = "DIR",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    pub(super) dir: Option<PathBuf>,
    /// The configuration that names the ledger.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The ledger's public key; public.key in its folder, unless it is given.
    #[arg(long, value_name = "PUB")]
    pub(super) key: Option<PathBuf>,
    /// A file with checkpoints that must be in the ledger.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(super) expect: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    pub(super) place: Place,
    /// Only this tenant's calls.
    #[arg(long, value_name = "T")]
    pub(super) tenant: Option<String>,
    /// Only from this time on: 2026-07-01, 2026-07-01T09:00:00Z or
    /// 2026-07-01T18:00:00+09:00. A bare date begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) since: Option<Wall>,
    /// The form of the output.
    #[arg(long, value_name = "FORM", default_value = "lines")]
    pub(super) json: Json,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Place {
    /// The configuration that names the ledger.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The ledger's folder itself.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Json {
    /// One JSON object a line.
    Lines,
}

fn time(text: &str) -> Result<Wall, String> {
    let stamp = match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => Some(stamp),
        Err(_) => text
            .parse::<jiff::civil::Date>()
            .ok()
            .filter(|_| !text.contains(['T', 't', ' ', ':']))
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|zoned| zoned.timestamp()),
    };
    stamp
        .map(|stamp| Wall::from_micros(stamp.as_microsecond()))
        .ok_or_else(|| "write it like 2026-07-01 or 2026-07-01T09:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_agree_with_themselves() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read_with_their_zone() {
        let micros = |text| time(text).map(Wall::as_micros);
        assert_eq!(micros("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(micros("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert_eq!(micros("1970-01-01T09:00:01+09:00"), Ok(1_000_000));
        for text in ["yesterday", "1970-01-01T09:00:00", "1970-13-01", ""] {
            assert!(micros(text).is_err(), "{text}");
        }
    }
}
