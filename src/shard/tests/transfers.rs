//! REFER, and a phone system's own redirection: neither is carried out.

use super::onward::{gist, to};
use super::*;

const NUMBER: &str = "+442071838750";
const DEAR: &str = "sip:+23276123456@127.0.0.1";

/// A request of a peer's.
fn request(from: &str, method: &str, names: [&str; 3], (cseq, more): (u32, &str)) -> String {
    let [from_field, to_field, call_id] = names;
    format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}\n\
         Max-Forwards: 70\nFrom: {from_field}\nTo: {to_field}\nCall-ID: {call_id}\nCSeq: {cseq} {method}\n\
         Contact: <sip:x@{from}>\n{more}Content-Length: 0\n\n"
    )
}

fn refer_to(uri: &str) -> String {
    format!("Refer-To: <{uri}>\n")
}

/// A call that is up: the INVITE that went out, and the answer that came back.
fn up(world: &mut World) -> (String, String) {
    let invite = to(&world.send(PBX, &invite(NUMBER, "a1")), CARRIER);
    let ok = answer(&invite, "200 OK", "c", "Contact: <sip:127.0.0.2:5070>\n");
    let answered = world.send(CARRIER, &ok)[0].1.clone();
    let names = [header(&answered, "From"), header(&answered, "To"), "a1@pbx"];
    world.send(PBX, &request(PBX, "ACK", names, (1, "")));
    world.verdicts.clear();
    (invite, answered)
}

#[test]
fn a_transfer_is_refused_on_record_whoever_asks() {
    for (replaces, number) in [
        ("", "+23276123456"),
        ("?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc", ""),
    ] {
        let mut world = World::new();
        let (invite, answered) = up(&mut world);
        let target = format!("{DEAR}{replaces}");
        let of_pbx = [header(&answered, "From"), header(&answered, "To"), "a1@pbx"];
        let sent = world.send(PBX, &request(PBX, "REFER", of_pbx, (2, &refer_to(&target))));
        assert_eq!(gist(&sent), ["pbx 603"]);
        assert!(header(&sent[0].1, "Reason").ends_with("no-transfers\""));
        let tag = format!("{};tag=c", header(&invite, "To"));
        let of_carrier = [&tag, header(&invite, "From"), header(&invite, "Call-ID")];
        let asked = request(CARRIER, "REFER", of_carrier, (1, &refer_to(&target)));
        assert_eq!(gist(&world.send(CARRIER, &asked)), ["first 603"]);
        let refused = format!("Refuse {number} no-transfers {target}");
        assert_eq!(world.verdicts, [refused.clone(), refused]);
        let [pbx, carrier] = world.notes.as_slice() else {
            panic!("{:?}", world.notes)
        };
        assert!(pbx.starts_with("transfer-refused: acme: the phone system would transfer"));
        assert!(carrier.starts_with("transfer-refused: acme: upstream would transfer"));
        // The call goes on.
        let sent = world.send(PBX, &request(PBX, "BYE", of_pbx, (3, "")));
        assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
        world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
        world.rest();
        assert_eq!(world.shard.counts(), Counts::default());
    }
}

#[test]
fn what_names_no_target_or_counts_back_is_no_transfer() {
    let mut world = World::new();
    let (_, answered) = up(&mut world);
    let names = [header(&answered, "From"), header(&answered, "To"), "a1@pbx"];
    for (asked, code) in [
        ((2, ""), "pbx 400"),
        ((1, "Refer-To: <sip:x@y>\n"), "pbx 500"),
    ] {
        let sent = world.send(PBX, &request(PBX, "REFER", names, asked));
        assert_eq!(gist(&sent), [code]);
    }
    assert!(world.verdicts.is_empty());
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

#[test]
fn a_phone_systems_redirection_goes_nowhere() {
    let mut world = World::new();
    let text = invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let sent = world.send(CARRIER, &text);
    let invite = to(&sent, PBX);
    world.verdicts.clear();
    let contacts = format!("Contact: <{DEAR}>;q=0.1, <sip:0335570006@127.0.0.3>\n");
    let sent = world.send(PBX, &answer(&invite, "302 Moved", "r", &contacts));
    assert_eq!(gist(&sent), ["pbx ACK", "first 603"], "{sent:#?}");
    assert!(!sent[1].1.contains("23276123456"));
    let near = "Refuse +81335570006 no-transfers sip:0335570006@127.0.0.3".to_owned();
    let dear = format!("Refuse +23276123456 no-transfers {DEAR}");
    assert_eq!(world.verdicts, [near, dear]);
    assert_eq!(world.notes.len(), 2);
    assert!(world.notes[1].starts_with("transfer-refused: acme: the phone system redirected"));
    world.rest();
    assert_eq!(world.counters.live(), 0);
    assert_eq!(world.shard.counts(), Counts::default());
}

/// A call is only taken over from another (RFC 3891) by who supports that: here it is one
/// of its own, judged by what is dialled.
#[test]
fn replaces_takes_no_call_over() {
    let mut world = World::of(&TENANT.replace("calls_at_once = 1", "calls_at_once = 2"));
    let (_, answered) = up(&mut world);
    let tag = header(&answered, "To").split_once("tag=").unwrap().1;
    let more = format!("Replaces: a1@pbx;to-tag={tag};from-tag=pbxa1\nSupported: ");
    let with = |number: &str, branch: &str, require: &str| {
        invite(number, branch).replace("Supported: ", &format!("{require}{more}"))
    };
    let sent = world.send(PBX, &with(NUMBER, "a2", "Require: replaces\n"));
    assert_eq!(gist(&sent), ["pbx 420"]);
    // Towards where the other call's phone is reached: that is nobody's number.
    let contact = with("nobody", "a3", "").replace("nobody@", "");
    assert_eq!(gist(&world.send(PBX, &contact)), ["pbx 603"]);
    let sent = world.send(PBX, &with(NUMBER, "a4", ""));
    assert_eq!(gist(&sent), ["pbx 100", "first INVITE"]);
    assert!(!sent[1].1.contains("Replaces"));
}
