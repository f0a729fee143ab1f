//! Ways to get a call past a filter: each is sent through the core as an INVITE, and
//! must come to what its table says. And what of them gets past other filters.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "evasions/filters.rs"]
mod filters;
#[path = "evasions/table.rs"]
mod table;
#[path = "evasions/world.rs"]
mod world;

use filters::FILTERS;
use table::{Line, PLANS};
use world::World;

/// Every line, with its plan's place.
fn lines() -> Vec<(usize, Line)> {
    let plans = PLANS.iter().enumerate();
    let lines: Vec<_> = plans
        .flat_map(|(at, plan)| table::read(plan).into_iter().map(move |line| (at, line)))
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for (plan, line) in &lines {
        let new = seen.insert((*plan, &line.request_uri, &line.headers));
        assert!(new, "twice: {}", line.show());
    }
    lines
}

#[test]
fn every_line_comes_to_what_it_says() {
    let mut world = World::new();
    let lines = lines();
    assert!(lines.len() >= 800, "only {} lines", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|(plan, line)| {
            let (outcome, expected) = (world.call(*plan, line), world::expected(*plan, line));
            let agree = world::agree(*plan, &outcome, &expected);
            (!agree).then(|| format!("{}\n  {outcome:?}\n  {expected:?}", line.show()))
        })
        .collect();
    world.rest();
    assert!(
        wrong.is_empty(),
        "{} of {} lines:\n{}",
        wrong.len(),
        lines.len(),
        wrong.join("\n")
    );
}

/// What a filter makes of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Score {
    /// Let through, of those that must not leave.
    let_through: usize,
    /// Refused, of those that must.
    refused: usize,
}

/// The same ways to dial through filters that look at how what was dialled begins,
/// the block of 2015 among them. Whatever they let through is then dialled by
/// someone who may read it otherwise than the filter did.
#[test]
fn what_gets_past_other_filters() {
    let mut world = World::new();
    let mut scores = [Score::default(); FILTERS.len() + 1];
    let (mut good, mut bad) = (0, 0);
    for (plan, line) in lines() {
        if !line.headers.is_empty() {
            continue;
        }
        let user = filters::user(&line);
        let passes = FILTERS.iter().map(|filter| (filter.passes)(plan, user));
        let ours = world.call(plan, &line).sent.is_some();
        *(if line.leaves() { &mut good } else { &mut bad }) += 1;
        for (score, passes) in scores.iter_mut().zip(passes.chain([ours])) {
            score.let_through += usize::from(passes && !line.leaves());
            score.refused += usize::from(!passes && line.leaves());
        }
    }
    world.rest();
    let names = FILTERS.iter().map(|filter| filter.name).chain(["Tollgate"]);
    let mut table =
        format!("| filter | lets through, of {bad} | refuses, of {good} |\n|---|---|---|\n");
    for (name, score) in names.zip(&scores) {
        table += &format!("| {name} | {} | {} |\n", score.let_through, score.refused);
    }
    println!("{table}");
    let [others @ .., ours] = &scores;
    assert_eq!(*ours, Score::default());
    for score in others {
        assert!(score.let_through * 10 > bad, "that is no comparison");
    }
    let readme = include_str!("../README.md");
    assert!(readme.contains(&table), "README.md does not say\n{table}");
}
