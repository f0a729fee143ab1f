//! Tollgate itself, with rules and ledger of its own, on threads of this process.

use std::fs::DirBuilder;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use tokio::sync::oneshot;

use crate::base::token::Buckets;
use crate::ledger::Ledger;
use crate::net::{self, RunError, clock};
use crate::policy::{Blocks, Counters, Options, RuleSet, Source, Sources, compile};

use super::message;
use super::script::{A_MINUTE, AT_ONCE, BUDGET_YEN};
use crate::app::{journals, run};

/// One is enough for a few dozen calls a second.
const SHARDS: u16 = 1;

/// How long a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the three of them are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) pbx: SocketAddr,
    pub(super) tollgate: SocketAddr,
    pub(super) carrier: SocketAddr,
}

/// A folder that goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let now = clock::now().wall.as_micros();
        let name = format!("tollgate-demo-{}-{now}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| {
            format!(
                "cannot create {} for the ledger: {error}: set TMPDIR to a folder that can be written",
                path.display()
            )
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// A Tollgate that runs.
pub(super) struct Gate {
    // In this order: it ends before its folder goes.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
    counters: Arc<Counters>,
    ledger: Ledger,
    begun: journals::Begun,
    _folder: Folder,
}

impl Gate {
    /// Starts it, and waits until it answers the phone system.
    ///
    /// # Errors
    /// One line: what the machine lacks.
    pub(super) fn start(places: &Places, pbx: &UdpSocket) -> Result<Self, String> {
        let folder = Folder::new()?;
        let ledger = Ledger::open(&folder.0).map_err(|fault| fault.to_string())?;
        let bucket_key = ledger.key().map_err(|fault| fault.to_string())?;
        let counters = Arc::new(Counters::new());
        let rules = rules(places, &counters)?;
        let sockets = net::Sockets::open(&rules).map_err(|error| error.to_string())?;
        let recovered = run::recover(&ledger, &counters).map_err(|fault| fault.to_string())?;
        let wall = net::clock::now().wall;
        let dealt = Arc::new(recovered.deal(&Buckets::new(bucket_key), SHARDS, wall));
        let (journals, begun) =
            journals::journals(&ledger, &dealt, &rules).map_err(|fault| fault.to_string())?;
        let setup = net::Setup {
            rules: Arc::new(rules),
            tls: Arc::default(),
            sockets,
            blocks: Blocks::default(),
            counters: Arc::clone(&counters),
            journals,
            restored: run::restored(dealt),
            bucket_key,
            directory: folder.0.clone(),
            stop_after: Duration::from_millis(500),
            reload: Box::new(|| Err("the demo's rules are part of the program".to_owned())),
            beside: None,
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("tollgate".to_owned())
            .spawn(|| {
                let stopped = async {
                    // Told or forgotten: either means to stop.
                    let _told = stopped.await;
                };
                net::run_until(setup, stopped).map(|_ended| ())
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let mut gate = Self {
            stop: Some(stop),
            thread: Some(thread),
            counters,
            ledger,
            begun,
            _folder: folder,
        };
        gate.wait_until_it_answers(places, pbx)?;
        Ok(gate)
    }

    fn wait_until_it_answers(&mut self, places: &Places, pbx: &UdpSocket) -> Result<(), String> {
        let fault = |error: io::Error| format!("cannot reach Tollgate over loopback: {error}");
        pbx.set_read_timeout(Some(Duration::from_millis(50)))
            .map_err(fault)?;
        let (start, mut buffer) = (clock::mono(), vec![0; 65_535]);
        let hello = message::options(places.tollgate, places.pbx);
        while clock::mono().saturating_since(start) < PATIENCE {
            if !self.is_up() {
                return self.finish();
            }
            pbx.send_to(hello.as_bytes(), places.tollgate)
                .map_err(fault)?;
            if super::receive(pbx, &mut buffer).map_err(fault)?.is_some() {
                return Ok(());
            }
        }
        Err("Tollgate does not answer over loopback".to_owned())
    }

    /// Whether it still runs.
    pub(super) fn is_up(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Stops it, and says how it ended.
    ///
    /// # Errors
    /// One line: how it broke down, or that calls are left.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        drop(self.stop.take());
        let start = clock::mono();
        while self.is_up() && clock::mono().saturating_since(start) < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        if self.is_up() {
            return Err("Tollgate does not end".to_owned());
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(()))) | None => {}
            Some(Ok(Err(error))) => return Err(error.to_string()),
            Some(Err(_)) => return Err("a defect of the program ended Tollgate".to_owned()),
        }
        let live = self.counters.places();
        let closed = self.begun.close(true, &self.ledger, SHARDS, live);
        closed.map_err(|fault| fault.to_string())?;
        match live {
            0 => Ok(()),
            _ => Err(format!("{live} counters of live calls were not given back")),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ended = self.finish();
    }
}

/// The rules, for these places.
///
/// # Errors
/// All faults: a defect of the program.
pub(super) fn rules(places: &Places, counters: &Counters) -> Result<RuleSet, String> {
    let Places {
        pbx,
        tollgate,
        carrier,
    } = places;
    let main = format!(
        "[[listen]]\naddress = \"udp:{tollgate}\"\n[[carrier]]\nname = \"upstream\"\n\
         address = \"udp:{carrier}\"\nsources = [\"{}/32\"]\nnumber_format = \"e164\"\n",
        carrier.ip(),
    );
    let tenant = format!(
        "name = \"office\"\nplan = \"jp\"\ntariff = \"jp-carrier\"\ntime_zone = \"Asia/Tokyo\"\ncarriers = [\"upstream\"]\n\
         [identify]\nsources = [\"{}/32\"]\n\
         [callers]\nown = [\"+81335570000..+81335570099\"]\notherwise = \"replace\"\n\
         default = \"+81335570000\"\n\
         [destinations]\nallow = [\"jp.fixed\", \"jp.mobile\", \"us\", \"+44 20\", \"gb.mobile\"]\n\
         deny = [\"premium\", \"satellite\"]\n\
         [caps]\ncalls_at_once = 30\n\
         [[cap]]\non = \"caller\"\ncalls_at_once = {AT_ONCE}\ncalls_per_minute = {A_MINUTE}\n\
         [[cap]]\non = \"gb.mobile\"\nmoney_per_day = \"JPY {BUDGET_YEN}\"\n",
        pbx.ip(),
    );
    let source = |name: &Path, text: &str| Source {
        name: name.display().to_string(),
        text: text.to_owned(),
    };
    let plan = include_str!("../../../policies/plans/jp.toml");
    let tariff = include_str!("../../../policies/tariffs/jp-carrier.csv");
    let sources = Sources {
        main: source(Path::new("tollgate.toml"), &main),
        tenants: vec![source(Path::new("tenants/office.toml"), &tenant)],
        plans: vec![source(Path::new("plans/jp.toml"), plan)],
        numbering: None,
        tariffs: vec![source(Path::new("tariffs/jp-carrier.csv"), tariff)],
    };
    let zones = TimeZoneDatabase::bundled();
    compile(&sources, Options::default(), &zones, counters).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the demo's own rules are broken: {}", faults.join("; "))
    })
}
