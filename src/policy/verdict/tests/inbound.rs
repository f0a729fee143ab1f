//! Calls to the tenant's own numbers that cost it something.

use super::*;
use crate::policy::{Course, Delivered, Money, Renewal};

const PRICED: &str = "sip:+815031110000@gw";
const FREE: &str = "sip:+81335570001@gw";
const STRANGER: &str = "<sip:+442081234567@c>";

/// Calls to the priced number cost 100 and 60 a minute; those to carriers 100.
fn with(inbound: &str, budget: &str) -> Box {
    let counters = Counters::new();
    let tenant = ACME.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"out\"");
    let tenant = tenant.replace("5080\"", &format!("5080\"\ntariff = \"in\"\n{inbound}"));
    let columns = "destination,setup,per_minute,first_pulse,next_pulse,currency";
    let tariff = |name: &str, row: &str| Source {
        name: name.to_owned(),
        text: format!("{columns}\n{row}\n"),
    };
    let tariffs = vec![
        tariff("x/out.csv", "any,100,0,60,60,JPY"),
        tariff("x/in.csv", "jp.ip,100,60,1,1,JPY"),
    ];
    let rules = set_with(&counters, &[&format!("{tenant}{budget}")], tariffs);
    Box { counters, rules }
}

impl Box {
    fn comes(&self, uri: &str, at: u64) -> Result<Delivered, Reason> {
        self.comes_for(uri, 0, at)
    }

    /// The same from a carrier that takes no shorter session.
    fn comes_for(&self, uri: &str, least: u64, at: u64) -> Result<Delivered, Reason> {
        let facts = InboundFacts {
            least_interval: Duration::from_secs(least),
            ..inbound(uri, STRANGER)
        };
        match self
            .rules
            .judge_inbound(&facts, &Blocks::default(), now(at))
        {
            Inbound::Deliver(call) => Ok(call),
            Inbound::Refuse(refused, _) => Err(refused.reason),
        }
    }
}

fn units(money: Money) -> u64 {
    money.millionths() / 1_000_000
}

#[test]
fn what_has_no_row_is_free() {
    let it = with("", "[budget]\nper_day = \"JPY 1\"\n");
    let call = it.comes(FREE, 0).unwrap();
    assert_eq!(call.lease, None);
    let course = Course::inbound(now(0), Duration::ZERO, Duration::ZERO);
    assert_eq!(it.rules.renew(&call.hold, &course, now(60)), Renewal::Free);
    let settled = it.rules.settle(&call.hold, &course, Money::ZERO, now(60));
    assert_eq!(settled.cost, None);
    call.hold.release(now(60));
    assert_eq!(it.comes(PRICED, 0).unwrap_err(), Reason::BudgetSpent);
    assert_eq!(it.counters.live(), 0);
}

#[test]
fn the_budget_is_of_calls_both_ways_and_the_caps_are_not() {
    let it = with("", "[budget]\nper_day = \"JPY 1100\"\n");
    let mut calls = vec![it.comes(PRICED, 0).unwrap(), it.comes(PRICED, 0).unwrap()];
    // Until its ACK, a lease, the teardown, a session, and skew.
    let reserved = calls[0].lease.unwrap().reserved.money;
    assert_eq!(units(reserved), 100 + 32 + 60 + 32 + 180 + 2);
    let out = allowed(it.judge(TOKYO, 0));
    assert_eq!(it.comes(PRICED, 0).unwrap_err(), Reason::BudgetSpent);
    // Three calls are the most at once, but to carriers.
    for _ in 0..3 {
        calls.push(it.comes(FREE, 0).unwrap());
    }
    calls.into_iter().for_each(|call| call.hold.release(now(1)));
    out.hold.release(now(1));
    assert_eq!(it.counters.live(), 0);
}

#[test]
fn calls_from_carriers_have_budgets_of_their_own() {
    for (below, on) in [
        ("money_per_day = \"JPY 400\"\n", "[inbound]"),
        (
            "[[inbound.cap]]\non = \"called\"\nmoney_per_day = \"JPY 400\"\n",
            "[[inbound.cap]] on \"called\"",
        ),
    ] {
        let it = with(below, "");
        let call = it.comes(PRICED, 0).unwrap();
        let facts = inbound(PRICED, STRANGER);
        let Inbound::Refuse(refused, Some(_)) =
            it.rules.judge_inbound(&facts, &Blocks::default(), now(1))
        else {
            panic!("there is no room");
        };
        assert_eq!(refused.reason, Reason::BudgetSpent);
        let text = it.rules.rule(refused.rule.unwrap()).text.to_owned();
        assert_eq!(text, format!("{on} money_per_day = \"JPY 400\""));
        assert_eq!(it.says(TOKYO, 1), "allow", "to carriers");
        call.hold.release(now(2));
        assert_eq!(it.counters.live(), 0);
    }
}

/// The carrier may bill for its session timer when a BYE is lost, and it says how short
/// that can be.
#[test]
fn a_longer_session_that_the_carrier_asks_for_is_reserved() {
    let it = with("", "[budget]\nper_day = \"JPY 1000\"\n");
    let call = it.comes_for(PRICED, 600, 0).unwrap();
    let lease = call.lease.unwrap();
    assert_eq!(lease.interval, Duration::from_secs(600));
    assert!(units(lease.reserved.money) > 100 + 600);
    call.hold.release(now(0));
    assert_eq!(
        it.comes_for(PRICED, 1_800, 0).unwrap_err(),
        Reason::BudgetSpent
    );
}

#[test]
fn what_is_billed_from_the_answer_on_is_booked() {
    let it = with("", "[budget]\nper_day = \"JPY 1000\"\n");
    let call = it.comes(PRICED, 0).unwrap();
    let lease = call.lease.unwrap();
    let mut course = Course::inbound(now(0), Duration::from_secs(60), lease.interval);
    course.answered(Course::OWN, now(20), Some(lease.interval));
    course.close();
    let again = it.rules.renew(&call.hold, &course, now(80));
    assert!(matches!(again, Renewal::Granted(_)), "{again:?}");
    course.ended(Course::OWN, now(90).mono);
    let settled = it.rules.settle(&call.hold, &course, Money::ZERO, now(90));
    // 70 s, and 2 s of skew.
    assert_eq!(units(settled.cost.unwrap().money), 100 + 72);
    assert!(!settled.holds);
    call.hold.release(now(90));
    assert_eq!(it.counters.live(), 0);
}
