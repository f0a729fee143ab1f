//! What has no price does not leave.

use super::*;

/// Nothing for the United States.
const TARIFF: &str = "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
                      jp,0,2.67,180,180,JPY\ngb,0,20,6,6,JPY\nsl,0,350,30,6,JPY\n";
const NEW_YORK: &str = "sip:+12125551234@gw";
const FREETOWN: &str = "sip:+23276123456@gw";
const HAVANA: &str = "sip:+5371234567@gw";

fn with_tariff(change: impl Fn(String) -> String) -> Box {
    let counters = Counters::new();
    let tenant = ACME.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    let tariff = Source {
        name: "x/carrier.csv".to_owned(),
        text: TARIFF.to_owned(),
    };
    let rules = set_with(&counters, &[&change(tenant)], vec![tariff]);
    Box { counters, rules }
}

fn observing(text: String) -> String {
    text.replace("plan =", "mode = \"observe\"\nplan =")
}

#[test]
fn an_allowed_destination_without_a_price_is_refused() {
    let it = with_tariff(|text| text);
    assert_eq!(it.says(TOKYO, 0), "allow");
    assert_eq!(it.says(LONDON, 0), "allow");
    assert_eq!(it.says(NEW_YORK, 0), "no-price");
    assert_eq!(
        it.says(FREETOWN, 0),
        "destination-not-allowed",
        "has a price"
    );
    assert_eq!(it.says("sip:110@gw", 0), "emergency", "is never priced");
    let Verdict::Refuse(refused) = it.judge(NEW_YORK, 0) else {
        panic!("allowed");
    };
    let rule = it.rules.rule(refused.rule.unwrap());
    assert_eq!((rule.line, rule.text), (4, "tariff = \"carrier\""));
    assert_eq!(it.counters.live(), 0);
    let without = Box::new(ACME);
    assert_eq!(without.says(NEW_YORK, 0), "allow", "without a tariff");
}

#[test]
fn what_is_observed_needs_a_price_too() {
    let it = with_tariff(observing);
    assert_eq!(it.says(TOKYO, 0), "allow");
    assert_eq!(it.says(NEW_YORK, 0), "no-price");
    assert_eq!(it.says(FREETOWN, 0), "observed destination-not-allowed");
    assert_eq!(it.says(HAVANA, 0), "no-price", "neither allowed nor priced");
    assert_eq!(it.says("sip:110@gw", 0), "emergency");
    let decided = it.rules.decide(&facts(NEW_YORK, OWN));
    assert!(matches!(decided, Decision::Refuse(_, None)), "{decided:?}");

    let it = with_tariff(|text| observing(text).replace("plan =", "unpriced = true\nplan ="));
    assert_eq!(it.says(NEW_YORK, 0), "observed no-price");
    assert_eq!(it.says(HAVANA, 0), "observed destination-not-allowed");
}

#[test]
fn a_number_has_the_price_that_its_call_had() {
    let it = with_tariff(|text| text);
    for (uri, costs) in [
        (TOKYO, Some("8.01")),
        (LONDON, Some("20")),
        (NEW_YORK, None),
    ] {
        let number = match it.rules.decide(&facts(uri, OWN)) {
            Decision::Allow(permit) => permit.number,
            Decision::Refuse(refused, _) => refused.number.unwrap(),
            other @ (Decision::Emergency(_) | Decision::Observe(..)) => panic!("{other:?}"),
        };
        let price = it.rules.price(TenantId(0), &number);
        let costs_then = price.map(|price| price.dearest(60).to_string());
        assert_eq!(costs_then.as_deref(), costs, "{uri}");
    }
    assert_eq!(
        it.rules.tariff(TenantId(0)).unwrap().currency().as_str(),
        "JPY"
    );
}
