//! The INVITE once more, where the callee asks for a longer session interval
//! (RFC 4028 §7.3).

use std::time::Duration;

use crate::record::Side;
use crate::sip::fields::{SessionExpires, min_se};
use crate::sip::header::HeaderId;
use crate::sip::message::Message;
use crate::transaction::Reply;

use super::call::{Owner, Stage};
use super::refresh::MOST;
use super::{Arrived, Turn};

impl Turn<'_> {
    /// The callee wants a longer session interval than was asked for in the
    /// INVITE that opens its leg: the INVITE is sent once more, with the one that
    /// the 422 names (RFC 4028 §7.3). False if this is no such response.
    pub(super) fn ask_longer(
        &mut self,
        reply: &Reply<Owner>,
        invite: &Message,
        arrived: &Arrived<'_>,
    ) -> bool {
        let Some(exchange) = self.call.exchange_by_client(reply.key) else {
            return false;
        };
        if !exchange.opening || !matches!(exchange.stage, Stage::Open) {
            return false;
        }
        let asked = SessionExpires::of(invite)
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
        let (interval, least) = (format!("{least};refresher=uac"), least.to_string());
        let put = [
            (HeaderId::SessionExpires, interval.as_bytes()),
            (HeaderId::MinSe, least.as_bytes()),
        ];
        self.send_again(Side::Callee, reply, invite, &put)
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
