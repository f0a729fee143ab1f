//! What becomes of a registration, said to the journal and to the log.

use crate::base::time::Now;
use crate::call::{Event, Outbox};
use crate::record::Record;
use crate::trunk::{Output, Said};

/// The notes of the journal: a carrier brings no calls, and brings them again.
const LOST: &str = "registration-lost";
const GOOD: &str = "registration-good";

/// A step of the registrations.
pub(super) fn step(now: Now, out: &mut Outbox, act: impl FnOnce(&mut Output<'_>)) {
    let mut said = Vec::new();
    act(&mut Output {
        transmits: &mut out.transmits,
        said: &mut said,
    });
    for said in said {
        let Said { carrier, lost, .. } = said;
        let why = lost.as_deref().unwrap_or("registered");
        if said.changed {
            out.journal(&Record::Note {
                wall: now.wall,
                what: if lost.is_some() { LOST } else { GOOD },
                detail: &format!("{carrier}: {why}"),
                count: 1,
            });
        }
        out.events.push(Event::Registration { carrier, lost });
    }
}
