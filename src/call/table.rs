//! What a shard's calls share: transactions, timers, tags, tokens and rules.

use std::sync::Arc;
use std::time::Duration;

use crate::base::flow::ListenerId;
use crate::base::spread::Spread;
use crate::base::time::Mono;
use crate::base::token::{Bucket, Buckets, Mint, Token, keyed128};
use crate::base::wheel::{TimerId, Wheel};
use crate::policy::{Registration, RuleSet};
use crate::record::{CallRef, Side};
use crate::transaction::{Table, Timers};

use super::call::{Alarm, Call, CallKey, Owner};
use super::counted::Named;

/// What a shard is built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number, from 0.
    pub id: u16,
    /// How many shards share the work, at least 1.
    pub shards: u16,
    /// Seeds everything minted or hashed here; unguessable, and another one for
    /// each shard and each start.
    pub key: u128,
    /// Which Call-ID belongs to which bucket: the same for all shards, and over
    /// restarts.
    pub bucket_key: u128,
    /// The transaction timers' base values.
    pub timers: Timers,
    /// The first rules.
    pub rules: Arc<RuleSet>,
}

/// How much a shard holds. All zero when nothing is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls, also those that are over and only wait for stray responses.
    pub calls: usize,
    /// Calls of which a leg is still to be closed.
    pub live: usize,
    /// Calls that nobody and nothing has ended yet, those in set-up included.
    pub up: usize,
    /// Of these, emergency calls.
    pub emergencies: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Timers of calls and transactions.
    pub timers: usize,
    /// Bytes that transactions keep of messages.
    pub bytes: usize,
    /// Dialogs that can be found by their tag, and set-ups by their origin.
    pub indexed: usize,
}

#[derive(Debug)]
pub(super) struct Tools {
    pub(super) transactions: Table<Owner>,
    pub(super) wheel: Wheel<(CallKey, Alarm)>,
    /// Our own tag in a dialog → the call and the leg it belongs to.
    tags: Spread<Token, (CallKey, Side)>,
    /// Where an INVITE came from (Call-ID and From tag) → its call: the same
    /// INVITE over a second path is a merged request (RFC 3261 §8.2.2.2).
    origins: Spread<u128, CallKey>,
    pub(super) mint: Mint,
    pub(super) buckets: Buckets,
    pub(super) rules: Arc<RuleSet>,
    pub(super) timers: Timers,
    pub(super) scratch: Vec<u8>,
    /// Our own addresses.
    pub(super) here: Here,
    /// Calls that are over, and only wait for stray responses.
    over: usize,
    up: usize,
    emergencies: usize,
    key: u128,
    pub(super) bucket_key: u128,
    next_call: u64,
    /// Which scopes the journal knows.
    pub(super) named: Named,
}

/// What each listener is called in Via and Contact: its address, as text.
/// Listeners stay as they are while the process lives.
#[derive(Debug)]
pub(super) struct Here(Box<[Arc<str>]>);

impl Here {
    fn of(rules: &RuleSet) -> Self {
        Self(
            rules
                .listeners()
                .iter()
                .map(|one| one.advertise.to_string().into())
                .collect(),
        )
    }

    pub(super) fn at(&self, listener: ListenerId) -> &str {
        self.0.get(usize::from(listener.0)).map_or("", |text| text)
    }

    /// The same, to keep.
    pub(super) fn text(&self, listener: ListenerId) -> Arc<str> {
        self.0
            .get(usize::from(listener.0))
            .map_or_else(|| "".into(), Arc::clone)
    }
}

impl Tools {
    pub(super) fn new(config: &Config, start: crate::base::time::Now) -> Self {
        let Config {
            key,
            bucket_key,
            timers,
            ..
        } = *config;
        let first = u64::try_from(start.wall.as_micros()).unwrap_or(0);
        Self {
            transactions: Table::new(keyed128(key, &[b"transactions"]), timers, start.mono),
            wheel: Wheel::new(start.mono),
            tags: Spread::default(),
            origins: Spread::default(),
            mint: Mint::new(keyed128(key, &[b"tokens"])),
            buckets: Buckets::new(bucket_key),
            rules: Arc::clone(&config.rules),
            timers,
            scratch: Vec::new(),
            here: Here::of(&config.rules),
            over: 0,
            up: 0,
            emergencies: 0,
            key,
            bucket_key,
            next_call: first,
            named: Named::default(),
        }
    }

    pub(super) fn counts(&self, calls: usize) -> Counts {
        let transactions = self.transactions.counts();
        Counts {
            calls,
            live: calls.saturating_sub(self.over),
            up: self.up,
            emergencies: self.emergencies,
            server_transactions: transactions.server,
            client_transactions: transactions.client,
            timers: transactions.timers + self.wheel.len(),
            bytes: transactions.bytes,
            indexed: self.tags.len() + self.origins.len(),
        }
    }

    /// A number for a new call: unique in this shard's journal, since it starts
    /// from the clock and no shard takes a million calls a second.
    pub(super) fn number_call(&mut self) -> CallRef {
        self.next_call += 1;
        CallRef(self.next_call)
    }

    /// Numbers new calls from here on, if they are not numbered higher already.
    pub(super) fn number_from(&mut self, next: CallRef) {
        self.next_call = self.next_call.max(next.0);
    }

    /// A Call-ID of ours in the bucket of the leg it belongs with, so that both
    /// legs' messages reach the same shard.
    pub(super) fn mint_call_id(&mut self, with: &[u8]) -> [u8; Buckets::AIMED_LEN] {
        let bucket: Bucket = self.buckets.bucket(with);
        self.buckets.aim(self.mint.token(), bucket)
    }

    /// The user part of the Contact that is registered with a carrier.
    pub(super) fn contact_user(&self, carrier: &str) -> [u8; Token::LEN] {
        Registration::contact_user(self.bucket_key, carrier)
    }

    pub(super) fn origin(&self, call_id: &[u8], from_tag: &[u8]) -> u128 {
        keyed128(self.key, &[call_id, from_tag])
    }

    /// A tag made from a message alone.
    pub(super) fn tag_of(&self, message: &[u8]) -> Token {
        Token::from_hash(keyed128(self.key, &[b"stateless", message]))
    }

    pub(super) fn by_origin(&self, origin: u128) -> Option<CallKey> {
        self.origins.get(&origin).copied()
    }

    pub(super) fn by_tag(&self, tag: &[u8]) -> Option<(CallKey, Side)> {
        self.tags.get(&Token::parse(tag)?).copied()
    }

    /// Makes a call's legs findable.
    pub(super) fn index(&mut self, key: CallKey, call: &Call) {
        self.tags.insert(call.caller.local_tag, (key, Side::Caller));
        self.tags.insert(call.callee.local_tag, (key, Side::Callee));
        self.origins.insert(call.origin, key);
    }

    /// Makes another tag of ours towards the caller findable.
    pub(super) fn index_fork(&mut self, key: CallKey, tag: Token) {
        self.index_leg(key, Side::Caller, tag);
    }

    /// Makes another leg on this side of a call findable by our tag.
    pub(super) fn index_leg(&mut self, key: CallKey, side: Side, tag: Token) {
        self.tags.insert(tag, (key, side));
    }

    pub(super) fn forget_tag(&mut self, tag: Token) {
        self.tags.remove(&tag);
    }

    pub(super) fn schedule(
        &mut self,
        key: CallKey,
        alarm: Alarm,
        now: Mono,
        after: Duration,
    ) -> TimerId {
        self.wheel.schedule(now + after, (key, alarm))
    }

    /// Notes whether a call is over, and whether it is up.
    pub(super) fn note(&mut self, call: &mut Call, over: bool, up: bool) {
        count(&mut self.over, call.over, over);
        count(&mut self.up, call.up, up);
        if call.emergency {
            count(&mut self.emergencies, call.up, up);
        }
        (call.over, call.up) = (over, up);
    }

    /// Takes back all that a finished call has here.
    pub(super) fn forget(&mut self, key: CallKey, call: &mut Call) {
        self.note(call, false, false);
        for tag in [call.caller.local_tag, call.callee.local_tag] {
            self.tags.remove(&tag);
        }
        for fork in &call.forks {
            self.tags.remove(&fork.local_tag);
        }
        if let Some(leg) = call.elsewhere.as_ref().and_then(|it| it.leg()) {
            self.tags.remove(&leg.local_tag);
        }
        if self.by_origin(call.origin) == Some(key) {
            self.origins.remove(&call.origin);
        }
        for timer in call.timers() {
            self.wheel.cancel(timer);
        }
    }
}

/// Counts something that was so, or was not, as it is now.
const fn count(all: &mut usize, was: bool, is: bool) {
    match (was, is) {
        (false, true) => *all += 1,
        (true, false) => *all = all.saturating_sub(1),
        _ => {}
    }
}
