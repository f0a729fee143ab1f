//! The links between the core and its peers: they lose, double, delay and so
//! reorder, each seed at rates of its own, until the faults stop.

use crate::rng::Rng;

/// A point or span of virtual time, in nanoseconds.
pub type Nanos = u64;
/// A millisecond.
pub const MS: Nanos = 1_000_000;
/// A second.
pub const SEC: Nanos = 1_000 * MS;

/// A while in which the links of some peers are much worse.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    pub from: Nanos,
    pub to: Nanos,
    /// Bit n: peer n.
    pub peers: u32,
    /// Packets lost, of a thousand.
    pub loss: u64,
    /// Only what these peers say is lost; they hear everything.
    pub one_way: bool,
}

/// What all links do.
#[derive(Clone, Debug)]
pub struct Links {
    /// When the faults stop.
    pub calm_from: Nanos,
    pub loss: u64,
    pub double: u64,
    /// Packets delayed by up to a second, of a thousand.
    pub late: u64,
    pub base: Nanos,
    pub jitter: Nanos,
    pub bursts: Vec<Burst>,
    /// The peers' connections; none for those that send datagrams.
    pub streams: Vec<Option<Stream>>,
}

/// A peer's connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// Its number, from 1. The next is made when it is needed.
    pub number: u64,
    /// When the last packet arrives: to the core, and from it.
    pub last: [Nanos; 2],
}

/// When a packet arrives: never, once, or twice.
pub type Arrivals = [Option<Nanos>; 2];

impl Links {
    /// Rates drawn for a seed; faults stop at `calm_from`.
    pub fn draw(rng: &mut Rng, calm_from: Nanos, peers: u64) -> Self {
        let (loss, double, late) = match rng.weighted(&[35, 35, 20, 10]) {
            0 => (0, 0, 0),
            1 => (rng.range(1, 20), rng.below(10), rng.below(10)),
            2 => (rng.range(20, 120), rng.below(60), rng.below(60)),
            _ => (rng.below(30), rng.range(100, 400), rng.range(100, 400)),
        };
        let mut bursts = Vec::new();
        if loss > 0 {
            for _ in 0..rng.below(4) {
                let from = rng.below(calm_from);
                bursts.push(Burst {
                    from,
                    to: from + rng.range(SEC, 90 * SEC),
                    peers: 1 << rng.below(peers),
                    loss: *rng.pick(&[300, 700, 1000]),
                    one_way: rng.permille(400),
                });
            }
        }
        Self {
            calm_from,
            loss,
            double,
            late,
            base: rng.range(MS / 10, 40 * MS),
            jitter: *rng.pick(&[0, MS, 5 * MS, 60 * MS]),
            bursts,
            streams: Vec::new(),
        }
    }

    /// The number of a peer's connection; 0 for one that sends datagrams.
    pub fn connection(&self, peer: u8) -> u64 {
        let stream = self.streams.get(usize::from(peer)).copied().flatten();
        stream.map_or(0, |stream| stream.number)
    }

    /// When a packet arrives over a connection, if the peer has one: it is late
    /// where a datagram would be lost, and never overtaken.
    pub fn stream(&mut self, now: Nanos, peer: u8, out: bool, rng: &mut Rng) -> Option<Nanos> {
        let lost = self.loss;
        let stream = self.streams.get_mut(usize::from(peer))?.as_mut()?;
        let mut at = now + self.base + rng.below(self.jitter + 1);
        if now < self.calm_from && lost > 0 && rng.permille(lost) {
            at += rng.below(400 * MS);
        }
        let last = stream.last.get_mut(usize::from(out))?;
        *last = (*last).max(at);
        Some(*last)
    }

    /// When a packet sent at `now` to or, if it is `said`, from `peer` arrives.
    pub fn carry(&self, now: Nanos, (peer, said): (u8, bool), rng: &mut Rng) -> Arrivals {
        let delay = self.base + rng.below(self.jitter + 1);
        if now >= self.calm_from {
            return [Some(now + delay), None];
        }
        let burst = |b: &&Burst| {
            let touches = b.peers & (1 << peer) != 0 && (said || !b.one_way);
            touches && b.from <= now && now < b.to
        };
        let loss = self.bursts.iter().find(burst).map_or(self.loss, |b| b.loss);
        if loss > 0 && rng.permille(loss) {
            return [None, None];
        }
        let late = if self.late > 0 && rng.permille(self.late) {
            rng.below(SEC)
        } else {
            0
        };
        let second = (self.double > 0 && rng.permille(self.double))
            .then(|| now + delay + rng.below(900 * MS));
        [Some(now + delay + late), second]
    }
}
