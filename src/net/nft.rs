//! The list of bans once more in the kernel, so that it drops what they drop.
//!
//! Whatever is banned is put into sets of nftables, each element with the time that is left
//! of its ban, in a table that is Tollgate's own. `nft` is run for it by a thread of its own:
//! that takes milliseconds, needs CAP_NET_ADMIN, and may fail, and nothing else waits for
//! it. A library would speak netlink itself; the program is there wherever nftables is, and
//! what it is given can be read and tried by hand.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipnet::IpNet;

use crate::base::limits::{NFT_CHANGES, NFT_S};

use super::bans::Bans;
use super::clock;

/// How long after a failure all is told again, if nothing new is to be told before.
const AGAIN: Duration = Duration::from_secs(60);

/// How long after a failure nothing is told at all.
const PAUSE: Duration = Duration::from_secs(1);

/// A table of nftables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    name: Box<str>,
    /// What is dropped was sent to these.
    ports: Vec<u16>,
}

impl Table {
    pub(super) fn new(name: Box<str>, mut ports: Vec<u16>) -> Self {
        ports.sort_unstable();
        ports.dedup();
        Self { name, ports }
    }

    /// Makes it anew, with these bans.
    fn whole(&self, bans: &[(IpNet, Duration)]) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let (name, ports) = (&self.name, ports.join(", "));
        let drops = |family: &str, set: &str| {
            format!(
                "meta l4proto {{ tcp, udp }} th dport {{ {ports} }} {family} saddr @{set} counter drop"
            )
        };
        // Before connections are tracked, which costs more than all else.
        let mut script = format!(
            "add table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n\
             set {V4} {{ type ipv4_addr; flags timeout; }}\n\
             set {V6} {{ type ipv6_addr; flags interval, timeout; }}\n\
             chain strangers {{\ntype filter hook prerouting priority -300; policy accept;\n\
             {}\n{}\n}}\n}}\n",
            drops("ip", V4),
            drops("ip6", V6)
        );
        for (net, left) in bans {
            self.add(&mut script, *net, *left);
        }
        script
    }

    fn add(&self, script: &mut String, net: IpNet, left: Duration) {
        let (name, set, net, seconds) = (&self.name, set(net), shown(net), left.as_secs().max(1));
        // Writing to a string cannot fail. What is there already keeps the time that it had.
        let _ = writeln!(
            script,
            "add element inet {name} {set} {{ {net} timeout {seconds}s }}"
        );
    }

    /// To remove what is over already would make the whole script fail.
    fn remove(&self, script: &mut String, net: IpNet) {
        self.add(script, net, Duration::from_secs(1));
        let (name, set, net) = (&self.name, set(net), shown(net));
        let _ = writeln!(script, "delete element inet {name} {set} {{ {net} }}");
    }

    fn gone(&self) -> String {
        let name = &self.name;
        format!("add table inet {name}\ndelete table inet {name}\n")
    }
}

/// The sets of addresses of each version.
const V4: &str = "banned4";
const V6: &str = "banned6";

const fn set(net: IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => V4,
        IpNet::V6(_) => V6,
    }
}

/// An IPv4 address alone: its set has no networks.
pub(super) fn shown(net: IpNet) -> String {
    match net {
        IpNet::V4(net) => net.addr().to_string(),
        IpNet::V6(net) => net.to_string(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Ban(IpNet, Duration),
    Lift(IpNet),
}

/// What the kernel was not told yet.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    table: Option<Table>,
    /// The one before is to be removed.
    old: Option<Table>,
    /// All is to be told, not only what changed.
    whole: bool,
    changes: Vec<Change>,
    closed: bool,
    bell: Option<SyncSender<()>>,
}

/// What `nft` is to be given, and whether there is an end of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    script: String,
    last: bool,
}

impl Mirror {
    /// Goes into this table from now on, or into none.
    pub(super) fn become_of(&mut self, table: Option<Table>) {
        if self.table == table {
            return;
        }
        let old = std::mem::replace(&mut self.table, table);
        self.old = old.or(self.old.take());
        self.redo();
        self.rings();
    }

    pub(super) fn ban(&mut self, net: IpNet, lasts: Duration) {
        self.change(Change::Ban(net, lasts));
    }

    pub(super) fn lift(&mut self, net: IpNet) {
        self.change(Change::Lift(net));
    }

    fn change(&mut self, change: Change) {
        if self.table.is_none() || self.bell.is_none() {
            return;
        }
        match self.changes.len() < NFT_CHANGES {
            true => self.changes.push(change),
            false => self.whole = true,
        }
        self.rings();
    }

    /// All of it is to be told, with what comes next.
    pub(super) const fn redo(&mut self) {
        self.whole = true;
    }

    pub(super) fn ring(&mut self, bell: SyncSender<()>) {
        self.bell = Some(bell);
        self.rings();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.rings();
    }

    fn rings(&self) {
        if let Some(bell) = &self.bell {
            // It rings already, or nobody hears it any more.
            let _rung = bell.try_send(());
        }
    }

    /// What is to be told; `bans` are all that hold.
    pub(super) fn work(&mut self, bans: impl Iterator<Item = (IpNet, Duration)>) -> Work {
        let changes = std::mem::take(&mut self.changes);
        let whole = std::mem::take(&mut self.whole);
        let mut script = self.old.take().map_or_else(String::new, |it| it.gone());
        match &self.table {
            Some(table) if self.closed => script.push_str(&table.gone()),
            Some(table) if whole => script.push_str(&table.whole(&bans.collect::<Vec<_>>())),
            Some(table) => {
                for change in changes {
                    match change {
                        Change::Ban(net, lasts) => table.add(&mut script, net, lasts),
                        Change::Lift(net) => table.remove(&mut script, net),
                    }
                }
            }
            None => {}
        }
        Work {
            script,
            last: self.closed,
        }
    }
}

/// Starts the thread that tells the kernel.
///
/// # Errors
/// The system has no room for a thread.
pub(super) fn start(bans: &Bans) -> io::Result<Telling> {
    let (bell, rung) = mpsc::sync_channel(1);
    let (bans, told) = (bans.clone(), bans.clone());
    let thread = thread::Builder::new().name("nft".to_owned());
    let thread = thread.spawn(move || serve(&told, &rung))?;
    bans.mirror_to(bell);
    Ok(Telling { bans, thread })
}

/// The thread that tells the kernel.
pub(super) struct Telling {
    bans: Bans,
    thread: JoinHandle<()>,
}

impl Telling {
    /// Has the kernel forget all of it, unless a successor has told it anew already.
    pub(super) fn end(self, handed_over: bool) {
        if handed_over {
            return;
        }
        self.bans.close();
        // What it had to say, it has logged.
        drop(self.thread.join());
    }
}

fn serve(bans: &Bans, rung: &Receiver<()>) {
    let mut failed = false;
    while rung.recv_timeout(AGAIN) != Err(RecvTimeoutError::Disconnected) {
        let work = bans.work(clock::now());
        if !work.script.is_empty() {
            let told = tell(&work.script);
            match &told {
                Ok(()) if failed => tracing::info!("the kernel drops what is banned again"),
                Err(fault) if !failed => tracing::error!(
                    "what is banned is dropped by Tollgate alone, and not by the kernel: {fault}"
                ),
                _ => {}
            }
            failed = told.is_err();
        }
        if work.last {
            return;
        }
        if failed {
            bans.redo();
            thread::sleep(PAUSE);
        }
    }
}

/// Runs `nft` with a script, all or nothing of which is done.
///
/// # Errors
/// One line: what is wrong, and what to do.
fn tell(script: &str) -> Result<(), String> {
    let child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no program nft: install nftables".to_owned(),
        _ => format!("nft cannot be run: {error}"),
    })?;
    // It reads all of it before it says anything.
    let given = child
        .stdin
        .take()
        .map(|mut it| it.write_all(script.as_bytes()));
    let ended = wait(&mut child).map_err(|error| format!("nft cannot be waited for: {error}"))?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        // What it says is for people: what cannot be read of it is left out.
        let _read = stderr.take(4_096).read_to_string(&mut said);
    }
    let first = said.lines().next().unwrap_or("it said nothing");
    match ended {
        None => Err(format!("nft took longer than {NFT_S} s")),
        Some(true) if given.is_none_or(|it| it.is_ok()) => Ok(()),
        Some(_) if said.contains("Operation not permitted") => Err(format!(
            "nft may not do it: grant CAP_NET_ADMIN to Tollgate ({first})"
        )),
        Some(_) => Err(format!("nft failed: {first}")),
    }
}

/// Whether it ended well; none if it had to be ended.
fn wait(child: &mut Child) -> io::Result<Option<bool>> {
    let until = clock::mono() + Duration::from_secs(NFT_S);
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if clock::mono() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests;
