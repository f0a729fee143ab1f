//! New rules, compiled and freed on a thread of their own: either takes longer
//! than a shard may stand still.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::base::time::{Mono, Now};
use crate::policy::{Counters, RuleSet};
use crate::shard::Command;

use super::clock;
use super::desk::Letter;
use super::mailbox::Mailbox;

/// How often the counters of tenants that are gone are looked through.
const SWEEP: Duration = Duration::from_secs(600);

/// Compiles the rules anew. An error is told as text, of one or more lines.
pub type Reload = Box<dyn Fn() -> Result<RuleSet, String> + Send>;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Read the rules again and hand them to the shards.
    Reload,
    /// A shard has no more use for this.
    Free(Arc<RuleSet>),
}

struct Clerk {
    reload: Reload,
    current: Arc<RuleSet>,
    counters: Arc<Counters>,
    swept: Mono,
    mailboxes: Vec<Mailbox<Letter>>,
    /// How many shards still have the set before this one: while any has, no
    /// third is made.
    holders: usize,
    /// It was asked for once more in the meantime.
    again: bool,
}

/// Starts the thread. It ends when every sender of jobs is gone.
///
/// # Errors
/// The system has no room for a thread.
pub(super) fn start(
    rules: Arc<RuleSet>,
    counters: Arc<Counters>,
    reload: Reload,
    mailboxes: Vec<Mailbox<Letter>>,
) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = mpsc::channel();
    let clerk = Clerk {
        reload,
        current: rules,
        counters,
        swept: clock::mono(),
        mailboxes,
        holders: 0,
        again: false,
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
            Job::Reload => self.again = true,
            Job::Free(rules) => {
                drop(rules);
                self.holders = self.holders.saturating_sub(1);
            }
        }
        if self.again && self.holders == 0 {
            self.again = false;
            self.reload();
        }
    }

    /// Now and then, forgets the counters of tenants that are gone.
    fn sweep(&mut self, now: Now) {
        if now.mono.saturating_since(self.swept) >= SWEEP {
            self.swept = now.mono;
            self.counters.sweep(now);
        }
    }

    fn reload(&mut self) {
        let compiled = catch_unwind(AssertUnwindSafe(|| (self.reload)()))
            .unwrap_or_else(|_| Err("compiling them broke the program".to_owned()));
        match compiled {
            Err(error) => tracing::error!("the rules stay as they were: {error}"),
            Ok(rules) if !same_listeners(&rules, &self.current) => tracing::error!(
                "the rules stay as they were: [[listen]] has changed, which takes a restart"
            ),
            Ok(rules) => {
                if rules.run() != self.current.run() {
                    tracing::warn!("[run] or [ledger] has changed, which the next start heeds");
                }
                self.current = Arc::new(rules);
                self.holders = self.mailboxes.len();
                for mailbox in &self.mailboxes {
                    let rules = Arc::clone(&self.current);
                    mailbox.urge(Letter::Command(Command::Rules(rules)));
                }
                tracing::info!("new rules are in force");
            }
        }
    }
}

/// Whether both have the same listeners in the same order: a listener's number
/// stands for an open socket, and calls that are up say where they are reached.
fn same_listeners(one: &RuleSet, other: &RuleSet) -> bool {
    let addresses = |rules: &RuleSet| {
        let listeners = rules.listeners().iter();
        listeners
            .map(|it| (it.bind, it.advertise))
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
    fn counters_of_a_tenant_that_is_gone_go_too() {
        let counters = Arc::new(Counters::new());
        let names = Mutex::new(VecDeque::from(["lobby", "office"]));
        let reload = {
            let counters = Arc::clone(&counters);
            move || Ok(rules(names.lock().unwrap().pop_front().unwrap(), &counters))
        };
        let mut clerk = Clerk {
            reload: Box::new(reload),
            current: Arc::new(rules("gate", &counters)),
            counters,
            swept: clock::mono(),
            mailboxes: vec![Mailbox::new(), Mailbox::new()],
            holders: 0,
            again: false,
        };
        let first = Arc::clone(&clerk.current);
        clerk.take(Job::Reload);
        let mut now = clock::now();
        clerk.sweep(now);
        assert!(knows(&clerk, "gate") && knows(&clerk, "lobby"));
        // While a shard still has the first set, no third is made.
        clerk.take(Job::Reload);
        clerk.take(Job::Free(Arc::clone(&first)));
        assert!(!knows(&clerk, "office"));
        clerk.take(Job::Free(first));
        assert!(knows(&clerk, "office"));
        // Not at once, but in time; and what is in force stays.
        clerk.sweep(now);
        assert!(knows(&clerk, "gate"));
        now.mono = now.mono + SWEEP;
        clerk.sweep(now);
        assert!(!knows(&clerk, "gate") && knows(&clerk, "office"));
    }
}
