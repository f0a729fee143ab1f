//! From files to a rule set, or to what is wrong with them.

use std::io::{IsTerminal, stderr};

use jiff::tz::TimeZoneDatabase;

use crate::policy::{Counters, Diagnostic, RuleSet, Severity};
use crate::policy::{Options, Sources, compile};

use super::cli::Configuration;
use super::render::{count, render};
use super::{log, sources};

/// Rules that can be used.
pub(super) struct Rules {
    pub(super) set: RuleSet,
    pub(super) sources: Sources,
}

/// Why there are none.
pub(super) enum Broken {
    /// A file cannot be read: one line that says what to do.
    Unread(String),
    /// The files are wrong in these places.
    Faults(Vec<Diagnostic>, Box<Sources>),
}

/// Reads and compiles.
///
/// # Errors
/// Every fault, not only the first.
pub(super) fn load(wanted: &Configuration, counters: &Counters) -> Result<Rules, Broken> {
    sources::load(&wanted.config)
        .map_err(Broken::Unread)
        .and_then(|sources| from(sources, wanted, counters))
}

/// Compiles what is read already.
///
/// # Errors
/// Every fault, not only the first.
pub(super) fn from(
    sources: Sources,
    wanted: &Configuration,
    counters: &Counters,
) -> Result<Rules, Broken> {
    let options = Options {
        preview: wanted.preview,
    };
    let zones = TimeZoneDatabase::bundled();
    match compile(&sources, options, &zones, counters) {
        Ok(set) => Ok(Rules { set, sources }),
        Err(faults) => Err(Broken::Faults(faults, Box::new(sources))),
    }
}

impl Rules {
    /// Shows on standard error what is odd, if not wrong; these hints, too.
    pub(super) fn show_warnings(&self, hints: &[Diagnostic]) {
        show(self.set.warnings(), &self.sources);
        show(hints, &self.sources);
    }

    /// The same as lines of the log.
    pub(super) fn log_warnings(&self) {
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
                format!("{}: {}", sources.main.name, tally(&faults))
            }
        }
    }

    /// Logs each fault; what is left to say is one line.
    pub(super) fn log(self) -> String {
        match self {
            Self::Unread(text) => text,
            Self::Faults(faults, sources) => {
                log(&faults);
                format!("{}: {}", sources.main.name, tally(&faults))
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

/// `2 faults, 1 warning`.
fn tally(faults: &[Diagnostic]) -> String {
    let is_error = |fault: &&Diagnostic| fault.severity == Severity::Error;
    let errors = faults.iter().filter(is_error).count();
    let text = count(errors, "fault", "faults");
    match faults.len() - errors {
        0 => text,
        warnings => format!("{text}, {}", count(warnings, "warning", "warnings")),
    }
}
