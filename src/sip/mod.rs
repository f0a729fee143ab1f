//! F1: the language of RFC 3261: scanning, typed values, and writing messages.

#![forbid(unsafe_code)]

pub mod again;
pub mod digest;
pub mod draft;
pub mod echo;
pub mod error;
mod extensions;
pub mod fields;
pub mod frame;
mod head;
pub mod header;
pub mod host;
mod lex;
pub mod line;
pub mod message;
pub mod name_addr;
pub mod passport;
#[cfg(test)]
mod properties;
mod redact;
pub mod replaces;
mod salvage;
pub mod scan;
#[cfg(test)]
mod torture;
pub mod uri;
pub mod via;
mod words;

pub use draft::{Draft, Packet};
pub use echo::{Echo, reply_to};
pub use error::{Fault, FaultKind, Unreadable};
pub use fields::Essentials;
pub use frame::{Broken, Frame, Framer};
pub use header::HeaderId;
pub use host::Host;
pub use line::{Method, StartLine, reason_phrase};
pub use message::{Field, Message};
pub use name_addr::NameAddr;
pub use redact::redact;
pub use replaces::Replaces;
pub use scan::{first_line, names_dialog, scan};
pub use uri::{SipUri, TelUri, Uri};
pub use via::Via;
