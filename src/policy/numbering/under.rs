//! What lies under a prefix: for rules that name prefixes.

use std::collections::BTreeSet;

use super::{Assigned, Class, Country, Node, Numbering};

/// Pairs of country and class.
pub(in crate::policy) type Sorts = BTreeSet<(Option<Country>, Class)>;

/// Some of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Classes(u16);

impl Classes {
    fn with(self, class: Class) -> Self {
        Self(self.0 | 1 << (class as u16))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub(in crate::policy) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there is exactly one.
    pub(in crate::policy) fn is_one(self) -> bool {
        self.0.is_power_of_two()
    }

    /// Those that are among them, in the order of [`Class::ALL`].
    pub(in crate::policy) fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL
            .into_iter()
            .filter(move |&class| self.contains(class))
    }

    /// Whether `class` is among them.
    pub(in crate::policy) fn contains(self, class: Class) -> bool {
        self.0 & 1 << (class as u16) != 0
    }
}

impl Numbering {
    /// Whether a number can begin with these digits: a calling code is in front,
    /// or they begin one, and no 0 stands where none can.
    pub(in crate::policy) fn exists_under(&self, digits: &[u8]) -> bool {
        let (node, rest) = self.walk(digits);
        match rest.first() {
            None => !digits.is_empty(),
            Some(next) => node.lengths != 0 && !(node.code && *next == b'0'),
        }
    }

    /// The classes of the numbers that begin with these digits, as far as
    /// numbers are assigned there.
    pub(in crate::policy) fn classes_under(&self, digits: &[u8]) -> Classes {
        let mut classes = Classes::default();
        self.under(digits, |node, lengths| {
            classes = classes.and(self.own(node, lengths));
        });
        classes
    }

    /// The countries and classes of the numbers that begin with these digits, each
    /// pair once; unassigned numbers among them. Slow, for commands.
    pub(in crate::policy) fn sorts_under(&self, digits: &[u8]) -> Sorts {
        let mut sorts = Sorts::new();
        self.under(digits, |node, lengths| {
            let own = self.ranges(node, lengths);
            sorts.extend(own.map(|range| (range.country, range.class)));
            sorts.insert((node.country, Class::Unassigned));
        });
        sorts
    }

    /// Goes through the nodes at and under these digits, each once; and which
    /// lengths numbers can have there that begin with them.
    fn under(&self, digits: &[u8], mut found: impl FnMut(&Node, u16)) {
        let (node, rest) = self.walk(digits);
        let longer = u16::MAX.checked_shl(u32::try_from(digits.len()).unwrap_or(u32::MAX));
        let lengths = longer.unwrap_or(0);
        found(node, lengths);
        // Digits behind which all is equal share their nodes: each is seen once.
        let mut seen = BTreeSet::new();
        let mut open: Vec<u16> = if rest.is_empty() {
            node.next.to_vec()
        } else {
            Vec::new()
        };
        while let Some(at) = open.pop() {
            // The first node is nobody's next: 0 says that there is none.
            if at == 0 || !seen.insert(at) {
                continue;
            }
            if let Some(node) = self.nodes.get(usize::from(at)) {
                found(node, lengths);
                open.extend(node.next);
            }
        }
    }

    /// The classes of a node's own ranges that have numbers of one of `lengths`.
    fn own(&self, node: &Node, lengths: u16) -> Classes {
        let ranges = self.ranges(node, lengths);
        ranges.fold(Classes::default(), |all, range| all.with(range.class))
    }

    /// A node's own ranges that have numbers of one of `lengths`.
    fn ranges(&self, node: &Node, lengths: u16) -> impl Iterator<Item = &Assigned> {
        let first = usize::from(node.first);
        let own = self.assigned.get(first..first + usize::from(node.count));
        let reached = own.unwrap_or_default().iter();
        reached.filter(move |range| range.lengths & lengths != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "version\ttest\ncode\t81\tjp\ncode\t44\tgb\ncode\t881\t-\n\
        813\tjp\tfixed\t11\n8150\tjp\tip\t12\n81120\tjp\tfreephone\t11\n8816\t-\tsatellite\t12\n\
        4490[0-79]\tgb\tpremium\t12\n44908\tgb\tmobile\t12\n447\tgb\tpager\t8\n\
        447\tgb\tmobile\t12\n";

    fn under(digits: &str) -> Vec<&'static str> {
        let classes = Numbering::parse(SMALL)
            .unwrap()
            .classes_under(digits.as_bytes());
        let all = Class::ALL
            .into_iter()
            .filter(|&class| classes.contains(class));
        all.map(Class::as_str).collect()
    }

    #[test]
    fn every_class_under_a_prefix_is_found() {
        assert_eq!(under("81"), ["fixed", "ip", "freephone"]);
        assert_eq!(under("8"), ["fixed", "ip", "freephone", "satellite"]);
        assert_eq!(under("813355"), ["fixed"], "within one range");
        assert_eq!(under("819"), [""; 0]);
        assert_eq!(under("4490"), ["mobile", "premium"]);
        assert_eq!(under("44901"), ["premium"]);
        assert_eq!(under("447712"), ["mobile", "pager"]);
        assert_eq!(under("447712345"), ["mobile"], "no pager has nine digits");
        assert_eq!(under("99"), [""; 0]);
    }

    #[test]
    fn a_prefix_can_exist_if_a_calling_code_is_in_front() {
        let numbering = Numbering::parse(SMALL).unwrap();
        for (digits, exists) in [
            ("81", true),
            ("8", true),
            ("88", true),
            ("819", true),
            ("8103", false),
            ("810", false),
            ("7", false),
            ("82", false),
        ] {
            assert_eq!(
                numbering.exists_under(digits.as_bytes()),
                exists,
                "{digits}"
            );
        }
    }
}
