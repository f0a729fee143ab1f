//! What must hold for every message there can be.

use super::draft::{append_unfolded, blank_controls};
use super::frame::{Frame, Framer};
use super::{
    Draft, Echo, Essentials, HeaderId, Message, NameAddr, StartLine, Uri, Via, fields, first_line,
    reply_to, scan,
};
use crate::base::flow::Transport;
use bytes::Bytes;
use proptest::prelude::*;
use std::net::SocketAddr;

/// Pieces that messages are made of, and what attacks on parsers are made of.
const PIECES: &[&str] = &[
    "INVITE sip:a@b SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "\r\n",
    "\r\n",
    "\r\n ",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "=",
    "\"",
    "\\",
    "<",
    ">",
    "@",
    "%",
    "%4",
    "[",
    "]",
    "::",
    ":::",
    "\0",
    "\u{1}",
    "\u{e9}",
    "Via",
    "v:",
    "SIP/2.0/UDP ",
    "branch=z9hG4bK",
    "rport",
    "received=",
    "f:",
    "From : ",
    "t: ",
    "To",
    "tag=",
    "Call-ID: ",
    "i:",
    "CSeq: ",
    "1 INVITE",
    "ACK",
    "m: ",
    "l: ",
    "Content-Length: ",
    "0",
    "4294967295",
    "99999999999999999999",
    "sip:",
    "tel:+",
    "urn:",
    "a",
    "a.b",
    "192.0.2.1",
    "Route: <sip:a;lr>",
    "Allow: ",
    "k: ",
    "x: 90;refresher=uac",
    "RAck: 1 ",
    "Reason: Q.850;cause=16",
    "Privacy: id",
    "*",
    "?a=b",
    ":5060",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let start = proptest::sample::select(&PIECES[..2]);
    (
        any::<bool>(),
        start,
        proptest::collection::vec(piece, 0..60),
    )
        .prop_map(|(sip, start, pieces)| {
            let start = if sip { start.as_bytes() } else { &[] };
            [start, &pieces.concat()].concat()
        })
}

/// A valid message in which some bytes were changed, cut out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        0_usize..4,
        proptest::sample::select(PIECES),
    );
    (valid(), proptest::collection::vec(change, 0..4)).prop_map(|(message, changes)| {
        let mut bytes = message.bytes;
        for (at, cut, piece) in changes {
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, piece.bytes());
        }
        bytes
    })
}

/// A valid message, and the fields it was made of.
#[derive(Clone, Debug)]
struct Valid {
    bytes: Vec<u8>,
    fields: Vec<(&'static str, String)>,
    body: String,
}

fn valid() -> impl Strategy<Value = Valid> {
    let value = "[!-~\u{e9}]([ -~\u{e9}]|\r\n[ \t]){0,20}[!-~]";
    let names = proptest::sample::select(&["X-A", "Subject2", "p-x", "Warning", "Accept", "d"][..]);
    let extra = proptest::collection::vec((names, value), 0..5);
    (
        extra,
        "(\r\n){0,2}",
        "[ \t]{0,2}",
        "[ -~\r\n]{0,40}",
        "[a-z0-9]{1,12}",
    )
        .prop_map(|(extra, lead, space, body, token)| {
            let mut fields = vec![
                ("v", format!("SIP/2.0/UDP h;branch=z9hG4bK{token};rport")),
                ("From", format!("\"a\r\n b\" <sip:{token}@h>;tag={token}")),
                ("TO", format!("<sip:{token}@h>")),
                ("Call-ID", token.clone()),
                ("CSeq", "1\r\n INVITE".to_owned()),
                ("Content-Length", format!("0{}", body.len())),
            ];
            fields.extend(extra);
            let mut text = format!("{lead}INVITE sip:{token}@h SIP/2.0\r\n");
            for (name, value) in &fields {
                text += &format!("{name}{space}:{space}{value}{space}\r\n");
            }
            text += &format!("\r\n{body}");
            let bytes = text.into_bytes();
            Valid {
                bytes,
                fields,
                body,
            }
        })
}

/// Calls everything that reads a message.
fn read_everything(message: &Message) {
    let from: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let mut scratch = Vec::new();
    if let Ok(essentials) = Essentials::parse(message) {
        assert_eq!(reply_to(&essentials, from, Transport::Udp).ip(), from.ip());
        let echo = Echo::new(message, &essentials, from);
        let packet = echo
            .response(&mut scratch, 180, b"Ringing", Some(b"t"))
            .seal(None);
        let again = scan(Bytes::from_owner(packet)).unwrap();
        assert_eq!(again.fault(), None, "{again:?}");
        let read = Essentials::parse(&again).unwrap();
        assert_eq!(read.via.branch, essentials.via.branch);
        assert_eq!(read.from_tag, essentials.from_tag);
        assert_eq!(read.to_tag, essentials.to_tag.or(Some(b"t")));
        assert_eq!(
            (read.call_id, read.cseq.number),
            (essentials.call_id, essentials.cseq.number)
        );
        assert_eq!(
            (echo.call_id(), echo.from().is_empty()),
            (essentials.call_id, false)
        );
        if essentials.via.rport.is_some() {
            assert_eq!(read.via.rport, Some(Some(from.port())));
            assert_eq!(read.via.received, Some(from.ip()));
        }
    }
    if let Some((echo, _)) = Echo::salvage(message, from, Transport::Udp) {
        let packet = echo
            .response(&mut scratch, 400, b"Bad Request", Some(b"t"))
            .seal(None);
        assert_eq!(scan(Bytes::from_owner(packet)).unwrap().fault(), None);
    }
    let _ = fields::request_uri(message).map(|uri| uri.param(b"user").is_some());
    let _ = fields::contact(message);
    fields::vias(message).count();
    fields::routes(message)
        .chain(fields::record_routes(message))
        .count();
    fields::option_tags(message, HeaderId::Supported).count();
    fields::reasons(message).count();
    fields::privacy(message).count();
    let _ = fields::MethodSet::allow(message);
    let _ = fields::SessionExpires::of(message);
    let _ = fields::min_se(message);
    let _ = fields::RAck::of(message);
    let _ = fields::rseq(message);
    for field in message.fields() {
        let bytes = message.bytes().as_ptr_range();
        assert!(field.value.is_empty() || bytes.contains(&field.value.as_ptr()));
        assert!(field.id == HeaderId::lookup(field.name));
        read_value(field.value);
    }
}

fn read_value(value: &[u8]) {
    let _ = Uri::parse(value);
    let _ = NameAddr::parse(value).map(|address| address.uri().is_ok() && address.tag().is_some());
    NameAddr::parse_list(value).take(2 + value.len()).count();
    Via::parse_list(value).take(2 + value.len()).count();
}

/// The messages of a stream by Call-ID and body, and whether it could be read to its end.
type Frames = (Vec<(Vec<u8>, Vec<u8>)>, bool);

fn frames(stream: &[u8], cuts: &[usize]) -> Frames {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    let mut rest = stream;
    for &cut in cuts.iter().chain([&stream.len()]) {
        let (piece, tail) = rest.split_at(cut.min(rest.len()));
        rest = tail;
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(message))) => {
                    let whole = scan(message.bytes().clone()).unwrap();
                    assert_eq!(whole.fault(), message.fault());
                    assert_eq!(whole.body(), message.body());
                    assert_eq!(whole.fields().count(), message.fields().count());
                    seen.push((message.call_id().to_vec(), message.body().to_vec()));
                }
                Ok(Some(Frame::KeepAlive)) => {}
                Ok(None) => break,
                Err(_) => return (seen, false),
            }
        }
    }
    (seen, true)
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop_oneof![soup(), damaged()]) {
        read_value(&bytes);
        let scanned = scan(Bytes::from(bytes.clone()));
        prop_assert_eq!(first_line(&bytes), scanned.as_ref().map(Message::start).map_err(|it| *it));
        if let Ok(message) = scanned {
            read_everything(&message);
        }
    }

    #[test]
    fn valid_messages_are_indexed_as_they_were_made(valid in valid()) {
        let message = scan(Bytes::from(valid.bytes)).unwrap();
        prop_assert_eq!(message.fault(), None);
        prop_assert_eq!(message.body(), valid.body.as_bytes());
        let found: Vec<_> = message.fields().map(|field| (field.name, field.value)).collect();
        let made: Vec<_> = valid.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        prop_assert_eq!(found, made);
        prop_assert!(Essentials::parse(&message).is_ok());
    }

    #[test]
    fn what_is_kept_keeps_its_value(valid in valid()) {
        let message = scan(Bytes::from(valid.bytes)).unwrap();
        let StartLine::Request { uri, .. } = message.start() else { panic!() };
        let mut scratch = Vec::new();
        let mut draft = Draft::request(&mut scratch, message.method_text(), uri);
        for &id in HeaderId::ALL {
            draft.keep(&message, id);
        }
        let again = scan(Bytes::from_owner(draft.seal(Some(message.body())))).unwrap();
        prop_assert_eq!(again.fault(), None);
        prop_assert_eq!(again.start(), message.start());
        prop_assert_eq!(again.body(), message.body());
        for &id in HeaderId::ALL.iter().filter(|&&id| id != HeaderId::ContentLength) {
            let unfold = |value: &[u8]| {
                let mut out = Vec::new();
                append_unfolded(&mut out, value);
                blank_controls(&mut out);
                out
            };
            let before: Vec<_> = message.all(id).map(unfold).collect();
            let said = |value: &&[u8]| !value.is_empty();
            let before = before.iter().map(Vec::as_slice).filter(said).collect::<Vec<_>>().join(&b", "[..]);
            let after: Vec<_> = again.all(id).collect();
            prop_assert!(after.len() <= 1);
            let credentials = id.name().ends_with("Authorization") || id.name().ends_with("Authenticate");
            prop_assert_eq!(after.concat(), if credentials { Vec::new() } else { before });
        }
    }

    #[test]
    fn a_draft_is_always_one_message(
        method in proptest::collection::vec(any::<u8>(), 1..20),
        uri in proptest::collection::vec(any::<u8>(), 1..40),
        fields in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 2..12), proptest::collection::vec(any::<u8>(), 0..40)),
            0..20,
        ),
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut scratch = Vec::new();
        let mut draft = Draft::request(&mut scratch, &method, &uri);
        for (name, value) in &fields {
            draft.put_named(name, value);
            draft.put(HeaderId::Warning, value);
            draft.put_args(HeaderId::Accept, format_args!("{}", String::from_utf8_lossy(value)));
        }
        let message = scan(Bytes::from_owner(draft.seal(Some(&body)))).unwrap();
        // A name drawn by chance may be that of a single field, and come twice.
        prop_assert!(message.fault().is_none_or(|fault| fault.kind == super::FaultKind::Duplicate));
        prop_assert_eq!(message.fields().count(), 3 * fields.len() + 1);
        prop_assert_eq!(message.body(), &body[..]);
        let trim = |value: &[u8]| {
            let mut clean = value.to_vec();
            blank_controls(&mut clean);
            clean.iter().copied().skip_while(|b| matches!(b, b' ' | b'\t')).collect::<Vec<_>>()
        };
        for (value, (_, put)) in message.all(HeaderId::Warning).zip(&fields) {
            let put = trim(put);
            prop_assert!(put.starts_with(value) && put[value.len()..].iter().all(u8::is_ascii_whitespace));
        }
    }

    #[test]
    fn framer_and_scanner_agree(
        messages in proptest::collection::vec(prop_oneof![4 => valid().prop_map(|valid| valid.bytes), 1 => damaged()], 1..4),
        cuts in proptest::collection::vec(1_usize..60, 0..40),
    ) {
        let stream = messages.concat();
        let whole = frames(&stream, &[]);
        prop_assert_eq!(&frames(&stream, &cuts), &whole);
        prop_assert_eq!(&frames(&stream, &vec![1; stream.len()]), &whole);
        // As long as nothing is damaged, these are the messages that datagrams would be.
        for (bytes, (call_id, body)) in messages.iter().zip(&whole.0) {
            match scan(Bytes::from(bytes.clone())) {
                Ok(message) if message.fault().is_none() && message.first(HeaderId::ContentLength).is_some() => {
                    prop_assert_eq!(message.call_id(), &call_id[..]);
                    prop_assert_eq!(message.body(), &body[..]);
                    let end = message.offset_of(message.body()) + body.len();
                    if end < bytes.len() { break; }
                }
                _ => break,
            }
        }
    }
}
