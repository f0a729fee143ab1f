//! Opening the listeners' sockets, and saying what to do when that fails.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::base::flow::Transport;
use crate::base::limits::{HANDED_SOCKETS, KERNEL_BUFFER_BYTES};
use crate::policy::{Listener, RuleSet};

/// Why a listener could not be opened.
#[derive(Debug)]
pub struct BindError {
    transport: Transport,
    address: SocketAddr,
    cause: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address;
        let transport = self.transport.scheme();
        write!(f, "cannot listen on {transport}:{address}: ")?;
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "another program has port {} (`ss -{}lpn` shows which); stop it, or change the [[listen]] address",
                address.port(),
                if self.transport.is_reliable() {
                    't'
                } else {
                    'u'
                }
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "no right to open port {}; allow it with CAP_NET_BIND_SERVICE, or choose a port above 1023",
                address.port()
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "this machine has no address {} (`ip address` shows what it has); change the [[listen]] address",
                address.ip()
            ),
            _ if self.cause.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => write!(
                f,
                "this machine has IPv6 switched off; change the [[listen]] address, or switch it on"
            ),
            _ => write!(f, "{}", self.cause),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The open sockets of some rules' listeners, in their order.
#[derive(Debug)]
pub struct Sockets(Vec<Opened>);

/// The sockets of a program that ends for its successor. It waits with its end until
/// this is dropped.
#[derive(Debug)]
pub struct Handed {
    pub(super) sockets: Vec<Opened>,
    pub(super) _waiting: oneshot::Sender<()>,
}

impl Handed {
    /// Their descriptors, [`HANDED_SOCKETS`] at most.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = self.sockets.iter().take(HANDED_SOCKETS);
        sockets.map(|it| it.socket.as_fd()).collect()
    }
}

/// One listener's socket.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) socket: Arc<Socket>,
    pub(super) transport: Transport,
    /// It has all addresses of the machine.
    pub(super) everywhere: bool,
    /// What leaves for someone who has not called leaves from here. None if it
    /// has one address only, or is known by one that the machine has not: the
    /// kernel then knows best.
    pub(super) usual: Option<IpAddr>,
}

impl Sockets {
    /// Opens them. What arrives from now on waits in the kernel.
    ///
    /// # Errors
    /// [`BindError`]: an address is taken, not this machine's, or not ours to take.
    pub fn open(rules: &RuleSet) -> Result<Self, BindError> {
        let sockets = rules.listeners().iter();
        let sockets = sockets.map(|listener| Opened::new(listener, None));
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// The same, with the sockets of a predecessor where it listened at the same
    /// address: what arrived since it stopped reading waits in them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn inherit(rules: &RuleSet, from: Vec<OwnedFd>) -> Result<Self, BindError> {
        let mut left: Vec<Socket> = from.into_iter().map(Socket::from).collect();
        let sockets = rules.listeners().iter().map(|listener| {
            let wanted = match listener.transport.is_reliable() {
                true => Type::STREAM,
                false => Type::DGRAM,
            };
            let same = |socket: &mut Socket| bound_to(socket) == Some((wanted, listener.bind));
            let inherited = left.extract_if(.., same).next();
            Opened::new(listener, inherited)
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// Says in the log where they listen.
    pub(super) fn announced(self) -> Vec<Opened> {
        for opened in &self.0 {
            let address = opened.socket.local_addr().ok();
            let address = address.and_then(|it| it.as_socket());
            let address = address.map_or_else(String::new, |it| it.to_string());
            tracing::info!(address, "listening on {}", opened.transport.via_name());
            if opened.transport.is_reliable() {
                continue;
            }
            let bytes = receive_buffer(&opened.socket);
            if bytes < KERNEL_BUFFER_BYTES {
                tracing::warn!(
                    bytes,
                    "the kernel holds little for this listener: a burst may be lost; \
                     raise net.core.rmem_max to {KERNEL_BUFFER_BYTES}, or grant CAP_NET_ADMIN"
                );
            }
        }
        self.0
    }
}

impl Opened {
    pub(super) fn new(listener: &Listener, socket: Option<Socket>) -> Result<Self, BindError> {
        let everywhere = listener.bind.ip().is_unspecified();
        let usual = listener.advertise.ip();
        Ok(Self {
            socket: Arc::new(match socket {
                Some(socket) => socket,
                None => bind_as(listener.transport, listener.bind)?,
            }),
            transport: listener.transport,
            everywhere,
            // Behind address translation, others know us by an address of its.
            usual: Some(usual).filter(|it| everywhere && bind(SocketAddr::new(*it, 0)).is_ok()),
        })
    }

    /// The address that connections are made from; none where the kernel chooses.
    pub(super) fn leaves_from(&self) -> Option<IpAddr> {
        let bound = self.socket.local_addr().ok()?.as_socket()?;
        if self.everywhere {
            self.usual
        } else {
            Some(bound.ip())
        }
    }
}

/// Of which type a socket is, and where it is bound to.
fn bound_to(socket: &Socket) -> Option<(Type, SocketAddr)> {
    let address = socket.local_addr().ok()?.as_socket()?;
    Some((socket.r#type().ok()?, address))
}

/// A bound, non-blocking UDP socket. It alone has the address: a second
/// Tollgate started by mistake must fail rather than take half the calls.
///
/// # Errors
/// The address is taken, not this machine's, or not ours to take.
pub(super) fn bind(address: SocketAddr) -> Result<Socket, BindError> {
    bind_as(Transport::Udp, address)
}

/// The same for any transport; a stream's already takes connections.
fn bind_as(transport: Transport, address: SocketAddr) -> Result<Socket, BindError> {
    let opened = match transport {
        Transport::Udp => open(address),
        Transport::Tcp | Transport::Tls => open_stream(address),
        Transport::Inside => Err(io::ErrorKind::Unsupported.into()),
    };
    opened.map_err(|cause| BindError {
        transport,
        address,
        cause,
    })
}

/// How many connections the kernel keeps until they are looked at.
const BACKLOG: i32 = 1_024;

fn open_stream(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run that still fade away are no hindrance; another
    // listener is.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // A listener is one family: an IPv4 peer behind ::ffff: would be
        // looked up in the wrong half of the peer table.
        socket.set_only_v6(true)?;
    } else {
        allow_fragments(&socket)?;
    }
    if address.ip().is_unspecified() {
        // An answer must come from the address that was called.
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    size_buffers(&socket);
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Asks for [`KERNEL_BUFFER_BYTES`] past the system's limit, which takes
/// CAP_NET_ADMIN; without it, for as much as the limit allows.
fn size_buffers(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &KERNEL_BUFFER_BYTES).is_err() {
        // The kernel cuts a large wish down to `net.core.rmem_max`: no error.
        let _cut_down = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
    }
    if setsockopt(socket, sockopt::SndBufForce, &KERNEL_BUFFER_BYTES).is_err() {
        let _cut_down = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
    }
}

/// Has the runtime watch `socket` for something to read. Not for room to write:
/// the kernel would then wake us whenever something that was sent has left.
///
/// # Errors
/// The runtime cannot watch it.
#[expect(unsafe_code, reason = "tokio cannot see that the socket stays open")]
pub(super) fn watch(socket: Arc<Socket>) -> io::Result<AsyncFd<Arc<Socket>>> {
    // SAFETY: the `AsyncFd` holds the `Arc` until it is dropped, and with it
    // the socket, whose descriptor is open and never changes while it lives.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

/// How many bytes the kernel will hold for `socket`, as it counts them (its
/// own overhead included, which it doubles the wish for).
pub(super) fn receive_buffer(socket: &Socket) -> usize {
    SockRef::from(socket).recv_buffer_size().unwrap_or(0)
}

/// How many datagrams the kernel dropped because `socket` was not read in time,
/// as `/proc/net/udp` says; None where it does not say.
pub(super) fn kernel_drops(socket: &Socket) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    let link = link.to_str()?;
    let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .find_map(|table| {
            let table = fs::read_to_string(table).ok()?;
            table.lines().find_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let ours = words.nth(9)? == inode;
                ours.then(|| words.nth(2)?.parse().ok())?
            })
        })
}

/// Switches path MTU discovery off: with the don't-fragment bit set, an INVITE
/// larger than the path's MTU is lost wherever ICMP is filtered.
#[expect(unsafe_code, reason = "neither nix nor socket2 has IP_MTU_DISCOVER")]
fn allow_fragments(socket: &Socket) -> io::Result<()> {
    use nix::libc;

    let dont = libc::IP_PMTUDISC_DONT;
    let size = libc::socklen_t::try_from(size_of_val(&dont)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the
    // pointer is to a `c_int` that outlives the call, and `size` is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const dont).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(socket: &Socket) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = local(&first);
        let text = bind(taken).unwrap_err().to_string();
        assert!(text.contains(&taken.to_string()), "{text}");
        assert!(text.contains("another program has port"), "{text}");
        drop(first);
        bind(taken).unwrap();
    }

    #[test]
    fn a_foreign_address_is_named() {
        // RFC 5737 keeps this block for documents: no machine has it.
        let text = bind("192.0.2.1:0".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(text.contains("has no address 192.0.2.1"), "{text}");
    }

    #[test]
    fn both_families_can_have_one_port() {
        let six = bind("[::]:0".parse().unwrap()).unwrap();
        let port = local(&six).port();
        bind(SocketAddr::new("0.0.0.0".parse().unwrap(), port)).unwrap();
    }

    #[test]
    fn buffers_hold_a_burst() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // The kernel's default is 208 KiB; any wish beyond it was heard.
        assert!(receive_buffer(&socket) >= 200 << 10);
    }

    #[test]
    fn what_the_kernel_dropped_is_known() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let socket = bind(host.parse().unwrap()).unwrap();
            assert_eq!(kernel_drops(&socket), Some(0));
            socket.set_recv_buffer_size(4096).unwrap();
            let sender = bind(host.parse().unwrap()).unwrap();
            for _ in 0..20 {
                sender.send_to(&[0; 1000], &local(&socket).into()).unwrap();
            }
            let dropped = kernel_drops(&socket).unwrap();
            assert!((1..20).contains(&dropped), "{dropped}");
        }
    }
}
