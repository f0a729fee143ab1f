//! Who uses a stream, and what its end does.

use crate::core::From;
use crate::link::{SEC, Stream};
use crate::net::{Event, Fault};
use crate::rules::Places;
use crate::seen::Met;
use crate::world::{CALM, Waiting, World};

/// Their connections, where they have any.
pub fn draw(places: Places) -> Vec<Option<Stream>> {
    let stream = |peer: u64| Stream {
        number: 1 + peer * 1_000,
        last: [0; 2],
    };
    (0..places.tenants + places.carriers)
        .map(|peer| places.is_stream(peer).then(|| stream(peer)))
        .collect()
}

impl World {
    /// Some connections close, now and then.
    pub fn schedule_closes(&mut self) {
        for peer in 0..self.net.links.streams.len() as u8 {
            let has = self.net.links.connection(peer) > 0;
            let closes = if has { self.net.rng.below(4) } else { 0 };
            for _ in 0..closes {
                let at = self.net.rng.below(CALM - 60 * SEC);
                self.net.at(at, Event::Fault(Fault::Close(peer)));
            }
        }
    }

    /// Where a peer's packet comes from, on its connection of this number.
    pub fn from(&self, peer: u8, on: u64) -> From {
        From {
            addr: self.peers.hosts[usize::from(peer)].addr,
            connection: Some(on).filter(|on| *on > 0),
        }
    }

    /// A peer's connection, if it has one, is gone, with what is under way on it.
    /// Says which it was.
    pub fn cut(&mut self, peer: u8) -> u64 {
        let Some(stream) = &mut self.net.links.streams[usize::from(peer)] else {
            return 0;
        };
        stream.number += 1;
        let closed = stream.number - 1;
        self.net.seen.note(Met::StreamClosed);
        self.tap.stream_closed(peer, None, self.net.now);
        closed
    }

    /// A peer's connection closes: what is under way on it is lost, and what waits
    /// for an answer over it may never have arrived.
    pub fn close(&mut self, peer: u8) {
        let closed = self.cut(peer);
        for shard in 0..self.core.count() {
            self.input(shard, Waiting::Closed(peer, closed));
        }
    }
}
