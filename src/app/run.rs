//! `tollgate run`: boot.

use std::io::{self, IsTerminal, stderr};
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;

use crate::admin::Socket;
use crate::ledger::{Chain, Fault, Follower, Journal, Ledger, Sink};
use crate::net;
use crate::policy::{Counters, RuleSet};
use crate::record::Record;

use super::control::{self, Running};
use super::rules::{self, Rules};
use super::{cli, last_good, sources};

/// `tollgate run`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: cli::Run) -> Result<(), String> {
    start_log(wanted.log)?;
    let configuration = wanted.configuration;
    let directory = sources::ledger_of(&configuration.config)?;
    let ledger = Ledger::open(&directory).map_err(|fault| fault.to_string())?;
    let bucket_key = ledger.key().map_err(|fault| fault.to_string())?;
    let counters = Arc::new(Counters::new());
    let rules = first_rules(&configuration, &counters, &ledger)?;
    let run = rules.run().clone();
    let shards = run.shards.unwrap_or_else(net::default_shards);
    // Before the journal says that a run has begun.
    let sockets = net::Sockets::open(&rules).map_err(|error| error.to_string())?;
    let socket = sources::socket_of(&configuration.config)?;
    let socket = Socket::open(&socket).map_err(|fault| fault.to_string())?;
    let running = Running {
        configuration: configuration.config.clone(),
        ledger: directory.clone(),
        start: net::clock::now(),
    };
    let journals = journals(&ledger, shards, &rules).map_err(|fault| fault.to_string())?;
    let following = sinks(&ledger)
        .and_then(|sinks| Follower::new(ledger.clone(), sinks, net::clock::now).start())
        .map_err(|fault| fault.to_string())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = %configuration.config.display(),
        ledger = %directory.display(),
        shards,
        "starting"
    );
    let reload = {
        let (ledger, counters) = (ledger.clone(), Arc::clone(&counters));
        move || match rules::load(&configuration, &counters) {
            Ok(rules) => Ok(in_force(rules, &ledger)),
            Err(broken) => Err(broken.log_and_tell()),
        }
    };
    net::run(net::Setup {
        rules: Arc::new(rules),
        sockets,
        counters: Arc::clone(&counters),
        journals,
        bucket_key,
        directory,
        stop_after: run.stop_after,
        reload: Box::new(reload),
        beside: Some(control::answer_on(socket, running)),
    })
    .map_err(|error| error.to_string())?;
    close(&ledger, shards, counters.places()).map_err(|fault| fault.to_string())?;
    following.finish();
    Ok(())
}

/// Who makes something of what is journalled, behind the calls' way.
fn sinks(ledger: &Ledger) -> Result<Vec<Box<dyn Sink>>, Fault> {
    Ok(vec![Box::new(Chain::open(ledger)?)])
}

/// The rules to start with: those of the files or, if they are broken, the last
/// good ones.
fn first_rules(
    configuration: &cli::Configuration,
    counters: &Counters,
    ledger: &Ledger,
) -> Result<RuleSet, String> {
    let broken = match rules::load(configuration, counters) {
        Ok(rules) => return Ok(in_force(rules, ledger)),
        Err(broken) => broken,
    };
    let last_good = last_good::kept(ledger)
        .and_then(|sources| rules::from(sources, configuration, counters).ok());
    let Some(last_good) = last_good else {
        return Err(broken.show());
    };
    let fault = broken.log();
    tracing::error!(
        "{fault}: the rules are broken, and the last good ones are in force instead: correct the \
         files (tollgate check -c {} shows what is wrong), then send SIGHUP",
        configuration.config.display()
    );
    Ok(last_good.set)
}

/// Rules that are about to come into force: their warnings are logged, and they
/// are kept for a start at which the files are broken.
fn in_force(rules: Rules, ledger: &Ledger) -> RuleSet {
    rules.log_warnings();
    if let Err(fault) = last_good::keep(ledger, &rules.sources) {
        tracing::warn!("the rules cannot be kept for a later start: {fault}");
    }
    rules.set
}

fn start_log(form: cli::Log) -> Result<(), String> {
    let level = match std::env::var("TOLLGATE_LOG").as_deref() {
        Ok("error") => LevelFilter::ERROR,
        Ok("warn") => LevelFilter::WARN,
        Ok("info") | Err(_) => LevelFilter::INFO,
        Ok("debug") => LevelFilter::DEBUG,
        Ok("trace") => LevelFilter::TRACE,
        Ok(other) => {
            return Err(format!(
                "TOLLGATE_LOG=\"{other}\": write error, warn, info, debug or trace"
            ));
        }
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(stderr);
    let started = match form {
        cli::Log::Text => log.with_ansi(stderr().is_terminal()).try_init(),
        cli::Log::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start the log: {error}"))
}

/// A journal for each shard, each beginning with who writes it, by which rules.
pub(super) fn journals(
    ledger: &Ledger,
    shards: u16,
    rules: &RuleSet,
) -> Result<Vec<Box<dyn net::Journal>>, Fault> {
    let wall = net::clock::now().wall;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let open = |shard| {
        let mut journal = Journal::open(ledger, shard, wall)?;
        journal.begin(&[
            Record::Started {
                wall,
                shard,
                shards,
                program: env!("CARGO_PKG_VERSION"),
                boot: boot.trim(),
            },
            Record::RulesLoaded {
                wall,
                hash: rules.hash(),
                version: rules.version(),
            },
        ])?;
        Ok(Box::new(journal) as Box<dyn net::Journal>)
    };
    (0..shards).map(open).collect()
}

/// Writes into each journal that it ended in order: without this, the next start
/// takes it for a crash.
pub(super) fn close(ledger: &Ledger, shards: u16, live: u64) -> Result<(), Fault> {
    let wall = net::clock::now().wall;
    (0..shards).try_for_each(|shard| {
        Journal::open(ledger, shard, wall)?.begin(&[Record::Stopped { wall, live }])
    })
}

impl net::Journal for Journal {
    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        Journal::append(self, frames)
    }

    fn wants_room(&self) -> bool {
        Journal::wants_room(self)
    }

    fn prepare(&mut self) -> io::Result<()> {
        Journal::prepare(self)
    }

    fn sync(&mut self) -> io::Result<()> {
        Journal::sync(self)
    }
}
