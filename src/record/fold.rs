//! temporary
mod counters;
pub use counters::{Counters, Held, Lived};
