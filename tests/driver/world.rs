//! A Tollgate on a thread of its own, and its two peers.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tollgate::ledger::{Journal, Ledger, Reader};
use tollgate::net::{self, Outcome, RunError, Setup, Sockets, clock};
use tollgate::policy::{Blocks, Counters, Options, RuleSet, Source, Sources, compile};

use super::PATIENCE;
use super::peer::Peer;
use super::text::{header, response, within};

pub(crate) const TENANT: &str = r#"
name = "acme"
plan = "jp"
time_zone = "Asia/Tokyo"
carriers = ["upstream"]
[identify]
sources = ["127.0.0.13/32"]
[callers]
own = ["+81335570000..+81335570099"]
otherwise = "replace"
default = "+81335570000"
[destinations]
allow = ["jp.fixed", "+44 20"]
[caps]
calls_per_day = 100000
"#;

const SHARDS: u16 = 2;

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listen {
    /// At one address.
    Here,
    /// At every address of the machine, and is known by that one.
    Everywhere,
}

/// How the disk under the journals behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Good,
    Full,
    /// It takes what is written, and does not say when it has it.
    Stuck,
    /// Writing to it uncovers a defect of the program.
    Breaks,
}

/// A journal on such a disk.
struct Pages {
    journal: Journal,
    disk: Arc<Mutex<Disk>>,
}

impl Pages {
    fn disk(&self) -> std::io::Result<()> {
        let disk = *self.disk.lock().unwrap();
        match disk {
            Disk::Good | Disk::Stuck => Ok(()),
            Disk::Full => Err(std::io::ErrorKind::StorageFull.into()),
            Disk::Breaks => panic!("planted"),
        }
    }
}

impl net::Journal for Pages {
    fn append(&mut self, frames: &[u8]) -> std::io::Result<()> {
        self.disk()?;
        self.journal.append(frames)
    }

    fn wants_room(&self) -> bool {
        self.journal.wants_room()
    }

    fn prepare(&mut self) -> std::io::Result<()> {
        self.disk()?;
        self.journal.prepare()
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.journal.sync()
    }

    fn syncer(&self) -> Option<Box<dyn net::Syncer>> {
        let (journal, disk) = (self.journal.syncing(), Arc::clone(&self.disk));
        let pages = Syncing { journal, disk };
        Some(Box::new(pages))
    }

    fn is_durable(&self) -> bool {
        self.journal.is_durable()
    }
}

/// Waits for such a disk.
struct Syncing {
    journal: tollgate::ledger::Syncing,
    disk: Arc<Mutex<Disk>>,
}

impl net::Syncer for Syncing {
    fn sync(&mut self) -> std::io::Result<()> {
        while *self.disk.lock().unwrap() == Disk::Stuck {
            sleep(Duration::from_millis(5));
        }
        self.journal.sync()
    }
}

pub(crate) struct World {
    pub(crate) pbx: Peer,
    pub(crate) carrier: Peer,
    address: SocketAddr,
    tenant: Arc<Mutex<String>>,
    disk: Arc<Mutex<Disk>>,
    reloads: Arc<Mutex<u32>>,
    directory: PathBuf,
    counters: Arc<Counters>,
    thread: JoinHandle<Result<Outcome, RunError>>,
}

impl World {
    /// A Tollgate that never ran before.
    pub(crate) fn start() -> Self {
        let address = UdpSocket::bind("127.0.0.11:0")
            .and_then(|socket| socket.local_addr())
            .unwrap();
        let pbx = Peer::new("127.0.0.13", address);
        let carrier = Peer::new("127.0.0.12", address);
        let directory = std::env::temp_dir().join(format!("driver-{}", std::process::id()));
        Self::run(pbx, carrier, address, Listen::Here, directory)
    }

    fn run(
        pbx: Peer,
        carrier: Peer,
        address: SocketAddr,
        listen: Listen,
        directory: PathBuf,
    ) -> Self {
        let (port, host) = (address.port(), address.ip());
        let listener = match listen {
            Listen::Here => format!("address = \"udp:{address}\""),
            Listen::Everywhere => {
                format!("address = \"udp:0.0.0.0:{port}\"\nadvertise = \"{host}\"")
            }
        };
        let main = format!(
            "[[listen]]\n{listener}\n[[carrier]]\nname = \"upstream\"\n\
             address = \"udp:{}\"\nsources = [\"127.0.0.12/32\"]\nnumber_format = \"e164\"\n",
            carrier.address()
        );
        let counters = Arc::new(Counters::new());
        let tenant = Arc::new(Mutex::new(TENANT.to_owned()));
        let reloads = Arc::new(Mutex::new(0));
        let disk = Arc::new(Mutex::new(Disk::Good));
        let compile = {
            let (tenant, counters) = (Arc::clone(&tenant), Arc::clone(&counters));
            move || rules(&main, &tenant.lock().unwrap(), &counters)
        };
        let ledger = open_ledger(&directory);
        // The last of the lives waits for its disk.
        let ledger = ledger.durable(matches!(listen, Listen::Everywhere));
        let rules = compile().unwrap();
        let setup = Setup {
            sockets: Sockets::open(&rules).unwrap(),
            rules: Arc::new(rules),
            tls: Arc::default(),
            blocks: Blocks::default(),
            counters: Arc::clone(&counters),
            journals: journals(&ledger, &disk),
            restored: Vec::new(),
            bucket_key: ledger.key().unwrap(),
            directory: directory.clone(),
            stop_after: match listen {
                Listen::Here => Duration::from_secs(2),
                // Only a second signal ends it before.
                Listen::Everywhere => Duration::from_secs(86_400),
            },
            beside: None,
            reload: {
                let reloads = Arc::clone(&reloads);
                Box::new(move || {
                    let rules = compile().map(Into::into);
                    *reloads.lock().unwrap() += 1;
                    rules
                })
            },
        };
        let thread = std::thread::spawn(|| net::run(setup));
        let world = Self {
            pbx,
            carrier,
            address,
            tenant,
            disk,
            reloads,
            directory,
            counters,
            thread,
        };
        world.answers_its_peers();
        world
    }

    /// Waits for its end, and has another one take over, with the same peers.
    pub(crate) fn restart(self, listen: Listen) -> (Result<Outcome, RunError>, Self) {
        let result = self.thread.join().unwrap();
        let world = Self::run(self.pbx, self.carrier, self.address, listen, self.directory);
        (result, world)
    }

    pub(crate) fn set_disk(&self, disk: Disk) {
        *self.disk.lock().unwrap() = disk;
    }

    pub(crate) fn peer(&self, host: &str) -> Peer {
        Peer::new(host, self.address)
    }

    /// Has the phone system call another address of the machine from now on: it
    /// only hears what comes from there.
    pub(crate) fn pbx_calls(&mut self, host: &str) {
        let address = SocketAddr::new(host.parse().unwrap(), self.address.port());
        self.pbx = Peer::new("127.0.0.13", address);
    }

    pub(crate) fn set_tenant(&self, text: &str) {
        text.clone_into(&mut self.tenant.lock().unwrap());
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = std::process::id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Has the rules read again, and waits until they were.
    pub(crate) fn reload(&self) {
        let before = *self.reloads.lock().unwrap();
        self.signal("HUP");
        let start = clock::mono();
        while *self.reloads.lock().unwrap() == before {
            assert!(clock::mono() < start + PATIENCE, "SIGHUP was not heard");
            sleep(Duration::from_millis(5));
        }
        // They are still to be handed to the shards.
        sleep(Duration::from_millis(200));
    }

    /// Waits until it runs, and has an OPTIONS answered on either side.
    fn answers_its_peers(&self) {
        let start = clock::mono();
        loop {
            self.pbx.try_send(&self.options("hello"));
            if let Some(answer) = self.pbx.receive(Duration::from_millis(200)) {
                assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
                break;
            }
            assert!(clock::mono() < start + PATIENCE, "nothing is answered");
        }
        // Before it listened, the kernel may have answered for it.
        while self.pbx.receive(Duration::from_millis(100)).is_some() {}
        self.carrier.send(&self.options("are-you-there"));
        self.carrier.expect("SIP/2.0 200 ", PATIENCE);
    }

    pub(crate) fn options(&self, id: &str) -> String {
        self.request("OPTIONS", "sip:127.0.0.11", id, "")
    }

    pub(crate) fn invite(&self, number: &str, id: &str) -> String {
        let uri = format!("sip:{number}@127.0.0.11;user=phone");
        let contact = format!("Contact: <sip:desk@{}>\r\n", self.pbx.address());
        self.request("INVITE", &uri, id, &contact)
    }

    fn request(&self, method: &str, uri: &str, id: &str, more: &str) -> String {
        let via = self.pbx.address();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+81335570001@127.0.0.13>;tag={id}\r\nTo: <{uri}>\r\n\
             Call-ID: {id}@pbx\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
        )
    }

    pub(crate) fn ack_refusal(&self, number: &str, id: &str, refusal: &str) {
        let to = header(refusal, "To");
        let ack = self.request(
            "ACK",
            &format!("sip:{number}@127.0.0.11;user=phone"),
            id,
            "",
        );
        let lines = ack.lines().map(|line| match line.split_once(':') {
            Some(("To", _)) => format!("To: {to}\r\n"),
            _ => format!("{line}\r\n"),
        });
        self.pbx.send(&lines.collect::<String>());
    }

    /// A call that is not let through. Returns the refusal.
    pub(crate) fn refused(&self, number: &str, id: &str) -> String {
        self.pbx.send(&self.invite(number, id));
        let refusal = self.pbx.expect("SIP/2.0 603 ", PATIENCE);
        self.ack_refusal(number, id, &refusal);
        refusal
    }

    /// A call that is answered. Returns the 200 that the caller got.
    pub(crate) fn answered_call(&self, number: &str, id: &str) -> String {
        self.pbx.send(&self.invite(number, id));
        let invite = self.carrier.expect("INVITE ", PATIENCE);
        assert_ne!(header(&invite, "Call-ID"), format!("{id}@pbx"));
        self.carrier.send(&response(&invite, "180 Ringing", &[]));
        let contact = format!("Contact: <sip:{}>", self.carrier.address());
        let ok = response(&invite, "200 OK", &[&contact]);
        self.carrier.send(&ok);
        let answer = self.pbx.expect("SIP/2.0 200 ", PATIENCE);
        assert_eq!(header(&answer, "Call-ID"), format!("{id}@pbx"));
        self.pbx.send(&within(&answer, "ACK", 1, &self.pbx.via()));
        self.carrier.expect("ACK ", PATIENCE);
        answer
    }

    /// Hangs up, as the caller.
    pub(crate) fn hang_up(&self, answer: &str) {
        self.pbx.send(&within(answer, "BYE", 2, &self.pbx.via()));
        self.pbx.expect("SIP/2.0 200 ", PATIENCE);
        let bye = self.carrier.expect("BYE ", PATIENCE);
        self.carrier.send(&response(&bye, "200 OK", &[]));
    }

    /// A call from its beginning to its end.
    pub(crate) fn whole_call(&self, id: &str) {
        let answer = self.answered_call("+442071838750", id);
        self.hang_up(&answer);
    }

    /// Waits for the end, and looks at what is left.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap().unwrap();
        assert_eq!(self.counters.live(), 0);
        let records = records(&self.directory);
        assert!(
            records.iter().all(|&count| count > 10),
            "both shards had calls: {records:?}"
        );
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// The ledger, once nobody else writes it: a broken Tollgate's other threads
/// have a last turn to go.
fn open_ledger(directory: &Path) -> Ledger {
    let start = clock::mono();
    loop {
        match Ledger::open(directory) {
            Ok(ledger) => return ledger.with_segment_size(1 << 16),
            Err(fault) => assert!(clock::mono() < start + PATIENCE, "{fault}"),
        }
        sleep(Duration::from_millis(5));
    }
}

fn journals(ledger: &Ledger, disk: &Arc<Mutex<Disk>>) -> Vec<Box<dyn net::Journal>> {
    let journals = (0..SHARDS).map(|shard| {
        let journal = Journal::open(ledger, shard, clock::now().wall).unwrap();
        let disk = Arc::clone(disk);
        Box::new(Pages { journal, disk }) as Box<dyn net::Journal>
    });
    journals.collect()
}

/// How many records each shard's journal holds.
fn records(directory: &Path) -> [usize; SHARDS as usize] {
    let mut records = [0; SHARDS as usize];
    let mut reader = Reader::open(directory).unwrap();
    while let Some(entry) = reader.next().unwrap() {
        assert!(entry.content.is_ok());
        records[usize::from(entry.shard)] += 1;
    }
    records
}

fn rules(main: &str, tenant: &str, counters: &Counters) -> Result<RuleSet, String> {
    let source = |name: &str, text: &str| Source {
        name: name.into(),
        text: text.into(),
    };
    let plan = include_str!("../../policies/plans/jp.toml");
    let sources = Sources {
        main: source("tollgate.toml", main),
        tenants: vec![source("tenants/acme.toml", tenant)],
        plans: vec![source("plans/jp.toml", plan)],
        numbering: None,
        tariffs: Vec::new(),
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).map_err(|faults| format!("{faults:?}"))
}
