//! What is in a book: meters, the calls that live, and the clocks it goes by.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::mem;

use smallvec::SmallVec;

use super::book::{Admission, Claim, Claims, Subject, UsedUp};
use super::day::Minute;
use super::kept::Counted;
use super::meter::Meter;
use super::numbers::Numbers;
use super::purse::{Purses, Sum};
use super::scopes::Scopes;
use crate::base::tally::Place as Counter;
use crate::base::time::{Mono, Now, Wall};
use crate::policy::numbering::{Class, Country};
use crate::policy::target::{Destination, Packed};

/// A live call, or a place where one can be put: small, and with nothing to drop, so
/// that it is written without being read.
#[derive(Clone, Copy, Debug)]
enum Place {
    Call(Live),
    Free,
}

const _: () = assert!(
    size_of::<Place>() == 64,
    "a place has the size of a cache line"
);

/// What is known of a call that lives.
#[derive(Clone, Copy, Debug)]
struct Live {
    called: Packed,
    caller: Packed,
    /// The latest rule set by which it is counted.
    version: u32,
    /// When it was let in, in seconds.
    since: u32,
    /// The meters in which it holds a place; [`NOWHERE`] behind the last. Where
    /// there are more, they are in [`Pages::more`].
    meters: [u32; INLINE],
    minute: Minute,
    inbound: bool,
    country: Option<Country>,
    class: Class,
    /// It holds no place any more; only money, maybe.
    left: bool,
}

/// Meters that a call's record has room for.
const INLINE: usize = 7;

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
    /// Those of most tenants fit in here, beside the meters.
    calls: SmallVec<[Place; 2]>,
    /// Places among `calls` that are free.
    free: SmallVec<[u32; 4]>,
    /// The latest time that any shard has come with.
    latest: Mono,
    /// The latest rule set seen.
    version: u64,
    /// A live call is not counted by that rule set yet.
    behind: bool,
    /// Meters that stand for nothing, to be used again.
    pub(super) spare: Vec<u32>,
    /// The meters of each scope that rules name.
    pub(super) scopes: Scopes,
    /// The different numbers of the day, of the meters that count them.
    pub(super) numbers: BTreeMap<u32, Numbers>,
    /// Meters of calls that hold more places than fit into their record.
    more: BTreeMap<u32, Vec<u32>>,
    /// What calls cost.
    pub(super) purses: Purses,
    /// How often all of it was reset.
    pub(super) resets: u64,
}

impl Pages {
    /// Has the processor fetch what every call touches in here.
    pub(super) fn warm(&self) {
        for meter in self.meters.iter().take(2) {
            black_box(meter.live());
        }
        for call in self.calls.iter().take(2) {
            black_box(matches!(call, Place::Free));
        }
        black_box((self.version, self.resets));
    }

    /// The same of what meters keep elsewhere, once they are there.
    pub(super) fn warm_times(&self) {
        for meter in self.meters.iter().take(2) {
            black_box(meter.last());
        }
    }

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

    /// The place of a fresh meter.
    pub(super) fn open(&mut self) -> Option<u32> {
        if let Some(place) = self.spare.pop() {
            return Some(place);
        }
        let place = u32::try_from(self.meters.len()).ok();
        let place = place.filter(|&place| place != NOWHERE)?;
        self.meters.push(Meter::default());
        Some(place)
    }

    pub(super) fn close(&mut self, place: u32) {
        if let Some(meter) = self.meters.get_mut(place as usize) {
            *meter = Meter::default();
            self.numbers.remove(&place);
            self.purses.close(place);
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
            if call.rigour.refuses(claim.measure, over.over.quantity) {
                return Err(over);
            }
            observed = observed.or(Some(over));
        }
        let Some(asks) = &call.asks else {
            return Ok(observed);
        };
        let short = self.short(None, &call.subject, call.claims, asks, call.rigour)?;
        Ok(observed.or(short))
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

    /// Counts a call under all its claims: the place of its record, and where it is
    /// counted.
    pub(super) fn take(&mut self, moment: &Moment, call: &Admission<'_>) -> (u32, Counted) {
        let subject = &call.subject;
        let at = self.record(moment.mono, call);
        let mut counted = Counted::new(moment, subject, self.resets);
        for claim in call.claims {
            let measure = claim.measure;
            if measure.money_only {
                continue;
            }
            let place = self.find_or_open(measure.meter, subject, moment);
            let meter = place.and_then(|at| self.meters.get_mut(at as usize));
            let (Some(place), Some(meter)) = (place, meter) else {
                continue;
            };
            let limits = &measure.limits;
            if !measure.twin {
                meter.take(limits, moment.mono, moment.wall, moment.day_end);
            }
            let numbers = limits.numbers().is_some();
            if numbers {
                let numbers = self.numbers.entry(place).or_default();
                numbers.take(subject.to.digits, moment.wall, moment.day_end);
            }
            let (scope, which) = self.which(measure.meter, subject, place);
            counted.add(Counter {
                scope,
                which,
                keep: limits.keep(),
                numbers,
                part: limits.part(),
                ..Counter::default()
            });
            if !measure.twin {
                self.note(at, place);
            }
        }
        if let Some(asks) = &call.asks {
            self.hold_money(at, subject, call.claims, asks, moment);
        }
        (at, counted)
    }

    /// Records a call that lives from `since` on, and holds no place yet.
    pub(super) fn record(&mut self, since: Mono, call: &Admission<'_>) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Place::Free);
            u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
        });
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
                since: u32::try_from(since.as_nanos() / SECOND).unwrap_or(u32::MAX),
                meters: [NOWHERE; INLINE],
                minute,
                inbound,
                country: to.country,
                class: to.class,
                left: false,
            });
        }
        at
    }

    /// Notes that the call recorded at `at` holds a place in a meter.
    fn note(&mut self, at: u32, meter: u32) {
        let Some(Place::Call(live)) = self.calls.get_mut(at as usize) else {
            return;
        };
        match live.meters.iter_mut().find(|slot| **slot == NOWHERE) {
            Some(slot) => *slot = meter,
            None => self.more.entry(at).or_default().push(meter),
        }
    }

    /// The call recorded at `at`, which has left, gives back its money, too.
    pub(super) fn free(&mut self, at: u32) {
        let Some(place) = self.calls.get_mut(at as usize) else {
            return;
        };
        if matches!(mem::replace(place, Place::Free), Place::Call(_)) {
            self.free.push(at);
            self.purses.give_back(at);
        }
    }

    /// Gives back the places of the call recorded at `at`, but no money: a call
    /// holds that for as long as a carrier may bill it. Returns the number that it
    /// called, the first time, if it came from the tenant.
    pub(super) fn leave(&mut self, now: Now, at: u32) -> Option<Packed> {
        self.latest = self.latest.max(now.mono);
        let Some(Place::Call(call)) = self.calls.get_mut(at as usize) else {
            return None;
        };
        if call.left {
            return None;
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
        (!live.inbound).then_some(live.called)
    }

    /// Has the call recorded at `at` hold a place in a meter, if it holds none there.
    pub(super) fn join(&mut self, at: u32, place: u32) {
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
        self.note(at, place);
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
                Some(Place::Call(live)) if live.version < short(version) => {
                    live.version = short(version);
                    (live.subject(), live.since())
                }
                _ => continue,
            };
            claims.clear();
            covers(&subject, &mut claims);
            for claim in claims.iter().filter(|it| !it.measure.money_only) {
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
        each.sum::<u64>() + self.calls_up()
    }

    /// How many calls live.
    pub(super) fn calls_up(&self) -> u64 {
        let calls = self
            .calls
            .iter()
            .filter(|call| matches!(call, Place::Call(live) if !live.left));
        u64::try_from(calls.count()).unwrap_or(u64::MAX)
    }

    /// The calls that money is reserved for, which outlives their places: a
    /// carrier may answer late.
    pub(super) fn reserving(&self) -> u64 {
        self.purses.calls()
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
        // What follows a reset would be taken for what was before it.
        self.resets == 0
            && self.live() == 0
            && meters.all(|meter| meter.is_at_rest(now.mono, now.wall))
    }
}
