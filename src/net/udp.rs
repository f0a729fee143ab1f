//! Datagrams by the batch: one system call receives or sends up to [`BATCH`].
//!
//! Nothing is allocated per datagram. Receiving fills slots that are made
//! once; what is wanted of a batch is copied, densely, by whoever looks at it
//! (a slot is 64 KiB, a message 1 KiB: the copy costs less than the cache
//! misses of handing the slots themselves on).

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmmsg, sendmsg,
};

use crate::base::limits::BATCH;

/// No UDP datagram is longer than this (the length field has 16 bits), so none is ever cut.
const LONGEST: usize = 65_535;

/// From one slot to the next. Not a power of two: the first lines of all
/// messages would share a few sets of the cache.
const STRIDE: usize = LONGEST + 1 + 17 * 64;

/// Where a batch is received. One for all sockets of a thread; only the pages
/// that datagrams reached take memory.
pub(super) struct Slots(Box<[u8]>);

impl Slots {
    pub(super) fn new() -> Self {
        Self(vec![0; BATCH * STRIDE].into_boxed_slice())
    }
}

/// The kernel's message headers for one socket. They point into themselves,
/// which is why they stay on the thread that made them; and one set serves
/// one address family, because the kernel notes the address length in them.
pub(super) struct Headers {
    headers: MultiHeaders<SockaddrStorage>,
    /// They also receive which address was called.
    called: bool,
}

impl Headers {
    pub(super) fn new() -> Self {
        // No control data: with it, nix's `sendmmsg` can write past its buffer.
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            called: false,
        }
    }

    /// For receiving at a socket that has all addresses: which one was called is
    /// received as well, if the socket was asked to tell.
    pub(super) fn with_called() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(in6_pktinfo))),
            called: true,
        }
    }

    /// Makes them fit for the next call.
    fn renew(&mut self) {
        // The kernel cut the control buffers' lengths down to what it wrote, and
        // only new headers have them whole again.
        if self.called {
            *self = Self::with_called();
        }
    }
}

/// One received datagram, before anything was decided about it.
pub(super) struct Datagram<'a> {
    /// The claimed source address.
    pub(super) source: SocketAddr,
    /// Which of our addresses it was sent to; only known from a socket that has
    /// them all.
    pub(super) local: Option<IpAddr>,
    /// All of it, possibly nothing.
    pub(super) bytes: &'a [u8],
    /// More was sent than there was room for.
    pub(super) truncated: bool,
}

/// What is known of a datagram before its bytes are looked at.
type Head = Option<(Option<SocketAddr>, Option<IpAddr>, usize, bool)>;

/// Received datagrams, in order of arrival.
#[derive(Clone)]
pub(super) struct Batch<'a> {
    heads: std::slice::Iter<'a, Head>,
    slots: std::slice::ChunksExact<'a, u8>,
}

impl<'a> Iterator for Batch<'a> {
    type Item = Datagram<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (head, slot) = (self.heads.next()?, self.slots.next()?);
            let (source, local, length, truncated) = (*head)?;
            let (Some(source), Some(bytes)) = (source, slot.get(..length)) else {
                continue;
            };
            return Some(Datagram {
                source,
                local,
                bytes,
                truncated,
            });
        }
    }
}

/// Receives what `socket` holds, a batch at most, and shows it to `each`. Returns how
/// many datagrams there were; fewer than [`BATCH`] means that the socket was found
/// empty.
///
/// # Errors
/// `EAGAIN` when nothing is there; anything else is the socket's.
pub(super) fn receive(
    socket: impl AsFd,
    headers: &mut Headers,
    slots: &mut Slots,
    each: impl FnOnce(Batch<'_>),
) -> Result<usize, Errno> {
    let mut heads: [Head; BATCH] = [None; BATCH];
    let mut count = 0;
    headers.renew();
    {
        let mut chunks = slots.0.chunks_exact_mut(STRIDE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let chunk = chunks.next().unwrap_or_default();
            [IoSliceMut::new(
                chunk.split_at_mut(LONGEST.min(chunk.len())).0,
            )]
        });
        let fd = socket.as_fd().as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let results = recvmmsg(fd, &mut headers.headers, slices.iter_mut(), flags, None)?;
        for (head, result) in heads.iter_mut().zip(results) {
            let truncated = result.flags.contains(MsgFlags::MSG_TRUNC);
            let source = result.address.as_ref().and_then(address);
            *head = Some((source, called(&result), result.bytes, truncated));
            count += 1;
        }
    }
    each(Batch {
        heads: heads.iter(),
        slots: slots.0.chunks_exact(STRIDE),
    });
    Ok(count)
}

/// Sends the first [`BATCH`] of `packets`, in their order. Returns how many
/// were sent; the kernel stops at the first that it cannot send, and a further
/// call beginning with that one tells why.
///
/// # Errors
/// Why the first packet could not be sent. Nothing was.
pub(super) fn send<'p>(
    socket: impl AsFd,
    headers: &mut Headers,
    packets: impl Iterator<Item = (SocketAddr, &'p [u8])>,
) -> Result<usize, Errno> {
    let mut addresses = [None; BATCH];
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    let mut count = 0;
    let places = addresses.iter_mut().zip(slices.iter_mut());
    for ((address, slice), (remote, bytes)) in places.zip(packets) {
        *address = Some(SockaddrStorage::from(remote));
        *slice = [IoSlice::new(bytes)];
        count += 1;
    }
    let addresses = addresses.get(..count).unwrap_or_default();
    let fd = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    let sent = sendmmsg(
        fd,
        &mut headers.headers,
        slices.iter(),
        addresses,
        [],
        flags,
    )?;
    Ok(sent.count())
}

/// Sends one packet from `local`, which is one of the addresses that `socket` has.
///
/// # Errors
/// Why it could not be sent.
pub(super) fn send_from(
    socket: impl AsFd,
    local: IpAddr,
    remote: SocketAddr,
    bytes: &[u8],
) -> Result<(), Errno> {
    let (four, six);
    let control = match local {
        IpAddr::V4(local) => {
            four = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr {
                    s_addr: u32::from_ne_bytes(local.octets()),
                },
                ipi_addr: in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&four)
        }
        IpAddr::V6(local) => {
            six = in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: local.octets(),
                },
                ipi6_ifindex: 0,
            };
            ControlMessage::Ipv6PacketInfo(&six)
        }
    };
    let fd = socket.as_fd().as_raw_fd();
    let (slices, address) = ([IoSlice::new(bytes)], SockaddrStorage::from(remote));
    let flags = MsgFlags::MSG_DONTWAIT;
    sendmsg(fd, &slices, &[control], flags, Some(&address)).map(|_sent| ())
}

/// Waits until `socket` takes packets again, `millis` at most. Whether it does
/// now, the next [`send`] shows.
pub(super) fn wait_writable(socket: impl AsFd, millis: u8) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    // A signal or a failure ends the wait early, and that is all.
    let _ready = poll(&mut fds, PollTimeout::from(millis));
}

/// Which of our addresses a datagram was sent to, if the kernel says so.
fn called(datagram: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    datagram.cmsgs().ok()?.find_map(|control| match control {
        // Where an answer comes from: for a broadcast, not where it was sent to.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    })
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(four) = storage.as_sockaddr_in() {
        return Some(SocketAddr::V4((*four).into()));
    }
    storage
        .as_sockaddr_in6()
        .map(|six| SocketAddr::V6((*six).into()))
}

#[cfg(test)]
mod tests {
    use super::super::socket;
    use super::*;

    fn pair(host: &str) -> (socket2::Socket, socket2::Socket, SocketAddr, SocketAddr) {
        let open = || socket::bind(SocketAddr::new(host.parse().unwrap(), 0)).unwrap();
        let (one, two) = (open(), open());
        let name = |s: &socket2::Socket| s.local_addr().unwrap().as_socket().unwrap();
        let (from, to) = (name(&one), name(&two));
        (one, two, from, to)
    }

    fn round_trip(host: &str) {
        let (one, two, from, to) = pair(host);
        let packets: Vec<Vec<u8>> = (0..70_usize)
            .map(|n| vec![u8::try_from(n).unwrap(); n * 41])
            .collect();
        let mut headers = Headers::new();
        let mut sent = 0;
        while sent < packets.len() {
            let rest = packets[sent..].iter().map(|p| (to, p.as_slice()));
            let now = send(&one, &mut headers, rest).unwrap();
            assert_eq!(now, BATCH.min(packets.len() - sent));
            sent += now;
        }
        let (mut slots, mut headers, mut got) = (Slots::new(), Headers::new(), Vec::new());
        let mut sizes = Vec::new();
        loop {
            let result = receive(&two, &mut headers, &mut slots, |batch| {
                for d in batch {
                    assert_eq!(d.source, from);
                    assert!(!d.truncated);
                    got.push(d.bytes.to_vec());
                }
            });
            match result {
                Ok(count) => sizes.push(count),
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN);
                    break;
                }
            }
        }
        assert_eq!(sizes, [32, 32, 6]);
        assert_eq!(got, packets);
    }

    #[test]
    fn batches_go_round_on_ipv4() {
        round_trip("127.0.0.1");
    }

    #[test]
    fn batches_go_round_on_ipv6() {
        round_trip("::1");
    }

    #[test]
    fn the_longest_datagram_is_whole() {
        let (one, two, _, to) = pair("127.0.0.1");
        let longest = vec![7; 65_507];
        let packet = std::iter::once((to, longest.as_slice()));
        assert_eq!(send(&one, &mut Headers::new(), packet), Ok(1));
        let mut seen = 0;
        let count = receive(&two, &mut Headers::new(), &mut Slots::new(), |mut batch| {
            let d = batch.next().unwrap();
            assert!(!d.truncated);
            seen = d.bytes.len();
            assert!(batch.next().is_none());
        });
        assert_eq!((count, seen), (Ok(1), longest.len()));
    }

    #[test]
    fn one_that_cannot_go_is_told_apart() {
        let (one, two, _, to) = pair("127.0.0.1");
        let mut headers = Headers::new();
        let (small, huge) = (vec![1; 10], vec![2; 65_508]);
        let packets = [(to, &small), (to, &huge), (to, &small)];
        let mut from = |n: usize| {
            let rest = packets[n..].iter().map(|(to, p)| (*to, p.as_slice()));
            send(&one, &mut headers, rest)
        };
        assert_eq!(from(0), Ok(1));
        assert_eq!(from(1), Err(Errno::EMSGSIZE));
        assert_eq!(from(2), Ok(1));
        let (mut slots, mut lengths) = (Slots::new(), Vec::new());
        let each = |batch: Batch<'_>| lengths.extend(batch.map(|d| d.bytes.len()));
        assert_eq!(receive(&two, &mut Headers::new(), &mut slots, each), Ok(2));
        assert_eq!(lengths, [10, 10]);
    }
}
