//! Reading a message does not allocate, nor does judging a call.

#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

#[path = "../benches/invite/mod.rs"]
mod invite;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tollgate::base::time::Now;
use tollgate::policy::{Counters, Facts, Options, Source, Sources, TenantId, Verdict, compile};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::scan;
use tollgate::sip::uri::Uri;

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

fn shipped(path: &str) -> Source {
    let file = format!("{}/policies/{path}", env!("CARGO_MANIFEST_DIR"));
    Source {
        name: path.to_owned(),
        text: std::fs::read_to_string(file).expect("a shipped file"),
    }
}

#[test]
fn a_verdict_allocates_nothing_once_counters_have_grown() {
    let sources = Sources {
        main: shipped("tollgate.toml"),
        tenants: vec![shipped("tenants/acme.toml")],
        plans: vec![shipped("plans/jp.toml")],
        tariffs: vec![shipped("tariffs/jp-carrier.csv")],
    };
    let (zones, counters) = (TimeZoneDatabase::bundled(), Counters::new());
    let rules = compile(&sources, Options { preview: true }, &zones, &counters).expect("rules");
    let dialled = [
        "sip:0335571234@gw",
        "sip:184010442071838750@gw",
        "sip:+12125551234@gw",
        "sip:110@gw",
        "sip:+23276123456@gw",
        "sip:*01023276123456@gw",
        "urn:service:sos.fire",
    ];
    let uris = dialled.map(|text| Uri::parse(text.as_bytes()).expect("a URI"));
    let from = NameAddr::parse(b"\"A\" <sip:0335570007@pbx>;tag=1").expect("a From");
    let mut now = Now::default();
    let mut judge = |calls: usize| {
        for at in 0..calls {
            now = now + Duration::from_millis(200);
            let facts = Facts {
                tenant: TenantId(0),
                request_uri: uris[at % uris.len()],
                pai: None,
                ppi: None,
                from,
                privacy: false,
            };
            match rules.judge(&facts, now) {
                Verdict::Emergency(call) | Verdict::Allow(call) => call.hold.release(now),
                Verdict::Refuse(refused) => drop(black_box(refused)),
            }
        }
    };
    judge(200);
    assert_eq!(allocations(|| judge(10_000)), 0);
}
