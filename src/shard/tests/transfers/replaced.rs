//! Transfers to whom the phone system has called before (Replaces).

use super::*;

#[test]
fn a_transfer_to_whom_one_speaks_with_joins_two_calls() {
    let mut world = world(2);
    let (first, second) = (up(&mut world), up_to(&mut world, OTHER, "a2", "b"));
    let target = format!("sip:{OTHER}@127.0.0.1{}", second.replaces());
    let sent = world.send(PBX, &first.of_pbx("REFER", 2, &refer_to(&target)));
    assert_eq!(gist(&sent), ["pbx 202", "pbx NOTIFY", "first INVITE"]);
    let asked = &sent[2].1;
    assert_eq!(header(asked, "Call-ID"), header(&second.invite, "Call-ID"));
    assert!(asked.ends_with("\r\n\r\n"), "without an offer");
    // No new call: what was called is paid for already.
    assert!(world.verdicts.is_empty());
    let sent = world.send(CARRIER, &with_body(asked, "200 OK", "b", OFFER));
    assert_eq!(gist(&sent), ["first INVITE"]);
    let offered = &sent[0].1;
    assert_eq!(header(offered, "Call-ID"), header(&first.invite, "Call-ID"));
    let sent = world.send(CARRIER, &with_body(offered, "200 OK", "c", ANSWER));
    let order = ["first ACK", "pbx NOTIFY", "pbx BYE", "pbx BYE", "first ACK"];
    assert_eq!(gist(&sent), order);
    assert!(sent[4].1.ends_with("v=0 of A\r\n"));
    let byes = [&sent[2].1, &sent[3].1];
    assert_eq!(byes.map(|it| header(it, "Call-ID")), ["a1@pbx", "a2@pbx"]);
    for bye in byes {
        world.send(PBX, &answer(bye, "200 OK", "", ""));
    }
    assert_eq!(world.shard.counts().up, 2);
    let sent = world.send(CARRIER, &second.of_carrier("BYE", 5, ""));
    assert_eq!(gist(&sent), ["first 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "c", ""));
    nothing_is_left(&mut world);
}

#[test]
fn nobody_takes_the_place_of_a_dialog_that_is_not_theirs() {
    let mut world = world(2);
    let call = up(&mut world);
    let sound = call.replaces();
    let foreign = sound.replace("from-tag%3D", "from-tag%3Dx");
    let own = format!("sip:{OTHER}@127.0.0.1{sound}");
    for (cseq, target, code) in [
        (
            2,
            format!("sip:{OTHER}@127.0.0.1?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz"),
            "481",
        ),
        (3, format!("sip:{OTHER}@127.0.0.1{foreign}"), "481"),
        // Of the very call.
        (4, own, "491"),
    ] {
        let sent = world.send(PBX, &call.of_pbx("REFER", cseq, &refer_to(&target)));
        let last = &sent.last().unwrap().1;
        assert!(
            told(last).1.starts_with(&format!("SIP/2.0 {code} ")),
            "{last}"
        );
    }
    // Who named somebody else's is on record.
    let refused = format!("Refuse {OTHER} no-transfers sip:{OTHER}@127.0.0.1");
    assert_eq!(world.verdicts, [refused.clone(), refused]);
    let broken = format!("sip:{OTHER}@127.0.0.1?Replaces=x");
    let sent = world.send(PBX, &call.of_pbx("REFER", 5, &refer_to(&broken)));
    assert_eq!(gist(&sent), ["pbx 603"]);
    // A phone system's own INVITE takes nobody's place: it is a call.
    let more = sound
        .replace("%3B", ";")
        .replace("%3D", "=")
        .replace("%40", "@");
    let more = more.replace("?Replaces=", "Replaces: ");
    let with = |require: &str| {
        invite(OTHER, "a4").replace("Supported: ", &format!("{require}{more}\nSupported: "))
    };
    let sent = world.send(PBX, &with("Require: replaces\n"));
    assert_eq!(gist(&sent), ["pbx 420"]);
    let sent = world.send(PBX, &with("").replace("a4", "a5"));
    assert_eq!(gist(&sent), ["pbx 100", "first INVITE"]);
    assert!(!sent[1].1.contains("Replaces"));
}

/// A does not take B's offer: both calls are what they were.
#[test]
fn a_join_that_comes_to_nothing_leaves_both_calls() {
    let mut world = world(2);
    let (first, second) = (up(&mut world), up_to(&mut world, OTHER, "a2", "b"));
    let target = format!("sip:{OTHER}@127.0.0.1{}", second.replaces());
    for cseq in [2, 3] {
        let refer = first.of_pbx("REFER", cseq, &refer_to(&target));
        let sent = world.send(PBX, &refer);
        let sent = world.send(
            CARRIER,
            &with_body(find(&sent, "INVITE"), "200 OK", "b", OFFER),
        );
        let sent = world.send(CARRIER, &answer(&sent[0].1, "488 No", "c", ""));
        assert_eq!(
            told(find(&sent, "NOTIFY")).1,
            "SIP/2.0 488 Not Acceptable Here"
        );
        assert!(!sent.iter().any(|it| it.1.starts_with("BYE")), "{sent:#?}");
        let notify = find(&sent, "NOTIFY");
        world.send(PBX, &answer(notify, "200 OK", "", ""));
    }
    assert_eq!(world.shard.counts().up, 2);
    assert!(world.crash(1).is_empty());
    for (call, tag) in [(&first, "c"), (&second, "b")] {
        let sent = world.send(PBX, &call.of_pbx("BYE", 9, ""));
        assert_eq!(gist(&sent), ["pbx 200", "first BYE"]);
        world.send(CARRIER, &answer(&sent[1].1, "200 OK", tag, ""));
    }
    nothing_is_left(&mut world);
}
