//! F5: sockets, source admission, steering and the driver loop.
//!
//! ```text
//! run        opens the sockets, starts a thread for each shard, serves signals
//!  control     the main thread: signals, stopping, figures
//!   reins        what whoever gives orders holds of it
//!  rules       a thread that compiles new rules and frees old ones
//!  driver      a shard's loop: wait, take, journal, send, log
//!   wire         its sockets: batches in, batches out
//!   desk         admission and steering in front of the core
//!    intake       what waits there while the shard cannot keep up, and whose turn it is
//!    sheds        what found no room there
//!   pen          the journal behind it
//!   hold         what waits for the disk, where it must
//!  bans        strangers who are not heard for a while
//!   nft          a thread that tells the kernel of them
//!  streams     a thread that has all TCP and TLS connections
//!  names       a thread that looks up what carriers are called
//!  tls         what these take, made of the rules and of files
//! ```

mod admit;
mod bans;
pub mod clock;
mod control;
mod desk;
mod driver;
mod hold;
mod intake;
mod log;
mod mailbox;
mod names;
mod nft;
mod pen;
mod quarantine;
mod reins;
mod rules;
mod run;
mod sheds;
mod socket;
mod stats;
mod streams;
mod tls;
mod udp;
mod wire;

pub use bans::Ban;
pub use hold::Syncer;
pub use names::{Lookup, Names, WeakNames};
pub use pen::Journal;
pub use reins::{Beside, Obeyed, Reins, Silent};
pub use rules::{Loaded, Reload, Renewal, Then};
pub use run::{Ended, Outcome, Restored, RunError, Setup, default_shards, run, run_until};
pub use sheds::Shed;
pub use socket::{BindError, Handed, Sockets};
pub use stats::{Stats, Tally};
pub use tls::{Expiry, ReadFile, Tls, TlsFault};
