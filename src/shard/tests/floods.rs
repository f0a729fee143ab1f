//! Nobody who is known can fill the memory with long messages.

use super::*;

const ROOM: usize = 300_000;
const RESERVE: usize = 100_000;

/// Vias of 49 hops before the sender: almost all that an answer may repeat.
fn hops() -> String {
    format!("Via: SIP/2.0/UDP {};branch=z9hG4bKx\n", "h".repeat(110)).repeat(49)
}

/// Where it goes through, a request comes to this.
fn goes_out(sent: &[(String, String)]) -> Option<&str> {
    let mut there = sent.iter().filter(|(to, _)| to == CARRIER);
    there.next().map(|(_, text)| text.as_str())
}

/// Ten seconds of one kind of message, and of what the carrier answers to those
/// that it gets. Returns the most that was kept.
fn flood(name: &str, text: impl Fn(usize) -> String, says: impl Fn(&str) -> Option<String>) {
    let mut world = World::new();
    world.shard.calls.limit_bytes(ROOM, RESERVE);
    let (mut most, mut longest) = (0, 0);
    for at in 0..100 {
        let text = text(at);
        longest = longest.max(text.len());
        let sent = world.send(PBX, &text);
        let said = goes_out(&sent).and_then(&says);
        most = most.max(world.shard.counts().bytes);
        if let Some(said) = said {
            longest = longest.max(said.len());
            world.send(CARRIER, &said);
            most = most.max(world.shard.counts().bytes);
        }
        if at % 10 == 9 {
            world.pass(1);
        }
    }
    let emergency = name.starts_with("emergency");
    let least = if emergency { ROOM } else { ROOM / 2 };
    assert!(most > least, "{name}: {most}");
    // The last that is let in comes whole, since there is room.
    assert!(most <= ROOM + RESERVE + longest, "{name}: {most}");
    if !emergency {
        // Others' requests are taken all the same.
        let sent = world.send(PBX, &invite("+442071838750", "other"));
        assert!(!sent.is_empty(), "{name}");
        let sent = world.send(PBX, &invite("110", "help"));
        assert!(goes_out(&sent).is_some(), "{name}: {sent:#?}");
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default(), "{name}");
    let sent = world.send(PBX, &invite("+442071838750", "after"));
    assert!(goes_out(&sent).is_some(), "{name}: {sent:#?}");
}

fn method(method: &str, at: usize) -> String {
    let text = invite("+442071838750", &format!("f{at}"));
    let text = text.replace("INVITE", method);
    text.replacen("Max-Forwards", &format!("{}Max-Forwards", hops()), 1)
}

#[test]
fn what_is_answered_at_once_is_kept_within_bounds() {
    for kind in ["OPTIONS", "BYE", "MESSAGE", "CANCEL"] {
        flood(kind, |at| method(kind, at), |_| None);
    }
    // Only one call at once is allowed.
    flood("INVITE", |at| method("INVITE", at), |_| None);
    let nowhere = |at| method("INVITE", at).replace("+44", "+232");
    flood("to nowhere", nowhere, |_| None);
}

/// A body of so many bytes in place of the usual one.
fn with_body(text: &str, length: usize) -> String {
    let body = format!("Content-Length: {length}\n\n{}", "v".repeat(length));
    text.replace("Content-Length: 5\n\nv=0\n", &body)
}

#[test]
fn what_waits_for_the_carrier_is_kept_within_bounds() {
    let calls =
        |length: usize| move |at: usize| with_body(&invite("110", &format!("e{at}")), length);
    flood("emergency", calls(12_000), |_| None);
    flood("emergency, long", calls(60_000), |_| None);
    let rings = |out: &str| {
        let text = answer(out, "183 Session Progress", "c", "");
        let body = format!("Content-Length: 20000\n\n{}", "v".repeat(20_000));
        Some(text.replace("Content-Length: 0\n\n", &body))
    };
    flood("emergency, ringing", calls(100), rings);
    let refuses = |out: &str| {
        let text = answer(out, "486 Busy Here", &"c".repeat(200), "");
        Some(text.replace("To: ", &format!("To: \"{}\" ", "c".repeat(20_000))))
    };
    flood("emergency, refused", calls(100), refuses);
}

/// Whoever hangs up is heard when there is no room for anything else.
#[test]
fn a_call_is_hung_up_in_the_last_of_the_room() {
    let mut world = World::new();
    let sent = world.send(PBX, &invite("+442071838750", "a1"));
    let out = goes_out(&sent).unwrap();
    let ok = answer(out, "200 OK", "c", "Contact: <sip:c@127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &ok);
    let to = format!("To: {}", header(&sent[0].1, "To"));
    world.shard.calls.limit_bytes(0, RESERVE);
    assert!(world.send(PBX, &method("OPTIONS", 1)).is_empty());
    let bye = |branch: &str| {
        let text = invite("+442071838750", "a1").replace("INVITE", "BYE");
        let text = text.replace("z9hG4bKa1", &format!("z9hG4bK{branch}"));
        text.replace("To: <sip:+442071838750@127.0.0.1>", &to)
            .replace("CSeq: 1", "CSeq: 2")
    };
    let sent = world.send(PBX, &bye("b1"));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:#?}");
    assert!(
        sent.iter()
            .any(|(to, text)| to == CARRIER && text.starts_with("BYE "))
    );
    assert!(
        world.send(PBX, &bye("b2")).is_empty(),
        "it is not up any more"
    );
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}
