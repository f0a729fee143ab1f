//! `Digest name=value, …`: what a challenge and credentials are written in.

use smallvec::SmallVec;

use super::FAULT;
use crate::base::limits::DIGEST_PARAMS;
use crate::sip::error::{Fault, FaultKind};
use crate::sip::lex;

/// The parameters, unread.
pub(super) struct Pairs<'m>(&'m [u8]);

impl<'m> Pairs<'m> {
    /// `None` for another scheme.
    pub(super) fn of(value: &'m [u8]) -> Result<Option<Self>, Fault> {
        let (scheme, rest) = lex::span(lex::skip_lws(value), lex::TOKEN);
        let behind = lex::skip_lws(rest);
        if scheme.is_empty() || behind.len() == rest.len() {
            return Err(FAULT);
        }
        let ours = scheme.eq_ignore_ascii_case(b"Digest");
        Ok(ours.then_some(Self(behind)))
    }

    /// Reads them all.
    pub(super) fn all(self) -> Result<Known<'m>, Fault> {
        let mut known = Known::default();
        let mut rest = self.0;
        loop {
            let (behind, (name, value)) = pair(rest).map_err(|_| FAULT)?;
            if known.0.len() >= DIGEST_PARAMS || known.find(name).is_some() {
                return Err(FAULT);
            }
            known.0.push((name, value));
            match lex::skip_lws(behind) {
                [] => return Ok(known),
                [b',', more @ ..] => rest = lex::skip_lws(more),
                _ => return Err(FAULT),
            }
        }
    }
}

/// The parameters, each of another name.
#[derive(Default)]
pub(super) struct Known<'m>(SmallVec<[(&'m [u8], &'m [u8]); 12]>);

impl<'m> Known<'m> {
    fn find(&self, name: &[u8]) -> Option<&'m [u8]> {
        let mut all = self.0.iter();
        let (_, value) = all.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// A value without its quotes; `None` if there is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'m [u8]>, Fault> {
        match self.find(name.as_bytes()) {
            Some(value) if value.contains(&b'\\') || !value.iter().all(is_plain) => Err(FAULT),
            value => Ok(value),
        }
    }
}

/// What may stand in a value: neither a fold, which one program hashes as it came and
/// another as a space, nor any other control byte.
fn is_plain(byte: &u8) -> bool {
    !byte.is_ascii_control()
}

type Pair<'m> = (&'m [u8], &'m [u8]);

/// One `name=value`, quoted or not; the value without quotes.
fn pair(text: &[u8]) -> lex::Parsed<'_, Pair<'_>> {
    let (rest, name) = lex::token(text, FaultKind::Digest)?;
    let Some(text) = lex::separator(rest, b'=') else {
        return lex::flaw(FaultKind::Digest, rest);
    };
    let (rest, value) = match text.first() {
        Some(b'"') => lex::quoted(text)?,
        _ => lex::token(text, FaultKind::Digest)?,
    };
    Ok((rest, (name, value)))
}
