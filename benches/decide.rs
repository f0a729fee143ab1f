//! Verdicts with 10 tenants and with 100,000 (fifteen rules each): who sends, what is
//! dialled, which rule decides, whether it has a price, and every cap taken and given
//! back. And what such a set takes: memory, time to compile, and what the calls judged
//! meanwhile notice when it is swapped.
//!
//! ```text
//! cargo bench --bench decide                    everything, some minutes
//! cargo bench --bench decide -- verdict         only the times of verdicts
//! cargo bench --bench decide -- program         the program itself with 100,000 files
//! cargo bench --bench decide -- count 10        1,000 verdicts, for benches/instructions
//! ```
//!
//! Tenants are drawn by Zipf's law, as in life, and uniformly, where every one is cold.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a bench measures by the clock, stops at a fault, and draws by chance"
)]

#[path = "decide/memory.rs"]
mod memory;
#[path = "decide/program.rs"]
mod program;
#[path = "decide/reader.rs"]
mod reader;
#[path = "decide/swap.rs"]
mod swap;
#[path = "decide/time.rs"]
mod time;
#[path = "decide/world.rs"]
mod world;

use std::hint::black_box;
use std::time::{Duration, Instant};

use memory::megabytes;
use tollgate::base::limits::BATCH;
use tollgate::policy::{Counters, Hold, RuleSet};
use world::{Law, More, Phones, compiled, drawn, sources};

const MANY: u32 = 100_000;
const DRAWS: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(4);

/// Calls that are up at once while they are timed: few enough for every cap.
const UP: usize = 4;

struct Times {
    /// Who sends, and the verdict.
    judged: time::Cost,
    /// The same, and its end.
    all: time::Cost,
}

/// The time of verdicts as a shard gives them: the sources of a whole received batch, and
/// then each of its calls judged. All are up at once, which is few for many tenants.
fn batched(rules: &RuleSet, drawn: &[u32], phones: &mut Phones) -> time::Cost {
    let mut received = drawn.chunks_exact(BATCH).cycle();
    time::batches(LONG, || {
        let mut took = Duration::ZERO;
        const ROUNDS: usize = 32;
        for calls in received.by_ref().take(ROUNDS) {
            let mut held: [Option<Hold>; BATCH] = [const { None }; BATCH];
            let start = Instant::now();
            phones.received(rules, calls);
            for (place, tenant) in held.iter_mut().zip(calls) {
                *place = phones.call(rules, *tenant);
            }
            took += start.elapsed();
            for hold in held.into_iter().flatten() {
                hold.release(phones.now());
            }
        }
        (took, ROUNDS * BATCH)
    })
}

/// How often 10,000 verdicts allocate that were given before: by then every window has
/// held as many calls at once.
fn allocations(rules: &RuleSet, tenants: u32, phones: &mut Phones) -> usize {
    let drawn = drawn(Law::Zipf, tenants, 10_000);
    let [_, again] = [(); 2].map(|()| {
        phones.pause();
        let before = memory::allocations();
        for tenant in &drawn {
            phones.call_and_end(rules, *tenant);
        }
        memory::allocations() - before
    });
    again
}

/// The times of verdicts by these rules, one by one.
fn times(rules: &RuleSet, drawn: &[u32], phones: &mut Phones) -> Times {
    let mut next = drawn.iter().cycle();
    let mut batch = |with_end: bool| {
        let mut took = Duration::ZERO;
        let mut held: [Option<Hold>; UP] = [const { None }; UP];
        const ROUNDS: usize = 250;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for place in &mut held {
                *place = next.next().and_then(|it| phones.call(rules, *it));
            }
            if !with_end {
                took += start.elapsed();
            }
            for hold in held.iter_mut().filter_map(Option::take) {
                hold.release(phones.now());
            }
            if with_end {
                took += start.elapsed();
            }
        }
        (took, ROUNDS * UP)
    };
    Times {
        judged: time::batches(LONG, || batch(false)),
        all: time::batches(LONG, || batch(true)),
    }
}

fn show(what: &str, value: impl std::fmt::Display) {
    println!("{what:<58}{value}");
}

/// Times of verdicts, beside those of reading a line of memory.
fn verdicts() {
    for (tenants, more, with) in [
        (10, More::Nothing, ""),
        (MANY, More::Nothing, ""),
        (MANY, More::Tariff, ", tariff"),
        (MANY, More::Budget, ", tariff, budget"),
    ] {
        let empty = memory::bytes();
        let counters = Counters::new();
        let rules = compiled(&sources(tenants, more), &counters);
        let mut phones = Phones::new();
        phones.warm(&rules, tenants);
        let footprint = memory::bytes() - empty;
        for law in [Law::Zipf, Law::Uniform] {
            let name = format!("{tenants} tenants{with}, {}", law.name());
            let drawn = drawn(law, tenants, DRAWS);
            if tenants == MANY {
                let batched = batched(&rules, &drawn, &mut phones);
                show(&format!("{name}: verdict, {BATCH} received"), batched);
            }
            let times = times(&rules, &drawn, &mut phones);
            show(&format!("{name}: verdict alone"), times.judged);
            show(&format!("{name}: verdict alone and end"), times.all);
            if more == More::Nothing && tenants == MANY {
                let line = time::cold_line(footprint, tenants, &drawn, LONG / 2);
                show(
                    &format!("one line of {:.0} MB, {}", megabytes(footprint), law.name()),
                    line,
                );
            }
        }
        let allocations = allocations(&rules, tenants, &mut phones);
        show(
            &format!("{tenants} tenants{with}: allocations in 10,000"),
            allocations,
        );
        assert_eq!(allocations, 0, "a verdict allocates");
        assert_eq!((counters.live(), counters.leaked()), (0, 0));
    }
}

/// What a set of rules takes, and what it is to swap it.
fn set() {
    let empty = memory::bytes();
    let sources = sources(MANY, More::Nothing);
    let text = memory::bytes() - empty;
    let counters = Counters::new();
    memory::reset_most();
    let start = Instant::now();
    let rules = compiled(&sources, &counters);
    let took = start.elapsed();
    let (with, most) = (memory::bytes(), memory::most() - empty);
    show("rules", rules.rule_count());
    show("compiled in", format!("{took:?}"));
    show(
        "compiling took at most, the texts with it",
        format!("{:.0} MB", megabytes(most)),
    );
    drop(rules);
    show(
        "the set, counters apart",
        format!("{:.0} MB", megabytes(with - memory::bytes())),
    );
    let counted = memory::bytes() - empty - text;
    show(
        "the counters, before any call",
        format!("{:.0} MB", megabytes(counted)),
    );

    let rules = compiled(&sources, &counters);
    Phones::new().warm(&rules, MANY);
    show(
        "the texts, the set, and the counters after calls of all",
        format!("{:.0} MB", megabytes(memory::bytes() - empty)),
    );
    memory::reset_most();
    let swap = swap::swap(rules, &sources, &counters, MANY);
    show(
        "the most while swapping, all together",
        format!("{:.0} MB", megabytes(memory::most() - empty)),
    );
    show(
        "compiled while calls are judged, in",
        format!("{:?}", swap.compiled_in),
    );
    for (name, of) in [("before", swap.before), ("during the swap", swap.during)] {
        show(&format!("{name}: verdicts"), of.verdicts);
        show(
            &format!("{name}: the longest by the clock"),
            format!("{:?}", of.longest),
        );
        show(
            &format!("{name}: the longest by its own time"),
            format!("{:?}", of.longest_own),
        );
        show(&format!("{name}: times that it waited"), of.waits);
    }
}

fn reader() {
    let rules = compiled(&sources(1, More::Nothing), &Counters::new());
    let (text, cost) = reader::worst(&rules);
    let shown: String = text.chars().take(24).collect();
    show(
        &format!(
            "reading a number, the worst ({shown}…, {} bytes)",
            text.len()
        ),
        cost,
    );
}

/// What `benches/instructions` counts: nothing else calls this.
#[inline(never)]
fn counted(phones: &mut Phones, rules: &RuleSet, drawn: &[u32]) {
    for tenant in drawn {
        phones.call_and_end(rules, *tenant);
    }
    black_box(());
}

fn count(tenants: u32) {
    let counters = Counters::new();
    let rules = compiled(&sources(tenants, More::Nothing), &counters);
    let drawn = drawn(Law::Zipf, tenants, 1_000);
    let mut phones = Phones::new();
    // Twice: the first time counters grow.
    for tenant in &drawn {
        phones.call_and_end(&rules, *tenant);
    }
    counted(&mut phones, &rules, &drawn);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["count", tenants, ..] => count(tenants.parse().unwrap()),
        ["verdict", ..] => verdicts(),
        ["set", ..] => set(),
        ["reader", ..] => reader(),
        ["program", ..] => program::run(MANY),
        _ => {
            reader();
            set();
            verdicts();
            program::run(MANY);
        }
    }
}
