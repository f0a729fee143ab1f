//! What was shed because a shard could not keep up: whose it was, and what.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::base::limits::SHED_NAMES;
use crate::base::time::Mono;
use crate::policy::{Peer, RuleSet};

use super::intake::{Class, Party};

/// How long sheds are counted before they are told of together.
const SUM: Duration = Duration::from_secs(1);

/// Messages of one peer that were shed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Whose: a tenant, `carrier NAME`, or `strangers` who are asked who they are.
    pub whose: String,
    /// What would have begun something.
    pub new: u64,
    /// What belonged to something that was going on.
    pub under_way: u64,
    /// INVITEs to emergency numbers.
    pub emergency: u64,
}

impl Shed {
    /// How many there were.
    #[must_use]
    pub fn all(&self) -> u64 {
        let sum = self.new.saturating_add(self.under_way);
        sum.saturating_add(self.emergency)
    }

    fn count(&mut self, class: Class) {
        let count = match class {
            Class::New => &mut self.new,
            Class::UnderWay => &mut self.under_way,
            Class::Emergency => &mut self.emergency,
        };
        *count = count.saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        self.new = self.new.saturating_add(other.new);
        self.under_way = self.under_way.saturating_add(other.under_way);
        self.emergency = self.emergency.saturating_add(other.emergency);
    }
}

impl std::fmt::Display for Shed {
    /// `acme: 1200 new, 3 under way`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = ": ";
        f.write_str(&self.whose)?;
        for (count, what) in [
            (self.new, "new"),
            (self.under_way, "under way"),
            (self.emergency, "EMERGENCY CALLS"),
        ] {
            if count > 0 {
                write!(f, "{before}{count} {what}")?;
                before = ", ";
            }
        }
        Ok(())
    }
}

/// Sheds that nobody was told of yet.
#[derive(Debug, Default)]
pub(super) struct Sheds {
    untold: HashMap<Party, Shed, FixedState>,
    due: Option<Mono>,
}

impl Sheds {
    /// One more.
    pub(super) fn count(&mut self, now: Mono, party: Party, class: Class) {
        self.untold.entry(party).or_default().count(class);
        self.due.get_or_insert(now + SUM);
    }

    /// What is to be told of by now, the most first: as much as somebody could read.
    pub(super) fn due(&mut self, now: Option<Mono>, rules: &RuleSet) -> Vec<Shed> {
        if self.due.is_none_or(|due| now.is_some_and(|now| now < due)) {
            return Vec::new();
        }
        self.due = None;
        let untold = self.untold.drain();
        let named = untold.map(|(party, shed)| Shed {
            whose: name(rules, party),
            ..shed
        });
        let mut all: Vec<Shed> = named.collect();
        all.sort_by(|one, other| {
            let order = other.all().cmp(&one.all());
            order.then_with(|| one.whose.cmp(&other.whose))
        });
        let mut rest = Shed {
            whose: "others".to_owned(),
            ..Shed::default()
        };
        for shed in all.drain(SHED_NAMES.min(all.len())..) {
            rest.add(&shed);
        }
        all.extend(Some(rest).filter(|it| it.all() > 0));
        all
    }
}

/// Whose share it was.
fn name(rules: &RuleSet, party: Party) -> String {
    let known = match party {
        Party::Strangers => Some("strangers".to_owned()),
        Party::Peer(Peer::Tenant(id)) => rules.tenant(id).map(|it| it.name.to_string()),
        Party::Peer(Peer::Carrier(id)) => {
            rules.carrier(id).map(|it| format!("carrier {}", it.name))
        }
    };
    // Rules that have it no more came in between.
    known.unwrap_or_else(|| "others".to_owned())
}

/// All that was shed since the start, by whose it was.
#[derive(Debug, Default)]
pub(super) struct AllSheds(Mutex<BTreeMap<String, Shed>>);

impl AllSheds {
    /// These, too.
    pub(super) fn add(&self, sheds: &[Shed]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for shed in sheds {
            let full = all.len() >= SHED_NAMES && !all.contains_key(&shed.whose);
            let whose = if full { "others" } else { &shed.whose };
            let sum = all.entry(whose.to_owned()).or_insert_with(|| Shed {
                whose: whose.to_owned(),
                ..Shed::default()
            });
            sum.add(shed);
        }
    }

    /// All of them, added to what others shed.
    pub(super) fn add_to(&self, sums: &Self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Shed> = all.values().cloned().collect();
        sums.add(&all);
    }

    /// The most first.
    pub(super) fn list(self) -> Vec<Shed> {
        let all = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Shed> = all.into_values().collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.all()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::samples::{rules, tenant};
    use crate::policy::{CarrierId, TenantId};

    const MAIN: &str = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"upstream\"\n\
                        address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\n";

    #[test]
    fn sheds_are_told_of_together() {
        let rules = rules(MAIN, &tenant("127.0.0.4/32", ""));
        let start = Mono::from_nanos(1);
        let mut sheds = Sheds::default();
        assert!(sheds.due(None, &rules).is_empty());
        let tenant = Party::Peer(Peer::Tenant(TenantId(0)));
        for _ in 0..3 {
            sheds.count(start, tenant, Class::New);
        }
        sheds.count(start, tenant, Class::UnderWay);
        sheds.count(start, Party::Strangers, Class::New);
        let carrier = Party::Peer(Peer::Carrier(CarrierId(0)));
        sheds.count(start, carrier, Class::Emergency);
        assert!(sheds.due(Some(start), &rules).is_empty());
        let told = sheds.due(Some(start + SUM), &rules);
        let words: Vec<String> = told.iter().map(Shed::to_string).collect();
        let name = &rules.tenants()[0].name;
        assert_eq!(
            words,
            [
                format!("{name}: 3 new, 1 under way"),
                "carrier upstream: 1 EMERGENCY CALLS".to_owned(),
                "strangers: 1 new".to_owned(),
            ]
        );
        assert!(sheds.due(Some(start + 9 * SUM), &rules).is_empty());
        let (one, sum) = (AllSheds::default(), AllSheds::default());
        one.add(&told);
        one.add(&told);
        one.add_to(&sum);
        assert_eq!(
            sum.list()[0].to_string(),
            format!("{name}: 6 new, 2 under way")
        );
    }

    #[test]
    fn however_many_there_are_no_more_are_named_than_can_be_read() {
        let rules = rules(MAIN, &tenant("127.0.0.4/32", ""));
        let mut sheds = Sheds::default();
        for id in 0..1_000 {
            let party = Party::Peer(Peer::Carrier(CarrierId(id)));
            sheds.count(Mono::ZERO, party, Class::New);
        }
        let told = sheds.due(None, &rules);
        assert!(told.len() <= SHED_NAMES + 1);
        assert_eq!(told.iter().map(Shed::all).sum::<u64>(), 1_000);
    }
}
