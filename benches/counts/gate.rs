//! A shard between a phone system and a carrier, without a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tollgate::base::flow::{Flow, ListenerId, Transport};
use tollgate::base::time::Now;
use tollgate::policy::Counters;
use tollgate::shard::{Config, Input, Outbox, Shard};
use tollgate::sip::scan;
use tollgate::transaction::Timers;

use crate::meter::Meter;
use crate::sip::{self, Looks, Read};
use crate::{CALLEE, CALLER, TIMES, files, world};

/// Time from one call to the next.
const APART: Duration = Duration::from_millis(10);

/// Calls before those that count: by then the timers of the first, which run for 32 s,
/// are over.
const BEFORE: usize = 3_600;

pub const LONDON: Looks<'static> = Looks {
    number: "+442071838750",
    wide: false,
};
const FREETOWN: Looks<'static> = Looks {
    number: "+23276123456",
    wide: false,
};

/// The shard, and what time it is.
pub struct Gate {
    shard: Shard,
    out: Outbox,
    now: Now,
}

impl Gate {
    pub fn new() -> Self {
        let rules = files::rules(&Counters::new()).unwrap_or_else(|faults| panic!("{faults}"));
        let now = world::now(0);
        let config = Config {
            id: 0,
            shards: 1,
            key: 1,
            bucket_key: 2,
            timers: Timers::default(),
            rules: Arc::new(rules),
        };
        Self {
            shard: Shard::new(config, now),
            out: Outbox::default(),
            now,
        }
    }

    /// INVITEs that are refused, each with the ACK to its 603.
    pub fn refuse(&mut self, meter: &mut Meter) {
        self.calls(meter, |gate, meter, call| {
            let sent = gate.say(meter, CALLER, |out| sip::invite(out, call, FREETOWN));
            let refusal = sip::read(&sent[0]).unwrap();
            assert_eq!(refusal.status, 603);
            gate.say(meter, CALLER, |out| {
                sip::ack_refusal(out, call, FREETOWN, &refusal);
            });
        });
    }

    /// Calls: INVITE, 180, 200, ACK, BYE of the caller's, 200.
    pub fn carry(&mut self, meter: &mut Meter) {
        self.calls(meter, |gate, meter, call| gate.whole(meter, call));
    }

    /// A call from its INVITE to the last answer.
    pub fn whole(&mut self, meter: &mut Meter, call: u64) {
        let answered = self.set_up(meter, call, LONDON);
        let answer = find(&answered, b"INVITE");
        let sent = self.say(meter, CALLER, |out| {
            sip::inside(out, call, "BYE", LONDON, &answer);
        });
        let bye = sent.iter().map(|it| sip::read(it).unwrap());
        let bye = bye.filter(|it| it.status == 0).last().unwrap();
        self.say(meter, CALLEE, |out| {
            sip::respond(out, "200 OK", &bye, false);
        });
    }

    /// A call up to the ACK. What left when it was answered.
    pub fn set_up(&mut self, meter: &mut Meter, call: u64, looks: Looks<'_>) -> Vec<Bytes> {
        let sent = self.say(meter, CALLER, |out| sip::invite(out, call, looks));
        let invite = find(&sent, b"INVITE");
        self.say(meter, CALLEE, |out| {
            sip::respond(out, "180 Ringing", &invite, looks.wide);
        });
        let sent = self.say(meter, CALLEE, |out| {
            sip::respond(out, "200 OK", &invite, looks.wide);
        });
        let answer = find(&sent, b"INVITE");
        assert_eq!(answer.status, 200);
        self.say(meter, CALLER, |out| {
            sip::inside(out, call, "ACK", looks, &answer);
        });
        sent
    }

    fn calls(&mut self, meter: &mut Meter, one: impl Fn(&mut Self, &mut Meter, u64)) {
        for call in 1..=BEFORE + TIMES {
            meter.counts = call > BEFORE;
            one(self, meter, call as u64);
            self.wait(meter, APART);
        }
    }

    /// Time goes by. What falls due in it is done, and the callee answers a session's refresh.
    pub fn wait(&mut self, meter: &mut Meter, time: Duration) {
        self.now = self.now + time;
        loop {
            let (shard, out, now) = (&mut self.shard, &mut self.out, self.now);
            if shard.next_deadline().is_none_or(|at| at > now.mono) {
                return;
            }
            meter.of(&mut || shard.handle(now, Input::Tick, out));
            let sent = out.transmits.iter();
            let sent: Vec<_> = sent.map(|it| it.packet.clone()).collect();
            meter.of(&mut || out.clear());
            for packet in sent {
                let refresh = sip::read(packet.as_ref()).filter(|it| it.method == b"UPDATE");
                if let Some(refresh) = refresh {
                    self.say(meter, CALLEE, |out| {
                        sip::respond(out, "200 OK", &refresh, false);
                    });
                }
            }
        }
    }

    /// A message comes from there. What leaves for it.
    fn say(&mut self, meter: &mut Meter, from: &str, write: impl Fn(&mut Vec<u8>)) -> Vec<Bytes> {
        let mut text = Vec::new();
        write(&mut text);
        let (shard, out, now) = (&mut self.shard, &mut self.out, self.now);
        let mut text = Some(Bytes::from(text));
        let flow = Flow::to(ListenerId(0), Transport::Udp, from.parse().unwrap());
        meter.of(&mut || {
            let Some(Ok(message)) = text.take().map(scan) else {
                panic!("every message is valid");
            };
            shard.handle(now, Input::Message { flow, message }, out);
        });
        let sent = out.transmits.iter();
        let sent = sent.map(|it| Bytes::copy_from_slice(it.packet.as_ref()));
        let sent = sent.collect();
        meter.of(&mut || out.clear());
        sent
    }
}

/// The last of these with that method.
fn find<'m>(sent: &'m [Bytes], method: &[u8]) -> Read<'m> {
    let mut all = sent.iter().rev().map(|it| sip::read(it).unwrap());
    let found = all.find(|it| it.method == method);
    found.unwrap_or_else(|| panic!("{sent:?}"))
}
