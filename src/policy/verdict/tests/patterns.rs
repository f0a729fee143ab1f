//! Patterns of fraud, and calls that the phone system forwards, as a tenant's file
//! has them.

use super::*;

const OFFICE: &str = "[hours.office]\nmon-fri = \"08:00-19:00\"\n";

fn tenant(more: &str) -> String {
    let at = ACME.find("[caps]").unwrap();
    let head = ACME[..at].replace("\"us\"", "\"us\", \"gb\", \"fr\"");
    format!("{head}{more}").replace("deny = [\"+44 207\"]", "")
}

/// What becomes of a call, and the alert that it raises.
struct Said {
    verdict: String,
    alert: Option<(String, u32, u32)>,
}

impl Box {
    /// Judges a call, and ends it `talked` seconds after its answer.
    fn call(&self, uri: &str, at: u64, talked: Option<u64>) -> Said {
        self.call_from([127, 0, 0, 3], uri, at, talked)
    }

    fn call_from(&self, source: [u8; 4], uri: &str, at: u64, talked: Option<u64>) -> Said {
        let facts = Facts {
            source: source.into(),
            ..facts(uri, OWN)
        };
        let (verdict, alert) = match self.rules.judge(&facts, now(at)) {
            Verdict::Allow(it) => {
                let observed = it.observed.map(|it| format!("observed {}", it.reason));
                it.hold.end(now(at), talked.map(Duration::from_secs));
                (observed.unwrap_or_else(|| "allow".into()), it.alert)
            }
            Verdict::Emergency(it) => {
                it.hold.release(now(at));
                ("emergency".into(), it.alert)
            }
            Verdict::Refuse(it) => (it.reason.to_string(), it.alert),
        };
        let told = |it: Alert| {
            let text = self.rules.rule(it.rule).text.to_owned();
            assert!(text.starts_with("[[pattern]] kind = "), "{text}");
            (it.reason.to_string(), it.value, it.threshold)
        };
        let alert = alert.map(told);
        Said { verdict, alert }
    }

    fn verdict(&self, uri: &str, at: u64) -> String {
        self.call(uri, at, None).verdict
    }
}

fn alert(reason: &str, value: u32, threshold: u32) -> Option<(String, u32, u32)> {
    Some((reason.to_owned(), value, threshold))
}

#[test]
fn a_walk_is_seen_though_most_of_it_is_refused_and_its_hit_does_not_leave() {
    let text = tenant(
        "[[pattern]]\nkind = \"prefix_walk\"\ndigits = 6\ncount = 3\nwithin = \"10m\"\nthen = \"refuse\"\n",
    );
    let box_ = Box::new(&text);
    // Nobody is allowed to call these; the last one would be.
    for (n, number) in ["+23276123456", "+25261123456"].iter().enumerate() {
        let said = box_.call(&format!("sip:{number}@gw"), n as u64, None);
        assert_eq!(said.verdict, "destination-not-allowed");
        assert_eq!(said.alert, None);
    }
    let said = box_.call("sip:+442081123456@gw", 2, None);
    assert_eq!(said.verdict, "prefix-walk");
    assert_eq!(said.alert, alert("prefix-walk", 3, 3));
    let said = box_.call("sip:+442081123456@gw", 3, None);
    assert_eq!(
        (said.verdict.as_str(), said.alert),
        ("prefix-walk", None),
        "told once"
    );
    assert_eq!(
        box_.verdict("sip:+442081123457@gw", 4),
        "allow",
        "other digits"
    );
    assert_eq!(box_.verdict("sip:110@gw", 4), "emergency");
    assert_eq!(
        box_.verdict("sip:+442081123456@gw", 700),
        "allow",
        "long ago"
    );
    assert_eq!(box_.counters.live(), 0);
    // In observe mode it goes, and is recorded.
    let box_ = Box::new(&text.replace("plan =", "mode = \"observe\"\nplan ="));
    for number in ["+23276123456", "+25261123456"] {
        box_.verdict(&format!("sip:{number}@gw"), 1);
    }
    assert_eq!(
        box_.verdict("sip:+442081123456@gw", 2),
        "observed prefix-walk"
    );
}

#[test]
fn short_calls_to_one_range_are_seen_when_they_have_ended() {
    let box_ = Box::new(&tenant(
        "[[pattern]]\nkind = \"short_calls\"\nshorter_than = \"40s\"\ncount = 2\n\
         [[pattern]]\nkind = \"short_calls\"\nshorter_than = \"40s\"\ncount = 3\nthen = \"refuse\"\n",
    ));
    let range = |n: u64| format!("sip:+44208123{n:04}@gw");
    assert_eq!(box_.call(&range(1), 0, None).alert, None, "not answered");
    assert_eq!(box_.call(&range(2), 1, Some(40)).alert, None, "not short");
    assert_eq!(box_.call(&range(3), 2, Some(30)).alert, None);
    assert_eq!(box_.call(&range(4), 3, Some(0)).alert, None);
    let said = box_.call(&range(5), 4, Some(39));
    assert_eq!(
        (said.verdict.as_str(), said.alert),
        ("allow", alert("short-calls", 2, 2))
    );
    let said = box_.call(&range(6), 5, Some(30));
    assert_eq!(
        (said.verdict.as_str(), said.alert),
        ("short-calls", alert("short-calls", 3, 3))
    );
    assert_eq!(box_.verdict("sip:+442081240001@gw", 6), "allow");
    assert_eq!(box_.counters.live(), 0);
}

#[test]
fn a_country_that_was_never_called_is_told_and_limited_at_first() {
    let box_ = Box::new(&tenant(
        "[[pattern]]\nkind = \"new_country\"\nknown = [\"us\"]\n\
         [[pattern]]\nkind = \"new_country\"\nknown = [\"us\"]\ncount = 3\nthen = \"refuse\"\n",
    ));
    for uri in [TOKYO, "sip:+12125551234@gw", "sip:+23276123456@gw"] {
        assert_eq!(
            box_.call(uri, 0, None).alert,
            None,
            "home, known, or not allowed"
        );
    }
    let said = box_.call(LONDON, 1, None);
    assert_eq!(
        (said.verdict.as_str(), said.alert),
        ("allow", alert("new-country", 1, 1))
    );
    assert_eq!(box_.verdict(LONDON, 2), "allow");
    assert_eq!(box_.verdict(LONDON, 3), "new-country");
    assert_eq!(
        box_.call("sip:+33140205050@gw", 4, None).alert,
        alert("new-country", 1, 1)
    );
    let tomorrow = 86_401;
    let said = box_.call(LONDON, tomorrow, None);
    assert_eq!((said.verdict.as_str(), said.alert), ("allow", None));
}

#[test]
fn a_burst_outside_hours_is_one_only_then_and_there() {
    let box_ = Box::new(&tenant(&format!(
        "[[pattern]]\nkind = \"burst\"\nwhen = \"outside office\"\non = \"international\"\n\
         count = 3\nwithin = \"5m\"\nthen = \"refuse\"\n{OFFICE}"
    )));
    // Noon on a Sunday.
    for at in 0..5 {
        assert_eq!(box_.verdict(TOKYO, at), "allow");
    }
    assert_eq!(
        [box_.verdict(LONDON, 6), box_.verdict(LONDON, 7)],
        ["allow"; 2]
    );
    assert_eq!(box_.call(LONDON, 8, None).alert, alert("burst", 3, 3));
    assert_eq!(box_.verdict(LONDON, 9), "burst");
    // Monday at ten.
    let monday = 22 * 3_600;
    for at in 0..5 {
        assert_eq!(box_.verdict(LONDON, monday + at), "allow");
    }
}

#[test]
fn a_source_that_is_refused_often_is_refused_for_a_while() {
    let box_ = Box::new(&tenant(
        "[caps]\ncalls_per_second = 2\n\
         [[pattern]]\nkind = \"refusals\"\ncount = 3\nwithin = \"1m\"\nthen = \"refuse\"\n",
    ));
    let from = |host, uri: &str, at| box_.call_from([127, 0, 0, host], uri, at, None);
    assert_eq!(
        from(3, "sip:*01023276123456@gw", 0).verdict,
        "no-single-meaning"
    );
    assert_eq!(
        from(3, "sip:+23276123456@gw", 1).verdict,
        "destination-not-allowed"
    );
    assert_eq!(from(3, LONDON, 2).verdict, "allow");
    assert_eq!(from(3, LONDON, 2).verdict, "allow");
    // By a cap, the third: told at once.
    let said = from(3, LONDON, 2);
    assert_eq!(said.verdict, "calls-per-second");
    assert_eq!(said.alert, alert("many-refusals", 3, 3));
    assert_eq!(from(3, LONDON, 5).verdict, "many-refusals");
    assert_eq!(from(4, LONDON, 5).verdict, "allow", "another source");
    assert_eq!(from(3, "sip:119@gw", 5).verdict, "emergency");
    // What the pattern itself refuses does not prolong it.
    assert_eq!(from(3, LONDON, 59).verdict, "many-refusals");
    assert_eq!(from(3, LONDON, 60).verdict, "allow");
}

#[test]
fn a_reload_forgets_no_pattern() {
    let text =
        tenant("[[pattern]]\nkind = \"prefix_walk\"\ndigits = 6\ncount = 3\nthen = \"refuse\"\n");
    let mut box_ = Box::new(&text);
    box_.verdict("sip:+23276123456@gw", 0);
    box_.verdict("sip:+25261123456@gw", 1);
    box_.reload(&text);
    assert_eq!(box_.verdict("sip:+442081123456@gw", 2), "prefix-walk");
}

const STRANGER: &str = "<sip:+442081119999@pbx>;tag=1";

#[test]
fn a_forwarded_call_is_the_number_s_that_forwards_it() {
    let judged = |how: &str, by: &[&str]| {
        let text = tenant("[[cap]]\non = \"caller\"\ncalls_at_once = 1\n");
        let box_ = Box::new(&text.replace(
            "otherwise = \"replace\"",
            &format!("otherwise = \"replace\"\n{how}"),
        ));
        let by: Vec<NameAddr<'_>> = by
            .iter()
            .map(|it| NameAddr::parse(it.as_bytes()).unwrap())
            .collect();
        let facts = Facts {
            forwarded_by: &by,
            ..facts(LONDON, STRANGER)
        };
        let said = match box_.rules.judge(&facts, now(0)) {
            Verdict::Allow(it) => {
                let caller = it.permit.caller;
                // The number that forwards has its one place under its cap.
                let own = super::facts(LONDON, "<sip:0335570042@pbx>");
                let own = box_.rules.judge(&own, now(0));
                let held = box_.shown(own, 0) == "calls-at-once";
                it.hold.release(now(1));
                let by = caller.forwarded_by().map(|it| it.to_string());
                format!(
                    "{} {} {} {held}",
                    caller.number,
                    caller.replaced,
                    by.unwrap_or_default()
                )
            }
            Verdict::Refuse(it) => {
                let rule = box_.rules.rule(it.rule.unwrap());
                format!("{} {}", it.reason, rule.text)
            }
            Verdict::Emergency(_) => panic!("no emergency"),
        };
        assert_eq!(box_.counters.leaked(), 0, "{how}");
        said
    };
    let own = [
        "<sip:+445555@x>",
        "<sip:0335570042@pbx>;reason=unconditional",
    ];
    let default = "+81335570000 true  false";
    assert_eq!(judged("", &own), default);
    assert_eq!(
        judged("forwarded = \"replace\"", &own),
        "+81335570042 true  true"
    );
    assert_eq!(
        judged("forwarded = \"keep\"", &own),
        "+442081119999 false +81335570042 true"
    );
    let refused = "call-forwarded [callers] forwarded = \"refuse\"";
    assert_eq!(judged("forwarded = \"refuse\"", &own), refused);
    // Nobody here forwarded it.
    for how in ["replace", "keep", "refuse"] {
        let how = format!("forwarded = \"{how}\"");
        assert_eq!(judged(&how, &["<sip:+442081119999@x>"]), default, "{how}");
    }
}

#[test]
fn an_emergency_shows_a_number_of_the_tenant_s_whoever_calls() {
    let keep = tenant("").replace(
        "otherwise = \"replace\"",
        "otherwise = \"replace\"\nforwarded = \"keep\"",
    );
    let box_ = Box::new(&keep);
    let by = [NameAddr::parse(b"<sip:0335570042@pbx>").unwrap()];
    let facts = Facts {
        forwarded_by: &by,
        ..facts("sip:119@gw", STRANGER)
    };
    let permit = box_.permit(&facts);
    assert_eq!(permit.caller.number.to_string(), "+81335570042");
    assert_eq!(
        (permit.caller.replaced, permit.caller.forwarded_by()),
        (true, None)
    );
}
