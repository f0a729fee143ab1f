//! The core's lives: it dies without warning, and goes on with what its journal says.

use crate::block::Block;
use crate::link::{MS, Nanos, SEC};
use crate::net::{Event, Fault};
use crate::rng::Rng;
use crate::runner::number;
use crate::seen::Met;
use crate::world::{CALM, Shard, World};

/// The core may die in runs of seeds below this, if `SIM_MORTAL` says nothing else.
const MORTAL: u64 = 300;

/// Whether it may in the run of this seed. Drawn by itself: other runs are what they
/// would be without.
pub fn is_mortal(seed: u64) -> bool {
    let permille = number("SIM_MORTAL").unwrap_or(if seed < MORTAL { 500 } else { 0 });
    Rng::new(!seed).permille(permille)
}

/// The host goes down in runs of seeds from [`MORTAL`] on and below this, if `SIM_POWER`
/// says nothing else.
const POWERED: u64 = 400;

/// Whether it may in the run of this seed, and what is left is drawn from.
pub fn power(seed: u64) -> Option<Rng> {
    let powered = (MORTAL..POWERED).contains(&seed);
    let permille = number("SIM_POWER").unwrap_or(if powered { 1_000 } else { 0 });
    let mut rng = Rng::new(seed.rotate_left(32));
    rng.permille(permille).then_some(rng)
}

/// More shards than this the core never has.
const MOST_SHARDS: u64 = 4;

impl World {
    /// So many shards, with nothing going on.
    pub fn begin(&mut self, shards: u8, rules: usize) {
        self.shards = (0..shards).map(|_| Shard::new(rules)).collect();
    }

    /// How many shards there are at the most.
    pub fn most_shards(&self) -> u64 {
        match self.mortal {
            true => MOST_SHARDS,
            false => u64::from(self.core.count()),
        }
    }

    /// Says when it dies, if it does in this run.
    pub fn schedule_crashes(&mut self) {
        let crashes = match self.mortal {
            true => self.net.rng.range(1, 4),
            false => 0,
        };
        for _ in 0..crashes {
            let spans = [50 * MS, 2 * SEC, 20 * SEC, 60 * SEC];
            let span = spans[self.net.rng.weighted(&[40, 40, 15, 5])];
            let at = self.net.rng.below(CALM - 70 * SEC);
            self.stalled = self.stalled.max(span);
            self.net.at(at, Event::Fault(Fault::Crash(span)));
        }
    }

    /// It dies now, or behind the next turn that writes something.
    pub fn dies(&mut self, span: Nanos) {
        if self.down || self.doomed.is_some() {
            return;
        }
        match self.net.rng.permille(500) {
            true => self.doomed = Some(span),
            false => self.crash(span),
        }
    }

    /// The core dies.
    pub fn crash(&mut self, span: Nanos) {
        let now = self.net.now;
        self.net.seen.note(Met::Crashed);
        self.tap.crash(now, &mut self.net.seen);
        if let Some(power) = &mut self.power {
            self.net.seen.note(Met::PowerFailed);
            self.tap.forgetful = true;
            self.tap.bill.forgetful = true;
            self.core.fail(power);
        }
        let lost = self.core.crash(now % 2 == 1);
        if !lost.is_empty() {
            self.net.seen.note(Met::RecordsLost);
            self.tap.lost(&lost);
        }
        for peer in 0..self.net.links.streams.len() as u8 {
            self.cut(peer);
        }
        self.down = true;
        self.doomed = None;
        let shards = self.net.rng.range(1, MOST_SHARDS + 1) as u8;
        let restart = Event::Fault(Fault::Restart(shards));
        self.net.at(now + span, restart);
    }

    /// It lives again.
    pub fn restart(&mut self, shards: u8) {
        let now = self.net.now;
        self.life += 1;
        self.down = false;
        self.compiled = vec![None; self.rules.len()];
        self.begin(shards, self.newest);
        let shares = self.core.restart(shards, now, &self.rules[self.newest]);
        self.tap
            .restarted(now, |call_id| self.core.shard_of(call_id));
        self.tap.reviving = true;
        for (shard, calls) in (0..).zip(shares) {
            for call in &calls {
                if let Some(legs) = &call.legs {
                    let (number, call_id) = (call.reference.0, &legs.callee.call_id);
                    self.tap.bill.number(shard, number, call_id);
                }
            }
            self.core.restore(shard, now, calls);
            self.turn(shard, None);
        }
        self.tap.reviving = false;
        if !self.down {
            self.tap.revived(now);
        }
        let blocked = self.blocked.map(|it| Block {
            hang_up: false,
            ..it
        });
        let there = if blocked.is_some() && !self.down {
            shards
        } else {
            0
        };
        for shard in 0..there {
            self.core.block(shard, now, blocked);
            self.shards[usize::from(shard)].gate.block = blocked.map(|it| (it, now));
            self.turn(shard, None);
        }
    }
}
