//! A map that never stands still to grow.
//!
//! A hash map that is full moves all that it has to a larger one: a hundred thousand
//! entries take milliseconds, in which a shard answers nobody. So one map is many small
//! ones here, each with its own share of the keys and its own time to grow.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

/// How many: with a million entries, some thousands move at a time.
const PARTS: usize = 256;

/// Entries of one part for which memory is always kept.
const KEPT: usize = 16;

/// A map in parts, with what a [`HashMap`] does that its users need. Its keys must be such
/// that nobody can choose them so as to fill one place: hashed with a key, or minted.
#[derive(Debug)]
pub struct Spread<K, V, S = FixedState> {
    parts: Box<[HashMap<K, V, S>]>,
    hasher: S,
    len: usize,
}

impl<K, V, S: BuildHasher + Default> Default for Spread<K, V, S> {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashMap::default()).collect(),
            hasher: S::default(),
            len: 0,
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Spread<K, V, S> {
    /// How many entries it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What stands under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.parts.get(self.part(key))?.get(key)
    }

    /// Whether anything stands under a key.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Puts a value under a key. What stood there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let part = self.part(&key);
        let before = self.parts.get_mut(part)?.insert(key, value);
        if before.is_none() {
            self.len += 1;
        }
        before
    }

    /// Removes what stands under a key. Most of a part's memory is given back where an
    /// eighth of it would do: so one that shrinks and grows again moves each entry a few
    /// times at most.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let part = self.part(key);
        let part = self.parts.get_mut(part)?;
        let removed = part.remove(key)?;
        self.len -= 1;
        if part.capacity() > KEPT && part.len() < part.capacity() / 8 {
            part.shrink_to(part.len().saturating_mul(2).max(KEPT / 2));
        }
        Some(removed)
    }

    /// A part's place and a key's place in it come from other bits of the hash.
    fn part(&self, key: &K) -> usize {
        let [_, _, _, _, part, ..] = self.hasher.hash_one(key).to_le_bytes();
        usize::from(part)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u8..60, any::<Option<u8>>()), 0..400)) {
            let (mut map, mut model) = (Spread::<u8, u8>::default(), BTreeMap::new());
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                    }
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn no_part_has_more_than_its_share_and_what_a_burst_leaves_is_given_back() {
        let mut map = Spread::<u64, u64>::default();
        (0..100_000).for_each(|at| assert_eq!(map.insert(at, at), None));
        let most = map.parts.iter().map(HashMap::len).max();
        assert!(most < Some(1_000), "{most:?}");
        (0..99_000).for_each(|at| assert_eq!(map.remove(&at), Some(at)));
        let room: usize = map.parts.iter().map(HashMap::capacity).sum();
        assert!(room < 20_000, "{room}");
        assert_eq!(map.len(), 1_000);
    }
}
