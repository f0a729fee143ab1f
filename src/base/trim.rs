//! Giving back what a burst has left: a collection that was once large keeps its
//! memory otherwise.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Entries for which memory is always kept.
const KEPT: usize = 4_096;

/// Gives back most of a map's memory where an eighth of it would do: so a map that
/// shrinks and grows again moves each entry a few times at most. To be called when
/// something was removed.
pub fn trim<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len().saturating_mul(2).max(KEPT / 2));
    }
}

/// Empties a list and keeps no more memory than for some thousand entries.
pub fn clear<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(KEPT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_leaves_is_given_back_now_and_then() {
        let mut map: HashMap<u32, u32> = (0..100_000).map(|at| (at, at)).collect();
        let mut moved = 0;
        for at in 0..100_000 {
            map.remove(&at);
            let before = map.capacity();
            trim(&mut map);
            if map.capacity() < before {
                moved += 1;
            }
            assert!(map.capacity() <= KEPT.max(8 * map.len() + 8), "{at}");
        }
        assert!((1..10).contains(&moved), "{moved}");
        let mut list: Vec<u32> = (0..100_000).collect();
        clear(&mut list);
        assert!(list.is_empty() && list.capacity() <= 2 * KEPT);
    }
}
