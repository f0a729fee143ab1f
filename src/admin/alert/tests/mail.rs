//! Mail, handed to relays that are good, slow, mad or not who they say they are.

#![expect(
    clippy::disallowed_methods,
    reason = "how long a mailbox waits is measured"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{NOTE, message};
use crate::admin::alert::{Account, Anchors, Destination, Mailbox, RelayTls, Unsent, Webhook};
use crate::base::limits::ALERT_SEND_S;

/// How a relay of the tests behaves.
#[derive(Clone, Default)]
struct Relay {
    /// To commands that begin like this, it answers so.
    refuse: Option<(&'static str, &'static str)>,
    /// What it can do, besides.
    features: &'static str,
    tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte on.
    implicit: bool,
    /// What it adds to its answer to STARTTLS, in the clear.
    slips_in: &'static str,
}

trait Line: Read + Write + Send {}

impl<T: Read + Write + Send> Line for T {}

impl Relay {
    /// Takes one letter, and says what it was told; empty where TLS came to nothing.
    fn begin(self) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut said = String::new();
            // Whoever hangs up ends the conversation.
            let _ended = self.serve(stream, &mut said);
            said
        });
        (address, thread)
    }

    fn serve(&self, stream: TcpStream, said: &mut String) -> io::Result<()> {
        if self.implicit {
            return self.talk(self.secure(stream), said, true).map(drop);
        }
        let plain = Box::new(stream.try_clone()?);
        if self.talk(plain, said, true)? {
            return Ok(());
        }
        said.push_str("(TLS)\r\n");
        self.talk(self.secure(stream), said, false).map(drop)
    }

    fn secure(&self, stream: TcpStream) -> Box<dyn Line> {
        let config = self.tls.clone().unwrap();
        let connection = ServerConnection::new(config).unwrap();
        Box::new(StreamOwned::new(connection, stream))
    }

    /// Whether that was all, and not the beginning of TLS.
    fn talk(&self, line: Box<dyn Line>, said: &mut String, greets: bool) -> io::Result<bool> {
        let mut reader = BufReader::new(line);
        let mut answer = match greets {
            true => "220-relay\r\n220 ready\r\n".to_owned(),
            false => String::new(),
        };
        let mut data = false;
        loop {
            reader.get_mut().write_all(answer.as_bytes())?;
            reader.get_mut().flush()?;
            let mut line = String::new();
            loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(true);
                }
                said.push_str(&line);
                if !data || line == ".\r\n" {
                    break;
                }
            }
            data = line == "DATA\r\n";
            let word = line.split([' ', '\r']).next().unwrap();
            answer = match (word, self.refuse) {
                (_, Some((begin, with))) if line.starts_with(begin) => with.to_owned(),
                ("DATA", _) => "354 go on\r\n".to_owned(),
                ("EHLO", _) => format!("250-relay\r\n{}250 SIZE 1000\r\n", self.features),
                ("AUTH", _) => "235 welcome\r\n".to_owned(),
                ("QUIT", _) => "221 bye\r\n".to_owned(),
                ("STARTTLS", _) => {
                    let answer = format!("220 go on\r\n{}", self.slips_in);
                    reader.get_mut().write_all(answer.as_bytes())?;
                    return Ok(false);
                }
                _ => "250 well\r\n".to_owned(),
            };
        }
    }
}

/// Answers to whatever it is told, until nobody listens.
fn mad_relay(say: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while say(&mut stream).is_ok() {}
    });
    address
}

/// Who vouches for relays, and a relay's certificate for this name.
fn papers(name: &str) -> (Anchors, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .unwrap();
    let anchors = Anchors::read(authority.pem().as_bytes()).unwrap();
    (anchors, Arc::new(config))
}

fn mailbox(address: SocketAddr) -> Mailbox {
    Mailbox {
        relay: crate::policy::Relay {
            host: address.ip().to_string(),
            port: address.port(),
        },
        tls: None,
        account: None,
        from: "gate@example.net".to_owned(),
        to: vec!["a@example.net".to_owned(), "b@example.net".to_owned()],
    }
}

fn unsent(why: &str) -> Result<(), Unsent> {
    Err(Unsent(why.to_owned()))
}

#[test]
fn mail_is_handed_to_the_relay_or_kept() {
    let (address, thread) = Relay::default().begin();
    let mut to = mailbox(address);
    assert_eq!(
        to.name(),
        format!("mail a@example.net,b@example.net by {address}")
    );
    let mut one = message(2);
    one.text = ".begins with a dot, and 番号".to_owned();
    to.send(&one, NOTE).unwrap();
    let said = thread.join().unwrap();
    for part in [
        "MAIL FROM:<gate@example.net>\r\n",
        "RCPT TO:<b@example.net>\r\n",
        "Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n",
        "Subject: Tollgate: acme: 2 calls were refused",
        "Message-ID: <r-1@example.net>\r\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let body = said.split("\r\n\r\n").nth(1).unwrap();
    let body: Vec<&str> = body.lines().take_while(|it| *it != ".").collect();
    assert!(body.iter().all(|it| it.len() <= 76), "{body:?}");
    let text = BASE64.decode(body.concat()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.starts_with(".begins with a dot, and 番号\r\n"),
        "{text}"
    );
    assert!(text.ends_with(&NOTE.replace('\n', "\r\n")), "{text}");
    for refuse in ["RCPT", "DATA", "."] {
        let relay = Relay {
            refuse: Some((refuse, "451 later\r\n")),
            ..Relay::default()
        };
        let (address, thread) = relay.begin();
        let sent = mailbox(address).send(&one, NOTE);
        assert_eq!(sent, unsent("the relay answers 451"));
        thread.join().unwrap();
    }
}

#[test]
fn a_mailbox_that_is_gone_keeps_nothing_from_the_others() {
    let mailbox = |address| Mailbox {
        to: vec!["gone@example.net".to_owned(), "b@example.net".to_owned()],
        ..mailbox(address)
    };
    let refusing = |begin| Relay {
        refuse: Some((begin, "550 no such user\r\n")),
        ..Relay::default()
    };
    let (address, thread) = refusing("RCPT TO:<gone@").begin();
    mailbox(address).send(&message(1), NOTE).unwrap();
    assert!(thread.join().unwrap().contains("\r\n.\r\n"));
    let (address, thread) = refusing("RCPT").begin();
    let sent = mailbox(address).send(&message(1), NOTE);
    assert_eq!(sent, unsent("the relay answers 550"));
    thread.join().unwrap();
}

#[test]
fn a_letter_and_a_password_go_over_tls_or_not_at_all() {
    let (anchors, config) = papers("mail.example.net");
    let account = Account {
        username: "gate".to_owned(),
        password: "SECRET".to_owned(),
    };
    for implicit in [false, true] {
        let relay = Relay {
            features: "250-STARTTLS\r\n250-AUTH CRAM-MD5 PLAIN\r\n",
            tls: Some(Arc::clone(&config)),
            implicit,
            ..Relay::default()
        };
        let (address, thread) = relay.clone().begin();
        let mut to = Mailbox {
            tls: Some(RelayTls::new("mail.example.net", implicit, &anchors).unwrap()),
            account: Some(account.clone()),
            ..mailbox(address)
        };
        assert!(!format!("{to:?}").contains("SECRET"));
        to.send(&message(1), NOTE).unwrap();
        let said = thread.join().unwrap();
        let secret = BASE64.encode("\0gate\0SECRET");
        let (clear, covered) = match implicit {
            true => ("", said.as_str()),
            false => said.split_once("(TLS)\r\n").unwrap(),
        };
        let words = clear.lines().map(|it| it.split(' ').next().unwrap());
        let expected: &[&str] = match implicit {
            true => &[],
            false => &["EHLO", "STARTTLS"],
        };
        assert_eq!(words.collect::<Vec<_>>(), expected);
        assert!(
            covered.contains(&format!("AUTH PLAIN {secret}\r\n")),
            "{covered}"
        );
        assert!(covered.contains("\r\n.\r\n"), "{covered}");

        // Another's certificate, and one that nobody vouches for.
        let (strange, _) = papers("mail.example.net");
        for tls in [
            RelayTls::new("mail.example.com", implicit, &anchors),
            RelayTls::new("mail.example.net", implicit, &strange),
        ] {
            let (address, thread) = relay.clone().begin();
            to.relay.port = address.port();
            to.tls = Some(tls.unwrap());
            let Err(Unsent(why)) = to.send(&message(1), NOTE) else {
                panic!("it was sent");
            };
            assert!(why.starts_with("no TLS with mail.example."), "{why}");
            let said = thread.join().unwrap();
            assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
        }
    }
}

#[test]
fn a_web_server_is_told_over_tls_if_somebody_vouches_for_it() {
    let (anchors, config) = papers("localhost");
    let (strange, _) = papers("localhost");
    for (anchors, taken) in [(anchors, true), (strange, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let lines = stream.by_ref().lines().map_while(Result::ok);
            let said: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
            let answer = b"HTTP/1.1 204 Well\r\nConnection: close\r\n\r\n";
            // Who trusts nobody here has hung up.
            let _sent = stream.get_mut().write_all(answer);
            said
        });
        let url = format!("https://localhost:{port}/tollgate");
        let mut server = Webhook::new(&url, Some(b"key"), &anchors, || 0).unwrap();
        assert_eq!(server.send(&message(1), NOTE).is_ok(), taken);
        assert_eq!(thread.join().unwrap().is_empty(), !taken);
    }
}

#[test]
fn whoever_takes_starttls_out_gets_no_letter() {
    let (anchors, config) = papers("127.0.0.1");
    let tls = RelayTls::new("127.0.0.1", false, &anchors).unwrap();
    let (address, thread) = Relay::default().begin();
    let mut to = Mailbox {
        tls: Some(tls),
        ..mailbox(address)
    };
    let Err(Unsent(why)) = to.send(&message(1), NOTE) else {
        panic!("it was sent");
    };
    assert!(why.starts_with("the relay offers no STARTTLS"), "{why}");
    assert!(!thread.join().unwrap().contains("MAIL"));

    // What is slipped in before TLS is no answer to anything that is said over it.
    let relay = Relay {
        features: "250-STARTTLS\r\n",
        tls: Some(config),
        slips_in: "250 well\r\n250 well\r\n",
        refuse: Some(("MAIL", "554 no\r\n")),
        ..Relay::default()
    };
    let (address, thread) = relay.begin();
    to.relay.port = address.port();
    assert_eq!(to.send(&message(1), NOTE), unsent("the relay answers 554"));
    thread.join().unwrap();
}

#[test]
fn a_password_that_is_refused_is_said_and_not_shown() {
    let refusing = Relay {
        features: "250-AUTH PLAIN LOGIN\r\n",
        refuse: Some(("AUTH", "535 no\r\n")),
        ..Relay::default()
    };
    let (address, thread) = refusing.begin();
    let mut to = Mailbox {
        account: Some(Account {
            username: "gate".to_owned(),
            password: "SECRET".to_owned(),
        }),
        ..mailbox(address)
    };
    assert_eq!(
        to.send(&message(1), NOTE),
        unsent("the relay answers 535 to the password")
    );
    thread.join().unwrap();
    let (address, thread) = Relay::default().begin();
    to.relay.port = address.port();
    assert_eq!(
        to.send(&message(1), NOTE),
        unsent("the relay takes no password by PLAIN or LOGIN")
    );
    thread.join().unwrap();
}

#[test]
fn a_relay_that_floods_is_left_at_once() {
    for (flood, why) in [
        ("2".repeat(9_000), "the relay does not speak SMTP"),
        ("220-x\r\n".repeat(9_000), "the relay says too much"),
        (
            format!("220 {}", "x".repeat(9_000)),
            "the relay does not speak SMTP",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n".to_owned(),
            "the relay does not speak SMTP",
        ),
    ] {
        let begun = Instant::now();
        let address = mad_relay(move |stream| stream.write_all(flood.as_bytes()));
        assert_eq!(mailbox(address).send(&message(1), NOTE), unsent(why));
        assert!(begun.elapsed() < Duration::from_secs(ALERT_SEND_S));
    }
}

#[test]
fn a_relay_that_dawdles_is_given_up_in_time() {
    let begun = Instant::now();
    let address = mad_relay(|stream| {
        thread::sleep(Duration::from_millis(500));
        stream.write_all(b"220-on and on\r\n")
    });
    let sent = mailbox(address).send(&message(1), NOTE);
    let why = format!("the relay takes longer than {ALERT_SEND_S} s");
    assert_eq!(sent, unsent(&why));
    let limit = Duration::from_secs(ALERT_SEND_S + 2);
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
}
