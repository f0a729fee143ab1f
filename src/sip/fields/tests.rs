use super::*;
use crate::sip::scan;
use FaultKind as F;

fn message(text: &str) -> Message {
    scan(bytes::Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

const LINES: [&str; 6] = [
    "Via: SIP/2.0/UDP pbx;branch=z9hG4bK1",
    "From: \"A\" <sip:a@pbx>;tag=f",
    "To: <sip:b@gw>",
    "Call-ID: 1@pbx",
    "CSeq: 2147483647 INVITE",
    "Max-Forwards: 070",
];

/// The fault of an INVITE in which the lines of `other`'s names are replaced.
fn fault_with(other: &str) -> Option<FaultKind> {
    let name = other.split(':').next().unwrap();
    let lines: Vec<_> = LINES
        .iter()
        .map(|line| if line.starts_with(name) { other } else { line })
        .collect();
    let text = format!("INVITE sip:b@gw SIP/2.0\n{}\n\n", lines.join("\n"));
    Essentials::parse(&message(&text))
        .err()
        .map(|fault| fault.kind)
}

#[test]
fn essentials_of_a_request() {
    let text = format!("INVITE sip:b@gw SIP/2.0\n{}\n\n", LINES.join("\n"));
    let message = message(&text);
    let found = Essentials::parse(&message).unwrap();
    assert_eq!(found.via.branch_token(), Some(b"1".as_slice()));
    assert_eq!(found.from.display, Some(b"A".as_slice()));
    assert_eq!(
        (found.from_tag, found.to_tag),
        (Some(b"f".as_slice()), None)
    );
    assert_eq!(found.to.uri_text, b"sip:b@gw");
    assert_eq!(found.call_id, b"1@pbx");
    let cseq = CSeq {
        number: 2_147_483_647,
        method: Method::Invite,
        method_text: b"INVITE",
    };
    assert_eq!((found.cseq, found.max_forwards), (cseq, Some(70)));
}

#[test]
fn each_is_mandatory_but_max_forwards() {
    let kinds = [F::NoVia, F::NoFrom, F::NoTo, F::NoCallId, F::NoCSeq];
    for (line, kind) in LINES.iter().zip(kinds.map(Some).into_iter().chain([None])) {
        let renamed = format!("X-{line}");
        let text = format!("INVITE sip:b@gw SIP/2.0\n{}\n\n", LINES.join("\n"));
        let message = message(&text.replace(line, &renamed));
        assert_eq!(
            Essentials::parse(&message).err().map(|fault| fault.kind),
            kind
        );
    }
}

#[test]
fn faults_of_essentials() {
    let long = "x".repeat(1_025);
    for (line, kind) in [
        ("Via: SIP/2.0/UDP pbx;;", F::Param),
        ("Via: SIP/2.0/UDP pbx ,", F::List),
        ("From: \"A <sip:a@pbx>;tag=f", F::QuotedString),
        ("From: <sip:a@pbx>;tag=f;tag=g", F::Tag),
        ("To: A, B <sip:b@gw>", F::DisplayName),
        ("To: <sip:b@gw>, <sip:c@gw>", F::NameAddr),
        ("To: sip:b@gw?a=b", F::BareAddress),
        ("Call-ID:", F::CallId),
        ("Call-ID: a b", F::CallId),
        ("Call-ID: a\n b", F::CallId),
        ("Call-ID: \u{e9}", F::CallId),
        (&format!("Call-ID: {long}"), F::CallId),
        ("CSeq: 2147483648 INVITE", F::CSeq),
        ("CSeq: 36893488147419103232 INVITE", F::CSeq),
        ("CSeq: -1 INVITE", F::CSeq),
        ("CSeq: 1", F::CSeq),
        ("CSeq: 1INVITE", F::CSeq),
        ("CSeq: INVITE", F::CSeq),
        ("CSeq: 1 INVITE x", F::CSeq),
        (&format!("CSeq: 1 {long}"), F::CSeq),
        ("CSeq: 1 ACK", F::CSeqMethod),
        ("CSeq: 1 invite", F::CSeqMethod),
        ("Max-Forwards: 256", F::MaxForwards),
        ("Max-Forwards: -1", F::MaxForwards),
        ("Max-Forwards:", F::MaxForwards),
        ("Max-Forwards: 7 0", F::MaxForwards),
    ] {
        assert_eq!(fault_with(line), Some(kind), "{line}");
    }
}

#[test]
fn offsets_count_in_the_message() {
    let text = format!("INVITE sip:b@gw SIP/2.0\n{}\n\n", LINES.join("\n"));
    let text = text.replace("<sip:b@gw>", "<sip:b@gw>;tag=[");
    let message = message(&text);
    let text = text.replace('\n', "\r\n");
    let fault = Essentials::parse(&message).unwrap_err();
    assert_eq!(fault.kind, F::Tag);
    assert_eq!(usize::from(fault.at), text.find(";tag=[").unwrap());
}

#[test]
fn a_response_may_answer_any_method() {
    let text = format!("SIP/2.0 200 OK\n{}\n\n", LINES.join("\n"));
    let message = message(&text);
    assert_eq!(
        Essentials::parse(&message).unwrap().cseq.method,
        Method::Invite
    );
    assert_eq!(request_uri(&message).unwrap_err().kind, F::RequestLine);
}

#[test]
fn request_uris_that_may_be_served() {
    let fault = |uri: &str| {
        let message = message(&format!("INVITE {uri} SIP/2.0\nA: b\n\n"));
        request_uri(&message)
            .err()
            .map(|fault| (fault.kind, fault.at))
    };
    assert_eq!(fault("sip:b@gw"), None);
    assert_eq!(fault("tel:+81"), None);
    assert_eq!(fault("urn:service:sos"), None);
    assert_eq!(fault("sip:b@gw?a=b"), Some((F::UriHeaders, 7)));
    assert_eq!(fault("soap.beep://a"), Some((F::UriScheme, 7)));
    assert_eq!(fault("sip:b@gw:0"), Some((F::Port, 16)));
}

#[test]
fn contacts() {
    let read = |fields: &str| {
        let message = message(&format!("INVITE sip:b@gw SIP/2.0\n{fields}\n\n"));
        contact(&message)
            .map(|found| found.map(|address| address.uri_text.len()))
            .map_err(|fault| (fault.kind, fault.at))
    };
    assert_eq!(read("A: b"), Ok(None));
    assert_eq!(read("m: <sip:a@b>;q=1"), Ok(Some(7)));
    assert_eq!(read("m: <sip:a>, <sip:b>"), Err((F::Contacts, 28)));
    assert_eq!(read("m: <sip:a>\nm: <sip:b>"), Err((F::Contacts, 28)));
    assert_eq!(read("m: <sip:a>;;"), Err((F::Param, 36)));
    assert_eq!(read("m: *"), Err((F::DisplayName, 29)));
}

#[test]
fn lists_run_over_all_fields() {
    let message = message(
        "INVITE sip:b@gw SIP/2.0\nRoute: <sip:1;lr>,\n <sip:2;lr>\nk: a , ,b\nRoute: <sip:3>\n\
         v: SIP/2.0/UDP a, SIP/2.0/TCP b\nSupported: \nSupported: timer\nVia: SIP/2.0/TLS c\n\n",
    );
    let routes: Vec<_> = routes(&message)
        .map(|item| item.unwrap().uri_text)
        .collect();
    let expected: [&[u8]; 3] = [b"sip:1;lr", b"sip:2;lr", b"sip:3"];
    assert_eq!(routes, expected);
    assert_eq!(record_routes(&message).count(), 0);
    let tags: Vec<_> = option_tags(&message, HeaderId::Supported).collect();
    let expected: [&[u8]; 3] = [b"a", b"b", b"timer"];
    assert_eq!(tags, expected);
    let transports: Vec<_> = vias(&message).map(|item| item.unwrap().transport).collect();
    let expected: [&[u8]; 3] = [b"UDP", b"TCP", b"TLS"];
    assert_eq!(transports, expected);
}
