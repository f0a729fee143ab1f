//! The page itself: HTML without scripts, styles and pictures of its own alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::tz::TimeZone;

use super::words::Words;
use super::{events, faults, names};
use crate::app::render::grouped;
use crate::base::time::{Wall, seconds_begun};
use crate::ledger::{Event, Exhibit, Incident, Pair, Report, Span, Table};

/// Rows shown of each table.
const ROWS: usize = 30;

/// The timeline's size, and how many bars it has at the most.
const HEIGHT: u64 = 120;
const WIDTH: usize = 768;
const BARS: usize = 96;

/// Nothing is told by colour alone, and what is printed has its bars.
const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;\
color:#222;print-color-adjust:exact;-webkit-print-color-adjust:exact}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .6em;\
border-bottom:1px solid #ddd;vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap}\
table.t th{width:34%;font-weight:normal;color:#555}h2,h3{break-after:avoid}tr{break-inside:avoid}\
h3{font-size:1em;margin:1em 0 0}code,pre{font:14px monospace;overflow-wrap:anywhere;\
white-space:pre-wrap}.s{background:#8c1d18;fill:#8c1d18}.p{background:#9cc5e8;fill:#9cc5e8}\
.b{display:inline-block;height:.8em}.bad{color:#8c1d18;font-weight:bold}\
.ends{display:flex;justify-content:space-between;border-top:1px solid #222}\
@media print{body{margin:0;font-size:12px}}";

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

    fn command(&mut self, line: &str) {
        let line = escaped(line);
        self.put(&format!("<pre>{line}</pre>\n"));
    }

    /// A table of pairs.
    fn pairs(&mut self, rows: &[(&str, String)]) {
        self.put("<table class=\"t\">\n");
        for (head, value) in rows {
            let (head, value) = (escaped(head), escaped(value));
            self.put(&format!("<tr><th>{head}</th><td>{value}</td></tr>\n"));
        }
        self.put("</table>\n");
    }

    /// A time of the report's zone: cut to whole seconds, as [`Wall`] shows it.
    fn time(&self, wall: Wall) -> String {
        let stamp = jiff::Timestamp::from_microsecond(wall.as_micros()).unwrap_or_default();
        let zoned = stamp.to_zoned(self.zone.clone());
        zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// Amounts for people, in each currency.
    fn amounts(&self, sums: &BTreeMap<String, u64>) -> String {
        let amount = |(currency, millionths): (&String, &u64)| {
            let words = self.words;
            words.amount(currency, *millionths)
        };
        match sums.is_empty() {
            true => "0".to_owned(),
            false => sums.iter().map(amount).collect::<Vec<_>>().join(", "),
        }
    }

    /// Who, when, and what came of it.
    pub(super) fn summary(
        &mut self,
        (span, unsound): (&Span, usize),
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
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let version = env!("CARGO_PKG_VERSION");
        let made = format!("{}: {}; Tollgate {version}", words.made, self.time(now));
        self.paragraph(&format!("{from} – {to}; {} {zone}", words.zone));
        self.paragraph(&made);
        self.paragraph(words.scope);
        // Who reads the first page alone is not to take it for more than it is.
        if unsound > 0 {
            self.put(&bad(words.unsound, &unsound));
        }
        self.heading(words.summary);
        if told.first.is_none() {
            self.paragraph(words.nothing);
        }
        let mut rows = vec![
            (words.stopped, grouped(told.calls.stopped)),
            (words.passed, grouped(told.calls.passed)),
            (words.answered, grouped(told.answered)),
        ];
        if told.live > 0 {
            rows.push((words.live, grouped(told.live)));
        }
        rows.push((words.up, words.duration(seconds_begun(told.up))));
        rows.push((words.cost, self.amounts(&told.cost)));
        if !saved.is_empty() {
            let saved = format!("{} ({})", self.amounts(saved), words.saved_how);
            rows.push((words.saved, saved));
        }
        self.pairs(&rows);
    }

    /// A bar for each part of the time.
    pub(super) fn timeline(&mut self, span: &Span, told: &Incident) {
        let words = self.words;
        let timeline = told.timeline(span, BARS);
        if timeline.parts.is_empty() {
            return;
        }
        self.heading(words.timeline);
        let highest = timeline.parts.iter().map(|it| all(*it)).max();
        let highest = highest.unwrap_or(0).max(1);
        let step = WIDTH / timeline.parts.len().clamp(1, BARS);
        let wide = step.saturating_sub(1);
        let mut bars =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"100%\" role=\"img\">\n");
        let scaled = |count: u64| count.saturating_mul(HEIGHT).div_ceil(highest);
        for (pair, at) in timeline.parts.iter().zip((0..).step_by(step.max(1))) {
            let stopped = scaled(pair.stopped);
            let passed = scaled(pair.passed).min(HEIGHT.saturating_sub(stopped));
            let mut bar = |class: &str, top: u64, height: u64| {
                if height > 0 {
                    // Writing to a string cannot fail.
                    let _ = writeln!(
                        bars,
                        "<rect class=\"{class}\" x=\"{at}\" y=\"{top}\" width=\"{wide}\" height=\"{height}\"/>"
                    );
                }
            };
            let top = HEIGHT.saturating_sub(stopped);
            bar("s", top, stopped);
            bar("p", top.saturating_sub(passed), passed);
        }
        bars.push_str("</svg>\n");
        self.put(&bars);
        let (from, to) = (self.time(timeline.from), self.time(timeline.to));
        self.put(&format!(
            "<div class=\"ends\"><span>{from}</span><span>{to}</span></div>\n"
        ));
        let each = words.duration(timeline.each.as_secs().max(1));
        let (stopped, passed) = (escaped(words.stopped), escaped(words.passed));
        let (bar, most, highest) = (escaped(words.each), escaped(words.most), grouped(highest));
        self.put(&format!(
            "<p><span class=\"b s\" style=\"width:1em\"></span> {stopped} \
             <span class=\"b p\" style=\"width:1em\"></span> {passed}. {bar} {each}; {most} {highest}.</p>\n"
        ));
    }

    pub(super) fn tables(&mut self, told: &Incident) {
        let words = self.words;
        for (heading, table, empty) in [
            (words.places, &told.places, words.no_number),
            (words.reasons, &told.reasons, ""),
            (words.numbers, &told.numbers, words.no_number),
            (words.sources, &told.sources, ""),
            (words.agents, &told.agents, words.none),
        ] {
            self.table(heading, table, empty);
        }
    }

    /// `empty` stands for a key that says nothing.
    fn table(&mut self, heading: &str, table: &Table, empty: &str) {
        let words = self.words;
        let (rows, more) = table.top(ROWS);
        if rows.is_empty() {
            return;
        }
        self.heading(heading);
        if heading == words.agents {
            self.paragraph(words.agents_how);
        }
        let (stopped, passed) = (escaped(words.stopped), escaped(words.passed));
        self.put(&format!(
            "<table>\n<tr><th></th><th class=\"n\">{stopped}</th><th class=\"n\">{passed}</th>\
             <th></th></tr>\n"
        ));
        let highest = rows
            .iter()
            .map(|(_, it)| all(*it))
            .max()
            .unwrap_or(0)
            .max(1);
        for (key, pair) in rows {
            let key = match key {
                "" => empty.to_owned(),
                code if heading == words.reasons => names::reason(words.of, code),
                key => key.to_owned(),
            };
            let key = escaped(&key);
            let part = |count: u64| count.saturating_mul(100) / highest;
            let parts = (part(pair.stopped), part(pair.passed));
            let (stopped, passed) = (grouped(pair.stopped), grouped(pair.passed));
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
        let words = self.words;
        self.heading(words.events);
        let rows = told.events.iter();
        let mut rows: Vec<(String, String)> = rows
            .map(|(wall, event)| (self.time(*wall), happened(words, event)))
            .collect();
        if told.more_events > 0 {
            let more = format!("{} {}", told.more_events, words.others);
            rows.push((String::new(), more));
        }
        let rows: Vec<_> = rows
            .iter()
            .map(|(time, text)| (time.as_str(), text.clone()))
            .collect();
        self.pairs(&rows);
    }

    /// What proves it, and how.
    pub(super) fn evidence(&mut self, told: &Incident, key: &str, report: &Report) {
        let words = self.words;
        self.heading(words.evidence);
        let (first, last) = (told.first.as_ref(), told.last.as_ref());
        for (head, exhibit) in [(words.first, first), (words.last, last)] {
            if let Some(it) = exhibit {
                let head = escaped(head);
                self.put(&format!("<h3>{head}</h3>\n"));
                self.pairs(&[
                    (words.time, self.time(it.wall)),
                    (words.segment, path(it)),
                    (words.bytes, bytes(it)),
                    (words.hash, it.hash.clone()),
                ]);
            }
        }
        let head = escaped(words.journal);
        self.put(&format!("<h3>{head}</h3>\n"));
        let mut signed = format!("{} {}", grouped(report.records), words.records);
        if let Some((number, wall)) = report.last {
            let time = self.time(wall);
            let _ = write!(signed, "; {} {number}, {time}", words.checkpoint);
        }
        if report.unsigned > 0 {
            let unsigned = grouped(report.unsigned);
            let _ = write!(signed, "; {unsigned} {}", words.unsigned);
        }
        self.pairs(&[(words.signed, signed), (words.key, key.to_owned())]);
        self.soundness(told, report);
        self.paragraph(words.verify);
        self.command("tollgate ledger verify COPY --key public.key");
        if let Some(it) = first {
            self.paragraph(words.rehash);
            let (from, path) = (it.offset.saturating_add(1), path(it));
            let length = it.length;
            self.command(&format!(
                "tail -c +{from} {path} | head -c {length} | b3sum"
            ));
        }
    }

    /// Whether the journal is as it was signed.
    fn soundness(&mut self, told: &Incident, report: &Report) {
        let words = self.words;
        if report.findings.is_empty() && report.late.is_empty() {
            self.paragraph(words.sound);
        }
        for (what, findings) in [
            (words.unsound, &report.findings),
            (words.late, &report.late),
        ] {
            if findings.is_empty() {
                continue;
            }
            self.put(&bad(what, &findings.len()));
            for finding in findings.iter().take(ROWS) {
                self.paragraph(&faults::finding(words.of, finding));
            }
        }
        if told.damaged > 0 {
            self.put(&bad(words.damaged, &told.damaged));
        }
        if !report.remarks.is_empty() {
            self.paragraph(words.remarks);
            for remark in report.remarks.iter().take(ROWS) {
                self.paragraph(&faults::remark(words.of, remark));
            }
        }
    }

    pub(super) fn end(mut self) -> String {
        self.put("</body>\n</html>\n");
        self.text
    }
}

const fn all(pair: Pair) -> u64 {
    pair.stopped.saturating_add(pair.passed)
}

/// Where a record lies in the ledger's folder.
fn path(exhibit: &Exhibit) -> String {
    format!("shard-{:03}/{}", exhibit.shard, exhibit.segment)
}

/// Its first byte and its last one, from 0.
fn bytes(exhibit: &Exhibit) -> String {
    let length = u64::try_from(exhibit.length).unwrap_or(u64::MAX);
    let last = exhibit.offset.saturating_add(length).saturating_sub(1);
    format!("{} – {last} ({length})", exhibit.offset)
}

/// What was noted or ordered, in words.
fn happened(words: &Words, event: &Event) -> String {
    let mut text = events::event(words.of, &event.what);
    let detail = events::detail(words.of, event);
    let detail = &*detail;
    let terms = events::terms(words.of, event);
    for (before, part) in [
        (": ".to_owned(), detail),
        ("; ".to_owned(), &terms),
        (format!("; {}: ", words.by), &event.by),
        (format!("; {}: ", words.why), &event.why),
    ] {
        if !part.is_empty() {
            text.push_str(&before);
            text.push_str(part);
        }
    }
    text
}

/// Text for HTML. What a caller chose stands on the page: nothing of it is markup, and
/// Something that is not as it should be, with how much there is of it.
fn bad(what: &str, count: &dyn std::fmt::Display) -> String {
    format!("<p class=\"bad\">{} {count}</p>\n", escaped(what))
}

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
