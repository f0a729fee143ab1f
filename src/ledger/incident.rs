//! What happened to one tenant in a span of time, as the journal tells it.

mod event;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::base::limits::{REPORT_EVENTS, REPORT_KEYS, REPORT_PARTS};
use crate::base::time::Wall;
use crate::record::frame::Damage;
use crate::record::{CallRef, Decision, Direction, Record};

use super::note::hex;
use super::{Entry, Fault, Reader};

pub use event::Event;

/// Calls that are over whose cost may still be corrected. Of more the oldest stand as
/// they are.
const CORRECTED: usize = 100_000;

/// Whose story, and of which time.
#[derive(Clone, Debug)]
pub struct Span {
    /// The tenant.
    pub tenant: String,
    /// From then on.
    pub from: Wall,
    /// Until before then.
    pub to: Wall,
}

/// How many calls were stopped, and how many let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Refused.
    pub stopped: u64,
    /// Let through, tried-out refusals and emergencies included.
    pub passed: u64,
}

/// Calls by a key. At [`REPORT_KEYS`] further keys share one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: BTreeMap<String, Pair>,
    /// Those of further keys.
    pub others: Pair,
}

impl Table {
    fn row(&mut self, key: &str) -> &mut Pair {
        match self.rows.len() < REPORT_KEYS || self.rows.contains_key(key) {
            true => self.rows.entry(key.to_owned()).or_default(),
            false => &mut self.others,
        }
    }

    /// The rows with the most calls first, and how many more there are.
    #[must_use]
    pub fn top(&self, most: usize) -> (Vec<(&str, Pair)>, usize) {
        let mut rows: Vec<(&str, Pair)> = self.rows.iter().map(|(key, it)| (&**key, *it)).collect();
        rows.sort_by_key(|(_, it)| std::cmp::Reverse(it.stopped.saturating_add(it.passed)));
        let more = rows.len().saturating_sub(most);
        rows.truncate(most);
        (rows, more)
    }
}

/// One record, and how it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// When it was made.
    pub wall: Wall,
    /// In which shard's series.
    pub shard: u16,
    /// The segment's file name.
    pub segment: String,
    /// From which byte of it.
    pub offset: u64,
    /// How many bytes it has.
    pub length: usize,
    /// Their BLAKE3 hash, in hexadecimal.
    pub hash: String,
}

/// Calls in parts of the time, from the first call to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When the first part begins.
    pub from: Wall,
    /// When the last one ends.
    pub to: Wall,
    /// How long each is.
    pub each: Duration,
    /// The calls of each.
    pub parts: Vec<Pair>,
}

/// What happened: calls that the tenant's phone system asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// All calls.
    pub calls: Pair,
    /// Of those that passed, how many were answered.
    pub answered: u64,
    /// Of those, how many are up: what they take and cost is in neither of the next.
    pub live: u64,
    /// For how long they were up in all.
    pub up: Duration,
    /// What they cost at the most, in millionths, by currency.
    pub cost: BTreeMap<String, u64>,
    /// Calls in each of [`REPORT_PARTS`] parts of the time, all equally long.
    pub parts: Vec<Pair>,
    /// By the reason's short name.
    pub reasons: Table,
    /// By what the number is said to belong to.
    pub places: Table,
    /// By the number. Of calls that were recorded in sums only the last has one.
    pub numbers: Table,
    /// The same, without the calls that an operator had blocked: those say nothing of where
    /// they went.
    pub judged: Table,
    /// By the address that the INVITE came from.
    pub sources: Table,
    /// By the User-Agent of INVITEs that were recorded.
    pub agents: Table,
    /// What was noted and ordered meanwhile, the first [`REPORT_EVENTS`].
    pub events: Vec<(Wall, Event)>,
    /// How many more there were.
    pub more_events: u64,
    /// The first record of these calls.
    pub first: Option<Exhibit>,
    /// The last verdict among them.
    pub last: Option<Exhibit>,
    /// Places of the journal that are damaged, whoever's they are.
    pub damaged: u64,
}

/// Reads what happened. `place_of` says what a number belongs to.
///
/// # Errors
/// [`Fault`]: the journal cannot be read. Damage is no error, and counted.
pub fn incident(
    reader: &mut Reader,
    span: &Span,
    place_of: &dyn Fn(&str) -> String,
) -> Result<Incident, Fault> {
    let mut telling = Telling {
        span,
        place_of,
        told: Incident {
            parts: vec![Pair::default(); REPORT_PARTS],
            ..Incident::default()
        },
        live: HashMap::new(),
        over: HashMap::new(),
        order: VecDeque::new(),
        asked: None,
    };
    while let Some(entry) = reader.next()? {
        match &entry.content {
            Ok(record) => telling.take(&entry, record),
            Err(Damage::Torn) => {}
            Err(_) => telling.told.damaged += 1,
        }
    }
    let answered = telling.live.values().filter(|&&answered| answered).count();
    telling.told.live = u64::try_from(answered).unwrap_or(u64::MAX);
    Ok(telling.told)
}

type Key = (u16, CallRef);

struct Telling<'a> {
    span: &'a Span,
    place_of: &'a dyn Fn(&str) -> String,
    told: Incident,
    /// Calls that passed and are not over, and whether they are answered.
    live: HashMap<Key, bool>,
    /// What those cost that are.
    over: HashMap<Key, u64>,
    order: VecDeque<Key>,
    /// The call whose INVITE follows, and what became of it.
    asked: Option<(Key, bool)>,
}

impl Telling<'_> {
    fn take(&mut self, entry: &Entry<'_>, record: &Record<'_>) {
        let within = entry.wall >= self.span.from && entry.wall < self.span.to;
        let ours = |whose: &str| within && whose == self.span.tenant;
        let key = record.call().map(|call| (entry.shard, call));
        match *record {
            Record::Verdict {
                call,
                tenant,
                source,
                number,
                decision,
                reason,
                direction: Direction::Outbound,
                ..
            } if ours(tenant) => {
                let stopped = decision == Decision::Refuse;
                let key = (entry.shard, call);
                if !stopped {
                    self.live.insert(key, false);
                }
                self.asked = (!is_ordered(reason)).then_some((key, stopped));
                self.count(
                    entry.wall,
                    reason,
                    number,
                    &source.ip().to_string(),
                    (stopped, 1),
                );
                self.exhibit(entry);
            }
            Record::Refusals {
                tenant,
                reason,
                last,
                count,
                source,
                number,
                direction: Direction::Outbound,
                ..
            } if ours(tenant) => {
                self.count(
                    last,
                    reason,
                    number,
                    &source.ip().to_string(),
                    (true, count),
                );
                self.exhibit(entry);
            }
            Record::Invite { message, .. } => {
                if let Some((_, stopped)) = self.asked.take().filter(|it| Some(it.0) == key) {
                    let row = self.told.agents.row(&agent(message));
                    add(row, stopped, 1);
                }
            }
            Record::Note { .. } | Record::Ordered { .. } | Record::Reset { .. } if within => {
                if let Some((wall, event)) = Event::of(entry.shard, record, &self.span.tenant) {
                    self.event(wall, event);
                }
            }
            _ => self.follow(entry.shard, record),
        }
    }

    /// What becomes of calls that passed.
    fn follow(&mut self, shard: u16, record: &Record<'_>) {
        match *record {
            Record::Restored {
                call,
                was_shard,
                was,
                ..
            } => {
                if let Some(answered) = self.live.remove(&(was_shard, was)) {
                    self.live.insert((shard, call), answered);
                }
            }
            Record::Answered {
                call,
                wall,
                ends_by,
                ..
            } if ends_by > wall => {
                if let Some(answered) = self.live.get_mut(&(shard, call))
                    && !std::mem::replace(answered, true)
                {
                    self.told.answered += 1;
                }
            }
            Record::Ended {
                call,
                answered,
                duration_ms,
                cost,
                currency,
                ..
            } => {
                if let Some(known) = self.live.remove(&(shard, call)) {
                    self.told.answered += u64::from(answered && !known);
                    self.told.up += Duration::from_millis(duration_ms);
                    self.book((shard, call), cost, currency);
                }
            }
            Record::Booked {
                call,
                cost,
                currency,
                ..
            } if self.over.contains_key(&(shard, call)) => self.book((shard, call), cost, currency),
            _ => {}
        }
    }

    fn book(&mut self, key: Key, cost: u64, currency: &str) {
        let before = self.over.insert(key, cost);
        if before.is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > CORRECTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.over.remove(&oldest);
        }
        if cost > 0 {
            let sum = self.told.cost.entry(currency.to_owned()).or_default();
            *sum = sum.saturating_add(cost).saturating_sub(before.unwrap_or(0));
        }
    }

    fn count(
        &mut self,
        wall: Wall,
        reason: &str,
        number: &str,
        source: &str,
        (stopped, by): (bool, u64),
    ) {
        let told = &mut self.told;
        add(&mut told.calls, stopped, by);
        if let Some(part) = told.parts.get_mut(self.span.part(wall)) {
            add(part, stopped, by);
        }
        if !reason.is_empty() {
            add(told.reasons.row(reason), stopped, by);
        }
        add(told.places.row(&(self.place_of)(number)), stopped, by);
        add(told.numbers.row(number), stopped, by);
        if !is_ordered(reason) {
            add(told.judged.row(number), stopped, by);
        }
        add(told.sources.row(source), stopped, by);
    }

    fn event(&mut self, wall: Wall, event: Event) {
        match self.told.events.len() < REPORT_EVENTS {
            true => self.told.events.push((wall, event)),
            false => self.told.more_events += 1,
        }
    }

    fn exhibit(&mut self, entry: &Entry<'_>) {
        let name = entry.segment.file_name().unwrap_or_default();
        let exhibit = Exhibit {
            wall: entry.wall,
            shard: entry.shard,
            segment: name.to_string_lossy().into_owned(),
            offset: entry.offset,
            length: entry.bytes.len(),
            hash: hex(blake3::hash(entry.bytes).as_bytes()),
        };
        if self.told.first.is_none() {
            self.told.first = Some(exhibit.clone());
        }
        self.told.last = Some(exhibit);
    }
}

impl Span {
    /// Which of the [`REPORT_PARTS`] parts of it a time is in.
    fn part(&self, wall: Wall) -> usize {
        let [from, to, at] = [self.from, self.to, wall].map(|it| i128::from(it.as_micros()));
        let parts = i128::try_from(REPORT_PARTS).unwrap_or(1);
        let part = (at - from) * parts / (to - from).max(1);
        usize::try_from(part.clamp(0, parts - 1)).unwrap_or(0)
    }

    /// When this part of it begins.
    fn begin(&self, part: usize) -> Wall {
        let [from, to] = [self.from, self.to].map(|it| i128::from(it.as_micros()));
        let [part, parts] = [part, REPORT_PARTS].map(|it| i128::try_from(it).unwrap_or(1));
        let at = from + (to - from) * part / parts.max(1);
        Wall::from_micros(i64::try_from(at).unwrap_or(i64::MAX))
    }
}

impl Incident {
    /// The time from the first call to the last, in `most` equal parts or fewer.
    #[must_use]
    pub fn timeline(&self, span: &Span, most: usize) -> Timeline {
        let busy = |pair: &Pair| *pair != Pair::default();
        let first = self.parts.iter().position(busy);
        let last = self.parts.iter().rposition(busy);
        let (Some(first), Some(last)) = (first, last) else {
            return Timeline::default();
        };
        let busy = self.parts.get(first..=last).unwrap_or_default();
        let together = busy.len().div_ceil(most.max(1)).max(1);
        let sum = |parts: &[Pair]| {
            parts.iter().fold(Pair::default(), |mut sum, it| {
                add(&mut sum, true, it.stopped);
                add(&mut sum, false, it.passed);
                sum
            })
        };
        let parts: Vec<Pair> = busy.chunks(together).map(sum).collect();
        let (from, end) = (span.begin(first), first + parts.len() * together);
        let micros = span.begin(first + together).as_micros() - from.as_micros();
        Timeline {
            from,
            to: span.begin(end).min(span.to),
            each: Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
            parts,
        }
    }
}

/// Whether a call was refused by an order, whatever it was.
fn is_ordered(reason: &str) -> bool {
    matches!(reason, "blocked" | "stopping")
}

fn add(pair: &mut Pair, stopped: bool, by: u64) {
    let count = match stopped {
        true => &mut pair.stopped,
        false => &mut pair.passed,
    };
    *count = count.saturating_add(by);
}

/// The User-Agent of an INVITE as it was recorded; empty if it has none.
fn agent(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let fields = text.lines().take_while(|line| !line.is_empty());
    let mut fields = fields.filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| name.trim_end().eq_ignore_ascii_case("user-agent"));
    let agent = found.map_or("", |(_, value)| value.trim());
    agent.chars().take(100).collect()
}
