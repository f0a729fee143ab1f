//! How a connection begins: it is made or accepted, and hands are shaken.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::hub::Hub;
use super::line::Line;
use super::talk::{End, Talk};
use super::wire::Wire;
use crate::base::flow::Transport;
use crate::base::limits::{HANDSHAKE_S, STREAM_CONNECT_S, STREAM_PING_S, STREAM_WRITE_S};

/// Serves a connection that a peer has made.
pub(super) fn answer(hub: Rc<Hub>, line: Rc<Line>, stream: TcpStream) {
    let mut guard = Guard::new(hub, line);
    spawn_local(async move {
        let end = match accept(&guard, stream).await {
            Ok(wire) => Talk::new(&guard.hub, &guard.line, wire).await,
            Err(end) => end,
        };
        guard.over(&end);
    });
}

/// Makes a connection, and serves it.
pub(super) fn call(hub: Rc<Hub>, line: Rc<Line>, from: Option<IpAddr>) {
    let mut guard = Guard::new(hub, line);
    spawn_local(async move {
        let made = connect(&guard, from);
        let end = match within(&guard.line, STREAM_CONNECT_S, made).await {
            Ok(wire) => Talk::new(&guard.hub, &guard.line, wire).await,
            Err(end) => end,
        };
        guard.over(&end);
    });
}

async fn accept(guard: &Guard, stream: TcpStream) -> Result<Wire, End> {
    let Guard { hub, line, .. } = guard;
    prepare(&stream)?;
    if line.flow.transport != Transport::Tls {
        return Ok(Wire::Plain(stream));
    }
    let tls = hub.in_force.both().1;
    let Some(server) = tls.server(line.flow.listener) else {
        return Err(End::Closed);
    };
    if !hub.shaking.begin(line) {
        hub.stats.streams_refused.add(1);
        return Err(End::Closed);
    }
    let shaken = within(line, HANDSHAKE_S, async {
        Ok(Wire::accept(stream, server.config).await?)
    });
    let shaken = shaken.await.and_then(|wire| match server.asks {
        true => known(hub, line, wire),
        false => Ok(wire),
    });
    hub.shaking.end(line);
    shaken.map_err(|end| {
        hub.stats.handshakes_failed.add(1);
        let source = line.flow.remote.ip();
        match hub.rules().peer(line.flow.listener, source) {
            Some(_) => end,
            // What a stranger does wrong is nobody's fault.
            None => {
                hub.note_stranger(source);
                End::Closed
            }
        }
    })
}

/// Looks whose certificate it is that was shown: one peer's, or it is not heard.
fn known(hub: &Hub, line: &Line, wire: Wire) -> Result<Wire, End> {
    let rules = hub.rules();
    let names = wire.names().into_iter();
    let mut known = names.filter_map(|name| Some((name, rules.peer_named(name)?)));
    let fault = "its certificate is for nobody whom the rules name";
    let (name, peer) = known.next().ok_or_else(|| End::Fault(fault.to_owned()))?;
    if known.any(|(_, other)| other != peer) {
        return Err(End::Fault("its certificate is for two peers".to_owned()));
    }
    hub.lines.borrow_mut().named(line, name);
    Ok(wire)
}

async fn connect(guard: &Guard, from: Option<IpAddr>) -> Result<Wire, End> {
    let flow = guard.line.flow;
    let to = flow.remote;
    let client = match flow.transport {
        Transport::Tls => {
            let (rules, tls) = guard.hub.in_force.both();
            let peer = rules.peer(flow.listener, to.ip());
            let client = peer.and_then(|it| tls.client(it));
            Some(client.ok_or(End::Failed(Errno::ENOTCONN))?)
        }
        _ => None,
    };
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(to).await?;
    prepare(&stream)?;
    let Some(client) = client else {
        return Ok(Wire::Plain(stream));
    };
    let made = Wire::connect(stream, client).await;
    made.map_err(|error| {
        guard.hub.stats.handshakes_failed.add(1);
        error.into()
    })
}

/// Waits for `work`, unless that takes too long or the connection is to be closed.
async fn within<T>(
    line: &Line,
    seconds: u64,
    work: impl Future<Output = Result<T, End>>,
) -> Result<T, End> {
    let mut work = pin!(timeout(Duration::from_secs(seconds), work));
    let done = poll_fn(|context| {
        line.sleep(context.waker());
        match line.is_unwanted() {
            true => Poll::Ready(Ok(Err(End::Closed))),
            false => work.as_mut().poll(context),
        }
    });
    done.await.unwrap_or(Err(End::Failed(Errno::ETIMEDOUT)))
}

/// Has the kernel send at once, and find out who is dead.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    let seconds = Duration::from_secs;
    let socket = SockRef::from(stream);
    let alive = TcpKeepalive::new()
        .with_time(seconds(STREAM_PING_S))
        .with_interval(seconds(15))
        .with_retries(4);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&alive)?;
    socket.set_tcp_user_timeout(Some(seconds(2 * STREAM_WRITE_S)))
}

/// Sees to it that a connection's end is told, however it ends.
struct Guard {
    hub: Rc<Hub>,
    line: Rc<Line>,
    errno: Errno,
}

impl Guard {
    fn new(hub: Rc<Hub>, line: Rc<Line>) -> Self {
        let errno = Errno::ECONNRESET;
        Self { hub, line, errno }
    }

    fn over(&mut self, end: &End) {
        self.errno = end.errno();
        if let End::Fault(fault) = end {
            self.hub.stats.streams_broken.add(1);
            let fault = (self.line.flow.remote, fault.clone());
            *self.hub.trouble.borrow_mut() = Some(fault);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.hub.gone(&self.line, self.errno);
    }
}
