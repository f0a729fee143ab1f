//! Writes a ledger out, as lines of JSON or as a table.

mod table;

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};

use crate::base::limits::EXPORT_TENANTS;
use crate::base::time::Wall;
use crate::record::frame::Damage;
use crate::record::{CallRef, Decision, Record};

use super::{Entry, Fault, Reader};

/// What is wanted of a ledger: what all of it is true of.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only calls of this tenant.
    pub tenant: Option<String>,
    /// Only from this time on.
    pub since: Option<Wall>,
    /// Only before this time.
    pub until: Option<Wall>,
    /// Only calls judged like this.
    pub decision: Option<Decision>,
    /// Only calls to numbers that begin with this.
    pub number: Option<String>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Lines,
    /// Values separated by commas (RFC 4180), the same columns in each row.
    Csv,
}

/// What an export came across.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Summary {
    /// Records written out.
    pub records: u64,
    /// Ends of segments that were cut short: what a crash leaves.
    pub torn: u64,
    /// Places where records were changed or are missing, or are of a later
    /// version.
    pub damaged: u64,
    /// Whose calls there are, wanted or not; [`EXPORT_TENANTS`] at the most.
    pub tenants: BTreeSet<String>,
}

impl Summary {
    fn note(&mut self, record: &Record<'_>) {
        if let Record::Verdict { tenant, .. } | Record::Refusals { tenant, .. } = *record
            && self.tenants.len() < EXPORT_TENANTS
            && !tenant.is_empty()
            && !self.tenants.contains(tenant)
        {
            self.tenants.insert(tenant.to_owned());
        }
    }
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
    form: Form,
    to: &mut impl Write,
) -> Result<Summary, ExportError> {
    let mut summary = Summary::default();
    let mut calls = Calls::default();
    if form == Form::Csv {
        writeln!(to, "{}", table::heading()).map_err(ExportError::Output)?;
    }
    while let Some(entry) = reader.next().map_err(ExportError::Ledger)? {
        let text = match &entry.content {
            Ok(record) => {
                summary.note(record);
                // Asked first: it keeps the list of the calls that are wanted.
                let wanted = calls.are_wanted(filter, entry.shard, record)
                    && filter.since.is_none_or(|since| entry.wall >= since)
                    && filter.until.is_none_or(|until| entry.wall < until);
                if !wanted {
                    continue;
                }
                summary.records += 1;
                line(&entry, record)
            }
            Err(damage) => {
                match damage {
                    Damage::Torn => summary.torn += 1,
                    Damage::Corrupt { .. } | Damage::Unknown { .. } => summary.damaged += 1,
                }
                damage_line(&entry, damage)
            }
        };
        let text = match form {
            Form::Lines => text,
            Form::Csv => table::row(&text),
        };
        writeln!(to, "{text}").map_err(ExportError::Output)?;
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

/// Which calls are wanted: only the verdict says whose they are, and where to.
#[derive(Debug, Default)]
struct Calls {
    live: HashSet<(u16, CallRef)>,
    /// The last refused one that is wanted: its INVITE follows.
    refused: Option<(u16, CallRef)>,
}

impl Calls {
    fn are_wanted(&mut self, filter: &Filter, shard: u16, record: &Record<'_>) -> bool {
        if filter.tenant.is_none() && filter.decision.is_none() && filter.number.is_none() {
            return true;
        }
        let is_of = |whose: &str, decision: Decision, number: &str| {
            filter.tenant.as_deref().is_none_or(|it| it == whose)
                && filter.decision.is_none_or(|it| it == decision)
                && filter
                    .number
                    .as_deref()
                    .is_none_or(|it| number.starts_with(it))
        };
        let call = record.call().map(|call| (shard, call));
        match (record, call) {
            (
                Record::Verdict {
                    tenant,
                    decision,
                    number,
                    ..
                },
                Some(call),
            ) => {
                let wanted = is_of(tenant, *decision, number);
                let refused = *decision == Decision::Refuse;
                if wanted && !refused {
                    self.live.insert(call);
                }
                self.refused = (wanted && refused).then_some(call);
                wanted
            }
            (Record::Ordered { tenant, .. }, _) => {
                filter.decision.is_none()
                    && filter.number.is_none()
                    && (tenant.is_empty() || is_of(tenant, Decision::Allow, ""))
            }
            (Record::Bound(bound), _) => {
                filter.decision.is_none()
                    && filter.number.is_none()
                    && is_of(bound.tenant, Decision::Allow, "")
            }
            (Record::Refusals { tenant, number, .. }, _) => is_of(tenant, Decision::Refuse, number),
            // Its call's end came before, and with that the call was forgotten.
            (Record::Booked { tenant, .. }, _)
                if filter.decision.is_none() && filter.number.is_none() =>
            {
                filter.tenant.as_deref().is_none_or(|it| it == *tenant)
            }
            (Record::Ended { .. }, Some(call)) => self.live.remove(&call),
            (_, Some(call)) => self.refused == Some(call) || self.live.contains(&call),
            (_, None) => false,
        }
    }
}
