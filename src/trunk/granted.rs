//! What a carrier's 2xx to a REGISTER grants.

use crate::base::limits::{ROUTE_SET_BYTES, TARGET_BYTES};
use crate::policy::Gruus;
use crate::sip::fields;
use crate::sip::header::HeaderId;
use crate::sip::message::Message;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::Uri;

/// For how many seconds the Contact with this user part is bound; `asked` where the
/// response does not say, none where it is not bound (RFC 3261 §10.2.4).
pub(super) fn seconds(response: &Message, user: &[u8], asked: u32) -> Option<u32> {
    let usual = response.first(HeaderId::Expires).and_then(number);
    let usual = usual.unwrap_or(asked);
    if response.first(HeaderId::Contact).is_none() {
        // Against RFC 3261 §10.3, but done.
        return Some(usual).filter(|it| *it > 0);
    }
    let contact = own(response, user)?;
    let own = contact.param(b"expires").flatten().and_then(number);
    Some(own.unwrap_or(usual)).filter(|it| *it > 0)
}

/// The Contact with this user part.
fn own<'m>(response: &'m Message, user: &[u8]) -> Option<NameAddr<'m>> {
    let ours = |uri: Result<Uri<'_>, _>| matches!(uri, Ok(Uri::Sip(it)) if it.user == Some(user));
    let mut contacts = fields::addresses(response, HeaderId::Contact).flatten();
    contacts.find(|it| ours(it.uri()))
}

/// The GRUUs of the Contact with this user part (RFC 5627 §4.2). One that is no URI that can
/// be called, or too long to stand in every request, is as none.
pub(super) fn gruus(response: &Message, user: &[u8]) -> Gruus {
    let contact = own(response, user);
    let given = |name: &[u8]| {
        let text = contact.as_ref()?.param(name).flatten()?;
        let text = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let plain = text
            .iter()
            .all(|it| it.is_ascii_graphic() && !b"\"<>\\,".contains(it));
        match Uri::parse(text) {
            Ok(Uri::Sip(uri)) if plain && text.len() <= TARGET_BYTES => {
                uri.param(b"gr").map(|_| text.into())
            }
            _ => None,
        }
    };
    Gruus {
        public: given(b"pub-gruu").unwrap_or_default(),
        temporary: given(b"temp-gruu").unwrap_or_default(),
    }
}

/// A number of seconds (RFC 3261 §20.19).
pub(super) fn number(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok()?.trim();
    // Any longer time is as good as the longest.
    let plain = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// The value of the Route that requests are to have (RFC 3608 §6.1): none where it does
/// not parse, or is too long to stand in every request.
pub(super) fn routes(response: &Message) -> Vec<u8> {
    let hops = fields::addresses(response, HeaderId::ServiceRoute);
    let hops = hops.collect::<Result<Vec<_>, _>>();
    let mut route = hops.map(fields::route_of).unwrap_or_default();
    if route.len() > ROUTE_SET_BYTES {
        route.clear();
    }
    route
}
