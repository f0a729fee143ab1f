//! What the figures say, some times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::admin::alert::{Happened, Kind};
use crate::base::time::{Now, Wall};
use crate::net::{Lookup, Tally, WeakNames};
use crate::policy::{Amount, Quantity, RuleSet, Spent, TenantId};

use super::Watch;
use crate::app::control::permille;
use crate::app::rules::Files;
use crate::app::tls;

/// How many tenants' budgets a round looks at.
const BUDGETS: u32 = 1_000;

/// Days before its end at which a certificate is told of.
const STEPS: [i64; 6] = [tls::SOON_DAYS, 14, 7, 3, 1, 0];

/// Failures in a row after which a name is told of: more than a minute of them.
const FAILURES: u32 = 5;

/// The figures as they were last.
#[derive(Debug)]
pub(super) struct Figures {
    files: Arc<Files>,
    clocks: Now,
    /// The tenant whose budget is looked at next.
    next: u32,
    journal_fault: bool,
    files_broken: bool,
    strangers: u64,
    /// The step at which each certificate was told of last.
    expiring: BTreeMap<String, i64>,
    /// Names that cannot be looked up, of which the owner was told.
    lost: BTreeSet<String>,
}

impl Figures {
    pub(super) const fn new(files: Arc<Files>, now: Now) -> Self {
        Self {
            files,
            clocks: now,
            next: 0,
            journal_fault: false,
            files_broken: false,
            strangers: 0,
            expiring: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    /// `stranger` is who was not known last.
    fn look(&mut self, tally: &Tally, stranger: Option<IpAddr>, now: Now) -> Vec<(Kind, Happened)> {
        let mut events = Vec::new();
        let mut say = |kind, what: &str, sentence: String, count| {
            let event = Happened {
                what: what.to_owned(),
                sentence,
                count,
                ..Happened::default()
            };
            events.push((kind, event));
        };
        let fault = tally.journal_faults > 0;
        if fault != std::mem::replace(&mut self.journal_fault, fault) {
            let (what, sentence) = match fault {
                true => (
                    "cannot-be-written",
                    "the journal cannot be written: only emergency calls are let in",
                ),
                false => ("written-again", "the journal is written again"),
            };
            say(Kind::Journal, what, sentence.to_owned(), 1);
        }
        let broken = self.files.are_broken();
        if broken && !std::mem::replace(&mut self.files_broken, broken) {
            let sentence = "the files of rules are broken, and older rules are in force: tollgate \
                            check shows what is wrong";
            say(Kind::Rules, "broken", sentence.to_owned(), 1);
        }
        self.files_broken = broken;
        let before = std::mem::replace(&mut self.clocks, now);
        if now.reckoned(before.ahead()) != now {
            let seconds = now.ahead().abs_diff(before.ahead()) / 1_000_000;
            let sentence = format!(
                "the clock was set by {seconds} s: no new day or month of a cap or a budget begins \
                 by it before it is confirmed: tollgate clock --confirm"
            );
            say(Kind::Clock, "set", sentence, 1);
        }
        for (what, sentence) in self.expiring(now.wall) {
            say(Kind::Certificate, &what, sentence, 1);
        }
        let strangers = tally.strangers.saturating_sub(self.strangers);
        self.strangers = tally.strangers;
        if strangers > 0 {
            events.push((Kind::Stranger, unknown(strangers, stranger)));
        }
        events
    }

    /// The names that cannot be looked up, the first time that this has lasted.
    fn lost(&mut self, lookups: &[Lookup]) -> Vec<Happened> {
        let fails = |it: &&Lookup| it.failures >= FAILURES;
        let failing: Vec<&Lookup> = lookups.iter().filter(fails).collect();
        self.lost
            .retain(|name| failing.iter().any(|it| it.text == *name));
        let new = failing.into_iter();
        let new = new.filter(|it| self.lost.insert(it.text.clone()));
        new.map(|it| {
            let fault = it.fault.as_deref().unwrap_or("nobody says why");
            Happened {
                what: format!("name {}", it.text),
                sentence: format!(
                    "the name {} of a carrier cannot be looked up: {fault}; where it led before stays \
                     in use: see tollgate status, and whoever runs its name servers",
                    it.text
                ),
                count: 1,
                ..Happened::default()
            }
        })
        .collect()
    }

    /// The certificates that have come nearer to their end by a step.
    fn expiring(&mut self, now: Wall) -> Vec<(String, String)> {
        let mut nearer = Vec::new();
        for expiry in self.files.expiries() {
            let path = &expiry.file.path;
            let days = tls::days_left(expiry.until, now);
            let step = STEPS.into_iter().filter(|it| days <= *it).min();
            let Some(step) = step else {
                // It was renewed.
                self.expiring.remove(path);
                continue;
            };
            if self
                .expiring
                .insert(path.clone(), step)
                .is_none_or(|it| step < it)
            {
                let what = if step == 0 { "expired" } else { "expires" };
                let sentence = tls::sentence(&expiry, now);
                nearer.push((
                    format!("{what} {path}"),
                    format!("{sentence}: {}", tls::RENEW),
                ));
            }
        }
        nearer
    }
}

impl Watch {
    /// What the figures say.
    pub(super) fn look(&mut self, now: Now) {
        let Some(reins) = self.reins.get() else {
            return;
        };
        let (rules, tally, stranger) = (reins.rules(), reins.tally(), reins.last_stranger());
        for (kind, event) in self.figures.look(&tally, stranger, now) {
            self.kept.groups.add(kind, event, now.wall);
        }
        let names = self.names.get().and_then(WeakNames::upgrade);
        let lookups = names.map(|it| it.lookups()).unwrap_or_default();
        for event in self.figures.lost(&lookups) {
            self.kept.groups.add(Kind::Carrier, event, now.wall);
        }
        self.budgets(&rules, now);
    }

    /// The budgets of the next tenants.
    fn budgets(&mut self, rules: &RuleSet, now: Now) {
        let count = u32::try_from(rules.tenants().len()).unwrap_or(u32::MAX);
        for _ in 0..count.min(BUDGETS) {
            let id = TenantId(self.figures.next % count);
            self.figures.next = self.figures.next.wrapping_add(1);
            let Some(standing) = rules.standing(id, now) else {
                continue;
            };
            for spent in &standing.spent {
                let text = rules.rule(spent.rule).text;
                let cap = Some(text).filter(|_| !spent.own);
                self.budget(&standing.tenant, cap, spent, now);
            }
        }
    }

    /// A tenant's own budget, or that of a cap.
    fn budget(&mut self, tenant: &str, cap: Option<&str>, spent: &Spent, now: Now) {
        let period = match spent.quantity {
            Quantity::MoneyPerMonth => "month",
            _ => "day",
        };
        let of = cap.map_or_else(String::new, |cap| format!(" of {cap}"));
        let budget = format!("{tenant} {period}{of}");
        let Some(level) = self.kept.levels.note(&budget, permille(spent)) else {
            return;
        };
        let percent = level / 10;
        let limit = Amount {
            currency: spent.currency,
            money: spent.limit,
        };
        let event = Happened {
            tenant: tenant.to_owned(),
            // Budgets of one tenant are not alike: each is told of.
            what: format!("{period}-{percent}{of}"),
            sentence: format!("{percent} % of the {period}'s budget{of}, {limit}, is used"),
            count: 1,
            ..Happened::default()
        };
        self.kept.groups.add(Kind::Budget, event, now.wall);
    }
}

/// Messages of somebody whom no rule knows.
fn unknown(count: u64, last: Option<IpAddr>) -> Happened {
    Happened {
        what: "unknown-peer".to_owned(),
        sentence: "no `sources` name who sends such: if it is a phone system or a carrier of \
                   yours, add its address there"
            .to_owned(),
        source: last.map(|it| it.to_string()).unwrap_or_default(),
        count,
        ..Happened::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::time::Mono;
    use crate::net::Expiry;

    #[test]
    fn a_certificate_is_told_of_as_its_end_comes_nearer() {
        let files = Arc::<Files>::default();
        let day = Duration::from_secs(86_400);
        let mut now = Now {
            mono: Mono::ZERO,
            wall: Wall::from_micros(1_000_000_000_000_000),
        };
        let until = now.wall + 40 * day;
        let mut figures = Figures::new(Arc::clone(&files), now);
        let mut told = Vec::new();
        for passed in 0..50_u32 {
            // It is renewed when nobody can use it any more.
            let until = if passed < 45 {
                until
            } else {
                until + 365 * day
            };
            files.show(&[Expiry::sample("own.pem", until)]);
            for _ in 0..3 {
                let events = figures.look(&Tally::default(), None, now).into_iter();
                let certificates = events.filter(|(kind, _)| *kind == Kind::Certificate);
                told.extend(certificates.map(|(_, it)| (passed, it.what)));
            }
            now.mono = now.mono + day;
            now.wall = now.wall + day;
        }
        let expires = [10, 26, 33, 37, 39].map(|it| (it, "expires own.pem".to_owned()));
        assert_eq!(told[..5], expires);
        assert_eq!(told[5..], [(40, "expired own.pem".to_owned())]);
    }

    #[test]
    fn a_name_that_cannot_be_looked_up_is_told_of_once_each_time() {
        let mut figures = Figures::new(Arc::<Files>::default(), Now::default());
        let mut told = |failures| {
            let lookup = Lookup {
                text: "sip.example.net".to_owned(),
                fault: Some("no name server answers".to_owned()),
                failures,
                ..Lookup::default()
            };
            let events = figures.lost(&[lookup]);
            events.into_iter().map(|it| it.sentence).collect::<Vec<_>>()
        };
        assert!((0..FAILURES).all(|it| told(it).is_empty()));
        let [sentence] = &told(FAILURES)[..] else {
            panic!()
        };
        assert!(
            sentence.contains("sip.example.net") && sentence.contains("no name server answers")
        );
        assert!(told(FAILURES + 1).is_empty());
        assert!(told(0).is_empty());
        assert_eq!(told(FAILURES).len(), 1);
    }

    #[test]
    fn each_thing_is_told_when_it_begins() {
        let files = Arc::<Files>::default();
        let mut now = Now {
            mono: Mono::ZERO,
            wall: Wall::from_micros(1_000_000_000_000_000),
        };
        let mut figures = Figures::new(Arc::clone(&files), now);
        let mut tally = Tally::default();
        let second = Duration::from_secs(1);
        let mut told = |tally: &Tally, set: Duration| {
            now.mono = now.mono + second;
            now.wall = now.wall + second + set;
            let stranger = Some("192.0.2.9".parse().unwrap());
            let events = figures.look(tally, stranger, now).into_iter();
            let events = events.inspect(|(kind, it)| {
                let named = it.source == "192.0.2.9";
                assert_eq!(named, *kind == Kind::Stranger, "{it:?}");
            });
            events.map(|(_, it)| it.what).collect::<Vec<_>>()
        };
        assert!(told(&tally, Duration::ZERO).is_empty());
        tally.journal_faults = 1;
        tally.strangers = 7;
        assert_eq!(
            told(&tally, Duration::ZERO),
            ["cannot-be-written", "unknown-peer"]
        );
        files.note(true);
        assert_eq!(told(&tally, 59 * second), ["broken"]);
        assert!(told(&tally, Duration::ZERO).is_empty());
        files.note(false);
        tally.journal_faults = 0;
        assert_eq!(told(&tally, Duration::ZERO), ["written-again"]);
        files.note(true);
        assert_eq!(told(&tally, 61 * second), ["broken", "set"]);
    }
}
