//! Time on a machine that others use, too: many small batches, of which the best and
//! the middle one count; and what a line that is in no cache costs just now.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds for one of many.
#[derive(Clone, Copy)]
pub struct Cost {
    pub best: f64,
    pub median: f64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>6.0} ns (best {:.0})", self.median, self.best)
    }
}

/// Runs batches for so long; each says how long it took and how many it did.
pub fn batches(long: Duration, mut batch: impl FnMut() -> (Duration, usize)) -> Cost {
    let start = Instant::now();
    let mut costs = Vec::new();
    while start.elapsed() < long || costs.len() < 10 {
        let (took, count) = batch();
        costs.push(took.as_nanos() as f64 / count as f64);
    }
    costs.sort_by(f64::total_cmp);
    Cost {
        best: costs[0],
        median: costs[costs.len() / 2],
    }
}

/// A cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

/// What one read costs of a line that nobody could have fetched before: one line for
/// each of the tenants drawn, spread over as many bytes as the rules and counters
/// take, each found by the one before.
pub fn cold_line(bytes: usize, tenants: u32, drawn: &[u32], long: Duration) -> Cost {
    let lines = vec![Line::default(); bytes / 64];
    let stride = lines.len() / tenants as usize;
    let mut at = 0;
    let mut found = 0;
    batches(long, || {
        let start = Instant::now();
        const BATCH: usize = 1_000;
        for _ in 0..BATCH {
            at = (at + 1) % drawn.len();
            // All lines are zero; the processor does not know.
            let line = drawn[at] as usize * stride + found;
            found = black_box(lines[line].0[0]) as usize;
        }
        (start.elapsed(), BATCH)
    })
}
