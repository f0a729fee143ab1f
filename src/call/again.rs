//! A request of ours once more, in a transaction of its own (RFC 3261 §22.1, RFC 4028
//! §7.3): to the call it is the same exchange.

use bytes::Bytes;

use crate::record::{Record, Side};
use crate::sip::again::Again;
use crate::sip::header::HeaderId;
use crate::sip::message::Message;
use crate::sip::scan;
use crate::transaction::Reply;

use super::call::Owner;
use super::{Arrived, Calls, Turn};

impl Calls {
    /// The request of ours that this response would rather have otherwise, if it is such
    /// a response. To be asked before its transaction hears of it, and forgets it.
    pub(super) fn wanted_otherwise(&self, arrived: &Arrived<'_>) -> Option<Message> {
        let status = arrived.message.status()?;
        let wanted = matches!(status, 401 | 407 | 422);
        let request = wanted.then(|| self.tools.transactions.request_of(arrived.essentials));
        scan(Bytes::from_owner(request??)).ok()
    }
}

impl Turn<'_> {
    /// Sends the request once more as its response wants it. False where that is not to
    /// be: then the response is the request's last.
    pub(super) fn try_again(
        &mut self,
        reply: &Reply<Owner>,
        request: &Message,
        arrived: &Arrived<'_>,
    ) -> bool {
        match arrived.message.status() {
            Some(422) => self.ask_longer(reply, request, arrived),
            _ => self.answer_challenge(reply, request, arrived),
        }
    }

    /// Sends the request on this side once more that has this reply, with these fields in
    /// place of its own. False if that cannot be.
    pub(super) fn send_again(
        &mut self,
        side: Side,
        reply: &Reply<Owner>,
        request: &Message,
        put: &[(HeaderId, &[u8])],
    ) -> bool {
        let transactions = &self.tools.transactions;
        let Some((flow, method)) = transactions.flow_of(reply.key).zip(request.method()) else {
            return false;
        };
        let exchange = self.call.exchange_by_client(reply.key);
        let opens = exchange.as_ref().is_some_and(|it| it.opening);
        let carried = exchange.filter(|it| !it.opening && it.server.is_some());
        let carried = carried.map(|it| (it.from, it.server_cseq));
        let branch = self.tools.mint.token();
        let cseq = self.call.leg_mut(side).next_cseq();
        if opens {
            self.out.journal(&Record::Retried {
                call: self.call.reference,
                cseq,
                branch: &branch.text(),
            });
        } else {
            self.journal_cseq(side);
        }
        if let Some((from, number)) = carried {
            self.journal_carried_again(from, (number, cseq), branch);
        }
        let again = Again { branch, cseq, put };
        let packet = again.write(&mut self.tools.scratch, request);
        let client = self.tools.transactions.request(
            self.now.mono,
            flow,
            method,
            branch,
            packet,
            reply.owner,
            &mut self.out.transmits,
        );
        if let (Some(_), Some(exchange)) = (client, self.call.exchange_by_client(reply.key)) {
            exchange.client = client;
            exchange.client_cseq = cseq;
        }
        client.is_some()
    }
}
