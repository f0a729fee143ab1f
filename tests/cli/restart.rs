//! `run` after it was killed: the calls go on.

use std::net::UdpSocket;
use std::time::Duration;

use crate::folder::Folder;
use crate::run::{Running, folder};

const CALLS: usize = 60;

/// One end of the calls, and where the program is.
struct Peer {
    socket: UdpSocket,
    tollgate: String,
}

impl Peer {
    fn new(host: &str, tollgate: &str) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        let patience = Duration::from_secs(20);
        socket.set_read_timeout(Some(patience)).unwrap();
        Self {
            socket,
            tollgate: tollgate.to_owned(),
        }
    }

    fn address(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }

    fn send(&self, text: &str) {
        let text = text.replace('\n', "\r\n");
        self.socket
            .send_to(text.as_bytes(), &self.tollgate)
            .unwrap();
    }

    /// The next message that begins so; others are repeated, or of no matter here.
    #[track_caller]
    fn takes(&self, begins: &str) -> String {
        let mut buffer = [0; 65_536];
        loop {
            let got = self.socket.recv(&mut buffer);
            let length = got.unwrap_or_else(|error| panic!("no {begins}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).replace("\r\n", "\n");
            if text.starts_with(begins) {
                return text;
            }
        }
    }

    /// The next message that begins so and is of this call.
    #[track_caller]
    fn takes_of(&self, begins: &str, call_id: &str) -> String {
        loop {
            let text = self.takes(begins);
            if header(&text, "Call-ID") == call_id {
                return text;
            }
        }
    }

    /// Answers a request of the program's.
    fn answers(&self, request: &str, status: &str) -> String {
        let copied: String = ["Via", "From", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\n", header(request, name)))
            .concat();
        let to = header(request, "To");
        let tag = if to.contains(";tag=") {
            ""
        } else {
            ";tag=callee"
        };
        let contact = self.address();
        let text = format!(
            "SIP/2.0 {status}\n{copied}To: {to}{tag}\nContact: <sip:{contact}>\nContent-Length: 0\n\n"
        );
        self.send(&text);
        text
    }

    fn requests(&self, method: &str, cseq: u32, nth: usize, to: &str) {
        let here = self.address();
        self.send(&format!(
            "{method} sip:0312345678@{} SIP/2.0\n\
             Via: SIP/2.0/UDP {here};branch=z9hG4bK{nth}{method}{cseq};rport\n\
             Max-Forwards: 70\nFrom: <sip:0335570001@{here}>;tag=caller{nth}\nTo: {to}\n\
             Call-ID: call{nth}@pbx\nCSeq: {cseq} {method}\nContact: <sip:{here}>\n\
             Content-Length: 0\n\n",
            self.tollgate
        ));
    }
}

fn header<'t>(text: &'t str, name: &str) -> &'t str {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// The program with its two peers.
struct Lab {
    files: Folder,
    pbx: Peer,
    carrier: Peer,
}

/// A call as both ends know it.
struct Call {
    nth: usize,
    /// The INVITE that reached the carrier.
    invite: String,
    /// The To of the phone system's dialog.
    to: String,
}

impl Lab {
    fn new() -> Self {
        let files = folder();
        let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
        let address = main
            .lines()
            .find_map(|line| line.strip_prefix("address = \"udp:"));
        let tollgate = address.unwrap().trim_end_matches('"').to_owned();
        let (pbx, carrier) = (
            Peer::new("127.0.0.9", &tollgate),
            Peer::new("127.0.0.2", &tollgate),
        );
        files.replace("tollgate.toml", "127.0.0.2:5070", &carrier.address());
        files.replace(
            "rules/tenants/kiku.toml",
            "calls_at_once  = 3",
            "calls_at_once = 1000",
        );
        files.replace(
            "rules/tenants/kiku.toml",
            "calls_per_hour = 60",
            "calls_per_hour = 10000",
        );
        files.write(
            "tollgate.toml",
            &format!(
                "{}\n[run]\nshards = 2\n",
                std::fs::read_to_string(files.path("tollgate.toml")).unwrap()
            ),
        );
        Self {
            files,
            pbx,
            carrier,
        }
    }

    fn start(&self) -> Running {
        let mut running = Running::start(&self.files, &[]);
        running.says("listening on UDP");
        running
    }

    fn invited(&self, nth: usize) -> Call {
        let to = format!("<sip:0312345678@{}>", self.pbx.tollgate);
        self.pbx.requests("INVITE", 1, nth, &to);
        let invite = self.carrier.takes("INVITE ");
        Call { nth, invite, to }
    }

    fn answered(&self, nth: usize) -> Call {
        let mut call = self.invited(nth);
        self.carrier.answers(&call.invite, "200 OK");
        call.to = header(&self.pbx.takes("SIP/2.0 200"), "To").to_owned();
        call
    }

    fn established(&self, nth: usize) -> Call {
        let call = self.answered(nth);
        self.pbx.requests("ACK", 1, nth, &call.to);
        self.carrier.takes("ACK ");
        call
    }

    /// The phone system hangs up, and the carrier hears of it.
    fn hangs_up(&self, call: &Call) {
        self.pbx.requests("BYE", 2, call.nth, &call.to);
        let call_id = header(&call.invite, "Call-ID");
        let bye = self.carrier.takes_of("BYE ", call_id);
        self.carrier.answers(&bye, "200 OK");
        self.pbx
            .takes_of("SIP/2.0 200", &format!("call{}@pbx", call.nth));
    }
}

#[test]
fn calls_go_on_after_a_kill() {
    let lab = Lab::new();
    let mut running = lab.start();
    let mut calls: Vec<Call> = (0..CALLS).map(|nth| lab.established(nth)).collect();
    for shards in [3, 1, 2] {
        running.kill();
        let main = std::fs::read_to_string(lab.files.path("tollgate.toml")).unwrap();
        let run = main.find("shards = ").unwrap();
        let main = format!("{}shards = {shards}\n", &main[..run]);
        lab.files.write("tollgate.toml", &main);
        running = lab.start();
        for call in calls.drain(..CALLS / 3) {
            lab.hangs_up(&call);
        }
    }
    running.stop();
}

#[test]
fn calls_that_were_not_up_yet_end_or_go_on_after_a_kill() {
    let lab = Lab::new();
    let running = lab.start();
    let (set_up, unacked) = (lab.invited(0), lab.answered(1));
    running.kill();
    let running = lab.start();
    // The one that rang is refused, once and for all, and taken back.
    let refusal = lab.pbx.takes_of("SIP/2.0 603", "call0@pbx");
    lab.pbx.requests("ACK", 1, 0, header(&refusal, "To"));
    let cancel = lab.carrier.takes("CANCEL ");
    assert_eq!(header(&cancel, "Via"), header(&set_up.invite, "Via"));
    lab.carrier.answers(&cancel, "200 OK");
    lab.carrier
        .answers(&set_up.invite, "487 Request Terminated");
    lab.carrier.takes("ACK ");
    // The one whose 200 was not acknowledged yet is, when it comes again.
    lab.carrier.answers(&unacked.invite, "200 OK");
    let accepted = lab.pbx.takes_of("SIP/2.0 200", "call1@pbx");
    assert_eq!(header(&accepted, "To"), unacked.to);
    lab.pbx.requests("ACK", 1, 1, &unacked.to);
    lab.carrier
        .takes_of("ACK ", header(&unacked.invite, "Call-ID"));
    lab.hangs_up(&unacked);
    running.stop();
}
