//! A small name server on loopback, which writes messages by itself: what is tested must
//! not be what it is tested with.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server does with a question.
#[derive(Clone)]
pub(super) enum Says {
    /// Records of any names and kinds, as they are.
    Records(Vec<Record>),
    /// This code, and nothing else.
    Code(u8),
    /// Nothing.
    Silence,
    /// That it does not fit, over UDP; these, over TCP.
    TooLong(Vec<Record>),
    /// These, to who asks without what RFC 6891 adds; to all others this code, or nothing.
    Plainly(Vec<Record>, Option<u8>),
    /// Bytes that are no message, and then an answer to another question.
    Rubbish,
}

#[derive(Clone)]
pub(super) struct Record {
    name: String,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

/// A domain name, uncompressed.
fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|it| !it.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(owner: &str, kind: u16, ttl: u32, data: Vec<u8>) -> Record {
    Record {
        name: owner.to_owned(),
        kind,
        ttl,
        data,
    }
}

pub(super) fn a(owner: &str, ttl: u32, address: [u8; 4]) -> Record {
    record(owner, 1, ttl, address.to_vec())
}

pub(super) fn aaaa(owner: &str, ttl: u32, address: &str) -> Record {
    let address: std::net::Ipv6Addr = address.parse().unwrap();
    record(owner, 28, ttl, address.octets().to_vec())
}

pub(super) fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    record(owner, 5, ttl, name(target))
}

pub(super) fn srv(owner: &str, ttl: u32, numbers: [u16; 3], target: &str) -> Record {
    let mut data: Vec<u8> = numbers.iter().flat_map(|it| it.to_be_bytes()).collect();
    data.extend(name(target));
    record(owner, 33, ttl, data)
}

pub(super) fn naptr(owner: &str, ttl: u32, order: u16, service: &str, target: &str) -> Record {
    let mut data = [order.to_be_bytes(), 50_u16.to_be_bytes()].concat();
    for text in ["s", service, ""] {
        data.push(u8::try_from(text.len()).unwrap());
        data.extend(text.as_bytes());
    }
    data.extend(name(target));
    record(owner, 35, ttl, data)
}

type Zone = BTreeMap<(String, u16), Says>;

/// Answers until it is dropped. What is not in its zone has no name.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

impl Server {
    pub(super) fn new() -> Self {
        // The port is to be free for both.
        let (udp, tcp) = (0..50)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .unwrap();
        let server = Self {
            address: udp.local_addr().unwrap(),
            zone: Arc::default(),
            asked: Arc::default(),
            ending: Arc::default(),
            threads: Vec::new(),
        };
        server.answering(udp, tcp)
    }

    fn answering(mut self, udp: UdpSocket, tcp: TcpListener) -> Self {
        let pause = Duration::from_millis(20);
        udp.set_read_timeout(Some(pause)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (zone, asked, ending) = (
            Arc::clone(&self.zone),
            Arc::clone(&self.asked),
            Arc::clone(&self.ending),
        );
        self.threads.push(thread::spawn(move || {
            let mut bytes = [0; 1_024];
            while !ending.load(Ordering::Relaxed) {
                let Ok((length, from)) = udp.recv_from(&mut bytes) else {
                    continue;
                };
                let question = &bytes[..length];
                asked.lock().unwrap().push(key(question));
                for reply in replies(&zone, question, false) {
                    udp.send_to(&reply, from).unwrap();
                }
            }
        }));
        let (zone, ending) = (Arc::clone(&self.zone), Arc::clone(&self.ending));
        self.threads.push(thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = tcp.accept() else {
                    thread::sleep(pause);
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut head = [0; 2];
                stream.read_exact(&mut head).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(head))];
                stream.read_exact(&mut question).unwrap();
                for reply in replies(&zone, &question, true) {
                    let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    // In pieces.
                    stream.write_all(&length[..1]).unwrap();
                    stream.write_all(&[&length[1..], &reply].concat()).unwrap();
                }
            }
        }));
        self
    }

    /// Says this of a kind of records at a name from now on.
    pub(super) fn says(&self, name: &str, kind: u16, says: Says) {
        let key = (name.to_ascii_lowercase(), kind);
        self.zone.lock().unwrap().insert(key, says);
    }

    /// Has these records, each under its own name and kind.
    pub(super) fn has(&self, records: impl IntoIterator<Item = Record>) {
        let mut sets: BTreeMap<(String, u16), Vec<Record>> = BTreeMap::new();
        for record in records {
            let key = (record.name.to_ascii_lowercase(), record.kind);
            sets.entry(key).or_default().push(record);
        }
        for ((name, kind), records) in sets {
            self.says(&name, kind, Says::Records(records));
        }
    }

    /// What it was asked, by the kind's number.
    pub(super) fn asked(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A question's name and kind as they are in it.
fn asked_for(question: &[u8]) -> &[u8] {
    let mut at = 12;
    while question[at] != 0 {
        at += usize::from(question[at]) + 1;
    }
    &question[12..at + 5]
}

/// The name in a question, and the kind.
fn key(question: &[u8]) -> (String, u16) {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let length = usize::from(question[at]);
        let label = &question[at + 1..=at + length];
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        at += length + 1;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    (labels.join(".").to_ascii_lowercase(), kind)
}

fn replies(zone: &Mutex<Zone>, question: &[u8], over_tcp: bool) -> Vec<Vec<u8>> {
    let says = zone.lock().unwrap().get(&key(question)).cloned();
    match says.unwrap_or(Says::Code(3)) {
        Says::Records(records) => vec![reply(question, 0, false, &records)],
        Says::TooLong(records) if over_tcp => vec![reply(question, 0, false, &records)],
        Says::TooLong(_) => vec![reply(question, 0, true, &[])],
        Says::Code(code) => vec![reply(question, code, false, &[])],
        Says::Plainly(_, code) if question[11] > 0 => {
            let codes = code.into_iter();
            codes.map(|it| reply(question, it, false, &[])).collect()
        }
        Says::Plainly(records, _) => vec![reply(question, 0, false, &records)],
        Says::Silence => Vec::new(),
        Says::Rubbish => {
            let mut other = reply(question, 0, false, &[]);
            other[0] ^= 0xFF;
            vec![b"rubbish".to_vec(), other]
        }
    }
}

fn reply(question: &[u8], code: u8, truncated: bool, records: &[Record]) -> Vec<u8> {
    let flags = [0x81 | u8::from(truncated) << 1, 0x80 | code];
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let counts = [0, 1, count[0], count[1], 0, 0, 0, 0];
    let mut bytes = [&question[..2], &flags, &counts, asked_for(question)].concat();
    for record in records {
        bytes.extend(name(&record.name));
        bytes.extend(record.kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(record.ttl.to_be_bytes());
        bytes.extend(u16::try_from(record.data.len()).unwrap().to_be_bytes());
        bytes.extend(&record.data);
    }
    bytes
}

/// An answer with these records, as bytes.
pub(super) fn answer(asked: &str, kind: u16, records: &[Record]) -> Vec<u8> {
    let head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].to_vec();
    let tail = [kind.to_be_bytes(), 1_u16.to_be_bytes()].concat();
    let question = [head, name(asked), tail].concat();
    reply(&question, 0, false, records)
}
