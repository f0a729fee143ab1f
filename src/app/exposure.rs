//! `tollgate exposure`: the most that each tenant can lose in a day, and why.

use std::fmt::Write;

use serde::Serialize;

use crate::net::clock;
use crate::policy::{
    Amount, Counters, Currency, Dearest, Exposure, Money, Most, RuleId, RuleSet, Unbounded,
};

use super::cli;
use super::render::{Colour, count, paint};
use super::rules::{self, Broken};

/// What no rule bounds, for people to know.
const HOLES: [&str; 6] = [
    "a tariff that is wrong: the carrier bills by its contract, not by the file",
    "a carrier that ignores BYE: it may bill until it gives up by itself",
    "a carrier without session timers: if Tollgate dies, its live calls go on until someone hangs up",
    "calls that go to the carrier round Tollgate",
    "emergency calls, which are never counted or priced",
    "what the carrier charges for calls that come in, where no row of a tariff under [inbound] says so",
];

/// `tollgate exposure`.
///
/// # Errors
/// One line: after faults in the rules were shown, or that a tenant can lose more
/// than it was asked about.
pub(super) fn run(wanted: &cli::Exposure) -> Result<(), String> {
    let rules = rules::load(&wanted.configuration(), &Counters::new()).map_err(Broken::show)?;
    let rules = rules.set;
    let all = rules.exposure(clock::now().wall);
    let text = if wanted.json {
        let report = as_json(&rules, &all, wanted.max);
        let text = serde_json::to_string_pretty(&report);
        text.map_err(|error| error.to_string())? + "\n"
    } else {
        as_text(&rules, &all)
    };
    super::print(&text)?;
    let Some(max) = wanted.max else {
        return Ok(());
    };
    let faults: Vec<String> = [over(&rules, &all, max), incomparable(&rules, &all, max)]
        .into_iter()
        .flatten()
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("; ")),
    }
}

/// Who can lose more than that.
fn over(rules: &RuleSet, all: &[Exposure], max: Amount) -> Option<String> {
    let over = all
        .iter()
        .filter(|it| exceeds(it, max) && compares(it, max));
    let over: Vec<&str> = over.map(|it| name(rules, it)).collect();
    let some: Vec<&str> = over.iter().copied().take(20).collect();
    let some = some.join(", ");
    let who = count(over.len(), "tenant", "tenants");
    (!over.is_empty()).then(|| format!("{who} can lose more than {max} in a day: {some}"))
}

/// Whose loss is in another currency.
fn incomparable(rules: &RuleSet, all: &[Exposure], max: Amount) -> Option<String> {
    let mut others = all
        .iter()
        .filter(|it| exceeds(it, max) && !compares(it, max));
    let first = others.next()?;
    let (who, theirs) = (name(rules, first), first.currency?);
    let more = match others.count() {
        0 => String::new(),
        more => format!(", and {} like it", count(more, "tenant", "tenants")),
    };
    let max = max.currency;
    Some(format!(
        "{who} loses {theirs}, which cannot be compared with {max}: give --max in {theirs}{more}"
    ))
}

/// Whether what a tenant can lose is of the same currency, or more than any amount.
fn compares(exposure: &Exposure, max: Amount) -> bool {
    matches!(exposure.most, Most::Unbounded(_)) || exposure.currency == Some(max.currency)
}

/// Whether a tenant can lose more than that; another currency is not compared.
fn exceeds(exposure: &Exposure, max: Amount) -> bool {
    match exposure.most {
        Most::Unbounded(_) => true,
        Most::AtMost(most) => {
            most > max.money || (exposure.currency != Some(max.currency) && most > Money::ZERO)
        }
    }
}

fn name<'r>(rules: &'r RuleSet, exposure: &Exposure) -> &'r str {
    rules.tenant(exposure.tenant).map_or("", |it| &it.name)
}

fn amount(currency: Option<Currency>, money: Money) -> String {
    match currency {
        Some(currency) => Amount { currency, money }.rounded_up().to_string(),
        None => money.to_string(),
    }
}

fn why(unbounded: Unbounded) -> &'static str {
    match unbounded {
        Unbounded::NoTariff => "it has no tariff, so that nobody knows what a call costs",
        Unbounded::Observed => {
            "it is only observed: no rule, cap or budget refuses or hangs up anything"
        }
        Unbounded::NoLimit => "it has no budget, and its caps leave room for any number of calls",
        Unbounded::Inbound => {
            "calls to its own numbers cost it something, and neither [budget] nor [inbound] bounds them"
        }
    }
}

fn destination(dearest: &Dearest) -> String {
    let country = dearest.country.map(|it| it.to_string());
    let sort: Vec<String> = country
        .into_iter()
        .chain([dearest.class.to_string()])
        .collect();
    let sort = sort.join(".");
    match &dearest.prefix {
        Some(prefix) => format!("{prefix} ({sort})"),
        None => sort,
    }
}

fn as_text(rules: &RuleSet, all: &[Exposure]) -> String {
    let mut text = String::from("The most that can be lost in a day:\n");
    for exposure in all {
        text.push('\n');
        tenant(rules, exposure, &mut text);
    }
    text.push_str("\nNo figure has in it:\n");
    for hole in HOLES {
        let _infallible = writeln!(text, "  {hole}");
    }
    text
}

fn tenant(rules: &RuleSet, exposure: &Exposure, text: &mut String) {
    let mut line = |name: &str, what: &str| {
        let _infallible = writeln!(text, "  {name:<11}{what}");
    };
    let shown = |money| amount(exposure.currency, money);
    let place = |id: &RuleId| {
        let rule = rules.rule(*id);
        format!("{}:{}: {}", rule.file, rule.line, rule.text)
    };
    let most = match exposure.most {
        Most::AtMost(most) => paint(&shown(most), Colour::Green),
        Most::Unbounded(because) => {
            format!("{}: {}", paint("unbounded", Colour::Red), why(because))
        }
    };
    line(name(rules, exposure), &most);
    for (at, rule) in exposure.by.iter().enumerate() {
        line(if at == 0 { "  set by" } else { "" }, &place(rule));
    }
    if let Some(dearest) = &exposure.dearest {
        let minute = shown(dearest.minute);
        let to = destination(dearest);
        line(
            "  dearest",
            &format!("{to}, {minute} for a minute at the very most"),
        );
    }
    if exposure.shares.is_empty() {
        return;
    }
    let caps = match exposure.by_caps {
        Some(sum) => shown(sum),
        None => "unbounded".to_owned(),
    };
    let caps = match (exposure.most, exposure.by_caps) {
        (Most::AtMost(most), by_caps) if by_caps != Some(most) => {
            format!("without the budget it would be {caps}")
        }
        _ => caps,
    };
    line("  by caps", &caps);
    for share in &exposure.shares {
        let on = match &share.on {
            Some(on) => format!("calls to {on}"),
            None if exposure.shares.len() == 1 => "all calls".to_owned(),
            None => "all other calls".to_owned(),
        };
        let most = share.most.map_or("unbounded".to_owned(), shown);
        let rules: Vec<&str> = share.by.iter().map(|id| rules.rule(*id).text).collect();
        let by = rules.join(", ");
        let by = if by.is_empty() {
            by
        } else {
            format!(" ({by})")
        };
        line("", &format!("  {on}: {most}{by}"));
    }
}

#[derive(Serialize)]
struct Report<'r> {
    tenants: Vec<JsonTenant<'r>>,
    not_included: [&'static str; HOLES.len()],
}

#[derive(Serialize)]
struct JsonTenant<'r> {
    tenant: &'r str,
    currency: Option<String>,
    /// None where nothing bounds it.
    most: Option<String>,
    unbounded: Option<&'static str>,
    exceeds_max: Option<bool>,
    set_by: Vec<JsonRule<'r>>,
    by_caps: Option<String>,
    shares: Vec<JsonShare<'r>>,
    dearest: Option<JsonDearest>,
}

#[derive(Serialize)]
struct JsonRule<'r> {
    rule: String,
    text: &'r str,
}

#[derive(Serialize)]
struct JsonShare<'r> {
    on: Option<&'r str>,
    most: Option<String>,
    set_by: Vec<JsonRule<'r>>,
}

#[derive(Serialize)]
struct JsonDearest {
    destination: String,
    minute: String,
}

fn as_json<'r>(rules: &'r RuleSet, all: &'r [Exposure], max: Option<Amount>) -> Report<'r> {
    let named = |ids: &[RuleId]| -> Vec<JsonRule<'r>> {
        let rules = ids.iter().map(|id| rules.rule(*id));
        rules
            .map(|rule| JsonRule {
                rule: format!("{}:{}", rule.file, rule.line),
                text: rule.text,
            })
            .collect()
    };
    let share = |share: &'r crate::policy::Share| JsonShare {
        on: share.on.as_deref(),
        most: share.most.map(|it| it.to_string()),
        set_by: named(&share.by),
    };
    let tenant = |exposure: &'r Exposure| JsonTenant {
        tenant: name(rules, exposure),
        currency: exposure.currency.map(|it| it.to_string()),
        most: match exposure.most {
            Most::AtMost(most) => Some(most.to_string()),
            Most::Unbounded(_) => None,
        },
        unbounded: match exposure.most {
            Most::AtMost(_) => None,
            Most::Unbounded(because) => Some(why(because)),
        },
        exceeds_max: max.map(|max| exceeds(exposure, max)),
        set_by: named(&exposure.by),
        by_caps: exposure.by_caps.map(|it| it.to_string()),
        shares: exposure.shares.iter().map(share).collect(),
        dearest: exposure.dearest.as_ref().map(|it| JsonDearest {
            destination: destination(it),
            minute: it.minute.to_string(),
        }),
    };
    Report {
        tenants: all.iter().map(tenant).collect(),
        not_included: HOLES,
    }
}
