//! The page itself: HTML without scripts, styles and pictures of its own alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::tz::TimeZone;

use super::words::Words;
use crate::app::control::span as shown_span;
use crate::base::time::Wall;
use crate::ledger::{Exhibit, Incident, Pair, Span, Table};

/// Rows shown of each table.
const ROWS: usize = 30;

/// The height of the timeline, and the width of one bar with its gap.
const HEIGHT: u64 = 120;
const BAR: usize = 8;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;\
color:#222}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .6em;\
border-bottom:1px solid #ddd;vertical-align:top}td.n{text-align:right;white-space:nowrap}\
code,pre{font:14px monospace;overflow-wrap:anywhere;white-space:pre-wrap}\
.s{background:#b3261e;fill:#b3261e}.p{background:#2e7d32;fill:#2e7d32}\
.b{display:inline-block;height:.8em}.bad{color:#b3261e;font-weight:bold}\
@media print{body{margin:0}}";

pub(super) struct Page {
    words: &'static Words,
    zone: TimeZone,
    text: String,
}

impl Page {
    pub(super) const fn new(words: &'static Words, zone: TimeZone) -> Self {
        Self {
            words,
            zone,
            text: String::new(),
        }
    }

    /// Puts text that is HTML already.
    fn put(&mut self, html: &str) {
        self.text.push_str(html);
    }

    fn heading(&mut self, words: &str) {
        let words = escaped(words);
        self.put(&format!("<h2>{words}</h2>\n"));
    }

    fn paragraph(&mut self, words: &str) {
        let words = escaped(words);
        self.put(&format!("<p>{words}</p>\n"));
    }

    fn row(&mut self, head: &str, value: &str) {
        let (head, value) = (escaped(head), escaped(value));
        self.put(&format!("<tr><th>{head}</th><td>{value}</td></tr>\n"));
    }

    fn time(&self, wall: Wall) -> String {
        let stamp = jiff::Timestamp::from_microsecond(wall.as_micros()).unwrap_or_default();
        let zoned = stamp.to_zoned(self.zone.clone());
        zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// Who, when, and what came of it.
    pub(super) fn summary(
        &mut self,
        span: &Span,
        told: &Incident,
        saved: &BTreeMap<String, u64>,
        now: Wall,
    ) {
        let words = self.words;
        let title = format!("{}: {}", words.title, span.tenant);
        let title = escaped(&title);
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            words.language
        ));
        let (from, to) = (self.time(span.from), self.time(span.to));
        let made = format!(
            "{}: {}; Tollgate {}",
            words.made,
            self.time(now),
            env!("CARGO_PKG_VERSION")
        );
        self.paragraph(&format!("{from} – {to}"));
        self.paragraph(&made);
        self.paragraph(words.scope);
        self.heading(words.summary);
        if told.first.is_none() {
            self.paragraph(words.nothing);
        }
        self.put("<table>\n");
        self.row(words.stopped, &told.calls.stopped.to_string());
        self.row(words.passed, &told.calls.passed.to_string());
        self.row(words.answered, &told.answered.to_string());
        if told.live > 0 {
            self.row(words.live, &told.live.to_string());
        }
        self.row(words.up, &shown_span(told.up.as_secs()));
        self.row(words.cost, &amounts(&told.cost));
        if !saved.is_empty() {
            let saved = format!("{} ({})", amounts(saved), words.saved_how);
            self.row(words.saved, &saved);
        }
        self.put("</table>\n");
    }

    /// A bar for each part of the time.
    pub(super) fn timeline(&mut self, span: &Span, told: &Incident) {
        let words = self.words;
        self.heading(words.timeline);
        let highest = told
            .slots
            .iter()
            .map(|it| all(*it))
            .max()
            .unwrap_or(0)
            .max(1);
        let width = told.slots.len().saturating_mul(BAR);
        let mut bars =
            format!("<svg viewBox=\"0 0 {width} {HEIGHT}\" width=\"100%\" role=\"img\">\n");
        let scaled = |count: u64| count.saturating_mul(HEIGHT).div_ceil(highest);
        for (pair, at) in told.slots.iter().zip((0..).step_by(BAR)) {
            let stopped = scaled(pair.stopped);
            let passed = scaled(pair.passed).min(HEIGHT.saturating_sub(stopped));
            let mut bar = |class: &str, top: u64, height: u64| {
                if height > 0 {
                    // Writing to a string cannot fail.
                    let _ = writeln!(
                        bars,
                        "<rect class=\"{class}\" x=\"{at}\" y=\"{top}\" width=\"7\" height=\"{height}\"/>"
                    );
                }
            };
            let top = HEIGHT.saturating_sub(stopped);
            bar("s", top, stopped);
            bar("p", top.saturating_sub(passed), passed);
        }
        bars.push_str("</svg>\n");
        self.put(&bars);
        let micros = span.to.as_micros().abs_diff(span.from.as_micros());
        let slots = u64::try_from(told.slots.len()).unwrap_or(1).max(1);
        let each = shown_span(micros / 1_000_000 / slots);
        let (stopped, passed) = (escaped(words.stopped), escaped(words.passed));
        let (from, to) = (self.time(span.from), self.time(span.to));
        self.put(&format!(
            "<p><span class=\"b s\" style=\"width:1em\"></span> {stopped} \
             <span class=\"b p\" style=\"width:1em\"></span> {passed}. {} {each}; {from} – {to}; \
             max {highest}.</p>\n",
            escaped(words.each)
        ));
    }

    pub(super) fn tables(&mut self, told: &Incident) {
        let words = self.words;
        for (heading, table) in [
            (words.places, &told.places),
            (words.reasons, &told.reasons),
            (words.numbers, &told.numbers),
            (words.sources, &told.sources),
            (words.agents, &told.agents),
        ] {
            self.table(heading, table);
        }
    }

    fn table(&mut self, heading: &str, table: &Table) {
        let words = self.words;
        let (rows, more) = table.top(ROWS);
        if rows.is_empty() {
            return;
        }
        self.heading(heading);
        let (stopped, passed) = (escaped(words.stopped), escaped(words.passed));
        self.put(&format!(
            "<table>\n<tr><th></th><th>{stopped}</th><th>{passed}</th><th></th></tr>\n"
        ));
        let highest = rows
            .iter()
            .map(|(_, it)| all(*it))
            .max()
            .unwrap_or(0)
            .max(1);
        for (key, pair) in rows {
            let key = if key.is_empty() { words.none } else { key };
            let key = escaped(key);
            let part = |count: u64| count.saturating_mul(100) / highest;
            let (Pair { stopped, passed }, parts) = (pair, (part(pair.stopped), part(pair.passed)));
            self.put(&format!(
                "<tr><td>{key}</td><td class=\"n\">{stopped}</td><td class=\"n\">{passed}</td>\
                 <td style=\"width:40%\"><span class=\"b s\" style=\"width:{}%\"></span>\
                 <span class=\"b p\" style=\"width:{}%\"></span></td></tr>\n",
                parts.0, parts.1
            ));
        }
        if more > 0 || all(table.others) > 0 {
            let others = escaped(words.others);
            let beyond = if all(table.others) > 0 { "+" } else { "" };
            self.put(&format!(
                "<tr><td>{more}{beyond} {others}</td><td></td><td></td><td></td></tr>\n"
            ));
        }
        self.put("</table>\n");
    }

    /// What was found out and what was ordered.
    pub(super) fn events(&mut self, told: &Incident) {
        if told.events.is_empty() {
            return;
        }
        self.heading(self.words.events);
        self.put("<table>\n");
        for (wall, text) in &told.events {
            let time = self.time(*wall);
            self.row(&time, text);
        }
        if told.more_events > 0 {
            let more = format!("{} {}", told.more_events, self.words.others);
            self.row("", &more);
        }
        self.put("</table>\n");
    }

    /// What proves it, and how.
    pub(super) fn evidence(&mut self, told: &Incident, key: &str, unsound: &[String]) {
        let words = self.words;
        self.heading(words.evidence);
        self.put("<table>\n");
        let (first, last) = (told.first.as_ref(), told.last.as_ref());
        for (head, exhibit) in [(words.first, first), (words.last, last)] {
            if let Some(exhibit) = exhibit {
                let time = self.time(exhibit.wall);
                self.row(head, &time);
                self.row(words.record, &found(exhibit));
            }
        }
        self.row(words.key, key);
        self.put("</table>\n");
        match unsound.is_empty() {
            true => self.paragraph(words.sound),
            false => {
                let what = escaped(words.unsound);
                self.put(&format!("<p class=\"bad\">{what} {}</p>\n", unsound.len()));
                for finding in unsound.iter().take(ROWS) {
                    self.paragraph(finding);
                }
            }
        }
        if told.damaged > 0 {
            let what = escaped(words.damaged);
            self.put(&format!("<p class=\"bad\">{what} {}</p>\n", told.damaged));
        }
        self.paragraph(words.verify);
        self.put("<pre>tollgate ledger verify COPY --key public.key</pre>\n");
    }

    pub(super) fn end(mut self) -> String {
        self.put("</body>\n</html>\n");
        self.text
    }
}

const fn all(pair: Pair) -> u64 {
    pair.stopped.saturating_add(pair.passed)
}

fn found(exhibit: &Exhibit) -> String {
    let Exhibit {
        shard,
        segment,
        offset,
        length,
        hash,
        ..
    } = exhibit;
    format!("shard-{shard:03}/{segment}, {offset} + {length}, {hash}")
}

/// Amounts for people, in each currency.
fn amounts(sums: &BTreeMap<String, u64>) -> String {
    let amount = |(currency, millionths): (&String, &u64)| {
        let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
        let digits = format!("{whole}.{rest:06}");
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{currency} {digits}")
    };
    match sums.is_empty() {
        true => "0".to_owned(),
        false => sums.iter().map(amount).collect::<Vec<_>>().join(", "),
    }
}

/// Text for HTML. What a caller chose stands on the page: nothing of it is markup, and
/// no control character gets there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_caller_chose_is_no_markup() {
        let text = escaped("<a b=\"'&'\">\u{7}\r\n");
        assert_eq!(
            text,
            "&lt;a b=&quot;&#39;&amp;&#39;&quot;&gt;\u{fffd}\u{fffd}\u{fffd}"
        );
    }
}
