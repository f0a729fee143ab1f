use std::collections::VecDeque;
use std::net::SocketAddr;

use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::net::clock;
use crate::policy::{Counters, Options, Source, Sources, compile};
use crate::shard::Config;
use crate::transaction::Timers;

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[listen]]
address = "udp:[::1]:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32", "::2/128"]
number_format = "e164"
"#;

const SHARDS: u16 = 3;

fn rules() -> Arc<RuleSet> {
    let sources = Sources {
        main: Source {
            name: "tollgate.toml".into(),
            text: MAIN.into(),
        },
        tenants: Vec::new(),
        plans: Vec::new(),
        tariffs: Vec::new(),
    };
    let zones = TimeZoneDatabase::bundled();
    Arc::new(compile(&sources, Options::default(), &zones, &Counters::new()).unwrap())
}

fn desk() -> Desk {
    let (rules, now) = (rules(), clock::now());
    let config = Config {
        id: 0,
        shards: SHARDS,
        key: 1,
        bucket_key: 2,
        timers: Timers::default(),
        rules: Arc::clone(&rules),
    };
    let mailboxes = (0..SHARDS).map(|_| Mailbox::new(10)).collect();
    Desk::new(
        Shard::new(config, now),
        0,
        Buckets::new(2),
        rules,
        Quarantine::default(),
        mailboxes,
        Arc::default(),
    )
}

impl Desk {
    fn receive(&mut self, source: &str, text: &str) {
        let source: SocketAddr = source.parse().unwrap();
        let datagram = Datagram {
            source,
            bytes: text.as_bytes(),
            truncated: false,
        };
        let listener = ListenerId(u16::from(source.is_ipv6()));
        self.datagram(clock::now(), listener, &datagram);
    }
}

fn options(call_id: usize) -> String {
    format!(
        "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bK{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The number of a Call-ID that belongs to this shard.
fn call_id_of(shard: u16) -> usize {
    let owner = |id: &usize| shard_of(&Buckets::new(2), SHARDS, id.to_string().as_bytes());
    (0..).find(|id| owner(id) == shard).unwrap()
}

#[test]
fn strangers_are_not_even_read() {
    let mut desk = desk();
    let mine = options(call_id_of(0));
    // The last one is a peer, but not at the listener it came to.
    for stranger in ["127.0.0.3:5070", "[::3]:5070", "[::1]:5060"] {
        desk.receive(stranger, &mine);
        desk.receive(stranger, "\r\n");
    }
    assert!(desk.outbox.is_empty());
    assert!(
        desk.handling.is_empty(),
        "nothing of theirs was even copied"
    );
    assert_eq!(desk.stats.strangers.value(), 6);
    for peer in ["127.0.0.2:5070", "[::2]:5070"] {
        desk.receive(peer, &mine);
    }
    assert_eq!(desk.stats.strangers.value(), 6);
    assert_eq!(desk.outbox.transmits.len(), 2);
}

#[test]
fn what_is_no_message_is_counted_by_reason() {
    let mut desk = desk();
    for text in [
        "",
        "\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "SIP/2.0 99 No\r\n\r\n",
    ] {
        desk.receive("127.0.0.2:5070", text);
    }
    assert!(desk.outbox.is_empty());
    let stats = &desk.stats;
    assert_eq!(stats.keep_alives.value(), 2);
    assert_eq!(stats.not_sip.value(), 1);
    assert_eq!(stats.bad_status_line.value(), 1);
}

#[test]
fn a_message_goes_where_its_call_is() {
    let mut desk = desk();
    for shard in 0..SHARDS {
        for _ in 0..=shard {
            desk.receive("127.0.0.2:5070", &options(call_id_of(shard)));
        }
    }
    desk.post();
    assert_eq!(desk.outbox.transmits.len(), 1, "the shard's own");
    let mut inbox = VecDeque::new();
    for shard in 1..SHARDS {
        desk.mailboxes[usize::from(shard)].collect(&mut inbox);
        assert_eq!(inbox.len(), usize::from(shard) + 1);
        for letter in inbox.drain(..) {
            let Letter::Message { flow, message } = letter else {
                panic!("{letter:?}");
            };
            assert_eq!(flow.remote, "127.0.0.2:5070".parse().unwrap());
            assert_eq!(message.call_id(), call_id_of(shard).to_string().as_bytes());
        }
    }
    assert_eq!(desk.stats.hopped.value(), 5);
}

#[test]
fn a_full_mailbox_loses_what_comes_last() {
    let mut desk = desk();
    for _ in 0..15 {
        desk.receive("127.0.0.2:5070", &options(call_id_of(1)));
    }
    desk.post();
    assert_eq!(desk.stats.hopped.value(), 10);
    assert_eq!(desk.stats.hop_dropped.value(), 5);
}
