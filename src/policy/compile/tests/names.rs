//! Carriers that are reached by a name.

use std::net::IpAddr;

use super::*;
use crate::base::flow::{ListenerId, Transport};
use crate::policy::carrier::LeftOut;
use crate::policy::names::{Answer, Located, Resolver};
use crate::policy::ruleset::{CarrierId, Peer, TenantId};

const NAMED: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:SIP.example.net"
"#;

fn located(address: &str, priority: u16) -> Located {
    Located {
        priority,
        weight: 0,
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    }
}

fn answer(ways: &[Located], earlier: &[&str]) -> Answer {
    let earlier = earlier.iter().map(|it| it.parse().unwrap());
    Answer {
        ways: ways.into(),
        earlier: earlier.collect(),
    }
}

fn answers(name: &str, answer: Answer) -> Answers {
    [(Arc::from(name), answer)].into_iter().collect()
}

fn with(main: &str, answers: &Answers) -> RuleSet {
    let zones = TimeZoneDatabase::bundled();
    let sources = sources(main, &[TENANT]);
    let counters = Counters::new();
    compile_with(&sources, Options::default(), &zones, (&counters, answers)).unwrap()
}

fn peer(set: &RuleSet, ip: &str) -> Option<Peer> {
    set.peer(ListenerId(0), ip.parse::<IpAddr>().unwrap())
}

fn gateways(set: &RuleSet) -> Vec<String> {
    let gateways = set.carriers()[0].gateways.iter();
    gateways.map(|it| it.address.to_string()).collect()
}

const UPSTREAM: Option<Peer> = Some(Peer::Carrier(CarrierId(0)));

#[test]
fn a_name_without_an_answer_is_a_carrier_without_gateways() {
    let set = with(NAMED, &Answers::default());
    assert!(gateways(&set).is_empty());
    let [wanted] = set.wants().names.as_slice() else {
        panic!("{:?}", set.wants().names)
    };
    assert_eq!(
        (&*wanted.text, &*wanted.host),
        ("udp:sip.example.net", "sip.example.net")
    );
    assert_eq!(
        (wanted.transport, wanted.port),
        (Some(Transport::Udp), None)
    );
    assert!(wanted.v4 && !wanted.v6);
    assert_eq!(&*set.carriers()[0].host, "sip.example.net");
    assert_eq!(set.warnings().len(), 1, "{:?}", set.warnings());
    assert!(set.warnings()[0].title.contains("whoever answers for"));
    assert!(set.warnings()[0].help.as_ref().unwrap().contains("sources"));
}

#[test]
fn what_a_name_leads_to_is_the_carrier_s_source() {
    let answer = answer(
        &[located("192.0.2.2:5080", 10), located("192.0.2.1:5060", 5)],
        &["192.0.2.9"],
    );
    let answers = answers("udp:sip.example.net", answer);
    let set = with(NAMED, &answers);
    assert_eq!(gateways(&set), ["192.0.2.1:5060", "192.0.2.2:5080"]);
    for ip in ["192.0.2.1", "192.0.2.2", "192.0.2.9"] {
        assert_eq!(peer(&set, ip), UPSTREAM, "{ip}");
    }
    assert_eq!(peer(&set, "192.0.2.3"), None);
    // What it leads to is no part of what the rules say.
    let without = with(NAMED, &Answers::default());
    assert_eq!(set.hash(), without.hash());
    assert!(!set.has_peers_of(&without));
    assert!(set.goes_by(&answers) && !without.goes_by(&answers));
}

#[test]
fn no_answer_leads_beyond_the_sources() {
    let main = format!("{NAMED}sources = [\"192.0.2.0/28\"]\n");
    let ways = [located("192.0.2.1:5060", 0), located("192.0.2.99:5060", 0)];
    let answers = answers("udp:sip.example.net", answer(&ways, &["192.0.2.98"]));
    let set = with(&main, &answers);
    assert_eq!(gateways(&set), ["192.0.2.1:5060"]);
    let left_out = &set.carriers()[0].left_out;
    assert_eq!(
        **left_out,
        [("192.0.2.99:5060".parse().unwrap(), LeftOut::NotIts)]
    );
    assert_eq!(peer(&set, "192.0.2.5"), UPSTREAM);
    assert_eq!(peer(&set, "192.0.2.98"), None);
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
}

#[test]
fn no_answer_makes_a_carrier_of_a_phone_system() {
    let ways = [located("127.0.0.3:5060", 0), located("192.0.2.1:5060", 1)];
    let answers = answers("udp:sip.example.net", answer(&ways, &["127.0.0.3"]));
    let set = with(NAMED, &answers);
    assert_eq!(peer(&set, "127.0.0.3"), Some(Peer::Tenant(TenantId(0))));
    assert_eq!(gateways(&set), ["192.0.2.1:5060"]);
    assert_eq!(set.carriers()[0].left_out[0].1, LeftOut::NotIts);
}

#[test]
fn two_names_that_lead_to_one_address_are_one_carrier_s() {
    let main = format!("{NAMED}[[carrier]]\nname = \"b\"\naddress = \"udp:b.example.net\"\n");
    let same = || answer(&[located("192.0.2.1:5060", 0)], &[]);
    let names = ["udp:sip.example.net", "udp:b.example.net"];
    let answers = names.map(|it| (Arc::from(it), same()));
    let set = with(&main, &answers.into_iter().collect());
    assert_eq!(peer(&set, "192.0.2.1"), UPSTREAM);
    assert_eq!(set.carriers()[1].left_out[0].1, LeftOut::NotIts);
    assert!(set.carriers()[1].gateways.is_empty());
}

#[test]
fn answers_that_are_of_no_use_are_left_out() {
    let ways = [
        ("0.0.0.0:5060", LeftOut::Nobody),
        ("224.0.0.1:5060", LeftOut::Nobody),
        ("255.255.255.255:5060", LeftOut::Nobody),
        ("192.0.2.1:0", LeftOut::Nobody),
        ("127.0.0.1:5060", LeftOut::Own),
        ("[2001:db8::1]:5060", LeftOut::NoListener),
    ];
    let found: Vec<Located> = ways.iter().map(|it| located(it.0, 0)).collect();
    let set = with(NAMED, &answers("udp:sip.example.net", answer(&found, &[])));
    assert!(gateways(&set).is_empty());
    let left_out = set.carriers()[0].left_out.iter();
    let left_out: Vec<_> = left_out.map(|(at, why)| (at.to_string(), *why)).collect();
    let expected: Vec<_> = ways.iter().map(|it| (it.0.to_owned(), it.1)).collect();
    assert_eq!(left_out, expected);
    // Nor is an answer of any size.
    let many: Vec<Located> = (0..200)
        .map(|at| located(&format!("192.0.2.{at}:5060"), at))
        .collect();
    let set = with(NAMED, &answers("udp:sip.example.net", answer(&many, &[])));
    assert_eq!(
        gateways(&set).len(),
        crate::base::limits::GATEWAYS_PER_CARRIER
    );
}

#[test]
fn a_name_s_certificate_is_for_the_name() {
    let tls = NAMED.replace("\"udp:", "\"tls:").replace(
        "127.0.0.1:5060\"",
        "127.0.0.1:5061\"\ncertificate = \"c\"\nkey = \"k\"",
    );
    let set = with(&tls, &Answers::default());
    assert_eq!(set.tls().peers[&UPSTREAM.unwrap()].name, "sip.example.net");
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    // Without a transport an answer could take the encryption away.
    let any = tls.replace("tls:SIP", "SIP");
    let set = with(&any, &Answers::default());
    assert_eq!(set.wants().names[0].over.as_slice(), [Transport::Tls]);
    assert_eq!(set.wants().names[0].transport, None);
    assert!(set.warnings()[0].title.contains("encrypted"));
}

#[test]
fn faults_of_names_are_told() {
    let fault = |main: &str| {
        let found = shown(compiled(&sources(main, &[TENANT]), false));
        let mut errors = found.into_iter().filter(|it| it.contains(" error "));
        errors.next().unwrap()
    };
    let replaced = |to: &str| fault(&NAMED.replace("udp:SIP.example.net", to));
    assert_has(
        &replaced("udp:-a.example.net"),
        &["is no address", "domain name"],
    );
    assert_has(
        &replaced("tcp:sip.example.net"),
        &["no listener can reach this name over TCP"],
    );
    assert_has(&replaced("upd:sip.example.net"), &["is no address"]);
    let twice =
        format!("{NAMED}[[carrier]]\nname = \"b\"\naddress = \"udp:sip.example.net:5070\"\n");
    assert_has(&fault(&twice), &["two carriers are at `sip.example.net`"]);
    let large = format!("{NAMED}large_over_tcp = true\n");
    assert_has(
        &fault(&large),
        &["no listener can reach this name over TCP"],
    );
    let other = format!("{NAMED}listener = \"udp:127.0.0.9:5060\"\n");
    assert_has(&fault(&other), &["there is no listener"]);
}

#[test]
fn who_is_asked_can_be_said() {
    let set = with(NAMED, &Answers::default());
    assert_eq!(set.wants().resolver, Resolver::default());
    let own = "[resolver]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\ntimeout = \"1s\"\n";
    let set = with(&format!("{own}{NAMED}"), &Answers::default());
    let servers: Vec<String> = set
        .wants()
        .resolver
        .servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    assert_eq!(set.wants().resolver.timeout.as_secs(), 1);
    for (wrong, part) in [
        ("servers = [\"dns.example.net\"]", "is no address"),
        ("timeout = \"1h\"", "no duration"),
        ("server = \"192.0.2.53\"", "servers"),
    ] {
        let main = format!("[resolver]\n{wrong}\n{NAMED}");
        let found = shown(compiled(&sources(&main, &[TENANT]), false));
        assert_has(&found[0], &[part]);
    }
}
