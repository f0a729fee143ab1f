//! What whoever gives orders holds of a Tollgate that runs: commands to every
//! shard, each answered when it is in force, and what there is to see.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::base::limits::ORDER_TIME_S;
use crate::policy::{Counters, RuleSet};
use crate::shard::Command;

use super::bans::{Ban, Bans};
use super::clock;
use super::desk::Letter;
use super::mailbox::Mailbox;
use super::rules::Job;
use super::sheds::{AllSheds, Shed};
use super::socket::Handed;
use super::stats::{Stats, Tally};
use super::tls::Tls;

/// What runs on the main thread beside the signals, until the end or its own: it is
/// given the reins.
pub type Beside = Box<dyn FnOnce(Reins) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The rules in force with what TLS takes of them, for who only looks at them.
#[derive(Clone, Debug)]
pub(super) struct InForce(Arc<Mutex<(Arc<RuleSet>, Arc<Tls>)>>);

impl InForce {
    pub(super) fn new(rules: Arc<RuleSet>, tls: Arc<Tls>) -> Self {
        Self(Arc::new(Mutex::new((rules, tls))))
    }

    pub(super) fn set(&self, rules: Arc<RuleSet>, tls: Arc<Tls>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (rules, tls);
    }

    pub(super) fn rules(&self) -> Arc<RuleSet> {
        self.both().0
    }

    /// Both, which belong together.
    pub(super) fn both(&self) -> (Arc<RuleSet>, Arc<Tls>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Commands and figures. Each clone drives the same Tollgate.
#[derive(Clone, Debug)]
pub struct Reins {
    pub(super) mailboxes: Vec<Mailbox<Letter>>,
    pub(super) stats: Vec<Arc<Stats>>,
    /// What the thread of the connections counts.
    pub(super) streams: Arc<Stats>,
    pub(super) jobs: std::sync::mpsc::Sender<Job>,
    pub(super) in_force: InForce,
    pub(super) quarantined: usize,
    pub(super) bans: Bans,
    /// To the main thread: the program is to end, and whoever sends this gets its
    /// sockets.
    pub(super) heirs: mpsc::Sender<oneshot::Sender<Handed>>,
}

/// What the shards said to a command: all of them have it in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obeyed {
    /// How many shards there are.
    pub shards: u16,
    /// Every one of them has it in its journal; otherwise some have it in memory,
    /// because their journal cannot be written now.
    pub recorded: bool,
}

/// Shards that have not said within [`ORDER_TIME_S`] that they obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Which of them. The others obey, and these will as soon as they go on.
    pub shards: Vec<u16>,
}

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.shards.iter().map(u16::to_string).collect();
        write!(
            f,
            "shard {} did not answer within {ORDER_TIME_S} s; the others obey",
            names.join(", ")
        )
    }
}

impl std::error::Error for Silent {}

/// Says for a shard that a command is in force there.
#[derive(Debug)]
pub(super) struct Receipt {
    shard: u16,
    to: mpsc::Sender<(u16, bool)>,
}

impl Receipt {
    /// Says so. `recorded`: it is in the journal.
    pub(super) fn give(self, recorded: bool) {
        // Who asked may have gone, which changes nothing; and there is room for
        // one of each shard.
        let _heard = self.to.try_send((self.shard, recorded));
    }
}

impl Reins {
    /// Has every shard do something, and waits until it is in force in all.
    ///
    /// # Errors
    /// [`Silent`]: a shard hangs, or has ended.
    pub async fn tell(&self, command: impl Fn() -> Command) -> Result<Obeyed, Silent> {
        self.post(|receipt| Letter::Order(Some(command()), receipt))
            .await
    }

    /// Waits until every shard has done all that it was told before.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub async fn settled(&self) -> Result<Obeyed, Silent> {
        self.post(|receipt| Letter::Order(None, receipt)).await
    }

    /// Ends the program without hanging anything up, for a successor that takes its
    /// sockets. Each message that came is either handled and in the journal, or waits
    /// in the kernel for the successor.
    ///
    /// # Errors
    /// Why it goes on instead: one line.
    pub async fn hand_over(&self) -> Result<Handed, String> {
        let deaf = self.post(|receipt| Letter::Read(false, receipt)).await;
        // What they had read for each other is handled, too.
        let settled = match deaf {
            Ok(_) => self.settled().await,
            silent => silent,
        };
        let refused = match settled {
            Ok(Obeyed { recorded: true, .. }) => {
                let (to, handed) = oneshot::channel();
                let ended = || "it is ending already".to_owned();
                self.heirs.try_send(to).map_err(|_| ended())?;
                return handed.await.map_err(|_| ended());
            }
            Ok(_) => "its journal cannot be written now".to_owned(),
            Err(silent) => silent.to_string(),
        };
        // It hears again once its shards come to it, which need not be waited for.
        let (to, _) = mpsc::channel(self.mailboxes.len().max(1));
        self.send_out(&to, &|receipt| Letter::Read(true, receipt));
        Err(refused)
    }

    fn send_out(
        &self,
        to: &mpsc::Sender<(u16, bool)>,
        letter: &impl Fn(Receipt) -> Letter,
    ) -> Vec<u16> {
        let mut told = Vec::new();
        for (shard, mailbox) in (0_u16..).zip(&self.mailboxes) {
            told.push(shard);
            let to = to.clone();
            mailbox.urge(letter(Receipt { shard, to }));
        }
        told
    }

    async fn post(&self, letter: impl Fn(Receipt) -> Letter) -> Result<Obeyed, Silent> {
        let (to, mut receipts) = mpsc::channel(self.mailboxes.len().max(1));
        let mut silent = self.send_out(&to, &letter);
        drop(to);
        let mut obeyed = Obeyed {
            shards: u16::try_from(silent.len()).unwrap_or(u16::MAX),
            recorded: true,
        };
        let end = Instant::now() + Duration::from_secs(ORDER_TIME_S);
        while !silent.is_empty() {
            match timeout_at(end, receipts.recv()).await {
                Ok(Some((shard, recorded))) => {
                    silent.retain(|it| *it != shard);
                    obeyed.recorded &= recorded;
                }
                Ok(None) | Err(_) => return Err(Silent { shards: silent }),
            }
        }
        Ok(obeyed)
    }

    /// Has the rules read again, and waits until they are in force.
    ///
    /// # Errors
    /// Why they stay as they were, in one or more lines.
    pub async fn reload(&self) -> Result<Arc<RuleSet>, String> {
        let (answer, answered) = oneshot::channel();
        let ended = || "the thread that compiles rules has ended".to_owned();
        self.jobs
            .send(Job::Reload(Some(answer)))
            .map_err(|_| ended())?;
        let rules = answered.await.map_err(|_| ended())??;
        self.settled().await.map_err(|silent| silent.to_string())?;
        Ok(rules)
    }

    /// Has the rules in force compiled once more, with what names lead to by now. Nobody
    /// waits for it.
    pub fn renew(
        &self,
        renewal: impl Fn(&RuleSet) -> Result<Option<RuleSet>, String> + Send + 'static,
    ) {
        // Without that thread the program ends.
        let _ended = self.jobs.send(Job::Renew(Box::new(renewal)));
    }

    /// The rules in force. Not to be kept: a set that is out of force is freed only
    /// when nobody has it any more.
    #[must_use]
    pub fn rules(&self) -> Arc<RuleSet> {
        self.in_force.rules()
    }

    /// What TLS takes, as it is in force.
    #[must_use]
    pub fn tls(&self) -> Arc<Tls> {
        self.in_force.both().1
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.mailboxes.len()
    }

    /// What the shards have counted since the start, summed.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for stats in self.stats.iter().chain([&self.streams]) {
            tally.add(stats);
        }
        tally
    }

    /// Which strangers are banned.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        self.bans.list(clock::now())
    }

    /// Bans again whom an earlier life had banned; `proved` is what
    /// [`Reins::bans_are_proved`] said then.
    pub fn ban_again(&self, counters: &Counters, bans: Vec<Ban>, proved: bool) {
        let now = counters.believed(clock::now());
        self.bans.take_up(now, &self.rules(), bans, proved);
    }

    /// Whether only who has shown that its address is its own is banned.
    #[must_use]
    pub fn bans_are_proved(&self) -> bool {
        self.bans.are_proved()
    }

    /// Lifts the ban of an address, or all. Those that were lifted.
    #[must_use]
    pub fn lift(&self, source: Option<IpAddr>) -> Vec<Ban> {
        self.bans.lift(clock::now(), source)
    }

    /// Whose messages were shed since the start, the most first.
    #[must_use]
    pub fn sheds(&self) -> Vec<Shed> {
        let all = AllSheds::default();
        for stats in &self.stats {
            stats.sheds.add_to(&all);
        }
        all.list()
    }

    /// Who was dropped last because nobody knows him; of one of the shards.
    #[must_use]
    pub fn last_stranger(&self) -> Option<IpAddr> {
        let mut all = self.stats.iter();
        all.find_map(|stats| stats.last_stranger.value())
    }

    /// Messages that are kept out since this start, because they broke the program
    /// before.
    #[must_use]
    pub fn quarantined(&self) -> usize {
        self.quarantined
    }
}
