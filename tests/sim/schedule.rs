//! What is to happen in a run, whatever anybody does.

use crate::block;
use crate::link::{MS, SEC};
use crate::net::{Event, Fault, Task};
use crate::world::{CALM, World};

impl World {
    /// Puts the calls and the faults into the queue.
    pub fn schedule(&mut self) {
        for plan in 0..self.peers.plans.len() as u32 {
            let at = self.peers.plans[plan as usize].at;
            self.net.at(at, Event::Task(Task::Begin(plan)));
        }
        self.net.after(SEC, Task::Attack);
        let shards = self.most_shards();
        for version in 1..self.rules.len() as u8 {
            let at = CALM / self.rules.len() as u64 * u64::from(version);
            for shard in 0..shards as u8 {
                let at = at + self.net.rng.below(100 * MS);
                self.net.at(at, Event::Fault(Fault::Rules(shard, version)));
            }
        }
        for _ in 0..self.net.rng.weighted(&[40, 30, 20, 10]) {
            let shard = self.net.rng.below(shards) as u8;
            let spans = [200 * MS, 3 * SEC, 40 * SEC];
            let span = spans[self.net.rng.weighted(&[50, 40, 10])];
            let at = self.net.rng.below(CALM - 60 * SEC);
            self.stalled = self.stalled.max(span);
            self.net.at(at, Event::Fault(Fault::Stall(shard, span)));
        }
        self.schedule_closes();
        block::schedule(&mut self.net, shards as u8, self.peers.tenants.into(), CALM);
        let ending = self.net.rng.weighted(&[60, 25, 15]);
        if ending > 0 {
            let at = CALM - 20 * SEC - self.net.rng.below(60 * SEC);
            for shard in 0..shards as u8 {
                self.net.at(at, Event::Fault(Fault::Drain(shard)));
                if ending == 2 {
                    self.net
                        .at(at + 10 * SEC, Event::Fault(Fault::HangUpAll(shard)));
                }
            }
        }
        // A call may last for a day, and its peers may be dead. One to an emergency
        // number ends by its session timers alone.
        for shard in 0..shards as u8 {
            self.net
                .at(CALM + 650 * SEC, Event::Fault(Fault::HangUpAll(shard)));
        }
        self.net.at(CALM, Event::Fault(Fault::WindDown));
        self.schedule_crashes();
        self.tap.slack = self.stalled + self.late + 50 * MS;
    }
}
