//! A shard's sockets: what to read, and how a turn's messages leave.
//!
//! Each listener has one socket. One shard reads it, all send through it. A
//! socket for each shard under one address (`SO_REUSEPORT`) costs as much: the
//! kernel binds a source address and port to one of them, and a phone system
//! and a carrier are two of those, so most messages reach the wrong shard
//! either way (measured with two shards at 1,000 calls a second: 126 to 153 µs
//! a call with it, 132 to 156 µs without). And an address that is ours alone
//! makes a second Tollgate fail at its start. Receiving is about 7 % of the
//! work on a message; listeners are dealt round to the shards.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Context;

use nix::errno::Errno;
use smallvec::SmallVec;
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::base::flow::ListenerId;
use crate::base::limits::{BATCH, SEND_WAITS, STREAM_ERRANDS};
use crate::transaction::{Origin, Transmit};

use super::mailbox::Mailbox;
use super::socket::{self, Opened};
use super::stats::Stats;
use super::streams::Errand;
use super::udp::{self, Batch, Headers, Slots};

/// The sockets of a shard, in the order of the listeners.
pub(super) struct Wire {
    shard: u16,
    /// To the thread that has the connections.
    errands: Mailbox<Errand>,
    ends: Vec<End>,
    slots: Slots,
    headers: Headers,
    stats: Arc<Stats>,
    /// Nothing is received: what comes in waits in the kernel, for a successor.
    deaf: bool,
    /// Why a receive call failed last, until it is asked for.
    trouble: Option<(ListenerId, Errno)>,
}

/// A message that could not be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsent {
    /// Who is to be told.
    pub(super) origin: Origin,
    /// Where it was to go.
    pub(super) remote: SocketAddr,
    /// What the system said.
    pub(super) errno: Errno,
}

struct End {
    opened: Opened,
    reader: Option<Reader>,
}

struct Reader {
    fd: AsyncFd<Arc<Socket>>,
    headers: Headers,
    /// It was not found empty in this turn.
    more: bool,
}

impl Wire {
    /// The sockets as seen from shard `id` of `shards`. To be called on the
    /// shard's thread, within its runtime.
    ///
    /// # Errors
    /// The runtime cannot watch a socket.
    pub(super) fn new(
        sockets: &[Opened],
        id: u16,
        shards: u16,
        errands: Mailbox<Errand>,
        stats: Arc<Stats>,
    ) -> io::Result<Self> {
        let readers = (0..shards.max(1)).cycle();
        let ends = sockets.iter().zip(readers).map(|(opened, reader)| {
            let datagrams = !opened.transport.is_reliable();
            let reader = if reader == id && datagrams {
                let fd = socket::watch(Arc::clone(&opened.socket))?;
                let headers = match opened.everywhere {
                    true => Headers::with_called(),
                    false => Headers::new(),
                };
                Some(Reader {
                    fd,
                    headers,
                    more: false,
                })
            } else {
                None
            };
            let opened = opened.clone();
            Ok(End { opened, reader })
        });
        Ok(Self {
            shard: id,
            errands,
            ends: ends.collect::<io::Result<_>>()?,
            slots: Slots::new(),
            headers: Headers::new(),
            stats,
            deaf: false,
            trouble: None,
        })
    }

    /// From now on nothing is received, or everything is again.
    pub(super) const fn read(&mut self, wanted: bool) {
        self.deaf = !wanted;
    }

    /// Whether nothing is received.
    pub(super) const fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Receives so many batches at most, or one from each socket if that is more, and shows
    /// them to `each`: a batch from each that may have something, and so on. Whether there
    /// may be more. With `probe`, sockets that seem to have nothing are tried as well.
    pub(super) fn receive(
        &mut self,
        probe: bool,
        batches: usize,
        mut each: impl FnMut(ListenerId, Batch<'_>),
    ) -> bool {
        if self.deaf {
            return false;
        }
        for reader in self.ends.iter_mut().filter_map(|end| end.reader.as_mut()) {
            reader.more = true;
        }
        let (mut left, mut first) = (batches, true);
        loop {
            let mut more = false;
            for at in 0..self.ends.len() {
                if first || left > 0 {
                    left = left.saturating_sub(usize::from(self.has_more(at)));
                    self.receive_from(at, probe, &mut each);
                }
                more |= self.has_more(at);
            }
            if !more || left == 0 {
                return more;
            }
            first = false;
        }
    }

    fn has_more(&self, at: usize) -> bool {
        let reader = self.ends.get(at).and_then(|end| end.reader.as_ref());
        reader.is_some_and(|it| it.more)
    }

    /// Receives a batch from a socket, unless it was found empty.
    fn receive_from(
        &mut self,
        at: usize,
        probe: bool,
        each: &mut impl FnMut(ListenerId, Batch<'_>),
    ) {
        let reader = self.ends.get_mut(at).and_then(|end| end.reader.as_mut());
        let (Some(Reader { fd, headers, more }), Ok(id)) = (reader, u16::try_from(at)) else {
            return;
        };
        if !*more {
            return;
        }
        let mut read = |socket: &Arc<Socket>| {
            let stats = &self.stats;
            let each = |batch: Batch<'_>| each(ListenerId(id), batch);
            match udp::receive(socket, headers, &mut self.slots, each) {
                Ok(count) => {
                    stats.received.add_len(count);
                    if count == BATCH {
                        return Ok(());
                    }
                }
                Err(Errno::EAGAIN) => {}
                Err(errno) => {
                    stats.receive_failed.add(1);
                    self.trouble = Some((ListenerId(id), errno));
                }
            }
            // The batch was not full, so the socket was found empty, and
            // its readiness is over. `try_io` looked at it before that:
            // what comes in meanwhile is a new edge, and is not lost.
            Err(io::ErrorKind::WouldBlock.into())
        };
        let full = if probe {
            read(fd.get_ref())
        } else {
            fd.try_io(Interest::READABLE, read)
        };
        *more = full.is_ok();
    }

    /// Whether a socket may have something to read. If none has, the task is
    /// woken when one does.
    pub(super) fn is_readable(&self, context: &mut Context<'_>) -> bool {
        let mut readers = self.ends.iter().filter_map(|end| end.reader.as_ref());
        !self.deaf && readers.any(|reader| reader.fd.poll_read_ready(context).is_ready())
    }

    /// Why a receive call failed since this was asked last, if one did.
    pub(super) fn take_trouble(&mut self) -> Option<(ListenerId, Errno)> {
        self.trouble.take()
    }

    /// Sends `transmits`, through each socket in their order. What could not be
    /// sent is added to `failed`.
    pub(super) fn send(&mut self, transmits: &[Transmit], failed: &mut Vec<Unsent>) {
        for (end, id) in self.ends.iter().zip(0..) {
            if end.opened.transport.is_reliable() {
                self.hand_over(ListenerId(id), transmits, failed);
                continue;
            }
            let queue: SmallVec<[&Transmit; 2 * BATCH]> = transmits
                .iter()
                .filter(|transmit| transmit.flow.listener == ListenerId(id))
                .collect();
            if !queue.is_empty() {
                let mut sending = Sending {
                    opened: &end.opened,
                    headers: &mut self.headers,
                    stats: &self.stats,
                    waits: SEND_WAITS,
                };
                sending.all(&queue, failed);
            }
        }
    }
}

impl Wire {
    /// Has the thread of the connections send a listener's share of `transmits`.
    fn hand_over(&self, id: ListenerId, transmits: &[Transmit], failed: &mut Vec<Unsent>) {
        let ours = transmits.iter().filter(|it| it.flow.listener == id);
        let transmits: Vec<Transmit> = ours.cloned().collect();
        if transmits.is_empty() {
            return;
        }
        let shard = self.shard;
        let mut errands = vec![Errand::Send { shard, transmits }];
        self.errands.post(&mut errands, STREAM_ERRANDS);
        for errand in errands {
            if let Errand::Send { transmits, .. } = errand {
                failed.extend(transmits.iter().map(|it| Unsent {
                    origin: it.origin,
                    remote: it.flow.remote,
                    errno: Errno::ENOBUFS,
                }));
            }
        }
    }
}

/// One turn's messages through one socket.
struct Sending<'a> {
    opened: &'a Opened,
    headers: &'a mut Headers,
    stats: &'a Stats,
    waits: u8,
}

impl Sending<'_> {
    fn all(&mut self, mut queue: &[&Transmit], failed: &mut Vec<Unsent>) {
        while let Some((first, rest)) = queue.split_first() {
            match self.some(first, queue) {
                Ok(count) => {
                    self.stats.sent.add_len(count);
                    // The kernel sends one at least, or says why not.
                    queue = queue.get(count.max(1)..).unwrap_or_default();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) if self.waits > 0 => {
                    self.waits -= 1;
                    udp::wait_writable(&self.opened.socket, 1);
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => {
                    self.stats.send_dropped.add_len(queue.len());
                    return;
                }
                Err(errno) => {
                    self.stats.send_failed.add(1);
                    failed.push(Unsent {
                        origin: first.origin,
                        remote: first.flow.remote,
                        errno,
                    });
                    queue = rest;
                }
            }
        }
    }

    /// Sends the first of `queue`, and more of it if one call can. How many.
    fn some(&mut self, first: &Transmit, queue: &[&Transmit]) -> Result<usize, Errno> {
        let opened = self.opened;
        if let Some(local) = opened.local(first) {
            let (remote, bytes) = packet(first);
            return udp::send_from(&opened.socket, local, remote, bytes).map(|()| 1);
        }
        let plain = queue.iter().take_while(|it| opened.local(it).is_none());
        udp::send(&opened.socket, self.headers, plain.map(|it| packet(it)))
    }
}

impl Opened {
    /// Which address a message must leave from, where there is a choice.
    fn local(&self, transmit: &Transmit) -> Option<IpAddr> {
        let called = transmit.flow.local.or(self.usual);
        called.filter(|_| self.everywhere)
    }
}

fn packet(transmit: &Transmit) -> (SocketAddr, &[u8]) {
    (transmit.flow.remote, transmit.packet.as_ref())
}

#[cfg(test)]
mod tests;
