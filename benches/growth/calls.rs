//! Calls that are up, in one shard without sockets: what one more takes, and how much
//! memory each has, 40 s after the last answer.

use std::time::Duration;

use crate::gate::{Gate, LONDON};
use crate::memory;
use crate::meter::Meter;
use crate::sip::Looks;
use crate::table::Table;

/// Time from one call to the next: 5,000 calls a second.
const APART: Duration = Duration::from_micros(200);

/// Whole calls beside those that are up, for what one takes then.
const BESIDE: u64 = 2_000;

/// Until no transaction of theirs is left.
const SETTLED: Duration = Duration::from_secs(40);

pub fn measure() -> Table {
    let columns = [
        "calls up",
        "whole call beside them (µs)",
        "longest turn while they came (µs)",
        "and while what they left behind went (µs)",
        "memory of each (bytes)",
    ];
    let mut table = Table::new("Calls that are up in one shard", columns);
    let sizes: Vec<u64> = match std::env::var("GROWTH_CALLS") {
        Ok(text) => vec![text.parse().unwrap()],
        Err(_) => vec![100, 1_000, 10_000, 100_000, 996_000],
    };
    for up in sizes {
        table.row(up as f64, beside(up));
    }
    table
}

fn beside(up: u64) -> [f64; 4] {
    let mut gate = Gate::new();
    let mut coming = Meter {
        counts: true,
        ..Meter::default()
    };
    // As they are in life: long Call-IDs, and two Record-Routes on each side.
    let looks = Looks {
        wide: true,
        ..LONDON
    };
    let mut settling = Meter {
        counts: true,
        ..Meter::default()
    };
    let idle = memory::bytes();
    for call in 1..=up {
        gate.set_up(&mut coming, call, looks);
        gate.wait(&mut coming, APART);
    }
    let mut left = SETTLED;
    while left > Duration::ZERO {
        let step = Duration::from_millis(10);
        gate.wait(&mut settling, step);
        left -= step;
    }
    let each = memory::bytes().saturating_sub(idle) as f64 / up as f64;
    let mut whole = Meter::default();
    for call in up + 1..=up + 2 * BESIDE {
        whole.counts = call > up + BESIDE;
        gate.whole(&mut whole, call);
        // What else falls due is of those that are up.
        gate.wait(&mut Meter::default(), APART);
    }
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    [
        micros(whole.time) / BESIDE as f64,
        micros(coming.longest),
        micros(settling.longest),
        each,
    ]
}
