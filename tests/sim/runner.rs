//! Runs many seeds on all processors, each alone and replayable.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::seen::Seen;
use crate::tap::Breach;
use crate::world::World;

/// What a run came to.
pub struct Outcome {
    pub breach: Option<Breach>,
    pub seen: Seen,
    pub hash: u64,
    pub packets: u64,
    pub calls: usize,
    /// The trace, if it was kept, of what the breach is about.
    pub trace: String,
}

/// How much of a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    /// What the breach is about, and what is about no call.
    Breach,
    All,
}

/// Runs a seed.
pub fn run(seed: u64, keep: Keep) -> Outcome {
    let mut world = World::new(seed, keep != Keep::Nothing);
    world.run();
    world.finish();
    let plan = world.tap.breach.as_ref().and_then(|breach| breach.plan);
    let mut trace = String::new();
    if keep != Keep::Nothing {
        if let Some(plan) = plan {
            let planned = &world.peers.plans[plan as usize];
            trace = format!("{planned:#?}\n{:#?}\n", world.rules);
        }
        trace.push_str(&world.trace.text(plan.filter(|_| keep == Keep::Breach)));
    }
    Outcome {
        breach: world.tap.breach,
        seen: world.net.seen,
        hash: world.trace.hash(),
        packets: world.packets,
        calls: world.peers.plans.len(),
        trace,
    }
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// What many runs came to.
pub struct Total {
    pub seen: Seen,
    pub failed: Vec<u64>,
    seeds: usize,
    packets: u64,
    calls: usize,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds.max(1) as u64;
        writeln!(f, "{}", self.seen.table())?;
        write!(
            f,
            "{} seeds, {} calls and {} packets in a seed, {} failed",
            self.seeds,
            self.calls as u64 / seeds,
            self.packets / seeds,
            self.failed.len()
        )
    }
}

/// Runs every seed; prints what failed. With `SIM_ENOUGH=n` no further ones are begun
/// when n have.
pub fn run_all(seeds: &[u64]) -> Total {
    let next = AtomicUsize::new(0);
    let enough = number("SIM_ENOUGH").map_or(usize::MAX, |it| it as usize);
    let total = Mutex::new(Total {
        seen: Seen::new(),
        failed: Vec::new(),
        seeds: seeds.len(),
        packets: 0,
        calls: 0,
    });
    let workers = thread::available_parallelism().map_or(1, |n| n.get());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if one(seed, &total) >= enough {
                        break;
                    }
                }
            });
        }
    });
    let mut total = total.into_inner().expect("no worker died");
    total.failed.sort_unstable();
    total
}

/// Runs a seed; how many have failed by then.
fn one(seed: u64, total: &Mutex<Total>) -> usize {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, Keep::Nothing)));
    let mut total = total.lock().expect("no worker died");
    match outcome {
        Ok(outcome) => {
            total.seen.add(&outcome.seen);
            total.packets += outcome.packets;
            total.calls += outcome.calls;
            if let Some(breach) = outcome.breach {
                let at = breach.at as f64 / 1e9;
                println!(
                    "seed {seed}: at {at:.6} s, call {:?}: {}",
                    breach.plan, breach.what
                );
                total.failed.push(seed);
            }
        }
        Err(_) => {
            println!("seed {seed}: panicked");
            total.failed.push(seed);
        }
    }
    total.failed.len()
}

/// Runs one seed again and shows what `SIM_TRACE` asks for.
pub fn replay_one(seed: u64) {
    let keep = match number("SIM_TRACE").unwrap_or(0) {
        0 => Keep::Nothing,
        1 => Keep::Breach,
        _ => Keep::All,
    };
    let Outcome {
        breach,
        seen,
        hash,
        packets,
        trace,
        ..
    } = run(seed, keep);
    println!("{trace}");
    println!(
        "{}seed {seed}: {packets} packets, trace hash {hash:016x}",
        seen.table()
    );
    if let Some(breach) = breach {
        let at = breach.at as f64 / 1e9;
        panic!("at {at:.6} s, call {:?}: {}", breach.plan, breach.what);
    }
}
