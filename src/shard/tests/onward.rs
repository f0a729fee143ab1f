//! A carrier that does not answer, and another behind it.

use super::*;

pub(super) const SECOND: &str = "127.0.0.4:5070";

/// Two carriers; the second takes numbers as Japan dials them.
pub(super) const TWO: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
[[carrier]]
name = "second"
address = "udp:127.0.0.4:5070"
sources = ["127.0.0.4/32"]
number_format = "national"
"#;

const NUMBER: &str = "+442071838750";

/// A tenant of both, that may have so many calls at once.
pub(super) fn both(calls: u32) -> String {
    let tenant = TENANT.replace("carriers = [\"upstream\"]\n", "");
    tenant.replace("calls_at_once = 1", &format!("calls_at_once = {calls}"))
}

pub(super) fn world(calls: u32) -> World {
    World::with(TWO, &both(calls))
}

/// Who gets what: the peer's host, and the method or the code.
pub(super) fn gist(sent: &[(String, String)]) -> Vec<String> {
    let gist = |(to, text): &(String, String)| {
        let line = text.lines().next().unwrap();
        let word = line.strip_prefix("SIP/2.0 ").unwrap_or(line);
        let host = match to.as_str() {
            PBX => "pbx",
            CARRIER => "first",
            SECOND => "second",
            other => other,
        };
        format!("{host} {}", word.split(' ').next().unwrap())
    };
    sent.iter().map(gist).collect()
}

/// The INVITE to this peer.
pub(super) fn to(sent: &[(String, String)], peer: &str) -> String {
    let mut sent = sent.iter();
    let found = sent.find(|(to, text)| to == peer && text.starts_with("INVITE"));
    found.expect("an INVITE").1.clone()
}

const OK: &str = "Contact: <sip:c@127.0.0.4:5070>\n";

/// A request of the phone system's in the dialog of this answer.
fn of_pbx(answered: &str, method: &str, branch: &str, cseq: u32) -> String {
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{branch}{method}\n\
         Max-Forwards: 70\nFrom: {}\nTo: {}\nCall-ID: {branch}@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n",
        header(answered, "From"),
        header(answered, "To"),
    )
}

/// The call is answered by the second carrier, and goes its way to its end.
fn talks_at_the_second(world: &mut World, invited: &str, branch: &str) {
    let sent = world.send(SECOND, &answer(invited, "200 OK", "b", OK));
    assert_eq!(gist(&sent), ["pbx 200"]);
    let answered = sent[0].1.clone();
    let sent = world.send(PBX, &of_pbx(&answered, "ACK", branch, 1));
    assert_eq!(gist(&sent), ["second ACK"]);
    let sent = world.send(PBX, &of_pbx(&answered, "BYE", branch, 2));
    assert_eq!(gist(&sent), ["pbx 200", "second BYE"]);
    world.send(SECOND, &answer(&sent[1].1, "200 OK", "b", ""));
}

#[test]
fn a_carrier_out_of_service_gives_way_to_the_next() {
    // One call at once: the first attempt's place is free again.
    let mut world = world(1);
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(gist(&sent), ["pbx 100", "first INVITE"]);
    let first = to(&sent, CARRIER);
    world.send(CARRIER, &answer(&first, "100 Trying", "", ""));
    let sent = world.send(CARRIER, &answer(&first, "503 Out", "a", ""));
    assert_eq!(gist(&sent), ["first ACK", "second INVITE"], "{sent:#?}");
    let second = to(&sent, SECOND);
    assert!(
        second.starts_with("INVITE sip:010442071838750@127.0.0.4:5070 "),
        "{second}"
    );
    assert!(header(&second, "To").contains("010442071838750@127.0.0.4:5070"));
    assert_ne!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    for same in [
        "Max-Forwards",
        "Contact",
        "Supported",
        "Allow",
        "P-Asserted-Identity",
        "Session-Expires",
    ] {
        assert_eq!(header(&first, same), header(&second, same), "{same}");
    }
    assert!(second.ends_with("\r\n\r\nv=0\r\n"));
    talks_at_the_second(&mut world, &second, "a1");
    assert_eq!(world.counters.places(), 0);
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_carrier_that_says_nothing_gives_way_and_is_hung_up_if_it_answers_late() {
    let mut world = world(2);
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    let first = to(&sent, CARRIER);
    let sent = world.pass_for(Duration::from_millis(1_499));
    assert_eq!(gist(&sent), ["first INVITE"]);
    let sent = world.pass_for(Duration::from_millis(2));
    let second = to(&sent, SECOND);
    talks_at_the_second(&mut world, &second, "a1");
    // The first one still holds its place, and its lease.
    assert_ne!(world.counters.places(), 0);
    let sent = world.send(
        CARRIER,
        &answer(&first, "200 OK", "a", "Contact: <sip:127.0.0.2:5070>\n"),
    );
    assert_eq!(gist(&sent), ["first ACK", "first BYE"]);
    let sent = world.send(CARRIER, &answer(&sent[1].1, "200 OK", "a", ""));
    assert!(sent.is_empty());
    assert_eq!(world.counters.places(), 0);
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_carrier_that_rings_late_is_cancelled() {
    let mut world = world(2);
    let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
    let second = to(&world.pass(2), SECOND);
    let sent = world.send(CARRIER, &answer(&first, "180 Ringing", "a", OK));
    assert_eq!(gist(&sent), ["first CANCEL"]);
    let sent = world.send(SECOND, &answer(&second, "180 Ringing", "b", OK));
    assert_eq!(gist(&sent), ["pbx 180"]);
    // The caller takes it back.
    let cancel = invite(NUMBER, "a1").replace("INVITE", "CANCEL");
    let sent = world.send(PBX, &cancel);
    assert_eq!(gist(&sent), ["pbx 200", "pbx 487", "second CANCEL"]);
    let sent = world.send(SECOND, &answer(&second, "487 Gone", "b", ""));
    assert_eq!(gist(&sent), ["second ACK"]);
    let sent = world.send(CARRIER, &answer(&first, "487 Gone", "a", ""));
    assert_eq!(gist(&sent), ["first ACK"]);
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn without_room_for_another_attempt_the_call_waits_where_it_is() {
    let mut world = world(1);
    world.send(PBX, &invite(NUMBER, "a1"));
    let sent = world.pass(31);
    assert!(
        !gist(&sent).contains(&"second INVITE".to_owned()),
        "{sent:#?}"
    );
    // Its INVITE has timed out, and its place is free.
    let sent = world.pass(2);
    assert!(
        gist(&sent).contains(&"second INVITE".to_owned()),
        "{sent:#?}"
    );
    let second = to(&sent, SECOND);
    let sent = world.send(SECOND, &answer(&second, "486 Busy", "b", ""));
    assert_eq!(gist(&sent), ["second ACK", "pbx 486"]);
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn nothing_goes_on_that_rang_or_was_refused_for_itself() {
    for (before, last) in [
        (Some("180 Ringing"), "503 Out"),
        (Some("183 Progress"), "408 Late"),
        (None, "486 Busy"),
        (None, "500 Oops"),
        (Some("100 Trying"), "404 Nobody"),
    ] {
        let mut world = world(2);
        let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
        if let Some(before) = before {
            world.send(CARRIER, &answer(&first, before, "a", OK));
        }
        let sent = world.send(CARRIER, &answer(&first, last, "a", ""));
        let told = format!("pbx {}", &last[..3]);
        assert_eq!(gist(&sent), ["first ACK".to_owned(), told]);
        world.rest();
        assert_eq!(world.counters.live(), 0);
    }
}

#[test]
fn an_emergency_call_tries_every_carrier() {
    // Even those that its tenant does not name.
    let mut world = World::with(TWO, TENANT);
    let first = to(&world.send(PBX, &invite("119", "e1")), CARRIER);
    let sent = world.send(CARRIER, &answer(&first, "486 Busy", "a", ""));
    assert_eq!(gist(&sent), ["first ACK", "second INVITE"]);
    let second = to(&sent, SECOND);
    assert!(second.starts_with("INVITE sip:119@127.0.0.4:5070 "));
    let sent = world.send(SECOND, &answer(&second, "404 Nobody", "b", ""));
    assert_eq!(gist(&sent), ["second ACK", "pbx 503"]);
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_call_that_was_let_in_by_other_rules_stays_where_it_is() {
    for new in [true, false] {
        let mut world = world(2);
        let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
        let same = compiled(TWO, &both(2), &world.counters);
        if new {
            world.take(Input::Command(Command::Rules(same)));
        }
        let sent = world.send(CARRIER, &answer(&first, "503 Out", "a", ""));
        assert_eq!(gist(&sent).contains(&"pbx 503".to_owned()), new);
    }
}

#[test]
fn a_restart_goes_on_with_the_attempt_that_was_answered_alone() {
    let mut world = world(2);
    let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
    let second = to(&world.pass(2), SECOND);
    let sent = world.send(SECOND, &answer(&second, "200 OK", "b", OK));
    let answered = sent[0].1.clone();
    world.send(PBX, &of_pbx(&answered, "ACK", "a1", 1));
    let sent = world.crash(3);
    // The one that was left behind may ring: it is taken back.
    assert_eq!(gist(&sent), ["first CANCEL"]);
    let late = "Contact: <sip:127.0.0.2:5070>\n";
    let sent = world.send(CARRIER, &answer(&first, "200 OK", "a", late));
    assert_eq!(gist(&sent), ["first ACK", "first BYE"], "{sent:#?}");
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "a", ""));
    world.pass(100);
    // The call is still up, and its caller can end it.
    let sent = world.send(PBX, &of_pbx(&answered, "BYE", "a1", 2));
    assert!(gist(&sent).contains(&"second BYE".to_owned()), "{sent:#?}");
    let (_, bye) = sent
        .iter()
        .find(|(_, text)| text.starts_with("BYE"))
        .unwrap();
    world.send(SECOND, &answer(bye, "200 OK", "b", ""));
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_restart_in_set_up_tells_the_caller_once() {
    let mut world = world(2);
    world.send(PBX, &invite(NUMBER, "a1"));
    world.pass(2);
    let sent = world.crash(1);
    let told = gist(&sent);
    let told = told.iter().filter(|it| it.starts_with("pbx"));
    assert_eq!(told.collect::<Vec<_>>(), ["pbx 603"], "{sent:#?}");
    world.pass(4_000);
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_carrier_that_asks_for_a_longer_session_is_there() {
    let mut world = world(2);
    let first = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
    let sent = world.send(CARRIER, &answer(&first, "422 Short", "a", "Min-SE: 400\n"));
    assert_eq!(gist(&sent), ["first ACK", "first INVITE"]);
    let again = to(&sent, CARRIER);
    assert!(gist(&world.pass(3)).iter().all(|it| it == "first INVITE"));
    // Out of service all the same.
    let sent = world.send(CARRIER, &answer(&again, "503 Out", "a", ""));
    assert_eq!(gist(&sent), ["first ACK", "second INVITE"]);
}
