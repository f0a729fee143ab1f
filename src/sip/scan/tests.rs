use super::*;

fn read(text: &str) -> Result<Message, Unreadable> {
    scan(Bytes::copy_from_slice(
        text.replace('\n', "\r\n").as_bytes(),
    ))
}

#[test]
fn a_request_is_indexed() {
    let message = read(
        "INVITE sip:+81335571234@gw SIP/2.0\nv: SIP/2.0/UDP a\nCall-ID : x@y \nX-Other: a\n b\n\
         Via: SIP/2.0/UDP b\nl: 3\n\nabcdef",
    )
    .unwrap();
    assert_eq!(message.fault(), None);
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(message.uri(), Some(b"sip:+81335571234@gw".as_slice()));
    assert_eq!(message.call_id(), b"x@y");
    let vias: Vec<_> = message.all(HeaderId::Via).collect();
    assert_eq!(vias, [b"SIP/2.0/UDP a", b"SIP/2.0/UDP b"]);
    assert_eq!(message.body(), b"abc");
    let other = message.fields().nth(2).unwrap();
    assert_eq!(
        (other.name, other.value),
        (b"X-Other".as_slice(), b"a\r\n b".as_slice())
    );
}
