//! What is asked of the index.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row, ToSql};

use crate::base::time::Wall;
use crate::record::Decision;

use super::super::Fault;
use super::day::{decision_word, wall};
use super::{FOLDER, day_of, file_of};

/// Which calls are wanted: those that all of it is true of.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// This tenant's.
    pub tenant: Option<String>,
    /// Judged at this time or later.
    pub since: Option<Wall>,
    /// Judged before this time.
    pub until: Option<Wall>,
    /// Judged like this.
    pub decision: Option<Decision>,
    /// To a number that begins with this.
    pub number: Option<String>,
    /// The latest so many; none for all.
    pub most: Option<usize>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose journal it is in.
    pub shard: u16,
    /// Its number there.
    pub call: u64,
    /// When it was judged.
    pub wall: Wall,
    /// Whose it is; empty if it is nobody's.
    pub tenant: String,
    /// "outbound" or "inbound".
    pub direction: String,
    /// Where its INVITE came from.
    pub source: String,
    /// Who calls.
    pub caller: String,
    /// The Request-URI as it came.
    pub received_uri: String,
    /// The number judged; empty if it has none.
    pub number: String,
    /// "allow", "observe", "refuse" or "emergency".
    pub decision: String,
    /// Why it was refused, or would have been.
    pub reason: String,
    /// The file of the rule that decided; empty if none did.
    pub rule_file: String,
    /// The rule's line in it, from 1; 0 if none did.
    pub rule_line: u32,
    /// What was counted, in the reason's unit.
    pub value: u64,
    /// The limit that it met.
    pub threshold: u64,
    /// The carrier.
    pub carrier: String,
    /// When it was answered.
    pub answered_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
    /// From answer to end in milliseconds.
    pub duration_ms: Option<u64>,
    /// Who ended it: "caller", "callee" or "tollgate".
    pub by: Option<String>,
    /// Why it ended.
    pub cause: Option<String>,
    /// The final status of its set-up.
    pub status: Option<u16>,
    /// What it has cost at the most, in millionths of the currency.
    pub cost: Option<u64>,
    /// The currency (ISO 4217).
    pub currency: Option<String>,
}

/// Refused calls that have no row of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summed {
    /// Whose they were.
    pub tenant: String,
    /// Why they were refused.
    pub reason: String,
    /// How many there were.
    pub count: u64,
    /// When the first was.
    pub first: Wall,
    /// When the last was.
    pub last: Wall,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// The calls, the latest first.
    pub calls: Vec<Call>,
    /// There are more, which [`Wanted::most`] left out.
    pub more: bool,
    /// Refusals beside them, which were too many to be told one by one.
    pub beside: Vec<Summed>,
}

/// Looks calls up in the index of the ledger in `directory`.
///
/// # Errors
/// [`Fault`]: there is no index, or a day of it cannot be read.
pub fn calls(directory: &Path, wanted: &Wanted) -> Result<Calls, Fault> {
    let mut found = Calls::default();
    for path in days(directory, wanted)? {
        let fault = |source| Fault::Index {
            path: path.clone(),
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = Connection::open_with_flags(&path, flags).map_err(fault)?;
        look(&sqlite, wanted, &mut found).map_err(fault)?;
        if found.more {
            break;
        }
    }
    Ok(found)
}

/// The files of the days in question, the latest first.
fn days(directory: &Path, wanted: &Wanted) -> Result<Vec<PathBuf>, Fault> {
    let folder = directory.join(FOLDER);
    let name = |wall| {
        let file = file_of(directory, day_of(wall));
        file.file_name().map(|name| name.to_owned())
    };
    let (from, to) = (wanted.since.and_then(name), wanted.until.and_then(name));
    let mut days = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(Fault::io("read", &folder))? {
        let path = entry.map_err(Fault::io("read", &folder))?.path();
        let Some(name) = path
            .file_name()
            .filter(|_| path.extension().is_some_and(|it| it == "sqlite"))
        else {
            continue;
        };
        let early = from.as_deref().is_some_and(|from| name < from);
        let late = to.as_deref().is_some_and(|to| name > to);
        if !(early || late) {
            days.push(path);
        }
    }
    days.sort_unstable();
    days.reverse();
    Ok(days)
}

fn look(sqlite: &Connection, wanted: &Wanted, found: &mut Calls) -> rusqlite::Result<()> {
    let mut terms = vec!["1"];
    let mut values: Vec<&dyn ToSql> = Vec::new();
    let [since, until] = [wanted.since, wanted.until].map(|it| it.map(Wall::as_micros));
    if let Some(tenant) = &wanted.tenant {
        terms.push("tenant = ?");
        values.push(tenant);
    }
    if let Some(since) = &since {
        terms.push("wall >= ?");
        values.push(since);
    }
    if let Some(until) = &until {
        terms.push("wall < ?");
        values.push(until);
    }
    let refusals = (terms.join(" AND "), values.clone());
    let decision = wanted.decision.map(decision_word);
    if let Some(decision) = &decision {
        terms.push("decision = ?");
        values.push(decision);
    }
    let length = wanted
        .number
        .as_ref()
        .map(|it| it.chars().count().to_string());
    if let (Some(number), Some(length)) = (&wanted.number, &length) {
        terms.push("substr(number, 1, CAST(? AS INTEGER)) = ?");
        values.push(length);
        values.push(number);
    }
    let left = wanted
        .most
        .map(|most| most.saturating_sub(found.calls.len()));
    // One more than wanted tells whether there are more.
    let limit = left.and_then(|left| i64::try_from(left).ok()?.checked_add(1));
    let limit = limit.unwrap_or(-1);
    values.push(&limit);
    let text = format!(
        "SELECT * FROM calls WHERE {} ORDER BY wall DESC LIMIT ?",
        terms.join(" AND ")
    );
    let mut select = sqlite.prepare(&text)?;
    let mut rows = select.query(&values[..])?;
    while let Some(row) = rows.next()? {
        if wanted.most.is_some_and(|most| found.calls.len() >= most) {
            found.more = true;
            return Ok(());
        }
        found.calls.push(call(row)?);
    }
    let refusals_wanted = wanted.decision.is_none_or(|it| it == Decision::Refuse);
    if !refusals_wanted || wanted.number.is_some() {
        return Ok(());
    }
    look_beside(sqlite, &refusals.0, &refusals.1, found)
}

/// Adds the refusals that have no row of their own.
fn look_beside(
    sqlite: &Connection,
    terms: &str,
    values: &[&dyn ToSql],
    found: &mut Calls,
) -> rusqlite::Result<()> {
    let text = format!(
        "SELECT tenant, reason, sum(count), min(first), max(last) FROM refusals WHERE {terms} \
         GROUP BY tenant, reason ORDER BY tenant, reason"
    );
    let mut select = sqlite.prepare(&text)?;
    let mut rows = select.query(values)?;
    while let Some(row) = rows.next()? {
        found.beside.push(Summed {
            tenant: row.get(0)?,
            reason: row.get(1)?,
            count: unsigned(row.get(2)?),
            first: Wall::from_micros(row.get(3)?),
            last: Wall::from_micros(row.get(4)?),
        });
    }
    Ok(())
}

fn call(row: &Row<'_>) -> rusqlite::Result<Call> {
    Ok(Call {
        shard: row.get("shard")?,
        call: unsigned(row.get("call")?),
        wall: Wall::from_micros(row.get("wall")?),
        tenant: row.get("tenant")?,
        direction: row.get("direction")?,
        source: row.get("source")?,
        caller: row.get("caller")?,
        received_uri: row.get("received_uri")?,
        number: row.get("number")?,
        decision: row.get("decision")?,
        reason: row.get("reason")?,
        rule_file: row.get("rule_file")?,
        rule_line: row.get("rule_line")?,
        value: unsigned(row.get("value")?),
        threshold: unsigned(row.get("threshold")?),
        carrier: row.get("carrier")?,
        answered_at: wall(row.get("answered_at")?),
        ended_at: wall(row.get("ended_at")?),
        duration_ms: row.get::<_, Option<i64>>("duration_ms")?.map(unsigned),
        by: row.get("by")?,
        cause: row.get("cause")?,
        status: row.get("status")?,
        cost: row.get::<_, Option<i64>>("cost")?.map(unsigned),
        currency: row.get("currency")?,
    })
}

/// As it was before SQLite took it.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
