//! What the owner is told of at once.
//!
//! ```text
//! group      what happened, alike events in one count
//! message    what is said of it, once for all places
//! outbox     what waits for each place, and the threads that bring it there
//! webhook    by HTTP, signed
//! syslog     RFC 5424
//! mail       RFC 5321
//! trust      who vouches for a web server or a relay
//! ```
//! Nothing here is on a call's way: whoever follows the journal brings what
//! happened, and each place has a thread of its own, so that one that hangs delays
//! no other.

mod group;
mod mail;
mod message;
mod outbox;
mod syslog;
mod trust;
mod webhook;

#[cfg(test)]
mod tests;

pub use group::{Groups, Happened, Kind, Levels, Told};
pub use mail::{Account, Mailbox, RelayTls};
pub use message::{Message, Voice};
pub use outbox::{Destination, Fares, Outbox, Sending, Unsent, Waiting};
pub use syslog::Collector;
pub use trust::{Anchors, TrustFault};
pub use webhook::Webhook;
