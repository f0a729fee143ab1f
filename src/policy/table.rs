//! Targets of one tenant in one sorted table, and the search for those that
//! cover a destination.
//!
//! Built for few cache lines: 16 bytes an entry, all of a tenant's entries side
//! by side. Prefixes are found by one binary search and a walk from each to the
//! next shorter one that it begins with.

use super::numbering::Country;
use super::target::{Destination, Packed, Target};
use super::values::NumberRange;

/// One target, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The target's word, and flags in the lowest 4 bits.
    word: u64,
    /// Where in the table the longest prefix stands that begins this one;
    /// [`NONE`] for none, and for what is no prefix.
    up: u32,
    /// What the user of the table finds by it.
    pub value: u32,
}

const NONE: u32 = u32::MAX;

/// The upper and the lower half of a word.
fn halves(word: u64) -> (u32, u32) {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    (half(word >> 32), half(word))
}

/// Four bits that a user of the table keeps with an entry. Their meaning is the
/// user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// All off.
    pub(super) const NONE: Self = Self(0);

    /// The flag numbered `bit`, 0 to 3.
    pub(super) const fn bit(bit: u8) -> Self {
        Self(1 << (bit & 3))
    }

    /// Both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Entry {
    /// `target` stands for `value`.
    pub(super) fn new(target: Target, flags: Flags, value: u32) -> Self {
        Self {
            word: target.word() | u64::from(flags.0),
            up: NONE,
            value,
        }
    }

    /// A range of numbers, to lie beside the entries of the same tenant.
    pub(super) fn range(range: NumberRange) -> Self {
        let (high, low) = halves(range.last.word());
        Self {
            word: range.first.word(),
            up: high,
            value: low,
        }
    }

    /// The range that it is.
    pub(super) fn as_range(&self) -> NumberRange {
        NumberRange {
            first: Packed::from_word(self.word),
            last: Packed::from_word(u64::from(self.up) << 32 | u64::from(self.value)),
        }
    }

    /// The flags it was given.
    pub(super) fn flags(&self) -> Flags {
        Flags(u8::try_from(self.word & 0xF).unwrap_or_default())
    }

    /// The target's word.
    pub(super) fn target(&self) -> u64 {
        self.word & !0xF
    }
}

/// The kinds of target that a table has: what is not there need not be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    /// The bit of a target's kind, by its word.
    const fn bit(word: u64) -> u8 {
        if is_prefix(word) {
            1
        } else {
            1_u8.wrapping_shl(Target::kind(word))
        }
    }

    fn has(self, word: u64) -> bool {
        self.0 & Self::bit(word) != 0
    }
}

/// Sorts the entries of one tenant and links its prefixes. Every target may be
/// there once. Returns the kinds of target among them.
pub(super) fn arrange(entries: &mut [Entry]) -> Kinds {
    entries.sort_unstable_by_key(|entry| entry.word);
    let mut kinds = 0;
    // Prefixes that begin the one at hand, the longest last.
    let mut open: Vec<(u64, u32)> = Vec::new();
    for (at, entry) in (0_u32..).zip(entries.iter_mut()) {
        let word = entry.target();
        kinds |= Kinds::bit(word);
        if !is_prefix(word) {
            continue;
        }
        let digits = Packed::from_word(word);
        while let Some(&(outer, _)) = open.last()
            && !digits.starts_with(outer)
        {
            open.pop();
        }
        entry.up = open.last().map_or(NONE, |&(_, up)| up);
        open.push((word, at));
    }
    Kinds(kinds)
}

/// Whether a target's word is that of a prefix: the first digit is in it.
const fn is_prefix(word: u64) -> bool {
    word >> 60 != 0
}

/// One tenant's arranged entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'t> {
    entries: &'t [Entry],
    kinds: Kinds,
}

impl<'t> Table<'t> {
    /// Arranged entries, and which kinds of target are among them.
    pub(super) fn new(entries: &'t [Entry], kinds: Kinds) -> Self {
        Self { entries, kinds }
    }

    /// Every prefix there is.
    pub(super) fn all_prefixes(self) -> impl Iterator<Item = Packed> + use<'t> {
        let words = self.entries.iter().map(Entry::target);
        words.filter(|it| is_prefix(*it)).map(Packed::from_word)
    }

    /// The entry of exactly this target.
    pub(super) fn exact(&self, target: Target) -> Option<&'t Entry> {
        let word = target.word();
        if !self.kinds.has(word) {
            return None;
        }
        let at = self.entries.partition_point(|entry| entry.target() < word);
        self.entries.get(at).filter(|entry| entry.target() == word)
    }

    /// The prefixes that these digits begin with, the longest first.
    pub(super) fn prefixes(&self, digits: Packed) -> Prefixes<'t> {
        let word = digits.word();
        let next = if digits.is_short() || !self.kinds.has(word) {
            None
        } else {
            let behind = self.entries.partition_point(|entry| entry.target() <= word);
            // Every entry between the longest such prefix and the number itself
            // begins with that prefix, so that it is above the last of them.
            behind.checked_sub(1).and_then(|at| self.entries.get(at))
        };
        Prefixes {
            table: self.entries,
            next,
            digits,
        }
    }

    /// Finds every entry that covers the destination, whatever its class, the
    /// more specific first. `home` is the plan's country.
    pub(super) fn covering(
        &self,
        to: &Destination,
        home: Option<Country>,
        mut found: impl FnMut(&'t Entry),
    ) {
        self.prefixes(to.digits).for_each(&mut found);
        let mut look = |target| self.exact(target).into_iter().for_each(&mut found);
        if let Some(country) = to.country {
            look(Target::CountryClass(country, to.class));
            look(Target::Country(country));
        }
        look(Target::Class(to.class));
        if to.is_abroad(home) {
            look(Target::International);
        }
        look(Target::Any);
    }
}

/// Prefixes of one number: see [`Table::prefixes`].
#[derive(Clone, Debug)]
pub(super) struct Prefixes<'t> {
    table: &'t [Entry],
    next: Option<&'t Entry>,
    digits: Packed,
}

impl<'t> Iterator for Prefixes<'t> {
    type Item = &'t Entry;

    fn next(&mut self) -> Option<&'t Entry> {
        loop {
            let entry = self.next.filter(|entry| is_prefix(entry.target()))?;
            self.next = self.table.get(entry.up as usize);
            if self.digits.starts_with(entry.target()) {
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(digits: &str) -> Packed {
        Packed::international(digits.as_bytes()).unwrap()
    }

    proptest! {
        #[test]
        fn prefixes_are_those_that_the_digits_begin_with(
            prefixes in proptest::collection::btree_set("[0-3]{1,7}", 0..60),
            number in "[0-3]{1,9}",
        ) {
            let prefixes: Vec<String> = prefixes.into_iter().collect();
            let mut entries: Vec<Entry> = prefixes.iter().zip(0..)
                .map(|(digits, value)| Entry::new(Target::Prefix(packed(digits)), Flags::bit(1), value))
                .collect();
            entries.push(Entry::new(Target::Any, Flags::NONE, 999));
            entries.push(Entry::new(Target::International, Flags::NONE, 999));
            let kinds = arrange(&mut entries);
            let found: Vec<u32> = Table::new(&entries, kinds).prefixes(packed(&number)).map(|e| e.value).collect();
            let mut expected: Vec<(usize, u32)> = prefixes.iter().zip(0..)
                .filter(|(digits, _)| number.starts_with(digits.as_str()))
                .map(|(digits, value)| (digits.len(), value))
                .collect();
            expected.sort_unstable();
            let expected: Vec<u32> = expected.into_iter().rev().map(|(_, value)| value).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_short_code_begins_with_no_prefix() {
        let mut entries = [Entry::new(Target::Prefix(packed("1")), Flags::NONE, 1)];
        let kinds = arrange(&mut entries);
        let short = super::super::number::Number::short(b"104").unwrap();
        let table = Table::new(&entries, kinds);
        assert_eq!(table.prefixes(Packed::of(&short).unwrap()).count(), 0);
        assert_eq!(table.prefixes(packed("104")).count(), 1);
    }
}
