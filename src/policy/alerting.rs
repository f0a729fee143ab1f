//! Who is told when something is stopped: `[alerts]` of the main file.

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
    /// A relay that takes mail from this machine (RFC 5321), without TLS and without
    /// a password.
    pub relay: std::net::SocketAddr,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
}
