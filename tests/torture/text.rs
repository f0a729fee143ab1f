//! Messages as text, read by other means than the program's own.

/// The header fields of a head, folds still in them, without their line ends.
pub(crate) fn fields(bytes: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut rest = after_line(head(bytes));
    while !rest.is_empty() {
        let mut length = rest.len() - after_line(rest).len();
        while matches!(rest.get(length), Some(b' ' | b'\t')) {
            length = rest.len() - after_line(&rest[length..]).len();
        }
        let (field, behind) = rest.split_at(length);
        fields.push(field.strip_suffix(b"\r\n").unwrap_or(field));
        rest = behind;
    }
    fields
}

/// The body: what stands behind the first empty line.
pub(crate) fn body(bytes: &[u8]) -> &[u8] {
    let end = find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    &bytes[end..]
}

/// The values of the fields of this name or compact form.
pub(crate) fn values<'b>(bytes: &'b [u8], name: &str) -> Vec<&'b [u8]> {
    let fields = fields(bytes).into_iter();
    let named = fields.filter(|field| is(name_of(field), name));
    named
        .map(|field| trim(field.splitn(2, |byte| *byte == b':').nth(1).unwrap_or(b"")))
        .collect()
}

/// A field's name.
pub(crate) fn name_of(field: &[u8]) -> &[u8] {
    trim(field.split(|byte| *byte == b':').next().unwrap_or(b""))
}

/// The ACK to a failure of this INVITE (RFC 3261 §17.1.1.3).
pub(crate) fn ack(invite: &[u8], failure: &[u8]) -> Vec<u8> {
    let first = invite.len() - after_line(invite).len();
    let mut ack = replaced(&invite[..first], b"INVITE", b"ACK");
    for field in fields(invite) {
        let name = name_of(field);
        match values(failure, "To").first() {
            Some(to) if is(name, "To") => ack.extend([b"To: ", *to].concat()),
            _ if is(name, "CSeq") => ack.extend(replaced(field, b"INVITE", b"ACK")),
            _ if is(name, "Content-Length") || is(name, "Content-Type") => continue,
            _ => ack.extend_from_slice(field),
        }
        ack.extend_from_slice(b"\r\n");
    }
    ack.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    ack
}

/// The carrier's or phone system's refusal of an INVITE from Tollgate.
pub(crate) fn busy(invite: &[u8]) -> Vec<u8> {
    let mut text = b"SIP/2.0 486 Busy Here\r\n".to_vec();
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        for value in values(invite, name) {
            let tag: &[u8] = if name == "To" { b";tag=busy" } else { b"" };
            text.extend([name.as_bytes(), b": ", value, tag, b"\r\n"].concat());
        }
    }
    text.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    text
}

fn is(name: &[u8], wanted: &str) -> bool {
    let compact: &[u8] = match wanted {
        "Via" => b"v",
        "From" => b"f",
        "To" => b"t",
        "Call-ID" => b"i",
        "Content-Length" => b"l",
        "Content-Type" => b"c",
        _ => b"",
    };
    name.eq_ignore_ascii_case(wanted.as_bytes()) || name.eq_ignore_ascii_case(compact)
}

/// All in front of the empty line.
pub(crate) fn head(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    let end = find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 2);
    &bytes[..end]
}

fn after_line(bytes: &[u8]) -> &[u8] {
    find(bytes, b"\r\n").map_or(b"", |at| &bytes[at + 2..])
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    match find(bytes, what) {
        Some(at) => [&bytes[..at], with, &bytes[at + what.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}
