//! F3: what Tollgate has with its carriers besides calls: it registers with them, and
//! asks whether they are there.
//!
//! A carrier's registration belongs to the shard of its name's bucket, and so do its
//! Call-ID and all answers. How it stands is for every shard to read:
//! [`crate::policy::Registered`]. The first shard asks all carriers.

#![forbid(unsafe_code)]

mod granted;
mod own;
mod probes;
mod registrar;
mod registrations;

pub(crate) use probes::Probes;
pub(crate) use registrar::{Asked, News, Registrar};
pub(crate) use registrations::{Output, Registrations, Said, Seed};
