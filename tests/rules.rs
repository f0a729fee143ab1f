//! The shipped example, as a user gets it: it compiles, and says of each way to
//! dial what it must.

#![cfg(test)]

use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tollgate::base::time::{Mono, Now, Wall};
use tollgate::policy::{
    Counters, Decision, Facts, Options, RuleSet, Source, Sources, TenantId, Verdict, compile,
    outline,
};
use tollgate::sip::name_addr::NameAddr;
use tollgate::sip::uri::Uri;

fn source(path: &str) -> Source {
    let file = format!("{}/policies/{path}", env!("CARGO_MANIFEST_DIR"));
    Source {
        name: format!("policies/{path}"),
        text: std::fs::read_to_string(file).unwrap(),
    }
}

fn shipped() -> Sources {
    let plans = ["de", "e164", "gb", "jp", "nanp"];
    Sources {
        main: source("tollgate.toml"),
        tenants: ["acme", "shop"]
            .map(|name| source(&format!("tenants/{name}.toml")))
            .to_vec(),
        plans: plans
            .map(|name| source(&format!("plans/{name}.toml")))
            .to_vec(),
        numbering: None,
        tariffs: vec![source("tariffs/jp-carrier.csv")],
    }
}

fn rules(preview: bool) -> Result<RuleSet, Vec<tollgate::policy::Diagnostic>> {
    let zones = TimeZoneDatabase::bundled();
    compile(&shipped(), Options { preview }, &zones, &Counters::new())
}

const ACME: TenantId = TenantId(0);
const SHOP: TenantId = TenantId(1);

/// What is dialled; the number it means, or "-"; what becomes of it.
const CASES: &[(&str, &str, &str)] = &[
    ("sip:+442071838750@gw", "+442071838750", "allow"),
    ("sip:010442071838750@gw", "+442071838750", "allow"),
    ("sip:184010442071838750@gw", "+442071838750", "allow"),
    ("sip:186010442071838750@gw", "+442071838750", "allow"),
    ("sip:%30%31%30442071838750@gw", "+442071838750", "allow"),
    ("tel:+44-20-7183-8750", "+442071838750", "allow"),
    (
        "sip:+44-20-7183-8750@gw;user=phone",
        "+442071838750",
        "allow",
    ),
    ("sip:0335571234@gw", "+81335571234", "allow"),
    ("sip:+81335571234@gw", "+81335571234", "allow"),
    ("sip:09012345678@gw", "+819012345678", "allow"),
    ("sip:05031234567@gw", "+815031234567", "allow"),
    ("sip:0120123456@gw", "+81120123456", "allow"),
    ("sip:08001234567@gw", "+818001234567", "allow"),
    ("sip:+12125551234@gw", "+12125551234", "allow"),
    ("sip:110@gw", "110", "emergency"),
    ("sip:184119@gw", "119", "emergency"),
    ("urn:service:sos.fire", "urn:service:sos.fire", "emergency"),
    (
        "sip:110;phone-context=+81@gw;user=phone",
        "110",
        "emergency",
    ),
    ("tel:119", "119", "emergency"),
    // No rule allows these.
    (
        "sip:01023276123456@gw",
        "+23276123456",
        "destination-not-allowed",
    ),
    (
        "sip:+23276123456@gw",
        "+23276123456",
        "destination-not-allowed",
    ),
    (
        "sip:+18769221234@gw",
        "+18769221234",
        "destination-not-allowed",
    ),
    (
        "sip:0570123456@gw",
        "+81570123456",
        "destination-not-allowed",
    ),
    ("sip:142@gw", "142", "destination-not-allowed"),
    ("sip:+19005551234@gw", "+19005551234", "destination-denied"),
    (
        "sip:+881612345678@gw",
        "+881612345678",
        "destination-denied",
    ),
    // The evasion of 2015 and its kin.
    ("sip:*01023276123456@gw", "-", "no-single-meaning"),
    ("sip:%2A01023276123456@gw", "-", "no-single-meaning"),
    ("sip:%23010442071838750@gw", "-", "no-single-meaning"),
    ("sip:%2530442071838750@gw", "-", "no-single-meaning"),
    ("sip:0033010442071838750@gw", "-", "no-single-meaning"),
    ("sip:00442071838750@gw", "-", "no-single-meaning"),
    ("sip:+810335571234@gw", "-", "no-single-meaning"),
    ("sip:+4420718387501234@gw", "-", "no-single-meaning"),
    ("sip:+1212555123@gw", "-", "no-single-meaning"),
    ("sip:1101@gw", "-", "no-single-meaning"),
    (
        "sip:+442071838750;rn=+23276123456@gw",
        "-",
        "no-single-meaning",
    ),
    ("sip:+442071838750:x@gw", "-", "no-single-meaning"),
    (
        "sip:+442071838750@gw?Route=%3Csip:10.0.0.1%3E",
        "-",
        "no-single-meaning",
    ),
    ("sip:\u{FF11}\u{FF11}\u{FF10}@gw", "-", "no-single-meaning"),
    ("sip:+44207183875o@gw", "-", "no-single-meaning"),
    ("sip:acme@gw", "-", "no-single-meaning"),
    ("tel:7042;phone-context=+8133557", "-", "no-single-meaning"),
    ("sip:186184010442071838750@gw", "-", "no-single-meaning"),
];

#[test]
fn every_way_to_dial_has_its_verdict() {
    let rules = rules(true).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let from = NameAddr::parse(b"<sip:0335570001@pbx>;tag=1").unwrap();
    for &(dialled, number, verdict) in CASES {
        let Ok(request_uri) = Uri::parse(dialled.as_bytes()) else {
            assert_eq!(
                (number, verdict),
                ("-", "no-single-meaning"),
                "{dialled} is no URI"
            );
            continue;
        };
        let facts = Facts {
            tenant: ACME,
            request_uri,
            source: [127, 0, 0, 3].into(),
            pai: None,
            ppi: None,
            from,
            forwarded_by: &[],
            privacy: false,
        };
        let (read, said) = match rules.decide(&facts) {
            Decision::Emergency(it) => (Some(it.number), "emergency"),
            Decision::Allow(it) => (Some(it.number), "allow"),
            Decision::Observe(it, _) => (it.number, "observe"),
            Decision::Refuse(it, _) => (it.number, it.reason.code()),
        };
        let read = read.map_or("-".to_owned(), |it| it.to_string());
        assert_eq!((read.as_str(), said), (number, verdict), "{dialled}");
    }
}

#[test]
fn all_that_the_example_says_is_enforced() {
    let rules = rules(false).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(rules.warnings(), []);
    let carrier = &rules.carriers()[0];
    assert_eq!(
        (&*carrier.name, carrier.gateways[0].address.to_string()),
        ("upstream", "127.0.0.2:5070".into())
    );
    let at = outline(&source("tollgate.toml"));
    assert_eq!(
        (at.policies.as_str(), at.ledger.as_str()),
        (".", "../var/ledger")
    );
}

#[test]
fn a_rule_set_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<RuleSet>();
    shared::<Counters>();
}

/// What becomes of calls of the shop's, whose file says most of what can be said.
#[test]
fn the_shop_s_file_does_what_it_says() {
    let rules = rules(true).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(rules.tenant_named("shop"), Some(SHOP));
    // Noon in Tokyo on Sunday, 1 March 2026, and so many hours later.
    let at = |hours: u64| {
        let noon = Now {
            mono: Mono::from_nanos(1),
            wall: Wall::from_micros(1_772_334_000_000_000),
        };
        noon + Duration::from_secs(hours * 3_600)
    };
    let call = |from: &str, dialled: &str, hours| {
        let facts = Facts {
            tenant: SHOP,
            source: [127, 0, 0, 4].into(),
            request_uri: Uri::parse(dialled.as_bytes()).unwrap(),
            pai: None,
            ppi: None,
            from: NameAddr::parse(from.as_bytes()).unwrap(),
            forwarded_by: &[],
            privacy: false,
        };
        let (said, rule, alert) = match rules.judge(&facts, at(hours)) {
            Verdict::Allow(it) => {
                it.hold.release(at(hours));
                let said = it.observed.map_or("allow", |it| it.reason.code());
                (said, it.observed.and_then(|it| it.rule), it.alert)
            }
            Verdict::Refuse(it) => (it.reason.code(), it.rule, it.alert),
            Verdict::Emergency(it) => panic!("{it:?}"),
        };
        let rule = rule.map_or("", |it| rules.rule(it).text);
        let alert = alert.map_or("", |it| it.reason.code());
        (said, rule, alert)
    };
    let (desk, till) = ("<sip:0335580001@pbx>", "<sip:0335580002@pbx>");
    let (london, mobile) = ("sip:+442071838750@gw", "sip:+447400123456@gw");
    const CLOSED: &str = "[[cap]] on \"international\" when \"outside office\" calls_per_day = 0";
    let told = call(desk, london, 0);
    assert_eq!(told, ("calls-per-day", CLOSED, "new-country"));
    assert_eq!(call(desk, "sip:0355551234@gw", 0).0, "allow");
    // Monday at ten.
    const HOURLY: &str = "[[cap]] on [\"caller\", \"international\"] calls_per_hour = 3";
    let observed = call(desk, mobile, 22);
    assert_eq!(observed, ("destination-denied", "observe \"+447\"", ""));
    assert_eq!(call(desk, london, 22), ("allow", "", ""));
    assert_eq!(call(desk, london, 22), ("allow", "", ""));
    assert_eq!(call(desk, london, 22), ("calls-per-hour", HOURLY, ""));
    assert_eq!(call(till, london, 22), ("allow", "", ""));
    for _ in 0..16 {
        assert_eq!(
            call(till, "sip:+23276123456@gw", 22).0,
            "destination-not-allowed"
        );
    }
    assert_eq!(call(till, london, 22).2, "");
    assert_eq!(call(till, "sip:*010@gw", 22), ("no-single-meaning", "", ""));
    assert_eq!(call(till, "sip:*010@gw", 22).0, "no-single-meaning");
    let last = call(till, "sip:*010@gw", 22);
    assert_eq!((last.0, last.2), ("no-single-meaning", "many-refusals"));
    assert_eq!(call(till, "sip:0355551234@gw", 22).0, "many-refusals");
}
