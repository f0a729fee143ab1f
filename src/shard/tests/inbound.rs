//! Calls from the carrier that cost the tenant something.

use super::*;
use crate::policy::Used;

const NUMBER: &str = "+81335570005";
const SESSION: &str = "Contact: <sip:127.0.0.2:5070>\nRequire: timer\n\
                       Session-Expires: 120;refresher=uac\n";

/// A minute of a call from the carrier costs 6.
fn budgeted(budget: u64) -> World {
    let tenant = TENANT.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    World::of(&format!(
        "{tenant}tariff = \"inbound\"\n[budget]\nper_day = \"JPY {budget}\"\n"
    ))
}

/// The carrier's dialog.
struct Dialog {
    /// The INVITE that reached the phone system.
    invited: String,
    /// The To of the 200 that reached the carrier.
    tagged: String,
    /// That 200.
    accepted: String,
}

impl World {
    /// What is booked of the budget, and what is held, in units.
    fn spent(&self) -> (u64, u64) {
        let rules = compiled(&self.main, &self.tenant, &self.counters);
        let tenant = rules.tenant_named("acme").unwrap();
        let standing = rules.standing(tenant, self.now).unwrap();
        let Used { booked, held } = standing.spent[0].used;
        (
            booked.millionths() / 1_000_000,
            held.millionths() / 1_000_000,
        )
    }

    /// The INVITE at the phone system for one of the carrier's.
    fn comes(&mut self, branch: &str) -> String {
        let text = invite(NUMBER, branch).replace("127.0.0.3:5080", CARRIER);
        let sent = self.send(CARRIER, &text);
        let there = sent.into_iter().find(|(to, _)| to == PBX);
        there.expect("it goes on").1
    }

    /// A call that both sides have acknowledged.
    fn talks(&mut self, branch: &str) -> Dialog {
        let invited = self.comes(branch);
        let ok = answer(&invited, "200 OK", "p", "Contact: <sip:127.0.0.3:5080>\n");
        let sent = self.send(PBX, &ok);
        let accepted = sent.into_iter().find(|(to, _)| to == CARRIER).unwrap().1;
        let tagged = header(&accepted, "To").to_owned();
        let dialog = Dialog {
            invited,
            tagged,
            accepted,
        };
        self.send(CARRIER, &dialog.of_carrier(branch, "ACK", 1));
        dialog
    }

    /// Lets time pass in a call whose refreshes are answered; what else goes out.
    fn talk_for(&mut self, seconds: u64) -> Vec<(String, String)> {
        let mut others = Vec::new();
        for _ in 0..seconds {
            for (to, text) in self.pass(1) {
                let refreshes = text.starts_with("UPDATE ") || text.starts_with("INVITE ");
                match refreshes {
                    true => {
                        let session = if to == CARRIER { SESSION } else { "" };
                        let from = to.clone();
                        self.send(&from, &answer(&text, "200 OK", "x", session));
                    }
                    false => others.push((to, text)),
                }
            }
        }
        others
    }

    fn is_empty(&mut self) {
        self.rest();
        assert_eq!(self.counters.live(), 0);
        assert_eq!(self.shard.counts(), Counts::default());
    }
}

impl Dialog {
    /// A request of the carrier's in it.
    fn of_carrier(&self, branch: &str, method: &str, cseq: u32) -> String {
        format!(
            "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {CARRIER};branch=z9hG4bK{branch}{method}{cseq}\n\
             Max-Forwards: 70\nFrom: \"Desk\" <sip:+81335570001@127.0.0.3>;tag=pbx{branch}\nTo: {}\n\
             Call-ID: {branch}@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n",
            self.tagged
        )
    }
}

/// The first word of each message to somebody.
fn to<'t>(sent: &'t [(String, String)], who: &str) -> Vec<&'t str> {
    let his = sent.iter().filter(|(to, _)| to == who);
    his.map(|(_, text)| text.split(' ').next().unwrap())
        .collect()
}

#[test]
fn a_call_to_a_priced_number_is_reserved_renewed_and_hung_up_when_its_budget_is_spent() {
    let mut world = budgeted(30);
    let dialog = world.talks("a1");
    // There is no room for the longest lease: 30 s, and a session of 120 s.
    assert_eq!(world.spent(), (0, 24));
    assert!(
        dialog
            .accepted
            .contains("Session-Expires: 120;refresher=uas"),
        "{}",
        dialog.accepted
    );
    let sent = world.talk_for(130);
    assert_eq!(sent, [], "it has been renewed");
    let (booked, held) = world.spent();
    assert_eq!((booked, held), (0, 30));
    // Another has no room.
    let text = invite(NUMBER, "a2").replace("127.0.0.3:5080", CARRIER);
    let refused = world.send(CARRIER, &text);
    assert!(refused[0].1.starts_with("SIP/2.0 486 "), "{refused:#?}");
    assert!(header(&refused[0].1, "Reason").contains("budget-spent"));
    let mut sent = world.talk_for(15);
    sent.retain(|(_, text)| text.starts_with("BYE "));
    assert_eq!(to(&sent, CARRIER)[..1], ["BYE"], "{sent:#?}");
    assert_eq!(to(&sent, PBX)[..1], ["BYE"], "{sent:#?}");
    for (from, bye) in &sent {
        world.send(from, &answer(bye, "200 OK", "x", ""));
    }
    let (booked, held) = world.spent();
    assert_eq!((booked, held), (18, 0), "up to 147 s, and 2 s of skew");
    assert_eq!(world.cost, 18_000_000);
    world.is_empty();
}

/// A BYE that the carrier does not answer is repeated until its session timer has run out,
/// and so much is booked.
#[test]
fn a_carrier_that_is_gone_is_billed_until_its_session_is_over() {
    let mut world = budgeted(1_000);
    let dialog = world.talks("a1");
    world.send(PBX, &{
        let from = header(&dialog.invited, "To").to_owned();
        format!(
            "BYE sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {PBX};branch=z9hG4bKb\nMax-Forwards: 70\n\
             From: {from};tag=p\nTo: {}\nCall-ID: {}\nCSeq: 7 BYE\nContent-Length: 0\n\n",
            header(&dialog.invited, "From"),
            header(&dialog.invited, "Call-ID")
        )
    });
    let sent = world.pass(150);
    assert!(to(&sent, CARRIER).contains(&"BYE"), "it is repeated");
    assert_ne!(world.spent().1, 0);
    world.is_empty();
    // The teardown and 180 s, and skew: 214 s and no more.
    assert_eq!(world.spent(), (24, 0));
}

#[test]
fn what_comes_to_nothing_is_given_back() {
    // The phone system is busy.
    let mut world = budgeted(1_000);
    let invited = world.comes("a1");
    assert_eq!(world.spent(), (0, 36));
    world.send(PBX, &answer(&invited, "486 Busy Here", "p", ""));
    assert_eq!(world.spent(), (0, 0));
    assert_eq!(world.cost, 0);
    world.is_empty();
    // The caller gives up, and the phone system answers all the same.
    let mut world = budgeted(1_000);
    let invited = world.comes("a1");
    world.send(PBX, &answer(&invited, "180 Ringing", "p", ""));
    let cancel = invite(NUMBER, "a1").replace("127.0.0.3:5080", CARRIER);
    let cancel = cancel.replace("INVITE", "CANCEL").replace("v=0\n", "");
    world.send(
        CARRIER,
        &cancel.replace("Content-Length: 5", "Content-Length: 0"),
    );
    assert_eq!(world.spent(), (0, 0), "the carrier has its 487");
    let ok = answer(&invited, "200 OK", "p", "Contact: <sip:127.0.0.3:5080>\n");
    let sent = world.send(PBX, &ok);
    assert_eq!(to(&sent, PBX), ["ACK", "BYE"], "{sent:#?}");
    world.is_empty();
    assert_eq!(world.spent(), (0, 0));
}

#[test]
fn a_call_from_a_carrier_survives_a_restart_with_what_it_holds() {
    let mut world = budgeted(1_000);
    let dialog = world.talks("a1");
    let before = world.spent();
    assert_eq!(before, (0, 36));
    let sent = world.crash(20);
    assert_eq!(sent, []);
    assert_eq!(world.spent(), before);
    world.talk_for(110);
    assert_eq!(world.spent(), (0, 42), "renewed");
    let sent = world.send(CARRIER, &dialog.of_carrier("a1", "BYE", 2));
    assert_eq!(to(&sent, PBX), ["BYE"], "{sent:#?}");
    // 130 s, and 2 s of skew.
    assert_eq!(world.spent(), (18, 0));
    assert_eq!(world.cost, 18_000_000);
    world.is_empty();
    // One that rings is refused, and costs nothing.
    let mut world = budgeted(1_000);
    world.comes("a1");
    let sent = world.crash(1);
    assert_eq!(to(&sent, CARRIER), ["SIP/2.0"], "{sent:#?}");
    world.is_empty();
    assert_eq!(world.spent(), (0, 0));
}

/// It is not known whether it is there: after its lease the call is hung up, and booked
/// for all the time in between.
#[test]
fn a_call_from_a_carrier_without_session_timers_is_booked_for_the_time_away() {
    let mut world = budgeted(1_000);
    let plain = |text: String| text.replace("timer, ", "");
    let sent = world.send(
        CARRIER,
        &plain(invite(NUMBER, "a1").replace("127.0.0.3:5080", CARRIER)),
    );
    let invited = sent.into_iter().find(|(to, _)| to == PBX).unwrap().1;
    let ok = answer(&invited, "200 OK", "p", "Contact: <sip:127.0.0.3:5080>\n");
    let accepted = world.send(PBX, &ok).remove(0).1;
    let dialog = Dialog {
        invited,
        tagged: header(&accepted, "To").to_owned(),
        accepted,
    };
    world.send(CARRIER, &dialog.of_carrier("a1", "ACK", 1));
    let sent = world.crash(600);
    let bye = sent.iter().find(|(to, _)| to == CARRIER).unwrap();
    assert!(bye.1.starts_with("BYE "), "{sent:#?}");
    world.send(CARRIER, &answer(&bye.1, "200 OK", "x", ""));
    world.is_empty();
    assert_eq!(world.spent(), (66, 0), "ten minutes, and 2 s of skew");
}
