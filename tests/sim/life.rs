//! The core's lives: it dies without warning, and goes on with what its journal says.

use crate::link::{MS, Nanos, SEC};
use crate::net::{Event, Fault};
use crate::seen::Met;
use crate::world::{CALM, MOST_SHARDS, Shard, World};

impl World {
    /// So many shards, with nothing going on.
    pub fn begin(&mut self, shards: u8, rules: usize) {
        self.shards = (0..shards).map(|_| Shard::new(rules)).collect();
    }

    /// Says when it dies.
    pub fn schedule_crashes(&mut self) {
        if self.net.rng.permille(300) {
            for _ in 0..self.net.rng.range(1, 4) {
                let spans = [50 * MS, 2 * SEC, 20 * SEC, 60 * SEC];
                let span = spans[self.net.rng.weighted(&[40, 40, 15, 5])];
                let at = self.net.rng.below(CALM - 70 * SEC);
                self.stalled = self.stalled.max(span);
                self.net.at(at, Event::Fault(Fault::Crash(span)));
            }
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
        self.core.crash();
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
        self.tap.restarted(|call_id| self.core.shard_of(call_id));
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
    }
}
