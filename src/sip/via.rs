//! Via (RFC 3261 §20.42, RFC 3581).

use super::error::{Fault, FaultKind};
use super::host::{self, Host};
use super::lex::{self, Param, Params, Parsed, fault_in, flaw};
use std::net::IpAddr;

/// The longest branch, in bytes.
pub const MAX_BRANCH: usize = 512;

/// The start of every branch of an RFC 3261 implementation (§8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One hop of a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport as received, such as `UDP`; any token.
    pub transport: &'a [u8],
    /// The host of `sent-by`.
    pub host: Host<'a>,
    /// The port of `sent-by`.
    pub port: Option<u16>,
    /// The branch as received, with its magic cookie if it has one.
    pub branch: Option<&'a [u8]>,
    /// The address the next hop saw the request come from.
    pub received: Option<IpAddr>,
    /// RFC 3581: `Some(None)` asks for it, `Some(Some(port))` is its answer.
    pub rport: Option<Option<u16>>,
    /// Where the sender wants responses to multicast requests. Never obeyed.
    pub maddr: Option<Host<'a>>,
    /// The multicast time to live.
    pub ttl: Option<u8>,
    /// The whole hop as received, without its commas.
    pub text: &'a [u8],
    /// The parameters, from the first `;` on; empty if there are none.
    pub params: &'a [u8],
}

impl<'a> Via<'a> {
    /// Nothing read yet.
    pub(super) const EMPTY: Self = Self {
        transport: &[],
        host: Host::Name(&[]),
        port: None,
        branch: None,
        received: None,
        rport: None,
        maddr: None,
        ttl: None,
        text: &[],
        params: &[],
    };

    /// Reads the first hop of a comma list.
    ///
    /// # Errors
    /// What is wrong with it first, by its offset in `text`.
    #[inline(always)]
    pub(crate) fn parse_first(text: &'a [u8]) -> Result<Self, Fault> {
        let mut via = Self::EMPTY;
        match hop(text, &mut via).and_then(|(rest, ())| lex::list_end(rest)) {
            Ok(_) => Ok(via),
            Err(error) => Err(fault_in(text, error)),
        }
    }

    /// Reads a comma list of hops, lazily. The first fault ends it.
    #[must_use]
    pub fn parse_list(text: &'a [u8]) -> Vias<'a> {
        Vias {
            whole: text,
            rest: Some(text),
        }
    }

    /// What follows the magic cookie in the branch; `None` for a branch of RFC 2543,
    /// which names no transaction by itself, and for the bare cookie.
    #[must_use]
    pub fn branch_token(&self) -> Option<&'a [u8]> {
        let (cookie, token) = self.branch?.split_at_checked(MAGIC_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !token.is_empty()).then_some(token)
    }

    /// What stands in front of the parameters: protocol and `sent-by`, as received.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        let length = self.text.len().saturating_sub(self.params.len());
        lex::trim_lws_end(self.text.get(..length).unwrap_or_default())
    }

    /// The parameters in their order.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        Params(self.params)
    }
}

/// Iterates over the hops of a Via field.
#[derive(Clone, Debug)]
pub struct Vias<'a> {
    whole: &'a [u8],
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Vias<'a> {
    type Item = Result<Via<'a>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let mut via = Via::EMPTY;
        match hop(text, &mut via).and_then(|(rest, ())| lex::list_end(rest)) {
            Ok((rest, more)) => {
                self.rest = more.map(|()| rest);
                Some(Ok(via))
            }
            Err(error) => Some(Err(fault_in(self.whole, error))),
        }
    }
}

/// Reads one hop, up to a comma or the end, into `via`: a large value is better filled
/// in than handed back.
#[inline(always)]
fn hop<'a>(text: &'a [u8], via: &mut Via<'a>) -> Parsed<'a, ()> {
    let text = lex::skip_lws(text);
    let (rest, transport) = protocol(text)?;
    let (rest, (host, port)) = sent_by(rest)?;
    (via.transport, via.host, via.port) = (transport, host, port);
    let mut sound = true;
    let (rest, params) = lex::params(rest, |param| {
        sound &= via.take(param).is_some();
    })?;
    if !sound {
        return flaw(FaultKind::Via, text);
    }
    let length = text.len() - rest.len();
    via.text = lex::trim_lws_end(text.get(..length).unwrap_or_default());
    via.params = params;
    Ok((rest, ()))
}

/// `SIP/2.0/transport` and the white space behind it; gives the transport.
#[inline]
fn protocol(text: &[u8]) -> Parsed<'_, &[u8]> {
    if let Some(rest) = text.strip_prefix(b"SIP/2.0/UDP ") {
        let transport = text.get(8..11).unwrap_or_default();
        return Ok((lex::skip_lws(rest), transport));
    }
    let rest = match text {
        [b'S' | b's', b'I' | b'i', b'P' | b'p', rest @ ..] => lex::separator(rest, b'/'),
        _ => None,
    };
    let rest = rest
        .and_then(|rest| rest.strip_prefix(b"2.0"))
        .and_then(|rest| lex::separator(rest, b'/'));
    let Some(rest) = rest else {
        return flaw(FaultKind::Via, text);
    };
    let (after, transport) = lex::token(rest, FaultKind::Via)?;
    let rest = lex::skip_lws(after);
    if rest.len() == after.len() {
        return flaw(FaultKind::Via, rest);
    }
    Ok((rest, transport))
}

/// `host [COLON port]`, with white space allowed around the colon.
#[inline]
fn sent_by(text: &[u8]) -> Parsed<'_, (Host<'_>, Option<u16>)> {
    let (rest, host) = host::host(text)?;
    match lex::separator(rest, b':') {
        Some(digits) => {
            let (rest, port) = host::port(digits)?;
            Ok((rest, (host, Some(port))))
        }
        None => Ok((rest, (host, None))),
    }
}

impl<'a> Via<'a> {
    /// Notes a parameter; `None` where it is malformed or given twice.
    #[inline]
    fn take(&mut self, param: Param<'a>) -> Option<()> {
        let value = param.value;
        if param.is(b"branch") {
            let branch = value.filter(|branch| param.token && branch.len() <= MAX_BRANCH)?;
            once(&mut self.branch, branch)
        } else if param.is(b"rport") {
            let port = match value {
                None => None,
                Some(digits) => Some(u16::try_from(lex::number_up_to(digits, 65_535)?).ok()?),
            };
            once(&mut self.rport, port)
        } else if param.is(b"received") {
            once(&mut self.received, Host::parse(value?)?.ip()?)
        } else if param.is(b"maddr") {
            once(&mut self.maddr, Host::parse(value?)?)
        } else if param.is(b"ttl") {
            let ttl = lex::number_up_to(value?, 255)?;
            once(&mut self.ttl, u8::try_from(ttl).ok()?)
        } else {
            Some(())
        }
    }
}

/// Fills an empty place; `None` if it is full already.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests;
