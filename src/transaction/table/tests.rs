//! The table on a virtual clock.

mod cancel;
mod matching;
mod random;
mod schedule;
mod state;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::token::{Mint, Token};
use crate::sip::{Draft, Essentials, HeaderId, Message, Method, Packet, scan};
use crate::transaction::{Arrival, Matched, Reply};

/// A table with its user, who owns everything under a number.
struct World {
    table: Table<u32>,
    now: Mono,
    mint: Mint,
    out: Vec<Transmit>,
    events: Vec<Expired<u32>>,
}

/// What happened when, in milliseconds: the start line of a message that was sent,
/// or the name of an event.
type Log = Vec<(u64, String)>;

impl World {
    fn new() -> Self {
        Self::with_limits(1_000, 10, 1_000)
    }

    fn with_limits(server: usize, reserve: usize, client: usize) -> Self {
        let limits = Limits {
            server,
            reserve,
            client,
            bytes: 100_000,
            bytes_reserve: 10_000,
        };
        Self {
            table: Table::with_limits(1, Timers::default(), Mono::ZERO, limits),
            now: Mono::ZERO,
            mint: Mint::new(2),
            out: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A request comes in from the peer.
    fn request(&mut self, text: &str) -> Arrival<u32> {
        self.request_from(peer(), text)
    }

    fn request_from(&mut self, flow: Flow, text: &str) -> Arrival<u32> {
        let msg = read(text);
        let e = Essentials::parse(&msg).unwrap();
        self.table
            .receive_request(self.now, flow, &msg, &e, &mut self.out)
    }

    /// A request comes in and makes a transaction.
    #[track_caller]
    fn new_request(&mut self, text: &str) -> ServerKey {
        match self.request(text) {
            Arrival::New(key) => key,
            other => panic!("{other:?}"),
        }
    }

    fn respond(&mut self, key: ServerKey, code: u16) {
        let packet = Draft::response(&mut Vec::new(), code, b"R").seal(None);
        self.table
            .respond(self.now, key, code, packet, &mut self.out);
    }

    /// The user sends a request; its owner is 7.
    fn send(&mut self, method: Method) -> (ClientKey, Token) {
        let branch = self.mint.token();
        let key = self.send_with(method, branch).unwrap();
        (key, branch)
    }

    fn send_with(&mut self, method: Method, branch: Token) -> Option<ClientKey> {
        self.send_to(peer(), method, branch)
    }

    fn send_to(&mut self, to: Flow, method: Method, branch: Token) -> Option<ClientKey> {
        let packet = outgoing(method, branch);
        let out = &mut self.out;
        self.table
            .request(self.now, to, method, branch, packet, 7, out)
    }

    /// A response to a request of ours comes in.
    fn response(&mut self, branch: Token, method: &str, code: u16) -> Matched<u32> {
        self.response_text(&response(branch, method, code))
    }

    fn response_text(&mut self, text: &str) -> Matched<u32> {
        let msg = read(text);
        let e = Essentials::parse(&msg).unwrap();
        self.table
            .receive_response(self.now, &msg, &e, &mut self.out)
    }

    /// Takes what was sent, as start lines.
    fn sent(&mut self) -> Vec<String> {
        self.out.drain(..).map(|sent| start_line(&sent)).collect()
    }

    fn tick(&mut self) {
        self.table.tick(self.now, &mut self.out, &mut self.events);
    }

    /// Sleeps from deadline to deadline until `millis` after the clock's origin.
    fn run_to(&mut self, millis: u64) -> Log {
        let end = Mono::ZERO + Duration::from_millis(millis);
        let mut log = Log::new();
        self.note(&mut log);
        while let Some(at) = self.table.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.tick();
            self.note(&mut log);
        }
        self.now = end;
        self.tick();
        self.note(&mut log);
        log
    }

    /// Moves what was sent and what became over into the log.
    fn note(&mut self, log: &mut Log) {
        let at = self.now.as_nanos() / 1_000_000;
        log.extend(self.sent().into_iter().map(|line| (at, line)));
        log.extend(self.events.drain(..).map(|event| (at, name(&event))));
    }

    fn check_at_rest(&self) {
        assert_eq!(self.table.counts(), Counts::default());
        assert!(self.table.server_index.is_empty());
        assert!(self.table.client_index.is_empty());
    }
}

fn peer() -> Flow {
    Flow {
        listener: ListenerId(1),
        transport: Transport::Udp,
        remote: SocketAddr::from(([192, 0, 2, 9], 5066)),
        local: None,
        connection: None,
        name: None,
    }
}

fn read(text: &str) -> Message {
    scan(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn start_line(sent: &Transmit) -> String {
    let bytes = sent.packet.as_ref();
    let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

/// An event in short: its name, and what is said of an ACK.
fn name(event: &Expired<u32>) -> String {
    match event {
        Expired::ClientTimeout { .. } => "client timeout".to_owned(),
        Expired::ClientFailed { .. } => "client failed".to_owned(),
        Expired::ClientCut { cancelled, .. } => match cancelled {
            true => "client cancelled".to_owned(),
            false => "client cut".to_owned(),
        },
        Expired::ClientEnded { .. } => "client ended".to_owned(),
        Expired::ServerFailed { .. } => "server failed".to_owned(),
        Expired::ServerEnded { acked: true, .. } => "server ended".to_owned(),
        Expired::ServerEnded { acked: false, .. } => "server given up".to_owned(),
    }
}

/// A received request with this topmost branch.
fn request(method: &str, branch: &str) -> String {
    with_via(method, &format!("SIP/2.0/UDP pbx.example;branch={branch}"))
}

fn with_via(method: &str, via: &str) -> String {
    format!(
        "{method} sip:b@192.0.2.1 SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@pbx.example>;tag=a1\r\nTo: <sip:b@192.0.2.1>\r\n\
         Call-ID: c1\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A request of ours.
fn outgoing(method: Method, branch: Token) -> Packet {
    let mut scratch = Vec::new();
    let mut draft = Draft::request(&mut scratch, method.as_str().as_bytes(), b"sip:c@192.0.2.9");
    let via = format_args!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}");
    draft
        .put_args(HeaderId::Via, via)
        .put(HeaderId::MaxForwards, b"70")
        .put(HeaderId::From, b"<sip:t@192.0.2.1>;tag=t1")
        .put(HeaderId::To, b"<sip:c@192.0.2.9>")
        .put(HeaderId::CallId, b"c2")
        .put_args(HeaderId::CSeq, format_args!("5 {}", method.as_str()));
    draft.seal(None)
}

/// A response to a request of ours.
fn response(branch: Token, method: &str, code: u16) -> String {
    format!(
        "SIP/2.0 {code} R\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n\
         From: <sip:t@192.0.2.1>;tag=t1\r\nTo: <sip:c@192.0.2.9>;tag=c9\r\n\
         Call-ID: c2\r\nCSeq: 5 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn pass(key: ClientKey, repeat: bool) -> Matched<u32> {
    let owner = 7;
    Matched::Pass(Reply { key, owner, repeat })
}
