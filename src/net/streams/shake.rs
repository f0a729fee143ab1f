//! Handshakes under way: how many there may be.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use super::line::Line;
use crate::base::limits::{HANDSHAKES, HANDSHAKES_PER_SOURCE};

/// Of those who connect to us, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Shaking(RefCell<VecDeque<Rc<Line>>>);

impl Shaking {
    /// One more begins. False if its address has too many under way; where that is
    /// because of all together, the oldest has to go.
    pub(super) fn begin(&self, line: &Rc<Line>) -> bool {
        let mut all = self.0.borrow_mut();
        let source = |line: &Rc<Line>| -> IpAddr { line.flow.remote.ip() };
        let own = source(line);
        if all.iter().filter(|it| source(it) == own).count() >= HANDSHAKES_PER_SOURCE {
            return false;
        }
        if all.len() >= HANDSHAKES
            && let Some(oldest) = all.pop_front()
        {
            oldest.unwant();
        }
        line.shakes(true);
        all.push_back(Rc::clone(line));
        true
    }

    /// One is over, however it ended.
    pub(super) fn end(&self, line: &Line) {
        line.shakes(false);
        self.0.borrow_mut().retain(|it| it.id != line.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::*;
    use crate::base::flow::{Flow, ListenerId, Transport};

    #[test]
    fn one_source_cannot_shake_all_hands_and_the_oldest_goes() {
        let (shaking, mut lines) = (Shaking::default(), Lines::new(usize::MAX));
        let mut line = |host: usize, port: u16| {
            let [.., high, low] = host.to_be_bytes();
            let flow = Flow {
                listener: ListenerId(0),
                transport: Transport::Tls,
                remote: ([192, 0, high, low], port).into(),
                local: None,
                connection: None,
                name: None,
            };
            lines.accept(flow).unwrap()
        };
        let own: Vec<_> = (0..)
            .map(|it| line(0, it))
            .take(HANDSHAKES_PER_SOURCE)
            .collect();
        assert!(own.iter().all(|it| shaking.begin(it)));
        let more = line(0, 9_999);
        assert!(!shaking.begin(&more));
        shaking.end(&own[1]);
        assert!(shaking.begin(&more));
        let rest: Vec<_> = (1..).map(|it| line(it, 1)).take(HANDSHAKES).collect();
        assert!(rest.iter().all(|it| shaking.begin(it)));
        assert!(own[0].is_unwanted() && more.is_unwanted() && !rest[0].is_unwanted());
        assert_eq!(shaking.0.borrow().len(), HANDSHAKES);
    }
}
