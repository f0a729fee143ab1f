//! The main file: listeners and carriers.

use std::net::SocketAddr;
use std::time::Duration;

use super::build::{Build, duration};
use crate::base::flow::{ListenerId, Transport};
use crate::base::limits::RESOLVERS;
use crate::policy::diagnostic::{At, Fault, Faults};
use crate::policy::door::ALGORITHMS;
use crate::policy::model::{ListenTable, MainFile, ResolverTable};
use crate::policy::names::Resolver;
use crate::policy::ruleset::Listener;
use crate::policy::values::{self, Endpoint};
use crate::sip::digest::Algorithm;

/// Where rule files are unless the main file says otherwise.
pub(super) const POLICIES: &str = "policies";
/// Where the journal is unless the main file says otherwise.
pub(super) const LEDGER: &str = "var/ledger";
/// What the control socket in the ledger's folder is called, unless the main file
/// says where else it is.
pub(super) const SOCKET: &str = "control";
/// How long live calls may go on after a request to stop, unless the main file
/// says otherwise.
pub(super) const STOP_AFTER: Duration = Duration::from_secs(30);

/// How large a segment of the journal is, unless the main file says otherwise.
pub(super) const SEGMENT_MEGABYTES: u64 = 64;
/// For how many days the journal is kept, unless the main file says otherwise.
pub(super) const KEPT_DAYS: u64 = 400;
/// The fewest days: budgets of a month can be counted again.
const KEEP_DAYS: u64 = 32;
/// The least room: some segments of each shard.
const KEEP_GIGABYTES: u64 = 1;

/// The port of name servers (RFC 1035 §4.2).
const DNS: u16 = 53;
/// How long a name server may have for an answer.
const TIMEOUT_LEAST: Duration = Duration::from_secs(1);
const TIMEOUT_MOST: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(86_400);

/// Takes the main file into the set.
pub(super) fn main(build: &mut Build<'_>, file: &MainFile<'_>, faults: &mut Faults<'_>) {
    for table in &file.listen {
        listener(build, table, faults);
    }
    if file.listen.is_empty() {
        let fault = Fault::error("there is no [[listen]]");
        let help = "add one, with address = \"udp:127.0.0.1:5060\"";
        faults.add(build.main_place, fault.help(help));
    }
    for table in &file.carriers {
        super::carrier::carrier(build, table, faults);
    }
    if file.carriers.is_empty() {
        let fault = Fault::error("there is no [[carrier]]").help("add one, for calls to leave to");
        faults.add(build.main_place, fault);
    }
    if let Some(admin) = file.admin {
        match values::host_and_port(admin.value, 8060) {
            Ok(_) => faults.pending(admin.place, "`address` in [admin]"),
            Err(help) => not_an_address(admin, help, faults),
        }
    }
    if let Some(socket) = file.socket {
        if socket.value.is_empty() {
            let fault = Fault::error("the control socket has no name");
            let help = "write a path, or leave the key out for `control` in the ledger's folder";
            faults.add(socket.place, fault.help(help));
        }
        build.run.socket = Some(socket.value.to_owned());
    }
    if let Some(table) = &file.alerts {
        build.run.alerts = super::alerts::alerts(table, faults);
    }
    if let Some(table) = &file.bans {
        build.run.bans = super::bans::bans(table, faults);
    }
    if let Some(ledger) = file.ledger {
        ledger.value.clone_into(&mut build.run.ledger);
    }
    build.run.to_disk = file.to_disk;
    if let Some(segment) = file.segment_megabytes {
        match segment.value {
            megabytes @ 1..=1_024 => build.run.segment_megabytes = megabytes,
            other => {
                let fault = Fault::error(format!("a segment cannot have {other} MB"));
                faults.add(segment.place, fault.help("write 1 to 1024"));
            }
        }
    }
    kept(build, file, faults);
    if let Some(shards) = file.shards {
        match u16::try_from(shards.value) {
            Ok(count @ 1..=1_024) => build.run.shards = Some(count),
            _ => {
                let fault = Fault::error(format!("there cannot be {} shards", shards.value));
                let help = "write 1 to 1024, or leave the key out for half the processors";
                faults.add(shards.place, fault.help(help));
            }
        }
    }
    if let Some(table) = &file.resolver {
        build.names.wants.resolver = resolver(table, faults);
    }
    if let Some(text) = file.stop_after {
        let read = duration(text, Duration::ZERO, DAY, faults);
        build.run.stop_after = read.unwrap_or(STOP_AFTER);
    }
}

/// Who is asked for names.
fn resolver(table: &ResolverTable<'_>, faults: &mut Faults<'_>) -> Resolver {
    let mut servers = Vec::new();
    for text in &table.servers {
        match values::host_and_port(text.value, DNS) {
            Ok(_) if servers.len() >= RESOLVERS => {
                let fault = Fault::error("these are more name servers than are asked");
                faults.add(text.place, fault.help(format!("name {RESOLVERS} at most")));
            }
            Ok(server) => servers.push(server),
            Err(help) => not_an_address(*text, help, faults),
        }
    }
    let timeout = table.timeout;
    let timeout = timeout.and_then(|it| duration(it, TIMEOUT_LEAST, TIMEOUT_MOST, faults));
    Resolver {
        servers: servers.into(),
        timeout: timeout.unwrap_or(Resolver::TIMEOUT),
    }
}

/// How much of the journal is kept, and for how long.
fn kept(build: &mut Build<'_>, file: &MainFile<'_>, faults: &mut Faults<'_>) {
    let days = file
        .keep_days
        .filter(|it| at_least(*it, KEEP_DAYS, "days", faults));
    build.run.keep_days = days.map_or(build.run.keep_days, |it| it.value);
    let gigabytes = file.keep_gigabytes;
    let gigabytes = gigabytes.filter(|it| at_least(*it, KEEP_GIGABYTES, "gigabytes", faults));
    build.run.keep_gigabytes = gigabytes.map(|it| it.value);
}

/// Checks how much of the journal is to be kept.
fn at_least(kept: At<u64>, least: u64, unit: &str, faults: &mut Faults<'_>) -> bool {
    if kept.value < least {
        let fault = Fault::error(format!("{} {unit} are too little to keep", kept.value));
        faults.add(kept.place, fault.help(format!("write {least} at least")));
    }
    kept.value >= least
}

pub(super) fn not_an_address(text: At<&str>, help: &str, faults: &mut Faults<'_>) {
    let fault = Fault::error(format!("`{}` is no address", text.value));
    faults.add(text.place, fault.help(help));
}

/// Reads a signalling address; none if it is faulty or has no effect yet.
pub(super) fn address(
    text: At<&str>,
    what: &str,
    faults: &mut Faults<'_>,
) -> Option<(Transport, At<SocketAddr>)> {
    match values::signalling(text.value) {
        Ok((transport, Endpoint::Address(address))) => Some((transport, text.with(address))),
        Ok((_, Endpoint::Name)) => {
            let what = format!("a {what} given by a domain name");
            faults.pending_but(text.place, &what, "write \"udp:ADDRESS:PORT\"");
            None
        }
        Err(help) => {
            not_an_address(text, help, faults);
            None
        }
    }
}

fn listener(build: &mut Build<'_>, table: &ListenTable<'_>, faults: &mut Faults<'_>) {
    let challenge = table.challenge.is_some_and(|it| it.value);
    let Some(text) = table.address else {
        return;
    };
    let named = matches!(values::named(text.value), Ok(Some(_)));
    if named {
        let help = "a listener has an address of this machine: \"udp:127.0.0.1:5060\"";
        return not_an_address(text, help, faults);
    }
    let Some((transport, bind)) = address(text, "listener", faults) else {
        return;
    };
    if let (true, Some(at), Some(_)) = (challenge, table.challenge, table.tls.client_ca) {
        let fault = Fault::error("nobody can register where certificates say who connects");
        let help = "take out `challenge`, or `client_ca`; both are possible at two listeners";
        faults.add(at.place, fault.help(help));
    }
    let same = |it: &Listener| (it.transport, it.bind) == (transport, bind.value);
    if build.listeners.iter().any(same) {
        let fault = Fault::error(format!("`{}` is listened at twice", text.value));
        return faults.add(text.place, fault);
    }
    let Some(advertise) = advertised(bind, table, faults) else {
        return;
    };
    let Ok(id) = u16::try_from(build.listeners.len()) else {
        return;
    };
    super::tls::listener(
        build,
        ListenerId(id),
        (transport, table.place),
        &table.tls,
        faults,
    );
    build.listeners.push(Listener {
        id: ListenerId(id),
        transport,
        bind: bind.value,
        advertise,
        challenge,
        algorithms: algorithms(table, faults),
    });
}

/// What a listener's challenges ask for. Programs from before RFC 8760 take MD5 alone, and
/// some of them nothing that has another one beside it.
fn algorithms(table: &ListenTable<'_>, faults: &mut Faults<'_>) -> Box<[Algorithm]> {
    let mut read = Vec::new();
    for text in &table.algorithms {
        let known = Algorithm::parse(text.value.as_bytes()).filter(|it| !it.session);
        match known.filter(|it| !read.contains(it)) {
            Some(algorithm) => read.push(algorithm),
            None => {
                let fault =
                    Fault::error(format!("`{}` is no algorithm for a challenge", text.value));
                let help = "write \"SHA-256\", \"SHA-512-256\" or \"MD5\", each once";
                faults.add(text.place, fault.help(help));
            }
        }
    }
    match read.is_empty() {
        true => ALGORITHMS.into(),
        false => read.into(),
    }
}

/// The address that others reach a listener at.
fn advertised(
    bind: At<SocketAddr>,
    table: &ListenTable<'_>,
    faults: &mut Faults<'_>,
) -> Option<SocketAddr> {
    let Some(text) = table.advertise else {
        if !bind.value.ip().is_unspecified() {
            return Some(bind.value);
        }
        let fault = Fault::error("a listener at every address must say which one others reach");
        let help = "add, say, advertise = \"192.0.2.1\"";
        faults.add(table.place, fault.help(help));
        return None;
    };
    let advertise = match values::host_and_port(text.value, bind.value.port()) {
        Ok(advertise) => advertise,
        Err(help) => {
            not_an_address(text, help, faults);
            return None;
        }
    };
    let other_version = advertise.is_ipv4() != bind.value.is_ipv4();
    if advertise.ip().is_unspecified() || other_version {
        let help = "write an address of the same IP version that others can send to";
        not_an_address(text, help, faults);
        return None;
    }
    Some(advertise)
}

/// Whether an address is one that something can be sent to.
pub(super) fn is_reachable(at: At<SocketAddr>, faults: &mut Faults<'_>) -> bool {
    let ip = at.value.ip();
    let good = !ip.is_unspecified() && !ip.is_multicast();
    if !good {
        let fault = Fault::error(format!("nobody can be reached at `{ip}`"));
        faults.add(at.place, fault.help("write the address of one machine"));
    }
    good
}
