//! Reading a message does not allocate.

#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

#[path = "../benches/invite/mod.rs"]
mod invite;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use tollgate::sip::scan;

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
