//! Messages of emergency calls, which are taken as they are: what is wrong with them
//! keeps nobody from being called.

use crate::policy::Peer;
use crate::sip::fields::Essentials;
use crate::sip::line::Method;
use crate::sip::message::Message;

use super::Calls;

impl Calls {
    /// Whether a message from this peer asks for an emergency call, or goes with the
    /// INVITE that does, as far as its start line goes.
    fn is_emergency_from(&self, peer: Peer, message: &Message) -> bool {
        let methods = [Method::Invite, Method::Ack, Method::Cancel];
        let method = message.method();
        let goes =
            matches!(peer, Peer::Tenant(_)) && method.is_some_and(|it| methods.contains(&it));
        let uri = message.uri().filter(|_| goes);
        uri.is_some_and(|uri| self.tools.rules.is_emergency(uri))
    }

    /// What a message says that would be turned away, if it belongs to an emergency
    /// call or asks for one.
    pub(crate) fn salvage<'m>(&self, peer: Peer, message: &'m Message) -> Option<Essentials<'m>> {
        if !matches!(peer, Peer::Tenant(_)) {
            return None;
        }
        let essentials = Essentials::salvage(message).ok()?;
        let ours = match message.method() {
            Some(_) => essentials.to_tag,
            None => essentials.from_tag,
        };
        let call = self.tools.by_tag(ours.unwrap_or_default());
        let call = call.and_then(|(key, _)| self.calls.get(key));
        let emergency = call.is_some_and(|call| call.emergency);
        (emergency || self.is_emergency_from(peer, message)).then_some(essentials)
    }
}
