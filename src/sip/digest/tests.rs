use proptest::prelude::*;

use super::*;

const MUFASA: Account<'_> = Account {
    username: b"Mufasa",
    password: b"Circle of Life",
};

/// RFC 7616 §3.9.1's credentials, with either algorithm.
fn mufasa(algorithm: &str, response: &str) -> String {
    format!(
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
         algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
         nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
         response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    )
}

fn challenge(value: &str) -> Challenge<'_> {
    Challenge::parse(value.as_bytes()).unwrap().unwrap()
}

fn credentials(value: &[u8]) -> Credentials<'_> {
    Credentials::parse(value).unwrap().unwrap()
}

#[test]
fn the_examples_of_rfc_7616() {
    let right = [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ];
    for (algorithm, response) in right {
        let text = mufasa(algorithm, response);
        let said = credentials(text.as_bytes());
        assert!(MUFASA.gave(&said, b"GET"), "{algorithm}");
        assert!(!MUFASA.gave(&said, b"PUT"), "{algorithm}");
    }
}

/// RFC 7616 §3.9.2 shows an answer that is not the one its own rules give (errata
/// 4897). This one is what another program makes of the same example.
#[test]
fn sha_512_256_is_sha_512_256() {
    let account = Account {
        username: "Jäsøn Doe".as_bytes(),
        password: b"Secret, or not?",
    };
    let text = "Digest username=\"Jäsøn Doe\", realm=\"api@example.org\", uri=\"/doe.json\", \
                algorithm=SHA-512-256, nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
                nc=00000001, cnonce=\"NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm\", qop=auth, \
                response=\"7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c\"";
    assert!(account.gave(&credentials(text.as_bytes()), b"GET"));
}

/// RFC 2617 §3.5, as SIP devices have it to this day.
#[test]
fn the_example_of_rfc_2617() {
    let account = Account {
        username: b"Mufasa",
        password: b"Circle Of Life",
    };
    let asked = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                 nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
                 opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let challenge = challenge(asked);
    let answer = Answer {
        challenge: &challenge,
        cnonce: b"0a4f113b",
        count: 1,
    };
    let asked = Asked {
        method: b"GET",
        uri: b"/dir/index.html",
    };
    let value = answer.write(&account, &asked).unwrap();
    let said = credentials(&value);
    assert_eq!(said.response, b"6629fae49393a05397450978507c4ef1");
    assert!(
        value.ends_with(b"qop=auth, nc=00000001, cnonce=\"0a4f113b\""),
        "{value:?}"
    );
}

#[test]
fn a_challenge_without_protection_is_answered_as_rfc_2069_has_it() {
    let challenge = challenge("digest realm=\"r\", nonce=\"n\"");
    let answer = Answer {
        challenge: &challenge,
        cnonce: b"unused",
        count: 1,
    };
    let asked = Asked {
        method: b"REGISTER",
        uri: b"sip:r",
    };
    let value = answer.write(&MUFASA, &asked).unwrap();
    let value = String::from_utf8(value).unwrap();
    assert!(
        !value.contains("cnonce") && !value.contains("qop"),
        "{value}"
    );
    assert!(value.contains("uri=\"sip:r\""));
    // And nobody is let in with such an answer.
    assert_eq!(Credentials::parse(value.as_bytes()), Err(FAULT));
}

#[test]
fn what_cannot_be_answered_is_said() {
    let asked = |more: &str| format!("Digest realm=\"r\", nonce=\"n\"{more}");
    for more in [
        ", qop=\"auth-int\"",
        ", algorithm=AKAv1-MD5",
        ", algorithm=MD5-sess",
    ] {
        assert_eq!(challenge(&asked(more)).answerable(), None, "{more}");
    }
    for more in [
        "",
        ", qop=auth, algorithm=SHA-256-sess",
        ", qop=\"x , AUTH\"",
    ] {
        assert!(challenge(&asked(more)).answerable().is_some(), "{more}");
    }
    assert_eq!(Challenge::parse(b"Basic realm=\"r\""), Ok(None));
}

#[test]
fn what_has_two_meanings_is_refused() {
    let faulty = [
        "",
        "Digest",
        "Digest ",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n\",",
        "Digest realm=\"r\" nonce=\"n\"",
        "Digest realm=\"r\", realm=\"s\", nonce=\"n\"",
        "Digest realm=\"r\\\"s\", nonce=\"n\"",
        "Digest realm=\"r\r\n s\", nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n",
        "Digest realm=, nonce=\"n\"",
        "Digest=\"r\", nonce=\"n\"",
    ];
    for value in faulty {
        assert_eq!(Challenge::parse(value.as_bytes()), Err(FAULT), "{value:?}");
    }
    let sound = mufasa("MD5", "8ca523f5e9506fed4657c9700eebdbec");
    for (part, other) in [
        ("nc=00000001", "nc=00000000"),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=0000000g"),
        ("nc=00000001, ", ""),
        ("qop=auth", "qop=auth-int"),
        ("qop=auth, ", ""),
        ("algorithm=MD5", "algorithm=MD4"),
        ("Digest ", "Digest userhash=true, "),
        ("username", "username*"),
    ] {
        let text = sound.replacen(part, other, 1);
        assert_eq!(Credentials::parse(text.as_bytes()), Err(FAULT), "{text}");
    }
}

/// All but what ends a quoted string or has two meanings in one.
fn text() -> impl Strategy<Value = String> {
    "[ !#-\\[\\]-~]{0,20}"
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.map(|it| it.0).to_vec())
}

proptest! {
    /// Whatever is asked, the answer that is written is the one that is taken; and no
    /// other one is.
    #[test]
    fn an_answer_is_taken_and_no_other(
        (username, password, realm, nonce, uri) in (text(), text(), text(), text(), text()),
        opaque in prop::option::of(text()),
        algorithm in any_algorithm(),
        (count, digit) in (1_u32.., 0_usize..32),
    ) {
        let opaque = opaque.map_or_else(String::new, |it| format!(", opaque=\"{it}\""));
        let asked = format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{opaque}"
        );
        let challenge = challenge(&asked);
        let account = Account { username: username.as_bytes(), password: password.as_bytes() };
        let asked = Asked { method: b"INVITE", uri: uri.as_bytes() };
        let answer = Answer { challenge: &challenge, cnonce: b"own", count };
        let mut value = answer.write(&account, &asked).unwrap();
        let said = credentials(&value);
        prop_assert_eq!((said.uri, said.nonce, said.count), (uri.as_bytes(), nonce.as_bytes(), count));
        prop_assert!(account.gave(&said, b"INVITE"));
        prop_assert!(!account.gave(&said, b"BYE"));
        let others = [
            Account { password: b"no text gives this one\n", ..account },
            Account { username: b"\n", ..account },
        ];
        prop_assert!(others.iter().all(|other| !other.gave(&said, b"INVITE")));
        // One digit of the answer off.
        let response = String::from_utf8_lossy(&value).rfind("response=\"").unwrap() + 10;
        value[response + digit] = if value[response + digit] == b'0' { b'1' } else { b'0' };
        prop_assert!(!account.gave(&credentials(&value), b"INVITE"));
    }

    /// Nothing that a peer sends breaks the readers.
    #[test]
    fn any_bytes_are_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..400) {
        let _ = (Challenge::parse(&value), Credentials::parse(&value));
        let sound = mufasa("SHA-256", "00");
        let mut damaged = sound.as_bytes()[..cut.min(sound.len())].to_vec();
        damaged.extend(value);
        let _ = (Challenge::parse(&damaged), Credentials::parse(&damaged));
    }
}
