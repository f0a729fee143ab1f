//! F5: sockets, source admission, steering and the driver loop.

#![allow(dead_code, reason = "the driver that uses these pieces comes next")]

pub mod clock;
mod mailbox;
mod pen;
mod quarantine;
mod socket;
mod stats;
mod udp;

pub use pen::Journal;
pub use socket::BindError;
pub use stats::{Stats, Tally};
