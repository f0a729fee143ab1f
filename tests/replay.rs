//! The attack of 2015 once more, in virtual time, beside the calls of an office:
//! what each way to stop it would have let through, what it would have cost, and
//! how many honest calls it would have refused. Whatever has rules is judged by the
//! rule engine itself.
//!
//! What is known of 2015: about 14,000 calls to Sierra Leone in four days, 30 s and
//! ¥175 each; a block on what begins with 010; and the attack again, with a symbol in
//! front of the 010, which whoever dialled it then left out.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{
    Allowed, Counters, Course, Facts, Money, Options, Renewal, RuleSet, Source, Sources, TenantId,
    Verdict, compile,
};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::uri::Uri;

const DAYS: u64 = 4;
const DAY_MS: u64 = 86_400_000;

const ATTACK_CALLS: u64 = 14_000;
const ATTACK_TALK_MS: u64 = 30_000;
const YEN: u64 = 175;

/// A Monday in June 2015, midnight in Tokyo, in ms since 1970.
const START_MS: u64 = 1_433_084_400_000;

/// The office: a call begins every 90 s from nine to six, and lasts three minutes.
const OFFICE_FROM_MS: u64 = 9 * 3_600_000;
const OFFICE_UNTIL_MS: u64 = 18 * 3_600_000;
const OFFICE_EVERY_MS: u64 = 90_000;
const OFFICE_TALK_MS: u64 = 180_000;

/// What the office dials, in turn.
const OFFICE: [&str; 5] = [
    "0335571234",
    "09012345678",
    "0120123456",
    "01012025550143",
    "010442079460100",
];

/// A call of either side.
#[derive(Clone)]
struct Call {
    at_ms: u64,
    attack: bool,
    dialled: String,
}

/// A way to stop it.
struct Control {
    name: &'static str,
    /// What the attack dials in front of the 010.
    front: &'static str,
    /// Refuses what begins so, and then nothing is left to judge.
    block: Option<&'static str>,
    /// The tenant's destinations and caps; none where there is no rule engine, and
    /// everything goes.
    rules: Option<&'static str>,
}

const CONTROLS: [Control; 12] = [
    Control {
        name: "nothing",
        front: "",
        block: None,
        rules: None,
    },
    Control {
        name: "10 calls a minute, 3 at once",
        front: "",
        block: None,
        rules: Some(
            "[destinations]\nallow = [\"any\"]\n[caps]\ncalls_per_minute = 10\ncalls_at_once = 3\n",
        ),
    },
    Control {
        name: "10 calls a minute, 2 at once",
        front: "",
        block: None,
        rules: Some(
            "[destinations]\nallow = [\"any\"]\n[caps]\ncalls_per_minute = 10\ncalls_at_once = 2\n",
        ),
    },
    Control {
        name: "a block on `010`",
        front: "",
        block: Some("010"),
        rules: None,
    },
    Control {
        name: "a block on `010`, `*010` dialled",
        front: "*",
        block: Some("010"),
        rules: None,
    },
    Control {
        name: "Tollgate: 200 calls abroad a day",
        front: "",
        block: None,
        rules: Some(
            "[destinations]\nallow = [\"any\"]\n[[cap]]\non = \"international\"\ncalls_per_day = 200\n",
        ),
    },
    Control {
        name: "the same, `*010` dialled",
        front: "*",
        block: None,
        rules: Some(
            "[destinations]\nallow = [\"any\"]\n[[cap]]\non = \"international\"\ncalls_per_day = 200\n",
        ),
    },
    Control {
        name: "Tollgate: a budget of ¥30,000 a day alone",
        front: "",
        block: None,
        rules: Some("[destinations]\nallow = [\"any\"]\n[budget]\nper_day = \"JPY 30000\"\n"),
    },
    Control {
        name: "Tollgate: a budget of ¥10,000 a day abroad alone",
        front: "",
        block: None,
        rules: Some(
            "[destinations]\nallow = [\"any\"]\n[[cap]]\non = \"international\"\nmoney_per_day = \"JPY 10000\"\n",
        ),
    },
    Control {
        name: "the budget of ¥30,000, `*010` dialled",
        front: "*",
        block: None,
        rules: Some("[destinations]\nallow = [\"any\"]\n[budget]\nper_day = \"JPY 30000\"\n"),
    },
    Control {
        name: "Tollgate: a list of destinations",
        front: "",
        block: None,
        rules: Some(LISTED),
    },
    Control {
        name: "the same, `*010` dialled",
        front: "*",
        block: None,
        rules: Some(LISTED),
    },
];

/// The shipped tenant's destinations.
const LISTED: &str = "[destinations]\n\
    allow = [\"jp.fixed\", \"jp.mobile\", \"jp.ip\", \"jp.freephone\", \"us\", \"+44 20\"]\n\
    deny = [\"premium\", \"satellite\"]\n";

/// Every call, by time.
fn calls(front: &str) -> Vec<Call> {
    let attack = (0..ATTACK_CALLS).map(|n| Call {
        at_ms: n * DAYS * DAY_MS / ATTACK_CALLS,
        attack: true,
        dialled: format!("{front}01023276{:06}", 3_100 + n % 6_000),
    });
    let step = usize::try_from(OFFICE_EVERY_MS).unwrap();
    let days = (0..DAYS).map(|day| day * DAY_MS);
    let times = days.flat_map(|day| (day + OFFICE_FROM_MS..day + OFFICE_UNTIL_MS).step_by(step));
    let office = times
        .zip(OFFICE.iter().cycle())
        .map(|(at_ms, dialled)| Call {
            at_ms,
            attack: false,
            dialled: (*dialled).to_owned(),
        });
    let mut calls: Vec<Call> = attack.chain(office).collect();
    calls.sort_by_key(|call| call.at_ms);
    calls
}

fn rules(text: &str, counters: &Counters) -> RuleSet {
    let source = |name: &str, text: String| Source {
        name: name.into(),
        text,
    };
    let main = "[[listen]]\naddress = \"udp:127.0.0.1:5060\"\n[[carrier]]\nname = \"upstream\"\n\
        address = \"udp:127.0.0.2:5070\"\nsources = [\"127.0.0.2/32\"]\nnumber_format = \"e164\"\n";
    let tenant = format!(
        "name = \"office\"\nplan = \"jp\"\ntariff = \"jp-carrier\"\n\
         time_zone = \"Asia/Tokyo\"\ncarriers = [\"upstream\"]\n\
         [identify]\nsources = [\"127.0.0.3/32\"]\n[callers]\nown = [\"+81335570000..+81335570099\"]\n\
         otherwise = \"replace\"\ndefault = \"+81335570000\"\n{text}"
    );
    let plan = include_str!("../policies/plans/jp.toml");
    let tariff = include_str!("../policies/tariffs/jp-carrier.csv");
    let sources = Sources {
        main: source("tollgate.toml", main.into()),
        tenants: vec![source("tenants/office.toml", tenant)],
        plans: vec![source("plans/jp.toml", plan.into())],
        numbering: None,
        tariffs: vec![source("tariffs/jp-carrier.csv", tariff.into())],
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters)
        .unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Calls of the attack that left.
    left: u64,
    /// How many had left when the first was refused.
    first: Option<u64>,
    /// Calls of the office, and those that were refused or cut off.
    honest: u64,
    honest_refused: u64,
}

fn now(at_ms: u64) -> Now {
    Now {
        mono: Mono::from_nanos(1) + Duration::from_millis(at_ms),
        wall: Wall::from_micros(i64::try_from((START_MS + at_ms) * 1_000).unwrap()),
    }
}

/// Judges a call as if it came from the phone system. What it got if it leaves.
fn judged(rules: &RuleSet, call: &Call) -> Option<Allowed> {
    let uri = format!("sip:{}@gw", call.dialled);
    let facts = Facts {
        tenant: TenantId(0),
        request_uri: Uri::parse(uri.as_bytes()).unwrap(),
        source: [127, 0, 0, 3].into(),
        pai: None,
        ppi: None,
        from: NameAddr::parse(b"<sip:+81335570066@pbx>;tag=1").unwrap(),
        forwarded_by: &[],
        privacy: false,
    };
    match rules.judge(&facts, now(call.at_ms)) {
        Verdict::Allow(allowed) => Some(allowed),
        Verdict::Emergency(_) => panic!("{uri} is no emergency"),
        Verdict::Refuse(_) => None,
    }
}

/// A call that is up: answered as soon as it left, and hung up in time by a carrier
/// that keeps a session timer.
struct Up {
    allowed: Allowed,
    course: Course,
    attack: bool,
    ends_ms: u64,
}

impl Up {
    fn new(allowed: Allowed, call: &Call) -> Self {
        let at = now(call.at_ms);
        let interval = allowed.lease.map_or(Duration::ZERO, |it| it.interval);
        let mut course = Course::new(at, allowed.longest_ring, interval);
        course.answered(Course::OWN, at, Some(interval));
        course.close();
        let talk = if call.attack {
            ATTACK_TALK_MS
        } else {
            OFFICE_TALK_MS
        };
        Self {
            allowed,
            course,
            attack: call.attack,
            ends_ms: call.at_ms + talk,
        }
    }

    /// When something is to be done about it: its lease is over, or it is.
    fn due(&self, at_ms: u64, lasts: Option<Duration>) -> u64 {
        let lasts = lasts.and_then(|it| u64::try_from(it.as_millis()).ok());
        lasts.map_or(self.ends_ms, |lasts| self.ends_ms.min(at_ms + lasts))
    }

    /// It is over: what it cost is booked, and all else given back.
    fn end(mut self, rules: &RuleSet, at_ms: u64) {
        let at = now(at_ms);
        self.course.ended(Course::OWN, at.mono);
        if self.allowed.lease.is_some() {
            let settled = rules.settle(&self.allowed.hold, &self.course, Money::ZERO, at);
            let cost = settled.cost;
            assert!(cost.is_some(), "a call that leaves has a price");
        }
        self.allowed.hold.release(at);
    }
}

/// The calls that are up, by when something is to be done about them.
#[derive(Default)]
struct Calls(BTreeMap<(u64, usize), Up>);

impl Calls {
    /// Renews and ends what is due by this time; how many calls of the office were
    /// cut off.
    fn run(&mut self, rules: &RuleSet, until_ms: u64) -> u64 {
        let mut cut = 0;
        while let Some(due) = self.0.first_entry().filter(|it| it.key().0 <= until_ms) {
            let ((at_ms, n), call) = due.remove_entry();
            if at_ms == call.ends_ms {
                call.end(rules, at_ms);
                continue;
            }
            match rules.renew(&call.allowed.hold, &call.course, now(at_ms)) {
                Renewal::Granted(lease) => {
                    let due = call.due(at_ms, Some(lease.lasts));
                    self.0.insert((due, n), call);
                }
                Renewal::Refused(_) => {
                    cut += u64::from(!call.attack);
                    call.end(rules, at_ms);
                }
                other => panic!("{other:?}"),
            }
        }
        cut
    }
}

fn replayed(control: &Control) -> Outcome {
    let counters = Counters::new();
    let rules = control.rules.map(|text| rules(text, &counters));
    let mut outcome = Outcome::default();
    let mut up = Calls::default();
    for (n, call) in calls(control.front).into_iter().enumerate() {
        let blocked = control
            .block
            .is_some_and(|start| call.dialled.starts_with(start));
        let leaves = match &rules {
            _ if blocked => false,
            None => true,
            Some(rules) => {
                outcome.honest_refused += up.run(rules, call.at_ms);
                let allowed = judged(rules, &call);
                let leaves = allowed.is_some();
                up.0.extend(allowed.map(|allowed| {
                    let lasts = allowed.lease.map(|it| it.lasts);
                    let fresh = Up::new(allowed, &call);
                    ((fresh.due(call.at_ms, lasts), n), fresh)
                }));
                leaves
            }
        };
        match (call.attack, leaves) {
            (true, true) => outcome.left += 1,
            (true, false) => drop(outcome.first.get_or_insert(outcome.left)),
            (false, _) => {
                outcome.honest += 1;
                outcome.honest_refused += u64::from(!leaves);
            }
        }
    }
    if let Some(rules) = &rules {
        outcome.honest_refused += up.run(rules, u64::MAX);
    }
    assert_eq!((counters.live(), counters.leaked()), (0, 0));
    outcome
}

/// 2450000 as 2,450,000.
fn grouped(value: u64) -> String {
    let mut text = value.to_string();
    let mut at = text.len();
    while at > 3 {
        at -= 3;
        text.insert(at, ',');
    }
    text
}

fn row(name: &str, outcome: &Outcome) -> String {
    let first = outcome.first.map_or("never".to_owned(), grouped);
    let (left, lost) = (grouped(outcome.left), grouped(outcome.left * YEN));
    let refused = outcome.honest_refused;
    format!("| {name} | {left} | {first} | ¥{lost} | {refused} |\n")
}

#[test]
fn what_would_have_stopped_it() {
    let outcomes: Vec<Outcome> = CONTROLS.iter().map(replayed).collect();
    let honest = grouped(outcomes.first().unwrap().honest);
    let mut table = format!(
        "| control | attack calls that leave | before the first refusal | lost | honest calls refused, of {honest} |\n\
         |---|---|---|---|---|\n"
    );
    for (control, outcome) in CONTROLS.iter().zip(&outcomes) {
        table += &row(control.name, outcome);
    }
    println!("{table}");
    for (control, outcome) in CONTROLS.iter().zip(&outcomes) {
        let bound = match control.name {
            _ if control.rules == Some(LISTED) => 0,
            _ if control.rules.is_some() && control.front == "*" => 0,
            name if name.contains("calls abroad") => DAYS * 200,
            name if name.contains("¥30,000") => DAYS * 30_000 / YEN,
            name if name.contains("¥10,000") => DAYS * 10_000 / YEN,
            _ => ATTACK_CALLS,
        };
        assert!(outcome.left <= bound, "{}: {outcome:?}", control.name);
        if control.rules == Some(LISTED) {
            assert_eq!(outcome.honest_refused, 0, "{}", control.name);
        }
    }
    let readme = include_str!("../README.md");
    assert!(readme.contains(&table), "README.md does not say\n{table}");
}
