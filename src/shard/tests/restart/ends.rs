//! Ends of calls, and answers that nobody asked for any more, around a restart.

use super::*;
use crate::policy::Scope;
use crate::shard::tests::blocks::block;

/// What its calls cost; nothing limits it.
fn priced() -> String {
    TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"")
}

/// What its calls cost, and may.
fn budgeted() -> String {
    priced() + "[budget]\nper_day = \"JPY 100000\"\n"
}

/// The carrier's 200 to this INVITE, from another of its users.
fn beside(invited: &str, tag: &str, expires: u32) -> String {
    let more =
        format!("Contact: <sip:{tag}@127.0.0.2:5070>\nSession-Expires: {expires};refresher=uac\n");
    answer(invited, "200 OK", tag, &more)
}

/// The code of the response to who called that is among these.
fn told(sent: &[(String, String)]) -> String {
    let told = sent.iter().find(|(_, text)| {
        text.starts_with("SIP/2.0 ") && header(text, "CSeq").ends_with(" INVITE")
    });
    let (_, text) = told.unwrap_or_else(|| panic!("{sent:#?}"));
    text[8..11].to_owned()
}

#[test]
fn what_was_told_of_a_set_up_is_told_again() {
    // A failed emergency call is to go another way.
    let mut world = World::new();
    let sent = world.send(PBX, &invite("110", "a1"));
    let sent = world.send(CARRIER, &answer(&sent[1].1, "486 Busy Here", "c", ""));
    assert_eq!(told(&sent[1..]), "503");
    assert_eq!(told(&world.crash(1)), "503");
    // After a block no other trunk is tried.
    let mut world = World::new();
    let invited = world.invited("a1");
    world.send(CARRIER, &answer(&invited, "180 Ringing", "c", ""));
    world.take(Input::Command(block(None, Scope::Everything, true)));
    assert_eq!(told(&world.pass(1)), "603");
    assert_eq!(told(&world.crash(1)), "603");
    assert_eq!(told(&world.crash(1)), "603");
    // A carrier waits for an answer, too.
    let mut world = World::new();
    let text = invite("+81335570005", "i1").replace("127.0.0.3:5080", CARRIER);
    let sent = world.send(CARRIER, &text);
    let sent = world.send(PBX, &answer(&sent[1].1, "486 Busy Here", "p", ""));
    assert_eq!(told(&sent[1..]), "486");
    assert_eq!(told(&world.crash(1)), "486");
}

#[test]
fn a_phone_system_that_rings_for_who_took_the_call_back_is_told_so() {
    let mut world = World::new();
    let text = invite("+81335570005", "i1").replace("127.0.0.3:5080", CARRIER);
    let sent = world.send(CARRIER, &text);
    let invited = sent[1].1.clone();
    assert_eq!(
        told(&world.send(CARRIER, &text.replace("INVITE", "CANCEL"))[1..]),
        "487"
    );
    // It is not cancelled before it has said something (RFC 3261 §9.1), and the carrier's
    // side is over.
    let sent = world.crash(1);
    assert_eq!(told(&sent), "487");
    let cancel = sent
        .iter()
        .find(|(to, text)| to == PBX && text.starts_with("CANCEL "));
    assert_eq!(header(&cancel.unwrap().1, "Via"), header(&invited, "Via"));
    let sent = world.send(PBX, &answer(&invited, "487 Request Terminated", "p", ""));
    assert_eq!(lines(&sent), ["pbx ACK"]);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn who_is_hung_up_whose_lease_was_over_is_told_so_again() {
    let mut world = World::of(&budgeted());
    world.answered("a1");
    // Nobody answers the BYE to the carrier, so that the call is not over for long.
    assert_eq!(told(&world.crash(600)), "480");
    assert_eq!(told(&world.crash(1)), "480");
}

#[test]
fn a_set_up_that_a_restart_ends_is_refused_with_a_reason() {
    let mut world = World::new();
    world.invited("a1");
    for _ in 0..2 {
        let sent = world.crash(1);
        assert_eq!(told(&sent), "603");
        let refusal = sent
            .iter()
            .find(|(_, text)| text.starts_with("SIP/2.0 603 "));
        assert_eq!(header(&refusal.unwrap().1, "Reason"), "Q.850;cause=21");
    }
}

#[test]
fn who_hung_up_is_not_hung_up_after_a_restart() {
    let mut world = World::new();
    let talk = world.established("a1");
    let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    let bye = sent.iter().find(|(to, _)| to == CARRIER).unwrap().1.clone();
    world.send(CARRIER, &answer(&bye, "200 OK", "c", ""));
    for _ in 0..2 {
        assert_eq!(world.crash(1), []);
        // It may not have got the answer.
        let sent = world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
        assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK"]);
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn who_took_a_call_back_is_told_so_again_when_its_lease_is_over() {
    let mut world = World::of(&budgeted());
    let invited = world.invited("a1");
    let cancel = invite(NUMBER, "a1").replace("INVITE", "CANCEL");
    assert_eq!(told(&world.send(PBX, &cancel)[1..]), "487");
    // Its user had picked up. Of the BYE nobody hears.
    let sent = world.send(CARRIER, &beside(&invited, "c", 1_800));
    assert_eq!(lines(&sent), ["carrier ACK", "carrier BYE"]);
    assert_eq!(told(&world.crash(1_000)), "487");
}

#[test]
fn who_answered_too_late_is_hung_up_until_that_is_heard() {
    let mut world = World::new();
    let invited = world.invited("a1");
    let cancel = invite(NUMBER, "a1").replace("INVITE", "CANCEL");
    world.send(PBX, &cancel);
    let sent = world.send(CARRIER, &beside(&invited, "c", 1_800));
    assert_eq!(lines(&sent), ["carrier ACK", "carrier BYE"]);
    // Nobody knows whether that arrived.
    for _ in 0..2 {
        let sent = world.crash(1);
        assert_eq!(told(&sent), "487");
        let byes: Vec<_> = sent.iter().filter(|(to, _)| to == CARRIER).collect();
        let [(_, bye)] = byes.as_slice() else {
            panic!("{sent:#?}");
        };
        assert!(bye.starts_with("BYE sip:c@127.0.0.2:5070 "), "{bye}");
        assert!(header(bye, "To").ends_with(";tag=c"), "{bye}");
        assert_ne!(world.counters.live(), 0);
    }
    let sent = world.crash(1);
    let bye = sent.iter().find(|(to, _)| to == CARRIER).unwrap();
    world.send(CARRIER, &answer(&bye.1, "200 OK", "c", ""));
    assert_eq!(world.counters.live(), 0);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn after_a_restart_the_answer_that_was_carried_is_carried_again_and_no_other() {
    let mut world = World::of(&budgeted());
    let talk = world.answered("a1");
    let other = beside(&talk.invited, "d", 180);
    assert_eq!(
        lines(&world.send(CARRIER, &other)),
        ["carrier ACK", "carrier BYE"]
    );
    assert_eq!(lines(&world.crash(1)), ["carrier BYE"]);
    // Another user's comes first, and one's that was not heard of before.
    for (tag, more) in [("d", vec![]), ("e", vec!["carrier BYE"])] {
        let sent = world.send(CARRIER, &beside(&talk.invited, tag, 180));
        assert_eq!(lines(&sent), [vec!["carrier ACK"], more].concat());
        assert!(header(&sent[0].1, "To").ends_with(tag), "{sent:#?}");
    }
    let sent = world.send(CARRIER, &talk.accepted);
    assert_eq!(lines(&sent), ["pbx SIP/2.0 200 OK"]);
    assert_eq!(header(&sent[0].1, "To"), talk.tagged);
}

#[test]
fn what_others_who_answered_cost_is_not_lost_nor_counted_on_and_on() {
    for tenant in [priced(), budgeted()] {
        let cost = |restarts: bool| {
            let mut world = World::of(&tenant);
            let talk = world.established("a1");
            let other = beside(&talk.invited, "d", 1_800);
            let sent = world.send(CARRIER, &other);
            let bye = sent[1].1.clone();
            world.pass(5);
            world.send(CARRIER, &answer(&bye, "200 OK", "d", ""));
            match restarts {
                true => drop(world.crash(1)),
                false => drop(world.pass(1)),
            }
            world.pass(80);
            world.send(CARRIER, &talk.of_carrier("BYE", 7));
            world.rest();
            world.cost
        };
        let (before, after) = (cost(false), cost(true));
        // At the most, a third one answered meanwhile.
        assert!(
            (before..before * 2).contains(&after),
            "{before}, then {after}"
        );
    }
}

#[test]
fn an_answered_call_that_ends_at_once_holds_its_place_no_longer_than_its_bye() {
    let mut world = World::new();
    let talk = world.answered("a1");
    world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
    let sent = world.crash(1);
    let bye = &sent
        .iter()
        .find(|(_, text)| text.starts_with("BYE "))
        .unwrap()
        .1;
    assert!(
        lines(&sent).contains(&"carrier ACK".to_owned()),
        "{sent:#?}"
    );
    assert_ne!(world.counters.live(), 0);
    world.send(CARRIER, &answer(bye, "200 OK", "c", ""));
    assert_eq!(world.counters.live(), 0);
    // Its 200 comes once more: it is acknowledged, and hung up already.
    let sent = world.send(CARRIER, &talk.accepted);
    assert_eq!(lines(&sent), ["carrier ACK"]);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_carrier_that_hung_up_itself_is_not_asked_to_for_as_long_as_its_session_lasts() {
    for tenant in [priced(), budgeted()] {
        let mut world = World::of(&tenant);
        let talk = world.established("a1");
        world.take(Input::Command(Command::HangUpAll));
        let sent = world.send(CARRIER, &talk.of_carrier("BYE", 7));
        assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK"]);
        world.crash(1);
        // Its answer to our own BYE was lost, and it is told once more.
        world.pass(40);
        assert_eq!(world.counters.live(), 0);
    }
}

#[test]
fn a_session_that_was_agreed_later_is_awaited_after_a_restart() {
    for tenant in [priced(), budgeted()] {
        let mut world = World::of(&tenant);
        let talk = world.established("a1");
        // The carrier lets it go on for longer from its refresh on.
        let update = world.pass(91).remove(0).1;
        let more = "Session-Expires: 1800;refresher=uac\n";
        world.send(CARRIER, &answer(&update, "200 OK", "c", more));
        world.crash(1);
        world.send(PBX, &talk.of_pbx("BYE", 2, "a1"));
        // It hears no BYE, and is asked until its session is over.
        let sent = lines(&world.pass(1_000));
        assert_eq!(sent.last().unwrap(), "carrier BYE");
        assert_ne!(world.counters.live(), 0);
    }
}

/// The BYEs among these to the carrier's user with this tag.
fn byes<'a>(sent: &'a [(String, String)], tag: &str) -> Vec<&'a str> {
    let to = |text: &str| text.starts_with("BYE ") && header(text, "To").ends_with(tag);
    let byes = sent
        .iter()
        .filter(|(whom, text)| whom == CARRIER && to(text));
    byes.map(|(_, text)| text.as_str()).collect()
}

#[test]
fn who_answered_beside_a_call_is_hung_up_over_restarts_until_that_is_heard() {
    for tenant in [TENANT.to_owned(), budgeted()] {
        let mut world = World::of(&tenant);
        let talk = world.established("a1");
        let sent = world.send(CARRIER, &beside(&talk.invited, "d", 180));
        assert_eq!(byes(&sent, "=d").len(), 1);
        for _ in 0..2 {
            let sent = world.crash(1);
            let [bye] = byes(&sent, "=d")[..] else {
                panic!("{sent:#?}");
            };
            assert!(bye.starts_with("BYE sip:d@127.0.0.2:5070 "), "{bye}");
            assert!(byes(&world.pass(1), "=d").len() == 1);
        }
        let sent = world.crash(1);
        world.send(CARRIER, &answer(byes(&sent, "=d")[0], "200 OK", "d", ""));
        assert!(byes(&world.pass(5), "=d").is_empty());
        assert!(byes(&world.crash(1), "=d").is_empty());
        // The call itself is none the wiser.
        let sent = world.send(CARRIER, &talk.of_carrier("BYE", 7));
        assert_eq!(lines(&sent), ["carrier SIP/2.0 200 OK", "pbx BYE"]);
        world.send(PBX, &answer(&sent[1].1, "200 OK", "", ""));
        world.rest();
        assert_eq!(world.shard.counts(), Counts::default());
    }
}

#[test]
fn who_answered_beside_a_call_is_not_hung_up_when_its_session_has_run_out() {
    let mut world = World::of(&budgeted());
    let talk = world.established("a1");
    world.send(CARRIER, &beside(&talk.invited, "d", 180));
    assert!(!byes(&world.crash(100), "=d").is_empty());
    assert!(byes(&world.crash(200), "=d").is_empty());
}

#[test]
fn who_answers_a_call_that_was_refused_is_hung_up_over_restarts() {
    let mut world = World::of(&budgeted());
    let invited = world.invited("a1");
    world.send(CARRIER, &answer(&invited, "486 Busy Here", "c", ""));
    let sent = world.send(CARRIER, &beside(&invited, "d", 1_800));
    assert_eq!(byes(&sent, "=d").len(), 1);
    for _ in 0..2 {
        assert_eq!(byes(&world.crash(1), "=d").len(), 1);
    }
    let sent = world.crash(1);
    world.send(CARRIER, &answer(byes(&sent, "=d")[0], "200 OK", "d", ""));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn who_answered_too_late_is_hung_up_for_as_long_as_its_session_lasts_whatever_covers_it() {
    for tenant in [priced(), budgeted()] {
        let mut world = World::of(&tenant);
        let invited = world.invited("a1");
        world.send(PBX, &invite(NUMBER, "a1").replace("INVITE", "CANCEL"));
        world.send(CARRIER, &beside(&invited, "c", 180));
        world.crash(1);
        world.pass(100);
        assert!(!byes(&world.pass(60), "=c").is_empty());
        world.pass(100);
        assert!(byes(&world.pass(60), "=c").is_empty());
    }
}
