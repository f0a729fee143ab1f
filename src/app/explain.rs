//! `tollgate explain`: how a number is read, which rule decides, what it would cost.

use std::fmt::Write;
use std::process::ExitCode;

use crate::net::clock;
use crate::policy::plan::{Part, Step};
use crate::policy::{
    Amount, Counters, Decision, Explanation, Facts, Mode, Permit, Priced, Reason, Refused, RuleId,
    RuleSet, TenantId,
};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::{SipUri, Uri};

use leaving::Leaving;

use super::cli;
use super::render::{Colour, paint, seconds};
use super::rules::{self, Broken};

mod json;
mod leaving;

/// A call that is refused.
const REFUSED: u8 = 3;

/// `tollgate explain`; 0 if the call would go out, [`REFUSED`] if not.
///
/// # Errors
/// One line, after faults in the rules were shown.
pub(super) fn run(wanted: &cli::Explain) -> Result<ExitCode, String> {
    let rules = rules::load(&wanted.configuration(), &Counters::new()).map_err(Broken::show)?;
    let rules = rules.set;
    let tenant = super::tenant(&rules, &wanted.tenant)?;
    let dialled = Dialled::read(&wanted.number)?;
    let caller = caller(&rules, tenant, wanted.caller.as_deref());
    let answer = Answer::find(&rules, tenant, &dialled, &caller);
    let text = if wanted.json {
        let line = serde_json::to_string(&answer.as_json(&rules));
        line.map_err(|error| error.to_string())? + "\n"
    } else {
        answer.as_text(&rules, &dialled)
    };
    super::print(&text)?;
    Ok(match answer.refused() {
        Some(_) => ExitCode::from(REFUSED),
        None => ExitCode::SUCCESS,
    })
}

/// The URI of who calls.
fn caller(rules: &RuleSet, tenant: TenantId, said: Option<&str>) -> String {
    let default = || rules.default_caller(tenant).map(|it| it.to_string());
    match said {
        Some(uri) if has_scheme(uri) => uri.to_owned(),
        Some(number) => format!("sip:{number}@caller.invalid"),
        None => format!("sip:{}@caller.invalid", default().unwrap_or_default()),
    }
}

fn has_scheme(text: &str) -> bool {
    let schemes = ["sip:", "sips:", "tel:", "urn:"];
    let head = |scheme: &&str| text.get(..scheme.len());
    schemes
        .iter()
        .any(|scheme| head(scheme).is_some_and(|it| it.eq_ignore_ascii_case(scheme)))
}

/// How wide the names of lines are.
const WIDTH: usize = 11;

fn line(text: &mut String, name: &str, what: &str) {
    let _infallible = writeln!(text, "  {name:<WIDTH$}{what}");
}

/// Where a rule stands and what it says.
fn shown(rules: &RuleSet, id: RuleId) -> String {
    format!("{}: {}", place(rules, id), rules.rule(id).text)
}

/// What was dialled.
struct Dialled<'t> {
    text: &'t str,
    /// None if it is no URI; then why, and where.
    uri: Result<Uri<'t>, (String, usize)>,
    /// Where in the text the number begins.
    start: usize,
}

impl<'t> Dialled<'t> {
    /// Takes a Request-URI as it is, and anything else as digits of a sip URI.
    fn read(text: &'t str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("there is no number: give one, such as 010442071838750".to_owned());
        }
        if has_scheme(text) {
            let uri = Uri::parse(text.as_bytes());
            let start = match &uri {
                Ok(Uri::Sip(sip)) => sip.user.map_or(0, |user| offset(text, user)),
                Ok(Uri::Tel(tel)) => offset(text, tel.number),
                _ => 0,
            };
            let uri = uri.map_err(|fault| (fault.kind.to_string(), usize::from(fault.at)));
            return Ok(Self { text, uri, start });
        }
        let Ok(Uri::Sip(sip)) = Uri::parse(b"sip:0@pbx.invalid") else {
            return Err("no URI can be made of it".to_owned());
        };
        let uri = Uri::Sip(SipUri {
            user: Some(text.as_bytes()),
            ..sip
        });
        Ok(Self {
            text,
            uri: Ok(uri),
            start: 0,
        })
    }

    /// A line of carets under these bytes, and `words` behind them.
    fn caret(&self, from: usize, to: usize, words: &str, colour: Colour) -> String {
        let columns = |until: usize| {
            let head = self.text.get(..self.text.floor_char_boundary(until));
            head.unwrap_or_default().chars().count()
        };
        let (from, to) = (columns(self.start + from), columns(self.start + to));
        let carets = "^".repeat(to.saturating_sub(from).max(1));
        let carets = paint(&carets, colour);
        format!("  {}{carets} {words}\n", " ".repeat(from))
    }
}

/// Where `part` begins, which is a part of `whole`.
fn offset(whole: &str, part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// What becomes of a call.
struct Answer {
    explanation: Option<Explanation>,
    tenant: TenantId,
    mode: Mode,
    tariff: Option<String>,
}

impl Answer {
    fn find(rules: &RuleSet, tenant: TenantId, dialled: &Dialled<'_>, caller: &str) -> Self {
        let explanation = dialled.uri.as_ref().ok().map(|&request_uri| {
            let from = NameAddr {
                display: None,
                uri_text: caller.as_bytes(),
                params: b"",
            };
            let facts = Facts {
                tenant,
                request_uri,
                source: [127, 0, 0, 3].into(),
                pai: None,
                ppi: None,
                from,
                forwarded_by: &[],
                privacy: false,
            };
            rules.explain(&facts, clock::now().wall)
        });
        Self {
            explanation,
            tenant,
            mode: rules.tenant(tenant).map_or(Mode::Enforce, |it| it.mode),
            tariff: rules.tariff(tenant).map(|it| it.name().to_owned()),
        }
    }

    fn decision(&self) -> Option<&Decision> {
        self.explanation.as_ref().map(|it| &it.decision)
    }

    /// What leaves, and why it would not if it is only observed.
    fn goes(&self) -> Option<(&Permit, Option<&Refused>)> {
        match self.decision()? {
            Decision::Emergency(permit) | Decision::Allow(permit) => Some((permit, None)),
            Decision::Observe(refused, permit) => Some((permit, Some(refused))),
            Decision::Refuse(refused, Some(permit)) if self.mode == Mode::Observe => {
                Some((permit, Some(refused)))
            }
            Decision::Refuse(..) => None,
        }
    }

    /// Why nothing leaves; nothing but "no URI" has no refusal of its own.
    fn refused(&self) -> Option<Option<&Refused>> {
        match (self.goes(), self.decision()) {
            (None, Some(Decision::Refuse(refused, _))) => Some(Some(refused)),
            (None, _) => Some(None),
            (Some(_), _) => None,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.decision(), self.goes()) {
            (Some(Decision::Emergency(_)), _) => "emergency",
            (_, Some((_, None))) => "allow",
            (_, Some((_, Some(_)))) => "observe",
            (_, None) => "refuse",
        }
    }

    fn reason(&self) -> Option<(&'static str, &'static str)> {
        let refused = match self.goes() {
            Some((_, refused)) => refused?,
            None => match self.refused().flatten() {
                Some(refused) => refused,
                None => {
                    let it = Reason::NoSingleMeaning;
                    return Some((it.code(), it.sentence()));
                }
            },
        };
        Some((refused.reason.code(), refused.reason.sentence()))
    }

    fn rule(&self) -> Option<RuleId> {
        match self.decision()? {
            Decision::Emergency(_) => None,
            Decision::Allow(permit) => permit.rule,
            Decision::Observe(refused, _) | Decision::Refuse(refused, _) => refused.rule,
        }
    }

    fn canonical(&self) -> Option<String> {
        let number = match self.decision()? {
            Decision::Emergency(permit) | Decision::Allow(permit) => Some(permit.number),
            Decision::Observe(refused, _) | Decision::Refuse(refused, _) => refused.number,
        };
        number.map(|it| it.to_string())
    }

    /// Class and country of the number.
    fn sort(&self) -> (Option<String>, Option<String>) {
        let kind = self.explanation.as_ref().and_then(|it| it.sort);
        let (class, country) = kind.unwrap_or_default();
        (
            class.map(|it| it.to_string()),
            country.map(|it| it.to_string()),
        )
    }
}

fn place(rules: &RuleSet, id: RuleId) -> String {
    let rule = rules.rule(id);
    format!("{}:{}", rule.file, rule.line)
}

impl Answer {
    fn as_text(&self, rules: &RuleSet, dialled: &Dialled<'_>) -> String {
        let mut text = format!("  {}\n", dialled.text);
        self.reading(dialled, &mut text);
        if let Some(number) = self.canonical() {
            let _infallible = write!(text, "\n  {number}  {}\n", self.sort_name());
        }
        text.push('\n');
        self.ruling(rules, &mut text);
        if let Some(explanation) = &self.explanation {
            self.terms(rules, explanation, &mut text);
        }
        text
    }

    /// What becomes of the call, and why.
    fn ruling(&self, rules: &RuleSet, text: &mut String) {
        let verdict = self.verdict();
        let colour = match verdict {
            "refuse" => Colour::Red,
            _ => Colour::Green,
        };
        // The word is that of the log and the journal.
        let why = self.reason();
        let why = why.map(|(word, sentence)| format!("{sentence} ({word})"));
        let rule = self.rule().map(|id| shown(rules, id));
        let mut because: Vec<String> = why.into_iter().chain(rule).collect();
        if verdict == "emergency" {
            because.push("before every rule, cap and price".to_owned());
        }
        let because = because.join(", ");
        // The word alone could be read as a refusal.
        let because = match verdict {
            "observe" => format!("(goes out): {because}"),
            _ => because,
        };
        line(
            text,
            &paint(&format!("{verdict:<WIDTH$}"), colour),
            &because,
        );
        let uncovered = |it: &&Refused| it.reason == Reason::DestinationNotAllowed;
        if self.refused().flatten().filter(uncovered).is_some() {
            let name = self.sort_name();
            let help = format!("[destinations] allow = [\"{name}\"] would, or a prefix of it");
            line(text, "", &help);
        }
    }

    /// What it costs, what it counts under, how long it may take.
    fn terms(&self, rules: &RuleSet, explanation: &Explanation, text: &mut String) {
        if let Some(price) = &explanation.price {
            line(text, "price", &self.price(price));
        }
        if let Some(reserve) = &explanation.reserve {
            let needs = format!("the call needs {reserve} free to start; some is given back");
            line(text, "budget", &needs);
        }
        let Some((permit, _)) = self.goes() else {
            return;
        };
        let replaced = match permit.caller.replaced {
            true => ", in place of one that is not the tenant's",
            false => "",
        };
        let caller = format!("{}{replaced}", permit.caller.number);
        line(text, "caller", &caller);
        if let Some(it) = Leaving::of(rules, self.tenant, permit) {
            line(text, "sent as", &format!("{} to {}", it.number, it.carrier));
        }
        if let Decision::Emergency(_) = explanation.decision {
            return;
        }
        for (at, &id) in explanation.caps.iter().enumerate() {
            line(text, if at == 0 { "caps" } else { "" }, &shown(rules, id));
        }
        let call = seconds(explanation.longest_call.as_secs());
        let ring = seconds(explanation.longest_ring.as_secs());
        line(text, "longest", &format!("call {call}, ring {ring}"));
    }

    /// "jp.mobile", "satellite"; nothing for an emergency.
    fn sort_name(&self) -> String {
        let (class, country) = self.sort();
        let named: Vec<String> = country.into_iter().chain(class).collect();
        named.join(".")
    }

    /// How the number was read, with carets under it.
    fn reading(&self, dialled: &Dialled<'_>, text: &mut String) {
        if let Err((why, at)) = &dialled.uri {
            text.push_str(&dialled.caret(*at, at + 1, &format!("no URI: {why}"), Colour::Red));
        }
        let Some(explanation) = &self.explanation else {
            return;
        };
        let unread = self.refused().flatten().and_then(|it| it.unread);
        let fault = unread.map_or(usize::MAX, |it| it.at.into());
        // What comes behind a fault, or is it, was not read.
        let steps = explanation.steps.iter();
        for Step { start, end, part } in steps.filter(|it| usize::from(it.end) <= fault) {
            let words = match part {
                Part::CallingCode => {
                    format!("{}: {}", part.words(), self.sort().1.unwrap_or_default())
                }
                _ => part.words().to_owned(),
            };
            let line = dialled.caret(
                (*start).into(),
                (*end).into(),
                words.trim_end_matches(": "),
                Colour::Cyan,
            );
            text.push_str(&line);
        }
        if let Some(unread) = unread {
            let line = dialled.caret(fault, fault + 1, unread.kind.sentence(), Colour::Red);
            text.push_str(&line);
        }
        if dialled.text.contains('%') {
            text.push_str("  an escape (%31 is 1) is decoded once, and is one digit\n");
        }
    }

    fn price(&self, price: &Priced) -> String {
        let shown = |money| {
            let amount = Amount {
                currency: price.currency,
                money,
            };
            amount.to_string()
        };
        let mut text = format!("{} for a minute", shown(price.minute));
        if price.minute_at_worst != price.minute {
            let _infallible = write!(
                text,
                " now, {} at the very most, over a change of rate",
                shown(price.minute_at_worst)
            );
        }
        if price.attempt != crate::policy::Money::ZERO {
            let _infallible = write!(text, ", {} if nobody answers", shown(price.attempt));
        }
        if let Some(tariff) = &self.tariff {
            let _infallible = write!(text, " (tariff {tariff})");
        }
        text
    }
}
