//! What belongs to no call: guessed tags, a stolen dialog, strangers, junk.

use std::rc::Rc;

use bytes::Bytes;

use super::{NOBODY, Peers, Purpose, State};
use crate::link::SEC;
use crate::net::{Net, Task};
use crate::plan::HOST;
use crate::seen::Met;
use crate::text::{Body, Request, read, request};
use crate::wire::{Method, Wire};

impl Peers {
    /// One attack, and the next in a while.
    pub(super) fn attack(&mut self, net: &mut Net) {
        if self.winding_down {
            return;
        }
        let wait = net.rng.below(20 * SEC);
        net.after(wait, Task::Attack);
        let peer = net.rng.below(self.hosts.len() as u64 - 1) as u8;
        match net.rng.below(8) {
            0 => self.options(net, peer),
            1 => self.unknown(net, peer),
            2 | 3 => self.guessed(net),
            4 => self.stolen(net),
            5 => self.stranger_calls(net),
            _ => {
                net.seen.note(Met::Junk);
                let wire = self.junk_bytes(net, peer);
                net.send_in(peer, &wire);
            }
        }
    }

    /// A request outside every call, sent once.
    fn stray(
        &mut self,
        net: &mut Net,
        peer: u8,
        method: Method,
        uri: &str,
        to_tag: &str,
    ) -> Rc<Wire> {
        let serial = match method {
            // An OPTIONS is kept as a transaction: it must be found again.
            Method::Options => self.clients.len() as u32,
            _ => 20_000_000 + self.next_serial() as u32,
        };
        let host = &self.hosts[peer as usize];
        let call_id = format!("{}stray{:x}@{}", host.mark, net.rng.any(), host.ip);
        let contact = format!("sip:{}@{}", host.mark, host.addr);
        request(
            host,
            &Request {
                method,
                uri: uri.as_bytes(),
                tx: serial,
                from: &format!("<sip:{}@{}>", host.mark, host.ip),
                from_tag: "stray",
                to: &format!("<{uri}>"),
                to_tag,
                call_id: &call_id,
                cseq: 1 + net.rng.below(100) as u32,
                max_forwards: 70,
                extra: "",
                contact: &contact,
                style: net.rng.below(3) as u8,
                body: &Body::default(),
            },
        )
    }

    fn options(&mut self, net: &mut Net, peer: u8) {
        let wire = self.stray(net, peer, Method::Options, &format!("sip:{HOST}"), "");
        self.start_as(net, peer, NOBODY, Purpose::Attack, wire, false);
    }

    fn unknown(&mut self, net: &mut Net, peer: u8) {
        let methods = [
            Method::Other,
            Method::Register,
            Method::Message,
            Method::Subscribe,
            Method::Notify,
            Method::Refer,
            Method::Info,
            Method::Update,
        ];
        let method = *net.rng.pick(&methods);
        let wire = self.stray(net, peer, method, &format!("sip:{HOST}"), "");
        net.send_in(peer, &wire);
    }

    /// Somebody guesses at a live call: its Call-ID is known, its tags not.
    fn guessed(&mut self, net: &mut Net) {
        net.seen.note(Met::GuessedTags);
        let methods = [
            Method::Bye,
            Method::Cancel,
            Method::Invite,
            Method::Update,
            Method::Info,
            Method::Prack,
            Method::Ack,
            Method::Refer,
        ];
        let method = *net.rng.pick(&methods);
        let Some(leg) = self.live_leg(net) else {
            let peer = net.rng.below(self.hosts.len() as u64 - 1) as u8;
            let to_tag = if method == Method::Cancel {
                ""
            } else {
                "guessed"
            };
            let wire = self.stray(net, peer, method, &format!("sip:x@{HOST}"), to_tag);
            net.send_in(peer, &wire);
            return;
        };
        let (peer, wire) = self.forged(net, leg, method, true);
        net.send_in(peer, &wire);
    }

    /// Another peer knows all of a dialog, and hangs it up.
    fn stolen(&mut self, net: &mut Net) {
        let Some(leg) = self.live_leg(net) else {
            return;
        };
        net.seen.note(Met::StolenDialog);
        let owner = self.legs[leg as usize].peer;
        let methods = [Method::Bye, Method::Invite, Method::Update, Method::Cancel];
        let method = *net.rng.pick(&methods);
        if method != Method::Cancel && self.legs[leg as usize].remote_tag.is_empty() {
            return; // Without a To tag it would be a new call of the thief's.
        }
        let (_, wire) = self.forged(net, leg, method, false);
        let others = self.hosts.len() as u64;
        let thief = (u64::from(owner) + 1 + net.rng.below(others - 1)) % others;
        net.send_in(thief as u8, &wire);
    }

    fn live_leg(&self, net: &mut Net) -> Option<u32> {
        let from = self.legs.len().saturating_sub(40);
        let live: Vec<u32> = (from..self.legs.len())
            .filter(|&leg| self.legs[leg].state != State::Over)
            .map(|leg| leg as u32)
            .collect();
        (!live.is_empty()).then(|| *net.rng.pick(&live))
    }

    fn forged(&mut self, net: &mut Net, leg: u32, method: Method, guess: bool) -> (u8, Rc<Wire>) {
        let serial = 30_000_000 + self.next_serial() as u32;
        let state = &self.legs[leg as usize];
        let host = &self.hosts[state.peer as usize];
        let any = format!("{:x}", net.rng.any());
        let both = guess && net.rng.permille(500);
        let wire = request(
            host,
            &Request {
                method,
                uri: &state.target,
                tx: serial,
                from: &state.local,
                from_tag: if both { &any } else { &state.tag },
                to: &state.remote,
                to_tag: if guess { &any } else { &state.remote_tag },
                call_id: &state.call_id,
                cseq: state.cseq + 50,
                max_forwards: 70,
                extra: "",
                contact: "sip:thief@203.0.113.66",
                style: 0,
                body: &Body::default(),
            },
        );
        (state.peer, wire)
    }

    /// Who is nobody's peer calls, or asks.
    fn stranger_calls(&mut self, net: &mut Net) {
        net.seen.note(Met::Stranger);
        let stranger = self.stranger();
        let method = *net.rng.pick(&[
            Method::Invite,
            Method::Options,
            Method::Register,
            Method::Bye,
        ]);
        let uri = format!("sip:+442071838750@{HOST}");
        let wire = self.stray(net, stranger, method, &uri, "");
        for _ in 0..net.rng.range(1, 4) {
            net.send_in(stranger, &wire);
        }
    }

    /// A datagram that is no message, or a damaged one.
    fn junk_bytes(&mut self, net: &mut Net, peer: u8) -> Rc<Wire> {
        let uri = format!("sip:01023276123456@{HOST}");
        let whole = self.stray(net, peer, Method::Invite, &uri, "");
        let text = String::from_utf8_lossy(&whole.bytes).into_owned();
        let end = "User-Agent";
        let line = |line: &str| text.replacen(end, &format!("{line}\r\n{end}"), 1);
        let damaged = match net.rng.below(19) {
            0 => String::new(),
            1 => "\r\n\r\n".into(),
            2 => "INV".into(),
            3 => text.replacen("CSeq", "Sec", 1).replacen("cseq", "Sec", 1),
            4 => text.replacen("SIP/2.0\r\n", "SIP/3.0\r\n", 1),
            5 => line("X\u{1}: y"),
            6 => line("Content-Length: 4294967328"),
            7 => line("Call-ID: another"),
            8 => line("From: <sip:a@b>;tag=2"),
            9 => text.replace("\r\n", "\n"),
            10 => line(&"X-Many: y\r\n".repeat(70)),
            11 => line(&format!("X-Long: {}", "y".repeat(9000))),
            12 => line("CSeq: 5 BYE"),
            13 => text[..text.len() / 2].to_string(),
            14 => line("no colon here"),
            15 => line("Content-Length: 10"),
            16 => text.replacen("\r\n", "\r", 3),
            17 => line("Via: SIP/2.0/UDP :::]"),
            _ => {
                // Any byte but those of the denied number.
                let bye = self.stray(net, peer, Method::Bye, &uri, "x");
                let mut bytes = bye.bytes.to_vec();
                for _ in 0..net.rng.range(1, 6) {
                    let at = net.rng.below(bytes.len() as u64) as usize;
                    bytes[at] = net.rng.any() as u8;
                }
                return as_junk(read(bytes));
            }
        };
        as_junk(Rc::new(Wire::junk(Bytes::from(damaged.into_bytes()))))
    }
}

/// Nothing is expected of a damaged message, even if it can be read.
fn as_junk(wire: Rc<Wire>) -> Rc<Wire> {
    Rc::new(Wire {
        junk: true,
        ..(*wire).clone()
    })
}
