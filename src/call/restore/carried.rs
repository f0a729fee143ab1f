//! Requests inside the dialogs that were under way when an earlier life ended. The call
//! goes on, and so do they: what one side accepts the other must learn, or their sessions
//! differ from then on.
//!
//! - An INVITE is taken up again on both legs, as far as the journal knows it. Who sent it
//!   has had a 100 and waits; the other leg repeats its answer until that is acknowledged,
//!   and it is passed on as ever. It is not sent once more, as no session description is
//!   kept: whether the other leg has it at all, only its answer tells. Where none comes it
//!   is cancelled there, so that it holds on neither side, and may be tried again.
//! - One that was refused lately is refused again: nobody would repeat a lost answer.
//! - Any other request is repeated by who sent it, and then goes on under the number and
//!   the branch that it had: who has it already answers once more, and does nothing twice.
//!   Refreshes of our own need none of this: they are due again by their timers.

use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::limits::CLOSING_S;
use crate::base::token::{Token, keyed128};
use crate::record::fold::{Change, Legs};
use crate::record::{Carried, Record, Settled, Side};
use crate::sip::echo::essence;
use crate::sip::line::Method;
use crate::transaction::{ClientKey, ServerKey};

use super::super::call::{Alarm, Exchange, Stage};
use super::super::table::Tools;
use super::super::topology::{self, Ends, Head};
use super::super::{Arrived, MAX_FORWARDS, Turn};

impl Turn<'_> {
    /// INVITEs inside the dialogs of a call that goes on.
    pub(super) fn resume_changes(&mut self, legs: &Legs) {
        for side in [Side::Caller, Side::Callee] {
            let Some(change) = legs.leg(side).change.as_ref() else {
                continue;
            };
            let told = self.now.wall.saturating_since(change.at);
            match change.refused {
                0 => self.resume_change(side, change),
                _ if told > Duration::from_secs(CLOSING_S.into()) => {}
                code => {
                    if let Some((server, _)) = self.resume_change_server(side, change) {
                        self.refuse_for_now(server, side, code);
                    }
                }
            }
        }
    }

    fn resume_change(&mut self, side: Side, change: &Change) {
        let Some((server, server_cseq)) = self.resume_change_server(side, change) else {
            return;
        };
        let Some(client) = self.resume_change_client(side.other(), change) else {
            self.refuse_for_now(server, side, 500);
            return;
        };
        let now = self.now.mono;
        self.tools
            .respond(self.now, server, (100, None), b"", self.out, |_| {});
        self.call.exchanges.push(Exchange {
            method: Method::Invite,
            opening: false,
            from: side,
            server: Some(server),
            client: Some(client),
            tag: self.call.leg(side).local_tag,
            server_cseq,
            client_cseq: change.carried.onward,
            offer: None,
            stage: Stage::Open,
            offered: None,
            resumed: true,
        });
        // By then what was answered before has come again (RFC 3261 §13.3.1.4, Timer G).
        let wait = self.tools.timers.t2 * 2;
        self.tools
            .schedule(self.key, Alarm::Unanswered(server), now, wait);
    }

    fn resume_change_server(&mut self, side: Side, change: &Change) -> Option<(ServerKey, u32)> {
        let flow = Flow {
            listener: self.call.leg(side).flow.listener,
            ..change.flow
        };
        self.resume_server(&change.asked, flow)
    }

    fn resume_change_client(&mut self, to: Side, change: &Change) -> Option<ClientKey> {
        let branch = Token::parse(&change.carried.branch)?;
        let leg = self.call.leg(to);
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &leg.far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let head = Head {
            method: b"INVITE",
            cseq: change.carried.onward,
            branch,
            max_forwards: MAX_FORWARDS,
        };
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        let packet = topology::request(&mut self.tools.scratch, &ends, &head).seal(None);
        let owner = self.owner();
        let transactions = &mut self.tools.transactions;
        transactions.resume_invite(flow, branch, packet, owner)
    }

    /// An INVITE inside the dialog has waited long enough for its answer.
    pub(in super::super) fn change_due(&mut self, server: ServerKey) {
        self.cancelled(server, None);
        let exchange = self.call.exchange_by_server(server);
        if exchange.is_some_and(|it| it.resumed && matches!(it.stage, Stage::Open)) {
            // Who has it says so at once; who has not, never.
            let (now, wait) = (self.now.mono, self.tools.timers.t2);
            self.tools
                .schedule(self.key, Alarm::Unheard(server), now, wait);
        }
    }

    /// Nor has its CANCEL brought one: nobody has it.
    pub(in super::super) fn change_unheard(&mut self, server: ServerKey) {
        let Some(exchange) = self.call.exchange_by_server(server) else {
            return;
        };
        if matches!(exchange.stage, Stage::Open) {
            exchange.stage = Stage::Abandoned;
            let side = exchange.from;
            self.journal_settled(side, 500);
            self.refuse_for_now(server, side, 500);
        }
    }

    /// What was offered on this leg before a restart holds now, and is not known: a
    /// refresh has nothing to repeat.
    pub(in super::super) fn forget_description(&mut self, side: Side) {
        if self.call.leg_mut(side).description.take().is_some() {
            self.out.journal(&Record::Description {
                call: self.call.reference,
                side,
                body: b"",
            });
        }
    }

    /// A request of the peer's on `side` goes on to the other leg, if the call is up.
    pub(in super::super) fn journal_carried(
        &mut self,
        side: Side,
        arrived: &Arrived<'_>,
        (onward, branch): (u32, Token),
    ) {
        let asked = match arrived.essentials.cseq.method {
            Method::Invite => essence(arrived.message),
            _ => Vec::new(),
        };
        self.journal_as(&Carried {
            call: self.call.reference,
            side,
            flow: arrived.flow,
            cseq: arrived.essentials.cseq.number,
            onward,
            branch: &branch.text(),
            mark: self.tools.mark_of(arrived),
            asked: &asked,
        });
    }

    /// The same request goes out once more.
    pub(in super::super) fn journal_carried_again(
        &mut self,
        side: Side,
        (cseq, onward): (u32, u32),
        branch: Token,
    ) {
        self.journal_as(&Carried {
            call: self.call.reference,
            side,
            flow: self.call.leg(side).flow,
            cseq,
            onward,
            branch: &branch.text(),
            mark: 0,
            asked: b"",
        });
    }

    fn journal_as(&mut self, carried: &Carried<'_>) {
        if self.call.answered.is_some() {
            self.out.journal(&Record::Carried(*carried));
        }
    }

    /// An INVITE of the peer's on `side` inside the dialog is over.
    pub(in super::super) fn journal_settled(&mut self, side: Side, status: u16) {
        self.out.journal(&Record::Settled(Settled {
            call: self.call.reference,
            wall: self.now.wall,
            side,
            status,
        }));
    }
}

impl Tools {
    /// What tells a request from others in its dialog, over restarts, too.
    pub(in super::super) fn mark_of(&self, arrived: &Arrived<'_>) -> u64 {
        let parts = [
            b"request".as_slice(),
            arrived.message.method_text(),
            arrived.essentials.via.text,
        ];
        let hash = keyed128(self.bucket_key, &parts) >> 64;
        u64::try_from(hash).unwrap_or(u64::MAX).max(1)
    }
}
