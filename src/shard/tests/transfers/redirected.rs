//! A phone system's own 3xx to a call that comes in.

use super::*;

/// A call from the carrier, as far as the phone system's INVITE.
fn incoming(world: &mut World) -> String {
    let text = invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let text = text.replace("sip:+81335570001@", "sip:+819012345678@");
    let invite = to(&world.send(CARRIER, &text), PBX);
    world.verdicts.clear();
    invite
}

#[test]
fn a_phone_systems_redirection_is_a_call_of_the_tenants() {
    let tenant = TENANT.replace("calls_at_once = 1", "calls_at_once = 2");
    let keep = "otherwise = \"replace\"\nforwarded = \"keep\"";
    let mut world = World::of(&tenant.replace("otherwise = \"replace\"", keep));
    let invite = incoming(&mut world);
    world.send(PBX, &answer(&invite, "180 Ringing", "r", ""));
    let contacts = format!("Contact: <{DEAR}>;q=0.1, <sip:{OTHER}@127.0.0.3>\n");
    let sent = world.send(PBX, &answer(&invite, "302 Moved", "r", &contacts));
    assert_eq!(gist(&sent), ["pbx ACK", "first INVITE"], "{sent:#?}");
    let onward = to(&sent, CARRIER);
    assert!(onward.starts_with(&format!("INVITE sip:{OTHER}@")));
    assert!(onward.ends_with("v=0\r\n"), "with the caller's offer");
    // It is its caller's, in the called number's stead.
    assert!(header(&onward, "From").contains("sip:+819012345678@"));
    assert!(header(&onward, "Diversion").contains("sip:+81335570005@"));
    let followed = format!("Allow {OTHER}  sip:{OTHER}@127.0.0.3");
    let dear = format!("Refuse +23276123456 redirect-not-followed {DEAR}");
    assert_eq!(world.verdicts, [dear, followed]);
    let sent = world.send(CARRIER, &with_body(&onward, "200 OK", "b", ANSWER));
    assert_eq!(gist(&sent), ["first 200"]);
    let names = [
        header(&sent[0].1, "From"),
        header(&sent[0].1, "To"),
        "i1@pbx",
    ];
    let acked = world.send(CARRIER, &request(CARRIER, "ACK", names, (1, "")));
    assert_eq!(gist(&acked), ["first ACK"]);
    assert_eq!(world.shard.counts().up, 2);
    // It outlives a restart.
    assert!(world.crash(1).is_empty());
    let sent = world.send(CARRIER, &request(CARRIER, "BYE", names, (2, "")));
    assert_eq!(gist(&sent), ["first 200", "first BYE"]);
    world.send(CARRIER, &answer(&sent[1].1, "200 OK", "b", ""));
    nothing_is_left(&mut world);
}

#[test]
fn a_redirection_that_rules_refuse_ends_the_call() {
    let mut world = world(2);
    let invite = incoming(&mut world);
    let contact = format!("Contact: <{DEAR}>\n");
    let sent = world.send(PBX, &answer(&invite, "302 Moved", "r", &contact));
    assert_eq!(gist(&sent), ["pbx ACK", "first 603"], "{sent:#?}");
    assert!(!sent[1].1.contains("23276123456"));
    let dear = format!("Refuse +23276123456 destination-not-allowed {DEAR}");
    assert_eq!(world.verdicts, [dear]);
    nothing_is_left(&mut world);
}

/// The carrier takes its call back while it is being led elsewhere.
#[test]
fn who_is_redirected_may_hang_up() {
    let mut world = world(2);
    let invite = incoming(&mut world);
    let contact = format!("Contact: <sip:{OTHER}@127.0.0.3>\n");
    let sent = world.send(PBX, &answer(&invite, "302 Moved", "r", &contact));
    let onward = to(&sent, CARRIER);
    world.send(CARRIER, &answer(&onward, "180 Ringing", "b", ""));
    let text = self::invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let text = text.replace("sip:+81335570001@", "sip:+819012345678@");
    let cancel = text
        .replace("INVITE", "CANCEL")
        .split_once("Contact: ")
        .unwrap()
        .0
        .to_owned();
    let sent = world.send(CARRIER, &format!("{cancel}Content-Length: 0\n\n"));
    let ours = find(&sent, "CANCEL").to_owned();
    world.send(CARRIER, &answer(&ours, "200 OK", "b", ""));
    world.send(CARRIER, &answer(&onward, "487 Request Terminated", "b", ""));
    nothing_is_left(&mut world);
}

/// Back to the number that was called, or to what is no call: nothing is made of it.
#[test]
fn a_redirection_in_a_circle_ends_the_call() {
    for (target, verdict) in [
        (
            "sip:0335570005@127.0.0.3",
            "+81335570005 redirect-not-followed",
        ),
        ("sip:+442071838751@127.0.0.3;method=BYE", " no-transfers"),
    ] {
        let mut world = world(2);
        let invite = incoming(&mut world);
        let contact = format!("Contact: <{target}>\n");
        let sent = world.send(PBX, &answer(&invite, "302 Moved", "r", &contact));
        assert_eq!(gist(&sent), ["pbx ACK", "first 603"], "{sent:#?}");
        let [written] = world.verdicts.as_slice() else {
            panic!("{:?}", world.verdicts);
        };
        assert!(written.contains(verdict), "{written}");
        nothing_is_left(&mut world);
    }
}
