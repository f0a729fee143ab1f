//! Connections of nobody known, at listeners that challenge: how many there may be, and
//! what may be said over them until somebody has registered.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use super::line::Line;
use crate::base::gate::Gate;
use crate::base::limits::{UNKNOWN_CONNECTIONS, UNKNOWN_MESSAGES, UNKNOWN_PER_SOURCE, UNKNOWN_S};
use crate::base::time::Mono;
use crate::sip::{Message, Method};

/// Of those who connect to us, the oldest first.
#[derive(Debug)]
pub(super) struct Unknown {
    key: u128,
    all: RefCell<VecDeque<Stranger>>,
    /// What strangers may ask, over all connections: less than any shard handles.
    gate: RefCell<Gate>,
}

#[derive(Debug)]
struct Stranger {
    line: Rc<Line>,
    /// Messages that were heard over it.
    messages: u8,
    /// For how many seconds it has been there.
    seconds: u64,
}

impl Unknown {
    /// With the key that shards have, too.
    pub(super) fn new(key: u128) -> Self {
        Self {
            key,
            all: RefCell::default(),
            gate: RefCell::default(),
        }
    }

    /// One more. False if its address has too many; where that is because of all together,
    /// the oldest has to go.
    pub(super) fn begin(&self, line: &Rc<Line>) -> bool {
        let mut all = self.all.borrow_mut();
        let source = |line: &Rc<Line>| -> IpAddr { line.flow.remote.ip() };
        let own = source(line);
        let of_source = all.iter().filter(|it| source(&it.line) == own);
        if of_source.count() >= UNKNOWN_PER_SOURCE {
            return false;
        }
        if all.len() >= UNKNOWN_CONNECTIONS
            && let Some(oldest) = all.pop_front()
        {
            oldest.line.unwant();
        }
        all.push_back(Stranger {
            line: Rc::clone(line),
            messages: 0,
            seconds: 0,
        });
        true
    }

    /// One is gone, or known by now. Whether it was there.
    pub(super) fn end(&self, line: &Line) -> bool {
        let mut all = self.all.borrow_mut();
        let before = all.len();
        all.retain(|it| it.line.id != line.id);
        all.len() < before
    }

    /// Whether it is one.
    pub(super) fn holds(&self, line: &Line) -> bool {
        self.all.borrow().iter().any(|it| it.line.id == line.id)
    }

    /// A second has passed: who has become known is none any more, and who has not in time
    /// has to go.
    pub(super) fn pass_second(&self, known: impl Fn(&Line) -> bool) {
        let mut all = self.all.borrow_mut();
        all.retain(|it| !known(&it.line));
        for it in all.iter_mut() {
            it.seconds = it.seconds.saturating_add(1);
            if it.seconds > UNKNOWN_S {
                it.line.unwant();
            }
        }
    }

    /// Whether a message of one is for a shard to answer; none if it ends the connection.
    pub(super) fn asks(&self, now: Mono, line: &Line, message: &Message) -> Option<bool> {
        let asks = match message.method()? {
            Method::Register | Method::Invite => true,
            // To a call that was not taken.
            Method::Ack => false,
            _ => return None,
        };
        let mut all = self.all.borrow_mut();
        let it = all.iter_mut().find(|it| it.line.id == line.id)?;
        it.messages = it.messages.saturating_add(1);
        let mut gate = self.gate.borrow_mut();
        let passes =
            it.messages <= UNKNOWN_MESSAGES && gate.passes(now, line.flow.remote.ip(), self.key);
        passes.then_some(asks)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::lines::Lines;
    use super::*;
    use crate::base::flow::{Flow, ListenerId, Transport};
    use crate::sip::scan;

    fn flow(host: usize, port: u16) -> Flow {
        let [.., high, low] = host.to_be_bytes();
        Flow::to(
            ListenerId(0),
            Transport::Tcp,
            ([192, 0, high, low], port).into(),
        )
    }

    fn message(method: &str) -> Message {
        let text =
            format!("{method} sip:a SIP/2.0\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n");
        scan(Bytes::from(text)).unwrap()
    }

    #[test]
    fn one_source_cannot_have_all_and_the_oldest_goes() {
        let (unknown, mut lines) = (Unknown::new(1), Lines::new(usize::MAX));
        let mut line = |host, port| lines.accept(flow(host, port)).unwrap();
        let own: Vec<_> = (0..)
            .map(|it| line(0, it))
            .take(UNKNOWN_PER_SOURCE)
            .collect();
        assert!(own.iter().all(|it| unknown.begin(it)));
        let more = line(0, 9_999);
        assert!(!unknown.begin(&more) && !unknown.holds(&more));
        assert!(unknown.end(&own[1]) && !unknown.end(&own[1]));
        assert!(unknown.begin(&more));
        let rest: Vec<_> = (1..)
            .map(|it| line(it, 1))
            .take(UNKNOWN_CONNECTIONS)
            .collect();
        assert!(rest.iter().all(|it| unknown.begin(it)));
        assert!(own[0].is_unwanted() && more.is_unwanted() && !rest[0].is_unwanted());
    }

    #[test]
    fn who_does_not_become_known_has_to_go_whatever_it_says() {
        let (unknown, mut lines) = (Unknown::new(1), Lines::new(usize::MAX));
        let line = lines.accept(flow(1, 1)).unwrap();
        assert!(unknown.begin(&line));
        let asks = |method| unknown.asks(Mono::ZERO, &line, &message(method));
        assert_eq!(asks("REGISTER"), Some(true));
        assert_eq!(asks("ACK"), Some(false));
        for method in ["OPTIONS", "BYE", "MESSAGE", "CANCEL"] {
            assert_eq!(asks(method), None);
        }
        let said = (0..=UNKNOWN_MESSAGES).filter(|_| asks("INVITE").is_some());
        assert_eq!(said.count(), usize::from(UNKNOWN_MESSAGES) - 2);
        for _ in 0..UNKNOWN_S {
            unknown.pass_second(|_| false);
        }
        assert!(!line.is_unwanted());
        unknown.pass_second(|_| false);
        assert!(line.is_unwanted());
        unknown.pass_second(|_| true);
        assert!(!unknown.holds(&line));
    }
}
