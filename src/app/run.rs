//! `tollgate run`: boot.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;

use crate::base::token::Buckets;
use crate::ledger::{Chain, Fault, Follower, Following, Indexing, Keep, Ledger, Sink, Snapshots};
use crate::net;
use crate::policy::{Counters, RuleSet};
use crate::record::{Dealt, Recovered};
use crate::shard;

use super::alerts::Alerts;
use super::blocks::Blocks;
use super::control::{self, Ear, Running};
use super::names::Names;
use super::rules::{self, Broken, Files, Rules};
use super::{cli, heir, journals, last_good, log, secrets, sources, tls};

/// `tollgate run`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: cli::Run) -> Result<(), String> {
    start_log(wanted.log)?;
    let configuration = wanted.configuration;
    let directory = sources::ledger_of(&configuration.config)?;
    let inherited = wanted.take_over.then(|| heir::inherit(&configuration));
    let inherited = inherited.transpose()?.flatten();
    let ledger = heir::ledger(&directory, inherited.is_some()).map_err(|it| it.to_string())?;
    let bucket_key = ledger.key().map_err(|fault| fault.to_string())?;
    let counters = Arc::new(Counters::new());
    let files = Arc::<Files>::default();
    let recovered = recover(&ledger, &counters).map_err(|fault| fault.to_string())?;
    let names = Names::start(&ledger, &configuration, &counters)?;
    let net::Loaded { rules, tls, then } = first_rules(&configuration, &names, &ledger, &files)?;
    then.done();
    let run = rules.run().clone();
    let shards = run.shards.unwrap_or_else(net::default_shards);
    let ledger = ledger
        .with_segment_size(run.segment_megabytes << 20)
        .durable(run.to_disk);
    // Before the journal says that a run has begun.
    let inherited = inherited.unwrap_or_default();
    let (sockets, ear) = open(&configuration, &rules, inherited)?;
    let blocks = Blocks::kept(&ledger);
    let dealt = Arc::new(dealt(recovered, &rules, &Buckets::new(bucket_key), shards));
    let journals = journals::journals(&ledger, &dealt, &rules).map_err(|fault| fault.to_string());
    let (journals, begun) = journals?;
    let config = &configuration.config;
    let (alerts, watch) = Alerts::start(&run.alerts, config, &ledger, &files, &counters);
    let running = Running {
        configuration: configuration.config.clone(),
        ledger: directory.clone(),
        journal: ledger.clone(),
        start: net::clock::now(),
        files: Arc::clone(&files),
        blocks: RefCell::new(blocks.clone()),
        counters: Arc::clone(&counters),
        alerts: alerts.outbox.clone(),
        names: names.clone(),
    };
    let (following, indexing) =
        behind(&ledger, keep(&rules), watch, &counters).map_err(|fault| fault.to_string())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = %configuration.config.display(),
        ledger = %directory.display(),
        shards,
        "starting"
    );
    let reload = reloading(configuration, ledger.clone(), names.clone(), files);
    let outcome = net::run(net::Setup {
        rules: Arc::new(rules),
        tls: Arc::new(tls),
        sockets,
        blocks: blocks.in_force(),
        counters: Arc::clone(&counters),
        journals,
        restored: restored(dealt),
        bucket_key,
        directory,
        stop_after: run.stop_after,
        reload: Box::new(reload),
        beside: Some(watched(&alerts, names, control::answer_on(ear, running))),
    })
    .map_err(|error| error.to_string())?;
    let closed = begun.close(outcome.whole, &ledger, shards, counters.places());
    wind_down(&ledger, outcome.ended, (following, alerts, indexing));
    closed.map_err(|fault| format!("the next start takes this end for a crash: {fault}"))
}

/// The sockets for messages, and the one for orders.
fn open(
    configuration: &cli::Configuration,
    rules: &RuleSet,
    inherited: Vec<OwnedFd>,
) -> Result<(net::Sockets, Ear), String> {
    let sockets = net::Sockets::inherit(rules, inherited).map_err(|error| error.to_string())?;
    let socket = sources::socket_of(&configuration.config)?;
    let ear = Ear::open(socket).map_err(|fault| fault.to_string())?;
    Ok((sockets, ear))
}

/// What runs behind the calls' way.
fn behind(
    ledger: &Ledger,
    keep: Keep,
    watch: Option<Box<dyn Sink>>,
    counters: &Arc<Counters>,
) -> Result<(Following, Indexing), Fault> {
    let chain = Chain::open(ledger)?.keeping(keep);
    let chain = chain.doubting(Arc::clone(counters));
    let mut sinks: Vec<Box<dyn Sink>> =
        vec![Box::new(Snapshots::new(ledger.clone())), Box::new(chain)];
    sinks.extend(watch);
    let following = Follower::new(ledger.clone(), sinks, net::clock::now).start()?;
    let indexing = Indexing::start(ledger.clone(), keep, net::clock::now)?;
    Ok((following, indexing))
}

/// Ends what runs behind the calls' way. A successor waits for the end of the process,
/// and its own go on from where these are.
fn wind_down(ledger: &Ledger, ended: net::Ended, behind: (Following, Alerts, Indexing)) {
    if ended == net::Ended::HandedOver {
        std::mem::forget(behind);
        return;
    }
    let (following, alerts, indexing) = behind;
    following.finish();
    alerts.finish(ledger);
    drop(indexing);
}

/// For how long the journal is kept.
fn keep(rules: &RuleSet) -> Keep {
    let run = rules.run();
    let bytes = run.keep_gigabytes;
    Keep {
        days: Some(run.keep_days),
        bytes: bytes.map(|it| it.saturating_mul(1_000_000_000)),
    }
}

/// Reads the rules again whenever it is called.
fn reloading(
    configuration: cli::Configuration,
    ledger: Ledger,
    names: Names,
    files: Arc<Files>,
) -> impl Fn() -> Result<net::Loaded, String> + Send {
    move || {
        let loaded = names.with(|known| rules::load_with(&configuration, known));
        let loaded = loaded.and_then(|mut rules| {
            secrets::again(&mut rules, &configuration.config)?;
            let tls = tls::again(&rules, &configuration.config, &files)?;
            Ok((rules, tls))
        });
        let loaded = loaded
            .map_err(Broken::log_and_tell)
            .and_then(|(rules, tls)| files.replace(&rules.set).map(|()| (rules, tls)));
        files.note(loaded.is_err());
        let (rules, tls) = loaded?;
        files.show(tls.expiries());
        Ok(loaded_rules(
            in_force(rules, &ledger, &files),
            tls,
            &names,
            true,
        ))
    }
}

/// Rules that are about to come into force, and that their names are looked up when they
/// are: at once, if they are read anew.
fn loaded_rules(rules: Rules, tls: net::Tls, names: &Names, anew: bool) -> net::Loaded {
    let (wanted, sources) = (rules.set.wants().clone(), rules.sources);
    let names = names.clone();
    net::Loaded {
        rules: rules.set,
        tls,
        then: net::Then::new(move || names.follow(wanted, sources, anew)),
    }
}

/// What runs beside, and the reins for who watches the figures, and for who has the rules
/// follow where names lead.
fn watched(alerts: &Alerts, names: Names, beside: net::Beside) -> net::Beside {
    let watch = Arc::clone(&alerts.reins);
    // It is set once, too.
    let _set = alerts.names.set(names.lookups());
    Box::new(move |reins| {
        names.drive(reins.clone());
        // It is set once: here.
        let _set = watch.set(reins.clone());
        beside(reins)
    })
}

/// The rules to start with: those of the files or, if they are broken, the last
/// good ones.
fn first_rules(
    configuration: &cli::Configuration,
    names: &Names,
    ledger: &Ledger,
    files: &Files,
) -> Result<net::Loaded, String> {
    let broken = match names.with(|known| rules::load_with(configuration, known)) {
        Ok(mut rules) => {
            files.replace(&rules.set)?;
            secrets::at_start(&mut rules, &configuration.config, files);
            let tls = tls::at_start(&rules, &configuration.config, files);
            return Ok(loaded_rules(
                in_force(rules, ledger, files),
                tls,
                names,
                false,
            ));
        }
        Err(broken) => broken,
    };
    let last_good = last_good::kept(ledger).and_then(|sources| {
        let with = names.with(|known| rules::from(sources, configuration, known));
        with.ok()
    });
    let Some(mut last_good) = last_good else {
        return Err(broken.show());
    };
    files.replace(&last_good.set)?;
    secrets::at_start(&mut last_good, &configuration.config, files);
    let tls = tls::at_start(&last_good, &configuration.config, files);
    files.note(true);
    let fault = broken.log();
    tracing::error!(
        "{fault}: the rules are broken, and the last good ones are in force instead: correct the \
         files (tollgate check -c {} shows what is wrong), then send SIGHUP",
        configuration.config.display()
    );
    Ok(loaded_rules(last_good, tls, names, false))
}

/// Rules that are about to come into force: their warnings are logged, and they
/// are kept for a start at which the files are broken.
fn in_force(rules: Rules, ledger: &Ledger, files: &Files) -> Rules {
    rules.log_warnings();
    files.keep(ledger, &rules.sources);
    rules
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
    log::start(form, level, stderr().is_terminal())
}

/// What the ledger holds of the lives before. What they counted is counted on.
pub(super) fn recover(ledger: &Ledger, counters: &Counters) -> Result<Recovered, Fault> {
    let now = net::clock::now();
    let mut recovered = ledger.recover(now, boot().trim())?;
    if let Some(ahead) = recovered.ahead {
        counters.agree(ahead);
    }
    let ahead_s = counters.clock_ahead_s(now);
    if ahead_s != 0 {
        tracing::warn!(
            ahead_s,
            "the clock was set while nothing ran: no new day or month of a cap or a budget begins \
             by it before it is confirmed (tollgate clock --confirm)"
        );
    }
    if recovered.damaged > 0 {
        tracing::error!(
            places = recovered.damaged,
            "the ledger is damaged: calls that only the damaged places tell of are not known, \
             and neither is what they cost"
        );
    }
    let calls = recovered.up();
    if calls > 0 {
        tracing::info!(calls, "going on with the calls of the last run");
    }
    counters.restore(std::mem::take(&mut recovered.tallies));
    Ok(recovered)
}

/// What each shard takes over. Who has registered is known to all before any of them runs.
fn dealt(mut recovered: Recovered, rules: &RuleSet, buckets: &Buckets, shards: u16) -> Dealt {
    let now = net::clock::now();
    shard::restore_bindings(rules, now, std::mem::take(&mut recovered.bindings));
    recovered.deal(buckets, shards, now.wall)
}

/// Which of the host's boots this is; nothing if it does not tell.
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// What the shards are told of it.
pub(super) fn restored(dealt: Arc<Dealt>) -> Vec<net::Restored> {
    // Another has it only until it is written.
    let dealt = Arc::try_unwrap(dealt).unwrap_or_else(|shared| Dealt::clone(&shared));
    let shares = dealt.shares.into_iter();
    shares
        .map(|share| net::Restored {
            calls: share.calls.into_iter().map(|taken| taken.call).collect(),
            next: share.next,
        })
        .collect()
}
