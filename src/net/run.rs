//! The whole of it: sockets, shards, rules, signals.

use std::any::Any;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedSender;

use crate::base::token::Buckets;
use crate::policy::{Blocks, Counters, RuleSet, Switch};
use crate::record::{CallRef, fold};
use crate::shard::{Command, Config, Shard};
use crate::transaction::Timers;

use super::bans::Bans;
use super::clock;
use super::control::{self, Exit};
use super::desk::{Desk, Letter};
use super::driver::{Driver, Parts};
use super::hold::Hold;
use super::mailbox::Mailbox;
use super::nft;
use super::pen::{Journal, Pen};
use super::quarantine::Quarantine;
use super::reins::{Beside, InForce, Reins};
use super::rules::{self, Job, Reload};
use super::socket::{Opened, Sockets};
use super::stats::Stats;
use super::streams::{self, Errand};
use super::tls::Tls;
use super::wire::Wire;

/// What is to be run.
pub struct Setup {
    /// The rules in force at first; their listeners stay for good.
    pub rules: Arc<RuleSet>,
    /// What TLS takes of them, as far as it could be read.
    pub tls: Arc<Tls>,
    /// These rules' listeners, open.
    pub sockets: Sockets,
    /// What is blocked from the first message on.
    pub blocks: Blocks,
    /// What the rules count in; nothing live may be left in it at the end.
    pub counters: Arc<Counters>,
    /// A journal for each shard: there are as many shards as journals.
    pub journals: Vec<Box<dyn Journal>>,
    /// What each shard takes over of an earlier life: as many as there are journals.
    pub restored: Vec<Restored>,
    /// Spreads calls over the shards. Must be the same from run to run.
    pub bucket_key: u128,
    /// Where the list of messages that broke the program is kept.
    pub directory: PathBuf,
    /// How long calls may go on after the program is asked to stop.
    pub stop_after: Duration,
    /// Compiles the rules again; called on a thread of its own.
    pub reload: Reload,
    /// What runs beside, if anything does: the control socket.
    pub beside: Option<Beside>,
}

/// What a shard takes over of an earlier life.
#[derive(Debug, Default)]
pub struct Restored {
    /// Its calls, as they are in its journal by now.
    pub calls: Vec<fold::Call>,
    /// New calls are numbered from here on.
    pub next: CallRef,
}

/// How it all ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No call is left, or none that could be hung up.
    Stopped,
    /// Calls go on at a successor, which waits for this process to end.
    HandedOver,
}

/// What is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Whether every record is in the journals.
    pub whole: bool,
}

/// Why [`run`] did not run, or not to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The system lacks something.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A defect of the program ended a shard.
    Broken {
        /// Which shard; none for the thread of the connections.
        shard: Option<u16>,
        /// What it said.
        message: String,
    },
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Broken {
                shard: Some(shard),
                message,
            } => write!(
                f,
                "shard {shard} was ended by a defect of the program: {message}"
            ),
            Self::Broken {
                shard: None,
                message,
            } => write!(f, "the thread of the connections was ended: {message}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::Broken { .. } => None,
        }
    }
}

impl RunError {
    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

/// How many shards serve this machine best: one for every two cores. A message
/// that reaches another shard than its call's wakes a second thread, and the
/// more shards there are, the more messages do (at 1,000 calls a second two
/// shards took 193 to 213 µs of processor time a call, one 172, and a relay that
/// looks at nothing 104 to 119). One carries some thousands of calls a second;
/// and the kernel, whose share is the larger, needs cores too.
#[must_use]
pub fn default_shards() -> u16 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let shards = u16::try_from(cores / 2).unwrap_or(u16::MAX);
    shards.clamp(1, Buckets::COUNT)
}

/// Runs until the process is told to stop.
///
/// SIGHUP has the rules read again. SIGTERM or SIGINT lets no new call in and
/// ends when no call is left; after `stop_after`, or at a second signal, the
/// calls that are left are hung up.
///
/// # Errors
/// [`RunError`]: something needed to start is missing, or a shard broke down.
pub fn run(setup: Setup) -> Result<Outcome, RunError> {
    run_until(setup, std::future::pending())
}

/// [`run`], which `stop` also ends, as a first SIGTERM would. The signals still
/// count.
///
/// # Errors
/// As [`run`].
pub fn run_until(setup: Setup, stop: impl Future<Output = ()>) -> Result<Outcome, RunError> {
    // Before anyone can see that we are up, and send one.
    let (runtime, signals) = heed_signals()?;
    let sockets = setup.sockets.announced();
    let quarantine = kept_out(&setup.directory)?;
    let (bans, mirror) = banning(&setup.rules)?;
    let shards = u16::try_from(setup.journals.len()).unwrap_or(u16::MAX);
    let mailboxes: Vec<_> = (0..shards).map(|_| Mailbox::new()).collect();
    let stats: Vec<Arc<Stats>> = (0..shards).map(|_| Arc::default()).collect();
    let in_force = InForce::new(Arc::clone(&setup.rules), setup.tls);
    let counters = setup.counters;
    let told = mailboxes.clone();
    let jobs = rules::start(in_force.clone(), Arc::clone(&counters), setup.reload, told)
        .map_err(RunError::system("start the thread for rules"))?;
    block(setup.blocks, &mailboxes);
    let (exits, exited) = tokio::sync::mpsc::unbounded_channel();
    let (heirs, asked) = tokio::sync::mpsc::channel(1);
    let streams = Streams::start(
        setup.bucket_key,
        &sockets,
        &in_force,
        (&quarantine, &bans),
        &mailboxes,
        &exits,
    )?;
    let mut threads = Vec::with_capacity(setup.journals.len());
    let mut restored = setup.restored.into_iter();
    let parts = setup.journals.into_iter().zip(&mailboxes).zip(&stats);
    for (id, ((journal, mailbox), stats)) in (0..).zip(parts) {
        let seat = Seat {
            id,
            key: random().map_err(RunError::system("read /dev/urandom"))?,
            bucket_key: setup.bucket_key,
            rules: Arc::clone(&setup.rules),
            kept_out: (quarantine.clone(), bans.clone()),
            directory: setup.directory.clone(),
            sockets: sockets.clone(),
            mailbox: mailbox.clone(),
            mailboxes: mailboxes.clone(),
            journal,
            restored: restored.next().unwrap_or_default(),
            counters: Arc::clone(&counters),
            jobs: jobs.clone(),
            errands: streams.errands.clone(),
            stats: Arc::clone(stats),
        };
        threads.push(seat.start(exits.clone())?);
    }
    drop(setup.rules);
    let figures = stats.clone();
    let reins = Reins {
        mailboxes,
        stats,
        streams: Arc::clone(&streams.stats),
        jobs,
        in_force,
        quarantined: quarantine.len(),
        bans: bans.clone(),
        heirs,
    };
    let control = control::Control::new(reins, exited, asked, sockets, setup.stop_after);
    let served = runtime.block_on(control.serve(signals, stop, setup.beside));
    // What a thread had to say, it said through `exits`.
    let served = served.inspect(|_| threads.into_iter().for_each(|it| drop(it.join())));
    streams.stop();
    mirror.end(matches!(served, Ok(Ended::HandedOver)));
    Ok(outcome(served?, &figures, &counters))
}

/// How the shards ended, and what they leave. When no call lives, nothing is held.
fn outcome(ended: Ended, figures: &[Arc<Stats>], counters: &Counters) -> Outcome {
    let live = counters.places();
    if live > 0 && ended == Ended::Stopped {
        tracing::warn!(live, "counters of live calls were not given back");
    }
    let whole = figures.iter().all(|it| it.journal_lost.value() == 0);
    Outcome { ended, whole }
}

/// Nobody is banned yet, and the kernel is told of who will be.
fn banning(rules: &RuleSet) -> Result<(Bans, nft::Telling), RunError> {
    let bans = Bans::default();
    let telling = nft::start(&bans).map_err(RunError::system("start the thread for nftables"))?;
    bans.obey(rules);
    Ok((bans, telling))
}

/// The main thread's loop, and the signals that it serves.
fn heed_signals() -> Result<(Runtime, control::Signals), RunError> {
    let runtime = new_runtime().map_err(RunError::system("start the signal loop"))?;
    let signals = {
        let _within = runtime.enter();
        control::Signals::listen().map_err(RunError::system("listen for signals"))?
    };
    Ok((runtime, signals))
}

/// Blocks before any thread runs, so that each shard reads of it before a message.
fn block(blocks: Blocks, mailboxes: &[Mailbox<Letter>]) {
    if blocks.is_empty() {
        return;
    }
    let switch = Arc::new(Switch {
        blocks,
        order: None,
    });
    for mailbox in mailboxes {
        mailbox.urge(Letter::Command(Command::Block(Arc::clone(&switch))));
    }
}

/// The messages that are kept out.
fn kept_out(directory: &Path) -> Result<Quarantine, RunError> {
    let quarantine = Quarantine::load(directory)
        .map_err(RunError::system("read the list of messages kept out"))?;
    let messages = quarantine.len();
    if messages > 0 {
        tracing::warn!(messages, "messages that broke the program are kept out");
    }
    Ok(quarantine)
}

/// The thread of the connections, if there is a listener for any.
struct Streams {
    errands: Mailbox<Errand>,
    stats: Arc<Stats>,
    thread: Option<JoinHandle<()>>,
}

impl Streams {
    fn start(
        bucket_key: u128,
        sockets: &[Opened],
        in_force: &InForce,
        (quarantine, bans): (&Quarantine, &Bans),
        mailboxes: &[Mailbox<Letter>],
        exits: &UnboundedSender<Exit>,
    ) -> Result<Self, RunError> {
        let seat = streams::Seat {
            sockets: sockets.to_vec(),
            in_force: in_force.clone(),
            bucket_key,
            quarantine: quarantine.clone(),
            bans: bans.clone(),
            mailboxes: mailboxes.to_vec(),
            errands: Mailbox::new(),
            stats: Arc::default(),
        };
        let exits = exits.clone();
        let (errands, stats) = (seat.errands.clone(), Arc::clone(&seat.stats));
        let needed = seat.sockets.iter().any(|it| it.transport.is_reliable());
        let start = || {
            thread::Builder::new()
                .name("streams".to_owned())
                .spawn(move || watch_streams(seat, &exits))
                .map_err(RunError::system("start the thread of the connections"))
        };
        let thread = needed.then(start).transpose()?;
        Ok(Self {
            errands,
            stats,
            thread,
        })
    }

    /// Has it write what it has, and end.
    fn stop(self) {
        self.errands.urge(Errand::Stop);
        if let Some(thread) = self.thread {
            // What it had to say, it said through `exits`.
            let _said = thread.join();
        }
    }
}

/// The thread of the connections: what breaks it down ends the program.
fn watch_streams(seat: streams::Seat, exits: &UnboundedSender<Exit>) {
    let broken = match catch_unwind(AssertUnwindSafe(|| seat.take())) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("connections cannot be taken: {error}"),
        Err(panic) => said(panic.as_ref()),
    };
    let exit = Exit {
        shard: None,
        broken: Some(broken),
    };
    let _told = exits.send(exit);
}

pub(super) fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

pub(super) fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// All that a shard's thread is given.
struct Seat {
    id: u16,
    key: u128,
    bucket_key: u128,
    rules: Arc<RuleSet>,
    kept_out: (Quarantine, Bans),
    directory: PathBuf,
    sockets: Vec<Opened>,
    mailbox: Mailbox<Letter>,
    mailboxes: Vec<Mailbox<Letter>>,
    errands: Mailbox<Errand>,
    journal: Box<dyn Journal>,
    restored: Restored,
    counters: Arc<Counters>,
    jobs: mpsc::Sender<Job>,
    stats: Arc<Stats>,
}

impl Seat {
    /// Starts the thread.
    fn start(self, exits: UnboundedSender<Exit>) -> Result<JoinHandle<()>, RunError> {
        thread::Builder::new()
            .name(format!("shard-{}", self.id))
            .spawn(move || self.take(&exits))
            .map_err(RunError::system("start a shard's thread"))
    }

    /// The thread: runs the shard, and tells how it ended.
    fn take(self, exits: &UnboundedSender<Exit>) {
        let (shard, directory) = (self.id, self.directory.clone());
        let broken = match catch_unwind(AssertUnwindSafe(|| self.drive(&directory))) {
            Ok(Ok(broken)) => broken,
            Ok(Err(error)) => Some(format!("its event loop does not start: {error}")),
            Err(panic) => Some(said(panic.as_ref())),
        };
        // Nobody listens any more only if another shard broke down first.
        let shard = Some(shard);
        let _told = exits.send(Exit { shard, broken });
    }

    /// Runs the shard until it is told to stop (then None) or breaks down.
    fn drive(self, directory: &Path) -> io::Result<Option<String>> {
        let runtime = new_runtime()?;
        let mut driver = {
            let _within = runtime.enter();
            self.sit_down()?
        };
        let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(driver.run())));
        let Err(panic) = result else {
            driver.close();
            return Ok(None);
        };
        let mut said = said(panic.as_ref());
        let handling = &driver.desk.handling;
        if !handling.is_empty() {
            match Quarantine::add(directory, handling) {
                Ok(()) => said.push_str("; the message it handled is kept out from now on"),
                Err(error) => tracing::error!(%error, "the message it handled is not kept out"),
            }
        }
        Ok(Some(said))
    }

    fn sit_down(self) -> io::Result<Driver> {
        let shards = u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX);
        let now = clock::now();
        let config = Config {
            id: self.id,
            shards,
            key: self.key,
            bucket_key: self.bucket_key,
            timers: Timers::default(),
            rules: Arc::clone(&self.rules),
        };
        let hold = self.journal.syncer();
        let every = self.journal.is_durable();
        let hold = hold.map(|it| Hold::start(self.id, every, it, self.mailbox.clone()));
        let mut desk = Desk::new(
            Shard::new(config, now),
            self.id,
            Buckets::new(self.bucket_key),
            self.rules,
            self.kept_out,
            self.mailboxes,
            Arc::clone(&self.stats),
        );
        // A clock that jumped makes no call old.
        desk.restore(self.counters.believed(now), self.restored);
        Ok(Driver::new(Parts {
            desk,
            wire: Wire::new(
                &self.sockets,
                self.id,
                shards,
                self.errands,
                Arc::clone(&self.stats),
            )?,
            pen: Pen::new(self.journal, self.id, Arc::clone(&self.stats)),
            hold: hold.transpose()?,
            mailbox: self.mailbox,
            jobs: self.jobs,
            stats: self.stats,
            shard: self.id,
        }))
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no reason given").to_owned()
}
