//! Alerts to a web server, as JSON by POST, signed.

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
        let response = request
            .send(&body)
            .map_err(|error| Unsent(error.to_string()))?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            code => Err(Unsent(format!("the server answers {code}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_any_other_program_makes_of_it() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(
            signature(&key, "1700000000", b"{}"),
            "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
        );
    }
}
