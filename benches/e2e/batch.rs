//! Datagrams by the batch, as a program that only moves them would.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// So many with one system call.
pub const BATCH: usize = 32;

/// No message here is longer.
const LONGEST: usize = 4_096;

/// What the kernel may hold for a socket, in bytes.
const BUFFER: usize = 8 << 20;

/// A socket, and room for what it receives and sends.
pub struct Port {
    socket: UdpSocket,
    slots: Vec<u8>,
    heads: MultiHeaders<SockaddrIn>,
    /// Of their own: these go on pointing at the addresses that were sent to.
    send_heads: MultiHeaders<SockaddrIn>,
    /// What waits to be sent: an end in `bytes` and where to.
    due: Vec<(usize, SockaddrIn)>,
    bytes: Vec<u8>,
}

impl Port {
    /// Opens a port at an IPv4 address.
    pub fn open(address: &str) -> Result<Self, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{address}: {error}");
        let socket = UdpSocket::bind(address).map_err(|error| fault(&error))?;
        // Forced past the limit that others have, where this runs as root.
        let forced = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        if forced.is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER).map_err(|error| fault(&error))?;
        }
        Ok(Self {
            socket,
            slots: vec![0; BATCH * LONGEST],
            heads: MultiHeaders::preallocate(BATCH, None),
            send_heads: MultiHeaders::preallocate(BATCH, None),
            due: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// Shows each datagram that is there, a batch at most. Says how many there were.
    pub fn receive(&mut self, mut each: impl FnMut(SockaddrIn, &[u8])) -> usize {
        let mut got = [None; BATCH];
        {
            let mut slots = self.slots.chunks_exact_mut(LONGEST);
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap())]);
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let all = match recvmmsg(fd, &mut self.heads, slices.iter_mut(), flags, None) {
                Ok(all) => all,
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return 0,
                Err(error) => panic!("cannot receive: {error}"),
            };
            for (place, result) in got.iter_mut().zip(all) {
                *place = Some((result.address.unwrap(), result.bytes));
            }
        }
        let mut count = 0;
        for (slot, head) in self.slots.chunks_exact(LONGEST).zip(got) {
            let Some((from, length)) = head else { break };
            each(from, &slot[..length]);
            count += 1;
        }
        count
    }

    /// Writes a datagram that leaves with the next [`Self::flush`].
    pub fn put(&mut self, to: SockaddrIn, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.due.push((self.bytes.len(), to));
    }

    /// Sends all that waits.
    pub fn flush(&mut self) {
        let (mut at, mut from) = (0, 0);
        while at < self.due.len() {
            let batch = &self.due[at..self.due.len().min(at + BATCH)];
            let mut begin = from;
            let slices: Vec<[IoSlice<'_>; 1]> = batch
                .iter()
                .map(|(end, _)| {
                    let slice = IoSlice::new(&self.bytes[begin..*end]);
                    begin = *end;
                    [slice]
                })
                .collect();
            let to: Vec<Option<SockaddrIn>> = batch.iter().map(|(_, to)| Some(*to)).collect();
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            match sendmmsg(fd, &mut self.send_heads, slices.iter(), &to, [], flags) {
                Ok(sent) => {
                    let sent = sent.count();
                    from = self.due[at + sent - 1].0;
                    at += sent;
                }
                // What a closed port of the other side answered to an earlier one.
                Err(Errno::ECONNREFUSED | Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => wait(&[&*self], Duration::from_micros(50)),
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        self.due.clear();
        self.bytes.clear();
    }
}

/// Waits until a port has something, but no longer than this.
pub fn wait(ports: &[&Port], longest: Duration) {
    let mut fds: Vec<PollFd<'_>> = ports
        .iter()
        .map(|port| PollFd::new(port.socket.as_fd(), PollFlags::POLLIN))
        .collect();
    // A signal ends the wait early, and that is all.
    let _ready = ppoll(&mut fds, Some(TimeSpec::from(longest)), None);
}
