//! The plain call and the plain refusal. Everything else is for the simulation.

mod blocks;
mod carriers;
mod emergency;
mod faults;
mod floods;
mod inbound;
mod names;
mod onward;
mod passports;
mod redirect;
mod registering;
mod registrar;
mod restart;
mod rules;
mod sessions;
mod transfers;
mod trunks;

use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::time::Wall;
use crate::policy::{Answers, Counters, Options, Source, Sources, compile_with};
use crate::record::Fold;
use crate::sip::scan;
use crate::transaction::{Origin, Timers, Transmit};

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

const TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency,setup_on\n\
                      jp,0,6,60,60,JPY,answer\ngb,3,20,6,6,JPY,attempt\n";

const INBOUND_TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
                              jp,0,6,60,60,JPY\n";

const PBX: &str = "127.0.0.3:5080";
const CARRIER: &str = "127.0.0.2:5070";

struct World {
    shard: Shard,
    counters: Counters,
    now: Now,
    out: Outbox,
    alerts: Vec<String>,
    notes: Vec<String>,
    /// Decision, number and reason of each.
    verdicts: Vec<String>,
    /// How often the journal was told of what a phone system registered.
    bound: u32,
    /// Whether the last input left a record.
    recorded: bool,
    /// What all records come to.
    fold: Fold,
    /// What the last call that ended has cost, in millionths.
    cost: u64,
    main: String,
    tenant: String,
}

/// The rules with this main file and tenant.
fn compiled(main: &str, tenant: &str, counters: &Counters) -> Arc<RuleSet> {
    compiled_with(main, tenant, counters, &Answers::default())
}

/// The same, with what names lead to.
fn compiled_with(main: &str, tenant: &str, counters: &Counters, answers: &Answers) -> Arc<RuleSet> {
    let source = |name: &str, text: &str| Source {
        name: name.into(),
        text: text.into(),
    };
    let sources = Sources {
        main: source("tollgate.toml", main),
        tenants: vec![source("tenants/acme.toml", tenant)],
        plans: vec![source(
            "plans/jp.toml",
            include_str!("../../policies/plans/jp.toml"),
        )],
        numbering: None,
        tariffs: vec![
            source("tariffs/carrier.csv", TARIFF),
            source("tariffs/inbound.csv", INBOUND_TARIFF),
        ],
    };
    let zones = TimeZoneDatabase::bundled();
    let mut rules =
        compile_with(&sources, Options::default(), &zones, (counters, answers)).unwrap();
    let faults = rules.read_secrets(|_| Ok(b"SECRET".to_vec()));
    assert!(faults.is_empty());
    Arc::new(rules)
}

/// The host's boot: it never goes down.
const BOOT: &str = "boot";

fn started(wall: Wall) -> Record<'static> {
    Record::Started {
        wall,
        shard: 0,
        shards: 1,
        program: "",
        boot: BOOT,
    }
}

impl World {
    fn new() -> Self {
        Self::of(TENANT)
    }

    fn of(tenant: &str) -> Self {
        Self::with(MAIN, tenant)
    }

    fn with(main: &str, tenant: &str) -> Self {
        let counters = Counters::new();
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: compiled(main, tenant, &counters),
        };
        let now = Now {
            mono: Mono::from_nanos(1),
            wall: Wall::from_micros(1),
        };
        let mut fold = Fold::default();
        fold.apply(&started(now.wall));
        Self {
            shard: Shard::new(config, now),
            counters,
            now,
            out: Outbox::default(),
            alerts: Vec::new(),
            notes: Vec::new(),
            verdicts: Vec::new(),
            bound: 0,
            recorded: false,
            fold,
            cost: 0,
            main: main.to_owned(),
            tenant: tenant.to_owned(),
        }
    }

    /// Hands in a message and returns what goes out: where to, and the text.
    fn send(&mut self, from: &str, text: &str) -> Vec<(String, String)> {
        let input = self.message(from, text);
        self.take(input)
    }

    fn message(&self, from: &str, text: &str) -> Input {
        let text = text.replace('\n', "\r\n");
        let message = scan(Bytes::from(text.into_bytes())).unwrap();
        let remote = from.parse().unwrap();
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote,
            local: None,
            connection: None,
            name: None,
        };
        Input::Message { flow, message }
    }

    fn take(&mut self, input: Input) -> Vec<(String, String)> {
        self.shard.handle(self.now, input, &mut self.out);
        self.taken()
    }

    /// What a turn left.
    fn taken(&mut self) -> Vec<(String, String)> {
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
            if let Record::Verdict {
                decision,
                number,
                reason,
                received_uri,
                ..
            } = record
            {
                let uri = String::from_utf8_lossy(received_uri);
                let text = format!("{decision:?} {number} {reason} {uri}");
                self.verdicts.push(text);
            }
            self.bound += u32::from(matches!(record, Record::Bound(_)));
            if let Record::Ended { cost, .. } | Record::Booked { cost, .. } = record {
                self.cost = cost;
            }
            self.fold.apply(&record);
            records = rest;
        }
        let sent = self.out.transmits.iter().map(|transmit| {
            let text = String::from_utf8(transmit.packet.as_ref().to_vec()).unwrap();
            (transmit.flow.remote.to_string(), text)
        });
        let sent = sent.collect();
        self.recorded = !self.out.records.bytes().is_empty();
        self.out.clear();
        sent
    }

    /// Lets time pass. Returns what goes out meanwhile.
    fn pass(&mut self, seconds: u64) -> Vec<(String, String)> {
        self.pass_for(Duration::from_secs(seconds))
    }

    fn pass_for(&mut self, time: Duration) -> Vec<(String, String)> {
        let end = self.now.mono + time;
        let mut sent = Vec::new();
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now + due.saturating_since(self.now.mono);
            sent.append(&mut self.take(Input::Tick));
        }
        self.now = self.now + end.saturating_since(self.now.mono);
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
    for number in [
        "+23276123456",
        "*01023276123456",
        "%2A01023276123456",
        "１１０",
    ] {
        let sent = world.send(PBX, &invite(number, &format!("f{}", number.len())));
        let [(to, refusal)] = sent.as_slice() else {
            panic!("{sent:#?}")
        };
        assert_eq!(to, PBX);
        assert!(refusal.starts_with("SIP/2.0 603 "), "{refusal}");
        assert!(header(refusal, "Reason").starts_with("Q.850;cause=21;text="));
        assert!(world.recorded, "the verdict");
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

/// A session of 180 s is refreshed at 90 s, whatever else is under way.
/// Records that cannot be written: the driver keeps the INVITE, and says so.
#[test]
fn a_call_that_cannot_be_recorded_is_refused() {
    let mut world = World::new();
    let input = world.message(PBX, &invite("+442071838750", "a1"));
    world.shard.handle(world.now, input, &mut world.out);
    let openings = std::mem::take(&mut world.out.openings);
    let [
        Transmit {
            origin: Origin::Server(_),
            ..
        },
        invite_out,
    ] = world.out.transmits.as_slice()
    else {
        panic!("{:#?}", world.out.transmits);
    };
    assert_eq!(openings, [invite_out.origin]);
    world.out.clear();
    let sent = world.take(Input::Unrecorded {
        origin: openings[0],
    });
    let [(to, refusal)] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    assert_eq!(to, PBX);
    assert!(refusal.starts_with("SIP/2.0 603 "), "{refusal}");
    assert_eq!(world.counters.live(), 0);
    // An emergency call is not held back.
    let input = world.message(PBX, &invite("110", "e1"));
    world.shard.handle(world.now, input, &mut world.out);
    assert_eq!(world.out.transmits.len(), 2);
    assert!(world.out.openings.is_empty());
    world.rest();
    assert_eq!(world.shard.counts(), Counts::default());
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
