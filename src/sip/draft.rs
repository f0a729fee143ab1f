//! Writing messages: straight into a scratch buffer, in one pass.

use super::header::HeaderId;
use super::lex;
use super::message::Message;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A finished message, ready to be sent. Clones share its bytes, so that a
/// retransmission costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet(Arc<[u8]>);

impl Packet {
    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty; one made by [`Draft::seal`] never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A message being written. It starts with nothing but its start line: what is not
/// put or kept is not sent. No value can end its line: a CR, LF or NUL becomes a space.
/// Content-Length is written by [`seal`](Self::seal), and ignored elsewhere.
#[derive(Debug)]
#[must_use = "a draft is sent only once sealed"]
pub struct Draft<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Draft<'b> {
    /// Starts a request in `scratch`, whose old content is dropped. Bytes of the
    /// URI that would break the line are escaped, those of the method become `-`.
    pub fn request(scratch: &'b mut Vec<u8>, method: &[u8], uri: &[u8]) -> Self {
        scratch.clear();
        scratch.extend(method.iter().map(|&byte| token_byte(byte)));
        scratch.push(b' ');
        let may_stand = |byte: u8| byte.is_ascii() && lex::is(byte, lex::ADDRESS);
        if uri.iter().all(|&byte| may_stand(byte)) {
            scratch.extend_from_slice(uri);
        } else {
            for &byte in uri {
                match may_stand(byte) {
                    true => scratch.push(byte),
                    false => append(scratch, format_args!("%{byte:02X}")),
                }
            }
        }
        scratch.extend_from_slice(b" SIP/2.0\r\n");
        Self { out: scratch }
    }

    /// Starts a response in `scratch`, whose old content is dropped.
    pub fn response(scratch: &'b mut Vec<u8>, code: u16, reason: &[u8]) -> Self {
        scratch.clear();
        scratch.extend_from_slice(b"SIP/2.0 ");
        // Three digits, also where a code has fewer.
        append_number(scratch, code.clamp(100, 999));
        scratch.push(b' ');
        append_clean(scratch, reason);
        scratch.extend_from_slice(b"\r\n");
        Self { out: scratch }
    }

    /// Adds a field.
    pub fn put(&mut self, id: HeaderId, value: &[u8]) -> &mut Self {
        self.put_joined(id, b"", &[value])
    }

    /// Adds a field with a formatted value: `put_args(id, format_args!(…))`.
    pub fn put_args(&mut self, id: HeaderId, value: fmt::Arguments<'_>) -> &mut Self {
        if !matches!(id, HeaderId::ContentLength | HeaderId::Other) {
            self.known_name(id);
            append(self.out, value);
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Adds a field that is a number, and `rest` behind it.
    pub fn put_number(&mut self, id: HeaderId, number: u32, rest: &[u8]) -> &mut Self {
        let mut text = itoa::Buffer::new();
        self.put_parts(id, &[text.format(number).as_bytes(), rest])
    }

    /// Adds a field by its name. Bytes that no name may hold become `-`; without a
    /// name nothing is added.
    pub fn put_named(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        if !name.is_empty() && HeaderId::lookup(name) != HeaderId::ContentLength {
            self.name(name);
            append_clean(self.out, value);
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Adds a field whose value is `parts` in a row.
    pub fn put_parts(&mut self, id: HeaderId, parts: &[&[u8]]) -> &mut Self {
        self.put_joined(id, b"", parts)
    }

    /// Adds a field with a comma-separated list.
    pub fn put_list(&mut self, id: HeaderId, values: &[&[u8]]) -> &mut Self {
        self.put_joined(id, b", ", values)
    }

    fn put_joined(&mut self, id: HeaderId, between: &[u8], parts: &[&[u8]]) -> &mut Self {
        if !matches!(id, HeaderId::ContentLength | HeaderId::Other) {
            self.known_name(id);
            let start = self.out.len();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    self.out.extend_from_slice(between);
                }
                self.out.extend_from_slice(part);
            }
            blank_controls(self.out.get_mut(start..).unwrap_or_default());
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Adds what the message has of this id as one field, under its full name: the
    /// first alone where there may be only one, since faults do not go on; else the
    /// fields as one list (RFC 3261 §7.3.1), since a message of many fields that got
    /// ours, too, might have more than anybody reads. Folds become a space, and so do
    /// control bytes other than tabs: a NUL between quotes is legal, and ends the
    /// field for who reads on in C. Nothing is added for [`HeaderId::Other`] and
    /// credentials, which are no lists.
    pub fn keep(&mut self, message: &Message, id: HeaderId) -> &mut Self {
        let mut values = message.values(id);
        let Some(first) = values.next().filter(|_| may_be_kept(id)) else {
            return self;
        };
        self.known_name(id);
        let start = self.out.len();
        append_unfolded(self.out, first);
        for value in values.filter(|value| !id.single() && !value.is_empty()) {
            if self.out.len() > start {
                self.out.extend_from_slice(b", ");
            }
            append_unfolded(self.out, value);
        }
        blank_controls(self.out.get_mut(start..).unwrap_or_default());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Ends the message: Content-Length, the empty line, the body.
    pub fn seal(self, content: Option<&[u8]>) -> Packet {
        let content = content.unwrap_or_default();
        self.out.extend_from_slice(b"Content-Length: ");
        append_number(self.out, content.len());
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out.extend_from_slice(content);
        Packet(Arc::from(self.out.as_slice()))
    }

    /// A name of the RFCs needs no cleaning.
    fn known_name(&mut self, id: HeaderId) {
        self.out.extend_from_slice(id.name().as_bytes());
        self.out.extend_from_slice(b": ");
    }

    fn name(&mut self, name: &[u8]) {
        self.token(name).out.extend_from_slice(b": ");
    }

    /// Adds whole lines that were made clean before.
    pub(crate) fn lines(&mut self, lines: &[u8]) -> &mut Self {
        self.out.extend_from_slice(lines);
        self
    }

    /// Adds a token within a line; bytes that no token may hold become `-`.
    pub(crate) fn token(&mut self, token: &[u8]) -> &mut Self {
        self.out.extend(token.iter().map(|&byte| token_byte(byte)));
        self
    }
}

fn token_byte(byte: u8) -> u8 {
    if lex::is(byte, lex::TOKEN) {
        byte
    } else {
        b'-'
    }
}

/// A byte that may stand within a line: a control byte but a tab becomes a space.
fn line_byte(byte: u8) -> u8 {
    match byte {
        b'\t' => byte,
        _ if byte.is_ascii_control() => b' ',
        _ => byte,
    }
}

/// Makes every control byte but a tab a space. Hardly any text has one; to look at all of
/// it before is what the processor does many bytes at a time.
pub(super) fn blank_controls(text: &mut [u8]) {
    let found = text
        .iter()
        .fold(false, |found, &byte| found | (line_byte(byte) != byte));
    if found {
        text.iter_mut().for_each(|byte| *byte = line_byte(*byte));
    }
}

/// Appends a value, each control byte but tabs as a space: none ends the line, or does
/// anything to a terminal that a log is shown on.
pub(crate) fn append_clean(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    blank_controls(out.get_mut(start..).unwrap_or_default());
}

/// Appends a received value, each fold (with the white space around it) as one
/// space. A NUL stays: the scanner let it pass as part of a quoted pair.
pub(crate) fn append_unfolded(out: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(lex::trim_lws_end(line));
        out.push(b' ');
        rest = tail;
        while let [b'\r' | b'\n' | b' ' | b'\t', tail @ ..] = rest {
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
}

/// Appends a number, which costs a tenth of formatting it.
pub(crate) fn append_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends formatted text; what could end the line becomes spaces.
pub(crate) fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let start = out.len();
    // Writing to a `Vec` cannot fail, and a `Display` that fails leaves its value short.
    let _ = Text(out).write_fmt(text);
    blank_controls(out.get_mut(start..).unwrap_or_default());
}

struct Text<'b>(&'b mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether [`Draft::keep`] adds it: the length is the draft's own.
const fn may_be_kept(id: HeaderId) -> bool {
    !matches!(
        id,
        HeaderId::ContentLength
            | HeaderId::Other
            | HeaderId::Authorization
            | HeaderId::ProxyAuthorization
            | HeaderId::WwwAuthenticate
            | HeaderId::ProxyAuthenticate
    )
}

#[cfg(test)]
mod tests;
