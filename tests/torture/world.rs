//! A Tollgate with its neighbours, whichever way it is reached.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::places::Places;

/// A packet that Tollgate sent.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Where it went.
    pub(crate) at: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Heard {
    /// What is in it, for people.
    pub(crate) fn show(&self) -> String {
        format!("to {}:\n{}", self.at, String::from_utf8_lossy(&self.bytes))
    }
}

pub(crate) trait World {
    fn places(&self) -> Places;

    /// Something may arrive there.
    fn listen(&mut self, at: SocketAddr);

    /// Sends a datagram. Returns every packet that Tollgate sent since the last
    /// time and never sent before: what is byte for byte an old one is a
    /// retransmission. `want`: how many there should be.
    fn tell(&mut self, from: SocketAddr, bytes: &[u8], want: usize) -> Vec<Heard>;
}

/// What was heard before.
#[derive(Default)]
pub(crate) struct Memory(HashSet<Vec<u8>>);

impl Memory {
    /// Whether this is new.
    pub(crate) fn note(&mut self, bytes: &[u8]) -> bool {
        !self.0.contains(bytes) && self.0.insert(bytes.to_vec())
    }
}
