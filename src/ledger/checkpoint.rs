//! Checkpoints: how far each shard's chain had come, signed.
//!
//! ```text
//! tollgate ledger v2
//! checkpoint 12
//! time 2026-11-29T14:00:00.000000Z
//! before HEX                      the hash of the note before this one; `none` in the first
//! shard 0 oldest 1 segment 7 offset 5000 count 130000 head HEX
//! start 0 segment 7 count 129000 head HEX
//! anew 1
//! ```
//! A shard's head is BLAKE3 over the head given before it, be it in the checkpoint
//! before or at a segment's start, and all that its segments hold from there on: their
//! headers and whole frames. The first is zeros.
//! `start` gives the head before a segment that has begun since the checkpoint
//! before, so that older ones can be retired. `anew` says that what was signed of a
//! shard before was not there any more.

use std::fmt::Write;

use crate::base::time::Wall;

use super::Place;
use super::note::{hex, unhex};

pub(super) const ORIGIN: &str = "tollgate ledger v2";

/// What a chain has come to.
pub(super) type Head = [u8; 32];

/// A chain from one head that is signed to the next.
///
/// BLAKE3 takes many kilobytes at a time far faster than each frame by itself, so what
/// comes is gathered first.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    /// The head that it begins with.
    head: Head,
    /// Over that head, and what came since; none if nothing did.
    hasher: Option<Box<blake3::Hasher>>,
    /// What the hasher has not seen yet.
    gathered: Vec<u8>,
}

/// So much is gathered.
const GATHERED: usize = 64 << 10;

impl Link {
    /// Goes on from a head.
    pub(super) fn from(head: Head) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    /// Takes the next frame or header.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let hasher = self.hasher.get_or_insert_with(|| {
            let mut hasher = Box::new(blake3::Hasher::new());
            hasher.update(&self.head);
            hasher
        });
        hasher.update(&self.gathered);
        self.gathered.clear();
    }

    /// The head here.
    pub(super) fn head(&mut self) -> Head {
        if !self.gathered.is_empty() {
            self.settle();
        }
        let hasher = self.hasher.as_ref();
        hasher.map_or(self.head, |it| *it.finalize().as_bytes())
    }

    /// The next one begins here, with the head that this one has come to.
    pub(super) fn cut(&mut self) -> Head {
        self.head = self.head();
        self.hasher = None;
        self.head
    }
}

/// How far one shard's chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) shard: u16,
    /// The oldest segment that was not retired.
    pub(super) oldest: u64,
    pub(super) at: Place,
    pub(super) head: Head,
}

/// A segment's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) shard: u16,
    pub(super) segment: u64,
    /// Records before it.
    pub(super) count: u64,
    /// The head before its header.
    pub(super) head: Head,
}

/// The text that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Counts a ledger's checkpoints, from 1.
    pub(super) number: u64,
    pub(super) wall: Wall,
    /// The hash of the note before.
    pub(super) before: Option<Head>,
    pub(super) shards: Vec<State>,
    pub(super) starts: Vec<Start>,
    pub(super) anew: Vec<u16>,
}

impl Checkpoint {
    /// As text, in whole lines.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{ORIGIN}\ncheckpoint {}\n", self.number);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "time {}", time(self.wall));
        let before = self.before.as_ref().map(|hash| hex(hash));
        let _ = writeln!(text, "before {}", before.as_deref().unwrap_or("none"));
        for it in &self.shards {
            let _ = writeln!(
                text,
                "shard {} oldest {} segment {} offset {} count {} head {}",
                it.shard,
                it.oldest,
                it.at.segment,
                it.at.offset,
                it.at.count,
                hex(&it.head)
            );
        }
        for it in &self.starts {
            let head = hex(&it.head);
            let _ = writeln!(
                text,
                "start {} segment {} count {} head {head}",
                it.shard, it.segment, it.count
            );
        }
        for shard in &self.anew {
            let _ = writeln!(text, "anew {shard}");
        }
        text
    }

    /// Reads what [`Self::text`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == ORIGIN).then_some(())?;
        let mut field = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let number = field("checkpoint")?.parse().ok()?;
        let stamp: jiff::Timestamp = field("time")?.parse().ok()?;
        let before = match field("before")? {
            "none" => None,
            hash => Some(head(hash)?),
        };
        let mut found = Self {
            number,
            wall: Wall::from_micros(stamp.as_microsecond()),
            before,
            shards: Vec::new(),
            starts: Vec::new(),
            anew: Vec::new(),
        };
        lines.try_for_each(|line| found.read(line))?;
        Some(found)
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let shard = words.next()?.parse().ok()?;
        let mut named = |name| words.next().filter(|it| *it == name).and(words.next());
        match kind {
            "shard" => {
                let oldest = named("oldest")?.parse().ok()?;
                let at = Place {
                    segment: named("segment")?.parse().ok()?,
                    offset: named("offset")?.parse().ok()?,
                    count: named("count")?.parse().ok()?,
                };
                let head = head(named("head")?)?;
                self.shards.push(State {
                    shard,
                    oldest,
                    at,
                    head,
                });
            }
            "start" => {
                let start = Start {
                    shard,
                    segment: named("segment")?.parse().ok()?,
                    count: named("count")?.parse().ok()?,
                    head: head(named("head")?)?,
                };
                self.starts.push(start);
            }
            "anew" => self.anew.push(shard),
            _ => return None,
        }
        words.next().is_none().then_some(())
    }
}

/// A time as checkpoints and reports show it.
pub(super) fn time(wall: Wall) -> String {
    format!("{wall:.6}")
}

fn head(text: &str) -> Option<Head> {
    // One way to write it only.
    unhex(text).filter(|head| hex(head) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back() {
        let at = Place {
            segment: 7,
            offset: 5000,
            count: 130_000,
        };
        let first = Checkpoint {
            number: 1,
            wall: Wall::from_micros(1_700_000_000_123_456),
            before: None,
            shards: Vec::new(),
            starts: Vec::new(),
            anew: Vec::new(),
        };
        let state = |shard| State {
            shard,
            oldest: 2,
            at,
            head: [shard.to_le_bytes()[0]; 32],
        };
        let start = Start {
            shard: 1,
            segment: 7,
            count: 129_000,
            head: [9; 32],
        };
        let later = Checkpoint {
            number: 12,
            before: Some([0xAB; 32]),
            shards: vec![state(0), state(1)],
            starts: vec![start],
            anew: vec![1],
            ..first.clone()
        };
        for checkpoint in [first, later] {
            let text = checkpoint.text();
            assert_eq!(Checkpoint::parse(&text), Some(checkpoint), "{text}");
            for (at, _) in text.match_indices(' ') {
                let spaced = format!("{}  {}", &text[..at], &text[at + 1..]);
                assert_eq!(Checkpoint::parse(&spaced), None, "{spaced}");
            }
        }
    }
}
