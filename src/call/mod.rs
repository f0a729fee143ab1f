//! F3: the B2BUA: two legs, one owner.

#![forbid(unsafe_code)]
