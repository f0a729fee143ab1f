//! Storage with stable, generational keys: grown a chunk at a time, so that nothing
//! is ever copied to make room, and given back a chunk at a time, so that a burst does
//! not keep its memory for ever.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// Entries a chunk holds.
const ENTRIES: u32 = 256;
const CHUNK: usize = ENTRIES as usize;

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

/// So many entries, of which no key names any that is free.
struct Chunk<T> {
    /// None while the chunk has no memory.
    entries: Vec<Entry<T>>,
    /// The entry freed last, which is used again first: its cache line is warm.
    free: u32,
    /// Entries that hold a value, and those out of generations.
    taken: usize,
    /// Where entries begin that are used for the first time since the chunk has
    /// memory: no key ever had this generation.
    fresh: NonZeroU32,
}

impl<T> Chunk<T> {
    const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            taken: 0,
            fresh: NonZeroU32::MIN,
        }
    }

    const fn has_room(&self) -> bool {
        self.free != NONE || self.entries.len() < CHUNK
    }

    /// Stores `value` where there is room, and says at which place.
    fn insert(&mut self, value: T) -> (usize, NonZeroU32) {
        let slot = Slot::Taken(value);
        self.taken += 1;
        let place = usize::try_from(self.free).unwrap_or(usize::MAX);
        if let Some(entry) = self.entries.get_mut(place)
            && let Slot::Free(next) = entry.slot
        {
            entry.slot = slot;
            self.free = next;
            return (place, entry.generation);
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(CHUNK);
        }
        let generation = self.fresh;
        self.entries.push(Entry { generation, slot });
        (self.entries.len() - 1, generation)
    }

    fn remove(&mut self, place: usize, generation: NonZeroU32) -> Option<T> {
        let entry = self.entries.get_mut(place)?;
        if entry.generation != generation || matches!(entry.slot, Slot::Free(_)) {
            return None;
        }
        let slot = std::mem::replace(&mut entry.slot, Slot::Free(self.free));
        // An entry whose generations are used up is not used again, so that no
        // old key can ever name a new value: one entry lost in 2^32 removals.
        if let Some(next) = generation.checked_add(1) {
            entry.generation = next;
            self.free = u32::try_from(place).unwrap_or(NONE);
            self.taken -= 1;
        }
        match slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// Gives the memory back, if nothing is in it.
    fn give_back(&mut self) {
        if self.taken > 0 {
            return;
        }
        let newest = self.entries.iter().map(|entry| entry.generation).max();
        self.fresh = newest.unwrap_or(self.fresh);
        self.entries = Vec::new();
        self.free = NONE;
    }
}

/// Values under generational keys. `K` is what the keys are tagged with, the
/// value's own type unless said otherwise.
pub struct Slab<T, K = T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks with room; the last is filled first, and is the only one that may
    /// be empty and have memory.
    open: Vec<u32>,
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
            open: Vec::new(),
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
        let Some(at) = self.open.last().copied().or_else(|| self.append()) else {
            return Err(value);
        };
        let Some(chunk) = usize::try_from(at)
            .ok()
            .and_then(|at| self.chunks.get_mut(at))
        else {
            return Err(value);
        };
        let (place, generation) = chunk.insert(value);
        if !chunk.has_room() {
            self.open.pop();
        }
        self.len += 1;
        Ok(Key::new(index_of(at, place), generation))
    }

    /// Adds a chunk, and says which; `None` where no key could name its entries.
    fn append(&mut self) -> Option<u32> {
        let at = u32::try_from(self.chunks.len()).ok()?;
        if at >= NONE / ENTRIES {
            return None;
        }
        self.chunks.push(Chunk::new());
        self.open.push(at);
        Some(at)
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
        let (at, place) = (key.index / ENTRIES, key.index % ENTRIES);
        let last = self.open.last().copied();
        let chunk = self.chunks.get_mut(usize::try_from(at).ok()?)?;
        let had_room = chunk.has_room();
        let value = chunk.remove(usize::try_from(place).ok()?, key.generation)?;
        self.len -= 1;
        if had_room && last != Some(at) {
            chunk.give_back();
        } else if !had_room && chunk.has_room() {
            self.open.push(at);
            let last = last.and_then(|last| self.chunks.get_mut(usize::try_from(last).ok()?));
            last.map(Chunk::give_back);
        }
        Some(value)
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
        (0_u32..).zip(&self.chunks).flat_map(|(at, chunk)| {
            let entries = (0_usize..).zip(&chunk.entries);
            entries.filter_map(move |(place, entry)| match &entry.slot {
                Slot::Taken(value) => {
                    Some((Key::new(index_of(at, place), entry.generation), value))
                }
                Slot::Free(_) => None,
            })
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
        self.chunks.get(index / CHUNK)?.entries.get(index % CHUNK)
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        let index = usize::try_from(index).ok()?;
        let chunk = self.chunks.get_mut(index / CHUNK)?;
        chunk.entries.get_mut(index % CHUNK)
    }
}

/// The index of an entry by its chunk and its place there.
fn index_of(chunk: u32, place: usize) -> u32 {
    let place = u32::try_from(place).unwrap_or(NONE);
    chunk.saturating_mul(ENTRIES).saturating_add(place)
}

impl<T: fmt::Debug, K> fmt::Debug for Slab<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

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
        slab.chunks[0].entries[0].generation = NonZeroU32::MAX;
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
    fn a_burst_gives_its_memory_back_and_no_key_is_given_out_again() {
        let mut slab = Slab::new(10_000);
        let mut given = HashSet::new();
        for oldest_first in [true, false, true] {
            let mut keys: Vec<_> = (0..10_000).map(|at| slab.insert(at).unwrap()).collect();
            assert!(keys.iter().all(|key| given.insert(*key)));
            assert_eq!(held(&slab), 10_000_usize.div_ceil(CHUNK));
            if oldest_first {
                keys.reverse();
            }
            let stays = keys.remove(5_000);
            for key in keys {
                assert!(slab.remove(key).is_some());
            }
            assert!(held(&slab) <= 2);
            assert!(slab.remove(stays).is_some());
            assert!(held(&slab) <= 1);
        }
    }

    /// Chunks that have memory.
    fn held<T>(slab: &Slab<T>) -> usize {
        let chunks = slab.chunks.iter();
        chunks.filter(|chunk| chunk.entries.capacity() > 0).count()
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
        prop::collection::vec(op, 0..2400)
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(ops in ops(), limit in 0_usize..900) {
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
                let used = slab.chunks.iter().filter(|chunk| chunk.taken > 0).count();
                prop_assert!(held(&slab) <= used + 1);
            }
            for key in keys {
                prop_assert_eq!(slab.get(key), model.get(&key));
            }
            let all: HashMap<_, _> = slab.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(all, model);
        }
    }
}
