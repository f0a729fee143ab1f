//! Calls of an earlier life, taken over as the journal says that they stand.

use smallvec::SmallVec;

use crate::base::time::{Mono, Now, Wall};
use crate::base::token::Token;
use crate::record::fold;
use crate::record::{CallRef, Decision};
use crate::sip::fields::MethodSet;

use super::call::Call;
use super::counted::due;
use super::leg::{Far, Leg, Progress};
use super::{Calls, Event, Outbox};

impl Calls {
    /// Takes over calls of an earlier life. New calls are numbered from `next` on.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        calls: Vec<fold::Call>,
        next: CallRef,
        out: &mut Outbox,
    ) {
        self.tools.number_from(next);
        for kept in calls {
            let due = due(&kept);
            let Some(call) = self.restored(now, &kept) else {
                continue;
            };
            let Ok(key) = self.calls.insert(call) else {
                out.events.push(Event::Full { what: "calls" });
                continue;
            };
            self.turn(key, now, out, |turn| {
                turn.tools.index(turn.key, turn.call);
                turn.resume_lease(due);
                turn.hang_up("restart");
            });
        }
    }

    /// A call that is up, as far as that is a matter of its dialogs.
    fn restored(&self, now: Now, kept: &fold::Call) -> Option<Call> {
        let legs = kept.legs.as_ref()?;
        let answer = legs.answer.as_ref().filter(|_| kept.end.is_none())?;
        let (caller, callee) = (leg(&legs.caller)?, leg(&legs.callee)?);
        let origin = self.tools.origin(caller.call_id(), caller.far.tag());
        let (hold, account) = self.taken_over(now, kept);
        let longest = answer.ends_by.saturating_since(answer.at);
        Some(Call {
            reference: kept.reference,
            direction: kept.direction,
            emergency: kept.decision == Decision::Emergency,
            caller,
            callee,
            forks: SmallVec::new(),
            exchanges: SmallVec::new(),
            hold,
            account,
            limit: None,
            longest,
            linger: None,
            bye_again: None,
            strays: Vec::new(),
            ending: None,
            bye_after_ack: false,
            answered: Some(earlier(now, answer.at)),
            over: false,
            reported: false,
            origin,
        })
    }
}

/// A time of an earlier life on both clocks.
fn earlier(now: Now, wall: Wall) -> Now {
    let ago = now.wall.saturating_since(wall);
    let mono = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
    Now {
        mono: Mono::from_nanos(now.mono.as_nanos().saturating_sub(mono)),
        wall: wall.min(now.wall),
    }
}

/// A leg whose dialog is confirmed.
fn leg(kept: &fold::Leg) -> Option<Leg> {
    let tag = Token::parse(&kept.local_tag)?;
    let uris = (&kept.local_uri, &kept.remote_uri);
    let mut leg = Leg::new(kept.flow, tag, &kept.call_id, uris.0, uris.1);
    leg.far = Far::new(&kept.remote_tag, &kept.target, &kept.routes);
    // A BYE is not counted in the journal.
    leg.local_cseq = kept.local_cseq.saturating_add(1);
    leg.remote_cseq = (kept.remote_cseq > 0).then_some(kept.remote_cseq);
    leg.allow = kept.allow.map(MethodSet::from_bits);
    leg.progress = Progress {
        pending: false,
        up: true,
        byes: 0,
    };
    Some(leg)
}
