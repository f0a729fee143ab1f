//! `[hours.office]`: hours of the week that have a name.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::build::{Build, name_is_good, no_such};
use crate::policy::diagnostic::{At, Fault, Faults, Place, nearest};
use crate::policy::hours::{DAY, Hours, When};
use crate::policy::model::{HoursTable, TenantFile};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What stands in front of a name for the time outside of those hours.
pub(super) const OUTSIDE: &str = "outside ";

/// A tenant's hours, by their names.
pub(super) struct Named<'t>(BTreeMap<&'t str, u32>);

/// Takes a tenant's hours into the set.
pub(super) fn hours<'t>(
    build: &mut Build<'_>,
    file: &TenantFile<'t>,
    faults: &mut Faults<'_>,
) -> Named<'t> {
    let mut named = BTreeMap::new();
    for table in &file.hours {
        let at = u32::try_from(build.hours.len()).unwrap_or(u32::MAX);
        // With a fault or not: what names them is no fault of its own.
        named.insert(table.name.value, at);
        name_is_good(table.name, faults);
        let hours = Hours {
            name: table.name.value.into(),
            spans: spans(table, faults),
            holidays: holidays(&table.holidays, faults),
        };
        build.hours.push(hours);
    }
    Named(named)
}

impl Named<'_> {
    /// Reads "office" or "outside office".
    pub(super) fn when(&self, text: At<&str>, faults: &mut Faults<'_>) -> Option<When> {
        let outside = text.value.strip_prefix(OUTSIDE);
        let name = outside.unwrap_or(text.value).trim();
        if let Some(&hours) = self.0.get(name) {
            let outside = outside.is_some();
            return Some(When { hours, outside });
        }
        if self.0.is_empty() {
            let fault = Fault::error(format!("there are no hours named `{name}`"));
            let help = "say what they are, below all other tables: [hours.office], and in it \
                        mon-fri = \"08:00-19:00\"";
            faults.add(text.place, fault.help(help));
        } else {
            let known = self.0.keys().copied();
            no_such(text.with(name), "hours", known, faults);
        }
        None
    }
}

/// The hours of all days, in minutes of the week.
fn spans(table: &HoursTable<'_>, faults: &mut Faults<'_>) -> Vec<(u16, u16)> {
    let mut all = Vec::new();
    let mut places: [Option<Place>; 7] = [None; 7];
    for (days, times) in &table.days {
        let Some(days) = read_days(*days, faults) else {
            continue;
        };
        for day in days.value {
            let Some(place) = places.get_mut(usize::from(day)) else {
                continue;
            };
            if let Some(first) = place.replace(days.place) {
                let name = DAYS.get(usize::from(day)).unwrap_or(&"");
                let first = faults.pointer(first);
                let fault = Fault::error(format!("`{name}` has its hours already"));
                faults.add(days.place, fault.help(format!("they are at {first}")));
            }
            let of_day = |(from, to): (u16, u16)| (day * DAY + from, day * DAY + to);
            all.extend(
                times
                    .iter()
                    .filter_map(|it| time_span(it.value))
                    .map(of_day),
            );
        }
        for time in times.iter().filter(|it| time_span(it.value).is_none()) {
            let fault = Fault::error(format!("`{}` are no hours", time.value));
            let help = "write \"08:00-19:00\"; several as [\"08:00-12:00\", \"13:00-19:00\"]; past \
                        midnight as two, one to 24:00 and one from 00:00";
            faults.add(time.place, fault.help(help));
        }
    }
    if table.days.is_empty() {
        let fault = Fault::error(format!("`{}` is never", table.name.value));
        faults.add(
            table.place,
            fault.help("write, say, mon-fri = \"08:00-19:00\""),
        );
    }
    all.sort_unstable();
    all
}

/// Reads "mon", "mon-fri", "sat-mon".
fn read_days(text: At<&str>, faults: &mut Faults<'_>) -> Option<At<Vec<u16>>> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let (first, last) = text
        .value
        .split_once('-')
        .unwrap_or((text.value, text.value));
    let (Some(first), Some(last)) = (day(first), day(last)) else {
        let fault = Fault::error(format!("`{}` is no day of the week", text.value));
        let known = DAYS.into_iter().chain(["holidays"]);
        let help = match nearest(text.value, known) {
            Some(word) => format!("did you mean `{word}`?"),
            None => "write mon, tue, wed, thu, fri, sat, sun, or mon-fri and the like".to_owned(),
        };
        faults.add(text.place, fault.help(help));
        return None;
    };
    let length = (last + 7 - first) % 7;
    let days = (first..=first + length).map(|day| u16::try_from(day % 7).unwrap_or(0));
    Some(text.with(days.collect()))
}

/// Reads "08:00-19:00", in minutes of the day.
fn time_span(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from.trim())?, time(to.trim())?);
    (from < to).then_some((from, to))
}

/// Reads "08:00"; the end of a day is "24:00".
fn time(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= DAY).then_some(time)
}

/// Reads "2026-12-31" and "2026-12-29..2027-01-03".
fn holidays(texts: &[At<&str>], faults: &mut Faults<'_>) -> Vec<(Date, Date)> {
    let mut all: Vec<(Date, Date)> = Vec::with_capacity(texts.len());
    for text in texts {
        let (first, last) = text
            .value
            .split_once("..")
            .unwrap_or((text.value, text.value));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => all.push((first, last)),
            _ => {
                let fault = Fault::error(format!("`{}` is no date", text.value));
                let help =
                    "write \"2026-12-31\", or from one to another \"2026-12-29..2027-01-03\"";
                faults.add(text.place, fault.help(help));
            }
        }
    }
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
    all
}
