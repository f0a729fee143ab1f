//! Session timers (RFC 4028) whose refresh is late or not answered.

use super::*;

#[test]
fn an_open_invite_does_not_starve_the_session_timer() {
    let mut world = World::new();
    let invite_out = world.send(PBX, &invite("+442071838750", "a1"))[1].1.clone();
    let session = "Contact: <sip:127.0.0.2:5070>\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\n\
                   Require: timer\nSession-Expires: 180;refresher=uac\n";
    let sent = world.send(CARRIER, &answer(&invite_out, "200 OK", "c", session));
    let tagged = header(&sent[0].1, "To").to_owned();
    let in_dialog = |method: &str, cseq: u32| {
        invite("+442071838750", "a1")
            .replace(
                "To: <sip:+442071838750@127.0.0.1>",
                &format!("To: {tagged}"),
            )
            .replace("z9hG4bKa1", &format!("z9hG4bK{method}{cseq}"))
            .replace("INVITE", method)
            .replace("CSeq: 1", &format!("CSeq: {cseq}"))
    };
    world.send(PBX, &in_dialog("ACK", 1));
    let sent = world.pass(80);
    assert!(!sent.iter().any(|(to, _)| to == CARRIER), "{sent:#?}");

    let sent = world.send(PBX, &in_dialog("INVITE", 2));
    let change = sent.iter().find(|(to, _)| to == CARRIER).unwrap();
    assert!(change.1.starts_with("INVITE "), "{change:?}");
    world.send(CARRIER, &answer(&change.1, "100 Trying", "c", ""));
    let sent = world.pass(12);
    let (to, update) = sent.first().expect("a refresh in time");
    assert_eq!(to, CARRIER);
    assert!(update.starts_with("UPDATE "), "{update}");
    world.send(CARRIER, &answer(update, "200 OK", "c", session));
    world.take(Input::Command(Command::HangUpAll));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

/// A carrier that knows no UPDATE says 100 to a refresh, and no more.
#[test]
fn a_refresh_without_an_answer_ends_the_call() {
    let mut world = World::new();
    let invite_out = world.send(PBX, &invite("+442071838750", "r1"))[1].1.clone();
    let session = "Contact: <sip:127.0.0.2:5070>\nAllow: INVITE, ACK, BYE, CANCEL\n\
                   Require: timer\nSession-Expires: 180;refresher=uac\n";
    let sent = world.send(CARRIER, &answer(&invite_out, "200 OK", "c", session));
    let tagged = header(&sent[0].1, "To").to_owned();
    let ack = invite("+442071838750", "r1")
        .replace(
            "To: <sip:+442071838750@127.0.0.1>",
            &format!("To: {tagged}"),
        )
        .replace("INVITE", "ACK");
    world.send(PBX, &ack);
    let sent = world.pass(91);
    let refresh = &sent.iter().find(|(to, _)| to == CARRIER).unwrap().1;
    assert!(refresh.starts_with("INVITE "), "{refresh}");
    world.send(CARRIER, &answer(refresh, "100 Trying", "c", ""));
    let sent = world.pass(40);
    let bye = sent.iter().find(|(to, _)| to == CARRIER);
    assert!(bye.unwrap().1.starts_with("BYE "), "{sent:#?}");
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
    assert_eq!(world.counters.live(), 0);
}

/// RFC 3261 §8.2.2.3 holds inside a dialog, too; but who hangs up is done.
#[test]
fn what_nobody_here_knows_cannot_be_required_inside_a_dialog() {
    let mut world = World::new();
    let opening = invite("+442071838750", "q1");
    let out = world.send(PBX, &opening)[1].1.clone();
    let contact = "Contact: <sip:127.0.0.2:5070>\n";
    let sent = world.send(CARRIER, &answer(&out, "200 OK", "c", contact));
    let tagged = header(&sent[0].1, "To").to_owned();
    let inside = |method: &str, cseq: u32| {
        let to = "To: <sip:+442071838750@127.0.0.1>";
        opening
            .replace(to, &format!("To: {tagged}\nRequire: no-such-thing"))
            .replace("1 INVITE", &format!("{cseq} INVITE"))
            .replace("z9hG4bKq1", &format!("z9hG4bK{method}{cseq}"))
            .replace("INVITE", method)
    };
    for (method, cseq) in [("INVITE", 2), ("UPDATE", 3), ("INFO", 4), ("OPTIONS", 5)] {
        let sent = world.send(PBX, &inside(method, cseq));
        assert_eq!(sent.len(), 1, "{method}: {sent:#?}");
        assert!(sent[0].1.starts_with("SIP/2.0 420 "), "{method}: {sent:#?}");
        assert_eq!(header(&sent[0].1, "Unsupported"), "no-such-thing");
    }
    let sent = world.send(PBX, &inside("BYE", 6));
    assert!(
        sent.iter()
            .any(|(_, text)| text.starts_with("SIP/2.0 200 ")),
        "{sent:#?}"
    );
    assert!(
        sent.iter()
            .any(|(to, text)| to == CARRIER && text.starts_with("BYE ")),
        "{sent:#?}"
    );
}
