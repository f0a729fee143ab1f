//! Civil time in the simulation.

use crate::link::Nanos;
use crate::rng::Rng;

/// Civil time at the start: at noon, or shortly before midnight in Tokyo.
pub fn wall(rng: &mut Rng) -> i64 {
    let midnight: i64 = 1_767_193_200; // 2026-01-01 00:00 in Tokyo
    let before = if rng.permille(500) {
        rng.below(600)
    } else {
        12 * 3600
    };
    (midnight - before as i64) * 1_000_000
}

/// The day in Tokyo.
pub fn day(wall: i64, now: Nanos) -> i64 {
    let micros = wall + (now / 1000) as i64 + 9 * 3600 * 1_000_000;
    micros.div_euclid(86_400 * 1_000_000)
}
