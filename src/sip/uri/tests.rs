use super::*;
use FaultKind as F;

fn sip_uri(text: &str) -> SipUri<'_> {
    match Uri::parse(text.as_bytes()) {
        Ok(Uri::Sip(uri)) => uri,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_part_of_a_sip_uri() {
    let uri = sip_uri("SIPS:+81-3;isub=1:pw&@[2001:db8::1]:5061;user=phone;lr?Route=a&b=");
    assert!(uri.secure);
    assert_eq!(uri.user, Some(b"+81-3;isub=1".as_slice()));
    assert_eq!(uri.password, Some(b"pw&".as_slice()));
    assert_eq!(uri.host, Host::Ip("2001:db8::1".parse().unwrap()));
    assert_eq!(uri.port, Some(5061));
    assert_eq!(uri.params, b";user=phone;lr");
    assert_eq!(uri.headers, Some(b"Route=a&b=".as_slice()));
    assert_eq!(uri.param(b"USER"), Some(Some(b"phone".as_slice())));
    assert_eq!(uri.param(b"lr"), Some(None));
    assert_eq!(uri.param(b"transport"), None);
    assert_eq!(uri.params().count(), 2);
}

#[test]
fn the_least_sip_uri() {
    let uri = sip_uri("sip:gw");
    let expected = SipUri {
        secure: false,
        user: None,
        password: None,
        host: Host::Name(b"gw"),
        port: None,
        params: b"",
        headers: None,
    };
    assert_eq!(uri, expected);
}

#[test]
fn users_are_left_as_they_came() {
    for user in [
        "%2530442071838750",
        "sips%3Auser%40example.com",
        "null-%00-null",
        "user;par=u%40example.net",
        "*010",
        "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
    ] {
        let text = format!("sip:{user}@h");
        assert_eq!(sip_uri(&text).user, Some(user.as_bytes()));
    }
    assert_eq!(sip_uri("sip:a:@h").password, Some(b"".as_slice()));
}

#[test]
fn faults_of_sip_uris() {
    for (text, kind, at) in [
        ("", F::Uri, 0),
        ("sip", F::Uri, 0),
        ("sip:", F::Host, 4),
        ("sip:@h", F::UserInfo, 4),
        ("sip::pw@h", F::UserInfo, 4),
        ("sip:a@", F::Host, 6),
        ("sip:a b@h", F::UserInfo, 5),
        ("sip:#1@h", F::UserInfo, 4),
        ("sip:\u{ff11}@h", F::UserInfo, 4),
        ("sip:a@b@h", F::UserInfo, 7),
        ("sip:a@h;x=b@c", F::UserInfo, 11),
        ("sip:a:b:c@h", F::UserInfo, 7),
        ("sip:a:b;c@h", F::UserInfo, 7),
        ("sip:a%4@h", F::Escape, 5),
        ("sip:a%4", F::Uri, 5),
        ("sip:a:%zz@h", F::Escape, 6),
        ("sip:h;a=%4", F::Escape, 8),
        ("sip:h;a=%", F::Escape, 8),
        ("sip:h;;lr", F::Uri, 6),
        ("sip:h;", F::Uri, 6),
        ("sip:h;a=", F::Uri, 8),
        ("sip:h;a=b=c", F::Uri, 9),
        ("sip:h:0", F::Port, 6),
        ("sip:h:", F::Port, 6),
        ("sip:h:65536", F::Port, 6),
        ("sip:h:18446744073709556676", F::Port, 6),
        ("sip:h:5060x", F::Uri, 10),
        ("sip:h/", F::Uri, 5),
        ("sip:h?a\"", F::Uri, 7),
        ("sip:2001:db8::10", F::Host, 4),
        ("sip:a:b:::", F::Port, 6),
        ("sip:[::1", F::Host, 4),
        ("sip:<a@h>", F::UserInfo, 4),
    ] {
        let fault = Uri::parse(text.as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.at), (kind, at), "{text}");
    }
}

#[test]
fn tel_uris() {
    let Ok(Uri::Tel(uri)) = Uri::parse(b"tel:7042;phone-context=+8133557;x") else {
        panic!("no tel URI");
    };
    assert_eq!(
        (uri.number, uri.params),
        (b"7042".as_slice(), b";phone-context=+8133557;x".as_slice())
    );
    assert_eq!(
        uri.param(b"Phone-Context"),
        Some(Some(b"+8133557".as_slice()))
    );
    assert_eq!(uri.params().last(), Some((b"x".as_slice(), None)));
    for good in ["TEL:+44-20-7183-8750", "tel:(03).1*#", "tel:+"] {
        let read = matches!(Uri::parse(good.as_bytes()), Ok(Uri::Tel(_)));
        assert_eq!(read, good != "tel:+", "{good}");
    }
    for bad in [
        "tel:",
        "tel:;a",
        "tel:1;",
        "tel:%31",
        "tel:1 2",
        "tel:1@h",
        "tel:++1",
        "tel:1;a=%4",
    ] {
        assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn other_schemes() {
    let urn: &[u8] = b"urn:service:sos.fire";
    assert_eq!(Uri::parse(urn), Ok(Uri::Urn(urn)));
    for (text, scheme) in [
        ("soap.beep://192.0.2.103:3002", "soap.beep"),
        (
            "nobodyKnowsThisScheme:totallyopaquecontent",
            "nobodyKnowsThisScheme",
        ),
        ("siP5:a", "siP5"),
    ] {
        let scheme = scheme.as_bytes();
        assert_eq!(Uri::parse(text.as_bytes()), Ok(Uri::Other { scheme }));
    }
    for bad in [
        "urn:", "a", "1a:b", ":b", "a b:c", "a:b c", "a:%4", "*", "urn:a\0",
    ] {
        assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn headers_in_a_uri() {
    let text: &[u8] = b"sip:b@c?Subject=x&replaces=a%40b%3Bto-tag%3D7%3bfrom-tag=8&e%2Df=";
    let Ok(Uri::Sip(uri)) = Uri::parse(text) else {
        panic!();
    };
    let of = |name: &str| {
        uri.header(name.as_bytes())
            .map(|it| String::from_utf8(it).unwrap())
    };
    assert_eq!(of("Replaces").as_deref(), Some("a@b;to-tag=7;from-tag=8"));
    assert_eq!(of("subject").as_deref(), Some("x"));
    assert_eq!(of("E-F").as_deref(), Some(""));
    assert_eq!(of("Body"), None);
    assert_eq!(super::unescaped(b"%4"), b"%4");
    assert_eq!(super::unescaped(b"%zz%00%"), b"%zz\0%");
}
