//! Work of the core that is the same in every run, to be counted: its instructions by
//! valgrind, its allocations by an allocator that counts. `benches/counts/run` does so
//! and compares with what is committed.
//!
//! ```text
//! counts list          the cases
//! counts CASE          does a case's work, and says how often, and how often anything
//!                      was allocated in it
//! ```

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

#[path = "../e2e/files.rs"]
mod files;
mod gate;
#[path = "../invite/mod.rs"]
mod invite;
#[path = "../decide/memory.rs"]
mod memory;
mod meter;
#[path = "../e2e/sip.rs"]
mod sip;
#[path = "../decide/world.rs"]
mod world;

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use tollgate::policy::Counters;
use tollgate::sip::scan;

use gate::Gate;
use meter::Meter;
use world::{Law, More, Phones};

const CALLER: &str = "127.0.0.3:5080";
const CALLEE: &str = "127.0.0.2:5070";
const GATE: &str = "127.0.0.1:5060";

/// How often a case's work is done for its count.
const TIMES: usize = 1_000;

/// A case: its name, and its work.
type Case = (&'static str, fn(&mut Meter));

const CASES: [Case; 7] = [
    ("scan", |meter| parse(meter, false)),
    ("scan-every-field", |meter| parse(meter, true)),
    ("verdict-10-tenants", |meter| {
        verdict(meter, 10, More::Nothing);
    }),
    ("verdict-1000-tenants", |meter| {
        verdict(meter, 1_000, More::Nothing);
    }),
    ("verdict-with-budget", |meter| {
        verdict(meter, 10, More::Budget);
    }),
    ("refused-invite", |meter| Gate::new().refuse(meter)),
    ("whole-call", |meter| Gate::new().carry(meter)),
];

fn parse(meter: &mut Meter, fields: bool) {
    let messages: Vec<Bytes> = (0..TIMES).map(invite::invite).collect();
    for counts in [false, true] {
        meter.counts = counts;
        for message in &messages {
            meter.of(&mut || {
                let Ok(message) = scan(black_box(message.clone())) else {
                    panic!("every message is valid");
                };
                if fields {
                    invite::read(&message).unwrap();
                }
                black_box(&message);
            });
        }
    }
}

fn verdict(meter: &mut Meter, tenants: u32, more: More) {
    let rules = world::compiled(&world::sources(tenants, more), &Counters::new());
    let drawn = world::drawn(Law::Zipf, tenants, TIMES);
    let mut phones = Phones::new();
    // The first time counters grow.
    for counts in [false, true] {
        meter.counts = counts;
        for tenant in &drawn {
            meter.of(&mut || phones.call_and_end(&rules, *tenant));
        }
    }
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "list" {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some((_, work)) = CASES.into_iter().find(|(name, _)| *name == wanted) else {
        eprintln!("counts list | counts CASE: there is no case \"{wanted}\"");
        return ExitCode::from(2);
    };
    let mut meter = Meter::default();
    work(&mut meter);
    println!("{TIMES} {}", meter.allocations);
    ExitCode::SUCCESS
}
