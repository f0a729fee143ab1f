//! A rule set while it grows, file by file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZoneDatabase;

use super::main::{KEPT_DAYS, LEDGER, SEGMENT_MEGABYTES, STOP_AFTER};
use crate::base::flow::{ListenerId, PeerName, Transport};
use crate::policy::alerting::Alerting;
use crate::policy::banning::Banning;
use crate::policy::cap::Condition;
use crate::policy::carrier::Carrier;
use crate::policy::counters::{Counters, Zone};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex, Place, nearest};
use crate::policy::door::Account;
use crate::policy::hours::Hours;
use crate::policy::lane::{Cap, Home, Lane};
use crate::policy::names::{Answers, Names};
use crate::policy::numbering::{Classes, Numbering};
use crate::policy::pattern::Pattern;
use crate::policy::peers::Peers;
use crate::policy::plan::Plan;
use crate::policy::ruleset::{
    CarrierId, Listener, Peer, RuleId, RuleSet, Rules, Run, Tenant, TenantId,
};
use crate::policy::spending::Allowance;
use crate::policy::table::Entry;
use crate::policy::target::{Packed, Target};
use crate::policy::tariff::Tariff;
use crate::policy::tls::TlsRules;
use crate::policy::values::{self, NumberRange};

/// Everything known so far.
pub(super) struct Build<'z> {
    pub numbering: Arc<Numbering>,
    pub counters: &'z Counters,
    zone_database: &'z TimeZoneDatabase,
    pub main_place: Place,
    /// A plan could not be read, so that its name is not known.
    pub unread: bool,
    pub run: Run,
    pub listeners: Vec<Listener>,
    pub carriers: Vec<Carrier>,
    pub tls: TlsRules,
    /// Carriers by name; none for one that has no effect yet.
    pub carrier_names: BTreeMap<String, (Place, Option<CarrierId>)>,
    pub plans: Vec<Plan>,
    pub homes: Vec<Home>,
    pub plan_names: BTreeMap<String, (Place, Option<u16>)>,
    pub tariffs: Vec<Tariff>,
    pub tariff_names: BTreeMap<String, u16>,
    zones: Vec<Zone>,
    zone_places: BTreeMap<String, u16>,
    pub claims: BTreeMap<IpNet, (Peer, Place)>,
    /// Whose certificates these names are in.
    pub named: BTreeMap<String, (Peer, Place)>,
    /// What phone systems register with.
    pub accounts: BTreeMap<Box<str>, (Account, Place)>,
    /// Where peers are sent to: their answers must come from what they claim.
    pub reached: Vec<(At<SocketAddr>, Peer)>,
    /// What is known of what names lead to.
    pub answers: &'z Answers,
    pub names: Names,
    /// Where names lead that may be sources of their carriers.
    pub found: Vec<(IpAddr, CarrierId)>,
    pub peers_hash: [u8; 32],
    pub tenants: Vec<Tenant>,
    pub tenant_names: BTreeMap<Arc<str>, Place>,
    pub lanes: Vec<Lane>,
    pub entries: Vec<Entry>,
    pub caps: Vec<Cap>,
    pub allowances: Vec<Allowance>,
    pub conditions: Vec<Condition>,
    pub hours: Vec<Hours>,
    pub patterns: Vec<Pattern>,
    pub owners: Vec<(NumberRange, TenantId, Place)>,
    rules: Rules,
    texts: BTreeMap<Box<str>, u32>,
    under: BTreeMap<Packed, Classes>,
}

impl<'z> Build<'z> {
    pub(super) fn new(
        numbering: Arc<Numbering>,
        zone_database: &'z TimeZoneDatabase,
        counters: &'z Counters,
        answers: &'z Answers,
    ) -> Self {
        Self {
            answers,
            names: Names::default(),
            found: Vec::new(),
            numbering,
            counters,
            zone_database,
            main_place: Place::new(0, &(0..0)),
            unread: false,
            run: Run {
                shards: None,
                stop_after: STOP_AFTER,
                to_disk: false,
                segment_megabytes: SEGMENT_MEGABYTES,
                keep_days: KEPT_DAYS,
                keep_gigabytes: None,
                ledger: LEDGER.to_owned(),
                socket: None,
                alerts: Alerting::default(),
                bans: Banning::default(),
            },
            listeners: Vec::new(),
            carriers: Vec::new(),
            tls: TlsRules::default(),
            carrier_names: BTreeMap::new(),
            plans: Vec::new(),
            homes: Vec::new(),
            plan_names: BTreeMap::new(),
            tariffs: Vec::new(),
            tariff_names: BTreeMap::new(),
            zones: Vec::new(),
            zone_places: BTreeMap::new(),
            claims: BTreeMap::new(),
            named: BTreeMap::new(),
            accounts: BTreeMap::new(),
            reached: Vec::new(),
            peers_hash: [0; 32],
            tenants: Vec::new(),
            tenant_names: BTreeMap::new(),
            lanes: Vec::new(),
            entries: Vec::new(),
            caps: Vec::new(),
            allowances: Vec::new(),
            conditions: Vec::new(),
            hours: Vec::new(),
            patterns: Vec::new(),
            owners: Vec::new(),
            rules: Rules::default(),
            texts: BTreeMap::new(),
            under: BTreeMap::new(),
        }
    }

    /// Notes a rule that says `text` at `place`.
    pub(super) fn rule(&mut self, place: Place, lines: &LineIndex, text: String) -> RuleId {
        let fresh = u32::try_from(self.rules.texts.len()).unwrap_or(u32::MAX);
        let text = match self.texts.get(text.as_str()) {
            Some(&known) => known,
            None => {
                let text: Box<str> = text.into();
                self.rules.texts.push(text.clone());
                self.texts.insert(text, fresh);
                fresh
            }
        };
        let id = u32::try_from(self.rules.places.len()).unwrap_or(u32::MAX);
        self.rules
            .places
            .push((place.file, lines.line(place.start), text));
        RuleId(id)
    }

    /// The classes of the assigned numbers that begin with a prefix; none for any
    /// other target.
    pub(super) fn classes_under(&mut self, target: Target) -> Classes {
        let Target::Prefix(prefix) = target else {
            return Classes::default();
        };
        let numbering = &self.numbering;
        *self.under.entry(prefix).or_insert_with(|| {
            let number = prefix.number();
            let digits = number.as_ref().and_then(|it| it.international_digits());
            numbering.classes_under(digits.unwrap_or_default())
        })
    }

    /// The place of a time zone.
    pub(super) fn zone(&mut self, name: At<&str>, faults: &mut Faults<'_>) -> Option<u16> {
        if let Some(&known) = self.zone_places.get(name.value) {
            return Some(known);
        }
        let Ok(zone) = self.zone_database.get(name.value) else {
            let all: Vec<String> = self
                .zone_database
                .available()
                .map(|it| it.to_string())
                .collect();
            // The nearest of abbreviations may be hours away: "EST" to "JST".
            let cities = all.iter().map(String::as_str).filter(|it| it.contains('/'));
            let near = nearest(name.value, cities).filter(|_| name.value.contains('/'));
            let help = match near {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => "write a zone of the IANA database: \"Asia/Tokyo\", \"Europe/Paris\", \
                         \"UTC\""
                    .to_owned(),
            };
            let fault = Fault::error(format!("there is no time zone `{}`", name.value));
            faults.add(name.place, fault.help(help));
            return None;
        };
        let place = u16::try_from(self.zones.len()).ok()?;
        self.zones.push(Zone::new(zone));
        self.zone_places.insert(name.value.to_owned(), place);
        Some(place)
    }

    /// Reads the networks that `peer` sends from, each of which one peer claims.
    pub(super) fn claim(&mut self, sources: &[At<&str>], peer: Peer, faults: &mut Faults<'_>) {
        for source in sources {
            let net = match values::network(source.value) {
                Ok(net) => net,
                Err(help) => {
                    let fault = Fault::error(format!("`{}` is no network", source.value));
                    faults.add(source.place, fault.help(help));
                    continue;
                }
            };
            if net.prefix_len() == 0 {
                let fault = Fault::error("this claims every address there is");
                let help = "name the addresses that the traffic comes from: everybody else is a \
                            stranger";
                faults.add(source.place, fault.help(help));
                continue;
            }
            if let Some(&(_, first)) = self.claims.get(&net) {
                let first = faults.pointer(first);
                let fault = Fault::error(format!("`{}` is claimed twice", source.value));
                let help = format!("the other claim is at {first}; an address is one peer's");
                faults.add(source.place, fault.help(help));
                continue;
            }
            self.claims.insert(net, (peer, source.place));
        }
    }

    /// Notes that `peer` is sent to at this address.
    pub(super) fn reach(&mut self, at: At<SocketAddr>, peer: Peer) {
        self.reached.push((at, peer));
    }

    /// The listener from which large requests go over TCP, if they are to.
    pub(super) fn listener_for_large(
        &self,
        wanted: Option<At<bool>>,
        address: SocketAddr,
        faults: &mut Faults<'_>,
    ) -> Option<ListenerId> {
        let at = wanted.filter(|it| it.value)?.with(address);
        self.listener_for(Transport::Tcp, at, None, faults)
    }

    /// The listener from which `address` is reached: the one named, or the first
    /// of the same transport and IP version.
    pub(super) fn listener_for(
        &self,
        transport: Transport,
        at: At<SocketAddr>,
        named: Option<At<&str>>,
        faults: &mut Faults<'_>,
    ) -> Option<ListenerId> {
        let is_there = |it: &Listener| it.bind == at.value || it.advertise == at.value;
        let is_own = |it: &Listener| it.transport == transport && is_there(it);
        if self.listeners.iter().any(is_own) {
            let fault = Fault::error("Tollgate itself listens there");
            let help = "write the address that the carrier, or the phone system, listens at";
            faults.add(at.place, fault.help(help));
            return None;
        }
        let same_version = |it: &&Listener| it.bind.is_ipv4() == at.value.is_ipv4();
        let same_transport = |it: &&Listener| it.transport == transport;
        let scheme = transport.scheme();
        if let Some(name) = named {
            let is_it = |it: &&Listener| values::is_listener(name.value, it.transport, it.bind);
            let found = self.listeners.iter().find(is_it);
            if found.is_none() {
                let fault = Fault::error(format!("there is no listener `{}`", name.value));
                faults.add(name.place, fault.help("write the address of a [[listen]]"));
            } else if found.filter(same_transport).is_none() {
                let fault = Fault::error("the listener has another transport than the address")
                    .help(format!("name a {scheme}: listener"));
                faults.add(name.place, fault);
            } else if found.filter(same_version).is_none() {
                let fault = Fault::error("one is IPv4, the other IPv6")
                    .help("name a listener of the same IP version as the address");
                faults.add(name.place, fault);
            }
            let fits = found.filter(same_version).filter(same_transport);
            return fits.map(|it| it.id);
        }
        let mut fitting = self.listeners.iter().filter(same_transport);
        let found = fitting.find(same_version);
        if found.is_none() && !self.listeners.is_empty() {
            let version = if at.value.is_ipv4() { "IPv4" } else { "IPv6" };
            let what = format!("{version} address over {}", transport.via_name());
            let fault = Fault::error(format!("no listener can reach this {what}"));
            let help = format!("add a [[listen]] with an {version} address, \"{scheme}:…\"");
            faults.add(at.place, fault.help(help));
        }
        found.map(|it| it.id)
    }

    /// Sorts the numbers that take calls, which one tenant each may have.
    pub(super) fn settle_owners(&mut self, faults: &mut Faults<'_>) {
        self.owners
            .sort_unstable_by_key(|(range, _, place)| (range.order(), *place));
        let mut last: Option<(NumberRange, TenantId, Place)> = None;
        for &(range, tenant, place) in &self.owners {
            let before = last.filter(|(it, ..)| it.overlaps(&range));
            if let Some((_, other, first)) = before
                && other != tenant
            {
                let first = faults.pointer(first);
                let fault = Fault::error("two tenants take calls to the same number");
                let help = format!("the other has it at {first}; give it to one of them");
                faults.add(place, fault.help(help));
            }
            // Of overlapping ranges the one that reaches furthest.
            let reach = last.filter(|(it, ..)| it.overlaps(&range) && it.last >= range.last);
            last = reach.or(Some((range, tenant, place)));
        }
    }

    /// The finished set; its hash, its files' names and its warnings are yet to
    /// be put in.
    pub(super) fn finish(self, version: u64, peers: Peers) -> RuleSet {
        let name = |id: &TenantId| self.tenants.get(id.0 as usize).map(|it| &it.name);
        let mut names: Vec<TenantId> = (0..).map(TenantId).take(self.tenants.len()).collect();
        names.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        RuleSet {
            hash: [0; 32],
            version,
            warnings: Vec::new(),
            run: self.run,
            listeners: self.listeners,
            carriers: self.carriers,
            tls: self.tls,
            looked_up: Names {
                answers: self.names.answers_of(self.answers),
                ..self.names
            },
            peers,
            within: (0..)
                .zip(&self.tenants)
                .map(|(id, it)| (PeerName::of_tenant(&it.name), TenantId(id)))
                .collect(),
            named: self
                .named
                .iter()
                .map(|(name, (peer, _))| (PeerName::of(name), *peer))
                .collect(),
            peers_hash: self.peers_hash,
            accounts: self
                .accounts
                .into_iter()
                .map(|(name, it)| (name, it.0))
                .collect(),
            books: self.counters.books(),
            door: self.counters.door(),
            numbering: self.numbering,
            plans: self.plans,
            homes: self.homes,
            zones: self.zones,
            tenants: self.tenants,
            names,
            lanes: self.lanes,
            tariffs: self.tariffs,
            entries: self.entries,
            caps: self.caps,
            allowances: self.allowances,
            conditions: self.conditions,
            hours: self.hours,
            patterns: self.patterns,
            owners: self
                .owners
                .into_iter()
                .map(|(range, tenant, _)| (range, tenant))
                .collect(),
            rules: self.rules,
        }
    }
}

/// Reads a duration that lies between `least` and `most`.
pub(super) fn duration(
    text: At<&str>,
    least: Duration,
    most: Duration,
    faults: &mut Faults<'_>,
) -> Option<Duration> {
    let wrong = match values::duration(text.value) {
        Ok(duration) if duration < least => format!("write {} s at least", least.as_secs()),
        Ok(duration) if duration > most => format!("write {} s at most", most.as_secs()),
        Ok(duration) => return Some(duration),
        Err(help) => help.to_owned(),
    };
    let fault = Fault::error(format!(
        "`{}` is no duration that can be used here",
        text.value
    ));
    faults.add(text.place, fault.help(wrong));
    None
}

/// Checks a name that the writer chooses.
pub(super) fn name_is_good(name: At<&str>, faults: &mut Faults<'_>) -> bool {
    const LONGEST: usize = 64;
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let all_good = !name.value.is_empty() && name.value.bytes().all(good);
    if all_good && name.value.len() <= LONGEST {
        return true;
    }
    let fault = Fault::error(format!("`{}` cannot be a name", name.value))
        .help("a name is 1 to 64 letters of a-z, digits, `-`, `_` and `.`");
    faults.add(name.place, fault);
    false
}

/// Notes that `name` is there already.
pub(super) fn named_twice(name: At<&str>, what: &str, first: Place, faults: &mut Faults<'_>) {
    let first = faults.pointer(first);
    let fault = Fault::error(format!("there are two {what}s named `{}`", name.value));
    faults.add(name.place, fault.help(format!("the other is at {first}")));
}

/// Notes that nothing is named `name`, and what there is.
pub(super) fn no_such<'k>(
    name: At<&str>,
    what: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    faults: &mut Faults<'_>,
) {
    let fault = Fault::error(format!("there is no {what} named `{}`", name.value));
    let help = match nearest(name.value, known.clone()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None if known.clone().next().is_none() => format!("there is no {what} at all"),
        None => {
            // No more than anyone reads.
            let some: Vec<&str> = known.take(20).collect();
            format!("there is \"{}\"", some.join("\", \""))
        }
    };
    faults.add(name.place, fault.help(help));
}
