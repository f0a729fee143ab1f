//! F0: time, timers, slabs, tokens and limits. Nothing here knows SIP.

#![forbid(unsafe_code)]

pub mod flow;
pub mod limits;
pub mod slab;
pub mod time;
pub mod token;
pub mod wheel;
