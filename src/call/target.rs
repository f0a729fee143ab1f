//! Who a call is transferred to, until the call's carrier has taken what that one offers:
//! see `transfer`.

use crate::record::{Party, Record, Side};
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::transaction::{ClientKey, Origin, ServerKey, Transmit};

use super::call::{Exchange, Stage};
use super::leg::Leg;
use super::transfer::Referral;
use super::{Arrived, Turn, refresh, topology};

impl Turn<'_> {
    /// What is answered to the INVITE of a transfer.
    pub(super) fn refer_answered(
        &mut self,
        side: Side,
        client: ClientKey,
        code: u16,
        arrived: &Arrived<'_>,
    ) {
        let Some(referral) = self.call.referral() else {
            return;
        };
        match code {
            _ if referral.invite != Some(client) => {}
            100 => {}
            101..=199 => self.notify(side, code),
            200..=299 => {
                referral.invite = None;
                self.target_answered(side, arrived);
            }
            _ => {
                referral.invite = None;
                self.transfer_failed(side, code);
            }
        }
    }

    /// No final response came to it.
    pub(super) fn refer_unanswered(&mut self, side: Side, client: ClientKey) {
        if let Some(referral) = self.call.referral()
            && referral.invite == Some(client)
        {
            referral.invite = None;
            self.transfer_failed(side, 408);
        }
    }

    /// Who it is transferred to has answered, with an offer: that goes to the carrier.
    fn target_answered(&mut self, side: Side, arrived: &Arrived<'_>) {
        let tag = arrived.essentials.to_tag.unwrap_or_default();
        let far = topology::far_of(arrived.message, tag, true);
        let there = self.call.leg(side.other()).progress.up;
        let busy = self.call.exchanges.iter().any(Exchange::is_under_way);
        let Some(referral) = self.call.referral() else {
            return;
        };
        let given_up = referral.given_up;
        referral.leg.allow = MethodSet::allow(arrived.message);
        referral.leg.progress.up = true;
        referral.leg.progress.pending = false;
        if let Ok(far) = far {
            referral.leg.far = far;
        }
        if given_up || !there || busy || arrived.message.body().is_empty() {
            return self.transfer_failed(side, if busy { 491 } else { 488 });
        }
        self.offer_onward(side, arrived.message);
    }

    /// A re-INVITE to the carrier with what who answered the transfer offers.
    fn offer_onward(&mut self, side: Side, offer: &Message) {
        let to = side.other();
        let cseq = self.call.leg_mut(to).next_cseq();
        let head = self.head_of(&Method::Invite, cseq);
        let leg = self.call.leg(to);
        let session = leg.session;
        let packet = self.tools.packet(
            leg,
            &head,
            |draft| {
                draft.put(HeaderId::Allow, topology::ALLOW);
                draft.put(HeaderId::Supported, b"timer");
                refresh::put_again(draft, session);
                topology::carry(draft, offer);
            },
            offer.body(),
        );
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        let exchange = Exchange {
            offered: self.description_to_keep(to, offer.body()),
            ..Exchange::of_ours(Method::Invite, (to, leg.local_tag), cseq)
        };
        // With the offer out the call cannot be told from here to be as it was: should there be
        // a restart before its answer, it ends.
        self.journal_not_to_go_on(Party::Tollgate, "transfer-failed");
        self.send_exchange(exchange, flow, head.branch, packet);
        let sent = self
            .call
            .exchanges
            .last()
            .filter(|it| it.client_cseq == cseq);
        let client = sent.and_then(|it| it.client);
        if let Some(referral) = self.call.referral() {
            referral.offer = client;
        }
        if client.is_none() {
            self.transfer_failed(side, 500);
        }
    }

    /// The final response to that re-INVITE, if this is it.
    pub(super) fn offer_answered(
        &mut self,
        to: Side,
        client: ClientKey,
        code: u16,
        arrived: &Arrived<'_>,
    ) -> bool {
        let side = to.other();
        let referral = self.call.referral();
        if referral.is_none_or(|it| it.offer != Some(client)) {
            return false;
        }
        if code >= 300 {
            self.call.take_exchange(client);
            self.transfer_failed(side, code);
            if matches!(code, 408 | 481) {
                self.hang_up("dialog-gone");
            }
            return true;
        }
        let offered = self.call.exchange_by_client(client).and_then(|exchange| {
            exchange.stage = Stage::Answered {
                unacked: None,
                ack: None,
            };
            exchange.offered.take()
        });
        self.acknowledge(to);
        self.refresh_target(to, arrived.message);
        self.session_agreed(to, arrived.message);
        self.offer_accepted(to, offered);
        self.notify(side, 200);
        if let Some(referral) = self.call.take_referral() {
            self.carried_out(side, referral, arrived);
        }
        true
    }

    /// Both ends have agreed: the phone system is not needed any more.
    fn carried_out(&mut self, side: Side, referral: Referral, answer: &Arrived<'_>) {
        let leg = referral.leg;
        self.out.journal(&Record::Note {
            wall: self.now.wall,
            what: "transferred",
            detail: &format!(
                "{}: call {} goes on with {}",
                self.call.tenant,
                self.call.reference.0,
                String::from_utf8_lossy(leg.remote_uri()),
            ),
            count: 1,
        });
        self.acknowledge_target(&leg, Some(answer.message));
        self.withdraw_requests_of(side);
        self.stop_resending_to(side);
        self.lead(side, leg);
    }

    /// The ACK to who answered a transfer, with the carrier's answer to its offer.
    fn acknowledge_target(&mut self, leg: &Leg, answer: Option<&Message>) {
        let head = self.head_of(&Method::Ack, leg.local_cseq);
        let body = answer.map_or(b"".as_slice(), Message::body);
        let packet = self.tools.packet(
            leg,
            &head,
            |draft| {
                if let Some(answer) = answer {
                    topology::carry(draft, answer);
                }
            },
            body,
        );
        self.out.transmits.push(Transmit {
            flow: leg.flow,
            packet,
            origin: Origin::Stateless,
        });
    }

    /// A transfer comes to nothing: the call goes on as it was, if its phone system is
    /// still there.
    pub(super) fn transfer_failed(&mut self, side: Side, code: u16) {
        let code = self.code_onward(side, code);
        self.notify(side, code);
        let Some(mut referral) = self.call.take_referral() else {
            return;
        };
        self.tools.forget_tag(referral.leg.local_tag);
        if referral.offer.is_some() && !referral.left {
            // It does go on.
            self.journal_led(side, b"");
            self.journal_description(side);
        }
        if referral.leg.progress.up {
            self.acknowledge_target(&referral.leg, None);
            let cseq = referral.leg.next_cseq();
            let head = self.head_of(&Method::Bye, cseq);
            let packet = self.tools.packet(&referral.leg, &head, |_| {}, b"");
            self.send_aside(Method::Bye, head.branch, (referral.leg.flow, packet));
        }
        if referral.left {
            self.hang_up("transfer-failed");
        }
    }

    /// Something of who it is transferred to, before the carrier has taken the offer. Says
    /// whether it was that.
    pub(super) fn of_target(
        &mut self,
        side: Side,
        server: Option<ServerKey>,
        arrived: &Arrived<'_>,
    ) -> bool {
        let Some(referral) = self.call.referral() else {
            return false;
        };
        let essentials = arrived.essentials;
        let tag = referral.leg.local_tag;
        let theirs = tag.text() == *essentials.to_tag.unwrap_or_default()
            && referral.leg.call_id() == essentials.call_id;
        let (true, Some(server)) = (theirs, server) else {
            return theirs;
        };
        if essentials.cseq.method == Method::Bye {
            referral.leg.progress.up = false;
            self.respond(server, (200, tag), b"", |_| {});
            self.transfer_failed(side, 480);
        } else {
            self.respond(server, (491, tag), b"", |_| {});
        }
        true
    }
}
