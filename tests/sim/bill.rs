//! The carriers' own bill: kept by what reaches them and what they say, by their
//! own clocks, of which the core knows nothing.
//!
//! A carrier bills each answer from its 200 on, until it says BYE, hears one, or
//! its session timer runs out. One without a session timer, that hears no BYE
//! however often it is sent, would bill for ever; it stops where the core does.

use crate::dial::Group;
use crate::link::{Nanos, SEC};
use crate::peer::{Map, T64};
use crate::prices::{Price, Prices};
use crate::rng::Rng;
use crate::wire::{Method, Wire, hash};

mod inbound;
mod lines;

/// How a carrier bills.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// By how much its clock is ahead, in nanoseconds.
    ahead: i64,
    /// Each pulse has the rate of its own begin; else the call's decides.
    by_pulse: bool,
    /// A call belongs to the day on which it ends; else it begins.
    by_end: bool,
}

/// An INVITE that reached a carrier.
#[derive(Debug)]
struct Attempt {
    branch: u64,
    at: Nanos,
    end: Option<Nanos>,
}

/// An answer of a carrier's.
#[derive(Debug)]
struct Answer {
    tag: u64,
    invited: Nanos,
    from: Nanos,
    /// A BYE was said or heard.
    bye: Option<Nanos>,
    /// When the session timer runs out.
    expires: Option<Nanos>,
    /// The core's first BYE to it.
    hung_up: Option<Nanos>,
    /// Its ACK came. Without one the carrier ends it (RFC 3261 §13.3.1.4).
    acked: bool,
}

impl Answer {
    fn refresh(&mut self, now: Nanos, seconds: u32) {
        // What has run out is not refreshed any more.
        if self.expires.is_none_or(|at| now < at) {
            self.expires = expiry(now, seconds);
        }
    }

    /// When it is over, if it is.
    fn end(&self) -> Option<Nanos> {
        let given_up = self
            .hung_up
            .map(|at| at + T64)
            .filter(|_| self.expires.is_none());
        let unacked = (!self.acked).then_some(self.from + T64);
        [self.bye, self.expires, given_up, unacked]
            .into_iter()
            .flatten()
            .min()
    }
}

/// When a session timer runs out. One for ages is as good as none.
fn expiry(now: Nanos, seconds: u32) -> Option<Nanos> {
    (seconds <= 1_800).then_some(now + u64::from(seconds) * SEC)
}

/// A call at a carrier.
#[derive(Debug)]
struct Call {
    plan: u32,
    tenant: u8,
    carrier: u8,
    group: Group,
    core_tag: u64,
    sent: Nanos,
    attempts: Vec<Attempt>,
    answers: Vec<Answer>,
    /// What it began with, where the carrier called.
    came: Option<inbound::Came>,
    /// What the core says that it has cost, and when it said so.
    booked: Option<(u64, Nanos)>,
    /// When it said so first: the call was over.
    ended: Option<Nanos>,
    /// It was, when the core died, and goes on to hold what it held.
    held: bool,
    /// The most that was booked of it besides, since the core died when it had ended.
    lost: u64,
    /// How often the core died before it had.
    crashes: u64,
    /// A send of the core's failed.
    excused: bool,
}

/// The bill of all carriers.
pub struct Bill {
    calls: Map<u64, Call>,
    /// Call-IDs of the calls, by the number in a shard's journal.
    numbers: Map<(u8, u64), u64>,
    /// Of calls of carriers, by Call-ID and CSeq of the INVITE, and by the core's tag.
    opened: Map<(u64, u32), u64>,
    tags: Map<u64, u64>,
    prices: Prices,
    /// The dearest of all tariffs that the core is given.
    dearest: Prices,
    habits: Vec<Habits>,
    /// The core may have forgotten calls.
    pub forgetful: bool,
    /// Civil time in Tokyo at time zero, in nanoseconds.
    wall: i64,
}

/// So long after its end the core still holds money for a call.
const LATELY: Nanos = 80 * SEC;

/// So long after its end a call is still known after a restart.
const CLOSING: Nanos = 32 * SEC;

const HOUR: i64 = 3_600_000_000_000;

impl Bill {
    /// Nothing was called yet.
    pub fn new(
        rng: &mut Rng,
        carriers: u64,
        wall_micros: i64,
        prices: Prices,
        dearest: Prices,
    ) -> Self {
        let mut habits = || Habits {
            ahead: rng.below(2 * SEC) as i64 - SEC as i64,
            by_pulse: rng.permille(500),
            by_end: rng.permille(500),
        };
        Self {
            habits: (0..carriers).map(|_| habits()).collect(),
            forgetful: false,
            calls: Map::default(),
            numbers: Map::default(),
            opened: Map::default(),
            tags: Map::default(),
            prices,
            dearest,
            wall: wall_micros * 1_000 + 9 * HOUR,
        }
    }

    fn call(&mut self, wire: &Wire) -> Option<&mut Call> {
        self.calls.get_mut(&hash(wire.at(wire.call_id)))
    }

    /// The core sends an INVITE to a carrier: a call of `plan`.
    pub fn invited(
        &mut self,
        now: Nanos,
        (plan, tenant, carrier): (u32, u8, u8),
        group: Group,
        wire: &Wire,
    ) {
        let key = hash(wire.at(wire.call_id));
        self.calls.entry(key).or_insert_with(|| Call {
            plan,
            tenant,
            carrier,
            group,
            core_tag: hash(wire.at(wire.from_tag)),
            sent: now,
            attempts: Vec::new(),
            answers: Vec::new(),
            came: None,
            booked: None,
            ended: None,
            held: false,
            lost: 0,
            crashes: 0,
            excused: false,
        });
    }

    /// The core sends something to a carrier; it may get lost.
    pub fn sent(&mut self, now: Nanos, wire: &Wire) {
        self.sent_back(now, wire);
        let to = hash(wire.at(wire.to_tag));
        if wire.is_request()
            && let Some(call) = self.call(wire)
        {
            call.sent = now;
            let answer = call.answers.iter_mut().find(|it| it.tag == to);
            if let (Method::Bye, Some(answer)) = (wire.method, answer) {
                answer.hung_up.get_or_insert(now);
            }
        }
    }

    /// A send of the core's failed.
    pub fn failed(&mut self, wire: &Wire) {
        self.failed_back(wire);
        if let Some(call) = self.call(wire) {
            call.excused = true;
        }
    }

    /// The core is dead. What calls hold that have ended lately they go on to hold, and
    /// what others do that nobody remembers is booked.
    pub fn crash(&mut self, now: Nanos) {
        let mut calls = std::mem::take(&mut self.calls);
        for call in calls.values_mut() {
            call.held = call.ended.is_some_and(|at| now <= at + CLOSING);
            match call.booked {
                None => call.crashes += 1,
                Some(_) if call.held => call.crashes += 1,
                Some(_) if !Self::is_over(call, now) => call.lost = self.most(call, now),
                Some(_) => {}
            }
        }
        self.calls = calls;
    }

    /// The core lives again.
    pub fn restarted(&mut self, now: Nanos) {
        for call in self.calls.values_mut().filter(|call| call.held) {
            if let Some((_, at)) = &mut call.booked {
                *at = now.max(*at);
            }
        }
    }

    /// A packet of the core's reaches a carrier, which is there or `silent`.
    pub fn reached(&mut self, now: Nanos, wire: &Wire, silent: bool) {
        self.reached_back(now, wire, silent);
        let (to, branch) = (hash(wire.at(wire.to_tag)), hash(wire.at(wire.branch)));
        let Some(call) = self.call(wire) else { return };
        if wire.is_request() && wire.method == Method::Invite && wire.to_tag.is_empty() {
            if call.attempts.iter().all(|it| it.branch != branch) {
                call.attempts.push(Attempt {
                    branch,
                    at: now,
                    end: None,
                });
            }
            return;
        }
        let from = hash(wire.at(wire.from_tag));
        let tag = if wire.is_request() { to } else { from };
        let answer = call.answers.iter_mut().find(|it| it.tag == tag);
        let Some(answer) = answer.filter(|_| !silent) else {
            return;
        };
        match wire.method {
            Method::Bye if wire.is_request() => {
                answer.bye.get_or_insert(now);
            }
            // Later, the carrier has given it up.
            Method::Ack => answer.acked |= now < answer.from + T64,
            _ => {}
        }
        let accepted = (200..300).contains(&wire.code);
        if let (true, Some((seconds, _))) = (accepted, wire.session) {
            answer.refresh(now, seconds);
        }
    }

    /// A carrier sends something; it may get lost.
    pub fn said(&mut self, now: Nanos, wire: &Wire) {
        self.said_back(now, wire);
        let (from, to) = (hash(wire.at(wire.from_tag)), hash(wire.at(wire.to_tag)));
        let branch = hash(wire.at(wire.branch));
        let Some(call) = self.call(wire) else { return };
        if wire.is_request() {
            let answer = call.answers.iter_mut().find(|it| it.tag == from);
            if let (Method::Bye, Some(answer), true) = (wire.method, answer, to == call.core_tag) {
                answer.bye.get_or_insert(now);
            }
            return;
        }
        if !wire.is_final() || from != call.core_tag {
            return;
        }
        let invite = wire.method == Method::Invite;
        let attempt = call
            .attempts
            .iter_mut()
            .find(|it| invite && it.branch == branch);
        let known = call.answers.iter_mut().find(|it| it.tag == to);
        let accepted = wire.code < 300;
        match (attempt, known) {
            (Some(attempt), _) if !accepted => {
                attempt.end.get_or_insert(now);
            }
            (Some(attempt), None) => {
                let invited = attempt.at;
                attempt.end.get_or_insert(now);
                call.answers.push(Answer {
                    tag: to,
                    invited,
                    from: now,
                    bye: None,
                    expires: wire.session.and_then(|(seconds, _)| expiry(now, seconds)),
                    hung_up: None,
                    acked: false,
                });
            }
            // A 200 that is only repeated refreshes nothing.
            (None, Some(answer)) => {
                if let (true, Some((seconds, _))) = (accepted, wire.session) {
                    answer.refresh(now, seconds);
                }
            }
            _ => {}
        }
    }

    /// The journal says which call a Call-ID of the core's is.
    pub fn number(&mut self, shard: u8, call: u64, call_id: &[u8]) {
        self.numbers.insert((shard, call), hash(call_id));
    }

    /// Which plan's call it is.
    pub fn plan_of(&self, shard: u8, call: u64) -> Option<u32> {
        let key = self.numbers.get(&(shard, call))?;
        Some(self.calls.get(key)?.plan)
    }

    /// The journal says what a call has cost.
    pub fn booked(&mut self, now: Nanos, shard: u8, call: u64, cost: u64) {
        let key = self.numbers.get(&(shard, call));
        if let Some(call) = key.and_then(|key| self.calls.get_mut(key)) {
            call.booked = Some((cost, now));
            call.ended.get_or_insert(now);
        }
    }

    fn price<'p>(prices: &'p Prices, call: &Call) -> &'p Price {
        prices.of(call.group).expect("only priced groups leave")
    }

    /// Whether the core holds nothing of a call any more. Who answers after the end, and
    /// not the BYE to that, may bill on and on: the core repeats it for half an hour at the
    /// most, and 64*T1 longer than the session lasts; the last one is given up 64*T1 later.
    fn is_over(call: &Call, now: Nanos) -> bool {
        let late = |it: &Answer| {
            let lasts = it.expires.unwrap_or(it.from + 1_800 * SEC);
            now <= lasts + 2 * T64
        };
        call.booked.is_some_and(|(_, at)| {
            // The core may hear of one later than its carrier gave it.
            let heard = |it: &Answer| it.from.max(it.hung_up.unwrap_or(0));
            let mut came_after = call.answers.iter().filter(|it| heard(it) >= at);
            now > at + LATELY && !came_after.any(late)
        })
    }

    /// More than the core may have booked or reserved for a call.
    fn most(&self, call: &Call, now: Nanos) -> u64 {
        let price = Self::price(&self.dearest, call);
        let attempts = call.attempts.len() as u64 + 1;
        let over = call.booked.filter(|_| Self::is_over(call, now));
        let Some((booked, _)) = over else {
            // A lease's time, the longest interval, and another answer's.
            let began = call.attempts.first().map_or(now, |it| it.at);
            let seconds = (now - began) / SEC + 60 + 64 + 400 + 120;
            return price.dearest(seconds) * (2 + call.answers.len() as u64)
                + attempts * price.dearest(0);
        };
        booked + call.lost
    }

    /// What may be held or booked of a tenant's budget, at the most.
    pub fn most_of(&self, tenant: u8, abroad: bool, now: Nanos) -> u64 {
        let calls = self.calls.values().filter(|call| call.tenant == tenant);
        let calls = calls.filter(|call| !abroad || call.group.is_international());
        calls.map(|call| self.most(call, now)).sum()
    }

    /// The most that a new call may ask to hold, at the least it can ask for.
    pub fn least_ask(&self, group: Group) -> u64 {
        let price = self.dearest.of(group);
        price.map_or(0, |price| {
            // Another answer may come at the end of the longest ring.
            let ring = if price.from_invite { 60 + 64 } else { 0 };
            price.dearest(32 + 10 + 32 + 90 + 4) + price.dearest(ring + 32 + 32 + 90 + 4)
        })
    }

    /// What was billed to a tenant, by day: all, and abroad.
    pub fn days(&self, tenant: u8, now: Nanos) -> (Map<i64, u64>, Map<i64, u64>) {
        let (mut all, mut abroad) = (Map::default(), Map::default());
        for call in self.calls.values().filter(|call| call.tenant == tenant) {
            for (day, sum) in self.lines(call, now) {
                *all.entry(day).or_default() += sum;
                if call.group.is_international() {
                    *abroad.entry(day).or_default() += sum;
                }
            }
        }
        (all, abroad)
    }

    /// How many calls were answered, and the core never knew.
    pub fn unheard(&self) -> usize {
        let unknown = |it: &Answer| !it.acked && it.hung_up.is_none();
        let calls = self.calls.values().filter(|call| !call.answers.is_empty());
        calls
            .filter(|call| call.answers.iter().all(unknown))
            .count()
    }

    /// Whether each call was booked with what it was billed, and not absurdly
    /// more; the call that was not.
    pub fn unfair(&self, now: Nanos) -> Option<(u32, String)> {
        let mut keys: Vec<_> = self.calls.keys().collect();
        keys.sort_unstable();
        keys.into_iter().find_map(|key| {
            let call = &self.calls[key];
            let billed: u64 = self.lines(call, now).iter().map(|(_, sum)| sum).sum();
            let Some((booked, at)) = call.booked else {
                return Some((call.plan, "never booked".into()));
            };
            // What was lost sight of is booked whole, and said of no call.
            if booked + call.lost < billed {
                return Some((
                    call.plan,
                    format!("booked with {booked}, billed {billed}: {call:?}"),
                ));
            }
            let price = Self::price(&self.dearest, call);
            let answers = call.answers.iter().map(|answer| {
                let from = if price.from_invite {
                    answer.invited
                } else {
                    answer.from
                };
                price.dearest(at.saturating_sub(from) / SEC + 32 + 6)
            });
            let attempts = (call.attempts.len() as u64 + 1)
                * price.dearest(match price.from_invite {
                    true => 200,
                    false => 0,
                });
            // Nobody knows whether a carrier answered that was never heard again.
            let unheard = price.dearest(if price.from_invite { 250 } else { 40 });
            // Nor whether one did while nobody was there.
            let most = answers.sum::<u64>() + attempts + unheard * (1 + call.crashes);
            (booked > most && !call.excused).then(|| {
                (
                    call.plan,
                    format!("booked with {booked}, at most {most} is fair: {call:?}"),
                )
            })
        })
    }
}
