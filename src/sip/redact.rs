//! A message without what must not be kept: credentials, and the keys of media.

use memchr::memchr2;

use super::message::Message;

/// What stands where something was left out.
const LEFT_OUT: &[u8] = b"(left out)";

/// Fields whose values are credentials (RFC 3261 §20.7, §20.28).
const CREDENTIALS: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];

/// Lines of a session description that carry keys (RFC 4568, RFC 4566 §5.12,
/// RFC 4567).
const KEYS: [&[u8]; 3] = [b"a=crypto", b"k=", b"a=key-mgmt"];

/// Appends a message as it was received, up to its body's end, without the values
/// of credentials and of keys. A body that cannot be looked into, being encoded,
/// is left out as a whole.
///
/// It goes by lines and not by what the scanner made of them, so that it holds for
/// parts of a body too, and where one program sees a line that another does not.
/// Whether nothing was left out.
pub fn redact(message: &Message, to: &mut Vec<u8>) -> bool {
    redact_text(message.whole(), to)
}

fn redact_text(text: &[u8], to: &mut Vec<u8>) -> bool {
    let mut part = Part::Head;
    // The line before was one, and so is what continues it; of a part, too.
    let mut secret = false;
    let mut encoded = false;
    // What is kept is copied as late as can be, most often all at once.
    let mut kept = text;
    let mut rest = text;
    while !rest.is_empty() {
        let (from, (line, behind)) = (rest, first_line(rest));
        rest = behind;
        if matches!(part, Part::Head) && line.is_empty() {
            part = Part::Body;
            secret = false;
            if encoded && !rest.is_empty() {
                keep(kept, rest, to);
                to.extend_from_slice(LEFT_OUT);
                return false;
            }
            continue;
        }
        if secret && matches!(line.first(), Some(b' ' | b'\t')) {
            kept = rest;
            continue;
        }
        secret = false;
        if !may_matter(line) {
            continue;
        }
        if let Some(shown) = shown(line) {
            keep(kept, from, to);
            to.extend_from_slice(shown);
            to.extend_from_slice(LEFT_OUT);
            // A line that continues it leaves nothing, not even its end.
            keep(from.get(line.len()..).unwrap_or_default(), rest, to);
            kept = rest;
            secret = true;
            continue;
        }
        let encoding = value_of(line, b"content-encoding").or_else(|| value_of(line, b"e"));
        if let Some(value) = encoding {
            encoded |= !value.eq_ignore_ascii_case(b"identity");
        }
        let transfer = value_of(line, b"content-transfer-encoding");
        if transfer.is_some_and(|value| !is_plain(value)) {
            // Of a part, or of all of it.
            match part {
                Part::Head => encoded = true,
                Part::Body => {
                    keep(kept, rest, to);
                    to.extend_from_slice(LEFT_OUT);
                    return false;
                }
            }
        }
    }
    to.extend_from_slice(kept);
    kept.len() == text.len()
}

/// Appends the text up to what follows it.
fn keep(text: &[u8], following: &[u8], to: &mut Vec<u8>) {
    let length = text.len().saturating_sub(following.len());
    to.extend_from_slice(text.get(..length).unwrap_or_default());
}

#[derive(Clone, Copy)]
enum Part {
    Head,
    Body,
}

/// The first line, and what follows its end (CRLF, or a CR or LF alone).
fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(at) = memchr2(b'\r', b'\n', text) else {
        return (text, b"");
    };
    let (line, rest) = text.split_at_checked(at).unwrap_or((text, b""));
    let length = if rest.starts_with(b"\r\n") { 2 } else { 1 };
    (line, rest.get(length..).unwrap_or_default())
}

/// Whether a line may begin with a name that is looked for here; hardly any does.
fn may_matter(line: &[u8]) -> bool {
    let at = |place: usize| line.get(place).map(u8::to_ascii_lowercase);
    match at(0) {
        Some(b'a') if at(1) == Some(b'=') => matches!(at(2), Some(b'c' | b'k')),
        Some(b'a') => at(1) == Some(b'u'),
        Some(b'c') => at(8) == Some(b'e') || at(8) == Some(b't'),
        // The short form of Content-Encoding.
        Some(b'e') => matches!(at(1), Some(b':' | b' ' | b'\t')),
        first => matches!(first, Some(b'k' | b'p')),
    }
}

/// How much of a line is shown, if it is one with a secret.
fn shown(line: &[u8]) -> Option<&[u8]> {
    for name in CREDENTIALS {
        if let Some(value) = value_of(line, name) {
            // With the colon, and the space behind it.
            return line.get(..line.len().saturating_sub(value.len()));
        }
    }
    KEYS.iter().find_map(|key| {
        let begin = line.get(..key.len())?;
        begin.eq_ignore_ascii_case(key).then_some(begin)
    })
}

/// The value of a field, if a line begins one of this name.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (begin, rest) = line.split_at_checked(name.len())?;
    if !begin.eq_ignore_ascii_case(name) {
        return None;
    }
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}

/// Whether a transfer encoding leaves the text as it is (RFC 2045 §6.2).
fn is_plain(encoding: &[u8]) -> bool {
    let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
    let encoding = encoding.trim_ascii();
    plain.iter().any(|it| it.eq_ignore_ascii_case(encoding))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        let mut to = Vec::new();
        let whole = redact_text(text.as_bytes(), &mut to);
        assert_eq!(whole, to == text.as_bytes());
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let text = "INVITE sip:110@gw SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nX:\r\n folded\r\n\r\n\
                    v=0\r\na=rtpmap:0 PCMU\rk\nlast";
        assert_eq!(redacted(text), text);
    }

    #[test]
    fn credentials_and_keys_are_left_out() {
        let text = "INVITE sip:110@gw SIP/2.0\r\nproxy-AUTHORIZATION \t: Digest a=SECRET,\r\n \
                    b=SECRET\r\n\tSECRET\r\nAuthorization:SECRET\r\nAuthorizations: fine\r\n\r\n\
                    v=0\r\na=crypto:1 AES SECRET\r\nK=SECRET\na=key-mgmt:mikey SECRET\r\
                    Authorization: SECRET\r\na=x";
        let expected = "INVITE sip:110@gw SIP/2.0\r\nproxy-AUTHORIZATION \t: (left out)\r\n\
                        Authorization:(left out)\r\nAuthorizations: fine\r\n\r\n\
                        v=0\r\na=crypto(left out)\r\nK=(left out)\na=key-mgmt(left out)\r\
                        Authorization: (left out)\r\na=x";
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn what_cannot_be_looked_into_is_left_out() {
        let head = "INVITE sip:110@gw SIP/2.0\r\nContent-Encoding: gzip\r\n\r\n";
        assert_eq!(
            redacted(&format!("{head}SECRET\r\n")),
            format!("{head}(left out)")
        );
        assert_eq!(redacted(head), head);
        let short = head.replace("Content-Encoding", "e");
        assert_eq!(
            redacted(&format!("{short}SECRET")),
            format!("{short}(left out)")
        );
        let part = "I s S\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n";
        assert_eq!(
            redacted(&format!("{part}\r\nSECRET")),
            format!("{part}(left out)")
        );
        let folded = "I s S\r\n\r\n--b\r\nAuthorization: SECRET,\r\n SECRET\r\nfine";
        assert!(!redacted(folded).contains("SECRET") && redacted(folded).ends_with("fine"));
        let plain = part.replace("base64", "8BIT") + "\r\nfine";
        assert_eq!(redacted(&plain), plain);
    }

    proptest! {
        /// Wherever the lines of a secret stand, and however they end.
        #[test]
        fn no_secret_is_kept(
            before in prop::collection::vec("[ -~]{0,20}", 0..6),
            secret in prop_oneof![
                Just("Authorization: "), Just("authorization\t:"), Just("Proxy-Authorization:"),
                Just("a=crypto:1 "), Just("k=clear:"), Just("A=KEY-MGMT:"),
            ],
            end in prop_oneof![Just("\r\n"), Just("\n"), Just("\r")],
            after in "[ -~\r\n]{0,40}",
        ) {
            let text = format!("{}{end}{secret}SECRET{end}{after}", before.join(end));
            prop_assert!(!redacted(&text).contains("SECRET"), "{text:?}");
        }
    }
}
