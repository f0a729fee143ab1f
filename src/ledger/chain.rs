//! The chain over each shard's records, and the checkpoints that sign it: a link from
//! each checkpoint to the next, and from each segment's beginning.
//!
//! It is made behind the shards, which it costs nothing; so what it covers ends
//! some seconds before now. What a checkpoint names is on the disk before it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Mono, Now, Wall};
use crate::policy::Counters;
use crate::record::frame::Damage;

use super::checkpoint::{Checkpoint, Head, Link, Start, State};
use super::latest::Latest;
use super::note::{self, SigningKey};
use super::notes::{self, Note, Pile};
use super::retire::{self, Keep, Watch};
use super::{Content, Fault, Found, Ledger, Place, Sink, segment};

/// How often a checkpoint is made while records come.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long after one the next is made, if somebody wants it.
const EARLY: Duration = Duration::from_secs(1);

/// Chains what a follower brings, and signs it.
#[derive(Debug)]
pub struct Chain {
    ledger: Ledger,
    directory: PathBuf,
    signer: Arc<SigningKey>,
    pile: Pile,
    latest: Latest,
    /// How many checkpoints there are, and the last one's hash.
    last: Option<(u64, Head)>,
    /// How far each shard has come. Its head is that of where its link begins.
    shards: BTreeMap<u16, (State, Link)>,
    /// The last one, as long as it is not written.
    hidden: Option<String>,
    /// What the next checkpoint has to say besides.
    starts: Vec<Start>,
    anew: Vec<u16>,
    /// From which segment on a shard has something that no checkpoint names.
    unsigned: BTreeMap<u16, u64>,
    /// When one was made last, or tried.
    made: Option<Mono>,
    failing: bool,
    keep: Keep,
    watch: Watch,
    /// Who knows whether the clock is believed.
    counters: Option<Arc<Counters>>,
    /// The time of the last checkpoint before this life.
    wall: Option<Wall>,
}

impl Chain {
    /// The chain of this ledger, from its last checkpoint on.
    ///
    /// # Errors
    /// [`Fault`]: the checkpoints cannot be read.
    pub fn open(ledger: &Ledger) -> Result<Self, Fault> {
        let (last, sound) = last(ledger)?;
        if !sound {
            tracing::error!(
                "the last checkpoint of {} is not one that this ledger's key has signed: \
                 it is signed anew from the last good one on (see tollgate ledger verify)",
                ledger.directory.display()
            );
        }
        let mut shards = BTreeMap::new();
        let wall = last.as_ref().map(|(checkpoint, _)| checkpoint.wall);
        let last = last.map(|(checkpoint, note)| {
            ledger.latest.set(&note.text);
            let states = checkpoint.shards.into_iter();
            shards.extend(states.map(|it| (it.shard, (it, Link::from(it.head)))));
            (checkpoint.number, note.hash())
        });
        Ok(Self {
            ledger: ledger.clone(),
            directory: ledger.directory.clone(),
            signer: Arc::clone(&ledger.signer),
            pile: Pile::open(&ledger.directory)?,
            latest: ledger.latest.clone(),
            last,
            hidden: None,
            shards,
            starts: Vec::new(),
            anew: Vec::new(),
            unsigned: BTreeMap::new(),
            made: None,
            failing: false,
            keep: Keep::default(),
            watch: Watch::default(),
            counters: None,
            wall,
        })
    }

    /// The same, but what is older than `keep` says is retired.
    #[must_use]
    pub const fn keeping(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// By a clock that these do not believe nothing is retired.
    #[must_use]
    pub fn doubting(mut self, counters: Arc<Counters>) -> Self {
        self.counters = Some(counters);
        self
    }

    /// Retires what is not kept any more: signed first, then removed, so that what
    /// is missing without a word was taken by someone else.
    fn retire(&mut self, now: Now) -> Result<(), Fault> {
        let states = self.shards.values_mut();
        let mut states: Vec<_> = states.map(|(state, _)| state).collect();
        let directory = &self.directory;
        if retire::choose(directory, self.keep, &self.watch, now, &mut states)? {
            self.sign(now)?;
        }
        let states: Vec<_> = self.shards.values().map(|(state, _)| *state).collect();
        retire::remove(&self.directory, &states)
    }

    /// Signs how far the shards have come.
    fn sign(&mut self, now: Now) -> Result<(), Fault> {
        // Among it may be the key.
        self.ledger.keep_what_waits()?;
        if self.pile.is_full() {
            self.write()?;
        }
        for (&shard, &from) in &self.unsigned {
            let to = self.shards.get(&shard);
            let to = to.map_or(from, |(state, _)| state.at.segment);
            self.sync(shard, from, to)?;
        }
        let number = self.last.map_or(1, |(number, _)| number.saturating_add(1));
        let states = self.shards.values_mut().map(|(state, link)| State {
            head: link.head(),
            ..*state
        });
        let checkpoint = Checkpoint {
            number,
            wall: now.wall,
            before: self.last.map(|(_, hash)| hash),
            shards: states.collect(),
            starts: self.starts.clone(),
            anew: self.anew.clone(),
        };
        let note = self.signer.sign(&checkpoint.text());
        self.last = Some((number, notes::hash(&note)));
        // Only what was signed ends a link.
        for (state, link) in self.shards.values_mut() {
            state.head = link.cut();
        }
        self.starts.clear();
        self.anew.clear();
        self.unsigned.clear();
        // It was signed now, and says so, even if it is written only when there is room.
        let written = self.pile.append(now.wall, &note);
        self.hidden = Some(note);
        written.map(|()| self.show())
    }

    /// Writes what has waited for room.
    fn write(&mut self) -> Result<(), Fault> {
        self.pile.write().map(|()| self.show())
    }

    /// What is written may go out: a crash does not take it back.
    fn show(&mut self) {
        if let Some(note) = self.hidden.take() {
            self.latest.set(&note);
        }
    }

    /// Has these segments of a shard on the disk, under their names.
    fn sync(&self, shard: u16, from: u64, to: u64) -> Result<(), Fault> {
        let folder = segment::folder(&self.directory, shard);
        for sequence in from..=to {
            let path = segment::path(&folder, sequence);
            match File::open(&path).and_then(|file| file.sync_data()) {
                // One that is missing is told by who looks for it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(Fault::io("sync", &path))?,
            }
        }
        File::open(&folder)
            .and_then(|it| it.sync_all())
            .map_err(Fault::io("sync", &folder))
    }
}

/// The last checkpoint that the ledger's own key has signed, and whether it is the
/// last of all.
pub(super) fn last(ledger: &Ledger) -> Result<(Option<(Checkpoint, Note)>, bool), Fault> {
    let mut sound = true;
    for file in notes::files(&ledger.directory)?.into_iter().rev() {
        let (notes, _) = notes::read(&file)?;
        for note in notes.into_iter().rev() {
            let text = note::open(&note.text, ledger.signer.public());
            match text.ok().and_then(Checkpoint::parse) {
                Some(checkpoint) => return Ok((Some((checkpoint, note)), sound)),
                None => sound = false,
            }
        }
    }
    Ok((None, sound))
}

impl Sink for Chain {
    fn place(&mut self, shard: u16) -> Option<Place> {
        self.shards.get(&shard).map(|(state, _)| state.at)
    }

    fn reset(&mut self, shard: u16) {
        tracing::error!(
            shard,
            "the journal lacks records that a checkpoint names: the shard's chain begins anew \
             (see tollgate ledger verify)"
        );
        self.shards.remove(&shard);
        self.anew.push(shard);
    }

    fn reads(&self) -> bool {
        false
    }

    fn take(&mut self, found: &Found<'_>) {
        let shard = found.shard;
        let (state, link) = self.shards.entry(shard).or_insert_with(|| {
            let state = State {
                shard,
                oldest: found.place.segment,
                at: found.place,
                head: Head::default(),
            };
            (state, Link::default())
        });
        match found.content {
            Content::Header(_) => self.starts.push(Start {
                shard,
                segment: found.place.segment,
                count: found.place.count,
                head: link.cut(),
            }),
            Content::Record(_) | Content::Frame | Content::Damage(Damage::Unknown { .. }) => {}
            Content::Damage(damage) => {
                tracing::error!(shard, place = ?found.place, "the journal is damaged: {damage}");
            }
            Content::Missing(segments) => {
                tracing::error!(shard, segments, place = ?found.place, "the journal lacks segments");
            }
        }
        if chained(&found.content) {
            link.extend(found.bytes);
        }
        if state.at != found.after {
            state.at = found.after;
            self.unsigned.entry(shard).or_insert(found.place.segment);
        }
    }

    fn rest(&mut self, now: Now, caught_up: bool, last: bool) {
        self.sign_in_time(now, last);
        let limited = self.keep != Keep::default();
        let believed = |it: &Arc<Counters>| it.clock_ahead_s(now) == 0;
        if limited
            && caught_up
            && self.counters.as_ref().is_none_or(believed)
            && self.watch.is_due(now, self.wall)
            && let Err(fault) = self.retire(now)
        {
            tracing::error!("what is not kept any more cannot be removed: {fault}");
        }
    }
}

impl Chain {
    fn sign_in_time(&mut self, now: Now, last: bool) {
        // Who wants one early gets none as long as none can be written.
        let interval = match self.latest.is_wanted() && !self.pile.waits() {
            true => EARLY,
            false => INTERVAL,
        };
        let due = self.made.is_none_or(|at| now.mono >= at + interval);
        let nothing = self.unsigned.is_empty() && !self.pile.waits();
        if nothing || !(due || last) {
            return;
        }
        self.made = Some(now.mono);
        let made = match self.unsigned.is_empty() {
            true => self.write(),
            false => self.sign(now),
        };
        match made {
            Ok(()) => self.failing = false,
            Err(fault) => {
                if !self.failing {
                    tracing::error!(
                        "no checkpoint can be written: {fault}. They are signed all the same, and \
                         written as soon as they can be"
                    );
                }
                self.failing = true;
            }
        }
    }
}

/// Whether the chain is made over it. Damage is not: what it was is not known.
pub(super) const fn chained(content: &Content<'_>) -> bool {
    match content {
        Content::Header(_) | Content::Record(_) | Content::Frame => true,
        Content::Damage(damage) => matches!(damage, Damage::Unknown { .. }),
        Content::Missing(_) => false,
    }
}
