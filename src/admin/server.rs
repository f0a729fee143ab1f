//! The control socket's side that answers.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::base::limits::{CONTROL_CONNECTIONS, CONTROL_REQUEST_BYTES, CONTROL_TIME_S};

use super::protocol::{Answer, Fault, FaultKind, Order, Reply, Request, VERSION};
use super::{Socket, handing};

/// How long to wait when the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// How often it is looked whether the socket's file is still there.
const LOOK: Duration = Duration::from_secs(2);

/// Who gives an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The user, as the kernel says (`SO_PEERCRED`, unix(7)).
    pub uid: u32,
    /// The user's name; the number where there is none. Behind it, for whom, if the
    /// client says so.
    pub name: String,
}

impl By {
    /// The user of this number.
    #[must_use]
    pub fn of(uid: u32, behalf: Option<&str>) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| uid.to_string(), |user| user.name);
        let name = match behalf {
            Some(other) => format!("{name} for {other}"),
            None => name,
        };
        Self { uid, name }
    }
}

/// Whoever does what is ordered.
pub trait Operator {
    /// Does it, and says what came of it. Before that it may send word of how far
    /// it is.
    fn obey(&self, by: By, order: Order, replies: &mut Replies<'_>) -> impl Future<Output = Reply>;
}

/// The way to whoever asked.
#[derive(Debug)]
pub struct Replies<'c>(&'c mut UnixStream);

impl Replies<'_> {
    /// Sends a line that is not the last. That nobody hears it changes nothing for
    /// the order.
    pub async fn more(&mut self, reply: Reply) {
        let _heard = send(self.0, reply, true).await;
    }

    /// Sends a line that is not the last, and open descriptors with it.
    ///
    /// # Errors
    /// They did not arrive.
    pub async fn hand(&mut self, reply: Reply, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let line = line(reply, true)?;
        let slow = |_| io::Error::from(io::ErrorKind::TimedOut);
        timeout(time(), handing::send(self.0, &line, sockets))
            .await
            .map_err(slow)?
    }
}

/// Answers on the socket, for ever. Several clients are served at once.
///
/// # Errors
/// The socket cannot be waited for.
pub async fn serve<O: Operator + 'static>(mut socket: Socket, operator: Rc<O>) -> io::Result<()> {
    let mut listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let here = LocalSet::new();
    // Counts the connections: each has a clone.
    let open = Rc::new(());
    here.run_until(async {
        loop {
            let stream = match timeout(LOOK, listener.accept()).await {
                Ok(Ok((stream, _))) => stream,
                Err(_) => {
                    if let Some(anew) = socket.anew() {
                        listener = UnixListener::from_std(anew.listener.try_clone()?)?;
                        socket = anew;
                    }
                    continue;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a connection to the control socket was not taken");
                    sleep(BREATH).await;
                    continue;
                }
            };
            let (operator, one) = (Rc::clone(&operator), Rc::clone(&open));
            let room = Rc::strong_count(&open) <= CONTROL_CONNECTIONS + 1;
            // Without room for even that, it is closed unanswered.
            if Rc::strong_count(&open) <= 2 * CONTROL_CONNECTIONS {
                spawn_local(async move {
                    connection(stream, &*operator, room).await;
                    drop(one);
                });
            }
        }
    })
    .await
}

/// One client, from its request to the last line of its answer.
async fn connection(mut stream: UnixStream, operator: &impl Operator, room: bool) {
    let reply = match admitted(&stream, room) {
        Err(fault) => Reply::Fault(fault),
        Ok(uid) => match request(&mut stream).await {
            Ok(None) => return,
            Ok(Some(request)) => {
                let by = By::of(uid, request.behalf.as_deref());
                let mut replies = Replies(&mut stream);
                operator.obey(by, request.order, &mut replies).await
            }
            Err(fault) => Reply::Fault(fault),
        },
    };
    // A client that has gone need not be told.
    let _heard = send(&mut stream, reply, false).await;
}

/// Whether this client may give orders; its user.
fn admitted(stream: &UnixStream, room: bool) -> Result<u32, Fault> {
    if !room {
        let text = format!("{CONTROL_CONNECTIONS} others give orders just now: try again");
        return Err(Fault::new(FaultKind::Busy, text));
    }
    let us = Uid::effective();
    let uid = stream.peer_cred().map(|it| it.uid());
    match uid {
        Ok(uid) if may_order(uid, us.as_raw()) => Ok(uid),
        _ => {
            let uid = uid.map_or_else(|error| error.to_string(), |uid| uid.to_string());
            tracing::warn!(uid, "another user tried to give orders, and was refused");
            let text = match By::of(us.as_raw(), None).name.as_str() {
                "root" => "only root may give this Tollgate orders".to_owned(),
                owner => format!("only {owner} and root may give this Tollgate orders"),
            };
            Err(Fault::new(FaultKind::Forbidden, text))
        }
    }
}

/// Whether a user may give orders to a program that runs as `owner`. Root may do
/// anything to it anyway.
pub(super) fn may_order(uid: u32, owner: u32) -> bool {
    uid == owner || uid == 0
}

/// Reads a request; none where the client only looked whether somebody is here.
async fn request(stream: &mut UnixStream) -> Result<Option<Request>, Fault> {
    let most = u64::try_from(CONTROL_REQUEST_BYTES).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(most.saturating_add(1));
    let read = timeout(time(), reader.read_until(b'\n', &mut line)).await;
    match read {
        Err(_) => {
            let text = format!("no order came within {CONTROL_TIME_S} s");
            return Err(Fault::new(FaultKind::TooSlow, text));
        }
        Ok(Err(_)) => return Ok(None),
        Ok(Ok(_)) if line.is_empty() => return Ok(None),
        Ok(Ok(_)) => {}
    }
    if line.len() > CONTROL_REQUEST_BYTES {
        let text = format!("an order has at most {CONTROL_REQUEST_BYTES} bytes");
        return Err(Fault::new(FaultKind::TooLong, text));
    }
    parse(&line).map(Some)
}

/// Understands a request.
pub(super) fn parse(line: &[u8]) -> Result<Request, Fault> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    let malformed = |error: serde_json::Error| {
        let text = format!(
            "this is no order that Tollgate {} knows: {error}",
            env!("CARGO_PKG_VERSION")
        );
        Fault::new(FaultKind::Malformed, text)
    };
    let Versioned { v } = serde_json::from_slice(line).map_err(malformed)?;
    if v != VERSION {
        let text = format!(
            "this Tollgate is version {} and speaks version {VERSION} of the control protocol, not {v}: \
             use the tollgate program of its version",
            env!("CARGO_PKG_VERSION")
        );
        return Err(Fault::new(FaultKind::Version, text));
    }
    serde_json::from_slice(line).map_err(malformed)
}

/// Sends one line. A client that does not take it in time is left.
async fn send(stream: &mut UnixStream, reply: Reply, more: bool) -> io::Result<()> {
    let line = line(reply, more)?;
    let slow = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(time(), stream.write_all(&line))
        .await
        .map_err(slow)?
}

fn line(reply: Reply, more: bool) -> io::Result<Vec<u8>> {
    let answer = Answer {
        v: VERSION,
        more,
        reply,
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    Ok(line)
}

fn time() -> Duration {
    Duration::from_secs(CONTROL_TIME_S)
}
