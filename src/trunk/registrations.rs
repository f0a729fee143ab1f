//! The registrations of a shard: what is sent when, and what is known of it.

mod answers;

use std::sync::Arc;
use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Mono, Now};
use crate::base::token::{Buckets, Mint, Token, keyed128};
use crate::base::wheel::Wheel;
use crate::policy::{
    Answered, Carrier, CarrierId, Gateway, Peer, Registration, RegistrationState, RuleSet,
};
use crate::sip::draft::Packet;
use crate::sip::fields::Essentials;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::transaction::{ClientKey, Expired, Matched, Origin, Table, Timers, Transmit};

use super::own::{Own, pause};

/// What they are built from.
pub(crate) struct Seed {
    /// The shard's number, and how many there are.
    pub(crate) shard: (u16, u16),
    /// Unguessable, and another one for each shard and each start.
    pub(crate) key: u128,
    /// Which Call-ID belongs to which bucket.
    pub(crate) bucket_key: u128,
    pub(crate) timers: Timers,
    pub(crate) rules: Arc<RuleSet>,
}

/// What a step leaves.
pub(crate) struct Output<'a> {
    pub(crate) transmits: &'a mut Vec<Transmit>,
    pub(crate) said: &'a mut Vec<Said>,
}

/// What has become of a carrier's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The carrier's name.
    pub(crate) carrier: Arc<str>,
    /// Why the carrier brings no calls; none if it does.
    pub(crate) lost: Option<String>,
    /// It was otherwise before, in this life.
    pub(crate) changed: bool,
}

type OwnKey = Key<Own>;

#[derive(Clone, Copy, Debug)]
enum Alarm {
    Register,
    End,
}

/// The registrations that one shard keeps up.
#[derive(Debug)]
pub(crate) struct Registrations {
    owns: Slab<Own>,
    table: Table<OwnKey>,
    wheel: Wheel<(OwnKey, Alarm)>,
    mint: Mint,
    buckets: Buckets,
    bucket_key: u128,
    shard: (u16, u16),
    rules: Arc<RuleSet>,
    scratch: Vec<u8>,
    sent: Vec<Transmit>,
    expired: Vec<Expired<OwnKey>>,
}

impl Registrations {
    /// All that this shard has to keep up; the first REGISTERs are due within a second.
    pub(crate) fn new(seed: Seed, now: Now) -> Self {
        let part = |name: &[u8]| keyed128(seed.key, &[b"registrations", name]);
        let mut registrations = Self {
            owns: Slab::new(usize::from(u16::MAX)),
            table: Table::new(part(b"transactions"), seed.timers, now.mono),
            wheel: Wheel::new(now.mono),
            mint: Mint::new(part(b"tokens")),
            buckets: Buckets::new(seed.bucket_key),
            bucket_key: seed.bucket_key,
            shard: seed.shard,
            rules: seed.rules,
            scratch: Vec::new(),
            sent: Vec::new(),
            expired: Vec::new(),
        };
        registrations.follow_rules(now);
        registrations
    }

    /// Takes other rules: what is in them no more, or has changed, is not kept up any
    /// longer, and ends by itself.
    pub(crate) fn swap_rules(&mut self, now: Now, rules: &Arc<RuleSet>) {
        self.rules = Arc::clone(rules);
        self.follow_rules(now);
    }

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let timers = self.wheel.next_deadline();
        timers.into_iter().chain(self.table.next_deadline()).min()
    }

    fn follow_rules(&mut self, now: Now) {
        let rules = Arc::clone(&self.rules);
        let mut gone: Vec<OwnKey> = self.owns.iter().map(|(key, _)| key).collect();
        for (id, carrier) in (0..).map(CarrierId).zip(rules.carriers()) {
            let account = carrier.registration.as_ref();
            let Some(account) = account.filter(|it| it.registers) else {
                continue;
            };
            let bucket = self.buckets.bucket(carrier.name.as_bytes());
            if bucket.shard(self.shard.1) != self.shard.0 {
                continue;
            }
            if let Some(key) = self.known(carrier) {
                gone.retain(|it| *it != key);
                if let Some(own) = self.owns.get_mut(key) {
                    own.id = id;
                }
                continue;
            }
            // Where its name leads is not known yet.
            let Some(gateway) = carrier.gateways.first() else {
                continue;
            };
            let own = Own {
                id,
                name: Arc::clone(&carrier.name),
                account: account.clone(),
                flow: gateway.flow(),
                here: here(&rules, gateway),
                user: Registration::contact_user(self.bucket_key, &carrier.name),
                instance: Registration::instance(self.bucket_key, &carrier.name),
                call_id: self.buckets.aim(self.mint.token(), bucket),
                tag: self.mint.token(),
                cseq: 0,
                asks_s: account.expires_s,
                answered: Answered::default(),
                failures: 0,
                why: String::new(),
                client: None,
                next: None,
                end: None,
            };
            if let Ok(key) = self.owns.insert(own) {
                let wait = u64::try_from(self.chance() % 1_000).unwrap_or(0);
                let wait = Duration::from_millis(wait);
                self.schedule(key, Alarm::Register, now, wait);
            }
        }
        for key in gone {
            self.drop_own(key);
        }
    }

    /// The registration with this carrier, if it is kept up already.
    fn known(&self, carrier: &Carrier) -> Option<OwnKey> {
        let mut owns = self.owns.iter();
        let here = |gateway: &Gateway| here(&self.rules, gateway);
        let (key, _) = owns.find(|(_, own)| own.is_of(carrier, here))?;
        Some(key)
    }

    fn drop_own(&mut self, key: OwnKey) {
        if let Some(own) = self.owns.remove(key) {
            for timer in [own.next, own.end].into_iter().flatten() {
                self.wheel.cancel(timer);
            }
        }
    }

    /// Has an alarm of a registration's run to a new time.
    fn schedule(&mut self, key: OwnKey, alarm: Alarm, now: Now, wait: Duration) {
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        let timer = match alarm {
            Alarm::Register => &mut own.next,
            Alarm::End => &mut own.end,
        };
        if let Some(old) = timer.take() {
            self.wheel.cancel(old);
        }
        *timer = Some(self.wheel.schedule(now.mono + wait, (key, alarm)));
    }

    fn chance(&mut self) -> u128 {
        self.mint.token().bits()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Output<'_>) {
        let mut expired = std::mem::take(&mut self.expired);
        self.table.tick(now.mono, &mut self.sent, &mut expired);
        self.settle(now, expired, out);
        while let Some((key, alarm)) = self.wheel.pop_expired(now.mono) {
            match alarm {
                Alarm::Register => self.begin(key, now, out),
                Alarm::End => self.ended(key, out),
            }
        }
        self.flush(out);
    }

    /// A REGISTER could not be sent.
    pub(crate) fn send_failed(&mut self, now: Now, client: ClientKey, out: &mut Output<'_>) {
        let mut expired = std::mem::take(&mut self.expired);
        self.table
            .send_failed(now.mono, Origin::Client(client), &mut expired);
        self.settle(now, expired, out);
        self.flush(out);
    }

    /// A connection has closed. Calls of the carrier would come over it: what is
    /// registered is registered anew, over another.
    pub(crate) fn flow_closed(&mut self, now: Now, flow: Flow, out: &mut Output<'_>) {
        let mut expired = std::mem::take(&mut self.expired);
        self.table
            .flow_closed(now.mono, flow, &mut self.sent, &mut expired);
        self.settle(now, expired, out);
        let over = |own: &Own| {
            let way = |flow: Flow| (flow.listener, flow.transport, flow.remote);
            own.client.is_none() && own.failures == 0 && way(own.flow) == way(flow)
        };
        let owns = self.owns.iter().filter(|(_, own)| over(own));
        let owns: Vec<OwnKey> = owns.map(|(key, _)| key).collect();
        for key in owns {
            let wait = pause(1, self.chance());
            self.schedule(key, Alarm::Register, now, wait);
        }
        self.flush(out);
    }

    fn settle(&mut self, now: Now, mut expired: Vec<Expired<OwnKey>>, out: &mut Output<'_>) {
        for event in expired.drain(..) {
            let (key, client, why) = match event {
                Expired::ClientTimeout { owner, key, .. } => (owner, key, "the carrier is silent"),
                Expired::ClientFailed { owner, key, .. } => {
                    (owner, key, "the carrier cannot be reached")
                }
                Expired::ClientCut { owner, key, .. } => {
                    (owner, key, "the carrier has closed the connection")
                }
                _ => continue,
            };
            if self
                .owns
                .get(key)
                .is_some_and(|it| it.client == Some(client))
            {
                self.failed(key, now, why.to_owned(), Duration::ZERO, out);
            }
        }
        self.expired = expired;
    }

    /// Sends a REGISTER, unless one is under way.
    fn begin(&mut self, key: OwnKey, now: Now, out: &mut Output<'_>) {
        let branch = self.mint.token();
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        own.next = None;
        own.answered.taken();
        if own.client.is_none() {
            let packet = own.register(&mut self.scratch, branch);
            self.send(key, now, (branch, packet), out);
        }
    }

    fn send(
        &mut self,
        key: OwnKey,
        now: Now,
        (branch, packet): (Token, Packet),
        out: &mut Output<'_>,
    ) {
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        own.client = self.table.request(
            now.mono,
            own.flow,
            Method::Register,
            branch,
            packet,
            key,
            &mut self.sent,
        );
        if own.client.is_none() {
            let why = "there is no room for a REGISTER".to_owned();
            self.failed(key, now, why, Duration::ZERO, out);
        }
    }

    /// What was granted is over.
    fn ended(&mut self, key: OwnKey, out: &mut Output<'_>) {
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        own.end = None;
        let why = match own.why.is_empty() {
            true => "it was not renewed in time".to_owned(),
            false => own.why.clone(),
        };
        lost(own, why, out);
    }

    /// A round has failed.
    fn failed(
        &mut self,
        key: OwnKey,
        now: Now,
        why: String,
        at_least: Duration,
        out: &mut Output<'_>,
    ) {
        let chance = self.chance();
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        own.client = None;
        // The next one may fare better (RFC 3263 §4.3).
        let carrier = self.rules.carrier(own.id);
        let gateways = carrier.map_or(&[][..], |it| &it.gateways);
        let now_at = gateways.iter().position(|it| it.flow() == own.flow);
        let next = gateways.iter().cycle().nth(now_at.map_or(0, |at| at + 1));
        if let Some(gateway) = next {
            (own.flow, own.here) = (gateway.flow(), here(&self.rules, gateway));
        }
        own.failures = own.failures.saturating_add(1);
        own.why.clone_from(&why);
        let wait = pause(own.failures, chance).max(at_least);
        if !matches!(own.account.standing.state(), RegistrationState::Good { .. }) {
            lost(own, why, out);
        }
        self.schedule(key, Alarm::Register, now, wait);
    }

    /// A response to a REGISTER of ours, perhaps.
    pub(crate) fn handle_response(
        &mut self,
        now: Now,
        flow: Flow,
        (message, essentials): (&Message, &Essentials<'_>),
        out: &mut Output<'_>,
    ) {
        let request = self.table.request_of(essentials);
        let matched = self
            .table
            .receive_response(now.mono, message, essentials, &mut self.sent);
        if let Matched::Pass(reply) = matched
            && let Some(own) = self.owns.get(reply.owner)
            && own.client == Some(reply.key)
        {
            let its = self.rules.peer_of(flow) == Some(Peer::Carrier(own.id));
            match message.status() {
                None | Some(..200) => {}
                Some(_) if !its => {
                    let why = "somebody else answered for the carrier".to_owned();
                    self.failed(reply.owner, now, why, Duration::ZERO, out);
                }
                Some(code) => self.answered(reply.owner, now, (code, request), message, out),
            }
        }
        self.flush(out);
    }

    /// Puts out what the transactions sent: so that they are not taken for a call's.
    fn flush(&mut self, out: &mut Output<'_>) {
        out.transmits.extend(self.sent.drain(..).map(|transmit| {
            let origin = match transmit.origin {
                Origin::Client(key) => Origin::Register(key),
                other => other,
            };
            Transmit { origin, ..transmit }
        }));
    }
}

/// Our address on the way to a gateway, as text.
fn here(rules: &RuleSet, gateway: &Gateway) -> String {
    let listener = rules.listeners().get(usize::from(gateway.listener.0));
    listener.map_or_else(String::new, |it| it.advertise.to_string())
}

/// Notes that the carrier brings no calls, once.
fn lost(own: &Own, why: String, out: &mut Output<'_>) {
    let lost = RegistrationState::Lost { why: why.clone() };
    let before = own.account.standing.set(lost);
    if !matches!(before, RegistrationState::Lost { .. }) {
        out.said.push(Said {
            carrier: Arc::clone(&own.name),
            lost: Some(why),
            changed: true,
        });
    }
}
