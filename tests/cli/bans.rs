//! Strangers who are banned: by Tollgate, and by the kernel.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use crate::folder::Folder;
use crate::run::{Running, folder};

const BANS: &str = "\n[bans]\nmessages = 20\nwithin = \"30s\"\nfor = \"10m\"\n";

/// A Tollgate's folder, with bans.
fn banning(more: &str) -> Folder {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    files.write("tollgate.toml", &format!("{main}{BANS}{more}"));
    files
}

/// A stranger at this address.
fn stranger(files: &Folder, address: &str) -> UdpSocket {
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let (_, rest) = main.split_once("\"udp:").unwrap();
    let (there, _) = rest.split_once('"').unwrap();
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.connect(there).unwrap();
    socket
}

fn send(socket: &UdpSocket, count: usize) {
    for _ in 0..count {
        socket
            .send(b"OPTIONS sip:100@1.1.1.1 SIP/2.0\r\n\r\n")
            .unwrap();
    }
}

fn asked(files: &Folder, command: &str, more: &[&str]) -> Value {
    let words = [&[command, "-c", "tollgate.toml", "--json"], more].concat();
    let said = files.tollgate(&words);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// What was counted under this name.
fn count(files: &Folder, name: &str) -> u64 {
    let status = asked(files, "status", &[]);
    let mut counts = status["counts"].as_array().unwrap().iter();
    let found = counts.find(|it| it["name"] == name);
    found.map_or(0, |it| it["value"].as_u64().unwrap())
}

/// Waits until a collector of syslog is told this.
#[track_caller]
fn told(owner: &UdpSocket, what: &str) {
    owner
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut bytes = [0; 65_535];
    loop {
        let length = owner.recv(&mut bytes).unwrap();
        if String::from_utf8_lossy(&bytes[..length]).contains(what) {
            return;
        }
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}");
}

#[test]
fn a_stranger_is_banned_shown_and_let_go() {
    // Nobody finds nft there, which changes nothing but that the kernel is not told.
    let owner = UdpSocket::bind("127.0.0.1:0").unwrap();
    let syslog = format!("address = \"udp:{}\"", owner.local_addr().unwrap());
    let files = banning(&format!(
        "nftables = \"tollgate\"\n[[alerts.syslog]]\n{syslog}\n"
    ));
    let mut running = Running::start_with(&files, &[], &[("PATH", "/nowhere")]);
    running.says("not by the kernel: there is no program nft: install nftables");
    let said = files.tollgate(&["bans", "-c", "tollgate.toml"]);
    assert_eq!(said.out, "nobody is banned\n");
    let stranger = stranger(&files, "127.0.0.77");
    send(&stranger, 20);
    told(
        &owner,
        "a stranger who sent too much is banned: 127.0.0.77 for 600 s",
    );
    running.says("banned: no `sources` name who sends this");
    send(&stranger, 30);
    until("it is dropped", || count(&files, "banned") == 30);
    assert_eq!(count(&files, "strangers"), 20);
    let said = files.tollgate(&["bans", "-c", "tollgate.toml"]);
    assert!(said.out.starts_with("127.0.0.77 until "), "{said:?}");
    assert!(
        said.out.ends_with("; 30 messages dropped since\n"),
        "{said:?}"
    );
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    assert!(
        said.out
            .contains("banned     1 stranger: see tollgate bans"),
        "{said:?}"
    );

    let lift = |address| {
        let why = ["--lift", address, "--why", "our new phone system"];
        files.tollgate(&[&["bans", "-c", "tollgate.toml"], &why[..]].concat())
    };
    lift("127.0.0.78").is_one_line("127.0.0.78 is not banned: see tollgate bans");
    let said = lift("127.0.0.77");
    assert_eq!(
        said.out, "no longer banned: 127.0.0.77\nnobody is banned\n",
        "{said:?}"
    );
    send(&stranger, 5);
    until("it is heard", || count(&files, "strangers") == 25);
    running.stop();
    let said = files.tollgate(&["ledger", "export", "-c", "tollgate.toml"]);
    let records = said.out.lines();
    let records: Vec<Value> = records
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let note = records.iter().find(|it| it["what"] == "banned").unwrap();
    assert_eq!(note["detail"], "127.0.0.77 for 600 s");
    let order = records.iter().find(|it| it["order"] == "lift-ban").unwrap();
    assert_eq!(order["detail"], "127.0.0.77");
    assert_eq!(order["why"], "our new phone system");
}

#[test]
fn who_is_banned_is_so_after_a_restart_and_who_was_let_go_is_not() {
    let files = banning("");
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    for address in ["127.0.0.77", "127.0.0.78"] {
        send(&stranger(&files, address), 20);
    }
    let listed = || files.tollgate(&["bans", "-c", "tollgate.toml"]).out;
    until("both are banned", || listed().lines().count() == 2);
    let kept = |count| {
        let text = std::fs::read_to_string(files.path("ledger/bans.json"));
        text.is_ok_and(|it| it.matches("address").count() == count)
    };
    until("that is kept", || kept(2));
    files.tollgate(&["bans", "-c", "tollgate.toml", "--lift", "127.0.0.77"]);
    // At once, and not when it is next looked.
    assert!(kept(1));
    running.kill();
    let running = Running::start(&files, &[]);
    until("it is known", || listed().starts_with("127.0.0.78 until "));
    assert_eq!(listed().lines().count(), 1);
    running.stop();
}

fn run(command: &[&str]) -> Option<String> {
    let done = Command::new(command[0]).args(&command[1..]).output().ok()?;
    let good = done.status.success();
    good.then(|| String::from_utf8(done.stdout).unwrap())
}

/// In a network of its own, so that nothing of this machine's is touched.
#[test]
fn the_kernel_drops_whom_tollgate_bans() {
    let apart = std::thread::spawn(|| {
        let alone = unshare(CloneFlags::CLONE_NEWNET).is_ok();
        let able = alone && run(&["ip", "link", "set", "lo", "up"]).is_some();
        if !able || run(&["nft", "list", "ruleset"]).is_none() {
            eprintln!("not tried: it takes root, ip and nft");
            return;
        }
        mirrored();
    });
    apart.join().unwrap();
}

fn mirrored() {
    let files = banning("nftables = \"tollgate\"\n");
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let set = || run(&["nft", "list", "set", "inet", "tollgate", "banned4"]).unwrap_or_default();
    let holds = |address: &str| set().contains(&format!("{address} timeout 10m"));
    until("the table is there", || set().contains("timeout"));
    let (one, other) = (
        stranger(&files, "127.0.0.77"),
        stranger(&files, "127.0.0.78"),
    );
    send(&one, 20);
    send(&other, 20);
    until("the kernel knows of both", || {
        holds("127.0.0.77") && holds("127.0.0.78")
    });
    let before = count(&files, "received");
    send(&one, 50);
    let third = stranger(&files, "127.0.0.79");
    send(&third, 1);
    until("the third is heard", || {
        count(&files, "received") == before + 1
    });
    let said = files.tollgate(&["bans", "-c", "tollgate.toml", "--lift", "127.0.0.77"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    until("one is let go", || !holds("127.0.0.77"));
    assert!(holds("127.0.0.78"));
    let before = count(&files, "received");
    send(&one, 1);
    until("it is heard", || count(&files, "received") == before + 1);
    // Whoever becomes a peer is heard as soon as the rules say so.
    files.replace(
        "tollgate.toml",
        "127.0.0.2/32\"]",
        "127.0.0.2/32\", \"127.0.0.78/32\"]",
    );
    let said = files.tollgate(&["reload", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    until("the peer is let go", || !holds("127.0.0.78"));
    running.stop();
    assert_eq!(set(), "", "nothing is left in the kernel");
}
