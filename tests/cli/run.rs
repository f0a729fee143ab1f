//! `run`: how it starts, reloads and ends.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tollgate::ledger::{Ledger, Reader};
use tollgate::record::Record;

use crate::folder::Folder;

/// A folder whose configuration listens on a port that was free just now.
pub fn folder() -> Folder {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    let files = Folder::new();
    files.replace(
        "tollgate.toml",
        "127.0.0.1:5060",
        &format!("127.0.0.1:{port}"),
    );
    files
}

/// The program while it runs.
pub struct Running {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub fn start(files: &Folder, more: &[&str]) -> Self {
        Self::start_with(files, more, &[])
    }

    /// With this in its environment.
    pub fn start_with(files: &Folder, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args([&["run", "-c", "tollgate.toml"], more].concat())
            .current_dir(files.path("."))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let seen = Vec::new();
        Self { child, log, seen }
    }

    /// Waits until the log says `what`.
    #[track_caller]
    pub fn says(&mut self, what: &str) {
        loop {
            let Ok(line) = self.log.recv_timeout(Duration::from_secs(30)) else {
                panic!("the log does not say {what:?}: {:#?}", self.seen);
            };
            let found = line.contains(what);
            self.seen.push(line);
            if found {
                return;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    #[track_caller]
    pub fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(
            self.child.wait().unwrap().code(),
            Some(0),
            "{:#?}",
            self.seen
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn broken_rules_change_nothing_and_corrected_ones_come_into_force() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_once  = 3",
        "calls_at_onec  = 3",
    );
    running.signal("-HUP");
    running.says("rules/tenants/kiku.toml:20:1: error: unknown key");
    running.says("the rules stay as they were");
    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_onec  = 3",
        "calls_at_once  = 4",
    );
    running.signal("-HUP");
    running.says("new rules are in force");
    running.stop();

    // The ledger says by which rules each shard judged.
    let mut reader = Reader::open(&files.path("ledger")).unwrap();
    let (mut started, mut stopped, mut hashes) = (0, 0, Vec::new());
    while let Some(entry) = reader.next().unwrap() {
        match entry.content.unwrap() {
            Record::Started { shards, boot, .. } => {
                assert!(shards > 0 && !boot.is_empty());
                started += 1;
            }
            Record::RulesLoaded { hash, .. } => hashes.push(hash),
            Record::Stopped { live: 0, .. } => stopped += 1,
            Record::Resumed { calls: 0, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stopped, started);
    assert_eq!(hashes.len(), 2 * started);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 2);
}

#[test]
fn a_start_with_broken_rules_falls_back_to_the_last_good_ones() {
    let files = folder();
    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_once  = 3",
        "calls_at_onec  = 3",
    );
    let said = files.tollgate(&["run", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("^^^^^^^^^^^^^"), "{}", said.err);

    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_onec  = 3",
        "calls_at_once  = 3",
    );
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    running.stop();

    files.replace(
        "rules/tenants/kiku.toml",
        "calls_at_once  = 3",
        "calls_at_onec  = 3",
    );
    let mut running = Running::start(&files, &[]);
    running.says("the last good ones are in force instead");
    running.says("listening on UDP");
    running.stop();
}

#[test]
fn what_names_led_to_is_said_to_be_lost() {
    let files = folder();
    std::fs::create_dir(files.path("ledger")).unwrap();
    files.write("ledger/names.json", "{\"names\":");
    let mut running = Running::start(&files, &[]);
    running.says("names.json is damaged");
    running.says("listening on UDP");
    running.stop();
}

#[test]
fn the_log_can_be_json() {
    let files = folder();
    let mut running = Running::start(&files, &["--log", "json"]);
    running.says("listening on UDP");
    for line in &running.seen {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            value["level"].is_string() && value["message"].is_string(),
            "{line}"
        );
    }
    running.stop();
}

#[test]
fn what_a_start_lacks_is_said_in_one_line() {
    let files = folder();
    let said = files.tollgate(&["run", "-c", "none.toml"]);
    said.is_one_line("none.toml: no such file");
    files.write("ledger", "a file");
    let said = files.tollgate(&["run", "-c", "tollgate.toml"]);
    said.is_one_line("set another [ledger] directory");
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let files = Folder::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    files.replace(
        "tollgate.toml",
        "127.0.0.1:5060",
        &format!("127.0.0.1:{port}"),
    );
    let said = files.tollgate(&["run", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let last = said.err.lines().last().unwrap();
    assert!(last.contains("another program has port"), "{said:?}");
    // The ledger knows of no run that began, so none that did not end in order.
    let mut reader = Reader::open(&files.path("ledger")).unwrap();
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn a_ledger_that_is_taken_names_who_has_it() {
    let files = Folder::new();
    let _ledger = Ledger::open(&files.path("ledger")).unwrap();
    let said = files.tollgate(&["run", "-c", "tollgate.toml"]);
    said.is_one_line(&format!("process {}", std::process::id()));
}

#[test]
fn what_only_a_start_can_change_is_said() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    files.replace(
        "tollgate.toml",
        "[ledger]",
        "[run]\nstop_after = \"7s\"\n[ledger]",
    );
    running.signal("-HUP");
    running.says("[run], [ledger], [admin] or [alerts] has changed, which the next start heeds");
    running.says("new rules are in force");
    files.replace("tollgate.toml", "udp:127.0.0.1:", "udp:127.0.0.8:");
    running.signal("-HUP");
    running.says("[[listen]] has changed, which takes a restart");
    running.stop();
}

/// Whoever reads the journal is to know why its times leap.
#[test]
fn a_machine_that_slept_is_in_the_journal() {
    let files = folder();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    // It looks round every second.
    std::thread::sleep(Duration::from_secs(2));
    running.signal("-STOP");
    std::thread::sleep(Duration::from_secs(11));
    running.signal("-CONT");
    std::thread::sleep(Duration::from_secs(2));
    running.stop();
    let said = files.tollgate(&["ledger", "export", "-c", "tollgate.toml"]);
    let gaps = said
        .out
        .matches("\"what\":\"time-gap\",\"detail\":\"nothing ran for 1");
    assert!(gaps.count() > 0, "{said:?}");
}
