//! Opening the callee's leg: the INVITE that goes out for one that came in.

use std::sync::Arc;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::base::flow::Flow;
use crate::base::limits::{CALLS_PER_SHARD, PASSPORTS_PER_CALL};
use crate::base::time::Now;
use crate::base::token::{Buckets, Token};
use crate::policy::number::Number;
use crate::policy::{Hold, Seat};
use crate::record::{CallRef, Direction, Party, Record, Side};
use crate::sip::draft::{Draft, Packet};
use crate::sip::echo::essence;
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::sip::passport;
use crate::transaction::{Origin, ServerKey};

use super::account::Account;
use super::call::{Alarm, Call, Ending, Exchange, Owner, Role, Stage};
use super::leg::{Far, Leg};
use super::onward::Onward;
use super::refresh::{self, Offer};
use super::table::Tools;
use super::topology::{self, Ends, Head};
use super::{Arrived, Calls, Event, Outbox, Turn};

/// What was decided about a call before anything is sent: everything the
/// callee's leg says is in here, written afresh.
pub(super) struct Opening<'a> {
    pub(super) reference: CallRef,
    pub(super) direction: Direction,
    pub(super) emergency: bool,
    pub(super) tenant: &'a Arc<str>,
    /// It goes abroad, as `policy::Scope` says.
    pub(super) abroad: bool,
    /// The name of who is called, for the journal.
    pub(super) peer: &'a str,
    /// The caller's end of its dialog.
    pub(super) far: Far,
    pub(super) hold: Option<Hold>,
    /// Its place at the carrier that it goes to.
    pub(super) seat: Option<Seat>,
    /// Where it may go on if that one does not answer.
    pub(super) onward: Option<Box<Onward>>,
    /// What it may cost; none for an emergency call.
    pub(super) account: Option<Box<Account>>,
    /// The callee leg's Call-ID.
    pub(super) call_id: [u8; Buckets::AIMED_LEN],
    /// Where the INVITE goes.
    pub(super) flow: Flow,
    /// The URI in To.
    pub(super) uri: &'a [u8],
    /// The Request-URI, where it is another.
    pub(super) target: Option<&'a [u8]>,
    /// The value of Route that the INVITE has; empty for none.
    pub(super) routes: &'a [u8],
    /// The URI in From.
    pub(super) from: &'a [u8],
    /// The URI in P-Asserted-Identity (RFC 3325).
    pub(super) identity: Option<&'a [u8]>,
    /// The URI in Diversion (RFC 5806).
    pub(super) diversion: Option<&'a [u8]>,
    /// The Privacy header's value (RFC 3323).
    pub(super) privacy: Option<&'static [u8]>,
    /// Who calls whom, in canonical form; nothing where the caller is not shown.
    pub(super) numbers: Option<(Number, Number)>,
    /// For how long it may ring.
    pub(super) ring: Duration,
    /// For how long it may last.
    pub(super) longest: Duration,
}

/// What an INVITE of ours takes from the one that it goes out for.
pub(super) struct Carried<'a> {
    /// The INVITE, or the one that has gone out for it before.
    pub(super) message: &'a Message,
    /// Its Max-Forwards further on.
    pub(super) forwards: u8,
    /// Of the caller's INVITE what its response needs, as an INVITE.
    pub(super) asked: &'a [u8],
}

impl Opening<'_> {
    /// The call of an INVITE that came.
    fn call(&mut self, server: ServerKey, arrived: &Arrived<'_>, tools: &mut Tools) -> Call {
        let Arrived {
            flow,
            message,
            essentials,
        } = *arrived;
        let mut caller = Leg::new(
            flow,
            tools.mint.token(),
            essentials.call_id,
            essentials.to.uri_text,
            essentials.from.uri_text,
        );
        caller.far = std::mem::take(&mut self.far);
        caller.remote_cseq = Some(essentials.cseq.number);
        caller.allow = MethodSet::allow(message);
        let opening = Exchange {
            method: Method::Invite,
            opening: true,
            tag: caller.local_tag,
            from: Side::Caller,
            server: Some(server),
            client: None,
            server_cseq: essentials.cseq.number,
            client_cseq: 0,
            offer: Offer::of(message),
            stage: Stage::Open,
            offered: None,
            resumed: false,
        };
        let origin = tools.origin(essentials.call_id, arrived.sender_tag());
        self.call_of(caller, opening, origin, tools)
    }

    /// The call of an INVITE, before anything is known of how its callee is reached:
    /// with the caller's leg and that INVITE's exchange.
    pub(super) fn call_of(
        &mut self,
        caller: Leg,
        mut opening: Exchange,
        origin: u128,
        tools: &mut Tools,
    ) -> Call {
        let tag = tools.mint.token();
        let mut callee = Leg::new(self.flow, tag, &self.call_id, self.from, self.uri);
        callee.far = Far::new(b"", self.target.unwrap_or(self.uri), self.routes);
        opening.client_cseq = callee.next_cseq();
        Call {
            reference: self.reference,
            direction: self.direction,
            emergency: self.emergency,
            tenant: Arc::clone(self.tenant),
            abroad: self.abroad,
            doomed: false,
            caller,
            callee,
            forks: SmallVec::new(),
            exchanges: smallvec![opening],
            hold: self.hold.take(),
            seat: self.seat.take(),
            onward: self.onward.take(),
            elsewhere: None,
            heard: false,
            account: self.account.take(),
            limit: None,
            longest: self.longest,
            linger: None,
            bye_again: None,
            ending: None,
            strays: Vec::new(),
            bye_after_ack: false,
            answered: None,
            over: false,
            up: false,
            reported: false,
            told_ending: false,
            restored: false,
            origin,
        }
    }
}

/// How a failure of our own is said: 603, after which phone systems try no other
/// trunk; but 503 for an emergency call, which is to go another way.
pub(super) fn own_failure(emergency: bool) -> u16 {
    if emergency { 503 } else { 603 }
}

/// How the end of a set-up is said that failed with `code`, elsewhere or here: for
/// an emergency call 503, whatever it was, since after most other codes a phone
/// system tries no other way. 487 is its own doing.
pub(super) fn failure(emergency: bool, code: u16) -> u16 {
    match code {
        487 => code,
        _ if emergency => 503,
        _ => code,
    }
}

/// A final response of our own to an INVITE says besides its code why, if the code alone
/// says nothing (RFC 3326; Q.850, 21: call rejected).
pub(super) fn with_reason(draft: &mut Draft<'_>, code: u16) {
    if code == 603 {
        draft.put(HeaderId::Reason, b"Q.850;cause=21");
    }
}

impl Calls {
    /// Makes the call and sends its INVITE. Where that cannot be done, the
    /// caller is refused and what was taken of the caps is given back.
    pub(super) fn open(
        &mut self,
        now: Now,
        server: ServerKey,
        arrived: &Arrived<'_>,
        mut opening: Opening<'_>,
        out: &mut Outbox,
    ) {
        let call = opening.call(server, arrived, &mut self.tools);
        let room = opening.emergency || self.calls.len() < CALLS_PER_SHARD;
        let kept = match room {
            true => self.calls.insert(call),
            false => Err(call),
        };
        match kept {
            Ok(key) => {
                self.turn(key, now, out, |turn| {
                    turn.tools
                        .respond(now, server, (100, None), b"", turn.out, |_| {});
                    let asked = match turn.out.has_invite(turn.call.reference) {
                        true => Vec::new(),
                        false => essence(arrived.message),
                    };
                    let carried = Carried {
                        message: arrived.message,
                        forwards: arrived.forwards(),
                        asked: &asked,
                    };
                    turn.invite(server, &carried, &opening);
                    turn.keep_asked(|| match asked.is_empty() {
                        true => essence(arrived.message),
                        false => asked,
                    });
                });
            }
            Err(call) => self.no_room(now, (server, call), opening.emergency, out),
        }
    }

    /// There is no room for a call that has a verdict.
    pub(super) fn no_room(
        &mut self,
        now: Now,
        (server, mut call): (ServerKey, Call),
        emergency: bool,
        out: &mut Outbox,
    ) {
        let status = own_failure(emergency);
        self.tools.journal_release(&call, out);
        call.release(now);
        // Its verdict is in the journal, so its end must be, too.
        call.ending = Some(Ending {
            by: Party::Tollgate,
            cause: "full",
            status,
        });
        call.journal_end(now, None, out);
        out.events.push(Event::Full { what: "calls" });
        self.answer(now, server, status, out, |_| {});
    }
}

impl Turn<'_> {
    /// Sends the INVITE that opens the callee's leg.
    pub(super) fn invite(
        &mut self,
        server: ServerKey,
        carried: &Carried<'_>,
        opening: &Opening<'_>,
    ) {
        self.tools.index(self.key, self.call);
        let owner = Owner {
            call: self.key,
            role: Role::Relay,
        };
        self.tools.transactions.set_owner(server, owner);
        let branch = self.tools.mint.token();
        let passports = self.passports(carried.message, opening.numbers);
        let write = |turn: &mut Self| turn.invite_packet(branch, carried, opening, &passports);
        let packet = self.fitting(Side::Callee, write);
        self.journal_setup(opening, &branch.text(), carried.asked);
        if let Some(onward) = &mut self.call.onward {
            onward.packet = Some(packet.clone());
        }
        self.keep_invite(&packet);
        let flow = self.call.callee.flow;
        let (now, transmits) = (self.now.mono, &mut self.out.transmits);
        let client = self.tools.transactions.request(
            now,
            flow,
            Method::Invite,
            branch,
            packet,
            owner,
            transmits,
        );
        if let Some(exchange) = self.call.exchanges.first_mut() {
            exchange.client = client;
        }
        if client.is_none() {
            self.out.events.push(Event::Full {
                what: "client transactions",
            });
            self.call.callee.progress.pending = false;
            self.fail_opening(Ending {
                by: Party::Tollgate,
                cause: "full",
                status: own_failure(self.call.emergency),
            });
            return;
        }
        if let (Some(client), false) = (client, self.call.emergency) {
            self.out.openings.push(Origin::Client(client));
        }
        let ring = self
            .tools
            .schedule(self.key, Alarm::Ring, now, opening.ring);
        self.call.limit = Some(ring);
        self.await_first_answer();
        self.start_lease();
    }

    /// A request for a leg as `write` makes it: once more if it is too long for a
    /// datagram and the leg goes on over a stream.
    pub(super) fn fitting(&mut self, side: Side, write: impl Fn(&mut Self) -> Packet) -> Packet {
        let packet = write(self);
        match self.outgrows(side, &packet) {
            true => write(self),
            false => packet,
        }
    }

    /// Whether a request is too long for a datagram, and its peer takes such over a
    /// stream: then its leg goes on there, and it is to be written anew.
    pub(super) fn outgrows(&mut self, side: Side, packet: &Packet) -> bool {
        let rules = &self.tools.rules;
        let leg = self.call.leg_mut(side);
        let way = topology::way_of_large(rules, leg.flow, packet.as_ref().len());
        leg.flow = way.unwrap_or(leg.flow);
        way.is_some()
    }

    /// The INVITE, with what the caller's may say of itself.
    fn invite_packet(
        &mut self,
        branch: Token,
        carried: &Carried<'_>,
        opening: &Opening<'_>,
        passports: &[&[u8]],
    ) -> Packet {
        let (message, body) = (carried.message, carried.message.body());
        let leg = &self.call.callee;
        let session = self.call.wanted_interval();
        let ends = Ends {
            leg,
            local_tag: leg.local_tag,
            far: &leg.far,
            here: self.tools.here.at(leg.flow.listener),
        };
        let head = Head {
            method: b"INVITE",
            cseq: leg.local_cseq,
            branch,
            max_forwards: carried.forwards,
        };
        let mut draft = topology::request(&mut self.tools.scratch, &ends, &head);
        let reach = topology::Reach::on(&self.tools.rules, leg);
        topology::put_contact(&mut draft, ends.here, reach);
        topology::carry(&mut draft, message);
        let phones = self.call.carrier_side() == Side::Caller;
        topology::put_allow(&mut draft, self.call.caller.allow, phones);
        topology::carry_tags(&mut draft, message, HeaderId::Supported, true);
        refresh::put_request(&mut draft, session);
        if let Some(identity) = opening.identity {
            draft.put_parts(HeaderId::PAssertedIdentity, &[b"<", identity, b">"]);
        }
        if let Some(diversion) = opening.diversion {
            draft.put_parts(HeaderId::Diversion, &[b"<", diversion, b">"]);
        }
        if let Some(privacy) = opening.privacy {
            draft.put(HeaderId::Privacy, privacy);
        }
        for passport in passports {
            draft.put(HeaderId::Identity, passport);
        }
        let packet = draft.seal(Some(body));
        if refresh::may_be_repeated(body) {
            self.call.callee.description = Some(body.into());
        }
        packet
    }

    /// The Identity fields that sign what goes on unchanged (RFC 8224 §4). That others were
    /// dropped is on record.
    fn passports<'m>(
        &mut self,
        message: &'m Message,
        numbers: Option<(Number, Number)>,
    ) -> SmallVec<[&'m [u8]; 1]> {
        let mut kept = SmallVec::new();
        let mut dropped = 0;
        for value in message.all(HeaderId::Identity) {
            let signs = |(caller, called): (Number, Number)| {
                passport::is_of(value, caller.as_str(), called.as_str())
            };
            // A fold is no part of what is signed, but what goes on is what came.
            let plain = !value.contains(&b'\n') && !value.contains(&b'\r');
            match kept.len() < PASSPORTS_PER_CALL && plain && numbers.is_some_and(signs) {
                true => kept.push(value),
                false => dropped += 1,
            }
        }
        if dropped > 0 {
            self.out.journal(&Record::Note {
                wall: self.now.wall,
                what: "identity-dropped",
                detail: &format!(
                    "call {}: it does not sign this caller and this called number, in full form",
                    self.call.reference.0
                ),
                count: dropped,
            });
        }
        kept
    }

    fn journal_setup(&mut self, opening: &Opening<'_>, branch: &[u8], asked: &[u8]) {
        let [tag, caller_tag] =
            [&self.call.callee, &self.call.caller].map(|leg| leg.local_tag.text());
        let record = Record::Setup {
            call: self.call.reference,
            wall: self.now.wall,
            peer: opening.peer,
            leg: self.call.callee.as_record(&tag),
            branch,
            caller: self.call.caller.as_record(&caller_tag),
            asked,
        };
        self.out.journal(&record);
    }
}
