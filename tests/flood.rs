//! A flood of refused INVITEs: the journal stays small, evidence of each kind is
//! kept, secrets are not, and another tenant's calls are recorded as ever.
//!
//! `FLOOD_SECONDS=600` is the whole of it: 1.2 million INVITEs, in virtual time.

#![cfg(feature = "ledger")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::ledger::{Journal, Ledger, Reader};
use tollgate::policy::{Counters, Options, Source, Sources, compile};
use tollgate::record::{Decision, Record};
use tollgate::shard::{Config, Input, Outbox, Shard};
use tollgate::sip::{HeaderId, scan};
use tollgate::transaction::Timers;

/// Refused INVITEs a second.
const RATE: u32 = 2_000;

/// One call of the other tenant's in so many of these.
const OTHERS: u32 = 1_000;

const MAIN: &str = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"up\"\n\
    address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\nnumber_format = \"e164\"\n";

fn tenant(name: &str, at: u8, rules: &str) -> Source {
    let text = format!(
        "name = \"{name}\"\nplan = \"jp\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"up\"]\n\
         [identify]\nsources = [\"127.0.0.{at}/32\"]\n\
         [callers]\nown = [\"+81335570000\"]\notherwise = \"replace\"\n\
         default = \"+81335570000\"\n{rules}\n"
    );
    Source {
        name: format!("tenants/{name}.toml"),
        text,
    }
}

fn rules(counters: &Counters) -> tollgate::policy::RuleSet {
    let plan = format!("{}/policies/plans/jp.toml", env!("CARGO_MANIFEST_DIR"));
    let destinations = "[destinations]\nallow = [\"jp.fixed\", \"gb\"]\ndeny = [\"us\"]";
    let sources = Sources {
        main: Source {
            name: "tollgate.toml".into(),
            text: MAIN.into(),
        },
        tenants: vec![
            tenant("victim", 3, destinations),
            tenant("other", 4, destinations),
        ],
        plans: vec![Source {
            name: "plans/jp.toml".into(),
            text: std::fs::read_to_string(plan).unwrap(),
        }],
        numbering: None,
        tariffs: Vec::new(),
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).unwrap()
}

/// One shard with a journal.
struct World {
    shard: Shard,
    journal: Journal,
    out: Outbox,
    now: Now,
    written: u64,
}

impl World {
    fn handle(&mut self, input: Input) {
        self.shard.handle(self.now, input, &mut self.out);
        let records = self.out.records.bytes();
        self.written += u64::try_from(records.len()).unwrap();
        self.journal.append(records).unwrap();
        if self.journal.wants_room() {
            self.journal.prepare().unwrap();
        }
    }

    /// Sends an INVITE, and ends its transaction where it was refused.
    fn call(&mut self, from: u8, number: &str, index: u32) {
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote: format!("127.0.0.{from}:5060").parse().unwrap(),
            local: None,
            connection: None,
            name: None,
        };
        let request = |method: &str, tag: &str, rest: &str| {
            let text = format!(
                "{method} sip:{number}@127.0.0.1 SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 127.0.0.{from}:5060;branch=z9hG4bK-{from}-{index}\r\n\
                 From: <sip:+81335570000@127.0.0.{from}>;tag=f{index}\r\n\
                 To: <sip:{number}@127.0.0.1>{tag}\r\nCall-ID: {index}@127.0.0.{from}\r\n\
                 CSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
                 Contact: <sip:gw@127.0.0.{from}>\r\nUser-Agent: friendly-scanner {:0200}\r\n{rest}",
                0
            );
            let message = scan(Bytes::from(text)).unwrap();
            Input::Message { flow, message }
        };
        let body =
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\r\nm=audio 1 RTP/AVP 0\r\n";
        let rest = format!(
            "Proxy-Authorization: Digest username=\"x\", response=\"SECRET\"\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.handle(request("INVITE", "", &rest));
        let answers = self.out.transmits.iter();
        let refused = answers.filter_map(|it| {
            let message = scan(Bytes::copy_from_slice(it.packet.as_ref())).ok()?;
            (message.status()? == 603).then(|| {
                let to = String::from_utf8_lossy(message.first(HeaderId::To).unwrap()).into_owned();
                to.split_once(";tag=").map(|(_, tag)| format!(";tag={tag}"))
            })
        });
        let tag = refused.flatten().next();
        self.out.clear();
        if let Some(tag) = tag {
            self.handle(request("ACK", &tag, "Content-Length: 0\r\n\r\n"));
            self.out.clear();
        }
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= until.mono) {
            let wait = due.saturating_since(self.now.mono);
            self.now = self.now + wait;
            self.handle(Input::Tick);
            self.out.clear();
        }
        self.now = until;
    }
}

/// What the journal says.
#[derive(Debug, Default)]
struct Said {
    /// By tenant and reason: verdicts, INVITEs, and refusals counted in sums.
    refused: BTreeMap<(String, String), [u64; 3]>,
    let_in: BTreeMap<String, [u64; 2]>,
}

fn said(directory: &std::path::Path) -> Said {
    let mut said = Said::default();
    let mut of = BTreeMap::new();
    let mut reader = Reader::open(directory).unwrap();
    while let Some(entry) = reader.next().unwrap() {
        match entry.content.unwrap() {
            Record::Verdict {
                call,
                tenant,
                decision: Decision::Refuse,
                reason,
                ..
            } => {
                let kind = (tenant.to_owned(), reason.to_owned());
                said.refused.entry(kind.clone()).or_default()[0] += 1;
                of = BTreeMap::from([(call, kind)]);
            }
            Record::Verdict { tenant, .. } => said.let_in.entry(tenant.into()).or_default()[0] += 1,
            Record::Invite { call, message } => {
                let text = String::from_utf8_lossy(message);
                assert!(!text.contains("SECRET"), "{text}");
                let whole = [
                    "Authorization: (left out)",
                    "a=crypto(left out)",
                    "m=audio 1",
                ];
                assert!(whole.iter().all(|it| text.contains(it)), "{text}");
                match of.get(&call) {
                    Some(kind) => said.refused.get_mut(kind).unwrap()[1] += 1,
                    None => said.let_in.get_mut("other").unwrap()[1] += 1,
                }
            }
            Record::Refusals {
                tenant,
                reason,
                first,
                last,
                count,
                ..
            } => {
                assert!(first <= last && count > 0);
                let kind = (tenant.to_owned(), reason.to_owned());
                said.refused.entry(kind).or_default()[2] += count;
            }
            _ => {}
        }
    }
    said
}

#[test]
fn a_flood_is_recorded_in_little_room() {
    let seconds = std::env::var("FLOOD_SECONDS").ok();
    let seconds: u32 = seconds.map_or(70, |text| text.parse().unwrap());
    // Less where only a little of it is tried: the first minute's is the same.
    let rate = if seconds < 600 { RATE / 10 } else { RATE };
    let name = format!("tollgate-flood-{}", std::process::id());
    let directory: PathBuf = std::env::temp_dir().join(name);
    let ledger = Ledger::open(&directory).unwrap();
    let counters = Counters::new();
    let now = Now {
        mono: Mono::from_nanos(1),
        wall: Wall::from_micros(1_700_000_000_000_000),
    };
    let config = Config {
        id: 0,
        shards: 1,
        key: 1,
        bucket_key: 2,
        timers: Timers::default(),
        rules: Arc::new(rules(&counters)),
    };
    let mut world = World {
        shard: Shard::new(config, now),
        journal: Journal::open(&ledger, 0, now.wall).unwrap(),
        out: Outbox::default(),
        now,
        written: 0,
    };
    let count = rate * seconds;
    // Denied, not allowed, and no number at all.
    let kinds = ["01012125550100", "01023276123456", "00999"];
    for index in 0..count {
        let number = kinds[usize::try_from(index).unwrap() % kinds.len()];
        world.call(3, number, index);
        if index.is_multiple_of(OTHERS) {
            world.call(4, "0335571234", index);
        }
        world.pass(Duration::from_secs(1) / rate);
    }
    world.pass(Duration::from_secs(2));
    let found = said(&directory);
    let written = world.written;
    println!("{count} INVITEs in {seconds} s: {written} bytes of journal; {found:#?}");
    std::fs::remove_dir_all(&directory).unwrap();

    assert!(
        written <= 200_000_000 * u64::from(seconds.max(60)) / 600,
        "{written}"
    );
    let all: u64 = found
        .refused
        .values()
        .map(|[verdicts, _, more]| verdicts + more)
        .sum();
    assert_eq!(all, u64::from(count), "each is recorded, or counted");
    assert!(found.refused.len() >= 3, "evidence of each kind");
    let minutes = u64::from(seconds.div_ceil(60));
    for (kind, [verdicts, invites, more]) in &found.refused {
        assert!((100..=100 * (minutes + 1)).contains(invites), "{kind:?}");
        assert!(
            (1_000..=1_000 * (minutes + 1)).contains(verdicts),
            "{kind:?}"
        );
        assert!(*more > 0, "{kind:?}");
    }
    let others = u64::from(count.div_ceil(OTHERS));
    assert_eq!(found.let_in["other"], [others, others]);
    assert_eq!(found.let_in.len(), 1);
}
