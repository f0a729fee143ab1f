//! The compiled rules: one immutable set, shared by all shards and swapped whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::alerting::Alerting;
use super::banning::Banning;
use super::cap::Condition;
use super::carrier::Carrier;
use super::counters::{Books, Zone};
use super::diagnostic::{Diagnostic, nearest};
use super::door::{Account, Door};
use super::hours::Hours;
use super::lane::{Cap, Home, Lane, Part};
use super::money::Amount;
use super::names::Names;
use super::number::{Kind, Number};
use super::numbering::{Country, Numbering};
use super::pattern::Pattern;
use super::peers::Peers;
use super::plan::Plan;
use super::spending::Allowance;
use super::table::{Entry, Table};
use super::target::{Destination, Packed};
use super::tariff::{Price, Tariff};
use super::tls::TlsRules;
use super::values::NumberRange;
use super::ways::Choice;
use crate::base::flow::{ListenerId, PeerName, Transport};
use crate::sip::digest::Algorithm;

/// A tenant of one rule set. The next set may number them otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// A carrier of one rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierId(pub u16);

/// A rule of one rule set: see [`RuleSet::rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(super) u32);

/// Whose traffic it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A tenant's phone system.
    Tenant(TenantId),
    /// A carrier.
    Carrier(CarrierId),
}

/// Where Tollgate listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its place in [`RuleSet::listeners`].
    pub id: ListenerId,
    /// How messages are carried.
    pub transport: Transport,
    /// The address it is bound to.
    pub bind: SocketAddr,
    /// The address that others reach it at, for Via and Contact.
    pub advertise: SocketAddr,
    /// Whether unknown sources are answered with a challenge.
    pub challenge: bool,
    /// What its challenges ask for, the best first: at least one.
    pub algorithms: Box<[Algorithm]>,
}

/// Where inbound calls of a tenant go: its phone system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How messages are carried.
    pub transport: Transport,
    /// The phone system's address.
    pub address: SocketAddr,
    /// From where.
    pub listener: ListenerId,
    /// From where requests that are too long for a datagram go over TCP, if it says so.
    pub large_from: Option<ListenerId>,
}

/// What happens to a call that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is let go, if its number can be read, and what would have been is
    /// recorded.
    Observe,
}

/// One customer.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name, which is also that of its counters.
    pub name: Arc<str>,
    /// The carriers that its calls may leave to, in order of their priorities.
    pub carriers: Box<[Choice]>,
    /// The longest that a call may last once it is answered. Narrower caps may
    /// shorten it: see `Allowed`.
    pub longest_call: Duration,
    /// The longest that it may ring.
    pub longest_ring: Duration,
    /// Where calls to its own numbers go; none if it takes no calls, or they go to where
    /// it has registered.
    pub inbound: Option<Delivery>,
    /// What happens to what is not allowed.
    pub mode: Mode,
    /// Its patterns, in [`RuleSet::patterns`].
    pub(super) patterns: Part,
    /// The rule that names its tariff.
    pub(super) tariff_rule: Option<RuleId>,
    /// What calls to its own numbers cost it: a place in [`RuleSet::tariffs`], or
    /// `NO_TARIFF`.
    pub(super) inbound_tariff: u16,
    /// The rule that names that one.
    pub(super) inbound_tariff_rule: Option<RuleId>,
}

/// How the program itself runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many shards there are; none for half the processors.
    pub shards: Option<u16>,
    /// How long live calls may go on after a request to stop.
    pub stop_after: Duration,
    /// The journal's directory, relative to the main file.
    pub ledger: String,
    /// Messages wait until their records are on the disk.
    pub to_disk: bool,
    /// How large a segment of the journal is, in 2²⁰ bytes: 1 to 1,024.
    pub segment_megabytes: u64,
    /// For how many days the journal is kept.
    pub keep_days: u64,
    /// How large the journal may grow, in 10⁹ bytes; none for any size.
    pub keep_gigabytes: Option<u64>,
    /// The control socket, relative to the main file; none for the usual one in
    /// the journal's directory.
    pub socket: Option<String>,
    /// Who is told when something is stopped.
    pub alerts: Alerting,
    /// When strangers are banned.
    pub bans: Banning,
}

/// A rule, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef<'r> {
    /// The file it is in.
    pub file: &'r str,
    /// Its line there, from 1.
    pub line: u32,
    /// What it says.
    pub text: &'r str,
}

/// Where every rule stands, and what it says.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// File, line, text, of each.
    pub places: Vec<(u32, u32, u32)>,
    pub files: Vec<Box<str>>,
    pub texts: Vec<Box<str>>,
}

/// All rules, compiled: see [`super::compile()`].
#[derive(Debug)]
pub struct RuleSet {
    pub(super) hash: [u8; 32],
    pub(super) version: u64,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) run: Run,
    pub(super) listeners: Vec<Listener>,
    pub(super) carriers: Vec<Carrier>,
    pub(super) tls: TlsRules,
    pub(super) looked_up: Names,
    pub(super) peers: Peers,
    /// Whose certificates are for whom.
    pub(super) named: HashMap<PeerName, Peer, FixedState>,
    /// Tenants by what ways between calls name them.
    pub(super) within: HashMap<PeerName, TenantId, FixedState>,
    /// What phone systems register with, by name.
    pub(super) accounts: HashMap<Box<str>, Account, FixedState>,
    /// What every tenant's calls have come to, of earlier rules' tenants too.
    pub(super) books: Arc<Books>,
    pub(super) door: Arc<Door>,
    /// BLAKE3 of who sends from where.
    pub(super) peers_hash: [u8; 32],
    pub(super) numbering: Arc<Numbering>,
    pub(super) plans: Vec<Plan>,
    /// Of each plan.
    pub(super) homes: Vec<Home>,
    pub(super) zones: Vec<Zone>,
    pub(super) tenants: Vec<Tenant>,
    /// In the order of their names.
    pub(super) names: Vec<TenantId>,
    pub(super) lanes: Vec<Lane>,
    pub(super) tariffs: Vec<Tariff>,
    pub(super) entries: Vec<Entry>,
    pub(super) caps: Vec<Cap>,
    pub(super) allowances: Vec<Allowance>,
    pub(super) conditions: Vec<Condition>,
    pub(super) hours: Vec<Hours>,
    pub(super) patterns: Vec<Pattern>,
    /// Whose numbers these are, for inbound calls; sorted, without overlap.
    pub(super) owners: Vec<(NumberRange, TenantId)>,
    pub(super) rules: Rules,
}

impl RuleSet {
    /// BLAKE3 of all sources: equal for equal rules.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Higher than that of every set compiled earlier against the same counters.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is odd in the rule files, but does not make them unusable.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// How the program itself runs.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Where Tollgate listens; a [`ListenerId`] is an index into this.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The carriers; a [`CarrierId`] is an index into this.
    #[must_use]
    pub fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }

    /// Which certificates and keys there are.
    #[must_use]
    pub fn tls(&self) -> &TlsRules {
        &self.tls
    }

    /// The carrier, if the set has it.
    #[must_use]
    pub fn carrier(&self, id: CarrierId) -> Option<&Carrier> {
        self.carriers.get(usize::from(id.0))
    }

    /// The tenants; a [`TenantId`] is an index into this.
    #[must_use]
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// The tenant, if the set has it.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(id.0 as usize)
    }

    /// The tenant of this name.
    #[must_use]
    pub fn tenant_named(&self, name: &str) -> Option<TenantId> {
        let named = |id: &TenantId| self.tenant(*id).map_or("", |tenant| &tenant.name);
        let at = self.names.binary_search_by(|id| named(id).cmp(name)).ok()?;
        self.names.get(at).copied()
    }

    /// The tenant whose name is nearest to `name`, if one is near enough to be meant.
    #[must_use]
    pub fn tenant_nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.tenants.iter().map(|it| &*it.name))
    }

    /// The tenant's dial plan.
    #[must_use]
    pub fn plan(&self, tenant: TenantId) -> Option<&Plan> {
        let lane = self.lane(tenant)?;
        self.plans.get(usize::from(lane.plan))
    }

    /// The numbering table that these rules go by.
    #[must_use]
    pub fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// Whose own number this is, among the tenants that take calls.
    #[must_use]
    pub fn tenant_of_called(&self, number: &Number) -> Option<TenantId> {
        let number = Packed::of(number).filter(|it| !it.is_short())?;
        let key = (number.length(), number);
        let behind = self
            .owners
            .partition_point(|(range, _)| range.order() <= key);
        let (range, tenant) = self.owners.get(behind.checked_sub(1)?)?;
        range.contains(number).then_some(*tenant)
    }

    /// How many rules there are, over all tenants.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.places.len()
    }

    /// Where a rule stands and what it says.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> RuleRef<'_> {
        let place = self.rules.places.get(id.0 as usize).copied();
        let (file, line, text) = place.unwrap_or((u32::MAX, 0, u32::MAX));
        RuleRef {
            file: self.rules.files.get(file as usize).map_or("", |it| it),
            line,
            text: self.rules.texts.get(text as usize).map_or("", |it| it),
        }
    }

    pub(super) fn lane(&self, tenant: TenantId) -> Option<&Lane> {
        self.lanes.get(tenant.0 as usize)
    }

    /// Whether the number is one of the tenant's own.
    pub(super) fn owns(&self, lane: &Lane, number: Packed) -> bool {
        let own = lane.own().of(&self.entries);
        let key = (number.length(), number);
        let behind = own.partition_point(|entry| entry.as_range().order() <= key);
        let entry = behind.checked_sub(1).and_then(|at| own.get(at));
        entry.is_some_and(|entry| entry.as_range().contains(number))
    }

    /// The country of the tenant's plan.
    pub(super) fn home(&self, lane: &Lane) -> Option<Country> {
        self.homes.get(usize::from(lane.plan))?.country
    }

    /// The tenant's tariff; none if it has none, and no call of it a price.
    #[must_use]
    pub fn tariff(&self, tenant: TenantId) -> Option<&Tariff> {
        self.tariff_of(self.lane(tenant)?)
    }

    /// What a tenant's calls to a number cost, by its tariff; none if the tariff
    /// does not say, or there is none.
    #[must_use]
    pub fn price(&self, tenant: TenantId, number: &Number) -> Option<Price<'_>> {
        let lane = self.lane(tenant)?;
        let to = self.destination(lane, number)?;
        self.price_to(lane, &to)
    }

    /// What a call of a minute costs a tenant at the most; none without a price.
    #[must_use]
    pub fn minute(&self, tenant: TenantId, number: &Number) -> Option<Amount> {
        let price = self.price(tenant, number)?;
        Some(Amount {
            currency: price.currency(),
            money: price.dearest(60),
        })
    }

    /// The price of what was read already.
    pub(super) fn price_to(&self, lane: &Lane, to: &Destination) -> Option<Price<'_>> {
        self.tariff_of(lane)?.price(to, self.home(lane))
    }

    /// What rules look at in a number that was read before; nothing for an
    /// emergency's.
    pub(super) fn destination(&self, lane: &Lane, number: &Number) -> Option<Destination> {
        let kind = match number.international_digits() {
            Some(digits) => {
                let range = self.numbering.lookup(digits);
                Kind::International {
                    country: range.country,
                    class: range.class,
                }
            }
            None => self.plans.get(usize::from(lane.plan))?.short_code(number)?,
        };
        Destination::new(number, kind)
    }

    /// The tariff, if there is one.
    pub(super) fn tariff_of(&self, lane: &Lane) -> Option<&Tariff> {
        self.tariffs.get(usize::from(lane.tariff))
    }

    /// The tenant's destination rules.
    pub(super) fn destinations_of(&self, lane: &Lane) -> Table<'_> {
        Table::new(
            lane.destinations().of(&self.entries),
            lane.destination_kinds,
        )
    }
}
