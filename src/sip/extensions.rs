//! Values of the extensions that a call uses: session timers (RFC 4028), reliable
//! provisional responses (RFC 3262), Reason (RFC 3326), Privacy (RFC 3323), and
//! Allow as a set.

use super::error::{Fault, FaultKind};
use super::fields::{Elements, cseq_value};
use super::header::HeaderId;
use super::lex::{self, Params};
use super::line::Method;
use super::message::Message;
use super::words;

/// Who refreshes a session (RFC 4028 §4), from the request's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The sender of the request.
    Uac,
    /// The receiver of the request.
    Uas,
}

impl Refresher {
    /// What the parameters behind an interval say: `None` where they are malformed,
    /// `Some(None)` where they do not say who.
    fn of_params(text: &[u8]) -> Option<Option<Self>> {
        let mut refresher = Some(None);
        let (rest, _) = lex::params(text, |param| {
            if param.is(b"refresher") {
                refresher = match param.value {
                    Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Some(Self::Uac)),
                    Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Some(Self::Uas)),
                    _ => None,
                };
            }
        })
        .ok()?;
        lex::skip_lws(rest).is_empty().then_some(refresher)?
    }

    /// The value of the `refresher` parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// Session-Expires (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// How long the session lasts without a refresh, in seconds; 2^32-1 for anything
    /// longer.
    pub seconds: u32,
    /// Who refreshes it, if that is said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads it; `None` if there is none.
    ///
    /// # Errors
    /// [`FaultKind::SessionTimer`].
    pub fn of(message: &Message) -> Result<Option<Self>, Fault> {
        value(
            message,
            HeaderId::SessionExpires,
            FaultKind::SessionTimer,
            |text| {
                let (seconds, params) = lex::number(text)?;
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                let refresher = match params {
                    [] => None,
                    b";refresher=uac" => Some(Refresher::Uac),
                    b";refresher=uas" => Some(Refresher::Uas),
                    _ => Refresher::of_params(params)?,
                };
                Some(Self { seconds, refresher })
            },
        )
    }
}

/// Min-SE in seconds (RFC 4028 §5); `None` if there is none.
///
/// # Errors
/// [`FaultKind::SessionTimer`].
pub fn min_se(message: &Message) -> Result<Option<u32>, Fault> {
    value(message, HeaderId::MinSe, FaultKind::SessionTimer, |text| {
        let (seconds, params) = lex::number(text)?;
        Refresher::of_params(params)?;
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    })
}

/// Retry-After (RFC 3261 §20.33): after how many seconds whoever says it may be asked
/// again. Its comment and parameters say no more to us.
#[must_use]
pub fn retry_after(message: &Message) -> Option<u32> {
    let (seconds, _) = lex::number(message.first(HeaderId::RetryAfter)?)?;
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// RAck (RFC 3262 §7.2): which provisional response a PRACK acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The response's RSeq.
    pub rseq: u32,
    /// The response's CSeq number.
    pub cseq: u32,
    /// The response's CSeq method.
    pub method: Method,
}

impl RAck {
    /// Reads it; `None` if there is none.
    ///
    /// # Errors
    /// [`FaultKind::Reliable`].
    pub fn of(message: &Message) -> Result<Option<Self>, Fault> {
        value(message, HeaderId::RAck, FaultKind::Reliable, |text| {
            let (rseq, rest) = lex::number(text)?;
            let cseq = cseq_value(lex::skip_lws(rest))?;
            let spaced = matches!(rest.first(), Some(b' ' | b'\t' | b'\r'));
            spaced.then_some(Self {
                rseq: u32::try_from(rseq).ok()?,
                cseq: cseq.number,
                method: cseq.method,
            })
        })
    }
}

/// RSeq (RFC 3262 §7.1), 1 to 2^32-1; `None` if there is none.
///
/// # Errors
/// [`FaultKind::Reliable`].
pub fn rseq(message: &Message) -> Result<Option<u32>, Fault> {
    value(message, HeaderId::RSeq, FaultKind::Reliable, |text| {
        let number = lex::number_up_to(text, u64::from(u32::MAX))?;
        u32::try_from(number).ok().filter(|&number| number != 0)
    })
}

/// One value of Reason (RFC 3326).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'m> {
    /// The name space of the cause, such as `SIP` or `Q.850`.
    pub protocol: &'m [u8],
    /// The cause, where it is a number below 65,536.
    pub cause: Option<u16>,
    /// The text with its quotes.
    pub text: Option<&'m [u8]>,
}

/// The values of Reason in order, up to the first that is malformed.
pub fn reasons(message: &Message) -> impl Iterator<Item = Reason<'_>> {
    message.all(HeaderId::Reason).flat_map(|text| {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = lex::skip_lws(rest.take()?);
            let (after, protocol) = lex::token(text, FaultKind::List).ok()?;
            let (after, params) = lex::params(after, |_| ()).ok()?;
            let (after, more) = lex::list_end(after).ok()?;
            rest = more.map(|()| after);
            let param = |name: &[u8]| Params(params).value(name).flatten();
            let cause = param(b"cause").and_then(|cause| lex::number_up_to(cause, 65_535));
            Some(Reason {
                protocol,
                cause: cause.and_then(|cause| u16::try_from(cause).ok()),
                text: param(b"text"),
            })
        })
    })
}

/// The values of Privacy (RFC 3323 §4.2), such as `id` and `none`, in the case
/// they came in.
pub fn privacy(message: &Message) -> impl Iterator<Item = &[u8]> {
    Elements {
        fields: message.values(HeaderId::Privacy),
        rest: &[],
        comma: b';',
    }
}

/// A set of the methods that Tollgate knows by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodSet(u32);

impl MethodSet {
    /// The methods of Allow (RFC 3261 §20.5); `None` without an Allow, which says
    /// nothing about what is allowed.
    #[must_use]
    pub fn allow(message: &Message) -> Option<Self> {
        message.first(HeaderId::Allow)?;
        let mut set = Self::default();
        for text in message.all(HeaderId::Allow) {
            let mut at = skip_gap(text, 0);
            while let Some(rest @ [_, ..]) = text.get(at..) {
                let (method, length) = method_at_start(rest);
                set.insert(method);
                at += length;
                match text.get(at..) {
                    Some([b',', b' ', b'A'..=b'Z', ..]) => at += 2,
                    _ => at = skip_gap(text, at),
                }
            }
        }
        Some(set)
    }

    /// Adds a method; [`Method::Other`] is never in a set.
    pub fn insert(&mut self, method: Method) {
        if method != Method::Other {
            self.0 |= 1 << method as u32;
        }
    }

    /// A bit for each method, to be kept.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set that [`Self::bits`] told.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether the method is in the set.
    #[must_use]
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u32) != 0
    }
}

/// Where behind `at` the next word of a list starts. Not inlined: see
/// [`lex::skip_lws`].
#[inline(never)]
fn skip_gap(text: &[u8], at: usize) -> usize {
    let gap = |byte: &u8| matches!(byte, b',' | ..=b' ');
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| gap(byte)).count()
}

/// The method at the start of a list, and how long its name is: it ends at a comma
/// or at what is not visible.
#[inline]
fn method_at_start(text: &[u8]) -> (Method, usize) {
    let end = |word| words::equal(word, b',') | words::below(word, b'!');
    if let Some(word) = text.first_chunk().map(|word| u64::from_le_bytes(*word)) {
        let found = end(word);
        if found != 0 {
            let name = word & words::before(found);
            return (Method::of_word(name), words::lowest(found));
        }
    }
    let length = words::find(text, end);
    let name = text.get(..length).unwrap_or_default();
    (Method::lookup(name), length)
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut set = Self::default();
        methods.into_iter().for_each(|method| set.insert(method));
        set
    }
}

/// A field that is optional, but not malformed.
fn value<'m, T>(
    message: &'m Message,
    id: HeaderId,
    kind: FaultKind,
    read: impl FnOnce(&'m [u8]) -> Option<T>,
) -> Result<Option<T>, Fault> {
    let Some(text) = message.first(id) else {
        return Ok(None);
    };
    match read(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Fault::new(kind, message.offset_of(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::scan;

    fn with(fields: &str) -> Message {
        let text = format!("PRACK sip:a SIP/2.0\r\n{fields}\r\n\r\n");
        scan(bytes::Bytes::from(text)).unwrap()
    }

    #[test]
    fn session_timers() {
        let read = |text: &str| SessionExpires::of(&with(text));
        let timer = |seconds, refresher| Ok(Some(SessionExpires { seconds, refresher }));
        assert_eq!(read("A: b"), Ok(None));
        assert_eq!(read("x: 90"), timer(90, None));
        assert_eq!(
            read("Session-Expires: 1800 ; refresher = UAS;a"),
            timer(1800, Some(Refresher::Uas))
        );
        assert_eq!(read("x: 99999999999"), timer(u32::MAX, None));
        for bad in [
            "x:",
            "x: a",
            "x: 90 90",
            "x: 90;refresher=me",
            "x: 90;refresher",
        ] {
            assert_eq!(
                read(bad).unwrap_err().kind,
                FaultKind::SessionTimer,
                "{bad}"
            );
        }
        assert_eq!(min_se(&with("Min-SE: 0090")), Ok(Some(90)));
        assert!(min_se(&with("Min-SE: -90")).is_err());
    }

    #[test]
    fn reliable_responses() {
        let read = |text: &str| RAck::of(&with(text)).ok().flatten();
        let rack = RAck {
            rseq: 776_656,
            cseq: 1,
            method: Method::Invite,
        };
        assert_eq!(read("RAck: 776656 1 INVITE"), Some(rack));
        assert_eq!(read("RAck: 776656 \r\n 1  INVITE"), Some(rack));
        for bad in ["RAck: 1 INVITE", "RAck: 4294967296 1 INVITE", "RAck: 1 1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(rseq(&with("RSeq: 4294967295")), Ok(Some(u32::MAX)));
        assert!(rseq(&with("RSeq: 0")).is_err());
        assert!(rseq(&with("RSeq: 4294967296")).is_err());
    }

    #[test]
    fn reasons_in_a_list() {
        let message =
            with("Reason: Q.850 ;cause=16;text=\"a, b\", SIP;cause=200\r\nReason: X;cause=a");
        let found: Vec<_> = reasons(&message)
            .map(|reason| (reason.protocol, reason.cause, reason.text))
            .collect();
        let expected: [(&[u8], _, Option<&[u8]>); 3] = [
            (b"Q.850", Some(16), Some(b"\"a, b\"")),
            (b"SIP", Some(200), None),
            (b"X", None, None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn sets_of_words() {
        let message =
            with("Privacy: id; critical\r\nAllow: INVITE,ACK ,\r\n BYE\u{1}\r\nAllow: FOO");
        assert_eq!(
            privacy(&message).collect::<Vec<_>>(),
            [b"id".as_slice(), b"critical"]
        );
        let allowed = MethodSet::allow(&message).unwrap();
        let expected: MethodSet = [Method::Invite, Method::Ack, Method::Bye]
            .into_iter()
            .collect();
        assert_eq!(allowed, expected);
        assert!(!allowed.contains(Method::Other) && !allowed.contains(Method::Update));
        assert_eq!(MethodSet::allow(&with("A: b")), None);
    }
}
