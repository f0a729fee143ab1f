//! REFER, and a phone system's own redirection: calls of their own, judged as if dialled.

mod redirected;
mod replaced;
mod shards;
mod walk;

use super::onward::{gist, to};
use super::*;

const NUMBER: &str = "+442071838750";
const OTHER: &str = "+442071838751";
const DEAR: &str = "sip:+23276123456@127.0.0.1";
const OFFER: &str = "v=0 of B\n";
const ANSWER: &str = "v=0 of A\n";

/// A request of a peer's.
fn request(from: &str, method: &str, names: [&str; 3], (cseq, more): (u32, &str)) -> String {
    let [from_field, to_field, call_id] = names;
    let branch = format!("{method}{cseq}{}", call_id.replace(['@', '.', ':'], ""));
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{branch}\n\
         Max-Forwards: 70\nFrom: {from_field}\nTo: {to_field}\nCall-ID: {call_id}\nCSeq: {cseq} {method}\n\
         Contact: <sip:x@{from}>\n{more}Content-Length: 0\n\n"
    )
}

fn refer_to(uri: &str) -> String {
    format!("Refer-To: <{uri}>\n")
}

/// A response with a session description.
fn with_body(request: &str, status: &str, tag: &str, body: &str) -> String {
    let more = "Contact: <sip:c@127.0.0.2:5070>\nContent-Type: application/sdp\n";
    let text = answer(request, status, tag, more);
    let length = body.len() + 1;
    let ends = text.replace(
        "Content-Length: 0\n",
        &format!("Content-Length: {length}\n"),
    );
    format!("{ends}{body}")
}

/// A call that is up: the INVITE that went out, and the answer that came back.
struct Up {
    invite: String,
    answered: String,
    call_id: String,
    tag: &'static str,
}

impl Up {
    /// What its phone system says in it.
    fn of_pbx(&self, method: &str, cseq: u32, more: &str) -> String {
        let (from, to) = (header(&self.answered, "From"), header(&self.answered, "To"));
        request(PBX, method, [from, to, &self.call_id], (cseq, more))
    }

    /// What its carrier says in it.
    fn of_carrier(&self, method: &str, cseq: u32, more: &str) -> String {
        let from = format!("{};tag={}", header(&self.invite, "To"), self.tag);
        let names = [
            &from,
            header(&self.invite, "From"),
            header(&self.invite, "Call-ID"),
        ];
        request(CARRIER, method, names, (cseq, more))
    }

    /// Who takes its leg's place names it so.
    fn replaces(&self) -> String {
        let tag = |field: &str| {
            header(&self.answered, field)
                .split_once("tag=")
                .unwrap()
                .1
                .to_owned()
        };
        let (to, from) = (tag("To"), tag("From"));
        format!(
            "?Replaces={}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}",
            self.call_id.replace('@', "%40")
        )
    }
}

/// A tenant that may have so many calls at once.
fn world(calls: u32) -> World {
    World::of(&TENANT.replace("calls_at_once = 1", &format!("calls_at_once = {calls}")))
}

fn up_to(world: &mut World, number: &str, branch: &str, tag: &'static str) -> Up {
    let mut send = |peer: &str, text: &str| world.send(peer, text);
    let up = up_by(&mut send, number, branch, tag);
    world.verdicts.clear();
    up
}

/// The same, whoever sends the messages and returns what goes out.
fn up_by(
    send: &mut impl FnMut(&str, &str) -> Vec<(String, String)>,
    number: &str,
    branch: &str,
    tag: &'static str,
) -> Up {
    let invite = to(&send(PBX, &invite(number, branch)), CARRIER);
    let sent = send(CARRIER, &with_body(&invite, "200 OK", tag, ANSWER));
    let answered = sent[0].1.clone();
    let up = Up {
        invite,
        answered,
        call_id: format!("{branch}@pbx"),
        tag,
    };
    send(PBX, &up.of_pbx("ACK", 1, ""));
    up
}

fn up(world: &mut World) -> Up {
    up_to(world, NUMBER, "a1", "c")
}

/// The calls that are up, and what they hold, at the end.
#[track_caller]
fn nothing_is_left(world: &mut World) {
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
    assert_eq!(world.counters.live(), 0);
}

/// The one of these that begins so.
#[track_caller]
fn find<'s>(sent: &'s [(String, String)], start: &str) -> &'s str {
    let mut found = sent.iter().filter(|(_, text)| text.starts_with(start));
    let one = found.next();
    &one.unwrap_or_else(|| panic!("no {start} in {sent:#?}")).1
}

/// What a NOTIFY says of the transfer.
fn told(notify: &str) -> (&str, &str) {
    let body = notify.split("\r\n\r\n").nth(1).unwrap().trim_end();
    (header(notify, "Subscription-State"), body)
}

/// A transfer as far as the INVITE to whom it leads.
fn referred(world: &mut World, call: &Up, cseq: u32) -> String {
    let refer = call.of_pbx("REFER", cseq, &refer_to(&format!("sip:{OTHER}@127.0.0.1")));
    let sent = world.send(PBX, &refer);
    assert_eq!(gist(&sent), ["pbx 202", "pbx NOTIFY", "first INVITE"]);
    let notify = find(&sent, "NOTIFY");
    assert_eq!(told(notify), ("active;expires=300", "SIP/2.0 100 Trying"));
    assert_eq!(header(notify, "Event"), format!("refer;id={cseq}"));
    let invite = to(&sent, CARRIER);
    assert!(
        invite.starts_with(&format!("INVITE sip:{OTHER}@")),
        "{invite}"
    );
    assert!(invite.ends_with("\r\n\r\n"), "without an offer: {invite}");
    world.send(PBX, &answer(notify, "200 OK", "", ""));
    invite
}

/// The offer goes to A, its answer to B, and the phone system is out of both.
fn joined(world: &mut World, call: &Up, invite: &str) {
    let sent = world.send(CARRIER, &with_body(invite, "200 OK", "b", OFFER));
    assert_eq!(gist(&sent), ["first INVITE"]);
    let offered = &sent[0].1;
    assert_eq!(header(offered, "Call-ID"), header(&call.invite, "Call-ID"));
    assert!(offered.ends_with("v=0 of B\r\n"), "{offered}");
    let sent = world.send(CARRIER, &with_body(offered, "200 OK", call.tag, ANSWER));
    let acks: Vec<_> = sent.iter().filter(|it| it.1.starts_with("ACK")).collect();
    let [to_a, to_b] = acks.as_slice() else {
        panic!("{sent:#?}");
    };
    assert_eq!(header(&to_a.1, "Call-ID"), header(&call.invite, "Call-ID"));
    assert!(to_a.1.ends_with("\r\n\r\n"));
    assert_eq!(header(&to_b.1, "Call-ID"), header(invite, "Call-ID"));
    assert!(to_b.1.ends_with("v=0 of A\r\n"), "{}", to_b.1);
}

#[test]
fn a_transfer_is_a_call_of_the_tenants() {
    let mut world = world(2);
    let call = up(&mut world);
    let invite = referred(&mut world, &call, 2);
    assert_eq!(
        world.verdicts,
        [format!("Allow {OTHER}  sip:{OTHER}@127.0.0.1")]
    );
    // The phone system hears how it goes.
    let sent = world.send(CARRIER, &answer(&invite, "180 Ringing", "b", ""));
    assert_eq!(gist(&sent), ["pbx NOTIFY"]);
    assert_eq!(told(&sent[0].1).1, "SIP/2.0 180 Ringing");
    let sent = world.send(CARRIER, &with_body(&invite, "200 OK", "b", OFFER));
    let sent = world.send(CARRIER, &with_body(&sent[0].1, "200 OK", "c", ANSWER));
    assert_eq!(
        gist(&sent),
        ["first ACK", "pbx NOTIFY", "pbx BYE", "first ACK"]
    );
    let state = "terminated;reason=noresource";
    assert_eq!(told(find(&sent, "NOTIFY")), (state, "SIP/2.0 200 OK"));
    assert_eq!(header(find(&sent, "BYE"), "Call-ID"), "a1@pbx");
    world.send(PBX, &answer(find(&sent, "BYE"), "200 OK", "", ""));
    // Both calls are up, and count.
    assert_eq!(world.shard.counts().up, 2);
    assert!(
        world
            .notes
            .iter()
            .any(|it| it.starts_with("transferred: acme: call "))
    );
    // A re-INVITE of A's goes to B, and B's answer back.
    let again = call
        .of_carrier("INVITE", 9, "")
        .replace("Content-Length: 0\n\n", "Content-Length: 3\n\nv=1");
    let sent = world.send(CARRIER, &again);
    assert_eq!(gist(&sent), ["first 100", "first INVITE"]);
    assert_eq!(header(&sent[1].1, "Call-ID"), header(&invite, "Call-ID"));
    let sent = world.send(CARRIER, &with_body(&sent[1].1, "200 OK", "b", OFFER));
    assert_eq!(gist(&sent), ["first 200"]);
    let sent = world.send(CARRIER, &call.of_carrier("ACK", 9, ""));
    assert_eq!(gist(&sent), ["first ACK"]);
    // B hangs up.
    let from = format!("{};tag=b", header(&invite, "To"));
    let names = [&from, header(&invite, "From"), header(&invite, "Call-ID")];
    let sent = world.send(CARRIER, &request(CARRIER, "BYE", names, (1, "")));
    assert_eq!(gist(&sent), ["first 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
    nothing_is_left(&mut world);
}

#[test]
fn whom_rules_refuse_is_not_transferred_to_and_the_call_goes_on() {
    let mut world = world(2);
    let call = up(&mut world);
    for (cseq, target, verdict) in [
        (2, DEAR, "+23276123456 destination-not-allowed"),
        // A transfer inherits no exemption.
        (3, "sip:110@127.0.0.1", "110 redirect-not-followed"),
        (4, "sip:nobody@127.0.0.1", " no-single-meaning"),
    ] {
        let sent = world.send(PBX, &call.of_pbx("REFER", cseq, &refer_to(target)));
        assert_eq!(gist(&sent), ["pbx 202", "pbx NOTIFY", "pbx NOTIFY"]);
        let state = "terminated;reason=noresource";
        assert_eq!(told(&sent[2].1), (state, "SIP/2.0 603 Decline"));
        let written = format!("Refuse {verdict} {target}");
        assert_eq!(world.verdicts.pop(), Some(written));
    }
    // One call more than it may have.
    let mut less = self::world(1);
    let call_too = up(&mut less);
    let sent = less.send(
        PBX,
        &call_too.of_pbx(
            "REFER",
            2,
            &refer_to(DEAR.replace("+23276123456", OTHER).as_str()),
        ),
    );
    assert_eq!(told(&sent[2].1).1, "SIP/2.0 603 Decline");
    let sent = world.send(PBX, &call.of_pbx("BYE", 5, ""));
    assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
    nothing_is_left(&mut world);
}

#[test]
fn a_transfer_that_comes_to_nothing_leaves_the_call_as_it_was() {
    for how in ["busy", "offer"] {
        let mut world = world(2);
        let call = up(&mut world);
        let invite = referred(&mut world, &call, 2);
        // Another transfer has to wait.
        let sent = world.send(PBX, &call.of_pbx("REFER", 3, &refer_to(DEAR)));
        assert_eq!(gist(&sent), ["pbx 491"]);
        let sent = match how {
            "busy" => world.send(CARRIER, &answer(&invite, "486 Busy Here", "b", "")),
            _ => world.send(CARRIER, &with_body(&invite, "200 OK", "b", OFFER)),
        };
        let (sent, code) = match how {
            "busy" => (sent, "486 Busy Here"),
            _ => {
                let sent = world.send(CARRIER, &answer(&sent[0].1, "488 No", "c", ""));
                let bye = find(&sent, "BYE").to_owned();
                assert_eq!(header(&bye, "Call-ID"), header(&invite, "Call-ID"));
                world.send(CARRIER, &answer(&bye, "200 OK", "b", ""));
                (sent, "488 Not Acceptable Here")
            }
        };
        assert_eq!(
            told(find(&sent, "NOTIFY")).1,
            format!("SIP/2.0 {code}"),
            "{how}"
        );
        assert_eq!(world.shard.counts().up, 1, "{how}");
        let sent = world.send(PBX, &call.of_pbx("BYE", 4, ""));
        let bye = find(&sent, "BYE");
        assert_eq!(header(bye, "Call-ID"), header(&call.invite, "Call-ID"));
        world.send(CARRIER, &answer(bye, "200 OK", "c", ""));
        nothing_is_left(&mut world);
    }
}

/// B answers and hangs up before A has said anything to its offer; or A never does.
#[test]
fn a_transfer_that_ends_as_it_begins_leaves_nobody_behind() {
    for answers in [true, false] {
        let mut world = world(2);
        let call = up(&mut world);
        let invite = referred(&mut world, &call, 2);
        let offered = world.send(CARRIER, &with_body(&invite, "200 OK", "b", OFFER));
        let mut sent = Vec::new();
        if answers {
            let from = format!("{};tag=b", header(&invite, "To"));
            let names = [&from, header(&invite, "From"), header(&invite, "Call-ID")];
            let bye = request(CARRIER, "BYE", names, (1, ""));
            assert_eq!(gist(&world.send(CARRIER, &bye)), ["first 200"]);
            sent = world.send(CARRIER, &with_body(&offered[0].1, "200 OK", "c", ANSWER));
        }
        sent.append(&mut world.pass(100));
        for side in [&call.invite, &call.answered] {
            let call_id = header(side, "Call-ID");
            let hung = |it: &(String, String)| {
                it.1.starts_with("BYE") && header(&it.1, "Call-ID") == call_id
            };
            assert!(sent.iter().any(hung), "{answers}: {sent:#?}");
        }
        assert_eq!(world.shard.counts().up, 0, "{answers}");
        nothing_is_left(&mut world);
    }
}

/// Many phone systems hang up as soon as they have transferred.
#[test]
fn a_phone_system_may_leave_before_the_target_answers() {
    for (status, ends) in [("200 OK", false), ("486 Busy Here", true)] {
        let mut world = world(2);
        let call = up(&mut world);
        let invite = referred(&mut world, &call, 2);
        let sent = world.send(PBX, &call.of_pbx("BYE", 3, ""));
        assert_eq!(gist(&sent), ["pbx 200"]);
        if ends {
            let sent = world.send(CARRIER, &answer(&invite, status, "b", ""));
            assert_eq!(gist(&sent), ["first ACK", "first BYE"]);
            world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
        } else {
            joined(&mut world, &call, &invite);
            assert_eq!(world.shard.counts().up, 2);
            let sent = world.send(CARRIER, &call.of_carrier("BYE", 5, ""));
            assert_eq!(gist(&sent), ["first 200", "first BYE"]);
            world.send(CARRIER, &answer(&sent[1].1, "200 OK", "b", ""));
        }
        nothing_is_left(&mut world);
    }
}

/// A hangs up while it is transferred: nobody is left ringing, nor paid for.
#[test]
fn whoever_is_transferred_may_hang_up() {
    for answered in [false, true] {
        let mut world = world(2);
        let call = up(&mut world);
        let invite = referred(&mut world, &call, 2);
        if answered {
            world.send(CARRIER, &with_body(&invite, "200 OK", "b", OFFER));
        } else {
            world.send(CARRIER, &answer(&invite, "180 Ringing", "b", ""));
        }
        let sent = world.send(CARRIER, &call.of_carrier("BYE", 5, ""));
        let bye = find(&sent, "BYE").to_owned();
        if answered {
            let hung = sent
                .iter()
                .filter(|it| it.1.starts_with("BYE"))
                .map(|it| it.1.clone());
            for bye in hung.collect::<Vec<_>>() {
                world.send(
                    if bye.contains("127.0.0.3") {
                        PBX
                    } else {
                        CARRIER
                    },
                    &answer(&bye, "200 OK", "b", ""),
                );
            }
        } else {
            let cancel = find(&sent, "CANCEL").to_owned();
            world.send(CARRIER, &answer(&cancel, "200 OK", "b", ""));
            world.send(CARRIER, &answer(&invite, "487 Request Terminated", "b", ""));
            world.send(PBX, &answer(&bye, "200 OK", "", ""));
        }
        assert_eq!(world.shard.counts().up, 0);
        nothing_is_left(&mut world);
    }
}

/// After a restart whoever has been joined can still hang up; who was on the way is not
/// left waiting.
#[test]
fn transfers_outlive_a_restart() {
    let mut world = world(2);
    let call = up(&mut world);
    let invite = referred(&mut world, &call, 2);
    joined(&mut world, &call, &invite);
    let sent = world.crash(1);
    assert!(sent.is_empty(), "{sent:#?}");
    assert_eq!(world.shard.counts().up, 2);
    let sent = world.send(CARRIER, &call.of_carrier("BYE", 5, ""));
    assert_eq!(gist(&sent), ["first 200", "first BYE"]);
    assert_eq!(header(&sent[1].1, "Call-ID"), header(&invite, "Call-ID"));
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "b", ""));
    nothing_is_left(&mut world);
    for left in [false, true] {
        let mut world = self::world(2);
        let call = up(&mut world);
        let invite = referred(&mut world, &call, 2);
        if left {
            world.send(PBX, &call.of_pbx("BYE", 3, ""));
        }
        let sent = world.crash(1);
        let cancel = find(&sent, "CANCEL").to_owned();
        world.send(CARRIER, &answer(&cancel, "200 OK", "b", ""));
        world.send(CARRIER, &answer(&invite, "487 Terminated", "b", ""));
        assert_eq!(world.shard.counts().up, usize::from(!left));
        let bye = match left {
            true => sent,
            false => world.send(PBX, &call.of_pbx("BYE", 3, "")),
        };
        world.send(CARRIER, &answer(find(&bye, "BYE"), "200 OK", "c", ""));
        nothing_is_left(&mut world);
    }
}

#[test]
fn a_carrier_transfers_nobody() {
    let mut world = World::new();
    let call = up(&mut world);
    let sent = world.send(CARRIER, &call.of_carrier("REFER", 1, &refer_to(DEAR)));
    assert_eq!(gist(&sent), ["first 603"]);
    assert!(header(&sent[0].1, "Reason").ends_with("no-transfers\""));
    assert_eq!(
        world.verdicts,
        [format!("Refuse +23276123456 no-transfers {DEAR}")]
    );
    assert!(world.notes[0].starts_with("transfer-refused: acme: upstream would transfer"));
    let sent = world.send(PBX, &call.of_pbx("BYE", 3, ""));
    assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
    nothing_is_left(&mut world);
}

#[test]
fn what_names_no_target_or_counts_back_is_no_transfer() {
    let mut world = World::new();
    let call = up(&mut world);
    for ((cseq, more), code) in [
        ((2, ""), "pbx 400"),
        ((3, "Refer-To: <sip:x@y;method=BYE>\n"), "pbx 603"),
        ((4, "Refer-To: <urn:service:sos>\n"), "pbx 603"),
        ((1, "Refer-To: <sip:x@y>\n"), "pbx 500"),
    ] {
        let sent = world.send(PBX, &call.of_pbx("REFER", cseq, more));
        assert_eq!(gist(&sent), [code]);
    }
    assert_eq!(world.verdicts.len(), 3);
}

#[test]
fn nobody_has_a_call_made_by_a_refer() {
    let mut world = World::new();
    for (from, told, note) in [
        (
            PBX,
            "pbx 603",
            "acme: the phone system would have a call made to +23276123456",
        ),
        (
            CARRIER,
            "first 603",
            ": upstream would have a call made to no number",
        ),
    ] {
        let names = [&*format!("<sip:x@{from}>;tag=1"), "<sip:y@127.0.0.1>", from];
        let asked = request(from, "REFER", names, (1, &refer_to(DEAR)));
        assert_eq!(gist(&world.send(from, &asked)), [told]);
        let written = world.notes.pop().unwrap();
        assert_eq!(written, format!("transfer-refused: {note}: no-transfers"));
        assert!(world.verdicts.pop().unwrap().ends_with(DEAR));
        // Once more it is no news.
        assert_eq!(gist(&world.send(from, &asked)), [told]);
        assert!(world.verdicts.is_empty());
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}
