//! F2: the transaction machines of RFC 3261 §17 with RFC 6026.

#![forbid(unsafe_code)]
