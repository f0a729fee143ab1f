//! One day's file.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::base::time::Wall;
use crate::record::{Decision, Direction, Party, Record};

use super::super::Place;
use super::super::folder::private;

/// A row for each call. A column has the name of the record's field that it holds; what
/// became of the call later has one of its own. It lies by tenant and time, since that is how it is asked
/// for; a call that was let in is found by its number when it ends.
const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS calls (
    tenant      TEXT NOT NULL,
    wall        INTEGER NOT NULL,  -- microseconds since 1970, UTC; so are all times
    shard       INTEGER NOT NULL,
    call        INTEGER NOT NULL,  -- in that shard's journal
    direction   TEXT NOT NULL,     -- outbound, inbound
    source      TEXT NOT NULL,
    caller      TEXT NOT NULL,
    received_uri TEXT NOT NULL,    -- the Request-URI as it came
    number      TEXT NOT NULL,     -- the number judged; empty if it has none
    decision    TEXT NOT NULL,     -- allow, observe, refuse, emergency
    reason      TEXT NOT NULL,
    rule_file   TEXT NOT NULL,
    rule_line   INTEGER NOT NULL,
    value       INTEGER NOT NULL,
    threshold   INTEGER NOT NULL,
    carrier     TEXT NOT NULL,
    answered_at INTEGER,
    ended_at    INTEGER,
    duration_ms INTEGER,
    by          TEXT,              -- caller, callee, tollgate
    cause       TEXT,
    status      INTEGER,
    cost        INTEGER,           -- millionths of the currency
    currency    TEXT,
    PRIMARY KEY (tenant, wall, shard, call)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS let_in ON calls (shard, call) WHERE decision <> 'refuse';
CREATE TABLE IF NOT EXISTS refusals (
    shard     INTEGER NOT NULL,
    segment   INTEGER NOT NULL,
    byte      INTEGER NOT NULL,
    wall      INTEGER NOT NULL,
    tenant    TEXT NOT NULL,
    direction TEXT NOT NULL,
    reason    TEXT NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    count     INTEGER NOT NULL,    -- refused calls that have no row of their own
    source    TEXT NOT NULL,       -- of the last one
    number    TEXT NOT NULL,
    PRIMARY KEY (shard, segment, byte)
) WITHOUT ROWID;
";

pub(super) struct Day {
    path: PathBuf,
    /// Tells whether the file at that path is still this one.
    inode: Option<u64>,
    sqlite: Connection,
    /// A transaction is open.
    changed: bool,
}

/// Which row is a call's. The last condition is that of `let_in`, word for word, or else
/// the whole table would be searched.
const OF_CALL: &str = "WHERE shard = ?1 AND call = ?2 AND decision <> 'refuse'";

impl Day {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        // Nobody else's business, like the journal: SQLite gives the files beside it this
        // one's mode. Where it cannot be made, SQLite says why. It is closed again before
        // SQLite locks it: a process that closes a file loses all its locks on it, and then
        // the next who reads the index takes itself for the last one, and clears up.
        drop(private().open(path));
        for beside in ["", "-wal", "-shm"] {
            // Of an earlier version; or there is none.
            let older = format!("{}{beside}", path.display());
            let _private = fs::set_permissions(older, Permissions::from_mode(0o600));
        }
        let sqlite = Connection::open(path)?;
        sqlite.execute_batch(SCHEMA)?;
        sqlite.set_prepared_statement_cache_capacity(16);
        Ok(Self {
            path: path.to_path_buf(),
            inode: inode(path),
            sqlite,
            changed: false,
        })
    }

    pub(super) fn is_there(&self) -> bool {
        self.inode.is_some() && inode(&self.path) == self.inode
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        if !self.changed {
            self.sqlite.execute_batch("BEGIN")?;
            self.changed = true;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.changed) {
            self.sqlite.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// A call was judged.
    pub(super) fn verdict(&mut self, shard: u16, record: &Record<'_>) -> rusqlite::Result<()> {
        let Record::Verdict {
            call,
            wall,
            tenant,
            source,
            direction,
            caller,
            received_uri,
            number,
            decision,
            reason,
            rule_file,
            rule_line,
            value,
            threshold,
            carrier,
            ..
        } = record
        else {
            return Ok(());
        };
        self.begin()?;
        let mut insert = self.sqlite.prepare_cached(
            "INSERT OR REPLACE INTO calls (tenant, wall, shard, call, direction, source, caller, \
             received_uri, number, decision, reason, rule_file, rule_line, value, threshold, \
             carrier) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![
            tenant,
            wall.as_micros(),
            shard,
            number_of(call.0),
            direction_word(*direction),
            source.to_string(),
            String::from_utf8_lossy(caller),
            String::from_utf8_lossy(received_uri),
            number,
            decision_word(*decision),
            reason,
            rule_file,
            rule_line,
            number_of(*value),
            number_of(*threshold),
            carrier,
        ])?;
        Ok(())
    }

    /// Calls were refused that have no row.
    pub(super) fn refusals(
        &mut self,
        shard: u16,
        place: Place,
        record: &Record<'_>,
    ) -> rusqlite::Result<()> {
        let Record::Refusals {
            wall,
            tenant,
            direction,
            reason,
            first,
            last,
            count,
            source,
            number,
        } = record
        else {
            return Ok(());
        };
        self.begin()?;
        let mut insert = self.sqlite.prepare_cached(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![
            shard,
            number_of(place.segment),
            number_of(place.offset),
            wall.as_micros(),
            tenant,
            direction_word(*direction),
            reason,
            first.as_micros(),
            last.as_micros(),
            number_of(*count),
            source.to_string(),
            number,
        ])?;
        Ok(())
    }

    /// Something became of a call. Whether it is one of this day.
    pub(super) fn later(&mut self, shard: u16, record: &Record<'_>) -> rusqlite::Result<bool> {
        self.begin()?;
        let Some(call) = record.call() else {
            return Ok(false);
        };
        let call = number_of(call.0);
        match record {
            Record::Answered { wall, .. } => {
                self.set("answered_at = ?3", params![shard, call, wall.as_micros()])
            }
            Record::Ended {
                wall,
                duration_ms,
                by,
                cause,
                status,
                cost,
                currency,
                ..
            } => self.set(
                "ended_at = ?3, duration_ms = ?4, by = ?5, cause = ?6, status = ?7, \
                 cost = ?8, currency = ?9",
                params![
                    shard,
                    call,
                    wall.as_micros(),
                    number_of(*duration_ms),
                    party_word(*by),
                    cause,
                    status,
                    number_of(*cost),
                    currency
                ],
            ),
            Record::Booked { cost, currency, .. } => self.set(
                "cost = ?3, currency = ?4",
                params![shard, call, number_of(*cost), currency],
            ),
            _ => Ok(false),
        }
    }

    /// Whether there is a row of a call, whose shard and number come first among the
    /// values, that this changes.
    fn set(&self, columns: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<bool> {
        let update = format!("UPDATE calls SET {columns} {OF_CALL}");
        let changed = self.sqlite.prepare_cached(&update)?.execute(values)?;
        Ok(changed > 0)
    }
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|it| it.ino())
}

/// SQLite's integers are signed.
fn number_of(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) const fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Observe => "observe",
        Decision::Refuse => "refuse",
        Decision::Emergency => "emergency",
    }
}

const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "outbound",
        Direction::Inbound => "inbound",
    }
}

const fn party_word(party: Party) -> &'static str {
    match party {
        Party::Caller => "caller",
        Party::Callee => "callee",
        Party::Tollgate => "tollgate",
    }
}

/// A time, if it is one.
pub(super) fn wall(micros: Option<i64>) -> Option<Wall> {
    micros.map(Wall::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_a_day_sees_that_it_is_written() {
        let path = std::env::temp_dir().join(format!("tollgate-lock-{}", std::process::id()));
        let day = Day::open(&path).unwrap();
        // `1: POSIX  ADVISORY  READ 4711 fe:00:123456 1073741826 1073742335`
        let file = format!(":{} ", day.inode.unwrap());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let ours = |line: &str| line.contains(&file) && line.contains("READ");
        assert!(locks.lines().any(ours), "no lock on {file}:\n{locks}");
        drop(day);
        super::super::remove(&path).unwrap();
    }

    #[test]
    fn a_call_s_row_is_found_without_a_search() {
        let folder = std::env::temp_dir().join(format!("tollgate-day-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let day = Day::open(&folder.join("day.sqlite")).unwrap();
        let text = format!("EXPLAIN QUERY PLAN UPDATE calls SET answered_at = ?3 {OF_CALL}");
        let mut plan = day.sqlite.prepare(&text).unwrap();
        let plan: String = plan
            .query_row(params![1, 2, 3], |row| row.get("detail"))
            .unwrap();
        assert!(
            plan.contains("USING INDEX let_in") || plan.contains("COVERING INDEX let_in"),
            "{plan}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
