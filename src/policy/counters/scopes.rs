//! Which meter counts a call: one a scope, or one a number.

use std::collections::BTreeMap;
use std::time::Duration;

use super::book::{Meters, Scope, Subject};
use super::meter::Meter;
use super::pages::{Moment, Pages};
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
    places: BTreeMap<Scope, u32>,
    families: Vec<Family>,
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

impl Pages {
    /// The meter or meters of a scope; `None` at the limit.
    pub(super) fn named(&mut self, scope: &Scope) -> Option<Meters> {
        let place = match self.scopes.places.get(scope) {
            Some(&place) => place,
            None if self.scopes.places.len() >= SCOPES_MAX => return None,
            None => {
                let place = match scope.each {
                    None => self.open()?,
                    Some(_) => self.open_family()?,
                };
                self.scopes.places.insert(scope.clone(), place);
                place
            }
        };
        Some(match scope.each {
            None => Meters::Fixed(place),
            Some(who) => Meters::Each(place, who),
        })
    }

    fn open_family(&mut self) -> Option<u32> {
        if self.scopes.families.len() >= FAMILIES_MAX {
            return None;
        }
        self.scopes.families.push(Family::default());
        u32::try_from(self.scopes.families.len() - 1).ok()
    }

    /// The meter of a scope in which there is one, if rules ever named it.
    pub(super) fn known(&self, scope: &Scope) -> Option<u32> {
        let one = scope.each.is_none();
        self.scopes.places.get(scope).copied().filter(|_| one)
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
