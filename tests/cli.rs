//! The program as its user meets it: what it prints, and how it exits.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails, and one file's helpers are another's"
)]

#[path = "cli/alerts.rs"]
mod alerts;
#[path = "cli/alike.rs"]
mod alike;
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/bans.rs"]
mod bans;
#[path = "streams/certificates.rs"]
#[allow(dead_code, reason = "nobody is connected to here")]
mod certificates;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/control.rs"]
mod control;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/exposure.rs"]
mod exposure;
#[path = "cli/folder.rs"]
mod folder;
#[path = "cli/ledger.rs"]
mod ledger;
#[path = "cli/restart.rs"]
mod restart;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/stderr.rs"]
mod stderr;
#[path = "cli/tls.rs"]
mod tls;
