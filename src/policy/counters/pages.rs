//! What is in a book: meters, the calls that live, and the clocks it goes by.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use smallvec::SmallVec;

use super::book::{Admission, Claim, Claims, Meters, Scope, Subject, UsedUp};
use super::day::Minute;
use super::meter::Meter;
use super::numbers::Numbers;
use crate::base::time::{Mono, Now, Wall};
use crate::policy::numbering::{Class, Country};
use crate::policy::target::{Destination, Packed};

/// Numbers that a book counts one by one in one scope. At the limit new ones
/// share one counter under the same cap, until nothing in it matters.
pub(super) const KEYS_MAX: usize = 4_096;

/// Scopes that a book has had, in all rule sets since the start. At the limit
/// rules that name a new one do not compile.
const SCOPES_MAX: usize = 4_096;

/// The same, of those that count each number by itself.
const FAMILIES_MAX: usize = 64;

/// How often numbers are searched for what no longer matters, at most.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

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
    version: u32,
    /// The meters in which it holds a place; [`NOWHERE`] behind the last. Where
    /// there are more, they are in [`Pages::more`].
    meters: [u32; 8],
    minute: Minute,
    inbound: bool,
    country: Option<Country>,
    class: Class,
}

/// No meter's place.
const NOWHERE: u32 = u32::MAX;

/// The number of a rule set in four bytes: so often no rules are compiled.
fn short(version: u64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

impl Live {
    fn subject(&self) -> Subject {
        Subject {
            to: Destination {
                digits: self.called,
                country: self.country,
                class: self.class,
            },
            caller: self.caller,
            minute: self.minute,
            inbound: self.inbound,
        }
    }
}

/// The meters of one scope that counts each number by itself.
#[derive(Debug, Default)]
struct Family {
    /// Ordered, not hashed: the numbers are chosen by whoever dials.
    keys: BTreeMap<(Packed, Packed), u32>,
    /// The meter that all numbers share for which there is no room.
    shared: Option<u32>,
    /// When `keys` was last searched for what no longer matters.
    searched: Option<Mono>,
}

/// When something happens, on clocks that do not go back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    mono: Mono,
    wall: Wall,
    day_end: Wall,
}

/// The inside of a book.
///
/// What every call touches stands together, in front.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Pages {
    meters: SmallVec<[Meter; 2]>,
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
    /// The meter, or the family of meters, of each scope that rules name.
    scopes: BTreeMap<Scope, u32>,
    families: Vec<Family>,
    /// The different numbers of the day, of the meters that count them.
    numbers: BTreeMap<u32, Numbers>,
    /// Meters of calls that hold more places than fit into their record.
    more: BTreeMap<u32, Vec<u32>>,
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

    /// The meter or meters of a scope; `None` at the limit.
    pub(super) fn named(&mut self, scope: &Scope) -> Option<Meters> {
        let place = match self.scopes.get(scope) {
            Some(&place) => place,
            None if self.scopes.len() >= SCOPES_MAX => return None,
            None => {
                let place = match scope.each {
                    None => self.open()?,
                    Some(_) => self.open_family()?,
                };
                self.scopes.insert(scope.clone(), place);
                place
            }
        };
        Some(match scope.each {
            None => Meters::Fixed(place),
            Some(who) => Meters::Each(place, who),
        })
    }

    fn open_family(&mut self) -> Option<u32> {
        if self.families.len() >= FAMILIES_MAX {
            return None;
        }
        self.families.push(Family::default());
        u32::try_from(self.families.len() - 1).ok()
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
            self.numbers.remove(&place);
            self.spare.push(place);
        }
    }

    /// The first claim that leaves no room, and is not to refuse the call.
    ///
    /// # Errors
    ///
    /// The first that is.
    pub(super) fn over(
        &self,
        moment: &Moment,
        call: &Admission<'_>,
    ) -> Result<Option<UsedUp>, UsedUp> {
        let mut observed = None;
        for claim in call.claims {
            let Some(over) = self.used_up(moment, claim, call.subject) else {
                continue;
            };
            if !call.regardless && !claim.measure.observe {
                return Err(over);
            }
            observed = observed.or(Some(over));
        }
        Ok(observed)
    }

    /// The quantity of which a claim leaves no room.
    fn used_up(&self, moment: &Moment, claim: &Claim<'_>, subject: Subject) -> Option<UsedUp> {
        // Not even the first call has room where none is allowed.
        let (fresh, none) = const { (&Meter::NEW, &Numbers::NONE) };
        let limits = &claim.measure.limits;
        let place = self.find(claim.measure.meter, &subject);
        let meter = place.and_then(|at| self.meters.get(at as usize));
        let meter = meter.unwrap_or(fresh);
        let over = meter.check(limits, moment.mono, moment.wall);
        let over = over.or_else(|| {
            let limit = limits.numbers()?;
            let numbers = place.and_then(|at| self.numbers.get(&at));
            let called = subject.to.digits;
            numbers.unwrap_or(none).check(limit, called, moment.wall)
        })?;
        Some(UsedUp {
            cap: claim.cap,
            over,
        })
    }

    /// The meter of a claim, if there is one yet.
    fn find(&self, meter: Meters, subject: &Subject) -> Option<u32> {
        let (family, who) = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(family, who) => (family, who),
        };
        let family = self.families.get(family as usize)?;
        let own = family.keys.get(&subject.key(who)).copied();
        own.or(family.shared)
    }

    /// The meter of a claim, opened if there is none.
    ///
    /// While anything in the shared meter matters, numbers without a meter of
    /// their own are counted there: one that was counted there before would
    /// otherwise start again from nothing.
    fn find_or_open(&mut self, meter: Meters, subject: &Subject, moment: &Moment) -> Option<u32> {
        let (at, who) = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(family, who) => (family as usize, who),
        };
        let key = subject.key(who);
        let family = self.families.get_mut(at)?;
        if let Some(&place) = family.keys.get(&key) {
            return Some(place);
        }
        if let Some(shared) = family.shared {
            let at_rest = |meter: &Meter| meter.is_at_rest(moment.mono, moment.wall);
            if !self.meters.get(shared as usize).is_some_and(at_rest) {
                return Some(shared);
            }
            family.shared = None;
            self.close(shared);
        }
        self.make_room(at, moment);
        let place = self.open()?;
        let family = self.families.get_mut(at)?;
        if family.keys.len() >= KEYS_MAX {
            family.shared = Some(place);
        } else {
            family.keys.insert(key, place);
        }
        Some(place)
    }

    /// Closes the meters of numbers that no longer matter, where there is no room
    /// for another; not often, so that it costs little however many new numbers
    /// come.
    fn make_room(&mut self, family: usize, moment: &Moment) {
        let Some(family) = self.families.get_mut(family) else {
            return;
        };
        let early = |last: Mono| moment.mono.saturating_since(last) < SEARCH_EVERY;
        if family.keys.len() < KEYS_MAX || family.searched.is_some_and(early) {
            return;
        }
        family.searched = Some(moment.mono);
        let (meters, spare, numbers) = (&mut self.meters, &mut self.spare, &mut self.numbers);
        family.keys.retain(|_, place| {
            let meter = meters.get_mut(*place as usize);
            let rests = |it: &&mut Meter| it.is_at_rest(moment.mono, moment.wall);
            match meter.filter(rests) {
                Some(meter) => {
                    *meter = Meter::default();
                    numbers.remove(place);
                    spare.push(*place);
                    false
                }
                None => true,
            }
        });
    }

    /// Counts a call under all its claims; the place of its record.
    pub(super) fn take(&mut self, moment: &Moment, call: &Admission<'_>) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Place::Free);
            u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
        });
        let mut meters = [NOWHERE; 8];
        let mut free = meters.iter_mut();
        for claim in call.claims {
            let place = self.find_or_open(claim.measure.meter, &call.subject, moment);
            let meter = place.and_then(|at| self.meters.get_mut(at as usize));
            let (Some(place), Some(meter)) = (place, meter) else {
                continue;
            };
            let limits = &claim.measure.limits;
            if !claim.measure.twin {
                meter.take(limits, moment.mono, moment.wall, moment.day_end);
            }
            if limits.numbers().is_some() {
                let numbers = self.numbers.entry(place).or_default();
                numbers.take(call.subject.to.digits, moment.wall, moment.day_end);
            }
            if claim.measure.twin {
                continue;
            }
            match free.next() {
                Some(slot) => *slot = place,
                None => self.more.entry(at).or_default().push(place),
            }
        }
        let Subject {
            to,
            caller,
            minute,
            inbound,
        } = call.subject;
        if let Some(place) = self.calls.get_mut(at as usize) {
            *place = Place::Call(Live {
                called: to.digits,
                caller,
                version: short(call.version),
                meters,
                minute,
                inbound,
                country: to.country,
                class: to.class,
            });
        }
        at
    }

    /// Gives back what the call recorded at `at` holds; the number that it called,
    /// if it came from the tenant.
    pub(super) fn release(&mut self, now: Now, at: u32) -> Option<Packed> {
        self.latest = self.latest.max(now.mono);
        let place = self.calls.get_mut(at as usize)?;
        let Place::Call(live) = mem::replace(place, Place::Free) else {
            return None;
        };
        self.free.push(at);
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
        (!live.inbound).then_some(live.called)
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
        if live.meters.contains(&place) || self.more.get(&at).is_some_and(held) {
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
            let subject = match self.calls.get_mut(at as usize) {
                Some(Place::Call(live)) if live.version < short(version) => {
                    live.version = short(version);
                    live.subject()
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
            .filter(|call| matches!(call, Place::Call(_)));
        each.sum::<u64>() + u64::try_from(calls.count()).unwrap_or(u64::MAX)
    }

    /// Whether nothing in here matters any more.
    pub(super) fn is_at_rest(&self, now: Now) -> bool {
        let mut meters = self.meters.iter();
        self.live() == 0 && meters.all(|meter| meter.is_at_rest(now.mono, now.wall))
    }
}
