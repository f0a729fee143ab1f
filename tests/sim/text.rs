//! How the peers write SIP: plain, with compact names, or folded and in odd
//! case. Every message carries marks that must never reach the other side.

use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;

use crate::rng::Rng;
use crate::rules::Places;
use crate::tap::{CARRIER_MARK, PBX_MARK};
use crate::wire::{Method, Wire};

/// A machine at the end of a link.
#[derive(Clone, Debug)]
pub struct Host {
    pub addr: SocketAddr,
    pub ip: String,
    /// Stands in everything that the other side must not see.
    pub mark: &'static str,
    /// Tollgate as this host calls it, with the port.
    pub core: String,
    /// Its packets go over a connection: in order, and none is lost while it lasts.
    pub stream: bool,
}

impl Host {
    /// The transport in its Vias.
    pub fn transport(&self) -> &'static str {
        if self.stream { "TCP" } else { "UDP" }
    }
}

/// A request to write.
pub struct Request<'a> {
    pub method: Method,
    pub uri: &'a [u8],
    /// The number of the transaction; the branch is made of it.
    pub tx: u32,
    /// From and To without tags.
    pub from: &'a str,
    pub from_tag: &'a str,
    pub to: &'a str,
    pub to_tag: &'a str,
    pub call_id: &'a str,
    pub cseq: u32,
    pub max_forwards: u8,
    /// Whole lines, each with its end.
    pub extra: &'a str,
    pub contact: &'a str,
    pub style: u8,
    pub body: &'a Body,
}

/// A body and its type.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

impl Body {
    /// A session description that is like no other.
    pub fn sdp(rng: &mut Rng, serial: u64, peer: u8) -> Self {
        let end = *rng.pick(&["\r\n", "\r\n", "\r\n", "\n", ""]);
        let mut text = format!(
            "v=0\r\no=- {serial} {serial} IN IP4 192.0.2.{peer}\r\ns=-\r\nc=IN IP4 192.0.2.{peer}\r\n\
             t=0 0\r\nm=audio {} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv{end}",
            10_000 + serial % 40_000
        );
        if rng.permille(30) {
            for i in 0..rng.below(120) {
                text.push_str(&format!(
                    "a=candidate:{i} 1 UDP 2130706431 192.0.2.9 {i} typ host\r\n"
                ));
            }
        }
        let mut bytes = text.into_bytes();
        if rng.permille(30) {
            bytes.extend_from_slice(b"a=x:\0\xff\r\r\n\n\x01");
        }
        Self {
            kind: "application/sdp",
            bytes,
        }
    }

    /// A key pressed.
    pub fn digit(serial: u64) -> Self {
        Self {
            kind: "application/dtmf-relay",
            bytes: format!("Signal=5\r\nDuration=1{serial}\r\n").into_bytes(),
        }
    }
}

/// The names of the headers in a style.
fn names(style: u8) -> [&'static str; 8] {
    match style {
        1 => ["v", "f", "t", "i", "CSeq", "m", "c", "l"],
        2 => [
            "VIA",
            "from",
            "TO ",
            "call-id",
            "cseq  ",
            "CONTACT",
            "content-TYPE",
            "content-length ",
        ],
        _ => [
            "Via",
            "From",
            "To",
            "Call-ID",
            "CSeq",
            "Contact",
            "Content-Type",
            "Content-Length",
        ],
    }
}

/// Writes a request.
pub fn request(host: &Host, r: &Request<'_>) -> Rc<Wire> {
    let mut out = Vec::with_capacity(700 + r.body.bytes.len());
    let name = names(r.style);
    let method = r.method.name();
    let fold = if r.style == 2 { "\r\n\t" } else { "" };
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(r.uri);
    let to_tag = if r.to_tag.is_empty() { "" } else { ";tag=" };
    let _ = write!(
        out,
        " SIP/2.0\r\n{}: SIP/2.0/{} {};branch=z9hG4bK{}-{};rport\r\n\
         Max-Forwards: {}\r\n{}: {fold}{};tag={}\r\n{}: {}{to_tag}{}\r\n{}: {}\r\n{}: {} {method}\r\n",
        name[0],
        host.transport(),
        host.addr,
        host.mark,
        r.tx,
        r.max_forwards,
        name[1],
        r.from,
        r.from_tag,
        name[2],
        r.to,
        r.to_tag,
        name[3],
        r.call_id,
        name[4],
        r.cseq,
    );
    if !r.contact.is_empty() {
        let _ = write!(out, "{}: {fold}<{}>\r\n", name[5], r.contact);
    }
    out.extend_from_slice(r.extra.as_bytes());
    let _ = write!(
        out,
        "User-Agent: {}/1.0\r\nX-Note: {}\r\n",
        host.mark, host.mark
    );
    finish(out, r.style, r.body)
}

/// A response to write; everything else is the request's.
pub struct Response<'a> {
    pub code: u16,
    pub to_tag: &'a str,
    pub extra: &'a str,
    pub contact: &'a str,
    pub style: u8,
    pub body: &'a Body,
}

/// Writes a response.
pub fn response(host: &Host, request: &Wire, r: &Response<'_>) -> Rc<Wire> {
    let mut out = Vec::with_capacity(600 + r.body.bytes.len());
    let name = names(r.style);
    let _ = write!(out, "SIP/2.0 {} So it is", r.code);
    for (name, value) in [
        (name[0], request.via),
        (name[1], request.from),
        (name[2], request.to),
    ] {
        let _ = write!(out, "\r\n{name}: ");
        out.extend_from_slice(request.at(value));
    }
    if request.to_tag.is_empty() && !r.to_tag.is_empty() {
        let _ = write!(out, ";tag={}", r.to_tag);
    }
    let _ = write!(out, "\r\n{}: ", name[3]);
    out.extend_from_slice(request.at(request.call_id));
    let _ = write!(
        out,
        "\r\n{}: {} {}\r\nServer: {}\r\n",
        name[4],
        request.cseq,
        request.method.name(),
        host.mark
    );
    if !r.contact.is_empty() {
        let _ = write!(out, "{}: <{}>\r\n", name[5], r.contact);
    }
    out.extend_from_slice(r.extra.as_bytes());
    finish(out, r.style, r.body)
}

fn finish(mut out: Vec<u8>, style: u8, body: &Body) -> Rc<Wire> {
    let name = names(style);
    if !body.bytes.is_empty() {
        let _ = write!(out, "{}: {}\r\n", name[6], body.kind);
    }
    let _ = write!(out, "{}: {}\r\n\r\n", name[7], body.bytes.len());
    out.extend_from_slice(&body.bytes);
    read(out)
}

/// Bytes as a peer's message; what its reader refuses is junk.
pub fn read(bytes: Vec<u8>) -> Rc<Wire> {
    let bytes = Bytes::from(bytes);
    Rc::new(Wire::read(bytes.clone(), false).unwrap_or_else(|_| Wire::junk(bytes)))
}

/// Everybody: the phone systems, the carriers, and a stranger.
pub fn hosts(places: Places) -> Vec<Host> {
    let mut hosts = Vec::new();
    let mut add = |ip: String, mark| {
        let addr = format!("{ip}:5060").parse().expect("an address");
        let core = "10.5.0.1:5060".into();
        let stream = places.is_stream(hosts.len() as u64);
        hosts.push(Host {
            stream,
            addr,
            ip,
            mark,
            core,
        });
    };
    for tenant in 0..places.tenants {
        add(format!("10.1.{tenant}.1"), PBX_MARK);
    }
    for carrier in 0..places.carriers {
        add(format!("10.9.{carrier}.1"), CARRIER_MARK);
    }
    add("203.0.113.9".into(), "stranger");
    hosts
}
