//! Which dialog an INVITE takes the place of (RFC 3891 §6.1).

/// The value of Replaces: a dialog, as who answers the INVITE knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The tag of who answers the INVITE.
    pub to_tag: &'a [u8],
    /// The other's tag.
    pub from_tag: &'a [u8],
    /// It is only meant if it is not confirmed yet.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a value. `None` if it is none, or says one of its parts twice.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let call_id = parts.next().filter(|it| is_word(it))?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let mut halves = part.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let name = halves.next().unwrap_or_default();
            let said = match name {
                name if name.eq_ignore_ascii_case(b"to-tag") => &mut to_tag,
                name if name.eq_ignore_ascii_case(b"from-tag") => &mut from_tag,
                name => {
                    early_only |= name.eq_ignore_ascii_case(b"early-only");
                    continue;
                }
            };
            let tag = halves.next().filter(|it| is_word(it))?;
            if said.replace(tag).is_some() {
                return None;
            }
        }
        Some(Self {
            call_id,
            to_tag: to_tag?,
            from_tag: from_tag?,
            early_only,
        })
    }
}

/// Whether a text may be a Call-ID or a tag.
fn is_word(text: &[u8]) -> bool {
    let stands = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b';' | b'=');
    !text.is_empty() && text.iter().all(stands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_is_named_by_three_parts() {
        let whole = Replaces {
            call_id: b"98732@sip.example",
            to_tag: b"r33th4x0r",
            from_tag: b"ff87ff",
            early_only: false,
        };
        for text in [
            &b"98732@sip.example;from-tag=ff87ff;to-tag=r33th4x0r"[..],
            b"98732@sip.example ; To-Tag = r33th4x0r;x=y ;FROM-TAG=ff87ff",
        ] {
            assert_eq!(Replaces::parse(text), Some(whole));
        }
        let early = Replaces::parse(b"a;to-tag=b;from-tag=c;early-only");
        assert!(early.unwrap().early_only);
        for text in [
            &b""[..],
            b";to-tag=b;from-tag=c",
            b"a;to-tag=b",
            b"a;to-tag=;from-tag=c",
            b"a;to-tag;from-tag=c",
            b"a;to-tag=b;from-tag=c;to-tag=d",
            b"a b;to-tag=b;from-tag=c",
            b"a;to-tag=b\r\nX: y;from-tag=c",
        ] {
            assert_eq!(Replaces::parse(text), None);
        }
    }
}
