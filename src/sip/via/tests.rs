use super::*;
use FaultKind as F;

fn first(text: &str) -> Via<'_> {
    Via::parse_list(text.as_bytes()).next().unwrap().unwrap()
}

#[test]
fn every_part_of_a_via() {
    let via = first(
        "SIP/2.0/UDP pbx.example.com:5070;branch=z9hG4bKa.1;rport=9;received=2001:db8::9;\
         maddr=224.0.1.75;ttl=16;x=\"y,\" , SIP/2.0/TCP b",
    );
    assert_eq!(via.transport, b"UDP");
    assert_eq!(
        (via.host, via.port),
        (Host::Name(b"pbx.example.com"), Some(5070))
    );
    assert_eq!(via.branch, Some(b"z9hG4bKa.1".as_slice()));
    assert_eq!(via.branch_token(), Some(b"a.1".as_slice()));
    assert_eq!(via.rport, Some(Some(9)));
    assert_eq!(via.received, "2001:db8::9".parse().ok());
    assert_eq!(via.maddr, Host::parse(b"224.0.1.75"));
    assert_eq!(via.ttl, Some(16));
    assert_eq!(via.head(), b"SIP/2.0/UDP pbx.example.com:5070");
    assert!(via.text.ends_with(b"x=\"y,\""));
    assert_eq!(via.params().count(), 6);
}

#[test]
fn white_space_may_be_anywhere() {
    let text = "SIP  /\t2.0\r\n /UDP\r\n  192.0.2.2 : 5060 ;\r\n branch =\r\n z9hG4bK3 ; rport  ,SIP/2.0/X b";
    let hops: Vec<_> = Via::parse_list(text.as_bytes())
        .map(Result::unwrap)
        .collect();
    assert_eq!(hops.len(), 2);
    assert_eq!(hops[0].branch, Some(b"z9hG4bK3".as_slice()));
    assert_eq!((hops[0].rport, hops[0].port), (Some(None), Some(5060)));
    assert!(hops[0].text.ends_with(b"; rport"));
    assert_eq!(hops[1].text, b"SIP/2.0/X b");
}

#[test]
fn old_and_empty_branches_name_nothing() {
    for text in [
        "SIP/2.0/UDP a",
        "SIP/2.0/UDP a;branch=z9hG4bK",
        "SIP/2.0/UDP a;branch=390skdjuw",
    ] {
        assert_eq!(first(text).branch_token(), None, "{text}");
    }
    assert_eq!(
        first("SIP/2.0/UDP a;branch=Z9HG4BKx").branch_token(),
        Some(b"x".as_slice())
    );
}

#[test]
fn faults_of_vias() {
    for (text, kind) in [
        ("", F::Via),
        ("SIP/2.0", F::Via),
        ("SIP/2.0/UDP", F::Via),
        ("SIP/2.0/UDP ", F::Host),
        ("SIP/3.0/UDP a", F::Via),
        ("SIP/2.00/UDP a", F::Via),
        ("HTTP/2.0/UDP a", F::Via),
        ("SIP/2.0/U=P a", F::Via),
        ("SIP/2.0/UDP ;branch=a", F::Host),
        ("SIP/2.0/UDP :::]", F::Host),
        ("SIP/2.0/UDP [:::]", F::Host),
        ("SIP/2.0/UDP a:b", F::Port),
        ("SIP/2.0/UDP a:70000", F::Port),
        ("SIP/2.0/UDP 192.0.2.15;;,;,,", F::Param),
        ("SIP/2.0/UDP a b", F::List),
        ("SIP/2.0/UDP a;branch", F::Via),
        ("SIP/2.0/UDP a;branch=\"z\"", F::Via),
        ("SIP/2.0/UDP a;branch=z;branch=z", F::Via),
        ("SIP/2.0/UDP a;rport=70000", F::Via),
        ("SIP/2.0/UDP a;rport;rport=1", F::Via),
        ("SIP/2.0/UDP a;received=b", F::Via),
        ("SIP/2.0/UDP a;received", F::Via),
        ("SIP/2.0/UDP a;ttl=256", F::Via),
    ] {
        let fault = Via::parse_list(text.as_bytes())
            .next()
            .unwrap()
            .unwrap_err();
        assert_eq!(fault.kind, kind, "{text}");
    }
    let long = format!("SIP/2.0/UDP a;branch={}", "z".repeat(MAX_BRANCH + 1));
    assert!(Via::parse_list(long.as_bytes()).next().unwrap().is_err());
}
