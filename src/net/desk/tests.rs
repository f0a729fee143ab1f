use std::collections::VecDeque;
use std::net::SocketAddr;

use super::*;
use crate::base::limits::{WAITING_NEW, WAITING_UNDER_WAY};
use crate::net::clock;
use crate::policy::samples::{rules, tenant};
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

fn desk() -> Desk {
    let (rules, now) = (
        Arc::new(rules(MAIN, &tenant("127.0.0.4/32", ""))),
        clock::now(),
    );
    let config = Config {
        id: 0,
        shards: SHARDS,
        key: 1,
        bucket_key: 2,
        timers: Timers::default(),
        rules: Arc::clone(&rules),
    };
    let mailboxes = (0..SHARDS).map(|_| Mailbox::new()).collect();
    Desk::new(
        Shard::new(config, now),
        0,
        Buckets::new(2),
        rules,
        (Quarantine::default(), Bans::default()),
        mailboxes,
        Arc::default(),
    )
}

impl Desk {
    fn receive(&mut self, source: &str, text: &str) {
        let source: SocketAddr = source.parse().unwrap();
        let datagram = Datagram {
            source,
            local: None,
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
fn a_stranger_who_goes_on_is_banned_and_a_peer_is_not() {
    let mut desk = desk();
    desk.bans.obey(&desk.rules);
    let mine = options(call_id_of(0));
    for _ in 0..100 {
        assert!(desk.outbox.records.bytes().is_empty());
        desk.receive("127.0.0.3:5070", "x");
    }
    assert!(
        !desk.outbox.records.bytes().is_empty(),
        "it is written down"
    );
    desk.outbox.clear();
    for _ in 0..200 {
        desk.receive("127.0.0.3:5071", "x");
        desk.receive("127.0.0.2:5070", &mine);
    }
    assert_eq!(desk.stats.banned.value(), 200);
    assert_eq!(desk.stats.strangers.value(), 100);
    assert!(desk.outbox.transmits.len() >= 200, "each is answered");
    assert_eq!(desk.bans.list(clock::now()).len(), 1);
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

/// The request lines in another shard's mailbox, in order.
fn posted(desk: &Desk, shard: usize) -> Vec<String> {
    let mut inbox = VecDeque::new();
    desk.mailboxes[shard].collect(&mut inbox);
    let lines = inbox.iter().map(|letter| {
        let Letter::Message { message, .. } = letter else {
            panic!("{letter:?}");
        };
        let text = String::from_utf8_lossy(message.bytes());
        text.lines().next().unwrap().to_owned()
    });
    lines.collect()
}

#[test]
fn a_full_mailbox_still_takes_what_is_under_way_and_emergencies() {
    let mut desk = desk();
    let new = options(call_id_of(1));
    let in_dialog = new.replace("<sip:a@b>\r", "<sip:a@b>;tag=2\r");
    let response = in_dialog.replace("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 200 OK");
    let emergency = new
        .replace("OPTIONS", "INVITE")
        .replace("INVITE sip:a@b", "INVITE sip:118@b");
    let send = |desk: &mut Desk, text: &str, count: usize| {
        let before = desk.stats.hopped.value();
        for _ in 0..count {
            desk.receive("127.0.0.2:5070", text);
        }
        desk.post();
        desk.stats.hopped.value() - before
    };
    assert_eq!(send(&mut desk, &new, MAILBOX_LETTERS + 15), 4096);
    assert_eq!(desk.stats.hop_dropped.value(), 15);
    assert_eq!(send(&mut desk, &response, 10), 10);
    assert_eq!(send(&mut desk, &in_dialog, 2000), 1014);
    assert_eq!(send(&mut desk, &response, 10), 0);
    assert_eq!(send(&mut desk, &new.replace("OPTIONS", "INVITE"), 10), 0);
    assert_eq!(send(&mut desk, &emergency, 10), 10);
    let letters = posted(&desk, 1);
    assert_eq!(letters.len(), MAILBOX_LETTERS + MAILBOX_RESERVE + 10);
    assert!(
        letters[letters.len() - 10..]
            .iter()
            .all(|line| line.starts_with("INVITE sip:118@"))
    );
    // Emptied, it takes everything again.
    assert_eq!(send(&mut desk, &new, 10), 10);
}

#[test]
fn one_turns_overflow_is_sorted() {
    let mut desk = desk();
    let new = options(call_id_of(1));
    for _ in 0..MAILBOX_LETTERS {
        desk.receive("127.0.0.2:5070", &new);
    }
    desk.post();
    let text = new.replace("OPTIONS", "INVITE");
    for user in ["0335571234", "110", "0335571235", "184110"] {
        let line = format!("INVITE sip:{user}@b");
        desk.receive("127.0.0.2:5070", &text.replace("INVITE sip:a@b", &line));
    }
    desk.receive("127.0.0.2:5070", &text.replace("INVITE", "CANCEL"));
    desk.post();
    assert_eq!(desk.stats.hop_dropped.value(), 2);
    let letters = posted(&desk, 1);
    let last = &letters[MAILBOX_LETTERS..];
    assert!(last[0].starts_with("CANCEL "), "{last:?}");
    assert!(last[1].starts_with("INVITE sip:110@"), "{last:?}");
    assert!(last[2].starts_with("INVITE sip:184110@"), "{last:?}");
    assert_eq!(last.len(), 3);
}

/// An INVITE of the phone system's.
fn call(user: &str, mark: usize) -> String {
    let text = options(mark).replace("OPTIONS sip:a@b", &format!("INVITE sip:{user}@b"));
    let text = text.replace("127.0.0.2:5070", "127.0.0.4:5080");
    text.replace("OPTIONS", "INVITE")
        .replace("Max-Forwards", "Contact: <sip:c@127.0.0.4>\r\nMax-Forwards")
}

/// Call-IDs that belong to this shard.
fn of_this_shard() -> impl Iterator<Item = usize> {
    let owner = |id: &usize| shard_of(&Buckets::new(2), SHARDS, id.to_string().as_bytes());
    (0..).filter(move |id| owner(id) == 0)
}

impl Desk {
    /// The first lines of what a turn sends, and where to.
    fn served(&mut self) -> Vec<(SocketAddr, String)> {
        self.serve(clock::now());
        let lines = self.outbox.transmits.iter().map(|it| {
            let text = String::from_utf8_lossy(it.packet.as_ref()).into_owned();
            (it.flow.remote, text.lines().next().unwrap().to_owned())
        });
        let lines = lines.collect();
        self.outbox.clear();
        lines
    }
}

#[test]
fn who_floods_waits_for_itself_alone() {
    let mut desk = desk();
    desk.fell_behind(true);
    let mut ids = of_this_shard();
    for id in ids.by_ref().take(2 * WAITING_NEW) {
        desk.receive("127.0.0.4:5080", &call("+23276123456", id));
    }
    let shed = 2 * WAITING_NEW - WAITING_NEW / 2;
    assert_eq!(desk.stats.shed.value(), u64::try_from(shed).unwrap());
    assert!(desk.outbox.is_empty(), "nothing of it was even read");
    // The carrier is somebody else; and an emergency call is heard from anybody.
    desk.receive("127.0.0.2:5070", &options(ids.next().unwrap()));
    desk.receive("127.0.0.4:5080", &call("110", ids.next().unwrap()));
    desk.fell_behind(false);
    let served = desk.served();
    let carrier: SocketAddr = "127.0.0.2:5070".parse().unwrap();
    let to_carrier: Vec<&str> = served
        .iter()
        .filter(|(to, _)| *to == carrier)
        .map(|(_, line)| &**line)
        .collect();
    assert!(to_carrier[0].starts_with("INVITE sip:110@"), "{served:#?}");
    assert_eq!(to_carrier[1], "SIP/2.0 200 OK");
    let refused = |served: &[(SocketAddr, String)]| {
        let lines = served.iter().filter(|(_, it)| it == "SIP/2.0 603 Decline");
        lines.count()
    };
    // Whose turn came first had one more.
    let mut all = refused(&served);
    assert_eq!(all, SERVED[2] - 1);
    while !desk.has_served_all() {
        assert!(desk.is_behind());
        all += refused(&desk.served());
    }
    assert_eq!(all, WAITING_NEW / 2);
    assert!(!desk.is_behind());
    // Then everything is handled as it comes.
    desk.receive("127.0.0.2:5070", &options(ids.next().unwrap()));
    assert_eq!(desk.outbox.transmits.len(), 1);
}

#[test]
fn what_was_shed_is_written_down_and_told() {
    let mut desk = desk();
    desk.fell_behind(true);
    for id in of_this_shard().take(WAITING_NEW) {
        desk.receive("127.0.0.4:5080", &call("+23276123456", id));
    }
    let now = clock::now();
    assert!(desk.tell_sheds(now, false).is_empty(), "not yet");
    let told = desk.tell_sheds(now, true);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].new, u64::try_from(WAITING_NEW / 2).unwrap());
    let tenant = desk.rules.tenants()[0].name.to_string();
    assert_eq!(told[0].whose, tenant);
    assert!(!desk.outbox.records.bytes().is_empty());
}

#[test]
fn nothing_that_came_over_a_connection_is_shed() {
    let mut desk = desk();
    let id = call_id_of(0);
    let mut flow = Flow::to(
        ListenerId(0),
        Transport::Tcp,
        "127.0.0.4:5080".parse().unwrap(),
    );
    let letter = |flow| Letter::Message {
        flow,
        message: crate::sip::scan(call("+23276123456", id).into()).unwrap(),
    };
    let mut taken = 0;
    while !desk.is_full() {
        assert!(desk.defer(clock::now(), letter(flow)).is_none());
        taken += 1;
    }
    assert_eq!(taken, WAITING_CONNECTED);
    assert_eq!(desk.stats.shed.value(), 0);
    // What other shards hand over is shed as what is received.
    flow.transport = Transport::Udp;
    for _ in 0..WAITING_NEW {
        assert!(desk.defer(clock::now(), letter(flow)).is_none());
    }
    assert!(desk.stats.shed.value() > 0);
    while !desk.has_served_all() {
        desk.served();
    }
    assert!(!desk.is_full());
    let other = Letter::Command(Command::Drain);
    assert!(
        desk.defer(clock::now(), other).is_some(),
        "it is not put off"
    );
}

/// A flood of what seems to be under way does not keep others' from being heard, nor new calls.
#[test]
fn a_flood_of_answers_and_hangups_waits_for_itself() {
    let mut desk = desk();
    desk.fell_behind(true);
    let mut ids = of_this_shard();
    for id in ids.by_ref().take(WAITING_UNDER_WAY) {
        let bye = call("a", id).replace("INVITE", "BYE");
        desk.receive(
            "127.0.0.4:5080",
            &bye.replace("<sip:a@b>\r", "<sip:a@b>;tag=2\r"),
        );
    }
    let shed = u64::try_from(WAITING_UNDER_WAY / 2).unwrap();
    assert_eq!(desk.stats.shed.value(), shed);
    let of_carrier = options(ids.next().unwrap());
    desk.receive("127.0.0.2:5070", &of_carrier);
    let bye = options(ids.next().unwrap()).replace("OPTIONS", "BYE");
    desk.receive(
        "127.0.0.2:5070",
        &bye.replace("<sip:a@b>\r", "<sip:a@b>;tag=2\r"),
    );
    let served = desk.served().into_iter();
    let carrier: SocketAddr = "127.0.0.2:5070".parse().unwrap();
    let to_carrier = served.filter(|(to, _)| *to == carrier);
    let lines: Vec<String> = to_carrier.map(|(_, line)| line).collect();
    let expected = [
        "SIP/2.0 481 Call/Transaction Does Not Exist",
        "SIP/2.0 200 OK",
    ];
    assert_eq!(lines, expected);
}
