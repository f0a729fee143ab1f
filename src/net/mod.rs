//! F5: sockets, source admission, steering and the driver loop.

#![allow(dead_code, reason = "the driver that uses these pieces comes next")]

pub mod clock;
mod mailbox;
mod socket;
mod udp;

pub use socket::BindError;
