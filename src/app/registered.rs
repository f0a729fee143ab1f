//! What `tollgate status` tells of registrations: those that phone systems have here, and
//! Tollgate's own with carriers.

use std::fmt::Write;

use crate::admin::protocol::Registration;
use crate::base::flow::Flow;
use crate::base::limits::STATUS_PHONES;
use crate::base::time::{Mono, Now, Wall};
use crate::policy::{self, RegistrationState, RuleSet};

use super::control::span;

/// What phone systems have registered, and how many of them are left out.
pub(super) fn phones(rules: &RuleSet, now: Now) -> (Vec<Registration>, usize) {
    let bindings = rules.bindings();
    let left_out = bindings.len().saturating_sub(STATUS_PHONES);
    let bindings = bindings.iter().take(STATUS_PHONES);
    let phones = bindings.map(|it| Registration {
        name: it.tenant.to_string(),
        account: it.account.to_string(),
        contact: it.contact.escape_ascii().to_string(),
        since: it.since.to_string(),
        until: at(now, it.until).to_string(),
        way: way(it.flow),
    });
    (phones.collect(), left_out)
}

/// What is registered with a carrier, as long as the carrier agrees to it.
pub(super) fn with(
    carrier: &str,
    registration: &policy::Registration,
    now: Now,
) -> Option<Registration> {
    match registration.standing.state() {
        RegistrationState::Good {
            until,
            since,
            contact,
            flow,
            ..
        } => Some(Registration {
            name: carrier.to_owned(),
            account: registration.aor.clone(),
            contact: contact.escape_ascii().to_string(),
            since: since.to_string(),
            until: at(now, until).to_string(),
            way: way(flow),
        }),
        RegistrationState::Begun | RegistrationState::Lost { .. } => None,
    }
}

/// How an account with a carrier stands, in words.
pub(super) fn stands(registration: &policy::Registration, now: Now) -> String {
    match registration.standing.state() {
        RegistrationState::Begun => "not registered yet".to_owned(),
        RegistrationState::Good { until, .. } => {
            let left = until.saturating_since(now.mono).as_secs();
            format!("registered for another {}", span(left))
        }
        RegistrationState::Lost { why } => format!("NOT REGISTERED: {why}"),
    }
}

/// One of them in a line.
pub(super) fn line(it: &Registration) -> String {
    let Registration {
        name,
        account,
        contact,
        since,
        until,
        way,
    } = it;
    let mut line = String::new();
    if !name.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(line, "{name}: ");
    }
    let _ = write!(
        line,
        "{account} is at {contact} by {way}, since {since}, until {until}"
    );
    line
}

/// A time of the monotonic clock by the wall clock.
fn at(now: Now, mono: Mono) -> Wall {
    now.wall + mono.saturating_since(now.mono)
}

fn way(flow: Flow) -> String {
    format!("{}:{}", flow.transport.scheme(), flow.remote)
}
