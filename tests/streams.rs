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
#[path = "streams/world.rs"]
mod world;

use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use certificates::{Authority, Until};
use text::{header, response, within};
use tollgate::base::limits::STREAMS_PER_SOURCE;
use world::{Over, PBX, Version, World};

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

/// A call that the carrier's certificate does not let out.
fn refused_for_the_carriers_papers(world: &mut World, id: &str) {
    world.pbx.send(&world.invite("+442071838750", id));
    let refused = world.pbx.expect("SIP/2.0 503 ");
    world
        .pbx
        .send(&world.ack_refusal(&refused, "+442071838750", id));
    assert_eq!(world.carrier.poll(SILENCE), None, "it got something");
}

#[test]
fn a_carrier_without_its_certificate_gets_no_call() {
    let mut world = World::start(Version::V4, Over::Tls);
    let (own, other) = (Rc::clone(&world.authority), Rc::new(Authority::new()));
    let name = "sip.carrier.invalid";
    for (id, authority, papers) in [
        (
            "name",
            &own,
            own.issue(&["sip.other.invalid"], Until::Later),
        ),
        ("wild", &own, own.issue(&["*.invalid"], Until::Later)),
        ("over", &own, own.issue(&[name], Until::Long)),
        ("authority", &other, other.issue(&[name], Until::Later)),
    ] {
        let authority = Rc::clone(authority);
        world
            .carrier
            .over_tls(move || authority.server(&papers, false));
        refused_for_the_carriers_papers(&mut world, id);
        world.carrier.close();
    }
    world.carrier.without_tls();
    refused_for_the_carriers_papers(&mut world, "plain");
    world.carrier.close();
    let papers = own.issue(&[name], Until::Later);
    world.carrier.over_tls(move || own.server(&papers, false));
    world.whole_call("good");
    world.stop();
}

#[test]
fn what_is_no_tls_is_closed_without_a_word() {
    let mut world = World::start(Version::V4, Over::Tls);
    let options = world.options("plain");
    for said in [
        options.as_str(),
        "\r\n\r\n",
        "\u{0}",
        "\u{80}.\u{1}\u{3}\u{1}",
    ] {
        let mut plain = world.connect_plain("127.0.0.23");
        plain.try_send(said);
        assert_eq!(plain.until_closed(), b"", "{said:?}");
    }
    world.whole_call("after");
    world.stop();
}

#[test]
fn a_sips_uri_goes_on_as_such_over_tls_and_over_nothing_else() {
    let secure = |invite: &str| {
        let invite = invite.replace("INVITE sip:", "INVITE sips:");
        invite.replace("Contact: <sip:", "Contact: <sips:")
    };
    let mut world = World::start(Version::V4, Over::Tls);
    world
        .pbx
        .send(&secure(&world.invite("+442071838750", "secure")));
    let invite = world.carrier.expect("INVITE ");
    assert!(invite.starts_with("INVITE sips:+442071838750@"), "{invite}");
    assert!(header(&invite, "Contact").starts_with("<sips:"), "{invite}");
    let contact = format!("Contact: <sips:{}>", world.carrier.address());
    world
        .carrier
        .send(&response(&invite, "200 OK", &[&contact]));
    let answer = world.pbx.expect("SIP/2.0 200 ");
    assert!(header(&answer, "Contact").starts_with("<sips:"), "{answer}");
    world.pbx.send(&within(&answer, "ACK", 1, &world.pbx.via()));
    assert!(world.carrier.expect("ACK ").starts_with("ACK sips:"));
    world.pbx.send(&within(&answer, "BYE", 2, &world.pbx.via()));
    world.pbx.expect("SIP/2.0 200 ");
    let bye = world.carrier.expect("BYE ");
    world.carrier.send(&response(&bye, "200 OK", &[]));
    // From datagrams it does not come.
    world.pbx_over_udp();
    refused_as_insecure(&mut world, &secure);
    world.stop();
    // And over TCP it goes nowhere, but for help.
    let mut world = World::start(Version::V4, Over::Tcp);
    refused_as_insecure(&mut world, &secure);
    world.pbx.send(&secure(&world.invite("119", "help")));
    let invite = world.carrier.expect("INVITE sip:119@");
    world.carrier.send(&response(&invite, "486 Busy Here", &[]));
    world.carrier.expect("ACK ");
    let refused = world.pbx.expect("SIP/2.0 503 ");
    world.pbx.send(&world.ack_refusal(&refused, "119", "help"));
    world.stop();
}

fn refused_as_insecure(world: &mut World, secure: &impl Fn(&str) -> String) {
    let number = "+442071838750";
    world.pbx.send(&secure(&world.invite(number, "insecure")));
    let refused = world.pbx.expect("SIP/2.0 603 ");
    assert!(
        header(&refused, "Reason").contains("sips-without-tls"),
        "{refused}"
    );
    let ack = world.ack_refusal(&refused, number, "insecure");
    world.pbx.send(&ack.replace("ACK sip:", "ACK sips:"));
    assert_eq!(world.carrier.poll(SILENCE), None, "it went on");
}

#[test]
fn who_is_known_by_a_certificate_is_known_by_nothing_else() {
    let mut world = World::start(Version::V4, Over::Mutual);
    let (own, other) = (Rc::clone(&world.authority), Authority::new());
    let address = "127.0.0.23";
    for (what, papers) in [
        ("nothing", None),
        (
            "unknown",
            Some(own.issue(&["pbx.other.invalid"], Until::Later)),
        ),
        (
            "wildcard",
            Some(own.issue(&["*.acme.invalid"], Until::Later)),
        ),
        (
            "below",
            Some(own.issue(&["a.pbx.acme.invalid"], Until::Later)),
        ),
        (
            "a user",
            Some(own.issue(&["sip:a@pbx.acme.invalid"], Until::Later)),
        ),
        ("an address", Some(own.issue(&[address], Until::Later))),
        ("expired", Some(own.issue(&[PBX], Until::Long))),
        ("unsigned", Some(other.issue(&[PBX], Until::Later))),
    ] {
        let mut nobody = world.connect_showing(address, papers.as_ref());
        nobody.try_send(&world.options(what));
        assert_eq!(nobody.until_closed(), b"", "{what}");
    }
    for names in [&["PBX.acme.invalid"], &["sip:pbx.acme.invalid"]] {
        let papers = own.issue(names, Until::Later);
        world.pbx = world.connect_showing("127.0.0.29", Some(&papers));
        world.whole_call(&format!("shown{}", names[0].len()));
    }
    world.stop();
}

#[test]
fn who_is_known_by_a_certificate_may_come_from_anywhere() {
    let mut world = World::start(Version::V4, Over::Mutual);
    for (id, hangs_up) in [("theirs", false), ("own", true)] {
        let answer = world.answered_call("+442071838750", id);
        world.pbx.close();
        world.pbx = world.connect_from("127.0.0.29");
        if hangs_up {
            world.pbx.send(&within(&answer, "BYE", 2, &world.pbx.via()));
            world.pbx.expect("SIP/2.0 200 ");
            let bye = world.carrier.expect("BYE ");
            world.carrier.send(&response(&bye, "200 OK", &[]));
            continue;
        }
        // It only has to be there.
        world.pbx.send(&world.options("there"));
        world.pbx.expect("SIP/2.0 200 ");
        world.hang_up_as_carrier();
        let bye = world.pbx.expect("BYE ");
        assert_eq!(header(&bye, "Call-ID"), format!("{id}@pbx"));
        world.pbx.send(&response(&bye, "200 OK", &[]));
    }
    world.stop();
}

#[test]
fn new_certificates_are_taken_and_no_connection_is_dropped() {
    let mut world = World::start(Version::V4, Over::Tls);
    let mut open: Vec<_> = (0..300)
        .map(|number| {
            let mut pbx = world.connect_pbx();
            pbx.send(&world.options(&format!("before{number}")));
            pbx.expect("SIP/2.0 200 ");
            pbx
        })
        .collect();
    let answer = world.answered_call("+442071838750", "reloaded");
    let other = Authority::new();
    world.show(other.issue(&["127.0.0.21"], Until::Later));
    for (pbx, number) in open.iter_mut().zip(0..) {
        pbx.send(&world.options(&format!("after{number}")));
        pbx.expect("SIP/2.0 200 ");
    }
    world.pbx.send(&within(&answer, "BYE", 2, &world.pbx.via()));
    world.pbx.expect("SIP/2.0 200 ");
    let bye = world.carrier.expect("BYE ");
    world.carrier.send(&response(&bye, "200 OK", &[]));
    // Who connects now is shown the new one.
    let mut trusting = world.connect_trusting(&other, "127.0.0.23", None);
    trusting.send(&world.options("trusting"));
    trusting.expect("SIP/2.0 200 ");
    let mut others = world.connect_pbx();
    others.try_send(&world.options("others"));
    assert_eq!(others.until_closed(), b"");
    world.stop();
}

#[test]
fn who_has_no_name_any_more_is_closed() {
    let mut world = World::start(Version::V4, Over::Mutual);
    world.whole_call("known");
    world.know_as("pbx.other.invalid");
    assert_eq!(world.pbx.until_closed(), b"");
    let mut again = world.connect_pbx();
    again.try_send(&world.options("again"));
    assert_eq!(again.until_closed(), b"");
    world.know_as(PBX);
    world.pbx = world.connect_pbx();
    world.whole_call("again");
    world.stop();
}

#[test]
fn tls_may_come_byte_by_byte() {
    let world = World::start(Version::V4, Over::Tls);
    let mut pbx = world.connect_dribbling();
    for id in ["first", "second"] {
        pbx.send(&world.options(id));
        pbx.expect("SIP/2.0 200 ");
    }
    world.stop();
}
