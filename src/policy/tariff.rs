//! Tariffs: what the carrier charges. For now only whether a file is one.

use std::collections::BTreeMap;

use super::diagnostic::{Fault, Faults, Place, nearest, one_of};
use super::numbering::Numbering;
use super::target::Target;

/// A column, and whether it must be there.
const COLUMNS: [(&str, bool); 11] = [
    ("destination", true),
    ("setup", true),
    ("per_minute", true),
    ("first_pulse", true),
    ("next_pulse", true),
    ("currency", true),
    ("from", false),
    ("to", false),
    ("days", false),
    ("setup_on", false),
    ("bill_from", false),
];

/// Finds the faults of the tariff that is source `file`.
pub(super) fn check(file: u32, faults: &mut Faults<'_>, numbering: &Numbering) {
    let Some(source) = faults.source(file) else {
        return;
    };
    let mut columns: Option<Vec<&str>> = None;
    let mut seen: BTreeMap<Vec<&str>, Place> = BTreeMap::new();
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let text = line.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let row = Row {
            file,
            start,
            cells: text.split(',').collect(),
        };
        let Some(columns) = &columns else {
            row.heading(faults);
            columns = Some(row.cells.iter().map(|cell| cell.trim()).collect());
            continue;
        };
        if row.cells.len() != columns.len() {
            let (cells, expected) = (row.cells.len(), columns.len());
            let fault = Fault::error(format!("{cells} cells, where the heading has {expected}"));
            faults.add(row.place(), fault);
            continue;
        }
        row.check(columns, numbering, faults);
        if let Some(&first) = seen.get(&row.key(columns)) {
            let first = faults.pointer(first);
            let fault = Fault::error("this destination has a price already");
            faults.add(row.place(), fault.help(format!("the other is at {first}")));
        }
        seen.insert(row.key(columns), row.place());
    }
    if columns.is_none() {
        let fault = Fault::error("the tariff is empty").help(heading_help());
        faults.add(Place::new(file, &(0..0)), fault);
    }
}

/// A line of the file.
struct Row<'t> {
    file: u32,
    start: usize,
    cells: Vec<&'t str>,
}

impl<'t> Row<'t> {
    fn place(&self) -> Place {
        let commas = self.cells.len().saturating_sub(1);
        let length = self.cells.iter().map(|cell| cell.len()).sum::<usize>() + commas;
        Place::new(self.file, &(self.start..self.start + length))
    }

    fn place_of(&self, index: usize) -> Place {
        let before: usize = self
            .cells
            .iter()
            .take(index)
            .map(|cell| cell.len() + 1)
            .sum();
        let start = self.start + before;
        let length = self.cells.get(index).map_or(0, |cell| cell.len());
        Place::new(self.file, &(start..start + length))
    }

    /// What may be there once: the destination and its time band.
    fn key(&self, columns: &[&str]) -> Vec<&'t str> {
        let of = |name: &str| {
            let at = columns.iter().position(|column| *column == name);
            at.and_then(|at| self.cells.get(at))
                .map_or("", |cell| cell.trim())
        };
        ["destination", "from", "to", "days"].map(of).to_vec()
    }

    fn heading(&self, faults: &mut Faults<'_>) {
        let known = || COLUMNS.iter().map(|(name, _)| *name);
        for (index, cell) in self.cells.iter().enumerate() {
            let name = cell.trim();
            if known().all(|it| it != name) {
                let help = match nearest(name, known()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("there may be {}", one_of(known())),
                };
                let fault = Fault::error(format!("`{name}` is no column of a tariff"));
                faults.add(self.place_of(index), fault.help(help));
            }
            if self.cells.iter().take(index).any(|it| it.trim() == name) {
                let fault = Fault::error(format!("the column `{name}` is there twice"));
                faults.add(self.place_of(index), fault);
            }
        }
        for (name, _) in COLUMNS.iter().filter(|(_, required)| *required) {
            if self.cells.iter().all(|cell| cell.trim() != *name) {
                let fault = Fault::error(format!("the column `{name}` is missing"));
                faults.add(self.place(), fault.help(heading_help()));
            }
        }
    }

    fn check(&self, columns: &[&str], numbering: &Numbering, faults: &mut Faults<'_>) {
        for (index, (column, cell)) in columns.iter().zip(&self.cells).enumerate() {
            let cell = cell.trim();
            let wrong = match *column {
                "destination" => match Target::parse(cell, numbering) {
                    Ok(_) => None,
                    Err(fault) => {
                        let help = Fault::error(fault.title).help(fault.help);
                        faults.add(self.place_of(index), help);
                        None
                    }
                },
                "setup" | "per_minute" if !is_amount(cell) => {
                    Some("an amount is digits, and a point before the decimals: \"2.67\"")
                }
                "first_pulse" | "next_pulse" if !is_pulse(cell) => {
                    Some("a pulse is a whole number of seconds, 1 at least")
                }
                "currency" if !is_currency(cell) => {
                    Some("a currency is its three letters, as in ISO 4217: \"JPY\"")
                }
                _ => None,
            };
            if let Some(help) = wrong {
                let fault = Fault::error(format!("`{cell}` is no `{column}`"));
                faults.add(self.place_of(index), fault.help(help));
            }
        }
    }
}

fn heading_help() -> String {
    let required = COLUMNS.iter().filter(|(_, required)| *required);
    let names: Vec<&str> = required.map(|(name, _)| *name).collect();
    format!("the first line is {}", names.join(","))
}

fn is_amount(cell: &str) -> bool {
    let (whole, decimals) = cell.split_once('.').unwrap_or((cell, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(decimals) && whole.len() <= 9 && decimals.len() <= 6
}

fn is_pulse(cell: &str) -> bool {
    cell.parse()
        .is_ok_and(|seconds: u32| (1..=3_600).contains(&seconds))
}

fn is_currency(cell: &str) -> bool {
    cell.len() == 3 && cell.bytes().all(|b| b.is_ascii_uppercase())
}
