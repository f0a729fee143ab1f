//! An INVITE as a business phone system sends it, about 0.9 kB, and the reading of
//! every field of it that a back-to-back user agent needs. Shared by the parsing
//! benchmark and the test that parsing does not allocate.

use bytes::Bytes;
use std::hint::black_box;
use tollgate::sip::fields::{self, MethodSet, SessionExpires};
use tollgate::sip::{Essentials, Fault, HeaderId, Message};

/// The `n`th of as many INVITEs as one likes: caller, called number, tags, branch,
/// Call-ID, addresses and ports differ, and with them where everything stands.
pub(crate) fn invite(n: usize) -> Bytes {
    let mixed = n.wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
    let (called, caller) = (31_000_000 + mixed % 60_000_000, 335_570_000 + n % 1000);
    let host = format!("10.{}.{}.{}", n % 7, n % 200, mixed % 250);
    let gateway = format!("192.0.2.{}", n % 250);
    let (port, name) = match n % 3 {
        0 => (5060, "Front Desk"),
        1 => (5080, "Sales"),
        _ => (35_061, "Accounting, 2nd floor"),
    };
    let digits = match n / 3 % 3 {
        0 => "",
        1 => "12",
        _ => "4711",
    };
    let sdp = format!(
        "v=0\r\no=- {mixed} {mixed} IN IP4 {host}\r\ns=LabPBX\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0 8 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
        10_000 + mixed % 20_000,
    );
    let text = format!(
        "INVITE sip:+8133{called}{digits}@{gateway}:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{mixed}-{n}-0;rport\r\n\
         Max-Forwards: 70\r\n\
         From: \"{name}\" <sip:+81{caller}@{host}:{port}>;tag={mixed}SIPpTag00{n}\r\n\
         To: <sip:+8133{called}{digits}@{gateway}:5060;user=phone>\r\n\
         Call-ID: {n}-{mixed}@{host}\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:+81{caller}@{host}:{port};transport=UDP>\r\n\
         P-Asserted-Identity: <sip:+81{caller}@{host}>\r\n\
         User-Agent: LabPBX 4.2\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE, PRACK\r\n\
         Supported: replaces, timer, 100rel\r\n\
         Session-Expires: 1800;refresher=uac\r\n\
         Min-SE: 90\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len(),
    );
    Bytes::from(text)
}

/// Reads all that judging, answering and relaying the INVITE takes.
///
/// # Errors
/// The first fault, which these messages do not have.
pub(crate) fn read(message: &Message) -> Result<(), Fault> {
    if let Some(fault) = message.fault() {
        return Err(fault);
    }
    let essentials = Essentials::parse(message)?;
    black_box(&essentials);
    seen(&fields::request_uri(message))?;
    seen(&essentials.from.uri())?;
    if let Some(contact) = fields::contact(message)? {
        seen(&contact.uri())?;
    }
    for identity in fields::addresses(message, HeaderId::PAssertedIdentity) {
        seen(&identity?.uri())?;
    }
    for route in fields::routes(message) {
        seen(&route?.uri())?;
    }
    for id in [HeaderId::Supported, HeaderId::Require] {
        for tag in fields::option_tags(message, id) {
            black_box(tag);
        }
    }
    black_box(MethodSet::allow(message));
    seen(&SessionExpires::of(message))?;
    seen(&fields::min_se(message))?;
    for value in fields::privacy(message) {
        black_box(value);
    }
    black_box(message.first(HeaderId::ContentType));
    black_box(message.first(HeaderId::Replaces));
    black_box(message.body());
    Ok(())
}

/// Makes the compiler believe that the value is used, where it is.
fn seen<T>(value: &Result<T, Fault>) -> Result<(), Fault> {
    match black_box(value) {
        Ok(_) => Ok(()),
        Err(fault) => Err(*fault),
    }
}
