//! Session timers (RFC 4028), each leg's own. Towards the carrier Tollgate
//! refreshes, so that a carrier hangs up by itself if Tollgate dies.

use std::time::Duration;

use crate::base::limits::DESCRIPTION_BYTES;
use crate::base::token::Token;
use crate::record::{self, Record, Side};
use crate::sip::draft::{Draft, Packet};
use crate::sip::fields::{Refresher, SessionExpires, min_se};
use crate::sip::header::HeaderId;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::transaction::{ClientKey, ServerKey};

use super::call::{Alarm, Exchange, Stage};
use super::leg::Session;
use super::topology::{self, Head};
use super::{Arrived, Turn};

/// The least interval anyone may ask for, in seconds (RFC 4028 §5).
pub(super) const LEAST: u32 = 90;

/// The longest interval that a peer can have agreed to, in seconds, whatever it
/// says: a call may cost money for so long after Tollgate died, and a BYE that is
/// not answered is repeated for so long.
pub(super) const MOST: u32 = 1800;

/// The interval on a carrier's leg: what a call can cost while Tollgate is dead
/// is bounded by it.
const CARRIER: u32 = 180;

/// The interval on a phone system's leg, which costs nobody anything: RFC 4028
/// §4's own recommendation.
const PHONE_SYSTEM: u32 = MOST;

/// The interval on the leg of a phone system that knows nothing of session timers:
/// RFC 4028 §9 lets Tollgate refresh alone, and so find out that it is gone.
const SILENT_PHONE_SYSTEM: u32 = 300;

/// When a refresh may be tried again after it collided with another request.
const AGAIN: Duration = Duration::from_secs(3);

/// What a request says of session timers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    interval: Option<u32>,
    least: u32,
    refresher: Option<Refresher>,
    supported: bool,
}

impl Offer {
    /// `None` where the requester neither asks for a session timer nor knows
    /// of them, or where it asks for less than it may and is let in all the same.
    pub(super) fn of(message: &Message) -> Option<Self> {
        if Self::asks_too_little(message) {
            return None;
        }
        let asked = SessionExpires::of(message).ok().flatten();
        let supported = topology::supports(message, b"timer");
        (asked.is_some() || supported).then(|| Self {
            interval: asked.as_ref().map(|asked| asked.seconds),
            least: min_se(message).ok().flatten().unwrap_or(LEAST).max(LEAST),
            refresher: asked.and_then(|asked| asked.refresher),
            supported,
        })
    }

    /// Whether the requester keeps a session timer: else it was asked for on its way
    /// (RFC 4028 §8).
    pub(super) fn is_supported(self) -> bool {
        self.supported
    }

    /// The shortest interval that the requester takes, in seconds.
    pub(super) fn least(self) -> u32 {
        self.least.min(MOST)
    }

    /// Whether a request asks for less than anyone may (RFC 4028 §9).
    pub(super) fn asks_too_little(message: &Message) -> bool {
        let asked = SessionExpires::of(message).ok().flatten();
        asked.is_some_and(|asked| asked.seconds < LEAST) && topology::supports(message, b"timer")
    }
}

/// What Tollgate asks for on the callee's leg, in seconds.
pub(super) fn wanted(carrier: bool) -> u32 {
    if carrier { CARRIER } else { PHONE_SYSTEM }
}

/// The session interval that a 2xx agrees to, in seconds, and whether Tollgate is
/// to refresh it. A UAS may not make it longer than was asked (RFC 4028 §9); one
/// that does so beyond [`MOST`] is refreshed as if it had said that.
pub(super) fn agreed(message: &Message) -> Option<(u32, bool)> {
    let agreed = SessionExpires::of(message).ok().flatten()?;
    let ours = agreed.refresher != Some(Refresher::Uas) || agreed.seconds > MOST;
    Some((agreed.seconds.clamp(LEAST, MOST), ours))
}

/// Asks for a session timer in the INVITE that opens a leg.
pub(super) fn put_request(draft: &mut Draft<'_>, interval: u32) {
    draft.put_number(HeaderId::SessionExpires, interval, b";refresher=uac");
    put_least(draft);
}

/// Asks for what is agreed already, in a request inside the dialog.
pub(super) fn put_again(draft: &mut Draft<'_>, session: Option<Session>) {
    let Some(session) = session else { return };
    let refresher: &[u8] = if session.ours {
        b";refresher=uac"
    } else {
        b";refresher=uas"
    };
    draft.put_number(HeaderId::SessionExpires, session.seconds(), refresher);
    put_least(draft);
}

/// Says in a 2xx what is agreed.
pub(super) fn put_response(draft: &mut Draft<'_>, session: Option<Session>) {
    let Some(session) = session else { return };
    let refresher: &[u8] = if session.ours {
        b";refresher=uas"
    } else {
        b";refresher=uac"
    };
    draft.put_number(HeaderId::SessionExpires, session.seconds(), refresher);
    if !session.ours {
        draft.put(HeaderId::Require, b"timer");
    }
}

impl Session {
    /// How long after it was agreed a session is refreshed, or ends.
    pub(super) fn due(interval: Duration, ours: bool) -> Duration {
        if ours {
            interval / 2
        } else {
            // RFC 4028 §10: the BYE goes out before the interval is over.
            interval.saturating_sub((interval / 3).min(Duration::from_secs(32)))
        }
    }

    /// The interval in seconds, as headers have it.
    pub(super) fn seconds(self) -> u32 {
        u32::try_from(self.interval.as_secs()).unwrap_or(u32::MAX)
    }
}

impl Turn<'_> {
    /// As UAS: decides what the requester on `side` gets (RFC 4028 §9).
    pub(super) fn session_granted(&mut self, side: Side, offer: Option<Offer>) {
        let carrier = side == self.call.carrier_side();
        let agreed = match offer {
            Some(offer) if carrier => {
                let longest = self.call.longest_interval();
                let interval = offer.interval.unwrap_or(longest).min(longest);
                let interval = interval.max(offer.least());
                let ours = !offer.supported || offer.refresher != Some(Refresher::Uac);
                Some((interval, ours))
            }
            // RFC 4028 §9: the UAS may refresh even if the UAC cannot.
            None if carrier => Some((self.call.longest_interval(), true)),
            Some(Offer {
                interval: Some(interval),
                least,
                refresher,
                supported,
            }) => {
                let ours = !supported || refresher == Some(Refresher::Uas);
                Some((interval.min(PHONE_SYSTEM).max(least), ours))
            }
            // One that is switched off must not keep the carrier's leg up.
            _ => Some((SILENT_PHONE_SYSTEM, true)),
        };
        self.set_session(side, agreed);
    }

    /// As UAC: takes what the 2xx on `side` says (RFC 4028 §7.2).
    pub(super) fn session_agreed(&mut self, side: Side, message: &Message) {
        self.set_session(side, agreed(message));
        let leg = self.call.leg_mut(side);
        let needed = leg.session.is_some_and(|session| session.ours) && !leg.takes(Method::Update);
        if !needed {
            leg.description = None;
        }
    }

    pub(super) fn set_session(&mut self, side: Side, agreed: Option<(u32, bool)>) {
        if let Some(old) = self.call.leg_mut(side).session.take() {
            self.tools.wheel.cancel(old.timer);
        }
        let Some((seconds, ours)) = agreed else {
            self.journal_session(side);
            return;
        };
        let interval = Duration::from_secs(seconds.into());
        if side == self.call.carrier_side() {
            self.interval_agreed(interval);
        }
        let due = Session::due(interval, ours);
        let timer = self
            .tools
            .schedule(self.key, Alarm::Session(side), self.now.mono, due);
        self.call.leg_mut(side).session = Some(Session {
            interval,
            ours,
            timer,
            cut: false,
        });
        self.journal_session(side);
    }

    /// What was agreed after the answer; what came with it is in its own record.
    fn journal_session(&mut self, side: Side) {
        if self.call.answered.is_none() {
            return;
        }
        let session = self.call.leg(side).session;
        self.out.journal(&Record::Session {
            call: self.call.reference,
            wall: self.now.wall,
            side,
            session: session.map_or(record::Session::NONE, Session::as_record),
        });
    }

    /// The same session for another while: until `due`, if given.
    fn prolong(&mut self, side: Side, due: Option<Duration>) {
        let Some(session) = self.call.leg(side).session else {
            return;
        };
        self.set_session(side, Some((session.seconds(), session.ours)));
        if let Some(due) = due {
            self.look_again(side, due);
        }
    }

    /// Keeps a session description that a refresh may have to repeat.
    pub(super) fn remember_description(&mut self, side: Side, body: &[u8]) {
        if let Some(body) = self.description_to_keep(side, body) {
            self.call.leg_mut(side).description = Some(body);
            self.journal_description(side);
        }
    }

    /// What a refresh has to repeat, unless it is to be known to nobody.
    pub(super) fn journal_description(&mut self, side: Side) {
        let description = self.call.leg(side).description.as_deref();
        let Some(body) = description.filter(|body| !holds_keys(body)) else {
            return;
        };
        self.out.journal(&Record::Description {
            call: self.call.reference,
            side,
            body,
        });
    }

    /// The description that was sent on this leg is in force.
    pub(super) fn offer_accepted(&mut self, side: Side, offered: Option<Box<[u8]>>) {
        if let Some(offered) = offered {
            self.remember_description(side, &offered);
        }
    }

    /// A session description, if a refresh on this leg may have to repeat it.
    pub(super) fn description_to_keep(&self, side: Side, body: &[u8]) -> Option<Box<[u8]>> {
        let leg = self.call.leg(side);
        let needed = leg.session.is_some_and(|session| session.ours) && !leg.takes(Method::Update);
        (needed && may_be_repeated(body)).then(|| body.into())
    }

    /// A leg's session is due.
    pub(super) fn session_due(&mut self, side: Side) {
        if self.is_lease_over() {
            self.lease_over();
        }
        let leg = self.call.leg(side);
        let Some(session) = leg.session else { return };
        if !leg.progress.up {
            return;
        }
        if !session.ours {
            self.hang_up("session-expired");
            return;
        }
        if self.call.exchanges.iter().any(|it| it.refreshes(side)) {
            // Whoever answers 100 and no more for so long is not there.
            self.hang_up("session-refresh-unanswered");
            return;
        }
        let update = leg.takes(Method::Update) || leg.description.is_none();
        // An UPDATE without an offer waits for no INVITE (RFC 3311 §5.1), which
        // may take longer than the session has left.
        let in_the_way = |exchange: &Exchange| match exchange.method {
            Method::Update => true,
            Method::Info => false,
            _ => !update,
        };
        // Nor does it wait for a refresh of the other leg, which this one never sees.
        let mut exchanges = self.call.exchanges.iter();
        if exchanges.any(|exchange| {
            in_the_way(exchange) && exchange.is_under_way() && !exchange.refreshes(side.other())
        }) {
            self.prolong(side, Some(AGAIN));
        } else if update {
            self.send_refresh(side, Method::Update);
        } else {
            self.send_refresh(side, Method::Invite);
        }
    }

    fn send_refresh(&mut self, side: Side, method: Method) {
        let (cseq, branch) = (self.call.leg_mut(side).next_cseq(), self.tools.mint.token());
        let write = |turn: &mut Self| turn.refresh_packet(side, method, cseq, branch);
        let packet = self.fitting(side, write);
        let leg = self.call.leg(side);
        let flow = topology::next_hop(&self.tools.rules, leg.flow, &leg.far);
        let exchange = Exchange::of_ours(method, (side, leg.local_tag), cseq);
        self.send_exchange(exchange, flow, branch, packet);
        // A little later than the request itself times out.
        let wait = self.tools.timers.t1 * 66;
        self.look_again(side, wait);
    }

    fn refresh_packet(&mut self, side: Side, method: Method, cseq: u32, branch: Token) -> Packet {
        let head = Head {
            method: method.as_str().as_bytes(),
            cseq,
            branch,
            max_forwards: super::MAX_FORWARDS,
        };
        let leg = self.call.leg(side);
        let repeated = leg.description.as_deref();
        let repeated = repeated.filter(|_| method == Method::Invite);
        self.tools.packet(
            leg,
            &head,
            |draft| {
                draft.put(HeaderId::Supported, b"timer");
                put_again(draft, leg.session);
                if repeated.is_some() {
                    draft.put(HeaderId::Allow, topology::ALLOW);
                    draft.put(HeaderId::ContentType, b"application/sdp");
                }
            },
            repeated.unwrap_or_default(),
        )
    }

    /// The connection closed under a refresh of ours: often it is only found out
    /// then that it is dead, so the refresh is tried once more, over a new one.
    pub(super) fn refresh_cut(&mut self, side: Side) {
        match self.call.leg_mut(side).session.as_mut() {
            Some(session) if !session.cut => {
                session.cut = true;
                self.look_again(side, AGAIN);
            }
            _ => self.hang_up("session-refresh-unanswered"),
        }
    }

    /// Has the session looked at again after `wait`.
    fn look_again(&mut self, side: Side, wait: Duration) {
        if let Some(session) = self.call.leg_mut(side).session.as_mut() {
            self.tools.wheel.cancel(session.timer);
            session.timer =
                self.tools
                    .schedule(self.key, Alarm::Session(side), self.now.mono, wait);
        }
    }

    /// The final response to a refresh of ours.
    pub(super) fn refreshed(
        &mut self,
        side: Side,
        client: ClientKey,
        code: u16,
        arrived: &Arrived<'_>,
    ) {
        let Some(exchange) = self.call.exchange_by_client(client) else {
            return;
        };
        if let Stage::Answered { ack, .. } = &exchange.stage {
            if let Some(packet) = ack.clone() {
                self.send_ack(side, packet);
            }
            return;
        }
        if exchange.method == Method::Invite && code < 300 {
            exchange.stage = Stage::Answered {
                unacked: None,
                ack: None,
            };
            self.acknowledge(side);
        } else {
            self.call
                .exchanges
                .retain(|exchange| exchange.client != Some(client));
        }
        match code {
            ..=299 => {
                self.refresh_target(side, arrived.message);
                self.session_agreed(side, arrived.message);
            }
            408 | 481 => self.hang_up("session-refresh-refused"),
            422 => {
                let least = min_se(arrived.message).ok().flatten();
                let ours = self.call.leg(side).session.map(|session| session.seconds());
                let longer = least.zip(ours).filter(|(least, ours)| least > ours);
                match longer {
                    // It is alive, and gets no more.
                    Some((least, _)) if least > MOST => self.prolong(side, None),
                    Some((least, _)) => {
                        self.set_session(side, Some((least, true)));
                        self.prolong(side, Some(AGAIN));
                    }
                    None => self.prolong(side, Some(AGAIN)),
                }
            }
            491 | 500 => self.prolong(side, Some(AGAIN)),
            // It would not, but it is alive, and that was the question.
            _ => self.prolong(side, None),
        }
    }

    /// An UPDATE without a body asks for nothing but a refresh of this leg.
    pub(super) fn refresh_answered(
        &mut self,
        side: Side,
        server: ServerKey,
        arrived: &Arrived<'_>,
    ) {
        let offer = Offer::of(arrived.message);
        self.refresh_target(side, arrived.message);
        if self.call.leg(side).progress.up {
            self.session_granted(side, offer);
        }
        self.journal_cseq(side);
        let leg = self.call.leg(side);
        let (tag, session) = (leg.local_tag, leg.session);
        let reach = topology::Reach::on(&self.tools.rules, leg);
        let here = self.tools.here.text(leg.flow.listener);
        self.respond(server, (200, tag), b"", |draft| {
            topology::put_contact(draft, &here, reach);
            put_response(draft, session);
        });
    }

    /// RFC 4028 §9: says what the least interval is.
    pub(super) fn refuse_session(&mut self, side: Side, server: ServerKey) {
        let tag = self.call.leg(side).local_tag;
        self.respond(server, (422, tag), b"", put_least);
    }
}

/// Whether a session description has keys in it (RFC 4568, RFC 4567, RFC 8866 §5.12).
fn holds_keys(body: &[u8]) -> bool {
    let lines = body.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.into_iter().any(|line| {
        [b"a=crypto:".as_slice(), b"a=key-mgmt:", b"k="]
            .iter()
            .any(|key| {
                line.get(..key.len())
                    .is_some_and(|it| it.eq_ignore_ascii_case(key))
            })
    })
}

/// Says what the least interval is.
pub(super) fn put_least(draft: &mut Draft<'_>) {
    draft.put_number(HeaderId::MinSe, LEAST, b"");
}

/// Whether a body is a session description that is kept, to be repeated by a refresh.
pub(super) fn may_be_repeated(body: &[u8]) -> bool {
    (1..=DESCRIPTION_BYTES).contains(&body.len())
}
