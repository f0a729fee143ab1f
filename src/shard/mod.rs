//! F4: one core's share of the work: an input in, an outbox out.

#![forbid(unsafe_code)]
