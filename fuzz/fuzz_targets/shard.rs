//! Sequences of messages and waits, sound and unsound: nothing panics, nothing
//! malformed goes out, nothing goes to a stranger, and in the end nothing is left.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tollgate::shard::{Command, Input};
use tollgate_fuzz::{CARRIER, PBX, Sent, World};

const METHODS: [&str; 9] = [
    "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "PRACK", "OPTIONS", "REFER",
];
const CODES: [u16; 12] = [100, 180, 183, 200, 200, 202, 302, 407, 408, 481, 486, 603];

#[derive(Arbitrary, Debug)]
enum Step {
    /// A new INVITE from the phone system, or from the carrier.
    Invite {
        call: u8,
        inbound: bool,
        emergency: bool,
        offer: bool,
        timer: bool,
    },
    /// A request inside a dialog that was seen on the wire, from either peer.
    Request {
        seen: u8,
        method: u8,
        cseq: u8,
        tag: u8,
        body: bool,
    },
    /// A response to a request that was seen on the wire.
    Response {
        seen: u8,
        code: u8,
        tag: u8,
        reliable: bool,
    },
    /// A message that was received before, again.
    Again {
        seen: u8,
    },
    Wait {
        millis: u16,
    },
    Drain,
    HangUp,
    Noise {
        pbx: bool,
        bytes: Vec<u8>,
    },
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    let mut wire: Vec<Sent> = Vec::new();
    let mut received: Vec<(&str, String)> = Vec::new();
    for step in steps.into_iter().take(64) {
        let sent = match step {
            Step::Invite {
                call,
                inbound,
                emergency,
                offer,
                timer,
            } => {
                let from = if inbound { CARRIER } else { PBX };
                let text = invite(call, inbound, emergency, offer, timer);
                received.push((from, text));
                last(&mut world, &received)
            }
            Step::Request {
                seen,
                method,
                cseq,
                tag,
                body,
            } => {
                let Some(model) = pick(&wire, seen) else {
                    continue;
                };
                let method = METHODS[usize::from(method) % METHODS.len()];
                received.push(request(model, method, cseq, tag, body));
                last(&mut world, &received)
            }
            Step::Response {
                seen,
                code,
                tag,
                reliable,
            } => {
                let Some(model) = pick(&wire, seen) else {
                    continue;
                };
                let code = CODES[usize::from(code) % CODES.len()];
                received.push(response(model, code, tag, reliable));
                last(&mut world, &received)
            }
            Step::Again { seen } => {
                if received.is_empty() {
                    continue;
                }
                let (from, text) = &received[usize::from(seen) % received.len()];
                world.receive(from, text.as_bytes())
            }
            Step::Wait { millis } => world.wait(Duration::from_millis(u64::from(millis) * 4)),
            Step::Drain => world.handle(Input::Command(Command::Drain)),
            Step::HangUp => world.handle(Input::Command(Command::HangUpAll)),
            Step::Noise { pbx, bytes } => world.receive(if pbx { PBX } else { CARRIER }, &bytes),
        };
        wire.extend(sent);
    }
    world.handle(Input::Command(Command::HangUpAll));
    world.rest();
});

fn last(world: &mut World, received: &[(&str, String)]) -> Vec<Sent> {
    let Some((from, text)) = received.last() else {
        return Vec::new();
    };
    world.receive(from, text.as_bytes())
}

fn pick(wire: &[Sent], at: u8) -> Option<&Sent> {
    wire.get(usize::from(at).checked_rem(wire.len())?)
}

fn invite(call: u8, inbound: bool, emergency: bool, offer: bool, timer: bool) -> String {
    let (host, number) = match (inbound, emergency) {
        (true, _) => ("127.0.0.2:5070", "+81335570005"),
        (false, true) => ("127.0.0.3:5080", "110"),
        (false, false) => ("127.0.0.3:5080", "010442071838750"),
    };
    let timer = if timer {
        "Supported: timer, 100rel\r\nSession-Expires: 90\r\n"
    } else {
        ""
    };
    let body = if offer { "v=0\r\n" } else { "" };
    format!(
        "INVITE sip:{number}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bKi{call}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+81335570001@{host}>;tag=f{call}\r\nTo: <sip:{number}@127.0.0.1>\r\n\
         Call-ID: c{call}\r\nCSeq: 1 INVITE\r\nContact: <sip:{host}>\r\n{timer}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The value of a header in a message that was sent.
fn header<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or("")
}

fn side(sent: &Sent) -> &'static str {
    if sent.to.starts_with("127.0.0.2") {
        CARRIER
    } else {
        PBX
    }
}

/// From the peer that a message went to, in the dialog that the message shows.
fn request(model: &Sent, method: &str, cseq: u8, tag: u8, body: bool) -> (&'static str, String) {
    let text = String::from_utf8_lossy(&model.bytes);
    let response = text.starts_with("SIP/2.0");
    let (ours, theirs) = match response {
        true => (header(&text, "To"), header(&text, "From")),
        false => (header(&text, "From"), header(&text, "To")),
    };
    let tag = if theirs.contains(";tag=") {
        String::new()
    } else {
        format!(";tag=t{tag}")
    };
    let from = side(model);
    let body = if body { "v=0\r\n" } else { "" };
    let rack = if method == "PRACK" {
        "RAck: 1 1 INVITE\r\n"
    } else {
        ""
    };
    let text = format!(
        "{method} sip:127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: {theirs}{tag}\r\nTo: {ours}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:{from}>\r\n{rack}Content-Length: {}\r\n\r\n{body}",
        header(&text, "Call-ID"),
        body.len()
    );
    (from, text)
}

fn response(model: &Sent, code: u16, tag: u8, reliable: bool) -> (&'static str, String) {
    let text = String::from_utf8_lossy(&model.bytes);
    let to = header(&text, "To");
    let tag = if to.contains(";tag=") || code == 100 {
        String::new()
    } else {
        format!(";tag=t{}", tag % 4)
    };
    let from = side(model);
    let rel = if reliable {
        "Require: 100rel\r\nRSeq: 1\r\n"
    } else {
        ""
    };
    let text = format!(
        "SIP/2.0 {code} Any\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:{from}>\r\n{rel}Content-Length: 0\r\n\r\n",
        header(&text, "Via"),
        header(&text, "From"),
        header(&text, "Call-ID"),
        header(&text, "CSeq"),
    );
    (from, text)
}
