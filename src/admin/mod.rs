//! F5: how a Tollgate that runs is spoken to.
//!
//! ```text
//! protocol   what is said over the control socket: a request, and lines of an answer
//! socket     the socket's file: made, found, left behind by a crash
//! server     who may speak, how much and for how long
//! client     the other end
//! handing    open sockets, for a successor
//! alert      what the owner is told of at once: grouped, kept, sent
//! ```
//! What an order does is not known here: whoever runs the program implements
//! [`Operator`].

pub mod alert;
mod client;
mod handing;
pub mod protocol;
mod server;
mod socket;

#[cfg(test)]
mod tests;

pub use client::{Talk, Unanswered, ask};
pub use handing::{Given, take_over};
pub use server::{By, Operator, Replies, serve};
pub use socket::{Socket, SocketFault};
