//! The keys of TLS.

use super::{MAIN, TENANT, assert_has, compiled, shown, sources};
use crate::base::flow::{Flow, ListenerId, PeerName, Transport};
use crate::policy::{CarrierId, Peer, RuleSet, TenantId};

const LISTEN: &str = "[[listen]]\naddress = \"tls:127.0.0.1\"\ncertificate = \"own.pem\"\n\
                      key = \"own.key\"\nclient_ca = \"clients.pem\"\n";

/// The good file with this of a carrier behind its first address.
fn main(address: &str, more: &str) -> String {
    let main = MAIN.replace("udp:127.0.0.2:5070", address);
    let main = main.replace("sources =", &format!("{more}\nsources ="));
    format!("{LISTEN}{main}")
}

fn rules(main: &str, tenant: &str) -> RuleSet {
    compiled(&sources(main, &[tenant]), false).unwrap_or_else(|it| panic!("{it:#?}"))
}

fn first_fault(main: &str, tenants: &[&str]) -> String {
    shown(compiled(&sources(main, tenants), false)).swap_remove(0)
}

#[test]
fn each_way_has_its_files() {
    let deliver = "[inbound]\ndeliver_to = \"tls:127.0.0.3\"\nca = \"pbx.pem\"\n";
    let tenant = format!("{TENANT}{deliver}");
    let carrier = "tls_name = \"SIP.example.net\"\ncertificate = \"c.pem\"\nkey = \"c.key\"";
    let set = rules(&main("tls:127.0.0.2", carrier), &tenant);
    let listener = &set.tls().listeners[&ListenerId(0)];
    assert_eq!(listener.identity.key.path, "own.key");
    assert_eq!(listener.client_ca.as_ref().unwrap().path, "clients.pem");
    assert_eq!(set.listeners()[0].bind.port(), 5061);
    let carrier = &set.tls().peers[&Peer::Carrier(CarrierId(0))];
    let identity = carrier.identity.as_ref().unwrap();
    assert_eq!(identity.certificate.path, "c.pem");
    assert_eq!(
        (carrier.name.as_str(), &carrier.ca),
        ("SIP.example.net", &None)
    );
    let tenant = &set.tls().peers[&Peer::Tenant(TenantId(0))];
    assert_eq!(tenant.name, "127.0.0.3");
    assert_eq!(tenant.ca.as_ref().unwrap().path, "pbx.pem");
}

#[test]
fn a_listener_has_several_certificates() {
    let other = |name: &str| {
        format!("[[listen.certificates]]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n")
    };
    let good = main("tls:127.0.0.2", "");
    let with = |more: &str| {
        good.replacen(
            "[[listen]]\naddress = \"udp",
            &format!("{more}[[listen]]\naddress = \"udp"),
            1,
        )
    };
    let set = rules(&with(&(other("a") + &other("b"))), TENANT);
    let listener = &set.tls().listeners[&ListenerId(0)];
    let names: Vec<_> = listener
        .others
        .iter()
        .map(|it| it.key.path.as_str())
        .collect();
    assert_eq!(
        (names.as_slice(), listener.identity.key.path.as_str()),
        (["a.key", "b.key"].as_slice(), "own.key")
    );
    let many: String = (0..40).map(|at| other(&at.to_string())).collect();
    let fault = first_fault(&with(&many), &[TENANT]);
    assert_has(
        &fault,
        &["too many certificates", "32 [[listen.certificates]]"],
    );
    let fault = first_fault(
        &with(&other("a").replace("key = \"a.key\"\n", "")),
        &[TENANT],
    );
    assert_has(&fault, &["key"]);
    let fault = first_fault(&with(&other("a").replace("a.key", "")), &[TENANT]);
    assert_has(&fault, &["`key` is empty"]);
}

#[test]
fn keys_that_do_not_fit_are_shown() {
    for (from, to, what) in [
        ("key = \"own.key\"", "", ["go together", "add key ="]),
        (
            "certificate = \"own.pem\"",
            "",
            ["go together", "add certificate ="],
        ),
        (
            "certificate = \"own.pem\"\nkey = \"own.key\"",
            "",
            ["has no certificate", "relative to this file"],
        ),
        ("\"own.key\"", "\"\"", ["`key` is empty", "name a file"]),
        (
            "tls:127.0.0.1\"",
            "tcp:127.0.0.1\"",
            ["`certificate` is for TLS", "tls: address"],
        ),
        (
            "\"sip.a\"",
            "\"*.a\"",
            ["can be for `*.a`", "sip.example.net"],
        ),
        (
            "\"sip.a\"",
            "\"sip..a\"",
            ["can be for `sip..a`", "domain name"],
        ),
        (
            "\"tls:127.0.0.2\"",
            "\"udp:127.0.0.2\"",
            ["`tls_name` is for TLS", "tls: address"],
        ),
    ] {
        let good = main("tls:127.0.0.2", "tls_name = \"sip.a\"");
        assert!(good.contains(from));
        let fault = first_fault(&good.replacen(from, to, 1), &[TENANT]);
        assert_has(&fault, &what);
    }
}

#[test]
fn a_name_is_one_peers() {
    let sources = "sources = [\"127.0.0.3/32\"]";
    let named = |names: &str| TENANT.replace(sources, &format!("tls_names = [{names}]"));
    let main = main("tls:127.0.0.2", "tls_names = [\"sip.example.net\"]");
    let set = rules(&main, &named("\"PBX.example.net\", \"urn:x:1\""));
    let flow = |name: &str, source: &str| Flow {
        name: (!name.is_empty()).then(|| PeerName::of(name)),
        ..Flow::to(ListenerId(0), Transport::Tls, source.parse().unwrap())
    };
    let (tenant, carrier) = (Peer::Tenant(TenantId(0)), Peer::Carrier(CarrierId(0)));
    for (name, source, peer) in [
        ("pbx.example.net", "192.0.2.9:1", Some(tenant)),
        ("sip:pbx.EXAMPLE.net", "192.0.2.9:1", Some(tenant)),
        ("urn:x:1", "192.0.2.9:1", Some(tenant)),
        // The name counts, whatever the address is known as.
        ("pbx.example.net", "127.0.0.2:1", Some(tenant)),
        ("sip.example.net", "192.0.2.9:1", Some(carrier)),
        ("nobody.example.net", "127.0.0.2:1", None),
        ("sip:a@pbx.example.net", "127.0.0.2:1", None),
        ("", "127.0.0.2:1", Some(carrier)),
        ("", "192.0.2.9:1", None),
    ] {
        assert_eq!(set.peer_of(flow(name, source)), peer, "{name} {source}");
    }
    let other = rules(&main, &named("\"pbx2.example.net\""));
    assert!(!set.has_peers_of(&other));
    assert!(!set.has_peer_of(&other, flow("pbx.example.net", "192.0.2.9:1")));
    let twice = first_fault(&main, &[&named("\"sip:SIP.example.net\"")]);
    assert_has(&twice, &["claimed twice", "tollgate.toml:"]);
    let wild = first_fault(&main, &[&named("\"*.example.net\"")]);
    assert_has(&wild, &["no certificate can be for `*.example.net`"]);
    let unasked = main.replace("client_ca = \"clients.pem\"\n", "");
    let set = rules(&unasked, &named("\"pbx.example.net\""));
    assert_has(
        &set.warnings()[0].title,
        &["no listener asks for certificates"],
    );
}
