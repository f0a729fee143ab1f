//! A SIP peer as plain as can be: a socket, and text.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A socket that talks to one Tollgate.
pub(crate) struct Peer {
    socket: UdpSocket,
}

impl Peer {
    pub(crate) fn new(host: &str, tollgate: SocketAddr) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.connect(tollgate).unwrap();
        Self { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn send(&self, text: &str) {
        self.socket.send(text.as_bytes()).unwrap();
    }

    /// Sends to someone who may not be there yet.
    pub(crate) fn try_send(&self, text: &str) {
        let _refused = self.socket.send(text.as_bytes());
    }

    /// The next message, if one comes in time.
    pub(crate) fn receive(&self, patience: Duration) -> Option<String> {
        let mut buffer = vec![0; 65_535];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(String::from_utf8(buffer).unwrap())
    }

    /// The next message that begins with `start`; others, which retransmissions
    /// and provisional responses are, are passed over.
    pub(crate) fn expect(&self, start: &str, patience: Duration) -> String {
        let mut passed = Vec::new();
        while let Some(message) = self.receive(patience) {
            if message.starts_with(start) {
                return message;
            }
            passed.push(message);
        }
        panic!("{} waits for {start:?}, got {passed:#?}", self.address());
    }

    pub(crate) fn expect_silence(&self, long: Duration) {
        if let Some(message) = self.receive(long) {
            panic!("{} should hear nothing: {message}", self.address());
        }
    }
}

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

/// A request within the dialog that `answer` (to a request of ours) confirmed.
pub(crate) fn within(answer: &str, method: &str, cseq: u32, via: SocketAddr) -> String {
    let contact = header(answer, "Contact");
    let target = contact.trim_start_matches('<').split('>').next().unwrap();
    let (from, to) = (header(answer, "From"), header(answer, "To"));
    let call_id = header(answer, "Call-ID");
    let id = call_id.trim_end_matches("@pbx");
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bK{method}{id}\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
