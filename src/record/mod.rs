//! F2: what is written to the journal, and how it reads back.

#![forbid(unsafe_code)]
