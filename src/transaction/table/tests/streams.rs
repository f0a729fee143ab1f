//! Over connections: nothing is repeated, and what went out on one that closes is
//! over at once.

use std::num::NonZeroU64;

use super::*;
use crate::base::flow::ConnectionId;

fn stream(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        connection: NonZeroU64::new(connection).map(ConnectionId),
        ..peer()
    }
}

fn closed(world: &mut World, flow: Flow) {
    world
        .table
        .flow_closed(world.now, flow, &mut world.out, &mut world.events);
}

#[test]
fn nothing_is_repeated_and_nothing_waited_for() {
    let mut world = World::new();
    for method in [Method::Invite, Method::Bye] {
        let branch = world.mint.token();
        world.send_to(stream(0), method, branch).unwrap();
        let log = world.run_to(world.now.as_nanos() / 1_000_000 + 33_000);
        let names: Vec<&str> = log.iter().map(|(_, what)| what.as_str()).collect();
        assert!(names[0].starts_with(method.as_str()));
        assert_eq!(names[1..], ["client timeout"]);
    }
    let Arrival::New(key) = world.request_from(stream(1), &request("INVITE", "z9hG4bK1")) else {
        panic!("a new request");
    };
    world.respond(key, 603);
    assert_eq!(world.sent(), ["SIP/2.0 603 R"]);
    let ack = world.request_from(stream(1), &request("ACK", "z9hG4bK1"));
    assert_eq!(ack, Arrival::Absorbed);
    world.tick();
    assert_eq!(world.sent(), Vec::<String>::new());
    world.check_at_rest();
}

#[test]
fn what_went_out_on_a_closed_connection_is_over() {
    let mut world = World::new();
    let branches = [(); 4].map(|()| world.mint.token());
    world.send_to(stream(5), Method::Bye, branches[0]).unwrap();
    world
        .send_to(stream(0), Method::Invite, branches[1])
        .unwrap();
    world
        .send_to(stream(0), Method::Invite, branches[2])
        .unwrap();
    world
        .send_to(stream(6), Method::Options, branches[3])
        .unwrap();
    let _ = world.response(branches[2], "INVITE", 180);
    world.sent();
    // Of whoever was to be reached by any connection, this was the one.
    closed(&mut world, stream(5));
    let names: Vec<String> = world.events.iter().map(name).collect();
    assert_eq!(names.len(), 3);
    for what in ["client cut", "client cut", "client cancelled"] {
        assert!(names.iter().any(|name| name == what), "{names:?}");
    }
    assert_eq!(world.sent(), ["CANCEL sip:c@192.0.2.9 SIP/2.0"]);
    world.events.clear();
    assert!(matches!(
        world.response(branches[2], "INVITE", 487),
        Matched::Pass(_)
    ));
    assert!(matches!(
        world.response(branches[3], "OPTIONS", 200),
        Matched::Pass(_)
    ));
}

#[test]
fn another_way_to_the_same_peer_is_not_meant() {
    let mut world = World::new();
    let (_, branch) = world.send(Method::Options);
    let elsewhere = Flow {
        remote: SocketAddr::from(([192, 0, 2, 9], 5099)),
        ..stream(0)
    };
    let other = world.mint.token();
    world.send_to(elsewhere, Method::Options, other).unwrap();
    closed(&mut world, stream(5));
    assert_eq!(world.events, []);
    assert_eq!(world.table.counts().client, 2);
    assert!(matches!(
        world.response(branch, "OPTIONS", 200),
        Matched::Pass(_)
    ));
}

#[test]
fn an_answer_finds_its_way_when_the_connection_is_gone() {
    let mut world = World::new();
    let from = Flow {
        remote: SocketAddr::from(([192, 0, 2, 9], 40_000)),
        ..stream(5)
    };
    for (via, port) in [
        ("SIP/2.0/TCP 192.0.2.9:5090;rport;branch=z9hG4bK1", 5090),
        ("SIP/2.0/TCP pbx.example;rport;branch=z9hG4bK2", 5060),
    ] {
        let Arrival::New(key) = world.request_from(from, &with_via("OPTIONS", via)) else {
            panic!("a new request");
        };
        // RFC 3261 §18.2.2: the same connection, or one to what `sent-by` says.
        let remote = SocketAddr::from(([192, 0, 2, 9], port));
        assert_eq!(world.table.flow(key), Some(Flow { remote, ..from }));
    }
}
