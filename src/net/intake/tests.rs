use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::policy::samples::{rules, tenant};
use crate::policy::{CarrierId, TenantId};

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
number_format = "e164"
"#;

fn party(id: u32) -> Party {
    Party::Peer(Peer::Tenant(TenantId(id)))
}

const CARRIER: Party = Party::Peer(Peer::Carrier(CarrierId(0)));

fn offer(intake: &mut Intake<u32>, class: Class, id: u32) -> bool {
    let room = intake.has_room(class, party(id), 900);
    if room {
        intake.put(class, party(id), 900, id);
    }
    room
}

#[test]
fn what_something_is_is_told_by_its_first_line() {
    let rules = rules(MAIN, &tenant("127.0.0.4/32", ""));
    let of = |party, text: &str| Class::of(&rules, party, text.as_bytes());
    for (text, class) in [
        ("SIP/2.0 200 OK\r\n\r\n", Class::UnderWay),
        ("\r\n\r\nBYE sip:a@b SIP/2.0\r\n", Class::UnderWay),
        ("ACK sip:a@b SIP/2.0\r\n", Class::UnderWay),
        ("CANCEL sip:118@b SIP/2.0\r\n", Class::UnderWay),
        ("INVITE sip:+442071838750@b SIP/2.0\r\n", Class::New),
        ("INVITE sip:110@b SIP/2.0\r\n", Class::Emergency),
        ("\r\nINVITE sip:184119@b SIP/2.0\r\n", Class::Emergency),
        ("INVITE urn:service:sos SIP/2.0\r\n", Class::Emergency),
        ("OPTIONS sip:110@b SIP/2.0\r\n", Class::New),
        ("INVITE sip:110@b HTTP/1.1\r\n", Class::New),
        (
            "INVITE sip:1@b SIP/2.0\r\nTo: <sip:1@b>;tag=x\r\n\r\n",
            Class::UnderWay,
        ),
        (
            "INVITE sip:1@b SIP/2.0\r\nv: a\r\nT  :<sip:1@b> ;TAG=x\r\n",
            Class::UnderWay,
        ),
        (
            "INVITE sip:1@b SIP/2.0\r\nTo: <sip:1@b>\r\n\r\n",
            Class::New,
        ),
        (
            "INVITE sip:1@b SIP/2.0\r\nFrom: <sip:1@b>;tag=x\r\nTo: <sip:1@b>\r\n",
            Class::New,
        ),
        (
            "INVITE sip:1@b SIP/2.0\r\nv: a\r\n\r\nTo: <sip:1@b>;tag=x\r\n",
            Class::New,
        ),
        (
            "INVITE sip:110@b SIP/2.0\r\nTo: <sip:110@b>;tag=x\r\n\r\n",
            Class::Emergency,
        ),
        (
            "OPTIONS sip:1@b SIP/2.0\r\nTo: <sip:1@b>;tag=x\r\n\r\n",
            Class::New,
        ),
        ("INVITE sip:110@b SIP/2.0", Class::New),
        ("", Class::New),
    ] {
        assert_eq!(of(party(0), text), class, "{text:?}");
        assert_eq!(of(CARRIER, text), class, "{text:?}");
        let stranger = of(Party::Strangers, text);
        assert_ne!(stranger, Class::Emergency, "{text:?}");
    }
}

#[test]
fn who_floods_waits_and_nobody_else() {
    let mut intake = Intake::new();
    let mut shed = 0;
    for _ in 0..10 * WAITING_NEW {
        shed += usize::from(!offer(&mut intake, Class::New, 1));
    }
    assert_eq!(shed, 10 * WAITING_NEW - WAITING_NEW / 2, "half of the room");
    // A second one gets half of what is left, and there is room for a third.
    let second = (0..WAITING_NEW).filter(|_| offer(&mut intake, Class::New, 2));
    assert_eq!(second.count(), WAITING_NEW / 4);
    assert!(offer(&mut intake, Class::New, 3));
    let served: Vec<u32> = (0..3).filter_map(|_| intake.take(Class::New)).collect();
    assert_eq!(served, [1, 2, 3]);
    // What the flood is made of takes nothing from the other classes.
    assert!(offer(&mut intake, Class::UnderWay, 1));
    assert!(offer(&mut intake, Class::Emergency, 1));
    assert_eq!(intake.take(Class::Emergency), Some(1));
    assert_eq!(intake.take(Class::Emergency), None);
}

#[test]
fn long_messages_have_no_more_room_than_short_ones() {
    let mut intake = Intake::new();
    let mut bytes = 0;
    while intake.has_room(Class::New, party(1), 60_000) {
        intake.put(Class::New, party(1), 60_000, 1);
        bytes += 60_000;
    }
    assert!(bytes <= WAITING_BYTES / 2 + 60_000, "{bytes}");
    assert!(intake.has_room(Class::New, party(2), 60_000));
}

#[test]
fn a_peer_s_own_stay_in_their_order() {
    let mut intake = Intake::new();
    for n in 0..6 {
        intake.put(Class::UnderWay, party(n % 2), 1, n);
    }
    let served: Vec<u32> = std::iter::from_fn(|| intake.take(Class::UnderWay)).collect();
    assert_eq!(served, [0, 1, 2, 3, 4, 5]);
    assert!(intake.is_empty());
}

/// Room that is soon used.
const ROOM: usize = 64;

proptest! {
    /// Nothing is lost or made, and of whoever has nothing waiting nothing is shed.
    #[test]
    fn what_is_let_in_comes_out(
        steps in proptest::collection::vec((0_u32..6, 1_usize..2_000, any::<bool>()), 1..3_000)
    ) {
        let mut intake = Intake::with_room([ROOM; 3]);
        let mut waiting: BTreeMap<u32, VecDeque<usize>> = BTreeMap::new();
        for (at, (id, bytes, takes)) in steps.into_iter().enumerate() {
            if takes {
                if let Some((id, at)) = intake.take(Class::New) {
                    prop_assert_eq!(waiting.get_mut(&id).and_then(VecDeque::pop_front), Some(at));
                }
                continue;
            }
            let own = waiting.entry(id).or_default();
            let room = intake.has_room(Class::New, party(id), bytes);
            prop_assert!(room || !own.is_empty());
            if room {
                own.push_back(at);
                intake.put(Class::New, party(id), bytes, (id, at));
            }
            let all: usize = waiting.values().map(VecDeque::len).sum();
            prop_assert!(all <= ROOM);
        }
        let left: usize = waiting.values().map(VecDeque::len).sum();
        prop_assert_eq!(std::iter::from_fn(|| intake.take(Class::New)).count(), left);
        prop_assert!(intake.is_empty() && intake.lanes.iter().all(|it| it.held.bytes == 0));
    }
}
