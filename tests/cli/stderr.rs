//! Standard error that cannot be written, or that nobody reads: calls go on.

use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};

use crate::folder::Folder;
use crate::run::folder;

const LONG: Duration = Duration::from_secs(30);

/// The program, its log behind a pipe, and its two peers.
struct Muted {
    child: Child,
    log: Option<BufReader<PipeReader>>,
    files: Folder,
    pbx: UdpSocket,
    carrier: UdpSocket,
    tollgate: SocketAddr,
    invites: u32,
}

impl Muted {
    /// Until it listens, its log is read. Then only as much as fits into the pipe
    /// is written.
    fn start() -> Self {
        let files = folder();
        let carrier = UdpSocket::bind("127.0.0.2:0").unwrap();
        let pbx = UdpSocket::bind("127.0.0.9:0").unwrap();
        let port = carrier.local_addr().unwrap().port();
        files.replace(
            "tollgate.toml",
            "127.0.0.2:5070",
            &format!("127.0.0.2:{port}"),
        );
        let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
        let after = main.split("udp:127.0.0.1:").nth(1).unwrap();
        let port = after.split('"').next().unwrap();
        let tollgate = format!("127.0.0.1:{port}").parse().unwrap();
        let (log, stderr) = pipe().unwrap();
        fcntl(&log, FcntlArg::F_SETPIPE_SZ(4_096)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["run", "-c", "tollgate.toml"])
            .current_dir(files.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(log);
        let mut line = String::new();
        while !line.contains("listening on UDP") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        }
        for socket in [&pbx, &carrier] {
            socket.set_read_timeout(Some(LONG)).unwrap();
        }
        Self {
            child,
            log: Some(log),
            files,
            pbx,
            carrier,
            tollgate,
            invites: 0,
        }
    }

    /// Calls an emergency number, which is worth a line of the log each time, and
    /// waits until the carrier has it; the carrier is busy.
    fn call_for_help(&mut self) {
        self.invites += 1;
        let (at, me) = (self.tollgate, self.pbx.local_addr().unwrap());
        let nth = self.invites;
        let invite = format!(
            "INVITE sip:110@{at} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {me};branch=z9hG4bK{nth}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+81335570000@{me}>;tag={nth}\r\n\
             To: <sip:110@{at}>\r\n\
             Call-ID: help-{nth}@{me}\r\n\
             CSeq: 1 INVITE\r\n\
             Contact: <sip:{me}>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.pbx.send_to(invite.as_bytes(), at).unwrap();
        let mut buffer = [0; 65_536];
        let reached = loop {
            let (length, from) = self.carrier.recv_from(&mut buffer).unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            assert_eq!(from, at);
            if text.starts_with("INVITE sip:110@") {
                break text;
            }
        };
        let kept = ["via:", "from:", "to:", "call-id:", "cseq:"];
        let mut busy = "SIP/2.0 486 Busy Here\r\n".to_owned();
        for line in reached.split("\r\n") {
            let lower = line.to_ascii_lowercase();
            if kept.iter().any(|name| lower.starts_with(name)) {
                busy += line;
                busy += if lower.starts_with("to:") {
                    ";tag=c\r\n"
                } else {
                    "\r\n"
                };
            }
        }
        busy += "Content-Length: 0\r\n\r\n";
        self.carrier.send_to(busy.as_bytes(), at).unwrap();
    }

    #[track_caller]
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(!self.files.path("ledger/quarantine").exists());
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_no_call() {
    let mut muted = Muted::start();
    for _ in 0..100 {
        muted.call_for_help();
    }
    muted.stop();
}

#[test]
fn a_log_whose_reader_has_gone_stops_no_call() {
    let mut muted = Muted::start();
    muted.log = None;
    for _ in 0..3 {
        muted.call_for_help();
    }
    muted.stop();
}

#[test]
fn a_full_disk_under_standard_error_changes_no_exit_code() {
    let files = Folder::new();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let status = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["check", "-c", "none.toml"])
        .current_dir(files.path("."))
        .stderr(full.unwrap())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}
