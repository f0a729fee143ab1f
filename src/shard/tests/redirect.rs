//! A carrier that redirects a call.

use super::onward::{SECOND, TWO, both, gist, to};
use super::*;

const DIALLED: &str = "+442071838750";
const OTHER: &str = "+442071838751";
const THIRD: &str = "+442071838752";
const DEAR: &str = "+23276123456";

/// A 302 with these Contacts.
fn redirected(invite: &str, contacts: &str) -> String {
    answer(invite, "302 Moved", "r", &format!("Contact: {contacts}\n"))
}

fn contact(number: &str) -> String {
    format!("<sip:{number}@203.0.113.9:5090;user=phone>")
}

/// A call to [`DIALLED`] that is under way: its INVITE.
fn called(world: &mut World) -> String {
    let sent = world.send(PBX, &invite(DIALLED, "a1"));
    world.verdicts.clear();
    to(&sent, CARRIER)
}

fn at_rest(mut world: World) {
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_redirection_is_a_call_of_its_own() {
    // One call at once: the first attempt's place is free again.
    let mut world = World::new();
    let first = called(&mut world);
    let sent = world.send(CARRIER, &redirected(&first, &contact(OTHER)));
    assert_eq!(gist(&sent), ["first ACK", "first INVITE"], "{sent:#?}");
    let second = to(&sent, CARRIER);
    assert!(
        second.starts_with("INVITE sip:+442071838751@127.0.0.2:5070;user=phone "),
        "{second}"
    );
    assert!(header(&second, "To").contains("+442071838751@127.0.0.2:5070"));
    for other in ["Call-ID", "From", "Via"] {
        assert_ne!(header(&first, other), header(&second, other), "{other}");
    }
    for same in ["Max-Forwards", "P-Asserted-Identity", "Session-Expires"] {
        assert_eq!(header(&first, same), header(&second, same), "{same}");
    }
    assert!(!second.contains("203.0.113.9"));
    let verdict = format!("Allow {OTHER}  sip:{OTHER}@203.0.113.9:5090;user=phone");
    assert_eq!(world.verdicts, [verdict]);
    let ok = answer(&second, "200 OK", "b", "Contact: <sip:127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &ok);
    assert_eq!(gist(&sent), ["pbx 200"]);
    let answered = sent[0].1.clone();
    let sent = world.send(PBX, &in_dialog(&answered, "ACK", 1));
    assert_eq!(gist(&sent), ["first ACK"]);
    let sent = world.send(PBX, &in_dialog(&answered, "BYE", 2));
    assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "b", ""));
    assert_eq!(world.counters.places(), 0);
    at_rest(world);
}

/// A request of the phone system's in the dialog of this answer.
fn in_dialog(answered: &str, method: &str, cseq: u32) -> String {
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{cseq}{method}\n\
         Max-Forwards: 70\nFrom: {}\nTo: {}\nCall-ID: a1@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n",
        header(answered, "From"),
        header(answered, "To"),
    )
}

#[test]
fn what_may_not_be_dialled_is_not_redirected_to() {
    for (contacts, number, reason) in [
        (contact(DEAR), DEAR, "destination-not-allowed"),
        (contact("1900"), "", "no-single-meaning"),
        ("<sip:proxy.example>".to_owned(), "", "no-single-meaning"),
        ("<mailto:a@b.example>".to_owned(), "", "no-single-meaning"),
        ("*".to_owned(), "", "no-single-meaning"),
        (
            format!("<sip:{OTHER}@127.0.0.2?Route=%3Csip:203.0.113.9%3E>"),
            "",
            "no-single-meaning",
        ),
        (
            format!("<sips:{OTHER}@203.0.113.9>"),
            OTHER,
            "sips-without-tls",
        ),
        // Where it has been, and where nobody has dialled to.
        (contact(DIALLED), DIALLED, "redirect-not-followed"),
        (contact("110"), "110", "redirect-not-followed"),
    ] {
        let mut world = World::new();
        let first = called(&mut world);
        let sent = world.send(CARRIER, &redirected(&first, &contacts));
        assert_eq!(gist(&sent), ["first ACK", "pbx 603"], "{contacts}");
        let refusal = &sent[1].1;
        assert!(header(refusal, "Reason").starts_with("Q.850;cause=21"));
        assert!(!refusal.contains("203.0.113.9"), "{refusal}");
        assert_eq!(world.verdicts.len(), 1, "{contacts}");
        let refused = format!("Refuse {number} {reason} ");
        assert!(
            world.verdicts[0].starts_with(&refused),
            "{:?}",
            world.verdicts
        );
        let [note] = world.notes.as_slice() else {
            panic!("{:?}", world.notes)
        };
        assert!(
            note.starts_with("redirect-refused: acme: upstream redirected"),
            "{note}"
        );
        assert!(note.ends_with(reason), "{note}");
        at_rest(world);
    }
    // One that says nothing of where to.
    let mut world = World::new();
    let first = called(&mut world);
    let sent = world.send(CARRIER, &answer(&first, "300 Choose", "r", ""));
    assert_eq!(gist(&sent), ["first ACK", "pbx 603"]);
    assert_eq!(world.verdicts, ["Refuse  no-single-meaning "]);
    at_rest(world);
}

#[test]
fn contacts_are_tried_one_after_the_other_the_most_wanted_first() {
    let mut world = World::new();
    let first = called(&mut world);
    let contacts = format!(
        "{};q=0.2, {};q=0.95, {};q=nonsense",
        contact(THIRD),
        contact(OTHER),
        contact(DEAR)
    );
    let sent = world.send(CARRIER, &redirected(&first, &contacts));
    let second = to(&sent, CARRIER);
    assert!(second.contains(OTHER), "{second}");
    let sent = world.send(CARRIER, &answer(&second, "486 Busy", "b", ""));
    assert_eq!(gist(&sent), ["first ACK", "first INVITE"]);
    let third = to(&sent, CARRIER);
    assert!(third.contains(THIRD), "{third}");
    let sent = world.send(CARRIER, &answer(&third, "404 Nobody", "c", ""));
    assert_eq!(gist(&sent), ["first ACK", "pbx 404"]);
    let refused = world.verdicts.last().unwrap();
    assert!(refused.starts_with("Refuse +23276123456 destination-not-allowed"));
    at_rest(world);
}

#[test]
fn who_is_nowhere_to_be_had_is_not_looked_for() {
    let mut world = World::new();
    let first = called(&mut world);
    let contacts = format!("{}, {}", contact(OTHER), contact(THIRD));
    let second = to(
        &world.send(CARRIER, &redirected(&first, &contacts)),
        CARRIER,
    );
    let sent = world.send(CARRIER, &answer(&second, "600 Busy", "b", ""));
    assert_eq!(gist(&sent), ["first ACK", "pbx 600"]);
    at_rest(world);
}

#[test]
fn redirections_end() {
    let mut world = World::new();
    let mut last = called(&mut world);
    let mut went = 0;
    for next in 100.. {
        let number = format!("+44207183{next:04}");
        let sent = world.send(CARRIER, &redirected(&last, &contact(&number)));
        let Some((_, invite)) = sent.iter().find(|(_, text)| text.starts_with("INVITE")) else {
            assert_eq!(gist(&sent), ["first ACK", "pbx 603"]);
            break;
        };
        went += 1;
        last = invite.clone();
    }
    assert_eq!(went, 8);
    assert!(world.verdicts[8].starts_with("Refuse +442071830108 redirect-not-followed"));
    at_rest(world);
}

#[test]
fn no_emergency_call_is_redirected() {
    let mut world = World::new();
    let sent = world.send(PBX, &invite("119", "e1"));
    let first = to(&sent, CARRIER);
    let sent = world.send(CARRIER, &redirected(&first, &contact("110")));
    assert_eq!(gist(&sent), ["first ACK", "pbx 503"]);
    at_rest(world);
}

#[test]
fn the_same_number_is_tried_at_another_gateway_of_the_same_carrier_alone() {
    let main = MAIN.replace("udp:127.0.0.2:5070", "udp:trunk.example");
    let located = |address: &str| crate::policy::Located {
        priority: 0,
        weight: 0,
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    };
    let ways = [located("127.0.0.2:5070"), located("127.0.0.7:5070")];
    let answered = crate::policy::Answer {
        ways: ways.into(),
        ..Default::default()
    };
    let answers: Answers = [("udp:trunk.example".into(), answered)]
        .into_iter()
        .collect();
    for (there, goes) in [("127.0.0.7:5070", true), ("127.0.0.8:5070", false)] {
        let main = main.replace("127.0.0.2/32", "127.0.0.0/29");
        let mut world = World::with(MAIN, TENANT);
        let rules = compiled_with(&main, TENANT, &world.counters, &answers);
        world.take(Input::Command(Command::Rules(rules)));
        let sent = world.send(PBX, &invite(DIALLED, "a1"));
        let (at, first) = sent
            .iter()
            .find(|(_, it)| it.starts_with("INVITE"))
            .unwrap();
        let there = match at == "127.0.0.7:5070" && goes {
            true => CARRIER,
            false => there,
        };
        let contacts = format!("<sip:{DIALLED}@{there}>");
        let sent = world.send(at, &redirected(first, &contacts));
        let went = sent.iter().find(|(_, it)| it.starts_with("INVITE"));
        assert_eq!(
            went.map(|(to, _)| to == there),
            goes.then_some(true),
            "{sent:#?}"
        );
        at_rest(world);
    }
}

#[test]
fn who_has_rung_is_another_fork() {
    let mut world = World::new();
    let first = called(&mut world);
    let ringing = "Contact: <sip:127.0.0.2:5070>\n";
    let sent = world.send(CARRIER, &answer(&first, "180 Ringing", "r", ringing));
    let before = header(&sent[0].1, "To").to_owned();
    let second = to(
        &world.send(CARRIER, &redirected(&first, &contact(OTHER))),
        CARRIER,
    );
    let sent = world.send(CARRIER, &answer(&second, "180 Ringing", "b", ringing));
    assert_eq!(gist(&sent), ["pbx 180"]);
    assert_ne!(header(&sent[0].1, "To"), before);
    let sent = world.send(CARRIER, &answer(&second, "200 OK", "b", ringing));
    assert_eq!(gist(&sent), ["pbx 200"]);
    let answered = sent[0].1.clone();
    world.send(PBX, &in_dialog(&answered, "ACK", 1));
    // In the dialog that rang first there is nobody any more.
    let gone = in_dialog(&answered, "INFO", 2).replace(header(&answered, "To"), &before);
    assert_eq!(gist(&world.send(PBX, &gone)), ["pbx 481"]);
    world.pass(40);
    let sent = world.send(PBX, &in_dialog(&answered, "BYE", 3));
    assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "b", ""));
    at_rest(world);
}

#[test]
fn who_is_redirected_stays_unnamed() {
    let mut world = World::new();
    let sent = world.send(PBX, &invite("184010442071838750", "a1"));
    let first = to(&sent, CARRIER);
    assert_eq!(header(&first, "Privacy"), "id");
    let second = to(
        &world.send(CARRIER, &redirected(&first, &contact(OTHER))),
        CARRIER,
    );
    assert_eq!(header(&second, "Privacy"), "id");
    assert!(header(&second, "From").contains("anonymous.invalid"));
    at_rest(world);
}

#[test]
fn who_has_hung_up_is_redirected_nowhere() {
    let mut world = World::new();
    let first = called(&mut world);
    world.send(CARRIER, &answer(&first, "100 Trying", "", ""));
    world.send(PBX, &invite(DIALLED, "a1").replace("INVITE", "CANCEL"));
    let sent = world.send(CARRIER, &redirected(&first, &contact(OTHER)));
    assert_eq!(gist(&sent), ["first ACK"]);
    assert!(world.verdicts.is_empty());
    at_rest(world);
}

#[test]
fn caps_and_budgets_are_asked_again() {
    // Two calls live: the redirected one gives its place back, and takes it again.
    let mut world = World::with(TWO, &both(2));
    let first = called(&mut world);
    world.send(PBX, &invite(THIRD, "a2"));
    let sent = world.send(CARRIER, &redirected(&first, &contact(OTHER)));
    assert_eq!(gist(&sent), ["first ACK", "first INVITE"]);
    at_rest(world);
    // What counts is never given back.
    let capped = TENANT.replace("calls_at_once = 1", "calls_per_day = 1");
    let mut world = World::of(&capped);
    let first = called(&mut world);
    let sent = world.send(CARRIER, &redirected(&first, &contact(OTHER)));
    assert_eq!(gist(&sent), ["first ACK", "pbx 603"]);
    assert!(world.verdicts[0].starts_with("Refuse +442071838751 calls-per-day"));
    at_rest(world);
}

#[test]
fn a_redirected_call_goes_on_at_the_next_carrier() {
    let mut world = World::with(TWO, &both(2));
    let first = called(&mut world);
    let second = to(
        &world.send(CARRIER, &redirected(&first, &contact(OTHER))),
        CARRIER,
    );
    let sent = world.send(CARRIER, &answer(&second, "503 Out", "b", ""));
    assert_eq!(gist(&sent), ["first ACK", "second INVITE"]);
    let third = to(&sent, SECOND);
    assert!(
        third.starts_with("INVITE sip:010442071838751@127.0.0.4:5070 "),
        "{third}"
    );
    at_rest(world);
}

#[test]
fn new_rules_judge_a_redirection_that_comes_after_them() {
    for (allow, goes) in [("+44 20", true), ("us", false)] {
        let mut world = World::new();
        let first = called(&mut world);
        let tenant = TENANT.replace("+44 20", allow);
        let rules = compiled(MAIN, &tenant, &world.counters);
        world.take(Input::Command(Command::Rules(rules)));
        let sent = world.send(CARRIER, &redirected(&first, &contact(OTHER)));
        assert_eq!(gist(&sent).contains(&"first INVITE".to_owned()), goes);
        at_rest(world);
    }
}

#[test]
fn a_restart_ends_a_redirected_call_once() {
    let mut world = World::new();
    let first = called(&mut world);
    world.send(CARRIER, &redirected(&first, &contact(OTHER)));
    let sent = world.crash(1);
    let told = gist(&sent);
    let told = told.iter().filter(|it| it.starts_with("pbx"));
    assert_eq!(told.collect::<Vec<_>>(), ["pbx 603"], "{sent:#?}");
    world.pass(4_000);
    at_rest(world);
}
