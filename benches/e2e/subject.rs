//! The programs that are measured, each a process of its own.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::GATE;
use crate::driver::{Kept, TOLD};
use crate::files::{MAIN, TENANT};

/// What stands between the phone system and the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Relay,
    Kamailio,
    Tollgate,
    /// Tollgate as a library, with so much of its ledger.
    Driver(Kept),
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Kamailio => "Kamailio",
            Self::Tollgate => "Tollgate",
            Self::Driver(Kept::Nothing) => "without a ledger",
            Self::Driver(Kept::Journal) => "with its journal",
            Self::Driver(Kept::All) => "and with snapshots and index",
        }
    }
}

/// One that runs.
pub struct Subject {
    child: Child,
    directory: PathBuf,
}

impl Subject {
    /// Starts it with processor 0 for its own, if there is another, and waits until it
    /// has its port.
    pub fn start(kind: Kind, shards: u16) -> Result<Self, String> {
        if UdpSocket::bind(GATE).is_err() {
            return Err(format!("{GATE} is taken: end what runs there"));
        }
        let directory = std::env::temp_dir().join(format!("tollgate-e2e-{}", std::process::id()));
        let mut command = match kind {
            Kind::Relay => {
                let mut command = Command::new(std::env::current_exe().map_err(text)?);
                command.arg("relay");
                command
            }
            Kind::Kamailio => kamailio(&directory)?,
            Kind::Tollgate => tollgate(&directory, shards)?,
            Kind::Driver(kept) => {
                let mut command = Command::new(std::env::current_exe().map_err(text)?);
                command.arg(kept.word()).arg(&directory);
                command
            }
        };
        fs::create_dir_all(&directory).map_err(text)?;
        let said = directory.join("stderr");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).map_err(text)?);
        let child = child
            .spawn()
            .map_err(|error| format!("{}: {error}", kind.name()))?;
        let mut subject = Self { child, directory };
        let end = Instant::now() + Duration::from_secs(10);
        while UdpSocket::bind(GATE).is_ok() {
            if let Ok(Some(status)) = subject.child.try_wait() {
                let said = fs::read_to_string(&said).unwrap_or_default();
                return Err(format!("{} ended at once: {status}\n{said}", kind.name()));
            }
            if Instant::now() > end {
                return Err(format!("{} does not come up", kind.name()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(500));
        for process in subject.processes() {
            pin(process, 0);
        }
        Ok(subject)
    }

    /// Its processes.
    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while let Some(parent) = all.get(at).copied() {
            at += 1;
            let tasks = fs::read_dir(format!("/proc/{parent}/task"))
                .into_iter()
                .flatten();
            for task in tasks.flatten() {
                let children = fs::read_to_string(task.path().join("children"));
                let children = children.unwrap_or_default();
                all.extend(
                    children
                        .split_whitespace()
                        .filter_map(|it| it.parse::<u32>().ok()),
                );
            }
        }
        all
    }

    /// The processor time that its threads of this name have had.
    pub fn time_of(&self, name: &str) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let times = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let comm = fs::read_to_string(task.path().join("comm")).ok()?;
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let time = stat.split(' ').next()?.parse::<u64>().ok()?;
            (comm.trim() == name).then_some(time)
        });
        Duration::from_nanos(times.sum())
    }

    /// How long its journal has been appending, if it tells.
    pub fn time_appending(&self) -> Duration {
        let told = fs::read_to_string(self.directory.join(TOLD));
        Duration::from_nanos(told.ok().and_then(|it| it.parse().ok()).unwrap_or(0))
    }

    /// The processor time that all its threads have had.
    pub fn processor_time(&self) -> Duration {
        let tasks = self.processes().into_iter().flat_map(|process| {
            let tasks = fs::read_dir(format!("/proc/{process}/task"));
            tasks.into_iter().flatten().flatten()
        });
        let times = tasks.filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }

    /// The memory that is its own, in bytes.
    pub fn memory(&self) -> u64 {
        let of = |process: u32| {
            let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
            let lines = text.lines().filter(|line| line.starts_with("Pss:"));
            let kilobytes =
                lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            Some(kilobytes.sum::<u64>() * 1_024)
        };
        self.processes().into_iter().filter_map(of).sum()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let all = self.processes();
        signal("-TERM", &all[..1]);
        let end = Instant::now() + Duration::from_secs(3);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                signal("-KILL", &all);
                // It is gone, or was before.
                let _ended = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let mut command = Command::new("kill");
    // What has ended meanwhile needs none.
    let _sent = command
        .arg(name)
        .args(processes)
        .stderr(Stdio::null())
        .status();
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// Gives a process, or the one that asks (0), one processor, if there are several.
pub fn pin(process: u32, processor: u32) {
    let alone = std::thread::available_parallelism().is_ok_and(|count| count.get() == 1);
    if alone {
        return;
    }
    let process = if process == 0 {
        std::process::id()
    } else {
        process
    };
    let mut command = Command::new("taskset");
    command.args(["-apc", &processor.to_string(), &process.to_string()]);
    // Without it the figures are only noisier.
    let _pinned = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn kamailio(directory: &Path) -> Result<Command, String> {
    let places = ["/usr/sbin/kamailio", "/usr/local/sbin/kamailio"];
    let program = places.into_iter().find(|place| Path::new(place).exists());
    let program = program.ok_or("Kamailio is not installed: apt-get install kamailio")?;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/e2e/kamailio.cfg");
    let mut command = Command::new(program);
    command
        .arg("-f")
        .arg(config)
        .args(["-m", "1024", "-M", "32", "-DD", "-E", "-P"]);
    command
        .arg(directory.join("kamailio.pid"))
        .arg("-Y")
        .arg(directory);
    Ok(command)
}

/// Everything on: journal, index, caps, budgets.
fn tollgate(directory: &Path, shards: u16) -> Result<Command, String> {
    let policies = directory.join("policies");
    fs::create_dir_all(policies.join("tenants")).map_err(text)?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for folder in ["plans", "tariffs"] {
        std::os::unix::fs::symlink(shipped.join(folder), policies.join(folder)).map_err(text)?;
    }
    let main = format!("{MAIN}[run]\nshards = {shards}\n");
    fs::write(directory.join("tollgate.toml"), main).map_err(text)?;
    fs::write(policies.join("tenants/acme.toml"), TENANT).map_err(text)?;
    let program = std::env::var_os("TOLLGATE");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into());
    let mut command = Command::new(program);
    command
        .args(["run", "-c"])
        .arg(directory.join("tollgate.toml"));
    Ok(command)
}
