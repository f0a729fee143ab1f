//! A 2xx to an INVITE, and its ACK. Both are the user agents' own affair, not the
//! transactions' (RFC 3261 §13.2.2.4, §13.3.1.4): the answer is repeated to the
//! requester until its ACK comes, and the ACK is carried to who answered.

use std::time::Duration;

use crate::base::limits::LARGEST_INVITE;
use crate::base::time::Now;
use crate::base::token::Token;
use crate::policy::Course;
use crate::record::{Record, Session, Side};
use crate::sip::draft::Packet;
use crate::transaction::{ClientKey, Origin, ServerKey, Transmit};

use super::account::interval_of;
use super::call::{Alarm, Resend, Stage};
use super::leg::{Far, Progress};
use super::topology::{self, Ends, Head};
use super::{Arrived, Event, Turn};

impl Turn<'_> {
    /// A 2xx to an INVITE.
    pub(super) fn accepted(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let beside = self.is_beside(arrived);
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        match &exchange.stage {
            Stage::Open if exchange.opening && beside => {
                self.hang_up_stray(Side::Callee, arrived);
            }
            Stage::Open if exchange.opening => self.answered(client, code, arrived),
            Stage::Open => self.changed(client, code, arrived),
            Stage::Abandoned => self.answered_too_late(client, arrived),
            Stage::Answered { ack, .. } => {
                let ack = ack.clone();
                let (side, opening) = (exchange.from.other(), exchange.opening);
                self.accepted_again(side, opening, ack, arrived);
            }
        }
    }

    /// Whether another answer than this one made the call, before a restart.
    fn is_beside(&self, arrived: &Arrived<'_>) -> bool {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        self.call.answered.is_some() && self.call.callee.far.tag() != tag
    }

    /// The callee answers: both dialogs are up.
    fn answered(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let tag = self.dialog_tag(Side::Caller, arrived);
        self.confirm_callee(arrived);
        self.keep_fork(tag);
        self.call.caller.progress = Progress {
            pending: false,
            up: true,
            byes: 0,
        };
        self.call.elsewhere = None;
        self.run_longest();
        self.session_agreed(Side::Callee, arrived.message);
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        let (server, offer) = (exchange.server, exchange.offer);
        self.session_granted(Side::Caller, offer);
        let first = *self.call.answered.get_or_insert(self.now);
        self.journal_answered(first, self.call.longest, None);
        let keeps = self.carrier_keeps(arrived.message, offer);
        self.answer_billed(Course::OWN, keeps);
        self.out.events.push(Event::Answered {
            call: self.call.reference,
        });
        if let Some(server) = server {
            self.pass_accepted(client, server, Side::Caller, (code, tag), arrived);
        }
    }

    /// Takes the dialog that a 2xx confirms for the callee's.
    fn confirm_callee(&mut self, arrived: &Arrived<'_>) {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        let fork = self.call.fork(tag);
        let cseq = fork.and_then(|fork| fork.callee_cseq);
        let leg = &mut self.call.callee;
        // What came before any fork was known counts, too.
        leg.remote_cseq = leg.remote_cseq.max(cseq);
        let asked = std::mem::take(&mut leg.far);
        leg.far = match topology::far_of(arrived.message, tag, true) {
            Ok(far) if !far.target().is_empty() => far,
            // Without a Contact that can be read, what was asked still works.
            _ => Far::new(tag, asked.target(), b""),
        };
        leg.progress = Progress {
            pending: false,
            up: true,
            byes: leg.progress.byes,
        };
    }

    /// Of all early dialogs with the caller, the one with this tag goes on.
    fn keep_fork(&mut self, tag: Token) {
        let base = std::mem::replace(&mut self.call.caller.local_tag, tag);
        let forks = std::mem::take(&mut self.call.forks);
        if let Some(fork) = forks.iter().find(|fork| fork.local_tag == tag) {
            let before = self.call.caller.remote_cseq;
            self.call.caller.remote_cseq = before.max(fork.caller_cseq);
        }
        for other in forks.iter().map(|fork| fork.local_tag).chain([base]) {
            if other != tag {
                self.tools.forget_tag(other);
            }
        }
    }

    /// Says that the callee answered, and how long the call may last from then on: no
    /// time at all if its caller was refused before, and then how long the callee stays
    /// (`late`) that hears no BYE.
    fn journal_answered(&mut self, first: Now, longest: Duration, late: Option<Duration>) {
        let call = &*self.call;
        let tags = [&call.caller, &call.callee].map(|leg| leg.local_tag.text());
        let [caller_tag, callee_tag] = &tags;
        let session = call.leg(call.carrier_side()).session;
        let mut callee = call.callee.as_record(callee_tag).since_setup();
        if let Some(seconds) = late.and_then(|it| u32::try_from(it.as_secs()).ok()) {
            callee.session = Session {
                seconds,
                ours: true,
            };
        }
        let record = Record::Answered {
            call: call.reference,
            wall: first.wall,
            ends_by: first.wall + longest,
            session_expires: session.map_or(0, |session| session.seconds()),
            caller: call.caller.as_record(caller_tag).since_setup(),
            callee,
        };
        self.out.journal(&record);
        self.journal_description(Side::Callee);
    }

    /// Passes a 2xx to an INVITE on, and repeats it until the ACK
    /// (RFC 3261 §13.3.1.4).
    fn pass_accepted(
        &mut self,
        client: ClientKey,
        server: ServerKey,
        to: Side,
        (code, tag): (u16, Token),
        arrived: &Arrived<'_>,
    ) {
        self.pass(server, to, (code, tag), arrived);
        self.remember_description(to, arrived.message.body());
        let (interval, now) = (self.tools.timers.t1, self.now.mono);
        let timer = self
            .tools
            .schedule(self.key, Alarm::Resend(server), now, interval);
        let until = now + interval * 64;
        if let Some(exchange) = self.call.exchange_by_client(client) {
            let offered = exchange.offered.take();
            let unacked = Some(Resend {
                interval,
                timer,
                until,
            });
            exchange.stage = Stage::Answered { unacked, ack: None };
            self.offer_accepted(to.other(), offered);
        }
    }

    /// A 2xx to an INVITE inside the dialog.
    fn changed(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        let (from, server, offer) = (exchange.from, exchange.server, exchange.offer);
        let resumed = exchange.resumed;
        let replacing = server.and_then(|it| self.call.replacing(it));
        let replacing = replacing.map(|leg| leg.local_tag);
        if resumed {
            self.forget_description(from.other());
        }
        self.refresh_target(from.other(), arrived.message);
        self.session_agreed(from.other(), arrived.message);
        if replacing.is_none() {
            self.session_granted(from, offer);
        }
        let tag = replacing.unwrap_or(self.call.leg(from).local_tag);
        if let Some(server) = server {
            self.pass_accepted(client, server, from, (code, tag), arrived);
        }
    }

    /// A 2xx after the requester was already told otherwise.
    fn answered_too_late(&mut self, client: ClientKey, arrived: &Arrived<'_>) {
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        let (opening, side) = (exchange.opening, exchange.from.other());
        exchange.stage = Stage::Answered {
            unacked: None,
            ack: None,
        };
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        if opening && self.call.is_stray(tag) {
            self.call.callee.progress.pending = false;
            self.hang_up_stray(side, arrived);
            return;
        }
        if opening && self.call.answered.is_some() && !self.is_beside(arrived) {
            // It was hung up when it was taken over after a restart.
            self.call.callee.progress.pending = false;
            self.acknowledge(side);
            return;
        }
        if opening {
            self.confirm_callee(arrived);
            // Its BYE may be lost, and a restart come before the next one.
            let interval = interval_of(arrived.message);
            self.journal_answered(self.now, Duration::ZERO, interval);
            self.stray_billed(Course::OWN, interval);
        }
        self.acknowledge(side);
        if opening {
            self.hang_up_leg(Side::Callee);
        }
    }

    /// A 2xx seen again: our ACK was lost, or has not been possible yet, or
    /// another fork answered as well.
    fn accepted_again(
        &mut self,
        side: Side,
        opening: bool,
        ack: Option<Packet>,
        arrived: &Arrived<'_>,
    ) {
        // RFC 3261 §12.2.1.1: who answered without a tag has an empty one.
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        if opening && self.call.callee.far.tag() != tag {
            self.hang_up_stray(Side::Callee, arrived);
        } else if let Some(packet) = ack {
            self.send_ack(side, packet);
        }
    }

    /// The requester's ACK to a 2xx: carried on, with its body if it has one
    /// (the answer to an offer that came in the 2xx, RFC 3261 §13.2.1).
    pub(super) fn acknowledged(&mut self, side: Side, arrived: &Arrived<'_>) {
        let cseq = arrived.essentials.cseq.number;
        let found = self.call.exchanges.iter().position(|exchange| {
            exchange.from == side && exchange.server_cseq == cseq && exchange.is_unacked()
        });
        let Some(at) = found else {
            return self.acknowledged_since(side, arrived);
        };
        if let Some(timer) = self.call.stop_resending(at) {
            self.tools.wheel.cancel(timer);
        }
        let Some(exchange) = self.call.exchanges.get(at) else {
            return;
        };
        if let Some(server) = exchange.server {
            self.tools.transactions.acknowledged(server);
        }
        let (opening, there) = (exchange.opening, exchange.client_cseq);
        let awaits_ack = matches!(exchange.stage, Stage::Answered { ack: None, .. });
        if opening {
            let call = self.call.reference;
            self.out.journal(&Record::Acked { call });
        } else {
            self.journal_settled(side, 200);
        }
        if awaits_ack {
            let write = |turn: &mut Self| turn.ack_packet(side.other(), there, Some(arrived));
            let packet = self.fitting(side.other(), write);
            self.remember_description(side.other(), arrived.message.body());
            self.keep_ack(at, side.other(), packet);
        }
        self.call.drop_settled();
        if opening && std::mem::take(&mut self.call.bye_after_ack) {
            self.send_bye(side, None);
        }
    }

    /// The ACK to a 2xx that its sender got before a restart, and that has not come again
    /// since: who knows of it need not be told again, and what it is to is in force.
    fn acknowledged_since(&mut self, side: Side, arrived: &Arrived<'_>) {
        let cseq = arrived.essentials.cseq.number;
        let answered = self.call.answered.is_some();
        let Some(at) = self.call.exchanges.iter().position(|exchange| {
            let known = exchange.resumed || exchange.opening && answered;
            let open = known && matches!(exchange.stage, Stage::Open);
            open && exchange.from == side && exchange.server_cseq == cseq
        }) else {
            return;
        };
        let exchange = self.call.exchanges.swap_remove(at);
        if let Some(server) = exchange.server {
            let transactions = &mut self.tools.transactions;
            transactions.accepted_before(self.now.mono, server);
        }
        // What is repeated all the same gets its ACK as a stray.
        if let Some(client) = exchange.client {
            self.tools.transactions.forget(client);
        }
        if exchange.opening {
            self.call.caller.progress.pending = false;
            self.call.callee.progress.pending = false;
            self.run_longest();
            let call = self.call.reference;
            self.out.journal(&Record::Acked { call });
        } else {
            self.journal_settled(side, 200);
        }
        let (to, there) = (side.other(), exchange.client_cseq);
        let write = |turn: &mut Self| turn.ack_packet(to, there, Some(arrived));
        let packet = self.fitting(to, write);
        self.remember_description(to, arrived.message.body());
        self.send_ack(to, packet);
    }

    /// From now on the call ends when it has lasted the longest.
    pub(super) fn run_longest(&mut self) {
        if let Some(limit) = self.call.limit.take() {
            self.tools.wheel.cancel(limit);
        }
        // After a restart it has lasted for a while.
        let talked = self.call.talked(self.now).unwrap_or_default();
        let left = self.call.longest.saturating_sub(talked);
        let now = self.now.mono;
        self.call.limit = Some(self.tools.schedule(self.key, Alarm::Longest, now, left));
    }

    /// Acknowledges on our own account what the peer on `side` answered and has
    /// no ACK for yet: the requester's will come too late, or not at all.
    pub(super) fn acknowledge(&mut self, side: Side) {
        for at in 0..self.call.exchanges.len() {
            let Some(exchange) = self.call.exchanges.get(at) else {
                return;
            };
            let due = matches!(exchange.stage, Stage::Answered { ack: None, .. });
            if due && exchange.from != side {
                let packet = self.ack_packet(side, exchange.client_cseq, None);
                self.keep_ack(at, side, packet);
            }
        }
    }

    /// A 2xx that belongs to no exchange any more: of a dialog that is known, it
    /// only wants its ACK again; any other is hung up.
    pub(super) fn stray_answer(&mut self, side: Side, arrived: &Arrived<'_>) {
        let (leg, essentials) = (self.call.leg(side), arrived.essentials);
        if leg.call_id() != essentials.call_id {
            return;
        }
        if leg.far.tag() == essentials.to_tag.unwrap_or_default() {
            let packet = self.ack_packet(side, essentials.cseq.number, None);
            self.send_ack(side, packet);
        } else if side == Side::Callee {
            // Only the INVITE that opens the call can have been forked.
            self.hang_up_stray(side, arrived);
        }
    }

    /// Sends an ACK, and keeps it for when the 2xx is seen again, unless it is out of
    /// all proportion.
    fn keep_ack(&mut self, at: usize, side: Side, packet: Packet) {
        self.send_ack(side, packet.clone());
        if let Some(exchange) = self.call.exchanges.get_mut(at)
            && let Stage::Answered { ack, .. } = &mut exchange.stage
        {
            *ack = Some(packet).filter(|packet| packet.len() <= LARGEST_INVITE);
        }
    }

    /// Another copy of a 2xx, or the end of waiting for its ACK.
    pub(super) fn resend(&mut self, server: ServerKey) {
        let (key, now, t2) = (self.key, self.now.mono, self.tools.timers.t2);
        let Some(exchange) = self.call.exchange_by_server(server) else {
            return;
        };
        let Stage::Answered {
            unacked: Some(resend),
            ..
        } = &mut exchange.stage
        else {
            return;
        };
        if now < resend.until {
            resend.interval = (resend.interval * 2).min(t2);
            let due = resend.interval.min(resend.until.saturating_since(now));
            resend.timer = self.tools.schedule(key, Alarm::Resend(server), now, due);
            let transmits = &mut self.out.transmits;
            self.tools.transactions.resend_2xx(now, server, transmits);
            return;
        }
        // RFC 3261 §13.3.1.4: no ACK for 64*T1, so the dialog is ended.
        let side = exchange.from.other();
        if let Stage::Answered { unacked, .. } = &mut exchange.stage {
            *unacked = None;
        }
        self.acknowledge(side);
        self.call.drop_settled();
        if self.not_replaced_by(server) {
            return;
        }
        self.call.bye_after_ack = false;
        self.hang_up("no-ack");
    }

    /// Whoever hangs up needs no 2xx again that it has not acknowledged.
    pub(super) fn stop_resending_to(&mut self, side: Side) {
        for at in 0..self.call.exchanges.len() {
            let exchange = self.call.exchanges.get(at);
            let server = exchange
                .filter(|it| it.from == side)
                .and_then(|it| it.server);
            let Some(server) = server else { continue };
            if let Some(timer) = self.call.stop_resending(at) {
                self.tools.wheel.cancel(timer);
                self.tools.transactions.acknowledged(server);
            }
        }
        self.acknowledge(side.other());
        self.call.drop_settled();
    }

    /// The ACK to a 2xx: a request of its own, in the dialog (RFC 3261
    /// §13.2.2.4).
    pub(super) fn ack_packet(
        &mut self,
        side: Side,
        cseq: u32,
        from: Option<&Arrived<'_>>,
    ) -> Packet {
        let leg = self.call.leg(side);
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &leg.far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let max_forwards = from.map_or(super::MAX_FORWARDS, Arrived::forwards);
        let branch = self.tools.mint.token();
        let head = Head {
            method: b"ACK",
            cseq,
            branch,
            max_forwards,
        };
        let mut draft = topology::request(&mut self.tools.scratch, &ends, &head);
        for (id, value) in leg.proofs.iter().flat_map(|it| &it.of_invite) {
            draft.put(*id, value);
        }
        match from {
            Some(arrived) => {
                topology::carry(&mut draft, arrived.message);
                draft.seal(Some(arrived.message.body()))
            }
            None => draft.seal(None),
        }
    }

    pub(super) fn send_ack(&mut self, side: Side, packet: Packet) {
        let leg = self.call.leg(side);
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        self.out.transmits.push(Transmit {
            flow,
            packet,
            origin: Origin::Stateless,
        });
    }
}
