//! What one side of a call learns of the other: nothing but what is written
//! here. A head starts empty, and headers pass by allow-list (RFC 7092 §3.2).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::flow::{Flow, Transport};
use crate::base::limits::{LARGE_REQUEST_BYTES, REASON_BYTES};
use crate::base::token::Token;
use crate::policy::{Peer, RuleSet};
use crate::sip::draft::Draft;
use crate::sip::error::Fault;
use crate::sip::fields;
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::host::Host;
use crate::sip::line::Method;
use crate::sip::message::Message;
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::{SipUri, Uri};

use super::Arrived;
use super::leg::{Far, Leg};

/// The methods Tollgate carries inside a call or answers. It offers no other,
/// whatever the two sides could do between them.
pub(crate) const METHODS: [Method; 8] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Prack,
    Method::Update,
    Method::Info,
];

/// The Allow header of our own answers.
pub(crate) const ALLOW: &[u8] = b"INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO";

/// The same towards a phone system, which may transfer its calls.
pub(super) const ALLOW_PHONES: &[u8] =
    b"INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER";

/// Headers that pass in both directions, in requests and in responses: what
/// describes the body, and what the far user agent does with the call itself.
const THROUGH: [HeaderId; 10] = [
    HeaderId::ContentType,
    HeaderId::ContentDisposition,
    HeaderId::ContentEncoding,
    HeaderId::ContentLanguage,
    HeaderId::MimeVersion,
    HeaderId::Accept,
    HeaderId::AcceptEncoding,
    HeaderId::AcceptLanguage,
    HeaderId::RSeq,
    HeaderId::PEarlyMedia,
];

/// Extensions (RFC 3261 §19.2) that work end to end through Tollgate, since it
/// carries the messages they are made of. `timer` is each leg's own.
const THROUGH_TAGS: [&[u8]; 2] = [b"100rel", b"precondition"];

/// The extension each leg has for itself.
const TIMER_TAG: &[u8] = b"timer";

/// The ends of a dialog as a request of ours names them.
pub(super) struct Ends<'a> {
    pub(super) leg: &'a Leg,
    pub(super) local_tag: Token,
    pub(super) far: &'a Far,
    /// Our address on this leg, as text.
    pub(super) here: &'a str,
}

/// What differs from request to request.
pub(super) struct Head<'a> {
    pub(super) method: &'a [u8],
    pub(super) cseq: u32,
    pub(super) branch: Token,
    pub(super) max_forwards: u8,
}

/// Begins a request on a leg: everything that RFC 3261 §8.1.1 and §12.2.1.1 ask
/// for, of our own making.
pub(super) fn request<'b>(scratch: &'b mut Vec<u8>, ends: &Ends<'_>, head: &Head<'_>) -> Draft<'b> {
    let Ends {
        leg,
        local_tag,
        far,
        here,
    } = ends;
    let (uri, routes) = first_hop(far);
    let mut draft = Draft::request(scratch, head.method, uri);
    draft.put_parts(
        HeaderId::Via,
        &[
            b"SIP/2.0/",
            leg.flow.transport.via_name().as_bytes(),
            b" ",
            here.as_bytes(),
            b";branch=z9hG4bK",
            &head.branch.text(),
            b";rport",
        ],
    );
    draft.put_number(HeaderId::MaxForwards, head.max_forwards.into(), b"");
    draft.put_parts(
        HeaderId::From,
        &[b"<", leg.local_uri(), b">;tag=", &local_tag.text()],
    );
    if far.tag().is_empty() {
        draft.put_parts(HeaderId::To, &[b"<", leg.remote_uri(), b">"]);
    } else {
        draft.put_parts(
            HeaderId::To,
            &[b"<", leg.remote_uri(), b">;tag=", far.tag()],
        );
    }
    draft.put(HeaderId::CallId, leg.call_id());
    let mut cseq = itoa::Buffer::new();
    let cseq = cseq.format(head.cseq).as_bytes();
    draft.put_parts(HeaderId::CSeq, &[cseq, b" ", head.method]);
    if !routes.is_empty() {
        draft.put(HeaderId::Route, routes);
    }
    draft
}

/// The Request-URI and the Route value of a request in a dialog. A route set
/// whose first URI has no `lr` belongs to a strict router (§12.2.1.1): not kept
/// by anyone since 2002, so that route is not taken and the target is asked
/// directly.
fn first_hop(far: &Far) -> (&[u8], &[u8]) {
    let loose = NameAddr::parse_list(far.routes())
        .next()
        .and_then(Result::ok)
        .and_then(|first| first.uri().ok())
        .is_some_and(|uri| matches!(uri, Uri::Sip(sip) if sip.param(b"lr").is_some()));
    (far.target(), if loose { far.routes() } else { b"" })
}

/// Where a request in a dialog is sent. The remote target and the route set
/// are the peer's words: they are followed only to addresses which the rules
/// know as that same peer's, and else the request goes where the peer's own
/// messages come from. Nobody can have Tollgate send to a third party.
///
/// A dialog keeps its transport. Over a stream the connection that the peer's
/// messages come on is used for as long as it lasts (RFC 5923 in spirit: behind
/// address translation there is no other way); then one is made to the address.
pub(super) fn next_hop(rules: &RuleSet, flow: Flow, far: &Far) -> Flow {
    if flow.transport == Transport::Inside {
        return flow;
    }
    let named = named_hop(rules, flow, far);
    if !flow.transport.is_reliable() {
        let remote = named.unwrap_or(flow.remote);
        return Flow { remote, ..flow };
    }
    // Nobody listens at the port that a connection was opened from.
    let usual = match flow.connection {
        Some(_) => SocketAddr::new(flow.remote.ip(), flow.transport.default_port()),
        None => flow.remote,
    };
    let remote = named.unwrap_or(usual);
    let same_host = remote.ip() == flow.remote.ip();
    Flow {
        remote,
        connection: flow.connection.filter(|_| same_host),
        ..flow
    }
}

/// The way of a request of so many bytes that is too long for a datagram, where its
/// peer has another (RFC 3261 §18.1.1). `None` if it goes as it is.
pub(super) fn way_of_large(rules: &RuleSet, flow: Flow, bytes: usize) -> Option<Flow> {
    if flow.transport.is_reliable() || bytes <= LARGE_REQUEST_BYTES {
        return None;
    }
    let listener = rules.large_from(flow)?;
    Some(Flow {
        listener: listener.id,
        transport: listener.transport,
        local: None,
        ..flow
    })
}

/// The address that the dialog's route or target names, if it is the same peer's.
fn named_hop(rules: &RuleSet, flow: Flow, far: &Far) -> Option<SocketAddr> {
    let (target, routes) = first_hop(far);
    let hop = match NameAddr::parse_list(routes).next() {
        Some(Ok(route)) => route.uri().ok(),
        _ => Uri::parse(target).ok(),
    };
    let Some(Uri::Sip(SipUri {
        host: Host::Ip(address),
        port,
        ..
    })) = hop
    else {
        return None;
    };
    let there = rules.peer(flow.listener, address);
    let same_peer = address.is_ipv4() == flow.remote.is_ipv4()
        && there.is_some()
        && there == rules.peer_of(flow);
    let port = port.unwrap_or(flow.transport.default_port());
    same_peer.then(|| SocketAddr::new(address, port))
}

/// How a peer is told to reach us: at our address, with what stands around it, or by what
/// it has given us for that.
#[derive(Clone)]
pub(super) struct Reach {
    scheme: &'static str,
    param: &'static str,
    /// A GRUU (RFC 5627 §4.4); empty for none.
    gruu: Arc<[u8]>,
}

impl Reach {
    /// On this leg. A peer that is reached by a `sips:` URI is given one, too (RFC 5630
    /// §5.1.1.1): it is never asked over anything but TLS then, and that needs no
    /// parameter to say so.
    ///
    /// A carrier that has given a GRUU with what is registered gets that, and the one that
    /// says nothing of who we are where the caller does not.
    pub(super) fn on(rules: &RuleSet, leg: &Leg) -> Self {
        let transport = leg.flow.transport;
        let secure = transport == Transport::Tls && is_secure(leg.far.target());
        let (scheme, param) = match secure {
            true => (SIPS, ""),
            false => ("sip:", transport.uri_param()),
        };
        let carrier = match rules.peer_of(leg.flow) {
            Some(Peer::Carrier(id)) if !secure => rules.carrier(id),
            _ => None,
        };
        let anonymous = leg.local_uri().starts_with(ANONYMOUS);
        let gruu = carrier.map_or_else(Arc::default, |it| it.gruu(anonymous));
        Self {
            scheme,
            param,
            gruu,
        }
    }
}

/// What From begins with where a caller is not shown (RFC 3323 §4.1.1.3).
pub(super) const ANONYMOUS: &[u8] = b"sip:anonymous@";

/// The scheme of what nobody may carry but over TLS (RFC 3261 §26.2.2).
pub(super) const SIPS: &str = "sips:";

/// Whether a URI is a `sips:` one.
pub(super) fn is_secure(uri: &[u8]) -> bool {
    let scheme = uri.get(..SIPS.len());
    scheme.is_some_and(|it| it.eq_ignore_ascii_case(SIPS.as_bytes()))
}

/// The scheme of the URI that a call goes on to: what it came with, where it may.
pub(super) fn onward_scheme(arrived: &Arrived<'_>, onward: Transport) -> &'static str {
    let secure = arrived.message.uri().is_some_and(is_secure);
    match secure && onward == Transport::Tls {
        true => SIPS,
        false => "sip:",
    }
}

/// Writes where we want to be reached.
pub(super) fn put_contact(draft: &mut Draft<'_>, here: &str, reach: Reach) {
    let Reach {
        scheme,
        param,
        gruu,
    } = reach;
    let parts = match gruu.is_empty() {
        true => [scheme, here, param].map(str::as_bytes),
        false => [&*gruu, b"", b""],
    };
    let [scheme, here, param] = parts;
    draft.put_parts(HeaderId::Contact, &[b"<", scheme, here, param, b">"]);
}

/// Copies from a received message what passes through.
pub(super) fn carry(draft: &mut Draft<'_>, message: &Message) {
    for id in THROUGH {
        draft.keep(message, id);
    }
    for reason in reasons(message) {
        draft.put(HeaderId::Reason, reason);
    }
    carry_tags(draft, message, HeaderId::Require, false);
}

/// Why a peer says that it ends something (RFC 3326), as far as it is passed on.
/// Never so much that it could keep a BYE or CANCEL from arriving.
pub(super) fn reasons(message: &Message) -> impl Iterator<Item = &[u8]> {
    let fields = message.all(HeaderId::Reason);
    fields.filter(|it| it.len() <= REASON_BYTES).take(2)
}

/// Writes the option tags that pass, and our own `timer` where asked.
pub(super) fn carry_tags(draft: &mut Draft<'_>, message: &Message, id: HeaderId, timer: bool) {
    let mut tags = [b"".as_slice(); THROUGH_TAGS.len() + 1];
    let mut count = 0;
    let through = THROUGH_TAGS
        .into_iter()
        .filter(|tag| fields::option_tags(message, id).any(|has| has.eq_ignore_ascii_case(tag)));
    for (slot, tag) in tags
        .iter_mut()
        .zip(through.chain(timer.then_some(TIMER_TAG)))
    {
        *slot = tag;
        count += 1;
    }
    if let Some(tags) = tags.get(..count).filter(|tags| !tags.is_empty()) {
        draft.put_list(id, tags);
    }
}

/// Writes the methods that the far side takes and Tollgate carries. A side that
/// did not say is told what Tollgate carries.
pub(super) fn put_allow(draft: &mut Draft<'_>, far_side: Option<MethodSet>, phones: bool) {
    let Some(far_side) = far_side else {
        draft.put(HeaderId::Allow, if phones { ALLOW_PHONES } else { ALLOW });
        return;
    };
    let mut names = [b"".as_slice(); METHODS.len() + 1];
    let mut count = 0;
    let allowed = METHODS
        .into_iter()
        .filter(|method| far_side.contains(*method));
    // What a phone system may ask of Tollgate itself, whatever the far side does.
    let transfers = phones.then_some(Method::Refer);
    for (slot, method) in names.iter_mut().zip(allowed.chain(transfers)) {
        *slot = method.as_str().as_bytes();
        count += 1;
    }
    draft.put_list(HeaderId::Allow, names.get(..count).unwrap_or_default());
}

/// The extensions a message requires that Tollgate neither knows nor carries
/// (RFC 3261 §8.2.2.3).
pub(crate) fn unsupported(message: &Message) -> impl Iterator<Item = &[u8]> {
    [HeaderId::Require, HeaderId::ProxyRequire]
        .into_iter()
        .flat_map(|id| fields::option_tags(message, id))
        .filter(|tag| {
            !tag.eq_ignore_ascii_case(TIMER_TAG)
                && !THROUGH_TAGS
                    .iter()
                    .any(|known| tag.eq_ignore_ascii_case(known))
        })
}

/// Whether a message lists an extension as supported or required.
pub(super) fn supports(message: &Message, tag: &[u8]) -> bool {
    [HeaderId::Supported, HeaderId::Require]
        .into_iter()
        .any(|id| fields::option_tags(message, id).any(|has| has.eq_ignore_ascii_case(tag)))
}

/// What a message says of its sender as the far end of a dialog: tag, Contact
/// and, where it forms the dialog, the route set. `reversed` for a response
/// (RFC 3261 §12.1.2), in order for a request (§12.1.1).
///
/// # Errors
///
/// A Contact or Record-Route that does not parse.
pub(super) fn far_of(message: &Message, tag: &[u8], reversed: bool) -> Result<Far, Fault> {
    let contact = fields::contact(message)?;
    let target = contact
        .as_ref()
        .map_or(b"".as_slice(), |contact| contact.uri_text);
    if message.first(HeaderId::RecordRoute).is_none() {
        return Ok(Far::new(tag, target, b""));
    }
    let mut hops = fields::record_routes(message).collect::<Result<Vec<_>, _>>()?;
    if reversed {
        hops.reverse();
    }
    Ok(Far::new(tag, target, &fields::route_of(hops)))
}

/// The caller's end of the dialog that its INVITE opens. `None` where that does not
/// say how its user agent is reached (RFC 3261 §8.1.1.8).
pub(super) fn caller_end(arrived: &Arrived<'_>) -> Option<Far> {
    let far = far_of(arrived.message, arrived.sender_tag(), false).ok()?;
    (!far.target().is_empty()).then_some(far)
}

/// That end as far as it is known without its saying so: where the INVITE came from.
pub(super) fn unstated_end(arrived: &Arrived<'_>) -> Far {
    let target = format!("sip:{}", arrived.flow.remote);
    Far::new(arrived.sender_tag(), target.as_bytes(), b"")
}
