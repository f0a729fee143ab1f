//! The program itself, as a process of its own, over UDP.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tollgate::net::clock;

use crate::places::{PLAN, Places, SIP_PORT, TARIFF};
use crate::world::{Heard, Memory, World};

/// Long enough for anything that is to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many probes differ. After that they are repeated: what Tollgate keeps of
/// each for its half minute must not be taken for a leak.
const PROBES: u32 = 512;

/// A running Tollgate, and all sockets that it may send to.
pub(crate) struct Wire {
    places: Places,
    child: Child,
    folder: PathBuf,
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    probe: UdpSocket,
    probes: u32,
    memory: Memory,
}

impl Wire {
    pub(crate) fn start() -> Self {
        let places = Places::new();
        Self::start_with(places, &places.tenant_file(), &[])
    }

    /// With this tenant, and these options of `tollgate run`.
    pub(crate) fn start_with(places: Places, tenant: &str, options: &[&str]) -> Self {
        let name = format!("torture-{}-{}", std::process::id(), places.host(0));
        let folder = std::env::temp_dir().join(name);
        for below in ["rules/tenants", "rules/plans", "rules/tariffs"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("tollgate.toml", &places.main_file());
        write("rules/tenants/acme.toml", tenant);
        write("rules/plans/jp.toml", PLAN);
        write("rules/tariffs/jp-carrier.csv", TARIFF);
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["run", "-c", "tollgate.toml"])
            .args(options)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let probe = UdpSocket::bind((places.host(3), 0)).unwrap();
        let mut wire = Self {
            places,
            child,
            folder,
            sockets: BTreeMap::new(),
            probe,
            probes: 0,
            memory: Memory::default(),
        };
        for address in [places.pbx(), places.carrier(), places.victim()] {
            wire.listen(address);
        }
        wire.wait_until_it_answers();
        wire
    }

    fn wait_until_it_answers(&mut self) {
        let start = clock::mono();
        while !self.probed(Duration::from_millis(100)) {
            let late = clock::mono().saturating_since(start) > PATIENCE;
            let ended = self.child.try_wait().unwrap();
            assert!(!late && ended.is_none(), "{ended:?}\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
        // Probes that were on the way when it began to listen.
        while self.probed(Duration::from_millis(1)) {
            if self.probes > 40 {
                break;
            }
        }
        sleep(Duration::from_millis(50));
    }

    /// What the program wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Sends an OPTIONS that must be answered 200. When it is, everything that
    /// was sent before has been handled: one shard reads one socket in order.
    pub(crate) fn probe(&mut self) {
        assert!(
            self.probed(PATIENCE),
            "a probe was not answered; {:?}\n{}",
            self.child.try_wait(),
            self.log()
        );
    }

    fn probed(&mut self, patience: Duration) -> bool {
        self.probes += 1;
        let id = format!("probe{}", self.probes % PROBES);
        let (here, from) = (self.places.here(), self.probe.local_addr().unwrap());
        let text = format!(
            "OPTIONS sip:{here} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:probe@{from}>;tag={id}\r\nTo: <sip:{here}>\r\n\
             Call-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        if self.probe.send_to(text.as_bytes(), here).is_err() {
            return false;
        }
        let mut buffer = [0; 2048];
        let start = clock::mono();
        loop {
            let left = patience.saturating_sub(clock::mono().saturating_since(start));
            if left.is_zero() {
                return false;
            }
            self.probe.set_read_timeout(Some(left)).unwrap();
            let Ok((length, from)) = self.probe.recv_from(&mut buffer) else {
                continue;
            };
            let answer = String::from_utf8_lossy(&buffer[..length]);
            if from == here && answer.contains(&format!("Call-ID: {id}\r\n")) {
                assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
                return true;
            }
        }
    }

    /// Sends without waiting for anything.
    pub(crate) fn send(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.listen(from);
        let here = self.places.here();
        let sent = self.sockets[&from].send_to(bytes, here);
        assert_eq!(sent.unwrap(), bytes.len());
    }

    /// Everything that has arrived, and is new.
    pub(crate) fn collect(&mut self, heard: &mut Vec<Heard>) {
        let mut buffer = vec![0; 65_536];
        for (at, socket) in &self.sockets {
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((length, _)) => {
                        let bytes = buffer[..length].to_vec();
                        if self.memory.note(&bytes) {
                            heard.push(Heard { at: *at, bytes });
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{at}: {error}"),
                }
            }
        }
    }

    /// The program's resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The verdicts of its ledger, as `tollgate ledger export` says them.
    pub(crate) fn verdicts(&self) -> Vec<serde_json::Value> {
        let exported = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["ledger", "export", "-c", "tollgate.toml"])
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(exported.status.success(), "{exported:?}");
        let lines = std::str::from_utf8(&exported.stdout).unwrap().lines();
        let records = lines.map(|line| serde_json::from_str(line).unwrap());
        records
            .filter(|record: &serde_json::Value| record["record"] == "verdict")
            .collect()
    }

    /// Stops it in order. Returns its whole log.
    pub(crate) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.unwrap().success());
        let code = self.child.wait().unwrap().code();
        assert_eq!(code, Some(0), "{}", self.log());
        self.log()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
        if !std::thread::panicking() {
            let _removed = fs::remove_dir_all(&self.folder);
        }
    }
}

impl World for Wire {
    fn places(&self) -> Places {
        self.places
    }

    /// Opens a socket there, unless one is open.
    fn listen(&mut self, at: SocketAddr) {
        self.sockets.entry(at).or_insert_with(|| {
            let socket =
                UdpSocket::bind(at).unwrap_or_else(|error| panic!("cannot bind {at}: {error}"));
            socket.set_nonblocking(true).unwrap();
            socket
        });
    }

    fn tell(&mut self, from: SocketAddr, bytes: &[u8], want: usize) -> Vec<Heard> {
        self.listen((from.ip(), SIP_PORT).into());
        self.send(from, bytes);
        self.probe();
        let mut heard = Vec::new();
        self.collect(&mut heard);
        let start = clock::mono();
        while heard.len() < want && clock::mono().saturating_since(start) < Duration::from_secs(1) {
            sleep(Duration::from_millis(1));
            self.collect(&mut heard);
        }
        heard
    }
}
