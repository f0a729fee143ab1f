//! A flat trie over digit strings: which of many prefixes does a number begin with?
//!
//! Built once, then only read: nodes lie in one array, the children of a node
//! side by side, so a step is one bit test and one addition. A walk takes at
//! most one step a digit and never allocates.

/// Collects prefixes, and becomes a [`Trie`].
#[derive(Debug)]
pub struct TrieBuilder<T> {
    nodes: Vec<Growing>,
    values: Vec<T>,
}

/// A node while the trie grows: room for every digit.
#[derive(Clone, Copy, Debug, Default)]
struct Growing {
    /// Index of the node for each digit; 0 (the root, nobody's child) is none.
    children: [u32; 10],
    /// Index of the value plus one; 0 is none.
    value: u32,
}

/// Why a prefix was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The byte at this offset is no ASCII digit.
    NotADigit(usize),
    /// The trie holds as much as 32 bits can count.
    Full,
}

impl<T> Default for TrieBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TrieBuilder<T> {
    /// A trie without prefixes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Growing::default()],
            values: Vec::new(),
        }
    }

    /// Gives a prefix of ASCII digits its value; the empty prefix is every number's.
    ///
    /// Returns the value that the prefix had before, if any.
    ///
    /// # Errors
    ///
    /// [`InsertError`], and the trie is as it was but for nodes without a value.
    pub fn insert(&mut self, digits: &[u8], value: T) -> Result<Option<T>, InsertError> {
        let next = u32::try_from(self.values.len()).map_err(|_| InsertError::Full)?;
        let next = next.checked_add(1).ok_or(InsertError::Full)?;
        let at = self.node(digits)?;
        let Some(node) = self.nodes.get_mut(at) else {
            return Err(InsertError::Full);
        };
        if let Some(old) = node
            .value
            .checked_sub(1)
            .and_then(|v| self.values.get_mut(v as usize))
        {
            return Ok(Some(std::mem::replace(old, value)));
        }
        node.value = next;
        self.values.push(value);
        Ok(None)
    }

    /// The value of exactly this prefix, to be changed in place.
    pub fn exact_mut(&mut self, digits: &[u8]) -> Option<&mut T> {
        let mut at = 0_usize;
        for &byte in digits {
            let child = *self.nodes.get(at)?.children.get(digit(byte)?)?;
            at = (child != 0).then_some(child as usize)?;
        }
        let value = self.nodes.get(at)?.value.checked_sub(1)?;
        self.values.get_mut(value as usize)
    }

    /// The node for these digits, grown if it is missing.
    fn node(&mut self, digits: &[u8]) -> Result<usize, InsertError> {
        let mut at = 0_usize;
        for (offset, &byte) in digits.iter().enumerate() {
            let digit = digit(byte).ok_or(InsertError::NotADigit(offset))?;
            let fresh = u32::try_from(self.nodes.len()).map_err(|_| InsertError::Full)?;
            let slot = self
                .nodes
                .get_mut(at)
                .and_then(|node| node.children.get_mut(digit));
            let slot = slot.ok_or(InsertError::Full)?;
            if *slot == 0 {
                *slot = fresh;
                self.nodes.push(Growing::default());
                at = fresh as usize;
            } else {
                at = *slot as usize;
            }
        }
        Ok(at)
    }

    /// The finished trie.
    #[must_use]
    pub fn build(self) -> Trie<T> {
        let mut nodes = vec![Node::default()];
        // `order[i]` is the growing node that became `nodes[i]`: breadth first, so
        // that siblings are neighbours and the hot upper levels share cache lines.
        let mut order = vec![0_u32];
        let mut at = 0_usize;
        while let Some(growing) = order
            .get(at)
            .and_then(|&from| self.nodes.get(from as usize))
        {
            let mut node = Node {
                first: u32::try_from(nodes.len()).unwrap_or(0),
                children: 0,
                value: growing.value,
            };
            for (digit, &child) in growing
                .children
                .iter()
                .enumerate()
                .filter(|(_, c)| **c != 0)
            {
                node.children |= 1 << digit;
                nodes.push(Node::default());
                order.push(child);
            }
            if let Some(place) = nodes.get_mut(at) {
                *place = node;
            }
            at += 1;
        }
        Trie {
            nodes: nodes.into_boxed_slice(),
            values: self.values.into_boxed_slice(),
        }
    }
}

/// A node of the finished trie.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Index of the child with the lowest digit; the others follow it.
    first: u32,
    /// Index of the value plus one; 0 is none.
    value: u32,
    /// Bit d is set if there is a child for digit d.
    children: u16,
}

/// A finished trie: prefixes of digits, each with its value.
#[derive(Clone, Debug)]
pub struct Trie<T> {
    nodes: Box<[Node]>,
    values: Box<[T]>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        TrieBuilder::new().build()
    }
}

impl<T> Trie<T> {
    /// The value of the longest prefix that the digits begin with, and that prefix's length.
    ///
    /// A byte that is no digit ends the number.
    #[must_use]
    pub fn longest(&self, digits: &[u8]) -> Option<(&T, usize)> {
        self.matches(digits).last()
    }

    /// Every prefix that the digits begin with, the shortest first: its value and its length.
    pub fn matches<'t, 'd>(&'t self, digits: &'d [u8]) -> Matches<'t, 'd, T> {
        Matches {
            trie: self,
            node: self.nodes.first(),
            digits,
            depth: 0,
        }
    }

    /// The value of exactly these digits.
    #[must_use]
    pub fn exact(&self, digits: &[u8]) -> Option<&T> {
        self.longest(digits)
            .filter(|(_, length)| *length == digits.len())
            .map(|(value, _)| value)
    }

    /// How many prefixes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no prefix at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many bytes the nodes and values take, without what the values own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.nodes) + size_of_val(&*self.values)
    }

    /// The child of a node for a byte, if that is a digit with a child.
    #[inline]
    fn step(&self, node: &Node, byte: u8) -> Option<&Node> {
        let digit = byte.wrapping_sub(b'0');
        let bit = 1_u16.checked_shl(u32::from(digit)).filter(|_| digit < 10)?;
        if node.children & bit == 0 {
            return None;
        }
        let before = (node.children & (bit - 1)).count_ones();
        self.nodes.get((node.first + before) as usize)
    }
}

/// The prefixes of one number, the shortest first: see [`Trie::matches`].
#[derive(Debug)]
pub struct Matches<'t, 'd, T> {
    trie: &'t Trie<T>,
    node: Option<&'t Node>,
    digits: &'d [u8],
    depth: usize,
}

impl<'t, T> Iterator for Matches<'t, '_, T> {
    type Item = (&'t T, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.node?;
            let depth = self.depth;
            self.node = self
                .digits
                .get(depth)
                .and_then(|&byte| self.trie.step(node, byte));
            self.depth += 1;
            let value = node
                .value
                .checked_sub(1)
                .and_then(|v| self.trie.values.get(v as usize));
            if let Some(value) = value {
                return Some((value, depth));
            }
        }
    }
}

/// The value of an ASCII digit.
fn digit(byte: u8) -> Option<usize> {
    byte.is_ascii_digit().then(|| usize::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn trie(prefixes: &[&str]) -> Trie<String> {
        let mut builder = TrieBuilder::new();
        for prefix in prefixes {
            builder
                .insert(prefix.as_bytes(), (*prefix).to_owned())
                .unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let trie = trie(&["44", "4420", "1", "818"]);
        assert_eq!(trie.longest(b"442071838750"), Some((&"4420".to_owned(), 4)));
        assert_eq!(trie.longest(b"441"), Some((&"44".to_owned(), 2)));
        assert_eq!(trie.longest(b"4"), None);
        assert_eq!(trie.longest(b"81"), None);
        assert_eq!(trie.longest(b""), None);
        assert_eq!(trie.exact(b"4420"), Some(&"4420".to_owned()));
        assert_eq!(trie.exact(b"44207"), None);
    }

    #[test]
    fn all_matches_come_shortest_first() {
        let trie = trie(&["", "4", "442", "45"]);
        let found: Vec<_> = trie
            .matches(b"4420")
            .map(|(v, n)| (v.as_str(), n))
            .collect();
        assert_eq!(found, [("", 0), ("4", 1), ("442", 3)]);
    }

    #[test]
    fn a_second_value_replaces_the_first() {
        let mut builder = TrieBuilder::new();
        assert_eq!(builder.insert(b"44", 1), Ok(None));
        assert_eq!(builder.insert(b"44", 2), Ok(Some(1)));
        assert_eq!(builder.insert(b"4x", 3), Err(InsertError::NotADigit(1)));
        let trie = builder.build();
        assert_eq!((trie.exact(b"44"), trie.len()), (Some(&2), 1));
    }

    #[test]
    fn a_byte_that_is_no_digit_ends_the_number() {
        let trie = trie(&["4", "44"]);
        for number in [&b"4*4"[..], b"4\xff", b"4:", b"4/", b"4\0"] {
            assert_eq!(trie.longest(number).map(|(_, n)| n), Some(1), "{number:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_all_prefixes(
            prefixes in proptest::collection::hash_map("[0-9]{0,6}", any::<u16>(), 0..60),
            number in "[0-9]{0,10}",
        ) {
            let mut builder = TrieBuilder::new();
            for (prefix, value) in &prefixes {
                builder.insert(prefix.as_bytes(), *value).unwrap();
            }
            let trie = builder.build();
            let slow = |map: &HashMap<String, u16>| {
                let mut found: Vec<_> = map.iter().filter(|(p, _)| number.starts_with(*p))
                    .map(|(p, v)| (*v, p.len())).collect();
                found.sort_by_key(|(_, n)| *n);
                found
            };
            let found: Vec<_> = trie.matches(number.as_bytes()).map(|(v, n)| (*v, n)).collect();
            prop_assert_eq!(found, slow(&prefixes));
        }
    }
}
