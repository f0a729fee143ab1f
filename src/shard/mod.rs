//! F4: one core's share of the work: an input in, an outbox out.
//!
//! A [`Shard`] owns its calls and transactions outright. It reads no clock, does
//! no I/O and draws no randomness: what it is given decides what it does, so a
//! run can be replayed.

#![forbid(unsafe_code)]

mod input;
mod noted;
mod registrations;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::INSIDE_PER_TURN;
use crate::base::time::{Mono, Now};
use crate::base::token::Buckets;
use crate::call::Calls;
use crate::policy::RuleSet;
use crate::record::{CallRef, Record, fold};
use crate::sip::scan;
use crate::transaction::{Origin, Transmit};
use crate::trunk::{Probes, Registrar, Registrations, Seed};

pub use crate::call::{Config, Counts, Event, Outbox};
pub use input::{Command, Confirmed, Input, Lifted, Note, Reset};
pub use registrations::restore_bindings;

/// One core's share of the calls.
#[derive(Debug)]
pub struct Shard {
    calls: Calls,
    registrations: Registrations,
    registrar: Registrar,
    /// The first shard asks for all of them whether carriers are there.
    probes: Option<Probes>,
    /// This shard's number, and how many there are.
    of: (u16, u16),
}

impl Shard {
    /// A shard with nothing going on.
    #[must_use]
    pub fn new(config: Config, start: Now) -> Self {
        let probes = (config.id == 0).then(|| {
            let mut probes = Probes::new(config.key, config.bucket_key, config.timers, start.mono);
            probes.obey(&config.rules, start.mono);
            probes
        });
        let calls = Calls::new(&config, start);
        let of = (config.id, config.shards);
        let seed = Seed {
            shard: of,
            key: config.key,
            bucket_key: config.bucket_key,
            timers: config.timers,
            rules: config.rules,
        };
        Self {
            calls,
            registrations: Registrations::new(seed, start),
            registrar: Registrar::new(config.bucket_key),
            probes,
            of,
        }
    }

    /// Takes over calls of an earlier life, before the first input. New calls are
    /// numbered from `next` on.
    pub fn restore(&mut self, now: Now, calls: Vec<fold::Call>, next: CallRef, out: &mut Outbox) {
        self.calls.restore(now, calls, next, out);
        self.registrar.tidy(now.mono, self.calls.rules());
        registrations::bound(now, &mut self.registrar, out);
        self.deliver(now, out);
    }

    /// Takes one input and says in `out` what follows from it. The driver then
    /// appends the records to the journal, sends the transmits, and clears
    /// `out`. Timers that are due run first, whatever the input is.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        if self
            .next_deadline()
            .is_some_and(|deadline| deadline <= now.mono)
        {
            self.tick(now, out);
        }
        match input {
            Input::Tick => {}
            Input::Message { flow, message } => route::message(self, now, (flow, &message), out),
            Input::SendFailed {
                origin: Origin::Register(client),
            } => registrations::step(now, out, |out| {
                self.registrations.send_failed(now, client, out);
            }),
            Input::SendFailed { origin } => self.calls.handle_send_failed(now, origin, out),
            Input::FlowClosed { flow } => {
                self.calls.handle_flow_closed(now, flow, out);
                registrations::step(now, out, |out| {
                    self.registrations.flow_closed(now, flow, out)
                });
            }
            Input::Unrecorded { origin } => self.calls.handle_unrecorded(now, origin, out),
            Input::Command(Command::Rules(rules)) => {
                let record = Record::RulesLoaded {
                    wall: now.wall,
                    hash: rules.hash(),
                    version: rules.version(),
                };
                out.journal(&record);
                self.registrations.swap_rules(now, &rules);
                // Before calls of who is known no more are hung up.
                self.registrar.tidy(now.mono, &rules);
                registrations::bound(now, &mut self.registrar, out);
                if let Some(probes) = &mut self.probes {
                    probes.obey(&rules, now.mono);
                }
                let old = self.calls.swap_rules(now, rules, out);
                out.retired.push(old);
            }
            Input::Command(Command::Reset(reset)) => noted::reset(now, &reset, out),
            Input::Command(Command::Confirmed(confirmed)) => noted::confirmed(now, &confirmed, out),
            Input::Command(Command::Note(note)) => noted::note(now, &note, out),
            Input::Command(Command::Lifted(lifted)) => noted::lifted(now, &lifted, out),
            Input::Command(Command::Drain) => self.calls.drain(),
            Input::Command(Command::Journal { trusted }) => self.calls.trust_journal(trusted),
            Input::Command(Command::Close) => self.calls.close_evidence(now, out),
            Input::Command(Command::HangUpAll) => self.calls.hang_up_all(now, out),
            Input::Command(Command::Block(switch)) => self.calls.block(now, switch, out),
        }
        self.deliver(now, out);
    }

    /// Hands on what goes from one call to another in this shard. What leads to others', and
    /// what is too much for one turn, is left to the driver.
    fn deliver(&mut self, now: Now, out: &mut Outbox) {
        let (id, shards) = self.of;
        let ours = |it: &Transmit| {
            let bucket = it.flow.leads_to();
            bucket.is_some_and(|bucket| bucket.shard(shards) == id)
        };
        for _ in 0..INSIDE_PER_TURN {
            let Some(at) = out.transmits.iter().position(ours) else {
                return;
            };
            let Transmit { flow, packet, .. } = out.transmits.remove(at);
            // What Tollgate writes can be read.
            if let Ok(message) = scan(Bytes::from_owner(packet)) {
                route::message(self, now, (flow.back(), &message), out);
            }
        }
    }

    /// Lets whatever is due come to pass.
    fn tick(&mut self, now: Now, out: &mut Outbox) {
        self.calls.tick(now, out);
        registrations::step(now, out, |out| self.registrations.tick(now, out));
        if self
            .registrar
            .next_deadline()
            .is_some_and(|it| it <= now.mono)
        {
            self.registrar.tidy(now.mono, self.calls.rules());
            registrations::bound(now, &mut self.registrar, out);
        }
        if let Some(probes) = &mut self.probes {
            let news = probes.tick(now.mono, &mut out.transmits);
            self.calls.tell_carriers(now, &news, out);
        }
    }

    /// When `handle` is to be called at the latest, with [`Input::Tick`] if
    /// there is nothing else. `None`: nothing waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let calls = self.calls.next_deadline();
        let registrations = self.registrations.next_deadline();
        let probes = self.probes.as_ref().and_then(Probes::next_deadline);
        let waiting = [calls, registrations, probes].into_iter().flatten();
        waiting.chain(self.registrar.next_deadline()).min()
    }

    /// How much is going on, apart from what is registered with carriers. All zero when
    /// nothing is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.calls.counts()
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        self.calls.rules()
    }
}

/// Which of `shards` owns a message with this Call-ID. Both legs of a call have
/// Call-IDs of one bucket, so a call never crosses shards.
#[must_use]
pub fn shard_of(buckets: &Buckets, shards: u16, call_id: &[u8]) -> u16 {
    buckets.bucket(call_id).shard(shards)
}
