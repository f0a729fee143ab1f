//! The deterministic simulation: the whole core on a virtual clock, between
//! peers that misbehave, over links that fail, from one seed a run.
//!
//! ```text
//! cargo test --profile planted -p simulation                      some dozen seeds
//! SIM_SEEDS=10000 cargo test --profile planted -p simulation      as many as that
//! SIM_SEED=123 SIM_TRACE=1 cargo test --profile planted -p simulation replay -- --nocapture
//! ```
//!
//! `SIM_TRACE=2` shows every call, not only the one that went wrong;
//! `SIM_FROM=n` begins at seed n, `SIM_ENOUGH=n` ends when n have failed. In
//! `SIM_MORTAL=n` of a thousand runs the core may die and live again; without it, in
//! some runs of low seeds. In `SIM_POWER=n` of a thousand the host goes down with it. A seed that once failed stands in `seeds.txt`.

#![cfg(test)]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test program: a panic is a failed seed, and its own figures are small"
)]

mod bill;
mod block;
mod calendar;
mod core;
mod dial;
mod life;
mod link;
mod money;
mod net;
mod peer;
mod plan;
mod power;
mod prices;
mod redirect;
mod rng;
mod rules;
mod runner;
mod schedule;
mod seen;
mod streams;
mod tap;
mod text;
mod trace;
mod wire;
mod world;

use runner::{Keep, number, replay_one, run, run_all};

/// Seeds that failed once.
const KEPT: &str = include_str!("seeds.txt");

fn kept() -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn seeds() {
    let from = number("SIM_FROM").unwrap_or(0);
    let count = number("SIM_SEEDS").unwrap_or(60);
    let seeds: Vec<u64> = kept().into_iter().chain(from..from + count).collect();
    let total = run_all(&seeds);
    println!("{total}");
    assert!(total.failed.is_empty(), "failed seeds: {:?}", total.failed);
    if count >= 200 {
        let missing = total.seen.missing();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..8 {
        let (first, second) = (run(seed, Keep::Nothing), run(seed, Keep::All));
        assert_eq!(first.hash, second.hash, "seed {seed} ran two ways");
        assert_eq!(first.packets, second.packets);
    }
    let (zero, one) = (run(0, Keep::Nothing), run(1, Keep::Nothing));
    assert_ne!(zero.hash, one.hash);
}

/// `SIM_SEED=n`: runs one seed, and shows it with `SIM_TRACE=1`.
#[test]
fn replay() {
    if let Some(seed) = number("SIM_SEED") {
        replay_one(seed);
    }
}
