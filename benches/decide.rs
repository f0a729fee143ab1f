//! Verdicts with 10 tenants and with 100,000 (ten rules each), without a tariff
//! and with one: who sends, what is dialled, which rule decides, whether it has a
//! price, and every cap taken and given back.
//!
//! Tenants are drawn by Zipf's law, as in life, and uniformly, where every one
//! is cold. Before that it prints what compiling took, and checks that a verdict
//! allocates nothing.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench measures by the clock, stops at a fault, and draws by chance"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::ListenerId;
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{
    Counters, Facts, Options, Peer, RuleSet, Source, Sources, TenantId, Verdict, compile,
};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::uri::Uri;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator that counts what the system's does"
)]
// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's own duties.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's own duties.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
"#;

fn source(name: String, text: String) -> Source {
    Source { name, text }
}

/// The address that tenant `at` sends from.
fn address(at: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A00_0000 | at)
}

/// A tenant's own number.
fn own(at: u32) -> String {
    format!("+8133{:07}", 2_000_000 + at)
}

fn tenant(at: u32, priced: bool) -> String {
    let (ip, own, area) = (address(at), own(at), 200 + at % 90);
    let mut text = String::new();
    if priced {
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
    text
}

struct Set {
    rules: RuleSet,
    counters: Counters,
    tenants: u32,
}

fn set(tenants: u32, priced: bool) -> Set {
    let sources = Sources {
        main: source("tollgate.toml".into(), MAIN.into()),
        tenants: (0..tenants)
            .map(|at| source(format!("t/{at}.toml"), tenant(at, priced)))
            .collect(),
        plans: vec![source(
            "jp.toml".into(),
            include_str!("../policies/plans/jp.toml").into(),
        )],
        numbering: None,
        tariffs: vec![source(
            "jp-carrier.csv".into(),
            include_str!("../policies/tariffs/jp-carrier.csv").into(),
        )],
    };
    let (zones, counters) = (TimeZoneDatabase::bundled(), Counters::new());
    let before = BYTES.load(Ordering::Relaxed);
    let start = Instant::now();
    let rules = compile(&sources, Options::default(), &zones, &counters);
    let rules = rules.unwrap_or_else(|faults| panic!("{}", faults[0]));
    let took = start.elapsed();
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    println!("{tenants} tenants: compiled in {took:?}, {bytes} bytes");
    Set {
        rules,
        counters,
        tenants,
    }
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

fn now(at: u64) -> Now {
    Now {
        mono: Mono::from_nanos(1_000_000_000 + at * 1_000),
        wall: Wall::from_micros(1_772_334_000_000_000),
    }
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

/// One call: found by its source, judged, and over at once.
fn call(set: &Set, uris: &[Uri<'_>], tenant: u32, at: u64) -> bool {
    let mut text = [0; 18];
    from(tenant, &mut text);
    let source = IpAddr::V4(address(tenant));
    let Some(Peer::Tenant(id)) = set.rules.peer(ListenerId(0), black_box(source)) else {
        return false;
    };
    let facts = Facts {
        tenant: id,
        request_uri: uris[at as usize % uris.len()],
        source: [127, 0, 0, 3].into(),
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
    match set.rules.judge(&facts, now(at)) {
        Verdict::Allow(allowed) | Verdict::Emergency(allowed) => {
            black_box(&allowed.permit);
            allowed.hold.release(now(at));
            true
        }
        Verdict::Refuse(refused) => {
            black_box(&refused);
            false
        }
    }
}

fn verdicts(c: &mut Criterion) {
    let uris: Vec<Uri<'_>> = DIALLED
        .iter()
        .map(|it| Uri::parse(it.as_bytes()).unwrap())
        .collect();
    let mut group = c.benchmark_group("verdict");
    group.measurement_time(Duration::from_secs(5));
    for (tenants, priced) in [(10, false), (100_000, false), (100_000, true)] {
        let set = set(tenants, priced);
        let what = if priced { ", with a tariff" } else { "" };
        let mut at = 0;
        // Every tenant's counters grow once.
        for tenant in 0..tenants {
            for _ in 0..uris.len() {
                at += 1;
                call(&set, &uris, tenant, at);
            }
        }
        let mut dice = Dice(1);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..10_000 {
            at += 1;
            let tenant = dice.zipf(set.tenants);
            call(&set, &uris, tenant, at);
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("{tenants} tenants: {allocations} allocations in 10,000 verdicts");
        for (name, uniform) in [("zipf", false), ("uniform", true)] {
            group.bench_function(format!("{name} of {tenants}{what}"), |b| {
                b.iter(|| {
                    at += 1;
                    let drawn = if uniform {
                        dice.uniform(tenants)
                    } else {
                        dice.zipf(tenants)
                    };
                    call(&set, &uris, drawn, at)
                });
            });
        }
        group.bench_function(format!("decision only, zipf of {tenants}{what}"), |b| {
            b.iter(|| {
                at += 1;
                let facts = Facts {
                    tenant: TenantId(dice.zipf(tenants)),
                    request_uri: uris[at as usize % uris.len()],
                    source: [127, 0, 0, 3].into(),
                    pai: None,
                    ppi: None,
                    from: NameAddr {
                        display: None,
                        uri_text: b"sip:0332000005@pbx",
                        params: b";tag=1",
                    },
                    forwarded_by: &[],
                    privacy: false,
                };
                black_box(set.rules.decide(&facts))
            });
        });
        assert_eq!((set.counters.live(), set.counters.leaked()), (0, 0));
    }
    group.finish();
    let mut dice = Dice(1);
    c.bench_function("drawing a tenant", |b| b.iter(|| dice.zipf(100_000)));
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
