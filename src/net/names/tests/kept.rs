//! What is kept of a name, and for how long.

use super::*;
use crate::policy::samples;
use crate::policy::samples::{MAIN, tenant};

fn located(last: u8, priority: u16) -> Located {
    Located {
        priority,
        weight: 0,
        transport: Transport::Udp,
        address: SocketAddr::new([192, 0, 2, last].into(), 5060),
    }
}

fn found(lasts: &[u8]) -> Result<Outcome, Nowhere> {
    Ok(Outcome {
        ways: lasts.iter().map(|it| located(*it, 0)).collect(),
        holds: Duration::from_secs(60),
        ..Outcome::default()
    })
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::from_nanos(1) + Duration::from_secs(seconds),
        wall: Wall::from_micros(1),
    }
}

fn earlier(known: &Known) -> Vec<String> {
    known.earlier.iter().map(|it| it.0.to_string()).collect()
}

#[test]
fn failures_leave_the_last_answer_and_are_tried_again_ever_more_seldom() {
    let mut known = Known::default();
    assert!(known.learn("x", found(&[1, 2]), at(0)));
    assert_eq!(known.due, Some(at(60).mono));
    let ways = known.ways.clone();
    let mut next = 60;
    for wait in [5, 10, 20, 40, 60, 60] {
        for nowhere in [Nowhere::NoName, Nowhere::Unasked(Unasked::Silent)]
            .into_iter()
            .take(1)
        {
            assert!(!known.learn("x", Err(nowhere), at(next)));
        }
        assert_eq!(known.due, Some(at(next + wait).mono));
        next += wait;
    }
    assert_eq!(known.ways, ways);
    assert_eq!(known.fault.as_deref(), Some("there is no such name"));
    assert!(!known.learn("x", found(&[2, 1]), at(next)));
    assert_eq!((known.failures, &known.fault), (0, &None));
    for _ in 0..100 {
        known.learn("x", Err(Nowhere::NoAddress), at(next));
    }
    assert_eq!(known.due, Some(at(next + 60).mono));
}

#[test]
fn an_answer_that_is_of_no_use_by_the_rules_leaves_the_last_one() {
    let mut known = Known::default();
    assert!(!known.take_back("x"), "there was none before");
    assert!(known.learn("x", found(&[1]), at(0)));
    assert!(!known.take_back("x"));
    assert!(known.learn("x", found(&[2]), at(60)));
    assert!(known.take_back("x"));
    assert_eq!(known.ways, [located(1, 0)]);
    // It is not even known by that address.
    assert!(earlier(&known).is_empty());
    // It goes on saying so: that is a failure, and nothing changes.
    assert!(!known.learn("x", found(&[2]), at(120)));
    assert_eq!((known.failures, known.fault.as_deref()), (1, Some(USELESS)));
    assert!(!known.learn("x", found(&[1]), at(180)));
    assert_eq!((known.failures, &known.fault), (0, &None));
    assert!(known.learn("x", found(&[3]), at(240)));
    assert_eq!(known.ways, [located(3, 0)]);
}

#[test]
fn what_is_beyond_the_places_of_a_carrier_is_counted() {
    let mut known = Known::default();
    assert!(known.learn("x", found(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), at(0)));
    assert_eq!((known.ways.len(), known.beyond), (GATEWAYS_PER_CARRIER, 2));
    assert!(known.learn("x", found(&[1]), at(60)));
    assert_eq!(known.beyond, 0);
}

#[test]
fn the_same_answer_in_another_order_changes_nothing() {
    let mut known = Known::default();
    assert!(known.learn("x", found(&[1, 2]), at(0)));
    assert!(!known.learn("x", found(&[2, 1, 2]), at(60)));
}

#[test]
fn what_could_not_be_asked_is_as_it_was() {
    let mut known = Known::default();
    let ways = vec![located(1, 0), located(2, 1)];
    let whole = Outcome {
        ways: ways.clone(),
        ..Outcome::default()
    };
    assert!(known.learn("x", Ok(whole), at(0)));
    let part = |last: u8| Outcome {
        ways: vec![located(last, 0)],
        holds: Duration::from_secs(600),
        open: vec![rank(&located(2, 1))],
        missing: Some(Unasked::Silent),
        beyond: 0,
    };
    assert!(!known.learn("x", Ok(part(1)), at(60)));
    assert_eq!(known.ways, ways);
    assert_eq!(known.due, Some(at(65).mono));
    // The rest is followed.
    assert!(known.learn("x", Ok(part(3)), at(120)));
    assert_eq!(known.ways, [located(3, 0), located(2, 1)]);
}

#[test]
fn where_a_name_led_is_remembered_for_a_day_and_not_without_end() {
    let mut known = Known::default();
    known.learn("x", found(&[1]), at(0));
    assert!(known.learn("x", found(&[2]), at(60)));
    assert_eq!(earlier(&known), ["192.0.2.1"]);
    assert!(known.learn("x", found(&[1]), at(120)));
    assert_eq!(earlier(&known), ["192.0.2.2"]);
    assert!(!known.learn("x", found(&[1]), at(86_000)));
    // What is forgotten is another answer, too.
    assert!(known.learn("x", Err(Nowhere::NoName), at(86_521)));
    assert!(earlier(&known).is_empty());
    for last in 0..200 {
        known.learn("x", found(&[last]), at(86_600));
    }
    assert_eq!(known.earlier.len(), NAME_EARLIER);
    assert!(earlier(&known).contains(&"192.0.2.198".to_owned()));
}

fn rules(server: &Server, name: &str) -> Wants {
    let main = MAIN.replace("udp:127.0.0.2:5070", name);
    let resolver = format!(
        "[resolver]\nservers = [\"{}\"]\ntimeout = \"1s\"\n",
        server.address
    );
    let rules = samples::rules(&format!("{main}{resolver}"), &tenant("127.0.0.3", ""));
    rules.wants().clone()
}

fn until(what: impl Fn() -> bool) {
    let end = clock::mono() + Duration::from_secs(15);
    while !what() {
        assert!(clock::mono() < end, "it did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_followed_and_a_dead_server_changes_nothing() {
    const SERVICE: &str = "_sip._udp.sip.example.net";
    let server = Server::new();
    server.has([
        srv(SERVICE, 1, [0, 0, 5060], "a.example.net"),
        a("a.example.net", 1, [192, 0, 2, 1]),
    ]);
    let names = Names::start(&Answers::default(), clock::now()).unwrap();
    let changes = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&changes);
    names.when_changed(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let rules = rules(&server, "udp:sip.example.net");
    names.follow(rules.clone(), false);
    names.settle(&rules, Duration::from_secs(10));
    let leads = |last: u8| {
        let answers = names.answers();
        let answer = answers.get("udp:sip.example.net");
        answer.is_some_and(|it| *it.ways == [located(last, 0)])
    };
    assert!(leads(1));
    server.has([a("a.example.net", 1, [192, 0, 2, 2])]);
    until(|| leads(2));
    // Once at first.
    until(|| changes.load(Ordering::Relaxed) == 3);
    let answers = names.answers();
    let earlier = &answers.get("udp:sip.example.net").unwrap().earlier;
    assert_eq!(**earlier, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    // The server dies; a reload has it asked at once.
    drop(server);
    names.follow(rules.clone(), true);
    until(|| names.lookups()[0].failures > 0);
    assert!(leads(2) && names.lookups()[0].fault.is_some());
    assert_eq!(changes.load(Ordering::Relaxed), 3);
    // So does what a life before knew.
    let heir = Names::start(&answers, clock::now()).unwrap();
    heir.follow(rules.clone(), false);
    let began = clock::mono();
    heir.settle(&rules, Duration::from_secs(10));
    assert!(clock::mono().saturating_since(began) < Duration::from_secs(1));
    assert!(heir.answers() == answers);
    heir.finish();
    names.finish();
}

#[test]
fn without_an_answer_nobody_waits_for_long() {
    let server = Server::new();
    server.says("_sip._udp.sip.example.net", SRV, Says::Silence);
    let names = Names::start(&Answers::default(), clock::now()).unwrap();
    let rules = rules(&server, "udp:sip.example.net");
    names.follow(rules.clone(), false);
    let began = clock::mono();
    names.settle(&rules, Duration::from_millis(300));
    assert!(clock::mono().saturating_since(began) < Duration::from_secs(1));
    assert!(names.answers() == Answers::default());
    names.finish();
}
