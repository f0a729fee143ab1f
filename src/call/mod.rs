//! F3: the B2BUA: two legs, one owner.
//!
//! A call is two dialogs, `caller` (whose peer opened it) and `callee` (which
//! Tollgate opened), and nothing is copied between them but what `topology`
//! lists. `Calls` holds a shard's calls; a `Turn` is one step of one call,
//! and its methods are spread over the files by what happens on the wire:
//!
//! - `arrived`: a message with what was read of it
//! - `outside`: requests outside a dialog: what all must satisfy, and who answers
//! - `open`: the callee's INVITE, from what `outbound` or `inbound` decided
//! - `ways`: which carrier it is for; `uris`: what that is told of who calls whom
//! - `onward`: the same call at another carrier, where one does not answer (`attempt`)
//! - `redirect`: and to another number, where a carrier redirects it; `elsewhere`: or not
//! - `inside`: the way from one call to another, where a phone system has its call go
//!   elsewhere: by its own 3xx (`forward`), by REFER (`transfer`, and `target`, whom that is
//!   to), in another's place (`replace`)
//! - `health`: what calls tell of carriers
//! - `emergency`: how messages of emergency calls are read
//! - `progress`: what is answered to a request that was carried over
//! - `accept`: a 2xx to an INVITE, and its ACK
//! - `midcall`: requests inside the dialogs, ACK among them
//! - `teardown`: BYE, CANCEL, limits, and when a call is over
//! - `ending`: what the journal is told of that
//! - `refresh`: session timers
//! - `again`: a request once more, with credentials (`challenge`) or for a longer session (`longer`)
//! - `proof`: who is asked for credentials here
//! - `restore`: calls of an earlier life
//! - `account`: what the call may cost, and what it has cost
//! - `block`: what an operator has blocked, and calls hung up by that order
//! - `judged`: what the journal is told of a verdict; `evidence`: how much, of refusals
//! - `counted`: what the journal is told of both, and of the caps

#![forbid(unsafe_code)]

mod accept;
mod account;
mod again;
mod arrived;
mod attempt;
mod block;
#[expect(clippy::module_inception, reason = "the room's central type")]
mod call;
mod challenge;
mod counted;
mod elsewhere;
mod emergency;
mod ending;
mod evidence;
mod forward;
mod health;
mod inbound;
mod inside;
mod judged;
mod leg;
mod longer;
mod midcall;
mod onward;
mod open;
mod outbound;
mod output;
mod outside;
mod progress;
mod proof;
mod redirect;
mod refresh;
mod replace;
mod restore;
mod table;
mod target;
mod teardown;
pub(crate) mod topology;
mod transfer;
mod uris;
mod ways;

use std::sync::Arc;

use crate::base::flow::{Flow, Transport};
use crate::base::limits::{CALLS_PER_SHARD, CALLS_RESERVE, LARGEST_INVITE};
use crate::base::time::{Mono, Now};
use crate::base::token::Token;
use crate::base::trim;
use crate::policy::{Blocks, Peer, Reason, RuleSet};
use crate::record::Side;
use crate::sip::draft::Draft;
use crate::sip::fields::Essentials;
use crate::sip::line::{Method, reason_phrase};
use crate::sip::message::Message;
use crate::transaction::{Arrival, Expired, Matched, Origin, ServerKey};

use call::{Call, CallKey};
use evidence::Evidence;
use table::Tools;

pub(crate) use arrived::Arrived;
pub use output::{Event, Outbox};
pub use table::{Config, Counts};

/// Max-Forwards of requests of our own (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The calls of one shard, with the transactions they are made of.
#[derive(Debug)]
pub(crate) struct Calls {
    calls: crate::base::slab::Slab<Call>,
    tools: Tools,
    evidence: Evidence,
    /// No new calls but emergency ones.
    draining: bool,
    /// Nothing can be recorded: no new calls but emergency ones either.
    unrecorded: bool,
    /// What an operator has blocked.
    blocks: Blocks,
    /// Calls to be hung up by an operator's order.
    doomed: block::Doomed,
    expired: Vec<Expired<call::Owner>>,
}

/// One step of one call: the call and all it may use.
struct Turn<'a> {
    key: CallKey,
    call: &'a mut Call,
    tools: &'a mut Tools,
    now: Now,
    out: &'a mut Outbox,
}

impl Calls {
    pub(crate) fn new(config: &Config, start: Now) -> Self {
        Self {
            calls: crate::base::slab::Slab::new(CALLS_PER_SHARD + CALLS_RESERVE),
            tools: Tools::new(config, start),
            evidence: Evidence::default(),
            draining: false,
            unrecorded: false,
            blocks: Blocks::default(),
            doomed: block::Doomed::default(),
            expired: Vec::new(),
        }
    }

    pub(crate) fn rules(&self) -> &Arc<RuleSet> {
        &self.tools.rules
    }

    /// Puts new rules in force for all that is judged from now on, and returns
    /// the old ones. A call whose phone system or carrier is not in them any more
    /// is hung up, since nobody could end it: whoever sends from there is a
    /// stranger now. Emergency calls go on.
    pub(crate) fn swap_rules(
        &mut self,
        now: Now,
        rules: Arc<RuleSet>,
        out: &mut Outbox,
    ) -> Arc<RuleSet> {
        self.close_evidence(now, out);
        self.hold_in_place();
        let old = std::mem::replace(&mut self.tools.rules, rules);
        let new = &self.tools.rules;
        if !new.has_peers_of(&old) {
            let is_gone = |call: &Call| {
                let known = |flow| new.has_peer_of(&old, flow);
                call.has_lost_peer(new, known, |flow| old.peer_of(flow).is_some())
            };
            let calls = self.calls.iter();
            let gone: Vec<CallKey> = calls.filter(|(_, it)| is_gone(it)).map(|it| it.0).collect();
            for key in gone {
                self.turn(key, now, out, |turn| turn.hang_up("peer-removed"));
            }
        }
        self.ask_new_rules(now);
        old
    }

    /// A To tag for an answer that is given and forgotten: the same one if the
    /// request comes again (RFC 3261 §8.2.7).
    pub(crate) fn stateless_tag(&self, message: &Message) -> Token {
        self.tools.tag_of(message.bytes())
    }

    /// Records what waits to be recorded with more of its kind.
    pub(crate) fn close_evidence(&mut self, now: Now, out: &mut Outbox) {
        self.evidence.record(now, &self.tools.rules, out);
        self.evidence.clear();
    }

    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    pub(crate) fn trust_journal(&mut self, trusted: bool) {
        self.unrecorded = !trusted;
        if trusted {
            self.tools.named.forget();
        }
    }

    /// Why this new call is not let in whatever it is, if it is not: unless it is
    /// an emergency.
    fn closed(&self, invite: &Message) -> Option<Reason> {
        if self.draining {
            Some(Reason::Stopping)
        } else if self.unrecorded {
            Some(Reason::JournalFault)
        } else {
            (invite.bytes().len() > LARGEST_INVITE).then_some(Reason::TooLarge)
        }
    }

    /// Why a call may not go from one way to the other, whatever the rules say: who calls
    /// a `sips:` URI wants TLS on both (RFC 3261 §26.2.2).
    fn insecure(arrived: &Arrived<'_>, onward: Option<Transport>) -> Option<Reason> {
        let uri = arrived.message.uri().unwrap_or_default();
        let tls = arrived.flow.transport == Transport::Tls
            && onward.is_none_or(|it| it == Transport::Tls);
        (topology::is_secure(uri) && !tls).then_some(Reason::NotSecure)
    }

    /// Gives transactions no more room than this for messages, and so much in reserve.
    #[cfg(test)]
    pub(crate) fn limit_bytes(&mut self, limit: usize, reserve: usize) {
        self.tools.transactions.limit_bytes(limit, reserve);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tools.counts(self.calls.len())
    }

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let timers = self.tools.wheel.next_deadline();
        let transactions = self.tools.transactions.next_deadline();
        let waiting = timers.into_iter().chain(transactions);
        let waiting = waiting.chain(self.evidence.due());
        waiting.chain(self.doomed.due()).min()
    }

    /// A request from a known peer whose essentials are sound.
    pub(crate) fn handle_request(
        &mut self,
        now: Now,
        peer: Peer,
        arrived: &Arrived<'_>,
        out: &mut Outbox,
    ) {
        let Arrived {
            flow,
            message,
            essentials,
        } = *arrived;
        let transmits = &mut out.transmits;
        let mut arrival = self
            .tools
            .transactions
            .receive_request(now.mono, flow, message, essentials, transmits);
        // Those that are as long as no call for help is must not fill its room.
        let urgent = || self.is_emergency(peer, arrived) || self.hangs_up(essentials);
        if matches!(arrival, Arrival::Full) && message.bytes().len() <= LARGEST_INVITE && urgent() {
            arrival = self
                .tools
                .transactions
                .receive_emergency(now.mono, flow, message, essentials, transmits);
        }
        match arrival {
            Arrival::New(server) => self.new_request(now, peer, server, arrived, out),
            Arrival::Cancel { cancel, invite } => self.cancel(now, cancel, invite, arrived, out),
            Arrival::Ack => self.in_dialog(now, None, arrived, out),
            Arrival::Absorbed => {}
            Arrival::Full => out.events.push(Event::Full {
                what: "server transactions",
            }),
        }
    }

    /// Whether a request ends a call that is up.
    fn hangs_up(&self, essentials: &Essentials<'_>) -> bool {
        let bye = essentials.cseq.method == Method::Bye;
        let tag = essentials.to_tag.filter(|_| bye).unwrap_or_default();
        let call = self.tools.by_tag(tag);
        let call = call.and_then(|(key, side)| Some(self.calls.get(key)?.leg(side)));
        call.is_some_and(|leg| leg.progress.up)
    }

    /// A response from a known peer whose essentials are sound.
    pub(crate) fn handle_response(&mut self, now: Now, arrived: &Arrived<'_>, out: &mut Outbox) {
        let Arrived {
            message,
            essentials,
            ..
        } = *arrived;
        let refused = self.wanted_otherwise(arrived);
        let matched = self.tools.transactions.receive_response(
            now.mono,
            message,
            essentials,
            &mut out.transmits,
        );
        match matched {
            Matched::Pass(reply) => {
                let mut again = false;
                if let Some(request) = refused {
                    self.turn(reply.owner.call, now, out, |turn| {
                        again = turn.try_again(&reply, &request, arrived);
                    });
                }
                if !again {
                    self.refused_onward(now, &reply, message, out);
                    self.turn(reply.owner.call, now, out, |turn| {
                        turn.reply(&reply, arrived);
                    });
                }
            }
            Matched::Absorbed => {}
            Matched::Stray => self.stray(now, arrived, out),
        }
    }

    /// A message could not be sent.
    pub(crate) fn handle_send_failed(&mut self, now: Now, origin: Origin, out: &mut Outbox) {
        let mut expired = std::mem::take(&mut self.expired);
        self.tools
            .transactions
            .send_failed(now.mono, origin, &mut expired);
        self.settle_expired(now, expired, out);
    }

    /// A connection has closed, and what went out on it is left without an answer.
    pub(crate) fn handle_flow_closed(&mut self, now: Now, flow: Flow, out: &mut Outbox) {
        let mut expired = std::mem::take(&mut self.expired);
        self.tools
            .transactions
            .flow_closed(now.mono, flow, &mut out.transmits, &mut expired);
        self.settle_expired(now, expired, out);
    }

    /// The INVITE that opens a call was held back, because the call could not be
    /// recorded: the call is refused.
    pub(crate) fn handle_unrecorded(&mut self, now: Now, origin: Origin, out: &mut Outbox) {
        let mut expired = std::mem::take(&mut self.expired);
        self.tools
            .transactions
            .never_left(now.mono, origin, &mut expired);
        for event in &expired {
            if let Expired::ClientFailed { owner, .. } = event {
                self.turn(owner.call, now, out, |turn| turn.unrecorded());
            }
        }
        self.settle_expired(now, expired, out);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Outbox) {
        if self.evidence.due().is_some_and(|due| due <= now.mono) {
            self.evidence.record(now, &self.tools.rules, out);
        }
        let mut expired = std::mem::take(&mut self.expired);
        self.tools
            .transactions
            .tick(now.mono, &mut out.transmits, &mut expired);
        self.settle_expired(now, expired, out);
        while let Some((key, alarm)) = self.tools.wheel.pop_expired(now.mono) {
            if alarm == call::Alarm::FirstAnswer {
                self.first_answer_due(now, key, out);
            } else {
                self.turn(key, now, out, |turn| turn.alarm(alarm));
            }
        }
        self.hang_up_doomed(now, out);
    }

    fn settle_expired(
        &mut self,
        now: Now,
        mut expired: Vec<Expired<call::Owner>>,
        out: &mut Outbox,
    ) {
        for event in expired.drain(..) {
            let owner = match event {
                Expired::ClientTimeout { owner, .. }
                | Expired::ClientFailed { owner, .. }
                | Expired::ClientCut { owner, .. }
                | Expired::ClientEnded { owner, .. } => owner,
                // A response that was lost on our side is one lost on the way.
                Expired::ServerFailed { .. } | Expired::ServerEnded { .. } => continue,
            };
            self.expired_onward(now, &event, out);
            self.turn(owner.call, now, out, |turn| turn.expired(&event, owner));
        }
        trim::clear(&mut expired);
        self.expired = expired;
    }

    /// Hangs up every call but those to emergency numbers: their peers go on
    /// talking, whatever becomes of Tollgate.
    pub(crate) fn hang_up_all(&mut self, now: Now, out: &mut Outbox) {
        let calls = self.calls.iter().filter(|(_, call)| !call.emergency);
        let keys: Vec<CallKey> = calls.map(|(key, _)| key).collect();
        for key in keys {
            self.turn(key, now, out, |turn| turn.hang_up("shutdown"));
        }
    }

    /// Lets a call act, then sees whether it is over.
    fn turn(
        &mut self,
        key: CallKey,
        now: Now,
        out: &mut Outbox,
        act: impl FnOnce(&mut Turn<'_>),
    ) -> bool {
        let Some(call) = self.calls.get_mut(key) else {
            return false;
        };
        let mut turn = Turn {
            key,
            call: &mut *call,
            tools: &mut self.tools,
            now,
            out,
        };
        act(&mut turn);
        turn.cover_interval();
        if turn.settle() {
            turn.close_account();
            self.tools.forget(key, call);
            self.calls.remove(key);
        }
        true
    }

    /// Answers a request that belongs to no call.
    fn answer(
        &mut self,
        now: Now,
        server: ServerKey,
        code: u16,
        out: &mut Outbox,
        fill: impl FnOnce(&mut Draft<'_>),
    ) {
        let tag = self.tools.mint.token();
        self.tools
            .respond(now, server, (code, Some(tag)), b"", out, fill);
    }
}

impl Turn<'_> {
    /// Answers a request on a leg of this call.
    fn respond(
        &mut self,
        server: ServerKey,
        (code, tag): (u16, Token),
        body: &[u8],
        fill: impl FnOnce(&mut Draft<'_>),
    ) {
        self.tools
            .respond(self.now, server, (code, Some(tag)), body, self.out, fill);
    }

    /// Answers a request on a leg without anything that comes from the other.
    fn refuse(&mut self, server: ServerKey, side: Side, code: u16) {
        let tag = self.call.leg(side).local_tag;
        self.respond(server, (code, tag), b"", |_| {});
    }
}

impl Tools {
    /// Answers a request: what RFC 3261 §8.2.6 asks for, then what `fill` adds.
    fn respond(
        &mut self,
        now: Now,
        server: ServerKey,
        (code, tag): (u16, Option<Token>),
        body: &[u8],
        out: &mut Outbox,
        fill: impl FnOnce(&mut Draft<'_>),
    ) {
        let Some(echo) = self.transactions.echo(server) else {
            return;
        };
        let text = tag.map(Token::text);
        let tag = text.as_ref().map(<[u8; Token::LEN]>::as_slice);
        let mut draft = echo.response(&mut self.scratch, code, reason_phrase(code), tag);
        fill(&mut draft);
        let packet = draft.seal(Some(body));
        self.transactions
            .respond(now.mono, server, code, packet, &mut out.transmits);
    }
}
