//! The core by itself: one shard, no sockets, no clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZoneDatabase;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::net::clock;
use tollgate::policy::{Counters, Options, Source, Sources, compile};
use tollgate::shard::{Config, Counts, Input, Outbox, Shard};
use tollgate::sip::scan;
use tollgate::transaction::Timers;

use crate::places::{PLAN, Places};
use crate::world::{Heard, Memory, World};

/// Far shorter than any timer.
const STEP: Duration = Duration::from_micros(10);

pub(crate) struct Core {
    places: Places,
    shard: Shard,
    counters: Counters,
    now: Now,
    out: Outbox,
    memory: Memory,
    /// How long the last message took.
    pub(crate) took: Duration,
}

impl Core {
    pub(crate) fn new() -> Self {
        let places = Places::new();
        let source = |name: &str, text: String| Source {
            name: name.into(),
            text,
        };
        let sources = Sources {
            main: source("tollgate.toml", places.main_file()),
            tenants: vec![source("tenants/acme.toml", places.tenant_file())],
            plans: vec![source("plans/jp.toml", PLAN.into())],
            numbering: None,
            tariffs: Vec::new(),
        };
        let counters = Counters::new();
        let zones = TimeZoneDatabase::bundled();
        let rules = compile(&sources, Options::default(), &zones, &counters).unwrap();
        let now = Now {
            mono: Mono::from_nanos(1),
            wall: Wall::from_micros(1),
        };
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: Arc::new(rules),
        };
        Self {
            places,
            shard: Shard::new(config, now),
            counters,
            now,
            out: Outbox::default(),
            memory: Memory::default(),
            took: Duration::ZERO,
        }
    }

    /// Hands in a datagram. Returns how many packets, records and events follow.
    pub(crate) fn take(&mut self, from: SocketAddr, bytes: &[u8]) -> [usize; 3] {
        self.out.clear();
        self.now = self.now + STEP;
        let bytes = Bytes::copy_from_slice(bytes);
        let start = clock::mono();
        if let Ok(message) = scan(bytes) {
            let flow = Flow {
                listener: ListenerId(0),
                transport: Transport::Udp,
                remote: from,
                local: None,
                connection: None,
                name: None,
            };
            let input = Input::Message { flow, message };
            self.shard.handle(self.now, input, &mut self.out);
        }
        self.took = clock::mono().saturating_since(start);
        let out = &self.out;
        [
            out.transmits.len(),
            out.records.bytes().len(),
            out.events.len(),
        ]
    }

    /// Lets time pass until nothing waits any more. Nothing may be left then.
    pub(crate) fn rest(&mut self) {
        while let Some(deadline) = self.shard.next_deadline() {
            let wait = deadline.saturating_since(self.now.mono) + Duration::from_millis(1);
            self.now = self.now + wait;
            self.out.clear();
            self.shard.handle(self.now, Input::Tick, &mut self.out);
        }
        assert_eq!(self.shard.counts(), Counts::default());
        assert_eq!(self.counters.live(), 0);
    }
}

impl World for Core {
    fn places(&self) -> Places {
        self.places
    }

    /// Everything is heard anyway.
    fn listen(&mut self, _at: SocketAddr) {}

    fn tell(&mut self, from: SocketAddr, bytes: &[u8], _want: usize) -> Vec<Heard> {
        self.take(from, bytes);
        let mut heard = Vec::new();
        for transmit in &self.out.transmits {
            let bytes = transmit.packet.as_ref();
            if self.memory.note(bytes) {
                heard.push(Heard {
                    at: transmit.flow.remote,
                    bytes: bytes.to_vec(),
                });
            }
        }
        heard
    }
}
