//! The INVITE once more, where the callee asks for a longer session interval
//! (RFC 4028 §7.3).

use std::time::Duration;

use bytes::Bytes;

use crate::base::token::Token;
use crate::record::Record;
use crate::sip::draft::Packet;
use crate::sip::fields::{Essentials, SessionExpires, min_se};
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::transaction::Reply;

use super::call::{Owner, Stage};
use super::refresh::MOST;
use super::topology::{self, Ends, Head};
use super::{Arrived, Turn};

/// What an INVITE that is sent once more does not take from the first.
const AFRESH: [HeaderId; 10] = [
    HeaderId::Via,
    HeaderId::MaxForwards,
    HeaderId::From,
    HeaderId::To,
    HeaderId::CallId,
    HeaderId::CSeq,
    HeaderId::Route,
    HeaderId::SessionExpires,
    HeaderId::MinSe,
    HeaderId::ContentLength,
];

impl Turn<'_> {
    /// The callee wants a longer session interval than was asked for in the
    /// INVITE that opens its leg: the INVITE is sent once more, with the one that
    /// the 422 names (RFC 4028 §7.3). False if this is no such response.
    pub(super) fn ask_longer(
        &mut self,
        reply: &Reply<Owner>,
        invite: &Packet,
        arrived: &Arrived<'_>,
    ) -> bool {
        let Some(exchange) = self.call.exchange_by_client(reply.key) else {
            return false;
        };
        if !exchange.opening || !matches!(exchange.stage, Stage::Open) {
            return false;
        }
        let Ok(invite) = scan(Bytes::from_owner(invite.clone())) else {
            return false;
        };
        let asked = SessionExpires::of(&invite)
            .ok()
            .flatten()
            .map_or(0, |asked| asked.seconds);
        let Some(least) = min_se(arrived.message).ok().flatten() else {
            return false;
        };
        if least <= asked || least > MOST || !self.afford_interval(seconds(least)) {
            return false;
        }
        // It is there, and nobody has heard of that: as after a 100.
        self.callee_heard(100, arrived.message);
        let branch = self.tools.mint.token();
        let cseq = self.call.callee.next_cseq();
        self.out.journal(&Record::Retried {
            call: self.call.reference,
            cseq,
            branch: &branch.text(),
        });
        let packet = self.invite_again(&invite, branch, least);
        let flow = self.call.callee.flow;
        let client = self.tools.transactions.request(
            self.now.mono,
            flow,
            Method::Invite,
            branch,
            packet,
            reply.owner,
            &mut self.out.transmits,
        );
        let Some(exchange) = self.call.exchange_by_client(reply.key) else {
            return false;
        };
        if client.is_some() {
            exchange.client = client;
            exchange.client_cseq = cseq;
        }
        client.is_some()
    }

    /// An INVITE of ours once more, with another session interval.
    fn invite_again(&mut self, invite: &Message, branch: Token, interval: u32) -> Packet {
        let leg = &self.call.callee;
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &leg.far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let max_forwards = forwards(invite);
        let head = Head {
            method: b"INVITE",
            cseq: leg.local_cseq,
            branch,
            max_forwards,
        };
        let mut draft = topology::request(&mut self.tools.scratch, &ends, &head);
        for field in invite.fields().filter(|field| !AFRESH.contains(&field.id)) {
            draft.put_named(field.name, field.value);
        }
        draft.put_args(
            HeaderId::SessionExpires,
            format_args!("{interval};refresher=uac"),
        );
        draft.put_args(HeaderId::MinSe, format_args!("{interval}"));
        draft.seal(Some(invite.body()))
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What Max-Forwards a message of ours has.
fn forwards(message: &Message) -> u8 {
    let essentials = Essentials::parse(message).ok();
    essentials
        .and_then(|it| it.max_forwards)
        .unwrap_or(super::MAX_FORWARDS)
}
