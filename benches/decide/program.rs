//! The program itself, with a file for each of very many tenants: how long it takes to
//! start and to take over new rules, and how much memory.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{More, PLAN, TARIFF, tenant};

struct Running {
    folder: PathBuf,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(folder: PathBuf) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["run", "-c", "tollgate.toml"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { folder, child, log }
    }

    /// Waits until the log says `what`; how long that took.
    fn says(&mut self, what: &str) -> Duration {
        let start = Instant::now();
        for line in self.log.by_ref() {
            let line = line.unwrap();
            if line.contains(what) {
                return start.elapsed();
            }
        }
        panic!("it never said {what}");
    }

    /// A figure of /proc in MB.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find(|it| it.starts_with(name)).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1_024 / 1_000_000
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts it, has it read its rules again, and ends it.
pub fn run(tenants: u32) {
    let folder = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
    for below in ["policies/tenants", "policies/plans", "policies/tariffs"] {
        fs::create_dir_all(folder.join(below)).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let main = crate::world::MAIN.replace("127.0.0.1:5060", &format!("127.0.0.1:{port}"));
    write("tollgate.toml", &main);
    write("policies/plans/jp.toml", PLAN);
    write("policies/tariffs/jp-carrier.csv", TARIFF);
    for at in 0..tenants {
        write(
            &format!("policies/tenants/{at}.toml"),
            &tenant(at, More::Tariff),
        );
    }
    let mut running = Running::start(folder);
    let start = running.says("listening on UDP");
    crate::show(
        "the program with as many files starts in",
        format!("{start:?}"),
    );
    crate::show("its memory then, in MB: now", running.memory("VmRSS:"));
    crate::show(
        "its memory then, in MB: at the most",
        running.memory("VmHWM:"),
    );
    let pid = running.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    let reload = running.says("new rules are in force");
    crate::show("it takes over new rules in", format!("{reload:?}"));
    crate::show("its memory then, in MB: now", running.memory("VmRSS:"));
    crate::show(
        "its memory then, in MB: at the most",
        running.memory("VmHWM:"),
    );
}
