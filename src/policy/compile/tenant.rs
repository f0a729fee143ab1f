//! A tenant's file: who it is, whom it may show, where its calls go.

use std::sync::Arc;
use std::time::Duration;

use super::build::{Build, duration, name_is_good, named_twice, no_such};
use super::main::{address, is_reachable};
use super::{budget, caps, choices, destinations, hours, patterns};
use crate::policy::diagnostic::{At, Fault, Faults, LineIndex};
use crate::policy::lane::{Forwarded, Lane, Longest, NO_TARIFF, Otherwise, Part};
use crate::policy::model::{CapTable, InboundTable, TenantFile};
use crate::policy::numbering::Length;
use crate::policy::ruleset::{Delivery, Mode, Peer, RuleId, Tenant, TenantId};
use crate::policy::table::{self, Entry, Kinds};
use crate::policy::target::Packed;
use crate::policy::values::{self, NumberRange};

/// The longest call and ring of a tenant that does not say.
const USUAL: Longest = Longest {
    call: 4 * 3_600,
    ring: 180,
};
/// What stands in place of a phone system's address that is where it has registered.
const REGISTERED: &str = "registered";
/// The longest call that can be allowed.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 3_600);
/// The longest ring that can be allowed.
const LONGEST_RING: Duration = Duration::from_secs(3_600);

/// Takes a tenant's file into the set. It is there afterwards even if it has
/// faults, so that faults of other files that name it are found.
pub(super) fn tenant(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) {
    let Some((name, id)) = name_and_id(build, file, faults) else {
        return;
    };
    let plan = plan(build, file, faults);
    let (tariffs, [tariff_rule, inbound_tariff_rule]) = tariffs(build, file, lines, faults);
    let carriers = choices::choices(build, file, faults);
    let zone = file.time_zone.and_then(|zone| build.zone(zone, faults));
    let mode = tenant_mode(file, faults);
    let unpriced = unpriced(file, mode, faults);
    sources(build, file, id, faults);
    let callers = callers(build, file, lines, faults);
    let destinations = destinations::destinations(build, file, lines, faults);
    let inbound = delivery(build, file, &callers, id, faults);
    let longest = own_longest(file, faults);
    let name_shared: Arc<str> = name.value.into();
    let book = build.counters.book(&name_shared);
    let hours = hours::hours(build, file, faults);
    let scopes = caps::Scopes {
        hours: &hours,
        book: &book,
        tariffs,
    };
    let caps = caps::caps(build, file, &scopes, lines, faults);
    let patterns = patterns::patterns(build, &file.patterns, &hours, &book, lines, faults);
    build.tenant_names.insert(name_shared.clone(), name.place);
    build.tenants.push(Tenant {
        name: name_shared,
        carriers: carriers.into(),
        longest_call: Duration::from_secs(longest.call.into()),
        longest_ring: Duration::from_secs(longest.ring.into()),
        inbound,
        mode,
        patterns,
        tariff_rule,
        inbound_tariff: tariffs.inbound,
        inbound_tariff_rule,
    });
    build.lanes.push(Lane {
        book,
        own: callers.own.start,
        destinations: destinations.part.start,
        destination_kinds: destinations.kinds,
        cap_targets: caps.targets.part.start,
        cap_kinds: caps.targets.kinds,
        end: caps.targets.part.end,
        tariff: tariffs.outbound,
        unpriced,
        default: callers.default,
        wide_caps: caps.wide,
        wide_count: caps.wide_count,
        inbound_count: caps.inbound_count,
        otherwise: callers.manners.0,
        forwarded: callers.manners.1,
        watched: !file.patterns.is_empty(),
        mode,
        when_spent: budget::when_spent(file, faults),
        callers: callers.rule,
        zone: zone.unwrap_or(0),
        plan: plan.unwrap_or(0),
        longest_call: longest.call,
        longest_ring: u16::try_from(longest.ring).unwrap_or(u16::MAX),
    });
}

/// How long its calls may take.
fn own_longest(file: &TenantFile<'_>, faults: &mut Faults<'_>) -> Longest {
    let longest = file.caps.as_ref().map(|caps| longest(caps, faults));
    longest.unwrap_or(Longest::NONE).or(USUAL)
}

/// Where calls to the tenant's numbers go; whose these are is noted.
fn delivery(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    callers: &Callers,
    id: TenantId,
    faults: &mut Faults<'_>,
) -> Option<Delivery> {
    let table = file.inbound.as_ref()?;
    if let Some(text) = table.deliver_to.filter(|it| it.value == REGISTERED) {
        if file.accounts.is_empty() {
            let fault = Fault::error("nobody can register for these calls");
            let help = "add an [[account]], with username and secret_file";
            faults.add(text.place, fault.help(help));
        }
        own_numbers(build, file, callers, id);
        return None;
    }
    let delivery = inbound(build, table, id, faults)?;
    own_numbers(build, file, callers, id);
    Some(delivery)
}

/// Notes whose the tenant's numbers are, for calls to them.
fn own_numbers(build: &mut Build<'_>, file: &TenantFile<'_>, callers: &Callers, id: TenantId) {
    let own = callers.own.of(&build.entries).iter();
    let place = file.callers.own.first().map_or(file.place, |it| it.place);
    build
        .owners
        .extend(own.map(|entry| (entry.as_range(), id, place)));
}

/// A tenant's arranged entries: which part of all, and of which kinds.
#[derive(Clone, Copy)]
pub(super) struct Arranged {
    pub part: Part,
    pub kinds: Kinds,
}

/// Arranges the entries from `start` on.
pub(super) fn arrange(entries: &mut [Entry], start: usize) -> Arranged {
    let part = Part::new(start, entries.len());
    let own = entries.get_mut(start..);
    Arranged {
        part,
        kinds: own.map(table::arrange).unwrap_or_default(),
    }
}

/// The tenant's name, if it is good and nobody else's, and its number.
fn name_and_id<'t>(
    build: &Build<'_>,
    file: &TenantFile<'t>,
    faults: &mut Faults<'_>,
) -> Option<(At<&'t str>, TenantId)> {
    let name = file.name.filter(|&name| name_is_good(name, faults))?;
    if let Some(&first) = build.tenant_names.get(name.value) {
        named_twice(name, "tenant", first, faults);
        return None;
    }
    let id = u32::try_from(build.tenants.len()).ok()?;
    Some((name, TenantId(id)))
}

fn plan(build: &Build<'_>, file: &TenantFile<'_>, faults: &mut Faults<'_>) -> Option<u16> {
    let name = file.plan?;
    match build.plan_names.get(name.value) {
        Some((_, id)) => *id,
        None => {
            // A plan without a readable name may be the one.
            if !build.unread {
                no_such(
                    name,
                    "plan",
                    build.plan_names.keys().map(String::as_str),
                    faults,
                );
            }
            None
        }
    }
}

/// Its tariffs' places, and the rules that name that of calls to carriers and the other.
fn tariffs(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> (budget::Tariffs, [Option<RuleId>; 2]) {
    let outbound = file.tariff;
    let inbound = file.inbound.as_ref().and_then(|table| table.tariff);
    let tariffs = budget::Tariffs {
        outbound: outbound
            .and_then(|name| tariff_named(build, name, faults))
            .unwrap_or(NO_TARIFF),
        inbound: inbound
            .and_then(|name| inbound_tariff(build, name, faults))
            .unwrap_or(NO_TARIFF),
    };
    let mut rule = |name: Option<At<&str>>, at: u16| {
        let name = name.filter(|_| at != NO_TARIFF)?;
        let text = format!("tariff = \"{}\"", name.value);
        Some(build.rule(name.place, lines, text))
    };
    let rules = [
        rule(outbound, tariffs.outbound),
        rule(inbound, tariffs.inbound),
    ];
    (tariffs, rules)
}

fn tariff_named(build: &Build<'_>, name: At<&str>, faults: &mut Faults<'_>) -> Option<u16> {
    let found = build.tariff_names.get(name.value).copied();
    if found.is_none() {
        let known = build.tariff_names.keys().map(String::as_str);
        no_such(name, "tariff", known, faults);
    }
    found
}

/// The tariff of calls to the tenant's own numbers. Of a call that is refused, or never
/// answered, nothing can be held back: it must cost nothing.
fn inbound_tariff(build: &Build<'_>, name: At<&str>, faults: &mut Faults<'_>) -> Option<u16> {
    let at = tariff_named(build, name, faults)?;
    let tariff = build.tariffs.get(usize::from(at));
    if tariff.is_some_and(|it| it.bills_attempts()) {
        let fault = Fault::error("calls from carriers can be billed from their answer on alone")
            .label("this tariff has `setup_on` attempt or `bill_from` invite")
            .help("name another tariff: what is billed before an answer, no budget can bound");
        faults.add(name.place, fault);
    }
    Some(at)
}

/// The tenant's mode. That nothing is refused is easily forgotten, so it is said at
/// every start.
fn tenant_mode(file: &TenantFile<'_>, faults: &mut Faults<'_>) -> Mode {
    let mode = mode(file.mode, faults);
    if let (Mode::Observe, Some(said)) = (mode, file.mode) {
        let fault = Fault::warning("the tenant is only observed")
            .label("only what cannot be read, or has no price, is refused")
            .help("write \"enforce\" once the log refuses only what it should");
        faults.add(said.place, fault);
    }
    mode
}

/// Whether calls without a price go out in observe mode, too.
fn unpriced(file: &TenantFile<'_>, mode: Mode, faults: &mut Faults<'_>) -> bool {
    let Some(said) = file.unpriced else {
        return false;
    };
    if said.value && mode == Mode::Enforce {
        let fault = Fault::warning("`unpriced` is for observe mode").label("has no effect");
        let help = "a call without a price is refused; give it one, or take out the tariff";
        faults.add(said.place, fault.help(help));
    }
    said.value
}

pub(super) fn mode(mode: Option<At<&str>>, faults: &mut Faults<'_>) -> Mode {
    match mode {
        None => Mode::Enforce,
        Some(text) => match text.value {
            "enforce" => Mode::Enforce,
            "observe" => Mode::Observe,
            other => {
                let fault = Fault::error(format!("`{other}` is no mode"));
                faults.add(text.place, fault.help("write \"enforce\" or \"observe\""));
                Mode::Enforce
            }
        },
    }
}

fn sources(build: &mut Build<'_>, file: &TenantFile<'_>, id: TenantId, faults: &mut Faults<'_>) {
    super::registration::accounts(build, &file.accounts, id, faults);
    build.claim(&file.sources, Peer::Tenant(id), faults);
    super::tls::claim(build, &file.tls_names, Peer::Tenant(id), faults);
    // Beside other faults it may only follow from them.
    let known = [
        file.sources.len(),
        file.tls_names.len(),
        file.accounts.len(),
    ];
    if known == [0; 3] && !faults.any_errors() {
        let fault = Fault::warning("the tenant has no `sources`")
            .label("its traffic is a stranger's")
            .help("say under [identify] where its phone system sends from, or whom its certificate is for");
        faults.add(file.place, fault);
    }
}

/// What `[callers]` comes to.
struct Callers {
    own: Part,
    manners: (Otherwise, Forwarded),
    default: Packed,
    rule: RuleId,
}

fn callers(
    build: &mut Build<'_>,
    file: &TenantFile<'_>,
    lines: &LineIndex,
    faults: &mut Faults<'_>,
) -> Callers {
    let table = &file.callers;
    let mut ranges: Vec<NumberRange> = table
        .own
        .iter()
        .filter_map(|&text| own_range(build, text, faults))
        .collect();
    let ranges_read = ranges.len();
    ranges.sort_unstable_by_key(NumberRange::order);
    ranges.dedup_by(|next, kept| {
        let overlaps = kept.overlaps(next);
        if overlaps {
            kept.last = kept.last.max(next.last);
        }
        overlaps
    });
    if let (true, Some(place)) = (table.own.is_empty(), table.own_place) {
        let fault = Fault::error("the tenant has no number of its own");
        let help = "write those it may show: every call shows one, emergency calls too";
        faults.add(place, fault.help(help));
    }
    let otherwise = otherwise(table.otherwise, faults);
    let forwarded = forwarded(table.forwarded, faults);
    let default = match table.default {
        Some(text) => {
            let all_read = ranges_read == table.own.len();
            default_caller(text, all_read.then_some(&ranges), faults)
        }
        None if table.has_default => None,
        // An emergency call shows one of the tenant's numbers in any case.
        None if otherwise == Otherwise::Refuse => ranges.first().map(|range| range.first),
        None => {
            let place = table.otherwise.map_or(file.place, |it| it.place);
            let place = table.own.first().map_or(place, |it| it.place);
            let fault = Fault::error("`default` in [callers] is missing");
            let help = "say which number is shown instead of one that is not the tenant's, or \
                        write otherwise = \"refuse\"";
            faults.add(place, fault.help(help));
            None
        }
    };
    let place = table.otherwise.map_or(file.place, |it| it.place);
    let verb = table.otherwise.map_or("replace", |it| it.value);
    let rule = build.rule(place, lines, format!("[callers] otherwise = \"{verb}\""));
    if let Some(forwarded) = table.forwarded {
        // Behind the rule about callers: see `RuleSet::identify`.
        let text = format!("[callers] forwarded = \"{}\"", forwarded.value);
        build.rule(forwarded.place, lines, text);
    }
    let start = build.entries.len();
    build.entries.extend(ranges.into_iter().map(Entry::range));
    Callers {
        own: Part::new(start, build.entries.len()),
        manners: (otherwise, forwarded),
        default: default.unwrap_or_default(),
        rule,
    }
}

fn otherwise(text: Option<At<&str>>, faults: &mut Faults<'_>) -> Otherwise {
    match text.map(|it| (it.value, it.place)) {
        None | Some(("replace", _)) => Otherwise::Replace,
        Some(("refuse", _)) => Otherwise::Refuse,
        Some((other, place)) => {
            let fault = Fault::error(format!("`{other}` is not what can be done"));
            faults.add(place, fault.help("write \"replace\" or \"refuse\""));
            Otherwise::Replace
        }
    }
}

fn forwarded(text: Option<At<&str>>, faults: &mut Faults<'_>) -> Forwarded {
    match text.map(|it| (it.value, it.place)) {
        None => Forwarded::AsOthers,
        Some(("refuse", _)) => Forwarded::Refuse,
        Some(("replace", _)) => Forwarded::Replace,
        Some(("keep", _)) => Forwarded::Keep,
        Some((other, place)) => {
            let fault = Fault::error(format!("`{other}` is not what can be done"));
            let help = "write \"replace\" (by the number that forwards), \"keep\" or \"refuse\"";
            faults.add(place, fault.help(help));
            Forwarded::AsOthers
        }
    }
}

fn own_range(build: &Build<'_>, text: At<&str>, faults: &mut Faults<'_>) -> Option<NumberRange> {
    let range = match values::number_range(text.value) {
        Ok(range) => range,
        Err(help) => {
            let fault = Fault::error(format!("`{}` is no number or range", text.value));
            faults.add(text.place, fault.help(help));
            return None;
        }
    };
    for end in [range.first, range.last] {
        let number = end.number();
        let digits = number.as_ref().and_then(|it| it.international_digits());
        let found = build.numbering.lookup(digits.unwrap_or_default());
        if found.length == Length::Impossible {
            let fault = Fault::error(format!("no number can be `{end:?}`"));
            let help = "check the digits: the country's code, no 0 behind it, and the length";
            faults.add(text.place, fault.help(help));
            return None;
        }
    }
    Some(range)
}

/// The number to show instead; it must be one of `own`, if those could all be read.
fn default_caller(
    text: At<&str>,
    own: Option<&Vec<NumberRange>>,
    faults: &mut Faults<'_>,
) -> Option<Packed> {
    let number = match values::number(text.value) {
        Ok(number) => number,
        Err(help) => {
            let fault = Fault::error(format!("`{}` is no number", text.value));
            faults.add(text.place, fault.help(help));
            return None;
        }
    };
    if let Some(own) = own
        && !own.iter().any(|range| range.contains(number))
    {
        let fault = Fault::error(format!("`{number:?}` is not one of `own`"));
        faults.add(
            text.place,
            fault.help("only a number of the tenant's own can be shown"),
        );
    }
    Some(number)
}

fn inbound(
    build: &mut Build<'_>,
    table: &InboundTable<'_>,
    id: TenantId,
    faults: &mut Faults<'_>,
) -> Option<Delivery> {
    let text = table.deliver_to?;
    let (transport, at) = address(text, "phone system", faults)?;
    if !is_reachable(at, faults) {
        return None;
    }
    build.reach(at, Peer::Tenant(id));
    let certified = (at.value.ip().to_string(), at.place);
    super::tls::peer(
        build,
        Peer::Tenant(id),
        transport,
        certified,
        &table.tls,
        faults,
    );
    Some(Delivery {
        transport,
        address: at.value,
        listener: build.listener_for(transport, at, table.listener, faults)?,
        large_from: build.listener_for_large(table.large_over_tcp, at.value, faults),
    })
}

/// How long calls under a cap may take.
pub(super) fn longest(table: &CapTable<'_>, faults: &mut Faults<'_>) -> Longest {
    let mut seconds = |text: Option<At<&str>>, most: Duration| {
        let read = text.and_then(|text| duration(text, Duration::from_secs(1), most, faults));
        read.and_then(|it| u32::try_from(it.as_secs()).ok())
            .unwrap_or(u32::MAX)
    };
    Longest {
        call: seconds(table.longest_call, LONGEST_CALL),
        ring: seconds(table.longest_ring, LONGEST_RING),
    }
}
