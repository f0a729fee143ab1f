//! Whole calls over sockets, through a relay that looks at nothing, Kamailio doing as
//! much of the same job as it can, and Tollgate: what each costs, one after another in
//! one run, with the load of this bench's own.
//!
//! ```text
//! cargo bench --bench e2e                        everything, a quarter of an hour
//! cargo bench --bench e2e -- cost refused        only these: cost journal refused limit memory shards
//! cargo bench --bench e2e -- cost --runs 5       medians of so many runs
//! cargo bench --bench e2e -- --without-kamailio  where that is not installed
//! ```
//!
//! `TOLLGATE` names another program, such as the static one that is shipped. A call is
//! INVITE 180 200 ACK BYE 200. Where there are two processors the subject has the first
//! and the load the second. What the figures are not: loopback charges the sender with
//! the receiver's work in the kernel, so they say nothing of network cards.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a bench measures by the clock, and stops at a fault"
)]

mod batch;
mod driver;
mod files;
mod load;
mod relay;
mod sip;
mod subject;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use driver::Kept;
use load::{Load, Outcome, Plan, permille};
use sip::Looks;
use subject::{Kind, Subject, pin};

/// The phone system, the carrier, and what stands between them.
const CALLER: &str = "127.0.0.3:5080";
const CALLEE: &str = "127.0.0.2:5070";
const GATE: &str = "127.0.0.1:5060";

/// Long enough for what every transaction leaves behind for 32 s to be paid for.
const WARM: u32 = 35;

const LONDON: Looks<'static> = Looks {
    number: "+442071838750",
    wide: false,
};
const FREETOWN: Looks<'static> = Looks {
    number: "+23276123456",
    wide: false,
};

/// What was asked for on the command line.
struct Wanted {
    what: Vec<String>,
    runs: usize,
    kinds: Vec<Kind>,
}

const ALL: [&str; 6] = ["cost", "journal", "refused", "limit", "memory", "shards"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.first().is_some_and(|it| it == "relay") {
        return done(relay::run());
    }
    if let [which, directory] = &words[..]
        && let Some(kept) = Kept::ALL.into_iter().find(|it| it.word() == *which)
    {
        return done(driver::run(Path::new(directory), kept));
    }
    done(wanted(&arguments).and_then(|wanted| measure(&wanted)))
}

fn done(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("e2e: {text}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        what: Vec::new(),
        runs: 1,
        kinds: vec![Kind::Relay, Kind::Kamailio, Kind::Tollgate],
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--runs" => {
                let count = rest.next().and_then(|it| it.parse().ok());
                wanted.runs = count.filter(|it| *it > 0).ok_or("--runs takes a number")?;
            }
            "--without-kamailio" => wanted.kinds.retain(|kind| *kind != Kind::Kamailio),
            name if ALL.contains(&name) => wanted.what.push(name.to_owned()),
            other => return Err(format!("no \"{other}\"; there are: {}", ALL.join(" "))),
        }
    }
    if wanted.what.is_empty() {
        wanted.what = ALL.iter().map(|it| (*it).to_owned()).collect();
    }
    Ok(wanted)
}

fn measure(wanted: &Wanted) -> Result<(), String> {
    pin(0, 1);
    println!("| what | of | measured | relays' calls |\n|---|---|---|---|");
    for what in &wanted.what {
        match what.as_str() {
            "cost" => cost(wanted)?,
            "journal" => journal(wanted)?,
            "refused" => refused(wanted)?,
            "limit" => limit(wanted)?,
            "memory" => memory(wanted)?,
            _ => shards()?,
        }
    }
    Ok(())
}

/// The processor time of a call, and what became of the load.
fn cost_of(kind: Kind, plan: Plan<'_>, shards: u16) -> Result<(f64, Outcome), String> {
    let subject = Subject::start(kind, shards)?;
    let mut load = Load::new(plan)?;
    let mut before = Duration::ZERO;
    let outcome = load.run(|| before = subject.processor_time());
    let spent = subject.processor_time().saturating_sub(before);
    let calls = u64::from(plan.rate) * u64::from(plan.seconds);
    Ok((spent.as_secs_f64() * 1e6 / calls as f64, outcome))
}

fn per_second(rate: u32, seconds: u32, looks: Looks<'static>) -> Plan<'static> {
    Plan {
        rate,
        warm: WARM,
        seconds,
        hold: Some(Duration::ZERO),
        looks,
    }
}

/// Calls that are let through, at 1,000 a second, and how much later they arrive.
fn cost(wanted: &Wanted) -> Result<(), String> {
    let mut all = vec![Vec::new(); wanted.kinds.len()];
    for _ in 0..wanted.runs {
        for (kind, costs) in wanted.kinds.iter().zip(&mut all) {
            let (cost, outcome) = cost_of(*kind, per_second(1_000, 20, LONDON), 1)?;
            says(*kind, "call at 1,000/s", &outcome);
            costs.push((cost, delays(outcome)));
        }
    }
    let relay = median(all[0].iter().map(|(cost, _)| *cost));
    for (kind, costs) in wanted.kinds.iter().zip(&all) {
        let cost = median(costs.iter().map(|(cost, _)| *cost));
        let ratio = cost / relay;
        let name = kind.name();
        println!("| processor time of a call, 1,000/s | {name} | {cost:.1} µs | {ratio:.2} |");
    }
    for (at, what) in ["INVITE, median", "INVITE, p99", "200, median", "200, p99"]
        .iter()
        .enumerate()
    {
        for (kind, costs) in wanted.kinds.iter().zip(&all) {
            let delay = median(costs.iter().map(|(_, delays)| delays[at]));
            println!(
                "| time on the way, {what} | {} | {delay:.0} µs | |",
                kind.name()
            );
        }
    }
    Ok(())
}

/// The threads that make something of a call's records.
const THREADS: [&str; 2] = ["follower", "index"];

/// What the journal takes of a call, and what is made of it: the same driver without a
/// ledger, with its journal, and with snapshots and index besides, in turns.
fn journal(wanted: &Wanted) -> Result<(), String> {
    let drivers = Kept::ALL.map(Kind::Driver);
    let kinds: Vec<Kind> = [Kind::Relay].into_iter().chain(drivers).collect();
    let mut all = vec![Vec::new(); kinds.len()];
    for _ in 0..wanted.runs {
        for (kind, costs) in kinds.iter().zip(&mut all) {
            costs.push(parts(*kind)?);
        }
    }
    let at = |of: usize, part: usize| median(all[of].iter().map(|it: &[f64; 4]| it[part]));
    let relay = at(0, 0);
    let say = |what: &str, of: &str, cost: f64| {
        println!("| {what} | {of} | {cost:.1} µs | {:.2} |", cost / relay);
    };
    for (of, kind) in kinds.iter().enumerate() {
        say("processor time of a call, 1,000/s", kind.name(), at(of, 0));
    }
    let [whole, appending, follower, index] = [0, 1, 2, 3];
    let (nothing, journal, everything) = (1, 2, 3);
    let chained = at(journal, follower);
    for (what, cost) in [
        ("its records, written", at(journal, appending)),
        ("chained and signed", chained),
        ("the journal", at(journal, appending) + chained),
        ("summed up for a start", at(everything, follower) - chained),
        ("indexed", at(everything, index)),
        (
            "all, as the difference",
            at(everything, whole) - at(nothing, whole),
        ),
    ] {
        say(what, "Tollgate", cost);
    }
    Ok(())
}

/// The processor time of a call; of it, what its records take to append, and each of
/// [`THREADS`].
fn parts(kind: Kind) -> Result<[f64; 4], String> {
    let plan = per_second(1_000, 20, LONDON);
    let subject = Subject::start(kind, 1)?;
    let times = || {
        let [follower, index] = THREADS.map(|name| subject.time_of(name));
        [
            subject.processor_time(),
            subject.time_appending(),
            follower,
            index,
        ]
    };
    let mut load = Load::new(plan)?;
    let mut before = [Duration::ZERO; 4];
    let outcome = load.run(|| before = times());
    let calls = f64::from(plan.rate) * f64::from(plan.seconds);
    let mut spent = times().into_iter().zip(before);
    says(kind, "call at 1,000/s", &outcome);
    Ok([(); 4].map(|()| {
        let spent = spent
            .next()
            .map(|(after, before)| after.saturating_sub(before));
        spent.unwrap_or_default().as_secs_f64() * 1e6 / calls
    }))
}

/// Median and p99 of both ways, in microseconds.
fn delays(mut outcome: Outcome) -> [f64; 4] {
    let of = |values: &mut Vec<u32>, part| f64::from(permille(values, part)) / 1e3;
    [
        of(&mut outcome.there, 500),
        of(&mut outcome.there, 990),
        of(&mut outcome.back, 500),
        of(&mut outcome.back, 990),
    ]
}

/// Calls that are refused, at 2,000 a second.
fn refused(wanted: &Wanted) -> Result<(), String> {
    let mut all = vec![Vec::new(); wanted.kinds.len()];
    for _ in 0..wanted.runs {
        for (kind, costs) in wanted.kinds.iter().zip(&mut all) {
            let looks = if *kind == Kind::Relay {
                LONDON
            } else {
                FREETOWN
            };
            let (cost, outcome) = cost_of(*kind, per_second(2_000, 10, looks), 1)?;
            says(*kind, "refused at 2,000/s", &outcome);
            costs.push(cost);
        }
    }
    let relay = median(all[0].iter().copied());
    for (kind, costs) in wanted.kinds.iter().zip(&all) {
        let (cost, what) = (
            median(costs.iter().copied()),
            match kind {
                Kind::Relay => "a call, 2,000/s",
                _ => "a refused INVITE, 2,000/s",
            },
        );
        let ratio = cost / relay;
        println!(
            "| processor time of {what} | {} | {cost:.1} µs | {ratio:.2} |",
            kind.name()
        );
    }
    Ok(())
}

/// The highest rate at which nothing is lost and nothing comes twice, for 4 s.
fn limit(wanted: &Wanted) -> Result<(), String> {
    let mut relay = None;
    for kind in &wanted.kinds {
        let rates: Result<Vec<f64>, String> = (0..wanted.runs)
            .map(|_| highest(*kind, 1).map(f64::from))
            .collect();
        let rate = median(rates?.into_iter());
        let ratio = rate / *relay.get_or_insert(rate);
        println!(
            "| highest rate without loss | {} | {rate:.0}/s | {ratio:.2} |",
            kind.name()
        );
    }
    Ok(())
}

fn highest(kind: Kind, shards: u16) -> Result<u32, String> {
    let passes = |rate: u32| -> Result<bool, String> {
        let plan = Plan {
            warm: 0,
            ..per_second(rate, 4, LONDON)
        };
        let (_, outcome) = cost_of(kind, plan, shards)?;
        // A load that is itself late says nothing of its subject.
        let in_time = outcome.late < 100_000_000;
        Ok(outcome.is_clean() && in_time)
    };
    let (mut good, mut bad) = (0, 0);
    let mut rate = 1_000;
    while bad == 0 || bad - good > good / 16 {
        if passes(rate)? {
            good = rate;
        } else {
            bad = rate;
        }
        rate = if bad == 0 {
            rate * 2
        } else {
            good.midpoint(bad)
        };
        if bad > 0 && bad < 50 {
            return Err(format!("{} loses calls at any rate", kind.name()));
        }
    }
    Ok(good)
}

/// What a call takes that is up: 100,000 of them, 40 s after the last answer.
fn memory(wanted: &Wanted) -> Result<(), String> {
    const CALLS: u32 = 100_000;
    let plan = Plan {
        rate: 1_000,
        warm: 0,
        seconds: CALLS / 1_000,
        hold: None,
        looks: Looks {
            wide: true,
            ..LONDON
        },
    };
    for kind in wanted.kinds.iter().filter(|kind| **kind != Kind::Relay) {
        let subject = Subject::start(*kind, 1)?;
        let idle = subject.memory();
        let mut load = Load::new(plan)?;
        let outcome = load.run(|| ());
        says(*kind, "calls that stay up", &outcome);
        load.linger(Duration::from_secs(40));
        let each = subject.memory().saturating_sub(idle) as f64 / f64::from(CALLS);
        println!(
            "| memory of a call that is up, of {CALLS} | {} | {each:.0} bytes | |",
            kind.name()
        );
    }
    Ok(())
}

/// Two shards, with two processors and the load beside them, against one.
fn shards() -> Result<(), String> {
    for shards in [1, 2] {
        let rate = highest(Kind::Tollgate, shards)?;
        println!("| highest rate without loss, shards: {shards} | Tollgate | {rate}/s | |");
    }
    Ok(())
}

/// Says what went wrong, if anything did: no slow or refused call is left out.
fn says(kind: Kind, what: &str, outcome: &Outcome) {
    let well = outcome.is_clean();
    if !well || outcome.late > 20_000_000 {
        eprintln!(
            "{}, {what}: of {} calls {} done, {} refused, {} failed, {} lost; {} messages again; \
             the load was late by {} ms at worst",
            kind.name(),
            outcome.begun,
            outcome.done,
            outcome.refused,
            outcome.failed,
            outcome.lost(),
            outcome.again,
            outcome.late / 1_000_000
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
