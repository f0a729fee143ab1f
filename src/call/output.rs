//! What a turn of the core leaves for its driver.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::flow::Flow;
use crate::base::trim;
use crate::policy::number::Number;
use crate::policy::{Reason, RuleSet};
use crate::record;
use crate::record::{CallRef, Party, Record};
use crate::sip::message::Message;
use crate::sip::redact;
use crate::transaction::{Origin, Transmit};

/// How long an INVITE may be that is kept whole until it is answered. Of longer ones only
/// what the answer needs is.
const ASKED_BYTES: usize = 2_048;

/// Everything one turn of a shard leaves behind. The driver appends `records`
/// to the journal, then sends `transmits` in order, then logs `events`: what
/// must be known after a crash is written before it is sent.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Journal records, framed.
    pub records: record::Buffer,
    /// Messages to send, in order.
    pub transmits: Vec<Transmit>,
    /// Whose of them must not be sent unless `records` are written: the INVITEs
    /// that open calls, but not emergency calls. Each that is not sent is told
    /// with `Input::Unrecorded`.
    pub openings: Vec<Origin>,
    /// The records have more drawn ahead ([`record::Ahead`]): nothing is sent before they
    /// are on the disk.
    pub drawn: bool,
    /// What is worth a line in the log.
    pub events: Vec<Event>,
    /// Rule sets no longer in use, to be freed elsewhere: freeing a large one
    /// takes longer than a shard may stand still.
    pub retired: Vec<Arc<RuleSet>>,
    /// Where a message is written without its secrets.
    text: Vec<u8>,
    /// The call whose INVITE stands in `records` as it came.
    whole: Option<CallRef>,
}

impl Outbox {
    /// Adds a record. One that is too long for the journal (see
    /// [`record::TooLong`]; no message is long enough to make one) is said in
    /// the log instead.
    pub(crate) fn journal(&mut self, record: &Record<'_>) {
        if self.records.append(record).is_err() {
            self.events.push(Event::Full {
                what: "journal record",
            });
        }
    }

    /// Adds the INVITE that a call's verdict is of.
    pub(crate) fn journal_invite(&mut self, call: CallRef, invite: &Message) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let whole = redact(invite, &mut text) && text.len() <= ASKED_BYTES;
        self.whole = whole.then_some(call);
        let message = &text;
        self.journal(&Record::Invite { call, message });
        self.text = text;
    }

    /// Whether the call's INVITE was journalled in this turn so that it can be answered by
    /// what is written there.
    pub(crate) fn has_invite(&self, call: CallRef) -> bool {
        self.whole == Some(call)
    }

    /// Empties it, keeping for the next turn what memory a usual one needs.
    pub fn clear(&mut self) {
        self.records.clear();
        trim::clear(&mut self.transmits);
        trim::clear(&mut self.openings);
        self.drawn = false;
        trim::clear(&mut self.events);
        self.retired.clear();
        self.whole = None;
    }

    /// Whether the turn left nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.bytes().is_empty()
            && self.transmits.is_empty()
            && self.events.is_empty()
            && self.retired.is_empty()
    }
}

/// What a shard has to say to whoever watches. Numbers are canonical ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A call was let through to its callee.
    Allowed {
        /// The call.
        call: CallRef,
        /// Whose call.
        tenant: Arc<str>,
        /// Where to.
        number: Number,
        /// It is an emergency call.
        emergency: bool,
        /// What would have refused it, were the tenant or the rule not observed only.
        observed: Option<Reason>,
    },
    /// A call was refused.
    Refused {
        /// Whose call; empty where no tenant could be told.
        tenant: Arc<str>,
        /// Where it came from.
        source: IpAddr,
        /// Where to, if its digits have a meaning.
        number: Option<Number>,
        /// Why.
        reason: Reason,
    },
    /// A pattern of fraud was seen in a tenant's calls.
    Alert {
        /// Whose calls.
        tenant: Arc<str>,
        /// Where the last of them came from.
        source: IpAddr,
        /// Where it was to go, if its digits have a meaning.
        number: Option<Number>,
        /// Which pattern.
        reason: Reason,
        /// How much of it was seen.
        value: u32,
        /// How much it takes.
        threshold: u32,
    },
    /// A call goes on at another carrier, since one did not answer; or where one has
    /// redirected it to.
    Onward {
        /// The call there.
        call: CallRef,
        /// Where to.
        number: Number,
        /// Through that carrier.
        carrier: Arc<str>,
        /// It was redirected.
        redirected: bool,
    },
    /// A call was to be redirected or transferred to where it may not go.
    Elsewhere {
        /// Whose call, who asked, and where to.
        detail: String,
        /// Why it may not.
        reason: Reason,
    },
    /// A carrier answers no more, or again.
    Carrier {
        /// Its name.
        carrier: Arc<str>,
        /// It answers.
        up: bool,
    },
    /// A call was answered.
    Answered {
        /// The call.
        call: CallRef,
    },
    /// A call ended.
    Ended {
        /// The call.
        call: CallRef,
        /// From answer to end; None if it was never answered.
        duration: Option<Duration>,
        /// Who ended it.
        by: Party,
        /// Why.
        cause: &'static str,
    },
    /// A known peer sent something that is no SIP message, or a wrong one.
    Malformed {
        /// Where it came from.
        flow: Flow,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A carrier has agreed to what Tollgate registers with it, or does so no more.
    Registration {
        /// The carrier's name.
        carrier: Arc<str>,
        /// Why it brings no calls; none if it does.
        lost: Option<String>,
    },
    /// A message was dropped or turned away because a table is full.
    Full {
        /// Which table.
        what: &'static str,
    },
}
