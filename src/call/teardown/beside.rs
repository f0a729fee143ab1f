//! Who answered beside the call, or too late for it: nobody speaks there, so it is hung up
//! until that is heard, and over restarts.

use std::time::Duration;

use crate::base::limits::{CLOSING_S, STRAYS_PER_CALL};
use crate::policy::Course;
use crate::record::fold::Legs;
use crate::record::{Beside, Record, Side};
use crate::transaction::{Origin, Transmit};

use super::super::account::interval_of;
use super::super::leg::Far;
use super::super::topology::{self, Ends, Head};
use super::super::{Arrived, MAX_FORWARDS, Turn};

/// The dialogs beside a call of an earlier life, with those that only its account knows.
pub(in super::super) fn strays_of(legs: &Legs, billed: impl Iterator<Item = u8>) -> Vec<Far> {
    let known = |number: u8| legs.beside.iter().find(move |it| it.dialog == number);
    let numbers = billed.chain(legs.beside.iter().map(|it| it.dialog));
    let last = numbers
        .filter(|it| usize::from(*it) <= STRAYS_PER_CALL)
        .max();
    let far = |number: u8| match known(number) {
        Some(it) => Far::new(&it.tag, &it.target, &it.routes),
        // The number is taken; no tag is this one.
        None => Far::new(b"\0", b"", b""),
    };
    (1..=last.unwrap_or(0)).map(far).collect()
}

impl Turn<'_> {
    /// Someone answered whom the call has no use for: ACK and BYE, at once.
    pub(in super::super) fn hang_up_stray(&mut self, side: Side, arrived: &Arrived<'_>) {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        let leg = self.call.leg(side);
        let asked = leg.far.target();
        let far = match topology::far_of(arrived.message, tag, true) {
            Ok(far) if !far.target().is_empty() => far,
            _ => Far::new(tag, asked, b""),
        };
        let cseq = arrived.essentials.cseq.number;
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let branch = self.tools.mint.token();
        let head = Head {
            method: b"ACK",
            cseq,
            branch,
            max_forwards: MAX_FORWARDS,
        };
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &far);
        let packet = topology::request(&mut self.tools.scratch, &ends, &head).seal(None);
        self.out.transmits.push(Transmit {
            flow,
            packet,
            origin: Origin::Stateless,
        });
        if self.call.is_stray(tag) {
            return;
        }
        let room = self.call.strays.len() < STRAYS_PER_CALL;
        let dialog = self.note_stray(Far::new(tag, b"", b""));
        self.stray_billed(dialog, interval_of(arrived.message));
        if room {
            self.journal_beside(dialog, Some(&far));
            self.bye_to((side, dialog), &far, None);
            if let Some(noted) = self.call.strays.last_mut() {
                *noted = far;
            }
        }
    }

    /// The number of the dialog with this tag of the peer's.
    pub(in super::super) fn dialog_with(&self, side: Side, tag: &[u8]) -> u8 {
        let mut strays = (1..).zip(&self.call.strays);
        match strays.find(|(_, far)| far.tag() == tag) {
            Some((number, _)) if self.call.leg(side).far.tag() != tag => number,
            _ => Course::OWN,
        }
    }

    /// Keeps a dialog beside the call's own in mind, and numbers it.
    pub(super) fn note_stray(&mut self, far: Far) -> u8 {
        if self.call.strays.len() < STRAYS_PER_CALL {
            self.call.strays.push(far);
            return u8::try_from(self.call.strays.len()).unwrap_or(u8::MAX);
        }
        u8::MAX
    }

    /// After a restart: who may not know that it was hung up is hung up again, for as long
    /// as it would have been without. Where no account says how long that is, it was once.
    pub(in super::super) fn hang_up_strays_again(&mut self, legs: &Legs) {
        let (now, carrier) = (self.now.mono, self.call.carrier_side() == Side::Callee);
        for beside in legs.beside.iter().filter(|it| !it.over) {
            let since = self.now.wall.saturating_since(beside.at);
            let lately = since <= Duration::from_secs(CLOSING_S.into());
            let there = match self.call.course().filter(|_| carrier) {
                Some(course) => course.parts_again(beside.dialog, now),
                None => lately,
            };
            if there {
                let far = Far::new(&beside.tag, &beside.target, &beside.routes);
                self.bye_to((Side::Callee, beside.dialog), &far, None);
            }
        }
    }

    /// A dialog beside the call is hung up, or that is over.
    pub(in super::super) fn journal_beside(&mut self, dialog: u8, far: Option<&Far>) {
        if !(1..=self.call.strays.len()).contains(&usize::from(dialog)) {
            return;
        }
        let none = Far::default();
        let told = far.unwrap_or(&none);
        self.out.journal(&Record::Beside(Beside {
            call: self.call.reference,
            wall: self.now.wall,
            dialog,
            over: far.is_none(),
            tag: told.tag(),
            target: told.target(),
            routes: told.routes(),
        }));
    }
}
