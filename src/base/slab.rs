//! Storage with stable, generational keys: grown a chunk at a time, so that
//! nothing is ever copied to make room.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// Entries a chunk holds.
const CHUNK: usize = 256;

/// The end of the list of free entries. No entry has this index.
const NONE: u32 = u32::MAX;

/// Names one value of a [`Slab`], and none after that value was removed.
///
/// `K` only tells the keys of different slabs apart.
pub struct Key<K> {
    index: u32,
    generation: NonZeroU32,
    tag: PhantomData<fn() -> K>,
}

impl<K> Key<K> {
    /// A key that never names anything.
    pub(super) const NEVER: Self = Self::new(NONE, NonZeroU32::MAX);

    const fn new(index: u32, generation: NonZeroU32) -> Self {
        Self {
            index,
            generation,
            tag: PhantomData,
        }
    }

    /// The entry's place in its slab, for what is linked by place.
    pub(super) const fn index(self) -> u32 {
        self.index
    }

    const fn order(self) -> (u32, NonZeroU32) {
        (self.index, self.generation)
    }
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Key<K> {}

impl<K> PartialEq for Key<K> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<K> Eq for Key<K> {}

impl<K> PartialOrd for Key<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Key<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl<K> Hash for Key<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order().hash(state);
    }
}

impl<K> fmt::Debug for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.generation)
    }
}

enum Slot<T> {
    Taken(T),
    /// The next free entry, or [`NONE`].
    Free(u32),
}

struct Entry<T> {
    generation: NonZeroU32,
    slot: Slot<T>,
}

/// Values under generational keys. `K` is what the keys are tagged with, the
/// value's own type unless said otherwise.
pub struct Slab<T, K = T> {
    chunks: Vec<Vec<Entry<T>>>,
    /// The entry freed last, which is used again first: its cache line is warm.
    free: u32,
    len: usize,
    limit: usize,
    tag: PhantomData<fn() -> K>,
}

impl<T> Slab<T> {
    /// An empty slab that takes at most `limit` values. Allocates nothing yet.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self::tagged(limit)
    }
}

impl<T, K> Slab<T, K> {
    /// As [`Slab::new`], with keys of a type of their own.
    #[must_use]
    pub const fn tagged(limit: usize) -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            len: 0,
            limit,
            tag: PhantomData,
        }
    }

    /// Stores `value`.
    ///
    /// # Errors
    /// At the limit, `value` is handed back.
    pub fn insert(&mut self, value: T) -> Result<Key<K>, T> {
        if self.len >= self.limit {
            return Err(value);
        }
        if let Some(entry) = self.entry_mut(self.free) {
            let Slot::Free(next) = entry.slot else {
                return Err(value);
            };
            let generation = entry.generation;
            entry.slot = Slot::Taken(value);
            let key = Key::new(self.free, generation);
            self.free = next;
            self.len += 1;
            return Ok(key);
        }
        self.append(value)
    }

    /// Stores `value` in an entry that was never used.
    fn append(&mut self, value: T) -> Result<Key<K>, T> {
        let full = self.chunks.last().is_none_or(|last| last.len() == CHUNK);
        let behind = self.chunks.len().saturating_sub(1) * CHUNK;
        let used = behind + self.chunks.last().map_or(0, Vec::len);
        let Some(index) = u32::try_from(used).ok().filter(|index| *index != NONE) else {
            return Err(value);
        };
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK.min(self.limit)));
        }
        let Some(last) = self.chunks.last_mut() else {
            return Err(value);
        };
        let generation = NonZeroU32::MIN;
        last.push(Entry {
            generation,
            slot: Slot::Taken(value),
        });
        self.len += 1;
        Ok(Key::new(index, generation))
    }

    /// The value under `key`, unless it was removed.
    #[must_use]
    pub fn get(&self, key: Key<K>) -> Option<&T> {
        let entry = self.entry(key.index)?;
        match &entry.slot {
            Slot::Taken(value) if entry.generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value under `key`, unless it was removed.
    #[must_use]
    pub fn get_mut(&mut self, key: Key<K>) -> Option<&mut T> {
        let entry = self.entry_mut(key.index)?;
        match &mut entry.slot {
            Slot::Taken(value) if entry.generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value under `key` out; its key then names nothing for ever.
    pub fn remove(&mut self, key: Key<K>) -> Option<T> {
        let free = self.free;
        let entry = self.entry_mut(key.index)?;
        if entry.generation != key.generation || matches!(entry.slot, Slot::Free(_)) {
            return None;
        }
        let slot = std::mem::replace(&mut entry.slot, Slot::Free(free));
        // An entry whose generations are used up is not used again, so that no
        // old key can ever name a new value: one entry lost in 2^32 removals.
        if let Some(next) = entry.generation.checked_add(1) {
            entry.generation = next;
            self.free = key.index;
        }
        self.len -= 1;
        match slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// Values stored now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is stored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every value with its key, by place. Walks the free entries too.
    pub fn iter(&self) -> impl Iterator<Item = (Key<K>, &T)> {
        let entries = self.chunks.iter().flatten();
        (0_u32..)
            .zip(entries)
            .filter_map(|(index, entry)| match &entry.slot {
                Slot::Taken(value) => Some((Key::new(index, entry.generation), value)),
                Slot::Free(_) => None,
            })
    }

    /// The value at a place, whatever its generation.
    pub(super) fn at(&self, index: u32) -> Option<&T> {
        match &self.entry(index)?.slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// The value at a place, whatever its generation.
    pub(super) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.entry_mut(index)?.slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// Takes the value at a place out, whatever its generation.
    pub(super) fn remove_at(&mut self, index: u32) -> Option<T> {
        let generation = self.entry(index)?.generation;
        self.remove(Key::new(index, generation))
    }

    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        let index = usize::try_from(index).ok()?;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        let index = usize::try_from(index).ok()?;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }
}

impl<T: fmt::Debug, K> fmt::Debug for Slab<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_names_one_value_for_ever() {
        let mut slab = Slab::new(2);
        let first = slab.insert("first").unwrap();
        let second = slab.insert("second").unwrap();
        assert_eq!(slab.insert("third"), Err("third"));
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.remove(first), None);
        let third = slab.insert("third").unwrap();
        assert_eq!(
            third.index(),
            first.index(),
            "the entry freed last is used first"
        );
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(third), Some(&"third"));
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn an_entry_out_of_generations_is_retired() {
        let mut slab = Slab::new(8);
        let key = slab.insert(1).unwrap();
        slab.chunks[0][0].generation = NonZeroU32::MAX;
        let last = Key::new(key.index, NonZeroU32::MAX);
        assert_eq!(slab.remove(last), Some(1));
        assert!(slab.is_empty());
        let next = slab.insert(2).unwrap();
        assert_ne!(next.index(), last.index());
        assert_eq!(slab.get(last), None);
        assert_eq!(slab.remove(last), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn keys_and_entries_are_small() {
        assert_eq!(size_of::<Option<Key<String>>>(), 8);
        assert_eq!(size_of::<Entry<Box<u8>>>(), 24);
        assert_eq!(
            size_of::<Entry<String>>(),
            32,
            "the niche tells free from taken"
        );
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u16),
        Remove(usize),
        Change(usize, u16),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            3 => any::<u16>().prop_map(Op::Insert),
            2 => any::<usize>().prop_map(Op::Remove),
            1 => (any::<usize>(), any::<u16>()).prop_map(|(at, value)| Op::Change(at, value)),
        ];
        prop::collection::vec(op, 0..1200)
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(ops in ops(), limit in 0_usize..400) {
            let mut slab = Slab::new(limit);
            let mut model = HashMap::new();
            let mut keys = Vec::new();
            for op in ops {
                match op {
                    Op::Insert(value) => match slab.insert(value) {
                        Ok(key) => {
                            prop_assert!(model.len() < limit);
                            prop_assert_eq!(model.insert(key, value), None);
                            keys.push(key);
                        }
                        Err(back) => {
                            prop_assert_eq!(back, value);
                            prop_assert_eq!(model.len(), limit);
                        }
                    },
                    Op::Remove(at) if !keys.is_empty() => {
                        let key = keys[at % keys.len()];
                        prop_assert_eq!(slab.remove(key), model.remove(&key));
                    }
                    Op::Change(at, value) if !keys.is_empty() => {
                        let key = keys[at % keys.len()];
                        let (mine, its) = (slab.get_mut(key), model.get_mut(&key));
                        prop_assert_eq!(&mine, &its);
                        if let (Some(mine), Some(its)) = (mine, its) {
                            (*mine, *its) = (value, value);
                        }
                    }
                    Op::Remove(_) | Op::Change(..) => {}
                }
                prop_assert_eq!(slab.len(), model.len());
                prop_assert_eq!(slab.is_empty(), model.is_empty());
            }
            for key in keys {
                prop_assert_eq!(slab.get(key), model.get(&key));
            }
            let all: HashMap<_, _> = slab.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(all, model);
        }
    }
}
