//! What is counted, and what is not.

use std::hint::black_box;

use crate::memory;

/// Counts work.
#[derive(Debug, Default)]
pub struct Meter {
    /// It does now. What comes first has everything grow to its size.
    pub counts: bool,
    /// How often anything was allocated in what counted.
    pub allocations: usize,
}

impl Meter {
    /// Does this work.
    pub fn of(&mut self, work: &mut dyn FnMut()) {
        if !self.counts {
            return work();
        }
        let before = memory::allocations();
        measured(work);
        self.allocations += memory::allocations() - before;
    }
}

/// What valgrind counts: nothing else calls this.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    black_box(());
}
