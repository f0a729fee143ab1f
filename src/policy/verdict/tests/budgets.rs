//! Budgets on what any cap can be on, and those that are only tried out.

use super::*;
use crate::policy::{Course, Money, Quantity, Renewal};

const NEW_YORK: &str = "sip:+12125551234@gw";
const OTHER: &str = "<sip:0335570013@pbx>;tag=1";
const HOUR: u64 = 3_600;
const OFFICE: &str = "[hours.office]\nmon-fri = \"08:00-19:00\"\n";

/// Calls cost 100 each, and in London 60 a minute, too.
fn with(caps: &str) -> Box {
    let counters = Counters::new();
    let tenant = ACME.replace("plan = \"jp\"", "plan = \"jp\"\ntariff = \"carrier\"");
    let at = tenant.find("[[cap]]").unwrap();
    let tenant = format!("{}{caps}{OFFICE}", &tenant[..at]).replace("calls_at_once = 3", "");
    let tariff = Source {
        name: "x/carrier.csv".to_owned(),
        text: "destination,setup,per_minute,first_pulse,next_pulse,currency\n\
               jp,100,0,60,60,JPY\nus,100,0,60,60,JPY\ngb,100,60,1,1,JPY\n"
            .to_owned(),
    };
    let rules = set_with(&counters, &[&tenant], vec![tariff]);
    Box { counters, rules }
}

/// What a call to New York holds, in units.
fn price() -> u64 {
    let it = with("[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 1000000\"\n");
    let call = allowed(it.judge(NEW_YORK, 0));
    let money = call.lease.unwrap().reserved.money;
    call.hold.release(now(0));
    money.millionths() / 1_000_000
}

/// A `[[cap]]` whose budget has room for so many calls to New York.
fn for_calls(count: u64, keys: &str) -> String {
    let limit = price() * count;
    format!("[[cap]]\n{keys}\nmoney_per_day = \"JPY {limit}\"\n")
}

impl Box {
    /// Whether a call is let in, which is then held in `calls`.
    fn holds(
        &self,
        calls: &mut Vec<Allowed>,
        uri: &str,
        from: &str,
        at: u64,
    ) -> Result<(), Reason> {
        match self.rules.judge(&facts(uri, from), now(at)) {
            Verdict::Allow(call) => calls.push(call),
            Verdict::Refuse(refused) => return Err(refused.reason),
            Verdict::Emergency(_) => panic!("{uri}"),
        }
        Ok(())
    }

    fn is_left_empty(&self, calls: Vec<Allowed>) {
        assert_ne!(self.counters.live(), 0);
        calls.into_iter().for_each(|it| it.hold.release(now(0)));
        assert_eq!(self.counters.live(), 0);
    }
}

const SPENT: Result<(), Reason> = Err(Reason::BudgetSpent);

#[test]
fn a_budget_is_of_what_its_cap_is_on() {
    let it = with(&for_calls(1, "on = [\"caller\", \"us\"]"));
    let mut calls = Vec::new();
    let mut call = |uri, from| it.holds(&mut calls, uri, from, 0);
    assert_eq!(call(NEW_YORK, OWN), Ok(()));
    assert_eq!(call(NEW_YORK, OWN), SPENT);
    assert_eq!(call(NEW_YORK, OTHER), Ok(()), "another's");
    assert_eq!(call(NEW_YORK, OTHER), SPENT);
    assert_eq!(call(LONDON, OWN), Ok(()), "elsewhere");
    it.is_left_empty(calls);
}

#[test]
fn a_budget_of_some_hours_is_of_what_was_let_in_then() {
    let it = with(&for_calls(
        1,
        "on = \"international\"\nwhen = \"outside office\"",
    ));
    let mut calls = Vec::new();
    // Sunday at noon, then Monday at nine and at 20.
    assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, 0), Ok(()));
    assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, 1), SPENT);
    for _ in 0..3 {
        assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, 21 * HOUR), Ok(()));
    }
    // A call stays under the budget that it was let in under, and under no other.
    let course = |at| Course::new(now(at), Duration::ZERO, Duration::from_secs(180));
    let renewed = |call: &Allowed, began, at| it.rules.renew(&call.hold, &course(began), now(at));
    let first = calls.remove(0);
    let again = renewed(&first, 0, 21 * HOUR);
    assert!(matches!(again, Renewal::Granted(_)), "{again:?}");
    let evening = 32 * HOUR;
    assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, evening), SPENT);
    let free = renewed(&calls[0], 21 * HOUR, evening);
    assert_eq!((calls[0].lease, free), (None, Renewal::Free));
    first.hold.release(now(evening));
    assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, evening), Ok(()));
    assert_eq!(it.holds(&mut calls, NEW_YORK, OWN, evening), SPENT);
    it.is_left_empty(calls);
}

#[test]
fn a_budget_that_is_tried_out_refuses_nothing_and_tells() {
    let tried = for_calls(1, "on = \"us\"\nmode = \"observe\"");
    let it = with(&(tried + &for_calls(3, "on = \"us\"")));
    let mut calls = Vec::new();
    let mut call = || it.holds(&mut calls, NEW_YORK, OWN, 0);
    assert_eq!(
        [call(), call(), call(), call()],
        [Ok(()), Ok(()), Ok(()), SPENT]
    );
    let told: Vec<_> = calls
        .iter()
        .map(|it| it.observed.map(|it| it.reason))
        .collect();
    let spent = Some(Reason::BudgetSpent);
    assert_eq!(told, [None, spent, spent]);
    let rule = it.rules.rule(calls[1].observed.unwrap().rule.unwrap());
    let text = format!(
        "[[cap]] on \"us\" money_per_day = \"JPY {}\" mode = \"observe\"",
        price()
    );
    assert_eq!(rule.text, text);
    it.is_left_empty(calls);
}

#[test]
fn a_budget_that_is_tried_out_hangs_up_nothing() {
    for (mode, hangs_up) in [("mode = \"observe\"\n", false), ("", true)] {
        let it = with(&format!(
            "[[cap]]\non = \"gb\"\n{mode}money_per_day = \"JPY 600\"\n"
        ));
        let call = allowed(it.judge(LONDON, 0));
        let mut course = Course::new(now(0), Duration::ZERO, call.lease.unwrap().interval);
        course.answered(Course::OWN, now(0), Some(call.lease.unwrap().interval));
        let later = it.rules.renew(&call.hold, &course, now(HOUR));
        match later {
            Renewal::Refused(it) => assert!(hangs_up && it.reason == Reason::BudgetSpent),
            Renewal::Over(_, it) => assert!(!hangs_up && it.reason == Reason::BudgetSpent),
            other => panic!("{other:?}"),
        }
        it.is_left_empty(vec![call]);
    }
}

#[test]
fn an_answer_of_which_only_the_bye_was_seen_is_billed_from_when_it_may_have_come() {
    // The 200 is repeated for 32 s, and the BYE that follows it for as long.
    for (heard_at, least) in [(10, 110), (64, 164), (500, 164)] {
        let it = with("[budget]\nper_day = \"JPY 100000\"\n");
        let call = allowed(it.judge(LONDON, 0));
        let ring = Duration::from_secs(60);
        let mut course = Course::new(now(0), ring, call.lease.unwrap().interval);
        course.overtaken(1, now(heard_at));
        course.ended(1, now(heard_at).mono);
        course.close();
        let cost = it
            .rules
            .settle(&call.hold, &course, Money::ZERO, now(heard_at));
        let cost = cost.cost.unwrap().money.millionths() / 1_000_000;
        assert!((least..least + 5).contains(&cost), "{heard_at}: {cost}");
        it.is_left_empty(vec![call]);
    }
}

#[test]
fn a_standing_tells_of_live_calls_and_of_budgets() {
    let all = "[budget]\nper_month = \"JPY 100000\"\n";
    let some = "[[cap]]\non = \"us\"\nmoney_per_day = \"JPY 9000\"\n";
    let each = "[[cap]]\non = \"caller\"\nmoney_per_day = \"JPY 9000\"\n";
    let it = with(&[all, some, each].concat());
    let id = it.rules.tenant_named("acme").unwrap();
    let standing = || it.rules.standing(id, now(0)).unwrap();
    assert!(standing().is_idle());
    let call = allowed(it.judge(NEW_YORK, 0));
    let now_up = standing();
    assert!(!now_up.is_idle());
    assert_eq!((now_up.calls, now_up.spent.len()), (1, 2));
    let (spent, narrow) = (now_up.spent[0], now_up.spent[1]);
    assert!(spent.own && !narrow.own);
    let text = it.rules.rule(narrow.rule).text;
    assert!(text.starts_with("[[cap]] on \"us\""), "{text}");
    assert_eq!(
        (narrow.quantity, narrow.used),
        (Quantity::MoneyPerDay, spent.used)
    );
    assert_eq!(spent.limit, Money::from_millionths(100_000_000_000));
    assert_eq!(spent.quantity, Quantity::MoneyPerMonth);
    assert_eq!(spent.currency.as_str(), "JPY");
    assert_eq!(spent.used.held.millionths(), price() * 1_000_000);
    call.hold.release(now(0));
    assert_eq!(standing().calls, 0);
}
