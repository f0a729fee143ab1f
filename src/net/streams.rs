//! Streams: TCP and TLS connections, all of them on one thread of their own. So whatever
//! somebody does to a connection costs no datagram anything, and a shard that
//! waits for nothing never waits for a peer that does not read.
//!
//! ```text
//!  shard --- Errand::Send --> hub --> line (what waits to be written) --> talk
//!  shard <-- Letter::Message -------- hub <-- framer <------------------- talk <- wire
//!        <-- Letter::Unsent, Letter::FlowClosed
//! ```
//!
//! RFC 3261 §18 says when connections are made and used again, RFC 5626 §3.5.1 how
//! they are kept alive. A message whose end is uncertain closes its connection.

mod begin;
mod hub;
mod line;
mod lines;
mod shake;
mod talk;
mod unknown;
mod wire;

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::base::flow::{ListenerId, Transport};
use crate::base::limits::{FILES_BESIDE, STREAMS};
use crate::transaction::Transmit;

use super::bans::Bans;
use super::desk::Letter;
use super::mailbox::Mailbox;
use super::quarantine::Quarantine;
use super::reins::InForce;
use super::socket::Opened;
use super::stats::Stats;
use hub::Hub;

/// How often is looked who is no peer any more, and what is worth a line in the log.
const LOOK: Duration = Duration::from_secs(1);

/// How often the log tells of strangers.
const STRANGERS_EVERY: Duration = Duration::from_secs(60);

/// How long a full mailbox is waited for.
const ROOM: Duration = Duration::from_millis(2);

/// How long the last messages have to be written.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Errand {
    /// To send these messages of a shard's, in order.
    Send {
        shard: u16,
        transmits: Vec<Transmit>,
    },
    /// To write what it has, and end.
    Stop,
}

/// All that the thread is given.
pub(super) struct Seat {
    /// Of all listeners, in their order.
    pub(super) sockets: Vec<Opened>,
    pub(super) in_force: InForce,
    pub(super) bucket_key: u128,
    pub(super) quarantine: Quarantine,
    pub(super) bans: Bans,
    /// Every shard's mailbox, in order.
    pub(super) mailboxes: Vec<Mailbox<Letter>>,
    pub(super) errands: Mailbox<Errand>,
    pub(super) stats: Arc<Stats>,
}

impl Seat {
    /// The thread: runs until told to stop.
    ///
    /// # Errors
    /// The system lacks something that it takes to begin.
    pub(super) fn take(self) -> io::Result<()> {
        let runtime = super::run::new_runtime()?;
        let hub = Rc::new(Hub::new(&self, room_for_files()));
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            for (opened, id) in self.sockets.iter().zip(0..) {
                if opened.transport.is_reliable() {
                    let listener = listen(opened)?;
                    let transport = opened.transport;
                    spawn_local(accept(Rc::clone(&hub), ListenerId(id), transport, listener));
                }
            }
            serve(&hub, &self.errands).await;
            Ok(())
        })
    }
}

fn listen(opened: &Opened) -> io::Result<TcpListener> {
    let socket = opened.socket.try_clone()?;
    TcpListener::from_std(socket.into())
}

/// How many connections the system lets us have. The limit that it has for careful
/// programs is raised to the one that it has for all.
fn room_for_files() -> usize {
    let wanted = u64::try_from(STREAMS + FILES_BESIDE).unwrap_or(u64::MAX);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return STREAMS;
    };
    let most = soft.max(hard.min(wanted));
    let files = match setrlimit(Resource::RLIMIT_NOFILE, most, hard) {
        Ok(()) => most,
        Err(_) => soft,
    };
    let room = usize::try_from(files)
        .unwrap_or(usize::MAX)
        .saturating_sub(FILES_BESIDE);
    if room < STREAMS {
        tracing::warn!(
            room,
            "few connections can be open at once: raise the limit of open files (LimitNOFILE)"
        );
    }
    room
}

/// Accepts for ever.
async fn accept(hub: Rc<Hub>, id: ListenerId, transport: Transport, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => hub.accepted(id, transport, stream, remote),
            Err(error) => {
                // Most often there are no files left, and some have to close first.
                hub.stats.receive_failed.add(1);
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(LOOK / 10).await;
            }
        }
    }
}

async fn serve(hub: &Rc<Hub>, errands: &Mailbox<Errand>) {
    let mut inbox = VecDeque::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told = None;
    let mut stuck = false;
    loop {
        tokio::select! {
            () = poll_fn(|context| errands.poll_letter(context)) => {
                errands.collect(&mut inbox);
                for errand in inbox.drain(..) {
                    match errand {
                        Errand::Send { shard, transmits } => hub.send(shard, transmits),
                        Errand::Stop => return farewell(hub).await,
                    }
                }
            }
            () = hub.full.notified() => stuck = true,
            () = room(stuck) => stuck = !hub.retry(),
            now = look.tick() => {
                hub.sweep();
                tell(hub, now, &mut told);
            }
        }
    }
}

/// When a full mailbox is tried again; never while none is.
async fn room(stuck: bool) {
    if stuck {
        sleep(ROOM).await;
    } else {
        pending().await
    }
}

/// Waits until everything is written, if that does not take long.
async fn farewell(hub: &Rc<Hub>) {
    let written = async {
        while !hub.is_idle() {
            sleep(ROOM).await;
        }
    };
    let _late = timeout(FAREWELL, written).await;
}

/// Tells the log what there was: of each kind no more than one line a second.
fn tell(hub: &Hub, now: Instant, told: &mut Option<Instant>) {
    if let Some((peer, fault)) = hub.trouble.borrow_mut().take() {
        tracing::warn!(%peer, fault, "a connection was closed");
    }
    let due = told.is_none_or(|at| now.duration_since(at) >= STRANGERS_EVERY);
    if due && let Some(strangers) = hub.strangers.take() {
        let (connections, last) = (strangers.datagrams, strangers.last);
        tracing::info!(connections, %last, "closed unheard: no `sources` name who connects");
        *told = Some(now);
    }
}

#[cfg(test)]
mod tests;
