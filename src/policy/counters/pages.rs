//! What is in a book: meters, the calls that live, and the clocks it goes by.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use smallvec::SmallVec;

use super::book::{Admission, Claims, Meters, Subject, UsedUp, Who};
use super::meter::Meter;
use super::purse::{Purses, Sum};
use crate::base::time::{Mono, Now, Wall};
use crate::policy::numbering::{Class, Country};
use crate::policy::target::{Destination, Packed};

/// Numbers (of callers, and called) that a book counts one by one. At the limit
/// new ones share one counter under the same cap, until nothing in it matters.
pub(super) const KEYS_MAX: usize = 4_096;

/// Scopes that a book has had, in all rule sets since the start. At the limit
/// rules that name a new one do not compile.
const SCOPES_MAX: usize = 4_096;

/// How often numbers are searched for what no longer matters, at most.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// The words of the meters that all numbers share for which there is no room.
/// No scope has these words.
const fn shared_word(who: Who) -> u64 {
    match who {
        Who::Caller => 2,
        Who::Called => 3,
    }
}

/// A live call, or a place where one can be put: one cache line, and nothing to
/// drop, so that it is written without being read.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
enum Place {
    Call(Live),
    Free,
}

const _: () = assert!(size_of::<Place>() == 64, "a place is one cache line");

/// What is known of a call that lives.
#[derive(Clone, Copy, Debug)]
struct Live {
    called: Packed,
    caller: Packed,
    /// The latest rule set by which it is counted.
    version: u64,
    /// When it was let in, in seconds.
    since: u32,
    /// The meters in which it holds a place; [`NOWHERE`] behind the last. Where
    /// there are more, they are in [`Pages::more`].
    meters: [u32; INLINE],
    country: Option<Country>,
    class: Class,
    /// It holds no place any more; only money, maybe.
    left: bool,
}

/// Meters that a call's record has room for.
const INLINE: usize = 6;

/// No meter's place.
const NOWHERE: u32 = u32::MAX;

impl Live {
    fn subject(&self) -> Subject {
        Subject {
            to: Destination {
                digits: self.called,
                country: self.country,
                class: self.class,
            },
            caller: self.caller,
        }
    }

    /// When it was let in, or up to a second earlier.
    fn since(&self) -> Mono {
        Mono::from_nanos(u64::from(self.since) * SECOND)
    }
}

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// When something happens, on clocks that do not go back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub mono: Mono,
    pub wall: Wall,
    pub day_end: Wall,
}

/// The inside of a book.
///
/// What every call touches stands together, in front.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Pages {
    pub(super) meters: SmallVec<[Meter; 2]>,
    calls: Vec<Place>,
    /// Places among `calls` that are free.
    free: SmallVec<[u32; 4]>,
    /// The latest time that any shard has come with.
    latest: Mono,
    /// The latest rule set seen.
    version: u64,
    /// A live call is not counted by that rule set yet.
    behind: bool,
    /// Meters that stand for nothing, to be used again.
    spare: Vec<u32>,
    /// The meter of each scope that rules name, by the scope's word.
    fixed: BTreeMap<u64, u32>,
    /// The meter of each number that is counted by itself. Ordered, not hashed:
    /// the numbers are chosen by whoever dials.
    keys: BTreeMap<(Who, Packed), u32>,
    /// When `keys` was last searched for what no longer matters.
    searched: Option<Mono>,
    /// Meters of calls that hold more places than fit into their record.
    more: BTreeMap<u32, Vec<u32>>,
    /// What calls cost.
    pub(super) purses: Purses,
}

impl Pages {
    /// What time it is. Shards read the clock one behind the other, and may come
    /// here in another order: the latest time counts.
    pub(super) fn moment(&mut self, now: Mono, wall: Wall, day_end: Wall) -> Moment {
        self.latest = self.latest.max(now);
        Moment {
            mono: self.latest,
            wall,
            day_end,
        }
    }

    /// The place of the meter with this word; `None` at the limit.
    pub(super) fn fixed(&mut self, word: u64) -> Option<u32> {
        if let Some(&place) = self.fixed.get(&word) {
            return Some(place);
        }
        if self.fixed.len() >= SCOPES_MAX {
            return None;
        }
        let place = self.open()?;
        self.fixed.insert(word, place);
        Some(place)
    }

    /// The same, if it was named before.
    pub(super) fn known(&self, word: u64) -> Option<u32> {
        self.fixed.get(&word).copied()
    }

    /// The place of a fresh meter.
    fn open(&mut self) -> Option<u32> {
        if let Some(place) = self.spare.pop() {
            return Some(place);
        }
        let place = u32::try_from(self.meters.len()).ok();
        let place = place.filter(|&place| place != NOWHERE)?;
        self.meters.push(Meter::default());
        Some(place)
    }

    fn close(&mut self, place: u32) {
        if let Some(meter) = self.meters.get_mut(place as usize) {
            *meter = Meter::default();
            self.purses.close(place);
            self.spare.push(place);
        }
    }

    /// The first claim that leaves no room.
    pub(super) fn over(&self, moment: &Moment, call: &Admission<'_>) -> Option<UsedUp> {
        let over = call.claims.iter().find_map(|claim| {
            let place = self.find(claim.measure.meter, &call.subject)?;
            let meter = self.meters.get(place as usize)?;
            let over = meter.check(&claim.measure.limits, moment.mono, moment.wall)?;
            Some(UsedUp {
                cap: claim.cap,
                over,
            })
        });
        over.or_else(|| self.short(None, &call.subject, call.claims, call.asks.as_ref()?))
    }

    /// The meter of a claim, if there is one yet.
    pub(super) fn find(&self, meter: Meters, subject: &Subject) -> Option<u32> {
        let who = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(who) => who,
        };
        let own = self.keys.get(&(who, subject.key(who)));
        own.or_else(|| self.fixed.get(&shared_word(who))).copied()
    }

    /// The meter of a claim, opened if there is none.
    ///
    /// While anything in the shared meter matters, numbers without a meter of
    /// their own are counted there: one that was counted there before would
    /// otherwise start again from nothing.
    pub(super) fn find_or_open(
        &mut self,
        meter: Meters,
        subject: &Subject,
        moment: &Moment,
    ) -> Option<u32> {
        let who = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(who) => who,
        };
        let key = (who, subject.key(who));
        if let Some(&place) = self.keys.get(&key) {
            return Some(place);
        }
        if let Some(&shared) = self.fixed.get(&shared_word(who)) {
            let at_rest = |meter: &Meter| meter.is_at_rest(moment.mono, moment.wall);
            if !self.meters.get(shared as usize).is_some_and(at_rest) {
                return Some(shared);
            }
            self.fixed.remove(&shared_word(who));
            self.close(shared);
        }
        if self.keys.len() >= KEYS_MAX {
            self.search(moment);
        }
        let place = self.open()?;
        if self.keys.len() >= KEYS_MAX {
            self.fixed.insert(shared_word(who), place);
        } else {
            self.keys.insert(key, place);
        }
        Some(place)
    }

    /// Closes the meters of numbers that no longer matter; not often, so that it
    /// costs little however many new numbers come.
    fn search(&mut self, moment: &Moment) {
        let early = |last: Mono| moment.mono.saturating_since(last) < SEARCH_EVERY;
        if self.searched.is_some_and(early) {
            return;
        }
        self.searched = Some(moment.mono);
        let mut keys = mem::take(&mut self.keys);
        keys.retain(|_, place| {
            let meter = self.meters.get(*place as usize);
            let at_rest = meter.is_none_or(|it| it.is_at_rest(moment.mono, moment.wall));
            if at_rest {
                self.close(*place);
            }
            !at_rest
        });
        self.keys = keys;
    }

    /// Counts a call under all its claims; the place of its record.
    pub(super) fn take(&mut self, moment: &Moment, call: &Admission<'_>) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Place::Free);
            u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
        });
        let mut meters = [NOWHERE; INLINE];
        let mut free = meters.iter_mut();
        for claim in call.claims {
            let place = self.find_or_open(claim.measure.meter, &call.subject, moment);
            let meter = place.and_then(|at| self.meters.get_mut(at as usize));
            let (Some(place), Some(meter)) = (place, meter) else {
                continue;
            };
            let limits = &claim.measure.limits;
            meter.take(limits, moment.mono, moment.wall, moment.day_end);
            match free.next() {
                Some(slot) => *slot = place,
                None => self.more.entry(at).or_default().push(place),
            }
        }
        let Subject { to, caller } = call.subject;
        if let Some(place) = self.calls.get_mut(at as usize) {
            *place = Place::Call(Live {
                called: to.digits,
                caller,
                version: call.version,
                since: u32::try_from(moment.mono.as_nanos() / SECOND).unwrap_or(u32::MAX),
                meters,
                country: to.country,
                class: to.class,
                left: false,
            });
        }
        if let Some(asks) = &call.asks {
            self.hold_money(at, &call.subject, call.claims, asks, moment);
        }
        at
    }

    /// Gives back all that the call recorded at `at` holds.
    pub(super) fn release(&mut self, now: Now, at: u32) {
        self.leave(now, at);
        let Some(place) = self.calls.get_mut(at as usize) else {
            return;
        };
        if matches!(mem::replace(place, Place::Free), Place::Call(_)) {
            self.free.push(at);
            self.purses.give_back(at);
        }
    }

    /// The same, but money. A call holds it for as long as a carrier may bill it.
    pub(super) fn leave(&mut self, now: Now, at: u32) {
        self.latest = self.latest.max(now.mono);
        let Some(Place::Call(call)) = self.calls.get_mut(at as usize) else {
            return;
        };
        let live = *call;
        call.meters = [NOWHERE; INLINE];
        call.left = true;
        let mut leave = |meter: u32| {
            if let Some(meter) = self.meters.get_mut(meter as usize) {
                meter.leave();
            }
        };
        live.meters
            .into_iter()
            .take_while(|&it| it != NOWHERE)
            .for_each(&mut leave);
        if !self.more.is_empty() {
            self.more.remove(&at).into_iter().flatten().for_each(leave);
        }
    }

    /// Has the call recorded at `at` hold a place in a meter, if it holds none there.
    fn join(&mut self, at: u32, place: u32) {
        let (call, meter) = (
            self.calls.get_mut(at as usize),
            self.meters.get_mut(place as usize),
        );
        let (Some(Place::Call(live)), Some(meter)) = (call, meter) else {
            return;
        };
        let held = |held: &Vec<u32>| held.contains(&place);
        if live.left || live.meters.contains(&place) || self.more.get(&at).is_some_and(held) {
            return;
        }
        meter.join();
        match live.meters.iter_mut().find(|slot| **slot == NOWHERE) {
            Some(slot) => *slot = place,
            None => self.more.entry(at).or_default().push(place),
        }
    }

    /// Counts the calls that live under the claims of newer rules, where those
    /// count what earlier ones did not.
    ///
    /// For a moment after a change shards still judge by the earlier rules; what
    /// they let in is caught up with at the next call judged by the newer.
    pub(super) fn catch_up<'r>(
        &mut self,
        moment: &Moment,
        version: u64,
        covers: impl Fn(&Subject, &mut Claims<'r>),
        asks: impl Fn(&Subject, Mono) -> Option<Sum>,
    ) {
        if version == self.version && !self.behind {
            return;
        }
        if version < self.version {
            self.behind = true;
            return;
        }
        let mut claims = Claims::new();
        for at in 0..u32::try_from(self.calls.len()).unwrap_or(u32::MAX) {
            let (subject, since) = match self.calls.get_mut(at as usize) {
                Some(Place::Call(live)) if live.version < version => {
                    live.version = version;
                    (live.subject(), live.since())
                }
                _ => continue,
            };
            claims.clear();
            covers(&subject, &mut claims);
            for claim in &claims {
                if let Some(place) = self.find_or_open(claim.measure.meter, &subject, moment) {
                    self.join(at, place);
                }
            }
            self.join_money(at, (&subject, since), &claims, moment, &asks);
        }
        self.version = version;
        self.behind = false;
    }

    /// The sum of all counters of live things.
    pub(super) fn live(&self) -> u64 {
        let each = self.meters.iter().map(|meter| u64::from(meter.live()));
        let calls = self
            .calls
            .iter()
            .filter(|call| matches!(call, Place::Call(live) if !live.left));
        let calls = u64::try_from(calls.count()).unwrap_or(u64::MAX);
        each.sum::<u64>() + calls + self.purses.calls()
    }

    /// What is known of the call recorded at `at`.
    pub(super) fn subject(&self, at: u32) -> Option<Subject> {
        match self.calls.get(at as usize)? {
            Place::Call(live) => Some(live.subject()),
            Place::Free => None,
        }
    }

    /// Whether nothing in here matters any more.
    pub(super) fn is_at_rest(&self, now: Now) -> bool {
        let mut meters = self.meters.iter();
        self.live() == 0 && meters.all(|meter| meter.is_at_rest(now.mono, now.wall))
    }
}
