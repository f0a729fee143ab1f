//! Writes a ledger out as lines of JSON.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::base::time::Wall;
use crate::record::frame::Damage;
use crate::record::{CallRef, Decision, Record};

use super::{Entry, Fault, Reader};

/// What is wanted of a ledger.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only calls of this tenant.
    pub tenant: Option<String>,
    /// Only from this time on.
    pub since: Option<Wall>,
}

/// What an export came across.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Summary {
    /// Records written out.
    pub records: u64,
    /// Ends of segments that were cut short: what a crash leaves.
    pub torn: u64,
    /// Places where records were changed or are missing, or are of a later
    /// version.
    pub damaged: u64,
}

/// Why an export stopped.
#[derive(Debug)]
pub enum ExportError {
    /// The ledger cannot be read.
    Ledger(Fault),
    /// The output cannot be written.
    Output(io::Error),
}

/// Writes one line for each record that the filter lets through, and one for
/// each damage.
///
/// # Errors
/// [`ExportError`]; what was written until then is whole lines.
pub fn export(
    reader: &mut Reader,
    filter: &Filter,
    to: &mut impl Write,
) -> Result<Summary, ExportError> {
    let mut summary = Summary::default();
    let mut calls = Calls::default();
    while let Some(entry) = reader.next().map_err(ExportError::Ledger)? {
        match &entry.content {
            Ok(record) => {
                let wanted = filter.tenant.as_deref().is_none_or(|tenant| {
                    // Asked first: it keeps the list of the tenant's calls.
                    calls.are_of(tenant, entry.shard, record)
                }) && filter.since.is_none_or(|since| entry.wall >= since);
                if !wanted {
                    continue;
                }
                summary.records += 1;
                writeln!(to, "{}", line(&entry, record)).map_err(ExportError::Output)?;
            }
            Err(damage) => {
                match damage {
                    Damage::Torn => summary.torn += 1,
                    Damage::Corrupt { .. } | Damage::Unknown { .. } => summary.damaged += 1,
                }
                writeln!(to, "{}", damage_line(&entry, damage)).map_err(ExportError::Output)?;
            }
        }
    }
    Ok(summary)
}

/// `{"shard":0,"record":"verdict","call":…}`, fields in the record's own order.
fn line(entry: &Entry<'_>, record: &Record<'_>) -> String {
    // Serde writes `{"kind":{fields}}`; kinds are plain words.
    let text = serde_json::to_string(record).unwrap_or_default();
    let fields = text
        .strip_prefix("{\"")
        .and_then(|text| text.split_once("\":{"))
        .and_then(|(kind, fields)| Some((kind, fields.strip_suffix("}}")?)));
    let shard = entry.shard;
    match (fields, record) {
        // This one names its shard itself.
        (Some((kind, fields)), Record::Started { .. }) => {
            format!(r#"{{"record":"{kind}",{fields}}}"#)
        }
        (Some((kind, fields)), _) => {
            format!(r#"{{"shard":{shard},"record":"{kind}",{fields}}}"#)
        }
        (None, _) => format!(r#"{{"shard":{shard},"record":"unprintable"}}"#),
    }
}

fn damage_line(entry: &Entry<'_>, damage: &Damage) -> String {
    serde_json::json!({
        "shard": entry.shard,
        "record": "damage",
        "segment": entry.segment.to_string_lossy(),
        "offset": entry.offset,
        "detail": damage.to_string(),
    })
    .to_string()
}

/// Which calls are the tenant's: only the verdict names it.
#[derive(Debug, Default)]
struct Calls {
    live: HashSet<(u16, CallRef)>,
    /// The last refused one: its INVITE follows.
    refused: Option<(u16, CallRef)>,
}

impl Calls {
    fn are_of(&mut self, tenant: &str, shard: u16, record: &Record<'_>) -> bool {
        if let Record::Refusals { tenant: whose, .. } = record {
            return *whose == tenant;
        }
        let Some(call) = record.call() else {
            return false;
        };
        match record {
            Record::Verdict {
                tenant: whose,
                decision,
                ..
            } => {
                let ours = *whose == tenant;
                if ours && *decision != Decision::Refuse {
                    self.live.insert((shard, call));
                }
                self.refused = (ours && *decision == Decision::Refuse).then_some((shard, call));
                ours
            }
            Record::Booked { tenant: whose, .. } => *whose == tenant,
            Record::Ended { .. } => self.live.remove(&(shard, call)),
            _ => self.refused == Some((shard, call)) || self.live.contains(&(shard, call)),
        }
    }
}
