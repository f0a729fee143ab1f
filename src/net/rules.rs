//! New rules, compiled and freed on a thread of their own: either takes longer
//! than a shard may stand still.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::policy::RuleSet;
use crate::shard::Command;

use super::desk::Letter;
use super::mailbox::Mailbox;

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
    reload: Reload,
    mailboxes: Vec<Mailbox<Letter>>,
) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = mpsc::channel();
    let clerk = Clerk {
        reload,
        current: rules,
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
        for job in jobs {
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
/// stands for an open socket.
fn same_listeners(one: &RuleSet, other: &RuleSet) -> bool {
    let addresses = |rules: &RuleSet| {
        let listeners = rules.listeners().iter();
        listeners.map(|listener| listener.bind).collect::<Vec<_>>()
    };
    addresses(one) == addresses(other)
}
