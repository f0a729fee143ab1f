use super::*;
use FaultKind as F;

type Parts<'a> = (Option<&'a str>, &'a str, &'a str);

fn parts(text: &str) -> Result<Parts<'_>, FaultKind> {
    let text_of = |part| std::str::from_utf8(part).unwrap();
    NameAddr::parse(text.as_bytes())
        .map(|found| {
            let display = found.display.map(text_of);
            (display, text_of(found.uri_text), text_of(found.params))
        })
        .map_err(|fault| fault.kind)
}

#[test]
fn addresses_of_every_form() {
    for (text, expected) in [
        ("<sip:a@b>", (None, "sip:a@b", "")),
        ("sip:a@b", (None, "sip:a@b", "")),
        ("sip:a@b;tag=1;x", (None, "sip:a@b", ";tag=1;x")),
        (
            "sip:a@b ;   tag    = 1n",
            (None, "sip:a@b", ";   tag    = 1n"),
        ),
        ("<sip:a@b;lr>;tag=1", (None, "sip:a@b;lr", ";tag=1")),
        (
            "caller<sip:a@b>;tag=3",
            (Some("caller"), "sip:a@b", ";tag=3"),
        ),
        (
            "T. \r\n Watson\t<sip:a@b>",
            (Some("T. \r\n Watson"), "sip:a@b", ""),
        ),
        ("\"\" <sip:a@b>", (Some(""), "sip:a@b", "")),
        (
            "\"J \\\\\\\"\"  <sip:a@b>\r\n ;\r\n tag = 9",
            (Some("J \\\\\\\""), "sip:a@b", ";\r\n tag = 9"),
        ),
        (
            "\"a\u{20}\u{431} <,;>\"<sip:a>",
            (Some("a б <,;>"), "sip:a", ""),
        ),
        ("isbn:2983792873", (None, "isbn:2983792873", "")),
        (
            "<http://www.example.com>;tag=3",
            (None, "http://www.example.com", ";tag=3"),
        ),
        ("<sip:a?b=c>;x=\"q;,\"", (None, "sip:a?b=c", ";x=\"q;,\"")),
        (
            "<sip:a>;received=[::1]:5060",
            (None, "sip:a", ";received=[::1]:5060"),
        ),
    ] {
        assert_eq!(parts(text), Ok(expected), "{text}");
    }
}

#[test]
fn faults_of_addresses() {
    for (text, kind) in [
        ("", F::DisplayName),
        ("/", F::DisplayName),
        ("*", F::DisplayName),
        ("a@b", F::DisplayName),
        ("\"Mr. J. User <sip:a@b>", F::QuotedString),
        ("\"a\\", F::QuotedString),
        ("\"a\\\" <sip:a@b>", F::QuotedString),
        ("\"a\\\r\n b\" <sip:a@b>", F::QuotedString),
        ("\"a\u{7}\" <sip:a@b>", F::QuotedString),
        ("\"a\rb\" <sip:a@b>", F::QuotedString),
        ("\"a\" sip:a@b", F::NameAddr),
        ("\"a\" \"b\" <sip:a@b>", F::NameAddr),
        ("Bell, Alexander <sip:a@b>", F::DisplayName),
        ("a@b <sip:a@b>", F::DisplayName),
        ("\u{431} <sip:a@b>", F::DisplayName),
        ("< sip:a@b>", F::NameAddr),
        ("<sip:a@b >", F::NameAddr),
        ("<sip:a@b", F::NameAddr),
        ("<sip:a<b>", F::NameAddr),
        ("<>", F::NameAddr),
        ("<a@b>", F::NameAddr),
        ("<sip:>", F::NameAddr),
        ("<sip:a>sip:b", F::NameAddr),
        ("<sip:a> b", F::NameAddr),
        ("<sip:a>,<sip:b>", F::NameAddr),
        ("sip:a b", F::NameAddr),
        ("sip:", F::NameAddr),
        ("sip:;tag=1", F::NameAddr),
        ("sip:a?Route=b", F::BareAddress),
        ("<sip:a>;;tag=1", F::Param),
        ("<sip:a>;", F::Param),
        ("<sip:a>;=b", F::Param),
        ("<sip:a>;tag=", F::Param),
        ("<sip:a>;tag=a b", F::NameAddr),
        ("<sip:a>;x=\"b", F::QuotedString),
    ] {
        assert_eq!(parts(text), Err(kind), "{text:?}");
    }
}

#[test]
fn tags_are_tokens_and_given_once() {
    let tag = |text: &str| {
        let address = NameAddr::parse(text.as_bytes()).unwrap();
        match NameAddr::parse_tagged(text.as_bytes()) {
            Ok((tagged, tag)) => {
                assert_eq!((tagged, tag), (address, address.tag()));
                Ok(tag.map(|tag| tag.escape_ascii().to_string()))
            }
            Err(fault) => Err(fault.kind),
        }
    };
    assert_eq!(tag("<sip:a>"), Ok(None));
    assert_eq!(tag("<sip:a;tag=1>"), Ok(None));
    assert_eq!(tag("<sip:a>;x; TAG = 1 ;y"), Ok(Some("1".to_owned())));
    for bad in [
        "<sip:a>;tag",
        "<sip:a>;tag=\"1\"",
        "<sip:a>;tag=[",
        "<sip:a>;tag=1;tag=1",
    ] {
        assert_eq!(tag(bad), Err(F::Tag), "{bad}");
    }
    let long = format!("<sip:a>;tag={}", "1".repeat(MAX_TAG + 1));
    assert_eq!(tag(&long), Err(F::Tag));
}

#[test]
fn lists() {
    let read = |text: &'static str| {
        NameAddr::parse_list(text.as_bytes())
            .map(|item| match item {
                Ok(address) => Ok(address.uri_text.escape_ascii().to_string()),
                Err(fault) => Err((fault.kind, fault.at)),
            })
            .collect::<Vec<_>>()
    };
    let good = |uri: &str| Ok(uri.to_owned());
    assert_eq!(
        read("<sip:a;lr>;x=\",\" ,\r\n \"b,\" <sip:b,c>,sip:d"),
        [good("sip:a;lr"), good("sip:b,c"), good("sip:d")]
    );
    assert_eq!(read("<sip:a>,"), [Err((F::List, 7))]);
    assert_eq!(
        read("<sip:a> ,, <sip:b>"),
        [good("sip:a"), Err((F::DisplayName, 9))]
    );
    assert_eq!(read("<sip:a>;"), [Err((F::Param, 8))]);
}
