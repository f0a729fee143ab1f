//! From which listener each peer is reached.

use super::{MAIN, TENANT, assert_has, compiled, shown, sources};
use crate::base::flow::{ListenerId, Transport};

#[test]
fn each_is_reached_from_a_listener_of_its_transport() {
    let tcp = MAIN.replace("udp:127.0.0.2:5070", "tcp:127.0.0.2:5070");
    let faults = shown(compiled(&sources(&tcp, &[TENANT]), false));
    assert_has(
        &faults[0],
        &["no listener can reach this IPv4 address over TCP", "tcp:"],
    );
    let both = format!("[[listen]]\naddress = \"tcp:127.0.0.1:5060\"\n{tcp}");
    let set = compiled(&sources(&both, &[TENANT]), false).unwrap();
    let gateway = &set.carriers()[0].gateways[0];
    assert_eq!(
        (gateway.transport, gateway.listener),
        (Transport::Tcp, ListenerId(0))
    );
    let large = both.replace("tcp:127.0.0.2:5070", "udp:127.0.0.2:5070");
    let large = large.replace("sources =", "large_over_tcp = true\nsources =");
    let set = compiled(&sources(&large, &[TENANT]), false).unwrap();
    let gateway = &set.carriers()[0].gateways[0];
    assert_eq!(
        (gateway.listener, gateway.large_from),
        (ListenerId(1), Some(ListenerId(0)))
    );
    let without = large.replace("tcp:127.0.0.1:5060", "udp:127.0.0.1:5070");
    let faults = shown(compiled(&sources(&without, &[TENANT]), false));
    assert_has(&faults[0], &["over TCP", "tollgate.toml:9", "\"tcp:…\""]);
    let other = both.replace("sources =", "listener = \"udp:127.0.0.1:5060\"\nsources =");
    let faults = shown(compiled(&sources(&other, &[TENANT]), false));
    assert_has(&faults[0], &["another transport", "name a tcp: listener"]);
}

#[test]
fn nobody_is_reached_where_tollgate_itself_listens() {
    let own = MAIN.replace("udp:127.0.0.2:5070", "udp:127.0.0.1:5060");
    assert_ne!(own, MAIN);
    let faults = shown(compiled(&sources(&own, &[TENANT]), false));
    assert_has(
        &faults[0],
        &["Tollgate itself listens there", "the carrier"],
    );
}

#[test]
fn whoever_is_known_by_a_certificate_cannot_register_there() {
    let tls = "[[listen]]\naddress = \"tls:127.0.0.1\"\nchallenge = true\ncertificate = \"a\"\nkey = \"b\"\n";
    let set = compiled(&sources(&format!("{tls}{MAIN}"), &[TENANT]), false).unwrap();
    assert!(set.listeners()[0].challenge);
    let asks = format!("{tls}client_ca = \"c\"\n{MAIN}");
    let faults = shown(compiled(&sources(&asks, &[TENANT]), false));
    assert_has(&faults[0], &["nobody can register", "two listeners"]);
}
