//! One run: the core, its peers and the links, under one clock.

use std::rc::Rc;
use std::sync::Arc;

use tollgate::policy::RuleSet;

use crate::bill::Bill;
use crate::block::{Block, Gate};
use crate::calendar::{day, wall};
use crate::core::{Core, Origin, Out};
use crate::life::{is_mortal, power};
use crate::link::{Links, MS, Nanos, SEC};
use crate::net::{Event, Fault, Net};
use crate::peer::Peers;
use crate::plan::{self, Mood};
use crate::prices::Prices;
use crate::redirect;
use crate::rng::Rng;
use crate::rules::{Places, Rules};
use crate::seen::Met;
use crate::streams;
use crate::tap::{Records, Sent, Tap, Turn};
use crate::text::{Host, hosts};
use crate::trace::Trace;
use crate::wire::Wire;

/// When the faults stop and everybody hangs up.
pub const CALM: Nanos = 600 * SEC;
/// By when everything must be at rest: the longest call and its teardown.
const REST: Nanos = CALM + 4_000 * SEC;

/// What stands still until a shard goes on.
pub enum Waiting {
    Message(u8, Rc<Wire>, u64),
    Failed(Origin),
    /// A peer's connection, by its number, has closed.
    Closed(u8, u64),
    Fault(Fault),
}

impl Shard {
    /// One with nothing going on.
    pub fn new(rules: usize) -> Self {
        Self {
            rules,
            gate: Gate::default(),
            stalled: false,
            waiting: Vec::new(),
            turns: (0, 0),
        }
    }
}

pub struct Shard {
    pub rules: usize,
    pub gate: Gate,
    stalled: bool,
    waiting: Vec<Waiting>,
    /// Turns at one moment, to find a shard that spins.
    turns: (Nanos, u32),
}

pub struct World {
    pub net: Net,
    pub peers: Peers,
    pub core: Core,
    pub tap: Tap,
    pub trace: Trace,
    pub shards: Vec<Shard>,
    pub rules: Vec<Rules>,
    pub compiled: Vec<Option<Arc<RuleSet>>>,
    /// The core may die.
    pub mortal: bool,
    /// The host goes down when it does.
    pub power: Option<Rng>,
    /// The core's life, counted.
    pub life: u8,
    /// It is dead.
    pub down: bool,
    /// It dies behind the next turn that wrote something, before it sent.
    pub doomed: Option<Nanos>,
    /// Which rules it is to have when it lives again.
    pub newest: usize,
    /// What is blocked, which a start hands to its shards.
    pub blocked: Option<Block>,
    /// How late the driver wakes for a deadline.
    pub late: Nanos,
    /// The longest stall.
    pub stalled: Nanos,
    /// Sends that fail, of a thousand.
    failing: u64,
    pub wall: i64,
    pub packets: u64,
}

impl World {
    pub fn new(seed: u64, keep_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut places = Places {
            tenants: rng.range(1, 5),
            carriers: rng.range(1, 3),
            several: false,
            streams: 0,
            named: seed.is_multiple_of(3),
        };
        places.several = places.carriers > 1 && rng.permille(700);
        let peers = places.tenants + places.carriers;
        if rng.permille(400) {
            places.streams = rng.below(1 << peers);
        }
        let mut links = Links::draw(&mut rng, CALM, peers);
        links.streams = streams::draw(places);
        let mood = Mood {
            odd: *rng.pick(&[0, 30, 100, 250]),
            span: CALM - 40 * SEC,
            tenants: places.tenants,
            carriers: places.carriers,
            several: places.several,
            holds: rng.permille(150),
        };
        let count = rng.range(200, 240) as usize;
        let mut plans = plan::draw(&mut rng, mood, count);
        redirect::draw(seed, &mut plans);
        let mut rules = vec![Rules::draw(&mut rng, places.tenants)];
        for _ in 0..rng.below(4) {
            let next = rules[0].changed(&mut rng);
            rules.push(next);
        }
        let shards = rng.range(1, 5) as u8;
        let wall = wall(&mut rng);
        let charged = rules[0].prices;
        let dearest = rules.iter().map(|rules| rules.prices).reduce(Prices::max);
        let dearest = dearest.unwrap_or(charged);
        let bill = Bill::new(&mut rng, places.carriers, wall, charged, dearest);
        let mut core = Core::new(shards, rng.any(), wall, &rules[0], places);
        let power = power(seed);
        let mortal = power.is_some() || is_mortal(seed);
        if mortal {
            core.keep_journal(power.is_some());
        }
        let late = *rng.pick(&[0, MS, 15 * MS]);
        let failing = if rng.permille(250) {
            rng.range(1, 8)
        } else {
            0
        };
        let peers = Peers::new(hosts(places), places.tenants as u8, plans);
        let mut world = Self {
            net: Net::new(rng, links),
            peers,
            core,
            tap: Tap::new(places, bill),
            trace: Trace::new(keep_trace),
            shards: Vec::new(),
            compiled: vec![None; rules.len()],
            rules,
            mortal,
            power,
            life: 0,
            down: false,
            doomed: None,
            newest: 0,
            blocked: None,
            late,
            stalled: 0,
            failing,
            wall,
            packets: 0,
        };
        world.begin(shards, 0);
        world.schedule();
        world
    }

    pub fn run(&mut self) {
        while self.tap.breach.is_none() {
            let due = (0..self.core.count()).filter_map(|shard| {
                let waits = self.down || self.shards[usize::from(shard)].stalled;
                self.core
                    .due(shard)
                    .filter(|_| !waits)
                    .map(|at| (at + self.late, shard))
            });
            let due = due.min();
            match (self.net.next(), due) {
                (None, None) => return,
                (next, Some((at, shard))) if next.is_none_or(|next| at < next) => {
                    self.net.now = self.net.now.max(at);
                    self.tick(shard);
                }
                (Some(at), _) => {
                    self.net.now = at;
                    if let Some(event) = self.net.pop() {
                        self.happen(event);
                    }
                }
                (None, Some(_)) => {}
            }
            if self.net.now > REST {
                return; // What the peers still plan is no matter.
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToPeer(peer, _, on) | Event::ToCore(peer, _, on)
                if on != self.net.links.connection(peer) =>
            {
                self.net.seen.note(Met::LostWithStream);
            }
            Event::ToPeer(peer, wire, _) => {
                self.trace
                    .packet(self.net.now, &self.peers, peer, &wire, "<==");
                if peer >= self.peers.tenants {
                    let silent = self.peers.is_silent(peer, &wire);
                    self.tap.bill.reached(self.net.now, &wire, silent);
                }
                self.peers.receive(&mut self.net, peer, &wire);
            }
            Event::ToCore(..) if self.down => {}
            Event::ToCore(peer, wire, on) => {
                if let Some(shard) = self.core.steer(self.from(peer, on), &wire.bytes) {
                    self.input(shard, Waiting::Message(peer, wire, on));
                }
            }
            Event::SendFailed(life, shard, origin) => {
                if life == self.life && !self.down {
                    self.input(shard, Waiting::Failed(origin));
                }
            }
            Event::Task(task) => self.peers.act(&mut self.net, task),
            Event::Fault(fault) => self.fault(fault),
        }
        for (peer, wire) in self.net.said.drain(..) {
            if peer >= self.peers.tenants && !wire.junk {
                self.tap.bill.said(self.net.now, &wire);
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.trace.event(self.net.now, || format!("{fault:?}"));
        match fault {
            Fault::Rules(_, version) => self.newest = self.newest.max(usize::from(version)),
            Fault::Block(_, block) => self.blocked = block,
            _ => {}
        }
        match fault {
            Fault::Crash(span) => self.dies(span),
            Fault::Restart(shards) => self.restart(shards),
            Fault::Stall(shard, _)
            | Fault::Resume(shard)
            | Fault::Rules(shard, _)
            | Fault::Drain(shard)
            | Fault::HangUpAll(shard)
            | Fault::Block(shard, _)
            | Fault::Look(shard)
                if self.down || shard >= self.core.count() => {}
            Fault::WindDown => self.peers.wind_down(&mut self.net),
            Fault::Stall(shard, span) => {
                let state = &mut self.shards[usize::from(shard)];
                if !state.stalled {
                    state.stalled = true;
                    self.net.seen.note(Met::Stalled);
                    let end = self.net.now + span;
                    self.net.at(end, Event::Fault(Fault::Resume(shard)));
                }
            }
            Fault::Resume(shard) => {
                let state = &mut self.shards[usize::from(shard)];
                state.stalled = false;
                for waiting in std::mem::take(&mut state.waiting) {
                    self.input(shard, waiting);
                }
                self.tick(shard);
            }
            Fault::Close(peer) => self.close(peer),
            Fault::Rules(shard, _)
            | Fault::Drain(shard)
            | Fault::HangUpAll(shard)
            | Fault::Block(shard, _)
            | Fault::Look(shard) => {
                self.input(shard, Waiting::Fault(fault));
            }
        }
    }

    /// An input for a shard, now or when it goes on.
    pub fn input(&mut self, shard: u8, input: Waiting) {
        if self.down {
            return;
        }
        if self.shards[usize::from(shard)].stalled {
            self.shards[usize::from(shard)].waiting.push(input);
            return;
        }
        let now = self.net.now;
        // What is due runs first: as a turn of its own, to be told apart.
        if self.core.due(shard).is_some_and(|due| due <= now) {
            self.tick(shard);
        }
        if self.down {
            return;
        }
        match input {
            Waiting::Message(peer, wire, on) => {
                self.packets += 1;
                self.trace.packet(now, &self.peers, peer, &wire, "-->");
                self.core
                    .message(shard, now, self.from(peer, on), &wire.bytes);
                self.turn(shard, Some((peer, wire)));
            }
            Waiting::Closed(peer, on) => {
                // What it has sent meanwhile, over the next one, is cut short as well.
                self.tap.stream_closed(peer, Some(shard), now);
                self.core.flow_closed(shard, now, self.from(peer, on));
                self.turn(shard, None);
            }
            Waiting::Failed(origin) => {
                self.core.send_failed(shard, now, origin);
                self.turn(shard, None);
            }
            Waiting::Fault(Fault::Rules(_, version)) => {
                let version = usize::from(version);
                if self.compiled[version].is_none() {
                    self.compiled[version] = Some(self.core.compile(&self.rules[version]));
                    self.net.seen.note(Met::RulesSwapped);
                }
                if let Some(rules) = &self.compiled[version] {
                    self.core.rules(shard, now, rules);
                }
                self.shards[usize::from(shard)].rules = version;
                self.turn(shard, None);
            }
            Waiting::Fault(Fault::Drain(_)) => {
                self.net.seen.note(Met::Drained);
                self.core.drain(shard, now);
                self.shards[usize::from(shard)].gate.draining = true;
                self.turn(shard, None);
            }
            Waiting::Fault(Fault::Block(_, block)) => {
                self.core.block(shard, now, block);
                self.shards[usize::from(shard)].gate.block = block.map(|it| (it, now));
                self.turn(shard, None);
            }
            Waiting::Fault(look @ Fault::Look(_)) => {
                if let Some(at) = self.tapped(shard, |tap, turn| tap.look(turn)) {
                    self.net.at(at, Event::Fault(look));
                }
            }
            Waiting::Fault(_) => {
                self.net.seen.note(Met::HungUpAll);
                self.core.hang_up_all(shard, now);
                self.turn(shard, None);
            }
        }
    }

    fn tick(&mut self, shard: u8) {
        if self.down {
            return;
        }
        let state = &mut self.shards[usize::from(shard)];
        if state.turns.0 == self.net.now {
            state.turns.1 += 1;
            if state.turns.1 > 10_000 {
                self.tap
                    .fail(self.net.now, "a shard spins on a deadline".into());
            }
        } else {
            state.turns = (self.net.now, 0);
        }
        self.core.tick(shard, self.net.now);
        self.turn(shard, None);
    }

    /// A turn is over: shows the tap what came out, and sends it.
    pub fn turn(&mut self, shard: u8, input: Option<(u8, Rc<Wire>)>) {
        let now = self.net.now;
        match Records::read(self.core.journal()) {
            Ok(records) => self.tap.records(now, shard, records, &mut self.net.seen),
            Err(what) => self.tap.fail(now, what),
        }
        let outs = std::mem::take(&mut self.core.out);
        let mut sent = Vec::with_capacity(outs.len());
        for out in &outs {
            let strict = !matches!(&input, Some((_, wire)) if wire.junk);
            match self.sent(out, strict) {
                Ok(packet) => sent.push(packet),
                Err(what) => {
                    let text = String::from_utf8_lossy(&out.bytes).into_owned();
                    self.trace.event(now, || text.clone());
                    self.tap.fail(now, format!("{what}:\n{text}"));
                }
            }
        }
        self.tapped(shard, |tap, turn| match &input {
            Some((from, wire)) => tap.message(turn, *from, wire, &sent),
            None => tap.other(turn, &sent),
        });
        for packet in &sent {
            self.trace
                .packet(now, &self.peers, packet.to, &packet.wire, "<--");
        }
        if let Some(span) = self.doomed.filter(|_| !self.core.journal().is_empty()) {
            self.net.seen.note(Met::CrashedBeforeSend);
            for packet in &sent {
                self.tap.send_failed(packet);
            }
            return self.crash(span);
        }
        for packet in sent.iter().filter(|packet| packet.to >= self.peers.tenants) {
            self.tap.bill.sent(now, &packet.wire);
        }
        for (out, packet) in outs.iter().zip(&sent) {
            let calm = now >= CALM;
            if self.failing > 0 && !calm && self.net.rng.permille(self.failing) {
                self.net.seen.note(Met::SendFailed);
                self.trace
                    .event(now, || format!("not sent: {:?}", out.origin));
                self.tap.send_failed(packet);
                let wait = self.net.rng.below(2) * self.net.rng.below(MS);
                self.net
                    .at(now + wait, Event::SendFailed(self.life, shard, out.origin));
            } else {
                self.net.send_out(packet.to, &packet.wire);
            }
        }
        self.core.out = outs;
    }

    fn sent(&self, out: &Out, strict: bool) -> Result<Sent, String> {
        let mut hosts = self.peers.hosts.iter();
        // A damaged Via may name another port of its sender (RFC 3261 §18.2.2).
        let is = |host: &Host| host.addr == out.to || !strict && host.addr.ip() == out.to.ip();
        let Some(to) = hosts.position(is) else {
            return Err(format!("a packet to {}, who is nobody", out.to));
        };
        if self.peers.hosts[to].stream != out.stream {
            return Err(format!("a packet to {} by the wrong transport", out.to));
        }
        // The answer to a message without some header lacks it too.
        let wire = match strict {
            true => Wire::read(out.bytes.clone(), true)?,
            false => Wire::read(out.bytes.clone(), false)
                .unwrap_or_else(|_| Wire::junk(out.bytes.clone())),
        };
        Ok(Sent {
            to: to as u8,
            wire: Rc::new(wire),
        })
    }

    /// Has the tap look at a shard, under the rules that it has now.
    fn tapped<T>(&mut self, shard: u8, look: impl FnOnce(&mut Tap, &mut Turn<'_>) -> T) -> T {
        let state = &self.shards[usize::from(shard)];
        let core = &self.core;
        let shards = |call_id: &[u8]| core.shard_of(call_id);
        let mut turn = Turn {
            now: self.net.now,
            shard,
            rules: &self.rules[state.rules],
            gate: state.gate,
            day: day(self.wall, self.net.now),
            shards: &shards,
            seen: &mut self.net.seen,
            peers: &mut self.peers,
        };
        look(&mut self.tap, &mut turn)
    }

    /// Nothing happens any more: is everything as it should be?
    pub fn finish(&mut self) {
        if self.tap.breach.is_some() {
            return;
        }
        let none = |_: &[u8]| 0;
        let mut turn = Turn {
            now: self.net.now + SEC,
            shard: 0,
            rules: &self.rules[0],
            gate: Gate::default(),
            day: 0,
            shards: &none,
            seen: &mut self.net.seen,
            peers: &mut self.peers,
        };
        self.tap.finish(&mut turn);
        if let Some(what) = self.core.leftovers() {
            self.tap.fail(self.net.now, what);
        }
        self.money();
    }
}
