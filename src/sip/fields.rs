//! Typed header field values, and the set that every message must have.

use super::error::{Fault, FaultKind};
use super::header::HeaderId;
use super::lex;
use super::line::{MAX_METHOD, Method};
use super::message::{Message, Values};
use super::name_addr::{NameAddr, NameAddrs};
use super::uri::Uri;
use super::via::Via;
use super::words;

pub use super::extensions::{
    MethodSet, RAck, Reason, Refresher, SessionExpires, min_se, privacy, reasons, retry_after, rseq,
};

/// The longest Call-ID, in bytes.
pub const MAX_CALL_ID: usize = 512;

/// The greatest CSeq number (RFC 3261 §8.1.1.5: below 2^31).
const MAX_CSEQ: u64 = (1 << 31) - 1;

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'m> {
    /// The sequence number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
    /// The method as received.
    pub method_text: &'m [u8],
}

/// What every message must have (RFC 3261 §8.1.1), checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Essentials<'m> {
    /// The topmost Via.
    pub via: Via<'m>,
    /// From.
    pub from: NameAddr<'m>,
    /// The From tag; only RFC 2543 callers have none.
    pub from_tag: Option<&'m [u8]>,
    /// To.
    pub to: NameAddr<'m>,
    /// The To tag: there inside a dialog, and in responses.
    pub to_tag: Option<&'m [u8]>,
    /// Call-ID.
    pub call_id: &'m [u8],
    /// CSeq. In a request, its method is the request's.
    pub cseq: CSeq<'m>,
    /// Max-Forwards, which RFC 2543 callers leave out.
    pub max_forwards: Option<u8>,
}

impl<'m> Essentials<'m> {
    /// Reads and checks them all. Does not look at [`Message::fault`], nor at the
    /// Request-URI.
    ///
    /// # Errors
    /// The first that is missing or malformed, with its offset in the message; a
    /// response with a fault is to be dropped, a request to be answered with
    /// [`FaultKind::status`].
    pub fn parse(message: &'m Message) -> Result<Self, Fault> {
        let via = top_via(message)?;
        let (from, from_tag) = party(message, HeaderId::From, FaultKind::NoFrom)?;
        let (to, to_tag) = party(message, HeaderId::To, FaultKind::NoTo)?;
        let call_id = mandatory(message, HeaderId::CallId, FaultKind::NoCallId)?;
        if call_id.len() > MAX_CALL_ID || !lex::is_visible(call_id) {
            return Err(fault(message, FaultKind::CallId, call_id));
        }
        let cseq = cseq(message)?;
        let max_forwards = match message.first(HeaderId::MaxForwards) {
            None => None,
            Some(text) => match hops(text) {
                None => return Err(fault(message, FaultKind::MaxForwards, text)),
                hops => hops,
            },
        };
        Ok(Self {
            via,
            from,
            from_tag,
            to,
            to_tag,
            call_id,
            cseq,
            max_forwards,
        })
    }
}

/// The value of Max-Forwards (RFC 3261 §20.22).
pub(super) fn hops(text: &[u8]) -> Option<u8> {
    u8::try_from(lex::number_up_to(text, 255)?).ok()
}

/// A fault at the start of `part`, a slice of the message.
fn fault(message: &Message, kind: FaultKind, part: &[u8]) -> Fault {
    Fault::new(kind, message.offset_of(part))
}

fn mandatory(message: &Message, id: HeaderId, missing: FaultKind) -> Result<&[u8], Fault> {
    message.first(id).ok_or(Fault::new(missing, 0))
}

pub(super) fn top_via(message: &Message) -> Result<Via<'_>, Fault> {
    let text = mandatory(message, HeaderId::Via, FaultKind::NoVia)?;
    Via::parse_first(text).map_err(|fault| fault.within(message.offset_of(text)))
}

type Party<'m> = (NameAddr<'m>, Option<&'m [u8]>);

fn party(message: &Message, id: HeaderId, missing: FaultKind) -> Result<Party<'_>, Fault> {
    let text = mandatory(message, id, missing)?;
    NameAddr::parse_tagged(text).map_err(|fault| fault.within(message.offset_of(text)))
}

fn cseq(message: &Message) -> Result<CSeq<'_>, Fault> {
    let text = mandatory(message, HeaderId::CSeq, FaultKind::NoCSeq)?;
    // Nearly always there is one space, and the request's method behind it.
    if let Some((number @ ..=MAX_CSEQ, [b' ', method_text @ ..])) = lex::number(text)
        && let Some(method) = message.method()
        && let Ok(number) = u32::try_from(number)
        && method_text == message.method_text()
    {
        return Ok(CSeq {
            number,
            method,
            method_text,
        });
    }
    let Some(cseq) = cseq_value(text) else {
        return Err(fault(message, FaultKind::CSeq, text));
    };
    if message.method().is_some() && cseq.method_text != message.method_text() {
        return Err(fault(message, FaultKind::CSeqMethod, cseq.method_text));
    }
    Ok(cseq)
}

pub(crate) fn cseq_value(text: &[u8]) -> Option<CSeq<'_>> {
    let (number, rest) = lex::number(text).filter(|&(number, _)| number <= MAX_CSEQ)?;
    let method_text = lex::skip_lws(rest);
    let spaced = method_text.len() < rest.len();
    if !spaced || method_text.len() > MAX_METHOD || !lex::is_token(method_text) {
        return None;
    }
    Some(CSeq {
        number: u32::try_from(number).ok()?,
        method: Method::lookup(method_text),
        method_text,
    })
}

/// The Request-URI of a request, as one that may be served.
///
/// # Errors
/// A malformed URI, one with headers in it (RFC 3261 §19.1.1), an unknown scheme
/// ([`FaultKind::UriScheme`], 416); [`FaultKind::RequestLine`] for a response.
pub fn request_uri(message: &Message) -> Result<Uri<'_>, Fault> {
    let text = message.uri().ok_or(Fault::new(FaultKind::RequestLine, 0))?;
    match Uri::parse(text).map_err(|fault| fault.within(message.offset_of(text)))? {
        Uri::Sip(uri) if uri.headers.is_some() => Err(fault(message, FaultKind::UriHeaders, text)),
        Uri::Other { .. } => Err(fault(message, FaultKind::UriScheme, text)),
        uri => Ok(uri),
    }
}

/// All hops of all Via fields, topmost first. The first fault of a field ends that
/// field; offsets count in the field.
pub fn vias(message: &Message) -> impl Iterator<Item = Result<Via<'_>, Fault>> {
    message.all(HeaderId::Via).flat_map(Via::parse_list)
}

/// The one Contact of a request or response that makes or refreshes a dialog
/// (RFC 3261 §8.1.1.8, §12.1.1). `None` if there is none.
///
/// # Errors
/// A malformed Contact, or [`FaultKind::Contacts`] where there is more than one.
pub fn contact(message: &Message) -> Result<Option<NameAddr<'_>>, Fault> {
    let mut fields = message.values(HeaderId::Contact);
    let Some(text) = fields.next() else {
        return Ok(None);
    };
    let base = message.offset_of(text);
    let mut list = NameAddr::parse_list(text);
    let first = list
        .next()
        .transpose()
        .map_err(|fault| fault.within(base))?;
    if list.next().is_some() || fields.next().is_some() {
        return Err(Fault::new(FaultKind::Contacts, base));
    }
    Ok(first)
}

/// All addresses of all fields of this id, in order: Contact, Route, Record-Route,
/// P-Asserted-Identity, Diversion and the like. The first fault of a field ends
/// that field; its offset counts in the message.
pub fn addresses(
    message: &Message,
    id: HeaderId,
) -> impl Iterator<Item = Result<NameAddr<'_>, Fault>> {
    Addresses {
        message,
        fields: message.values(id),
        field: None,
    }
}

struct Addresses<'m> {
    message: &'m Message,
    fields: Values<'m>,
    /// The field that is being read, and where it stands.
    field: Option<(NameAddrs<'m>, usize)>,
}

impl<'m> Iterator for Addresses<'m> {
    type Item = Result<NameAddr<'m>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((addresses, base)) = &mut self.field
                && let Some(address) = addresses.next()
            {
                return Some(address.map_err(|fault| fault.within(*base)));
            }
            let text = self.fields.next()?;
            self.field = Some((NameAddr::parse_list(text), self.message.offset_of(text)));
        }
    }
}

/// The Route set in order (RFC 3261 §20.34).
pub fn routes(message: &Message) -> impl Iterator<Item = Result<NameAddr<'_>, Fault>> {
    addresses(message, HeaderId::Route)
}

/// The Record-Route set in order (RFC 3261 §20.30).
pub fn record_routes(message: &Message) -> impl Iterator<Item = Result<NameAddr<'_>, Fault>> {
    addresses(message, HeaderId::RecordRoute)
}

/// These hops as the value of one Route, in their order (RFC 3261 §12.1); empty if there
/// are none. Of control characters none is kept: a field may have been folded.
pub fn route_of<'m>(hops: impl IntoIterator<Item = NameAddr<'m>>) -> Vec<u8> {
    let mut route = Vec::new();
    for hop in hops {
        if !route.is_empty() {
            route.extend_from_slice(b", ");
        }
        for part in [b"<", hop.uri_text, b">", hop.params] {
            route.extend(part.iter().filter(|byte| !byte.is_ascii_control()));
        }
    }
    route
}

/// The elements of a comma list of words over all fields of this id, such as the
/// option tags of Supported and Require, the methods of Allow. Empty elements are
/// left out; nothing else is checked.
pub fn option_tags(message: &Message, id: HeaderId) -> impl Iterator<Item = &[u8]> {
    Elements {
        fields: message.values(id),
        rest: &[],
        comma: b',',
    }
}

/// Iterates over what stands between the commas (or another byte) of all fields of
/// one id, without white space and without what is empty.
pub(crate) struct Elements<'m> {
    pub(crate) fields: Values<'m>,
    pub(crate) rest: &'m [u8],
    pub(crate) comma: u8,
}

impl<'m> Iterator for Elements<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while self.rest.is_empty() {
                self.rest = self.fields.next()?;
            }
            let end = words::find_near(self.rest, |word| words::equal(word, self.comma));
            let (element, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            let element = lex::trim_lws(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

#[cfg(test)]
mod tests;
