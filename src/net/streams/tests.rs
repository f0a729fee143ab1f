//! What a connection may cost in time and room, on a clock of the tests' own.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::pause;

use super::*;
use crate::base::flow::Flow;
use crate::base::limits::{
    HANDSHAKE_S, MAILBOX_LETTERS, STREAM_FIRST_S, STREAM_IDLE_S, STREAM_MESSAGE_S, STREAM_PING_S,
    STREAM_WRITE_S,
};
use crate::net::Tls;
use crate::policy::RuleSet;
use crate::policy::samples::{rules, tenant};
use crate::sip::Draft;
use crate::transaction::Origin;

const MAIN: &str = r#"
[[listen]]
address = "tcp:127.0.0.1:5060"
[[listen]]
address = "tls:127.0.0.1:5061"
certificate = "own.pem"
key = "own.key"
[[carrier]]
name = "upstream"
address = "tcp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
number_format = "e164"
"#;

const OPTIONS: &str =
    "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nTo: <sip:a>\r\nContent-Length: 0\r\n\r\n";

/// What the peer at the far end of a connection says, by the second.
type Says<'a> = &'a dyn Fn(u64) -> &'a str;

/// A thread's worth of connections, with one shard.
struct World {
    hub: Rc<Hub>,
    errands: Mailbox<Errand>,
    mailbox: Mailbox<Letter>,
    listener: TcpListener,
}

impl World {
    async fn new() -> Self {
        let rules = Arc::new(rules(MAIN, &tenant("127.0.0.1/32", "")));
        let tls = Arc::new(tls(&rules));
        let seat = Seat {
            sockets: Vec::new(),
            in_force: InForce::new(rules, tls),
            bucket_key: 1,
            quarantine: Quarantine::default(),
            bans: Bans::default(),
            mailboxes: vec![Mailbox::new()],
            errands: Mailbox::new(),
            stats: Arc::default(),
        };
        Self {
            hub: Rc::new(Hub::new(&seat, STREAMS)),
            errands: seat.errands.clone(),
            mailbox: seat.mailboxes[0].clone(),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    /// A connection that a peer makes. From then on time passes by the test's clock.
    async fn peer(&self) -> TcpStream {
        self.peer_over(Transport::Tcp).await
    }

    async fn peer_over(&self, transport: Transport) -> TcpStream {
        let listener = ListenerId(u16::from(transport == Transport::Tls));
        let address = self.listener.local_addr().unwrap();
        let peer = TcpStream::connect(address).await.unwrap();
        let (stream, remote) = self.listener.accept().await.unwrap();
        // So little that it is soon full.
        SockRef::from(&stream).set_send_buffer_size(4_096).unwrap();
        SockRef::from(&peer).set_recv_buffer_size(4_096).unwrap();
        self.hub.accepted(listener, transport, stream, remote);
        pause();
        peer
    }

    fn send(&self, remote: SocketAddr, body: &[u8]) {
        let mut scratch = Vec::new();
        let own = self.hub.lines.borrow().iter().map(|it| it.flow).next();
        let flow = own.filter(|it| it.remote == remote).unwrap_or(Flow {
            listener: ListenerId(0),
            transport: Transport::Tcp,
            remote,
            local: None,
            connection: None,
            name: None,
        });
        let transmit = Transmit {
            flow,
            packet: Draft::request(&mut scratch, b"OPTIONS", b"sip:b").seal(Some(body)),
            origin: Origin::Stateless,
        };
        self.hub.send(0, vec![transmit]);
    }

    fn letters(&self) -> Vec<Letter> {
        let mut inbox = VecDeque::new();
        self.mailbox.collect(&mut inbox);
        inbox.into()
    }

    /// How many connections are open, and how many were closed for a fault.
    fn counts(&self) -> (usize, u64) {
        let broken = self.hub.stats.streams_broken.value();
        (self.hub.lines.borrow().len(), broken)
    }
}

/// A certificate for nobody, and what is made of it.
fn tls(rules: &RuleSet) -> Tls {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let read = |path: Option<&str>| {
        Ok(match path {
            Some("own.pem") => certificate.pem().into_bytes(),
            _ => key.serialize_pem().into_bytes(),
        })
    };
    let (tls, faults) = Tls::load(rules, &read, Default::default());
    assert_eq!(faults, []);
    tls
}

fn with_world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let runtime = super::super::run::new_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async { test(World::new().await).await });
}

/// Goes on until the connection is closed, or for so many seconds. How long that
/// was, and what came.
async fn listen_for(seconds: u64, peer: &TcpStream, says: Says<'_>) -> (u64, String) {
    let mut heard = Vec::new();
    let mut second = 0;
    while second < seconds {
        let mut bytes = [0; 4_096];
        match peer.try_read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => heard.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_reset) => break,
        }
        let _closed = peer.try_write(says(second).as_bytes());
        sleep(Duration::from_secs(1)).await;
        second += 1;
    }
    (second, String::from_utf8(heard).unwrap())
}

/// Whether something happened when it was due, or in the seconds that it takes to
/// be seen.
fn is_due(second: u64, due: u64) -> bool {
    (due..=due + 3).contains(&second)
}

#[test]
fn who_says_nothing_whole_is_closed() {
    with_world(async |world| {
        let peer = world.peer().await;
        let byte_in_ten = |second: u64| if second.is_multiple_of(10) { "O" } else { "" };
        let (second, heard) = listen_for(100, &peer, &byte_in_ten).await;
        assert!(is_due(second, STREAM_FIRST_S), "{second}");
        assert_eq!((heard.as_str(), world.counts()), ("", (0, 1)));
        assert!(world.letters().is_empty());
    });
}

#[test]
fn who_does_not_finish_its_handshake_is_closed() {
    with_world(async |world| {
        // Nothing, and the first half of a hello (RFC 8446 §4.1.2) byte by byte.
        for hello in ["", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}"] {
            let peer = world.peer_over(Transport::Tls).await;
            let says = |second: u64| {
                let at = usize::try_from(second).unwrap();
                hello.get(at..=at).unwrap_or_default()
            };
            let before = world.hub.stats.handshakes_failed.value();
            let (second, heard) = listen_for(100, &peer, &says).await;
            assert!(is_due(second, HANDSHAKE_S), "{second}");
            assert_eq!((heard.as_str(), world.counts()), ("", (0, 0)));
            let failed = world.hub.stats.handshakes_failed.value();
            assert_eq!(failed, before + 1);
            tokio::time::resume();
        }
        assert!(world.letters().is_empty());
    });
}

#[test]
fn a_message_that_does_not_end_closes_its_connection() {
    with_world(async |world| {
        let peer = world.peer().await;
        let (second, heard) = listen_for(100, &peer, &|second| match second {
            0 => "\r\n\r\n",
            20.. => "O",
            _ => "",
        })
        .await;
        assert!(is_due(second, 20 + STREAM_MESSAGE_S), "{second}");
        assert_eq!((heard.as_str(), world.counts()), ("\r\n", (0, 1)));
        assert_eq!(world.hub.partial.get(), 0);
    });
}

#[test]
fn a_connection_that_nobody_uses_is_closed_without_a_fault() {
    with_world(async |world| {
        let peer = world.peer().await;
        let says = |second: u64| {
            if second < 400 && second.is_multiple_of(100) {
                OPTIONS
            } else {
                ""
            }
        };
        let (second, _) = listen_for(3_000, &peer, &says).await;
        assert!(is_due(second, 300 + STREAM_IDLE_S), "{second}");
        assert_eq!(world.counts(), (0, 0));
        assert_eq!(world.letters().len(), 4);
    });
}

#[test]
fn who_does_not_read_is_closed_and_what_waited_for_it_is_told() {
    with_world(async |world| {
        let peer = world.peer().await;
        peer.try_write(b"\r\n\r\n").unwrap();
        sleep(Duration::from_secs(1)).await;
        let to = peer.local_addr().unwrap();
        let sent = 20;
        for _ in 0..sent {
            world.send(to, &[b'x'; 30_000]);
        }
        let refused = world.letters().len();
        assert!(refused > 0, "all of it waits");
        let mut second = 0;
        while world.counts().0 > 0 && second < 100 {
            sleep(Duration::from_secs(1)).await;
            second += 1;
        }
        assert!(is_due(second, STREAM_WRITE_S), "{second}");
        let lost = world.letters();
        assert!(lost.iter().all(|it| matches!(it, Letter::Unsent(_))));
        assert!(!lost.is_empty() && lost.len() + refused <= sent);
        assert_eq!(world.counts(), (0, 1));
    });
}

#[test]
fn connections_of_our_making_are_kept_alive() {
    with_world(async |world| {
        world.send(world.listener.local_addr().unwrap(), b"");
        let (peer, _) = world.listener.accept().await.unwrap();
        pause();
        let says = |second: u64| {
            if second % STREAM_PING_S == 5 {
                "\r\n"
            } else {
                OPTIONS
            }
        };
        let (_, heard) = listen_for(3 * STREAM_PING_S + 10, &peer, &says).await;
        let (message, pings) = heard.split_once("\r\n\r\n").unwrap();
        assert!(message.starts_with("OPTIONS sip:b "));
        assert_eq!(pings, "\r\n\r\n".repeat(3));
        assert_eq!(world.counts(), (1, 0));
    });
}

#[test]
fn a_full_mailbox_loses_nothing_and_has_nothing_read() {
    with_world(async |world| {
        for _ in 0..MAILBOX_LETTERS {
            world.mailbox.urge(Letter::Stop);
        }
        let peer = world.peer().await;
        let (hub, errands) = (Rc::clone(&world.hub), world.errands.clone());
        let served = spawn_local(async move { serve(&hub, &errands).await });
        let says = |second| if second < 9 { OPTIONS } else { "" };
        listen_for(10, &peer, &says).await;
        assert_eq!(world.letters().len(), MAILBOX_LETTERS, "there was room");
        listen_for(3, &peer, &|_| "").await;
        let letters = world.letters();
        let messages = letters.iter();
        let messages = messages.filter(|it| matches!(it, Letter::Message { .. }));
        assert_eq!((messages.count(), letters.len()), (9, 9));
        world.errands.urge(Errand::Stop);
        served.await.unwrap();
    });
}
