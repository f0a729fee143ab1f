//! What can be read of a message that would be turned away otherwise. Only messages
//! of emergency calls are read so: that somebody's name is badly quoted is no reason
//! why nobody should come.

use super::error::Fault;
use super::fields::{self, CSeq, Essentials};
use super::header::HeaderId;
use super::lex;
use super::line::Method;
use super::message::Message;
use super::name_addr::{MAX_TAG, NameAddr};
use super::uri::Uri;
use super::via::Via;

/// The URI of who cannot be told (RFC 3323 §4.1.1.3).
const NOBODY: &[u8] = b"sip:anonymous@anonymous.invalid";

/// The longest URI that is kept of an address, in bytes.
const MAX_URI: usize = 1_024;

impl<'m> Essentials<'m> {
    /// As [`Self::parse`], but what is missing or malformed is taken for what comes
    /// nearest to it, so that a message and those that follow it in its dialog are
    /// still told apart. What is sound is read as `parse` reads it.
    ///
    /// # Errors
    /// [`FaultKind::NoVia`](super::FaultKind::NoVia): nobody could be answered.
    pub fn salvage(message: &'m Message) -> Result<Self, Fault> {
        let via = match fields::top_via(message) {
            Ok(via) => via,
            Err(fault) => via_of(message.first(HeaderId::Via).ok_or(fault)?),
        };
        let (from, from_tag) = party(message, HeaderId::From).unwrap_or((named(NOBODY), None));
        let called = message.uri().filter(|uri| is_uri(uri)).unwrap_or(NOBODY);
        let (to, to_tag) = party(message, HeaderId::To).unwrap_or((named(called), None));
        Ok(Self {
            via,
            from,
            from_tag,
            to,
            to_tag,
            call_id: message.call_id(),
            cseq: cseq(message),
            max_forwards: message.first(HeaderId::MaxForwards).and_then(fields::hops),
        })
    }
}

/// A hop that cannot be read. It has no text, and is given back as it came, to
/// where the message came from.
fn via_of(text: &[u8]) -> Via<'_> {
    Via {
        branch: after(text, b"branch="),
        rport: Some(None),
        ..Via::EMPTY
    }
}

fn party(message: &Message, id: HeaderId) -> Option<(NameAddr<'_>, Option<&[u8]>)> {
    let text = message.first(id)?;
    if let Ok(sound) = NameAddr::parse_tagged(text) {
        return Some(sound);
    }
    let from = text.iter().rposition(|&byte| byte == b'<');
    let inner = from.and_then(|at| text.get(at.saturating_add(1)..));
    let (uri, params) = match inner {
        Some(inner) => cut(inner, |byte| byte == b'>'),
        None => cut(text, |byte| byte == b';'),
    };
    let uri = Some(lex::trim_lws(uri)).filter(|uri| is_uri(uri));
    let tag = after(params, b"tag=");
    let address = NameAddr {
        params,
        ..named(uri.unwrap_or(NOBODY))
    };
    Some((
        address,
        tag.filter(|tag| lex::is_token(tag) && tag.len() <= MAX_TAG),
    ))
}

fn is_uri(text: &[u8]) -> bool {
    text.len() <= MAX_URI && lex::is_address(text) && Uri::parse(text).is_ok()
}

const fn named(uri_text: &[u8]) -> NameAddr<'_> {
    NameAddr {
        uri_text,
        ..NameAddr::EMPTY
    }
}

fn cseq(message: &Message) -> CSeq<'_> {
    let text = message.first(HeaderId::CSeq).unwrap_or_default();
    let number = lex::number(text).map_or(0, |(number, _)| number);
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let said = text.rsplit(|byte| byte.is_ascii_whitespace()).next();
    let said = said.unwrap_or_default();
    CSeq {
        number,
        method: message.method().unwrap_or_else(|| Method::lookup(said)),
        method_text: match message.method() {
            Some(_) => message.method_text(),
            None => said,
        },
    }
}

/// What stands behind `name`, up to what may end a parameter; `None` if that is
/// nothing.
fn after<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut places = text.windows(name.len());
    let at = places.position(|part| part.eq_ignore_ascii_case(name))?;
    let value = text.get(at.saturating_add(name.len())..)?;
    let (value, _) = cut(value, |byte| {
        matches!(byte, b';' | b',' | b'>') || byte.is_ascii_whitespace()
    });
    (!value.is_empty()).then_some(value)
}

/// Splits in front of the first byte that `ends` it.
fn cut(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|&byte| ends(byte));
    text.split_at_checked(at.unwrap_or(text.len()))
        .unwrap_or((text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::scan;

    fn message(fields: &str) -> Message {
        let text = format!("INVITE sip:110@gw SIP/2.0\n{fields}\n");
        scan(bytes::Bytes::from(text.replace('\n', "\r\n"))).unwrap()
    }

    const SOUND: &str = "Via: SIP/2.0/UDP pbx:5070;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=f\n\
                         To: <sip:110@gw>\nCall-ID: c\nCSeq: 7 INVITE\nMax-Forwards: 9\n";

    #[test]
    fn what_is_sound_is_read_as_ever() {
        let message = message(SOUND);
        assert_eq!(Essentials::salvage(&message), Essentials::parse(&message));
    }

    /// URI and tag of a From.
    fn from(value: &str) -> (String, Option<String>) {
        let message = message(&SOUND.replace("<sip:a@b>;tag=f", value));
        let read = Essentials::salvage(&message).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(read.from.uri_text), read.from_tag.map(text))
    }

    #[test]
    fn an_address_and_its_tag_are_found() {
        for (value, uri, tag) in [
            ("B\u{fc}ro, 2 <sip:a@b>;tag=1", "sip:a@b", Some("1")),
            ("\"a <sip:a@b>;tag=1", "sip:a@b", Some("1")),
            ("<sip:a@b>;tag=1;tag=2", "sip:a@b", Some("1")),
            ("<sip:a@b>;tag=", "sip:a@b", None),
            ("<sip:a@b>;x=\"y;TAG=z", "sip:a@b", Some("z")),
            (
                "<sip:a b@c>;tag=1",
                "sip:anonymous@anonymous.invalid",
                Some("1"),
            ),
            ("110", "sip:anonymous@anonymous.invalid", None),
            ("*;tag=9", "sip:anonymous@anonymous.invalid", Some("9")),
        ] {
            assert_eq!(
                from(value),
                (uri.to_owned(), tag.map(str::to_owned)),
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_missing_comes_near() {
        let bare = message("Via: SIP/2.0/UDP a;ttl=999;branch=z9hG4bKx , b\n");
        let read = Essentials::salvage(&bare).unwrap();
        assert_eq!(read.via.branch_token(), Some(b"x".as_slice()));
        assert_eq!(
            (read.via.rport, read.via.text),
            (Some(None), b"".as_slice())
        );
        assert_eq!(read.to.uri_text, b"sip:110@gw");
        assert_eq!((read.call_id, read.cseq.number), (b"".as_slice(), 0));
        assert_eq!(read.cseq.method, Method::Invite);
        assert_eq!((read.max_forwards, read.to_tag), (None, None));
        let large = message(&SOUND.replace("7 INVITE", "4294967295 INVITE"));
        assert_eq!(Essentials::salvage(&large).unwrap().cseq.number, u32::MAX);
        assert!(Essentials::salvage(&message("To: <sip:x>\n")).is_err());
    }
}
