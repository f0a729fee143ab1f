//! The rules that the calls of these tests are judged by, and a call as it is kept.

use jiff::tz::TimeZoneDatabase;

use crate::policy::{Counters, Options, RuleSet, Source, Sources, compile};
use crate::record::fold::{self, Lived};
use crate::record::{CallRef, Decision, Direction};

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
"#;

const ACME: &str = r#"
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
const NEWER: &str = r#"
[[cap]]
on = "us"
calls_at_once = 2
money_per_day = "JPY 4000"
[[cap]]
on = "gb"
calls_per_second = 1
"#;

const TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
    jp,10,0,60,60,JPY\nus,100,30,60,60,JPY\ngb,100,60,1,1,JPY\n";

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
        tariffs: vec![source("x/carrier.csv", TARIFF.to_owned())],
        numbering: None,
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).unwrap_or_else(|it| panic!("{it:#?}"))
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
        legs: None,
        lease: None,
        ending: None,
        end: None,
        counted: Some(lived),
    }
    .state()
}
