//! Reading and judging a message does not allocate.

#![cfg(test)]
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

#[path = "../benches/invite/mod.rs"]
mod invite;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;
use tollgate::base::flow::ListenerId;
use tollgate::base::time::Now;
use tollgate::policy::{
    Counters, Facts, Options, Peer, RuleSet, Source, Sources, Verdict, compile,
};
use tollgate::sip::{Essentials, Uri, scan};

/// The system's allocator, counting by thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending allocates uncounted.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is handed on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `run` allocates on this thread.
fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn reading_an_invite_allocates_nothing() {
    assert_eq!(
        allocations(|| drop(black_box(Box::new(1)))),
        1,
        "the count works"
    );
    for n in 0..64 {
        let bytes = invite::invite(n);
        let found = allocations(|| {
            let message = scan(bytes.clone()).expect("a message");
            invite::read(&message).expect("no fault");
        });
        assert_eq!(found, 0, "message {n}");
    }
}

#[test]
fn judging_a_call_allocates_nothing() {
    judging_allocates_nothing([127, 0, 0, 3], usize::MAX);
}

/// A tenant with caps on each caller, different numbers, hours and patterns, whose
/// callers call the same numbers again and again.
#[test]
fn counting_and_watching_what_is_known_allocates_nothing() {
    judging_allocates_nothing([127, 0, 0, 4], 16);
}

/// Calls from `address`, so many different ones.
fn judging_allocates_nothing(address: [u8; 4], different: usize) {
    let counters = Counters::new();
    let rules = rules(&counters);
    let Some(Peer::Tenant(tenant)) = rules.peer(ListenerId(0), address.into()) else {
        panic!("the tenant's own address");
    };
    let mut now = Now::default();
    let mut judge = |n: usize| {
        let bytes = invite::invite(n % different);
        now = now + Duration::from_secs(1);
        allocations(|| {
            let message = scan(bytes).expect("a message");
            let essentials = Essentials::parse(&message).expect("no fault");
            let uri = message.uri().expect("a request");
            let facts = Facts {
                tenant,
                request_uri: Uri::parse(uri).expect("a URI"),
                source: address.into(),
                pai: None,
                ppi: None,
                from: essentials.from,
                forwarded_by: &[],
                privacy: false,
            };
            match rules.judge(&facts, now) {
                Verdict::Allow(allowed) | Verdict::Emergency(allowed) => {
                    allowed.hold.end(now, Some(Duration::from_secs(30)));
                }
                Verdict::Refuse(refused) => {
                    black_box(refused);
                }
            }
        })
    };
    // The counters' memory grows with what they first count.
    (0..256).for_each(|n| {
        judge(n);
    });
    for n in 256..512 {
        assert_eq!(judge(n), 0, "message {n}");
    }
    assert_eq!(counters.live(), 0);
}

/// The shipped example.
fn rules(counters: &Counters) -> RuleSet {
    let source = |path: &str| Source {
        name: path.to_owned(),
        text: std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")))
            .expect("a file that is shipped"),
    };
    let sources = Sources {
        main: source("policies/tollgate.toml"),
        tenants: vec![
            source("policies/tenants/acme.toml"),
            source("policies/tenants/shop.toml"),
        ],
        plans: vec![source("policies/plans/jp.toml")],
        numbering: None,
        tariffs: vec![source("policies/tariffs/jp-carrier.csv")],
    };
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    compile(&sources, Options { preview: true }, &zones, counters).expect("sound rules")
}
