//! Carriers that fall silent, are full, or are asked whether they are there.

use super::onward::{SECOND, TWO, both, gist, to, world};
use super::*;

const NUMBER: &str = "+81335571234";

/// A call that the first carrier says nothing to, and the second refuses; where it was
/// sent first.
fn unanswered(world: &mut World, branch: &str) -> String {
    let sent = world.send(PBX, &invite(NUMBER, branch));
    let first = gist(&sent)[1].clone();
    let second = to(&world.pass(2), SECOND);
    world.send(SECOND, &answer(&second, "486 Busy", branch, ""));
    first
}

/// One that is refused by whoever gets it.
fn refused(world: &mut World, branch: &str) -> String {
    let sent = world.send(PBX, &invite(NUMBER, branch));
    let (peer, text) = sent[1].clone();
    world.send(&peer, &answer(&text, "486 Busy", branch, ""));
    gist(&sent)[1].clone()
}

#[test]
fn a_carrier_that_is_down_is_passed_over_until_it_answers_twice() {
    let mut world = world(1_000);
    for branch in ["a1", "a2", "a3"] {
        assert_eq!(unanswered(&mut world, branch), "first INVITE");
    }
    assert_eq!(world.notes, ["carrier-down: upstream"]);
    assert_eq!(refused(&mut world, "b1"), "second INVITE");
    world.pass(40);
    // One call tries it, and finds it there; it takes two.
    assert_eq!(refused(&mut world, "c1"), "first INVITE");
    assert_eq!(refused(&mut world, "c2"), "second INVITE");
    world.pass(40);
    assert_eq!(refused(&mut world, "d1"), "first INVITE");
    assert_eq!(world.notes.last().unwrap(), "carrier-up: upstream");
    assert_eq!(refused(&mut world, "d2"), "first INVITE");
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_carrier_that_asks_for_it_is_left_alone() {
    let mut world = world(1_000);
    let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
    let out = answer(
        &first,
        "503 Out",
        "a",
        "Retry-After: 20 (maintenance);duration=60\n",
    );
    let second = to(&world.send(CARRIER, &out), SECOND);
    world.send(SECOND, &answer(&second, "486 Busy", "b", ""));
    assert_eq!(refused(&mut world, "a2"), "second INVITE");
    // Not even as the last way.
    let second = to(&world.send(PBX, &invite(NUMBER, "a3")), SECOND);
    let sent = world.send(SECOND, &answer(&second, "503 Out", "b", ""));
    assert_eq!(gist(&sent), ["second ACK", "pbx 503"]);
    world.pass(20);
    assert_eq!(refused(&mut world, "a4"), "first INVITE");
}

#[test]
fn a_carrier_takes_as_many_calls_as_it_says() {
    let main = TWO.replace("[[carrier]]\n", "[[carrier]]\ncalls_at_once = 1\n");
    let mut world = World::with(&main, &both(1_000));
    let one = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(gist(&one), ["pbx 100", "first INVITE"]);
    let first = to(&one, CARRIER);
    let two = world.send(PBX, &invite(NUMBER, "a2"));
    assert_eq!(gist(&two), ["pbx 100", "second INVITE"]);
    let three = world.send(PBX, &invite(NUMBER, "a3"));
    assert_eq!(gist(&three), ["pbx 603"]);
    assert!(header(&three[0].1, "Reason").contains("carriers-full"));
    // For help there is always a way.
    assert_eq!(
        gist(&world.send(PBX, &invite("119", "e1")))[1],
        "first INVITE"
    );
    // A restart takes the places again.
    world.send(
        CARRIER,
        &answer(&first, "200 OK", "a", "Contact: <sip:127.0.0.2:5070>\n"),
    );
    world.crash(0);
    let trunks = world
        .shard
        .rules()
        .carriers()
        .iter()
        .map(|it| it.trunk.calls());
    assert_eq!(trunks.collect::<Vec<_>>(), [2, 1]);
}

/// The first of two carriers is asked every ten seconds.
fn probing() -> World {
    let main = TWO.replacen("[[carrier]]\n", "[[carrier]]\nprobe = \"10s\"\n", 1);
    World::with(&main, &both(1_000))
}

#[test]
fn a_probe_finds_out_before_calls_do() {
    let mut world = probing();
    let sent = world.pass(1);
    let (_, options) = sent.iter().find(|it| it.0 == CARRIER).unwrap();
    assert!(
        options.starts_with("OPTIONS sip:127.0.0.2:5070 SIP/2.0\r\n"),
        "{options}"
    );
    scan(Bytes::copy_from_slice(options.as_bytes())).unwrap();
    assert!(
        world
            .send(CARRIER, &answer(options, "200 OK", "o", ""))
            .is_empty()
    );
    assert_eq!(refused(&mut world, "a1"), "first INVITE");
    world.pass(40);
    assert_eq!(world.notes, ["carrier-down: upstream"]);
    // No call tries it: the next probe will tell.
    world.pass(100);
    assert_eq!(refused(&mut world, "a2"), "second INVITE");
    for _ in 0..2 {
        let asked = |sent: Vec<(String, String)>| {
            let mut sent = sent.into_iter();
            sent.find(|it| it.0 == CARRIER && it.1.starts_with("OPTIONS"))
        };
        // One that was given up does not count any more.
        world.pass(5);
        let options = std::iter::repeat_with(|| world.pass(1)).find_map(asked);
        let answered = answer(&options.unwrap().1, "404 Nobody", "o", "");
        world.send(CARRIER, &answered);
    }
    assert_eq!(world.notes.last().unwrap(), "carrier-up: upstream");
    assert_eq!(refused(&mut world, "a3"), "first INVITE");
    // Rules without it ask nobody.
    let none = compiled(TWO, &both(1_000), &world.counters);
    world.take(Input::Command(Command::Rules(none)));
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}
