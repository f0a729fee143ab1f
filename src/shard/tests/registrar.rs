//! Phone systems that register here, and strangers who do not.

mod changes;

use super::*;
use crate::record::Recovered;
use crate::sip::digest::{Account, Answer, Asked, Challenge};

/// A phone system that no rule knows by its address.
const HOME: &str = "203.0.113.5:5060";

const ACCOUNT: Account<'_> = Account {
    username: b"acme-pbx",
    password: b"SECRET",
};

fn world() -> World {
    let main = MAIN.replace(
        "5060\"\n[[carrier]]",
        "5060\"\nchallenge = true\n[[carrier]]",
    );
    let tenant = TENANT.replace("udp:127.0.0.3:5080", "registered");
    let account = "[[account]]\nusername = \"acme-pbx\"\nsecret_env = \"X\"\n";
    World::with(&main, &format!("{tenant}{account}"))
}

fn register(branch: &str, more: &str) -> String {
    format!(
        "REGISTER sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK{branch};rport\n\
         Max-Forwards: 70\nFrom: <sip:+81335570001@127.0.0.1>;tag=pbx\nTo: <sip:+81335570001@127.0.0.1>\n\
         Call-ID: r@pbx\nCSeq: 7 REGISTER\nUser-Agent: LabPBX 4.2, with all that such a thing likes to say of itself\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, UPDATE, PRACK\n{more}Content-Length: 0\n\n"
    )
}

const CONTACT: &str = "Contact: <sip:desk@203.0.113.5:5060>\nExpires: 3600\n";

/// The same request with what answers the challenge of this response.
fn proved(asked: &str, response: &str, account: &Account<'_>) -> String {
    let (asks, says) = match response.starts_with("SIP/2.0 407 ") {
        true => ("Proxy-Authenticate", "Proxy-Authorization"),
        false => ("WWW-Authenticate", "Authorization"),
    };
    let challenge = header(response, asks);
    let challenge = Challenge::parse(challenge.as_bytes()).unwrap().unwrap();
    let answer = Answer {
        challenge: &challenge,
        cnonce: b"own",
        count: 1,
    };
    let mut words = asked.split(' ');
    let request = Asked {
        method: words.next().unwrap().as_bytes(),
        uri: words.next().unwrap().as_bytes(),
    };
    let value = answer.write(account, &request).unwrap();
    let value = String::from_utf8(value).unwrap();
    asked.replacen("Max-Forwards", &format!("{says}: {value}\nMax-Forwards"), 1)
}

/// The carrier's INVITE to one of the tenant's numbers.
fn from_outside(branch: &str) -> String {
    invite("+81335570005", branch).replace("127.0.0.3", "127.0.0.2")
}

/// Such a call comes in: where it goes, as what.
fn comes_in(world: &mut World) -> (String, String) {
    let sent = world.send(CARRIER, &from_outside("i1"));
    let mut sent = sent.into_iter();
    sent.find(|(_, text)| text.starts_with("INVITE ")).unwrap()
}

/// The one answer.
fn only(sent: &[(String, String)]) -> &str {
    let [(to, text)] = sent else {
        panic!("{sent:#?}")
    };
    assert_eq!(to, HOME);
    text
}

/// Registers, and says what the answer was.
fn registers(world: &mut World, more: &str) -> String {
    let asked = register("r1", more);
    let sent = world.send(HOME, &asked);
    let text = only(&sent);
    assert!(text.starts_with("SIP/2.0 401 "), "{text}");
    let sent = world.send(HOME, &proved(&asked, text, &ACCOUNT));
    only(&sent).to_owned()
}

#[test]
fn a_phone_system_registers_and_calls_and_is_called() {
    let mut world = world();
    let text = registers(&mut world, CONTACT);
    assert!(text.starts_with("SIP/2.0 200 "), "{text}");
    assert_eq!(
        header(&text, "Contact"),
        "<sip:desk@203.0.113.5:5060>;expires=300"
    );

    let asked = invite("+442071838750", "a1").replace("127.0.0.3:5080", HOME);
    let sent = world.send(HOME, &asked);
    let text = only(&sent);
    assert!(text.starts_with("SIP/2.0 407 "), "{text}");
    let again = proved(&asked, text, &ACCOUNT);
    let again = again
        .replace("z9hG4bKa1", "z9hG4bKa2")
        .replace("1 INVITE", "2 INVITE");
    let sent = world.send(HOME, &again);
    assert!(sent[0].1.starts_with("SIP/2.0 100 "), "{sent:#?}");
    let out = &sent[1].1;
    assert!(out.starts_with("INVITE sip:+442071838750@"));
    assert!(
        !out.contains("uthorization") && !out.contains("acme-pbx"),
        "{out}"
    );
    world.send(CARRIER, &answer(out, "486 Busy Here", "c", ""));

    let (to, inward) = comes_in(&mut world);
    assert_eq!(to, HOME);
    assert!(
        inward.starts_with("INVITE sip:desk@203.0.113.5:5060 "),
        "{inward}"
    );
    assert!(header(&inward, "To").starts_with("<sip:+81335570005@"));
    world.send(HOME, &answer(&inward, "486 Busy Here", "p", ""));

    // Nobody refreshes it: then nobody is there.
    world.pass(300);
    let sent = world.send(CARRIER, &from_outside("i2"));
    assert!(sent[0].1.starts_with("SIP/2.0 603 "), "{sent:#?}");
    assert!(
        world
            .send(HOME, &invite("110", "e2"))
            .iter()
            .all(|it| it.1.starts_with("SIP/2.0 401"))
    );
    world.rest();
    assert_eq!(
        (world.shard.counts(), world.counters.live()),
        (Counts::default(), 0)
    );
}

#[test]
fn an_emergency_call_from_where_somebody_has_registered_proves_nothing() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let sent = world.send(HOME, &invite("110", "e1"));
    assert!(sent[1].1.starts_with("INVITE sip:110@"), "{sent:#?}");
}

#[test]
fn a_stranger_is_asked_with_no_more_than_it_sent() {
    let mut world = world();
    let mut challenges = Vec::new();
    for text in [
        register("s1", CONTACT),
        invite("+442071838750", "s2"),
        invite("110", "s3"),
    ] {
        let sent = world.send("198.51.100.9:7000", &text);
        let [(to, answer)] = sent.as_slice() else {
            panic!("{sent:#?}")
        };
        assert_eq!(to, "198.51.100.9:7000");
        assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
        assert!(answer.len() <= text.replace('\n', "\r\n").len());
        challenges.push(answer.clone());
    }
    // Whether there is such an account or not, and whatever is wrong.
    let shown = |text: &str| {
        // The one that every answer has.
        let value = text
            .lines()
            .rfind(|it| it.starts_with("WWW-Authenticate: "));
        let value = value.unwrap();
        let (before, rest) = value.split_once("nonce=\"").unwrap();
        (
            before.to_owned(),
            rest.split_once('"').unwrap().1.to_owned(),
        )
    };
    for account in [
        Account {
            password: b"x",
            ..ACCOUNT
        },
        Account {
            username: b"nobody",
            ..ACCOUNT
        },
    ] {
        let text = proved(&register("s1", CONTACT), &challenges[0], &account);
        let sent = world.send("198.51.100.9:7000", &text);
        assert_eq!(shown(&sent[0].1), shown(&challenges[0]));
    }
    // What is too short to be answered, and what is neither, gets nothing.
    let short = "REGISTER sip:a SIP/2.0\nv: SIP/2.0/UDP a;branch=z9hG4bK1\nf: <sip:a@a>;tag=1\n\
                 t: <sip:a@a>\ni: 1\nCSeq: 1 REGISTER\nl: 0\n\n";
    for text in [
        short.to_owned(),
        register("s5", CONTACT).replace("REGISTER", "OPTIONS"),
        register("s6", CONTACT).replace("REGISTER", "MESSAGE"),
        register("s7", CONTACT).replace("To: <sip:+81335570001@127.0.0.1>", "To: <sip:a@b>;tag=x"),
        register("s8", CONTACT).replace("CSeq: 7 REGISTER", "CSeq: 7 INVITE"),
        register("s9", CONTACT).replace("REGISTER sip:127.0.0.1 SIP/2.0", "SIP/2.0 200 OK"),
    ] {
        assert!(world.send("198.51.100.9:7000", &text).is_empty(), "{text}");
    }
    assert_eq!(
        world.shard.counts(),
        Counts::default(),
        "nothing is kept of a stranger"
    );
}

#[test]
fn strangers_are_answered_so_often_and_no_more() {
    let mut world = world();
    let most = crate::base::limits::CHALLENGES_OF_SOURCE;
    let answered = |world: &mut World| {
        let sent = (0..3 * most).map(|_| {
            world
                .send("198.51.100.9:7000", &register("s", CONTACT))
                .len()
        });
        sent.sum::<usize>()
    };
    assert_eq!(answered(&mut world), most as usize);
    assert_eq!(
        registers(&mut world, CONTACT).get(..12),
        Some("SIP/2.0 200 "),
        "others are"
    );
    world.pass(1);
    assert_eq!(answered(&mut world), most as usize);
}

#[test]
fn what_is_registered_is_what_was_asked_for() {
    for (more, code, has) in [
        ("", "200", None),
        (
            CONTACT,
            "200",
            Some("Contact: <sip:desk@203.0.113.5:5060>;expires=300"),
        ),
        (
            "m: sip:desk@203.0.113.5;expires=90\n",
            "200",
            Some("Contact: <sip:desk@203.0.113.5>;expires=90"),
        ),
        (
            "Contact: <sip:a@b>;expires=29\n",
            "423",
            Some("Min-Expires: 30"),
        ),
        ("Contact: <sip:a@b>;expires=0\n", "200", None),
        ("Contact: *\nExpires: 0\n", "200", None),
        ("Contact: *\n", "400", None),
        ("Contact: <tel:+81>\n", "400", None),
        ("Contact: <sip:a@b?x=y>\n", "400", None),
        (
            "Require: gin\nContact: <sip:203.0.113.5;bnc>\n",
            "200",
            Some("Contact: <sip:203.0.113.5;bnc>;expires=300"),
        ),
        ("Contact: <sip:203.0.113.5;bnc>\n", "400", None),
        (
            "Require: gin\nContact: <sip:a@203.0.113.5;bnc>\n",
            "400",
            None,
        ),
        (
            "Require: outbound\nContact: <sip:a@b>\n",
            "420",
            Some("Unsupported: outbound"),
        ),
        (
            "Supported: path\nPath: <sip:edge.example;lr>\nContact: <sip:a@b>\n",
            "200",
            Some("Path: <sip:edge.example;lr>"),
        ),
    ] {
        let text = registers(&mut world(), more);
        assert!(
            text.starts_with(&format!("SIP/2.0 {code} ")),
            "{more}: {text}"
        );
        match has {
            Some(line) => assert!(text.lines().any(|it| it == line), "{more}: {text}"),
            None => assert!(!text.contains("Contact:"), "{more}: {text}"),
        }
    }
}

#[test]
fn every_number_goes_into_a_contact_in_bulk_and_over_its_path() {
    let mut world = world();
    registers(
        &mut world,
        "Require: gin\nPath: <sip:edge.example;lr>\nContact: <sip:203.0.113.5:5070;bnc;transport=udp>\n",
    );
    let (to, inward) = comes_in(&mut world);
    assert_eq!(to, HOME, "the way that it came");
    assert!(
        inward.starts_with("INVITE sip:+81335570005@203.0.113.5:5070;transport=udp "),
        "{inward}"
    );
    assert_eq!(header(&inward, "Route"), "<sip:edge.example;lr>");
}

#[test]
fn an_account_that_is_taken_out_is_known_no_more_and_its_calls_end() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let (_, inward) = comes_in(&mut world);
    let ok = answer(
        &inward,
        "200 OK",
        "p",
        "Contact: <sip:desk@203.0.113.5:5060>\n",
    );
    world.send(HOME, &ok);
    let main = MAIN.replace(
        "5060\"\n[[carrier]]",
        "5060\"\nchallenge = true\n[[carrier]]",
    );
    let rules = compiled(&main, TENANT, &world.counters);
    let sent = world.take(Input::Command(Command::Rules(rules)));
    assert!(
        sent.iter()
            .any(|(to, text)| to == HOME && text.starts_with("BYE ")),
        "{sent:#?}"
    );
    let text = register("r9", CONTACT);
    assert!(!world.send(HOME, &text)[0].1.starts_with("SIP/2.0 200 "));
}

/// Registers anew, with this CSeq number, and says what the answer was.
fn registers_again(world: &mut World, cseq: u32, more: &str) -> String {
    let asked = register("r2", more).replace("CSeq: 7 ", &format!("CSeq: {cseq} "));
    let sent = world.send(HOME, &asked);
    let sent = world.send(HOME, &proved(&asked, only(&sent), &ACCOUNT));
    only(&sent).to_owned()
}

/// A call from outside in this life reaches the phone system.
fn is_reached(world: &mut World, branch: &str) -> bool {
    let sent = world.send(CARRIER, &from_outside(branch));
    let inward = sent.iter().find(|(to, _)| to == HOME);
    if let Some((_, inward)) = inward {
        assert!(
            inward.starts_with("INVITE sip:desk@203.0.113.5:5060 "),
            "{inward}"
        );
        world.send(HOME, &answer(inward, "486 Busy Here", "p", ""));
    }
    inward.is_some()
}

#[test]
fn what_is_registered_outlives_a_restart_and_lasts_no_longer_for_it() {
    let mut world = world();
    registers(&mut world, CONTACT);
    assert!(world.crash(100).is_empty());
    assert!(is_reached(&mut world, "i1"));
    // It is known as the peer, too, and must prove its calls as before.
    let sent = world.send(
        HOME,
        &invite("+442071838750", "a1").replace("127.0.0.3:5080", HOME),
    );
    assert!(only(&sent).starts_with("SIP/2.0 407 "), "{sent:#?}");
    world.crash(100);
    world.pass(99);
    assert!(is_reached(&mut world, "i2"));
    world.pass(1);
    assert!(!is_reached(&mut world, "i3"));
    world.crash(0);
    assert!(!is_reached(&mut world, "i4"), "what was over stays over");

    registers_again(&mut world, 8, CONTACT);
    world.crash(300);
    assert!(
        !is_reached(&mut world, "i5"),
        "time that nobody was there counts"
    );
}

#[test]
fn what_was_taken_back_is_not_there_after_a_restart() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let text = registers_again(&mut world, 8, "Contact: *\nExpires: 0\n");
    assert!(text.starts_with("SIP/2.0 200 "), "{text}");
    world.crash(1);
    assert!(!is_reached(&mut world, "i1"));

    // An account that the rules have no more, and have again, is another.
    registers_again(&mut world, 9, CONTACT);
    let (main, tenant) = (world.main.clone(), world.tenant.clone());
    let rules = compiled(&main, TENANT, &world.counters);
    world.take(Input::Command(Command::Rules(rules)));
    world.crash(1);
    let rules = compiled(&main, &tenant, &world.counters);
    world.take(Input::Command(Command::Rules(rules)));
    assert!(!is_reached(&mut world, "i2"));
}

#[test]
fn a_clock_that_jumps_ends_no_registration_and_makes_none_last_longer() {
    let day = 24 * 3_600 * 1_000_000;
    for jump in [day, -day] {
        let mut world = world();
        registers(&mut world, CONTACT);
        world.now.wall = Wall::from_micros(world.now.wall.as_micros() + jump);
        world.crash(100);
        assert!(is_reached(&mut world, "i1"));
        world.pass(199);
        assert!(is_reached(&mut world, "i2"));
        world.pass(1);
        assert!(!is_reached(&mut world, "i3"));
    }
}

#[test]
fn over_a_boot_of_the_host_the_wall_clock_says_what_is_over() {
    for (seconds, there) in [(299, true), (300, false)] {
        let mut world = world();
        registers(&mut world, CONTACT);
        let bindings = {
            let mut now = world.now + Duration::from_secs(seconds);
            now.mono = crate::base::time::Mono::ZERO + Duration::from_secs(40_000_000);
            world.now = now;
            Recovered::of([(0, world.fold.clone())], now, "another boot").bindings
        };
        let [binding] = bindings.as_slice() else {
            panic!("{bindings:?}")
        };
        assert_eq!(binding.until() > world.now.mono, there);
    }
}

#[test]
fn the_last_word_counts_whichever_shard_heard_it() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let first = world.fold.clone();
    world.now = world.now + Duration::from_secs(20);
    registers_again(&mut world, 8, "Contact: <sip:other@203.0.113.5:5060>\n");
    for order in [[0, 1], [1, 0]] {
        let folds = [(order[0], first.clone()), (order[1], world.fold.clone())];
        let recovered = Recovered::of(folds, world.now, BOOT);
        let [binding] = recovered.bindings.as_slice() else {
            panic!("{:?}", recovered.bindings)
        };
        assert_eq!(&*binding.contact, b"sip:other@203.0.113.5:5060");
    }
}

#[test]
fn the_journal_is_told_of_what_changes_and_now_and_then_of_what_goes_on() {
    let mut world = world();
    registers(&mut world, CONTACT);
    let told = world.bound;
    assert_eq!(told, 1);
    for cseq in 8..11 {
        registers_again(&mut world, cseq, CONTACT);
    }
    assert_eq!(world.bound, told);
    registers_again(&mut world, 11, "Contact: <sip:other@203.0.113.5:5060>\n");
    assert_eq!(world.bound, told + 1);
    world.pass(10);
    registers_again(&mut world, 12, "Contact: <sip:other@203.0.113.5:5060>\n");
    assert_eq!(world.bound, told + 2);
}
