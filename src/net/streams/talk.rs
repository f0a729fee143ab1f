//! One connection's task: it reads and cuts into messages, writes what waits, and
//! keeps the time.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::flow::Transport;
use crate::base::limits::{
    STREAM_FIRST_S, STREAM_IDLE_S, STREAM_MESSAGE_S, STREAM_PARTIAL_BYTES, STREAM_PING_S,
    STREAM_WRITE_S, UNKNOWN_BYTES,
};
use crate::sip::fields;
use crate::sip::frame::{Frame, Framer};
use crate::sip::{Host, Message};

use super::hub::Hub;
use super::line::{Line, Unwritten};
use super::wire::Wire;

/// How often a task reads before others get their turn.
const READS: u8 = 4;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed it, or was told to go.
    Closed,
    /// The system says so.
    Failed(Errno),
    /// The peer does what nobody may.
    Fault(String),
}

impl End {
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Closed | Self::Fault(_) => Errno::ECONNRESET,
            Self::Failed(errno) => *errno,
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Failed(Errno::from_raw(errno)),
            // What TLS minds.
            None if error.kind() == io::ErrorKind::InvalidData => Self::Fault(error.to_string()),
            None => Self::Closed,
        }
    }
}

/// A connection that is made.
pub(super) struct Talk {
    hub: Rc<Hub>,
    line: Rc<Line>,
    stream: Wire,
    framer: Framer,
    /// How much of the framer's is reckoned in `Hub::partial`.
    partial: usize,
    alarm: Pin<Box<Sleep>>,
    made: Instant,
    /// Something whole was heard, or need not be.
    heard: bool,
    /// When something whole was heard or sent last.
    active: Instant,
    /// When the message that is not whole yet began.
    begun: Option<Instant>,
    /// Since when the peer takes nothing.
    stuck: Option<Instant>,
    /// When the peer is asked for a sign of life: on a connection of our making.
    ping: Option<Instant>,
    /// It was, and has not answered.
    pinged: bool,
}

impl Talk {
    pub(super) fn new(hub: &Rc<Hub>, line: &Rc<Line>, stream: Wire) -> Self {
        let now = Instant::now();
        let ping = Duration::from_secs(STREAM_PING_S);
        Self {
            hub: Rc::clone(hub),
            line: Rc::clone(line),
            stream,
            framer: Framer::new(),
            partial: 0,
            alarm: Box::pin(sleep_until(now + Duration::from_secs(STREAM_FIRST_S))),
            made: now,
            heard: !line.accepted,
            active: now,
            begun: None,
            stuck: None,
            ping: (!line.accepted).then(|| now + ping),
            pinged: false,
        }
    }

    /// Writes until nothing waits, or nothing more is taken.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        self.line.sleep(context.waker());
        while !self.line.is_idle() {
            let stream = Pin::new(&mut self.stream);
            let write = |parts: &[&[u8]]| {
                let parts: smallvec::SmallVec<[IoSlice<'_>; 16]> =
                    parts.iter().map(|part| IoSlice::new(part)).collect();
                stream.poll_write_vectored(context, &parts)
            };
            let taken = |poll: &Poll<io::Result<usize>>| match poll {
                Poll::Ready(Ok(count)) => *count,
                _ => 0,
            };
            match self.line.write(write, taken) {
                Poll::Ready(Ok(0)) => return Err(End::Closed),
                Poll::Ready(Ok(_)) => {
                    self.stuck = None;
                    self.active = Instant::now();
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    self.stuck.get_or_insert_with(Instant::now);
                    return Ok(());
                }
            }
        }
        // TLS keeps what the kernel has not taken.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => {
                self.stuck = None;
                Ok(flushed?)
            }
            Poll::Pending => {
                self.stuck.get_or_insert_with(Instant::now);
                Ok(())
            }
        }
    }

    /// Reads once, and sees to what is whole.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.hub.must_wait(context.waker()) {
            return Poll::Pending;
        }
        {
            let mut scratch = self.hub.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(End::Closed));
            }
            self.framer.push(buffer.filled());
        }
        Poll::Ready(self.cut())
    }

    /// Cuts what was read into messages.
    fn cut(&mut self) -> Result<(), End> {
        let rules = self.hub.rules();
        let known = rules.peer_of(self.line.flow()).is_some();
        if !known && !self.hub.unknown.holds(&self.line) {
            return Err(End::Closed);
        }
        let mut whole = false;
        loop {
            match self.framer.next() {
                Ok(Some(Frame::Message(message))) => {
                    whole = true;
                    self.hub.stats.received.add(1);
                    if self.hub.quarantine.holds(message.bytes()) {
                        self.hub.stats.quarantined.add(1);
                        continue;
                    }
                    if !self.heard && known {
                        self.note_alias(&message);
                    }
                    self.note_heard();
                    match known {
                        true => self.hub.deliver(&rules, &self.line, message),
                        false if self.hub.hear(&rules, &self.line, message) => {}
                        false => return Err(End::Closed),
                    }
                }
                // Who is nobody has nothing to keep alive.
                Ok(Some(Frame::KeepAlive)) if !known => return Err(End::Closed),
                Ok(Some(Frame::KeepAlive)) => {
                    whole = true;
                    self.hub.stats.keep_alives.add(1);
                    self.note_heard();
                    // Who asks and does not read gets one answer.
                    if self.line.is_idle() {
                        let _queued = self.line.push(Unwritten::line_ends(b"\r\n"));
                    }
                }
                Ok(None) => break,
                Err(broken) => return Err(End::Fault(broken.to_string())),
            }
        }
        if self.pinged && self.framer.take_line_end() {
            self.pinged = false;
        }
        if !known && self.framer.buffered() > UNKNOWN_BYTES {
            return Err(End::Closed);
        }
        self.reckon(whole)
    }

    /// Keeps account of what is not whole.
    fn reckon(&mut self, whole: bool) -> Result<(), End> {
        let now = Instant::now();
        if whole {
            self.active = now;
        }
        self.begun = match self.begun.filter(|_| !whole) {
            _ if !self.framer.is_inside() => None,
            Some(begun) => Some(begun),
            None => Some(now),
        };
        let others = self.hub.partial.get().saturating_sub(self.partial);
        self.partial = self.framer.buffered();
        self.hub.partial.set(others.saturating_add(self.partial));
        if self.hub.partial.get() > STREAM_PARTIAL_BYTES {
            return Err(End::Fault(
                "too much is half sent over all connections".to_owned(),
            ));
        }
        Ok(())
    }

    fn note_heard(&mut self) {
        if !self.heard {
            self.heard = true;
            self.hub.lines.borrow().heard(self.line.id);
        }
    }

    /// RFC 5923 §9: a peer whose Via has `alias` takes requests over this connection.
    /// Over TLS it would have to prove that it is who may be called there.
    fn note_alias(&self, message: &Message) {
        let remote = self.line.flow.remote;
        if self.line.flow.transport == Transport::Tls {
            return;
        }
        let Some(Ok(via)) = fields::vias(message)
            .next()
            .filter(|_| message.method().is_some())
        else {
            return;
        };
        let asks = via
            .params()
            .any(|(name, _)| name.eq_ignore_ascii_case(b"alias"));
        let own = matches!(via.host, Host::Ip(ip) if ip == remote.ip());
        if asks && own {
            let port = via.port.unwrap_or(self.line.flow.transport.default_port());
            let address = SocketAddr::new(remote.ip(), port);
            self.hub.lines.borrow_mut().alias(self.line.id, address);
        }
    }

    /// What time it is for: an end, or a sign of life.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        loop {
            let now = Instant::now();
            let (at, what) = self.next();
            if at <= now {
                match what {
                    Some(fault) => return Err(End::Fault(fault.to_owned())),
                    None if self.ping.is_some_and(|ping| ping <= now) => self.send_ping(now),
                    None => return Err(End::Closed),
                }
                continue;
            }
            if self.alarm.deadline() > at || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(context).is_pending() {
                return Ok(());
            }
        }
    }

    fn send_ping(&mut self, now: Instant) {
        self.ping = Some(now + Duration::from_secs(STREAM_PING_S));
        // Whatever is under way is a sign of life itself.
        if self.line.is_idle() {
            self.pinged = self.line.push(Unwritten::line_ends(b"\r\n\r\n")).is_ok();
        }
    }

    /// What is due next: a fault of the peer's, a ping, or the end of a connection
    /// that nobody uses.
    fn next(&self) -> (Instant, Option<&'static str>) {
        let after = |from: Instant, seconds| from + Duration::from_secs(seconds);
        let first = (!self.heard).then(|| after(self.made, STREAM_FIRST_S));
        let whole = self.begun.map(|at| after(at, STREAM_MESSAGE_S));
        let taken = self.stuck.map(|at| after(at, STREAM_WRITE_S));
        let mut next = (after(self.active, STREAM_IDLE_S), None);
        let faults = [
            (first, "it says nothing whole"),
            (whole, "its message does not end"),
            (taken, "it takes nothing more"),
        ];
        for (at, fault) in faults {
            if let Some(at) = at
                && at < next.0
            {
                next = (at, Some(fault));
            }
        }
        match self.ping {
            Some(ping) if ping < next.0 => (ping, None),
            _ => next,
        }
    }
}

impl Future for Talk {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let talk = &mut *self;
        if talk.line.is_unwanted() {
            return Poll::Ready(End::Closed);
        }
        let mut reads = 0;
        loop {
            match talk.poll_read(context) {
                Poll::Ready(Ok(())) if reads < READS => reads += 1,
                Poll::Ready(Ok(())) => {
                    context.waker().wake_by_ref();
                    break;
                }
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => break,
            }
        }
        if let Err(end) = talk.poll_write(context) {
            return Poll::Ready(end);
        }
        match talk.poll_clock(context) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // TLS tells the peer that this is the end, if it can be told at once.
        let mut context = Context::from_waker(Waker::noop());
        let _told = Pin::new(&mut self.stream).poll_shutdown(&mut context);
        let partial = &self.hub.partial;
        partial.set(partial.get().saturating_sub(self.partial));
    }
}
