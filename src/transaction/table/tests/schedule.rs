//! When what is sent again, and when it is over.

use super::*;
use crate::base::limits::REFUSALS_REPEATED;

/// `line` at each of these milliseconds.
fn at(times: &[u64], line: &str) -> Log {
    times.iter().map(|at| (*at, line.to_owned())).collect()
}

const INVITE: &str = "INVITE sip:c@192.0.2.9 SIP/2.0";
const BYE: &str = "BYE sip:c@192.0.2.9 SIP/2.0";
const ACK: &str = "ACK sip:c@192.0.2.9 SIP/2.0";
const REFUSED: &str = "SIP/2.0 603 R";

#[test]
fn timers_a_and_b() {
    let mut world = World::new();
    world.send(Method::Invite);
    let mut expected = at(&[0, 500, 1_500, 3_500, 7_500, 15_500, 31_500], INVITE);
    expected.extend(at(&[32_000], "client timeout"));
    assert_eq!(world.run_to(100_000), expected);
    world.check_at_rest();
}

#[test]
fn a_provisional_response_stops_a_and_b() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    assert_eq!(world.run_to(600), at(&[0, 500], INVITE));
    assert_eq!(world.response(branch, "INVITE", 100), pass(key, false));
    assert_eq!(world.response(branch, "INVITE", 180), pass(key, false));
    assert_eq!(world.run_to(600_000), []);
    assert_eq!(world.table.counts().timers, 0);
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, false));
    assert_eq!(world.run_to(700_000), at(&[632_000], "client ended"));
    world.check_at_rest();
}

#[test]
fn timer_d_and_an_ack_for_each_refusal() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    world.run_to(100);
    assert_eq!(world.response(branch, "INVITE", 486), pass(key, false));
    assert_eq!(world.sent(), [ACK]);
    for seconds in 1..32 {
        assert_eq!(world.run_to(seconds * 1_000), []);
        assert_eq!(world.response(branch, "INVITE", 486), Matched::Absorbed);
        assert_eq!(world.sent(), [ACK]);
    }
    assert_eq!(world.run_to(100_000), at(&[32_100], "client ended"));
    assert_eq!(world.response(branch, "INVITE", 486), Matched::Stray);
    world.check_at_rest();
}

#[test]
fn timer_m_passes_each_2xx() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, false));
    assert_eq!(world.sent(), [INVITE], "the ACK to a 2xx is the user's");
    assert_eq!(world.run_to(31_000), []);
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, true));
    let forked = response(branch, "INVITE", 200).replace("tag=c9", "tag=c10");
    assert_eq!(world.response_text(&forked), pass(key, true));
    assert_eq!(world.response(branch, "INVITE", 180), Matched::Absorbed);
    assert_eq!(world.response(branch, "INVITE", 486), Matched::Absorbed);
    assert_eq!(world.run_to(100_000), at(&[32_000], "client ended"));
    assert_eq!(world.response(branch, "INVITE", 200), Matched::Stray);
    world.check_at_rest();
}

#[test]
fn timers_e_and_f() {
    let mut world = World::new();
    world.send(Method::Bye);
    let times = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let mut expected = at(&times, BYE);
    expected.extend(at(&[32_000], "client timeout"));
    assert_eq!(world.run_to(100_000), expected);
    world.check_at_rest();
}

#[test]
fn a_provisional_response_slows_e_to_t2() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Bye);
    assert_eq!(world.response(branch, "BYE", 100), pass(key, false));
    let times = [0, 500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500];
    let mut expected = at(&times, BYE);
    expected.extend(at(&[32_000], "client timeout"));
    assert_eq!(world.run_to(100_000), expected);
}

#[test]
fn timer_k_absorbs() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Bye);
    world.run_to(100);
    assert_eq!(world.response(branch, "BYE", 200), pass(key, false));
    assert_eq!(world.run_to(4_000), []);
    assert_eq!(world.response(branch, "BYE", 200), Matched::Absorbed);
    assert_eq!(world.run_to(100_000), at(&[5_100], "client ended"));
    world.check_at_rest();
}

#[test]
fn timers_g_and_h() {
    let mut world = World::new();
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(key, 603);
    let times = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let mut expected = at(&times, REFUSED);
    expected.extend(at(&[32_000], "server given up"));
    assert_eq!(world.run_to(100_000), expected);
    world.check_at_rest();
}

#[test]
fn an_ack_ends_g_and_begins_i() {
    let mut world = World::new();
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(key, 603);
    assert_eq!(world.run_to(1_000), at(&[0, 500], REFUSED));
    for seconds in 1..6 {
        assert_eq!(world.run_to(seconds * 1_000), []);
        assert_eq!(
            world.request(&request("ACK", "z9hG4bK1")),
            Arrival::Absorbed
        );
        let again = world.request(&request("INVITE", "z9hG4bK1"));
        assert_eq!((again, world.sent()), (Arrival::Absorbed, vec![]));
    }
    assert_eq!(world.run_to(100_000), at(&[6_000], "server ended"));
    world.check_at_rest();
}

#[test]
fn timer_l_leaves_the_2xx_to_the_user() {
    let mut world = World::new();
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(key, 200);
    assert_eq!(world.sent(), ["SIP/2.0 200 R"]);
    assert_eq!(world.run_to(1_000), []);
    let again = world.request(&request("INVITE", "z9hG4bK1"));
    assert_eq!((again, world.sent()), (Arrival::Absorbed, vec![]));
    world.table.resend_2xx(world.now, key, &mut world.out);
    assert_eq!(world.sent(), ["SIP/2.0 200 R"]);
    assert_eq!(world.request(&request("ACK", "z9hG4bK1")), Arrival::Ack);
    assert_eq!(world.request(&request("ACK", "z9hG4bK2")), Arrival::Ack);
    world.table.acknowledged(key);
    world.table.resend_2xx(world.now, key, &mut world.out);
    assert_eq!(world.run_to(100_000), at(&[32_000], "server ended"));
    world.check_at_rest();
}

#[test]
fn timer_j_repeats_the_answer_when_asked() {
    let mut world = World::new();
    let key = world.new_request(&request("OPTIONS", "z9hG4bK1"));
    world.respond(key, 200);
    assert_eq!(world.sent(), ["SIP/2.0 200 R"]);
    assert_eq!(world.run_to(31_000), []);
    assert_eq!(
        world.request(&request("OPTIONS", "z9hG4bK1")),
        Arrival::Absorbed
    );
    assert_eq!(world.sent(), ["SIP/2.0 200 R"]);
    assert_eq!(world.run_to(100_000), at(&[32_000], "server ended"));
    world.check_at_rest();
}

#[test]
fn a_request_that_the_user_forgets_gets_no_408() {
    let mut world = World::new();
    world.new_request(&request("OPTIONS", "z9hG4bK1"));
    assert_eq!(
        world.request(&request("OPTIONS", "z9hG4bK1")),
        Arrival::Absorbed
    );
    assert_eq!(world.run_to(100_000), at(&[32_000], "server given up"));
    world.check_at_rest();
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_response() {
    let mut world = World::new();
    let invite = request("INVITE", "z9hG4bK1");
    let key = world.new_request(&invite);
    assert_eq!(
        (world.request(&invite), world.sent()),
        (Arrival::Absorbed, vec![])
    );
    world.respond(key, 100);
    world.respond(key, 180);
    assert_eq!(world.sent(), ["SIP/2.0 100 R", "SIP/2.0 180 R"]);
    assert_eq!(world.request(&invite), Arrival::Absorbed);
    assert_eq!(world.sent(), ["SIP/2.0 180 R"]);
    assert_eq!(
        world.table.next_deadline(),
        None,
        "an INVITE waits for its user"
    );
}

#[test]
fn spans_set_to_nothing_still_end() {
    let mut world = World::new();
    let nothing = Duration::ZERO;
    world.table.timers = Timers {
        t1: nothing,
        t2: nothing,
        t4: nothing,
    };
    world.send(Method::Invite);
    world.send(Method::Bye);
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(key, 603);
    assert!(world.run_to(1_000).len() < 20);
    world.check_at_rest();
}

/// A flood that nobody acknowledges is not multiplied; a call that rang is told as ever.
#[test]
fn of_many_refusals_without_ack_some_are_repeated() {
    let most = usize::try_from(REFUSALS_REPEATED).unwrap();
    let mut world = World::with_limits(4 * most, 10, 10);
    let rang = world.new_request(&request("INVITE", "z9hG4bKrang"));
    world.respond(rang, 180);
    world.run_to(700);
    world.respond(rang, 486);
    for n in 0..most + 200 {
        let key = world.new_request(&request("INVITE", &format!("z9hG4bK{n}")));
        world.respond(key, 603);
    }
    world.sent();
    let repeated = world.run_to(1_900).into_iter();
    let (few, all): (Vec<_>, Vec<_>) = repeated.partition(|(_, line)| line.contains("486"));
    assert_eq!(few, at(&[1_200], "SIP/2.0 486 R"));
    assert_eq!(all, at(&vec![1_200; most], REFUSED));
    // Whoever asks again is answered, as often.
    for n in 0..most + 200 {
        let again = world.request(&request("INVITE", &format!("z9hG4bK{n}")));
        assert_eq!(again, Arrival::Absorbed);
    }
    assert_eq!(world.sent(), vec![REFUSED; most + 200]);
    world.run_to(100_000);
    world.check_at_rest();
}
