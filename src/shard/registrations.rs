//! What becomes of registrations, said to the journal and to the log.

use crate::base::time::Now;
use crate::call::{Event, Outbox};
use crate::policy::{Binding, RuleSet};
use crate::record::{Bound, Record, fold};
use crate::trunk::{News, Output, Registrar, Said};

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

/// What phone systems have registered since the last time.
pub(super) fn bound(now: Now, registrar: &mut Registrar, out: &mut Outbox) {
    for news in registrar.take_news() {
        let (News::Bound(it) | News::Gone(it)) = &news;
        let left = it.until.saturating_since(now.mono).as_secs();
        let lasts_s = match news {
            News::Bound(_) => u32::try_from(left).unwrap_or(u32::MAX),
            News::Gone(_) => 0,
        };
        out.journal(&Record::Bound(Bound {
            wall: now.wall,
            mono: now.mono,
            account: &it.account,
            tenant: &it.tenant,
            lasts_s,
            since: it.since,
            flow: it.flow,
            contact: &it.contact,
            bulk: it.bulk,
            path: &it.path,
            call_id: &it.call_id,
            cseq: it.cseq,
        }));
    }
}

/// Takes over what phone systems had registered in an earlier life, before any shard
/// handles its first message. What came over a connection is known no more: that is
/// closed, and a phone system registers anew over another.
pub fn restore_bindings(rules: &RuleSet, now: Now, bindings: Vec<fold::Binding>) {
    for it in bindings {
        if it.lasts_s == 0 || it.flow.transport.is_reliable() {
            continue;
        }
        let binding = Binding {
            until: it.until(),
            noted: it.at,
            account: it.account,
            tenant: it.tenant.into(),
            flow: it.flow,
            contact: it.contact,
            bulk: it.bulk,
            path: it.path,
            since: it.since,
            call_id: it.call_id,
            cseq: it.cseq,
        };
        rules.bind_again(now.mono, binding);
    }
}
