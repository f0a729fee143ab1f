//! What a response takes over from its request (RFC 3261 §8.2.6.2), and where it
//! goes (§18.2.2).

use super::draft::{Draft, append, append_clean, append_number, append_unfolded};
use super::fields::Essentials;
use super::header::HeaderId;
use super::message::Message;
use super::name_addr::NameAddr;
use super::via::Via;
use crate::base::flow::Transport;
use std::net::{IpAddr, SocketAddr};

/// What a response copies from its request: every Via, From, To, Call-ID and CSeq,
/// unfolded, in one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The fields as lines, in the order of the marks.
    lines: Box<[u8]>,
    /// Where the Via, From, To and Call-ID lines end.
    marks: [u32; 4],
    to_has_tag: bool,
}

/// How long the names of these fields are, with what stands around their values; and what
/// is added to the topmost Via.
const ROOM: usize = 128;
/// The same of each Via.
const VIA: usize = "Via: \r\n".len();

/// The fields behind the Vias, in their order.
const ORDER: [HeaderId; 4] = [
    HeaderId::From,
    HeaderId::To,
    HeaderId::CallId,
    HeaderId::CSeq,
];

/// What a line says.
#[derive(Clone, Copy)]
enum Value<'m> {
    AsItCame(&'m [u8]),
    /// An address of this URI alone.
    Afresh(&'m [u8]),
}

impl Echo {
    /// Takes the fields of a request that came from `from`. The topmost Via gets
    /// `received` and `rport` filled in (RFC 3261 §18.2.1, RFC 3581 §4); what it
    /// said of them itself is dropped.
    ///
    /// Of [salvaged](Essentials::salvage) ones a Via that could not be read is given
    /// back as it came, and a To that is missing, or whose tag was not taken, is
    /// written afresh.
    #[must_use]
    pub fn new(message: &Message, essentials: &Essentials<'_>, from: SocketAddr) -> Self {
        let via = Some(&essentials.via).filter(|via| !via.text.is_empty());
        let has_tag = essentials.to_tag.is_some();
        let as_it_came = has_tag || essentials.to.tag().is_none();
        let to = message.first(HeaderId::To).filter(|_| as_it_came);
        let to = match to {
            Some(to) => Value::AsItCame(to),
            None => Value::Afresh(essentials.to.uri_text),
        };
        Self::build(message, via, (Some(to), has_tag), from)
    }

    /// Takes what there is of a faulty request, and says where its answer goes: to
    /// be answered with [`FaultKind::status`](super::FaultKind::status) and
    /// forgotten. A topmost Via that cannot be read is given back as it came, to
    /// where the request came from. `None` if there is no Via at all: there is
    /// nothing then by which its sender would know the answer.
    #[must_use]
    pub fn salvage(
        message: &Message,
        from: SocketAddr,
        transport: Transport,
    ) -> Option<(Self, SocketAddr)> {
        let via = Via::parse_list(message.first(HeaderId::Via)?).next();
        let via = via.and_then(Result::ok);
        let to = message.first(HeaderId::To);
        let read = to.map(NameAddr::parse);
        let has_tag = matches!(read, Some(Ok(to)) if to.tag().is_some());
        let to = (to.map(Value::AsItCame), has_tag);
        let echo = Self::build(message, via.as_ref(), to, from);
        let to = via.map_or(from, |via| reply_to_via(&via, from, transport));
        Some((echo, to))
    }

    fn build(
        message: &Message,
        via: Option<&Via<'_>>,
        (to, to_has_tag): (Option<Value<'_>>, bool),
        from: SocketAddr,
    ) -> Self {
        let vias = message.all(HeaderId::Via).count();
        let mut lines = Vec::with_capacity(Self::length_of(message) + ROOM + vias * VIA);
        let mut marks = [0; 4];
        let length = |lines: &Vec<u8>| u32::try_from(lines.len()).unwrap_or(u32::MAX);
        for (at, text) in message.all(HeaderId::Via).enumerate() {
            lines.extend_from_slice(b"Via: ");
            match via {
                Some(via) if at == 0 => top_via(&mut lines, text, via, from),
                _ => append_unfolded(&mut lines, text),
            }
            lines.extend_from_slice(b"\r\n");
        }
        for (id, mark) in ORDER.into_iter().zip(&mut marks) {
            *mark = length(&lines);
            let value = match (id, to) {
                (HeaderId::To, to) => to,
                (id, _) => message.first(id).map(Value::AsItCame),
            };
            let Some(value) = value else { continue };
            lines.extend_from_slice(id.name().as_bytes());
            lines.extend_from_slice(b": ");
            match value {
                Value::AsItCame(text) => append_unfolded(&mut lines, text),
                Value::Afresh(uri) => {
                    lines.push(b'<');
                    append_clean(&mut lines, uri);
                    lines.push(b'>');
                }
            }
            lines.extend_from_slice(b"\r\n");
        }
        Self {
            lines: lines.into_boxed_slice(),
            marks,
            to_has_tag,
        }
    }

    /// Starts a response with these fields. `to_tag` is added to a To that has no
    /// tag, and ignored otherwise.
    pub fn response<'b>(
        &self,
        scratch: &'b mut Vec<u8>,
        code: u16,
        reason: &[u8],
        to_tag: Option<&[u8]>,
    ) -> Draft<'b> {
        let mut draft = Draft::response(scratch, code, reason);
        let (head, tail) = self.split(2);
        match to_tag {
            Some(tag) if !self.to_has_tag && !self.to().is_empty() => {
                let open = head.strip_suffix(b"\r\n").unwrap_or(head);
                draft.lines(open).lines(b";tag=").token(tag).lines(b"\r\n");
            }
            _ => {
                draft.lines(head);
            }
        }
        draft.lines(tail);
        draft
    }

    /// How long the fields are together, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How long the values are together that a response repeats of a request, in
    /// bytes.
    #[must_use]
    pub fn length_of(message: &Message) -> usize {
        let vias = message.all(HeaderId::Via).map(<[u8]>::len);
        let others = ORDER
            .into_iter()
            .filter_map(|id| Some(message.first(id)?.len()));
        vias.chain(others).sum()
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.value(2)
    }

    /// The From value, unfolded.
    #[must_use]
    pub fn from(&self) -> &[u8] {
        self.value(0)
    }

    /// The To value as received, unfolded.
    #[must_use]
    pub fn to(&self) -> &[u8] {
        self.value(1)
    }

    /// The CSeq value, unfolded.
    #[must_use]
    pub fn cseq(&self) -> &[u8] {
        self.value(3)
    }

    /// The lines in front of mark `at`, and those from it on.
    fn split(&self, at: usize) -> (&[u8], &[u8]) {
        let mark = self
            .marks
            .get(at)
            .copied()
            .and_then(|mark| usize::try_from(mark).ok());
        mark.and_then(|mark| self.lines.split_at_checked(mark))
            .unwrap_or((&self.lines, &[]))
    }

    /// The value of the line at mark `at`; empty if it is not there.
    fn value(&self, at: usize) -> &[u8] {
        let (_, line) = self.split(at);
        let (before, _) = self.split(at.saturating_add(1));
        let length = before
            .len()
            .saturating_sub(self.lines.len().saturating_sub(line.len()));
        let line = line.get(..length).unwrap_or_default();
        let start = ORDER
            .get(at)
            .map_or(0, |id| id.name().len().saturating_add(2));
        line.strip_suffix(b"\r\n")
            .and_then(|line| line.get(start..))
            .unwrap_or_default()
    }
}

/// Of a request what an [`Echo`] and its transaction need, as a request without
/// anything else: to be kept, and scanned again.
#[must_use]
pub fn essence(request: &Message) -> Vec<u8> {
    let mut lines = Vec::with_capacity(384);
    let parts = [
        request.method_text(),
        b" ",
        request.uri().unwrap_or_default(),
    ];
    for part in parts {
        lines.extend_from_slice(part);
    }
    lines.extend_from_slice(b" SIP/2.0\r\n");
    for id in [HeaderId::Via].into_iter().chain(ORDER) {
        for text in request.all(id) {
            lines.extend_from_slice(id.name().as_bytes());
            lines.extend_from_slice(b": ");
            append_unfolded(&mut lines, text);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines.extend_from_slice(b"\r\n");
    lines
}

/// Writes the topmost Via field: its first hop with `received` and `rport` as we
/// saw them, any further hops as they came.
fn top_via(lines: &mut Vec<u8>, text: &[u8], via: &Via<'_>, from: SocketAddr) {
    append_unfolded(lines, via.head());
    for (name, value) in via.params() {
        if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
            continue;
        }
        lines.push(b';');
        append_clean(lines, name);
        if let Some(value) = value {
            lines.push(b'=');
            append_unfolded(lines, value);
        }
    }
    if via.rport.is_some() || via.host.ip() != Some(from.ip()) {
        match from.ip() {
            IpAddr::V4(address) => {
                lines.extend_from_slice(b";received=");
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        lines.push(b'.');
                    }
                    append_number(lines, octet);
                }
            }
            IpAddr::V6(address) => append(lines, format_args!(";received={address}")),
        }
    }
    if via.rport.is_some() {
        lines.extend_from_slice(b";rport=");
        append_number(lines, from.port());
    }
    let behind = via.text.len();
    let further = text.get(behind..).unwrap_or_default();
    append_unfolded(lines, further);
}

/// Where the response to a request that came from `from` goes (RFC 3261 §18.2.2,
/// RFC 3581 §4): always to the address it came from. Over UDP, to the port it came
/// from if it asked so with `rport`, else to that of `sent-by`; that is also where a
/// connection is made to if the one that the request came on has closed. `maddr` is
/// not obeyed: it would let a sender point our answers at others.
#[must_use]
pub fn reply_to(essentials: &Essentials<'_>, from: SocketAddr, transport: Transport) -> SocketAddr {
    reply_to_via(&essentials.via, from, transport)
}

fn reply_to_via(via: &Via<'_>, from: SocketAddr, transport: Transport) -> SocketAddr {
    let port = match via.rport {
        _ if transport == Transport::Inside => from.port(),
        Some(_) if !transport.is_reliable() => from.port(),
        _ => via.port.unwrap_or(transport.default_port()),
    };
    SocketAddr::new(from.ip(), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::scan;

    const FROM: &str = "192.0.2.9:40000";

    fn request(via: &str, to: &str) -> Message {
        let text = format!(
            "INVITE sip:b@gw SIP/2.0\nv: {via}\nt: {to}\nFrom: A\n <sip:a@pbx> ; tag=f\n\
             Record-Route: <sip:p>\nVia: SIP/2.0/TCP\n b\ni: 1@pbx\nCSeq: 1\n  INVITE\n\n"
        );
        scan(bytes::Bytes::from(text.replace('\n', "\r\n"))).unwrap()
    }

    /// A response's lines, and where it goes.
    fn answer(via: &str, to: &str, tag: Option<&str>) -> (Vec<String>, SocketAddr) {
        let message = request(via, to);
        let essentials = Essentials::parse(&message).unwrap();
        let from = FROM.parse().unwrap();
        let echo = Echo::new(&message, &essentials, from);
        assert_eq!(
            Echo::salvage(&message, from, Transport::Udp),
            Some((echo.clone(), reply_to(&essentials, from, Transport::Udp)))
        );
        let mut scratch = Vec::new();
        let draft = echo.response(&mut scratch, 200, b"OK", tag.map(str::as_bytes));
        let text = String::from_utf8(draft.seal(None).as_ref().to_vec()).unwrap();
        let lines = text.lines().map(str::to_owned).collect();
        (lines, reply_to(&essentials, from, Transport::Udp))
    }

    #[test]
    fn the_essence_of_a_request_is_answered_like_it() {
        let message = request(
            "SIP/2.0/UDP pbx:5070;branch=z9hG4bK1;rport;x=\"\n y\", SIP/2.0/TLS c",
            "<sip:b@gw>",
        );
        let kept = scan(bytes::Bytes::from(essence(&message))).unwrap();
        let from = FROM.parse().unwrap();
        let echo = |message: &Message| {
            let essentials = Essentials::parse(message).unwrap();
            (
                Echo::new(message, &essentials, from),
                reply_to(&essentials, from, Transport::Udp),
            )
        };
        assert_eq!(echo(&kept), echo(&message));
        assert_eq!(kept.uri(), message.uri());
    }

    #[test]
    fn a_response_takes_over_what_it_must() {
        let (lines, to) = answer(
            "SIP  / 2.0/UDP pbx : 5070;branch = z9hG4bK1;rport;received=1.1.1.1;x=\"\n y\", SIP/2.0/TLS c",
            "<sip:b@gw>",
            Some("t g"),
        );
        assert_eq!(
            lines,
            [
                "SIP/2.0 200 OK",
                "Via: SIP  / 2.0/UDP pbx : 5070;branch=z9hG4bK1;x=\" y\";received=192.0.2.9;rport=40000, SIP/2.0/TLS c",
                "Via: SIP/2.0/TCP b",
                "From: A <sip:a@pbx> ; tag=f",
                "To: <sip:b@gw>;tag=t-g",
                "Call-ID: 1@pbx",
                "CSeq: 1 INVITE",
                "Content-Length: 0",
                "",
            ]
        );
        assert_eq!(to, FROM.parse().unwrap());
    }

    #[test]
    fn a_to_tag_is_added_once() {
        let to = |to, tag| answer("SIP/2.0/UDP pbx", to, tag).0[4].clone();
        assert_eq!(to("<sip:b@gw>;tag=x", Some("y")), "To: <sip:b@gw>;tag=x");
        assert_eq!(to("sip:b@gw", None), "To: sip:b@gw");
        assert_eq!(to("sip:b@gw;a", Some("y")), "To: sip:b@gw;a;tag=y");
    }

    #[test]
    fn received_and_rport_say_what_we_saw() {
        let via = |via| answer(via, "<sip:b@gw>", None).0[1].clone();
        assert_eq!(via("SIP/2.0/UDP 192.0.2.9"), "Via: SIP/2.0/UDP 192.0.2.9");
        assert_eq!(
            via("SIP/2.0/UDP 192.0.2.8;received=192.0.2.9"),
            "Via: SIP/2.0/UDP 192.0.2.8;received=192.0.2.9"
        );
        assert_eq!(
            via("SIP/2.0/UDP 192.0.2.9;rport=1"),
            "Via: SIP/2.0/UDP 192.0.2.9;received=192.0.2.9;rport=40000"
        );
    }

    #[test]
    fn answers_go_back_to_their_source() {
        let to = |via| answer(via, "<sip:b@gw>", None).1.to_string();
        assert_eq!(to("SIP/2.0/UDP pbx"), "192.0.2.9:5060");
        assert_eq!(
            to("SIP/2.0/UDP 198.51.100.7:5070;maddr=198.51.100.8"),
            "192.0.2.9:5070"
        );
        assert_eq!(to("SIP/2.0/UDP pbx:5070;rport"), FROM);
        assert_eq!(
            to("SIP/2.0/UDP pbx:5070;received=198.51.100.7"),
            "192.0.2.9:5070"
        );
    }

    #[test]
    fn the_parts_can_be_asked_for() {
        let message = request("SIP/2.0/UDP pbx", "<sip:b@gw>");
        let essentials = Essentials::parse(&message).unwrap();
        let echo = Echo::new(&message, &essentials, FROM.parse().unwrap());
        assert_eq!(echo.from(), b"A <sip:a@pbx> ; tag=f");
        assert_eq!(echo.to(), b"<sip:b@gw>");
        assert_eq!(
            (echo.call_id(), echo.cseq()),
            (b"1@pbx".as_slice(), b"1 INVITE".as_slice())
        );
    }

    #[test]
    fn a_faulty_request_is_answered_as_far_as_it_goes() {
        let text = "INVITE  sip:b SIP/2.0\r\nv: SIP/2.0/UDP a\r\nt: \"B <sip:b>\r\nf: x\ny\r\n\r\n";
        let message = scan(bytes::Bytes::from(text)).unwrap();
        let (echo, _) = Echo::salvage(&message, FROM.parse().unwrap(), Transport::Udp).unwrap();
        let mut scratch = Vec::new();
        let packet = echo
            .response(&mut scratch, 400, b"Bad Request", Some(b"t"))
            .seal(None);
        assert_eq!(
            String::from_utf8_lossy(packet.as_ref()),
            "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP a;received=192.0.2.9\r\n\
             To: \"B <sip:b>;tag=t\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_via_that_cannot_be_read_is_given_back_as_it_came() {
        let from = FROM.parse().unwrap();
        let text = "INVITE sip:b SIP/2.0\r\nv: SIP/7.0/UDP\r\n\t:::];;\r\nVia:b\r\n\r\n";
        let message = scan(bytes::Bytes::from(text)).unwrap();
        let (echo, to) = Echo::salvage(&message, from, Transport::Udp).unwrap();
        assert_eq!(to, from);
        let mut scratch = Vec::new();
        let packet = echo.response(&mut scratch, 400, b"", None).seal(None);
        assert_eq!(
            String::from_utf8_lossy(packet.as_ref()),
            "SIP/2.0 400 \r\nVia: SIP/7.0/UDP :::];;\r\nVia: b\r\nContent-Length: 0\r\n\r\n"
        );
        let text = text.replace("v:", "x:").replace("Via:", "y:");
        let message = scan(bytes::Bytes::from(text)).unwrap();
        assert_eq!(Echo::salvage(&message, from, Transport::Udp), None);
    }
}
