//! What can be said of the evidence: `calls` and `ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use crate::base::time::Wall;
use crate::record::Decision;

#[derive(Debug, Subcommand)]
pub(in crate::app) enum Ledger {
    /// Print the ledger as lines of JSON or as CSV, oldest first.
    #[command(after_help = "\
Examples:
  tollgate ledger export -c tollgate.toml --tenant acme --since 2026-07-01
  tollgate ledger export --dir copy-of-ledger --verdict refuse --csv > refused.csv

It only reads: a ledger that is being written, or a copy of one, will do. Each
line names its kind in \"record\"; a call's lines share \"shard\" and \"call\".
Damage gets a line of its own; a last record that a crash cut short gets one, too,
but is no fault. src/ledger/FORMAT.md says what all fields are.

Exit codes: 0; 1 a damaged place or a missing segment (what can be read is
printed all the same), or a fault.")]
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
end was cut off. Records that were signed only long after they were written, more
than a crash leaves, are told of by themselves: who removes checkpoints leaves
them, or a disk that was full for hours before a kill. A copy of the folder and of
public.key will do; sign.key is no part of what should be handed on. Of a ledger
that is being written, copy the folder `checkpoints` first and the rest after it:
the other way round, the end of the journal is missing that its last checkpoint has
signed.

Exit codes: 0 all is as it was signed, whatever is remarked (a last record that a
crash cut short, records that the run after a kill signed, a gap in time among
them) or counted (records that are not signed yet); 1 it is not, or records were
signed long after they were written, or a fault.")]
    Verify(Verify),
    /// Write the report of an incident: one page of HTML, for the owner, the carrier
    /// and the police.
    #[command(after_help = "\
Examples:
  tollgate ledger report -c tollgate.toml --tenant acme --from 2026-07-01 > report.html
  tollgate ledger report --dir copy-of-ledger --tenant acme --from 2026-07-01 \\
      --to 2026-07-05 --language ja --zone Asia/Tokyo > report.html

It tells what was stopped and what passed, when, where to, from where and what it
cost, and shows the first and the last record with their hashes and how to verify
them. The page needs nothing but a browser. With -c it also says about what the
calls that were stopped would have cost, by the tariff of now.

--indicators csv or stix prints what may be shared within the industry: numbers
stopped three times or more and never let through, the ranges of two such numbers,
and the programs that asked for them. Addresses are those of the tenant's own phone
system, and are left out.

Exit codes: 0; 1 the journal is not as it was signed, as the page then says itself,
or a fault. With --indicators: 1 damage within what was read, or a fault.")]
    Report(Report),
}

#[derive(Debug, Args)]
pub(in crate::app) struct Report {
    #[command(flatten)]
    pub(in crate::app) place: Place,
    /// Whose calls.
    #[arg(long, value_name = "T")]
    pub(in crate::app) tenant: String,
    /// From this time on: 2026-07-01 (midnight in --zone) or 2026-07-01T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment, visible_alias = "since")]
    pub(in crate::app) from: Moment,
    /// Until before this time; without this, until now.
    #[arg(long, value_name = "TIME", value_parser = moment, visible_alias = "until")]
    pub(in crate::app) to: Option<Moment>,
    /// The language of the page.
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(in crate::app) language: Language,
    /// The time zone that times are shown in, and that days are those of: Asia/Tokyo.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(in crate::app) zone: String,
    /// Instead of the page, what others can look for: numbers, ranges and programs of
    /// calls that were only ever stopped, and nothing of the tenant's own.
    #[arg(long, value_name = "FORM")]
    pub(in crate::app) indicators: Option<Indicators>,
}

/// The form of what others can look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Indicators {
    /// Values separated by commas (RFC 4180).
    Csv,
    /// A bundle of STIX 2.1.
    Stix,
}

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Verify {
    /// The ledger's folder, or a copy of it.
    #[arg(
        value_name = "DIR",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    pub(in crate::app) dir: Option<PathBuf>,
    /// The configuration that names the ledger.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(in crate::app) config: Option<PathBuf>,
    /// The ledger's public key; public.key in its folder, unless it is given.
    #[arg(long, value_name = "PUB")]
    pub(in crate::app) key: Option<PathBuf>,
    /// A file with checkpoints that must be in the ledger.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(in crate::app) expect: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Export {
    #[command(flatten)]
    pub(in crate::app) place: Place,
    #[command(flatten)]
    pub(in crate::app) which: Which,
    /// The form of the output.
    #[arg(long, value_name = "FORM", default_value = "lines")]
    pub(in crate::app) json: Json,
    /// A table instead, with a heading: values separated by commas (RFC 4180).
    #[arg(long, conflicts_with = "json")]
    pub(in crate::app) csv: bool,
}

/// Which calls are wanted.
#[derive(Debug, Args)]
pub(in crate::app) struct Which {
    /// Only this tenant's calls.
    #[arg(long, value_name = "T")]
    pub(in crate::app) tenant: Option<String>,
    /// Only from this time on: 2026-07-01, 2026-07-01T09:00:00Z or
    /// 2026-07-01T18:00:00+09:00. A bare date begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = time, visible_alias = "from")]
    pub(in crate::app) since: Option<Wall>,
    /// Only before this time.
    #[arg(long, value_name = "TIME", value_parser = time, visible_alias = "to")]
    pub(in crate::app) until: Option<Wall>,
    /// Only calls judged like this.
    #[arg(long, value_name = "VERDICT")]
    pub(in crate::app) verdict: Option<Verdict>,
    /// Only calls to numbers that begin so: +232.
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::app) number: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Verdict {
    /// Let through.
    Allow,
    /// Let through, though it would have been refused.
    Observe,
    /// Refused.
    Refuse,
    /// Let through as an emergency.
    Emergency,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::Observe => Self::Observe,
            Verdict::Refuse => Self::Refuse,
            Verdict::Emergency => Self::Emergency,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::app) struct Calls {
    #[command(flatten)]
    pub(in crate::app) place: Place,
    #[command(flatten)]
    pub(in crate::app) which: Which,
    /// The latest so many; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(in crate::app) limit: usize,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub(in crate::app) json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::app) struct Place {
    /// The configuration that names the ledger.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(in crate::app) config: Option<PathBuf>,
    /// The ledger's folder itself.
    #[arg(long, value_name = "DIR")]
    pub(in crate::app) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Json {
    /// One JSON object a line.
    Lines,
}

/// A point in time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Moment {
    /// With its distance from UTC.
    At(Wall),
    /// A day, wherever it is one.
    Day(jiff::civil::Date),
}

impl Moment {
    /// The point in time; of a day its beginning there. None beyond any calendar.
    pub(in crate::app) fn within(self, zone: &TimeZone) -> Option<Wall> {
        match self {
            Self::At(wall) => Some(wall),
            Self::Day(date) => {
                let begin = date.to_zoned(zone.clone()).ok()?;
                Some(Wall::from_micros(begin.timestamp().as_microsecond()))
            }
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment::At(Wall::from_micros(stamp.as_microsecond())));
    }
    let date = text.parse().ok();
    let date = date.filter(|_| !text.contains(['T', 't', ' ', ':']));
    let date = date.ok_or_else(|| "write it like 2026-07-01 or 2026-07-01T09:00:00Z".to_owned());
    date.map(Moment::Day)
}

fn time(text: &str) -> Result<Wall, String> {
    let within = moment(text)?.within(&TimeZone::UTC);
    within.ok_or_else(|| "no calendar has that day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone() {
        let micros = |text| time(text).map(Wall::as_micros);
        assert_eq!(micros("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(micros("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert_eq!(micros("1970-01-01T09:00:01+09:00"), Ok(1_000_000));
        let tokyo = jiff::tz::TimeZoneDatabase::bundled().get("Asia/Tokyo");
        let tokyo = tokyo.unwrap();
        let there = |text| moment(text).unwrap().within(&tokyo).map(Wall::as_micros);
        assert_eq!(there("1970-01-01"), Some(-9 * 3_600_000_000));
        assert_eq!(there("1970-01-01T00:00:01Z"), Some(1_000_000));
        for text in ["yesterday", "1970-01-01T09:00:00", "1970-13-01", ""] {
            assert!(micros(text).is_err(), "{text}");
        }
    }
}
