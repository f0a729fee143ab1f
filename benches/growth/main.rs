//! How cost grows: time and memory of the core against calls that are up, tenants, rules
//! and the length of messages.
//!
//! ```text
//! cargo run --release -p growth                 everything, some minutes
//! cargo run --release -p growth -- calls rules  only these: calls tenants rules lengths
//! ```
//!
//! Each writes `benches/record/growth/NAME.tsv`, and draws NAME.svg of it. Time is the
//! processor's for this thread, so that what else the machine does hardly shows.

#![allow(
    dead_code,
    reason = "what other benches need of the files that this one shares with them"
)]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a bench stops at a fault, and draws by chance"
)]

mod calls;
#[path = "../e2e/files.rs"]
mod files;
#[path = "../counts/gate.rs"]
mod gate;
#[path = "../invite/mod.rs"]
mod invite;
mod lengths;
#[path = "../decide/memory.rs"]
mod memory;
mod meter;
mod rules;
#[path = "../e2e/sip.rs"]
mod sip;
mod table;
#[path = "../decide/world.rs"]
mod world;

use std::process::ExitCode;

use table::Table;

const CALLER: &str = "127.0.0.3:5080";
const CALLEE: &str = "127.0.0.2:5070";
const GATE: &str = "127.0.0.1:5060";

/// For what this bench shares with `counts`.
const TIMES: usize = 1_000;

/// What is measured: its name, and how.
type Measure = (&'static str, fn() -> Table);

const ALL: [Measure; 4] = [
    ("calls", calls::measure),
    ("tenants", rules::tenants),
    ("rules", rules::rules),
    ("lengths", lengths::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names = ALL.map(|(name, _)| name);
    if let Some(other) = wanted.iter().find(|it| !names.contains(&it.as_str())) {
        eprintln!("growth: no \"{other}\"; there are: {}", names.join(" "));
        return ExitCode::from(2);
    }
    for (name, measure) in ALL {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            let table = measure();
            print!("{name}\n{table}");
            if let Err(error) = table.keep(name) {
                eprintln!("growth: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
