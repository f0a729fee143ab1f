//! Events, alike ones in one count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::limits::{ALERT_AGAIN_S, ALERT_GATHER_S, ALERT_GROUPS, ALERT_STRANGERS_AGAIN_S};
use crate::base::time::Wall;

/// What sort of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A call was refused.
    Refused,
    /// Calls make a pattern of fraud.
    Pattern,
    /// A part of a budget is used.
    Budget,
    /// An operator gave an order.
    Order,
    /// A carrier answers no more.
    Carrier,
    /// Messages came from an address that no peer has.
    Stranger,
    /// More came than could be handled, and some was dropped; or a stranger was banned.
    Flood,
    /// The journal cannot be written, or is damaged.
    Journal,
    /// The files of rules are broken.
    Rules,
    /// A certificate expires soon, or has expired.
    Certificate,
    /// The wall clock cannot be believed.
    Clock,
    /// Somebody tries whether alerts come.
    Trial,
}

impl Kind {
    /// Seconds after which the owner is told again of what goes on.
    const fn again(self) -> u64 {
        match self {
            Self::Stranger => ALERT_STRANGERS_AGAIN_S,
            _ => ALERT_AGAIN_S,
        }
    }
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Whose; empty if it is nobody's.
    pub tenant: String,
    /// Which of its kind: a short name.
    pub what: String,
    /// In words, without the tenant.
    pub sentence: String,
    /// The number called; empty if there is none.
    pub number: String,
    /// Where it came from; empty if from nowhere.
    pub source: String,
    /// What it would have cost, in millionths of the currency's unit; and that.
    pub cost: Option<(u64, String)>,
    /// How many times it happened.
    pub count: u64,
}

/// Which events are told of together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    kind: Kind,
    tenant: String,
    what: String,
    /// What was ordered, in words; empty for what is no order. Each is told of.
    #[serde(default)]
    words: String,
}

/// Alike events. Times are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    key: Key,
    /// How many were not told of.
    count: u64,
    first: i64,
    last: i64,
    sentence: String,
    number: String,
    source: String,
    cost: u64,
    currency: String,
    /// When they are told of, or forgotten if there are none.
    due: i64,
}

/// Alike events that are to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What sort.
    pub kind: Kind,
    /// All of them as one event: the first, with the count of all.
    pub event: Happened,
    /// When the first was.
    pub first: Wall,
    /// When the last was.
    pub last: Wall,
}

/// Events that were not told of yet, and which were lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<Group>);

const SECOND: i64 = 1_000_000;

fn after(at: i64, seconds: u64) -> i64 {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    at.saturating_add(seconds.saturating_mul(SECOND))
}

impl Groups {
    /// Counts an event.
    pub fn add(&mut self, kind: Kind, event: Happened, wall: Wall) {
        let at = wall.as_micros();
        let mut key = Key {
            kind,
            tenant: event.tenant,
            what: event.what,
            words: match kind {
                Kind::Order => event.sentence.clone(),
                _ => String::new(),
            },
        };
        let mut place = self.0.binary_search_by(|it| it.key.cmp(&key));
        if place.is_err() && self.0.len() >= ALERT_GROUPS {
            key.tenant.clear();
            key.what = "others".to_owned();
            key.words.clear();
            place = self.0.binary_search_by(|it| it.key.cmp(&key));
        }
        let place = place.unwrap_or_else(|place| {
            let group = Group {
                key,
                count: 0,
                first: at,
                last: at,
                sentence: String::new(),
                number: String::new(),
                source: String::new(),
                cost: 0,
                currency: String::new(),
                due: after(at, ALERT_GATHER_S),
            };
            self.0.insert(place, group);
            place
        });
        let Some(group) = self.0.get_mut(place) else {
            return;
        };
        if group.count == 0 {
            group.first = at;
            group.sentence = event.sentence;
            group.number = event.number;
            group.source = event.source;
        }
        group.count = group.count.saturating_add(event.count);
        group.last = at;
        if let Some((cost, currency)) = event.cost {
            group.cost = group.cost.saturating_add(cost);
            group.currency = currency;
        }
    }

    /// What is to be told of at this time; all that was not, if it is the `last`.
    pub fn due(&mut self, now: Wall, last: bool) -> Vec<Told> {
        let now = now.as_micros();
        let mut told = Vec::new();
        self.0.retain_mut(|group| {
            // A clock that was set back must not silence it.
            group.due = group.due.min(after(now, group.key.kind.again()));
            if now < group.due && !(last && group.count > 0) {
                return true;
            }
            if group.count == 0 {
                return false;
            }
            told.push(group.told());
            group.due = after(now, group.key.kind.again());
            true
        });
        told
    }

    /// Whether something is to be told of by this time.
    #[must_use]
    pub fn are_due_by(&self, time: Wall) -> bool {
        let by = time.as_micros();
        self.0.iter().any(|it| it.count > 0 && it.due <= by)
    }
}

impl Group {
    fn told(&mut self) -> Told {
        let cost = std::mem::take(&mut self.cost);
        let currency = std::mem::take(&mut self.currency);
        let event = Happened {
            tenant: self.key.tenant.clone(),
            what: self.key.what.clone(),
            sentence: std::mem::take(&mut self.sentence),
            number: std::mem::take(&mut self.number),
            source: std::mem::take(&mut self.source),
            cost: (!currency.is_empty()).then_some((cost, currency)),
            count: std::mem::take(&mut self.count),
        };
        Told {
            kind: self.key.kind,
            event,
            first: Wall::from_micros(self.first),
            last: Wall::from_micros(self.last),
        }
    }
}

/// How far each tenant's budgets were when the owner was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Levels(BTreeMap<String, u64>);

/// Of a thousand.
const LEVELS: [u64; 3] = [500, 800, 1_000];

impl Levels {
    /// Notes how much of a budget is used, of a thousand. Which level it has come
    /// to, if the owner was not told of that one yet.
    pub fn note(&mut self, budget: &str, permille: u64) -> Option<u64> {
        let reached = LEVELS.into_iter().rfind(|level| permille >= *level);
        let before = self.0.get(budget).copied();
        match reached {
            None => {
                if before.is_some() {
                    self.0.remove(budget);
                }
                None
            }
            Some(level) => {
                if before != Some(level) {
                    self.0.insert(budget.to_owned(), level);
                }
                (before.unwrap_or(0) < level).then_some(level)
            }
        }
    }
}
