use super::*;
use crate::sip::{Method, reason_phrase, scan};

fn received(text: &str) -> Message {
    scan(bytes::Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

fn text(packet: &Packet) -> String {
    String::from_utf8(packet.as_ref().to_vec()).unwrap()
}

#[test]
fn a_request_is_written_in_order() {
    let from = received(
        "INVITE sip:x SIP/2.0\nk: a,\n  b\nSubject: kept out\nSupported:c\nm :\t<sip:a>\n\n",
    );
    let mut scratch = b"old".to_vec();
    let mut draft = Draft::request(&mut scratch, b"INVITE", b"sip:+81335571234@carrier");
    draft
        .put_args(HeaderId::CSeq, format_args!("{} INVITE", 7))
        .keep(&from, HeaderId::Supported)
        .keep(&from, HeaderId::Contact)
        .keep(&from, HeaderId::Date)
        .put(HeaderId::ContentType, b"application/sdp")
        .put_named(b"X-Trunk", b"1");
    let packet = draft.seal(Some(b"v=0\r\n"));
    assert_eq!(
        text(&packet),
        "INVITE sip:+81335571234@carrier SIP/2.0\r\nCSeq: 7 INVITE\r\nSupported: a, b, c\r\n\
         Contact: <sip:a>\r\nContent-Type: application/sdp\r\nX-Trunk: 1\r\n\
         Content-Length: 5\r\n\r\nv=0\r\n"
    );
    assert_eq!(packet.len(), packet.as_ref().len());
    assert!(!packet.is_empty());
}

#[test]
fn a_response_is_written() {
    let mut scratch = Vec::new();
    let packet = Draft::response(&mut scratch, 603, reason_phrase(603)).seal(None);
    assert_eq!(
        text(&packet),
        "SIP/2.0 603 Decline\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn no_value_gets_out_of_its_line() {
    let evil = "a\r\nVia: b\n\0c\r";
    let mut scratch = Vec::new();
    let mut draft = Draft::request(&mut scratch, b"IN VITE\r\n", b"sip:a b\r\n<c>\xc3");
    draft
        .put(HeaderId::Subject, evil.as_bytes())
        .put_args(HeaderId::Reason, format_args!("{evil}{}", '\n'))
        .put_named(b"X\r\nY: z", evil.as_bytes());
    assert_eq!(
        text(&draft.seal(None)),
        "IN-VITE-- sip:a%20b%0D%0A%3Cc%3E%C3 SIP/2.0\r\nSubject: a  Via: b  c \r\n\
         Reason: a  Via: b  c  \r\nX--Y--z: a  Via: b  c \r\nContent-Length: 0\r\n\r\n"
    );
    let packet = Draft::response(&mut scratch, 200, evil.as_bytes()).seal(None);
    assert!(text(&packet).starts_with("SIP/2.0 200 a  Via: b  c \r\n"));
}

#[test]
fn there_is_one_content_length() {
    let from = received("INVITE sip:x SIP/2.0\nl: 1\nX-A: b\n\nx");
    let mut scratch = Vec::new();
    let mut draft = Draft::response(&mut scratch, 200, b"OK");
    draft
        .put(HeaderId::ContentLength, b"9")
        .put_args(HeaderId::ContentLength, format_args!("9"))
        .put_named(b"l", b"9")
        .put_named(b"", b"9")
        .put(HeaderId::Other, b"9")
        .put_args(HeaderId::Other, format_args!("9"))
        .keep(&from, HeaderId::ContentLength)
        .keep(&from, HeaderId::Other);
    let packet = draft.seal(Some(b"xy"));
    assert_eq!(
        text(&packet),
        "SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nxy"
    );
}

#[test]
fn what_is_kept_has_no_control_bytes() {
    let text = "OPTIONS sip:a SIP/2.0\r\nReason: SIP\t;x=\"a\\\0b\" \u{1}\u{b}\u{7f}\u{e9}\r\n\r\n";
    let from = scan(bytes::Bytes::from(text)).unwrap();
    let mut scratch = Vec::new();
    let mut draft = Draft::response(&mut scratch, 200, b"OK");
    draft.keep(&from, HeaderId::Reason);
    assert_eq!(
        self::text(&draft.seal(None)),
        "SIP/2.0 200 OK\r\nReason: SIP\t;x=\"a\\ b\"    \u{e9}\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn what_is_put_has_no_control_bytes_either() {
    let mut scratch = Vec::new();
    let mut draft = Draft::response(&mut scratch, 200, b"OK");
    draft.put(HeaderId::Reason, b"SIP\t;text=\"\x1b[2J\x0b\x0c\x7f\"");
    assert_eq!(
        self::text(&draft.seal(None)),
        "SIP/2.0 200 OK\r\nReason: SIP\t;text=\" [2J   \"\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn folds_become_spaces() {
    let unfolded = |value: &str| {
        let mut out = Vec::new();
        append_unfolded(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap()
    };
    assert_eq!(unfolded("a"), "a");
    assert_eq!(unfolded("a \t\r\n \t b\r\n\tc"), "a b c");
    assert_eq!(unfolded("a\r\n \r\n b"), "a b");
    assert_eq!(unfolded("\"a\r\n b\\\0\""), "\"a b\\\0\"");
}

#[test]
fn what_is_written_can_be_read() {
    let mut scratch = Vec::new();
    let packet = Draft::request(&mut scratch, b"OPTIONS", b"sip:a").seal(Some(b"body"));
    let message = scan(bytes::Bytes::from_owner(packet)).unwrap();
    assert_eq!(
        (message.method(), message.fault()),
        (Some(Method::Options), None)
    );
    assert_eq!(message.body(), b"body");
}
