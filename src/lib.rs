//! Tollgate: an inline SIP firewall that stops toll fraud.
//!
//! It stands between a business phone system and the carrier as a back-to-back
//! user agent, judges every call before the carrier sees it, and bounds what a
//! break-in can cost. `ARCHITECTURE.md` describes the house; the modules below
//! are its floors, and each imports only from floors under it.

pub mod base;
pub mod sip;

pub mod policy;
pub mod record;
pub mod transaction;

pub mod call;
mod trunk;

pub mod shard;

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "net")]
pub mod net;

#[cfg(feature = "cli")]
pub mod app;
