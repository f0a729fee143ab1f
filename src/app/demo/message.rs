//! As much SIP text as two well-behaved peers need, and no more: what comes in
//! was written by Tollgate, so the field names are spelt as Tollgate spells them.

use std::net::SocketAddr;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 0\r\n";

/// An INVITE that has not been sent yet.
pub(super) struct Invite<'a> {
    /// Request-URI.
    pub(super) uri: &'a str,
    /// The URI in To.
    pub(super) to: &'a str,
    /// The number in From.
    pub(super) caller: &'a str,
    /// Call-ID, branch and tag are made of it.
    pub(super) id: &'a str,
    /// Where answers are to go.
    pub(super) via: SocketAddr,
}

impl Invite<'_> {
    pub(super) fn text(&self) -> String {
        let Self {
            uri,
            to,
            caller,
            id,
            via,
        } = self;
        format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{caller}@{host}>;tag={id}\r\nTo: <{to}>\r\n\
             Call-ID: {id}@pbx\r\nCSeq: 1 INVITE\r\nContact: <sip:pbx@{via}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{SDP}",
            host = via.ip(),
            length = SDP.len(),
        )
    }
}

/// An OPTIONS: is anybody there?
pub(super) fn options(to: SocketAddr, via: SocketAddr) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bKhello\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{via}>;tag=hello\r\nTo: <sip:{to}>\r\nCall-ID: hello@pbx\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The ACK of a refusal, which belongs to the INVITE (RFC 3261 §17.1.1.3).
pub(super) fn ack_refusal(invite: &str, refusal: &str) -> String {
    let line = invite.lines().next().unwrap_or_default();
    let copied: String = ["Via", "From", "Call-ID", "Max-Forwards"]
        .map(|name| format!("{name}: {}\r\n", header(invite, name)))
        .concat();
    format!(
        "{line}\r\n{copied}To: {to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        line = line.replacen("INVITE", "ACK", 1),
        to = header(refusal, "To"),
    )
}

/// A request in the dialog that `answer`, to an INVITE of ours, has made.
pub(super) fn within(answer: &str, method: &str, number: u32, id: &str, via: SocketAddr) -> String {
    let contact = header(answer, "Contact").trim_start_matches('<');
    let target = contact.split('>').next().unwrap_or_default();
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bK{method}{id}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
         CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
        header(answer, "From"),
        header(answer, "To"),
        header(answer, "Call-ID"),
    )
}

/// A response without a body.
pub(super) fn response(request: &str, status: &str) -> String {
    let head = response_head(request, status);
    format!("{head}Content-Length: 0\r\n\r\n")
}

/// The 200 to an INVITE.
pub(super) fn answer(request: &str, contact: SocketAddr) -> String {
    format!(
        "{}Contact: <sip:{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
        response_head(request, "200 OK"),
        SDP.len(),
    )
}

fn response_head(request: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
            text.push_str(line);
            if name == "To" && !line.contains(";tag=") {
                text.push_str(";tag=demo");
            }
            text.push_str("\r\n");
        }
    }
    text
}

/// The value of the first field of this name; empty if there is none.
pub(super) fn header<'t>(message: &'t str, name: &str) -> &'t str {
    let values = message
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'));
    values
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .next()
        .unwrap_or_default()
}

/// The method of a request, or `SIP/2.0` of a response.
pub(super) fn first_word(message: &str) -> &str {
    message.split(' ').next().unwrap_or_default()
}

/// The code of a response.
pub(super) fn status(response: &str) -> Option<u16> {
    response.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The number that a request is for: the user part of its URI.
pub(super) fn called(request: &str) -> &str {
    let uri = request.split(' ').nth(1).unwrap_or_default();
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split(['@', ';']).next().unwrap_or_default()
}

/// The code of a refusal in Reason, such as `calls-at-once`; else the status.
pub(super) fn reason(refusal: &str) -> String {
    let quoted = header(refusal, "Reason").split('"').nth(1);
    let line = refusal.lines().next().unwrap_or_default();
    quoted
        .unwrap_or_else(|| line.trim_start_matches("SIP/2.0 "))
        .to_owned()
}
