//! Requests inside a dialog: those that are carried to the other leg, ACK among
//! them, and those that Tollgate answers itself.

use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::limits::{EXCHANGES_KEPT, EXCHANGES_PER_CALL};
use crate::base::time::Now;
use crate::base::token::Token;
use crate::record::{Record, Side};
use crate::sip::draft::Packet;
use crate::sip::fields::RAck;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::transaction::ServerKey;

use super::call::{Alarm, Exchange, Owner, Role, Stage};
use super::refresh::{self, Offer};
use super::topology::{self, Ends, Head};
use super::{Arrived, Calls, Outbox, Turn, outside};

/// How long an INVITE inside a dialog may go without a final response.
const LONGEST_CHANGE: Duration = Duration::from_secs(60);

/// What a request inside a dialog asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Something of its call, which has dealt with it.
    Here,
    /// That the call go elsewhere, which is for the shard's calls together.
    Transfer,
}

impl Calls {
    /// A request with a To tag; without a transaction it is an ACK.
    pub(super) fn in_dialog(
        &mut self,
        now: Now,
        server: Option<ServerKey>,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        let (mut ours, mut refers) = (false, None);
        if let Some((key, side)) = self.tools.by_tag(tag) {
            self.turn(key, now, out, |turn| {
                ours = turn.is_in_dialog(side, arrived);
                if ours {
                    turn.note_connection(side, arrived.flow);
                }
                match server {
                    Some(server) if ours => {
                        let taken = turn.request(side, server, arrived);
                        refers = Some((key, side)).filter(|_| taken == Taken::Transfer);
                    }
                    None if ours => turn.acknowledged(side, arrived),
                    _ => {
                        ours = turn.of_replacing(side, server, arrived)
                            || turn.of_target(side, server, arrived);
                        if !ours {
                            turn.stray_bye(side, arrived);
                        }
                    }
                }
            });
        }
        if let (Some(call), Some(server)) = (refers, server) {
            self.transfer(now, call, server, arrived, out);
        }
        if let (false, Some(server)) = (ours, server) {
            self.tools
                .respond(now, server, (481, None), b"", out, |_| {});
        }
    }
}

impl Turn<'_> {
    /// RFC 3261 §12.2.2: a dialog is its Call-ID and both tags, and none of
    /// them may be off. Nor may it be another peer who knows them.
    fn is_in_dialog(&self, side: Side, arrived: &Arrived<'_>) -> bool {
        let leg = self.call.leg(side);
        let far_tag = arrived.sender_tag();
        let early = side == Side::Callee && self.call.fork(far_tag).is_some();
        let rules = &self.tools.rules;
        let known = match side == self.call.carrier_side() {
            true => rules.peer_of(arrived.flow) == rules.peer_of(leg.flow),
            false => rules.is_still(&self.call.tenant, leg.flow, arrived.flow),
        };
        if !known {
            return false;
        }
        leg.call_id() == arrived.essentials.call_id && (leg.far.tag() == far_tag || early)
    }

    /// The connection that a peer's requests come on is the one to reach it by; and so is
    /// any way, where it is not known any more to be where it was.
    fn note_connection(&mut self, side: Side, from: Flow) {
        let gone = self.tools.rules.peer_of(self.call.leg(side).flow).is_none();
        let leg = self.call.leg_mut(side);
        // Who is known by a certificate may come from anywhere.
        let way = |flow: Flow| {
            let address = flow.name.is_none().then(|| flow.remote.ip());
            (flow.listener, flow.transport, flow.name, address)
        };
        if gone || (from.connection.is_some() && way(from) == way(leg.flow)) {
            leg.flow = from;
        }
    }

    /// Who answered beside the call's own dialog, and was hung up, hangs up too.
    fn stray_bye(&mut self, side: Side, arrived: &Arrived<'_>) {
        let (leg, tag) = (self.call.leg(side), arrived.sender_tag());
        let bye = arrived.essentials.cseq.method == Method::Bye;
        if bye && leg.call_id() == arrived.essentials.call_id && self.call.is_stray(tag) {
            self.dialog_over(side, self.dialog_with(side, tag));
        }
    }

    fn request(&mut self, side: Side, server: ServerKey, arrived: &Arrived<'_>) -> Taken {
        let cseq = arrived.essentials.cseq.number;
        let owner = Owner {
            call: self.key,
            role: Role::Relay,
        };
        self.tools.transactions.set_owner(server, owner);
        let method = arrived.essentials.cseq.method;
        if self.call.leg(side).progress.is_closed() {
            // Who hung up may not have got the answer before a restart.
            let again = self.call.restored && method == Method::Bye;
            self.refuse(server, side, if again { 200 } else { 481 });
            return Taken::Here;
        }
        // Whoever hangs up means it, however it counts.
        let tags = (
            arrived.essentials.to_tag.unwrap_or_default(),
            arrived.sender_tag(),
        );
        let repeated = self.is_repeated(side, arrived);
        if !repeated && !self.call.admit_cseq(side, tags, cseq) && method != Method::Bye {
            self.refuse(server, side, 500);
            return Taken::Here;
        }
        if method != Method::Bye {
            self.journal_cseq(side);
        }
        if !self.does_without(method, arrived) {
            let (tag, message) = (self.call.leg(side).local_tag, arrived.message);
            self.respond(server, (420, tag), b"", |draft| {
                outside::explain(draft, 420, message);
            });
            return Taken::Here;
        }
        match method {
            Method::Bye => self.bye(side, server, arrived),
            Method::Invite | Method::Update if Offer::asks_too_little(arrived.message) => {
                self.refuse_session(side, server);
            }
            Method::Invite | Method::Update => match self.collision(side, method) {
                Some(code) => self.refuse_for_now(server, side, code),
                None if method == Method::Update && arrived.message.body().is_empty() => {
                    self.refresh_answered(side, server, arrived);
                }
                None => self.relay(side, server, self.tag_in(side, arrived), arrived),
            },
            Method::Info | Method::Prack => {
                self.relay(side, server, self.tag_in(side, arrived), arrived);
            }
            Method::Options => self.refuse(server, side, 200),
            Method::Other => self.refuse(server, side, 501),
            Method::Refer => return Taken::Transfer,
            _ => self.refuse(server, side, 405),
        }
        Taken::Here
    }

    /// Whether what a request requires is known here (RFC 3261 §8.2.2.3), or no reason
    /// to turn it away: whoever hangs up is done, and an emergency goes without.
    fn does_without(&self, method: Method, arrived: &Arrived<'_>) -> bool {
        let known = topology::unsupported(arrived.message).next().is_none();
        known || method == Method::Bye || self.call.emergency
    }

    /// Offers must not cross (RFC 3261 §14.2, RFC 3311 §5.2). The code to turn
    /// a second one away with, if one is under way.
    pub(super) fn collision(&self, side: Side, method: Method) -> Option<u16> {
        let under_way = self
            .call
            .exchanges
            .iter()
            .find(|exchange| exchange.method == method && exchange.is_under_way());
        match under_way {
            Some(exchange) if exchange.from == side && exchange.server.is_some() => Some(500),
            Some(_) => Some(491),
            None if method == Method::Invite && !self.call.leg(side).progress.up => Some(491),
            None => None,
        }
    }

    /// Whether an earlier life had this request and carried it, or answered it alone: it
    /// is no news, and wants its answer all the same.
    fn is_repeated(&self, side: Side, arrived: &Arrived<'_>) -> bool {
        let cseq = arrived.essentials.cseq;
        let refreshes = cseq.method == Method::Update && arrived.message.body().is_empty();
        let last = self.call.leg(side).remote_cseq == Some(cseq.number);
        let alone = self.call.restored && refreshes && last;
        alone || self.carried_before(side, arrived).is_some()
    }

    /// The number and the branch that an earlier life carried this request under.
    fn carried_before(&self, side: Side, arrived: &Arrived<'_>) -> Option<(u32, Token)> {
        let before = self.call.leg(side).carried.as_ref()?;
        let same = before.cseq == arrived.essentials.cseq.number
            && before.mark == self.tools.mark_of(arrived);
        let branch = Token::parse(&before.branch)?;
        same.then_some((before.onward, branch))
    }

    /// The number and the branch that a request goes on under.
    fn number_onward(&mut self, side: Side, arrived: &Arrived<'_>) -> (u32, Token) {
        let before = self.carried_before(side, arrived);
        let leg = self.call.leg_mut(side.other());
        // Over a connection nobody waits for a copy (RFC 3261 §17.2.2, Timer J), and an
        // offer may be made twice.
        let offers = arrived.essentials.cseq.method == Method::Update;
        let known = before.filter(|_| !(offers && leg.flow.transport.is_reliable()));
        let numbered = known.unwrap_or_else(|| (leg.next_cseq(), self.tools.mint.token()));
        if before.is_some() {
            self.call.leg_mut(side).carried = None;
        }
        numbered
    }

    /// Turns a request away that may be tried again shortly.
    pub(super) fn refuse_for_now(&mut self, server: ServerKey, side: Side, code: u16) {
        let tag = self.call.leg(side).local_tag;
        self.respond(server, (code, tag), b"", |draft| {
            if code == 500 {
                draft.put(HeaderId::RetryAfter, b"5");
            }
        });
    }

    /// Our tag in the dialog that a request on this leg is in.
    fn tag_in(&self, side: Side, arrived: &Arrived<'_>) -> Token {
        let tag = arrived.essentials.to_tag.and_then(Token::parse);
        tag.unwrap_or(self.call.leg(side).local_tag)
    }

    /// Carries a request to the other leg, in whose requester's dialog this tag is ours.
    pub(super) fn relay(
        &mut self,
        side: Side,
        server: ServerKey,
        tag: Token,
        arrived: &Arrived<'_>,
    ) {
        let to = side.other();
        let Some(rack) = self.rack_onward(side, arrived) else {
            self.refuse(server, side, 481);
            return;
        };
        let exchanges = &self.call.exchanges;
        let under_way = exchanges.iter().filter(|it| it.is_under_way()).count();
        if under_way >= EXCHANGES_PER_CALL || exchanges.len() >= EXCHANGES_KEPT {
            self.refuse_for_now(server, side, 500);
            return;
        }
        let (cseq, branch) = self.number_onward(side, arrived);
        let mut onward = self.onward(side, (tag, rack), (cseq, branch), arrived);
        if matches!(&onward, Some((_, packet)) if self.outgrows(to, packet)) {
            onward = self.onward(side, (tag, rack), (cseq, branch), arrived);
        }
        let Some((flow, packet)) = onward else {
            self.refuse(server, side, 481);
            return;
        };
        let message = arrived.message;
        let method = arrived.essentials.cseq.method;
        if method == Method::Invite {
            self.tools
                .respond(self.now, server, (100, None), b"", self.out, |_| {});
        }
        let exchange = Exchange {
            method,
            opening: false,
            from: side,
            server: Some(server),
            client: None,
            tag,
            server_cseq: arrived.essentials.cseq.number,
            client_cseq: cseq,
            offer: Offer::of(message),
            stage: Stage::Open,
            offered: self.description_to_keep(to, message.body()),
            resumed: false,
        };
        // One that is to take the leg's place says nothing of it.
        if arrived.essentials.to_tag.is_some() {
            if matches!(method, Method::Invite | Method::Update) {
                self.refresh_target(side, message);
            }
            self.journal_carried(side, arrived, (cseq, branch));
        }
        self.send_exchange(exchange, flow, branch, packet);
    }

    /// A request as the other leg gets it, and the way there. `None` if it has no such
    /// dialog.
    fn onward(
        &mut self,
        side: Side,
        (tag, rack): (Token, Option<(u32, u32)>),
        (cseq, branch): (u32, Token),
        arrived: &Arrived<'_>,
    ) -> Option<(Flow, Packet)> {
        let to = side.other();
        let (ends_tag, far) = self.call.ends(to, tag, arrived.sender_tag())?;
        let message = arrived.message;
        let method = arrived.essentials.cseq.method;
        let leg = self.call.leg(to);
        let ends = Ends {
            leg,
            local_tag: ends_tag,
            far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let head = Head {
            method: method.as_str().as_bytes(),
            cseq,
            branch,
            max_forwards: arrived.forwards(),
        };
        let flow = topology::next_hop(&self.tools.rules, leg.flow, far);
        let mut draft = topology::request(&mut self.tools.scratch, &ends, &head);
        if let Some((rseq, cseq)) = rack {
            draft.put_args(HeaderId::RAck, format_args!("{rseq} {cseq} INVITE"));
        }
        if matches!(method, Method::Invite | Method::Update) {
            let reach = topology::Reach::on(&self.tools.rules, leg);
            topology::put_contact(&mut draft, ends.here, reach);
            let phones = to != self.call.carrier_side();
            topology::put_allow(&mut draft, self.call.leg(side).allow, phones);
            refresh::put_again(&mut draft, leg.session);
        }
        topology::carry(&mut draft, message);
        topology::carry_tags(&mut draft, message, HeaderId::Supported, true);
        Some((flow, draft.seal(Some(message.body()))))
    }

    /// What RAck has to say on the other leg (RFC 3262 §7.2): the RSeq as it
    /// is, and the CSeq that the INVITE has there. `None` where it names no
    /// INVITE that was carried over; `Some(None)` where there is none to name.
    #[expect(
        clippy::option_option,
        reason = "absent, and absent where it must not be"
    )]
    fn rack_onward(&self, side: Side, arrived: &Arrived<'_>) -> Option<Option<(u32, u32)>> {
        if arrived.essentials.cseq.method != Method::Prack {
            return Some(None);
        }
        let rack = RAck::of(arrived.message).ok().flatten()?;
        let invite = self.call.exchanges.iter().find(|exchange| {
            exchange.method == Method::Invite
                && exchange.from == side
                && exchange.server_cseq == rack.cseq
        })?;
        Some(Some((rack.rseq, invite.client_cseq)))
    }

    /// Sends a request that belongs to an exchange.
    pub(super) fn send_exchange(
        &mut self,
        mut exchange: Exchange,
        flow: Flow,
        branch: Token,
        packet: Packet,
    ) {
        let to = exchange.from.other();
        self.journal_cseq(to);
        let role = if exchange.server.is_some() {
            Role::Relay
        } else {
            Role::Refresh(to)
        };
        let owner = Owner {
            call: self.key,
            role,
        };
        exchange.client = self.tools.transactions.request(
            self.now.mono,
            flow,
            exchange.method,
            branch,
            packet,
            owner,
            &mut self.out.transmits,
        );
        match (exchange.client, exchange.server) {
            (None, Some(server)) => {
                if exchange.method == Method::Invite {
                    self.journal_settled(exchange.from, 500);
                }
                self.refuse(server, exchange.from, 500);
            }
            (None, None) => {}
            (Some(_), server) => {
                if let (Method::Invite, Some(server)) = (exchange.method, server) {
                    let (now, alarm) = (self.now.mono, Alarm::Unanswered(server));
                    self.tools.schedule(self.key, alarm, now, LONGEST_CHANGE);
                }
                self.call.exchanges.push(exchange);
            }
        }
    }

    /// A restart must not count a leg's requests from a number already used, nor take a
    /// copy of the peer's last one for news.
    pub(super) fn journal_cseq(&mut self, side: Side) {
        let leg = self.call.leg(side);
        let record = Record::CSeq {
            call: self.call.reference,
            side,
            local: leg.local_cseq,
            remote: leg.remote_cseq.unwrap_or(0),
        };
        self.out.journal(&record);
    }
}
