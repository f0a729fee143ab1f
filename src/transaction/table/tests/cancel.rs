//! CANCEL, sent and received.

use super::*;

const CANCEL: &str = "CANCEL sip:c@192.0.2.9 SIP/2.0";
const ACK: &str = "ACK sip:c@192.0.2.9 SIP/2.0";

impl World {
    fn cancel(&mut self, key: ClientKey) {
        let reason = Some(&b"Q.850;cause=16"[..]);
        self.table.cancel(self.now, key, reason, &mut self.out);
    }
}

#[test]
fn a_cancel_that_comes_is_a_transaction_beside_its_invite() {
    let mut world = World::new();
    let invite = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.table.set_owner(invite, 42);
    let arrival = world.request(&request("CANCEL", "z9hG4bK1"));
    let Arrival::Cancel {
        cancel,
        invite: found,
    } = arrival
    else {
        panic!("{arrival:?}");
    };
    assert_eq!(found, Some((invite, Some(42))));
    assert_ne!(cancel, invite);
    world.respond(cancel, 200);
    world.respond(invite, 487);
    assert_eq!(world.sent(), ["SIP/2.0 200 R", "SIP/2.0 487 R"]);
    assert_eq!(
        world.request(&request("CANCEL", "z9hG4bK1")),
        Arrival::Absorbed
    );
    assert_eq!(world.sent(), ["SIP/2.0 200 R"]);
    assert_eq!(
        world.request(&request("ACK", "z9hG4bK1")),
        Arrival::Absorbed
    );
    world.run_to(100_000);
    world.check_at_rest();
}

#[test]
fn a_cancel_finds_an_invite_that_was_answered_and_nothing_else() {
    let mut world = World::new();
    let invite = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(invite, 200);
    world.new_request(&request("OPTIONS", "z9hG4bK2"));
    for (branch, expected) in [
        ("z9hG4bK1", Some((invite, None))),
        ("z9hG4bK2", None),
        ("z9hG4bK3", None),
    ] {
        let arrival = world.request(&request("CANCEL", branch));
        let Arrival::Cancel { invite, .. } = arrival else {
            panic!("{arrival:?}");
        };
        assert_eq!(invite, expected, "{branch}");
    }
}

#[test]
fn an_rfc_2543_cancel_finds_its_invite() {
    let mut world = World::new();
    let via = "SIP/2.0/UDP old.example";
    let invite = world.new_request(&with_via("INVITE", via));
    let arrival = world.request(&with_via("CANCEL", via));
    let Arrival::Cancel {
        invite: Some((found, None)),
        ..
    } = arrival
    else {
        panic!("{arrival:?}");
    };
    assert_eq!(found, invite);
}

#[test]
fn a_cancel_to_be_sent_waits_for_a_provisional_response() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    world.cancel(key);
    assert_eq!(world.sent().len(), 1, "the INVITE alone");
    assert_eq!(world.response(branch, "INVITE", 100), pass(key, false));
    let sent = world.out.clone();
    assert_eq!(world.sent(), [CANCEL]);
    let text = std::str::from_utf8(sent[0].packet.as_ref()).unwrap();
    assert!(text.contains(&format!(
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n"
    )));
    assert!(text.contains("CSeq: 5 CANCEL\r\n"));
    assert!(text.contains("Reason: Q.850;cause=16\r\n"));
    // It is repeated as any request, and its answer is nobody's.
    assert_eq!(world.run_to(600), [(500, CANCEL.to_owned())]);
    assert_eq!(world.response(branch, "CANCEL", 200), Matched::Absorbed);
    assert_eq!(world.response(branch, "INVITE", 487), pass(key, false));
    assert_eq!(world.sent(), [ACK]);
    assert_eq!(world.run_to(100_000), [(32_600, "client ended".to_owned())]);
    world.check_at_rest();
}

#[test]
fn a_cancel_is_sent_at_once_while_it_rings_and_only_once() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    assert_eq!(world.response(branch, "INVITE", 180), pass(key, false));
    world.sent();
    world.cancel(key);
    world.cancel(key);
    assert_eq!(world.sent(), [CANCEL]);
    assert_eq!(world.response(branch, "CANCEL", 200), Matched::Absorbed);
    // Without a final response, the INVITE is over by itself.
    let log = world.run_to(100_000);
    assert_eq!(log, [(32_000, "client timeout".to_owned())]);
    world.check_at_rest();
}

#[test]
fn a_final_response_makes_a_waiting_cancel_needless() {
    for (code, sent) in [(200, vec![]), (486, vec![ACK])] {
        let mut world = World::new();
        let (key, branch) = world.send(Method::Invite);
        world.cancel(key);
        world.sent();
        assert_eq!(world.response(branch, "INVITE", code), pass(key, false));
        assert_eq!(world.sent(), sent);
        world.cancel(key);
        assert_eq!(world.run_to(100_000), [(32_000, "client ended".to_owned())]);
        world.check_at_rest();
    }
}

#[test]
fn a_200_that_crosses_a_cancel_is_passed() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    let _ = world.response(branch, "INVITE", 180);
    world.cancel(key);
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, false));
    assert_eq!(world.response(branch, "CANCEL", 481), Matched::Absorbed);
    world.run_to(100_000);
    world.check_at_rest();
}

#[test]
fn a_2xx_behind_a_refusal_is_passed_as_a_repeat() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    assert_eq!(world.response(branch, "INVITE", 487), pass(key, false));
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, true));
}

#[test]
fn a_cancel_nobody_answers_ends_with_its_invite() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    let _ = world.response(branch, "INVITE", 180);
    world.sent();
    world.cancel(key);
    let log = world.run_to(100_000);
    let ended: Vec<_> = log.iter().filter(|(_, line)| line != CANCEL).collect();
    assert_eq!(ended, [&(32_000, "client timeout".to_owned())]);
    assert_eq!(log.len(), 12, "{log:?}");
    world.check_at_rest();
}

#[test]
fn at_the_limit_a_cancel_is_sent_without_a_transaction() {
    let mut world = World::with_limits(10, 1, 1);
    let (key, branch) = world.send(Method::Invite);
    let _ = world.response(branch, "INVITE", 180);
    world.sent();
    world.cancel(key);
    assert_eq!(world.out[0].origin, Origin::Stateless);
    assert_eq!(world.sent(), [CANCEL]);
    let log = world.run_to(100_000);
    assert_eq!(log, [(32_000, "client timeout".to_owned())]);
    world.check_at_rest();
}

#[test]
fn only_an_invite_is_cancelled() {
    let mut world = World::new();
    let (key, _) = world.send(Method::Bye);
    world.sent();
    world.cancel(key);
    assert_eq!(world.sent(), Vec::<String>::new());
}
