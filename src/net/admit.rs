//! Who is heard at all, and what of it is a message.

use bytes::{Bytes, BytesMut};

use crate::base::flow::{Flow, ListenerId, Transport};
use crate::base::limits::RECEIVE_BLOCK_BYTES;
use crate::base::time::Now;
use crate::policy::RuleSet;
use crate::sip::error::UnreadableReason;
use crate::sip::{Message, scan};

use super::bans::Bans;
use super::intake::Party;
use super::quarantine::Quarantine;
use super::stats::Stats;
use super::udp::Datagram;

/// Memory for the messages of a turn: they lie in one block, one behind the
/// other, until it is over.
pub(super) struct Block(BytesMut);

impl Block {
    pub(super) fn new() -> Self {
        Self(BytesMut::with_capacity(RECEIVE_BLOCK_BYTES))
    }

    /// A copy of `bytes` in the block. Does not allocate, unless a message
    /// that was handed to another shard still keeps the block when it is full.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() < bytes.len() {
            self.0.reserve(RECEIVE_BLOCK_BYTES);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }

    /// Starts at the block's beginning again if none of its messages is left.
    pub(super) fn rewind(&mut self) {
        let _rewound = self.0.try_reclaim(RECEIVE_BLOCK_BYTES);
    }
}

/// Why a datagram is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// Nobody knows whose it is.
    Stranger,
    /// A stranger's who is banned.
    Banned,
    /// There is nothing in it.
    Nothing,
}

/// Whose a datagram is that came to `listener`, if it may be a message and its source is a
/// configured peer. What is dropped is counted, and nothing is ever answered: a stranger's
/// datagram is not even looked into, unless the listener challenges and it begins as what
/// that is for.
///
/// # Errors
/// [`Unheard`]: it is dropped.
pub(super) fn admit(
    (rules, bans): (&RuleSet, &Bans),
    now: Now,
    listener: ListenerId,
    datagram: &Datagram<'_>,
    stats: &Stats,
) -> Result<Party, Unheard> {
    let flow = Flow::to(listener, Transport::Udp, datagram.source);
    let peer = rules.peer_of(flow);
    let (dropped, why) = if peer.is_none() && bans.holds(now, datagram.source.ip()) {
        (&stats.banned, Unheard::Banned)
    } else if peer.is_none() && !is_asked_who(rules, flow, datagram) {
        (&stats.strangers, Unheard::Stranger)
    } else if datagram.truncated {
        (&stats.truncated, Unheard::Nothing)
    } else if is_keep_alive(datagram.bytes) {
        (&stats.keep_alives, Unheard::Nothing)
    } else {
        return Ok(peer.map_or(Party::Strangers, Party::Peer));
    };
    dropped.add(1);
    Err(why)
}

/// The message in a datagram, if it is one and may be heard. What is not is counted.
pub(super) fn read(quarantine: &Quarantine, datagram: Bytes, stats: &Stats) -> Option<Message> {
    let dropped = if quarantine.holds(&datagram) {
        &stats.quarantined
    } else {
        match scan(datagram) {
            Ok(message) => return Some(message),
            Err(unreadable) => match unreadable.reason {
                UnreadableReason::Empty => &stats.keep_alives,
                UnreadableReason::StatusLine => &stats.bad_status_line,
                _ => &stats.not_sip,
            },
        }
    };
    dropped.add(1);
    None
}

/// Whether a stranger's datagram is what a listener that challenges answers.
fn is_asked_who(rules: &RuleSet, flow: Flow, datagram: &Datagram<'_>) -> bool {
    let asks = [b"REGISTER ".as_slice(), b"INVITE "];
    rules.lets_register(flow) && asks.iter().any(|it| datagram.bytes.starts_with(it))
}

/// Whether `bytes` say nothing and only keep a NAT binding open: empty, line
/// ends (RFC 5626 §3.5.1), or the NULs that some phone systems send.
fn is_keep_alive(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_are_known() {
        for said_nothing in [&b""[..], b"\r\n\r\n", b"\0\0\0\0", b"\n"] {
            assert!(is_keep_alive(said_nothing));
        }
        assert!(!is_keep_alive(b"\r\nOPTIONS sip:a SIP/2.0\r\n"));
    }

    #[test]
    fn a_block_is_used_again_and_again() {
        let mut block = Block::new();
        let text = vec![b'x'; 900];
        let start = block.keep(&text).as_ptr();
        for _turn in 0..1000 {
            block.rewind();
            let kept: Vec<Bytes> = (0..32).map(|_| block.keep(&text)).collect();
            assert_eq!(kept[0].as_ptr(), start);
            assert!(kept.iter().all(|k| k == &text));
        }
    }

    #[test]
    fn a_full_block_is_reclaimed_within_a_turn() {
        let mut block = Block::new();
        let text = vec![b'x'; 60_000];
        let start = block.keep(&text).as_ptr();
        assert_ne!(block.keep(&text).as_ptr(), start);
        assert_eq!(block.keep(&text).as_ptr(), start);
    }

    #[test]
    fn what_is_still_held_is_never_written_over() {
        let mut block = Block::new();
        let held = block.keep(b"held");
        for n in 0..100_u8 {
            block.rewind();
            let longest = vec![n; 65_507];
            assert_eq!(block.keep(&longest), longest);
        }
        assert_eq!(held, "held");
    }
}
