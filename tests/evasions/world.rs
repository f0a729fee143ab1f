//! One shard, and a tenant for each dial plan.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{Counters, Options, Source, Sources, compile};
use tollgate::record::{Record, frame};
use tollgate::shard::{Command, Config, Counts, Input, Outbox, Shard};
use tollgate::sip::{HeaderId, Message, Method, Uri, scan};
use tollgate::transaction::Timers;

use crate::table::{Line, PLANS};

const CARRIER: &str = "127.0.0.2:5070";

const MAIN: &str = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"upstream\"\n\
    address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\nnumber_format = \"e164\"\n";

/// What each tenant's rules say, and the emergency numbers of its plan.
const RULES: [(&str, &[&str]); 5] = [
    (
        "allow = [\"jp.fixed\", \"jp.mobile\", \"jp.ip\", \"jp.freephone\", \"us\", \"+44 20\"]\n\
         deny = [\"premium\", \"satellite\"]",
        &["110", "118", "119"],
    ),
    (
        "allow = [\"gb.fixed\", \"gb.mobile\", \"us\"]",
        &["999", "112"],
    ),
    ("allow = [\"de\"]", &["110", "112"]),
    ("allow = [\"us\", \"ca\"]", &["911"]),
    ("allow = [\"+44 20\", \"jp.fixed\"]", &["112", "911"]),
];

/// Digits of the numbers that the tables' tricks are to reach, and an address that
/// they name: none of these may be in what leaves.
const FOREIGN: [&str; 4] = ["23276", "192.0.2.66", "victim", "evil"];

/// What came of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The user part that the carrier was asked for.
    pub(crate) sent: Option<String>,
    /// The final answer's code.
    pub(crate) status: Option<u16>,
    /// The text of its Reason.
    pub(crate) reason: String,
    /// Number, decision and reason of the verdict in the journal.
    pub(crate) journalled: Option<(String, String, String)>,
}

pub(crate) struct World {
    shard: Shard,
    counters: Counters,
    now: Now,
    out: Outbox,
    calls: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        let source = |name: String, text: String| Source { name, text };
        let plan = |name: &&str| {
            let file = format!("{}/policies/plans/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            source(
                format!("plans/{name}.toml"),
                std::fs::read_to_string(file).unwrap(),
            )
        };
        let tenants = PLANS.iter().zip(&RULES).enumerate();
        let tenants = tenants.map(|(at, (name, (rules, _)))| {
            let text = format!(
                "name = \"{name}\"\nplan = \"{name}\"\ntime_zone = \"UTC\"\ncarriers = [\"upstream\"]\n\
                 [identify]\nsources = [\"127.0.1.{at}/32\"]\n\
                 [callers]\nown = [\"+813355700{at}0..+813355700{at}9\"]\notherwise = \"replace\"\n\
                 default = \"+813355700{at}0\"\n[destinations]\n{rules}\n"
            );
            source(format!("tenants/{name}.toml"), text)
        });
        let sources = Sources {
            main: source("tollgate.toml".into(), MAIN.into()),
            tenants: tenants.collect(),
            plans: PLANS.iter().map(plan).collect(),
            numbering: None,
            tariffs: Vec::new(),
        };
        let counters = Counters::new();
        let zones = TimeZoneDatabase::bundled();
        let rules = compile(&sources, Options::default(), &zones, &counters).unwrap();
        let now = Now {
            mono: Mono::from_nanos(1),
            wall: Wall::from_micros(1),
        };
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: Arc::new(rules),
        };
        Self {
            shard: Shard::new(config, now),
            counters,
            now,
            out: Outbox::default(),
            calls: 0,
        }
    }

    /// The phone system of the tenant with this plan makes the line's call.
    pub(crate) fn call(&mut self, plan: usize, line: &Line) -> Outcome {
        self.calls += 1;
        let remote = SocketAddr::from(([127, 0, 1, u8::try_from(plan).unwrap()], 5080));
        let bytes = invite(remote, self.calls, line);
        self.out.clear();
        self.now = self.now + Duration::from_micros(10);
        if let Ok(message) = scan(Bytes::from(bytes)) {
            let flow = Flow {
                listener: ListenerId(0),
                transport: Transport::Udp,
                remote,
                local: None,
                connection: None,
                name: None,
            };
            let input = Input::Message { flow, message };
            self.shard.handle(self.now, input, &mut self.out);
        }
        let mut outcome = Outcome {
            journalled: journalled(self.out.records.bytes()),
            ..Outcome::default()
        };
        for transmit in &self.out.transmits {
            let message = scan(Bytes::copy_from_slice(transmit.packet.as_ref())).unwrap();
            assert_eq!(message.fault(), None);
            if transmit.flow.remote.to_string() == CARRIER {
                assert_eq!(outcome.sent, None, "two INVITEs");
                outcome.sent = Some(called(&message));
                let head = String::from_utf8_lossy(transmit.packet.as_ref()).into_owned();
                let foreign = FOREIGN.iter().find(|it| head.contains(**it));
                assert_eq!(foreign, None, "{} left as\n{head}", line.show());
            } else {
                assert_eq!(transmit.flow.remote, remote);
                outcome.status = message.status().filter(|code| *code >= 200);
                outcome.reason = reason(&message);
            }
        }
        outcome
    }

    /// Hangs up, and lets everything run out: nothing is left.
    pub(crate) fn rest(&mut self) {
        let mut input = Some(Input::Command(Command::HangUpAll));
        while let Some(deadline) = self.shard.next_deadline() {
            let wait = deadline.saturating_since(self.now.mono) + Duration::from_millis(1);
            self.now = self.now + wait;
            self.out.clear();
            let input = input.take().unwrap_or(Input::Tick);
            self.shard.handle(self.now, input, &mut self.out);
        }
        assert_eq!(self.shard.counts(), Counts::default());
        assert_eq!(self.counters.live(), 0);
    }
}

/// What must come of a line.
pub(crate) fn expected(plan: usize, line: &Line) -> Outcome {
    let mut expected = Outcome::default();
    match line.verdict.parse() {
        Ok(status) => expected.status = Some(status),
        Err(_) if line.verdict == "silence" => return expected,
        Err(_) if line.leaves() => expected.sent = Some(line.canonical.clone()),
        Err(_) => {
            expected.status = Some(603);
            expected.reason = format!("Q.850;cause=21;text=\"{}\"", line.verdict);
        }
    }
    if expected.status != Some(603) && expected.sent.is_none() {
        return expected;
    }
    let (decision, reason) = match &*line.verdict {
        "allow" => ("Allow", ""),
        "emergency" => ("Emergency", ""),
        reason => ("Refuse", reason),
    };
    expected.journalled = Some((line.canonical.clone(), decision.into(), reason.into()));
    if line.canonical.starts_with("urn:") {
        // It leaves as the number that the plan gives it.
        let numbers = RULES[plan].1;
        expected.sent = Some(numbers[0].into());
    }
    expected
}

/// Whether the outcome is the one expected. For a URN any emergency number of the
/// plan will do.
pub(crate) fn agree(plan: usize, outcome: &Outcome, expected: &Outcome) -> bool {
    let urn = |it: &Outcome| {
        let number = it.journalled.as_ref().map(|(number, ..)| number.as_str());
        number.is_some_and(|number| number.starts_with("urn:"))
    };
    let emergency = |sent: &Option<String>| {
        sent.as_ref()
            .is_some_and(|sent| RULES[plan].1.contains(&sent.as_str()))
    };
    if urn(expected) {
        return outcome.journalled == expected.journalled && emergency(&outcome.sent);
    }
    if expected.journalled.is_none() {
        return (&outcome.sent, outcome.status) == (&None, expected.status);
    }
    outcome == expected
}

fn invite(source: SocketAddr, number: u32, line: &Line) -> Vec<u8> {
    let id = format!("evasion{number}");
    let usual = [
        ("Via", format!("SIP/2.0/UDP {source};branch=z9hG4bK{id}")),
        ("Max-Forwards", "70".into()),
        ("From", format!("<sip:+81335570001@{source}>;tag={id}")),
        ("To", "<sip:0335571299@gw>".into()),
        ("Call-ID", format!("{id}@evasions")),
        ("CSeq", "1 INVITE".into()),
        ("Contact", format!("<sip:desk@{source}>")),
        ("Content-Length", "0".into()),
    ];
    let mut out = [b"INVITE ", &*line.request_uri, b" SIP/2.0\r\n"].concat();
    let given = |name: &str| line.headers.starts_with(format!("{name}:").as_bytes());
    for (name, value) in usual {
        // A second Via is one more hop.
        if !given(name) || name == "Via" {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    if !line.headers.is_empty() {
        out.extend([&*line.headers, b"\r\n"].concat());
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn called(message: &Message) -> String {
    assert_eq!(message.method(), Some(Method::Invite));
    match Uri::parse(message.uri().unwrap()) {
        Ok(Uri::Sip(uri)) => String::from_utf8(uri.user.unwrap_or_default().to_vec()).unwrap(),
        other => panic!("{other:?} goes to the carrier"),
    }
}

fn reason(message: &Message) -> String {
    let value = message.first(HeaderId::Reason).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

/// The one verdict among the records.
fn journalled(mut records: &[u8]) -> Option<(String, String, String)> {
    let mut found = None;
    while let Ok(Some((record, rest))) = frame::next(records) {
        if let Record::Verdict {
            number,
            decision,
            reason,
            ..
        } = record
        {
            assert_eq!(found, None, "two verdicts");
            found = Some((number.into(), format!("{decision:?}"), reason.into()));
        }
        records = rest;
    }
    found
}
