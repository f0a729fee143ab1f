//! Tenants with 15 rules each, what they dial, and a call of one of them.

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::ListenerId;
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{
    Allowed, Counters, Facts, Hold, Options, Peer, RuleSet, Source, Sources, Verdict, compile,
};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::uri::Uri;

pub const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
"#;

pub const PLAN: &str = include_str!("../../policies/plans/jp.toml");
pub const TARIFF: &str = include_str!("../../policies/tariffs/jp-carrier.csv");

/// What the tenants' files have beside destinations and caps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum More {
    Nothing,
    Tariff,
    Budget,
}

/// The address that tenant `at` sends from.
fn address(at: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A00_0000 | at)
}

/// A tenant's file.
pub fn tenant(at: u32, more: More) -> String {
    let (ip, area) = (address(at), 200 + at % 90);
    let own = format!("+8133{:07}", 2_000_000 + at);
    let mut text = String::new();
    if more != More::Nothing {
        text.push_str("tariff = \"jp-carrier\"\n");
    }
    let _ = write!(
        text,
        "name = \"tenant-{at}\"\nplan = \"jp\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"upstream\"]\n\
         [identify]\nsources = [\"{ip}/32\"]\n[callers]\nown = [\"{own}\"]\ndefault = \"{own}\"\n\
         [destinations]\nallow = [\"jp.fixed\", \"jp.mobile\", \"jp.ip\", \"jp.freephone\", \"us\", \"+44 20\"]\n\
         deny = [\"premium\", \"satellite\", \"+1 900\", \"+1 {area}\"]\n[caps]\ncalls_at_once = 30\n\
         calls_per_second = 1000000\ncalls_per_day = 50000000\n[[cap]]\non = \"international\"\ncalls_at_once = 4\n"
    );
    if more == More::Budget {
        text.push_str("[budget]\nper_day = \"JPY 300000000\"\n");
    }
    text
}

pub fn sources(tenants: u32, more: More) -> Sources {
    let source = |name: String, text: String| Source { name, text };
    Sources {
        main: source("tollgate.toml".into(), MAIN.into()),
        tenants: (0..tenants)
            .map(|at| source(format!("t/{at}.toml"), tenant(at, more)))
            .collect(),
        numbering: None,
        plans: vec![source("jp.toml".into(), PLAN.into())],
        tariffs: vec![source("jp-carrier.csv".into(), TARIFF.into())],
    }
}

pub fn compiled(sources: &Sources, counters: &Counters) -> RuleSet {
    let zones = TimeZoneDatabase::bundled();
    compile(sources, Options::default(), &zones, counters)
        .unwrap_or_else(|faults| panic!("{}", faults[0]))
}

/// A small generator; the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xFF51_AFD7_ED55_8CCD) >> 16
    }

    /// Below `n`, uniformly.
    fn uniform(&mut self, n: u32) -> u32 {
        u32::try_from(self.next() % u64::from(n)).unwrap_or(0)
    }

    /// Below `n` by Zipf's law with exponent 1, and then spread over all tenants
    /// so that the frequent ones do not lie side by side.
    fn zipf(&mut self, n: u32) -> u32 {
        let unit = (self.next() % (1 << 40)) as f64 / (1_u64 << 40) as f64;
        let rank = (f64::from(n) + 1.0).powf(unit) as u32 - 1;
        (u64::from(rank.min(n - 1)) * 2_654_435_761 % u64::from(n)) as u32
    }
}

/// How tenants are drawn.
#[derive(Clone, Copy)]
pub enum Law {
    Zipf,
    Uniform,
}

impl Law {
    pub fn name(self) -> &'static str {
        match self {
            Self::Zipf => "Zipf(1.0)",
            Self::Uniform => "uniform",
        }
    }
}

/// So many tenants, drawn beforehand.
pub fn drawn(law: Law, tenants: u32, count: usize) -> Vec<u32> {
    let mut dice = Dice(1);
    let draw = |_| match law {
        Law::Zipf => dice.zipf(tenants),
        Law::Uniform => dice.uniform(tenants),
    };
    (0..count).map(draw).collect()
}

const DIALLED: [&str; 8] = [
    "sip:0335571234@gw",
    "sip:09012345678@gw",
    "sip:+12125551234@gw",
    "sip:010442071838750@gw",
    "sip:0120123456@gw",
    "sip:01023276123456@gw",
    "sip:+19005551234@gw",
    "sip:05031234567@gw",
];

/// So many calls are judged in a second of the clock that is shown to the rules: more
/// than any host takes, and so few that windows of a second hold what they do in life.
const A_SECOND: u64 = 10_000;

pub fn now(at: u64) -> Now {
    let start = Now {
        mono: Mono::from_nanos(1_000_000_000),
        wall: Wall::from_micros(1_772_334_000_000_000),
    };
    start + Duration::from_nanos(at * 1_000_000_000 / A_SECOND)
}

/// Writes a tenant's own number, as its phone system gives it, into a From.
fn from(tenant: u32, text: &mut [u8; 18]) {
    *text = *b"sip:0330000000@pbx";
    let mut rest = 2_000_000 + tenant;
    for digit in text[7..14].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// What all tenants dial, one after the other, and the time.
pub struct Phones {
    uris: Vec<Uri<'static>>,
    at: u64,
}

impl Phones {
    pub fn new() -> Self {
        let uris = DIALLED.iter().map(|it| Uri::parse(it.as_bytes()).unwrap());
        Self {
            uris: uris.collect(),
            at: 0,
        }
    }

    pub fn now(&self) -> Now {
        now(self.at)
    }

    /// Nobody calls for so long that no call is in any window of a second any more.
    pub fn pause(&mut self) {
        self.at += A_SECOND;
    }

    /// What a shard does first with a received batch.
    pub fn received(&self, rules: &RuleSet, tenants: &[u32]) {
        let sources = tenants.iter().map(|it| IpAddr::V4(address(*it)));
        rules.warm(black_box(sources));
    }

    /// A call of this tenant's, found by its source and judged: what it holds if it
    /// goes out.
    pub fn call(&mut self, rules: &RuleSet, tenant: u32) -> Option<Hold> {
        self.at += 1;
        let mut text = [0; 18];
        from(tenant, &mut text);
        let source = IpAddr::V4(address(tenant));
        let Some(Peer::Tenant(id)) = rules.peer(ListenerId(0), black_box(source)) else {
            return None;
        };
        let facts = Facts {
            tenant: id,
            request_uri: self.uris[self.at as usize % self.uris.len()],
            source,
            pai: None,
            ppi: None,
            from: NameAddr {
                display: None,
                uri_text: &text,
                params: b";tag=1",
            },
            forwarded_by: &[],
            privacy: false,
        };
        match rules.judge(&facts, self.now()) {
            Verdict::Allow(Allowed { permit, hold, .. })
            | Verdict::Emergency(Allowed { permit, hold, .. }) => {
                black_box(&permit);
                Some(hold)
            }
            Verdict::Refuse(refused) => {
                black_box(&refused);
                None
            }
        }
    }

    /// The same, and over at once.
    pub fn call_and_end(&mut self, rules: &RuleSet, tenant: u32) {
        if let Some(hold) = self.call(rules, tenant) {
            hold.release(self.now());
        }
    }

    /// Every tenant calls everything, so that its counters grow once.
    pub fn warm(&mut self, rules: &RuleSet, tenants: u32) {
        for tenant in 0..tenants {
            for _ in 0..self.uris.len() {
                self.call_and_end(rules, tenant);
            }
        }
    }
}
