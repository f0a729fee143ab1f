//! F0: time, timers, slabs, tokens, tallies and limits. Nothing here knows SIP.

#![forbid(unsafe_code)]

pub mod flow;
pub mod gate;
pub mod limits;
pub mod slab;
pub mod spread;
pub mod tally;
pub mod time;
pub mod token;
pub mod trim;
pub mod wheel;
