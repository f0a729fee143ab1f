use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;
use crate::policy::samples::MAIN;
use crate::policy::{Counters, Options, Source, Sources, compile};

const HEAD: &str = r#"
name = "acme"
plan = "jp"
tariff = "t"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.3/32"]
[callers]
own = ["+81335570000..+81335570009"]
default = "+81335570000"
"#;

const COLUMNS: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency";

fn rules(tenant: &str, rows: &[&str]) -> RuleSet {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let sources = Sources {
        main: source("tollgate.toml", MAIN),
        tenants: vec![source("acme.toml", tenant)],
        plans: vec![source(
            "jp.toml",
            include_str!("../../../policies/plans/jp.toml"),
        )],
        numbering: None,
        tariffs: vec![source(
            "t.csv",
            &format!("{COLUMNS}\n{}\n", rows.join("\n")),
        )],
    };
    let zones = TimeZoneDatabase::bundled();
    let options = Options { preview: true };
    compile(&sources, options, &zones, &Counters::new()).unwrap_or_else(|it| panic!("{it:#?}"))
}

fn exposure(rules: &RuleSet) -> Exposure {
    rules
        .exposure(Wall::from_micros(1_800_000_000_000_000))
        .remove(0)
}

fn of(allow: &str, caps: &str, rows: &[&str]) -> Exposure {
    exposure(&rules(
        &format!("{HEAD}[destinations]\n{allow}\n{caps}"),
        rows,
    ))
}

fn units(exposure: &Exposure) -> Result<u64, Unbounded> {
    match exposure.most {
        Most::AtMost(money) => Ok(money.millionths().div_ceil(1_000_000)),
        Most::Unbounded(because) => Err(because),
    }
}

const US: &str = "allow = [\"us\"]";

/// Calls to the tenant's own numbers are priced, too.
#[test]
fn calls_to_own_numbers_are_bounded_too() {
    let inbound = |more: &str| {
        let inbound = "[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\ntariff = \"t\"\n";
        of(
            US,
            &format!("[caps]\ncalls_per_day = 1\nlongest_call = \"1s\"\n{inbound}{more}"),
            &["us,5,0,1,1,JPY", "jp,7,0,1,1,JPY"],
        )
    };
    let it = inbound("");
    assert_eq!(units(&it), Err(Unbounded::Inbound));
    let share = it.shares.last().unwrap();
    let on = share.on.as_deref().unwrap();
    assert!(on.starts_with("its own numbers, as +81"), "{on}");
    assert_eq!(units(&inbound("calls_per_day = 10\n")), Ok(5 + 10 * 7));
    assert_eq!(units(&inbound("money_per_day = \"JPY 50\"\n")), Ok(5 + 50));
    let called = "[[inbound.cap]]\non = \"caller\"\ncalls_per_day = 2\n";
    assert_eq!(units(&inbound(called)), Err(Unbounded::Inbound));
    let budget = "[budget]\nper_day = \"JPY 60\"\n";
    assert_eq!(units(&inbound(budget)), Ok(60));
    // Live calls overshoot, and nothing says how many there are.
    let over = format!("{budget}when_spent = \"refuse_new\"\n");
    assert_eq!(units(&inbound(&over)), Err(Unbounded::Inbound));
}

#[test]
fn a_day_costs_what_the_caps_leave_room_for() {
    // So many calls, each the longest.
    let it = of(
        US,
        "[caps]\ncalls_per_day = 10\nlongest_call = \"1h\"",
        &["us,5,6,60,60,JPY"],
    );
    assert_eq!(
        units(&it),
        Ok(10 * (5 + 62 * 6)),
        "an hour and the margin, in minutes"
    );
    // So many at once, all day; what is begun a day ends an hour behind it.
    let it = of(
        US,
        "[caps]\ncalls_at_once = 2\nlongest_call = \"1h\"",
        &["us,0,6,1,1,JPY"],
    );
    assert_eq!(units(&it), Ok(2 * 25 * 60 * 6));
    // Both: a call more is a set-up and a pulse more.
    let caps = "[caps]\ncalls_at_once = 2\ncalls_per_day = 1000\nlongest_call = \"1h\"";
    let it = of(US, caps, &["us,5,6,60,60,JPY"]);
    assert_eq!(
        units(&it),
        Ok(2 * 25 * 60 * 6 + 1_000 * 5 + 1_000 * 59 / 10)
    );
    assert_eq!(it.by.len(), 2);
    // An hour's calls, 24 times.
    let it = of(
        US,
        "[caps]\ncalls_per_hour = 3\nlongest_call = \"1s\"",
        &["us,7,0,1,1,JPY"],
    );
    assert_eq!(units(&it), Ok(24 * 3 * 7));
    // Ten callers.
    let each = "[[cap]]\non = \"caller\"\ncalls_per_day = 2\n[caps]\nlongest_call = \"1s\"";
    assert_eq!(units(&of(US, each, &["us,7,0,1,1,JPY"])), Ok(10 * 2 * 7));
    let each = "[[cap]]\non = \"caller\"\nmoney_per_day = \"JPY 7\"";
    assert_eq!(units(&of(US, each, &["us,7,0,1,1,JPY"])), Ok(10 * 7));
}

#[test]
fn what_nothing_bounds_is_unbounded() {
    let none = Err(Unbounded::NoLimit);
    assert_eq!(units(&of(US, "", &["us,0,6,1,1,JPY"])), none);
    // A call may be hung up at once, and is billed for its pulse.
    let at_once = "[caps]\ncalls_at_once = 2";
    assert_eq!(units(&of(US, at_once, &["us,0,6,60,60,JPY"])), none);
    assert_eq!(units(&of(US, at_once, &["us,1,6,1,1,JPY"])), none);
    assert!(units(&of(US, at_once, &["us,0,6,1,1,JPY"])).is_ok());
    let called = "[[cap]]\non = \"called\"\ncalls_per_day = 2";
    assert_eq!(units(&of(US, called, &["us,0,6,1,1,JPY"])), none);
    let narrower = "[[cap]]\non = \"us\"\ncalls_per_day = 2";
    let both = of("allow = [\"us\", \"gb\"]", narrower, &["any,0,6,1,1,JPY"]);
    assert_eq!(units(&both), none);
    assert_eq!(both.shares.iter().filter(|it| it.most.is_none()).count(), 1);

    let head = HEAD.replace("tariff = \"t\"\n", "");
    let tenant = format!("{head}[destinations]\n{US}\n[caps]\ncalls_per_day = 1");
    let it = exposure(&rules(&tenant, &["us,0,6,1,1,JPY"]));
    assert_eq!(units(&it), Err(Unbounded::NoTariff));
    let head = HEAD.replace("plan =", "mode = \"observe\"\nplan =");
    let tenant = format!("{head}[destinations]\n{US}\n[caps]\ncalls_per_day = 1");
    let it = exposure(&rules(&tenant, &["us,0,6,1,1,JPY"]));
    assert_eq!(units(&it), Err(Unbounded::Observed));
    assert!(it.by_caps.is_some());
}

#[test]
fn what_costs_nothing_or_cannot_be_called_loses_nothing() {
    assert_eq!(units(&of(US, "", &["us,0,0,1,1,JPY"])), Ok(0));
    assert_eq!(
        units(&of(US, "", &["gb,9,9,1,1,JPY"])),
        Ok(0),
        "no price, no call"
    );
    assert_eq!(
        units(&of("deny = [\"us\"]", "", &["us,9,9,1,1,JPY"])),
        Ok(0)
    );
}

#[test]
fn narrower_caps_bound_their_own_share() {
    let caps = "[caps]\ncalls_per_day = 1000\nlongest_call = \"1s\"\n\
                [[cap]]\non = \"international\"\ncalls_per_day = 3\n";
    let it = of(
        "allow = [\"jp.fixed\", \"us\"]",
        caps,
        &["jp,1,0,1,1,JPY", "us,100,0,1,1,JPY"],
    );
    assert_eq!(units(&it), Ok(3 * 100 + 1_000));
    let names: Vec<Option<&str>> = it.shares.iter().map(|it| it.on.as_deref()).collect();
    assert_eq!(names, [Some("international"), None]);
    // Where the shares come to more than all calls at the highest price, that counts.
    let caps = caps.replace("calls_per_day = 3\n", "calls_per_day = 900\n");
    let it = of(
        "allow = [\"jp.fixed\", \"us\"]",
        &caps,
        &["jp,1,0,1,1,JPY", "us,100,0,1,1,JPY"],
    );
    assert_eq!(units(&it), Ok(900 * 100 + 1_000));
    let caps = caps.replace("calls_per_day = 1000", "calls_per_day = 500");
    let it = of(
        "allow = [\"jp.fixed\", \"us\"]",
        &caps,
        &["jp,1,0,1,1,JPY", "us,100,0,1,1,JPY"],
    );
    assert_eq!((units(&it), it.shares.len()), (Ok(500 * 100), 1));
}

#[test]
fn a_further_cap_never_raises_what_can_be_lost() {
    let wide = "[[cap]]\non = \"jp\"\nmoney_per_day = \"JPY 1000\"\n";
    for further in [
        "",
        "[[cap]]\non = \"jp.fixed\"\ncalls_per_day = 100000\n",
        "[[cap]]\non = [\"caller\", \"jp.fixed\"]\ncalls_per_hour = 3\n",
        "[[cap]]\non = \"jp.fixed\"\ncalls_at_once = 5\n",
        "[[cap]]\non = \"jp.fixed\"\ncalls_per_day = 1\nmode = \"observe\"\n",
        "[[cap]]\non = [\"called\", \"jp.fixed\"]\ncalls_per_day = 1\n",
    ] {
        let found = of(
            "allow = [\"jp.fixed\"]",
            &format!("{wide}{further}"),
            &["jp,5,10,60,60,JPY"],
        );
        assert_eq!(units(&found), Ok(1_000), "{further}");
    }
}

#[test]
fn a_budget_bounds_what_the_caps_do_not() {
    let budget = "[caps]\ncalls_at_once = 2\nlongest_call = \"1h\"\n[budget]\nper_day = \"JPY 500\"\n\
                  per_month = \"JPY 400\"\n";
    let rows = ["us,5,6,60,60,JPY"];
    let it = of(US, budget, &rows);
    assert_eq!((units(&it), it.by_caps), (Ok(400), None));
    // Live calls may go on: two of them, to their end.
    let budget = format!("{budget}when_spent = \"refuse_new\"\n");
    let it = of(US, &budget, &rows);
    assert_eq!((units(&it), it.by.len()), (Ok(400 + 2 * (5 + 62 * 6)), 2));
    let none = budget.replace("calls_at_once = 2\n", "");
    assert_eq!(units(&of(US, &none, &rows)), Err(Unbounded::NoLimit));
    // A narrower one bounds its share.
    let caps = "[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 70\"\n[[cap]]\non = \"gb\"\n\
                money_per_day = \"JPY 30\"\n";
    let allow = "allow = [\"us\", \"gb\"]";
    assert_eq!(units(&of(allow, caps, &["any,0,6,1,1,JPY"])), Ok(100));
}

#[test]
fn the_dearest_destination_is_one_that_can_be_called() {
    let rows = [
        "jp,0,3,1,1,JPY",
        "gb,0,20,1,1,JPY",
        "gb.mobile,0,35,1,1,JPY",
        "+44 20,0,21,1,1,JPY",
        "+44 7911,0,99,1,1,JPY",
        "premium,0,400,1,1,JPY",
        "service.paid,0,50,1,1,JPY",
    ];
    let dearest = |allow: &str| {
        let it = of(allow, "", &rows).dearest.unwrap();
        let country = it.country.map(|it| it.to_string()).unwrap_or_default();
        let prefix = it.prefix.map(|it| it.to_string()).unwrap_or_default();
        format!("{prefix} {country}.{} {}", it.class, it.minute)
    };
    assert_eq!(dearest("allow = [\"gb.fixed\"]"), "+4420 gb.fixed 21");
    assert_eq!(
        dearest("allow = [\"gb.fixed\"]\ndeny = [\"+44 20\"]"),
        " gb.fixed 20"
    );
    assert_eq!(dearest("allow = [\"+44 20\"]"), "+4420 gb.fixed 21");
    assert_eq!(dearest("allow = [\"gb\"]"), "+447911 gb.mobile 99");
    assert_eq!(
        dearest("allow = [\"gb\"]\ndeny = [\"+44 7911\"]"),
        " gb.mobile 35"
    );
    assert_eq!(
        dearest("allow = [\"international\", \"service.paid\"]\ndeny = [\"mobile\"]"),
        " .service.paid 50"
    );
    // All that begins with a prefix is allowed, what costs more among it.
    assert!(dearest("allow = [\"+44 8\"]").contains("gb.premium 400"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_attack_within_the_caps_costs_more(
        at_once in prop::option::of(1_u64..4),
        per_hour in prop::option::of(1_u64..40),
        per_day in 1_u64..300,
        longest in 1_u32..7_200,
        length in 1_u32..7_200,
        setup in 0_u32..20,
        minute in 0_u32..100,
        first in prop_oneof![Just(1_u32), 1_u32..200],
        next in prop_oneof![Just(1_u32), 1_u32..200],
    ) {
        let mut caps = format!("[caps]\nlongest_call = \"{longest}s\"\ncalls_per_day = {per_day}\n");
        if let Some(n) = at_once { caps += &format!("calls_at_once = {n}\n"); }
        if let Some(n) = per_hour { caps += &format!("calls_per_hour = {n}\n"); }
        let it = of(US, &caps, &[&format!("us,{setup},{minute},{first},{next},JPY")]);
        // Every call as long as is let, one after the other as soon as there is room.
        let length = u64::from(length.min(longest));
        let (mut live, mut begun): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
        for second in 0..86_400 {
            live.retain(|end| *end > second);
            let room = |used: usize, limit: Option<u64>| limit.is_none_or(|it| (used as u64) < it);
            loop {
                let last = |n: u64| begun.len().checked_sub(usize::try_from(n).unwrap());
                let hour = per_hour.and_then(last).map(|at| begun[at]);
                let passed = hour.is_none_or(|begun| begun + 3_600 <= second);
                let all = room(live.len(), at_once) && passed;
                if !all || !room(begun.len(), Some(per_day)) { break; }
                live.push(second + length);
                begun.push(second);
            }
        }
        let (first, next) = (u64::from(first), u64::from(next));
        let billed = first + length.saturating_sub(first).div_ceil(next) * next;
        let call = u64::from(setup) * 60 + u64::from(minute) * billed;
        let bill = (begun.len() as u64 * call).div_ceil(60);
        prop_assert!(bill <= units(&it).unwrap(), "{} calls, {bill} of {:?}", begun.len(), it);
    }
}

#[test]
fn only_what_always_refuses_bounds_anything() {
    let none = Err(Unbounded::NoLimit);
    let rows = ["any,7,0,1,1,JPY"];
    let day = |keys: &str| {
        let hours = "[hours.office]\nmon-fri = \"08:00-19:00\"\n";
        units(&of(
            US,
            &format!("[[cap]]\n{keys}\ncalls_per_day = 2\n{hours}"),
            &rows,
        ))
    };
    assert_eq!(day("on = \"us\""), Ok(2 * 7));
    assert_eq!(
        day("on = [\"caller\", \"us\"]"),
        Ok(10 * 2 * 7),
        "ten callers"
    );
    for keys in [
        "on = \"us\"\nmode = \"observe\"",
        "on = \"us\"\nwhen = \"office\"",
        "when = \"outside office\"",
        "on = [\"called\", \"us\"]",
        "on = [\"called\", \"caller\"]",
        "on = [\"+1\", \"freephone\"]",
        "on = \"us\"\ndistinct_numbers_per_day = 1\nmode = \"observe\"",
    ] {
        assert_eq!(day(keys), none, "{keys}");
    }
    // Of several on one target the one that bounds it counts.
    let chain = "on = \"us\"\nmode = \"observe\"\ncalls_per_day = 1\n[[cap]]\non = \"us\"";
    assert_eq!(day(chain), Ok(2 * 7));
    let inbound = "[caps]\ncalls_per_day = 3\n[inbound]\ndeliver_to = \"udp:127.0.0.3:5080\"\n\
                   calls_per_day = 1\n";
    assert_eq!(units(&of(US, inbound, &rows)), Ok(3 * 7));
    // What is observed goes, and costs.
    let observe = "allow = [\"us\"]\nobserve = [\"gb\"]";
    let it = of(
        observe,
        "[caps]\ncalls_per_day = 3",
        &["us,7,0,1,1,JPY", "gb,90,0,1,1,JPY"],
    );
    assert_eq!(units(&it), Ok(3 * 90));
}
