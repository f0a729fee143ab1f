//! From a scanned message to the part of the core it is for.

use super::{Shard, registrations};
use crate::base::flow::Flow;
use crate::base::limits::ECHO_BYTES;
use crate::base::time::Now;
use crate::call::{Arrived, Calls, Event, Outbox};
use crate::policy::Peer;
use crate::sip::echo::Echo;
use crate::sip::error::{Fault, FaultKind};
use crate::sip::fields::Essentials;
use crate::sip::line::{Method, StartLine, reason_phrase};
use crate::sip::message::Message;
use crate::transaction::{Origin, Transmit};
use crate::trunk::Asked;

/// Sorts out what is nobody's, what is malformed, requests and responses.
pub(super) fn message(
    shard: &mut Shard,
    now: Now,
    (flow, message): (Flow, &Message),
    out: &mut Outbox,
) {
    let Some(peer) = shard.calls.rules().peer_of(flow) else {
        // The driver has read no others; rules may have changed since.
        return stranger(shard, now, flow, message, out);
    };
    let calls = &mut shard.calls;
    let sound = message.fault().map_or_else(|| read(message), Err);
    let essentials = match sound.or_else(|fault| calls.salvage(peer, message).ok_or(fault)) {
        Ok(essentials) => essentials,
        Err(fault) => {
            out.events.push(Event::Malformed {
                flow,
                fault: fault.kind.as_str(),
            });
            refuse(calls, flow, message, fault, out);
            return;
        }
    };
    let arrived = Arrived {
        flow,
        message,
        essentials: &essentials,
    };
    match message.start() {
        StartLine::Request { .. } => match (essentials.cseq.method, peer) {
            (Method::Register, Peer::Tenant(tenant)) if calls.rules().has_accounts() => {
                let asked = Asked {
                    flow,
                    message,
                    essentials: &essentials,
                };
                let (rules, transmits) = (calls.rules(), &mut out.transmits);
                let asked = (tenant, &asked);
                shard.registrar.register(now, rules, asked, transmits);
                registrations::bound(now, &mut shard.registrar, out);
            }
            _ => calls.handle_request(now, peer, &arrived, out),
        },
        // Only Tollgate's own are answered: they are not a call's.
        StartLine::Response { .. } if essentials.cseq.method == Method::Register => {
            let answer = (message, &essentials);
            registrations::step(now, out, |out| {
                shard.registrations.handle_response(now, flow, answer, out);
            });
        }
        StartLine::Response { .. } => {
            let probes = shard.probes.as_mut();
            let probed = probes.and_then(|it| it.receive(now.mono, message, &essentials));
            match probed {
                Some(news) => calls.tell_carriers(now, &news, out),
                None => calls.handle_response(now, &arrived, out),
            }
        }
    }
}

/// Something of nobody known, which only a listener that challenges hears.
fn stranger(shard: &mut Shard, now: Now, flow: Flow, message: &Message, out: &mut Outbox) {
    let rules = shard.calls.rules();
    if message.fault().is_some() || message.method().is_none() || !rules.wants_proof(flow) {
        return;
    }
    if let Ok(essentials) = read(message) {
        let asked = Asked {
            flow,
            message,
            essentials: &essentials,
        };
        let transmits = &mut out.transmits;
        shard.registrar.stranger(now, rules, &asked, transmits);
        registrations::bound(now, &mut shard.registrar, out);
    }
}

/// What a message says. A request of which an answer would repeat too much is no
/// better than a malformed one.
fn read(message: &Message) -> Result<Essentials<'_>, Fault> {
    let essentials = Essentials::parse(message)?;
    let asks = message.method().is_some();
    if asks && message.bytes().len() > ECHO_BYTES && Echo::length_of(message) > ECHO_BYTES {
        return Err(Fault::new(FaultKind::HeadTooLong, 0));
    }
    Ok(essentials)
}

/// Answers a malformed request and forgets it. A malformed response is
/// dropped, and so is an ACK, which nothing may answer (RFC 3261 §8.2.6, §17).
fn refuse(calls: &Calls, flow: Flow, message: &Message, fault: Fault, out: &mut Outbox) {
    if matches!(message.method(), None | Some(Method::Ack)) {
        return;
    }
    let Some((echo, to)) = Echo::salvage(message, flow.remote, flow.transport) else {
        return;
    };
    let code = fault.kind.status();
    let mut scratch = Vec::new();
    let tag = calls.stateless_tag(message).text();
    let draft = echo.response(&mut scratch, code, reason_phrase(code), Some(&tag));
    out.transmits.push(Transmit {
        flow: Flow { remote: to, ..flow },
        packet: draft.seal(None),
        origin: Origin::Stateless,
    });
}
