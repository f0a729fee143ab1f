//! New rules, compiled and freed on a thread of their own: either takes longer
//! than a shard may stand still.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::time::{Mono, Now};
use crate::policy::{Counters, RuleSet};
use crate::shard::Command;

use super::clock;
use super::desk::Letter;
use super::mailbox::Mailbox;
use super::reins::InForce;
use super::tls::Tls;

/// How often the counters of tenants that are gone are looked through.
const SWEEP: Duration = Duration::from_secs(600);

/// Compiles the rules anew. Of an error's text the first line is logged, and all of
/// it told to who asked.
pub type Reload = Box<dyn Fn() -> Result<Loaded, String> + Send>;

/// Compiles the rules in force once more, with what names lead to by now; none where they
/// lead where they did. An error's text is one line.
pub type Renewal = Box<dyn Fn(&RuleSet) -> Result<Option<RuleSet>, String> + Send>;

/// Rules, and what TLS takes of them.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// Made of their files.
    pub tls: Tls,
    /// What is to be done when they are in force.
    pub then: Then,
}

/// What is to be done when rules are in force.
#[derive(Default)]
pub struct Then(Option<Box<dyn FnOnce() + Send>>);

impl Then {
    /// This.
    pub fn new(then: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }

    /// Now they are.
    pub fn done(self) {
        if let Some(then) = self.0 {
            then();
        }
    }
}

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

impl From<RuleSet> for Loaded {
    /// Rules without TLS.
    fn from(rules: RuleSet) -> Self {
        Self {
            rules,
            tls: Tls::default(),
            then: Then::default(),
        }
    }
}

/// Who waits for new rules: they are with the shards, or the reason why not.
pub(super) type Asker = oneshot::Sender<Result<Arc<RuleSet>, String>>;

/// What the thread is asked to do.
pub(super) enum Job {
    /// Read the rules again and hand them to the shards. Who asked, if someone waits
    /// for it, is told what came of it.
    Reload(Option<Asker>),
    /// Names lead elsewhere: hand the rules in force to the shards once more, with that.
    Renew(Renewal),
    /// A shard has no more use for this.
    Free(Arc<RuleSet>),
}

struct Clerk {
    reload: Reload,
    in_force: InForce,
    counters: Arc<Counters>,
    swept: Mono,
    mailboxes: Vec<Mailbox<Letter>>,
    /// How many shards still have the set before this one: while any has, no
    /// third is made.
    holders: usize,
    /// It was asked for once more in the meantime, and by whom.
    again: bool,
    askers: Vec<Asker>,
    renewal: Option<Renewal>,
}

/// Starts the thread. It ends when every sender of jobs is gone.
///
/// # Errors
/// The system has no room for a thread.
pub(super) fn start(
    in_force: InForce,
    counters: Arc<Counters>,
    reload: Reload,
    mailboxes: Vec<Mailbox<Letter>>,
) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = mpsc::channel();
    let clerk = Clerk {
        reload,
        in_force,
        counters,
        swept: clock::mono(),
        mailboxes,
        holders: 0,
        again: false,
        askers: Vec::new(),
        renewal: None,
    };
    thread::Builder::new()
        .name("rules".to_owned())
        .spawn(move || clerk.serve(&jobs))?;
    Ok(sender)
}

impl Clerk {
    fn serve(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(SWEEP) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.sweep(clock::now());
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Reload(asker) => {
                self.again = true;
                self.askers.extend(asker);
            }
            Job::Renew(renewal) => self.renewal = Some(renewal),
            Job::Free(rules) => {
                drop(rules);
                self.holders = self.holders.saturating_sub(1);
            }
        }
        if self.again && self.holders == 0 {
            self.again = false;
            let done = self.reload();
            for asker in self.askers.drain(..) {
                // Who has gone need not know.
                let _told = asker.send(done.clone());
            }
        }
        if self.holders == 0
            && let Some(renewal) = self.renewal.take()
        {
            self.renew(&renewal);
        }
    }

    /// The rules in force, with what names lead to by now.
    fn renew(&mut self, renewal: &Renewal) {
        let (current, tls) = self.in_force.both();
        let renewed = catch_unwind(AssertUnwindSafe(|| renewal(&current)))
            .unwrap_or_else(|_| Err("compiling them broke the program".to_owned()));
        match renewed {
            Ok(Some(rules)) => {
                self.put_in_force(Arc::new(rules), tls);
                tracing::info!("names lead elsewhere, and the rules in force follow");
            }
            Ok(None) => {}
            Err(why) => {
                tracing::error!("names lead elsewhere, and the rules cannot follow: {why}");
            }
        }
    }

    /// Hands rules to every shard.
    fn put_in_force(&mut self, rules: Arc<RuleSet>, tls: Arc<Tls>) {
        self.holders = self.mailboxes.len();
        for mailbox in &self.mailboxes {
            let rules = Arc::clone(&rules);
            mailbox.urge(Letter::Command(Command::Rules(rules)));
        }
        self.in_force.set(rules, tls);
    }

    /// Now and then, forgets the counters of tenants that are gone.
    fn sweep(&mut self, now: Now) {
        if now.mono.saturating_since(self.swept) >= SWEEP {
            self.swept = now.mono;
            self.counters.sweep(now);
        }
    }

    /// New rules for every shard.
    ///
    /// # Errors
    /// Why there are none.
    fn reload(&mut self) -> Result<Arc<RuleSet>, String> {
        let compiled = catch_unwind(AssertUnwindSafe(|| (self.reload)()))
            .unwrap_or_else(|_| Err("compiling them broke the program".to_owned()));
        let current = self.in_force.rules();
        let loaded = compiled.and_then(|loaded| match same_listeners(&loaded.rules, &current) {
            true => Ok((Arc::new(loaded.rules), Arc::new(loaded.tls), loaded.then)),
            false => Err("[[listen]] has changed, which takes a restart".to_owned()),
        });
        let (rules, tls, then) = loaded.inspect_err(|error| {
            let first = error.lines().next().unwrap_or_default();
            tracing::error!("the rules stay as they were: {first}");
        })?;
        if rules.run() != current.run() {
            tracing::warn!(
                "[run], [ledger], [admin] or [alerts] has changed, which the next start heeds"
            );
        }
        self.put_in_force(Arc::clone(&rules), tls);
        then.done();
        tracing::info!("new rules are in force");
        Ok(rules)
    }
}

/// Whether both have the same listeners in the same order: a listener's number
/// stands for an open socket, and calls that are up say where they are reached.
fn same_listeners(one: &RuleSet, other: &RuleSet) -> bool {
    let addresses = |rules: &RuleSet| {
        let listeners = rules.listeners().iter();
        listeners
            .map(|it| (it.transport, it.bind, it.advertise))
            .collect::<Vec<_>>()
    };
    addresses(one) == addresses(other)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use jiff::tz::TimeZoneDatabase;

    use super::*;
    use crate::policy::{Options, Source, Sources, compile};

    fn rules(tenant: &str, counters: &Counters) -> RuleSet {
        let source = |name: &str, text: &str| Source {
            name: name.into(),
            text: text.into(),
        };
        let main = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"up\"\n\
                    address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\n";
        let text = format!(
            "name = \"{tenant}\"\nplan = \"jp\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"up\"]\n\
             [identify]\nsources = [\"127.0.0.3/32\"]\n[callers]\nown = [\"+81335570000\"]\n\
             otherwise = \"refuse\"\n[destinations]\nallow = [\"jp.fixed\"]\n"
        );
        let plan = include_str!("../../policies/plans/jp.toml");
        let sources = Sources {
            main: source("tollgate.toml", main),
            tenants: vec![source("tenants/one.toml", &text)],
            plans: vec![source("plans/jp.toml", plan)],
            numbering: None,
            tariffs: Vec::new(),
        };
        let zones = TimeZoneDatabase::bundled();
        compile(&sources, Options::default(), &zones, counters).unwrap()
    }

    /// What is there of a tenant.
    fn knows(clerk: &Clerk, tenant: &str) -> bool {
        format!("{:?}", clerk.counters).contains(tenant)
    }

    #[test]
    fn names_that_lead_elsewhere_are_followed_when_no_shard_has_older_rules() {
        let counters = Arc::new(Counters::new());
        let made = Arc::new(Mutex::new(VecDeque::from([None, Some("porch")])));
        let renewal = || -> Job {
            let (counters, made) = (Arc::clone(&counters), Arc::clone(&made));
            Job::Renew(Box::new(move |_| {
                let next = made.lock().unwrap().pop_front();
                let next = next.ok_or_else(|| "there is nothing to compile".to_owned())?;
                Ok(next.map(|tenant| rules(tenant, &counters)))
            }))
        };
        let first = Arc::new(rules("porch", &counters));
        let mut clerk = Clerk {
            reload: Box::new(|| Err("nobody asked".to_owned())),
            in_force: InForce::new(Arc::clone(&first), Arc::default()),
            counters: Arc::clone(&counters),
            swept: clock::mono(),
            mailboxes: vec![Mailbox::new()],
            holders: 0,
            again: false,
            askers: Vec::new(),
            renewal: None,
        };
        // The same answer swaps nothing.
        clerk.take(renewal());
        assert_eq!(clerk.in_force.rules().version(), first.version());
        clerk.take(renewal());
        let second = clerk.in_force.rules();
        assert!(second.version() > first.version() && clerk.holders == 1);
        // What comes while a shard has the rules before waits, and is asked for once.
        made.lock().unwrap().extend([Some("porch"), Some("porch")]);
        clerk.take(renewal());
        clerk.take(renewal());
        assert_eq!(clerk.in_force.rules().version(), second.version());
        clerk.take(Job::Free(first));
        assert!(clerk.in_force.rules().version() > second.version());
        assert_eq!(made.lock().unwrap().len(), 1);
        // What cannot be compiled changes nothing.
        made.lock().unwrap().clear();
        let third = clerk.in_force.rules().version();
        clerk.take(Job::Free(second));
        clerk.take(renewal());
        assert_eq!(clerk.in_force.rules().version(), third);
    }

    #[test]
    fn counters_of_a_tenant_that_is_gone_go_too() {
        let counters = Arc::new(Counters::new());
        let names = Mutex::new(VecDeque::from(["lobby", "office"]));
        let reload = {
            let counters = Arc::clone(&counters);
            move || Ok(rules(names.lock().unwrap().pop_front().unwrap(), &counters).into())
        };
        let mut clerk = Clerk {
            reload: Box::new(reload),
            in_force: InForce::new(Arc::new(rules("porch", &counters)), Arc::default()),
            counters,
            swept: clock::mono(),
            mailboxes: vec![Mailbox::new(), Mailbox::new()],
            holders: 0,
            again: false,
            askers: Vec::new(),
            renewal: None,
        };
        let first = clerk.in_force.rules();
        clerk.take(Job::Reload(None));
        let mut now = clock::now();
        clerk.sweep(now);
        assert!(knows(&clerk, "porch") && knows(&clerk, "lobby"));
        // While a shard still has the first set, no third is made.
        let (asker, mut asked) = oneshot::channel();
        clerk.take(Job::Reload(Some(asker)));
        clerk.take(Job::Free(Arc::clone(&first)));
        assert!(!knows(&clerk, "office") && asked.try_recv().is_err());
        clerk.take(Job::Free(first));
        assert!(knows(&clerk, "office"));
        let told = asked.try_recv().unwrap().unwrap();
        assert_eq!(told.version(), clerk.in_force.rules().version());
        drop(told);
        // Not at once, but in time; and what is in force stays.
        clerk.sweep(now);
        assert!(knows(&clerk, "porch"));
        now.mono = now.mono + SWEEP;
        clerk.sweep(now);
        assert!(!knows(&clerk, "porch") && knows(&clerk, "office"));
    }
}
