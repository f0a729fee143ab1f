//! F1: the language of RFC 3261: scanning, typed values, and writing messages.

#![forbid(unsafe_code)]
