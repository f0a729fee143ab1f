//! What patterns have seen of one tenant's calls.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::meter::is_within;
use crate::base::time::Mono;
use crate::policy::numbering::Country;
use crate::policy::target::Packed;

/// Keys (last digits, ranges, sources) that one pattern looks at one by one. At
/// the limit new ones share one track, until nothing in it matters.
pub(super) const TRACKS_MAX: usize = 1_024;

/// Patterns that a tenant's rules have had since the start. At the limit rules
/// with a new one do not compile.
const PATTERNS_MAX: usize = 64;

/// How often tracks are searched for what no longer matters, at most.
const SEARCH_EVERY: u64 = 1_000_000_000;

/// What a pattern looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Sign {
    /// Numbers alike in so many last digits, under changing prefixes.
    PrefixWalk { digits: u8 },
    /// Calls that lasted less than so long, to numbers alike but for so many last
    /// digits.
    ShortCalls { shorter_than: Duration, range: u8 },
    /// Calls to a country since the first.
    NewCountry,
    /// Calls in a short time.
    Burst,
    /// Refusals of what one source asks for.
    Refusals,
}

/// What follows from a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Then {
    /// It is told.
    Alert,
    /// The calls that would make it are refused, and not looked at any more: as many
    /// as do not make it yet go within its time.
    Cap,
    /// All that makes it is refused, for as long as it is tried again.
    Refuse,
}

/// What tells a pattern's state from another's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct PatternKey {
    pub sign: Sign,
    /// What follows from it.
    pub then: Then,
    /// The hours' name, and whether outside of them.
    pub when: Option<(Arc<str>, bool)>,
    /// The target's word.
    pub to: u64,
}

/// One sight of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Seen {
    key: u128,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Different ones count once.
    Different(u64),
    /// Each counts.
    Each,
    /// Each counts from the first on, which makes the key known in time.
    First,
    /// None counts now; what did before is looked up.
    Look,
}

/// A pattern that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Sight {
    /// How much of it.
    pub value: u32,
    /// It was not told yet.
    pub tell: bool,
}

/// What was seen under one key.
#[derive(Debug, Default)]
struct Track {
    /// When, and what, oldest first: as many as the pattern takes.
    sights: VecDeque<(u64, u64)>,
    first: Option<u64>,
    told: Option<u64>,
}

/// What one pattern has seen.
#[derive(Debug)]
struct State {
    key: PatternKey,
    /// The most that any rule set asked to be remembered, and for how long.
    keep: u32,
    reach: u64,
    tracks: BTreeMap<u128, Track>,
    /// The track of all keys for which there is no room.
    shared: Option<Track>,
    searched: Option<u64>,
}

/// What the patterns of one tenant have seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    states: Vec<State>,
    latest: Mono,
}

impl Seen {
    /// The one key of a pattern that has no more.
    pub(in crate::policy) const ALL: Self = Self {
        key: 0,
        how: How::Each,
    };

    /// A number, by its last digits; nothing if it has no more than those.
    pub(in crate::policy) fn walk(number: Packed, digits: u8) -> Option<Self> {
        let (prefix, last) = number.split_last(digits)?;
        let how = How::Different(prefix);
        Some(Self {
            key: last.into(),
            how,
        })
    }

    /// A number that is to be called, by all but its last digits.
    pub(in crate::policy) fn range(number: Packed, digits: u8) -> Self {
        let key = number.split_last(digits).map_or(0, |(prefix, _)| prefix);
        let (key, how) = (key.into(), How::Look);
        Self { key, how }
    }

    /// A country that is called.
    pub(in crate::policy) fn country(country: Option<Country>) -> Self {
        let key = country.map_or(0, |it| it.word().into());
        let how = How::First;
        Self { key, how }
    }

    /// A source, and whether it was refused.
    pub(in crate::policy) fn source(source: IpAddr, refused: bool) -> Self {
        let key = match source {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let how = if refused { How::Each } else { How::Look };
        Self { key, how }
    }
}

impl Watch {
    /// The place of a pattern's state, opened if there is none; `None` at the
    /// limit. It remembers at least `keep` sights for `reach` nanoseconds.
    pub(super) fn place(&mut self, key: PatternKey, keep: u32, reach: u64) -> Option<u32> {
        let known = self
            .states
            .iter_mut()
            .zip(0..)
            .find(|(it, _)| it.key == key);
        if let Some((state, place)) = known {
            state.keep = state.keep.max(keep);
            state.reach = state.reach.max(reach);
            return Some(place);
        }
        if self.states.len() >= PATTERNS_MAX {
            return None;
        }
        self.states.push(State {
            key,
            keep,
            reach,
            tracks: BTreeMap::new(),
            shared: None,
            searched: None,
        });
        u32::try_from(self.states.len() - 1).ok()
    }

    /// Notes a call; the pattern, if there are `count` sights of it `within` so
    /// many nanoseconds. `quiet`: it is not told now.
    pub(super) fn see(
        &mut self,
        place: u32,
        seen: Seen,
        (count, within): (u32, u64),
        quiet: bool,
        now: Mono,
    ) -> Option<Sight> {
        self.latest = self.latest.max(now);
        let now = self.latest;
        let state = self.states.get_mut(place as usize)?;
        let (keep, caps) = (state.keep, state.key.then == Then::Cap);
        let track = match seen.how {
            How::Look => state.find(seen.key)?,
            _ => state.find_or_open(seen.key, now),
        };
        let what = match seen.how {
            How::Look => None,
            How::Each => Some(None),
            How::Different(what) => Some(Some(what)),
            How::First => {
                let first = *track.first.get_or_insert(now.as_nanos());
                if !is_within(first, now, within) {
                    return None;
                }
                Some(None)
            }
        };
        let value = match what {
            None => track.value(now, within),
            Some(what) => {
                let value = track.with(now, within, what);
                if !caps || value < count {
                    track.add(now, keep, what);
                }
                value.min(keep)
            }
        };
        if value < count {
            return None;
        }
        let told = track.told.is_some_and(|told| is_within(told, now, within));
        let tell = !quiet && !told;
        if tell {
            track.told = Some(now.as_nanos());
        }
        Some(Sight { value, tell })
    }

    /// Notes that a call to `number` ended so long after it was answered.
    pub(super) fn ended(&mut self, number: Packed, talked: Duration, now: Mono) {
        self.latest = self.latest.max(now);
        let now = self.latest;
        for state in &mut self.states {
            let Sign::ShortCalls {
                shorter_than,
                range,
            } = state.key.sign
            else {
                continue;
            };
            if talked < shorter_than {
                let keep = state.keep;
                let key = Seen::range(number, range).key;
                state.find_or_open(key, now).add(now, keep, None);
            }
        }
    }
}

impl State {
    fn find(&mut self, key: u128) -> Option<&mut Track> {
        self.tracks.get_mut(&key).or(self.shared.as_mut())
    }

    /// The track of a key. As with counters, what is in a shared one counts for
    /// all new keys while it matters.
    fn find_or_open(&mut self, key: u128, now: Mono) -> &mut Track {
        let reach = self.reach;
        if self
            .shared
            .as_ref()
            .is_some_and(|it| it.is_at_rest(now, reach))
        {
            self.shared = None;
        }
        let full = self.tracks.len() >= TRACKS_MAX && !self.tracks.contains_key(&key);
        let early = |last: u64| is_within(last, now, SEARCH_EVERY);
        if full && !self.searched.is_some_and(early) {
            self.searched = Some(now.as_nanos());
            self.tracks.retain(|_, it| !it.is_at_rest(now, reach));
        }
        let known = self.tracks.contains_key(&key);
        let room = self.tracks.len() < TRACKS_MAX && self.shared.is_none();
        if known || room {
            self.tracks.entry(key).or_default()
        } else {
            self.shared.get_or_insert_default()
        }
    }
}

impl Track {
    /// Adds a sight; of the same thing the last one only.
    fn add(&mut self, now: Mono, keep: u32, what: Option<u64>) {
        if let Some(what) = what {
            self.sights.retain(|(_, other)| *other != what);
        }
        while self.sights.len() >= keep as usize {
            self.sights.pop_front();
        }
        self.sights.push_back((now.as_nanos(), what.unwrap_or(0)));
    }

    /// How many sights there would be with one more.
    fn with(&self, now: Mono, within: u64, what: Option<u64>) -> u32 {
        let others = self.sights.iter().rev();
        let others = others.take_while(|(time, _)| is_within(*time, now, within));
        let others = others.filter(|(_, other)| what.is_none_or(|it| it != *other));
        u32::try_from(others.count() + 1).unwrap_or(u32::MAX)
    }

    fn value(&self, now: Mono, within: u64) -> u32 {
        let before = self
            .sights
            .partition_point(|(time, _)| !is_within(*time, now, within));
        u32::try_from(self.sights.len() - before).unwrap_or(u32::MAX)
    }

    /// Whether forgetting it changes nothing. What is known stays known.
    fn is_at_rest(&self, now: Mono, reach: u64) -> bool {
        self.first.is_none() && self.value(now, reach) == 0
    }
}

#[cfg(test)]
mod tests;
