//! Calls that come from a carrier: it bills from the core's 200 on.

use super::{Answer, Attempt, Bill, Call, expiry};
use crate::dial::Group;
use crate::link::Nanos;
use crate::peer::T64;
use crate::wire::{Method, TIMER, Wire, hash, hash2};

/// The INVITE that a carrier began a call with.
#[derive(Debug)]
pub struct Came {
    call_id: u64,
    cseq: u32,
    /// The carrier keeps a session timer.
    timer: bool,
}

impl Bill {
    /// The core sends an INVITE on for one of a carrier's: a call of `plan`.
    pub fn came(
        &mut self,
        now: Nanos,
        (plan, tenant, carrier): (u32, u8, u8),
        (came, went): (&Wire, &Wire),
    ) {
        let call_id = hash(came.at(came.call_id));
        let key = hash(went.at(went.call_id));
        self.opened.insert((call_id, came.cseq), key);
        self.calls.insert(
            key,
            Call {
                plan,
                tenant,
                carrier,
                group: Group::Own,
                core_tag: 0,
                sent: now,
                attempts: vec![Attempt {
                    branch: hash(came.at(came.branch)),
                    at: now,
                    end: None,
                }],
                answers: Vec::new(),
                came: Some(Came {
                    call_id,
                    cseq: came.cseq,
                    timer: came.supported & TIMER != 0,
                }),
                booked: None,
                ended: None,
                held: false,
                lost: 0,
                crashes: 0,
                excused: false,
            },
        );
    }

    /// The call of a carrier's that a message is of, and the core's tag in it.
    pub(super) fn inbound(&mut self, wire: &Wire, to_core: bool) -> Option<(&mut Call, u64)> {
        let of_core = wire.is_request() != to_core;
        let tag = if of_core { wire.from_tag } else { wire.to_tag };
        let tag = hash(wire.at(tag));
        let call_id = hash(wire.at(wire.call_id));
        let dialog = self
            .tags
            .get(&hash2(&tag.to_be_bytes(), wire.at(wire.call_id)));
        let opened = self.opened.get(&(call_id, wire.cseq));
        let opening = opened.filter(|_| wire.method == Method::Invite);
        let key = *dialog.or(opening)?;
        Some((self.calls.get_mut(&key)?, tag))
    }

    /// The core sends something to a carrier that called.
    pub(super) fn sent_back(&mut self, now: Nanos, wire: &Wire) {
        let Some((call, tag)) = self.inbound(wire, false) else {
            return;
        };
        let Some(came) = &call.came else { return };
        call.sent = now;
        let opens = wire.method == Method::Invite && wire.cseq == came.cseq;
        let accepted = (200..300).contains(&wire.code);
        if wire.is_request() {
            let answer = call.answers.iter_mut().find(|it| it.tag == tag);
            if let (Method::Bye, Some(answer)) = (wire.method, answer) {
                answer.hung_up.get_or_insert(now);
            }
            return;
        }
        if opens && accepted && call.answers.iter().all(|it| it.tag != tag) {
            let session = wire.session.filter(|_| came.timer);
            call.answers.push(Answer {
                tag,
                invited: call.attempts[0].at,
                from: now,
                bye: None,
                expires: session.and_then(|(seconds, _)| expiry(now, seconds)),
                hung_up: None,
                acked: false,
            });
            let opening = (came.call_id, came.cseq);
            let key = self.opened[&opening];
            let dialog = hash2(&tag.to_be_bytes(), wire.at(wire.call_id));
            self.tags.insert(dialog, key);
        }
    }

    /// It reaches the carrier, which is there or `silent`.
    pub(super) fn reached_back(&mut self, now: Nanos, wire: &Wire, silent: bool) {
        let Some((call, tag)) = self.inbound(wire, false).filter(|_| !silent) else {
            return;
        };
        let Some(came) = &call.came else { return };
        let Some(answer) = call.answers.iter_mut().find(|it| it.tag == tag) else {
            return;
        };
        let opens = wire.method == Method::Invite && wire.cseq == came.cseq;
        // The first copy of the 200 begins the session; a further one refreshes nothing.
        let fresh = !opens || !answer.acked;
        match wire.session {
            _ if wire.is_request() && wire.method == Method::Bye => {
                answer.bye.get_or_insert(now);
            }
            Some((seconds, _)) if (200..300).contains(&wire.code) && came.timer && fresh => {
                answer.refresh(now, seconds);
            }
            _ => {}
        }
    }

    /// A carrier that called sends something.
    pub(super) fn said_back(&mut self, now: Nanos, wire: &Wire) {
        let Some((call, tag)) = self.inbound(wire, true) else {
            return;
        };
        let Some(came) = &call.came else { return };
        let Some(answer) = call.answers.iter_mut().find(|it| it.tag == tag) else {
            return;
        };
        match (wire.method, wire.session) {
            (Method::Bye, _) if wire.is_request() => {
                answer.bye.get_or_insert(now);
            }
            (Method::Ack, _) => answer.acked |= now < answer.from + T64,
            (_, Some((seconds, _))) if (200..300).contains(&wire.code) && came.timer => {
                answer.refresh(now, seconds);
            }
            _ => {}
        }
    }
}
