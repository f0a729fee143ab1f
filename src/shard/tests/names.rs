//! A carrier that is reached by a name: what the name leads to are ways to it.

use super::onward::{SECOND, gist, to};
use super::*;
use crate::policy::{Answer, Located, Reason, Service};

const NAMED: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:sip.example.net"
calls_at_once = 2
"#;

const NUMBER: &str = "+442071838750";

const OK: &str = "Contact: <sip:c@127.0.0.4:5070>\n";

fn tenant() -> String {
    TENANT.replace("calls_at_once = 1", "calls_at_once = 2")
}

/// What the name leads to: the first of these first.
fn leading(ways: &[&str], earlier: &[&str]) -> Answers {
    let located = |(priority, address): (u16, &&str)| Located {
        priority,
        weight: 0,
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    };
    let answer = Answer {
        ways: (0..).zip(ways).map(located).collect(),
        earlier: earlier.iter().map(|it| it.parse().unwrap()).collect(),
    };
    let answers = [(Arc::from("udp:sip.example.net"), answer)];
    answers.into_iter().collect()
}

fn lead(world: &mut World, main: &str, answers: &Answers) -> Vec<(String, String)> {
    let rules = compiled_with(main, &tenant(), &world.counters, answers);
    world.take(Input::Command(Command::Rules(rules)))
}

fn world(ways: &[&str]) -> World {
    let mut world = World::with(NAMED, &tenant());
    lead(&mut world, NAMED, &leading(ways, &[]));
    world
}

fn at_rest(world: &mut World) {
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

/// The call is up at the second gateway.
fn up_at_the_second(world: &mut World) {
    let second = to(&world.send(PBX, &invite(NUMBER, "a1")), SECOND);
    let sent = world.send(SECOND, &answer(&second, "200 OK", "b", OK));
    let answered = header(&sent[0].1, "To").to_owned();
    let ack = invite(NUMBER, "a1").replace("INVITE", "ACK");
    let ack = ack.replace(
        "To: <sip:+442071838750@127.0.0.1>",
        &format!("To: {answered}"),
    );
    assert!(ack.contains(&answered), "{ack}");
    let sent = world.send(PBX, &ack.replace("z9hG4bK", "z9hG4bKack"));
    assert_eq!(gist(&sent), ["second ACK"]);
}

#[test]
fn calls_leave_for_the_name_and_go_on_at_its_next_address() {
    let mut world = world(&[CARRIER, SECOND]);
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    let first = to(&sent, CARRIER);
    assert!(
        first.starts_with("INVITE sip:+442071838750@sip.example.net;user=phone "),
        "{first}"
    );
    assert!(header(&first, "To").contains("@sip.example.net"));
    let sent = world.send(CARRIER, &answer(&first, "503 Out", "a", ""));
    assert_eq!(gist(&sent), ["first ACK", "second INVITE"]);
    let second = to(&sent, SECOND);
    assert_ne!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    let sent = world.send(SECOND, &answer(&second, "486 Busy", "b", ""));
    assert_eq!(gist(&sent), ["second ACK", "pbx 486"]);
    at_rest(&mut world);
}

#[test]
fn an_address_that_says_nothing_is_down_and_the_other_is_not() {
    let mut world = world(&[CARRIER, SECOND]);
    for branch in ["a1", "a2", "a3"] {
        let first = to(&world.send(PBX, &invite(NUMBER, branch)), CARRIER);
        let second = to(&world.pass(2), SECOND);
        world.send(SECOND, &answer(&second, "486 Busy", "b", ""));
        world.send(CARRIER, &answer(&first, "487 Gone", "a", ""));
        world.pass(40);
    }
    let carrier = &world.shard.rules().carriers()[0];
    let fares: Vec<Service> = carrier
        .gateways
        .iter()
        .map(|it| it.trunk.fares(world.now.mono))
        .collect();
    assert_eq!(fares, [Service::Down, Service::Up]);
    assert_eq!(carrier.fares(world.now.mono), Service::Up);
    assert!(
        world
            .notes
            .iter()
            .any(|it| it.contains("upstream at 127.0.0.2:5070")),
        "{:?}",
        world.notes
    );
    at_rest(&mut world);
}

#[test]
fn the_carrier_s_cap_is_over_all_its_addresses() {
    let mut world = world(&[CARRIER, SECOND]);
    world.send(PBX, &invite(NUMBER, "a1"));
    let first = to(&world.send(PBX, &invite(NUMBER, "a2")), CARRIER);
    let calls = world.shard.rules().carriers()[0].trunk.calls();
    assert_eq!(calls, 2);
    world.send(CARRIER, &answer(&first, "486 Busy", "a", ""));
    assert_eq!(world.shard.rules().carriers()[0].trunk.calls(), 1);
    at_rest(&mut world);
}

#[test]
fn a_call_that_is_up_outlives_another_answer() {
    for remembered in [true, false] {
        let mut world = world(&[SECOND]);
        up_at_the_second(&mut world);
        let earlier: &[&str] = match remembered {
            true => &["127.0.0.4"],
            false => &[],
        };
        let sent = lead(&mut world, NAMED, &leading(&[CARRIER], earlier));
        assert_eq!(sent.is_empty(), remembered, "{sent:#?}");
        // New calls follow.
        let sent = world.send(PBX, &invite(NUMBER, "a2"));
        assert!(
            gist(&sent).contains(&"first INVITE".to_owned()),
            "{sent:#?}"
        );
        at_rest(&mut world);
    }
}

#[test]
fn what_a_name_leads_to_may_call() {
    let mut world = world(&[CARRIER]);
    let text = invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let sent = world.send(CARRIER, &text);
    assert!(
        sent[1]
            .1
            .starts_with("INVITE sip:+81335570005@127.0.0.3:5080 ")
    );
    at_rest(&mut world);
}

#[test]
fn without_an_answer_nothing_leaves_and_an_answer_brings_the_carrier_back() {
    let mut world = World::with(NAMED, &tenant());
    let sent = world.send(PBX, &invite(NUMBER, "a1"));
    assert_eq!(gist(&sent), ["pbx 603"]);
    let reason = header(&sent[0].1, "Reason");
    assert!(reason.contains(Reason::CarriersNotFound.code()), "{reason}");
    // The phone system is to try elsewhere.
    let sent = world.send(PBX, &invite("119", "e1"));
    assert_eq!(gist(&sent), ["pbx 503"]);
    lead(&mut world, NAMED, &leading(&[CARRIER], &[]));
    let sent = world.send(PBX, &invite(NUMBER, "a2"));
    assert_eq!(gist(&sent), ["pbx 100", "first INVITE"]);
    at_rest(&mut world);
}

#[test]
fn a_registration_goes_to_the_next_address() {
    let main = format!(
        "{NAMED}[carrier.registration]\naor = \"sip:0335570000@sip.example.net\"\nsecret_env = \"TEST\"\n"
    );
    let mut world = World::with(&main, &tenant());
    assert!(world.pass(5).is_empty());
    lead(&mut world, &main, &leading(&[CARRIER, SECOND], &[]));
    let sent = world.pass(2);
    assert_eq!(gist(&sent)[..1], ["first REGISTER"]);
    let sent = world.send(CARRIER, &answer(&sent[0].1, "503 Out", "r", ""));
    assert!(sent.is_empty());
    let mut passed = (0..60).map(|_| world.pass(1));
    let sent = passed.find(|sent| !sent.is_empty()).unwrap();
    assert_eq!(gist(&sent), ["second REGISTER"], "{sent:#?}");
    let granted = answer(&sent[0].1, "200 OK", "r", "").replace(
        "Content-Length",
        &format!(
            "Contact: {};expires=3600\nContent-Length",
            header(&sent[0].1, "Contact")
        ),
    );
    world.send(SECOND, &granted);
    // It stays there as long as the name leads there, in whatever order.
    lead(
        &mut world,
        &main,
        &leading(&["127.0.0.9:5070", SECOND], &[]),
    );
    let sent = world.pass(60);
    assert!(sent.is_empty(), "{sent:#?}");
    lead(&mut world, &main, &leading(&[CARRIER], &["127.0.0.4"]));
    let sent = world.pass(2);
    assert_eq!(gist(&sent)[..1], ["first REGISTER"], "{sent:#?}");
}
