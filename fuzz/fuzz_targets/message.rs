//! The scanner, the typed parsers and the stream framer agree on what a message
//! is, wherever a stream is cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::sip::frame::{Frame, Framer};
use tollgate::sip::{Essentials, HeaderId, Message, NameAddr, Uri, Via, fields, scan};

fuzz_target!(|data: &[u8]| {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = scan(Bytes::copy_from_slice(bytes));
    if let Ok(message) = &whole {
        read_all(message);
    }
    let one = frames(&[bytes]);
    let at = usize::from(cut) % (bytes.len() + 1);
    let (head, tail) = bytes.split_at(at);
    assert_eq!(
        one,
        frames(&[head, tail]),
        "a cut at {at} changes what is read"
    );
    // What a datagram holds, a stream holds first, if its end is certain there. Empty
    // lines before it are keep-alives there (RFC 5626 §3.5.1).
    let first = one.iter().find(|it| *it != "keep-alive");
    let (Ok(message), Some(first)) = (&whole, first) else {
        return;
    };
    if message.fault().is_none() && message.first(HeaderId::ContentLength).is_some() {
        assert_eq!(first, &summary(message), "datagram and stream differ");
    }
});

fn read_all(message: &Message) {
    let _ = Essentials::parse(message);
    let _ = fields::contact(message).map(|contact| contact.map(|one| one.uri()));
    fields::routes(message).take(100).for_each(drop);
    fields::record_routes(message).take(100).for_each(drop);
    let _ = fields::min_se(message);
    let _ = fields::SessionExpires::of(message);
    let _ = fields::RAck::of(message);
    if let Some(uri) = message.uri() {
        let _ = Uri::parse(uri);
    }
    for field in message.fields() {
        let _ = NameAddr::parse(field.value);
        let _ = Uri::parse(field.value);
        Via::parse_list(field.value).take(100).for_each(drop);
    }
}

fn frames(parts: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    for part in parts {
        framer.push(part);
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(message))) => seen.push(summary(&message)),
                Ok(Some(Frame::KeepAlive)) => seen.push("keep-alive".into()),
                Ok(None) => break,
                Err(broken) => {
                    seen.push(format!("broken: {broken:?}"));
                    return seen;
                }
            }
        }
    }
    seen
}

fn summary(message: &Message) -> String {
    let fields: Vec<_> = message
        .fields()
        .map(|field| (field.name, field.value))
        .collect();
    format!(
        "{:?} {:?} {:?} {:?}",
        message.start(),
        message.fault(),
        fields,
        message.body()
    )
}
