//! Requests inside the dialogs that are under way when a life ends.

use super::*;

const OFFER: &str = "v=0 of the phone system";
const ANSWER: &str = "v=0 of the carrier";

/// The message with a session description.
fn with(message: &str, body: &str) -> String {
    let length = format!(
        "Content-Type: application/sdp\nContent-Length: {}",
        body.len()
    );
    message.replace("Content-Length: 0", &length) + body
}

/// The message among these to this peer that begins so.
fn to<'a>(sent: &'a [(String, String)], whom: &str, begins: &str) -> &'a str {
    let found = sent
        .iter()
        .find(|(to, text)| to == whom && text.starts_with(begins));
    &found.unwrap_or_else(|| panic!("{begins}: {sent:#?}")).1
}

impl World {
    /// The phone system's re-INVITE, as far as the carrier. Returns both.
    fn reinvited(&mut self, talk: &Talk, branch: &str) -> (String, String) {
        let asked = with(&talk.of_pbx("INVITE", 2, branch), OFFER);
        let sent = self.send(PBX, &asked);
        assert_eq!(lines(&sent), ["pbx SIP/2.0 100 Trying", "carrier INVITE"]);
        (asked, sent[1].1.clone())
    }

    /// The call is up on both sides, and the carrier can end it.
    fn ends(&mut self, talk: &Talk) {
        let sent = self.send(CARRIER, &talk.of_carrier("BYE", 70));
        assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK", "pbx BYE"]);
        self.send(PBX, &answer(&sent[1].1, "200 OK", "", ""));
        self.rest();
        assert_eq!(self.shard.counts(), Counts::default());
    }
}

/// The carrier's 200 to a re-INVITE.
fn accepted(carried: &str) -> String {
    with(
        &answer(carried, "200 OK", "c", "Contact: <sip:127.0.0.2:5070>\n"),
        ANSWER,
    )
}

#[test]
fn an_answer_that_comes_after_a_restart_reaches_who_asked() {
    for restarts in 1..3 {
        let mut world = World::new();
        let talk = world.established("a1");
        let (asked, carried) = world.reinvited(&talk, "a1");
        for _ in 0..restarts {
            // It has no other way to know that it is heard.
            assert_eq!(lines(&world.crash(1)), ["pbx SIP/2.0 100 Trying"]);
        }
        let sent = world.send(CARRIER, &accepted(&carried));
        let told = to(&sent, PBX, "SIP/2.0 200");
        assert_eq!(header(told, "Via"), header(&asked, "Via"));
        assert!(told.ends_with(ANSWER), "{told}");
        let sent = world.send(PBX, &talk.of_pbx("ACK", 2, "a1"));
        let ack = to(&sent, CARRIER, "ACK ");
        let [of_ack, of_invite] = [ack, &carried].map(|it| header(it, "CSeq"));
        assert_eq!(of_ack.replace("ACK", "INVITE"), of_invite);
        // It is over, also after a further restart.
        assert!(world.crash(1).is_empty());
        assert!(world.pass(20).iter().all(|(to, _)| to == CARRIER));
        world.ends(&talk);
    }
}

#[test]
fn an_answer_that_was_on_its_way_at_a_restart_is_acknowledged_once_by_who_asked() {
    let mut world = World::new();
    let talk = world.established("a1");
    let (_, carried) = world.reinvited(&talk, "a1");
    world.send(CARRIER, &accepted(&carried));
    world.crash(1);
    // The ACK comes before the answer comes again.
    let sent = world.send(PBX, &talk.of_pbx("ACK", 2, "a1"));
    assert_eq!(lines(&sent), ["carrier ACK"]);
    assert!(world.crash(1).is_empty());
    // It crossed the next copy.
    let sent = world.send(CARRIER, &accepted(&carried));
    assert_eq!(lines(&sent), ["carrier ACK"]);
    world.ends(&talk);
}

#[test]
fn a_refusal_that_comes_after_a_restart_reaches_who_asked_and_is_given_again() {
    let mut world = World::new();
    let talk = world.established("a1");
    let (asked, carried) = world.reinvited(&talk, "a1");
    world.crash(1);
    let refusal = answer(&carried, "488 Not Acceptable Here", "c", "");
    let sent = world.send(CARRIER, &refusal);
    assert_eq!(
        lines(&sent),
        ["carrier ACK", "pbx SIP/2.0 488 Not Acceptable Here"]
    );
    // Who asked may not have got it.
    let sent = world.crash(1);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 488 Not Acceptable Here"]);
    assert_eq!(header(&sent[0].1, "Via"), header(&asked, "Via"));
    world.crash(40);
    assert!(world.crash(1).is_empty());
    world.ends(&talk);
}

#[test]
fn a_change_that_nobody_has_heard_of_may_be_tried_again_soon() {
    let mut world = World::new();
    let talk = world.established("a1");
    let (asked, carried) = world.reinvited(&talk, "a1");
    world.crash(1);
    assert!(world.pass(7).is_empty());
    let sent = world.pass(2);
    let cancel = to(&sent, CARRIER, "CANCEL ");
    assert_eq!(header(cancel, "Via"), header(&carried, "Via"));
    world.send(
        CARRIER,
        &answer(cancel, "481 Call/Transaction Does Not Exist", "c", ""),
    );
    let sent = world.pass(4);
    let told = to(&sent, PBX, "SIP/2.0 500");
    assert_eq!(header(told, "Via"), header(&asked, "Via"));
    assert_eq!(header(told, "Retry-After"), "5");
    world.send(
        PBX,
        &talk.of_pbx("ACK", 2, "a1").replace("a1ACK2", "a1INVITE2"),
    );
    // The call goes on, with a number that was not used.
    world.pass(40);
    let sent = world.send(PBX, &with(&talk.of_pbx("INVITE", 3, "a1"), OFFER));
    let number = |text: &str| -> u32 {
        header(text, "CSeq")
            .split_once(' ')
            .unwrap()
            .0
            .parse()
            .unwrap()
    };
    assert!(number(to(&sent, CARRIER, "INVITE ")) > number(&carried));
}

#[test]
fn a_change_that_is_cancelled_after_a_restart_holds_on_neither_side() {
    let mut world = World::new();
    let talk = world.established("a1");
    let (asked, carried) = world.reinvited(&talk, "a1");
    world.crash(1);
    let cancel = asked
        .replace("2 INVITE", "2 CANCEL")
        .replace("INVITE sip", "CANCEL sip");
    let sent = world.send(PBX, &cancel);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK", "carrier CANCEL"]);
    let sent = world.send(
        CARRIER,
        &answer(&carried, "487 Request Terminated", "c", ""),
    );
    assert_eq!(
        lines(&sent),
        ["carrier ACK", "pbx SIP/2.0 487 Request Terminated"]
    );
    world.ends(&talk);
}

#[test]
fn a_challenge_after_a_restart_is_not_answered_without_the_offer() {
    let mut world = World::new();
    let talk = world.established("a1");
    let (_, carried) = world.reinvited(&talk, "a1");
    world.crash(1);
    let more = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\"\n";
    let sent = world.send(CARRIER, &answer(&carried, "401 Unauthorized", "c", more));
    assert_eq!(
        lines(&sent),
        ["carrier ACK", "pbx SIP/2.0 500 Server Internal Error"]
    );
    world.ends(&talk);
}

#[test]
fn a_request_that_is_repeated_after_a_restart_is_the_same_one_to_who_has_it() {
    for (method, body) in [("INFO", ""), ("UPDATE", OFFER)] {
        let mut world = World::new();
        let talk = world.established("q1");
        let asked = match body {
            "" => talk.of_pbx(method, 2, "q1"),
            body => with(&talk.of_pbx(method, 2, "q1"), body),
        };
        let first = world.send(PBX, &asked);
        assert_eq!(lines(&first), [format!("carrier {method}")]);
        world.crash(1);
        let again = world.send(PBX, &asked);
        assert_eq!(first, again);
        let sent = world.send(CARRIER, &answer(&again[0].1, "200 OK", "c", ""));
        assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK"]);
        // Another one with its number is not it, and one that is older is old.
        world.crash(1);
        let other = talk.of_pbx("OPTIONS", 2, "q1").replace("OPTIONS", "INFO");
        let sent = world.send(PBX, &other.replace("q1INFO2", "q1other2"));
        assert_eq!(lines(&sent), ["pbx SIP/2.0 500 Server Internal Error"]);
        let sent = world.send(PBX, &talk.of_pbx("INFO", 1, "q1"));
        assert_eq!(lines(&sent), ["pbx SIP/2.0 500 Server Internal Error"]);
        world.ends(&talk);
    }
}

#[test]
fn a_refresh_that_is_repeated_after_a_restart_is_answered() {
    let mut world = World::new();
    let talk = world.established("q1");
    let refresh = talk.of_carrier("UPDATE", 5);
    let first = world.send(CARRIER, &refresh);
    assert_eq!(lines(&first), ["carrier SIP/2.0 200 OK"]);
    world.crash(1);
    let again = world.send(CARRIER, &refresh);
    assert_eq!(lines(&again), ["carrier SIP/2.0 200 OK"]);
    world.ends(&talk);
}
