//! What carriers are called, looked up on a thread of its own: no call ever waits for it.
//!
//! ```text
//!  names     what is known of each name, and when it is looked up again
//!   locate     RFC 3263: from a name to addresses
//!    records     RFC 1035: records of one kind, behind CNAMEs
//!     wire         one question to name servers
//! ```
//!
//! What a name led to last stays until it leads elsewhere: a name server that is gone, or a
//! zone that is broken, must not make the telephones dead. A `Names` knows nothing of rules
//! but which names they have; whoever compiles them asks for [`Names::answers`].

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::base::limits::{
    GATEWAYS_PER_CARRIER, NAME_AGAIN, NAME_EARLIER, NAME_REMEMBERED, NAME_TIME, RESOLVERS,
};
use crate::base::time::{Mono, Now, Wall};
use crate::policy::{Answer, Answers, Located, Resolver, Wanted, Wants};

use super::clock;
use locate::{Nowhere, Outcome, beyond, locate, rank};
use wire::{Servers, Unasked};

mod locate;
mod records;
#[cfg(test)]
mod tests;
mod wire;

/// Where the system says who is asked.
const SYSTEM: &str = "/etc/resolv.conf";

/// Of an answer that the rules leave out, whole.
const USELESS: &str = "by the rules, no address that it leads to now is of use";

/// Called when a name leads elsewhere.
type Changed = Arc<dyn Fn() + Send + Sync>;

/// Looks names up for as long as one of its clones is there. Each clone is the same.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

/// The same, without keeping it up.
pub struct WeakNames(Weak<Shared>);

impl WeakNames {
    /// The names, if anybody still has them.
    #[must_use]
    pub fn upgrade(&self) -> Option<Names> {
        self.0.upgrade().map(Names)
    }
}

/// How a name fares, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name, as the rules write it.
    pub text: String,
    /// When it was last looked up with success, in this life.
    pub looked_up: Option<Wall>,
    /// Why not since then.
    pub fault: Option<String>,
    /// How often it has failed in a row.
    pub failures: u32,
    /// How many places it leads to beyond those that are used.
    pub beyond: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or something was done.
    stirred: Condvar,
}

#[derive(Default)]
struct State {
    /// What the rules in force want to know.
    wants: Wants,
    /// What rules want that may come into force.
    tried: Wants,
    known: BTreeMap<Arc<str>, Known>,
    changed: Option<Changed>,
    ending: bool,
}

/// Where a name led, and where before that.
type Before = (Vec<Located>, Vec<(IpAddr, Mono)>);

/// What is known of a name.
#[derive(Debug, Default)]
struct Known {
    ways: Vec<Located>,
    /// Where it led before, and until when that matters.
    earlier: Vec<(IpAddr, Mono)>,
    /// When it is looked up; at once if it never was.
    due: Option<Mono>,
    looked_up: Option<Wall>,
    fault: Option<String>,
    failures: u32,
    beyond: usize,
    /// What was known before it led elsewhere, and what of that is of no use.
    before: Option<Before>,
    useless: Option<Vec<Located>>,
}

impl Names {
    /// Knows what these say already.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(known: &Answers, now: Now) -> std::io::Result<Self> {
        let known = known.iter().map(|(text, answer)| {
            let until = now.mono + NAME_REMEMBERED;
            let known = Known {
                ways: answer.ways.to_vec(),
                earlier: answer.earlier.iter().map(|ip| (*ip, until)).collect(),
                ..Known::default()
            };
            (Arc::clone(text), known)
        });
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                known: known.collect(),
                ..State::default()
            }),
            stirred: Condvar::new(),
        });
        let names = Arc::clone(&shared);
        thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || names.serve())?;
        Ok(Self(shared))
    }

    /// Looks up the names of these rules from now on: those that are new at once, and the
    /// others too if their turn is brought forward, as whoever reloads may want it.
    pub fn follow(&self, wants: Wants, forward: bool) {
        let mut state = self.0.lock();
        (state.wants, state.tried) = (wants, Wants::default());
        for known in state.known.values_mut() {
            // These rules may have use for it.
            known.useless = None;
            if forward {
                known.due = None;
            }
        }
        self.0.stirred.notify_all();
    }

    /// Looks up the names of these rules, too, which are not in force yet, and waits until
    /// each was looked up once, well or ill, or is known from before; not for longer than
    /// `most`.
    pub fn settle(&self, wants: &Wants, most: Duration) {
        let end = clock::mono() + most;
        let mut state = self.0.lock();
        state.tried = wants.clone();
        self.0.stirred.notify_all();
        loop {
            let open = |it: &Wanted| {
                let known = state.known.get(&it.text);
                known.is_none_or(|it| it.ways.is_empty() && it.fault.is_none())
            };
            let left = end.saturating_since(clock::mono());
            if left.is_zero() || !wants.names.iter().any(open) {
                return;
            }
            state = self.0.wait(state, left);
        }
    }

    /// What names lead to, as far as is known.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let state = self.0.lock();
        let answer = |known: &Known| {
            let mut earlier: Vec<IpAddr> = known.earlier.iter().map(|it| it.0).collect();
            earlier.sort_unstable();
            Answer {
                ways: known.ways.as_slice().into(),
                earlier: earlier.into(),
            }
        };
        let known = state.known.iter();
        let known = known.filter(|(_, it)| !it.ways.is_empty());
        known
            .map(|(text, it)| (Arc::clone(text), answer(it)))
            .collect()
    }

    /// By the rules nothing of what this name leads to now is of use: what it led to before
    /// stays, as it does when nothing can be asked. Says whether there was something.
    pub fn take_back(&self, text: &str) -> bool {
        let mut state = self.0.lock();
        let known = state.known.get_mut(text);
        known.is_some_and(|it| it.take_back(text))
    }

    /// Has `changed` called now, and whenever a name leads elsewhere.
    pub fn when_changed(&self, changed: impl Fn() + Send + Sync + 'static) {
        let changed: Changed = Arc::new(changed);
        self.0.lock().changed = Some(Arc::clone(&changed));
        changed();
    }

    /// How each name fares.
    #[must_use]
    pub fn lookups(&self) -> Vec<Lookup> {
        let state = self.0.lock();
        let lookup = |it: &Wanted| {
            let known = state.known.get(&it.text)?;
            Some(Lookup {
                text: it.text.to_string(),
                looked_up: known.looked_up,
                fault: known.fault.clone(),
                failures: known.failures,
                beyond: known.beyond,
            })
        };
        state.wants.names.iter().filter_map(lookup).collect()
    }

    /// These names, for who must not keep them up.
    #[must_use]
    pub fn downgrade(&self) -> WeakNames {
        WeakNames(Arc::downgrade(&self.0))
    }

    /// Ends the thread, if not at once.
    pub fn finish(&self) {
        self.0.lock().ending = true;
        self.0.stirred.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&'s self, state: MutexGuard<'s, State>, most: Duration) -> MutexGuard<'s, State> {
        let waited = self.stirred.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn serve(&self) {
        let mut state = self.lock();
        while !state.ending {
            let now = clock::mono();
            let due = |it: &Wanted| state.known.get(&it.text).and_then(|it| it.due);
            let next = state.all().min_by_key(|(it, _)| due(it));
            let next = next.map(|(it, resolver)| (it.clone(), resolver.clone()));
            let wait = next.as_ref().and_then(|it| due(&it.0));
            let wait = wait.map(|it| it.saturating_since(now));
            let Some((wanted, resolver)) = next.filter(|_| wait.is_none_or(|it| it.is_zero()))
            else {
                state = self.wait(state, wait.unwrap_or(NAME_REMEMBERED));
                continue;
            };
            drop(state);
            let end = now + NAME_TIME;
            let mut servers = Servers::new(asked(&resolver), resolver.timeout, end);
            // What a library makes of a stranger's bytes must not end the thread.
            let found = catch_unwind(AssertUnwindSafe(|| locate(&wanted, &mut servers)))
                .unwrap_or(Err(Nowhere::Unasked(Unasked::Unreadable)));
            state = self.lock();
            let changed = state.learn(&wanted, found, clock::now());
            let tell = state.changed.clone().filter(|_| changed);
            drop(state);
            self.stirred.notify_all();
            if let Some(tell) = tell {
                tell();
            }
            state = self.lock();
        }
    }
}

impl State {
    /// Every name that is looked up, and who is asked.
    fn all(&self) -> impl Iterator<Item = (&Wanted, &Resolver)> {
        let both = [&self.wants, &self.tried].into_iter();
        both.flat_map(|it| it.names.iter().map(move |name| (name, &it.resolver)))
    }

    /// Takes what a lookup has come to; whether the name leads elsewhere.
    fn learn(&mut self, wanted: &Wanted, found: Result<Outcome, Nowhere>, now: Now) -> bool {
        if !self.all().any(|(it, _)| it == wanted) {
            return false;
        }
        let (wants, tried) = (&self.wants.names, &self.tried.names);
        self.known.retain(|text, _| {
            let mut all = wants.iter().chain(tried);
            all.any(|it| it.text == *text)
        });
        let known = self.known.entry(Arc::clone(&wanted.text)).or_default();
        known.learn(&wanted.text, found, now)
    }
}

impl Known {
    fn learn(&mut self, text: &str, found: Result<Outcome, Nowhere>, now: Now) -> bool {
        let remembered = self.earlier.len();
        self.earlier.retain(|(_, until)| *until > now.mono);
        let forgotten = self.earlier.len() < remembered;
        let outcome = match found {
            Ok(outcome) => outcome,
            Err(why) => {
                self.fails(text, why.to_string(), now);
                return forgotten;
            }
        };
        let Outcome {
            mut ways,
            holds,
            open,
            missing,
            beyond: more,
        } = outcome;
        // What could not be asked is as it was.
        let kept = self.ways.iter().filter(|it| open.contains(&rank(it)));
        ways.extend(kept.copied());
        ways.sort_unstable();
        ways.dedup();
        let beyond = more + beyond(ways.len());
        if beyond > 0 && beyond != self.beyond {
            tracing::warn!(
                "the name {text} leads to {beyond} places more than the {GATEWAYS_PER_CARRIER} that are \
                 used: those of the lowest priority are left out"
            );
        }
        self.beyond = beyond;
        ways.truncate(GATEWAYS_PER_CARRIER);
        if self.useless.as_ref() == Some(&ways) {
            self.fails(text, USELESS.to_owned(), now);
            return forgotten;
        }
        self.looked_up = Some(now.wall);
        match missing {
            Some(why) => self.fails(text, why.to_string(), now),
            None => {
                if self.failures > 0 {
                    tracing::info!("the name {text} can be looked up again");
                }
                (self.failures, self.fault) = (0, None);
                self.due = Some(now.mono + holds);
            }
        }
        if ways == self.ways {
            return forgotten;
        }
        let shown: Vec<String> = ways.iter().map(|it| it.address.to_string()).collect();
        tracing::info!("the name {text} leads to {}", shown.join(", "));
        self.move_to(ways, now);
        true
    }

    fn take_back(&mut self, text: &str) -> bool {
        let Some((ways, earlier)) = self.before.take() else {
            return false;
        };
        tracing::warn!("the name {text}: {USELESS}, and what it led to stays");
        self.useless = Some(std::mem::replace(&mut self.ways, ways));
        self.earlier = earlier;
        self.fault = Some(USELESS.to_owned());
        true
    }

    /// It leads here now.
    fn move_to(&mut self, ways: Vec<Located>, now: Now) {
        let before = std::mem::replace(&mut self.ways, ways);
        self.before = (!before.is_empty()).then(|| (before.clone(), self.earlier.clone()));
        self.useless = None;
        let until = now.mono + NAME_REMEMBERED;
        for way in before {
            let ip = way.address.ip();
            self.earlier.retain(|it| it.0 != ip);
            self.earlier.push((ip, until));
        }
        let leads = |ip: IpAddr| self.ways.iter().any(|it| it.address.ip() == ip);
        self.earlier.retain(|it| !leads(it.0));
        let over = self.earlier.len().saturating_sub(NAME_EARLIER);
        self.earlier.drain(..over);
    }

    fn fails(&mut self, text: &str, why: String, now: Now) {
        let (least, most) = NAME_AGAIN;
        let times = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.due = Some(now.mono + least.saturating_mul(times).min(most));
        self.failures = self.failures.saturating_add(1);
        if self.fault.as_ref() != Some(&why) {
            let then = match self.ways.is_empty() {
                true => "its carrier has no address",
                false => "what it led to stays",
            };
            tracing::warn!("the name {text} cannot be looked up: {why}; {then}");
        }
        self.fault = Some(why);
    }
}

/// Who is asked: the servers of the rules, or those that the system has now.
fn asked(resolver: &Resolver) -> Vec<SocketAddr> {
    if !resolver.servers.is_empty() {
        return resolver.servers.to_vec();
    }
    let mut text = Vec::new();
    let read =
        std::fs::File::open(SYSTEM).and_then(|file| file.take(1 << 16).read_to_end(&mut text));
    let read = read.map(|_| resolv_conf::Config::parse_with_errors(&text).0);
    let servers = read.map(|it| it.nameservers).unwrap_or_default();
    let servers = servers.iter().map(|it| SocketAddr::new(it.into(), 53));
    let servers: Vec<SocketAddr> = servers.take(RESOLVERS).collect();
    match servers.is_empty() {
        // As resolv.conf(5) has it.
        true => vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)],
        false => servers,
    }
}
