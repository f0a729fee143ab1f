//! The plain call and the plain refusal, message by message. Everything else is
//! for the simulation.

use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::policy::{Counters, Options, Source, Sources, compile};
use crate::sip::scan;
use crate::transaction::Timers;

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
number_format = "e164"
"#;

const TENANT: &str = r#"
name = "acme"
plan = "jp"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.3/32"]
[callers]
own = ["+81335570000..+81335570099"]
otherwise = "replace"
default = "+81335570000"
[destinations]
allow = ["jp.fixed", "+44 20"]
[caps]
calls_at_once = 1
[inbound]
deliver_to = "udp:127.0.0.3:5080"
"#;

const PBX: &str = "127.0.0.3:5080";
const CARRIER: &str = "127.0.0.2:5070";

struct World {
    shard: Shard,
    counters: Counters,
    now: Now,
    out: Outbox,
    alerts: Vec<String>,
    notes: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self::of(TENANT)
    }

    fn of(tenant: &str) -> Self {
        let source = |name: &str, text: &str| Source {
            name: name.into(),
            text: text.into(),
        };
        let sources = Sources {
            main: source("tollgate.toml", MAIN),
            tenants: vec![source("tenants/acme.toml", tenant)],
            plans: vec![source(
                "plans/jp.toml",
                include_str!("../../policies/plans/jp.toml"),
            )],
            tariffs: Vec::new(),
        };
        let counters = Counters::new();
        let zones = TimeZoneDatabase::bundled();
        let rules = compile(&sources, Options::default(), &zones, &counters).unwrap();
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: Arc::new(rules),
        };
        let now = Now {
            mono: Mono::from_nanos(1),
            wall: crate::base::time::Wall::from_micros(1),
        };
        Self {
            shard: Shard::new(config, now),
            counters,
            now,
            out: Outbox::default(),
            alerts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Hands in a message and returns what goes out: where to, and the text.
    fn send(&mut self, from: &str, text: &str) -> Vec<(String, String)> {
        let text = text.replace('\n', "\r\n");
        let message = scan(Bytes::from(text.into_bytes())).unwrap();
        let remote = from.parse().unwrap();
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote,
        };
        self.take(Input::Message { flow, message })
    }

    fn take(&mut self, input: Input) -> Vec<(String, String)> {
        self.shard.handle(self.now, input, &mut self.out);
        self.alerts
            .extend(self.out.events.iter().filter_map(|event| match event {
                Event::Alert {
                    reason,
                    number,
                    value,
                    ..
                } => Some(format!(
                    "{reason} {value} {}",
                    number.map(|it| it.to_string())?
                )),
                _ => None,
            }));
        let mut records = self.out.records.bytes();
        while let Some((record, rest)) = crate::record::frame::next(records).unwrap() {
            if let Record::Note { what, detail, .. } = record {
                self.notes.push(format!("{what}: {detail}"));
            }
            records = rest;
        }
        let sent = self.out.transmits.iter().map(|transmit| {
            let text = String::from_utf8(transmit.packet.as_ref().to_vec()).unwrap();
            (transmit.flow.remote.to_string(), text)
        });
        let sent = sent.collect();
        self.out.clear();
        sent
    }

    /// Lets time pass until nothing waits any more.
    fn rest(&mut self) {
        while let Some(deadline) = self.shard.next_deadline() {
            let wait = deadline.saturating_since(self.now.mono) + Duration::from_millis(1);
            self.now = self.now + wait;
            self.take(Input::Tick);
        }
    }
}

fn invite(number: &str, branch: &str) -> String {
    format!(
        "INVITE sip:{number}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{branch};rport\n\
         Max-Forwards: 70\nFrom: \"Desk\" <sip:+81335570001@127.0.0.3>;tag=pbx{branch}\nTo: <sip:{number}@127.0.0.1>\n\
         Call-ID: {branch}@pbx\nCSeq: 1 INVITE\nContact: <sip:desk@127.0.0.3:5080>\nUser-Agent: LabPBX\n\
         X-Secret: inside\nSupported: timer, 100rel, replaces\nContent-Type: application/sdp\nContent-Length: 5\n\nv=0\n"
    )
}

/// One header's value.
fn header<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .split_once(": ")
        .unwrap()
        .1
}

/// A response to a message of ours.
fn answer(request: &str, status: &str, tag: &str, more: &str) -> String {
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\n", header(request, name)))
        .concat();
    let to = header(request, "To");
    let to = if to.contains(";tag=") {
        to.to_owned()
    } else {
        format!("{to};tag={tag}")
    };
    format!("SIP/2.0 {status}\n{copied}To: {to}\n{more}Content-Length: 0\n\n")
}

#[test]
fn an_allowed_call_goes_through_and_leaves_nothing() {
    let mut world = World::new();
    let sent = world.send(PBX, &invite("+442071838750", "a1"));
    let [(to_pbx, trying), (to_carrier, invite_out)] = sent.as_slice() else {
        panic!("{sent:#?}");
    };
    assert_eq!((to_pbx.as_str(), to_carrier.as_str()), (PBX, CARRIER));
    assert!(trying.starts_with("SIP/2.0 100 "));
    assert!(
        invite_out.starts_with("INVITE sip:+442071838750@127.0.0.2:5070;user=phone SIP/2.0\r\n")
    );
    assert!(invite_out.ends_with("\r\n\r\nv=0\r\n"));
    for inside in [
        "LabPBX",
        "inside",
        "127.0.0.3",
        "a1@pbx",
        "pbxa1",
        "replaces",
    ] {
        assert!(
            !invite_out.contains(inside),
            "{inside} got out:\n{invite_out}"
        );
    }
    assert_ne!(world.counters.live(), 0);

    let ok = answer(invite_out, "200 OK", "c", "Contact: <sip:127.0.0.2:5070>\n");
    let sent = world.send(CARRIER, &ok);
    let [(_, answered)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert!(answered.starts_with("SIP/2.0 200 "));

    let tagged = header(answered, "To").to_owned();
    let in_dialog = |method: &str, cseq: u32| {
        format!(
            "{method} sip:127.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.3:5080;branch=z9hG4bK{method}{cseq}\n\
             Max-Forwards: 70\nFrom: \"Desk\" <sip:+81335570001@127.0.0.3>;tag=pbxa1\nTo: {tagged}\n\
             Call-ID: a1@pbx\nCSeq: {cseq} {method}\nContent-Length: 0\n\n"
        )
    };
    let sent = world.send(PBX, &in_dialog("ACK", 1));
    let [(to, ack)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert_eq!(to, CARRIER);
    assert!(
        ack.starts_with("ACK sip:127.0.0.2:5070 SIP/2.0\r\n"),
        "{ack}"
    );

    let sent = world.send(PBX, &in_dialog("BYE", 2));
    let [(_, bye_ok), (_, bye)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert!(bye_ok.starts_with("SIP/2.0 200 ") && bye.starts_with("BYE "));
    assert_ne!(
        world.counters.live(),
        0,
        "the carrier has not confirmed the end"
    );
    let sent = world.send(CARRIER, &answer(bye, "200 OK", "c", ""));
    assert!(sent.is_empty());
    assert_eq!(world.counters.live(), 0);
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_refused_call_never_leaves() {
    let mut world = World::new();
    for number in ["+23276123456", "*01023276123456", "%2A01023276123456"] {
        let sent = world.send(PBX, &invite(number, &format!("f{}", number.len())));
        let [(to, refusal)] = sent.as_slice() else {
            panic!("{sent:#?}")
        };
        assert_eq!(to, PBX);
        assert!(refusal.starts_with("SIP/2.0 603 "), "{refusal}");
        assert!(header(refusal, "Reason").starts_with("Q.850;cause=21;text="));
    }
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_cap_holds_until_the_carrier_has_answered() {
    let mut world = World::new();
    let sent = world.send(PBX, &invite("+442071838750", "a1"));
    let invite_out = sent[1].1.clone();
    let sent = world.send(PBX, &invite("+442071838750", "a2"));
    assert!(sent[0].1.starts_with("SIP/2.0 603 "), "{sent:#?}");
    assert!(header(&sent[0].1, "Reason").contains("calls-at-once"));
    // Emergency calls know no cap.
    let sent = world.send(PBX, &invite("110", "e1"));
    assert!(
        sent[1].1.starts_with("INVITE sip:110@127.0.0.2:5070 "),
        "{sent:#?}"
    );
    let sent = world.send(CARRIER, &answer(&invite_out, "486 Busy Here", "c", ""));
    assert!(
        sent.iter()
            .any(|(to, text)| to == PBX && text.starts_with("SIP/2.0 486 "))
    );
    let sent = world.send(PBX, &invite("+442071838750", "a3"));
    assert!(sent[1].1.starts_with("INVITE "), "{sent:#?}");
    world.rest();
    assert_eq!(
        (world.shard.counts(), world.counters.live()),
        (Counts::default(), 0)
    );
}

#[test]
fn a_call_from_the_carrier_reaches_the_phone_system() {
    let mut world = World::new();
    let text = invite("+81335570005", "i1").replace("127.0.0.3", "127.0.0.2");
    let sent = world.send("127.0.0.2:5070", &text);
    let (to, invite_in) = &sent[1];
    assert_eq!(to, PBX);
    assert!(
        invite_in.starts_with("INVITE sip:+81335570005@127.0.0.3:5080 SIP/2.0\r\n"),
        "{invite_in}"
    );
    let text = invite("+81335579999", "i2").replace("127.0.0.3", "127.0.0.2");
    let sent = world.send("127.0.0.2:5070", &text);
    assert!(sent[0].1.starts_with("SIP/2.0 603 "));
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
}

#[test]
fn a_malformed_request_is_answered_and_a_stranger_is_not() {
    let mut world = World::new();
    let broken = invite("+442071838750", "m1").replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    let sent = world.send(PBX, &broken);
    assert!(sent[0].1.starts_with("SIP/2.0 400 "));
    assert!(
        world
            .send("127.0.0.9:5060", &invite("110", "s1"))
            .is_empty()
    );
    assert_eq!(world.shard.counts(), Counts::default());
}

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
    }
}
