//! What rules say of calls, as it is seen from outside: answers, alerts, header
//! fields.

use super::*;

#[test]
fn a_carrier_hears_busy_where_a_tenant_s_caps_have_no_room() {
    let mut world = World::of(&format!("{TENANT}calls_at_once = 1\n"));
    let text = |branch: &str| invite("+81335570005", branch).replace("127.0.0.3", "127.0.0.2");
    let sent = world.send(CARRIER, &text("i1"));
    assert!(sent[1].1.starts_with("INVITE "), "{sent:#?}");
    assert_ne!(world.counters.live(), 0);
    let sent = world.send(CARRIER, &text("i2"));
    let [(to, busy)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert_eq!(to, CARRIER);
    assert!(busy.starts_with("SIP/2.0 486 "), "{busy}");
    let reason = "Q.850;cause=17;text=\"calls-at-once\"";
    assert_eq!(header(busy, "Reason"), reason);
    // Calls out have caps of their own.
    let sent = world.send(PBX, &invite("+442071838750", "o1"));
    assert!(sent[1].1.starts_with("INVITE "), "{sent:#?}");
    world.rest();
    assert_eq!(
        (world.shard.counts(), world.counters.live()),
        (Counts::default(), 0)
    );
}

/// The Request-URI and To that a carrier with this form of numbers gets.
fn form(keys: &str, dialled: &str) -> (String, String) {
    let main = MAIN.replace("number_format = \"e164\"", keys);
    let mut world = World::with(&main, TENANT);
    let sent = world.send(PBX, &invite(dialled, "f1"));
    let invite = &sent[1].1;
    let uri = invite.split(' ').nth(1).unwrap().to_owned();
    (uri, header(invite, "To").to_owned())
}

#[test]
fn a_carrier_gets_numbers_in_the_form_that_it_wants() {
    const AT: &str = "@127.0.0.2:5070";
    for (keys, dialled, user, phone) in [
        ("", "0335571234", "+81335571234", true),
        ("user_phone = false", "0335571234", "+81335571234", false),
        (
            "number_format = \"national\"",
            "+81335571234",
            "0335571234",
            false,
        ),
        (
            "number_format = \"national\"\nuser_phone = true",
            "+81335571234",
            "0335571234",
            true,
        ),
        (
            "number_format = \"national\"",
            "+442071838750",
            "010442071838750",
            false,
        ),
        (
            "number_format = \"international\"",
            "0335571234",
            "01081335571234",
            false,
        ),
        ("user_phone = true", "184110", "110", true),
    ] {
        let uri = format!("sip:{user}{AT}{}", if phone { ";user=phone" } else { "" });
        assert_eq!(
            form(keys, dialled),
            (uri.clone(), format!("<{uri}>")),
            "{keys}"
        );
    }
}

#[test]
fn a_pattern_is_told_in_the_log_and_in_the_journal() {
    let walk = "[[pattern]]\nkind = \"prefix_walk\"\ndigits = 6\ncount = 2\nthen = \"refuse\"\n";
    let mut world = World::of(&format!("{TENANT}{walk}"));
    world.send(PBX, &invite("+23276838750", "w1"));
    assert_eq!(world.alerts, [""; 0]);
    let sent = world.send(PBX, &invite("+442071838750", "w2"));
    assert!(sent[0].1.starts_with("SIP/2.0 603 "), "{sent:#?}");
    assert!(header(&sent[0].1, "Reason").contains("prefix-walk"));
    assert_eq!(world.alerts, ["prefix-walk 2 +442071838750"]);
    let [note] = world.notes.as_slice() else {
        panic!("{:#?}", world.notes)
    };
    for part in [
        "prefix-walk: acme: 2 of 2",
        "+442071838750",
        "from 127.0.0.3",
        "tenants/acme.toml:18",
    ] {
        assert!(note.contains(part), "{part}: {note}");
    }
}

#[test]
fn a_forwarded_call_that_keeps_its_caller_says_who_forwards_it() {
    let keep = TENANT.replace("otherwise =", "forwarded = \"keep\"\notherwise =");
    for field in [
        "Diversion: <sip:+81335570042@127.0.0.3>;reason=unconditional",
        "History-Info: <sip:0335570042@127.0.0.3>;index=1, <sip:+442071838750@h>;index=1.1",
        "Referred-By: <sip:0335570042@127.0.0.3>;cid=\"1@h\"",
        "b: <sip:+81335570042@127.0.0.3>",
    ] {
        let mut world = World::of(&keep);
        let text = invite("+442071838750", "d1").replace("sip:+81335570001", "sip:+442081119999");
        let text = text.replace("User-Agent", &format!("{field}\nUser-Agent"));
        let sent = world.send(PBX, &text);
        let out = &sent[1].1;
        assert!(
            header(out, "From").starts_with("<sip:+442081119999@127.0.0.1"),
            "{out}"
        );
        assert!(
            header(out, "Diversion").starts_with("<sip:+81335570042@127.0.0.1"),
            "{out}"
        );
        assert!(!out.contains("History-Info"), "{out}");
        assert!(
            !out.contains("Referred-By") && !out.contains("\nb:"),
            "{out}"
        );
    }
}

#[test]
fn a_call_is_hung_up_when_its_phone_system_is_taken_out_of_the_rules() {
    let mut world = World::new();
    let emergency = &world.send(PBX, &invite("110", "e1"))[1].1.clone();
    world.send(
        CARRIER,
        &answer(
            emergency,
            "200 OK",
            "c",
            "Contact: <sip:c@127.0.0.2:5070>\n",
        ),
    );
    let out = &world.send(PBX, &invite("+442071838750", "g1"))[1].1.clone();
    world.send(
        CARRIER,
        &answer(out, "200 OK", "c", "Contact: <sip:c@127.0.0.2:5070>\n"),
    );
    // The same rules again: nothing happens.
    let same = compiled(MAIN, TENANT, &world.counters);
    assert!(world.take(Input::Command(Command::Rules(same))).is_empty());
    let moved = TENANT.replace("127.0.0.3", "127.0.0.4");
    let sent = world.take(Input::Command(Command::Rules(compiled(
        MAIN,
        &moved,
        &world.counters,
    ))));
    // No ACK came from the phone system, which gets its BYE after that alone.
    let [(_, ack), (to, bye)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert!(
        ack.starts_with("ACK ") && bye.starts_with("BYE "),
        "{sent:#?}"
    );
    assert_eq!(
        (to.as_str(), header(bye, "Call-ID")),
        (CARRIER, header(out, "Call-ID"))
    );
}
