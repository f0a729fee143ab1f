//! Tollgate's shard, driver and sockets as the program has them, with its ledger, with a
//! part of it or with none: what each part costs is the difference.
//!
//! No such Tollgate can be had outside of this bench. Records are made in both, since
//! the core knows nothing of where they go.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tollgate::ledger::{
    Chain, Follower, Following, Indexing, Journal, Keep, Ledger, Sink, Snapshots,
};
use tollgate::net::{self, Setup, Sockets, clock};
use tollgate::policy::{Blocks, Counters};

use crate::files;

/// How much of its ledger there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    /// What is evidence: records are written, chained and signed.
    Journal,
    /// And what is made of it: snapshots for a start, and the index.
    All,
}

impl Kept {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Journal, Self::All];

    /// As it is called on the command line of the process that is measured.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing-kept",
            Self::Journal => "journal-kept",
            Self::All => "all-kept",
        }
    }
}

/// A journal, and the time that its appending takes by the clock. The difference of two
/// runs is larger than that by what is noise.
struct Timed(Journal);

/// That time, in nanoseconds.
static APPENDING: AtomicU64 = AtomicU64::new(0);

impl net::Journal for Timed {
    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let begun = Instant::now();
        let appended = self.0.append(frames);
        let spent = begun.elapsed().as_nanos();
        APPENDING.fetch_add(u64::try_from(spent).unwrap_or(0), Ordering::Relaxed);
        appended
    }

    fn wants_room(&self) -> bool {
        self.0.wants_room()
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.0.prepare()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn syncer(&self) -> Option<Box<dyn net::Syncer>> {
        net::Journal::syncer(&self.0)
    }
}

/// Tells that time, some times a second, to who measures this process.
fn tell(directory: &Path) -> io::Result<()> {
    let file = directory.join(TOLD);
    let tell = move || loop {
        // Who does not find it says so.
        let _told = fs::write(&file, APPENDING.load(Ordering::Relaxed).to_string());
        thread::sleep(Duration::from_millis(200));
    };
    thread::Builder::new().spawn(tell).map(drop)
}

/// The file that it is told in.
pub const TOLD: &str = "appending";

/// Takes everything, and keeps nothing.
struct Nowhere;

impl net::Journal for Nowhere {
    fn append(&mut self, _frames: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn wants_room(&self) -> bool {
        false
    }

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs until it is told to stop, in this directory.
pub fn run(directory: &Path, kept: Kept) -> Result<(), String> {
    // Lines are made as in the program, and cost nothing further on.
    let log = tracing_subscriber::fmt().with_writer(io::sink);
    log.try_init().map_err(text)?;
    let counters = Arc::new(Counters::new());
    let rules = files::rules(&counters)?;
    let ledger = Ledger::open(&directory.join("ledger")).map_err(text)?;
    let journal: Box<dyn net::Journal> = match kept {
        Kept::Nothing => Box::new(Nowhere),
        _ => {
            tell(directory).map_err(text)?;
            let journal = Journal::open(&ledger, 0, clock::now().wall).map_err(text)?;
            Box::new(Timed(journal))
        }
    };
    let following = follow(&ledger, kept)?;
    let indexing = (kept == Kept::All)
        .then(|| Indexing::start(ledger.clone(), Keep::default(), clock::now))
        .transpose();
    let indexing = indexing.map_err(text)?;
    let ended = net::run(Setup {
        sockets: Sockets::open(&rules).map_err(text)?,
        rules: Arc::new(rules),
        tls: Arc::default(),
        blocks: Blocks::default(),
        counters,
        journals: vec![journal],
        restored: Vec::new(),
        bucket_key: ledger.key().map_err(text)?,
        directory: directory.to_owned(),
        stop_after: Duration::ZERO,
        reload: Box::new(|| Err("nothing changes here".to_owned())),
        beside: None,
    });
    drop((following, indexing));
    ended.map(drop).map_err(text)
}

/// What follows the journal in the program, in one thread.
fn follow(ledger: &Ledger, kept: Kept) -> Result<Option<Following>, String> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if kept == Kept::All {
        sinks.push(Box::new(Snapshots::new(ledger.clone())));
    }
    if kept != Kept::Nothing {
        let chain = Chain::open(ledger).map_err(text)?;
        sinks.push(Box::new(chain.keeping(Keep::default())));
    }
    if sinks.is_empty() {
        return Ok(None);
    }
    let follower = Follower::new(ledger.clone(), sinks, clock::now);
    follower.start().map(Some).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
