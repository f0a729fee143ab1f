//! `[[pattern]]`: signs of fraud that a tenant watches for.

use std::sync::Arc;
use std::time::Duration;

use super::build::{Build, duration};
use super::hours::Named;
use crate::policy::counters::{Book, PatternKey, Sign, Then};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex, nearest, one_of};
use crate::policy::lane::Part;
use crate::policy::model::PatternTable;
use crate::policy::numbering::Country;
use crate::policy::pattern::Pattern;
use crate::policy::target::Target;

/// The most sights that a pattern can be told to take: so many are remembered of
/// each number, range or source.
const COUNT_MAX: u64 = 200;

const MINUTE: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(7 * 86_400);

/// A kind of pattern: its name, how much it takes unless the file says, and
/// within how many minutes.
const KINDS: [(&str, u64, u32); 5] = [
    ("prefix_walk", 5, 10),
    ("short_calls", 10, 60),
    ("new_country", 1, 24 * 60),
    ("burst", 10, 10),
    ("refusals", 20, 10),
];

/// Takes a tenant's patterns into the set.
pub(super) fn patterns(
    build: &mut Build<'_>,
    tables: &[PatternTable<'_>],
    hours: &Named<'_>,
    book: &Arc<Book>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Part {
    let start = build.patterns.len();
    for table in tables {
        let Some(pattern) = pattern(build, table, hours, book, lines, faults) else {
            continue;
        };
        let mut others = build.patterns.iter().skip(start);
        if others.any(|other| other.place == pattern.place) {
            let fault = Fault::error("there is such a pattern already");
            let help = "one that only alerts can stand beside one that refuses";
            faults.add(table.place, fault.help(help));
        }
        build.patterns.push(pattern);
    }
    Part::new(start, build.patterns.len())
}

fn pattern(
    build: &mut Build<'_>,
    table: &PatternTable<'_>,
    hours: &Named<'_>,
    book: &Arc<Book>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Option<Pattern> {
    let (sign, usual, minutes) = kind(table, faults)?;
    let count = count(table.count, usual, sign, faults)?;
    let within = match table.within {
        Some(text) => duration(text, LEAST, MOST, faults)?,
        None => MINUTE * minutes,
    };
    let follows = then(table.then, faults)?;
    let when = match table.when {
        Some(text) => Some(hours.when(text, faults)?),
        None => None,
    };
    let to = match table.on {
        Some(text) => Some(target(build, text, faults)?),
        None => None,
    };
    let known = known(build, &table.known, faults);
    let key = PatternKey {
        sign,
        then: follows,
        when: when.and_then(|when| {
            let hours = build.hours.get(when.hours as usize)?;
            Some((Arc::clone(&hours.name), when.outside))
        }),
        to: to.map_or(0, Target::word),
    };
    let reach = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    let Some(place) = book.pattern(key, count, reach) else {
        let fault = Fault::error("this tenant has had too many different patterns since the start");
        faults.add(table.place, fault.help("restart, or have fewer"));
        return None;
    };
    let name = table.kind.map_or("", |it| it.value);
    let then = match follows {
        Then::Alert => "alert",
        Then::Cap => "cap",
        Then::Refuse => "refuse",
    };
    let text = format!("[[pattern]] kind = \"{name}\" count = {count} then = \"{then}\"");
    Some(Pattern {
        sign,
        place,
        count,
        within: reach,
        then: follows,
        when,
        to,
        known,
        rule: build.rule(table.place, lines, text),
    })
}

/// What kind of pattern it is, and what it takes unless the file says.
fn kind(table: &PatternTable<'_>, faults: &mut Faults<'_>) -> Option<(Sign, u64, u32)> {
    let kind = table.kind?;
    let Some(&(name, count, minutes)) = KINDS.iter().find(|it| it.0 == kind.value) else {
        let names = || KINDS.iter().map(|it| it.0);
        let fault = Fault::error(format!("there is no pattern `{}`", kind.value));
        let help = match nearest(kind.value, names()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("there is {}", one_of(names())),
        };
        faults.add(kind.place, fault.help(help));
        return None;
    };
    let sign = match name {
        "prefix_walk" => Sign::PrefixWalk {
            digits: digits(table.digits, 7, 4..=10, faults)?,
        },
        "short_calls" => Sign::ShortCalls {
            shorter_than: match table.shorter_than {
                Some(text) => duration(text, LEAST, 60 * MINUTE, faults)?,
                None => MINUTE,
            },
            range: digits(table.digits, 4, 2..=8, faults)?,
        },
        "new_country" => Sign::NewCountry,
        "burst" => Sign::Burst,
        _ => Sign::Refusals,
    };
    Some((sign, count, minutes))
}

fn digits(
    given: Option<At<u64>>,
    usual: u8,
    range: std::ops::RangeInclusive<u8>,
    faults: &mut Faults<'_>,
) -> Option<u8> {
    let Some(given) = given else {
        return Some(usual);
    };
    let digits = u8::try_from(given.value).ok();
    let digits = digits.filter(|it| range.contains(it));
    if digits.is_none() {
        let fault = Fault::error(format!("{} digits say too little or too much", given.value));
        let help = format!("write {} to {}", range.start(), range.end());
        faults.add(given.place, fault.help(help));
    }
    digits
}

fn count(given: Option<At<u64>>, usual: u64, sign: Sign, faults: &mut Faults<'_>) -> Option<u32> {
    // One prefix alone is no walk.
    let least = match sign {
        Sign::PrefixWalk { .. } => 2,
        _ => 1,
    };
    let Some(given) = given else {
        return u32::try_from(usual).ok();
    };
    if !(least..=COUNT_MAX).contains(&given.value) {
        let fault = Fault::error(format!("`count` can be {least} to {COUNT_MAX} here"));
        let help = "it is how much makes the pattern; to limit calls, write a [[cap]]";
        faults.add(given.place, fault.help(help));
        return None;
    }
    u32::try_from(given.value).ok()
}

/// What follows from the pattern.
fn then(text: Option<At<&str>>, faults: &mut Faults<'_>) -> Option<Then> {
    let Some(text) = text else {
        return Some(Then::Alert);
    };
    match text.value {
        "alert" => Some(Then::Alert),
        "cap" => Some(Then::Cap),
        "refuse" => Some(Then::Refuse),
        other => {
            let fault = Fault::error(format!("`{other}` is not what can be done"));
            faults.add(
                text.place,
                fault.help("write \"alert\", \"cap\" or \"refuse\""),
            );
            None
        }
    }
}

fn target(build: &Build<'_>, text: At<&str>, faults: &mut Faults<'_>) -> Option<Target> {
    match Target::parse(text.value, &build.numbering) {
        Ok(target) => Some(target),
        Err(fault) => {
            faults.add(text.place, Fault::error(fault.title).help(fault.help));
            None
        }
    }
}

/// Countries that are not new.
fn known(build: &Build<'_>, texts: &[At<&str>], faults: &mut Faults<'_>) -> Box<[Country]> {
    let mut countries = Vec::with_capacity(texts.len());
    for &text in texts {
        match target(build, text, faults) {
            Some(Target::Country(country)) => countries.push(country),
            Some(other) => {
                let fault = Fault::error(format!("`{other}` is no country"));
                faults.add(text.place, fault.help("write countries: \"us\", \"gb\""));
            }
            None => {}
        }
    }
    countries.into()
}
