//! The whole process over real sockets: known peers are answered,
//! strangers are not, rules change under way, and a signal ends it in order.

#![cfg(all(feature = "net", feature = "ledger"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "driver/peer.rs"]
mod peer;
#[path = "driver/text.rs"]
mod text;
#[path = "driver/world.rs"]
mod world;

use std::time::Duration;

use text::{header, response};
use world::{Disk, Listen, World};

/// Long enough for anything that is to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing must come where nothing should.
const SILENCE: Duration = Duration::from_millis(300);

#[test]
fn three_lives() {
    let world = breaks_down_only_once(World::start());
    strangers_hear_nothing(&world);
    for number in 0..20 {
        world.whole_call(&format!("call{number}"));
    }
    what_is_drawn_need_not_wait(&world);
    malformed_is_told(&world);
    rules_change(&world);
    stops_in_order(&world);
    let (result, mut world) = world.restart(Listen::Everywhere);
    result.unwrap();
    answers_from_where_it_was_called(&mut world);
    a_full_disk_refuses(&world);
    nothing_leaves_before_the_disk_has_it(&world, "waits");
    a_stuck_disk_refuses(&world);
    a_second_signal_hangs_up(&world);
    world.finish();
}

/// A message that ends the process is kept out of the next one.
fn breaks_down_only_once(world: World) -> World {
    let killer = world.invite("+442071838750", "killer");
    world.set_disk(Disk::Breaks);
    world.pbx.send(&killer);
    let (result, world) = world.restart(Listen::Here);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("planted"), "{error}");
    world.pbx.send(&killer);
    world.pbx.expect_silence(SILENCE);
    // The first call of a life draws the day's calls ahead.
    nothing_leaves_before_the_disk_has_it(&world, "draws");
    world
}

/// Every shard has drawn by now: as long as that lasts no call waits for the disk.
fn what_is_drawn_need_not_wait(world: &World) {
    world.set_disk(Disk::Stuck);
    for number in 0..4 {
        world.whole_call(&format!("drawn{number}"));
    }
    world.set_disk(Disk::Good);
}

/// At all addresses of the machine: whoever calls one of them is answered from
/// there, and called from there within the call; the carrier, which has called
/// none, is called from the one that it knows.
fn answers_from_where_it_was_called(world: &mut World) {
    world.whole_call("known");
    world.pbx_calls("127.0.0.21");
    world.whole_call("elsewhere");
}

/// Without a journal no call is let in, not even in the turn whose records are
/// the first that cannot be written; those that live go on, emergency calls pass,
/// and what could not be written is written later.
fn a_full_disk_refuses(world: &World) {
    let calls: Vec<_> = (0..8)
        .map(|number| world.answered_call("+442071838750", &format!("live{number}")))
        .collect();
    world.set_disk(Disk::Full);
    for number in 0..8 {
        world.refused("+442071838750", &format!("first{number}"));
    }
    world.carrier.expect_silence(SILENCE);
    for number in 0..4 {
        let call = world.answered_call("110", &format!("help{number}"));
        world.hang_up(&call);
    }
    for call in &calls {
        world.hang_up(call);
    }
    for number in 0..8 {
        world.refused("+442071838750", &format!("full{number}"));
    }
    world.set_disk(Disk::Good);
    std::thread::sleep(Duration::from_secs(2));
}

/// Of a call that draws, and of every call with `durability = "disk"`: neither end hears
/// of it before its records are on the disk.
fn nothing_leaves_before_the_disk_has_it(world: &World, id: &str) {
    world.set_disk(Disk::Stuck);
    world.pbx.send(&world.invite("+442071838750", id));
    world.pbx.expect_silence(SILENCE);
    world.carrier.expect_silence(Duration::from_millis(1));
    world.set_disk(Disk::Good);
    let invite = world.carrier.expect("INVITE ", PATIENCE);
    world.carrier.send(&response(&invite, "486 Busy Here", &[]));
    world.carrier.expect("ACK ", PATIENCE);
    let refusal = world.pbx.expect("SIP/2.0 486 ", PATIENCE);
    world.ack_refusal("+442071838750", id, &refusal);
}

/// A disk that does not answer is as one that is full, after a second.
fn a_stuck_disk_refuses(world: &World) {
    let call = world.answered_call("+442071838750", "before");
    world.set_disk(Disk::Stuck);
    world.refused("+442071838750", "stuck");
    world.carrier.expect_silence(SILENCE);
    let help = world.answered_call("110", "help-anyway");
    world.hang_up(&help);
    world.hang_up(&call);
    world.set_disk(Disk::Good);
    std::thread::sleep(Duration::from_secs(2));
    world.whole_call("taken-again");
}

/// Whatever a stranger sends, and whatever a peer sends that says nothing.
fn strangers_hear_nothing(world: &World) {
    let stranger = world.peer("127.0.0.77");
    stranger.send(&world.options("stranger"));
    stranger.send(&world.invite("+442071838750", "stranger"));
    stranger.send("\r\n\r\n");
    stranger.expect_silence(SILENCE);
    for nothing in ["", "\r\n\r\n", "\0\0\0\0", "GET / HTTP/1.1\r\n\r\n"] {
        world.pbx.send(nothing);
    }
    world.pbx.expect_silence(SILENCE);
    world.carrier.expect_silence(Duration::from_millis(1));
}

/// A request that can be answered is, whatever is wrong with it.
fn malformed_is_told(world: &World) {
    let broken = world.options("broken").replace("CSeq: 1", "CSeq: one");
    world.pbx.send(&broken);
    let answer = world.pbx.expect("SIP/2.0 400 ", PATIENCE);
    assert_eq!(header(&answer, "Call-ID"), "broken@pbx");
}

/// SIGHUP: first with rules that do not compile, then with others.
fn rules_change(world: &World) {
    world.refused("010 232 7612 3456".replace(' ', "").as_str(), "before");
    world.set_tenant("this is no tenant");
    world.reload();
    world.whole_call("still-the-old-rules");
    world.set_tenant(&world::TENANT.replace("\"+44 20\"", "\"+232 76\""));
    world.reload();
    world.refused("+442071838750", "after");
}

/// SIGTERM with a call up: no new call, and the old one is hung up in time. That
/// the carrier does not answer then does not hold up the end.
fn stops_in_order(world: &World) {
    let call = world.answered_call("+23276123456", "last");
    world.signal("TERM");
    // The shards hear of it from another thread.
    std::thread::sleep(Duration::from_secs(1));
    let refusal = world.refused("+23276123456", "too-late");
    assert!(refusal.contains("Reason: Q.850"), "{refusal}");
    let bye = world.pbx.expect("BYE ", PATIENCE);
    assert_eq!(header(&bye, "Call-ID"), "last@pbx");
    world.pbx.send(&response(&bye, "200 OK", &[]));
    world.carrier.expect("BYE ", PATIENCE);
    assert!(call.starts_with("SIP/2.0 200"));
}

/// The first one lets calls go on, for a day; the second one does not.
fn a_second_signal_hangs_up(world: &World) {
    let call = world.answered_call("+442071838750", "over-in-time");
    world.answered_call("+442071838750", "up");
    world.signal("INT");
    world.hang_up(&call);
    world.signal("TERM");
    both_are_hung_up(world, "up@pbx");
}

fn both_are_hung_up(world: &World, call_id: &str) {
    for (peer, name) in [(&world.pbx, "pbx"), (&world.carrier, "carrier")] {
        let bye = peer.expect("BYE ", PATIENCE);
        peer.send(&response(&bye, "200 OK", &[]));
        let found = header(&bye, "Call-ID");
        assert_eq!(found == call_id, name == "pbx", "{bye}");
    }
}
