//! F2: who may call where, how often: rules compiled to one immutable set, and the counters they draw on.

#![forbid(unsafe_code)]

pub mod number;
pub mod numbering;
pub mod plan;
pub mod prefix;
