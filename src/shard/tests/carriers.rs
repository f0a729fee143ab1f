//! Carriers that answer as no carrier should.

use super::*;

/// A request of the phone system's inside a dialog that `invite` opened, with the
/// To of its answer.
fn inside(branch: &str, to: &str, method: &str, cseq: u32) -> String {
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{branch}{method}{cseq}\n\
         Max-Forwards: 70\nFrom: \"Desk\" <sip:+81335570001@127.0.0.3>;tag=pbx{branch}\nTo: {to}\n\
         Call-ID: {branch}@pbx\nCSeq: {cseq} {method}\nContact: <sip:desk@127.0.0.3:5080>\nContent-Length: 0\n\n"
    )
}

/// The first lines of what goes to one side.
fn lines<'t>(sent: &'t [(String, String)], to: &str) -> Vec<&'t str> {
    let there = sent.iter().filter(|(there, _)| there == to);
    there.map(|(_, text)| kind(text)).collect()
}

/// A response's status line, or a request's method.
fn kind(text: &str) -> &str {
    let line = text.lines().next().unwrap();
    match line.strip_prefix("SIP/2.0 ") {
        Some(status) => status,
        None => line.split(' ').next().unwrap(),
    }
}

/// A day is more than any session timer may last.
const LASTING: &str = "Contact: <sip:c@127.0.0.2:5070>\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\n\
                       Require: timer\nSession-Expires: 4294967295;refresher=";

#[test]
fn a_session_for_ages_is_refreshed_and_ends_all_the_same() {
    for refresher in ["uac", "uas"] {
        let mut world = World::new();
        let own = "Session-Expires: 1800;refresher=uac\nSupported:";
        let text = invite("+442071838750", "s1").replace("Supported:", own);
        let out = world.send(PBX, &text)[1].1.clone();
        let ok = answer(&out, "200 OK", "c", &format!("{LASTING}{refresher}\n"));
        let sent = world.send(CARRIER, &ok);
        let to = header(&sent[0].1, "To").to_owned();
        world.send(PBX, &inside("s1", &to, "ACK", 1));
        let sent = world.pass(901);
        assert_eq!(lines(&sent, CARRIER)[..1], ["UPDATE"], "{sent:#?}");
        let (_, update) = sent.iter().find(|(to, _)| to == CARRIER).unwrap();
        let again = answer(update, "200 OK", "c", &format!("{LASTING}{refresher}\n"));
        world.send(CARRIER, &again);
        let sent = world.send(PBX, &inside("s1", &to, "BYE", 2));
        assert_eq!(lines(&sent, CARRIER), ["BYE"]);
        // Nobody answers it. Money stays reserved, but not for ages.
        world.pass(60);
        assert_ne!(world.counters.live(), 0);
        world.pass(1_900);
        assert_eq!(world.counters.live(), 0);
        assert_eq!(world.shard.counts(), Counts::default());
    }
}

#[test]
fn a_session_that_no_budget_pays_for_is_acknowledged_and_hung_up() {
    let budget = "[budget]\nper_day = \"JPY 120\"\nwhen_spent = \"hang_up\"\n";
    let tenant = TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    let mut world = World::of(&format!("{tenant}{budget}"));
    let out = world.send(PBX, &invite("+81335571234", "s1"))[1].1.clone();
    let ok = answer(&out, "200 OK", "c", &format!("{LASTING}uac\n"));
    let sent = world.send(CARRIER, &ok);
    assert_eq!(lines(&sent, PBX), ["200 OK"], "{sent:#?}");
    assert_eq!(lines(&sent, CARRIER), ["ACK", "BYE"], "{sent:#?}");
    // It has its ACK: it only wants it again.
    let again = world.send(CARRIER, &ok);
    assert_eq!(lines(&again, CARRIER), ["ACK"]);
    // The phone system's dialog ends once it is one (RFC 3261 §15).
    let to = header(&sent[0].1, "To").to_owned();
    let sent = world.send(PBX, &inside("s1", &to, "ACK", 1));
    assert_eq!(lines(&sent, PBX), ["BYE"], "{sent:#?}");
    world.pass(1_900);
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

/// A request of the carrier's in a dialog that it opened with this tag by its answer
/// to `invite`.
fn of_carrier(invite: &str, tag: &str, method: &str, cseq: u32) -> String {
    let [from, to, call_id] = ["To", "From", "Call-ID"].map(|name| header(invite, name));
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bK{tag}{method}{cseq}\n\
         Max-Forwards: 70\nFrom: {from};tag={tag}\nTo: {to}\nCall-ID: {call_id}\nCSeq: {cseq} {method}\n\
         Contact: <sip:{tag}@127.0.0.2:5070>\nContent-Type: application/sdp\nContent-Length: 5\n\nv=0\n"
    )
}

#[test]
fn each_fork_counts_its_requests_by_itself() {
    let mut world = World::new();
    let out = world.send(PBX, &invite("+442071838750", "f1"))[1].1.clone();
    let to = ["a", "b"].map(|fork| {
        let rings = format!("Contact: <sip:{fork}@127.0.0.2:5070>\nRequire: 100rel\nRSeq: 10\n");
        let sent = world.send(CARRIER, &answer(&out, "183 Progress", fork, &rings));
        header(&sent[0].1, "To").to_owned()
    });
    for (at, to) in to.iter().enumerate() {
        let prack = inside("f1", to, "PRACK", 2).replace("PRACK2", &format!("PRACK{at}"));
        let prack = prack.replace("Content-Length", "RAck: 10 1 INVITE\nContent-Length");
        let sent = world.send(PBX, &prack);
        let [(there, prack)] = sent.as_slice() else {
            panic!("{sent:#?}")
        };
        assert_eq!((there.as_str(), kind(prack)), (CARRIER, "PRACK"));
        world.send(CARRIER, &answer(prack, "200 OK", "", ""));
        // No request of the phone system's counts twice.
        let sent = world.send(PBX, &inside("f1", to, "INFO", 2));
        assert_eq!(lines(&sent, PBX), ["500 Server Internal Error"]);
    }
    let sent = world.send(CARRIER, &of_carrier(&out, "a", "UPDATE", 900));
    assert_eq!(lines(&sent, PBX), ["UPDATE"], "{sent:#?}");
    world.send(PBX, &answer(&sent[0].1, "200 OK", "", ""));
    let ok = answer(&out, "200 OK", "b", "Contact: <sip:b@127.0.0.2:5070>\n");
    world.send(CARRIER, &ok);
    world.send(PBX, &inside("f1", &to[1], "ACK", 1));
    let sent = world.send(PBX, &inside("f1", &to[1], "INFO", 2));
    assert_eq!(lines(&sent, PBX), ["500 Server Internal Error"]);
    let sent = world.send(CARRIER, &of_carrier(&out, "b", "INVITE", 1));
    assert_eq!(lines(&sent, PBX), ["INVITE"], "{sent:#?}");
}

#[test]
fn an_answer_without_a_tag_is_one_dialog_however_often_it_comes() {
    let mut world = World::new();
    let out = world.send(PBX, &invite("+442071838750", "t1"))[1].1.clone();
    let ok =
        answer(&out, "200 OK", "", "Contact: <sip:c@127.0.0.2:5070>\n").replace(";tag=\n", "\n");
    let sent = world.send(CARRIER, &ok);
    let to = header(&sent[0].1, "To").to_owned();
    assert!(
        world.send(CARRIER, &ok).is_empty(),
        "its ACK is not there yet"
    );
    let sent = world.send(PBX, &inside("t1", &to, "ACK", 1));
    assert_eq!(lines(&sent, CARRIER), ["ACK"]);
    let sent = world.send(CARRIER, &ok);
    assert_eq!(lines(&sent, CARRIER), ["ACK"], "{sent:#?}");
    // Nor when the INVITE's transaction is over.
    world.pass(40);
    let sent = world.send(CARRIER, &ok);
    assert_eq!(lines(&sent, CARRIER), ["ACK"], "{sent:#?}");
    let sent = world.send(PBX, &inside("t1", &to, "BYE", 2));
    let (_, bye) = sent.iter().find(|(to, _)| to == CARRIER).unwrap();
    assert!(!header(bye, "To").contains("tag"), "{bye}");
}

#[test]
fn what_a_carrier_says_of_its_way_never_keeps_a_bye_from_leaving() {
    let routes = format!(
        "Record-Route: <sip:127.0.0.2:5070;lr;x={}>\n",
        "y".repeat(60_000)
    );
    let contact = "Contact: <sip:c@127.0.0.2:5070>\n";
    let long = format!("Contact: <sip:{}@127.0.0.2:5070>\n", "c".repeat(60_000));
    for says in [format!("{routes}{contact}"), long.clone()] {
        let mut world = World::new();
        let out = world.send(PBX, &invite("+442071838750", "w1"))[1].1.clone();
        let sent = world.send(CARRIER, &answer(&out, "200 OK", "c", &says));
        let to = header(&sent[0].1, "To").to_owned();
        let mut sent = world.send(PBX, &inside("w1", &to, "ACK", 1));
        // Nor if it says so later on.
        let change = of_carrier(&out, "c", "INVITE", 1);
        let change = change.replace("Contact: <sip:c@127.0.0.2:5070>\n", &long);
        world.send(CARRIER, &change);
        sent.append(&mut world.send(PBX, &inside("w1", &to, "BYE", 2)));
        assert_eq!(lines(&sent, CARRIER)[..2], ["ACK", "BYE"], "{sent:#?}");
        assert!(
            sent.iter().all(|(_, text)| text.len() < 16_384),
            "{sent:#?}"
        );
    }
}

#[test]
fn who_hangs_up_without_an_ack_is_sent_no_further_200() {
    let mut world = World::new();
    let out = world.send(PBX, &invite("+442071838750", "n1"))[1].1.clone();
    let contact = "Contact: <sip:c@127.0.0.2:5070>\n";
    let sent = world.send(CARRIER, &answer(&out, "200 OK", "c", contact));
    let to = header(&sent[0].1, "To").to_owned();
    let sent = world.send(PBX, &inside("n1", &to, "BYE", 2));
    assert_eq!(lines(&sent, CARRIER), ["ACK", "BYE"], "{sent:#?}");
    assert_eq!(lines(&sent, PBX), ["200 OK"], "{sent:#?}");
    let sent = world.pass(60);
    assert!(lines(&sent, PBX).is_empty(), "{sent:#?}");
}

/// Nothing is kept of a request whose answer would be as long as itself.
#[test]
fn a_request_that_answers_would_have_to_repeat_at_length_is_forgotten() {
    let mut world = World::new();
    let hops = "Via: SIP/2.0/UDP h;branch=z9hG4bKx\n".repeat(40);
    let long = format!("Via: SIP/2.0/UDP {}\n", "h".repeat(200)).repeat(50);
    for (number, more, status) in [
        ("+442071838750", &hops, "100 Trying"),
        ("+442071838750", &long, "513 Message Too Large"),
        ("110", &long, "100 Trying"),
    ] {
        let text = invite(number, &format!("v{}", more.len()));
        let text = text.replace("Max-Forwards", &format!("{more}Max-Forwards"));
        let sent = world.send(PBX, &text);
        assert_eq!(lines(&sent, PBX)[0], status, "{number}");
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

/// RFC 3261 §12.1.1: in each answer that makes a dialog, or a proxy before the phone
/// system is not asked any more.
#[test]
fn the_way_that_a_call_came_is_said_in_all_its_answers() {
    let mut world = World::new();
    let ways = "<sip:near.example;lr>, <sip:far.example;lr>";
    let text = invite("+442071838750", "r1");
    let text = text.replace(
        "Max-Forwards",
        &format!("Record-Route: {ways}\nMax-Forwards"),
    );
    let out = world.send(PBX, &text)[1].1.clone();
    for status in ["180 Ringing", "200 OK"] {
        let sent = world.send(
            CARRIER,
            &answer(&out, status, "c", "Contact: <sip:c@127.0.0.2>\n"),
        );
        assert_eq!(header(&sent[0].1, "Record-Route"), ways, "{status}");
    }
    let refused = World::new().send(PBX, &text.replace("+442071838750", "+23276123456"));
    assert!(!refused[0].1.contains("Record-Route"));
}
