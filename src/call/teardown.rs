//! How calls end: BYE, CANCEL, limits, and giving back what a call held.

mod beside;

use crate::base::time::Now;
use crate::policy::Course;
use crate::record::{Party, Side};
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::transaction::ServerKey;

use super::call::{Alarm, Ending, Exchange, Owner, Role, Stage};
use super::leg::Far;
use super::open::{failure, own_failure, with_reason};
use super::topology::{self, Ends, Head};
use super::{Arrived, Calls, Outbox, Turn};

pub(super) use beside::strays_of;

impl Calls {
    /// A CANCEL, which its own transaction answers at once (RFC 3261 §9.2).
    pub(super) fn cancel(
        &mut self,
        now: Now,
        cancel: ServerKey,
        invite: Option<(ServerKey, Option<Owner>)>,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let code = if invite.is_some() { 200 } else { 481 };
        let owner = invite.and_then(|(_, owner)| owner);
        let call = owner.and_then(|owner| self.calls.get(owner.call));
        let tag = call.map(|call| call.caller.local_tag);
        let tag = Some(tag.unwrap_or_else(|| self.tools.mint.token()));
        self.tools
            .respond(now, cancel, (code, tag), b"", out, |_| {});
        if let Some((invite, Some(owner))) = invite {
            let reason = topology::reasons(arrived.message).next();
            self.turn(owner.call, now, out, |turn| turn.cancelled(invite, reason));
        }
    }
}

impl Turn<'_> {
    /// Notes why the call ends. What came first counts.
    pub(super) fn end(&mut self, ending: Ending) {
        self.call.ending.get_or_insert(ending);
        self.give_up_transfer();
    }

    /// The requester takes an INVITE back.
    pub(super) fn cancelled(&mut self, invite: ServerKey, reason: Option<&[u8]>) {
        let Some(exchange) = self.call.exchange_by_server(invite) else {
            return;
        };
        if !matches!(exchange.stage, Stage::Open) {
            return;
        }
        let (opening, client, tag) = (exchange.opening, exchange.client, exchange.tag);
        if opening {
            exchange.stage = Stage::Abandoned;
            self.end(Ending {
                by: Party::Caller,
                cause: "cancelled",
                status: 487,
            });
            self.call.caller.progress.pending = false;
            self.respond(invite, (487, tag), b"", |_| {});
        }
        if let Some(client) = client {
            let transmits = &mut self.out.transmits;
            self.tools
                .transactions
                .cancel(self.now.mono, client, reason, transmits);
        }
    }

    /// A BYE: answered at once, whatever becomes of the other leg.
    pub(super) fn bye(&mut self, side: Side, server: ServerKey, arrived: &Arrived<'_>) {
        if side != self.call.carrier_side() && self.leaves(side, server) {
            return;
        }
        self.refuse(server, side, 200);
        self.end(Ending {
            by: side.party(),
            cause: "bye",
            status: 200,
        });
        let was_up = std::mem::take(&mut self.call.leg_mut(side).progress.up);
        self.dialog_over(side, self.dialog_with(side, arrived.sender_tag()));
        self.withdraw_requests_of(side);
        self.stop_resending_to(side);
        let reason = topology::reasons(arrived.message).next();
        if side == Side::Caller && self.call.callee.progress.pending {
            self.give_up_invite(487, reason);
        }
        if side == Side::Callee && self.call.callee.progress.pending {
            if !was_up {
                // It overtook the 2xx of its dialog, which then only wants its ACK.
                let dialog = self.note_stray(Far::new(arrived.sender_tag(), b"", b""));
                self.overtaken_billed(dialog);
                self.dialog_over(side, dialog);
            }
            self.give_up_invite(480, reason);
        }
        self.hang_up_leg_with(side.other(), reason);
    }

    /// RFC 3261 §15.1.2: what is pending in a dialog that ends is answered 487.
    pub(super) fn withdraw_requests_of(&mut self, side: Side) {
        for at in 0..self.call.exchanges.len() {
            let Some(exchange) = self.call.exchanges.get_mut(at) else {
                break;
            };
            let (tag, client) = (exchange.tag, exchange.client);
            let open =
                exchange.from == side && !exchange.opening && matches!(exchange.stage, Stage::Open);
            if let (true, Some(server)) = (open, exchange.server) {
                exchange.stage = Stage::Abandoned;
                self.respond(server, (487, tag), b"", |_| {});
                if let Some(client) = client {
                    let transmits = &mut self.out.transmits;
                    self.tools
                        .transactions
                        .cancel(self.now.mono, client, None, transmits);
                }
            }
        }
    }

    /// Ends the call on Tollgate's own account.
    pub(super) fn hang_up(&mut self, cause: &'static str) {
        self.end(Ending {
            by: Party::Tollgate,
            cause,
            status: 0,
        });
        self.give_up_invite(480, None);
        self.hang_up_leg(Side::Callee);
        self.hang_up_leg(Side::Caller);
    }

    /// Ends the set-up, if it is still going on: a final answer to the caller,
    /// CANCEL to the callee.
    pub(super) fn give_up_invite(&mut self, code: u16, reason: Option<&[u8]>) {
        let opening = self
            .call
            .exchanges
            .iter_mut()
            .find(|exchange| exchange.opening);
        let Some(exchange) = opening else { return };
        if !matches!(exchange.stage, Stage::Open) {
            return;
        }
        exchange.stage = Stage::Abandoned;
        let (server, client, tag) = (exchange.server, exchange.client, exchange.tag);
        let cseq = exchange.client_cseq;
        self.call.caller.progress.pending = false;
        let code = failure(self.call.emergency, code);
        // What was told is told again after a restart.
        if let Some(ending) = self.call.ending.as_mut().filter(|it| it.status == 0) {
            ending.status = code;
        }
        if let Some(server) = server {
            self.respond(server, (code, tag), b"", |draft| with_reason(draft, code));
        }
        if let Some(client) = client {
            let transmits = &mut self.out.transmits;
            self.tools
                .transactions
                .cancel(self.now.mono, client, reason, transmits);
        }
        if self.call.answered.is_some() {
            self.acknowledge_unseen(cseq);
        }
    }

    /// The call was answered before a restart, and its 2xx has not come again: the
    /// callee waits for an ACK and a BYE, and for nothing else.
    fn acknowledge_unseen(&mut self, cseq: u32) {
        self.call.callee.progress.pending = false;
        if self.call.callee.progress.up {
            let packet = self.ack_packet(Side::Callee, cseq, None);
            self.send_ack(Side::Callee, packet);
        }
    }

    /// The set-up failed before its INVITE could leave.
    pub(super) fn fail_opening(&mut self, ending: Ending) {
        self.end(ending);
        self.call.callee.progress.pending = false;
        self.give_up_invite(ending.status, None);
    }

    /// The set-up could not be recorded, so its INVITE did not leave.
    pub(super) fn unrecorded(&mut self) {
        self.fail_opening(Ending {
            by: Party::Tollgate,
            cause: "journal-fault",
            status: own_failure(self.call.emergency),
        });
    }

    pub(super) fn hang_up_leg(&mut self, side: Side) {
        self.hang_up_leg_with(side, None);
    }

    /// Sends BYE on a leg that is up. A caller's leg whose ACK is still out
    /// gets it after that (RFC 3261 §15); a 2xx of the leg's own peer is
    /// acknowledged first.
    pub(super) fn hang_up_leg_with(&mut self, side: Side, reason: Option<&[u8]>) {
        if !self.call.leg(side).progress.up {
            return;
        }
        let waits = |exchange: &Exchange| exchange.opening && exchange.is_unacked();
        if side == Side::Caller && self.call.exchanges.iter().any(waits) {
            self.call.bye_after_ack = true;
            return;
        }
        self.acknowledge(side);
        self.send_bye(side, reason);
    }

    pub(super) fn send_bye(&mut self, side: Side, reason: Option<&[u8]>) {
        if !std::mem::take(&mut self.call.leg_mut(side).progress.up) {
            return;
        }
        let far = std::mem::take(&mut self.call.leg_mut(side).far);
        self.bye_to((side, Course::OWN), &far, reason);
        self.call.leg_mut(side).far = far;
    }

    fn bye_to(&mut self, (side, dialog): (Side, u8), far: &Far, reason: Option<&[u8]>) {
        let cseq = self.call.leg_mut(side).next_cseq();
        let now = self.now.mono;
        if let (true, Some(course)) = (side == self.call.carrier_side(), self.call.course())
            && course.parts(dialog, now)
        {
            self.journal_held();
        }
        let branch = self.tools.mint.token();
        let leg = self.call.leg(side);
        let here = self.tools.here.at(leg.flow.listener);
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far,
            here,
        };
        let head = Head {
            method: b"BYE",
            cseq,
            branch,
            max_forwards: super::MAX_FORWARDS,
        };
        let flow = topology::next_hop(&self.tools.rules, leg.flow, far);
        let mut draft = topology::request(&mut self.tools.scratch, &ends, &head);
        if let Some(reason) = reason {
            draft.put(HeaderId::Reason, reason);
        }
        let packet = draft.seal(None);
        let owner = Owner {
            call: self.key,
            role: Role::Bye(side, dialog),
        };
        let (now, out) = (self.now.mono, &mut self.out.transmits);
        let transactions = &mut self.tools.transactions;
        if transactions
            .request(now, flow, Method::Bye, branch, packet, owner, out)
            .is_some()
        {
            let byes = &mut self.call.leg_mut(side).progress.byes;
            *byes = byes.saturating_add(1);
        } else {
            self.dialog_lost(side, dialog);
        }
    }

    /// A BYE of ours was finally answered, or never will be.
    pub(super) fn bye_answered(&mut self, side: Side, dialog: u8) {
        let byes = &mut self.call.leg_mut(side).progress.byes;
        *byes = byes.saturating_sub(1);
        self.dialog_over(side, dialog);
    }

    /// No further BYE is sent in a dialog whose last one was not answered.
    fn give_up_bye(&mut self, side: Side, dialog: u8) {
        let byes = &mut self.call.leg_mut(side).progress.byes;
        *byes = byes.saturating_sub(1);
        self.dialog_lost(side, dialog);
    }

    /// Nobody answered a BYE of ours, or it could not be sent. A carrier goes on
    /// billing until its session timer runs out, and gets it again until then.
    pub(super) fn bye_unanswered(&mut self, side: Side, dialog: u8, failed: bool) {
        let waits = self.call.bye_again.is_some();
        if !self.awaits_carrier(side, dialog) || failed && waits {
            self.give_up_bye(side, dialog);
        } else if failed {
            // Not at once: what failed now would fail again.
            let (now, wait) = (self.now.mono, self.tools.timers.t2);
            let timer = self.tools.schedule(self.key, Alarm::Bye(dialog), now, wait);
            self.call.bye_again = Some(timer);
        } else {
            self.repeat_bye(side, dialog);
        }
    }

    /// A BYE that could not be sent is due again, if the carrier has not hung up.
    fn bye_due(&mut self, dialog: u8) {
        self.call.bye_again = None;
        let side = self.call.carrier_side();
        match self.awaits_carrier(side, dialog) {
            true => self.repeat_bye(side, dialog),
            false => self.give_up_bye(side, dialog),
        }
    }

    fn repeat_bye(&mut self, side: Side, dialog: u8) {
        let byes = &mut self.call.leg_mut(side).progress.byes;
        *byes = byes.saturating_sub(1);
        match usize::from(dialog).checked_sub(1) {
            None => {
                let far = std::mem::take(&mut self.call.leg_mut(side).far);
                self.bye_to((side, dialog), &far, None);
                self.call.leg_mut(side).far = far;
            }
            Some(at) => {
                let strays = std::mem::take(&mut self.call.strays);
                if let Some(far) = strays.get(at) {
                    self.bye_to((side, dialog), far, None);
                }
                self.call.strays = strays;
            }
        }
    }

    /// A timer of the call's has run out.
    pub(super) fn alarm(&mut self, alarm: Alarm) {
        match alarm {
            // After a restart: its callee has answered before, and does not repeat it.
            Alarm::Ring if self.call.answered.is_some() => {
                self.call.limit = None;
                self.hang_up("no-ack");
            }
            Alarm::Ring => {
                self.call.limit = None;
                self.end(Ending {
                    by: Party::Tollgate,
                    cause: "longest-ring",
                    status: 480,
                });
                self.give_up_invite(480, Some(NO_ANSWER));
            }
            Alarm::Longest => {
                self.call.limit = None;
                self.hang_up("longest-call");
            }
            // Where it goes on is for the shard's calls together: see `onward`.
            Alarm::FirstAnswer => {}
            Alarm::Unanswered(server) => self.change_due(server),
            Alarm::Unheard(server) => self.change_unheard(server),
            Alarm::Resend(server) => self.resend(server),
            Alarm::Session(side) => self.session_due(side),
            Alarm::Lease => self.lease_over(),
            Alarm::Bye(dialog) => self.bye_due(dialog),
            Alarm::Linger => self.call.linger = None,
        }
    }

    /// After each step: gives back what the call held once the carrier's leg is
    /// closed, and says whether the call is over.
    pub(super) fn settle(&mut self) -> bool {
        self.journal_ending();
        let carrier = self.call.leg(self.call.carrier_side()).progress;
        if carrier.is_closed() && !self.call.reported {
            self.call.reported = true;
            self.call.seat = None;
            if let Some(hold) = &self.call.hold {
                hold.leave(self.now, self.call.talked(self.now));
            }
            let cost = self.book();
            self.call.journal_end(self.now, cost, self.out);
        }
        let closed = [&self.call.caller, &self.call.callee]
            .into_iter()
            .all(|leg| leg.progress.is_closed());
        let up = !closed && self.call.ending.is_none();
        self.tools.note(self.call, closed, up);
        // Until an INVITE's transaction ends, its 2xx may come again, or another
        // fork's, and each is to be acknowledged (RFC 3261 §13.2.2.4).
        let answerable =
            |exchange: &Exchange| exchange.method == Method::Invite && exchange.client.is_some();
        if !closed {
            return false;
        }
        self.answer_what_is_left();
        let awaited = self.call.exchanges.iter().any(answerable) || self.call.is_referring();
        !awaited && self.call.linger.is_none()
    }

    /// No request of a peer's stays without a final response, and no INVITE of
    /// ours open: only its CANCEL gives it an end.
    fn answer_what_is_left(&mut self) {
        let mut exchanges = std::mem::take(&mut self.call.exchanges);
        for exchange in &mut exchanges {
            if !matches!(exchange.stage, Stage::Open) {
                continue;
            }
            exchange.stage = Stage::Abandoned;
            if let Some(server) = exchange.server {
                self.respond(server, (481, exchange.tag), b"", |_| {});
            }
            if let Some(client) = exchange.client {
                let transmits = &mut self.out.transmits;
                self.tools
                    .transactions
                    .cancel(self.now.mono, client, None, transmits);
            }
        }
        self.call.exchanges = exchanges;
    }
}

/// The Reason of a CANCEL for a call that rang for too long (Q.850, 19: no
/// answer from the user).
const NO_ANSWER: &[u8] = b"Q.850;cause=19";
