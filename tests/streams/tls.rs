//! What is TLS's own: certificates that are good and others, what is no TLS, `sips:`.

use std::rc::Rc;

use super::SILENCE;
use super::certificates::{Authority, Until};
use super::text::{header, response, within};
use super::world::{Over, PBX, Version, World};

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
