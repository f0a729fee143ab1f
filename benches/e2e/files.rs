//! The files of the Tollgate that is measured, and the rules that they make.

use jiff::tz::TimeZoneDatabase;
use tollgate::policy::{Counters, Options, RuleSet, Source, Sources, compile};

/// The rules.
///
/// # Errors
/// What is wrong with the files.
pub fn rules(counters: &Counters) -> Result<RuleSet, String> {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let sources = Sources {
        main: source("tollgate.toml", MAIN),
        tenants: vec![source("tenants/acme.toml", TENANT)],
        plans: vec![source(
            "plans/jp.toml",
            include_str!("../../policies/plans/jp.toml"),
        )],
        numbering: None,
        tariffs: vec![source(
            "tariffs/jp-carrier.csv",
            include_str!("../../policies/tariffs/jp-carrier.csv"),
        )],
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters)
        .map_err(|faults| faults.iter().map(|it| format!("{it}\n")).collect())
}

/// The main file.
pub const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"

[[carrier]]
name    = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
number_format = "e164"

[policies]
directory = "policies"

[ledger]
directory = "ledger"

"#;

/// Its one tenant, with caps that count every call and never refuse one.
pub const TENANT: &str = r#"
name      = "acme"
plan      = "jp"
tariff    = "jp-carrier"
time_zone = "Asia/Tokyo"
carriers  = ["upstream"]

[identify]
sources = ["127.0.0.3/32"]

[callers]
own       = ["+81335570000..+81335570099"]
otherwise = "replace"
default   = "+81335570000"

[destinations]
allow = ["jp.fixed", "jp.mobile", "jp.ip", "jp.freephone", "us", "+44 20"]
deny  = ["premium", "satellite", "+1 900"]

[caps]
calls_at_once    = 1000000
calls_per_second = 1000000
calls_per_minute = 1000000
calls_per_hour   = 1000000
calls_per_day    = 1000000
longest_call     = "4h"
longest_ring     = "3m"

[[cap]]
on             = "international"
calls_at_once  = 1000000
calls_per_hour = 1000000
money_per_day  = "JPY 900000000"

[budget]
per_day    = "JPY 900000000"
when_spent = "hang_up"
"#;
