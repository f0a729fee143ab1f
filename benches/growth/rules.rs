//! Tenants, and the rules that one has: what a verdict takes, and the memory of all.

use crate::memory;
use crate::meter::used;
use crate::table::Table;
use crate::world::{self, Law, More, Phones};
use std::fmt::Write;
use std::time::Duration;
use tollgate::policy::{Counters, Sources};

const DRAWS: usize = 1 << 16;
const COLUMNS: [&str; 3] = [
    "verdict, call and end (ns)",
    "memory of rules and counters (MB)",
    "compiling them (ms)",
];

pub fn tenants() -> Table {
    let [verdict, memory, compiling] = COLUMNS;
    let columns = ["tenants, of 15 rules each", verdict, memory, compiling];
    let mut table = Table::new("Tenants", columns);
    for tenants in [10, 100, 1_000, 10_000, 100_000] {
        let sources = world::sources(tenants, More::Nothing);
        table.row(f64::from(tenants), judged(&sources, tenants));
    }
    table
}

pub fn rules() -> Table {
    let [verdict, memory, compiling] = COLUMNS;
    let columns = [
        "destinations that a tenant denies",
        verdict,
        memory,
        compiling,
    ];
    let mut table = Table::new("Rules of one tenant, of ten", columns);
    for rules in [10, 100, 1_000, 10_000] {
        let mut sources = world::sources(10, More::Nothing);
        for tenant in &mut sources.tenants {
            let mut denied = String::new();
            for rule in 0..rules {
                let _ = write!(denied, "\"+44 7{rule:08}\", ");
            }
            tenant.text = tenant
                .text
                .replace("deny = [", &format!("deny = [{denied}"));
        }
        table.row(f64::from(rules), judged(&sources, 10));
    }
    table
}

fn judged(sources: &Sources, tenants: u32) -> [f64; 3] {
    let drawn = world::drawn(Law::Zipf, tenants, DRAWS);
    let (idle, began) = (memory::bytes(), used());
    let counters = Counters::new();
    let rules = world::compiled(sources, &counters);
    let compiling = used().saturating_sub(began);
    let mut phones = Phones::new();
    let mut took = Duration::MAX;
    // The best of some rounds; in the first, counters grow.
    for _ in 0..6 {
        let began = used();
        for tenant in &drawn {
            phones.call_and_end(&rules, *tenant);
        }
        took = took.min(used().saturating_sub(began));
        phones.pause();
    }
    let bytes = memory::bytes().saturating_sub(idle);
    [
        took.as_nanos() as f64 / DRAWS as f64,
        memory::megabytes(bytes),
        compiling.as_micros() as f64 / 1e3,
    ]
}
