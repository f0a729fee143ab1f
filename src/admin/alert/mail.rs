//! Alerts by mail: handed to a relay (RFC 5321), over TLS where it is not this machine's.

mod bounded;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_send::smtp::AssertReply as _;
use mail_send::{Credentials, Error, SmtpClient};
use rustls::pki_types::ServerName;
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, EXT_START_TLS, EhloResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::base::limits::{ALERT_QUIT_S, ALERT_SEND_S, RELAY_BYTES};
use crate::policy::Relay;

use self::bounded::Bounded;
use super::trust::{Anchors, TrustFault};
use super::{Destination, Message, Unsent};

/// Mailboxes, and the relay that brings the mail.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// The relay.
    pub relay: Relay,
    /// TLS with it; none, and everything goes in the clear.
    pub tls: Option<RelayTls>,
    /// The account that it asks for.
    pub account: Option<Account>,
    /// The sender's address: visible ASCII without `<` and `>`.
    pub from: String,
    /// The recipients' addresses, alike.
    pub to: Vec<String>,
}

/// How a relay is spoken to over TLS.
#[derive(Clone)]
pub struct RelayTls {
    name: ServerName<'static>,
    implicit: bool,
    connector: TlsConnector,
}

impl std::fmt::Debug for RelayTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayTls")
            .field("name", &self.name)
            .field("implicit", &self.implicit)
            .finish_non_exhaustive()
    }
}

impl RelayTls {
    /// `name` is whom the relay's certificate must be for; with `implicit`, TLS is spoken
    /// from the first byte on (RFC 8314), and else after STARTTLS (RFC 3207).
    ///
    /// # Errors
    /// [`TrustFault`]: nobody vouches for the relay.
    pub fn new(name: &str, implicit: bool, anchors: &Anchors) -> Result<Self, TrustFault> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TrustFault(format!("no certificate can be for `{name}`")))?;
        Ok(Self {
            name,
            implicit,
            connector: TlsConnector::from(Arc::new(anchors.client()?)),
        })
    }

    /// Speaks TLS from here on.
    async fn over(&self, stream: Box<dyn Line>) -> Result<Box<dyn Line>, Failure> {
        let connected = self.connector.connect(self.name.clone(), stream).await;
        connected
            .map(|stream| Box::new(stream) as _)
            .map_err(Failure::NoTls)
    }
}

/// An account with a relay.
#[derive(Clone)]
pub struct Account {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// How long a line of base64 may be (RFC 2045 §6.8).
const WIDTH: usize = 76;

/// The longest subject.
const SUBJECT: usize = 200;

/// The whole conversation's patience.
const PATIENCE: Duration = Duration::from_secs(ALERT_SEND_S);

/// What mail goes over, whether that is TLS or not.
trait Line: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Line for T {}

type Client = SmtpClient<Box<dyn Line>>;

/// Why a letter was not taken.
enum Failure {
    Smtp(Error),
    NoTls(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Smtp(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Smtp(Error::Io(error))
    }
}

impl Destination for Mailbox {
    fn name(&self) -> String {
        format!("mail {} by {}", self.to.join(","), self.relay)
    }

    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent> {
        let letter = self.letter(message, checkpoint);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Unsent(error.to_string()))?;
        let sent = runtime.block_on(self.hand_over(&letter));
        // A name that nobody answers for may still be looked up: nobody waits for that.
        runtime.shutdown_background();
        sent.map_err(|error| Unsent(self.in_words(&error)))
    }
}

impl Mailbox {
    /// The whole conversation has one limit in time and one in bytes: a relay that goes on
    /// for ever is one that fails.
    async fn hand_over(&self, letter: &str) -> Result<(), Failure> {
        let delivery = timeout(PATIENCE, self.deliver(letter));
        let client = delivery.await.map_err(|_| Error::Timeout)??;
        // It is delivered, whatever the relay says to this.
        let _said = timeout(Duration::from_secs(ALERT_QUIT_S), client.quit()).await;
        Ok(())
    }

    async fn deliver(&self, letter: &str) -> Result<Client, Failure> {
        let (mut client, features) = self.greet().await?;
        if let Some(Account { username, password }) = &self.account {
            let account = Credentials::new(username.as_str(), password.as_str());
            client.authenticate(&account, &features).await?;
        }
        client.mail_from(&self.from, &Default::default()).await?;
        self.name_recipients(&mut client).await?;
        client.data(letter).await?;
        Ok(client)
    }

    /// Connects, and says who is there; over TLS from then on, or not at all.
    async fn greet(&self) -> Result<(Client, EhloResponse<String>), Failure> {
        let Relay { host, port } = &self.relay;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        let ehlo = match stream.local_addr()?.ip() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let mut stream: Box<dyn Line> = Box::new(Bounded::new(stream, RELAY_BYTES));
        let (at_once, later) = match &self.tls {
            Some(tls) if tls.implicit => (Some(tls), None),
            other => (None, other.as_ref()),
        };
        if let Some(tls) = at_once {
            stream = tls.over(stream).await?;
        }
        let mut client = client(stream);
        client.read().await?.assert_code(220)?;
        let mut features = client.ehlo(&ehlo).await?;
        if let Some(tls) = later {
            if !features.has_capability(EXT_START_TLS) {
                return Err(Error::MissingStartTls.into());
            }
            client.cmd("STARTTLS\r\n").await?.assert_code(220)?;
            client = self::client(tls.over(client.stream).await?);
            // What was said in the clear counts for nothing (RFC 3207 §4.2).
            features = client.ehlo(&ehlo).await?;
        }
        // Whatever else a relay would take is not for a password over TLS.
        features.auth_mechanisms &= AUTH_PLAIN | AUTH_LOGIN;
        Ok((client, features))
    }

    /// A mailbox that is gone for good keeps nothing from the others.
    async fn name_recipients(&self, client: &mut Client) -> mail_send::Result<()> {
        let mut refused = None;
        let mut taken = 0;
        for to in &self.to {
            let reply = client.cmd(format!("RCPT TO:<{to}>\r\n")).await?;
            match reply.code() {
                // RFC 5321 §4.2.2: 251 is "will forward".
                250 | 251 => taken += 1,
                code @ 500..=599 => {
                    tracing::warn!(%to, code, "the relay takes no alerts for this mailbox");
                    refused = Some(reply);
                }
                _ => return Err(Error::UnexpectedReply(reply)),
            }
        }
        match refused {
            Some(reply) if taken == 0 => Err(Error::UnexpectedReply(reply)),
            _ => Ok(()),
        }
    }

    /// What went wrong, without a word of what the relay wrote.
    fn in_words(&self, failure: &Failure) -> String {
        let error = match failure {
            Failure::Smtp(error) => error,
            Failure::NoTls(error) => {
                let name = self.tls.as_ref().map(|it| it.name.to_str());
                let name = name.unwrap_or_default();
                return format!("no TLS with {name}: {error}");
            }
        };
        match error {
            Error::UnexpectedReply(reply) => format!("the relay answers {}", reply.code()),
            Error::AuthenticationFailed(reply) => {
                format!("the relay answers {} to the password", reply.code())
            }
            Error::UnsupportedAuthMechanism => {
                "the relay takes no password by PLAIN or LOGIN".to_owned()
            }
            Error::MissingStartTls => {
                "the relay offers no STARTTLS: write tls = \"implicit\" if it \
                                       speaks TLS at once, or \"none\" if mail may be read on its way"
                    .to_owned()
            }
            Error::UnparseableReply => "the relay does not speak SMTP".to_owned(),
            Error::Timeout => format!("the relay takes longer than {ALERT_SEND_S} s"),
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nobody listens there: start the relay, or correct `relay`".to_owned()
            }
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// The letter (RFC 5322). Its text is in base64, so that no relay
    /// changes a checkpoint and no line of it begins with a dot (RFC 5321 §4.5.2).
    pub(super) fn letter(&self, message: &Message, checkpoint: &str) -> String {
        let plain = |text: &str| -> String {
            let ascii = |c: char| match c {
                ' '..='~' => c,
                _ => '?',
            };
            text.chars().map(ascii).collect()
        };
        let date = message
            .last
            .parse::<jiff::Timestamp>()
            .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
            .unwrap_or_default();
        let host = self.from.rsplit_once('@').map_or("", |(_, host)| host);
        let mut title = plain(&message.title);
        title.truncate(SUBJECT);
        let to: Vec<String> = self.to.iter().map(|it| format!("<{it}>")).collect();
        let mut letter = format!(
            "Date: {date}\r\nFrom: <{}>\r\nTo: {}\r\nSubject: Tollgate: {title}\r\n\
             Message-ID: <{}@{host}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n",
            self.from,
            to.join(",\r\n "),
            plain(&message.id),
        );
        let mut text = format!("{}\r\n", message.text);
        if !checkpoint.is_empty() {
            text.push_str(
                "\r\nThe ledger's last checkpoint (tollgate ledger verify --expect):\r\n\r\n",
            );
            text.push_str(&checkpoint.replace('\n', "\r\n"));
        }
        let encoded = BASE64.encode(text);
        let mut rest = encoded.as_str();
        while let Some((line, after)) = rest.split_at_checked(WIDTH.min(rest.len()))
            && !line.is_empty()
        {
            letter.push_str("\r\n");
            letter.push_str(line);
            rest = after;
        }
        letter
    }
}

fn client(stream: Box<dyn Line>) -> Client {
    SmtpClient {
        stream,
        timeout: PATIENCE,
    }
}
