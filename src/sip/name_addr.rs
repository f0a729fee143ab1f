//! Addresses in header fields: `name-addr` and `addr-spec` with their parameters
//! (RFC 3261 §20.10, §25.1).

use super::error::{Fault, FaultKind};
use super::lex::{self, Param, Params, Parsed, fault_in, flaw, span};
use super::uri::Uri;

/// The longest tag, in bytes.
pub const MAX_TAG: usize = 512;

/// One address of a From, To, Contact, Route, P-Asserted-Identity and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name: what is between the quotes, escapes undecoded, or the
    /// unquoted tokens. `None` if there is none; may be empty between quotes.
    pub display: Option<&'a [u8]>,
    /// The URI as received, without its angle brackets.
    pub uri_text: &'a [u8],
    /// The header field parameters, from the first `;` on; empty if there are none.
    pub params: &'a [u8],
}

impl<'a> NameAddr<'a> {
    /// Nothing read yet.
    pub(super) const EMPTY: Self = Self {
        display: None,
        uri_text: &[],
        params: &[],
    };

    /// Reads a whole field value as one address. The URI between the brackets is
    /// looked at only so far as that it has a scheme and no spaces.
    ///
    /// # Errors
    /// What is wrong first, by its offset in `text`.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        whole(text, |_| ())
    }

    /// Reads a comma list, lazily. The first fault ends it.
    #[must_use]
    pub fn parse_list(text: &'a [u8]) -> NameAddrs<'a> {
        NameAddrs {
            whole: text,
            rest: Some(text),
        }
    }

    /// The URI, parsed.
    ///
    /// # Errors
    /// As [`Uri::parse`]; offsets count in [`uri_text`](Self::uri_text).
    pub fn uri(&self) -> Result<Uri<'a>, Fault> {
        Uri::parse(self.uri_text)
    }

    /// The header field parameter of this name (any case): `None` if absent,
    /// `Some(None)` without a value. A quoted value keeps its quotes.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        Params(self.params).value(name)
    }

    /// The header field parameters in their order.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        Params(self.params)
    }

    /// The tag (RFC 3261 §19.3), if it is a token.
    #[must_use]
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.param(b"tag")
            .flatten()
            .filter(|tag| lex::is_token(tag))
    }

    /// Reads a whole field value as one address with a tag, if it has one.
    ///
    /// # Errors
    /// As [`Self::parse`], and [`FaultKind::Tag`] where the tag is no token, longer
    /// than [`MAX_TAG`], or given twice.
    pub(crate) fn parse_tagged(text: &'a [u8]) -> Result<(Self, Option<&'a [u8]>), Fault> {
        let mut tag = None;
        let mut sound = true;
        let address = whole(text, |param| {
            if param.is(b"tag") {
                let length = param.value.map_or(0, <[u8]>::len);
                sound &= tag.is_none() && param.token && length <= MAX_TAG;
                tag = param.value;
            }
        })?;
        if !sound {
            let at = address.params.as_ptr().addr() - text.as_ptr().addr();
            return Err(Fault::new(FaultKind::Tag, at));
        }
        Ok((address, tag))
    }
}

/// A whole text as one address, its parameters shown to `see`.
#[inline(always)]
fn whole<'a>(text: &'a [u8], see: impl FnMut(Param<'a>)) -> Result<NameAddr<'a>, Fault> {
    let mut address = NameAddr::EMPTY;
    match read(text, &mut address, see) {
        Ok(([], ())) => Ok(address),
        Ok((rest, ())) => Err(Fault::new(FaultKind::NameAddr, text.len() - rest.len())),
        Err(error) => Err(fault_in(text, error)),
    }
}

/// Iterates over the addresses of a comma list.
#[derive(Clone, Debug)]
pub struct NameAddrs<'a> {
    whole: &'a [u8],
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for NameAddrs<'a> {
    type Item = Result<NameAddr<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let mut address = NameAddr::EMPTY;
        match read(text, &mut address, |_| ()).and_then(|(rest, ())| lex::list_end(rest)) {
            Ok((rest, more)) => {
                self.rest = more.map(|()| rest);
                Some(Ok(address))
            }
            Err(error) => Some(Err(fault_in(self.whole, error))),
        }
    }
}

/// Reads one address, up to a comma or the end, into `address`; its parameters are
/// shown to `see`.
#[inline(always)]
fn read<'a>(
    text: &'a [u8],
    address: &mut NameAddr<'a>,
    see: impl FnMut(Param<'a>),
) -> Parsed<'a, ()> {
    let text = lex::skip_lws(text);
    let (rest, ()) = match text {
        [b'<', ..] => bracketed(text, address)?,
        [b'"', ..] => {
            let (rest, display) = lex::quoted(text)?;
            address.display = Some(display);
            bracketed(lex::skip_lws(rest), address)?
        }
        _ => unquoted(text, address)?,
    };
    if rest.is_empty() {
        return Ok((rest, ()));
    }
    let (rest, params) = lex::params(rest, see)?;
    address.params = params;
    match lex::skip_lws(rest) {
        rest @ ([] | [b',', ..]) => Ok((rest, ())),
        _ => flaw(FaultKind::NameAddr, rest),
    }
}

/// What starts without a quote or bracket: an unquoted display name and its address,
/// or an address without brackets.
fn unquoted<'a>(text: &'a [u8], address: &mut NameAddr<'a>) -> Parsed<'a, ()> {
    let mut rest = text;
    loop {
        let after = span(rest, lex::TOKEN).1;
        let spaced = lex::skip_lws(after);
        match spaced {
            [b'<', ..] => {
                let display = text.get(..text.len() - after.len()).unwrap_or_default();
                address.display = Some(lex::trim_lws_end(display));
                return bracketed(spaced, address);
            }
            _ if spaced.len() < after.len() && after.len() < rest.len() => rest = spaced,
            [b':', ..] if after.len() < text.len() && rest.len() == text.len() => {
                return addr_spec(text, address);
            }
            _ => return flaw(FaultKind::DisplayName, after),
        }
    }
}

/// An address without brackets: it ends at the first semicolon, comma or space,
/// and what follows are the header field's parameters (RFC 3261 §20.10).
fn addr_spec<'a>(text: &'a [u8], address: &mut NameAddr<'a>) -> Parsed<'a, ()> {
    let visible = lex::address_span(text).0;
    let end = visible
        .iter()
        .position(|byte| matches!(byte, b';' | b',' | b'?'))
        .unwrap_or(visible.len());
    match text.split_at_checked(end) {
        Some((_, rest @ [b'?', ..])) => flaw(FaultKind::BareAddress, rest),
        Some((uri, rest)) if has_scheme(uri) => {
            address.uri_text = uri;
            Ok((rest, ()))
        }
        _ => flaw(FaultKind::NameAddr, text),
    }
}

/// `<addr-spec>`, without white space inside.
#[inline]
fn bracketed<'a>(text: &'a [u8], address: &mut NameAddr<'a>) -> Parsed<'a, ()> {
    let [b'<', inner @ ..] = text else {
        return flaw(FaultKind::NameAddr, text);
    };
    match lex::address_span(inner) {
        (uri, [b'>', rest @ ..]) if has_scheme(uri) => {
            address.uri_text = uri;
            Ok((rest, ()))
        }
        (_, rest) => flaw(FaultKind::NameAddr, rest),
    }
}

/// Whether the text starts as a URI does (RFC 3986 §3.1).
#[inline]
fn has_scheme(uri: &[u8]) -> bool {
    if let [b's', b'i', b'p', b':', _, ..] | [b's', b'i', b'p', b's', b':', _, ..] = uri {
        return true;
    }
    let scheme_end =
        |&byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    match uri.iter().position(scheme_end) {
        Some(at) => {
            uri.first().is_some_and(u8::is_ascii_alphabetic)
                && uri.get(at) == Some(&b':')
                && uri.len() > at.saturating_add(1)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
