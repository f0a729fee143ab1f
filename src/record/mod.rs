//! F2: what is written to the journal, and how it reads back.
//!
//! A [`Record`] borrows everything from its caller; [`Buffer::append`] encodes it
//! in place into a buffer that is used again and again, and the driver hands the
//! whole buffer to the journal in one write before anything of that turn is sent.
//! [`frame::next`] reads records back, again without copying.
//!
//! Two things build on the bytes made here, and need nothing more from them:
//!
//! - **The chain.** Each shard's frames form one sequence, which is hashed and signed as
//!   they lie in the files: the exact bytes that [`frame::split`] steps over, and the
//!   segments' headers. `ledger/FORMAT.md` describes that, and the encoding.
//! - **The fold.** State after a restart is a function of a shard's records in
//!   order: see [`Fold`]. Each variant says what of it serves that.

#![forbid(unsafe_code)]

mod ahead;
mod belongs;
mod buffer;
mod encode;
pub mod fold;
pub mod frame;
mod model;
mod parts;
mod places;
mod recovered;

pub use ahead::Ahead;
pub use buffer::{Buffer, TooLong};
pub use fold::Fold;
pub use model::Record;
pub use parts::{
    Beside, Bound, CallRef, Carried, Decision, Direction, Led, Leg, Party, Session, Settled, Side,
    Stock,
};

pub use places::{read_billing, read_places, write_billing, write_places};
pub use recovered::{Dealt, Recovered, Share, Taken};

/// The [`Record::Note`] that time did not go on bit by bit: the wall clock was set, or
/// nothing ran, as while the machine slept.
pub const TIME_GAP: &str = "time-gap";

#[cfg(test)]
mod tests;
