//! The last checkpoint, for who sends it elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The ledger's last checkpoint. Each clone shows the same.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    note: Mutex<Option<Arc<str>>>,
    wanted: AtomicBool,
}

impl Latest {
    /// As it was signed, in the form of C2SP's `signed-note`; none before the first.
    #[must_use]
    pub fn note(&self) -> Option<Arc<str>> {
        let note = self.0.note.lock().unwrap_or_else(PoisonError::into_inner);
        note.clone()
    }

    /// Has one made in about a second, and not only when it is due.
    pub fn want(&self) {
        self.0.wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// This is the last one now.
    pub(super) fn set(&self, note: &str) {
        self.0.wanted.store(false, Ordering::Relaxed);
        let mut place = self.0.note.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(note.into());
    }
}
