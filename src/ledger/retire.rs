//! What is not kept any more: whole segments, the oldest first, once a checkpoint
//! says that they are no longer to be expected.

use std::path::Path;
use std::time::Duration;

use crate::base::time::{Mono, Now, Wall};

use super::checkpoint::State;
use super::segment::{self, HEADER, Header};
use super::{Fault, notes};

/// How long records are kept. Without a limit: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many days.
    pub days: Option<u64>,
    /// As many as go into so many bytes. Where both are given, the shorter.
    pub bytes: Option<u64>,
}

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// A clock that jumped may be wrong, and by a wrong clock nothing is taken for old. So
/// long after a jump it is believed.
const DOUBT: Duration = Duration::from_secs(86_400);

/// How far the clock may have gone on while nothing ran.
const ABSENCE: Duration = Duration::from_secs(7 * 86_400);

/// When to look, and whether the clock can be believed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked: Option<Mono>,
    before: Option<Now>,
    doubted: Option<Mono>,
}

impl Watch {
    /// Whether to look now; `last` is the last checkpoint's time.
    pub(super) fn is_due(&mut self, now: Now, last: Option<Wall>) -> bool {
        let jumped = match self.before.replace(now) {
            None => last.is_some_and(|last| now.wall > last + ABSENCE),
            Some(before) => now.wall > now.reckoned(before.ahead()).wall,
        };
        if jumped {
            tracing::warn!("the clock jumped: for a day no record is taken for old");
            self.doubted = Some(now.mono);
        }
        let due = self.looked.is_none_or(|at| now.mono >= at + INTERVAL);
        if due {
            self.looked = Some(now.mono);
        }
        due
    }

    fn believes(&self, now: Now) -> bool {
        self.doubted.is_none_or(|at| now.mono >= at + DOUBT)
    }
}

/// A segment that is full.
struct Full {
    state: usize,
    sequence: u64,
    /// When the one after it began.
    ended: Wall,
    bytes: u64,
}

/// Moves the oldest segment that is kept forward in each of `states`. Whether any
/// moved.
pub(super) fn choose(
    directory: &Path,
    keep: Keep,
    watch: &Watch,
    now: Now,
    states: &mut [&mut State],
) -> Result<bool, Fault> {
    let (mut full, mut bytes) = (Vec::new(), 0_u64);
    for (index, state) in states.iter().enumerate() {
        bytes = bytes.saturating_add(list(directory, index, state, &mut full)?);
    }
    full.sort_by_key(|it| (it.ended, it.sequence));
    let days = keep.days.filter(|_| watch.believes(now));
    let age = days.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
    let mut moved = false;
    for it in full {
        let old = age.is_some_and(|age| it.ended + age < now.wall);
        let large = keep.bytes.is_some_and(|most| bytes > most);
        if !(old || large) {
            continue;
        }
        bytes = bytes.saturating_sub(it.bytes);
        if let Some(state) = states.get_mut(it.state) {
            state.oldest = state.oldest.max(it.sequence.saturating_add(1));
            moved = true;
        }
    }
    Ok(moved)
}

/// Adds a shard's full segments to the list. How many bytes it has in all.
fn list(directory: &Path, index: usize, state: &State, full: &mut Vec<Full>) -> Result<u64, Fault> {
    let folder = segment::folder(directory, state.shard);
    let mut all = 0_u64;
    let mut before: Option<(u64, u64)> = None;
    let mut latest = Wall::from_micros(i64::MIN);
    for sequence in segment::sequences(&folder).map_err(Fault::io("read", &folder))? {
        let path = segment::path(&folder, sequence);
        let bytes = path.metadata().map_err(Fault::io("read", &path))?.len();
        all = all.saturating_add(bytes);
        // What is not chained yet is not told from what is new.
        if sequence > state.at.segment {
            break;
        }
        // By a clock that stepped back a later segment is not older than an earlier.
        latest = latest.max(began(&path).unwrap_or(latest));
        if let Some((sequence, bytes)) = before {
            full.push(Full {
                state: index,
                sequence,
                ended: latest,
                bytes,
            });
        }
        before = Some((sequence, bytes));
    }
    Ok(all)
}

/// When a segment was begun, if its header can be read.
fn began(path: &Path) -> Option<Wall> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(HEADER).read_to_end(&mut bytes).ok()?;
    Header::decode(&bytes).map(|it| it.wall)
}

/// Removes what the last checkpoint does not expect any more.
pub(super) fn remove(directory: &Path, states: &[State]) -> Result<(), Fault> {
    let mut first: Option<Wall> = None;
    for state in states {
        let folder = segment::folder(directory, state.shard);
        for sequence in segment::sequences(&folder).map_err(Fault::io("read", &folder))? {
            let path = segment::path(&folder, sequence);
            if sequence < state.oldest {
                tracing::info!("retired: {}", path.display());
                std::fs::remove_file(&path).map_err(Fault::io("remove", &path))?;
            } else {
                let began = began(&path);
                first = first.into_iter().chain(began).min();
                break;
            }
        }
    }
    let Some(first) = first else { return Ok(()) };
    // The head before the oldest segment is in a checkpoint of the day it began, or
    // of the one after.
    let day = notes::day(Wall::from_micros(
        first.as_micros().saturating_sub(2 * 86_400_000_000),
    ));
    for file in notes::files(directory)? {
        let name = file.file_stem().and_then(|name| name.to_str());
        if name.is_some_and(|name| name < day.as_str()) {
            std::fs::remove_file(&file).map_err(Fault::io("remove", &file))?;
        }
    }
    Ok(())
}
