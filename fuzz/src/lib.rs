//! A shard with a tenant and a carrier, for the targets that need one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{Counters, Options, RuleSet, Source, Sources, compile};
use tollgate::shard::{Config, Counts, Input, Outbox, Shard};
use tollgate::sip::{Fault, FaultKind, Method, scan};
use tollgate::transaction::Timers;

/// The main file of the world.
pub const MAIN: &str = include_str!("main.toml");
/// The tenant's file.
pub const TENANT: &str = include_str!("tenant.toml");
/// The dial plans that the product ships, the tenant's first.
pub const PLANS: [(&str, &str); 5] = [
    ("jp", include_str!("../../policies/plans/jp.toml")),
    ("gb", include_str!("../../policies/plans/gb.toml")),
    ("de", include_str!("../../policies/plans/de.toml")),
    ("nanp", include_str!("../../policies/plans/nanp.toml")),
    ("e164", include_str!("../../policies/plans/e164.toml")),
];

/// Where the phone system is.
pub const PBX: &str = "127.0.0.3:5080";
/// Where the carrier is.
pub const CARRIER: &str = "127.0.0.2:5070";

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.into(),
        text: text.into(),
    }
}

fn plan((name, text): &(&str, &str)) -> Source {
    source(&format!("policies/plans/{name}.toml"), text)
}

/// The files of the world, the tenant's with this text.
pub fn sources(tenant: &str) -> Sources {
    Sources {
        main: source("tollgate.toml", MAIN),
        tenants: vec![source("policies/tenants/acme.toml", tenant)],
        plans: PLANS.iter().take(1).map(plan).collect(),
        numbering: None,
        tariffs: Vec::new(),
    }
}

/// The rules of the world.
pub fn rules(counters: &Counters) -> RuleSet {
    compiled(&sources(TENANT), counters)
}

/// The rules of a world in which one tenant has each of the shipped dial plans.
pub fn rules_of_all_plans(counters: &Counters) -> RuleSet {
    let tenant = |(at, (name, _)): (usize, &(&str, &str))| {
        let text = format!(
            "name = \"{name}\"\nplan = \"{name}\"\ntime_zone = \"UTC\"\ncarriers = [\"upstream\"]\n\
             [identify]\nsources = [\"127.0.1.{at}/32\"]\n[callers]\nown = [\"+8133557000{at}\"]\n\
             otherwise = \"replace\"\ndefault = \"+8133557000{at}\"\n[destinations]\nallow = [\"any\"]\n"
        );
        source(&format!("policies/tenants/{name}.toml"), &text)
    };
    let sources = Sources {
        tenants: PLANS.iter().enumerate().map(tenant).collect(),
        plans: PLANS.iter().map(plan).collect(),
        ..sources(TENANT)
    };
    compiled(&sources, counters)
}

fn compiled(sources: &Sources, counters: &Counters) -> RuleSet {
    let zones = TimeZoneDatabase::bundled();
    match compile(sources, Options::default(), &zones, counters) {
        Ok(rules) => rules,
        Err(faults) => panic!("{faults:#?}"),
    }
}

/// A message that went out.
pub struct Sent {
    /// Where to.
    pub to: String,
    /// The message.
    pub bytes: Vec<u8>,
}

/// One shard on a clock of its own.
pub struct World {
    /// The shard.
    pub shard: Shard,
    /// What it counts in.
    pub counters: Arc<Counters>,
    /// The time.
    pub now: Now,
    /// What the last input led to.
    pub out: Outbox,
}

impl World {
    /// A world at rest, with rules and counters of its own.
    pub fn new() -> Self {
        let counters = Arc::new(Counters::new());
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: Arc::new(rules(&counters)),
        };
        let now = Now {
            mono: Mono::from_nanos(1),
            wall: Wall::from_micros(1_780_000_000_000_000),
        };
        Self {
            shard: Shard::new(config, now),
            counters,
            now,
            out: Outbox::default(),
        }
    }

    /// Hands in a datagram. Whatever goes out must be a sound message.
    pub fn receive(&mut self, from: &str, bytes: &[u8]) -> Vec<Sent> {
        let Ok(message) = scan(Bytes::copy_from_slice(bytes)) else {
            return Vec::new();
        };
        let remote = from.parse().expect("an address");
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote,
            local: None,
            connection: None,
            name: None,
        };
        self.handle(Input::Message { flow, message })
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Duration) -> Vec<Sent> {
        self.now = self.now + span;
        self.handle(Input::Tick)
    }

    /// Hands in anything.
    pub fn handle(&mut self, input: Input) -> Vec<Sent> {
        self.out.clear();
        self.shard.handle(self.now, input, &mut self.out);
        let sent = self.out.transmits.iter().map(|transmit| Sent {
            to: transmit.flow.remote.to_string(),
            bytes: transmit.packet.as_ref().to_vec(),
        });
        let sent: Vec<Sent> = sent.collect();
        sent.iter().for_each(check);
        sent
    }

    /// Lets everything run out, and checks that nothing is left.
    pub fn rest(&mut self) {
        for _ in 0..100_000 {
            let Some(deadline) = self.shard.next_deadline() else {
                break;
            };
            let wait = deadline.saturating_since(self.now.mono) + Duration::from_millis(1);
            self.wait(wait);
        }
        assert_eq!(self.shard.counts(), Counts::default(), "something is left");
        assert_eq!(
            self.counters.live(),
            0,
            "a counter of live things is not zero"
        );
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// What goes out goes to a peer, scans without fault, and ends where it says.
fn check(sent: &Sent) {
    let text = || String::from_utf8_lossy(&sent.bytes).into_owned();
    let host = sent.to.rsplit_once(':').map(|(host, _)| host);
    assert!(
        matches!(host, Some("127.0.0.2" | "127.0.0.3")),
        "sent to {}",
        sent.to
    );
    let message =
        scan(Bytes::copy_from_slice(&sent.bytes)).unwrap_or_else(|_| panic!("{}", text()));
    // A response has the fields that its request came by, and a few of its own: of an
    // emergency call's those may be as many as are read.
    let too_many = |fault: &Fault| fault.kind == FaultKind::TooManyFields;
    let fault = message.fault();
    let fault = fault.filter(|it| message.method().is_some() || !too_many(it));
    assert_eq!(fault, None, "{}", text());
    let whole = message.bytes().len() == sent.bytes.len();
    assert!(whole && sent.bytes.ends_with(message.body()), "{}", text());
    if message
        .method()
        .is_some_and(|method| method == Method::Invite)
    {
        assert!(
            message.first(tollgate::sip::HeaderId::Contact).is_some(),
            "{}",
            text()
        );
    }
}
