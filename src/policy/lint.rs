//! What is right by the letter and hardly meant: for `check`, too slow for a
//! reload.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::compile::Sources;
use super::diagnostic::{Diagnostic, Severity, Source};
use super::lane::{Cap, Lane, NO_TARIFF};
use super::lease::Rate;
use super::matcher::{self, Decision};
use super::money::{Amount, Money};
use super::numbering::Class;
use super::ruleset::{Mode, RuleId, RuleSet, TenantId};
use super::spots::{Spot, services};
use super::table::{Entry, Table};
use super::target::{Destination, Packed};
use super::tariff::Price;
use crate::base::time::Wall;

/// How many destinations a warning names.
const NAMED: usize = 4;

mod denials;
mod inbound;

/// What became of everything that a tenant could dial.
#[derive(Default)]
struct Survey {
    /// Destination rules that decide somewhere.
    rules: BTreeSet<u32>,
    /// Caps on targets that allowed calls count under.
    caps: BTreeSet<u32>,
    /// By the rule that allows them: places with a price, and sorts without.
    prices: BTreeMap<u32, Prices>,
    /// By the rule of a budget that is smaller than what a call must reserve: the
    /// most that one must, and the sorts of calls.
    small: BTreeMap<RuleId, (Money, BTreeSet<String>)>,
}

#[derive(Default)]
struct Prices {
    any: bool,
    missing: BTreeSet<String>,
}

impl RuleSet {
    /// Warnings beside those of compiling: rules and caps that never matter,
    /// allowed destinations without a price, tenants without a budget. `sources`
    /// are those that were compiled. Slow, for commands.
    #[must_use]
    pub fn lint(&self, sources: &Sources, at: Wall) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let everywhere: Vec<Spot> = self.spots(Packed::default()).collect();
        for (tenant, lane) in (0..).map(TenantId).zip(&self.lanes) {
            let survey = self.survey(lane, &everywhere, at);
            self.idle_rules(lane, &survey, &mut found);
            self.passed_over(lane, &everywhere, &mut found);
            if lane.tariff != NO_TARIFF {
                self.unpriced_rules(&survey, &mut found);
            }
            self.missing_budget(tenant, lane, at, &mut found);
            self.small_budgets(lane, &survey, &mut found);
            self.inbound_costs(tenant, lane, at, &mut found);
        }
        let mut found: Vec<Diagnostic> = found
            .into_iter()
            .filter_map(|it: Warning| it.place(self, sources))
            .collect();
        found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        found
    }

    fn survey(&self, lane: &Lane, everywhere: &[Spot], at: Wall) -> Survey {
        let home = self.home(lane);
        let rules = self.destinations_of(lane);
        let caps = Table::new(lane.cap_targets().of(&self.entries), lane.cap_kinds);
        let prefixes: Vec<Packed> = rules.all_prefixes().chain(caps.all_prefixes()).collect();
        let own = prefixes.into_iter().flat_map(|prefix| self.spots(prefix));
        let priced: Vec<Packed> = self
            .tariff_of(lane)
            .map(|tariff| tariff.prefixes().collect())
            .unwrap_or_default();
        let mut survey = Survey::default();
        for Spot { to } in everywhere.iter().copied().chain(own).chain(services()) {
            let rule = match matcher::decide(rules, &to, home) {
                Decision::Allow(rule) | Decision::Observe(rule) => rule,
                Decision::Deny(rule) => {
                    survey.rules.insert(rule);
                    continue;
                }
                Decision::Uncovered => continue,
            };
            survey.rules.insert(rule);
            caps.covering(&to, home, |entry| {
                survey.caps.insert(entry.value);
            });
            let prices = survey.prices.entry(rule).or_default();
            let price = self.price_to(lane, &to);
            if price.is_some() || is_priced_inside(&priced, to.digits) {
                prices.any = true;
            } else if to.class != Class::Unassigned {
                prices.missing.insert(sort(&to));
            }
            if let Some(price) = price {
                self.try_budgets(lane, &to, price, at, &mut survey.small);
            }
        }
        survey
    }

    /// Notes each budget that has not even when it is whole what a call there must
    /// reserve.
    fn try_budgets(
        &self,
        lane: &Lane,
        to: &Destination,
        price: Price<'_>,
        at: Wall,
        small: &mut BTreeMap<RuleId, (Money, BTreeSet<String>)>,
    ) {
        let wide = (lane.wide_caps..).take(lane.wide_count.into());
        let wide = wide.filter_map(|it| self.caps.get(it as usize));
        let mut caps: Vec<&Cap> = wide.collect();
        let narrower = Table::new(lane.cap_targets().of(&self.entries), lane.cap_kinds);
        narrower.covering(to, self.home(lane), |entry| {
            caps.extend(self.caps_from(entry.value));
        });
        let ring = caps
            .iter()
            .fold(lane.longest(), |all, cap| all.min(cap.longest));
        let ring = Duration::from_secs(ring.ring.into());
        caps.retain(|cap| !cap.measure.observe);
        let budgets = caps.into_iter().filter_map(|cap| self.money_of(cap));
        let Some(zone) = self.zones.get(usize::from(lane.zone)) else {
            return;
        };
        let mut least = None;
        for (limit, rule) in budgets {
            let least = *least.get_or_insert_with(|| {
                let wall = at;
                Self::least(&Rate { price, zone, wall }, ring, at)
            });
            if limit < least {
                let (most, sorts) = small.entry(rule).or_default();
                *most = least.max(*most);
                sorts.insert(sort(to));
            }
        }
    }

    fn small_budgets(&self, lane: &Lane, survey: &Survey, found: &mut Vec<Warning>) {
        let Some(currency) = self.tariff_of(lane).map(|it| it.currency()) else {
            return;
        };
        for (&rule, (most, sorts)) in &survey.small {
            let text = self.rule(rule).text;
            let most = Amount {
                currency,
                money: *most,
            };
            found.push(Warning {
                rule,
                at_name: false,
                title: format!("`{text}` lets no call go to {}", named(sorts)),
                help: format!(
                    "a call starts only if all it may come to in some 5 minutes is free, here up \
                     to {most}: raise the budget, or allow less"
                ),
            });
        }
    }

    fn idle_rules(&self, lane: &Lane, survey: &Survey, found: &mut Vec<Warning>) {
        let idle = |entries: &[Entry], busy: &BTreeSet<u32>| -> Vec<u32> {
            let all = entries.iter().map(|entry| entry.value);
            all.filter(|it| !busy.contains(it)).collect()
        };
        for rule in idle(lane.destinations().of(&self.entries), &survey.rules) {
            let rule = RuleId(rule);
            found.push(Warning {
                rule,
                at_name: false,
                title: format!("`{}` never decides", self.rule(rule).text),
                help: "other rules decide about every number it covers: take it out, or the rule \
                       that is in its way"
                    .to_owned(),
            });
        }
        for cap in idle(lane.cap_targets().of(&self.entries), &survey.caps) {
            let Some(cap) = self.caps.get(cap as usize) else {
                continue;
            };
            if let (Some(rule), Mode::Enforce) = (self.rules_of_cap(cap).next(), lane.mode) {
                found.push(Warning {
                    rule,
                    at_name: false,
                    title: format!("`{}` never counts a call", self.rule(rule).text),
                    help: "nothing that it is on is allowed under [destinations]".to_owned(),
                });
            }
        }
    }

    fn unpriced_rules(&self, survey: &Survey, found: &mut Vec<Warning>) {
        for (&rule, prices) in &survey.prices {
            if prices.missing.is_empty() {
                continue;
            }
            let rule = RuleId(rule);
            let text = self.rule(rule).text;
            let some = named(&prices.missing);
            let title = if prices.any {
                format!("`{text}` allows what has no price: {some}")
            } else {
                format!("`{text}` allows nothing: the tariff has no price for {some}")
            };
            let help = "calls there are refused: add rows to the tariff, or allow less";
            found.push(Warning {
                rule,
                at_name: false,
                title,
                help: help.to_owned(),
            });
        }
    }

    fn missing_budget(&self, tenant: TenantId, lane: &Lane, at: Wall, found: &mut Vec<Warning>) {
        let calls = !lane.destinations().of(&self.entries).is_empty();
        if lane.mode == Mode::Observe || !calls || self.has_budget(lane, at) {
            return;
        }
        let tariff = self.tenant(tenant).and_then(|it| it.tariff_rule);
        let (title, help) = match tariff {
            Some(_) => (
                "no budget bounds what calls cost",
                "write, say, [budget] per_day = \"JPY 30000\"; `tollgate exposure` says what can be \
                 lost",
            ),
            None => (
                "no tariff says what calls cost, so that no budget can bound it",
                "write the carrier's prices to policies/tariffs/ and name the file in `tariff`",
            ),
        };
        found.push(Warning {
            rule: tariff.unwrap_or(lane.callers),
            at_name: tariff.is_none(),
            title: format!(
                "{title}: tenant `{}`",
                self.tenant(tenant).map_or("", |it| &it.name)
            ),
            help: help.to_owned(),
        });
    }
}

/// "jp.mobile", "satellite".
fn sort(to: &Destination) -> String {
    let country = to.country.map(|it| format!("{it}."));
    format!("{}{}", country.unwrap_or_default(), to.class)
}

/// The first of some names, and how many more there are.
fn named(all: &BTreeSet<String>) -> String {
    let some: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = match all.len() - some.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    some.join(", ") + &more
}

/// Whether a tariff has prices for parts of it: all of it may have one.
fn is_priced_inside(priced: &[Packed], outer: Packed) -> bool {
    // Sorted: what begins with some digits comes right behind them.
    let at = priced.partition_point(|it| it.word() < outer.word());
    let first = priced.get(at);
    outer.length() > 0 && first.is_some_and(|it| it.starts_with(outer.word()))
}

/// Where a line has this name in quotes; a prefix may have been written with
/// separators.
fn quoted(line: &str, name: &str) -> Option<Range<usize>> {
    let is_it = |text: &str| {
        let digits = || text.chars().filter(|c| !" -.".contains(*c));
        text == name || (text.starts_with('+') && digits().eq(name.chars()))
    };
    let mut at = 0;
    for (place, part) in line.split('"').enumerate() {
        if place % 2 == 1 && is_it(part) {
            return Some(at - 1..at + part.len() + 1);
        }
        at += part.len() + 1;
    }
    None
}

/// A warning about a rule.
struct Warning {
    rule: RuleId,
    /// It is about the whole file: it stands where that says whose it is.
    at_name: bool,
    title: String,
    help: String,
}

impl Warning {
    /// Puts it where the rule stands: the line is known, and shown as a whole.
    fn place(self, rules: &RuleSet, sources: &Sources) -> Option<Diagnostic> {
        let rule = rules.rule(self.rule);
        let all = [&sources.tenants, &sources.plans, &sources.tariffs];
        let mut all = all.into_iter().flatten();
        let source: &Source = all.find(|source| source.name == rule.file)?;
        let lines = source.text.split_inclusive('\n');
        let names = |line: &str| {
            line.split_once('=')
                .is_some_and(|(key, _)| key.trim() == "name")
        };
        let line = match lines.clone().position(names).filter(|_| self.at_name) {
            Some(before) => before + 1,
            None => usize::try_from(rule.line).ok()?,
        };
        let before = lines
            .clone()
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum::<usize>();
        let text = lines.clone().nth(line.saturating_sub(1))?;
        let named = rule
            .text
            .split('"')
            .nth(1)
            .filter(|_| !self.at_name)
            .and_then(|name| quoted(text, name));
        let span = named.unwrap_or_else(|| {
            let indent = text.len() - text.trim_start().len();
            indent..indent + text.trim().len()
        });
        let head = text.get(..span.start).unwrap_or_default();
        Some(Diagnostic {
            file: source.name.clone(),
            span: before + span.start..before + span.end,
            line,
            column: head.chars().count() + 1,
            title: self.title,
            label: String::new(),
            help: Some(self.help),
            severity: Severity::Warning,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;
    use crate::policy::{Counters, Options, compile};

    const MAIN: &str = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"up\"\n\
                        address = \"udp:127.0.0.2:5070\"\n";

    /// The warnings, each "line:column title".
    pub(super) fn lint_all(destinations: &str, rows: &str) -> Vec<String> {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let tenant = format!(
            "name = \"acme\"\nplan = \"jp\"\ntariff = \"t\"\ntime_zone = \"Asia/Tokyo\"\n\
             carriers = [\"up\"]\ncallers = {{ own = [\"+81335570000\"], default = \"+81335570000\" }}\n\
             identify = {{ sources = [\"127.0.0.3\"] }}\n[destinations]\n{destinations}"
        );
        let tariff =
            format!("destination,setup,per_minute,first_pulse,next_pulse,currency\n{rows}\n");
        let sources = Sources {
            main: source("tollgate.toml", MAIN),
            tenants: vec![source("acme.toml", &tenant)],
            plans: vec![source(
                "jp.toml",
                include_str!("../../policies/plans/jp.toml"),
            )],
            numbering: None,
            tariffs: vec![source("t.csv", &tariff)],
        };
        let zones = TimeZoneDatabase::bundled();
        let options = Options { preview: true };
        let set = compile(&sources, options, &zones, &Counters::new());
        let set = set.unwrap_or_else(|it| panic!("{it:#?}"));
        let found = set.lint(&sources, Wall::default());
        let show = |it: Diagnostic| format!("{}:{} {}", it.line, it.column, it.title);
        found.into_iter().map(show).collect()
    }

    pub(super) fn lint(destinations: &str, rows: &str) -> Vec<String> {
        let mut found = lint_all(destinations, rows);
        found.retain(|it| !it.contains("no budget"));
        found
    }

    pub(super) const ALL: &str = "any,0,1,1,1,JPY\npremium,0,1,1,1,JPY\nuan,0,1,1,1,JPY";

    #[test]
    fn rules_that_never_decide_are_shown() {
        let busy = "allow = [\"jp.fixed\", \"us\", \"+44 20\"]\ndeny = [\"premium\", \"+1 900\"]";
        assert_eq!(lint(busy, ALL), [""; 0]);
        // Prefixes over the whole country, in front of its class.
        let idle = "allow = [\"sg.fixed\", \"+65\"]\ndeny = [\"fixed\"]";
        assert_eq!(lint(idle, ALL), [""; 0], "+65 has other classes, too");
        let idle = "allow = [\"sg\"]\ndeny = [\"+65\"]";
        assert_eq!(lint(idle, ALL), ["9:10 `allow \"sg\"` never decides"]);
        let idle = "allow = [\"+81 3\"]\ndeny = [\"+81 3\", \"jp.premium\"]";
        assert_eq!(lint(idle, ALL), [""; 0], "compiling has said so");
    }

    #[test]
    fn caps_that_count_nothing_are_shown() {
        let caps = "allow = [\"jp.fixed\"]\n[[cap]]\non = \"international\"\ncalls_per_day = 3\n\
                    [[cap]]\non = \"jp\"\ncalls_per_day = 3\n";
        let title = "`[[cap]] on \"international\" calls_per_day = 3` never counts a call";
        assert_eq!(lint(caps, ALL), [format!("12:1 {title}")]);
    }

    #[test]
    fn a_tenant_without_a_budget_is_shown() {
        let allow = "allow = [\"us\"]\n";
        let title = "no budget bounds what calls cost: tenant `acme`";
        assert_eq!(lint_all(allow, ALL), [format!("3:10 {title}")]);
        let budget = format!("{allow}[budget]\nper_month = \"JPY 900\"\n");
        assert_eq!(lint_all(&budget, ALL), [""; 0]);
        assert_eq!(lint_all("", ALL), [""; 0], "nothing is allowed");
        let idle = format!("{budget}[[cap]]\non = \"gb\"\nmoney_per_day = \"JPY 9\"\n");
        let found = lint_all(&idle, ALL);
        assert!(
            found[0].contains("money_per_day = \"JPY 9\"` never counts"),
            "{found:?}"
        );
    }

    #[test]
    fn a_budget_below_the_start_of_a_call_is_shown() {
        let found =
            |budget: &str| lint_all(&format!("allow = [\"us\", \"jp.fixed\"]\n{budget}"), ALL);
        // A minute costs 1: what must be free is the minutes of it.
        let free = |most: &str| found(&format!("[budget]\nper_day = \"JPY {most}\"\n"));
        assert_eq!(free("7"), [""; 0]);
        let title =
            "`[budget] per_day = \"JPY 5\"` lets no call go to jp.fixed, us.fixed_or_mobile";
        let shown = free("5");
        assert!(shown[0].contains(title), "{shown:?}");
        let narrow =
            "[budget]\nper_day = \"JPY 99\"\n[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 1\"\n";
        let shown = found(narrow);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(
            shown[0].contains("money_per_day = \"JPY 1\"` lets no call go to us."),
            "{shown:?}"
        );
    }

    #[test]
    fn what_is_allowed_without_a_price_is_shown() {
        let allow = "allow = [\"jp.fixed\", \"us\", \"+44 20\"]";
        let rows = "jp,0,1,1,1,JPY\ngb,0,1,1,1,JPY";
        let found = lint(allow, rows);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("9:22 `allow \"us\"` allows nothing"),
            "{found:?}"
        );
        let found = lint(
            "allow = [\"us\", \"gb\"]",
            "us,0,1,1,1,JPY\ngb.fixed,0,1,1,1,JPY",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("`allow \"gb\"` allows what has no price: gb.f"),
            "{found:?}"
        );
        // Prices by prefix may cover it all.
        assert_eq!(lint("allow = [\"us\"]", "+1,0,1,1,1,JPY"), [""; 0]);
    }

    #[test]
    fn names_are_found_in_their_line() {
        let line = "allow = [\"us\", \"+44 20\"] # \"fr\"";
        assert_eq!(
            quoted(line, "+4420").and_then(|it| line.get(it)),
            Some("\"+44 20\"")
        );
        assert_eq!(
            quoted(line, "us").and_then(|it| line.get(it)),
            Some("\"us\"")
        );
        assert_eq!(quoted(line, "gb"), None);
    }
}
