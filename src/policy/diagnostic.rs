//! Faults in rule files: what is wrong, where, and what would be right.
//!
//! Compiling never stops at the first fault. Every one found goes into
//! [`Faults`], which turns byte offsets into lines and columns and puts them in
//! the order of the files.

use std::fmt;
use std::ops::Range;

/// One file of rules, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The path, as it is to be shown.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules cannot be used.
    Error,
    /// The rules can be used, but hardly mean what was written.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One fault in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name, as its [`Source`] gave it.
    pub file: String,
    /// The bytes of the file that are at fault.
    pub span: Range<usize>,
    /// The line that `span` starts on, from 1.
    pub line: usize,
    /// The column that `span` starts at, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub title: String,
    /// What was expected there; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the rules can be used all the same.
    pub severity: Severity,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            title,
            severity,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {title}")?;
        if !self.label.is_empty() {
            write!(f, " ({})", self.label)?;
        }
        if let Some(help) = &self.help {
            write!(f, "; help: {help}")?;
        }
        Ok(())
    }
}

/// A stretch of one of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which source: an index into what [`Faults::new`] was given.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// The bytes `span` of source `file`. Offsets past 4 GiB stop there.
    pub(super) fn new(file: u32, span: &Range<usize>) -> Self {
        let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            file,
            start: clamp(span.start),
            end: clamp(span.end),
        }
    }

    /// As a range of bytes.
    pub(super) fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> At<T> {
    /// `value`, written at `place`.
    pub(super) fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// Another value of the same place.
    pub(super) fn with<U>(&self, value: U) -> At<U> {
        At::new(value, self.place)
    }
}

/// One fault, before it is placed.
#[derive(Debug)]
pub(super) struct Fault {
    severity: Severity,
    title: String,
    label: String,
    help: Option<String>,
}

impl Fault {
    /// A fault that makes the rules unusable.
    pub(super) fn error(title: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            title: title.into(),
            label: String::new(),
            help: None,
        }
    }

    /// A fault that the rules can be used with.
    pub(super) fn warning(title: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(title)
        }
    }

    /// What was expected at the place itself.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// How many faults are kept; the rest are only counted. Nobody reads more.
const FAULTS_MAX: usize = 1_000;

/// Every fault found so far.
pub(super) struct Faults<'s> {
    sources: Vec<&'s Source>,
    found: Vec<(Place, Fault)>,
    errors: usize,
    left_out: usize,
    preview: bool,
}

impl<'s> Faults<'s> {
    /// None yet, in `sources`. With `preview`, what has no effect yet is accepted.
    pub(super) fn new(sources: Vec<&'s Source>, preview: bool) -> Self {
        Self {
            sources,
            found: Vec::new(),
            errors: 0,
            left_out: 0,
            preview,
        }
    }

    /// The source numbered `file`.
    pub(super) fn source(&self, file: u32) -> Option<&'s Source> {
        self.sources.get(file as usize).copied()
    }

    /// Every source, in order.
    pub(super) fn sources(&self) -> &[&'s Source] {
        &self.sources
    }

    /// Notes a fault.
    pub(super) fn add(&mut self, place: Place, fault: Fault) {
        if fault.severity == Severity::Error {
            self.errors += 1;
        }
        if self.found.len() < FAULTS_MAX {
            self.found.push((place, fault));
        } else {
            self.left_out += 1;
        }
    }

    /// Notes something that is understood, but has no effect yet.
    pub(super) fn pending(&mut self, place: Place, what: &str) {
        self.pending_but(place, what, "take it out");
    }

    /// The same, where something else can be done `instead`.
    pub(super) fn pending_but(&mut self, place: Place, what: &str, instead: &str) {
        let fault = if self.preview {
            Fault::warning(format!("{what} is not enforced yet")).label("has no effect")
        } else {
            Fault::error(format!("{what} is not enforced yet"))
                .label("would have no effect")
                .help(format!(
                    "{instead}, or run with --preview to accept it without effect"
                ))
        };
        self.add(place, fault);
    }

    /// Whether anything found makes the rules unusable.
    pub(super) fn any_errors(&self) -> bool {
        self.errors > 0
    }

    /// `path:line` of a place, for pointing at it from elsewhere.
    pub(super) fn pointer(&self, place: Place) -> String {
        let Some(source) = self.source(place.file) else {
            return String::new();
        };
        let (line, _) = position(&source.text, place.span().start);
        format!("{}:{line}", source.name)
    }

    /// The faults, in the order of the files.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(place, _)| *place);
        let mut out: Vec<Diagnostic> = Vec::with_capacity(self.found.len());
        for (place, fault) in self.found {
            let Some(source) = self.sources.get(place.file as usize) else {
                continue;
            };
            let span = place.span();
            let (line, column) = position(&source.text, span.start);
            out.push(Diagnostic {
                file: source.name.clone(),
                span,
                line,
                column,
                title: fault.title,
                label: fault.label,
                help: fault.help,
                severity: fault.severity,
            });
        }
        if let (more @ 1.., Some(last)) = (self.left_out, out.last_mut()) {
            let help = last.help.take().unwrap_or_default();
            let join = if help.is_empty() { "" } else { "; " };
            last.help = Some(format!("{help}{join}{more} more faults are not shown"));
        }
        out
    }
}

/// Line and column (in characters), both from 1, of byte `at` of `text`.
fn position(text: &str, at: usize) -> (usize, usize) {
    let head = text.get(..at).unwrap_or(text);
    let line = head.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = head.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

/// Lines of one text, for placing many spans: see [`LineIndex::line`].
#[derive(Debug, Default)]
pub(super) struct LineIndex {
    ends: Vec<u32>,
}

impl LineIndex {
    /// Indexes `text`, reusing what was allocated for the last one.
    pub(super) fn index(&mut self, text: &str) {
        self.ends.clear();
        let at = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        self.ends
            .extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(at));
    }

    /// The line, from 1, that byte `at` is on.
    pub(super) fn line(&self, at: u32) -> u32 {
        let before = self.ends.partition_point(|&end| end < at);
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The word of `known` nearest to `word`, if one is near enough to be what was
/// meant: a third of its letters wrong at most.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(d, _)| d <= allowed)
        .min_by_key(|&(d, _)| d)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with their
/// neighbour to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped =
                j > 0 && previous == Some(y) && b.get(j.wrapping_sub(1)).copied() == Some(x);
            if swapped {
                best = best.min(at(&before_last, j.wrapping_sub(1)) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

/// `a, b or c`, for listing what would have been right.
pub(super) fn one_of<'k>(words: impl Iterator<Item = &'k str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        [] => String::from("nothing"),
        [one] => format!("`{one}`"),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(|w| format!("`{w}`")).collect();
            format!("{} or `{last}`", head.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        let text = "a = 1\nñ = \"x\"\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 9), (2, 3));
        let mut index = LineIndex::default();
        index.index(text);
        for at in [0, 5, 6, 8, 14] {
            let (line, _) = position(text, at);
            assert_eq!(
                index.line(u32::try_from(at).unwrap()) as usize,
                line,
                "{at}"
            );
        }
    }

    #[test]
    fn the_nearest_word_is_one_slip_away() {
        let known = ["calls_at_once", "calls_per_day", "deny"];
        assert_eq!(
            nearest("call_at_once", known.into_iter()),
            Some("calls_at_once")
        );
        assert_eq!(nearest("dney", known.into_iter()), Some("deny"));
        assert_eq!(nearest("budget", known.into_iter()), None);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }

    #[test]
    fn faults_come_out_in_file_order_and_are_bounded() {
        let one = Source {
            name: "a.toml".into(),
            text: "x\ny\n".into(),
        };
        let two = Source {
            name: "b.toml".into(),
            text: String::new(),
        };
        let mut faults = Faults::new(vec![&one, &two], false);
        faults.add(Place::new(1, &(0..0)), Fault::warning("later"));
        faults.add(Place::new(0, &(2..3)), Fault::error("earlier").help("fix"));
        assert!(faults.any_errors());
        for _ in 0..FAULTS_MAX {
            faults.add(Place::new(1, &(0..0)), Fault::error("many"));
        }
        let all = faults.finish();
        assert_eq!(all.len(), FAULTS_MAX);
        let first = all.first().unwrap();
        assert_eq!(first.to_string(), "a.toml:2:1: error: earlier; help: fix");
        let last = all.last().unwrap();
        assert_eq!(last.help.as_deref(), Some("2 more faults are not shown"));
    }
}
