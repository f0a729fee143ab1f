//! Who is told when something is stopped: `[alerts]` of the main file.

use std::fmt;

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerting {
    /// Web servers that take them as JSON.
    pub webhooks: Vec<Webhook>,
    /// Collectors of syslog (RFC 5424).
    pub syslogs: Vec<Syslog>,
    /// Mailboxes.
    pub mails: Vec<Mail>,
}

impl Alerting {
    /// Whether nobody is told anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.webhooks.is_empty() && self.syslogs.is_empty() && self.mails.is_empty()
    }
}

/// A web server that takes alerts by POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `http://…` or `https://…`.
    pub url: String,
    /// What signs the messages; none, and they are not signed.
    pub secret: Option<SecretIn>,
    /// A file of certificates (PEM) that vouch for the server, relative to the main
    /// file; none for those of the system.
    pub ca: Option<String>,
}

/// Where a secret is. The secret itself is in no file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretIn {
    /// In a file, relative to the main file.
    File(String),
    /// In the environment, by this name.
    Env(String),
}

/// A collector of syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// At this address, over UDP (RFC 5426).
    Udp(std::net::SocketAddr),
    /// At this socket of the machine, such as `/dev/log`.
    Unix(String),
}

/// Mailboxes, and who brings the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The relay (RFC 5321).
    pub relay: Relay,
    /// Whether what it is told can be read on the way.
    pub security: Security,
    /// Whom its certificate must be for; the name or address in `relay`, unless it says
    /// otherwise.
    pub tls_name: Option<String>,
    /// A file of certificates (PEM) that vouch for it, relative to the main file; none
    /// for those of the system.
    pub ca: Option<String>,
    /// The account that it asks for: a name, and where its password is.
    pub account: Option<(String, SecretIn)>,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
}

/// Where a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// A domain name, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How a relay is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    None,
    /// In the clear until TLS is agreed on, and not a letter before that (RFC 3207).
    StartTls,
    /// Over TLS from the first byte on (RFC 8314).
    Implicit,
}
