use std::sync::atomic::{AtomicU32, Ordering};

use super::locate::Nowhere;
use super::*;
use crate::base::flow::Transport;
use crate::base::limits::{GATEWAYS_PER_CARRIER, NAME_CNAMES, NAME_QUESTIONS, NAME_TTL};
use server::{Says, Server, a, aaaa, cname, naptr, srv};

mod bytes;
mod kept;
mod server;

const NAME: &str = "sip.example.net";
const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// The name as rules write it: with or without a transport and a port.
fn wanted(text: &str) -> Wanted {
    let (transport, rest) = match text.split_once(':') {
        Some(("udp", rest)) => (Some(Transport::Udp), rest),
        Some(("tcp", rest)) => (Some(Transport::Tcp), rest),
        Some(("tls", rest)) => (Some(Transport::Tls), rest),
        _ => (None, text),
    };
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (rest, None),
    };
    let over = [Transport::Tls, Transport::Udp, Transport::Tcp];
    Wanted {
        text: text.into(),
        host: host.into(),
        port,
        transport,
        over: transport.map_or_else(
            || over.into_iter().collect(),
            |it| [it].into_iter().collect(),
        ),
        v4: true,
        v6: false,
    }
}

fn look(server: &Server, wanted: &Wanted) -> Result<Outcome, Nowhere> {
    let end = clock::mono() + Duration::from_secs(3);
    let timeout = Duration::from_millis(200);
    locate(
        wanted,
        &mut Servers::new(vec![server.address], timeout, end),
    )
}

/// Where it leads: "udp 192.0.2.1:5060 priority weight".
fn ways(outcome: &Outcome) -> Vec<String> {
    let shown = outcome.ways.iter().map(|it| {
        let transport = it.transport.scheme();
        format!("{transport} {} {} {}", it.address, it.priority, it.weight)
    });
    shown.collect()
}

fn leads(server: &Server, text: &str) -> Vec<String> {
    ways(&look(server, &wanted(text)).unwrap())
}

#[test]
fn with_a_port_only_addresses_are_asked_for() {
    let server = Server::new();
    server.has([a(NAME, 60, [192, 0, 2, 2]), a(NAME, 60, [192, 0, 2, 1])]);
    server.has([srv("_sip._udp.sip.example.net", 60, [0, 0, 9], NAME)]);
    let found = leads(&server, "udp:sip.example.net:5080");
    assert_eq!(found, ["udp 192.0.2.1:5080 0 0", "udp 192.0.2.2:5080 0 0"]);
    assert_eq!(server.asked(), [(NAME.to_owned(), A)]);
    assert_eq!(leads(&server, "sip.example.net:5080"), found);
}

#[test]
fn without_a_port_srv_decides() {
    let server = Server::new();
    let service = "_sip._udp.sip.example.net";
    server.has([
        srv(service, 60, [20, 0, 5062], "b.example.net"),
        srv(service, 60, [0, 10, 5061], "a.example.net"),
        srv(service, 60, [0, 30, 0], "a.example.net"),
        a("a.example.net", 60, [192, 0, 2, 1]),
        a("b.example.net", 60, [192, 0, 2, 2]),
    ]);
    assert_eq!(
        leads(&server, "udp:sip.example.net"),
        [
            "udp 192.0.2.1:5061 0 10",
            "udp 192.0.2.1:0 0 30",
            "udp 192.0.2.2:5062 20 0"
        ]
    );
    // Nobody asks for NAPTR where the transport is written.
    assert!(server.asked().iter().all(|it| it.1 != NAPTR));
    let secure = "_sips._tcp.sip.example.net";
    server.has([srv(secure, 60, [1, 1, 5071], "a.example.net")]);
    assert_eq!(
        leads(&server, "tls:sip.example.net"),
        ["tls 192.0.2.1:5071 1 1"]
    );
    // Without any record the usual port.
    server.has([a(NAME, 60, [192, 0, 2, 9])]);
    assert_eq!(
        leads(&server, "tcp:sip.example.net"),
        ["tcp 192.0.2.9:5060 0 0"]
    );
}

#[test]
fn without_a_transport_naptr_decides() {
    let server = Server::new();
    server.has([
        naptr(NAME, 60, 30, "SIP+D2U", "_sip._udp.sip.example.net"),
        naptr(NAME, 60, 20, "SIPS+D2T", "_sips._tcp.elsewhere.example.net"),
        naptr(NAME, 60, 10, "E2U+sip", "_sip._udp.enum.example.net"),
        srv(
            "_sip._udp.sip.example.net",
            60,
            [0, 0, 5060],
            "a.example.net",
        ),
        srv(
            "_sips._tcp.elsewhere.example.net",
            60,
            [0, 0, 5061],
            "a.example.net",
        ),
        a("a.example.net", 60, [192, 0, 2, 1]),
    ]);
    assert_eq!(leads(&server, NAME), ["tls 192.0.2.1:5061 0 0"]);
    // What no listener speaks is passed over.
    let mut plain = wanted(NAME);
    plain.over.retain(|it| *it == Transport::Udp);
    let found = ways(&look(&server, &plain).unwrap());
    assert_eq!(found, ["udp 192.0.2.1:5060 0 0"]);
    // What leads nowhere, too.
    server.says("_sips._tcp.elsewhere.example.net", SRV, Says::Code(3));
    assert_eq!(leads(&server, NAME), ["udp 192.0.2.1:5060 0 0"]);
    // Without NAPTR each transport is asked for; without SRV it is datagrams.
    server.says(NAME, NAPTR, Says::Code(3));
    assert_eq!(leads(&server, NAME), ["udp 192.0.2.1:5060 0 0"]);
    server.says("_sip._udp.sip.example.net", SRV, Says::Code(3));
    server.has([a(NAME, 60, [192, 0, 2, 7])]);
    assert_eq!(leads(&server, NAME), ["udp 192.0.2.7:5060 0 0"]);
}

#[test]
fn whoever_hides_an_answer_takes_no_encryption_away() {
    let server = Server::new();
    server.has([a(NAME, 60, [192, 0, 2, 1])]);
    for says in [Says::Silence, Says::Code(2), Says::Rubbish] {
        server.says(NAME, NAPTR, says);
        let nowhere = look(&server, &wanted(NAME)).unwrap_err();
        assert!(matches!(nowhere, Nowhere::Unasked(_)), "{nowhere:?}");
    }
}

#[test]
fn cnames_are_followed_but_not_for_ever() {
    let server = Server::new();
    let at = "udp:sip.example.net:5060";
    // All in one answer.
    let chain = |last: usize| (0..last).map(|it| cname(&host(it), 60, &host(it + 1)));
    fn host(at: usize) -> String {
        match at {
            0 => NAME.to_owned(),
            _ => format!("h{at}.example.net"),
        }
    }
    let mut records: Vec<_> = chain(NAME_CNAMES).collect();
    records.push(a(&host(NAME_CNAMES), 60, [192, 0, 2, 1]));
    server.says(NAME, A, Says::Records(records));
    assert_eq!(leads(&server, at), ["udp 192.0.2.1:5060 0 0"]);
    let mut records: Vec<_> = chain(NAME_CNAMES + 1).collect();
    records.push(a(&host(NAME_CNAMES + 1), 60, [192, 0, 2, 1]));
    server.says(NAME, A, Says::Records(records));
    assert!(look(&server, &wanted(at)).is_err());
    // One an answer.
    server.says(
        NAME,
        A,
        Says::Records(vec![cname(NAME, 60, "b.example.net")]),
    );
    server.has([a("B.example.NET", 60, [192, 0, 2, 3])]);
    assert_eq!(leads(&server, at), ["udp 192.0.2.3:5060 0 0"]);
    // Round and round, in one answer or in several.
    let back = cname("b.example.net", 60, NAME);
    let there = cname(NAME, 60, "b.example.net");
    server.says(NAME, A, Says::Records(vec![there.clone(), back.clone()]));
    assert!(look(&server, &wanted(at)).is_err());
    server.says(NAME, A, Says::Records(vec![there]));
    server.says("b.example.net", A, Says::Records(vec![back]));
    server.asked();
    assert!(look(&server, &wanted(at)).is_err());
    assert!(server.asked().len() <= NAME_QUESTIONS);
    // Nor is what stands beside the answer one.
    server.says(
        NAME,
        A,
        Says::Records(vec![a("other.example.net", 60, [192, 0, 2, 66])]),
    );
    assert_eq!(look(&server, &wanted(at)).unwrap_err(), Nowhere::NoAddress);
}

#[test]
fn a_server_that_knows_no_extension_is_asked_without() {
    for code in [Some(1), Some(4), None] {
        let server = Server::new();
        let all = vec![a(NAME, 60, [192, 0, 2, 1])];
        server.says(NAME, A, Says::Plainly(all, code));
        let found = leads(&server, "udp:sip.example.net:5060");
        assert_eq!(found, ["udp 192.0.2.1:5060 0 0"], "{code:?}");
    }
}

#[test]
fn answers_of_any_size_are_bounded() {
    let server = Server::new();
    let service = "_sip._udp.sip.example.net";
    let many =
        |of: u16| (0..of).map(|it| srv(service, 60, [it, 0, 5060], &format!("h{it}.example.net")));
    server.says(service, SRV, Says::TooLong(many(900).collect()));
    server.has((0..900_u16).map(|it| {
        let [high, low] = it.to_be_bytes();
        a(&format!("h{it}.example.net"), 60, [10, 0, high, low])
    }));
    assert_eq!(
        leads(&server, "udp:sip.example.net").len(),
        GATEWAYS_PER_CARRIER
    );
    assert!(server.asked().len() <= NAME_QUESTIONS);
    let all = (0..60).map(|it| a(NAME, 60, [192, 0, 2, it]));
    server.says(NAME, A, Says::TooLong(all.collect()));
    let found = leads(&server, "udp:sip.example.net:5060");
    assert_eq!(found.len(), GATEWAYS_PER_CARRIER);
    let outcome = look(&server, &wanted("udp:sip.example.net:5060")).unwrap();
    assert_eq!(outcome.beyond, 60 - GATEWAYS_PER_CARRIER);
    assert_eq!(found[0], "udp 192.0.2.0:5060 0 0");
}

#[test]
fn what_leads_nowhere_is_told_apart() {
    let server = Server::new();
    let at = "udp:sip.example.net";
    assert_eq!(look(&server, &wanted(at)).unwrap_err(), Nowhere::NoName);
    server.says(NAME, A, Says::Records(Vec::new()));
    assert_eq!(look(&server, &wanted(at)).unwrap_err(), Nowhere::NoAddress);
    // So does what is nobody's address, which is what filters answer for names they block.
    let nobody = [[0; 4], [255; 4], [224, 0, 0, 5]];
    for answer in [&nobody[..1], &nobody[..]] {
        let answer = answer.iter().map(|ip| a(NAME, 86_400, *ip));
        server.says(NAME, A, Says::Records(answer.collect()));
        assert_eq!(look(&server, &wanted(at)).unwrap_err(), Nowhere::NoAddress);
    }
    server.has([srv("_sip._udp.sip.example.net", 60, [0, 0, 0], ".")]);
    assert_eq!(look(&server, &wanted(at)).unwrap_err(), Nowhere::NoService);
    server.says("_sip._udp.sip.example.net", SRV, Says::Silence);
    let began = clock::mono();
    let silent = look(&server, &wanted(at)).unwrap_err();
    assert_eq!(silent.to_string(), "no name server answers");
    assert!(clock::mono().saturating_since(began) < Duration::from_secs(3));
    // Time that has run out is no reason to forget anything.
    let late = Servers::new(vec![server.address], Duration::from_secs(1), began);
    let nowhere = locate(&wanted("udp:sip.example.net:5060"), &mut { late }).unwrap_err();
    assert_eq!(nowhere, Nowhere::Unasked(Unasked::Silent));
    // Nor does a name that is as long as a name can be.
    let long = format!("udp:{}.net", vec!["a".repeat(61); 4].join("."));
    assert!(look(&server, &wanted(&long)).is_err());
}

#[test]
fn the_shortest_ttl_of_all_counts() {
    let server = Server::new();
    let service = "_sip._udp.sip.example.net";
    server.has([
        srv(service, 300, [0, 0, 5060], "a.example.net"),
        a("b.example.net", 200, [192, 0, 2, 1]),
    ]);
    let both = vec![
        cname("a.example.net", 100, "b.example.net"),
        a("b.example.net", 200, [192, 0, 2, 1]),
    ];
    server.says("a.example.net", A, Says::Records(both));
    let holds = |server: &Server| look(server, &wanted("udp:sip.example.net")).unwrap().holds;
    assert_eq!(holds(&server).as_secs(), 100);
    server.has([a("a.example.net", 0, [192, 0, 2, 1])]);
    assert_eq!(holds(&server), NAME_TTL.0);
    server.has([srv(service, u32::MAX >> 1, [0, 0, 5060], "a.example.net")]);
    server.has([a("a.example.net", u32::MAX >> 1, [192, 0, 2, 1])]);
    assert_eq!(holds(&server), NAME_TTL.1);
}

#[test]
fn a_target_that_cannot_be_looked_up_does_not_take_the_others_along() {
    let server = Server::new();
    let service = "_sip._udp.sip.example.net";
    server.has([
        srv(service, 60, [0, 0, 5060], "a.example.net"),
        srv(service, 60, [1, 0, 5060], "b.example.net"),
        a("a.example.net", 60, [192, 0, 2, 1]),
    ]);
    server.says("b.example.net", A, Says::Code(2));
    let outcome = look(&server, &wanted("udp:sip.example.net")).unwrap();
    assert_eq!(ways(&outcome), ["udp 192.0.2.1:5060 0 0"]);
    assert_eq!(outcome.open, [(1, 0, Transport::Udp, 5060)]);
    assert!(outcome.missing.is_some());
    // Servers that do not know of IPv6 say all sorts of things.
    let mut both = wanted("udp:a.example.net:5060");
    both.v6 = true;
    server.says("a.example.net", AAAA, Says::Code(4));
    assert_eq!(
        ways(&look(&server, &both).unwrap()),
        ["udp 192.0.2.1:5060 0 0"]
    );
    server.has([aaaa("a.example.net", 60, "2001:db8::1")]);
    let found = ways(&look(&server, &both).unwrap());
    assert_eq!(
        found,
        ["udp 192.0.2.1:5060 0 0", "udp [2001:db8::1]:5060 0 0"]
    );
}

#[test]
fn the_next_server_is_asked_where_one_is_silent() {
    let (mute, server) = (Server::new(), Server::new());
    mute.says(NAME, A, Says::Silence);
    server.has([a(NAME, 60, [192, 0, 2, 1])]);
    let gone = UdpGone::new();
    let end = clock::mono() + Duration::from_secs(3);
    let all = vec![gone.0, mute.address, server.address];
    let mut servers = Servers::new(all, Duration::from_millis(100), end);
    let outcome = locate(&wanted("udp:sip.example.net:5060"), &mut servers).unwrap();
    assert_eq!(ways(&outcome), ["udp 192.0.2.1:5060 0 0"]);
    let none = &mut Servers::new(Vec::new(), Duration::from_millis(100), end);
    let nowhere = locate(&wanted("udp:sip.example.net:5060"), none).unwrap_err();
    assert_eq!(nowhere.to_string(), "there is no name server");
}

/// An address where nobody listens any more.
struct UdpGone(SocketAddr);

impl UdpGone {
    fn new() -> Self {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        Self(socket.local_addr().unwrap())
    }
}
