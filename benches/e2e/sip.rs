//! The messages of a call, and what their receivers read in them.

use std::io::Write;

/// What is called.
#[derive(Clone, Copy)]
pub struct Looks<'a> {
    /// The number.
    pub number: &'a str,
    /// Call-IDs of 64 bytes, and two Record-Routes on each side.
    pub wide: bool,
}

const CALLER: &str = crate::CALLER;
const CALLEE: &str = crate::CALLEE;
const GATE: &str = crate::GATE;

const FILLER: &str = "7c1f5be0a94d4bd39e0a1c66";

fn call_id(out: &mut Vec<u8>, call: u64, wide: bool) {
    let filler = if wide { FILLER } else { "" };
    let _ = write!(out, "Call-ID: {call:016x}{filler}@e2e.bench.example\r\n");
}

fn body(call: u64) -> String {
    format!(
        "v=0\r\no=- {call} 1 IN IP4 127.0.0.3\r\ns=bench\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0 8 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

fn head(out: &mut Vec<u8>, call: u64, method: &str, branch: char) {
    let _ = write!(
        out,
        "Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK{branch}{call:x};rport\r\nMax-Forwards: 70\r\n\
         From: \"Front Desk\" <sip:+81335570001@{CALLER}>;tag=from{call:x}\r\n"
    );
    let cseq = if method == "BYE" { 2 } else { 1 };
    let _ = write!(out, "CSeq: {cseq} {method}\r\n");
}

/// The caller's INVITE.
pub fn invite(out: &mut Vec<u8>, call: u64, looks: Looks<'_>) {
    let number = looks.number;
    let _ = write!(out, "INVITE sip:{number}@{GATE};user=phone SIP/2.0\r\n");
    head(out, call, "INVITE", 'i');
    let _ = write!(out, "To: <sip:{number}@{GATE};user=phone>\r\n");
    call_id(out, call, looks.wide);
    if looks.wide {
        let _ = write!(
            out,
            "Record-Route: <sip:{CALLER};lr>\r\nRecord-Route: <sip:{CALLER};lr;n=2>\r\n"
        );
    }
    let body = body(call);
    let _ = write!(
        out,
        "Contact: <sip:+81335570001@{CALLER}>\r\n\
         P-Asserted-Identity: <sip:+81335570001@127.0.0.3>\r\nUser-Agent: BenchPBX 4.2\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE, PRACK\r\n\
         Supported: replaces, timer, 100rel\r\nSession-Expires: 1800;refresher=uac\r\n\
         Min-SE: 90\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// The ACK to a refusal (RFC 3261 §17.1.1.3).
pub fn ack_refusal(out: &mut Vec<u8>, call: u64, looks: Looks<'_>, refusal: &Read<'_>) {
    let number = looks.number;
    let _ = write!(out, "ACK sip:{number}@{GATE};user=phone SIP/2.0\r\n");
    head(out, call, "ACK", 'i');
    out.extend_from_slice(refusal.to);
    out.extend_from_slice(b"\r\n");
    call_id(out, call, looks.wide);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// A request in the dialog that a 2xx made.
pub fn inside(out: &mut Vec<u8>, call: u64, method: &str, looks: Looks<'_>, answer: &Read<'_>) {
    let _ = write!(out, "{method} ");
    out.extend_from_slice(answer.contact);
    out.extend_from_slice(b" SIP/2.0\r\n");
    head(out, call, method, if method == "BYE" { 'b' } else { 'a' });
    for route in answer.routes.iter().rev() {
        out.extend_from_slice(b"Route: ");
        out.extend_from_slice(route);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(answer.to);
    out.extend_from_slice(b"\r\n");
    call_id(out, call, looks.wide);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// A response of the callee's.
pub fn respond(out: &mut Vec<u8>, status: &str, request: &Read<'_>, wide: bool) {
    let _ = write!(out, "SIP/2.0 {status}\r\n");
    for line in &request.lines {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(request.to);
    if !request.to.windows(5).any(|it| it == b";tag=") {
        let _ = write!(out, ";tag=to{:x}", request.call.unwrap_or(0));
    }
    out.extend_from_slice(b"\r\n");
    let invite = request.method == b"INVITE";
    if invite && wide {
        let _ = write!(
            out,
            "Record-Route: <sip:{CALLEE};lr>\r\nRecord-Route: <sip:{CALLEE};lr;n=2>\r\n"
        );
    }
    if !(invite && status.starts_with('2')) {
        let contact = format!("Contact: <sip:callee@{CALLEE}>\r\n");
        let contact = if invite { contact.as_str() } else { "" };
        let _ = write!(out, "{contact}Content-Length: 0\r\n\r\n");
        return;
    }
    let body = body(request.call.unwrap_or(0));
    let _ = write!(
        out,
        "Contact: <sip:callee@{CALLEE}>\r\nAllow: INVITE, ACK, CANCEL, BYE, UPDATE\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// What is read in a message.
#[derive(Default)]
pub struct Read<'m> {
    /// A response's status; 0 for a request.
    pub status: u16,
    /// Of the request, or in CSeq.
    pub method: &'m [u8],
    /// The line of the To header.
    pub to: &'m [u8],
    /// The Contact's URI.
    pub contact: &'m [u8],
    /// The values of Record-Route, in their order.
    pub routes: Vec<&'m [u8]>,
    /// What a response repeats: Via, Record-Route, From, Call-ID, CSeq.
    pub lines: Vec<&'m [u8]>,
    /// Which call: by the caller's Call-ID, or by the session description.
    pub call: Option<u64>,
}

/// Reads a message of a program that writes header names in full.
pub fn read(message: &[u8]) -> Option<Read<'_>> {
    let mut read = Read::default();
    let mut lines = message
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    match first.strip_prefix(b"SIP/2.0 ") {
        Some(rest) => read.status = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?,
        None => read.method = first.split(|byte| *byte == b' ').next()?,
    }
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..at], line[at + 1..].trim_ascii());
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("To") {
            read.to = line;
        } else if is("Contact") {
            let inner = value.split(|byte| matches!(byte, b'<' | b'>')).nth(1);
            read.contact = inner.unwrap_or(value);
        } else if is("Record-Route") {
            read.routes
                .extend(value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
            read.lines.push(line);
        } else if is("Via") || is("From") {
            read.lines.push(line);
        } else if is("Call-ID") {
            let hex = value
                .get(..16)
                .and_then(|hex| std::str::from_utf8(hex).ok());
            read.call = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            read.lines.push(line);
        } else if is("CSeq") {
            if read.status != 0 {
                read.method = value.rsplit(|byte| *byte == b' ').next()?;
            }
            read.lines.push(line);
        }
    }
    if read.status == 0 {
        let origin = lines.find_map(|line| line.strip_prefix(b"o=- "));
        let number = origin.and_then(|origin| origin.split(|byte| *byte == b' ').next());
        let number = number.and_then(|number| std::str::from_utf8(number).ok());
        read.call = number.and_then(|number| number.parse().ok());
    }
    Some(read)
}
