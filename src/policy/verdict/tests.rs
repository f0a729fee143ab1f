mod prices;

use std::time::Duration;

use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::base::time::{Mono, Wall};
use crate::policy::samples::MAIN;
use crate::policy::{Blocks, Counters, Inbound, InboundFacts, Options, Source, Sources, compile};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

mod budgets;
mod caps;
mod inbound;
mod patterns;

const ACME: &str = r#"
name = "acme"
plan = "jp"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.3/32"]
[callers]
own = ["+81335570000..+81335570099", "+815031110000"]
otherwise = "replace"
default = "+81335570000"
[destinations]
allow = ["jp.fixed", "us", "+44 20"]
deny = ["+44 207"]
[inbound]
deliver_to = "udp:127.0.0.3:5080"
[caps]
calls_at_once = 3
longest_call = "2h"
[[cap]]
on = "international"
calls_per_minute = 2
calls_per_day = 3
longest_call = "30m"
"#;

/// Rules for the tests, with counters that outlive them.
struct Box {
    counters: Counters,
    rules: RuleSet,
}

fn set(counters: &Counters, tenants: &[&str]) -> RuleSet {
    set_with(counters, tenants, Vec::new())
}

fn set_with(counters: &Counters, tenants: &[&str], tariffs: Vec<Source>) -> RuleSet {
    let source = |text: &str| Source {
        name: "t.toml".to_owned(),
        text: text.to_owned(),
    };
    let sources = Sources {
        main: source(MAIN),
        tenants: tenants.iter().map(|text| source(text)).collect(),
        plans: vec![
            source(include_str!("../../../policies/plans/jp.toml")),
            source(include_str!("../../../policies/plans/gb.toml")),
        ],
        numbering: None,
        tariffs,
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).unwrap_or_else(|it| panic!("{it:#?}"))
}

impl Box {
    fn new(tenant: &str) -> Self {
        let counters = Counters::new();
        let rules = set(&counters, &[tenant]);
        Self { counters, rules }
    }

    fn reload(&mut self, tenant: &str) {
        self.rules = set(&self.counters, &[tenant]);
    }

    fn judge(&self, uri: &str, at: u64) -> Verdict {
        self.rules.judge(&facts(uri, OWN), now(at))
    }

    /// The reason's name, or "allow" with the call held for good, or "emergency".
    fn says(&self, uri: &str, at: u64) -> String {
        self.shown(self.judge(uri, at), at)
    }

    fn shown(&self, verdict: Verdict, at: u64) -> String {
        match verdict {
            Verdict::Emergency(it) => {
                it.hold.release(now(at));
                "emergency".to_owned()
            }
            Verdict::Allow(it) => {
                it.hold.release(now(at));
                it.observed
                    .map_or("allow".to_owned(), |it| format!("observed {}", it.reason))
            }
            Verdict::Refuse(it) => it.reason.to_string(),
        }
    }

    fn permit(&self, facts: &Facts<'_>) -> Permit {
        match self.rules.decide(facts) {
            Decision::Allow(permit) | Decision::Emergency(permit) => permit,
            other @ (Decision::Observe(..) | Decision::Refuse(..)) => panic!("{other:?}"),
        }
    }
}

const OWN: &str = "<sip:0335570012@pbx>;tag=1";
const TOKYO: &str = "sip:0355551234@gw";
const LONDON: &str = "sip:+442081234567@gw";

fn facts<'a>(uri: &'a str, from: &'a str) -> Facts<'a> {
    Facts {
        tenant: TenantId(0),
        request_uri: Uri::parse(uri.as_bytes()).unwrap(),
        source: [127, 0, 0, 3].into(),
        pai: None,
        ppi: None,
        from: NameAddr::parse(from.as_bytes()).unwrap(),
        forwarded_by: &[],
        privacy: false,
    }
}

fn inbound<'a>(uri: &'a str, from: &'a str) -> InboundFacts<'a> {
    InboundFacts {
        request_uri: Uri::parse(uri.as_bytes()).unwrap(),
        pai: None,
        from: NameAddr::parse(from.as_bytes()).unwrap(),
        least_interval: Duration::ZERO,
    }
}

/// So many seconds after noon in Tokyo on 1 March 2026.
fn now(seconds: u64) -> Now {
    let noon = Now {
        mono: Mono::from_nanos(7_000_000_000),
        wall: Wall::from_micros(1_772_334_000_000_000),
    };
    noon + Duration::from_secs(seconds)
}

fn allowed(verdict: Verdict) -> Allowed {
    match verdict {
        Verdict::Allow(allowed) => allowed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_verdict_names_rule_value_and_threshold() {
    let it = Box::new(ACME);
    let held: Vec<Allowed> = (0..3).map(|at| allowed(it.judge(TOKYO, at))).collect();
    let rule = it.rules.rule(held[0].permit.rule.unwrap());
    assert_eq!(
        (rule.file, rule.line, rule.text),
        ("t.toml", 13, "allow \"jp.fixed\"")
    );
    let Verdict::Refuse(refused) = it.judge(TOKYO, 3) else {
        panic!("a fourth call");
    };
    assert_eq!(
        (refused.reason.code(), refused.value, refused.threshold),
        ("calls-at-once", 3, 3)
    );
    let rule = it.rules.rule(refused.rule.unwrap());
    assert_eq!((rule.line, rule.text), (18, "[caps] calls_at_once = 3"));
    held.into_iter().for_each(|it| it.hold.release(now(4)));
    assert_eq!(it.counters.live(), 0);

    let Verdict::Refuse(refused) = it.judge("sip:+442071838750@gw", 5) else {
        panic!("denied");
    };
    assert_eq!(refused.reason, Reason::DestinationDenied);
    assert_eq!(it.rules.rule(refused.rule.unwrap()).text, "deny \"+44207\"");
    assert_eq!(refused.number.unwrap().as_str(), "+442071838750");
}

#[test]
fn narrower_caps_count_what_they_are_on() {
    let it = Box::new(ACME);
    let call = allowed(it.judge(LONDON, 0));
    assert_eq!(call.longest_call, Duration::from_secs(1_800));
    assert_eq!(call.longest_ring, Duration::from_secs(180));
    call.hold.release(now(1));
    assert_eq!(it.says("sip:+12125551234@gw", 1), "allow");
    assert_eq!(it.says(LONDON, 59), "calls-per-minute");
    assert_eq!(
        it.says(TOKYO, 59),
        "allow",
        "the plan's own country is not abroad"
    );
    assert_eq!(it.says(LONDON, 60), "allow");
    let Verdict::Refuse(refused) = it.judge(LONDON, 3_600) else {
        panic!("a fourth call today");
    };
    assert_eq!(refused.reason, Reason::CallsPerDay);
    let rule = it.rules.rule(refused.rule.unwrap());
    assert_eq!(rule.text, "[[cap]] on \"international\" calls_per_day = 3");
    assert_eq!(it.says(LONDON, 12 * 3_600 - 1), "calls-per-day");
    assert_eq!(it.says(LONDON, 12 * 3_600), "allow", "midnight in Tokyo");
}

#[test]
fn a_reload_keeps_counts_and_a_new_live_cap_counts_live_calls() {
    let mut it = Box::new(ACME);
    let first = allowed(it.judge(LONDON, 0));
    let second = allowed(it.judge(LONDON, 0));
    it.reload(&ACME.replace("calls_per_minute = 2", "calls_per_minute = 3"));
    assert_eq!(it.says(LONDON, 1), "allow");
    assert_eq!(it.says(LONDON, 1), "calls-per-minute");
    let more = "[[cap]]\non = \"gb\"\ncalls_at_once = 2\n";
    let calm = ACME.replace("calls_per_minute = 2\ncalls_per_day = 3\n", "");
    it.reload(&format!("{calm}{more}"));
    assert_eq!(it.says(LONDON, 100), "calls-at-once");
    first.hold.release(now(101));
    assert_eq!(it.says(LONDON, 102), "allow");
    second.hold.release(now(103));
    assert_eq!((it.counters.live(), it.counters.leaked()), (0, 0));
}

#[test]
fn each_caller_and_each_called_number_can_have_its_own_cap() {
    let more = "[[cap]]\non = \"caller\"\ncalls_per_hour = 2\n[[cap]]\non = \"called\"\ncalls_per_hour = 3\n";
    let it = Box::new(&format!("{ACME}{more}"));
    let by = |from: &str, uri: &str| it.shown(it.rules.judge(&facts(uri, from), now(0)), 0);
    let other = "<sip:0335570013@pbx>;tag=1";
    assert_eq!(by(OWN, TOKYO), "allow");
    assert_eq!(by(OWN, "sip:0355551235@gw"), "allow");
    assert_eq!(by(OWN, "sip:0355551236@gw"), "calls-per-hour");
    assert_eq!(by(other, TOKYO), "allow");
    assert_eq!(by(other, TOKYO), "allow");
    let third = "<sip:0335570014@pbx>;tag=1";
    assert_eq!(by(third, TOKYO), "calls-per-hour", "the called number's");
    assert_eq!(by(third, "sip:0355551235@gw"), "allow");
}

#[test]
fn emergencies_take_no_cap_and_no_counter() {
    let it = Box::new(ACME);
    let held: Vec<Allowed> = (0..3).map(|at| allowed(it.judge(TOKYO, at))).collect();
    for uri in ["sip:110@gw", "sip:184119@gw", "urn:service:sos", "tel:119"] {
        let before = it.counters.live();
        let Verdict::Emergency(call) = it.judge(uri, 4) else {
            panic!("{uri}");
        };
        assert_eq!(it.counters.live(), before);
        assert!(
            call.longest_call > Duration::from_secs(2 * 3_600),
            "no cap at all"
        );
        call.hold.release(now(5));
    }
    held.into_iter().for_each(|it| it.hold.release(now(4)));
}

#[test]
fn the_caller_is_what_is_asserted_else_preferred_else_from() {
    let it = Box::new(ACME);
    let address = |text: &'static str| Some(NameAddr::parse(text.as_bytes()).unwrap());
    let shown = |facts: Facts<'_>| {
        let caller = it.permit(&facts).caller;
        (caller.number.to_string(), caller.replaced)
    };
    let mut facts = facts(TOKYO, OWN);
    assert_eq!(shown(facts), ("+81335570012".to_owned(), false));
    facts.ppi = address("<tel:+81335570013>");
    assert_eq!(shown(facts), ("+81335570013".to_owned(), false));
    facts.pai = address("\"110\" <sip:+815031110000@pbx;user=phone>");
    assert_eq!(shown(facts), ("+815031110000".to_owned(), false));
    for foreign in [
        "<sip:+81335570100@pbx>",
        "<sip:+815031110001@pbx>",
        "<sip:acme@pbx>",
        "<urn:x:y>",
        "<sip:110@pbx>",
    ] {
        facts.pai = address(foreign);
        assert_eq!(shown(facts), ("+81335570000".to_owned(), true), "{foreign}");
    }
}

#[test]
fn a_foreign_caller_is_refused_where_the_tenant_says_so_but_not_in_an_emergency() {
    let refusing = ACME.replace("\"replace\"\ndefault = \"+81335570000\"", "\"refuse\"");
    let it = Box::new(&refusing);
    let foreign = "<sip:0312345678@pbx>;tag=1";
    let judge = |uri: &str| it.rules.judge(&facts(uri, foreign), now(0));
    let Verdict::Refuse(refused) = judge(TOKYO) else {
        panic!("refused");
    };
    assert_eq!(refused.reason, Reason::CallerNotOwn);
    assert_eq!(
        it.rules.rule(refused.rule.unwrap()).text,
        "[callers] otherwise = \"refuse\""
    );
    let Verdict::Emergency(call) = judge("sip:110@gw") else {
        panic!("an emergency");
    };
    assert_eq!(call.permit.caller.number.as_str(), "+81335570000");
    call.hold.release(now(0));
}

#[test]
fn digits_in_front_of_the_number_or_header_fields_hide_the_caller() {
    let it = Box::new(ACME);
    let of = |uri: &str, from: &str, privacy: bool| {
        it.permit(&Facts {
            privacy,
            ..facts(uri, from)
        })
        .presentation
    };
    let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1";
    assert_eq!(of(TOKYO, OWN, false), Presentation::Unstated);
    assert_eq!(of(TOKYO, OWN, true), Presentation::Withhold);
    assert_eq!(of(TOKYO, anonymous, false), Presentation::Withhold);
    assert_eq!(
        of("sip:1840355551234@gw", OWN, false),
        Presentation::Withhold
    );
    assert_eq!(of("sip:1860355551234@gw", OWN, true), Presentation::Show);
    assert_eq!(of("sip:184110@gw", OWN, false), Presentation::Withhold);
}

#[test]
fn observe_mode_lets_go_only_what_has_a_number() {
    let observing = ACME.replace("plan = \"jp\"", "plan = \"jp\"\nmode = \"observe\"");
    let it = Box::new(&observing);
    assert_eq!(it.says(TOKYO, 0), "allow");
    assert_eq!(
        it.says("sip:+23276123456@gw", 0),
        "observed destination-not-allowed"
    );
    assert_eq!(it.says("sip:*01023276123456@gw", 0), "no-single-meaning");
    assert_eq!(it.says("sip:+4420718387501234@gw", 0), "no-single-meaning");
    let held: Vec<Allowed> = (1..4).map(|at| allowed(it.judge(TOKYO, at))).collect();
    let over = allowed(it.judge(TOKYO, 5));
    let observed = over.observed.unwrap();
    assert_eq!((observed.reason, observed.value), (Reason::CallsAtOnce, 3));
    assert_eq!(
        it.says("sip:+23276123456@gw", 6),
        "observed destination-not-allowed"
    );
    over.hold.release(now(9));
    held.into_iter().for_each(|it| it.hold.release(now(9)));
    assert_eq!(it.counters.live(), 0);
}

#[test]
fn inbound_calls_go_to_whose_number_is_called() {
    let counters = Counters::new();
    let beta = ACME
        .replace("acme", "beta")
        .replace("127.0.0.3", "127.0.0.4");
    let beta = beta.replace("plan = \"jp\"", "plan = \"gb\"");
    let beta = beta.replace(
        "\"+81335570000..+81335570099\", \"+815031110000\"",
        "\"+442079460000..+442079460099\"",
    );
    let beta = beta.replace("default = \"+81335570000\"", "default = \"+442079460000\"");
    let rules = set(&counters, &[ACME, &beta]);
    let to = |uri: &str| match rules.judge_inbound(&inbound(uri, OWN), &Blocks::default(), now(0)) {
        Inbound::Deliver(it) => {
            it.hold.release(now(1));
            format!("{} {} {}", it.tenant.0, it.number, it.to.address)
        }
        Inbound::Refuse(refused, _) => refused.reason.to_string(),
    };
    assert_eq!(to("sip:+81335570042@gw"), "0 +81335570042 127.0.0.3:5080");
    assert_eq!(to("sip:0335570042@gw"), "0 +81335570042 127.0.0.3:5080");
    assert_eq!(to("sip:02079460001@gw"), "1 +442079460001 127.0.0.4:5080");
    assert_eq!(
        to("sip:+442079460099@gw;user=phone"),
        "1 +442079460099 127.0.0.4:5080"
    );
    assert_eq!(to("sip:+442079460100@gw"), "called-not-served");
    assert_eq!(to("sip:+8133557004@gw"), "no-single-meaning");
    assert_eq!(to("sip:bob@gw"), "no-single-meaning");
    assert_eq!(to("sip:110@gw"), "called-not-served");
}

#[test]
fn who_sends_is_known_by_address() {
    let it = Box::new(ACME);
    let listener = it.rules.listeners()[0].id;
    let peer = |ip: &str| it.rules.peer(listener, ip.parse().unwrap());
    assert_eq!(
        peer("127.0.0.3"),
        Some(super::super::Peer::Tenant(TenantId(0)))
    );
    assert_eq!(
        peer("::ffff:127.0.0.2"),
        Some(super::super::Peer::Carrier(super::super::CarrierId(0)))
    );
    assert_eq!(peer("127.0.0.9"), None);
    assert_eq!(it.rules.tenant_named("acme"), Some(TenantId(0)));
    let nobody = Facts {
        tenant: TenantId(7),
        ..facts(TOKYO, OWN)
    };
    assert_eq!(it.shown(it.rules.judge(&nobody, now(0)), 0), "no-tenant");
}
