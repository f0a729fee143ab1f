//! A connection as the rest of the thread sees it: who is at its end, and what is
//! to be written to it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use smallvec::SmallVec;

use crate::base::flow::{ConnectionId, Flow, PeerName};
use crate::base::limits::{STREAM_QUEUE_BYTES, STREAM_QUEUES_BYTES};
use crate::sip::Packet;
use crate::transaction::Origin;

/// One connection, from before it is made until it is gone.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: ConnectionId,
    /// The connection, and its far end, before that has shown a name.
    pub(super) flow: Flow,
    name: Cell<Option<PeerName>>,
    shaking: Cell<bool>,
    /// The peer made it.
    pub(super) accepted: bool,
    state: RefCell<State>,
    /// Bytes in the queues of all lines.
    queued: Rc<Cell<usize>>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Unwritten>,
    /// Bytes in the queue.
    bytes: usize,
    /// The task that writes, while it sleeps.
    waker: Option<Waker>,
    /// Shards that sent requests over it, which they want to know lost.
    asked: SmallVec<[u16; 2]>,
    /// It is to be closed.
    unwanted: bool,
}

/// What waits to be written, or is being written.
#[derive(Debug)]
pub(super) struct Unwritten {
    bytes: Bytes,
    /// How much of it is written.
    written: usize,
}

#[derive(Debug)]
enum Bytes {
    Message {
        packet: Packet,
        shard: u16,
        origin: Origin,
    },
    /// Between messages (RFC 5626 §3.5.1).
    LineEnds(&'static [u8]),
}

impl Unwritten {
    pub(super) fn message(packet: Packet, shard: u16, origin: Origin) -> Self {
        let bytes = Bytes::Message {
            packet,
            shard,
            origin,
        };
        Self { bytes, written: 0 }
    }

    pub(super) fn line_ends(text: &'static [u8]) -> Self {
        let bytes = Bytes::LineEnds(text);
        Self { bytes, written: 0 }
    }

    fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Message { packet, .. } => packet.as_ref(),
            Bytes::LineEnds(text) => text,
        }
    }

    /// What is left of it.
    fn rest(&self) -> &[u8] {
        self.all().get(self.written..).unwrap_or_default()
    }

    /// Whose it is, if it is somebody's.
    pub(super) fn sender(&self) -> Option<(u16, Origin)> {
        match self.bytes {
            Bytes::Message { shard, origin, .. } => Some((shard, origin)),
            Bytes::LineEnds(_) => None,
        }
    }
}

impl Line {
    pub(super) fn new(
        id: ConnectionId,
        flow: Flow,
        accepted: bool,
        queued: &Rc<Cell<usize>>,
    ) -> Self {
        let flow = Flow {
            connection: Some(id),
            ..flow
        };
        Self {
            id,
            flow,
            accepted,
            name: Cell::new(None),
            shaking: Cell::new(false),
            state: RefCell::default(),
            queued: Rc::clone(queued),
        }
    }

    /// The connection, and its far end.
    pub(super) fn flow(&self) -> Flow {
        let name = self.name.get();
        Flow { name, ..self.flow }
    }

    /// The far end has shown that it is this one.
    pub(super) fn is_named(&self, name: PeerName) {
        self.name.set(Some(name));
    }

    /// Hands are being shaken, or not any more.
    pub(super) fn shakes(&self, shaking: bool) {
        self.shaking.set(shaking);
    }

    /// Whether hands are being shaken, so that the far end is not known yet.
    pub(super) fn is_shaking(&self) -> bool {
        self.shaking.get()
    }

    /// Has it written in its turn. Given back if too much waits already: whoever
    /// does not read is not waited for.
    pub(super) fn push(&self, unwritten: Unwritten) -> Result<(), Unwritten> {
        let mut state = self.state.borrow_mut();
        let length = unwritten.all().len();
        let bytes = state.bytes.saturating_add(length);
        let queued = self.queued.get().saturating_add(length);
        let full = bytes > STREAM_QUEUE_BYTES || queued > STREAM_QUEUES_BYTES;
        if full && !state.queue.is_empty() {
            return Err(unwritten);
        }
        self.queued.set(queued);
        if let Some((shard, Origin::Client(_) | Origin::Register(_))) = unwritten.sender()
            && !state.asked.contains(&shard)
        {
            state.asked.push(shard);
        }
        state.bytes = bytes;
        state.queue.push_back(unwritten);
        wake(&mut state);
        Ok(())
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.state.borrow().queue.is_empty()
    }

    /// Has it closed.
    pub(super) fn unwant(&self) {
        let mut state = self.state.borrow_mut();
        state.unwanted = true;
        wake(&mut state);
    }

    pub(super) fn is_unwanted(&self) -> bool {
        self.state.borrow().unwanted
    }

    /// Wakes this task when there is something to write, or the line is unwanted.
    pub(super) fn sleep(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Shows `write` what is to be written next, and drops what it took of it.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&[&[u8]]) -> T,
        taken: impl FnOnce(&T) -> usize,
    ) -> T {
        /// What one call writes at most.
        const TOGETHER: usize = 16;
        let mut state = self.state.borrow_mut();
        let result = {
            let parts: SmallVec<[&[u8]; TOGETHER]> = state
                .queue
                .iter()
                .take(TOGETHER)
                .map(Unwritten::rest)
                .collect();
            write(&parts)
        };
        let mut left = taken(&result);
        state.bytes = state.bytes.saturating_sub(left);
        self.queued.set(self.queued.get().saturating_sub(left));
        while let Some(first) = state.queue.front_mut() {
            let rest = first.rest().len();
            if left < rest {
                first.written = first.written.saturating_add(left);
                break;
            }
            left = left.saturating_sub(rest);
            state.queue.pop_front();
        }
        result
    }

    /// Everything that was not written, and who asked something over it.
    pub(super) fn close(&self) -> (VecDeque<Unwritten>, SmallVec<[u16; 2]>) {
        let mut state = self.state.borrow_mut();
        let left = std::mem::take(&mut state.bytes);
        self.queued.set(self.queued.get().saturating_sub(left));
        let queue = std::mem::take(&mut state.queue);
        (queue, std::mem::take(&mut state.asked))
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}
