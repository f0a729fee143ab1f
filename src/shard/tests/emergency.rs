//! What an emergency call sends on of an INVITE that would be refused otherwise.

use super::*;
use crate::sip::HeaderId;

/// What reaches the carrier for an emergency INVITE with these fields in it, too.
fn leaves(more: &str) -> String {
    let mut world = World::new();
    let text = invite("119", "e1").replace("Supported:", &format!("{more}Supported:"));
    let sent = world.send(PBX, &text);
    let to_carrier = sent.into_iter().find(|(to, _)| to == CARRIER);
    to_carrier.unwrap_or_else(|| panic!("{text}")).1
}

/// It is a message that anybody reads.
fn sound(text: &str) {
    let message = scan(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    assert_eq!(message.fault(), None, "{text}");
}

#[test]
fn a_field_that_comes_twice_leaves_once() {
    for name in [
        "Content-Type",
        "Content-Disposition",
        "MIME-Version",
        "RSeq",
        "Max-Forwards",
    ] {
        let value = if name == "RSeq" { "7" } else { "70" };
        let field = format!("{name}: {value}\n");
        let text = leaves(&field.repeat(3));
        sound(&text);
        let id = HeaderId::lookup(name.as_bytes());
        assert!(id.single(), "{name}");
        let lines = text.lines().filter(|it| it.starts_with(name));
        assert!(lines.count() <= 1, "{text}");
    }
}

#[test]
fn no_call_leaves_with_more_fields_than_are_read() {
    for count in [40, 56, 300] {
        sound(&leaves(&"Accept: application/sdp\n".repeat(count)));
    }
    // Nor does any other call.
    let mut world = World::new();
    let text = invite("+442071838750", "o1");
    let fields = text.lines().take_while(|it| !it.is_empty()).count() - 1;
    let more = "Accept: application/sdp\n".repeat(crate::sip::scan::MAX_FIELDS - fields);
    let text = text.replace("Supported:", &format!("{more}Supported:"));
    for (_, text) in world.send(PBX, &text) {
        sound(&text);
    }
}

/// After most codes a phone system tries no other trunk (603), or not for long
/// (Retry-After).
#[test]
fn a_failed_emergency_call_is_503_whatever_the_carrier_says() {
    for status in [
        "300 Multiple Choices",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "408 Request Timeout",
        "480 Temporarily Unavailable",
        "484 Address Incomplete",
        "486 Busy Here",
        "488 Not Acceptable Here",
        "500 Server Error",
        "503 Unavailable",
        "600 Busy Everywhere",
        "603 Decline",
        "604 Nowhere",
        "606 Not Acceptable",
    ] {
        let mut world = World::new();
        let out = world.send(PBX, &invite("110", "e1"))[1].1.clone();
        let sent = world.send(CARRIER, &answer(&out, status, "c", "Retry-After: 3600\n"));
        let (_, failed) = sent.iter().find(|(to, _)| to == PBX).unwrap();
        assert!(failed.starts_with("SIP/2.0 503 "), "{status}: {failed}");
        assert!(!failed.contains("Retry-After"), "{status}: {failed}");
    }
    // It rings for ever.
    let mut world = World::new();
    world.send(PBX, &invite("110", "e1"));
    let sent = world.pass(40);
    let (_, failed) = sent.iter().find(|(to, _)| to == PBX).unwrap();
    assert!(failed.starts_with("SIP/2.0 503 "), "{failed}");
}

#[test]
fn a_stop_leaves_emergency_calls_up() {
    let mut world = World::new();
    let rings = world.send(PBX, &invite("110", "e1"))[1].1.clone();
    let talks = world.send(PBX, &invite("119", "e2"))[1].1.clone();
    let contact = "Contact: <sip:c@127.0.0.2:5070>\n";
    world.send(CARRIER, &answer(&talks, "200 OK", "c", contact));
    world.take(Input::Command(Command::Drain));
    let sent = world.take(Input::Command(Command::HangUpAll));
    assert!(sent.is_empty(), "{sent:#?}");
    let sent = world.send(CARRIER, &answer(&rings, "200 OK", "c", contact));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:#?}");
}

/// A whole call of a phone system that writes each message like this.
fn whole_call(name: &str, text: &str) {
    let mut world = World::new();
    let sent = world.send(PBX, text);
    let out = sent.iter().find(|(to, _)| to == CARRIER);
    let out = out.unwrap_or_else(|| panic!("{name}: {sent:#?}")).1.clone();
    sound(&out);
    let ok = answer(&out, "200 OK", "c", "Contact: <sip:c@127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &ok);
    let (to, answered) = &sent[0];
    assert_eq!(to, PBX, "{name}");
    let tagged = format!("To: {}\n", header(answered, "To"));
    assert!(tagged.contains(";tag="), "{name}: {answered}");
    let mut inside = |method: &str| {
        let lines = text
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("To:"));
        let text: String = lines.collect();
        let text = text.replacen(
            "INVITE sip:110@127.0.0.1",
            &format!("{method} sip:127.0.0.1:5060"),
            1,
        );
        let text = text
            .replace("INVITE", method)
            .replace("z9hG4bKe1", &format!("z9hG4bK{method}"));
        let text = text.replacen("Content-Length", &format!("{tagged}Content-Length"), 1);
        let sent = world.send(PBX, &text);
        let there = sent.iter().filter(|(to, _)| to == CARRIER);
        there
            .map(|(_, text)| text.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(inside("ACK"), ["ACK"], "{name}");
    assert_eq!(inside("BYE"), ["BYE"], "{name}");
    world.pass(120);
    assert_eq!(world.shard.counts(), Counts::default(), "{name}");
}

#[test]
fn an_emergency_call_goes_through_from_its_start_to_its_end_however_it_is_written() {
    let plain = invite("110", "e1");
    for (line, instead) in [
        ("From: ", "From: B\u{fc}ro <sip:a@b>;tag=1"),
        ("From: ", "From: Desk, 2 <sip:a@b>;tag=1"),
        ("From: ", "From: \"a <sip:a@b>;tag=1"),
        ("From: ", "From: <sip:a b@c>;tag=1"),
        ("From: ", "From: <sip:a@b>;tag=a;tag=a"),
        ("From: ", "From: 110"),
        ("From: ", "X-From: gone"),
        ("To: ", "To: \"Notruf <sip:110@x>"),
        ("To: ", "To: Notruf, Polizei <sip:110@x>"),
        ("To: ", "X-To: gone"),
        ("Max-Forwards: ", "Max-Forwards: 256"),
        ("Max-Forwards: ", "Max-Forwards: "),
        (
            "Via: ",
            "Via: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKe1;received=garbage;rport",
        ),
        (
            "Via: ",
            "Via: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKe1;ttl=999;rport",
        ),
        (
            "Via: ",
            "Via: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKe1;rport;;x",
        ),
        (
            "Via: ",
            "Via: SIP/2.0/UDP 127.0.0.3:0;branch=z9hG4bKe1;rport",
        ),
        (
            "Via: ",
            "Via: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKe1;rport=abc",
        ),
        ("Call-ID: ", "Call-ID: a b"),
        ("Call-ID: ", "Call-ID: \u{e9}"),
        ("CSeq: ", "CSeq: 2147483648 INVITE"),
        ("CSeq: ", "CSeq: 1 OPTIONS"),
        ("User-Agent: ", "User Agent: no name"),
    ] {
        let lines = plain
            .lines()
            .map(|it| if it.starts_with(line) { instead } else { it });
        let text: String = lines.map(|it| format!("{it}\n")).collect();
        whole_call(instead, &text);
    }
    let long = format!("Call-ID: {}", "c".repeat(600));
    whole_call(&long, &plain.replace("Call-ID: e1@pbx", &long));
}

/// Without a Call-ID nothing tells one call from the next but its branch.
#[test]
fn one_emergency_call_is_not_taken_for_another() {
    let mut world = World::new();
    for branch in ["e1", "e2"] {
        let text = invite("110", branch).replace(&format!(";tag=pbx{branch}"), "");
        let text = text.replace("Call-ID: ", "X-Call-ID: ");
        let sent = world.send(PBX, &text);
        assert!(sent.iter().any(|(to, _)| to == CARRIER), "{sent:#?}");
    }
}

/// Nobody but an emergency is read with such forbearance.
#[test]
fn no_other_call_is_let_in_for_what_is_wrong_with_it() {
    let mut world = World::new();
    let text = invite("+442071838750", "o1").replace("From: \"Desk\"", "From: Desk, 2");
    let sent = world.send(PBX, &text);
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:#?}");
    let text = invite("110", "o2").replace("From: \"Desk\"", "From: Desk, 2");
    let sent = world.send(CARRIER, &text);
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:#?}");
}
