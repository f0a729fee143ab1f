//! Calls over TCP and TLS, with real sockets: what is a stream's own, and what a peer can do
//! to one.

#![cfg(all(feature = "net", feature = "ledger"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "streams/certificates.rs"]
#[allow(dead_code, reason = "other tests issue more")]
mod certificates;
#[path = "streams/peer.rs"]
mod peer;
#[path = "driver/text.rs"]
mod text;
#[path = "streams/tls.rs"]
mod tls;
#[path = "streams/world.rs"]
mod world;

use std::net::UdpSocket;
use std::time::Duration;

use text::{header, response, within};
use tollgate::base::limits::STREAMS_PER_SOURCE;
use world::{Over, Version, World};

/// Long enough for anything that is to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing must come where nothing should.
const SILENCE: Duration = Duration::from_millis(300);

#[test]
fn calls_over_both_versions_and_either_kind_of_peer() {
    for (version, over) in [
        (Version::V4, Over::Tcp),
        (Version::V6, Over::Tcp),
        (Version::V4, Over::Tls),
        (Version::V6, Over::Tls),
        (Version::V4, Over::Mutual),
    ] {
        let mut world = World::start(version, over);
        for number in 0..3 {
            world.whole_call(&format!("stream{number}"));
        }
        assert_eq!(
            world.carrier.connections(),
            1,
            "one connection serves all calls"
        );
        if over != Over::Mutual {
            world.pbx_over_udp();
            world.whole_call("datagrams");
        }
        world.stop();
    }
}

#[test]
fn a_message_may_come_in_any_pieces() {
    for over in Over::BOTH {
        let world = World::start(Version::V4, over);
        let mut pbx = world.connect_pbx();
        let options = world.options("torn");
        for byte in options.as_bytes() {
            pbx.send_bytes(&[*byte]);
        }
        pbx.expect("SIP/2.0 200 ");
        // Several at once, with what may stand between them (RFC 3261 §7.5).
        let two = format!(
            "\r\n{}\r\n\r\n{}",
            world.options("one"),
            world.options("two")
        );
        pbx.send(&two);
        // Each shard answers when it comes to it.
        let answers = pbx.expect("SIP/2.0 200 ") + &pbx.expect("SIP/2.0 200 ");
        assert!(answers.contains("one@pbx") && answers.contains("two@pbx"));
        world.stop();
    }
}

#[test]
fn keep_alives_are_answered() {
    for over in Over::BOTH {
        let world = World::start(Version::V4, over);
        let mut pbx = world.connect_pbx();
        pbx.send("\r\n\r\n");
        assert_eq!(pbx.raw(2), b"\r\n");
        pbx.send(&world.options("after"));
        pbx.expect("SIP/2.0 200 ");
        world.stop();
    }
}

#[test]
fn a_strangers_connection_is_closed_without_a_word() {
    for over in Over::BOTH {
        let world = World::start(Version::V4, over);
        let mut stranger = world.connect_from("127.0.0.29");
        stranger.try_send(&world.options("stranger"));
        assert_eq!(stranger.until_closed(), b"");
        world.stop();
    }
}

#[test]
fn what_has_no_certain_end_closes_the_connection_and_is_never_seen() {
    for over in Over::BOTH {
        let mut world = World::start(Version::V4, over);
        let inner = world.invite("+442071838750", "inner");
        for (number, fields) in [
            "Content-Length: 0\r\nContent-Length: 9\r\n",
            "Content-Length: 4294967296\r\n",
            "Content-Length: 4294967295\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x0\r\n",
            "Content-Length: 0, 0\r\n",
            "l: 0\r\nContent-Length: 700\r\n",
            "X-No-Length: 1\r\n",
            "X-Bare: a\nContent-Length: 0\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let mut pbx = world.connect_pbx();
            let options = world.options(&format!("outer{number}"));
            let outer = options.replace("Content-Length: 0\r\n", fields);
            pbx.try_send(&format!("{outer}{inner}"));
            let heard = pbx.until_closed();
            let heard = String::from_utf8_lossy(&heard);
            assert!(!heard.contains("inner"), "{fields}: {heard}");
        }
        assert_eq!(
            world.carrier.poll(SILENCE),
            None,
            "the inner INVITE was seen"
        );
        // A body that says how long it is hides what is in it.
        let mut pbx = world.connect_pbx();
        let length = format!("Content-Length: {}\r\n", inner.len());
        let outer = world
            .options("honest")
            .replace("Content-Length: 0\r\n", &length);
        pbx.send(&format!("{outer}{inner}"));
        pbx.expect("SIP/2.0 200 ");
        assert_eq!(
            world.carrier.poll(SILENCE),
            None,
            "the inner INVITE was seen"
        );
        world.stop();
    }
}

#[test]
fn what_is_too_long_for_a_datagram_goes_over_tcp_where_the_carrier_takes_it() {
    let mut world = World::with_datagrams_first();
    let datagrams = UdpSocket::bind(world.carrier.address()).unwrap();
    datagrams.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut datagram = vec![0; 65_535];
    let mut receive = || {
        let (length, from) = datagrams.recv_from(&mut datagram).unwrap();
        (
            String::from_utf8_lossy(&datagram[..length]).into_owned(),
            from,
        )
    };
    world.pbx.send(&world.invite("+442071838750", "short"));
    let (invite, tollgate) = receive();
    assert!(header(&invite, "Via").starts_with("SIP/2.0/UDP "));
    let busy = response(&invite, "486 Busy Here", &[]);
    datagrams.send_to(busy.as_bytes(), tollgate).unwrap();
    world.pbx.expect("SIP/2.0 486 ");
    assert!(receive().0.starts_with("ACK "));
    world
        .pbx
        .send(&world.long_invite("+442071838750", "long", 1_300));
    let invite = world.carrier.expect("INVITE ");
    assert!(header(&invite, "Via").starts_with("SIP/2.0/TCP "));
    assert!(header(&invite, "Contact").ends_with(";transport=tcp>"));
    world.carrier.send(&response(&invite, "486 Busy Here", &[]));
    world.carrier.expect("ACK ");
    world.pbx.expect("SIP/2.0 486 ");
    world.stop();
}

#[test]
fn one_source_has_no_more_than_its_share_of_connections() {
    let world = World::start(Version::V4, Over::Tcp);
    let mut first = world.connect_pbx();
    let others: Vec<_> = (2..STREAMS_PER_SOURCE)
        .map(|_| world.connect_pbx())
        .collect();
    // The phone system of this world has one itself.
    let mut further = world.connect_pbx();
    further.try_send(&world.options("further"));
    assert_eq!(further.until_closed(), b"");
    first.send(&world.options("first"));
    first.expect("SIP/2.0 200 ");
    drop(others);
    world.stop();
}

#[test]
fn an_answer_comes_over_a_new_connection_when_the_first_is_gone() {
    for over in Over::BOTH {
        let mut world = World::start(Version::V4, over);
        let mut listening = world.listen_as_pbx();
        world.pbx.send(&world.invite("+442071838750", "gone"));
        let invite = world.carrier.expect("INVITE ");
        world.pbx.expect("SIP/2.0 100 ");
        world.pbx.close();
        world.carrier.send(&response(&invite, "486 Busy Here", &[]));
        world.carrier.expect("ACK ");
        let busy = listening.expect("SIP/2.0 486 ");
        assert_eq!(header(&busy, "Call-ID"), "gone@pbx");
        listening.send(&world.ack_refusal(&busy, "+442071838750", "gone"));
        world.stop();
    }
}

#[test]
fn a_carrier_that_hangs_up_its_connection_has_refused() {
    for over in Over::BOTH {
        let mut world = World::start(Version::V4, over);
        world.pbx.send(&world.invite("+442071838750", "cut"));
        world.carrier.expect("INVITE ");
        world.carrier.close();
        let refused = world.pbx.expect("SIP/2.0 503 ");
        world
            .pbx
            .send(&world.ack_refusal(&refused, "+442071838750", "cut"));
        // While it rings, the INVITE is taken back over a new connection.
        world.pbx.send(&world.invite("+442071838750", "rings"));
        let invite = world.carrier.expect("INVITE ");
        world.carrier.send(&response(&invite, "180 Ringing", &[]));
        world.pbx.expect("SIP/2.0 180 ");
        world.carrier.close();
        let refused = world.pbx.expect("SIP/2.0 503 ");
        world
            .pbx
            .send(&world.ack_refusal(&refused, "+442071838750", "rings"));
        let cancel = world.carrier.expect("CANCEL ");
        world.carrier.send(&response(&cancel, "200 OK", &[]));
        world
            .carrier
            .send(&response(&invite, "487 Request Terminated", &[]));
        world.carrier.expect("ACK ");
        world.stop();
    }
}

#[test]
fn a_call_outlives_its_connections() {
    for over in Over::BOTH {
        let mut world = World::start(Version::V4, over);
        let answer = world.answered_call("+442071838750", "long");
        world.carrier.close();
        world.pbx.close();
        world.pbx = world.connect_pbx();
        let bye = within(&answer, "BYE", 2, &world.pbx.via());
        world.pbx.send(&bye);
        world.pbx.expect("SIP/2.0 200 ");
        let bye = world.carrier.expect("BYE ");
        world.carrier.send(&response(&bye, "200 OK", &[]));
        world.stop();
    }
}

#[test]
fn nobody_at_the_carriers_address_is_a_refusal() {
    for over in Over::BOTH {
        let mut world = World::start(Version::V4, over);
        world.carrier.stop_listening();
        world.pbx.send(&world.invite("+442071838750", "nobody"));
        let refused = world.pbx.expect("SIP/2.0 503 ");
        world
            .pbx
            .send(&world.ack_refusal(&refused, "+442071838750", "nobody"));
        world.stop();
    }
}
