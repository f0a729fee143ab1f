//! What is said of events, once for all places.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;

use super::group::{Happened, Kind, Told};

/// One alert, as it is sent and kept. Whoever reads it passes over keys that it does
/// not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Tells it from every other: one that comes twice has the same.
    pub id: String,
    /// What sort.
    pub kind: Kind,
    /// Whose; empty if it is nobody's.
    pub tenant: String,
    /// Which of its kind: a short name.
    pub what: String,
    /// How many alike events it is about.
    pub count: u64,
    /// When the first was (RFC 3339, UTC).
    pub first: String,
    /// When the last was.
    pub last: String,
    /// The number called by the first; empty if there is none.
    pub number: String,
    /// Where the first came from.
    pub source: String,
    /// About what they would have cost, a minute each: an amount and its currency.
    /// Empty if nothing says so.
    pub cost: String,
    /// One line for a list.
    pub title: String,
    /// All of it in words, in one line.
    pub text: String,
    /// What to type to stop it; empty if a block would not.
    pub command: String,
    /// How many older alerts were left out, because this place took none for long.
    #[serde(default)]
    pub left_out: u64,
}

/// What every message says alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The configuration, as `-c` takes it.
    pub configuration: String,
    /// What begins each id: unlike that of any other run.
    pub run: String,
    /// How many messages there were in this run.
    pub count: u64,
}

impl Voice {
    /// A trial, to see whether a place takes alerts.
    pub fn trial(&mut self, now: Wall) -> Message {
        let event = Happened {
            what: "trial".to_owned(),
            sentence: "this is a trial, and nothing has happened".to_owned(),
            count: 1,
            ..Happened::default()
        };
        self.say(&Told {
            kind: Kind::Trial,
            event,
            first: now,
            last: now,
        })
    }

    /// Puts events into words.
    pub fn say(&mut self, told: &Told) -> Message {
        self.count = self.count.saturating_add(1);
        let event = &told.event;
        let title = title(told.kind, event);
        let command = self.command(told.kind, event);
        let cost = event.cost.as_ref().map(amount);
        let mut text = title.clone();
        // Writing to a string cannot fail.
        if event.count > 1 {
            let _ = write!(text, ", {} to {}", told.first, told.last);
        } else {
            let _ = write!(text, ", {}", told.first);
        }
        if !event.number.is_empty() {
            let _ = write!(text, "; number {}", event.number);
        }
        if !event.source.is_empty() {
            let _ = write!(text, "; from {}", event.source);
        }
        text.push('.');
        if let Some(cost) = &cost {
            let _ = write!(text, " At a minute each that would have cost about {cost}.");
        }
        if !command.is_empty() {
            let _ = write!(text, " To stop all calls of {}: {command}", event.tenant);
        }
        Message {
            id: format!("{}-{}", self.run, self.count),
            kind: told.kind,
            tenant: event.tenant.clone(),
            what: event.what.clone(),
            count: event.count,
            first: told.first.to_string(),
            last: told.last.to_string(),
            number: event.number.clone(),
            source: event.source.clone(),
            cost: cost.unwrap_or_default(),
            title,
            text,
            command,
            left_out: 0,
        }
    }

    fn command(&self, kind: Kind, event: &Happened) -> String {
        let by_tenant = matches!(kind, Kind::Refused | Kind::Pattern | Kind::Budget);
        match by_tenant && !event.tenant.is_empty() {
            true => format!(
                "tollgate block {} -c {} --hang-up",
                event.tenant, self.configuration
            ),
            false => String::new(),
        }
    }
}

fn title(kind: Kind, event: &Happened) -> String {
    let whose = match event.tenant.is_empty() {
        true => String::new(),
        false => format!("{}: ", event.tenant),
    };
    let (count, sentence) = (event.count, &event.sentence);
    match (kind, count) {
        (Kind::Refused, 1) => format!("{whose}a call was refused: {sentence}"),
        (Kind::Refused, _) => format!("{whose}{count} calls were refused: {sentence}"),
        (Kind::Pattern, 1) => format!("{whose}a pattern of fraud: {sentence}"),
        (Kind::Pattern, _) => format!("{whose}a pattern of fraud, {count} times: {sentence}"),
        (Kind::Stranger, 1) => format!("a message was dropped: {sentence}"),
        (Kind::Stranger, _) => format!("{count} messages were dropped: {sentence}"),
        _ => format!("{whose}{sentence}"),
    }
}

/// An amount for people.
fn amount((millionths, currency): &(u64, String)) -> String {
    let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
    match rest {
        0 => format!("{currency} {whole}"),
        _ => {
            let digits = format!("{rest:06}");
            format!("{currency} {whole}.{}", digits.trim_end_matches('0'))
        }
    }
}
