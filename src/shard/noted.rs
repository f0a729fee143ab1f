//! What a shard only writes down.

use crate::base::time::Now;
use crate::call::Outbox;
use crate::record::Record;

use super::input::{Confirmed, Lifted, Note, Reset};

/// A tenant's counters began anew.
pub(super) fn reset(now: Now, reset: &Reset, out: &mut Outbox) {
    out.journal(&Record::Reset {
        wall: now.wall,
        tenant: &reset.tenant,
        resets: reset.times,
        by: &reset.by,
        why: &reset.why,
    });
}

/// The wall clock is believed again.
pub(super) fn confirmed(now: Now, confirmed: &Confirmed, out: &mut Outbox) {
    out.journal(&Record::Ordered {
        wall: now.wall,
        order: "clock",
        tenant: "",
        detail: &format!("{} s ahead", confirmed.ahead_s),
        hang_up: false,
        lasts_s: 0,
        uid: confirmed.uid,
        by: &confirmed.by,
        why: &confirmed.why,
    });
    out.journal(&Record::Agreed {
        mono: now.mono,
        wall: now.wall,
    });
}

/// Bans of strangers were lifted.
pub(super) fn lifted(now: Now, lifted: &Lifted, out: &mut Outbox) {
    out.journal(&Record::Ordered {
        wall: now.wall,
        order: "lift-ban",
        tenant: "",
        detail: &lifted.detail,
        hang_up: false,
        lasts_s: 0,
        uid: lifted.uid,
        by: &lifted.by,
        why: &lifted.why,
    });
}

/// Something was seen before anything reached the core.
pub(super) fn note(now: Now, note: &Note, out: &mut Outbox) {
    out.journal(&Record::Note {
        wall: now.wall,
        what: note.what,
        detail: &note.detail,
        count: note.count,
    });
}
