//! Blocks that an operator orders during a run, what they must keep from leaving,
//! and whether calls that were to be hung up are.

use crate::dial::Group;
use crate::link::{MS, Nanos, SEC};
use crate::net::{Event, Fault, Net};
use crate::plan::CallPlan;
use crate::seen::Met;
use crate::tap::{Tap, Turn};

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// None: every tenant.
    pub tenant: Option<u8>,
    /// Only calls abroad.
    pub abroad: bool,
    pub hang_up: bool,
    /// It ends then, without an order.
    pub until: Option<Nanos>,
}

impl Block {
    /// Whether calls of this kind are meant. None is an emergency.
    fn is_of(&self, plan: &CallPlan) -> bool {
        let group = plan.dial.group;
        let abroad = !plan.inbound && (group.is_international() || group == Group::Forwarding);
        let its = self.tenant.is_none_or(|tenant| tenant == plan.tenant);
        its && group != Group::Emergency && (abroad || !self.abroad)
    }
}

/// What keeps calls out of a shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    pub draining: bool,
    /// The block in force, and since when.
    pub block: Option<(Block, Nanos)>,
}

impl Gate {
    /// Why this call is kept out.
    pub fn closed(&self, now: Nanos, plan: &CallPlan) -> Option<&'static str> {
        let in_force = |block: &Block| block.until.is_none_or(|until| now < until);
        let block = self.block.map(|(block, _)| block).filter(in_force);
        if self.draining {
            Some("the core drains")
        } else {
            block.filter(|it| it.is_of(plan)).map(|_| "it is blocked")
        }
    }
}

/// How soon calls must be hung up.
const PROMPT: Nanos = SEC;

/// Draws the blocks of a run that ends at `end`.
pub fn schedule(net: &mut Net, shards: u8, tenants: u64, end: Nanos) {
    let mut from = net.rng.below(end / 2);
    for _ in 0..net.rng.weighted(&[60, 30, 10]) {
        let to = from + 2 * SEC + net.rng.below(80 * SEC);
        let by_time = net.rng.permille(300);
        let block = Block {
            tenant: net.rng.permille(700).then(|| net.rng.below(tenants) as u8),
            abroad: net.rng.permille(400),
            hang_up: net.rng.permille(500),
            until: by_time.then_some(to),
        };
        for shard in 0..shards {
            let late = net.rng.below(100 * MS);
            net.at(from + late, Event::Fault(Fault::Block(shard, Some(block))));
            if !by_time {
                net.at(to + late, Event::Fault(Fault::Block(shard, None)));
            }
            if block.hang_up {
                net.at(from + PROMPT + late, Event::Fault(Fault::Look(shard)));
            }
        }
        from = to + SEC + net.rng.below(60 * SEC);
    }
}

impl Tap {
    /// Calls that a block was to hang up are hung up by now, if there was time. When
    /// to look again otherwise.
    pub fn look(&mut self, turn: &mut Turn<'_>) -> Option<Nanos> {
        let (block, since) = turn.gate.block.filter(|it| it.0.hang_up)?;
        if turn.now < since + PROMPT {
            return Some(since + PROMPT);
        }
        for leg in 0..self.legs.len() {
            let state = &self.legs[leg];
            let mut plan = turn.peers.plans[self.calls[state.call].plan as usize].clone();
            plan.dial = state.dial.clone().unwrap_or(plan.dial);
            if !state.out || state.shard != turn.shard || state.excused || !block.is_of(&plan) {
                continue;
            }
            let invite = &self.clients[state.invite];
            if invite.at >= since {
                continue;
            }
            turn.seen.note(Met::HungUpByBlock);
            let mut open = state.dialogs.iter().filter(|it| it.ok.is_some());
            let up = open.any(|it| it.bye_out.is_none() && it.bye_in.is_none() && !it.doubtful);
            // A CANCEL waits for a provisional answer (RFC 3261 §9.1).
            let rings = invite.answer.is_none() && invite.provisional && invite.cancel.is_none();
            if up || rings {
                self.fail(turn.now, format!("a blocked call is not hung up: {plan:?}"));
                return None;
            }
        }
        None
    }
}
