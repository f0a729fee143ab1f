//! Malformed, hostile and odd messages, each with exactly what must come of it:
//! those of RFC 4475 and RFC 5118, and those of `tests/corpus/`. Each is handed
//! to the core by itself, and sent to the running program over UDP.
//!
//! The RFCs' messages are not part of the project: name their folder by
//! `TOLLGATE_CORPORA` (with `rfc4475/*.dat`, `rfc5118/wire-clfixed/*.dat`, and an
//! `expected.tsv` beside each). With `TOLLGATE_LONG=1` the floods are full-length.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod cases;
mod core;
mod corpus;
mod expect;
mod generated;
mod places;
mod rfc;
mod strangers;
mod streams;
mod text;
mod wire;
mod world;

use std::collections::BTreeMap;

use core::Core;
use expect::{Case, Expected};
use places::{Party, Places};
use wire::Wire;
use world::World;

/// How often every message is sent where it is looked for what is left behind.
const ROUNDS: u32 = 50;

/// By how much the program's memory may grow over all rounds.
const GROWTH_BYTES: u64 = 5 << 20;

/// How many datagrams a flood has: a million where there is time, else as many.
fn flood(usual: usize) -> usize {
    match std::env::var("TOLLGATE_LONG").as_deref() {
        Ok("1") => 1_000_000,
        _ => usual,
    }
}

/// Runs every case, and fails with all that is wrong.
fn all_as_expected(world: &mut impl World, cases: &[Case]) {
    none_fails(cases, |case| expect::run(world, case));
}

fn none_fails<C>(cases: &[C], run: impl FnMut(&C) -> Result<(), String>) {
    let results = cases.iter().map(run);
    let faults: Vec<String> = results.filter_map(Result::err).collect();
    let (wrong, all) = (faults.len(), cases.len());
    assert_eq!(wrong, 0, "of {all} messages:\n\n{}", faults.join("\n\n"));
}

/// The corpus, with transactions of the round's own.
fn corpus_cases(world: &impl World, round: u32) -> Vec<Case> {
    let entries = corpus::read();
    assert!(entries.len() > 400, "{} messages", entries.len());
    let cases = entries.iter().map(|it| it.case(world.places(), round));
    cases.collect()
}

/// The cases of both RFCs, if their messages are there.
fn rfc_cases(world: &impl World) -> Vec<Case> {
    let Some(corpora) = rfc::corpora() else {
        return Vec::new();
    };
    let folders = rfc::FOLDERS.iter();
    folders
        .flat_map(|folder| folder.cases(&corpora, world.places()))
        .collect()
}

fn all_cases(world: &impl World) -> Vec<Case> {
    [corpus_cases(world, 0), rfc_cases(world)].concat()
}

/// The bytes of all messages.
fn all_messages(world: &impl World) -> Vec<Vec<u8>> {
    all_cases(world)
        .into_iter()
        .map(|case| case.bytes)
        .collect()
}

#[test]
fn the_corpus_in_the_core() {
    let mut core = Core::new();
    for round in 0..3 {
        let cases = corpus_cases(&core, round);
        all_as_expected(&mut core, &cases);
        core.rest();
    }
}

#[test]
fn the_corpus_over_udp() {
    let mut wire = Wire::start();
    let cases = corpus_cases(&wire, 0);
    all_as_expected(&mut wire, &cases);
    wire.stop();
}

#[test]
fn every_way_to_dial_as_a_call_to_the_shipped_tenant() {
    let places = Places::new();
    let mut wire = Wire::start_with(places, &cases::tenant(places), &["--preview"]);
    let cases = cases::read();
    none_fails(&cases, |case| expect::run(&mut wire, &case.message(places)));
    cases::agree(&cases, &wire.verdicts());
    wire.stop();
}

#[test]
fn the_rfcs_in_the_core() {
    let mut core = Core::new();
    let cases = rfc_cases(&core);
    all_as_expected(&mut core, &cases);
    core.rest();
}

#[test]
fn the_rfcs_over_udp() {
    let mut wire = Wire::start();
    let cases = rfc_cases(&wire);
    all_as_expected(&mut wire, &cases);
    wire.stop();
}

#[test]
fn what_is_answered_to_the_rfcs_is_what_they_allow() {
    if let Some(corpora) = rfc::corpora() {
        rfc::FOLDERS
            .iter()
            .for_each(|folder| folder.agrees(&corpora));
    }
}

/// RFC 3261 §8.2.2.2, RFC 5393: an INVITE that comes a second time by another way is
/// not a second call.
#[test]
fn a_call_over_a_second_path_is_a_loop() {
    let mut wire = Wire::start();
    let cases = corpus_cases(&wire, 0);
    let case = cases
        .into_iter()
        .find(|it| it.name == "body-plain")
        .unwrap();
    let first = wire.tell(case.source, &case.bytes, 2);
    assert_eq!(first.len(), 2);
    for path in ["second", "third"] {
        let text = String::from_utf8(case.bytes.clone()).unwrap();
        let again = Case {
            name: path.into(),
            bytes: text
                .replace("branch=", &format!("branch=z9hG4bK{path}"))
                .into(),
            expected: Expected::Status(482),
            ..case.clone()
        };
        all_as_expected(&mut wire, &[again]);
    }
}

/// What Tollgate adds makes it longer than a datagram can be: the carrier cannot be
/// reached with it (RFC 3261 §8.1.3.1), and nothing is left of the call.
#[test]
fn a_call_too_long_to_be_sent_on_is_refused() {
    let mut wire = Wire::start();
    let cases = corpus_cases(&wire, 0);
    let mut case = cases
        .into_iter()
        .find(|it| it.name == "body-60000")
        .unwrap();
    // Only emergency calls get that far.
    let emergency = String::from_utf8(case.bytes).unwrap();
    case.bytes = emergency
        .replacen("sip:+442071838750@", "sip:110@", 1)
        .into();
    let room = 65_507 - case.bytes.len();
    case.bytes.extend(vec![b'x'; room]);
    let heard = wire.tell(case.source, &case.bytes, 2);
    let [trying, refusal] = heard.as_slice() else {
        panic!("{} packets", heard.len());
    };
    assert!(
        trying.bytes.starts_with(b"SIP/2.0 100 "),
        "{}",
        trying.show()
    );
    assert!(
        refusal.bytes.starts_with(b"SIP/2.0 503 "),
        "{}",
        refusal.show()
    );
    wire.tell(case.source, &text::ack(&case.bytes, &refusal.bytes), 0);
    wire.stop();
}

/// Nothing stays behind in a program that is sent all of it again and again: by
/// who sent it first, and by a stranger.
#[test]
fn memory_stays_flat() {
    let mut wire = Wire::start();
    let cases = all_cases(&wire);
    let stranger = wire.places().of(Party::Stranger);
    let before = wire.resident();
    let mut after_one = 0;
    for round in 0..ROUNDS {
        none_fails(&cases, |case| {
            wire.send(stranger, &case.bytes);
            match (&case.expected, round) {
                (_, 0) => expect::run(&mut wire, case),
                // What is known for some time yet would be one more call later.
                (Expected::Judged(_), _) => Ok(()),
                _ => expect::run_again(&mut wire, case),
            }
        });
        if round == 0 {
            after_one = wire.resident();
        }
    }
    let after = wire.resident();
    println!(
        "resident before {before}, after one round {after_one}, after {ROUNDS} rounds {after}"
    );
    wire.stop();
    assert!(after < before + GROWTH_BYTES, "{before} grew to {after}");
}

/// The slowest message, of three times the quickest of each.
#[test]
fn how_long_the_slowest_takes() {
    let mut core = Core::new();
    let mut times = BTreeMap::new();
    for round in 0..3 {
        let cases = [corpus_cases(&core, round), rfc_cases(&core)].concat();
        for case in cases {
            core.take(case.source, &case.bytes);
            let best = times.entry(case.name).or_insert(core.took);
            *best = core.took.min(*best);
        }
        core.rest();
    }
    let slowest = times.iter().max_by_key(|(_, took)| **took).unwrap();
    println!("the slowest of {} messages is {slowest:?}", times.len());
}

#[test]
fn streams_read_the_same_however_they_are_cut() {
    let core = Core::new();
    none_fails(&all_cases(&core), |case| {
        streams::agree(&case.name, &case.bytes)
    });
}

/// Makes one message after the other, those of the corpus with transactions of
/// their own.
fn originals<W: World>(world: &W) -> impl Fn(usize) -> Case + use<W> {
    let (places, entries, rfc) = (world.places(), corpus::read(), rfc_cases(world));
    move |number| {
        let all = entries.len() + rfc.len();
        let at = number % all;
        match entries.get(at) {
            Some(entry) => entry.case(places, u32::try_from(number / all).unwrap()),
            None => rfc[at - entries.len()].clone(),
        }
    }
}

#[test]
fn generated_messages_do_no_harm() {
    let mut core = Core::new();
    let (original, count) = (originals(&core), flood(25_000));
    generated::do_no_harm(&mut core, original, count, Core::rest);
}

#[test]
fn generated_messages_do_no_harm_over_udp() {
    let mut wire = Wire::start();
    let (original, count) = (originals(&wire), flood(25_000) / 10);
    generated::do_no_harm(&mut wire, original, count, |_| ());
}

#[test]
fn strangers_move_nothing_in_the_core() {
    let mut core = Core::new();
    let messages = all_messages(&core);
    strangers::move_nothing_in(&mut core, &messages, flood(100_000));
}

#[test]
fn strangers_hear_nothing() {
    let wire = Wire::start();
    let messages = all_messages(&wire);
    strangers::hear_nothing_from(wire, &messages, flood(100_000));
}
