//! Which meter counts a call: one a scope, or one a number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::book::{Meters, Subject};
use super::meter::Meter;
use super::pages::{Moment, Pages};
use crate::base::tally::{Scope, Which};
use crate::base::time::Mono;
use crate::policy::target::Packed;

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

/// The meter, or the family of meters, of each scope that rules name.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    places: BTreeMap<Scope, Named>,
    families: Vec<Family>,
}

/// Where a scope is counted.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// The place of its meter, or of its family.
    place: u32,
    /// The scope's number: no other scope of any book has it.
    number: u32,
}

/// The meters of one scope that counts each number by itself.
#[derive(Debug, Default)]
struct Family {
    /// The scope's number.
    number: u32,
    /// Ordered, not hashed: the numbers are chosen by whoever dials.
    keys: BTreeMap<(Packed, Packed), u32>,
    /// The meter that all numbers share for which there is no room.
    shared: Option<u32>,
    /// When `keys` was last searched for what no longer matters.
    searched: Option<Mono>,
}

impl Pages {
    /// The meter or meters of a scope; `None` at the limit. `numbers` says how many
    /// scopes have a number.
    pub(super) fn named(&mut self, scope: &Scope, numbers: &AtomicU32) -> Option<Meters> {
        let place = match self.scopes.places.get(scope) {
            Some(named) => named.place,
            None if self.scopes.places.len() >= SCOPES_MAX => return None,
            None => {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let place = match scope.each {
                    None => self.open_named(number)?,
                    Some(_) => self.open_family(number)?,
                };
                let named = Named { place, number };
                self.scopes.places.insert(scope.clone(), named);
                place
            }
        };
        Some(match scope.each {
            None => Meters::Fixed(place),
            Some(who) => Meters::Each(place, who),
        })
    }

    fn open_named(&mut self, number: u32) -> Option<u32> {
        let place = self.open()?;
        if let Some(meter) = self.meters.get_mut(place as usize) {
            meter.number(number);
        }
        Some(place)
    }

    fn open_family(&mut self, number: u32) -> Option<u32> {
        if self.scopes.families.len() >= FAMILIES_MAX {
            return None;
        }
        self.scopes.families.push(Family {
            number,
            ..Family::default()
        });
        u32::try_from(self.scopes.families.len() - 1).ok()
    }

    /// The scope with this number.
    pub(super) fn scope(&self, number: u32) -> Option<&Scope> {
        let mut places = self.scopes.places.iter();
        let found = places.find(|(_, named)| named.number == number);
        found.map(|(scope, _)| scope)
    }

    /// The number of a scope.
    pub(super) fn number_of(&self, scope: &Scope) -> Option<u32> {
        self.scopes.places.get(scope).map(|named| named.number)
    }

    /// The scope of a claim, by its number, and which of its meters `place` is.
    pub(super) fn which(&self, meter: Meters, subject: &Subject, place: u32) -> (u32, Which) {
        let (family, who) = match meter {
            Meters::Fixed(place) => {
                let meter = self.meters.get(place as usize);
                return (meter.map_or(0, Meter::scope), Which::Whole);
            }
            Meters::Each(family, who) => (family, who),
        };
        let Some(family) = self.scopes.families.get(family as usize) else {
            return (0, Which::Whole);
        };
        let (caller, called) = subject.key(who);
        let which = match family.shared == Some(place) {
            true => Which::Shared,
            false => Which::Own(caller.bits(), called.bits()),
        };
        (family.number, which)
    }

    /// The meter that was one of a scope's before a restart. Where numbers have no
    /// room any more it is the one that they share.
    pub(super) fn place_of(
        &mut self,
        scope: &Scope,
        which: Which,
        numbers: &AtomicU32,
    ) -> Option<u32> {
        let at = match self.named(scope, numbers)? {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(family, _) => family as usize,
        };
        let family = self.scopes.families.get(at)?;
        let key = match which {
            Which::Own(caller, called) => {
                let key = (Packed::from_bits(caller), Packed::from_bits(called));
                if let Some(&place) = family.keys.get(&key) {
                    return Some(place);
                }
                (family.keys.len() < KEYS_MAX).then_some(key)
            }
            Which::Whole | Which::Shared => None,
        };
        if let (None, Some(shared)) = (key, family.shared) {
            return Some(shared);
        }
        let place = self.open()?;
        let family = self.scopes.families.get_mut(at)?;
        match key {
            Some(key) => _ = family.keys.insert(key, place),
            None => family.shared = Some(place),
        }
        Some(place)
    }

    /// The meter of a scope in which there is one, if rules ever named it.
    pub(super) fn known(&self, scope: &Scope) -> Option<u32> {
        let one = scope.each.is_none();
        let named = self.scopes.places.get(scope).filter(|_| one);
        named.map(|it| it.place)
    }

    /// The meter of a claim, if there is one yet.
    pub(super) fn find(&self, meter: Meters, subject: &Subject) -> Option<u32> {
        let (family, who) = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(family, who) => (family, who),
        };
        let family = self.scopes.families.get(family as usize)?;
        let own = family.keys.get(&subject.key(who)).copied();
        own.or(family.shared)
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
        let (at, who) = match meter {
            Meters::Fixed(place) => return Some(place),
            Meters::Each(family, who) => (family as usize, who),
        };
        let key = subject.key(who);
        let family = self.scopes.families.get_mut(at)?;
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
        let family = self.scopes.families.get_mut(at)?;
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
        let Some(family) = self.scopes.families.get_mut(family) else {
            return;
        };
        let early = |last: Mono| moment.mono.saturating_since(last) < SEARCH_EVERY;
        if family.keys.len() < KEYS_MAX || family.searched.is_some_and(early) {
            return;
        }
        family.searched = Some(moment.mono);
        let (meters, spare) = (&mut self.meters, &mut self.spare);
        let (numbers, purses) = (&mut self.numbers, &mut self.purses);
        family.keys.retain(|_, place| {
            let meter = meters.get_mut(*place as usize);
            let rests = |it: &&mut Meter| it.is_at_rest(moment.mono, moment.wall);
            match meter.filter(rests) {
                Some(meter) => {
                    *meter = Meter::default();
                    numbers.remove(place);
                    purses.close(*place);
                    spare.push(*place);
                    false
                }
                None => true,
            }
        });
    }
}
