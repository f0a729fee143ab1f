//! Shows faults in rule files where they are: file, line, caret, and what would be right.

use std::io::{IsTerminal, stdout};
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::policy::Sources;
use crate::policy::{Diagnostic, Severity, Source};

/// Every fault as text for people, an empty line after each. `styled` adds the
/// terminal's colours.
pub(super) fn render(faults: &[Diagnostic], sources: &Sources, styled: bool) -> String {
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
    .decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for fault in faults {
        let source = all(sources).find(|source| source.name == fault.file);
        text.push_str(&renderer.render(&[group(fault, source)]));
        text.push_str("\n\n");
    }
    text
}

/// Colours of a terminal.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Cyan = 36,
}

/// The text in a colour, if standard output is a terminal that may have any.
pub(super) fn paint(text: &str, colour: Colour) -> String {
    if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[1;{}m{text}\u{1b}[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// `4 h`, `1 h 30 min`, `90 s`.
pub(super) fn seconds(seconds: u64) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60, rest) {
        (0, 0, _) | (_, _, 1..) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `2,450,000`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 fault`, `2 faults`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn all(sources: &Sources) -> impl Iterator<Item = &Source> {
    std::iter::once(&sources.main)
        .chain(&sources.numbering)
        .chain(&sources.tenants)
        .chain(&sources.plans)
        .chain(&sources.tariffs)
}

fn group<'a>(fault: &'a Diagnostic, source: Option<&'a Source>) -> Group<'a> {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(fault.title.as_str());
    let mut group = match source {
        Some(source) => {
            let (lines, span) = excerpt(&source.text, fault.span.clone());
            let label = (!fault.label.is_empty()).then_some(fault.label.as_str());
            title.element(
                Snippet::source(lines)
                    .path(fault.file.as_str())
                    .line_start(fault.line)
                    .annotation(AnnotationKind::Primary.span(span).label(label)),
            )
        }
        None => title.element(Level::NOTE.message(format!("in {}", fault.file))),
    };
    if let Some(help) = &fault.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The lines that a span touches, and the span within them. A span that lies
/// outside the text, or in the middle of a character, is moved to where it can
/// be shown; of one over many lines, the first is shown.
fn excerpt(text: &str, span: Range<usize>) -> (&str, Range<usize>) {
    let place = text.floor_char_boundary(span.start);
    let start = text
        .get(..place)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |end| end + 1);
    let lines = text.get(start..).unwrap_or_default();
    let from = place - start;
    let end = lines
        .get(from..)
        .and_then(|rest| rest.find('\n'))
        .map_or(lines.len(), |end| from + end);
    let line = lines.get(..end).unwrap_or_default();
    let until = line.floor_char_boundary(span.end.saturating_sub(start));
    (line, from..until.max(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>, line: usize) -> String {
        let name = "tenants/acme.toml".to_owned();
        let source = Source {
            name: name.clone(),
            text: text.to_owned(),
        };
        let sources = Sources {
            main: Source {
                name: "tollgate.toml".to_owned(),
                text: String::new(),
            },
            tenants: vec![source],
            plans: Vec::new(),
            numbering: None,
            tariffs: Vec::new(),
        };
        let fault = Diagnostic {
            file: name,
            span,
            line,
            column: 1,
            title: "unknown key `calls_at_onec`".to_owned(),
            label: "not known here".to_owned(),
            help: Some("did you mean `calls_at_once`?".to_owned()),
            severity: Severity::Error,
        };
        render(&[fault], &sources, false)
    }

    #[test]
    fn a_fault_is_shown_at_its_place() {
        let text = "[caps]\ncalls_at_onec = 30\nlongest_call = \"4h\"\n";
        assert_eq!(
            shown(text, 7..20, 2),
            "\
error: unknown key `calls_at_onec`
 --> tenants/acme.toml:2:1
  |
2 | calls_at_onec = 30
  | ^^^^^^^^^^^^^ not known here
  |
  = help: did you mean `calls_at_once`?

"
        );
    }

    #[test]
    fn no_span_breaks_the_rendering() {
        let text = "name = \"日本\"\n\nlast";
        for start in 0..=text.len() + 3 {
            for end in 0..=text.len() + 3 {
                let line = 1 + text
                    .bytes()
                    .take(start)
                    .filter(|&byte| byte == b'\n')
                    .count();
                let out = shown(text, start..end, line);
                assert!(out.contains("tenants/acme.toml"), "{start}..{end}: {out}");
                assert!(out.contains("not known here"), "{start}..{end}: {out}");
            }
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (2_450_000, "2,450,000"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
