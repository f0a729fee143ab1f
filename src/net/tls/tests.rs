//! What is made of files, good ones and others.

use std::cell::Cell;
use std::collections::BTreeMap;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::policy::samples::{rules, tenant};

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[listen]]
address = "tls:127.0.0.1:5061"
certificate = "own.pem"
key = "own.key"
client_ca = "clients.pem"
[[carrier]]
name = "upstream"
address = "tls:127.0.0.2"
tls_name = "sip.carrier.invalid"
certificate = "own.pem"
key = "own.key"
sources = ["127.0.0.2/32"]
number_format = "e164"
"#;

/// How the phone system is called.
const INBOUND: &str = r#"
[inbound]
deliver_to = "tls:127.0.0.3:5071"
ca = "clients.pem"
"#;

/// A certificate that is over at the end of this year, and its key.
fn papers(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["sip.invalid".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// The names of files, and what is in them.
type Folder = BTreeMap<&'static str, String>;

fn folder() -> Folder {
    let (certificate, key) = papers(2099);
    let (trusted, _) = papers(2098);
    Folder::from([
        ("own.pem", certificate),
        ("own.key", key),
        ("clients.pem", trusted.clone()),
        ("", trusted),
    ])
}

fn load(folder: &Folder) -> (Tls, Vec<TlsFault>) {
    let read = |path: Option<&str>| {
        let file = folder.get(path.unwrap_or_default());
        let file = file.ok_or_else(|| "no such file".to_owned())?;
        Ok(file.clone().into_bytes())
    };
    let now = super::super::clock::now().wall;
    Tls::load(&rules(MAIN, &tenant("127.0.0.3/32", INBOUND)), &read, now)
}

/// What there is: the listener, the carrier, the phone system.
fn made(tls: &Tls) -> (bool, usize) {
    (tls.server(ListenerId(1)).is_some(), tls.clients.len())
}

#[test]
fn each_file_is_read_once() {
    let (folder, reads) = (folder(), Cell::new(0));
    let read = |path: Option<&str>| {
        reads.set(reads.get() + 1);
        Ok(folder[path.unwrap_or_default()].clone().into_bytes())
    };
    let rules = rules(MAIN, &tenant("127.0.0.3/32", INBOUND));
    let (tls, faults) = Tls::load(&rules, &read, Wall::default());
    assert_eq!((faults.len(), made(&tls), reads.get()), (0, (true, 2), 4));
    let expiries = tls.expiries().iter();
    let paths: Vec<&str> = expiries.map(|it| it.file.path.as_str()).collect();
    // What the system trusts is not the owner's to renew.
    assert_eq!(paths, ["own.pem", "clients.pem"]);
    let end: jiff::Timestamp = "2099-12-31T00:00:00Z".parse().unwrap();
    assert_eq!(
        tls.expiries()[0].until,
        Wall::from_micros(end.as_microsecond())
    );
}

#[test]
fn a_further_certificate_that_is_faulty_leaves_the_others() {
    let more =
        "[[listen.certificates]]\ncertificate = \"other.pem\"\nkey = \"other.key\"\n[[carrier]]";
    let main = MAIN.replace("[[carrier]]", more);
    let rules = rules(&main, &tenant("127.0.0.3/32", INBOUND));
    let nameless = {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(Vec::new()).unwrap();
        (made.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    for (papers, title) in [
        (Some(papers(2099)), None),
        (Some(nameless), Some("for no name that anybody can ask for")),
        (None, Some("cannot be read")),
    ] {
        let mut folder = folder();
        if let Some((certificate, key)) = papers {
            folder.extend([("other.pem", certificate), ("other.key", key)]);
        }
        let read = |path: Option<&str>| {
            let file = folder.get(path.unwrap_or_default());
            file.map(|it| it.clone().into_bytes())
                .ok_or_else(|| "no".to_owned())
        };
        let (tls, faults) = Tls::load(&rules, &read, Wall::default());
        assert_eq!(made(&tls), (true, 2));
        assert_eq!(faults.is_empty(), title.is_none(), "{faults:?}");
        let told = |title: &str| faults.iter().any(|it| it.title.contains(title));
        assert!(title.is_none_or(told), "{faults:?}");
    }
}

#[test]
fn what_is_faulty_is_left_out_and_told_once() {
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let other = papers(2099);
    for (name, text, title, left) in [
        (
            "own.pem",
            "",
            "there is no certificate in `own.pem`",
            (false, 1),
        ),
        ("own.pem", nonsense, "`own.pem` cannot be used", (false, 1)),
        (
            "own.pem",
            &other.0,
            "`own.key` is not the key of `own.pem`",
            (false, 1),
        ),
        (
            "own.key",
            "",
            "there is no private key in `own.key`",
            (false, 1),
        ),
        (
            "own.key",
            &other.1,
            "`own.key` is not the key of `own.pem`",
            (false, 1),
        ),
        (
            "clients.pem",
            "hello",
            "there is no certificate in `clients.pem`",
            (false, 1),
        ),
        (
            "clients.pem",
            nonsense,
            "none of these certificates can vouch",
            (false, 1),
        ),
        (
            "clients.pem",
            "-----BEGIN CERTIFICATE-----\n?",
            "`clients.pem` is no file of certificates",
            (false, 1),
        ),
        (
            "",
            "",
            "there is no certificate in `the system's file",
            (true, 1),
        ),
    ] {
        let mut folder = folder();
        folder.insert(name, text.to_owned());
        let (tls, faults) = load(&folder);
        assert_eq!(faults.len(), 1, "{name} {text}: {faults:?}");
        assert!(faults[0].title.contains(title), "{faults:?}");
        assert!(!faults[0].help.is_empty() && !faults[0].expired);
        assert_eq!(made(&tls), left, "{name} {text}");
    }
    for name in ["own.pem", "own.key", "clients.pem", ""] {
        let mut folder = folder();
        folder.remove(name);
        let (_, faults) = load(&folder);
        let [fault] = &faults[..] else {
            panic!("{name}: {faults:?}")
        };
        assert_eq!(fault.title, "cannot be read: no such file");
    }
}

#[test]
fn what_has_expired_is_used_and_told() {
    let mut folder = folder();
    let (certificate, key) = papers(2015);
    folder.insert("own.pem", certificate);
    folder.insert("own.key", key);
    let (tls, faults) = load(&folder);
    assert_eq!(made(&tls), (true, 2));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].expired);
    assert_eq!(faults[0].title, "the certificate in `own.pem` has expired");
}
