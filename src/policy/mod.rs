//! F2: who may call where, how often: rules compiled to one immutable set, and the counters they draw on.
//!
//! A call goes through here in this order: [`plan`] reads what was dialled into
//! one canonical [`number`], [`numbering`] says what sort of number that is, the
//! matcher finds the rule that decides, the counters take the call's places, and
//! a [`Verdict`] says all of it. [`compile()`] makes the [`RuleSet`] from the
//! files; [`Counters`] outlive it.

#![forbid(unsafe_code)]

mod alerting;
mod banning;
mod blocks;
mod cap;
mod carrier;
mod compile;
mod counters;
mod credential;
mod diagnostic;
mod door;
mod emergency;
mod exposure;
mod facts;
mod hours;
mod inbound;
mod lane;
mod lease;
mod lint;
mod matcher;
mod model;
mod money;
mod names;
pub mod number;
pub mod numbering;
mod pattern;
mod peers;
pub mod plan;
pub mod prefix;
mod reader;
mod reason;
mod registration;
mod ruleset;
#[cfg(test)]
pub(crate) mod samples;
mod spending;
mod spots;
mod standing;
mod table;
mod target;
mod tariff;
mod tls;
mod values;
mod verdict;
mod warm;
mod ways;

pub use alerting::{Alerting, Mail, Relay, SecretIn, Security, Syslog, Webhook};
pub use banning::Banning;
pub use blocks::{Block, Blocks, Order, Scope, Switch};
pub use carrier::{Carrier, Gateway, LeftOut};
pub use compile::{Options, Outline, Sources, compile, compile_with, outline};
pub use counters::{
    Counted, Counters, Hold, Kept, Owed, Quantity, Seat, Service, Statement, Trunk, Turned, Used,
};
pub(crate) use credential::{Answered, Unanswered};
pub use diagnostic::{Diagnostic, Severity, Source};
pub use door::{Account, Binding};
pub(crate) use door::{Proof, challenge};
pub use exposure::{Dearest, Exposure, Most, Share, Unbounded};
pub use facts::{Caller, Facts, Presentation};
pub use inbound::{Delivered, Inbound, InboundFacts};
pub use lease::Course;
pub use money::{Amount, Currency, Money};
pub use names::{Answer, Answers, Located, Resolver, Wanted, Wants};
pub use pattern::Alert;
pub use reason::Reason;
pub use registration::{Gruus, Registered, Registration, RegistrationState};
pub use ruleset::{
    CarrierId, Delivery, Listener, Mode, Peer, RuleId, RuleRef, RuleSet, Run, Tenant, TenantId,
};
pub use spending::{Lease, Renewal, Settled};
pub use standing::{Spent, Standing};
pub use tariff::{Price, Tariff};
pub use tls::{Identity, NamedFile, TlsListener, TlsPeer, TlsRules};
pub use values::duration;
pub use verdict::explain::{Explanation, Priced};
pub use verdict::{Allowed, Decision, Permit, Refused, Verdict};
pub use ways::{Choice, Hop, Ways};
