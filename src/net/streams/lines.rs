//! Which connections there are, who may have more, and which one leads where.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::rc::Rc;

use crate::base::flow::{ConnectionId, Flow, ListenerId, PeerName};
use crate::base::limits::{STREAMS, STREAMS_PER_SOURCE};

use super::line::Line;

/// All connections of the process.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: u64,
    all: HashMap<ConnectionId, Entry>,
    /// Those that were made to an address, or that lead to it all the same.
    by_address: HashMap<(ListenerId, SocketAddr), ConnectionId>,
    /// The last one that each name has made.
    by_name: HashMap<(ListenerId, PeerName), ConnectionId>,
    /// How many each address has made, and how many we have made to it.
    sources: HashMap<(bool, IpAddr), usize>,
    accepted: usize,
    /// Those that said nothing whole yet, the oldest first; some have, since.
    silent: VecDeque<ConnectionId>,
    /// How many there may be: what the system lets us open, less what else is.
    room: usize,
    /// Bytes that wait to be written on all of them.
    queued: Rc<Cell<usize>>,
}

#[derive(Debug)]
struct Entry {
    line: Rc<Line>,
    /// Something whole was heard.
    heard: Cell<bool>,
    /// The address that it also leads to.
    alias: Option<SocketAddr>,
}

impl Lines {
    pub(super) fn new(files: usize) -> Self {
        Self {
            room: STREAMS.min(files),
            ..Self::default()
        }
    }

    /// A connection that a peer made. `None` if there may be no more of them; where
    /// that is because of all peers together, one that has said nothing has to go.
    pub(super) fn accept(&mut self, flow: Flow) -> Option<Rc<Line>> {
        if !self.has_share(flow, true) {
            return None;
        }
        if self.accepted >= self.room - self.room / 4 {
            let oldest = self.next_silent()?;
            oldest.unwant();
        }
        self.accepted += 1;
        let line = self.add(flow, true);
        if self.silent.len() > 2 * STREAMS {
            let waits = |id: &ConnectionId| self.all.get(id).is_some_and(|it| !it.heard.get());
            self.silent.retain(waits);
        }
        self.silent.push_back(line.id);
        Some(line)
    }

    /// A connection that is to be made to where `flow` leads. `None` if there may be
    /// no more of them.
    pub(super) fn connect(&mut self, flow: Flow) -> Option<Rc<Line>> {
        let made = self.all.len().saturating_sub(self.accepted);
        if made >= self.room / 4 || !self.has_share(flow, false) {
            return None;
        }
        let line = self.add(flow, false);
        let way = (flow.listener, flow.remote);
        self.by_address.insert(way, line.id);
        Some(line)
    }

    /// The connection that leads where `flow` does: its own, or any. Who is known by a
    /// name is at the end of one that has shown the name, whatever its address.
    pub(super) fn find(&self, flow: Flow) -> Option<Rc<Line>> {
        let own = flow.connection.and_then(|id| self.all.get(&id));
        let any = || {
            let id = match flow.name {
                Some(name) => self.by_name.get(&(flow.listener, name)),
                None => self.by_address.get(&(flow.listener, flow.remote)),
            };
            self.all.get(id?)
        };
        let entry = own.or_else(any)?;
        Some(Rc::clone(&entry.line))
    }

    /// Something whole was heard over it.
    pub(super) fn heard(&self, id: ConnectionId) {
        if let Some(entry) = self.all.get(&id) {
            entry.heard.set(true);
        }
    }

    /// A connection leads to this address, too: its peer says so (RFC 5923 §9).
    pub(super) fn alias(&mut self, id: ConnectionId, address: SocketAddr) {
        let Some(entry) = self.all.get_mut(&id) else {
            return;
        };
        let way = (entry.line.flow.listener, address);
        if entry.alias.is_none() && !self.by_address.contains_key(&way) {
            entry.alias = Some(address);
            self.by_address.insert(way, id);
        }
    }

    /// Its far end has shown this name.
    pub(super) fn named(&mut self, line: &Line, name: PeerName) {
        line.is_named(name);
        self.by_name.insert((line.flow.listener, name), line.id);
    }

    /// It is gone.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        let Some(entry) = self.all.remove(&id) else {
            return;
        };
        let flow = entry.line.flow();
        let name = flow.name.map(|it| (flow.listener, it));
        if let Some(name) = name.filter(|it| self.by_name.get(it) == Some(&id)) {
            self.by_name.remove(&name);
        }
        for address in [Some(flow.remote), entry.alias].into_iter().flatten() {
            let way = (flow.listener, address);
            if self.by_address.get(&way) == Some(&id) {
                self.by_address.remove(&way);
            }
        }
        let accepted = entry.line.accepted;
        self.accepted = self.accepted.saturating_sub(usize::from(accepted));
        let source = (accepted, flow.remote.ip());
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Line>> {
        self.all.values().map(|entry| &entry.line)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn add(&mut self, flow: Flow, accepted: bool) -> Rc<Line> {
        let id = NonZeroU64::MIN.saturating_add(self.last);
        self.last = self.last.saturating_add(1);
        let source = (accepted, flow.remote.ip());
        *self.sources.entry(source).or_default() += 1;
        let line = Rc::new(Line::new(ConnectionId(id), flow, accepted, &self.queued));
        let entry = Entry {
            line: Rc::clone(&line),
            heard: Cell::new(false),
            alias: None,
        };
        self.all.insert(line.id, entry);
        line
    }

    /// Whether one address may have another one.
    fn has_share(&self, flow: Flow, accepted: bool) -> bool {
        let source = (accepted, flow.remote.ip());
        self.sources.get(&source).copied().unwrap_or(0) < STREAMS_PER_SOURCE
    }

    /// The oldest connection over which nothing whole was heard.
    fn next_silent(&mut self) -> Option<Rc<Line>> {
        while let Some(id) = self.silent.pop_front() {
            if let Some(entry) = self.all.get(&id)
                && !entry.heard.get()
            {
                return Some(Rc::clone(&entry.line));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Unwritten;
    use super::*;
    use crate::base::flow::Transport;
    use crate::base::limits::STREAM_QUEUE_BYTES;

    fn flow(remote: &str) -> Flow {
        Flow {
            listener: ListenerId(0),
            transport: Transport::Tcp,
            remote: remote.parse().unwrap(),
            local: None,
            connection: None,
            name: None,
        }
    }

    #[test]
    fn one_source_cannot_have_all() {
        let mut lines = Lines::new(usize::MAX);
        let from = flow("192.0.2.1:40000");
        let last = (0..STREAMS_PER_SOURCE).map(|_| lines.accept(from)).last();
        assert!(lines.accept(from).is_none());
        assert!(lines.accept(flow("192.0.2.2:40000")).is_some());
        lines.remove(last.flatten().unwrap().id);
        assert!(lines.accept(from).is_some());
        let port = |port: usize| flow(&format!("192.0.2.3:{port}"));
        assert!((1..=STREAMS_PER_SOURCE).all(|it| lines.connect(port(it)).is_some()));
        assert!(lines.connect(port(60_000)).is_none());
        assert!(lines.connect(flow("192.0.2.4:5060")).is_some());
    }

    #[test]
    fn what_peers_have_leaves_room_for_ours() {
        let mut lines = Lines::new(8);
        let peers: Vec<_> = (1..=9)
            .filter_map(|it| lines.accept(flow(&format!("192.0.2.{it}:1"))))
            .collect();
        peers.iter().for_each(|it| lines.heard(it.id));
        assert!(lines.accept(flow("192.0.2.10:1")).is_none());
        for (port, fits) in [(1, true), (2, true), (3, false)] {
            let made = lines.connect(flow(&format!("192.0.2.1:{port}")));
            assert_eq!(made.is_some(), fits);
        }
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let mut lines = Lines::new(8);
        let line = lines.connect(flow("192.0.2.1:1")).unwrap();
        let ends: &'static [u8] = vec![b'\n'; STREAM_QUEUE_BYTES / 2].leak();
        assert!(line.push(Unwritten::line_ends(ends)).is_ok());
        assert!(line.push(Unwritten::line_ends(ends)).is_ok());
        assert!(line.push(Unwritten::line_ends(b"\n")).is_err());
        line.write(|_| 7, |taken| *taken);
        assert!(line.push(Unwritten::line_ends(b"\n")).is_ok());
        assert_eq!(lines.queued.get(), STREAM_QUEUE_BYTES - 6);
        line.close();
        assert_eq!(lines.queued.get(), 0);
    }

    #[test]
    fn who_has_said_nothing_makes_room() {
        let mut lines = Lines::new(3);
        let first = lines.accept(flow("192.0.2.1:1")).unwrap();
        let second = lines.accept(flow("192.0.2.2:1")).unwrap();
        lines.heard(first.id);
        let third = lines.accept(flow("192.0.2.3:1")).unwrap();
        lines.heard(third.id);
        let fourth = lines.accept(flow("192.0.2.4:1")).unwrap();
        assert!(second.is_unwanted() && !first.is_unwanted());
        lines.heard(fourth.id);
        assert!(lines.accept(flow("192.0.2.5:1")).is_none());
    }

    #[test]
    fn who_is_known_by_a_name_is_reached_over_any_connection_that_has_shown_it() {
        let mut lines = Lines::new(9);
        let name = PeerName([1; 16]);
        let first = lines.accept(flow("192.0.2.1:40000")).unwrap();
        lines.named(&first, name);
        assert_eq!(first.flow().name, Some(name));
        let to = first.flow();
        let second = lines.accept(flow("192.0.2.2:40000")).unwrap();
        lines.named(&second, name);
        assert_eq!(lines.find(to).unwrap().id, first.id);
        lines.remove(first.id);
        assert_eq!(lines.find(to).unwrap().id, second.id);
        // But over none that anybody else has made, whatever the address.
        let other = lines.accept(flow("192.0.2.1:40000")).unwrap();
        lines.alias(other.id, "192.0.2.1:5061".parse().unwrap());
        lines.connect(flow("192.0.2.1:5062")).unwrap();
        lines.remove(second.id);
        for port in [40_000, 5_061, 5_062] {
            let remote = ([192, 0, 2, 1], port).into();
            assert!(lines.find(Flow { remote, ..to }).is_none());
        }
        assert!(lines.by_name.is_empty());
    }

    #[test]
    fn a_message_goes_by_its_connection_or_by_its_address() {
        let mut lines = Lines::new(9);
        let accepted = lines.accept(flow("192.0.2.1:40000")).unwrap();
        let answer = Flow {
            connection: Some(accepted.id),
            ..flow("192.0.2.1:5060")
        };
        assert_eq!(lines.find(answer).unwrap().id, accepted.id);
        assert!(lines.find(flow("192.0.2.1:5060")).is_none());
        lines.alias(accepted.id, "192.0.2.1:5060".parse().unwrap());
        assert_eq!(lines.find(flow("192.0.2.1:5060")).unwrap().id, accepted.id);
        lines.remove(accepted.id);
        assert!(lines.find(answer).is_none());
        let made = lines.connect(flow("192.0.2.1:5060")).unwrap();
        assert_eq!(lines.find(answer).unwrap().id, made.id);
        lines.remove(made.id);
        assert_eq!(
            lines.len() + lines.by_address.len() + lines.sources.len() + lines.by_name.len(),
            0
        );
    }
}
