//! What is answered to a request that Tollgate sent on a leg, and how the
//! requester on the other leg learns of it.

use crate::base::limits::FORKS_PER_CALL;
use crate::base::token::Token;
use crate::record::{Party, Record, Side};
use crate::sip::fields;
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::transaction::{ClientKey, Expired, Reply, ServerKey};

use super::call::{Alarm, Ending, Fork, Owner, Role, Stage};
use super::open::{failure, own_failure, with_reason};
use super::refresh;
use super::topology;
use super::{Arrived, Calls, Outbox, Turn};

impl Calls {
    /// A response that no transaction waits for. Only a 2xx to an INVITE
    /// matters: someone answered whom Tollgate had given up, and who now holds
    /// a call that nobody speaks on.
    pub(super) fn stray(
        &mut self,
        now: crate::base::time::Now,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let Arrived {
            message,
            essentials,
            ..
        } = *arrived;
        let accepted = matches!(message.status(), Some(200..=299));
        if !accepted || essentials.cseq.method != Method::Invite {
            return;
        }
        if let Some((key, side)) = self.tools.by_tag(arrived.sender_tag()) {
            self.turn(key, now, out, |turn| turn.stray_answer(side, arrived));
        }
    }
}

impl Turn<'_> {
    /// A response to a request of this call's.
    pub(super) fn reply(&mut self, reply: &Reply<Owner>, arrived: &Arrived<'_>) {
        let Some(code) = arrived.message.status() else {
            return;
        };
        if code >= 200 {
            self.note_taken();
        }
        match reply.owner.role {
            Role::Relay => self.relayed(reply.key, code, arrived),
            Role::Bye(side, dialog) if code >= 200 => self.bye_answered(side, dialog),
            Role::Refresh(side) if code >= 200 => {
                if !self.offer_answered(side, reply.key, code, arrived) {
                    self.refreshed(side, reply.key, code, arrived);
                }
            }
            Role::Refer(side) => self.refer_answered(side, reply.key, code, arrived),
            Role::Bye(..) | Role::Refresh(_) | Role::Aside => {}
        }
    }

    fn relayed(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let Some(exchange) = self.call.exchange_by_client(client) else {
            let accepted = matches!(code, 200..=299);
            if accepted && arrived.essentials.cseq.method == Method::Invite {
                let callee = self.call.callee.local_tag.text() == *arrived.sender_tag();
                let side = if callee { Side::Callee } else { Side::Caller };
                self.stray_answer(side, arrived);
            }
            return;
        };
        let open = matches!(exchange.stage, Stage::Open);
        let (method, from, server) = (exchange.method, exchange.from, exchange.server);
        if exchange.opening {
            self.callee_heard(code, arrived.message);
        }
        if let (true, Some(allow)) = (code > 100, MethodSet::allow(arrived.message)) {
            self.call.leg_mut(from.other()).allow = Some(allow);
        }
        match (method, code) {
            (_, ..=100) => {}
            (Method::Invite, ..=199) => {
                if let (true, Some(server)) = (open, server) {
                    let tag = self.dialog_tag(from, arrived);
                    self.pass(server, from, (code, tag), arrived);
                }
            }
            (Method::Invite, ..=299) => self.accepted(client, code, arrived),
            (Method::Invite, _) => self.rejected(client, code, arrived),
            (_, ..=199) => {}
            _ => self.finished(client, code, arrived),
        }
    }

    /// Our tag towards the requester: the leg's, or while the call is being
    /// set up the one that stands for the answering fork.
    pub(super) fn dialog_tag(&mut self, requester: Side, arrived: &Arrived<'_>) -> Token {
        let base = self.call.leg(requester).local_tag;
        let early = requester == Side::Caller && self.call.caller.progress.pending;
        let Some(far_tag) = arrived.essentials.to_tag.filter(|_| early) else {
            return base;
        };
        let contact = fields::contact(arrived.message).ok().flatten();
        let target = contact.map_or(b"".as_slice(), |contact| contact.uri_text);
        if let Some(fork) = self
            .call
            .forks
            .iter_mut()
            .find(|fork| fork.far.tag() == far_tag)
        {
            fork.far.refresh_target(target);
            return fork.local_tag;
        }
        let Ok(far) = topology::far_of(arrived.message, far_tag, true) else {
            return base;
        };
        let local_tag = match self.call.forks.len() {
            0 => base,
            FORKS_PER_CALL.. => return base,
            _ => {
                let tag = self.tools.mint.token();
                self.tools.index_fork(self.key, tag);
                tag
            }
        };
        self.call.forks.push(Fork {
            local_tag,
            far,
            caller_cseq: self.call.caller.remote_cseq,
            callee_cseq: None,
        });
        local_tag
    }

    /// Passes a response on to who asked.
    pub(super) fn pass(
        &mut self,
        server: ServerKey,
        to: Side,
        (code, tag): (u16, Token),
        arrived: &Arrived<'_>,
    ) {
        let message = arrived.message;
        let from_allow = MethodSet::allow(message);
        let leg = self.call.leg(to);
        // The answer that makes the call is passed on when its dialogs are up already.
        let mut exchanges = self.call.exchanges.iter();
        let opens = exchanges.any(|it| it.opening && it.server == Some(server));
        let forms_dialog = to == Side::Caller && (leg.progress.pending || opens);
        let here = self.tools.here.at(leg.flow.listener);
        let (session, reach) = (leg.session, topology::Reach::on(&self.tools.rules, leg));
        let emergency = self.call.emergency;
        let phones = to != self.call.carrier_side();
        let fill = |draft: &mut crate::sip::draft::Draft<'_>| {
            if code < 300 {
                if forms_dialog && !leg.far.routes().is_empty() {
                    draft.put(HeaderId::RecordRoute, leg.far.routes());
                }
                topology::put_contact(draft, here, reach);
                if from_allow.is_some() {
                    topology::put_allow(draft, from_allow, phones);
                }
            }
            topology::carry(draft, message);
            topology::carry_tags(draft, message, HeaderId::Supported, code < 300);
            if code >= 300 {
                if !emergency {
                    draft.keep(message, HeaderId::RetryAfter);
                }
                draft.keep(message, HeaderId::Unsupported);
            } else if code >= 200 {
                refresh::put_response(draft, session);
            }
        };
        let Some(echo) = self.tools.transactions.echo(server) else {
            return;
        };
        let phrase = crate::sip::line::reason_phrase(code);
        let mut draft = echo.response(&mut self.tools.scratch, code, phrase, Some(&tag.text()));
        fill(&mut draft);
        let packet = draft.seal(Some(message.body()));
        let transmits = &mut self.out.transmits;
        self.tools
            .transactions
            .respond(self.now.mono, server, code, packet, transmits);
    }

    /// A peer says where it wants to be reached from now on (RFC 3261 §12.2).
    pub(super) fn refresh_target(&mut self, side: Side, message: &crate::sip::message::Message) {
        let Ok(Some(contact)) = fields::contact(message) else {
            return;
        };
        if self.call.leg_mut(side).far.refresh_target(contact.uri_text) {
            let record = Record::Target {
                call: self.call.reference,
                side,
                target: contact.uri_text,
            };
            self.out.journal(&record);
        }
    }

    /// A final refusal of an INVITE. Its ACK is the transaction's affair.
    fn rejected(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let Some(exchange) = self.call.take_exchange(client) else {
            return;
        };
        let to = exchange.from;
        if let Some(server) = exchange.server {
            self.not_replaced_by(server);
        }
        let told = matches!(exchange.stage, Stage::Abandoned);
        if let (300..=399, false, true, Some(server)) =
            (code, told, exchange.opening, exchange.server)
        {
            // Where it would lead is not followed: that is our own refusal.
            let (code, tag) = (own_failure(self.call.emergency), exchange.tag);
            self.respond(server, (code, tag), b"", |draft| with_reason(draft, code));
        } else if exchange.resumed && matches!(code, 401 | 407) {
            // Whoever tries again is asked for it again.
            if let (false, Some(server)) = (told, exchange.server) {
                self.journal_settled(to, 500);
                self.refuse_for_now(server, to, 500);
            }
        } else if let (false, Some(server)) = (told, exchange.server) {
            let tag = self.dialog_tag(to, arrived);
            let onward = match exchange.opening {
                true => failure(self.call.emergency, self.code_onward(to, code)),
                false => self.code_onward(to, code),
            };
            if !exchange.opening {
                self.journal_settled(to, onward);
            }
            self.pass(server, to, (onward, tag), arrived);
        }
        if exchange.opening {
            self.end(Ending {
                by: Party::Callee,
                cause: "rejected",
                status: code,
            });
            self.call.callee.progress.pending = false;
            self.call.caller.progress.pending = false;
            self.linger();
        } else if matches!(code, 408 | 481) {
            self.hang_up("dialog-gone");
        }
    }

    /// A final response to any other request.
    fn finished(&mut self, client: ClientKey, code: u16, arrived: &Arrived<'_>) {
        let Some(exchange) = self.call.take_exchange(client) else {
            return;
        };
        let to = exchange.from;
        if exchange.method == Method::Update && code < 300 {
            self.refresh_target(to.other(), arrived.message);
            self.session_agreed(to.other(), arrived.message);
            self.session_granted(to, exchange.offer);
            self.offer_accepted(to.other(), exchange.offered);
        }
        if let Some(server) = exchange.server {
            let tag = exchange.tag;
            self.pass(server, to, (self.code_onward(to, code), tag), arrived);
        }
        if code == 481 && self.call.leg(to.other()).progress.up {
            self.hang_up("dialog-gone");
        }
    }

    /// The code as the other side may learn it. A challenge is for Tollgate
    /// alone, and a redirection would be a new call that nobody judged.
    pub(super) fn code_onward(&self, to: Side, code: u16) -> u16 {
        match code {
            300..=399 => own_failure(self.call.emergency),
            401 | 407 | 494 if to != self.call.carrier_side() => 503,
            401 | 407 | 494 => 403,
            code => code,
        }
    }

    /// A transaction of this call's ended without, or after, its last response.
    pub(super) fn expired(&mut self, event: &Expired<Owner>, owner: Owner) {
        match *event {
            Expired::ClientTimeout { key, .. } | Expired::ClientFailed { key, .. } => {
                match owner.role {
                    Role::Relay => self.unanswered(key),
                    Role::Bye(side, dialog) => {
                        let failed = matches!(event, Expired::ClientFailed { .. });
                        self.bye_unanswered(side, dialog, failed);
                    }
                    Role::Refresh(_) => {
                        self.call.take_exchange(key);
                        self.hang_up("session-refresh-unanswered");
                    }
                    Role::Refer(side) => self.refer_unanswered(side, key),
                    Role::Aside => {}
                }
            }
            Expired::ClientCut { key, cancelled, .. } => self.cut(key, cancelled, owner.role),
            Expired::ClientEnded { key, .. } => self.forget_client(key),
            Expired::ServerFailed { .. } | Expired::ServerEnded { .. } => {}
        }
    }

    /// The client transaction of an exchange is over: a 2xx is not seen again.
    fn forget_client(&mut self, client: ClientKey) {
        if let Some(exchange) = self.call.exchange_by_client(client) {
            exchange.client = None;
        }
        self.call.drop_settled();
    }

    /// Keeps the call a while for a fork that answers after all: a proxy behind
    /// the carrier may pass on a 2xx after any other final response (RFC 3261
    /// §16.7), and what it opened costs money until it gets its BYE.
    fn linger(&mut self) {
        if self.call.linger.is_none() {
            let (now, wait) = (self.now.mono, self.tools.timers.t1 * 64);
            self.call.linger = Some(self.tools.schedule(self.key, Alarm::Linger, now, wait));
        }
    }

    /// The connection that a request went out on has closed under it.
    fn cut(&mut self, client: ClientKey, cancelled: bool, role: Role) {
        match role {
            Role::Bye(side, dialog) => self.bye_unanswered(side, dialog, true),
            // The end of a refresh that was cancelled says the rest.
            Role::Refresh(_) if cancelled => {}
            Role::Refresh(side) => {
                self.call.take_exchange(client);
                self.refresh_cut(side);
            }
            Role::Relay => self.relay_cut(client, cancelled),
            Role::Refer(_) | Role::Aside => {}
        }
    }

    /// What a set-up waits for cannot be waited for; a request inside the call
    /// failed, and the call goes on.
    fn relay_cut(&mut self, client: ClientKey, cancelled: bool) {
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        let opening = exchange.opening;
        let (method, from) = (exchange.method, exchange.from);
        if opening && !cancelled {
            return self.unanswered(client);
        }
        let told = matches!(exchange.stage, Stage::Abandoned);
        let (server, tag) = (exchange.server, exchange.tag);
        exchange.stage = Stage::Abandoned;
        if let Some(server) = server {
            self.not_replaced_by(server);
        }
        if !cancelled {
            self.call.take_exchange(client);
        }
        if opening {
            self.end(Ending {
                by: Party::Callee,
                cause: "flow-closed",
                status: 503,
            });
            self.call.caller.progress.pending = false;
        }
        if let (false, Some(server)) = (told, server) {
            if method == Method::Invite && !opening {
                self.journal_settled(from, 503);
            }
            self.respond(server, (503, tag), b"", |_| {});
        }
    }

    /// No final response came, or the request could not even be sent.
    fn unanswered(&mut self, client: ClientKey) {
        let Some(exchange) = self.call.take_exchange(client) else {
            return;
        };
        let told = matches!(exchange.stage, Stage::Abandoned);
        if let (false, Some(server)) = (told, exchange.server) {
            // RFC 4320 §4.1: never 408 to anything but an INVITE.
            let code = match (exchange.opening, exchange.method) {
                (true, _) => 503,
                (false, Method::Invite) => 408,
                (false, _) => 504,
            };
            self.respond(server, (code, exchange.tag), b"", |_| {});
        }
        if exchange.opening {
            self.callee_silent();
            self.end(Ending {
                by: Party::Callee,
                cause: "no-answer",
                status: 503,
            });
            self.never_answered();
            self.call.callee.progress.pending = false;
            self.call.caller.progress.pending = false;
            self.linger();
        } else if self.call.leg(exchange.from.other()).progress.up && !exchange.resumed {
            self.hang_up("no-response");
        }
    }
}
