//! Limits, failures to send, and what is kept how long.

use super::*;

#[test]
fn the_last_room_is_for_emergencies_and_cancels() {
    let mut world = World::with_limits(2, 2, 10);
    world.new_request(&request("INVITE", "z9hG4bK1"));
    world.new_request(&request("INVITE", "z9hG4bK2"));
    let third = request("INVITE", "z9hG4bK3");
    assert_eq!(world.request(&third), Arrival::Full);
    assert_eq!(
        world.request(&request("INVITE", "z9hG4bK2")),
        Arrival::Absorbed
    );
    assert!(matches!(
        world.request(&request("CANCEL", "z9hG4bK1")),
        Arrival::Cancel { .. }
    ));
    let msg = read(&third);
    let e = Essentials::parse(&msg).unwrap();
    let urgent = |world: &mut World| {
        world
            .table
            .receive_emergency(world.now, peer(), &msg, &e, &mut world.out)
    };
    assert!(matches!(urgent(&mut world), Arrival::New(_)));
    assert_eq!(urgent(&mut world), Arrival::Absorbed);
    assert_eq!(world.request(&request("CANCEL", "z9hG4bK2")), Arrival::Full);
    assert_eq!(world.table.counts().server, 4);
}

#[test]
fn beyond_its_half_nothing_is_kept_of_what_was_refused_at_once() {
    let mut world = World::with_limits(10, 2, 10);
    let flood = |world: &mut World, from, method: &str, code| {
        for number in 0..100 {
            let text = request(method, &format!("z9hG4bK{from}{number}"));
            let key = world.new_request(&text);
            world.respond(key, code);
            let (now, out, events) = (world.now, &mut world.out, &mut world.events);
            world.table.tick(now, out, events);
        }
        assert_eq!(world.sent().len(), 100);
        assert!(world.table.counts().server <= 6);
    };
    flood(&mut world, "refused", "INVITE", 603);
    flood(&mut world, "asked", "OPTIONS", 200);
    // What is repeated is answered again, and an ACK is of no consequence.
    let again = request("INVITE", "z9hG4bKrefused99");
    assert!(matches!(world.request(&again), Arrival::New(_)));
    let ack = request("ACK", "z9hG4bKrefused98");
    assert_eq!(world.request(&ack), Arrival::Ack);
    // What something follows from is kept: it has an owner, or was told of a call.
    for (number, code) in [(1, 180), (2, 200)] {
        let key = world.new_request(&request("INVITE", &format!("z9hG4bKcall{number}")));
        world.table.set_owner(key, 7);
        world.respond(key, code);
    }
    let before = world.table.counts().server;
    let (now, out, events) = (world.now, &mut world.out, &mut world.events);
    world.table.tick(now, out, events);
    assert_eq!(world.table.counts().server, before);
}

#[test]
fn at_the_limit_nothing_is_sent() {
    let mut world = World::with_limits(1, 0, 1);
    world.send(Method::Invite);
    world.sent();
    let branch = world.mint.token();
    assert_eq!(world.send_with(Method::Bye, branch), None);
    assert_eq!(world.sent(), Vec::<String>::new());
    assert_eq!(world.table.client_index.len(), 1);
}

#[test]
fn a_branch_is_used_once() {
    let mut world = World::new();
    let (_, branch) = world.send(Method::Bye);
    assert_eq!(world.send_with(Method::Bye, branch), None);
    assert_eq!(world.table.counts().client, 1);
}

#[test]
fn an_invite_that_cannot_be_sent_fails_at_once() {
    let mut world = World::new();
    let method = Method::Invite;
    let (key, _) = world.send(method);
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, Origin::Client(key), events);
    let owner = 7;
    assert_eq!(world.events, [Expired::ClientFailed { key, owner, method }]);
    world.check_at_rest();
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, Origin::Client(key), events);
    assert_eq!(world.events.len(), 1, "its key names nothing any more");
}

/// A BYE that is given up leaves a call up that somebody pays for.
#[test]
fn another_request_that_cannot_be_sent_is_sent_again() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Bye);
    world.sent();
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, Origin::Client(key), events);
    assert_eq!(world.events, []);
    assert_eq!(world.run_to(600).len(), 1);
    assert_eq!(world.response(branch, "BYE", 200), pass(key, false));
}

#[test]
fn an_invite_that_was_heard_outlives_a_late_failure() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    let _ = world.response(branch, "INVITE", 100);
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, Origin::Client(key), events);
    assert_eq!(world.events, []);
    assert_eq!(world.response(branch, "INVITE", 200), pass(key, false));
}

#[test]
fn a_response_that_cannot_be_sent_is_told_and_tried_again() {
    let mut world = World::new();
    let invite = request("INVITE", "z9hG4bK1");
    let key = world.new_request(&invite);
    world.table.set_owner(key, 9);
    world.respond(key, 603);
    world.sent();
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, Origin::Server(key), events);
    let (owner, method) = (Some(9), Method::Invite);
    assert_eq!(world.events, [Expired::ServerFailed { key, owner, method }]);
    assert_eq!(world.request(&invite), Arrival::Absorbed, "not a new call");
    assert_eq!(world.sent(), ["SIP/2.0 603 R"]);
}

#[test]
fn a_cancel_that_cannot_be_sent_is_nobodys_news() {
    let mut world = World::new();
    let (key, branch) = world.send(Method::Invite);
    let _ = world.response(branch, "INVITE", 180);
    world.sent();
    world.table.cancel(world.now, key, None, &mut world.out);
    let origin = world.out[0].origin;
    let (now, events) = (world.now, &mut world.events);
    world.table.send_failed(now, origin, events);
    world
        .table
        .send_failed(now, Origin::Stateless, &mut world.events);
    assert_eq!(world.events, []);
    assert_eq!(world.table.counts().client, 2, "it is sent again");
}

#[test]
fn a_final_response_is_the_last() {
    for (method, first, then) in [
        ("INVITE", 603, vec![180, 200, 486]),
        ("INVITE", 200, vec![180, 486]),
        ("OPTIONS", 200, vec![100, 200, 486]),
    ] {
        let mut world = World::new();
        let key = world.new_request(&request(method, "z9hG4bK1"));
        world.respond(key, first);
        world.sent();
        for code in then {
            world.respond(key, code);
            assert_eq!(
                world.sent(),
                Vec::<String>::new(),
                "{method} {first} {code}"
            );
        }
    }
}

#[test]
fn what_is_needed_no_more_is_dropped() {
    let mut world = World::new();
    let key = world.new_request(&request("INVITE", "z9hG4bK1"));
    assert_eq!(world.table.echo(key).unwrap().call_id(), b"c1");
    world.respond(key, 180);
    assert!(world.table.echo(key).is_some());
    world.respond(key, 603);
    assert!(world.table.echo(key).is_none());
    let kept = |world: &World| world.table.servers.get(key).unwrap().packet.is_some();
    assert!(kept(&world));
    let _ = world.request(&request("ACK", "z9hG4bK1"));
    assert!(!kept(&world));

    let (key, branch) = world.send(Method::Invite);
    let kept = |world: &World| world.table.clients.get(key).unwrap().packet.is_some();
    assert!(kept(&world));
    let _ = world.response(branch, "INVITE", 200);
    assert!(!kept(&world));
}

#[test]
fn keys_of_what_is_over_do_nothing() {
    let mut world = World::new();
    let key = world.new_request(&request("OPTIONS", "z9hG4bK1"));
    let (client, _) = world.send(Method::Invite);
    world.run_to(100_000);
    world.respond(key, 200);
    world.table.set_owner(key, 1);
    world.table.acknowledged(key);
    world.table.resend_2xx(world.now, key, &mut world.out);
    world.table.cancel(world.now, client, None, &mut world.out);
    assert_eq!((world.table.echo(key), world.table.flow(key)), (None, None));
    assert_eq!(world.sent(), Vec::<String>::new());
    world.check_at_rest();
}

#[test]
fn entries_are_small() {
    assert!(
        size_of::<Server<u64>>() <= 208,
        "{}",
        size_of::<Server<u64>>()
    );
    assert!(
        size_of::<Client<u64>>() <= 176,
        "{}",
        size_of::<Client<u64>>()
    );
    assert!(size_of::<Due>() <= 16);
}

#[test]
fn what_transactions_keep_of_messages_has_a_limit() {
    let mut world = World::new();
    let long = |at: usize| {
        let text = request("INVITE", &format!("z9hG4bK{at}"));
        text.replace("Call-ID: ", &format!("Call-ID: {}", "c".repeat(500)))
    };
    let mut taken = Vec::new();
    while world.table.counts().bytes < 100_000 {
        let key = world.new_request(&long(taken.len()));
        taken.push(key);
    }
    assert!((100..200).contains(&taken.len()), "{}", taken.len());
    assert_eq!(world.request(&long(taken.len())), Arrival::Full);
    // What is known goes on, and what ends gives its bytes back.
    assert_eq!(world.request(&long(0)), Arrival::Absorbed);
    for key in taken {
        world.respond(key, 486);
    }
    world.run_to(1_000_000);
    world.check_at_rest();
}
