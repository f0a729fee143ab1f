//! Which message belongs to which transaction.

use super::*;

#[test]
fn branch_sent_by_method_and_source_tell_requests_apart() {
    let mut world = World::new();
    let via = "SIP/2.0/UDP pbx.example:5070;branch=z9hG4bKone";
    let key = world.new_request(&with_via("OPTIONS", via));
    let same = [
        via.to_owned(),
        "SIP/2.0/UDP PBX.Example:5070;rport;branch=z9hG4bKone".to_owned(),
        "SIP/2.0/UDP pbx.example : 5070 ;branch=Z9HG4BKone".to_owned(),
    ];
    for via in same {
        assert_eq!(
            world.request(&with_via("OPTIONS", &via)),
            Arrival::Absorbed,
            "{via}"
        );
    }
    let mut keys = vec![key];
    for via in [
        "SIP/2.0/UDP pbx.example:5070;branch=z9hG4bKtwo",
        "SIP/2.0/UDP pbx.example:5071;branch=z9hG4bKone",
        "SIP/2.0/UDP pbx.example;branch=z9hG4bKone",
        "SIP/2.0/UDP box.example:5070;branch=z9hG4bKone",
        "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKone",
    ] {
        keys.push(world.new_request(&with_via("OPTIONS", via)));
    }
    keys.push(world.new_request(&with_via("MESSAGE", via)));
    keys.push(world.new_request(&with_via("INVITE", via)));
    keys.push(world.new_request(&with_via("UNHEARDOF", via)));
    keys.push(world.new_request(&with_via("UNSEEN", via)));
    let other = Flow {
        remote: SocketAddr::from(([192, 0, 2, 10], 5066)),
        ..peer()
    };
    let from_other = world.request_from(other, &with_via("OPTIONS", via));
    let Arrival::New(from_other) = from_other else {
        panic!("{from_other:?}");
    };
    keys.push(from_other);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 11);
    let other_port = Flow {
        remote: SocketAddr::from(([192, 0, 2, 9], 1)),
        ..peer()
    };
    let again = world.request_from(other_port, &with_via("OPTIONS", via));
    assert_eq!(again, Arrival::Absorbed);
}

#[test]
fn an_address_is_not_the_name_with_the_same_bytes() {
    let mut world = World::new();
    world.new_request(&with_via(
        "OPTIONS",
        "SIP/2.0/UDP [6161:6161:6161:6161:6161:6161:6161:6161];branch=z9hG4bK1",
    ));
    world.new_request(&with_via(
        "OPTIONS",
        "SIP/2.0/UDP aaaaaaaaaaaaaaaa;branch=z9hG4bK1",
    ));
}

#[test]
fn rfc_2543_requests_match_by_their_fields() {
    for via in [
        "SIP/2.0/UDP old.example",
        "SIP/2.0/UDP old.example;branch=7",
        "SIP/2.0/UDP old.example;branch=z9hG4bK",
    ] {
        let mut world = World::new();
        let invite = with_via("INVITE", via);
        let key = world.new_request(&invite);
        assert_eq!(world.request(&invite), Arrival::Absorbed);
        for (old, new) in [
            ("sip:b@192.0.2.1 ", "sip:c@192.0.2.1 "),
            ("tag=a1", "tag=a2"),
            ("Call-ID: c1", "Call-ID: c2"),
            ("CSeq: 1 ", "CSeq: 2 "),
            ("old.example", "older.example"),
        ] {
            world.new_request(&invite.replace(old, new));
        }
        world.respond(key, 603);
        world.sent();
        // The ACK has the To tag of the response, which the INVITE had not.
        let ack =
            with_via("ACK", via).replace("To: <sip:b@192.0.2.1>", "To: <sip:b@192.0.2.1>;tag=x");
        assert_eq!(world.request(&ack), Arrival::Absorbed);
        let log = world.run_to(6_000);
        assert_eq!(log, [(5_000, "server ended".to_owned())]);
    }
}

#[test]
fn the_same_fields_with_other_branches_are_other_requests() {
    let mut world = World::new();
    let one = world.new_request(&request("INVITE", "z9hG4bK1"));
    let two = world.new_request(&request("INVITE", "z9hG4bK2"));
    assert_ne!(one, two);
}

#[test]
fn an_ack_ends_only_its_own_invite() {
    let mut world = World::new();
    let one = world.new_request(&request("INVITE", "z9hG4bK1"));
    world.respond(one, 603);
    assert_eq!(world.request(&request("ACK", "z9hG4bK2")), Arrival::Ack);
    world.sent();
    assert_eq!(world.run_to(500).len(), 1, "still repeating");
    assert_eq!(
        world.request(&request("ACK", "z9hG4bK1")),
        Arrival::Absorbed
    );
    assert_eq!(world.run_to(5_000), []);
}

#[test]
fn an_ack_before_any_final_response_changes_nothing() {
    let mut world = World::new();
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    assert_eq!(
        world.request(&request("ACK", "z9hG4bK1")),
        Arrival::Absorbed
    );
    world.respond(key, 603);
    assert_eq!(world.run_to(600).len(), 2);
}

#[test]
fn responses_match_by_branch_and_method() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    let strange = world.mint.token();
    assert_eq!(world.response(strange, "INVITE", 200), Matched::Stray);
    assert_eq!(world.response(branch, "BYE", 200), Matched::Stray);
    assert_eq!(world.response(branch, "CANCEL", 200), Matched::Stray);
    let own = response(branch, "INVITE", 180);
    for (from, to) in [
        ("z9hG4bK", ""),
        ("z9hG4bK", "z9hG4bKz9hG4bK"),
        (
            "\r\nFrom",
            "\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx\r\nFrom",
        ),
        (
            "\r\nFrom",
            ", SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx\r\nFrom",
        ),
    ] {
        let strayed = own.replacen(from, to, 1);
        assert_eq!(world.response_text(&strayed), Matched::Stray, "{strayed}");
    }
    let shouted = own.replace(&branch.to_string(), &branch.to_string().to_uppercase());
    assert_eq!(
        world.response_text(&shouted),
        pass(key, false),
        "tokens have no case"
    );
}

#[test]
fn what_is_in_the_wrong_place_is_dropped() {
    let mut world = World::new();
    let (_, branch) = world.send(Method::Options);
    world.sent();
    let as_request = world.request(&response(branch, "OPTIONS", 200));
    assert_eq!(as_request, Arrival::Absorbed);
    let text = request("OPTIONS", &format!("z9hG4bK{branch}"));
    assert_eq!(world.response_text(&text), Matched::Stray);
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn responses_go_where_the_request_came_from() {
    let mut world = World::new();
    let plain = "SIP/2.0/UDP 203.0.113.1:5090;branch=z9hG4bK1";
    let key = world.new_request(&with_via("OPTIONS", plain));
    let to = |port| Flow {
        remote: SocketAddr::from(([192, 0, 2, 9], port)),
        ..peer()
    };
    assert_eq!(world.table.flow(key), Some(to(5090)));
    let rport = "SIP/2.0/UDP 203.0.113.1:5090;rport;branch=z9hG4bK2";
    let key = world.new_request(&with_via("OPTIONS", rport));
    world.respond(key, 200);
    assert_eq!(world.out[0].flow, to(5066));
    assert_eq!(world.out[0].origin, Origin::Server(key));
}
