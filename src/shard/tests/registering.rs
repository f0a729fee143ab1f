//! A carrier that Tollgate registers with, and that asks for credentials.

use super::*;
use crate::policy::RegistrationState;
use crate::sip::digest::{Account, Credentials};

const REGISTRATION: &str = r#"
[carrier.registration]
aor = "sip:0335570000@sip.example"
secret_env = "TEST"
expires = "200s"
"#;

const ACCOUNT: Account<'_> = Account {
    username: b"0335570000",
    password: b"SECRET",
};

fn registering() -> World {
    World::with(&format!("{MAIN}{REGISTRATION}"), TENANT)
}

fn state(world: &World) -> RegistrationState {
    let carrier = &world.shard.rules().carriers()[0];
    carrier.registration.as_ref().unwrap().standing.state()
}

/// A challenge, as a header.
fn challenge(kind: &str, nonce: &str, more: &str) -> String {
    format!("{kind}: Digest realm=\"sip.example\", nonce=\"{nonce}\", qop=\"auth\"{more}\n")
}

fn www(nonce: &str, more: &str) -> String {
    challenge("WWW-Authenticate", nonce, more)
}

/// What is sent of one method, all to the carrier; anything else must not be among it.
fn only<'t>(sent: &'t [(String, String)], method: &str) -> &'t str {
    let [(to, text)] = sent else {
        panic!("{sent:#?}")
    };
    assert_eq!(to, CARRIER);
    assert!(text.starts_with(&format!("{method} ")), "{text}");
    text
}

/// The first REGISTER.
fn first(world: &mut World) -> String {
    only(&world.pass(1), "REGISTER").to_owned()
}

/// Whether a request has the account's credentials for this nonce.
fn proves(request: &str, field: &str, nonce: &str) -> bool {
    let Some(line) = request
        .lines()
        .find(|it| it.starts_with(&format!("{field}: ")))
    else {
        return false;
    };
    let value = line.split_once(": ").unwrap().1;
    let said = Credentials::parse(value.as_bytes()).unwrap().unwrap();
    let mut words = request.split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    said.uri == uri.as_bytes()
        && said.nonce == nonce.as_bytes()
        && ACCOUNT.gave(&said, method.as_bytes())
}

/// Registers, by one challenge.
fn registered(world: &mut World, more: &str) {
    let asked = first(world);
    assert!(
        asked.starts_with("REGISTER sip:sip.example SIP/2.0\r\n"),
        "{asked}"
    );
    assert!(!asked.contains("Authorization"));
    let sent = world.send(
        CARRIER,
        &answer(&asked, "401 Unauthorized", "r", &www("n1", "")),
    );
    let again = only(&sent, "REGISTER");
    assert!(proves(again, "Authorization", "n1"), "{again}");
    assert_eq!(header(again, "Call-ID"), header(&asked, "Call-ID"));
    assert_eq!(
        (header(&asked, "CSeq"), header(again, "CSeq")),
        ("1 REGISTER", "2 REGISTER")
    );
    assert_ne!(header(again, "Via"), header(&asked, "Via"));
    let contact = header(again, "Contact");
    let more = format!("Contact: <sip:other@192.0.2.1>;expires=7, {contact};expires=100\n{more}");
    let sent = world.send(CARRIER, &answer(again, "200 OK", "r", &more));
    assert!(sent.is_empty(), "{sent:#?}");
}

/// Registers, and is given these parameters with its Contact.
fn registered_with(world: &mut World, params: &str) {
    let asked = first(world);
    assert!(header(&asked, "Supported").contains("gruu"));
    let contact = header(&asked, "Contact");
    assert!(
        contact.contains(">;+sip.instance=\"<urn:uuid:"),
        "{contact}"
    );
    let more = format!("Contact: {contact};expires=100{params}\n");
    world.send(CARRIER, &answer(&asked, "200 OK", "r", &more));
}

#[test]
fn what_the_carrier_gives_to_be_called_at_is_what_it_is_told() {
    let own = "<sip:127.0.0.1:5060>";
    let public = "sip:0335570000@sip.example;gr=urn:uuid:1";
    let temporary = "sip:tgruu.7@sip.example;gr";
    let both = format!(";pub-gruu=\"{public}\";temp-gruu=\"{temporary}\"");
    for (params, shown, hidden) in [
        (
            both.as_str(),
            format!("<{public}>"),
            format!("<{temporary}>"),
        ),
        (
            &format!(";pub-gruu=\"{public}\""),
            format!("<{public}>"),
            own.to_owned(),
        ),
        ("", own.to_owned(), own.to_owned()),
        // What is none, or says something else besides.
        (
            ";pub-gruu=\"sip:a@sip.example\"",
            own.to_owned(),
            own.to_owned(),
        ),
        (";pub-gruu=\"tel:+81;gr\"", own.to_owned(), own.to_owned()),
        (
            ";pub-gruu=\"sip:a@b;gr>,<sip:x@y\"",
            own.to_owned(),
            own.to_owned(),
        ),
        (";pub-gruu=sip:a@b", own.to_owned(), own.to_owned()),
    ] {
        let mut world = World::with(&format!("{MAIN}{REGISTRATION}gruu = true\n"), TENANT);
        registered_with(&mut world, params);
        let calls = |world: &mut World, text: &str| {
            let sent = world.send(PBX, text);
            let out = sent.into_iter().find(|(to, _)| to == CARRIER).unwrap().1;
            world.send(CARRIER, &answer(&out, "486 Busy Here", "c", ""));
            header(&out, "Contact").to_owned()
        };
        let asked = invite("+442071838750", "a1");
        assert_eq!(calls(&mut world, &asked), shown, "{params}");
        let asked = invite("+442071838750", "a2");
        let asked = asked.replacen("Max-Forwards", "Privacy: id\nMax-Forwards", 1);
        assert_eq!(calls(&mut world, &asked), hidden, "{params}");
        // The phone system is told nothing of it.
        let sent = world.send(CARRIER, &from_outside());
        let inward = sent.into_iter().find(|(to, _)| to == PBX).unwrap().1;
        assert_eq!(header(&inward, "Contact"), own);
        let sent = world.send(PBX, &answer(&inward, "180 Ringing", "p", ""));
        assert_eq!(header(&sent[0].1, "Contact"), shown, "{params}");
    }
}

/// The carrier's INVITE to one of the tenant's numbers.
fn from_outside() -> String {
    invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2")
}

#[test]
fn who_is_not_asked_for_a_gruu_is_called_at_none() {
    let mut world = registering();
    let asked = first(&mut world);
    assert!(
        !asked.contains("gruu") && !asked.contains("instance"),
        "{asked}"
    );
    let contact = header(&asked, "Contact");
    let more = format!("Contact: {contact};expires=100;pub-gruu=\"sip:a@b;gr\"\n");
    world.send(CARRIER, &answer(&asked, "200 OK", "r", &more));
    let sent = world.send(PBX, &invite("+442071838750", "a1"));
    let out = sent.into_iter().find(|(to, _)| to == CARRIER).unwrap().1;
    assert_eq!(header(&out, "Contact"), "<sip:127.0.0.1:5060>");
}

#[test]
fn it_registers_and_renews_before_the_end() {
    let mut world = registering();
    registered(&mut world, "");
    let start = world.now.mono;
    let RegistrationState::Good { until, .. } = state(&world) else {
        panic!("{:?}", state(&world))
    };
    assert_eq!(until, start + Duration::from_secs(100));
    assert!(world.pass(49).is_empty());
    let sent = world.pass(27);
    let renewal = only(&sent[..1], "REGISTER");
    assert_eq!(header(renewal, "CSeq"), "3 REGISTER");
    // Nobody answers any more: it is tried again, and then it is lost.
    assert!(world.notes.is_empty());
    world.pass(400);
    assert!(matches!(state(&world), RegistrationState::Lost { .. }));
    assert_eq!(
        world.notes,
        ["registration-lost: upstream: the carrier is silent"]
    );
    let later = loop {
        if let Some((_, later)) = world.pass(1).pop() {
            break later;
        }
    };
    let contact = header(&later, "Contact");
    let ok = answer(
        &later,
        "200 OK",
        "r",
        &format!("Contact: {contact}\nExpires: 100\n"),
    );
    world.send(CARRIER, &ok);
    assert!(matches!(state(&world), RegistrationState::Good { .. }));
    assert_eq!(
        world.notes[1..],
        ["registration-good: upstream: registered"]
    );
}

#[test]
fn what_is_not_the_carrier_s_own_challenge_gets_nothing() {
    let other = www("n1", "").replace("sip.example", "elsewhere.example");
    let faulty = www("n1", ", realm=\"sip.example\"");
    let protected = www("n1", "").replace("\"auth\"", "\"auth-int\"");
    let unknown = www("n1", ", algorithm=MD4");
    for more in ["", &other, &faulty, &protected, &unknown] {
        let mut world = registering();
        let asked = first(&mut world);
        let sent = world.send(CARRIER, &answer(&asked, "401 Unauthorized", "r", more));
        assert!(sent.is_empty(), "{more}: {sent:#?}");
        assert!(matches!(state(&world), RegistrationState::Lost { .. }));
        let next = world.pass(6);
        assert!(!only(&next[..1], "REGISTER").contains("Authorization"));
    }
    // Nor does anybody else who has heard the branch.
    let mut world = registering();
    let asked = first(&mut world);
    let sent = world.send(
        PBX,
        &answer(&asked, "401 Unauthorized", "r", &www("n1", "")),
    );
    assert!(sent.is_empty(), "{sent:#?}");
    assert!(matches!(state(&world), RegistrationState::Lost { .. }));
}

#[test]
fn a_nonce_is_answered_once_and_a_password_that_is_refused_is_not_tried_on() {
    for (nonce, more) in [("n1", ""), ("n1", ", stale=true"), ("n2", "")] {
        let mut world = registering();
        let asked = first(&mut world);
        let sent = world.send(
            CARRIER,
            &answer(&asked, "401 Unauthorized", "r", &www("n1", "")),
        );
        let again = only(&sent, "REGISTER").to_owned();
        let sent = world.send(
            CARRIER,
            &answer(&again, "401 Unauthorized", "r", &www(nonce, more)),
        );
        assert!(sent.is_empty(), "{nonce}{more}: {sent:#?}");
        assert!(world.notes[0].ends_with("does not take the username and the password"));
        assert!(world.pass(299).is_empty());
    }
    // One that was right and late is answered, but not for ever.
    let mut world = registering();
    let mut asked = first(&mut world);
    for round in 0..3 {
        let stale = www(&format!("n{round}"), ", stale=true");
        let sent = world.send(CARRIER, &answer(&asked, "401 Unauthorized", "r", &stale));
        asked = only(&sent, "REGISTER").to_owned();
        assert!(proves(&asked, "Authorization", &format!("n{round}")));
    }
    let sent = world.send(
        CARRIER,
        &answer(&asked, "401 Unauthorized", "r", &www("n9", ", stale=true")),
    );
    assert!(sent.is_empty(), "{sent:#?}");
}

#[test]
fn it_asks_for_as_long_as_the_carrier_wants() {
    let mut world = registering();
    let asked = first(&mut world);
    assert_eq!(header(&asked, "Expires"), "200");
    let brief = answer(&asked, "423 Interval Too Brief", "r", "Min-Expires: 900\n");
    let sent = world.send(CARRIER, &brief);
    assert_eq!(header(only(&sent, "REGISTER"), "Expires"), "900");
    let ok = answer(
        &sent[0].1,
        "200 OK",
        "r",
        "Contact: <sip:other@192.0.2.1>\n",
    );
    world.send(CARRIER, &ok);
    assert!(
        matches!(state(&world), RegistrationState::Lost { .. }),
        "not our Contact"
    );
}

#[test]
fn a_refusal_is_tried_again_later_and_not_before_the_carrier_wants() {
    let mut world = registering();
    let asked = first(&mut world);
    let busy = answer(
        &asked,
        "503 Service Unavailable",
        "r",
        "Retry-After: 50 (soon)\n",
    );
    world.send(CARRIER, &busy);
    assert_eq!(
        world.notes,
        ["registration-lost: upstream: the carrier answers 503"]
    );
    assert!(world.pass(49).is_empty());
    assert!(!world.pass(2).is_empty());
}

#[test]
fn a_call_proves_whose_it_is_and_the_phone_system_sees_nothing() {
    let mut world = registering();
    registered(
        &mut world,
        "Service-Route: <sip:edge.example;lr>,\n <sip:core.example;lr>\n",
    );
    let sent = world.send(PBX, &invite("+442071838750", "a1"));
    let out = sent[1].1.clone();
    assert_eq!(
        header(&out, "Route"),
        "<sip:edge.example;lr>, <sip:core.example;lr>"
    );
    let asked = challenge("Proxy-Authenticate", "n7", ", algorithm=SHA-256");
    let refusal = answer(&out, "407 Proxy Authentication Required", "p", &asked);
    let sent = world.send(CARRIER, &refusal);
    let [(_, ack), (to, again)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert!(ack.starts_with("ACK ") && to == CARRIER);
    assert!(proves(again, "Proxy-Authorization", "n7"), "{again}");
    for same in [
        "Call-ID",
        "From",
        "To",
        "Route",
        "Contact",
        "P-Asserted-Identity",
    ] {
        assert_eq!(header(again, same), header(&out, same));
    }
    assert_eq!(header(again, "CSeq"), "2 INVITE");
    assert!(again.ends_with("\r\n\r\nv=0\r\n"));
    // The refusal comes again: it has its ACK, and nothing else.
    let sent = world.send(CARRIER, &refusal);
    assert!(only(&sent, "ACK").contains(" 1 ACK"));

    let ok = answer(again, "200 OK", "c", "Contact: <sip:127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &ok);
    let to = header(&sent[0].1, "To").to_owned();
    let inside = |method: &str, cseq: u32| {
        format!(
            "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{method}\n\
             Max-Forwards: 70\nFrom: <sip:+81335570001@127.0.0.3>;tag=pbxa1\nTo: {to}\n\
             Call-ID: a1@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n"
        )
    };
    let sent = world.send(PBX, &inside("ACK", 1));
    let ack = only(&sent, "ACK");
    assert_eq!(header(ack, "CSeq"), "2 ACK");
    assert_eq!(
        header(ack, "Proxy-Authorization"),
        header(again, "Proxy-Authorization")
    );

    let sent = world.send(PBX, &inside("BYE", 2));
    let bye = sent.iter().find(|(to, _)| to == CARRIER).unwrap().1.clone();
    let refusal = answer(&bye, "401 Unauthorized", "c", &www("n8", ""));
    let sent = world.send(CARRIER, &refusal);
    let bye = only(&sent, "BYE").to_owned();
    assert!(proves(&bye, "Authorization", "n8"), "{bye}");
    assert_eq!(header(&bye, "CSeq"), "4 BYE");
    assert_ne!(
        world.counters.live(),
        0,
        "the carrier has not confirmed the end"
    );
    world.send(CARRIER, &answer(&bye, "200 OK", "c", ""));
    assert_eq!(world.counters.live(), 0);
    world.pass(40);
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_call_whose_proof_is_refused_has_failed() {
    for (nonce, more) in [("n1", ", stale=true"), ("n2", "")] {
        let mut world = registering();
        registered(&mut world, "");
        let out = world.send(PBX, &invite("+442071838750", "a1"))[1].1.clone();
        let refusal = answer(&out, "401 Unauthorized", "p", &www("n1", ""));
        let again = world.send(CARRIER, &refusal)[1].1.clone();
        let refusal = answer(&again, "401 Unauthorized", "p", &www(nonce, more));
        let sent = world.send(CARRIER, &refusal);
        let told = sent.iter().find(|(to, _)| to == PBX).unwrap();
        assert!(told.1.starts_with("SIP/2.0 503 "), "{sent:#?}");
        assert!(!sent.iter().any(|(_, text)| text.contains("Digest")));
        world.pass(40);
        assert_eq!(
            (world.shard.counts(), world.counters.live()),
            (Counts::default(), 0)
        );
    }
}

#[test]
fn a_call_that_was_taken_back_is_not_tried_again() {
    let mut world = registering();
    registered(&mut world, "");
    let asked = invite("+442071838750", "a1");
    let out = world.send(PBX, &asked)[1].1.clone();
    let cancel = asked
        .replace("INVITE", "CANCEL")
        .replace("Content-Length: 5\n\nv=0\n", "Content-Length: 0\n\n");
    world.send(PBX, &cancel);
    let sent = world.send(
        CARRIER,
        &answer(&out, "401 Unauthorized", "p", &www("n1", "")),
    );
    only(&sent, "ACK");
    world.pass(40);
    assert_eq!(
        (world.shard.counts(), world.counters.live()),
        (Counts::default(), 0)
    );
}

#[test]
fn who_is_not_the_carrier_gets_no_credentials() {
    let mut world = registering();
    registered(&mut world, "");
    let text = invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let sent = world.send(CARRIER, &text);
    let inward = sent.iter().find(|(to, _)| to == PBX).unwrap().1.clone();
    for kind in ["WWW-Authenticate", "Proxy-Authenticate"] {
        let status = if kind.starts_with('W') {
            "401 Unauthorized"
        } else {
            "407 Proxy"
        };
        let refusal = answer(&inward, status, "p", &challenge(kind, "n1", ""));
        let sent = world.send(PBX, &refusal);
        assert!(
            !sent.iter().any(|(_, text)| text.contains("uthorization")),
            "{sent:#?}"
        );
        assert!(
            !sent.iter().any(|(_, text)| text.starts_with("INVITE ")),
            "{sent:#?}"
        );
    }
}

#[test]
fn a_call_to_the_registered_contact_is_one_to_the_number_in_to() {
    let mut world = registering();
    let contact = first(&mut world);
    let contact = header(&contact, "Contact")
        .split(['<', '>'])
        .nth(1)
        .unwrap()
        .to_owned();
    for (number, called) in [
        ("+81335570005", "+81335570005"),
        ("0335570000", "+81335570000"),
    ] {
        let text = invite(number, number).replace("127.0.0.3", "127.0.0.2");
        let text = text.replacen(&format!("sip:{number}@127.0.0.1"), &contact, 1);
        let sent = world.send(CARRIER, &text);
        let (_, inward) = sent.iter().find(|(to, _)| to == PBX).unwrap();
        assert!(
            inward.starts_with(&format!("INVITE sip:{called}@")),
            "{inward}"
        );
        let busy = answer(inward, "486 Busy Here", "p", "");
        world.send(PBX, &busy);
    }
    // A contact that nobody has registered is nobody's number.
    let text = invite("+81335570005", "i9").replace("127.0.0.3", "127.0.0.2");
    let text = text.replacen("+81335570005@", "abcdefghjkmnpqrs@", 1);
    let sent = world.send(CARRIER, &text);
    assert!(sent[0].1.starts_with("SIP/2.0 603 "), "{sent:#?}");
}
