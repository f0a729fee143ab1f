//! The main thread: signals, the way to a stop, and the minute's figures.

use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::shard::Command;

use super::desk::Letter;
use super::reins::{Beside, Reins};
use super::rules::Job;
use super::run::{Ended, RunError};
use super::socket::{Handed, Opened, kernel_drops};

/// How often it is looked whether calls are left, while stopping.
const LOOK: Duration = Duration::from_millis(50);

/// How long hung-up calls have to be done with: the BYE and its answer, twice
/// repeated (RFC 3261 §17.1.2.2, Timer E).
const FAREWELL: Duration = Duration::from_secs(4);

/// How long a successor may take to receive the sockets.
const HANDING: Duration = Duration::from_secs(5);

/// How often the figures are logged.
const FIGURES: Duration = Duration::from_secs(60);

/// How a shard's thread ended, or the one of the connections.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) shard: Option<u16>,
    /// What went wrong, if it did not end as told.
    pub(super) broken: Option<String>,
}

/// The signals that mean something here.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// The system does not let us.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one that came.
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
        }
    }
}

/// What a signal stands for.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Reload,
    Stop,
}

/// Where the program stands between its start and its end.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Serving,
    /// New calls are refused; what is left is hung up at this time.
    Draining(Instant),
    /// What is still left is left behind at this time.
    HangingUp(Instant),
}

/// The main thread's part.
pub(super) struct Control {
    reins: Reins,
    exited: UnboundedReceiver<Exit>,
    heirs: Receiver<oneshot::Sender<Handed>>,
    sockets: Vec<Opened>,
    stop_after: Duration,
    phase: Phase,
    /// How much was lost when it was looked at last.
    lost: u64,
}

impl Control {
    pub(super) fn new(
        reins: Reins,
        exited: UnboundedReceiver<Exit>,
        heirs: Receiver<oneshot::Sender<Handed>>,
        sockets: Vec<Opened>,
        stop_after: Duration,
    ) -> Self {
        Self {
            reins,
            exited,
            heirs,
            sockets,
            stop_after,
            phase: Phase::Serving,
            lost: 0,
        }
    }

    /// Serves until every shard has ended, and whatever runs beside meanwhile. When
    /// `stop` is ready, it is as if SIGTERM had come.
    ///
    /// # Errors
    /// One of them broke down. The others are told to stop at once, without
    /// hanging up: their calls live on in the journal.
    pub(super) async fn serve(
        mut self,
        mut signals: Signals,
        stop: impl Future<Output = ()>,
        beside: Option<Beside>,
    ) -> Result<Ended, RunError> {
        let (mut stop, mut asked) = (pin!(stop), false);
        let mut beside = beside.map(|beside| beside(self.reins.clone()));
        let mut figures = interval(FIGURES);
        figures.set_missed_tick_behavior(MissedTickBehavior::Skip);
        figures.tick().await;
        let (mut left, mut heir) = (self.reins.shards(), None);
        while left > 0 {
            let phase = self.phase;
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => self.reload(),
                    Wish::Stop => self.stop_sooner(),
                },
                () = &mut stop, if !asked => {
                    asked = true;
                    self.stop_sooner();
                }
                () = follow(&mut beside) => beside = None,
                () = phase_end(phase) => self.stop_sooner(),
                () = look_again(phase) => self.look(),
                _ = figures.tick() => self.tell_figures(),
                Some(to) = self.heirs.recv(), if heir.is_none() => {
                    heir = Some(to);
                    self.tell_all(|| Letter::Cede);
                }
                Some(exit) = self.exited.recv() => match exit.broken {
                    None => left -= 1,
                    Some(message) => {
                        let shard = exit.shard;
                        tracing::error!(shard, "{message}");
                        self.tell_all(|| Letter::Stop);
                        return Err(RunError::Broken { shard, message });
                    }
                },
            }
        }
        tracing::info!("stopped: {}", self.figures());
        let Some(heir) = heir else {
            return Ok(Ended::Stopped);
        };
        self.hand_over(heir, &mut beside).await;
        Ok(Ended::HandedOver)
    }

    /// Gives the sockets away, and waits until they are gone.
    async fn hand_over(
        self,
        heir: oneshot::Sender<Handed>,
        beside: &mut Option<Pin<Box<dyn Future<Output = ()>>>>,
    ) {
        let (waiting, gone) = oneshot::channel();
        let handed = Handed {
            sockets: self.sockets,
            _waiting: waiting,
        };
        if heir.send(handed).is_err() {
            tracing::error!("the successor has gone: start Tollgate again, its calls live on");
            return;
        }
        tokio::select! {
            _gone = gone => tracing::info!("the sockets are handed over"),
            () = follow(beside) => {}
            () = sleep(HANDING) => tracing::error!("the successor does not take the sockets"),
        }
    }

    fn reload(&self) {
        tracing::info!("SIGHUP: reading the rules again");
        if self.reins.jobs.send(Job::Reload(None)).is_err() {
            tracing::error!("the rules stay as they were: their thread has ended");
        }
    }

    /// One step nearer to the end: at a signal, or when a phase took too long.
    fn stop_sooner(&mut self) {
        let calls = self.reins.tally().calls;
        self.phase = match self.phase {
            Phase::Serving => {
                let seconds = self.stop_after.as_secs();
                tracing::info!(
                    calls,
                    seconds,
                    "stopping: new calls are refused, except emergency calls"
                );
                self.tell_all(|| Letter::Command(Command::Drain));
                Phase::Draining(Instant::now() + self.stop_after)
            }
            Phase::Draining(_) => {
                tracing::info!(calls, "hanging up");
                self.tell_all(|| Letter::Command(Command::HangUpAll));
                Phase::HangingUp(Instant::now() + FAREWELL)
            }
            Phase::HangingUp(_) => {
                if calls > 0 {
                    tracing::warn!(
                        calls,
                        "calls are left: to emergency numbers, or such as could not be hung up"
                    );
                }
                self.tell_all(|| Letter::Stop);
                // Far enough: the threads end at their next turn.
                Phase::HangingUp(Instant::now() + FAREWELL)
            }
        };
    }

    /// Ends the threads if no call is left, and none can come.
    fn look(&self) {
        let draining = self.reins.stats.iter().all(|it| it.draining.value() > 0);
        if draining && self.reins.tally().calls == 0 {
            self.tell_all(|| Letter::Stop);
        }
    }

    fn tell_all(&self, letter: impl Fn() -> Letter) {
        for mailbox in &self.reins.mailboxes {
            mailbox.urge(letter());
        }
    }

    /// The minute's figures: worth a warning if anything was lost meanwhile.
    fn tell_figures(&mut self) {
        let lost = self.reins.tally().lost().wrapping_add(self.unread());
        let figures = self.figures();
        if lost > self.lost {
            tracing::warn!("messages were lost within the last minute; so far: {figures}");
        } else {
            tracing::debug!("so far: {figures}");
        }
        self.lost = lost;
    }

    /// Everything counted, in words.
    fn figures(&self) -> String {
        match self.unread() {
            0 => self.reins.tally().to_string(),
            unread => format!(
                "{}, {unread} lost before they were read",
                self.reins.tally()
            ),
        }
    }

    /// Messages that the kernel dropped because they were not read in time.
    fn unread(&self) -> u64 {
        let sockets = self.sockets.iter();
        sockets.filter_map(|it| kernel_drops(&it.socket)).sum()
    }
}

/// What runs beside; never ready without it.
async fn follow(beside: &mut Option<Pin<Box<dyn Future<Output = ()>>>>) {
    match beside {
        Some(beside) => beside.await,
        None => pending().await,
    }
}

/// When the phase takes too long; never while serving.
async fn phase_end(phase: Phase) {
    match phase {
        Phase::Serving => pending().await,
        Phase::Draining(at) | Phase::HangingUp(at) => sleep_until(at).await,
    }
}

/// When to look whether calls are left; never while serving.
async fn look_again(phase: Phase) {
    match phase {
        Phase::Serving => pending().await,
        Phase::Draining(_) | Phase::HangingUp(_) => sleep(LOOK).await,
    }
}
