//! A Tollgate with a TCP or TLS listener and a UDP listener on a thread of its own, and its peers.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tollgate::ledger::{Journal, Ledger};
use tollgate::net::{self, Beside, Loaded, Outcome, RunError, Setup, Sockets, Then, Tls, clock};
use tollgate::policy::{Blocks, Counters, Options, RuleSet, Source, Sources, compile};

use super::certificates::{Authority, Papers, Until};
use super::peer::{Callee, Peer, Way};
use super::text::{header, response, within};

/// Of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

impl Version {
    /// The addresses of Tollgate, the phone system and the carrier. IPv6 has one
    /// loopback address, so there the peers differ by what the rules say alone.
    fn hosts(self) -> [&'static str; 3] {
        match self {
            Self::V4 => ["127.0.0.21", "127.0.0.23", "127.0.0.22"],
            Self::V6 => ["::1", "::1", "127.0.0.22"],
        }
    }
}

/// Whom the phone system's certificate is for.
pub(crate) const PBX: &str = "pbx.acme.invalid";

/// What streams go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Tls,
    /// TLS at which both sides show a certificate, and the phone system is known by it.
    Mutual,
}

impl Over {
    pub(crate) const BOTH: [Self; 2] = [Self::Tcp, Self::Tls];

    fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls | Self::Mutual => "tls",
        }
    }
}

pub(crate) struct World {
    pub(crate) pbx: Peer,
    pub(crate) carrier: Callee,
    pub(crate) authority: Rc<Authority>,
    version: Version,
    over: Over,
    /// The last that the carrier got.
    ack: String,
    tcp: SocketAddr,
    udp: SocketAddr,
    directory: PathBuf,
    counters: Arc<Counters>,
    /// What Tollgate shows and whom it knows, from the next reload on.
    own: Arc<Mutex<(Papers, &'static str)>>,
    reloads: Reloads,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<Outcome, RunError>>,
}

/// Connects to `to` from an address of this machine.
fn connect(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn any_port(host: &str) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), 0)
}

impl World {
    pub(crate) fn start(version: Version, over: Over) -> Self {
        Self::start_with(version, over, over.scheme(), "")
    }

    /// One whose carrier takes datagrams, and what is too long for them over TCP.
    pub(crate) fn with_datagrams_first() -> Self {
        Self::start_with(Version::V4, Over::Tcp, "udp", "large_over_tcp = true\n")
    }

    fn start_with(version: Version, over: Over, scheme: &str, more_of_carrier: &str) -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let [here, pbx, carrier] = version.hosts();
        let tcp = TcpListener::bind((here, 0))
            .and_then(|it| it.local_addr())
            .unwrap();
        let udp = UdpSocket::bind((here, 0))
            .and_then(|it| it.local_addr())
            .unwrap();
        let towards = match version {
            Version::V4 => tcp,
            // The carrier is IPv4 all the same: a call from one version to the other.
            Version::V6 => TcpListener::bind("127.0.0.21:0")
                .and_then(|it| it.local_addr())
                .unwrap(),
        };
        let papers_for_carrier = match over {
            Over::Mutual => "certificate = \"own.pem\"\nkey = \"own.key\"\n",
            _ => "",
        };
        let more_of_carrier = format!("{more_of_carrier}{papers_for_carrier}");
        let carrier = Callee::new(carrier);
        let authority = Rc::new(Authority::new());
        let papers = [
            authority.issue(&["127.0.0.21", "::1"], Until::Later),
            authority.issue(&["sip.carrier.invalid"], Until::Later),
        ];
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("streams-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let ledger = Ledger::open(&directory).unwrap().with_segment_size(1 << 16);
        let counters = Arc::new(Counters::new());
        let more = match version {
            Version::V4 => String::new(),
            Version::V6 => listener(over, towards),
        };
        let first = listener(over, tcp);
        let tls_name = match scheme {
            "tls" => "tls_name = \"sip.carrier.invalid\"\nca = \"ca.pem\"\n",
            _ => "",
        };
        let main = format!(
            "{first}[[listen]]\naddress = \"udp:{udp}\"\n{more}\
             [[carrier]]\nname = \"upstream\"\naddress = \"{scheme}:{}\"\n{more_of_carrier}{tls_name}\
             sources = [\"127.0.0.22/32\"]\nnumber_format = \"e164\"\n",
            carrier.address()
        );
        let [own, theirs] = papers;
        let loaded = {
            let (main, counters, trusted) = (main, Arc::clone(&counters), authority.pem());
            move |(own, name): &(Papers, &str)| {
                let rules = rules(&main, pbx, over, name, &counters);
                let tls = tls(&rules, own, &trusted);
                Loaded {
                    rules,
                    tls,
                    then: Then::default(),
                }
            }
        };
        let own = (own, PBX);
        let Loaded { rules, tls, .. } = loaded(&own);
        let own = Arc::new(Mutex::new(own));
        let (reloads, beside) = reloading();
        let setup = Setup {
            sockets: Sockets::open(&rules).unwrap(),
            rules: Arc::new(rules),
            tls: Arc::new(tls),
            blocks: Blocks::default(),
            counters: Arc::clone(&counters),
            journals: (0..2).map(|shard| journal(&ledger, shard)).collect(),
            restored: Vec::new(),
            bucket_key: ledger.key().unwrap(),
            directory: directory.clone(),
            stop_after: Duration::from_secs(5),
            beside: Some(beside),
            reload: {
                let own = Arc::clone(&own);
                Box::new(move || Ok(loaded(&own.lock().unwrap())))
            },
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(|| {
            let stopped = async {
                let _told = stopped.await;
            };
            net::run_until(setup, stopped)
        });
        let mut world = Self {
            pbx: Peer::stream(connect(any_port(pbx), tcp)),
            carrier,
            authority,
            version,
            over,
            ack: String::new(),
            tcp,
            udp,
            directory,
            counters,
            own,
            reloads,
            stop,
            thread,
        };
        if over != Over::Tcp {
            world.pbx = world.connect_pbx();
            let authority = Rc::clone(&world.authority);
            world
                .carrier
                .over_tls(move || authority.server(&theirs, over == Over::Mutual));
        }
        world
    }

    pub(crate) fn connect_from(&self, host: &str) -> Peer {
        match self.over {
            Over::Tcp => self.connect_plain(host),
            Over::Tls => self.connect_showing(host, None),
            Over::Mutual => {
                let papers = self.authority.issue(&[PBX], Until::Later);
                self.connect_showing(host, Some(&papers))
            }
        }
    }

    /// A TLS connection from whoever has these papers.
    pub(crate) fn connect_showing(&self, host: &str, papers: Option<&Papers>) -> Peer {
        self.connect_trusting(&self.authority, host, papers)
    }

    /// The same of someone who trusts this authority.
    pub(crate) fn connect_trusting(
        &self,
        authority: &Authority,
        host: &str,
        papers: Option<&Papers>,
    ) -> Peer {
        let tls = authority.client(&self.tcp.ip().to_string(), papers);
        Peer::tls_client(connect(any_port(host), self.tcp), tls)
    }

    /// A TLS connection whose every byte is a segment of its own.
    pub(crate) fn connect_dribbling(&self) -> Peer {
        let tls = self.authority.client(&self.tcp.ip().to_string(), None);
        Peer::tls_dribbling(connect(any_port(self.version.hosts()[1]), self.tcp), tls)
    }

    /// A connection without TLS, whatever is spoken.
    pub(crate) fn connect_plain(&self, host: &str) -> Peer {
        Peer::stream(connect(any_port(host), self.tcp))
    }

    pub(crate) fn connect_pbx(&self) -> Peer {
        self.connect_from(self.version.hosts()[1])
    }

    pub(crate) fn pbx_over_udp(&mut self) {
        let socket = UdpSocket::bind((self.version.hosts()[1], 0)).unwrap();
        socket.connect(self.udp).unwrap();
        self.pbx = Peer::new(Way::Datagrams(socket));
    }

    /// The phone system takes connections at the address that its Via names.
    pub(crate) fn listen_as_pbx(&mut self) -> Callee {
        let mut callee = Callee::new(self.version.hosts()[1]);
        if self.over == Over::Tls {
            let papers = self.authority.issue(&["pbx.invalid"], Until::Later);
            let authority = Rc::clone(&self.authority);
            callee.over_tls(move || authority.server(&papers, false));
        }
        self.pbx.sent_by(callee.address());
        callee
    }

    pub(crate) fn options(&self, id: &str) -> String {
        self.request("OPTIONS", "sip:tollgate.invalid", id, "")
    }

    pub(crate) fn invite(&self, number: &str, id: &str) -> String {
        let uri = format!("sip:{number}@tollgate.invalid;user=phone");
        let contact = format!("Contact: <sip:desk@{}>\r\n", self.pbx.address());
        self.request("INVITE", &uri, id, &contact)
    }

    /// The same with a body of this length.
    pub(crate) fn long_invite(&self, number: &str, id: &str, length: usize) -> String {
        let body = "a=x\r\n".repeat(length / 5);
        let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let invite = self.invite(number, id);
        let invite = invite.replace("Content-Length: 0\r\n\r\n", &length);
        invite.replace("Contact:", "Content-Type: application/sdp\r\nContact:")
    }

    fn request(&self, method: &str, uri: &str, id: &str, more: &str) -> String {
        let via = self.pbx.via();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via};rport;branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+81335570001@pbx.invalid>;tag={id}\r\nTo: <{uri}>\r\n\
             Call-ID: {id}@pbx\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
        )
    }

    pub(crate) fn ack_refusal(&self, refusal: &str, number: &str, id: &str) -> String {
        let uri = format!("sip:{number}@tollgate.invalid;user=phone");
        let to = header(refusal, "To");
        let plain = format!("To: <{uri}>");
        self.request("ACK", &uri, id, "")
            .replace(&plain, &format!("To: {to}"))
    }

    /// A call that is answered. Returns the 200 that the caller got.
    pub(crate) fn answered_call(&mut self, number: &str, id: &str) -> String {
        let invite = self.invite(number, id);
        self.pbx.send(&invite);
        let invite = self.carrier.expect("INVITE ");
        assert!(
            header(&invite, "Via")
                .starts_with(&format!("SIP/2.0/{} ", self.over.scheme()).to_uppercase()),
            "{invite}"
        );
        let transport = format!(";transport={}", self.over.scheme());
        assert!(header(&invite, "Contact").contains(&transport), "{invite}");
        self.carrier.send(&response(&invite, "180 Ringing", &[]));
        let contact = format!("Contact: <sip:{}{transport}>", self.carrier.address());
        self.carrier.send(&response(&invite, "200 OK", &[&contact]));
        let answer = self.pbx.expect("SIP/2.0 200 ");
        assert_eq!(header(&answer, "Call-ID"), format!("{id}@pbx"));
        let ack = within(&answer, "ACK", 1, &self.pbx.via());
        self.pbx.send(&ack);
        self.ack = self.carrier.expect("ACK ");
        answer
    }

    /// Has Tollgate show these papers from now on.
    pub(crate) fn show(&self, papers: Papers) {
        self.own.lock().unwrap().0 = papers;
        self.reload();
    }

    /// Has the phone system known by this name from now on.
    pub(crate) fn know_as(&self, name: &'static str) {
        self.own.lock().unwrap().1 = name;
        self.reload();
    }

    fn reload(&self) {
        let (to, reloaded) = channel();
        self.reloads.send(to).unwrap();
        reloaded.recv().unwrap().unwrap();
    }

    /// The carrier ends the last call that was answered.
    pub(crate) fn hang_up_as_carrier(&mut self) {
        let [from, to, call_id] = ["To", "From", "Call-ID"].map(|it| header(&self.ack, it));
        let (tcp, at) = (self.tcp, self.carrier.address());
        let scheme = self.over.scheme();
        let via = scheme.to_uppercase();
        self.carrier.send(&format!(
            "BYE sip:{tcp};transport={scheme} SIP/2.0\r\nVia: SIP/2.0/{via} {at};branch=z9hG4bKbye\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 9 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        self.carrier.expect("SIP/2.0 200 ");
    }

    /// A call from its beginning to its end.
    pub(crate) fn whole_call(&mut self, id: &str) {
        let answer = self.answered_call("+442071838750", id);
        let bye = within(&answer, "BYE", 2, &self.pbx.via());
        self.pbx.send(&bye);
        self.pbx.expect("SIP/2.0 200 ");
        let bye = self.carrier.expect("BYE ");
        self.carrier.send(&response(&bye, "200 OK", &[]));
    }

    /// Stops it, and looks at what is left.
    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
        assert_eq!(self.counters.places(), 0);
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn journal(ledger: &Ledger, shard: u16) -> Box<dyn net::Journal> {
    struct Plain(Journal);
    impl net::Journal for Plain {
        fn append(&mut self, frames: &[u8]) -> std::io::Result<()> {
            self.0.append(frames)
        }
        fn wants_room(&self) -> bool {
            self.0.wants_room()
        }
        fn prepare(&mut self) -> std::io::Result<()> {
            self.0.prepare()
        }
        fn sync(&mut self) -> std::io::Result<()> {
            self.0.sync()
        }
    }
    let journal = Journal::open(ledger, shard, clock::now().wall).unwrap();
    Box::new(Plain(journal))
}

fn listener(over: Over, address: SocketAddr) -> String {
    let papers = match over {
        Over::Tcp => "",
        Over::Tls => "certificate = \"own.pem\"\nkey = \"own.key\"\n",
        Over::Mutual => "certificate = \"own.pem\"\nkey = \"own.key\"\nclient_ca = \"ca.pem\"\n",
    };
    let scheme = over.scheme();
    format!("[[listen]]\naddress = \"{scheme}:{address}\"\n{papers}")
}

/// Who asks for a reload, and is told what came of it.
type Reloads = UnboundedSender<Sender<Result<(), String>>>;

/// Reloads whenever it is asked to.
fn reloading() -> (Reloads, Beside) {
    let (reloads, mut asked) = unbounded_channel::<Sender<Result<(), String>>>();
    let beside: Beside = Box::new(|reins| {
        Box::pin(async move {
            while let Some(asker) = asked.recv().await {
                asker.send(reins.reload().await.map(drop)).unwrap();
            }
        })
    });
    (reloads, beside)
}

/// What TLS takes of these rules: nothing, unless it is spoken.
fn tls(rules: &RuleSet, own: &Papers, trusted: &str) -> Tls {
    let read = |path: Option<&str>| match path {
        Some("own.pem") => Ok(own.certificate.clone().into_bytes()),
        Some("own.key") => Ok(own.key.clone().into_bytes()),
        Some("ca.pem") => Ok(trusted.to_owned().into_bytes()),
        _ => Err("no such file".to_owned()),
    };
    let (tls, faults) = Tls::load(rules, &read, clock::now().wall);
    assert_eq!(faults, []);
    tls
}

fn rules(main: &str, pbx: &str, over: Over, name: &str, counters: &Counters) -> RuleSet {
    let inbound = match over {
        Over::Tcp | Over::Mutual => String::new(),
        // Nobody is connected to over TLS whose name is not known.
        Over::Tls => {
            let host = if pbx.contains(':') {
                format!("[{pbx}]")
            } else {
                pbx.to_owned()
            };
            format!(
                "[inbound]\ndeliver_to = \"tls:{host}\"\ntls_name = \"pbx.invalid\"\nca = \"ca.pem\"\n"
            )
        }
    };
    let known = match over {
        Over::Tcp | Over::Tls => format!("sources = [\"{pbx}\"]"),
        Over::Mutual => format!("tls_names = [\"{name}\"]"),
    };
    let tenant = format!(
        "name = \"acme\"\nplan = \"jp\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"upstream\"]\n\
         [identify]\n{known}\n[callers]\nown = [\"+81335570000..+81335570099\"]\n\
         otherwise = \"replace\"\ndefault = \"+81335570000\"\n\
         [destinations]\nallow = [\"jp.fixed\", \"+44 20\"]\n{inbound}"
    );
    let source = |name: &str, text: &str| Source {
        name: name.into(),
        text: text.into(),
    };
    let sources = Sources {
        main: source("tollgate.toml", main),
        tenants: vec![source("tenants/acme.toml", &tenant)],
        plans: vec![source(
            "plans/jp.toml",
            include_str!("../../policies/plans/jp.toml"),
        )],
        tariffs: Vec::new(),
        numbering: None,
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).unwrap_or_else(|it| panic!("{it:#?}"))
}
