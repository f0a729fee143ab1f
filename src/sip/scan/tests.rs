use super::*;
use crate::sip::Method;
use crate::sip::error::UnreadableReason;
use FaultKind as F;

/// Scans a text whose lines end in `\n`.
fn read(text: &str) -> Result<Message, Unreadable> {
    raw(text.replace('\n', "\r\n").as_bytes())
}

fn raw(bytes: &[u8]) -> Result<Message, Unreadable> {
    scan(Bytes::copy_from_slice(bytes))
}

/// The fault of a request with this start line and these fields.
fn fault(text: &str) -> Option<FaultKind> {
    read(text).unwrap().fault().map(|fault| fault.kind)
}

fn fault_of_fields(fields: &str) -> Option<FaultKind> {
    fault(&format!("OPTIONS sip:a SIP/2.0\n{fields}"))
}

#[test]
fn a_request_is_indexed() {
    let message = read(
        "\n\nINVITE sip:+81335571234@gw SIP/2.0\nv: SIP/2.0/UDP a\nCall-ID\t : x@y \nX-Other: a\n b\n\
         Via: SIP/2.0/UDP b\nSubject:\n \n\t\nl: 3\n\nabcdef",
    )
    .unwrap();
    assert_eq!(message.fault(), None);
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(message.method_text(), b"INVITE");
    assert_eq!(message.uri(), Some(b"sip:+81335571234@gw".as_slice()));
    assert_eq!(message.status(), None);
    assert_eq!(message.call_id(), b"x@y");
    let vias: Vec<_> = message.all(HeaderId::Via).collect();
    assert_eq!(vias, [b"SIP/2.0/UDP a", b"SIP/2.0/UDP b"]);
    assert_eq!(message.first(HeaderId::Subject), Some(b"".as_slice()));
    assert_eq!(message.first(HeaderId::Contact), None);
    assert_eq!(message.first(HeaderId::Other), Some(b"a\r\n b".as_slice()));
    assert_eq!(message.body(), b"abc");
    let names: Vec<_> = message.fields().map(|field| field.name).collect();
    let expected: [&[u8]; 6] = [b"v", b"Call-ID", b"X-Other", b"Via", b"Subject", b"l"];
    assert_eq!(names, expected);
}

#[test]
fn a_response_is_indexed() {
    for (line, reason) in [
        ("200 OK", "OK"),
        ("200 ", ""),
        ("200", ""),
        ("200  a ", " a "),
    ] {
        let message = read(&format!("SIP/2.0 {line}\ni: 1\n\nbody")).unwrap();
        let expected = crate::sip::StartLine::Response {
            code: 200,
            reason: reason.as_bytes(),
        };
        assert_eq!(message.start(), expected, "{line}");
        assert_eq!((message.status(), message.method()), (Some(200), None));
        assert_eq!(
            (message.fault(), message.body()),
            (None, b"body".as_slice())
        );
    }
}

#[test]
fn what_is_no_sip_is_unreadable() {
    use UnreadableReason::{Empty, NotSip, StatusLine};
    for (text, reason) in [
        ("", Empty),
        ("\r\n\r\n", Empty),
        ("\r\n\r", Empty),
        ("INV", NotSip),
        ("INVITE sip:a SIP/2.0", NotSip),
        ("INVITE sip:a\r\n\r\n", NotSip),
        ("INVITE sip:a SIP/2.0\n\n", NotSip),
        ("INVITE sip:a SIP/2.0\r\r\n", NotSip),
        ("INVITE\0 sip:a SIP/2.0\r\n\r\n", NotSip),
        (" INVITE sip:a SIP/2.0\r\n\r\n", NotSip),
        ("INVITE sip:a HTTP/1.1\r\n\r\n", NotSip),
        ("\0\0\0\0", NotSip),
        ("SIP/2.0 4294967301 no\r\n\r\n", StatusLine),
        ("SIP/2.0 099 no\r\n\r\n", StatusLine),
        ("SIP/2.0 700 no\r\n\r\n", StatusLine),
        ("SIP/2.0 20 no\r\n\r\n", StatusLine),
        ("SIP/2.0  200 no\r\n\r\n", StatusLine),
        ("SIP/3.0 200 no\r\n\r\n", StatusLine),
    ] {
        assert_eq!(raw(text.as_bytes()).unwrap_err().reason, reason, "{text:?}");
    }
}

#[test]
fn the_request_line_is_strict() {
    let long = "A".repeat(65);
    for (line, kind) in [
        ("OPTIONS  sip:a SIP/2.0", F::RequestLine),
        ("OPTIONS sip:a  SIP/2.0", F::RequestLine),
        ("OPTIONS\tsip:a SIP/2.0", F::RequestLine),
        ("OPTIONS sip:a\tSIP/2.0", F::RequestLine),
        ("OPTIONS sip:a SIP/2.0 ", F::RequestLine),
        ("OPTIONS  SIP/2.0", F::RequestLine),
        ("OPTIONS SIP/2.0", F::RequestLine),
        ("OPTIONS <sip:a> SIP/2.0", F::RequestLine),
        ("OPTIONS sip:a; lr SIP/2.0", F::RequestLine),
        ("OPTIONS sip:\u{ff11}\t SIP/2.0", F::RequestLine),
        ("OPTIONS <sip:\u{ff11}> SIP/2.0", F::RequestLine),
        ("OPTIONS sip:a\u{1} SIP/2.0", F::RequestLine),
        ("OPTIONS sip:a SIP/7.0", F::Version),
        ("OPTIONS sip:a SIP/2.00", F::Version),
        (&format!("{long} sip:a SIP/2.0"), F::MethodTooLong),
    ] {
        assert_eq!(fault(&format!("{line}\ni: 1\n\n")), Some(kind), "{line}");
    }
    let message = read("OPTIONS sip:\u{ff11} SIP/2.0\ni: 1\n\n").unwrap();
    assert_eq!(message.fault(), None);
    let uri = message.uri().map(crate::sip::uri::Uri::parse);
    assert!(uri.is_some_and(|uri| uri.is_err()), "it is no URI");
    let message = read("RE%47IST%45R \t sip:a\t SIP/2.0\t\ni: 1\n\n").unwrap();
    assert_eq!(message.method(), Some(Method::Other));
    assert_eq!(message.method_text(), b"RE%47IST%45R");
    assert_eq!(message.uri(), Some(b"sip:a".as_slice()));
    assert_eq!(message.call_id(), b"1");
}

#[test]
fn the_version_is_read_in_any_case() {
    let message = read("OPTIONS sip:a sIp/2.0\ni: 1\n\n").unwrap();
    assert_eq!(
        (message.fault(), message.uri()),
        (None, Some(b"sip:a".as_slice()))
    );
    assert_eq!(
        read("sip/2.0 200 OK\ni: 1\n\n").unwrap().status(),
        Some(200)
    );
    assert_eq!(fault("OPTIONS sip:a sip/2.1\ni: 1\n\n"), Some(F::Version));
    assert_eq!(
        fault("OPTIONS  sip:a sip/2.0\ni: 1\n\n"),
        Some(F::RequestLine)
    );
    let other = raw(b"sip/3.0 200 OK\r\n\r\n").unwrap_err();
    assert_eq!(other.reason, UnreadableReason::StatusLine);
}

#[test]
fn what_two_boxes_might_read_differently_is_refused() {
    for (fields, kind) in [
        ("A: b\rc\n\n", F::BareLineBreak),
        ("To\u{1}: a\n\n", F::HeaderName),
        ("To\u{0}: a\n\n", F::Nul),
        ("To a\n\n", F::HeaderName),
        (": a\n\n", F::HeaderName),
        (" A: b\n\n", F::HeaderName),
        ("A\n : b\n\n", F::HeaderName),
        ("\u{e9}: b\n\n", F::HeaderName),
        ("A: \0\n\n", F::Nul),
        ("A: \\\0\n\n", F::Nul),
        ("A: \"\0\"\n\n", F::Nul),
        ("A: \"\\\"\" \\\0\n\n", F::Nul),
        ("f: a\nFrom : a\n\n", F::Duplicate),
        ("t: a\nTO: b\n\n", F::Duplicate),
        ("l: 3\nl: 3\n\nabc", F::Duplicate),
        ("l: 3\nl: 2\n\nabc", F::ContentLengthConflict),
        ("l: 4\n\nabc", F::ContentLengthBeyond),
        ("l: -999\n\nabc", F::ContentLength),
        ("l: 4294967296\n\nabc", F::ContentLength),
        ("l: 18446744073709551616\n\nabc", F::ContentLength),
        ("l: 1 \n 2\n\nabc", F::ContentLength),
        ("l: +1\n\nabc", F::ContentLength),
        ("l:\n\n", F::ContentLength),
        ("A: b\n", F::NoEndOfHead),
        ("A: b", F::NoEndOfHead),
        ("A: b\n\r", F::NoEndOfHead),
        ("", F::NoEndOfHead),
    ] {
        assert_eq!(fault_of_fields(fields), Some(kind), "{fields:?}");
    }
    let bare = b"OPTIONS sip:a SIP/2.0\r\nA: b\nl: 0\r\n\r\n";
    assert_eq!(raw(bare).unwrap().fault().unwrap().kind, F::BareLineBreak);
}

#[test]
fn what_is_odd_but_legal_is_accepted() {
    for fields in [
        "A: \"\\\0 \\\\\\\0\"\n\n",
        "A: \"\n \\\0\"\n\n",
        "l: 00000000000000000000000000000000003\n\nabc",
        "l: 3\n\nabcINVITE sip:b SIP/2.0\n",
        "!-.%*_+`'~: ;;,,;;,;\n\n",
        "Contact: a\nContact: b\nm: c\n\n",
        "\n",
    ] {
        assert_eq!(fault_of_fields(fields), None, "{fields:?}");
    }
}

#[test]
fn what_was_indexed_before_a_fault_can_be_used() {
    let message = read("OPTIONS sip:a SIP/2.0\nv: 1\nbad\nf: 2\nl: x\ni: 3\rt: 4\n\n").unwrap();
    let fault = message.fault().unwrap();
    assert_eq!((fault.kind, fault.at), (F::HeaderName, 32));
    assert_eq!(message.first(HeaderId::From), Some(b"2".as_slice()));
    assert_eq!(message.first(HeaderId::CallId), None);
    assert_eq!(message.body(), b"");
}

#[test]
fn limits() {
    let fields = |count: usize| "A: b\n".repeat(count) + "\n";
    assert_eq!(fault_of_fields(&fields(MAX_FIELDS)), None);
    assert_eq!(
        fault_of_fields(&fields(MAX_FIELDS + 1)),
        Some(F::TooManyFields)
    );
    let start = "OPTIONS sip:a SIP/2.0\nA: ".len() + 1;
    let longest = |length: usize| format!("A: {}\n\n", "x".repeat(length - start - 4));
    assert_eq!(fault_of_fields(&longest(MAX_HEAD)), None);
    assert_eq!(
        fault_of_fields(&longest(MAX_HEAD + 1)),
        Some(F::HeadTooLong)
    );
    let body = format!("l: 70000\n\n{}", "x".repeat(70_000));
    let message = read(&format!("OPTIONS sip:a SIP/2.0\n{body}")).unwrap();
    assert_eq!((message.fault(), message.body().len()), (None, 70_000));
}

/// Many NULs in one line must not make each other costly.
#[test]
fn a_line_of_escaped_nuls_is_read_once() {
    let line = format!("A: \"{}\"\n\n", "\\\0".repeat(32_000));
    assert_eq!(fault_of_fields(&line), None);
}
