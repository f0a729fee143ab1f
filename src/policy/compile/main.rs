//! The main file: listeners and carriers.

use std::net::SocketAddr;
use std::time::Duration;

use super::build::{Build, duration, name_is_good, named_twice};
use crate::base::flow::{ListenerId, Transport};
use crate::policy::carrier::Carrier;
use crate::policy::diagnostic::{At, Fault, Faults, one_of};
use crate::policy::door::ALGORITHMS;
use crate::policy::model::{CarrierTable, ListenTable, MainFile};
use crate::policy::plan::NumberFormat;
use crate::policy::ruleset::{CarrierId, Listener, Peer};
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

/// How often a carrier may be asked whether it is there.
const PROBE_LEAST: Duration = Duration::from_secs(5);
const PROBE_MOST: Duration = Duration::from_secs(3_600);

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
        carrier(build, table, faults);
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
    if let Some(text) = file.stop_after {
        let read = duration(text, Duration::ZERO, DAY, faults);
        build.run.stop_after = read.unwrap_or(STOP_AFTER);
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

fn not_an_address(text: At<&str>, help: &str, faults: &mut Faults<'_>) {
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
        Ok((_, Endpoint::Name(_))) => {
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
    let named = matches!(values::signalling(text.value), Ok((_, Endpoint::Name(_))));
    if named {
        let help = "a listener has an address of this machine: \"udp:127.0.0.1:5060\"";
        return not_an_address(text, help, faults);
    }
    let Some((transport, bind)) = address(text, "listener", faults) else {
        return;
    };
    if let (true, Some(at)) = (challenge && transport.is_reliable(), table.challenge) {
        faults.pending(at.place, "`challenge = true` at a tcp: or tls: address");
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

fn carrier(build: &mut Build<'_>, table: &CarrierTable<'_>, faults: &mut Faults<'_>) {
    let number_format = match table.number_format {
        None => NumberFormat::default(),
        Some(text) => NumberFormat::parse(text.value).unwrap_or_else(|| {
            let fault = Fault::error(format!("`{}` is no form of numbers", text.value));
            let known = one_of(NumberFormat::ALL.iter().map(|it| it.as_str()));
            faults.add(text.place, fault.help(format!("write {known}")));
            NumberFormat::default()
        }),
    };
    let Some(name) = table.name.filter(|&name| name_is_good(name, faults)) else {
        return;
    };
    if let Some(&(first, _)) = build.carrier_names.get(name.value) {
        return named_twice(name, "carrier", first, faults);
    }
    let id = u16::try_from(build.carriers.len()).ok().map(CarrierId);
    let at = table
        .address
        .and_then(|text| address(text, "carrier", faults));
    let reached = at.filter(|(_, at)| is_reachable(*at, faults));
    let reached = reached.and_then(|(transport, at)| {
        let listener = build.listener_for(transport, at, table.listener, faults)?;
        Some((transport, at, listener))
    });
    let large_from =
        at.and_then(|(_, at)| build.listener_for_large(table.large_over_tcp, at.value, faults));
    let known = reached.and(id);
    build
        .carrier_names
        .insert(name.value.to_owned(), (name.place, known));
    let calls_at_once = table.calls_at_once.and_then(|it| at_once(it, faults));
    let probe = table.probe;
    let probe = probe.and_then(|it| duration(it, PROBE_LEAST, PROBE_MOST, faults));
    let (Some((transport, at, listener)), Some(id)) = (reached, known) else {
        return;
    };
    let registration = table
        .registration
        .as_ref()
        .and_then(|it| super::registration::registration(build, name.value, it, faults));
    let shared: std::sync::Arc<str> = name.value.into();
    build.carriers.push(Carrier {
        trunk: build.counters.trunk(&shared),
        name: shared,
        transport,
        address: at.value,
        listener,
        large_from,
        number_format,
        user_phone: table.user_phone.map(|it| it.value),
        registration,
        calls_at_once,
        probe,
    });
    super::tls::peer(build, Peer::Carrier(id), transport, at, &table.tls, faults);
    if table.sources.is_empty() {
        let fault = Fault::warning("the carrier has no `sources`")
            .label("its requests and its answers are a stranger's")
            .help(format!("add sources = [\"{}\"]", at.value.ip()));
        faults.add(name.place, fault);
    } else {
        build.reach(at, Peer::Carrier(id));
    }
    build.claim(&table.sources, Peer::Carrier(id), faults);
    super::tls::claim(build, &table.tls_names, Peer::Carrier(id), faults);
}

/// How many calls to a carrier may live at once.
fn at_once(count: At<u64>, faults: &mut Faults<'_>) -> Option<u32> {
    let read = u32::try_from(count.value).ok().filter(|it| *it > 0);
    if read.is_none() {
        let fault = Fault::error(format!("a carrier cannot take {} calls", count.value));
        let help = "write 1 or more, or leave the key out for as many as come";
        faults.add(count.place, fault.help(help));
    }
    read
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
