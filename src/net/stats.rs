//! What a shard's driver counted since it started.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::sheds::AllSheds;

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Raises it by `by`. Only the owning thread may: there is no read-modify-write here.
    pub(super) fn add(&self, by: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(by);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// Sets it, where it stands for something that also gets less.
    pub(super) fn set(&self, value: usize) {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        self.0.store(value, Ordering::Relaxed);
    }

    /// [`Self::add`] for lengths.
    pub(super) fn add_len(&self, by: usize) {
        self.add(u64::try_from(by).unwrap_or(u64::MAX));
    }

    /// As it is now, or was a moment ago.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An address that one thread sets now and then, and others read.
#[derive(Debug, Default)]
pub(super) struct Last(Mutex<Option<IpAddr>>);

impl Last {
    pub(super) fn set(&self, address: IpAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(super) fn value(&self) -> Option<IpAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident $label:literal,)+) => {
        /// A shard's counts. Each is raised by its thread alone.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Count,)+
            /// Who was dropped last as a stranger.
            pub(super) last_stranger: Last,
            /// What was shed, by whose it was.
            pub(super) sheds: AllSheds,
        }

        /// [`Stats`] at one moment, of one shard or summed.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Tally {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Tally {
            /// Adds what `stats` holds now.
            pub fn add(&mut self, stats: &Stats) {
                $(self.$name = self.$name.wrapping_add(stats.$name.value());)+
            }

            /// Every count: its name, its value, and of what it is, in words that
            /// follow the number.
            #[must_use]
            pub fn each(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), self.$name, $label),)+]
            }
        }

        impl fmt::Display for Tally {
            /// Every count that is not zero, in words, with commas between.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut comma = "";
                $(if self.$name != 0 {
                    write!(f, "{comma}{} {}", self.$name, $label)?;
                    comma = ", ";
                })+
                if comma.is_empty() { f.write_str("nothing") } else { Ok(()) }
            }
        }
    };
}

stats! {
    /// Datagrams taken from the sockets.
    received "received",
    /// Datagrams from no configured peer: dropped unread.
    strangers "from strangers",
    /// Messages and connections of strangers who are banned.
    banned "from banned strangers",
    /// Empty datagrams and line ends only: a peer keeping a NAT binding open.
    keep_alives "keep-alives",
    /// Datagrams of peers without a SIP start line: dropped.
    not_sip "not SIP",
    /// Datagrams of peers with a broken status line: dropped.
    bad_status_line "with a broken status line",
    /// Datagrams cut short by the kernel: dropped. None should be.
    truncated "truncated",
    /// Messages dropped because they broke the program before.
    quarantined "quarantined",
    /// Messages dropped because more came than could be handled: see `Reins::sheds`.
    shed "shed, of who sent the most",
    /// Messages handed to the shard that has their call.
    hopped "handed over",
    /// Messages dropped because the other shard's mailbox was full.
    hop_dropped "dropped at a full mailbox",
    /// Receive calls that failed.
    receive_failed "failed receive calls",
    /// Messages sent.
    sent "sent",
    /// Messages that could not be sent, and whose sender was told.
    send_failed "failed to send",
    /// Messages dropped because the kernel took no more: SIP repeats them.
    send_dropped "dropped at a full send buffer",
    /// Bytes appended to the journal.
    journal_bytes "journal bytes",
    /// Appends to the journal that failed.
    journal_failed "failed journal writes",
    /// Bytes of records that were lost: the journal could not be written, and
    /// memory for them was full.
    journal_lost "journal bytes lost",
    /// Shards whose journal cannot be written now.
    journal_faults "shards without a journal",
    /// INVITEs held back because their calls could not be recorded.
    unrecorded "not sent for want of a record",
    /// Calls that live now: something is still owed on one of their legs.
    calls "live calls",
    /// Calls that nobody has ended, those in set-up included.
    up "calls up",
    /// Of these, emergency calls.
    emergencies "emergency calls up",
    /// Shards that were told to let no new call in, and do not.
    draining "shards draining",
    /// Connections that are open now.
    streams "open connections",
    /// Connections of peers that were closed because there were too many.
    streams_refused "connections too many",
    /// Connections closed because of what the peer did: a message without a certain
    /// end, or one that does not come to its end.
    streams_broken "broken connections",
    /// TLS connections closed in their handshake: because of what the peer showed, did or
    /// left undone.
    handshakes_failed "failed handshakes",
    /// Turns of the loop.
    turns "turns",
}

impl Tally {
    /// Messages and records that were lost: on a machine with room for its load,
    /// none are.
    pub(super) fn lost(&self) -> u64 {
        let messages = self.hop_dropped.wrapping_add(self.send_dropped);
        messages.wrapping_add(self.journal_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_what_there_was() {
        let (one, two) = (Stats::default(), Stats::default());
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "nothing");
        one.received.add(2);
        two.received.add_len(3);
        two.strangers.add(1);
        tally.add(&one);
        tally.add(&two);
        assert_eq!(tally.to_string(), "5 received, 1 from strangers");
        assert_eq!(tally.lost(), 0);
        one.hop_dropped.add(1);
        two.send_dropped.add(2);
        two.journal_lost.add(4);
        tally.add(&one);
        tally.add(&two);
        assert_eq!(tally.lost(), 7);
    }
}
