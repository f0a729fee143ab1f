//! What calls tell of their carriers: whether they answer.

use std::sync::Arc;

use crate::base::time::Now;
use crate::policy::Turned;
use crate::record::Record;
use crate::sip::fields;
use crate::sip::message::Message;

use super::{Calls, Event, Outbox, Turn};

impl Calls {
    /// Carriers have changed, as others found out.
    pub(crate) fn tell_carriers(&self, now: Now, news: &[(Arc<str>, Turned)], out: &mut Outbox) {
        for (carrier, turned) in news {
            tell(now, carrier, *turned, out);
        }
    }
}

impl Turn<'_> {
    /// The callee said something to the INVITE that opens the call.
    pub(super) fn callee_heard(&mut self, code: u16, message: &Message) {
        self.stay_if_heard(code);
        let first = !std::mem::replace(&mut self.call.heard, true);
        let Some(seat) = &self.call.seat else { return };
        let asked = (code == 503)
            .then(|| fields::retry_after(message))
            .flatten();
        if let Some(seconds) = asked {
            seat.trunk().rests(self.now.mono, seconds);
        }
        if first && let Some(turned) = seat.trunk().answers(self.now.mono) {
            tell(self.now, seat.trunk().name(), turned, self.out);
        }
    }

    /// The callee is given up that has said nothing at all.
    pub(super) fn callee_silent(&mut self) {
        let silent = !std::mem::replace(&mut self.call.heard, true);
        let Some(seat) = self.call.seat.as_ref().filter(|_| silent) else {
            return;
        };
        if let Some(turned) = seat.trunk().fails(self.now.mono) {
            tell(self.now, seat.trunk().name(), turned, self.out);
        }
    }
}

/// Says that a carrier has changed, in the journal too.
fn tell(now: Now, carrier: &Arc<str>, turned: Turned, out: &mut Outbox) {
    out.journal(&Record::Note {
        wall: now.wall,
        what: match turned {
            Turned::Up => "carrier-up",
            Turned::Down => "carrier-down",
        },
        detail: carrier,
        count: 1,
    });
    out.events.push(Event::Carrier {
        carrier: Arc::clone(carrier),
        up: turned == Turned::Up,
    });
}
