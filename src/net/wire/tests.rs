use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::base::flow::{Flow, Transport};
use crate::policy::Listener;
use crate::sip::Draft;

fn listener(bind: &str, advertise: &str) -> Listener {
    Listener {
        id: ListenerId(0),
        transport: Transport::Udp,
        bind: bind.parse().unwrap(),
        advertise: advertise.parse().unwrap(),
        challenge: false,
        algorithms: Box::default(),
    }
}

fn wire(bind: &str, advertise: &str) -> (Wire, u16) {
    let opened = Opened::new(&listener(bind, advertise), None).unwrap();
    let address = opened.socket.local_addr().unwrap().as_socket().unwrap();
    let wire = Wire::new(&[opened], 0, 1, Mailbox::new(), Arc::default()).unwrap();
    (wire, address.port())
}

/// A peer that only hears what comes from `tollgate`.
fn peer(host: &str, tollgate: (&str, u16)) -> UdpSocket {
    let socket = UdpSocket::bind((host, 0)).unwrap();
    socket.connect(tollgate).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

/// The user part of the next request that comes.
fn heard(peer: &UdpSocket) -> String {
    let mut buffer = vec![0; 65_535];
    let length = peer.recv(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let user = text.strip_prefix("OPTIONS sip:").unwrap();
    user.split('@').next().unwrap().to_owned()
}

fn transmit(user: &str, to: SocketAddr, local: Option<&str>, body: &[u8]) -> Transmit {
    let (mut scratch, uri) = (Vec::new(), format!("sip:{user}@x"));
    let draft = Draft::request(&mut scratch, b"OPTIONS", uri.as_bytes());
    Transmit {
        flow: Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote: to,
            local: local.map(|it| it.parse().unwrap()),
            connection: None,
            name: None,
        },
        packet: draft.seal(Some(body)),
        origin: Origin::Stateless,
    }
}

/// Which of our addresses each datagram that is there was sent to.
fn called(wire: &mut Wire, count: usize) -> Vec<Option<IpAddr>> {
    let mut called = Vec::new();
    while called.len() < count {
        wire.receive(true, 1, |_, batch| called.extend(batch.map(|it| it.local)));
    }
    called
}

#[tokio::test(flavor = "current_thread")]
async fn what_comes_to_a_deaf_one_waits_for_its_successor() {
    let (mut before, port) = wire("127.0.0.1:0", "127.0.0.1:5060");
    let peer = peer("127.0.0.1", ("127.0.0.1", port));
    peer.send(b"one").unwrap();
    assert_eq!(called(&mut before, 1).len(), 1);
    before.read(false);
    peer.send(b"two").unwrap();
    let mut heard = 0;
    assert!(!before.receive(true, 1, |_, batch| heard += batch.count()));
    assert_eq!(heard, 0);
    let socket = before.ends[0].opened.socket.try_clone().unwrap();
    drop(before);
    let opened = Opened::new(&listener("127.0.0.1:0", "127.0.0.1:5060"), Some(socket)).unwrap();
    let mut after = Wire::new(&[opened], 0, 1, Mailbox::new(), Arc::default()).unwrap();
    let mut heard = Vec::new();
    while heard.is_empty() {
        after.receive(true, 1, |_, batch| {
            batch.for_each(|it| heard.extend_from_slice(it.bytes));
        });
    }
    assert_eq!(heard, b"two");
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_comes_from_the_address_that_was_called() {
    let (mut wire, port) = wire("0.0.0.0:0", "127.0.0.11:5060");
    let peers = ["127.0.0.21", "127.0.0.11", "127.0.0.22"].map(|host| {
        let peer = peer("127.0.0.13", (host, port));
        (host, peer)
    });
    // More than a batch, and again and again.
    for _ in 0..3 {
        for (host, peer) in &peers {
            for _ in 0..40 {
                peer.send(b"hello").unwrap();
            }
            let called = called(&mut wire, 40);
            let host: IpAddr = host.parse().unwrap();
            assert!(called.iter().all(|it| *it == Some(host)), "{called:?}");
        }
    }
    let mut queue = Vec::new();
    for round in ["one", "two"] {
        for (host, peer) in &peers {
            // The middle one gets what leaves for someone who has not called.
            let local = Some(*host).filter(|host| *host != "127.0.0.11");
            queue.push(transmit(round, peer.local_addr().unwrap(), local, b""));
        }
    }
    let mut failed = Vec::new();
    wire.send(&queue, &mut failed);
    assert!(failed.is_empty(), "{failed:?}");
    for (_, peer) in &peers {
        assert_eq!([heard(peer), heard(peer)], ["one", "two"]);
    }
    assert_eq!(wire.stats.sent.value(), 6);
}

#[tokio::test(flavor = "current_thread")]
async fn it_does_so_on_ipv6() {
    let (mut wire, port) = wire("[::]:0", "[::1]:5060");
    let peer = peer("::1", ("::1", port));
    peer.send(b"hello").unwrap();
    assert_eq!(called(&mut wire, 1), ["::1".parse().ok()]);
    let to = peer.local_addr().unwrap();
    let queue = [
        transmit("one", to, Some("::1"), b""),
        transmit("two", to, None, b""),
    ];
    let mut failed = Vec::new();
    wire.send(&queue, &mut failed);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!([heard(&peer), heard(&peer)], ["one", "two"]);
}

/// RFC 5737 keeps the advertised address for documents: it is not this machine's,
/// as behind address translation. The kernel then chooses.
#[tokio::test(flavor = "current_thread")]
async fn behind_translation_the_kernel_chooses() {
    let (mut wire, port) = wire("0.0.0.0:0", "192.0.2.1:5060");
    let near = peer("127.0.0.1", ("127.0.0.1", port));
    let far = peer("127.0.0.13", ("127.0.0.21", port));
    let (to_near, to_far) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    let queue = [
        transmit("one", to_near, None, b""),
        transmit("two", to_near, None, b""),
        transmit("one", to_far, Some("127.0.0.21"), b""),
        transmit("three", to_near, None, b""),
    ];
    let mut failed = Vec::new();
    wire.send(&queue, &mut failed);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!([(); 3].map(|()| heard(&near)), ["one", "two", "three"]);
    assert_eq!(heard(&far), "one");
}

#[tokio::test(flavor = "current_thread")]
async fn a_listener_with_one_address_has_no_choice() {
    let (mut wire, port) = wire("127.0.0.11:0", "127.0.0.11:5060");
    let peer = peer("127.0.0.13", ("127.0.0.11", port));
    peer.send(b"hello").unwrap();
    assert_eq!(called(&mut wire, 1), [None]);
    let to = peer.local_addr().unwrap();
    wire.send(&[transmit("one", to, None, b"")], &mut Vec::new());
    assert_eq!(heard(&peer), "one");
}

/// What cannot be sent is told apart from what was; a peer that is not there is
/// no failure of the socket, neither of the next send nor of the next receive.
#[tokio::test(flavor = "current_thread")]
async fn failures_are_told_one_by_one() {
    for bind in ["127.0.0.11:0", "0.0.0.0:0"] {
        let (mut wire, port) = wire(bind, "127.0.0.11:5060");
        let peer = peer("127.0.0.13", ("127.0.0.11", port));
        let to = peer.local_addr().unwrap();
        // Sending to everyone takes a right that the socket has not asked for.
        let everyone: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let nobody = UdpSocket::bind("127.0.0.13:0").and_then(|it| it.local_addr());
        let nobody = nobody.unwrap();
        let queue = [
            transmit("one", to, None, b""),
            transmit("huge", to, None, &[b'x'; 65_536]),
            transmit("nobody", nobody, None, b""),
            transmit("two", to, None, b""),
            transmit("everyone", everyone, None, b""),
            transmit("nobody", nobody, None, b""),
            transmit("three", to, None, b""),
        ];
        let mut failed = Vec::new();
        wire.send(&queue, &mut failed);
        let failed: Vec<_> = failed.iter().map(|it| (it.remote, it.errno)).collect();
        assert_eq!(
            failed,
            [(to, Errno::EMSGSIZE), (everyone, Errno::EACCES)],
            "{bind}"
        );
        assert_eq!([(); 3].map(|()| heard(&peer)), ["one", "two", "three"]);
        assert_eq!(wire.stats.sent.value(), 5);
        assert_eq!(wire.stats.send_failed.value(), 2);
        assert!(!wire.receive(true, 1, |_, _| {}));
        assert_eq!(wire.stats.receive_failed.value(), 0);
    }
}

/// A receive call that fails is counted and told, and is not tried again at once.
#[tokio::test(flavor = "current_thread")]
async fn a_receive_error_does_not_spin() {
    let nobody = UdpSocket::bind("127.0.0.13:0").and_then(|it| it.local_addr());
    // Only a connected socket is told that nobody is there.
    let socket = socket::bind("127.0.0.11:0".parse().unwrap()).unwrap();
    socket.connect(&nobody.unwrap().into()).unwrap();
    socket.send(b"hello").unwrap();
    let opened = Opened {
        socket: Arc::new(socket),
        transport: Transport::Udp,
        everywhere: false,
        usual: None,
    };
    let mut wire = Wire::new(&[opened], 0, 1, Mailbox::new(), Arc::default()).unwrap();
    let trouble = loop {
        assert!(!wire.receive(true, 1, |_, _| {}), "there is nothing more");
        if let Some(trouble) = wire.take_trouble() {
            break trouble;
        }
    };
    assert_eq!(trouble, (ListenerId(0), Errno::ECONNREFUSED));
    assert_eq!(wire.stats.receive_failed.value(), 1);
    assert!(!wire.receive(true, 1, |_, _| {}));
    assert!(wire.take_trouble().is_none());
}

/// One socket's flood does not keep others from being read, nor a turn from its end.
#[tokio::test(flavor = "current_thread")]
async fn sockets_take_turns() {
    let open = || Opened::new(&listener("127.0.0.1:0", "127.0.0.1:5060"), None).unwrap();
    let sockets = [open(), open()];
    let peers = sockets.each_ref().map(|it| {
        let port = it.socket.local_addr().unwrap().as_socket().unwrap().port();
        peer("127.0.0.1", ("127.0.0.1", port))
    });
    let mut wire = Wire::new(&sockets, 0, 1, Mailbox::new(), Arc::default()).unwrap();
    for _ in 0..4 * BATCH {
        peers[0].send(b"flood").unwrap();
    }
    peers[1].send(b"one").unwrap();
    let mut receive = |batches| {
        let mut counts = Vec::new();
        let more = wire.receive(true, batches, |id, batch| {
            counts.push((id.0, batch.count()))
        });
        (counts, more)
    };
    assert_eq!(receive(3), (vec![(0, BATCH), (1, 1), (0, BATCH)], true));
    assert_eq!(receive(1), (vec![(0, BATCH)], true));
    assert_eq!(receive(9), (vec![(0, BATCH)], false));
}
