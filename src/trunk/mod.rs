//! F3: what Tollgate has with its carriers beside calls: it registers with them.
//!
//! A carrier's registration belongs to the shard of its name's bucket, and so do its
//! Call-ID and all answers. How it stands is for every shard to read:
//! [`crate::policy::Registered`].

#![forbid(unsafe_code)]

mod gate;
mod granted;
mod own;
mod registrar;
mod registrations;

pub(crate) use registrar::{Asked, Registrar};
pub(crate) use registrations::{Output, Registrations, Said, Seed};
