//! A message with all that was read of it.

use crate::base::flow::{Flow, Transport};
use crate::sip::fields::Essentials;
use crate::sip::message::Message;

use super::MAX_FORWARDS;

/// A message with all that was read of it so far.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'m> {
    pub(crate) flow: Flow,
    pub(crate) message: &'m Message,
    pub(crate) essentials: &'m Essentials<'m>,
}

impl<'m> Arrived<'m> {
    /// The From tag; empty from a peer of RFC 2543 that gave none.
    pub(super) fn sender_tag(&self) -> &'m [u8] {
        self.essentials.from_tag.unwrap_or_default()
    }

    /// What Max-Forwards is to say further on (RFC 3261 §16.6 step 3).
    pub(super) fn forwards(&self) -> u8 {
        self.essentials
            .max_forwards
            .unwrap_or(MAX_FORWARDS)
            .saturating_sub(1)
    }

    /// Whether another call of ours has sent it.
    pub(super) fn is_inside(&self) -> bool {
        self.flow.transport == Transport::Inside
    }
}
