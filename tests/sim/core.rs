//! The core under test: its shards, and all that touches the crate's types.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tollgate::base::flow::{ConnectionId, Flow, ListenerId, Transport};
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::base::token::Buckets;
use tollgate::policy::{
    Counters, Options, Order, Quantity, RuleSet, Scope, Source, Sources, Switch, compile_with,
};
use tollgate::record::{CallRef, Fold, Record, Recovered, fold, frame};

use tollgate::shard::{Command, Config, Counts, Input, Outbox, Shard, shard_of};
use tollgate::sip::frame::{Frame, Framer};
use tollgate::sip::{Message, scan};
use tollgate::transaction::Timers;

use crate::block::Block;
use crate::link::{MS, Nanos};
use crate::power::Disk;
use crate::rng::Rng;
use crate::rules::{Places, Rules};

pub use tollgate::transaction::Origin;

/// A packet that the core wants sent.
pub struct Out {
    pub to: SocketAddr,
    /// Over a connection.
    pub stream: bool,
    pub bytes: Bytes,
    pub origin: Origin,
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    pub addr: SocketAddr,
    /// The number of the connection that it comes on, if it does on one.
    pub connection: Option<u64>,
}

impl From {
    fn flow(self) -> Flow {
        let connection = self.connection.and_then(NonZeroU64::new).map(ConnectionId);
        let stream = connection.is_some();
        Flow {
            listener: ListenerId(u16::from(stream)),
            transport: if stream {
                Transport::Tcp
            } else {
                Transport::Udp
            },
            // A connection comes from a port that nobody listens at.
            remote: SocketAddr::new(
                self.addr.ip(),
                if stream { 41_000 } else { self.addr.port() },
            ),
            local: None,
            connection,
            name: None,
        }
    }
}

/// Reads a packet as the driver would: a stream's is cut out of it, if its end is
/// certain.
fn read(from: From, bytes: &Bytes) -> Option<Message> {
    if from.connection.is_none() {
        return scan(bytes.clone()).ok();
    }
    let mut framer = Framer::new();
    framer.push(bytes);
    loop {
        match framer.next() {
            Ok(Some(Frame::Message(message))) => return Some(message),
            Ok(Some(Frame::KeepAlive)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// The shards, and what they share.
pub struct Core {
    shards: Vec<Shard>,
    buckets: Buckets,
    counters: Counters,
    /// What each shard's journal says, of this life and of those before; nothing where
    /// none is kept.
    series: Vec<Fold>,
    /// What a shard has not written yet, since when, because nothing left with it: it
    /// may go when the shard does.
    unwritten: Vec<(Nanos, Vec<u8>)>,
    /// The same as far as it is on the disk, where the host may go down.
    disks: Option<Vec<Disk>>,
    /// How often it has.
    boots: u8,
    zones: jiff::tz::TimeZoneDatabase,
    places: Places,
    outbox: Outbox,
    /// What the last turn wants sent.
    pub out: Vec<Out>,
    key: u128,
    /// From which number on the shards that have not begun yet number calls.
    next: Vec<CallRef>,
    /// Civil time at the virtual clock's origin, in microseconds.
    wall: i64,
}

/// The virtual clock starts here, so that time zero is nothing special.
const ORIGIN: Nanos = 77_000_000_000;

impl Core {
    /// `count` shards under `rules`, seeded.
    pub fn new(count: u8, seed: u64, wall: i64, rules: &Rules, places: Places) -> Self {
        let key = u128::from(seed) << 64 | 0x746f_6c6c_6761_7465;
        let mut core = Self {
            shards: Vec::new(),
            buckets: Buckets::new(!key),
            counters: Counters::new(),
            series: Vec::new(),
            unwritten: Vec::new(),
            disks: None,
            boots: 0,
            zones: jiff::tz::TimeZoneDatabase::bundled(),
            places,
            outbox: Outbox::default(),
            out: Vec::new(),
            key,
            next: Vec::new(),
            wall,
        };
        let compiled = core.compile(rules);
        core.begin(count, 0, &compiled);
        core
    }

    /// What its shards write is kept from now on, so that they may die; the host with
    /// them, if its power may fail.
    pub fn keep_journal(&mut self, power: bool) {
        self.disks = power.then(Vec::new);
        self.open(self.count(), 0);
    }

    /// The host goes down under its shards.
    pub fn fail(&mut self, power: &mut Rng) {
        self.boots += 1;
        self.unwritten.iter_mut().for_each(|(_, it)| it.clear());
        for (series, disk) in self.series.iter_mut().zip(self.disks.iter_mut().flatten()) {
            *series = disk.fail(power);
        }
    }

    fn boot(&self) -> String {
        format!("boot {}", self.boots)
    }

    /// What stands in a series at a start.
    fn write(&mut self, series: usize, record: &Record<'_>) {
        self.series[series].apply(record);
        if let Some(disks) = &mut self.disks {
            disks[series].begin(record);
        }
    }

    /// New shards, with nothing going on.
    fn begin(&mut self, count: u8, at: Nanos, rules: &Arc<RuleSet>) {
        self.shards.clear();
        for id in 0..count {
            let config = Config {
                id: u16::from(id),
                shards: u16::from(count),
                key: self.key + u128::from(at) * 8 + u128::from(id),
                bucket_key: !self.key,
                timers: Timers::default(),
                rules: Arc::clone(rules),
            };
            self.shards.push(Shard::new(config, self.now(at)));
        }
    }

    /// All shards are gone, and what they had not written, if it is `lost`: that.
    pub fn crash(&mut self, lost: bool) -> Vec<u8> {
        let mut gone = Vec::new();
        for shard in 0..self.unwritten.len() {
            match lost {
                true => gone.append(&mut self.unwritten[shard].1),
                false => self.settle(shard),
            }
        }
        self.shards.clear();
        self.outbox.clear();
        self.out.clear();
        gone
    }

    /// As many shards as this go on under `rules` with what the journal says.
    pub fn restart(&mut self, count: u8, at: Nanos, rules: &Rules) -> Vec<Vec<fold::Call>> {
        let now = self.now(at);
        let series = (0..).zip(self.series.iter().cloned());
        let mut recovered = Recovered::of(series, now, &self.boot());
        self.counters = Counters::new();
        self.counters
            .restore(std::mem::take(&mut recovered.tallies));
        let dealt = recovered.deal(&self.buckets, u16::from(count), now.wall);
        let rules = self.compile(rules);
        self.begin(count, at, &rules);
        self.open(count, at);
        let mut shares = Vec::new();
        let series = (0..).zip(&self.series);
        let resumed: Vec<_> = series
            .map(|(shard, _)| dealt.resumed(shard, now.wall, 0))
            .collect();
        for (series, share) in dealt.shares.into_iter().enumerate() {
            for taken in &share.calls {
                let state = taken.call.state();
                self.write(series, &taken.restored(now.wall, &state));
            }
            self.next.push(share.next);
            shares.push(share.calls.into_iter().map(|taken| taken.call).collect());
        }
        for (series, records) in resumed.into_iter().enumerate() {
            let records = records.iter();
            records.for_each(|record| self.write(series, record));
        }
        shares
    }

    /// A life begins in every series.
    fn open(&mut self, count: u8, at: Nanos) {
        let wall = self.now(at).wall;
        let series = usize::from(count).max(self.series.len());
        self.series.resize_with(series, Fold::default);
        self.unwritten.resize_with(series, Default::default);
        if let Some(disks) = &mut self.disks {
            disks.resize_with(series, Disk::default);
        }
        let boot = self.boot();
        for shard in 0..self.series.len() {
            let started = Record::Started {
                wall,
                shard: shard as u16,
                shards: count.into(),
                program: "",
                boot: &boot,
            };
            self.write(shard, &started);
        }
    }

    /// A new shard takes its calls over.
    pub fn restore(&mut self, shard: u8, at: Nanos, calls: Vec<fold::Call>) {
        let now = self.now(at);
        let next = self.next.remove(0);
        self.outbox.clear();
        let core = &mut self.shards[usize::from(shard)];
        core.restore(now, calls, next, &mut self.outbox);
        self.turned(shard, at);
    }

    /// Compiles rules from their texts, as the program would.
    pub fn compile(&self, rules: &Rules) -> Arc<RuleSet> {
        let source = |(name, text): (String, String)| Source { name, text };
        let sources = Sources {
            main: source(("tollgate.toml".into(), Rules::main_text(self.places))),
            tenants: rules
                .tenant_texts(self.places)
                .into_iter()
                .map(source)
                .collect(),
            plans: vec![source((
                "policies/plans/jp.toml".into(),
                Rules::PLAN.into(),
            ))],
            tariffs: rules.tariff_texts().into_iter().map(source).collect(),
            numbering: None,
        };
        let answers = Rules::answers(self.places);
        match compile_with(
            &sources,
            Options { preview: false },
            &self.zones,
            (&self.counters, &answers),
        ) {
            Ok(compiled) => Arc::new(compiled),
            Err(faults) => panic!("the rules do not compile: {faults:#?}"),
        }
    }

    /// Both clocks at a virtual time.
    pub fn now(&self, at: Nanos) -> Now {
        Now {
            mono: Mono::from_nanos(ORIGIN + at),
            wall: Wall::from_micros(self.wall) + Duration::from_nanos(at),
        }
    }

    /// How many shards.
    pub fn count(&self) -> u8 {
        self.shards.len() as u8
    }

    /// The shard that owns a Call-ID.
    pub fn shard_of(&self, call_id: &[u8]) -> u8 {
        shard_of(&self.buckets, self.shards.len() as u16, call_id) as u8
    }

    /// When a shard wants to be called.
    pub fn due(&self, shard: u8) -> Option<Nanos> {
        let due = self.shards.get(usize::from(shard))?.next_deadline()?;
        Some(due.as_nanos().saturating_sub(ORIGIN))
    }

    /// Hands a packet to its shard, as the driver would: scanned, steered by
    /// Call-ID. Says which shard, or `None` where it cannot be read.
    pub fn steer(&self, from: From, bytes: &Bytes) -> Option<u8> {
        let message = read(from, bytes)?;
        Some(self.shard_of(message.call_id()))
    }

    /// A packet for a shard.
    pub fn message(&mut self, shard: u8, at: Nanos, from: From, bytes: &Bytes) {
        if let Some(message) = read(from, bytes) {
            let flow = from.flow();
            self.handle(shard, at, Input::Message { flow, message });
        }
    }

    /// A peer's connection has closed.
    pub fn flow_closed(&mut self, shard: u8, at: Nanos, from: From) {
        let flow = Flow {
            remote: from.addr,
            ..from.flow()
        };
        self.handle(shard, at, Input::FlowClosed { flow });
    }

    /// Time has passed.
    pub fn tick(&mut self, shard: u8, at: Nanos) {
        self.handle(shard, at, Input::Tick);
    }

    /// A packet could not be sent.
    pub fn send_failed(&mut self, shard: u8, at: Nanos, origin: Origin) {
        self.handle(shard, at, Input::SendFailed { origin });
    }

    /// New rules for one shard.
    pub fn rules(&mut self, shard: u8, at: Nanos, rules: &Arc<RuleSet>) {
        let command = Command::Rules(Arc::clone(rules));
        self.handle(shard, at, Input::Command(command));
    }

    /// No new calls.
    pub fn drain(&mut self, shard: u8, at: Nanos) {
        self.handle(shard, at, Input::Command(Command::Drain));
    }

    /// All calls end.
    pub fn hang_up_all(&mut self, shard: u8, at: Nanos) {
        self.handle(shard, at, Input::Command(Command::HangUpAll));
    }

    /// This is blocked from now on, or nothing.
    pub fn block(&mut self, shard: u8, at: Nanos, block: Option<Block>) {
        let order = block.map(|block| Order {
            block: tollgate::policy::Block {
                tenant: block.tenant.map(|it| format!("tenant{it}").into()),
                scope: match block.abroad {
                    true => Scope::International,
                    false => Scope::Everything,
                },
                until: block.until.map(|it| self.now(it).wall),
            },
            lifts: false,
            hang_up: block.hang_up,
            lasts: None,
            uid: 0,
            by: "root".into(),
            why: "".into(),
        });
        let blocks = order.iter().map(|it| it.block.clone()).collect();
        let switch = Arc::new(Switch { blocks, order });
        self.handle(shard, at, Input::Command(Command::Block(switch)));
    }

    fn handle(&mut self, shard: u8, at: Nanos, input: Input) {
        let now = self.now(at);
        self.outbox.clear();
        self.shards[usize::from(shard)].handle(now, input, &mut self.outbox);
        self.turned(shard, at);
    }

    /// A turn is over: its records are written, its packets are to be sent. If there are
    /// none its records wait for the next ones, but not for long.
    fn turned(&mut self, shard: u8, at: Nanos) {
        for other in 0..self.unwritten.len() {
            let (since, records) = &self.unwritten[other];
            if !records.is_empty() && at > since + 50 * MS {
                self.settle(other);
            }
        }
        if let Some((since, records)) = self.unwritten.get_mut(usize::from(shard)) {
            if records.is_empty() {
                *since = at;
            }
            records.extend_from_slice(self.outbox.records.bytes());
            if self.outbox.drawn || !self.outbox.transmits.is_empty() {
                self.settle(usize::from(shard));
            }
        }
        let disk = self.disks.as_mut();
        if let Some(disk) = disk.and_then(|it| it.get_mut(usize::from(shard))) {
            disk.write(self.outbox.records.bytes(), self.outbox.drawn);
        }
        self.out.clear();
        for transmit in &self.outbox.transmits {
            let stream = transmit.flow.transport == Transport::Tcp;
            let listener = ListenerId(u16::from(stream));
            assert_eq!(transmit.flow.listener, listener, "no such listener");
            self.out.push(Out {
                to: transmit.flow.remote,
                stream,
                bytes: Bytes::copy_from_slice(transmit.packet.as_ref()),
                origin: transmit.origin,
            });
        }
    }

    /// Writes what has waited for it.
    fn settle(&mut self, shard: usize) {
        let (_, bytes) = &mut self.unwritten[shard];
        let mut records = &bytes[..];
        while let Ok(Some((record, rest))) = frame::next(records) {
            self.series[shard].apply(&record);
            records = rest;
        }
        bytes.clear();
    }

    /// The journal records of the last turn.
    pub fn journal(&self) -> &[u8] {
        self.outbox.records.bytes()
    }

    /// What is booked today of a tenant's daily budget, if anything is counted.
    pub fn booked_today(&self, tenant: u8, at: Nanos) -> Option<u64> {
        let rules = self.shards.first()?.rules();
        let tenant = rules.tenant_named(&format!("tenant{tenant}"))?;
        let used = rules.used(tenant, Quantity::MoneyPerDay, self.now(at))?;
        Some(used.booked.millionths())
    }

    /// What is left where nothing should be.
    pub fn leftovers(&self) -> Option<String> {
        let rest =
            |shard: &&Shard| shard.counts() != Counts::default() || shard.next_deadline().is_some();
        if let Some(shard) = self.shards.iter().find(rest) {
            let (counts, next) = (shard.counts(), shard.next_deadline());
            return Some(format!("a shard is not at rest: {counts:?}, next {next:?}"));
        }
        let (live, leaked) = (self.counters.live(), self.counters.leaked());
        (live + leaked > 0).then(|| format!("counters: {live} live, {leaked} leaked"))
    }
}
