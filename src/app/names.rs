//! What carriers are called: looked up while Tollgate runs, and kept with the ledger, so
//! that a start without a name server finds them where they were.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::admin::protocol::{Gateway, LeadsTo};
use crate::base::flow::Transport;
use crate::base::limits::{GATEWAYS_PER_CARRIER, NAME_EARLIER, NAME_FIRST};
use crate::base::time::Now;
use crate::ledger::Ledger;
use crate::net::{self, Reins, clock};
use crate::policy::{Answer, Answers, Carrier, Counters, Located, RuleSet, Sources, Wants};

use super::cli::Configuration;
use super::control::{address, state};
use super::render::count;
use super::rules::{self, Broken, Rules};

/// What names led to, in the ledger's folder.
const NAME: &str = "names.json";

/// Compiles rules with what their names lead to.
#[derive(Clone)]
pub(super) struct Names {
    names: net::Names,
    ledger: Ledger,
    rules: Arc<OfRules>,
}

/// How the rules in force are compiled.
struct OfRules {
    wanted: Configuration,
    counters: Arc<Counters>,
    /// Their files, where these have names.
    sources: Mutex<Option<Sources>>,
}

impl Names {
    /// Begins with what an earlier life knew.
    ///
    /// # Errors
    /// One line: the system lacks something.
    pub(super) fn start(
        ledger: &Ledger,
        wanted: &Configuration,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let names = net::Names::start(&kept(ledger), clock::now());
        Ok(Self {
            names: names.map_err(|error| format!("cannot start looking up names: {error}"))?,
            ledger: ledger.clone(),
            rules: Arc::new(OfRules {
                wanted: wanted.clone(),
                counters: Arc::clone(counters),
                sources: Mutex::default(),
            }),
        })
    }

    /// Rules as `load` makes them, with what their names lead to. Those that were never
    /// looked up are given a short time for it.
    ///
    /// # Errors
    /// As `load`.
    pub(super) fn with(
        &self,
        load: impl FnOnce((&Counters, &Answers)) -> Result<Rules, Broken>,
    ) -> Result<Rules, Broken> {
        let OfRules {
            wanted, counters, ..
        } = &*self.rules;
        let rules = load((counters, &self.names.answers()))?;
        if rules.set.wants().names.is_empty() {
            return Ok(rules);
        }
        self.names.settle(rules.set.wants(), NAME_FIRST);
        let answers = self.names.answers();
        match rules.set.goes_by(&answers) {
            true => Ok(rules),
            false => rules.again(wanted, (counters, &answers)),
        }
    }

    /// These rules are in force.
    pub(super) fn follow(&self, wants: Wants, sources: Sources, forward: bool) {
        let named = !wants.names.is_empty();
        *self.rules.sources() = named.then_some(sources);
        self.names.follow(wants, forward);
    }

    /// From now on the rules in force follow where names lead.
    pub(super) fn drive(&self, reins: Reins) {
        // The names must not hold themselves.
        let (names, ledger) = (self.names.downgrade(), self.ledger.clone());
        let rules = Arc::clone(&self.rules);
        let changed = move || {
            let Some(names) = names.upgrade() else { return };
            let answers = names.answers();
            if answers.is_empty() {
                return;
            }
            if let Err(fault) = ledger.keep(NAME, &written(&answers)) {
                tracing::warn!("what names lead to cannot be kept for a later start: {fault}");
            }
            let (rules, ledger) = (Arc::clone(&rules), ledger.clone());
            reins.renew(move |current| {
                let renewed = rules.renewed(current, &names.answers())?;
                let lost = renewed.iter().flat_map(|set| lost(current, set));
                let back = lost.filter(|text| names.take_back(text));
                if back.count() == 0 {
                    return Ok(renewed);
                }
                // It was said of the names themselves where that fails.
                let _kept = ledger.keep(NAME, &written(&names.answers()));
                rules.renewed(current, &names.answers())
            });
        };
        self.names.when_changed(changed);
    }

    /// The lookups, for who must not keep them up.
    pub(super) fn lookups(&self) -> net::WeakNames {
        self.names.downgrade()
    }

    /// What a carrier's name leads to, if it has one.
    pub(super) fn shown(&self, carrier: &Carrier, now: Now) -> Option<LeadsTo> {
        let text = carrier.looked_up.as_ref()?;
        let lookup = self.names.lookups().into_iter();
        let lookup = lookup.rev().find(|it| it.text == **text);
        let lookup = lookup.unwrap_or_default();
        let gateways = carrier.gateways.iter().map(|it| Gateway {
            address: address(it),
            state: state(it.trunk.fares(now.mono)),
        });
        let left_out = carrier.left_out.iter();
        let left_out = left_out.map(|(address, why)| format!("{address}: {}", why.sentence()));
        let beyond = (lookup.beyond > 0).then(|| {
            let more = count(lookup.beyond, "further place", "further places");
            format!("{more}: {GATEWAYS_PER_CARRIER} are used at the most")
        });
        Some(LeadsTo {
            gateways: gateways.collect(),
            left_out: left_out.chain(beyond).collect(),
            looked_up: lookup.looked_up.map(|it| it.to_string()),
            fault: lookup.fault,
            failures: lookup.failures,
        })
    }
}

/// The names of carriers that would have no gateway any more, and have some now.
fn lost<'s>(current: &'s RuleSet, set: &'s RuleSet) -> impl Iterator<Item = Arc<str>> + 's {
    let had = |carrier: &Carrier| {
        let mut before = current.carriers().iter();
        before.any(|it| it.looked_up == carrier.looked_up && !it.gateways.is_empty())
    };
    let carriers = set.carriers().iter();
    let none = carriers.filter(move |it| it.gateways.is_empty() && had(it));
    none.filter_map(|it| it.looked_up.clone())
}

impl OfRules {
    /// The rules in force, with these answers; none where they go by these already.
    fn renewed(&self, current: &RuleSet, answers: &Answers) -> Result<Option<RuleSet>, String> {
        if current.goes_by(answers) {
            return Ok(None);
        }
        let Some(sources) = self.sources().clone() else {
            return Ok(None);
        };
        let known = (&*self.counters, answers);
        let mut set = rules::from(sources, &self.wanted, known)
            .map_err(Broken::log)?
            .set;
        set.keep_secrets(current);
        match set.hash() == current.hash() {
            true => Ok(Some(set)),
            false => Err("they are not those in force any more".to_owned()),
        }
    }

    fn sources(&self) -> MutexGuard<'_, Option<Sources>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    names: Vec<KeptName>,
}

#[derive(Serialize, Deserialize)]
struct KeptName {
    name: String,
    ways: Vec<KeptWay>,
    earlier: Vec<IpAddr>,
}

#[derive(Serialize, Deserialize)]
struct KeptWay {
    transport: String,
    address: SocketAddr,
    priority: u16,
    weight: u16,
}

fn written(answers: &Answers) -> Vec<u8> {
    let way = |it: &Located| KeptWay {
        transport: it.transport.via_name().to_owned(),
        address: it.address,
        priority: it.priority,
        weight: it.weight,
    };
    let names = answers.iter().map(|(name, answer)| KeptName {
        name: name.to_string(),
        ways: answer.ways.iter().map(way).collect(),
        earlier: answer.earlier.to_vec(),
    });
    let kept = Kept {
        names: names.collect(),
    };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// What an earlier life knew; nothing if that cannot be read.
fn kept(ledger: &Ledger) -> Answers {
    let kept = ledger.kept(NAME).map_err(|fault| fault.plainly());
    let answers = kept.and_then(|it| match it {
        Some(bytes) => read(&bytes).map_err(|error| format!("{NAME} is damaged: {error}")),
        None => Ok(Answers::default()),
    });
    answers.unwrap_or_else(|fault| {
        tracing::warn!(
            "{fault}: what carriers' names led to is not known, and is asked for anew; until a name \
             server answers, no call goes to a carrier that is only known by its name"
        );
        Answers::default()
    })
}

fn read(bytes: &[u8]) -> serde_json::Result<Answers> {
    let kept = serde_json::from_slice::<Kept>(bytes)?.names;
    let way = |it: KeptWay| {
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let transport = all.into_iter().find(|t| t.via_name() == it.transport)?;
        Some(Located {
            priority: it.priority,
            weight: it.weight,
            transport,
            address: it.address,
        })
    };
    let answer = |it: KeptName| {
        let ways = it.ways.into_iter().filter_map(way);
        let answer = Answer {
            ways: ways.take(GATEWAYS_PER_CARRIER).collect(),
            earlier: it.earlier.into_iter().take(NAME_EARLIER).collect(),
        };
        (Arc::from(it.name), answer)
    };
    Ok(kept.into_iter().map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_known() {
        let way = |transport, address: &str| Located {
            priority: 1,
            weight: 2,
            transport,
            address: address.parse().unwrap(),
        };
        let answer = Answer {
            ways: [
                way(Transport::Udp, "192.0.2.1:5060"),
                way(Transport::Tls, "[2001:db8::1]:5061"),
            ]
            .into(),
            earlier: ["192.0.2.9".parse().unwrap()].into(),
        };
        let answers: Answers = [(Arc::from("sip.example.net"), answer)]
            .into_iter()
            .collect();
        assert_eq!(read(&written(&answers)).unwrap(), answers);
        for broken in [&b""[..], b"{}", b"{\"names\":[{}]}", b"\xFF"] {
            assert!(read(broken).is_err());
        }
    }
}
