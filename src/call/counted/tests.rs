//! A life that is taken up again from its journal answers every question as one
//! that never ended.

mod rules;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::tally::Tallies;
use crate::base::time::{Mono, Now, Wall};
use crate::policy::{
    Counters, Course, Facts, Inbound, InboundFacts, Money, Quantity, RuleSet, TenantId, Verdict,
};
use crate::record::{Party, fold, frame};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;
use rules::{set, state};

const CALLED: [&str; 6] = [
    "sip:0355551234@gw",
    "sip:+442081234567@gw",
    "sip:+442081234568@gw",
    "sip:+12125551234@gw",
    "sip:+12125551235@gw",
    "sip:+12125551236@gw",
];

const CALLERS: [&str; 2] = ["<sip:0335570012@pbx>;tag=1", "<sip:0335570013@pbx>;tag=1"];

const SHARDS: usize = 2;

fn at(nanos: u64) -> Now {
    // Saturday the 28th of February 2026 at noon in Tokyo: the month ends soon.
    let start = Now {
        mono: Mono::from_nanos(90_000_000_000_000),
        wall: Wall::from_micros(1_772_247_600_000_000),
    };
    start + Duration::from_nanos(nanos)
}

/// One shard's way into the journal, and what its records come to.
#[derive(Default)]
struct Pen {
    named: Named,
    out: Outbox,
    fold: fold::Counters,
}

impl Pen {
    /// Reads back what was written.
    fn fold(&mut self) {
        let mut rest = self.out.records.bytes();
        while let Some((record, after)) = frame::next(rest).unwrap() {
            self.fold.apply(&record);
            rest = after;
        }
        self.out.clear();
    }

    fn started(&mut self, now: Now, boot: &str) {
        self.named = Named::default();
        self.out.journal(&Record::Started {
            wall: now.wall,
            shard: 0,
            shards: 1,
            program: "",
            boot,
        });
        self.fold();
    }
}

struct Call {
    reference: CallRef,
    shard: usize,
    hold: Hold,
    course: Course,
    over: bool,
}

/// One life, or several in a row.
struct World {
    counters: Counters,
    rules: RuleSet,
    newer: bool,
    pens: Vec<Pen>,
    calls: Vec<Call>,
    next: u64,
    boot: &'static str,
}

impl World {
    fn new() -> Self {
        let counters = Counters::new();
        let rules = set(&counters, false);
        let mut pens: Vec<Pen> = (0..SHARDS).map(|_| Pen::default()).collect();
        pens.iter_mut().for_each(|pen| pen.started(at(0), "a"));
        Self {
            counters,
            rules,
            newer: false,
            pens,
            calls: Vec::new(),
            next: 0,
            boot: "a",
        }
    }

    fn reload(&mut self) {
        self.newer = !self.newer;
        self.rules = set(&self.counters, self.newer);
    }

    fn judge(&mut self, shard: usize, called: usize, caller: usize, now: Now) -> String {
        let facts = Facts {
            tenant: TenantId(0),
            request_uri: Uri::parse(CALLED[called].as_bytes()).unwrap(),
            source: [127, 0, 0, 3].into(),
            pai: None,
            ppi: None,
            from: NameAddr::parse(CALLERS[caller].as_bytes()).unwrap(),
            forwarded_by: &[],
            privacy: false,
        };
        let allowed = match self.rules.judge(&facts, now) {
            Verdict::Refuse(it) => return format!("{} {} {}", it.reason, it.value, it.threshold),
            Verdict::Allow(allowed) | Verdict::Emergency(allowed) => allowed,
        };
        let observed = allowed.observed.map(|it| (it.reason, it.value));
        let said = format!("allow {:?} {observed:?}", allowed.lease);
        let interval = allowed.lease.map_or(Duration::ZERO, |it| it.interval);
        let (reference, counted) = (self.number(), allowed.counted.unwrap());
        let pen = &mut self.pens[shard];
        let (named, out) = (&mut pen.named, &mut pen.out);
        named.journal_counted(reference, &allowed.hold, &counted, out);
        named.journal_held(reference, &allowed.hold, Billing::default, out);
        pen.fold();
        self.calls.push(Call {
            reference,
            shard,
            hold: allowed.hold,
            course: Course::new(now, allowed.longest_ring, interval),
            over: false,
        });
        said
    }

    fn inbound(&mut self, shard: usize, now: Now) -> String {
        let facts = InboundFacts {
            request_uri: Uri::parse(b"sip:0335570012@gw").unwrap(),
            pai: None,
            from: NameAddr::parse(CALLERS[0].as_bytes()).unwrap(),
        };
        let call = match self.rules.judge_inbound(&facts, now) {
            Inbound::Refuse(it, _) => return it.reason.to_string(),
            Inbound::Deliver(call) => call,
        };
        let reference = self.number();
        let pen = &mut self.pens[shard];
        pen.named
            .journal_counted(reference, &call.hold, &call.counted, &mut pen.out);
        pen.fold();
        self.calls.push(Call {
            reference,
            shard,
            hold: call.hold,
            course: Course::new(now, Duration::ZERO, Duration::ZERO),
            over: false,
        });
        "inbound".to_owned()
    }

    fn number(&mut self) -> CallRef {
        self.next += 1;
        CallRef(self.next)
    }

    fn answer(&mut self, at: usize, now: Now) {
        let call = &mut self.calls[at];
        let interval = call.course.interval();
        call.course.answered(Course::OWN, now, Some(interval));
    }

    fn renew(&mut self, at: usize, now: Now) -> String {
        let call = &mut self.calls[at];
        let renewed = self.rules.renew(&call.hold, &call.course, now);
        let pen = &mut self.pens[call.shard];
        pen.named
            .journal_held(call.reference, &call.hold, Billing::default, &mut pen.out);
        pen.fold();
        // The place of a rule differs with the order of compiling, not its text.
        format!("{renewed:?}")
    }

    /// A call is over for its carrier. It may still be answered if it `lingers`.
    fn end(&mut self, at: usize, lingers: bool, now: Now) -> String {
        let call = &mut self.calls[at];
        call.course.ended(Course::OWN, now.mono);
        if !lingers {
            call.course.close();
        }
        call.hold.leave(now, None);
        call.over = true;
        let settled = self
            .rules
            .settle(&call.hold, &call.course, Money::ZERO, now);
        let pen = &mut self.pens[call.shard];
        if let Some(statement) = &settled.statement {
            pen.named
                .journal_account(call.reference, &call.hold, statement, b"", &mut pen.out);
        }
        pen.out.journal(&Record::Ended {
            call: call.reference,
            wall: now.wall,
            answered: true,
            duration_ms: 0,
            by: Party::Caller,
            cause: "",
            status: 200,
            cost: 0,
            currency: "",
        });
        pen.fold();
        if !settled.holds {
            self.calls.remove(at).hold.release(now);
        }
        format!("{:?} {}", settled.cost, settled.holds)
    }

    /// The counters are reset, which one shard writes down.
    fn reset(&mut self, shard: usize, now: Now) {
        let Some(resets) = self.counters.reset("acme") else {
            return;
        };
        let pen = &mut self.pens[shard];
        pen.out.journal(&Record::Reset {
            wall: now.wall,
            tenant: "acme",
            resets,
            by: "",
            why: "",
        });
        pen.fold();
    }

    /// What lingers is over.
    fn close(&mut self, now: Now) {
        for at in (0..self.calls.len()).rev() {
            if self.calls[at].over {
                let call = self.calls.remove(at);
                let pen = &mut self.pens[call.shard];
                if let Some(statement) = call.hold.statement() {
                    let closed = statement.closed();
                    pen.named.journal_account(
                        call.reference,
                        &call.hold,
                        &closed,
                        b"",
                        &mut pen.out,
                    );
                }
                pen.fold();
                call.hold.release(now);
            }
        }
    }

    /// The life ends as it is, and another one takes over.
    fn crash(self, now: Now, boot: &'static str) -> Self {
        let mut all: BTreeMap<Box<str>, Tallies> = BTreeMap::new();
        for pen in &self.pens {
            for (tenant, tallies) in pen.fold.tallies(now, boot) {
                all.entry(tenant).or_default().add(tallies);
            }
        }
        let counters = Counters::new();
        counters.restore(all);
        let rules = set(&counters, self.newer);
        let mut pens = self.pens;
        let mut calls = Vec::new();
        for call in self.calls {
            let pen = &mut pens[call.shard];
            let lived = pen.fold.lived(call.reference, now, boot).unwrap();
            // Only the next life takes what this one had.
            std::mem::forget(call.hold);
            if call.over {
                continue;
            }
            let hold = rules.readmit(&kept(&lived), now).unwrap();
            calls.push(Call { hold, ..call });
        }
        for (shard, pen) in pens.iter_mut().enumerate() {
            pen.started(now, boot);
            for call in calls.iter().filter(|call| call.shard == shard) {
                let lived = pen.fold.lived(call.reference, now, boot).unwrap();
                pen.out.journal(&Record::Restored {
                    call: call.reference,
                    wall: now.wall,
                    was_shard: 0,
                    was: call.reference,
                    tenant: "acme",
                    number: "",
                    state: &state(call.reference, lived),
                });
            }
            pen.out.journal(&Record::Resumed {
                wall: now.wall,
                calls: 0,
            });
            pen.fold();
        }
        Self {
            counters,
            rules,
            newer: self.newer,
            pens,
            calls,
            next: self.next,
            boot,
        }
    }

    fn used(&self, now: Now) -> String {
        let used = |quantity| self.rules.used(TenantId(0), quantity, now);
        let day = used(Quantity::MoneyPerDay).unwrap_or_default();
        let month = used(Quantity::MoneyPerMonth).unwrap_or_default();
        format!("{day:?} {month:?}")
    }

    fn finish(mut self, now: Now) {
        self.close(now);
        while !self.calls.is_empty() {
            self.end(0, false, now);
        }
        assert_eq!((self.counters.live(), self.counters.leaked()), (0, 0));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Judge(usize, usize, usize),
    Inbound(usize),
    Answer(usize),
    Renew(usize),
    End(usize, bool),
    Close,
    Reload,
    Reset(usize),
    Crash,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        12 => (0..SHARDS, 0..CALLED.len(), 0..CALLERS.len())
            .prop_map(|(shard, called, caller)| Step::Judge(shard, called, caller)),
        1 => (0..SHARDS).prop_map(Step::Inbound),
        3 => any::<usize>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Renew),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(call, lingers)| Step::End(call, lingers)),
        2 => Just(Step::Close),
        1 => Just(Step::Reload),
        1 => (0..SHARDS).prop_map(Step::Reset),
        2 => Just(Step::Crash),
    ];
    const SECOND: u64 = 1_000_000_000;
    let wait = prop_oneof![
        6 => 0..SECOND,
        6 => SECOND..40 * SECOND,
        3 => 60 * SECOND..1_800 * SECOND,
        1 => 3_600 * SECOND..40_000 * SECOND,
    ];
    (wait, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_taken_up_again_answers_as_what_never_ended(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let (mut one, mut other) = (World::new(), World::new());
        let mut time = 0;
        for (wait, step) in steps {
            time += wait;
            let now = at(time);
            let pick = |of: usize, world: &World| match world.calls.len() {
                0 => None,
                count => Some(of % count).filter(|&at| !world.calls[at].over),
            };
            let both = match step {
                Step::Judge(shard, called, caller) => {
                    [&mut one, &mut other].map(|it| it.judge(shard, called, caller, now))
                }
                Step::Inbound(shard) => [&mut one, &mut other].map(|it| it.inbound(shard, now)),
                Step::Answer(call) => {
                    if let Some(at) = pick(call, &one) {
                        [&mut one, &mut other].into_iter().for_each(|it| it.answer(at, now));
                    }
                    continue;
                }
                Step::Renew(call) => match pick(call, &one) {
                    Some(at) => [&mut one, &mut other].map(|it| it.renew(at, now)),
                    None => continue,
                },
                Step::End(call, lingers) => match pick(call, &one) {
                    Some(at) => [&mut one, &mut other].map(|it| it.end(at, lingers, now)),
                    None => continue,
                },
                Step::Close => {
                    [&mut one, &mut other].into_iter().for_each(|it| it.close(now));
                    continue;
                }
                Step::Reload => {
                    [&mut one, &mut other].into_iter().for_each(World::reload);
                    continue;
                }
                Step::Reset(shard) => {
                    [&mut one, &mut other].into_iter().for_each(|it| it.reset(shard, now));
                    continue;
                }
                Step::Crash => {
                    // What lingers then counts as spent, which it does not here.
                    [&mut one, &mut other].into_iter().for_each(|it| it.close(now));
                    let boot = other.boot;
                    other = other.crash(now, boot);
                    [&one, &other].map(|it| it.used(now))
                }
            };
            prop_assert_eq!(&both[0], &both[1]);
            let used = [&one, &other].map(|it| it.used(now));
            prop_assert_eq!(&used[0], &used[1]);
        }
        one.finish(at(time));
        other.finish(at(time));
    }
}

#[test]
fn what_lingered_when_a_life_ended_counts_as_spent() {
    let mut world = World::new();
    world.judge(0, 3, 0, at(0));
    world.end(0, true, at(0));
    let used = |world: &World| {
        let used = world.rules.used(TenantId(0), Quantity::MoneyPerDay, at(0));
        used.unwrap()
    };
    let before = used(&world);
    assert!(before.held > Money::ZERO);
    let all = before.booked.saturating_add(before.held);
    // Each life after that says the same, whether it is taken over or breaks off.
    for _ in 0..3 {
        world = world.crash(at(0), "a");
        let after = used(&world);
        assert_eq!((after.booked, after.held), (all, Money::ZERO));
    }
    world.finish(at(0));
}

#[test]
fn after_a_boot_windows_go_by_the_wall_clock() {
    let mut world = World::new();
    let minute = 60_000_000_000;
    let says = |world: &mut World, now| world.judge(0, 1, 0, now);
    for _ in 0..3 {
        assert!(says(&mut world, at(0)).starts_with("allow"));
    }
    assert!(says(&mut world, at(minute - 1_000)).starts_with("calls-per-minute"));
    // The host was down for a while, and its clock began again.
    let booted = |nanos| Now {
        mono: Mono::from_nanos(7_200_000_000_000 + nanos),
        ..at(nanos)
    };
    let mut world = world.crash(booted(minute - 1_000), "b");
    assert!(says(&mut world, booted(minute - 1_000)).starts_with("calls-per-minute"));
    assert!(says(&mut world, booted(minute)).starts_with("allow"));
    world.finish(booted(minute));
}
