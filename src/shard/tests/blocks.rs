//! What an operator blocks.

use super::*;
use crate::policy::{Block, Order, Scope, Switch};
use crate::record::{Record, frame};
use crate::shard::Confirmed;

pub(super) fn block(tenant: Option<&str>, scope: Scope, hang_up: bool) -> Command {
    let block = Block {
        tenant: tenant.map(Arc::from),
        scope,
        until: None,
    };
    let order = Order {
        block: block.clone(),
        lifts: false,
        hang_up,
        lasts: Some(Duration::from_secs(7_200)),
        uid: 17,
        by: "guard".into(),
        why: "ticket 9".into(),
    };
    Command::Block(Arc::new(Switch {
        blocks: [block].into_iter().collect(),
        order: Some(order),
    }))
}

fn lift() -> Command {
    Command::Block(Arc::new(Switch {
        blocks: Default::default(),
        order: None,
    }))
}

impl World {
    fn order(&mut self, command: Command) {
        assert!(self.take(Input::Command(command)).is_empty());
    }

    /// The answer to a call, or what leaves for it.
    fn calls(&mut self, number: &str, branch: &str) -> String {
        self.send(PBX, &invite(number, branch)).pop().unwrap().1
    }
}

/// Many places, for calls that stay up.
fn roomy() -> World {
    World::of(&TENANT.replace("calls_at_once = 1", "calls_at_once = 900"))
}

#[test]
fn a_clock_that_jumped_ends_no_block() {
    let mut world = roomy();
    assert!(world.calls("0335570042", "j0").starts_with("INVITE "));
    let block = Block {
        tenant: Some("acme".into()),
        scope: Scope::Everything,
        until: Some(world.now.wall + Duration::from_secs(7_200)),
    };
    world.order(Command::Block(Arc::new(Switch {
        blocks: [block].into_iter().collect(),
        order: None,
    })));
    let inbound = invite("+81335570005", "j9").replace("127.0.0.3", "127.0.0.2");
    world.now.wall = world.now.wall + Duration::from_secs(86_400);
    assert!(world.calls("0335570042", "j1").starts_with("SIP/2.0 603 "));
    let answer = world.send(CARRIER, &inbound).pop().unwrap().1;
    assert!(answer.starts_with("SIP/2.0 603 "), "{answer}");
    // Its own end it has all the same.
    world.now = world.now + Duration::from_secs(7_200);
    assert!(world.calls("0335570042", "j2").starts_with("INVITE "));
}

#[test]
fn a_blocked_tenant_calls_nobody_but_for_help_until_it_is_lifted() {
    let mut world = roomy();
    world.order(block(Some("acme"), Scope::Everything, false));
    for (number, branch) in [("+442071838750", "b1"), ("0335570042", "b2"), ("*9", "b3")] {
        let refusal = world.calls(number, branch);
        assert!(refusal.starts_with("SIP/2.0 603 "), "{refusal}");
        assert_eq!(
            header(&refusal, "Reason"),
            "Q.850;cause=21;text=\"blocked\""
        );
        assert!(world.recorded, "the verdict");
    }
    assert!(world.calls("119", "b4").starts_with("INVITE sip:119@"));
    // Nor is it called.
    let text = invite("+81335570005", "b5").replace("127.0.0.3", "127.0.0.2");
    let refusal = world.send(CARRIER, &text).pop().unwrap().1;
    assert!(refusal.starts_with("SIP/2.0 603 "), "{refusal}");
    assert_eq!(world.counters.places(), 0, "nothing is counted");
    // New rules lift nothing.
    let same = compiled(MAIN, TENANT, &world.counters);
    world.order(Command::Rules(same));
    assert!(
        world
            .calls("+442071838750", "b6")
            .starts_with("SIP/2.0 603 ")
    );
    world.order(lift());
    assert!(world.calls("+442071838750", "b7").starts_with("INVITE "));
}

#[test]
fn abroad_alone_can_be_blocked_and_other_tenants_are_not_touched() {
    let mut world = roomy();
    world.order(block(Some("acme"), Scope::International, false));
    assert!(
        world
            .calls("+442071838750", "i1")
            .starts_with("SIP/2.0 603 ")
    );
    assert!(world.calls("0335570042", "i2").starts_with("INVITE "));
    world.order(block(Some("kiku"), Scope::Everything, false));
    assert!(world.calls("+442071838750", "i3").starts_with("INVITE "));
    world.order(block(None, Scope::Everything, false));
    assert!(world.calls("0335570042", "i4").starts_with("SIP/2.0 603 "));
}

#[test]
fn the_journal_says_who_blocked_what_and_why() {
    let mut world = World::new();
    let input = Input::Command(block(Some("acme"), Scope::International, true));
    world.shard.handle(world.now, input, &mut world.out);
    let (record, _) = frame::next(world.out.records.bytes()).unwrap().unwrap();
    let expected = Record::Ordered {
        wall: world.now.wall,
        order: "block",
        tenant: "acme",
        detail: "international",
        hang_up: true,
        lasts_s: 7_200,
        uid: 17,
        by: "guard",
        why: "ticket 9",
    };
    assert_eq!(record, expected);
}

#[test]
fn the_journal_says_who_confirmed_the_clock() {
    let mut world = World::new();
    let confirmed = Arc::new(Confirmed {
        ahead_s: -86_410,
        uid: 17,
        by: "guard".into(),
        why: "the time service was down".into(),
    });
    let input = Input::Command(Command::Confirmed(confirmed));
    world.shard.handle(world.now, input, &mut world.out);
    let (record, _) = frame::next(world.out.records.bytes()).unwrap().unwrap();
    let expected = Record::Ordered {
        wall: world.now.wall,
        order: "clock",
        tenant: "",
        detail: "-86410 s ahead",
        hang_up: false,
        lasts_s: 0,
        uid: 17,
        by: "guard",
        why: "the time service was down",
    };
    assert_eq!(record, expected);
}

#[test]
fn calls_are_hung_up_a_few_at_a_time_and_emergencies_are_not() {
    let mut world = roomy();
    let up = |world: &mut World, number: &str, branch: &str| {
        let out = world.calls(number, branch);
        let contact = "Contact: <sip:c@127.0.0.2:5070>\n";
        world.send(CARRIER, &answer(&out, "200 OK", "c", contact));
        header(&out, "Call-ID").to_owned()
    };
    let help = up(&mut world, "119", "e");
    let home = up(&mut world, "0335570042", "h");
    let mut abroad = Vec::new();
    for number in 0..100 {
        abroad.push(up(&mut world, "+442071838750", &format!("a{number}")));
    }
    // One only rings, and is refused as if it had been blocked before.
    let ringing = world.calls("+442071838750", "r");
    world.send(CARRIER, &answer(&ringing, "180 Ringing", "c", ""));

    world.order(block(Some("acme"), Scope::International, true));
    let (mut byes, mut steps, start) = (Vec::new(), 0, world.now.mono);
    let mut rest = Vec::new();
    while byes.len() < 100 {
        let due = world.shard.next_deadline().unwrap();
        world.now = world.now + due.saturating_since(world.now.mono);
        let sent = world.take(Input::Tick);
        let (these, others): (Vec<_>, Vec<_>) = sent
            .into_iter()
            .partition(|(to, text)| to == CARRIER && text.starts_with("BYE "));
        assert!(these.len() <= crate::base::limits::HANG_UPS_AT_ONCE);
        byes.extend(
            these
                .iter()
                .map(|(_, bye)| header(bye, "Call-ID").to_owned()),
        );
        rest.extend(others);
        steps += 1;
        assert!(steps < 50, "{byes:#?}");
    }
    let took = world.now.mono.saturating_since(start);
    assert!(took < Duration::from_millis(100), "{took:?}");
    byes.sort_unstable();
    abroad.sort_unstable();
    assert_eq!(byes, abroad);
    assert!(!byes.contains(&help) && !byes.contains(&home));
    let refused = |(to, text): &(String, String)| to == PBX && text.starts_with("SIP/2.0 603 ");
    assert!(rest.iter().any(refused));
    assert!(rest.iter().any(|(_, text)| text.starts_with("CANCEL ")));
}
