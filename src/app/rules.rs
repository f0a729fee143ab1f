//! From files to a rule set, or to what is wrong with them.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZoneDatabase;

use crate::base::time::Wall;
use crate::ledger::Ledger;
use crate::net::Expiry;
use crate::policy::{Answers, Counters, Diagnostic, RuleSet, Severity};
use crate::policy::{Options, Sources, compile_with};

use super::cli::Configuration;
use super::render::{count, render};
use super::{last_good, log, sources};

/// Rules that can be used.
pub(super) struct Rules {
    pub(super) set: RuleSet,
    pub(super) sources: Sources,
    /// Warnings about files that are not read.
    passed_over: Vec<Diagnostic>,
}

/// Why there are none.
pub(super) enum Broken {
    /// A file cannot be read: one line that says what to do.
    Unread(String),
    /// The files are wrong in these places.
    Faults(Vec<Diagnostic>, Box<Sources>),
}

/// Reads and compiles, without looking any name up.
///
/// # Errors
/// Every fault, not only the first.
pub(super) fn load(wanted: &Configuration, counters: &Counters) -> Result<Rules, Broken> {
    load_with(wanted, (counters, &Answers::default()))
}

/// The same, with what names lead to.
///
/// # Errors
/// Every fault, not only the first.
pub(super) fn load_with(
    wanted: &Configuration,
    known: (&Counters, &Answers),
) -> Result<Rules, Broken> {
    let found = sources::load(&wanted.config).map_err(Broken::Unread)?;
    let mut rules = from(found.sources, wanted, known)?;
    rules.passed_over = found.passed_over;
    Ok(rules)
}

/// Compiles what is read already.
///
/// # Errors
/// Every fault, not only the first.
pub(super) fn from(
    sources: Sources,
    wanted: &Configuration,
    known: (&Counters, &Answers),
) -> Result<Rules, Broken> {
    let options = Options {
        preview: wanted.preview,
    };
    let zones = TimeZoneDatabase::bundled();
    match compile_with(&sources, options, &zones, known) {
        Ok(set) => Ok(Rules {
            set,
            sources,
            passed_over: Vec::new(),
        }),
        Err(faults) => Err(Broken::Faults(faults, Box::new(sources))),
    }
}

/// How the files stand to the rules in force.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// They were broken when they were read last: older rules are in force.
    broken: AtomicBool,
    /// The tenants in force.
    tenants: Mutex<Vec<String>>,
    /// Until when the certificates in force are good.
    expiries: Mutex<Vec<Expiry>>,
    /// The rules in force, as long as they could not be kept for a later start.
    unkept: Mutex<Option<Vec<u8>>>,
}

impl Files {
    /// Notes whether they were broken when they were read last.
    pub(super) fn note(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Whether they were broken when they were read last.
    pub(super) fn are_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Keeps rules that come into force for a start at which the files are broken; later,
    /// if that cannot be.
    pub(super) fn keep(&self, ledger: &Ledger, sources: &Sources) {
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        let written = last_good::written(sources);
        let kept = last_good::keep(ledger, &written);
        *unkept = kept.is_err().then_some(written);
        if let Err(fault) = kept {
            tracing::warn!(
                "{fault}: a start at which the files are broken would go by older rules. It is \
                 tried again until they are kept"
            );
        }
    }

    /// Keeps the rules in force, if that could not be done when they came into force.
    pub(super) fn keep_again(&self, ledger: &Ledger) {
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = |written: &Vec<u8>| last_good::keep(ledger, written).is_ok();
        if unkept.as_ref().is_some_and(kept) {
            *unkept = None;
            tracing::warn!("the rules in force are kept for a later start");
        }
    }

    /// Notes until when the certificates in force are good.
    pub(super) fn show(&self, expiries: &[Expiry]) {
        let mut known = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        *known = expiries.to_vec();
    }

    /// Until when the certificates in force are good.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let known = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Whether the certificates of this file that are in force have expired.
    pub(super) fn has_expired(&self, path: &str, now: Wall) -> bool {
        let known = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .any(|it| it.file.path == path && it.until <= now)
    }

    /// Lets `rules` replace those in force. What that ends is logged.
    ///
    /// # Errors
    /// No tenant would be left: a folder that is not there for a moment must not make
    /// a stranger of everybody.
    pub(super) fn replace(&self, rules: &RuleSet) -> Result<(), String> {
        let mut before = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.tenants().is_empty() && !before.is_empty() {
            return Err(
                "there is no tenant any more, and then nobody could call, not even for \
                        help: put back the files in tenants/, or restart to run without any"
                    .to_owned(),
            );
        }
        let gone = before.iter().filter(|it| rules.tenant_named(it).is_none());
        let gone: Vec<&str> = gone.map(String::as_str).take(20).collect();
        if !gone.is_empty() {
            let gone = gone.join(", ");
            tracing::warn!("tenants are gone, and their calls are hung up: {gone}");
        }
        *before = rules
            .tenants()
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        Ok(())
    }
}

impl Rules {
    /// The same rules, with other answers.
    ///
    /// # Errors
    /// None that the same rules did not have.
    pub(super) fn again(
        self,
        wanted: &Configuration,
        known: (&Counters, &Answers),
    ) -> Result<Self, Broken> {
        let again = from(self.sources, wanted, known)?;
        Ok(Self {
            passed_over: self.passed_over,
            ..again
        })
    }

    /// Shows on standard error what is odd, if not wrong; these hints, too.
    pub(super) fn show_warnings(&self, hints: &[Diagnostic]) {
        show(&self.passed_over, &self.sources);
        show(self.set.warnings(), &self.sources);
        show(hints, &self.sources);
    }

    /// Shows these on standard error.
    pub(super) fn show(&self, faults: &[Diagnostic]) {
        show(faults, &self.sources);
    }

    /// How many warnings there are beside hints.
    pub(super) fn warnings(&self) -> usize {
        self.set.warnings().len() + self.passed_over.len()
    }

    /// The same as lines of the log.
    pub(super) fn log_warnings(&self) {
        log(&self.passed_over);
        log(self.set.warnings());
    }
}

impl Broken {
    /// Shows the faults on standard error; what is left to say is one line.
    pub(super) fn show(self) -> String {
        match self {
            Self::Unread(text) => text,
            Self::Faults(faults, sources) => {
                show(&faults, &sources);
                tally(&faults)
            }
        }
    }

    /// Logs each fault; what is left to say is one line.
    pub(super) fn log(self) -> String {
        match self {
            Self::Unread(text) => text,
            Self::Faults(faults, _) => {
                log(&faults);
                tally(&faults)
            }
        }
    }

    /// Logs each fault. The first line says how many there are, and each of the
    /// others is one of them.
    pub(super) fn log_and_tell(self) -> String {
        let faults = match &self {
            Self::Unread(_) => Vec::new(),
            Self::Faults(faults, _) => faults.iter().map(|it| format!("\n{it}")).collect(),
        };
        self.log() + &faults.concat()
    }
}

fn show(faults: &[Diagnostic], sources: &Sources) {
    let styled = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = render(faults, sources, styled);
    if let Some(text) = text.strip_suffix('\n') {
        log::say(text);
    }
}

fn log(faults: &[Diagnostic]) {
    for fault in faults {
        match fault.severity {
            Severity::Error => tracing::error!("{fault}"),
            Severity::Warning => tracing::warn!("{fault}"),
        }
    }
}

/// `2 faults, 1 warning in the configuration`.
fn tally(faults: &[Diagnostic]) -> String {
    let is_error = |fault: &&Diagnostic| fault.severity == Severity::Error;
    let errors = faults.iter().filter(is_error).count();
    let text = count(errors, "fault", "faults");
    let warnings = match faults.len() - errors {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning", "warnings")),
    };
    format!("{text}{warnings} in the configuration")
}
