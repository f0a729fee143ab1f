//! `[[carrier]]`: where calls can leave to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::build::{Build, duration, name_is_good, named_twice};
use super::main::{address, is_reachable, not_an_address};
use crate::base::flow::{ListenerId, Transport};
use crate::base::limits::GATEWAYS_PER_CARRIER;
use crate::policy::carrier::{Carrier, Gateway, LeftOut};
use crate::policy::counters::Trunk;
use crate::policy::diagnostic::{At, Fault, Faults, one_of};
use crate::policy::model::CarrierTable;
use crate::policy::names::{Answer, Wanted};
use crate::policy::plan::NumberFormat;
use crate::policy::ruleset::{CarrierId, Listener, Peer};
use crate::policy::values::{self, Named};

/// How often a carrier may be asked whether it is there.
const PROBE_LEAST: Duration = Duration::from_secs(5);
const PROBE_MOST: Duration = Duration::from_secs(3_600);

/// The transports that a name without one is tried over, in this order (RFC 3263 §4.1 has
/// the client choose): what nobody can listen to first.
const PREFERRED: [Transport; 3] = [Transport::Tls, Transport::Udp, Transport::Tcp];

/// Where a carrier is.
struct Reach<'t> {
    /// What stands for it in URIs.
    host: Arc<str>,
    /// Whom its certificate is for, unless the rules say otherwise.
    certified: String,
    /// What it is reached over, or may be.
    transport: Transport,
    gateways: Vec<Gateway>,
    left_out: Vec<(SocketAddr, LeftOut)>,
    by: By<'t>,
}

/// What the rules have of it.
enum By<'t> {
    Address(At<SocketAddr>),
    Name(At<&'t str>, Wanted),
}

/// Takes a carrier into the set.
pub(super) fn carrier(build: &mut Build<'_>, table: &CarrierTable<'_>, faults: &mut Faults<'_>) {
    let number_format = number_format(table, faults);
    let Some(name) = table.name.filter(|&name| name_is_good(name, faults)) else {
        return;
    };
    if let Some(&(first, _)) = build.carrier_names.get(name.value) {
        return named_twice(name, "carrier", first, faults);
    }
    let id = u16::try_from(build.carriers.len()).ok().map(CarrierId);
    let shared: Arc<str> = name.value.into();
    let trunk = build.counters.trunk(&shared);
    let reach = reach(build, table, &trunk, faults);
    let known = reach.is_some().then_some(id).flatten();
    build
        .carrier_names
        .insert(name.value.to_owned(), (name.place, known));
    let calls_at_once = table.calls_at_once.and_then(|it| at_once(it, faults));
    let probe = table.probe;
    let probe = probe.and_then(|it| duration(it, PROBE_LEAST, PROBE_MOST, faults));
    let (Some(reach), Some(id)) = (reach, known) else {
        return;
    };
    let registration = table
        .registration
        .as_ref()
        .and_then(|it| super::registration::registration(build, name.value, it, faults));
    let place = match &reach.by {
        By::Address(at) => at.place,
        By::Name(text, _) => text.place,
    };
    let certified = (reach.certified.clone(), place);
    let peer = Peer::Carrier(id);
    super::tls::peer(build, peer, reach.transport, certified, &table.tls, faults);
    sources(build, (name, id), table, &reach, faults);
    super::tls::claim(build, &table.tls_names, peer, faults);
    build.carriers.push(Carrier {
        trunk,
        name: shared,
        host: reach.host,
        looked_up: match &reach.by {
            By::Address(_) => None,
            By::Name(_, wanted) => Some(Arc::clone(&wanted.text)),
        },
        gateways: reach.gateways.into(),
        left_out: reach.left_out.into(),
        number_format,
        user_phone: table.user_phone.map(|it| it.value),
        registration,
        calls_at_once,
        probe,
    });
    if let By::Name(_, wanted) = reach.by {
        build.names.wants.names.push(wanted);
    }
}

fn number_format(table: &CarrierTable<'_>, faults: &mut Faults<'_>) -> NumberFormat {
    let Some(text) = table.number_format else {
        return NumberFormat::default();
    };
    NumberFormat::parse(text.value).unwrap_or_else(|| {
        let fault = Fault::error(format!("`{}` is no form of numbers", text.value));
        let known = one_of(NumberFormat::ALL.iter().map(|it| it.as_str()));
        faults.add(text.place, fault.help(format!("write {known}")));
        NumberFormat::default()
    })
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

/// Where its own requests and its answers come from.
///
/// One that is reached by a name and has no `sources` is known by the addresses that the
/// name leads to: a carrier that moves would otherwise be a stranger at its new address,
/// until somebody writes it down. Where it has `sources`, nothing goes to any other address:
/// so an answer, which can be forged, can lead calls only where the rules say. And in no
/// case does an answer take an address that the rules give to somebody (`claims::settle`).
fn sources(
    build: &mut Build<'_>,
    (name, id): (At<&str>, CarrierId),
    table: &CarrierTable<'_>,
    reach: &Reach<'_>,
    faults: &mut Faults<'_>,
) {
    let given = !table.sources.is_empty();
    match &reach.by {
        By::Address(at) if given => build.reach(*at, Peer::Carrier(id)),
        By::Address(at) => {
            let fault = Fault::warning("the carrier has no `sources`")
                .label("its requests and its answers are a stranger's")
                .help(format!("add sources = [\"{}\"]", at.value.ip()));
            faults.add(name.place, fault);
        }
        By::Name(text, wanted) => {
            let answer = build.answers.get(&wanted.text).filter(|_| !given);
            if let Some(answer) = answer {
                let now = reach.gateways.iter().map(|it| it.address.ip());
                let earlier = answer.earlier.iter().copied();
                build.found.extend(now.chain(earlier).map(|ip| (ip, id)));
            }
            risky(build, (*text, wanted), given, faults);
        }
    }
    build.claim(&table.sources, Peer::Carrier(id), faults);
}

/// Warns of what somebody who forges answers could do.
fn risky(
    build: &Build<'_>,
    (text, wanted): (At<&str>, &Wanted),
    bounded: bool,
    faults: &mut Faults<'_>,
) {
    let host = &wanted.host;
    let tls = |it: &Listener| it.transport == Transport::Tls;
    if wanted.transport.is_none() && build.listeners.iter().any(tls) {
        let fault = Fault::warning(format!("DNS says whether calls to `{host}` are encrypted"))
            .label("without a transport, whoever can forge its answers can read them")
            .help(format!("write \"tls:{host}\" if the carrier takes TLS"));
        faults.add(text.place, fault);
    }
    if wanted.transport != Some(Transport::Tls) && !bounded {
        let fault = Fault::warning(format!("whoever answers for `{host}` is the carrier"))
            .label("a forged DNS answer would lead calls elsewhere, and let calls in from there")
            .help("add `sources` with the carrier's networks: nothing goes beyond them");
        faults.add(text.place, fault);
    }
}

fn reach<'t>(
    build: &Build<'_>,
    table: &CarrierTable<'t>,
    trunk: &Arc<Trunk>,
    faults: &mut Faults<'_>,
) -> Option<Reach<'t>> {
    let text = table.address?;
    match values::named(text.value) {
        Ok(Some(named)) => by_name(build, table, (text, &named), trunk, faults),
        Ok(None) => by_address(build, table, text, trunk, faults),
        Err(help) => {
            not_an_address(text, help, faults);
            None
        }
    }
}

fn by_address<'t>(
    build: &Build<'_>,
    table: &CarrierTable<'t>,
    text: At<&str>,
    trunk: &Arc<Trunk>,
    faults: &mut Faults<'_>,
) -> Option<Reach<'t>> {
    let (transport, at) = address(text, "carrier", faults)?;
    let listener = match is_reachable(at, faults) {
        true => build.listener_for(transport, at, table.listener, faults),
        false => None,
    };
    let large_from = build.listener_for_large(table.large_over_tcp, at.value, faults);
    let gateway = Gateway {
        transport,
        address: at.value,
        listener: listener?,
        large_from,
        priority: 0,
        weight: 0,
        trunk: Arc::clone(trunk),
    };
    Some(Reach {
        host: at.value.to_string().into(),
        certified: at.value.ip().to_string(),
        transport,
        gateways: vec![gateway],
        left_out: Vec::new(),
        by: By::Address(at),
    })
}

fn by_name<'t>(
    build: &Build<'_>,
    table: &CarrierTable<'t>,
    (text, named): (At<&'t str>, &Named),
    trunk: &Arc<Trunk>,
    faults: &mut Faults<'_>,
) -> Option<Reach<'t>> {
    if !super::tls::is_name(&named.host) {
        let help = "write a domain name as it is in DNS: \"udp:sip.example.net\"";
        not_an_address(text, help, faults);
        return None;
    }
    if build
        .names
        .wants
        .names
        .iter()
        .any(|it| *it.host == *named.host)
    {
        let fault = Fault::error(format!("two carriers are at `{}`", named.host));
        let help = "what comes from its addresses can be one carrier's only: make it one";
        faults.add(text.place, fault.help(help));
        return None;
    }
    let usable = usable(build, table, (text, named), faults)?;
    let wanted = wanted(named, &usable);
    let large = table.large_over_tcp.filter(|it| it.value);
    let mut listeners = build.listeners.iter();
    if let (Some(at), false) = (large, listeners.any(|it| it.transport == Transport::Tcp)) {
        let fault = Fault::error("no listener can reach this name over TCP");
        let help = "add a [[listen]] with an address \"tcp:…\", or take this out";
        faults.add(at.place, fault.help(help));
    }
    let answer = build.answers.get(&wanted.text);
    let (gateways, left_out) = gateways(build, &usable, answer, (trunk, large.is_some()));
    let first = wanted.over.first().copied();
    Some(Reach {
        host: match named.port {
            Some(port) => format!("{}:{port}", named.host).into(),
            None => Arc::clone(&wanted.host),
        },
        certified: named.host.clone(),
        transport: named.transport.or(first)?,
        gateways,
        left_out,
        by: By::Name(text, wanted),
    })
}

/// The listeners from which a name may be reached: at least one.
fn usable<'b>(
    build: &'b Build<'_>,
    table: &CarrierTable<'_>,
    (text, named): (At<&str>, &Named),
    faults: &mut Faults<'_>,
) -> Option<Vec<&'b Listener>> {
    let speaks = |it: &Listener| named.transport.is_none_or(|wanted| wanted == it.transport);
    if let Some(name) = table.listener {
        let its = |it: &&Listener| values::is_listener(name.value, it.transport, it.bind);
        let found = build.listeners.iter().find(its);
        let fault = match found {
            None => Fault::error(format!("there is no listener `{}`", name.value))
                .help("write the address of a [[listen]]"),
            Some(it) if !speaks(it) => {
                Fault::error("the listener has another transport than the address")
                    .help("name one of the same transport")
            }
            Some(it) => return Some(vec![it]),
        };
        faults.add(name.place, fault);
        return None;
    }
    let usable: Vec<&Listener> = build.listeners.iter().filter(|it| speaks(it)).collect();
    if let (true, Some(transport)) = (usable.is_empty(), named.transport) {
        let scheme = transport.scheme();
        if !build.listeners.is_empty() {
            let via = transport.via_name();
            let fault = Fault::error(format!("no listener can reach this name over {via}"));
            let help = format!("add a [[listen]] with an address \"{scheme}:…\"");
            faults.add(text.place, fault.help(help));
        }
    }
    (!usable.is_empty()).then_some(usable)
}

fn wanted(named: &Named, usable: &[&Listener]) -> Wanted {
    let prefix = named
        .transport
        .map_or_else(String::new, |it| format!("{}:", it.scheme()));
    let port = named.port.map_or_else(String::new, |it| format!(":{it}"));
    let over: SmallVec<[Transport; 3]> = PREFERRED
        .into_iter()
        .filter(|transport| usable.iter().any(|it| it.transport == *transport))
        .collect();
    Wanted {
        text: format!("{prefix}{}{port}", named.host).into(),
        host: named.host.as_str().into(),
        port: named.port,
        transport: named.transport,
        over,
        v4: usable.iter().any(|it| it.bind.is_ipv4()),
        v6: usable.iter().any(|it| it.bind.is_ipv6()),
    }
}

/// What an answer gives to send to, and what of it is left out. Whose the addresses are is
/// settled when all claims are known.
fn gateways(
    build: &Build<'_>,
    usable: &[&Listener],
    answer: Option<&Answer>,
    (trunk, large): (&Arc<Trunk>, bool),
) -> (Vec<Gateway>, Vec<(SocketAddr, LeftOut)>) {
    let (mut gateways, mut left_out) = (Vec::new(), Vec::new());
    let ways = answer.map_or(&[][..], |it| &it.ways);
    for way in ways.iter().take(GATEWAYS_PER_CARRIER) {
        let (transport, address) = (way.transport, way.address);
        let from =
            |it: &&&Listener| it.transport == transport && it.bind.is_ipv4() == address.is_ipv4();
        let own = |it: &Listener| {
            it.transport == transport && (it.bind == address || it.advertise == address)
        };
        let why = match usable.iter().find(from) {
            _ if !way.can_be_reached() => LeftOut::Nobody,
            _ if build.listeners.iter().any(own) => LeftOut::Own,
            None => LeftOut::NoListener,
            Some(listener) => {
                gateways.push(Gateway {
                    transport,
                    address,
                    listener: listener.id,
                    large_from: large.then(|| over_tcp(build, address)).flatten(),
                    priority: way.priority,
                    weight: way.weight,
                    trunk: build.counters.gateway(trunk, address),
                });
                continue;
            }
        };
        left_out.push((address, why));
    }
    gateways.sort_by_key(|it| it.priority);
    (gateways, left_out)
}

/// The listener from which requests that are too long go over TCP.
fn over_tcp(build: &Build<'_>, address: SocketAddr) -> Option<ListenerId> {
    let mut listeners = build.listeners.iter();
    let fits =
        |it: &&Listener| it.transport == Transport::Tcp && it.bind.is_ipv4() == address.is_ipv4();
    listeners.find(fits).map(|it| it.id)
}
