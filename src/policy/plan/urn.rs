//! Emergency services by name: `urn:service:sos` and its children (RFC 5031).

use crate::policy::number::{Kind, NotANumber, NotANumberKind, Number, Reading};

/// What every service's URN begins with; case does not matter (RFC 8141 §3.1).
const SERVICE: &[u8] = b"urn:service:";

/// Reads a URN. Its labels are compared without regard to case (RFC 5031 §4.1), and
/// a name too long to keep is cut to the service above it, which is an emergency too.
pub(super) fn read(text: &[u8]) -> Result<Reading, NotANumber> {
    let (scheme, name) = text.split_at_checked(SERVICE.len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(SERVICE) {
        return Err(NotANumberKind::Urn.at(0));
    }
    let mut at = SERVICE.len();
    let mut end = at;
    for label in name.split(|byte| *byte == b'.') {
        let first = at == SERVICE.len();
        if !is_label(label) || (first && !label.eq_ignore_ascii_case(b"sos")) {
            return Err(NotANumberKind::Urn.at(at));
        }
        at += label.len();
        if at <= Number::LONGEST {
            end = at;
        }
        at += 1;
    }
    let mut lower = [0; Number::LONGEST];
    let kept = lower
        .get_mut(..end)
        .zip(text.get(..end))
        .map(|(lower, text)| {
            lower.copy_from_slice(text);
            lower.make_ascii_lowercase();
            &*lower
        });
    let number = kept.and_then(|text| Number::join(&[text]));
    let number = number.ok_or(NotANumberKind::Urn.at(0))?;
    Ok(Reading {
        number,
        kind: Kind::Emergency,
        privacy: None,
    })
}

/// Whether it is a label: letters, digits and hyphens, none of these at an end.
pub(super) fn is_label(label: &[u8]) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(label.first())
        && edge(label.last())
        && label
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// The path of an emergency URN without "urn:service:": "sos.fire".
pub(super) fn path(number: &Number) -> Option<&[u8]> {
    number.as_bytes().strip_prefix(SERVICE)
}

/// The service above: "sos.fire" gives "sos".
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter()
        .rposition(|byte| *byte == b'.')
        .and_then(|dot| path.get(..dot))
}
