//! The control socket from outside: what a client may say, and what it hears.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::protocol::{Fault, FaultKind, Order, Reply, Request, Rules, VERSION};
use super::*;
use crate::base::limits::{CONTROL_CONNECTIONS, CONTROL_REQUEST_BYTES};

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir();
        let path = path.join(format!("tollgate-admin-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Says twice how far it is, then who asked.
struct Parrot;

impl Operator for Parrot {
    async fn obey(&self, by: By, order: Order, replies: &mut Replies<'_>) -> Reply {
        if order == Order::HandOver {
            let sockets = ["one", "two"].map(waiting);
            let descriptors = sockets.each_ref().map(AsFd::as_fd);
            replies.hand(Reply::HandedOver, &descriptors).await.unwrap();
        }
        for version in 1..3 {
            replies.more(reloaded(version, "")).await;
        }
        reloaded(3, &format!("{} {}", by.uid, by.name))
    }
}

/// A socket with a datagram in it.
fn waiting(text: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.send_to(text.as_bytes(), address).unwrap();
    socket
}

fn reloaded(version: u64, hash: &str) -> Reply {
    Reply::Reloaded(Rules {
        version,
        hash: hash.to_owned(),
        ..Rules::default()
    })
}

/// A server on a thread of its own, which ends with the process.
fn server(folder: &Folder, paused: bool) -> PathBuf {
    let path = folder.socket();
    let socket = Socket::open(&path).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(paused)
            .build();
        runtime.unwrap().block_on(serve(socket, Rc::new(Parrot)))
    });
    path
}

fn request(order: Order) -> Request {
    Request {
        v: VERSION,
        order,
        behalf: Some("alice".to_owned()),
    }
}

/// What is answered to these bytes.
fn said(path: &Path, bytes: &[u8]) -> String {
    let mut stream = socket::connect(path).unwrap();
    // It may be closed before all is taken.
    let _ = stream.write_all(bytes);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut bytes = Vec::new();
    // What was not read of the request makes the end a reset.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

fn fault(text: &str) -> Fault {
    let answer: protocol::Answer = serde_json::from_str(text).unwrap();
    match answer.reply {
        Reply::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sockets_arrive_with_what_waits_in_them() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let Given::Sockets(sockets) = take_over(&path, &request(Order::HandOver)).unwrap() else {
        panic!("no sockets came");
    };
    let read = |socket: OwnedFd| {
        let mut bytes = [0; 8];
        let length = UdpSocket::from(socket).recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let texts: Vec<String> = sockets.into_iter().map(read).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn whoever_hands_nothing_over_is_heard() {
    let folder = Folder::new();
    let path = folder.socket();
    assert!(matches!(
        take_over(&path, &request(Order::HandOver)),
        Err(Unanswered::Nobody)
    ));
    // Its line in two pieces, as a stream may deliver it.
    let listener = UnixListener::bind(&path).unwrap();
    let busy = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut order = String::new();
        BufReader::new(&stream).read_line(&mut order).unwrap();
        assert!(order.contains("hand_over"), "{order}");
        let line = br#"{"v":1,"reply":{"fault":{"kind":"held","text":"not now"}}}"#;
        stream.write_all(&line[..20]).unwrap();
        stream.write_all(&line[20..]).unwrap();
        stream.write_all(b"\n").unwrap();
    });
    let given = take_over(&path, &request(Order::HandOver)).unwrap();
    assert!(matches!(given, Given::Refused(fault) if fault.text == "not now"));
    busy.join().unwrap();
}

#[test]
fn an_answer_comes_in_lines_and_names_who_asked() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let talk = ask(&path, &request(Order::Status)).unwrap();
    let lines: Vec<Reply> = talk.map(Result::unwrap).collect();
    let uid = nix::unistd::Uid::effective();
    let name = nix::unistd::User::from_uid(uid).unwrap().unwrap().name;
    let last = format!("{uid} {name} for alice");
    assert_eq!(
        lines,
        [reloaded(1, ""), reloaded(2, ""), reloaded(3, &last)]
    );
}

#[test]
fn what_is_no_order_is_told_so() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let version = format!("\"v\":{VERSION}");
    for (line, kind, what) in [
        ("nonsense", FaultKind::Malformed, "no order"),
        ("[]", FaultKind::Malformed, "no order"),
        (
            "{\"order\":\"status\"}",
            FaultKind::Malformed,
            "missing field `v`",
        ),
        ("{V}", FaultKind::Malformed, "missing field `order`"),
        ("{V,\"order\":\"dance\"}", FaultKind::Malformed, "`dance`"),
        (
            "{V,\"order\":\"status\",\"twice\":1}",
            FaultKind::Malformed,
            "`twice`",
        ),
        (
            "{\"v\":9999,\"order\":\"status\"}",
            FaultKind::Version,
            "not 9999",
        ),
        (
            "{\"v\":9999,\"order\":{\"new\":{}}}",
            FaultKind::Version,
            "not 9999",
        ),
        ("\u{0}\u{0}", FaultKind::Malformed, "no order"),
    ] {
        let line = line.replace('V', &version);
        let fault = fault(&said(&path, format!("{line}\n").as_bytes()));
        assert_eq!(fault.kind, kind, "{line}");
        assert!(fault.text.contains(what), "{line}: {}", fault.text);
    }
}

#[test]
fn too_long_an_order_is_not_read() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let order = format!("{{\"v\":{VERSION},\"order\":\"status\"");
    let spaces = CONTROL_REQUEST_BYTES - order.len() - 2;
    let line = |more| format!("{order}{}}}\n", " ".repeat(spaces + more));
    assert!(said(&path, line(0).as_bytes()).contains("reloaded"));
    let told = fault(&said(&path, line(1).as_bytes()));
    assert_eq!(told.kind, FaultKind::TooLong);
    let endless = vec![b' '; 4 * CONTROL_REQUEST_BYTES];
    assert_eq!(fault(&said(&path, &endless)).kind, FaultKind::TooLong);
}

/// Time passes as soon as nothing else happens.
#[test]
fn who_says_nothing_is_not_waited_for() {
    let folder = Folder::new();
    let path = server(&folder, true);
    for begun in ["", "{\"v\":1,"] {
        let told = fault(&said(&path, begun.as_bytes()));
        assert_eq!(told.kind, FaultKind::TooSlow);
    }
}

#[test]
fn further_clients_are_told_that_there_are_too_many() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let idle: Vec<UnixStream> = (0..CONTROL_CONNECTIONS)
        .map(|_| socket::connect(&path).unwrap())
        .collect();
    // The server has taken them when it answers the next.
    let mut told = String::new();
    for _ in 0..50 {
        told = said(&path, b"\n");
        if told.contains("busy") {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(fault(&told).kind, FaultKind::Busy);
    drop(idle);
    thread::sleep(Duration::from_millis(200));
    let talk = ask(&path, &request(Order::Status)).unwrap();
    assert_eq!(talk.map(Result::unwrap).count(), 3);
}

#[test]
fn a_client_that_only_looks_gets_nothing() {
    let folder = Folder::new();
    let path = server(&folder, false);
    let mut stream = socket::connect(&path).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}

#[test]
fn the_file_is_its_owners_and_goes_with_it() {
    let folder = Folder::new();
    let path = folder.socket();
    let socket = Socket::open(&path).unwrap();
    let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn only_a_socket_that_nobody_answers_on_is_replaced() {
    let folder = Folder::new();
    let path = folder.socket();
    fs::write(&path, "a file").unwrap();
    let told = Socket::open(&path).unwrap_err().to_string();
    assert!(told.contains("is no socket"), "{told}");
    fs::remove_file(&path).unwrap();
    // As a Tollgate leaves it that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let first = Socket::open(&path).unwrap();
    let told = Socket::open(&path).unwrap_err().to_string();
    assert!(told.contains("another Tollgate answers"), "{told}");
    // Its end does not take away a successor's.
    fs::remove_file(&path).unwrap();
    let second = Socket::open(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn a_long_path_is_no_obstacle() {
    let folder = Folder::new();
    let long = Folder(folder.0.join("l".repeat(150)));
    fs::create_dir(&long.0).unwrap();
    let path = server(&long, false);
    let talk = ask(&path, &request(Order::Reload)).unwrap();
    assert_eq!(talk.map(Result::unwrap).count(), 3);
}

#[test]
fn nobody_is_told_from_someone_who_breaks_off() {
    let folder = Folder::new();
    let path = folder.socket();
    let none = ask(&path, &request(Order::Status)).unwrap_err();
    assert!(matches!(none, Unanswered::Nobody));
    let listener = UnixListener::bind(&path).unwrap();
    let silent = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 1];
        stream.read_exact(&mut some).unwrap();
        stream.write_all(b"{\"v\":1,").unwrap();
    });
    let mut talk = ask(&path, &request(Order::Status)).unwrap();
    assert!(matches!(talk.next(), Some(Err(Unanswered::Broken(_)))));
    assert!(talk.next().is_none());
    silent.join().unwrap();
    let none = ask(&path, &request(Order::Status)).unwrap_err();
    assert!(matches!(none, Unanswered::Nobody));
}

#[test]
fn only_the_owner_and_root_give_orders() {
    for (uid, owner, may) in [(7, 7, true), (0, 7, true), (7, 0, false), (8, 7, false)] {
        assert_eq!(server::may_order(uid, owner), may, "{uid} to {owner}");
    }
}
