//! Phone systems that register anew, from elsewhere or as something else.

use super::*;

/// Registers from another port of its own, as behind a translation that has changed.
fn moves(world: &mut World) -> String {
    let moved = HOME.replace("5060", "6000");
    let asked = register("r3", CONTACT).replace("CSeq: 7 ", "CSeq: 8 ");
    let sent = world.send(&moved, &asked);
    let sent = world.send(&moved, &proved(&asked, &sent[0].1, &ACCOUNT));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:#?}");
    moved
}

#[test]
fn who_registers_from_elsewhere_goes_on_with_its_calls() {
    for crashes in [false, true] {
        let mut world = world();
        registers(&mut world, CONTACT);
        let (_, inward) = comes_in(&mut world);
        let contact = "Contact: <sip:desk@203.0.113.5:5060>\n";
        let sent = world.send(HOME, &answer(&inward, "200 OK", "p", contact));
        let ok = sent.iter().find(|it| it.0 == CARRIER).unwrap().1.clone();
        let [asks, knows] = ["From", "To"].map(|name| header(&ok, name).to_owned());
        let target = header(&ok, "Contact").trim_matches(['<', '>']).to_owned();
        let ack = format!(
            "ACK {target} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER};branch=z9hG4bKack\nFrom: {asks}\n\
             To: {knows}\nCall-ID: {}\nCSeq: 1 ACK\nMax-Forwards: 70\nContent-Length: 0\n\n",
            header(&ok, "Call-ID")
        );
        world.send(CARRIER, &ack);
        let moved = moves(&mut world);
        if crashes {
            let sent = world.crash(1);
            assert!(!sent.iter().any(|it| it.1.starts_with("BYE ")), "{sent:#?}");
        }
        let target = header(&inward, "Contact")
            .trim_matches(['<', '>'])
            .to_owned();
        let bye = format!(
            "BYE {target} SIP/2.0\nVia: SIP/2.0/UDP {moved};branch=z9hG4bKbye;rport\nFrom: {};tag=p\n\
             To: {}\nCall-ID: {}\nCSeq: 1 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n",
            header(&inward, "To"),
            header(&inward, "From"),
            header(&inward, "Call-ID")
        );
        let sent = world.send(&moved, &bye);
        let [(back, answered), (on, passed)] = sent.as_slice() else {
            panic!("{crashes}: {sent:#?}")
        };
        assert!(
            *back == moved && answered.starts_with("SIP/2.0 200 "),
            "{answered}"
        );
        assert!(
            on.starts_with("127.0.0.2:") && passed.starts_with("BYE "),
            "{passed}"
        );
        assert!(world.send("198.51.100.1:5060", &bye).is_empty());
    }
}

#[test]
fn how_often_an_account_changes_has_a_limit() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let mut refused = String::new();
    for cseq in 8..60 {
        let contact = format!("Contact: <sip:desk{cseq}@203.0.113.5:5060>\n");
        let text = registers_again(&mut world, cseq, &contact);
        if !text.starts_with("SIP/2.0 200 ") {
            refused = text;
        }
    }
    assert!(refused.starts_with("SIP/2.0 503 "), "{refused}");
    assert_eq!(header(&refused, "Retry-After"), "10");
    assert_eq!(world.bound, u32::from(crate::base::limits::BOUND_CHANGES));
    world.pass(10);
    let text = registers_again(&mut world, 60, CONTACT);
    assert!(text.starts_with("SIP/2.0 200 "), "{text}");
}
