//! F0: time, timers, slabs, tokens and limits. Nothing here knows SIP.

#![forbid(unsafe_code)]

pub mod flow;
pub mod time;
