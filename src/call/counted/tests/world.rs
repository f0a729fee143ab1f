//! Shards that share counters, and the journals that they leave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;

use crate::base::tally::Tallies;
use crate::base::time::{Mono, Now, Wall};
use crate::call::counted::*;
use crate::policy::samples::MAIN;
use crate::policy::{
    Blocks, Counters, Course, Currency, Facts, Inbound, InboundFacts, Money, Options, Quantity,
    Renewal, RuleSet, Source, Sources, TenantId, Verdict, compile,
};
use crate::record::{Decision, Direction, Party, fold, frame};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

pub(super) const ACME: &str = r#"
name = "acme"
plan = "jp"
tariff = "carrier"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.3/32"]
[callers]
own = ["+81335570000..+81335570099"]
otherwise = "replace"
default = "+81335570000"
[destinations]
allow = ["jp.fixed", "us", "gb"]
[inbound]
deliver_to = "udp:127.0.0.3:5080"
[hours.office]
mon-fri = "08:00-19:00"
[caps]
calls_at_once = 6
calls_per_day = 60
[budget]
per_day = "JPY 9000"
per_month = "JPY 20000"
[[cap]]
on = "international"
calls_per_minute = 3
calls_per_hour = 9
[[cap]]
on = "called"
calls_per_hour = 4
[[cap]]
on = ["caller", "us"]
money_per_day = "JPY 2500"
distinct_numbers_per_day = 2
[[cap]]
on = "any"
when = "outside office"
calls_per_day = 25
mode = "observe"
"#;

/// What newer rules have besides.
pub(super) const NEWER: &str = r#"
[[cap]]
on = "us"
calls_at_once = 2
money_per_day = "JPY 4000"
[[cap]]
on = "gb"
calls_per_second = 1
"#;

pub(super) const TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
    jp,10,0,60,60,JPY\nus,100,30,60,60,JPY\ngb,100,60,1,1,JPY\n";

pub(super) const CALLED: [&str; 6] = [
    "sip:0355551234@gw",
    "sip:+442081234567@gw",
    "sip:+442081234568@gw",
    "sip:+12125551234@gw",
    "sip:+12125551235@gw",
    "sip:+12125551236@gw",
];

pub(super) const CALLERS: [&str; 2] = ["<sip:0335570012@pbx>;tag=1", "<sip:0335570013@pbx>;tag=1"];

pub(super) const SHARDS: usize = 2;

pub(super) fn set(counters: &Counters, newer: bool) -> RuleSet {
    let source = |name: &str, text: String| Source {
        name: name.to_owned(),
        text,
    };
    let newer = if newer { NEWER } else { "" };
    let plan = include_str!("../../../../policies/plans/jp.toml").to_owned();
    let sources = Sources {
        main: source("t.toml", MAIN.to_owned()),
        tenants: vec![source("acme.toml", format!("{ACME}{newer}"))],
        plans: vec![source("jp.toml", plan)],
        numbering: None,
        tariffs: vec![source("x/carrier.csv", TARIFF.to_owned())],
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).unwrap_or_else(|it| panic!("{it:#?}"))
}

pub(super) fn at(nanos: u64) -> Now {
    // Saturday the 28th of February 2026 at noon in Tokyo: the month ends soon.
    let start = Now {
        mono: Mono::from_nanos(90_000_000_000_000),
        wall: Wall::from_micros(1_772_247_600_000_000),
    };
    start + Duration::from_nanos(nanos)
}

/// One shard's way into the journal, and what its records come to.
#[derive(Default)]
pub(super) struct Pen {
    pub(super) named: Named,
    pub(super) out: Outbox,
    pub(super) fold: fold::Counters,
    /// All that was written, and how much of it is on the disk for certain.
    pub(super) written: Vec<u8>,
    pub(super) synced: usize,
}

impl Pen {
    /// Reads back what was written.
    pub(super) fn fold(&mut self) {
        let records = self.out.records.bytes();
        apply(&mut self.fold, records);
        self.written.extend_from_slice(records);
        if self.out.drawn {
            self.synced = self.written.len();
        }
        self.out.clear();
    }

    pub(super) fn started(&mut self, now: Now, boot: &str) {
        self.named = Named::default();
        self.out.journal(&Record::Started {
            wall: now.wall,
            shard: 0,
            shards: 1,
            program: "",
            boot,
        });
        self.fold();
        self.synced = self.written.len();
    }
}

pub(super) fn apply(fold: &mut fold::Counters, mut records: &[u8]) {
    while let Some((record, rest)) = frame::next(records).unwrap() {
        fold.apply(&record);
        records = rest;
    }
}

pub(super) struct Call {
    pub(super) reference: CallRef,
    pub(super) shard: usize,
    pub(super) hold: Hold,
    pub(super) course: Course,
    pub(super) over: bool,
}

/// A call as a life takes it over.
pub(super) fn state(reference: CallRef, lived: Lived) -> Vec<u8> {
    fold::Call {
        reference,
        began: lived.wall,
        tenant: lived.tenant.clone(),
        source: "127.0.0.3:5060".parse().unwrap(),
        direction: Direction::Outbound,
        caller: Box::default(),
        number: "".into(),
        decision: Decision::Allow,
        carrier: "".into(),
        invite: Box::default(),
        legs: None,
        lease: None,
        ending: None,
        end: None,
        counted: Some(lived),
    }
    .state()
}

/// One life, or several in a row.
pub(super) struct World {
    pub(super) counters: Counters,
    pub(super) rules: RuleSet,
    pub(super) newer: bool,
    pub(super) pens: Vec<Pen>,
    pub(super) calls: Vec<Call>,
    pub(super) next: u64,
    pub(super) boot: &'static str,
}

impl World {
    pub(super) fn new() -> Self {
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

    /// Newer rules count the calls that are up from the next call on that is judged or
    /// asks for more: here at once, as a start does.
    pub(super) fn reload(&mut self, now: Now) {
        self.newer = !self.newer;
        self.rules = set(&self.counters, self.newer);
        for at in 0..self.calls.len() {
            if !self.calls[at].over {
                self.renew(at, now);
            }
        }
    }

    pub(super) fn judge(&mut self, shard: usize, called: usize, caller: usize, now: Now) -> String {
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
        let account = Account::resumed(&Billing::default(), Currency::NONE, now, (false, true));
        named.journal_held(reference, &allowed.hold, &account, out);
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

    pub(super) fn inbound(&mut self, shard: usize, now: Now) -> String {
        let facts = InboundFacts {
            request_uri: Uri::parse(b"sip:0335570012@gw").unwrap(),
            pai: None,
            from: NameAddr::parse(CALLERS[0].as_bytes()).unwrap(),
            least_interval: Duration::ZERO,
        };
        let call = match self.rules.judge_inbound(&facts, &Blocks::default(), now) {
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
            course: Course::inbound(now, Duration::ZERO, Duration::ZERO),
            over: false,
        });
        "inbound".to_owned()
    }

    pub(super) fn number(&mut self) -> CallRef {
        self.next += 1;
        CallRef(self.next)
    }

    pub(super) fn answer(&mut self, at: usize, now: Now) {
        let call = &mut self.calls[at];
        let interval = call.course.interval();
        call.course.answered(Course::OWN, now, Some(interval));
    }

    pub(super) fn renew(&mut self, at: usize, now: Now) -> String {
        let call = &mut self.calls[at];
        let renewed = self.rules.renew(&call.hold, &call.course, now);
        let pen = &mut self.pens[call.shard];
        let account = Account::resumed(&Billing::default(), Currency::NONE, now, (false, true));
        pen.named
            .journal_held(call.reference, &call.hold, &account, &mut pen.out);
        pen.fold();
        // What stands in days that are over is told as long as it is known, which is
        // longer where nobody has ended.
        match renewed {
            Renewal::Refused(it) => format!("refused {} {}", it.reason, it.threshold),
            Renewal::Over(lease, it) => format!("over {lease:?} {}", it.reason),
            other => format!("{other:?}"),
        }
    }

    /// A call is over for its carrier. It may still be answered if it `lingers`.
    pub(super) fn end(&mut self, at: usize, lingers: bool, now: Now) -> String {
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
                .journal_account(call.reference, &call.hold, statement, None, &mut pen.out);
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

    /// The counters are reset, which every shard writes down.
    pub(super) fn reset(&mut self, now: Now) {
        let Some(resets) = self.counters.reset("acme") else {
            return;
        };
        for pen in &mut self.pens {
            pen.out.journal(&Record::Reset {
                wall: now.wall,
                tenant: "acme",
                resets,
                by: "",
                why: "",
            });
            pen.fold();
        }
    }

    /// What lingers is over.
    pub(super) fn close(&mut self, now: Now) {
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
                        None,
                        &mut pen.out,
                    );
                }
                pen.fold();
                call.hold.release(now);
            }
        }
    }

    /// The life ends as it is, and another one takes over.
    pub(super) fn crash(self, now: Now, boot: &'static str) -> Self {
        let mut all: BTreeMap<Box<str>, Tallies> = BTreeMap::new();
        for pen in &self.pens {
            for (tenant, tallies) in pen.fold.tallies(now, boot, &BTreeSet::new()) {
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

    pub(super) fn used(&self, now: Now) -> String {
        let used = |quantity, now| self.rules.used(TenantId(0), quantity, now);
        let day = used(Quantity::MoneyPerDay, now).unwrap_or_default();
        let month = used(Quantity::MoneyPerMonth, now).unwrap_or_default();
        // What a call may cost counts on the day that it may last into, too.
        let tomorrow = now + Duration::from_secs(86_400);
        let tomorrow = used(Quantity::MoneyPerDay, tomorrow).unwrap_or_default();
        format!("{day:?} {month:?} {tomorrow:?}")
    }

    pub(super) fn finish(mut self, now: Now) {
        self.close(now);
        while !self.calls.is_empty() {
            self.end(0, false, now);
        }
        assert_eq!((self.counters.live(), self.counters.leaked()), (0, 0));
    }
}
