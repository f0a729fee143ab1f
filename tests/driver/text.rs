//! SIP messages as text, for peers as plain as can be.

/// The value of a message's first header of this name.
pub(crate) fn header<'t>(message: &'t str, name: &str) -> &'t str {
    let value = message.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    });
    value.unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// The answer to `request`, with `more` header lines. To gets a tag if it has none.
pub(crate) fn response(request: &str, status: &str, more: &[&str]) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name);
        if copied {
            text.push_str(line);
            if name == "To" && !line.contains(";tag=") {
                text.push_str(";tag=callee");
            }
            text.push_str("\r\n");
        }
    }
    for line in more {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

/// A request within the dialog that `answer` (to a request of ours) confirmed, from
/// whoever is at `via`, which names the transport.
pub(crate) fn within(answer: &str, method: &str, cseq: u32, via: &str) -> String {
    let contact = header(answer, "Contact");
    let target = contact.trim_start_matches('<').split('>').next().unwrap();
    let (from, to) = (header(answer, "From"), header(answer, "To"));
    let call_id = header(answer, "Call-ID");
    let id = call_id.trim_end_matches("@pbx");
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via};rport;branch=z9hG4bK{method}{id}\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
