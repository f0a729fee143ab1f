//! The two requests that a client transaction makes from the one it sent: the
//! ACK to a refusal (RFC 3261 §17.1.1.3) and CANCEL (§9.1).

use bytes::Bytes;

use crate::sip::{Draft, HeaderId, Message, Packet, fields, scan};

/// The ACK to a response of 300 and above to `invite`, with that response's To.
pub(super) fn ack(scratch: &mut Vec<u8>, invite: &Packet, to: &[u8]) -> Option<Packet> {
    let invite = scan(Bytes::from_owner(invite.clone())).ok()?;
    let mut draft = draft(scratch, &invite, "ACK")?;
    draft.put(HeaderId::To, to);
    Some(draft.seal(None))
}

/// The CANCEL of `invite`, with a Reason (RFC 3326) if there is one.
pub(super) fn cancel(
    scratch: &mut Vec<u8>,
    invite: &Packet,
    reason: Option<&[u8]>,
) -> Option<Packet> {
    let invite = scan(Bytes::from_owner(invite.clone())).ok()?;
    let mut draft = draft(scratch, &invite, "CANCEL")?;
    draft.keep(&invite, HeaderId::To);
    if let Some(reason) = reason {
        draft.put(HeaderId::Reason, reason);
    }
    Some(draft.seal(None))
}

/// What both have in common: everything but To. `None` for what is no request.
fn draft<'b>(scratch: &'b mut Vec<u8>, invite: &Message, method: &str) -> Option<Draft<'b>> {
    let via = fields::vias(invite).next()?.ok()?;
    let cseq = invite.first(HeaderId::CSeq)?;
    let number = cseq.split(|byte| !byte.is_ascii_digit()).next()?;
    let number = std::str::from_utf8(number).ok()?;
    let mut draft = Draft::request(scratch, method.as_bytes(), invite.uri()?);
    draft
        .put(HeaderId::Via, via.text)
        .put(HeaderId::MaxForwards, b"70")
        .keep(invite, HeaderId::Route)
        .keep(invite, HeaderId::From)
        .keep(invite, HeaderId::CallId)
        .put_args(HeaderId::CSeq, format_args!("{number} {method}"));
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Packet {
        let mut scratch = Vec::new();
        let mut draft = Draft::request(&mut scratch, b"INVITE", b"sip:+4420@192.0.2.9;user=phone");
        draft
            .put(
                HeaderId::Via,
                b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport",
            )
            .put(HeaderId::MaxForwards, b"69")
            .put(HeaderId::Route, b"<sip:p1.example;lr>, <sip:p2.example;lr>")
            .put(HeaderId::Route, b"<sip:p3.example;lr>")
            .put(HeaderId::From, b"\"A, B\" <sip:a@192.0.2.1>;tag=a1")
            .put(HeaderId::To, b"<sip:+4420@192.0.2.9>")
            .put(HeaderId::CallId, b"c1")
            .put(HeaderId::CSeq, b"7 INVITE")
            .put(HeaderId::Contact, b"<sip:192.0.2.1>")
            .put(HeaderId::ContentType, b"application/sdp");
        draft.seal(Some(b"v=0\r\n"))
    }

    #[test]
    fn an_ack_has_the_responses_to_and_no_body() {
        let ack = ack(&mut Vec::new(), &invite(), b"<sip:+4420@192.0.2.9>;tag=b2").unwrap();
        let expected = "ACK sip:+4420@192.0.2.9;user=phone SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport\r\n\
            Max-Forwards: 70\r\n\
            Route: <sip:p1.example;lr>, <sip:p2.example;lr>, <sip:p3.example;lr>\r\n\
            From: \"A, B\" <sip:a@192.0.2.1>;tag=a1\r\n\
            Call-ID: c1\r\n\
            CSeq: 7 ACK\r\n\
            To: <sip:+4420@192.0.2.9>;tag=b2\r\n\
            Content-Length: 0\r\n\r\n";
        assert_eq!(std::str::from_utf8(ack.as_ref()).unwrap(), expected);
    }

    #[test]
    fn a_cancel_has_the_invites_to_and_says_why() {
        let reason = b"Q.850;cause=16";
        let cancel = cancel(&mut Vec::new(), &invite(), Some(reason)).unwrap();
        let expected = "CANCEL sip:+4420@192.0.2.9;user=phone SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport\r\n\
            Max-Forwards: 70\r\n\
            Route: <sip:p1.example;lr>, <sip:p2.example;lr>, <sip:p3.example;lr>\r\n\
            From: \"A, B\" <sip:a@192.0.2.1>;tag=a1\r\n\
            Call-ID: c1\r\n\
            CSeq: 7 CANCEL\r\n\
            To: <sip:+4420@192.0.2.9>\r\n\
            Reason: Q.850;cause=16\r\n\
            Content-Length: 0\r\n\r\n";
        assert_eq!(std::str::from_utf8(cancel.as_ref()).unwrap(), expected);
    }
}
