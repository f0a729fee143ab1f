//! Names that carriers are reached by, and what they lead to.
//!
//! Rules say names alone. What these lead to is looked up elsewhere, and given to the
//! compilation beside the files: it is no part of the rules' hash, and another answer
//! makes another [`RuleSet`] of the same rules.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::ruleset::RuleSet;
use crate::base::flow::Transport;

/// A name to be looked up (RFC 3263 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As the rules write it, in small letters: what answers are kept by.
    pub text: Arc<str>,
    /// The domain name in it.
    pub host: Arc<str>,
    /// The port in it: SRV records say where there is none.
    pub port: Option<u16>,
    /// The transport in it: NAPTR records say where there is none.
    pub transport: Option<Transport>,
    /// What it may be reached over: there are listeners for these.
    pub over: SmallVec<[Transport; 3]>,
    /// Whether IPv4 addresses are of use.
    pub v4: bool,
    /// Whether IPv6 addresses are.
    pub v6: bool,
}

/// One place that a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// One with a lower priority comes first (RFC 2782).
    pub priority: u16,
    /// Of those with the same one, which share of the calls it gets first.
    pub weight: u16,
    /// How messages are carried there.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
}

impl Located {
    /// Whether it may be one machine's address.
    #[must_use]
    pub fn can_be_reached(&self) -> bool {
        let ip = self.address.ip();
        let everybody = matches!(ip, IpAddr::V4(it) if it.is_broadcast());
        !ip.is_unspecified() && !ip.is_multicast() && !everybody && self.address.port() != 0
    }
}

/// What a name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Where calls go, in order of their priorities.
    pub ways: Box<[Located]>,
    /// Where it led before, not long ago: calls that are up may still come from there.
    pub earlier: Box<[IpAddr]>,
}

/// What names lead to, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Arc<str>, Answer>);

impl Answers {
    /// What this name leads to.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<&Answer> {
        self.0.get(text)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name, and what it leads to.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Answer)> {
        self.0.iter()
    }
}

impl FromIterator<(Arc<str>, Answer)> for Answers {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Answer)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// Who is asked for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The servers, in the order in which they are asked; none for the system's.
    pub servers: Box<[SocketAddr]>,
    /// How long one of them has for an answer.
    pub timeout: Duration,
}

impl Resolver {
    /// How long a server has unless the rules say otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(2);
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Box::default(),
            timeout: Self::TIMEOUT,
        }
    }
}

/// What a rule set wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The names that have to be looked up.
    pub names: Vec<Wanted>,
    /// Who is asked for them.
    pub resolver: Resolver,
}

/// The names of a rule set, and what they led to when it was compiled.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub wants: Wants,
    pub answers: Answers,
}

impl Names {
    /// Of these answers those to its names.
    pub(super) fn answers_of(&self, answers: &Answers) -> Answers {
        let wanted = self.wants.names.iter();
        let answered = wanted.filter_map(|it| {
            let answer = answers.get(&it.text)?;
            Some((Arc::clone(&it.text), answer.clone()))
        });
        answered.collect()
    }
}

impl RuleSet {
    /// The names that have to be looked up, and who is asked.
    #[must_use]
    pub fn wants(&self) -> &Wants {
        &self.looked_up.wants
    }

    /// Whether its names lead where these answers say.
    #[must_use]
    pub fn goes_by(&self, answers: &Answers) -> bool {
        let mut wanted = self.looked_up.wants.names.iter();
        wanted.all(|it| self.looked_up.answers.get(&it.text) == answers.get(&it.text))
    }
}
