//! Reads a tariff's CSV: cells without quotes, a heading, one currency.

use std::collections::BTreeMap;

use super::band::{self, Band, Stretch};
use super::{Rate, Tariff, Turn, WEEK};
use crate::base::limits::TARIFF_BYTES;
use crate::policy::diagnostic::{Fault, Faults, Place, nearest, one_of};
use crate::policy::lane::Part;
use crate::policy::money::{Currency, Money};
use crate::policy::numbering::Numbering;
use crate::policy::table::{self, Entry, Flags};
use crate::policy::target::Target;

/// The columns; the first [`REQUIRED`] must be there.
const COLUMNS: [&str; 11] = [
    "destination",
    "setup",
    "per_minute",
    "first_pulse",
    "next_pulse",
    "currency",
    "from",
    "to",
    "days",
    "setup_on",
    "bill_from",
];
const REQUIRED: usize = 6;

/// After so many faults the rest of a tariff is not read: they are mostly alike.
const FAULTS_MAX: usize = 100;

/// Reads source `file`. What has no fault is in the tariff, which is there in any
/// case: the rules cannot be used if anything has one.
pub(in crate::policy) fn read(
    file: u32,
    name: &str,
    numbering: &Numbering,
    faults: &mut Faults<'_>,
) -> Tariff {
    let mut reader = Reader {
        file,
        numbering,
        faults,
        found: 0,
        currency: None,
        rows: Vec::new(),
        rates: BTreeMap::new(),
    };
    reader.lines();
    let mut tariff = Tariff {
        name: name.into(),
        currency: reader.currency.map_or(Currency::NONE, |(it, _)| it),
        entries: Vec::new(),
        kinds: table::Kinds::default(),
        rates: Vec::new(),
        turns: Vec::new(),
        weeks: Vec::new(),
    };
    reader.settle(&mut tariff);
    let mut rates: Vec<(Rate, u32)> = reader.rates.into_iter().collect();
    rates.sort_unstable_by_key(|(_, at)| *at);
    tariff.rates = rates.into_iter().map(|(rate, _)| rate).collect();
    tariff.kinds = table::arrange(&mut tariff.entries);
    tariff
}

/// A row that was read.
#[derive(Clone, Copy)]
struct Row {
    target: Target,
    band: Option<Band>,
    rate: u32,
    place: Place,
}

struct Reader<'f, 's> {
    file: u32,
    numbering: &'f Numbering,
    faults: &'f mut Faults<'s>,
    found: usize,
    currency: Option<(Currency, Place)>,
    rows: Vec<Row>,
    /// Each rate once, and its place.
    rates: BTreeMap<Rate, u32>,
}

impl Reader<'_, '_> {
    fn add(&mut self, place: Place, fault: Fault) {
        self.found += 1;
        self.faults.add(place, fault);
    }

    fn is_over(&self) -> bool {
        self.found >= FAULTS_MAX
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place::new(self.file, &span)
    }

    fn lines(&mut self) {
        let Some(source) = self.faults.source(self.file) else {
            return;
        };
        if source.text.len() > TARIFF_BYTES {
            let fault = Fault::error(format!("the tariff is larger than {TARIFF_BYTES} bytes"));
            let help = "keep the rows of destinations that the rules allow, and write one row for \
                        a country where its numbers cost the same";
            return self.add(self.place(0..0), fault.help(help));
        }
        let mut heading: Option<Heading> = None;
        let mut at = 0;
        for line in source.text.split_inclusive('\n') {
            let mut start = at;
            at += line.len();
            let mut text = line.trim_end_matches(['\n', '\r']);
            // Spreadsheets put a mark in front that says that it is UTF-8.
            if let (0, Some(rest)) = (start, text.strip_prefix('\u{FEFF}')) {
                (start, text) = ('\u{FEFF}'.len_utf8(), rest);
            }
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let cells = cells(start, text);
            let whole = self.place(start..start + text.len());
            if text.contains('"') {
                let fault = Fault::error("a tariff has no quotes");
                let help = "write the cells bare; put blanks between days: sat sun";
                self.add(whole, fault.help(help));
            } else if let Some(heading) = &heading {
                let row = self.row(heading, &cells, whole);
                self.rows.extend(row);
            } else {
                match self.heading(&cells, whole) {
                    Some(it) => heading = Some(it),
                    // Under a broken heading every row would be broken.
                    None => return,
                }
            }
            if self.is_over() {
                let fault = Fault::error("too many faults: the rest of the tariff was not read");
                return self.add(self.place(at..at), fault.help("mend these first"));
            }
        }
        if heading.is_none() {
            let fault = Fault::error("the tariff is empty").help(heading_help());
            self.add(self.place(0..0), fault);
        } else if self.rows.is_empty() && self.found == 0 {
            let fault = Fault::error("the tariff has no rows");
            let help = "nothing has a price, and what has none is refused; add a row for each \
                        destination";
            self.add(self.place(0..0), fault.help(help));
        }
    }

    fn heading(&mut self, cells: &[Cell<'_>], whole: Place) -> Option<Heading> {
        let before = self.found;
        let mut heading = Heading {
            at: [None; COLUMNS.len()],
            width: cells.len(),
        };
        for (index, cell) in cells.iter().enumerate() {
            let name = cell.text;
            let place = self.place(cell.span());
            let known = COLUMNS.iter().position(|it| *it == name);
            match known.and_then(|known| heading.at.get_mut(known)) {
                None => {
                    let help = match nearest(name, COLUMNS.into_iter()) {
                        Some(word) => format!("did you mean `{word}`?"),
                        None => format!("there may be {}", one_of(COLUMNS.into_iter())),
                    };
                    let fault = Fault::error(format!("`{name}` is no column of a tariff"));
                    self.add(place, fault.help(help));
                }
                Some(Some(_)) => {
                    let fault = Fault::error(format!("the column `{name}` is there twice"));
                    self.add(place, fault);
                }
                Some(at) => *at = Some(index),
            }
        }
        for (name, at) in COLUMNS.iter().zip(heading.at).take(REQUIRED) {
            if at.is_none() {
                let fault = Fault::error(format!("the column `{name}` is missing"));
                self.add(whole, fault.help(heading_help()));
            }
        }
        (self.found == before).then_some(heading)
    }

    fn row(&mut self, heading: &Heading, cells: &[Cell<'_>], whole: Place) -> Option<Row> {
        if cells.len() != heading.width {
            let (cells, expected) = (cells.len(), heading.width);
            let fault = Fault::error(format!("{cells} cells, where the heading has {expected}"));
            let help = "each row has a cell for each column, empty or not: commas stand between \
                        them, and points in amounts";
            self.add(whole, fault.help(help));
            return None;
        }
        let cell = |column: &'static str| Named {
            column,
            cell: heading.cell(column, cells),
        };
        let target = self.target(cell("destination"));
        let setup = self.amount(cell("setup"));
        let per_minute = self.amount(cell("per_minute"));
        let first = self.pulse(cell("first_pulse"));
        let next = self.pulse(cell("next_pulse"));
        let currency = self.currency(cell("currency"));
        let setup_on_attempt = self.either(cell("setup_on"), "answer", "attempt");
        let from_invite = self.either(cell("bill_from"), "answer", "invite");
        let band = {
            let [from, to, days] = ["from", "to", "days"].map(|it| heading.cell(it, cells));
            match Band::parse(from.text, to.text, days.text) {
                Ok(band) => Some(band),
                Err(fault) => {
                    self.wrong(cell(fault.column), fault.help);
                    None
                }
            }
        };
        currency?;
        let rate = Rate {
            setup: setup?,
            per_minute: per_minute?,
            first: first?,
            next: next?,
            setup_on_attempt: setup_on_attempt?,
            from_invite: from_invite?,
        };
        let fresh = u32::try_from(self.rates.len()).unwrap_or(u32::MAX);
        Some(Row {
            target: target?,
            band: band?,
            rate: *self.rates.entry(rate).or_insert(fresh),
            place: whole,
        })
    }

    fn wrong(&mut self, Named { column, cell }: Named<'_>, help: &str) {
        let fault = Fault::error(format!("`{}` is no `{column}`", cell.text));
        self.add(self.place(cell.span()), fault.help(help));
    }

    fn target(&mut self, named: Named<'_>) -> Option<Target> {
        match Target::parse(named.cell.text, self.numbering) {
            Ok(target) => Some(target),
            Err(fault) => {
                let place = self.place(named.cell.span());
                self.add(place, Fault::error(fault.title).help(fault.help));
                None
            }
        }
    }

    fn amount(&mut self, named: Named<'_>) -> Option<Money> {
        let text = named.cell.text;
        let amount = Money::parse(text);
        if amount.is_none() {
            let help = if text.starts_with('-') {
                "a carrier does not pay for calls: write 0, or what it charges"
            } else {
                "an amount is digits, and a point before up to six decimals: \"2.67\""
            };
            self.wrong(named, help);
        }
        amount
    }

    fn pulse(&mut self, named: Named<'_>) -> Option<u32> {
        let seconds = named.cell.text.parse().ok();
        let seconds = seconds.filter(|seconds| (1..=3_600).contains(seconds));
        if seconds.is_none() {
            self.wrong(named, "a pulse is a whole number of seconds, 1 to 3600");
        }
        seconds
    }

    fn currency(&mut self, named: Named<'_>) -> Option<Currency> {
        let place = self.place(named.cell.span());
        let currency = Currency::parse(named.cell.text).filter(|it| it.is_in_use());
        let Some(currency) = currency else {
            let help = match Currency::nearest(named.cell.text) {
                Some(meant) => format!("did you mean {meant}? Write the letters of ISO 4217"),
                None => "a currency is its three letters, as in ISO 4217: \"JPY\"".to_owned(),
            };
            self.wrong(named, &help);
            return None;
        };
        let (first, at) = *self.currency.get_or_insert((currency, place));
        if currency != first {
            let at = self.faults.pointer(at);
            let fault = Fault::error(format!("`{currency}` in a tariff in {first}"));
            let help = format!("{at} says {first}; write one tariff for each currency");
            self.add(place, fault.help(help));
            return None;
        }
        Some(currency)
    }

    /// Whether the second word is there; the first, or nothing, is the usual.
    fn either(&mut self, named: Named<'_>, usual: &str, other: &str) -> Option<bool> {
        match named.cell.text {
            "" => Some(false),
            text if text == usual => Some(false),
            text if text == other => Some(true),
            _ => {
                self.wrong(named, &format!("write \"{usual}\" or \"{other}\""));
                None
            }
        }
    }

    /// Puts the rows of each destination together.
    fn settle(&mut self, tariff: &mut Tariff) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|row| (row.target.word(), row.place));
        let mut weeks: BTreeMap<Vec<Turn>, u32> = BTreeMap::new();
        for same in rows.chunk_by(|a, b| a.target == b.target) {
            if self.is_over() {
                return;
            }
            let (Some(first), Some(week)) = (same.first(), self.week(same)) else {
                continue;
            };
            let fresh = u32::try_from(weeks.len()).unwrap_or(u32::MAX);
            let at = match weeks.get(&week) {
                Some(&known) => known,
                None => {
                    let start = tariff.turns.len();
                    tariff.turns.extend(&week);
                    tariff.weeks.push(Part::new(start, tariff.turns.len()));
                    weeks.insert(week, fresh);
                    fresh
                }
            };
            tariff
                .entries
                .push(Entry::new(first.target, Flags::NONE, at));
        }
    }

    /// The week that the rows of one destination make; none if they have a fault.
    fn week(&mut self, rows: &[Row]) -> Option<Vec<Turn>> {
        let mut rest: Option<&Row> = None;
        let mut banded: Vec<(Stretch, &Row)> = Vec::new();
        for row in rows {
            match (row.band, rest) {
                (Some(band), _) => banded.extend(band.stretches().map(|it| (it, row))),
                (None, None) => rest = Some(row),
                (None, Some(first)) => {
                    self.twice("this destination has a price already", first, row);
                    return None;
                }
            }
        }
        banded.sort_unstable_by_key(|(stretch, row)| (*stretch, row.place));
        let mut turns: Vec<Turn> = Vec::new();
        let mut turn = |minute, rate| {
            if turns.last().is_none_or(|last: &Turn| last.rate != rate) {
                turns.push(Turn { minute, rate });
            }
        };
        let mut covered = 0;
        let mut before: Option<&Row> = None;
        let end = Stretch {
            start: WEEK,
            end: WEEK,
        };
        let all = banded.iter().map(|(stretch, row)| (*stretch, Some(*row)));
        for (stretch, row) in all.chain([(end, None)]) {
            if stretch.start > covered {
                let Some(rest) = rest else {
                    self.gap(rows, covered, stretch.start);
                    return None;
                };
                turn(covered, rest.rate);
            }
            if let (true, Some(row), Some(before)) = (stretch.start < covered, row, before) {
                let (first, second) = (before.place.min(row.place), before.place.max(row.place));
                let find = |place| rows.iter().find(|row| row.place == place);
                if let (Some(first), Some(second)) = (find(first), find(second)) {
                    self.twice("this time has a price already", first, second);
                }
                return None;
            }
            if let Some(row) = row {
                turn(stretch.start, row.rate);
            }
            covered = stretch.end;
            before = row;
        }
        // The week goes round: what ends it may go on as it begins.
        if let [first, .., last] = turns.as_slice()
            && first.rate == last.rate
        {
            turns.remove(0);
        }
        Some(turns)
    }

    fn twice(&mut self, title: &str, first: &Row, second: &Row) {
        let at = self.faults.pointer(first.place);
        let fault = Fault::error(title).help(format!("the other is at {at}"));
        self.add(second.place, fault);
    }

    fn gap(&mut self, rows: &[Row], from: u32, to: u32) {
        let Some(row) = rows.last() else {
            return;
        };
        let (from, to) = (band::shown(from), band::shown(to));
        let title = format!("`{}` has no price from {from} to {to}", row.target);
        let help = "add a row without from, to and days: it is for the rest of the week";
        self.add(row.place, Fault::error(title).help(help));
    }
}

/// Which cell each column is.
struct Heading {
    at: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Heading {
    /// The cell of a column; an empty one if the column is not there.
    fn cell<'t>(&self, column: &str, cells: &[Cell<'t>]) -> Cell<'t> {
        let known = COLUMNS.iter().position(|it| *it == column);
        let at = known.and_then(|it| self.at.get(it).copied().flatten());
        let cell = at.and_then(|at| cells.get(at)).copied();
        cell.unwrap_or(Cell { text: "", start: 0 })
    }
}

#[derive(Clone, Copy)]
struct Cell<'t> {
    text: &'t str,
    start: usize,
}

impl Cell<'_> {
    fn span(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// A cell and its column's name.
#[derive(Clone, Copy)]
struct Named<'t> {
    column: &'static str,
    cell: Cell<'t>,
}

/// The cells of a line that starts at this byte, without blanks around them.
fn cells(start: usize, line: &str) -> Vec<Cell<'_>> {
    let mut at = start;
    let cell = |text: &'_ str| {
        let blanks = text.len() - text.trim_start().len();
        let start = at + blanks;
        at += text.len() + 1;
        start
    };
    let starts: Vec<usize> = line.split(',').map(cell).collect();
    let texts = line.split(',').map(str::trim);
    texts
        .zip(starts)
        .map(|(text, start)| Cell { text, start })
        .collect()
}

fn heading_help() -> String {
    let required: Vec<&str> = COLUMNS.into_iter().take(REQUIRED).collect();
    format!("the first line is {}", required.join(","))
}
