//! A request of ours once more, in a transaction of its own: what a challenge asks for
//! (RFC 3261 §22.1).

use super::draft::{Draft, Packet};
use super::header::HeaderId;
use super::message::Message;
use crate::base::token::Token;

/// What differs from the first.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    /// The new transaction's branch.
    pub branch: Token,
    /// The CSeq number.
    pub cseq: u32,
    /// Fields that stand in place of those of their ids.
    pub put: &'a [(HeaderId, &'a [u8])],
}

impl Again<'_> {
    /// Writes it: Request-URI, body and all other fields are those of `request`, which
    /// must be of our own making.
    #[must_use]
    pub fn write(&self, scratch: &mut Vec<u8>, request: &Message) -> Packet {
        let (method, uri) = (request.method_text(), request.uri().unwrap_or_default());
        let mut draft = Draft::request(scratch, method, uri);
        for field in request.fields() {
            match field.id {
                HeaderId::Via => {
                    let by = field.value.split(|&byte| byte == b';').next();
                    let branch = self.branch.text();
                    let parts = [
                        by.unwrap_or_default(),
                        b";branch=z9hG4bK",
                        &branch,
                        b";rport",
                    ];
                    draft.put_parts(HeaderId::Via, &parts);
                }
                HeaderId::CSeq => {
                    let method = String::from_utf8_lossy(method);
                    draft.put_args(HeaderId::CSeq, format_args!("{} {method}", self.cseq));
                }
                id if self.put.iter().any(|(other, _)| *other == id) => {}
                _ => {
                    draft.put_named(field.name, field.value);
                }
            }
        }
        for (id, value) in self.put {
            draft.put(*id, value);
        }
        draft.seal(Some(request.body()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::token::Mint;
    use crate::sip::scan;

    #[test]
    fn all_but_what_is_new_is_as_it_was() {
        let text = "INVITE sip:1@c SIP/2.0\r\nVia: SIP/2.0/UDP [::1]:5060;branch=z9hG4bKold;rport\r\n\
                    From: <sip:a@b>;tag=f\r\nCSeq: 7 INVITE\r\nX-Other: x\r\nAuthorization: old\r\n\
                    Proxy-Authorization: other\r\nContent-Length: 4\r\n\r\nbody";
        let message = scan(bytes::Bytes::from(text)).unwrap();
        let branch = Mint::new(1).token();
        let again = Again {
            branch,
            cseq: 8,
            put: &[(HeaderId::Authorization, b"new")],
        };
        let packet = again.write(&mut Vec::new(), &message);
        let expected = format!(
            "INVITE sip:1@c SIP/2.0\r\nVia: SIP/2.0/UDP [::1]:5060;branch=z9hG4bK{branch};rport\r\n\
             From: <sip:a@b>;tag=f\r\nCSeq: 8 INVITE\r\nX-Other: x\r\nProxy-Authorization: other\r\n\
             Authorization: new\r\nContent-Length: 4\r\n\r\nbody"
        );
        assert_eq!(String::from_utf8_lossy(packet.as_ref()), expected);
    }
}
