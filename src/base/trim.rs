//! Giving back what a burst has left: a collection that was once large keeps its
//! memory otherwise.

/// Entries for which memory is always kept.
const KEPT: usize = 4_096;

/// Empties a list and keeps no more memory than for some thousand entries.
pub fn clear<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(KEPT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_leaves_is_given_back() {
        let mut list: Vec<u32> = (0..100_000).collect();
        clear(&mut list);
        assert!(list.is_empty() && list.capacity() <= 2 * KEPT);
    }
}
