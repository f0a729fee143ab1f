//! `tollgate status`: what is going on.

use std::fmt::Write;

use crate::admin::protocol::{
    Budget, Carrier, LeadsTo, Order, Place, Registration, Reply, Shed, Status, Tenant,
};

use super::block::line as blocked_line;
use super::cli::Status as Wanted;
use super::clock::apart;
use super::control::span;
use super::render::count;
use super::{ask, print, registered};

/// Counts that a healthy machine does not have, beside those of the journal.
const DROPPED: [&str; 12] = [
    "strangers",
    "banned",
    "shed",
    "not_sip",
    "bad_status_line",
    "truncated",
    "quarantined",
    "hop_dropped",
    "receive_failed",
    "send_failed",
    "send_dropped",
    "unrecorded",
];

/// `tollgate status`.
///
/// # Errors
/// One line: what is wrong, and what to do.
pub(super) fn run(wanted: &Wanted) -> Result<(), String> {
    let reply = ask::last(ask::order(&wanted.config, Order::Status)?)?;
    let Reply::Status(status) = &reply else {
        return Err(ask::unexpected(&reply));
    };
    if wanted.json {
        let json = serde_json::to_string(status).map_err(|error| error.to_string())?;
        return print(&format!("{json}\n"));
    }
    print(&text(status))
}

/// The status for people: one thing a line, what is wrong in words.
fn text(status: &Status) -> String {
    let mut lines = program(status);
    let up = count(amount(status.calls), "call", "calls");
    let on = count(status.shards, "shard", "shards");
    let stopping = match status.stopping {
        true => "; stopping: no new call is let in",
        false => "",
    };
    let emergency = match status.emergency_calls {
        0 => String::new(),
        some => format!(" ({some} to emergency numbers)"),
    };
    lines.push(("calls", format!("{up} up{emergency}, {on}{stopping}")));
    if status.clock_ahead_s != 0 {
        let jumped = apart(status.clock_ahead_s);
        let then = "if it is right: tollgate clock --confirm";
        lines.push(("clock", format!("NOT BELIEVED, {jumped}; {then}")));
    }
    let blocked = status.blocks.iter();
    lines.extend(blocked.map(|it| ("BLOCKED", blocked_line(it))));
    if let Some(fault) = &status.blocks_unkept {
        lines.push((
            "",
            format!("NOT KEPT, the next start would block what was kept before: {fault}"),
        ));
    }
    let shed = status.shed.iter();
    lines.extend(shed.map(|it| ("shed", self::shed(it))));
    if status.banned > 0 {
        let strangers = count(status.banned, "stranger", "strangers");
        lines.push(("banned", format!("{strangers}: see tollgate bans")));
    }
    lines.push(("journal", journal(status)));
    lines.extend(peers(status));
    lines.extend(status.tenants.iter().map(|it| ("tenant", tenant(it))));
    if status.tenants_left_out > 0 {
        let more = count(status.tenants_left_out, "tenant", "tenants");
        lines.push(("", format!("{more} more with calls or money spent")));
    }
    lines.extend(status.alerts.iter().map(|it| ("alerts", place(it))));
    if status.quarantined > 0 {
        let kept = count(status.quarantined, "message", "messages");
        let why = "kept out, because they broke the program";
        lines.push((
            "quarantine",
            format!("{kept} {why}: {}/quarantine", status.ledger),
        ));
    }
    let dropped = status.counts.iter();
    let dropped = dropped.filter(|it| DROPPED.contains(&it.name.as_str()));
    let dropped: Vec<String> = dropped
        .map(|it| format!("{} {}", it.value, it.what))
        .collect();
    if !dropped.is_empty() {
        lines.push(("dropped", dropped.join(", ")));
    }
    let mut text = String::new();
    for (head, line) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{head:<11}{line}");
    }
    text
}

/// The carriers, and the phone systems that have registered.
fn peers(status: &Status) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for carrier in &status.carriers {
        lines.push(("carrier", self::carrier(carrier)));
        let registered = carrier.registered.iter().map(own);
        lines.extend(registered.map(|it| ("", it)));
        let leads_to = carrier.leads_to.iter().flat_map(self::leads_to);
        lines.extend(leads_to.map(|it| ("", it)));
    }
    let phones = status.phones.iter().map(registered::line);
    lines.extend(phones.map(|it| ("registered", it)));
    if status.phones_left_out > 0 {
        let more = count(status.phones_left_out, "registration", "registrations");
        lines.push(("", format!("{more} more")));
    }
    lines
}

/// What was lost of who sent the most.
fn shed(shed: &Shed) -> String {
    let Shed {
        whose,
        new,
        under_way,
        emergency,
    } = shed;
    let mut line = format!(
        "{whose}: {new} new messages and {under_way} of calls under way, more than could be handled"
    );
    if *emergency > 0 {
        let calls = count(amount(*emergency), "INVITE", "INVITEs");
        // Writing to a string cannot fail.
        let _ = write!(line, "; {calls} TO EMERGENCY NUMBERS");
    }
    line
}

fn carrier(carrier: &Carrier) -> String {
    let Carrier {
        name,
        address,
        registration,
        registered: _,
        state,
        calls,
        calls_at_once,
        leads_to,
    } = carrier;
    let nowhere = leads_to.as_ref().is_some_and(|it| it.gateways.is_empty());
    let fares = match state.as_str() {
        _ if nowhere => "DOWN, its name leads nowhere; ",
        "down" => "DOWN, it does not answer; ",
        "rests" => "asked to be left alone for a while; ",
        _ => "",
    };
    let up = count(
        usize::try_from(*calls).unwrap_or(usize::MAX),
        "call",
        "calls",
    );
    let of = calls_at_once.map_or_else(String::new, |most| format!(" of {most}"));
    let registration = registration
        .as_ref()
        .map_or_else(String::new, |it| format!("; {it}"));
    format!("{name} at {address}: {fares}{up}{of} up{registration}")
}

/// What is registered with a carrier, below its line.
fn own(registration: &Registration) -> String {
    let unnamed = Registration {
        name: String::new(),
        ..registration.clone()
    };
    format!("  {}", registered::line(&unnamed))
}

/// What a carrier's name leads to, and how its lookups fare.
fn leads_to(leads_to: &LeadsTo) -> Vec<String> {
    let LeadsTo {
        gateways,
        left_out,
        looked_up,
        fault,
        failures,
    } = leads_to;
    let mut lines = Vec::new();
    let gateways = gateways.iter().map(|it| match it.state.as_str() {
        "down" => format!("{} (DOWN)", it.address),
        "rests" => format!("{} (asked to be left alone)", it.address),
        _ => it.address.clone(),
    });
    let gateways: Vec<String> = gateways.collect();
    let when = match looked_up {
        Some(when) => format!("looked up {when}"),
        None => "not looked up since the start".to_owned(),
    };
    match gateways.is_empty() {
        true => lines.push(format!("  leads to no address that is of use; {when}")),
        false => lines.push(format!("  leads to {}; {when}", gateways.join(", "))),
    }
    lines.extend(left_out.iter().map(|it| format!("  LEFT OUT {it}")));
    if let Some(fault) = fault {
        let times = count(amount(u64::from(*failures)), "time", "times");
        lines.push(format!("  CANNOT BE LOOKED UP: {fault} ({times} in a row)"));
    }
    lines
}

/// How a place fares that alerts go to.
fn place(place: &Place) -> String {
    let Place {
        to,
        waiting,
        taken,
        failed,
        left_out,
        fault,
    } = place;
    let mut line = format!("{to}: {taken} taken");
    // Writing to a string cannot fail.
    if *waiting > 0 {
        let _ = write!(line, ", {waiting} waiting");
    }
    if *left_out > 0 {
        let _ = write!(line, ", {left_out} LEFT OUT");
    }
    if *failed > 0 {
        let _ = write!(
            line,
            ", {}",
            count(amount(*failed), "failed try", "failed tries")
        );
    }
    if let Some(fault) = fault {
        let _ = write!(line, "; TAKES NONE NOW: {fault}");
    }
    line
}

/// What runs, and by which rules.
fn program(status: &Status) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        (
            "tollgate",
            format!(
                "{}, process {}, up {} (since {})",
                status.version,
                status.pid,
                span(status.seconds),
                status.since
            ),
        ),
        (
            "rules",
            format!(
                "{}: {}, {}, hash {}",
                status.configuration,
                count(status.rules.tenants, "tenant", "tenants"),
                count(status.rules.rules, "rule", "rules"),
                status.rules.hash.get(..16).unwrap_or(&status.rules.hash),
            ),
        ),
    ];
    if status.files_broken {
        lines.push((
            "",
            format!(
                "THE FILES ARE BROKEN, and the last good rules are in force: see tollgate check -c {}",
                status.configuration
            ),
        ));
    }
    lines
}

fn journal(status: &Status) -> String {
    let journal = &status.journal;
    let misplaced = match journal.misplaced {
        all if all >= status.shards => "every shard".to_owned(),
        some => format!("{some} of {} shards", status.shards),
    };
    let mut line = match journal.shards_without {
        0 if journal.misplaced > 0 => format!(
            "NOT IN ITS FOLDER: {} was removed or replaced; what {misplaced} record is lost when \
             Tollgate ends: find out who did it, restore the folder, and start Tollgate again",
            status.ledger
        ),
        0 => format!("written, in {}", status.ledger),
        without if amount(without) >= status.shards => format!(
            "CANNOT BE WRITTEN in {}: only emergency calls are let in (the log says why)",
            status.ledger
        ),
        without => format!(
            "CANNOT BE WRITTEN by {} of {} shards in {}: they let in emergency calls only (the log says why)",
            without, status.shards, status.ledger
        ),
    };
    if journal.lost > 0 {
        let _ = write!(line, "; {} bytes of records were lost", journal.lost);
    }
    line
}

fn tenant(tenant: &Tenant) -> String {
    let calls = count(amount(tenant.calls), "call", "calls");
    let budgets = tenant.budgets.iter().map(budget);
    let parts: Vec<String> = std::iter::once(format!("{}: {calls} up", tenant.name))
        .chain(budgets)
        .collect();
    parts.join(", ")
}

fn budget(budget: &Budget) -> String {
    let Budget {
        cap,
        period,
        currency,
        limit,
        spent,
        held,
        used_permille,
    } = budget;
    let of = match period.as_str() {
        "day" => "today",
        _ => "this month",
    };
    let percent = used_permille / 10;
    let by = cap
        .as_ref()
        .map_or_else(String::new, |cap| format!(" by {cap}"));
    format!("{currency} {spent} spent and {held} held of {limit} {of} ({percent} %){by}")
}

/// A count, for the words beside it.
fn amount(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_name_leads_is_told_below_its_carrier() {
        let gateway = |address: &str, state: &str| crate::admin::protocol::Gateway {
            address: address.to_owned(),
            state: state.to_owned(),
        };
        let told = |leads_to: LeadsTo| {
            let carrier = Carrier {
                name: "metro".to_owned(),
                address: "sip.metro.example".to_owned(),
                leads_to: Some(leads_to),
                ..Carrier::default()
            };
            let told = text(&Status {
                carriers: vec![carrier],
                ..Status::default()
            });
            let lines = told.lines().skip_while(|it| !it.starts_with("carrier"));
            lines.map(|it| it[11..].to_owned()).collect::<Vec<_>>()
        };
        let both = vec![
            gateway("udp:192.0.2.1:5060", "up"),
            gateway("udp:192.0.2.2:5060", "down"),
        ];
        let well = LeadsTo {
            gateways: both,
            looked_up: Some("2026-11-30T14:00:00Z".to_owned()),
            ..LeadsTo::default()
        };
        assert_eq!(
            told(well),
            [
                "metro at sip.metro.example: 0 calls up",
                "  leads to udp:192.0.2.1:5060, udp:192.0.2.2:5060 (DOWN); looked up 2026-11-30T14:00:00Z",
            ]
        );
        let ill = LeadsTo {
            left_out: vec!["192.0.2.9:5060: by the rules it is not this carrier's".to_owned()],
            fault: Some("no name server answers".to_owned()),
            failures: 3,
            ..LeadsTo::default()
        };
        assert_eq!(
            told(ill),
            [
                "metro at sip.metro.example: DOWN, its name leads nowhere; 0 calls up",
                "  leads to no address that is of use; not looked up since the start",
                "  LEFT OUT 192.0.2.9:5060: by the rules it is not this carrier's",
                "  CANNOT BE LOOKED UP: no name server answers (3 times in a row)",
            ]
        );
    }

    #[test]
    fn what_is_registered_is_told_here_and_below_each_carrier() {
        let registration = |name: &str, account: &str, way: &str| Registration {
            name: name.to_owned(),
            account: account.to_owned(),
            contact: "sip:x@192.0.2.1".to_owned(),
            since: "2026-11-30T14:00:00Z".to_owned(),
            until: "2026-11-30T15:00:00Z".to_owned(),
            way: way.to_owned(),
        };
        let status = Status {
            carriers: vec![Carrier {
                name: "metro".to_owned(),
                registered: Some(registration("metro", "sip:1@metro", "udp:192.0.2.9:5060")),
                ..Carrier::default()
            }],
            phones: vec![registration("acme", "acme-pbx", "tcp:192.0.2.1:4711")],
            phones_left_out: 3,
            ..Status::default()
        };
        let told = text(&status);
        let lines: Vec<&str> = told.lines().collect();
        let when = "since 2026-11-30T14:00:00Z, until 2026-11-30T15:00:00Z";
        for line in [
            format!("             sip:1@metro is at sip:x@192.0.2.1 by udp:192.0.2.9:5060, {when}"),
            format!(
                "registered acme: acme-pbx is at sip:x@192.0.2.1 by tcp:192.0.2.1:4711, {when}"
            ),
            "           3 registrations more".to_owned(),
        ] {
            assert!(lines.contains(&line.as_str()), "{line}\n{told}");
        }
    }

    #[test]
    fn emergency_calls_are_told_apart() {
        let line = |calls, emergency_calls| {
            let told = text(&Status {
                calls,
                emergency_calls,
                shards: 2,
                ..Status::default()
            });
            let mut lines = told.lines().filter(|line| line.starts_with("calls"));
            lines.next().unwrap_or_default().to_owned()
        };
        assert!(line(3, 0).ends_with("3 calls up, 2 shards"));
        assert!(line(3, 1).ends_with("3 calls up (1 to emergency numbers), 2 shards"));
    }
}
