//! The rule files as they are written: which keys there are, and their types.
//!
//! What the texts in them mean is for [`super::compile()`] to find out. Everything
//! borrows from the file's text, and has its place in it.

mod account;
mod alerts;
mod bans;
mod main;
mod plan;
mod registration;
mod tenant;
mod tls;

pub(super) use account::AccountTable;
pub(super) use alerts::{AlertsTable, MailTable, WebhookTable};
pub(super) use bans::BansTable;
pub(super) use main::{CarrierTable, ListenTable, MainFile, ResolverTable, main_file};
pub(super) use plan::{PlanFile, plan_file};
pub(super) use registration::RegistrationTable;
pub(super) use tenant::{
    BudgetTable, CapTable, HoursTable, InboundTable, PatternTable, TenantFile, tenant_file,
};
pub(super) use tls::{OtherTable, TlsTable};
