//! Alerts to a web server, as JSON by POST, signed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde::Serialize;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::base::limits::ALERT_SEND_S;

use super::trust::{Anchors, TrustFault};
use super::{Destination, Message, Unsent};

/// A web server.
///
/// The body is the [`Message`], and in `checkpoint` the ledger's last checkpoint as it
/// was signed. `Tollgate-Time` says when it was sent, in seconds
/// since the epoch; `Tollgate-Signature` is `sha256=` and the HMAC-SHA-256 (RFC 2104)
/// in hexadecimal digits of that number, a dot, and the body.
pub struct Webhook {
    url: String,
    key: Option<hmac::Key>,
    agent: ureq::Agent,
    clock: fn() -> u64,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// What is posted.
#[derive(Serialize)]
struct Body<'m> {
    #[serde(flatten)]
    message: &'m Message,
    #[serde(skip_serializing_if = "str::is_empty")]
    checkpoint: &'m str,
}

impl Webhook {
    /// What the server at this URL is called. What follows the host is often a
    /// secret of the server's, and stands for itself by a part of its hash alone.
    #[must_use]
    pub fn name_of(url: &str) -> String {
        let host = url.split('/').nth(2).unwrap_or_default();
        let [a, b, c, d, ..] = *blake3::hash(url.as_bytes()).as_bytes();
        format!("webhook {host} {a:02x}{b:02x}{c:02x}{d:02x}")
    }

    /// A web server; `anchors` vouch for it, and `clock` says the seconds since the epoch.
    ///
    /// # Errors
    /// [`TrustFault`]: there is nobody who can vouch for it, and TLS needs somebody.
    pub fn new(
        url: &str,
        secret: Option<&[u8]>,
        anchors: &Anchors,
        clock: fn() -> u64,
    ) -> Result<Self, TrustFault> {
        if url.starts_with("https:") {
            anchors.client()?;
        }
        let anchors = anchors.all().map(|it| Certificate::from_der(it).to_owned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(anchors.collect())))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(ALERT_SEND_S)))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Ok(Self {
            url: url.to_owned(),
            key: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)),
            agent: ureq::Agent::new_with_config(config),
            clock,
        })
    }
}

/// What the signature's header says of a body that is sent at this time.
fn signature(key: &hmac::Key, seconds: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(seconds.as_bytes());
    context.update(b".");
    context.update(body);
    let tag = context.sign();
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

impl Destination for Webhook {
    fn name(&self) -> String {
        Self::name_of(&self.url)
    }

    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent> {
        let body = Body {
            message,
            checkpoint,
        };
        let body = serde_json::to_vec(&body).map_err(|error| Unsent(error.to_string()))?;
        let seconds = (self.clock)().to_string();
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Tollgate-Time", &seconds);
        if let Some(key) = &self.key {
            request = request.header("Tollgate-Signature", signature(key, &seconds, &body));
        }
        let response = request.send(&body).map_err(|error| Unsent(fault(&error)))?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            code => Err(Unsent(refusal(code))),
        }
    }
}

/// What the server's code means for whoever set it up.
fn refusal(code: u16) -> String {
    let then = match code {
        300..=399 => "which leads elsewhere and is not followed: write that address as `url`",
        401 | 403 => "so it lets nobody in: see what its `url` or its secret has to be",
        404 | 405 | 410 => "so it takes nothing there: see the path in `url`",
        429 => "so it has had too much: it gets the rest later",
        500..=599 => "which is a fault of its own: see its log",
        _ => "and not 200: see its log",
    };
    format!("the server answers {code}, {then}")
}

/// Why it was not reached, without what follows the host in its URL.
fn fault(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!(
            "the server does not answer within {ALERT_SEND_S} s: see whether it hangs, and whether \
             a firewall lets Tollgate out to it"
        ),
        ureq::Error::HostNotFound => {
            "nobody knows the server's name: see `url`, and this machine's DNS".to_owned()
        }
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nobody listens there: start the server, or correct the host and port in `url`"
                    .to_owned()
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => {
                "the server closes the connection without an answer: see its log, and whether \
                 `url` should begin with https"
                    .to_owned()
            }
            _ => format!("the server is not reached: {error}"),
        },
        error => format!("the server is not understood: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    /// What is said of a server.
    fn said_at(address: SocketAddr) -> String {
        let url = format!("http://{address}/secret");
        let mut webhook = Webhook::new(&url, None, &Anchors::default(), || 0).unwrap();
        let mut voice = super::super::Voice {
            configuration: String::new(),
            run: String::new(),
            count: 0,
        };
        let message = voice.trial(crate::base::time::Wall::default());
        let said = webhook.send(&message, "").unwrap_err().0;
        assert!(!said.contains("/secret"), "{said}");
        said
    }

    /// The same of one that does this with the first connection.
    fn said_of(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let said = said_at(address);
        serving.join().unwrap();
        said
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let gone = said_at(address);
        assert!(
            gone.starts_with("nobody listens there: start the server"),
            "{gone}"
        );
        let closed = said_of(drop);
        assert!(
            closed.contains("closes the connection without an answer"),
            "{closed}"
        );
        for (code, then) in [(500, "see its log"), (404, "see the path"), (302, "`url`")] {
            let said = said_of(move |mut stream| {
                // All of it, or the end of the connection is a reset.
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                for line in reader.by_ref().lines().map(Result::unwrap) {
                    match line.to_ascii_lowercase().strip_prefix("content-length: ") {
                        Some(bytes) => length = bytes.parse().unwrap(),
                        None if line.is_empty() => break,
                        None => {}
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let answer = format!(
                    "HTTP/1.1 {code} X\r\nLocation: /\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert!(
                said.starts_with(&format!("the server answers {code}, ")),
                "{said}"
            );
            assert!(said.contains(then), "{said}");
        }
        let hangs = fault(&ureq::Error::Timeout(ureq::Timeout::Global));
        assert!(hangs.contains("within 10 s"), "{hangs}");
        let unknown = fault(&ureq::Error::HostNotFound);
        assert!(unknown.contains("DNS"), "{unknown}");
    }

    #[test]
    fn the_signature_is_what_any_other_program_makes_of_it() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(
            signature(&key, "1700000000", b"{}"),
            "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
        );
    }
}
