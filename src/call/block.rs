//! What an operator has blocked, and the calls that the same order hangs up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{HANG_UP_PAUSE_MS, HANG_UPS_AT_ONCE};
use crate::base::time::{Mono, Now};
use crate::policy::{Order, Switch};
use crate::record::{Party, Record, Side};

use super::call::{CallKey, Ending};
use super::{Calls, Outbox, Turn};

/// Calls to be hung up, a few at a time: others are not to wait for them, and their
/// peers are not to get more at once than they can take.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    calls: VecDeque<CallKey>,
    due: Mono,
}

impl Doomed {
    /// When the next ones are to be hung up.
    pub(super) fn due(&self) -> Option<Mono> {
        (!self.calls.is_empty()).then_some(self.due)
    }
}

impl Calls {
    /// Blocks what is said from now on, and nothing else; and begins to hang up
    /// what the order says.
    pub(crate) fn block(&mut self, now: Now, switch: Arc<Switch>, out: &mut Outbox) {
        if let Some(order) = &switch.order {
            journal(now, order, out);
            self.doom(now, order);
        }
        self.hold_in_place();
        self.blocks = switch.blocks.clone();
    }

    /// Has those calls hung up that the order is about.
    fn doom(&mut self, now: Now, order: &Order) {
        let calls = self.calls.iter().filter(|(_, call)| {
            let spared = call.emergency || call.doomed || call.ending.is_some();
            !spared && order.hangs_up(&call.tenant, call.abroad)
        });
        let keys: Vec<CallKey> = calls.map(|(key, _)| key).collect();
        for key in &keys {
            if let Some(call) = self.calls.get_mut(*key) {
                call.doomed = true;
            }
        }
        if self.doomed.calls.is_empty() {
            self.doomed.due = now.mono;
        }
        self.doomed.calls.extend(keys);
    }

    /// Hangs up the next calls that are to be hung up, if it is time.
    pub(super) fn hang_up_doomed(&mut self, now: Now, out: &mut Outbox) {
        if self.doomed.due().is_none_or(|due| now.mono < due) {
            return;
        }
        let count = self.doomed.calls.len().min(HANG_UPS_AT_ONCE);
        for _ in 0..count {
            if let Some(key) = self.doomed.calls.pop_front() {
                self.turn(key, now, out, |turn| turn.hang_up_blocked());
            }
        }
        self.doomed.due = now.mono + Duration::from_millis(HANG_UP_PAUSE_MS);
    }
}

impl Turn<'_> {
    /// Ends the call by an operator's order. A phone system that waits for an answer
    /// gets the one after which it tries no other trunk.
    fn hang_up_blocked(&mut self) {
        self.end(Ending {
            by: Party::Tollgate,
            cause: "blocked",
            status: 0,
        });
        self.give_up_invite(603, Some(BLOCKED));
        self.hang_up_leg_with(Side::Callee, Some(BLOCKED));
        self.hang_up_leg_with(Side::Caller, Some(BLOCKED));
    }
}

/// The Reason of a call that is ended (Q.850, 21: call rejected).
const BLOCKED: &[u8] = b"Q.850;cause=21;text=\"blocked\"";

fn journal(now: Now, order: &Order, out: &mut Outbox) {
    let block = &order.block;
    out.journal(&Record::Ordered {
        wall: now.wall,
        order: match order.lifts {
            true => "unblock",
            false => "block",
        },
        tenant: block.tenant.as_deref().unwrap_or_default(),
        detail: block.scope.as_str(),
        hang_up: order.hang_up,
        lasts_s: order.lasts.map_or(0, |it| it.as_secs()),
        uid: order.uid,
        by: &order.by,
        why: &order.why,
    });
}
