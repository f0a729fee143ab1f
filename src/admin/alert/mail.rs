//! Alerts by mail: handed to a relay that takes mail from this machine (RFC 5321).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::base::limits::ALERT_SEND_S;

use super::{Destination, Message, Unsent};

/// Mailboxes, and the relay that brings the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The relay.
    pub relay: SocketAddr,
    /// The sender's address: visible ASCII without `<` and `>`.
    pub from: String,
    /// The recipients' addresses, alike.
    pub to: Vec<String>,
}

/// The longest line of an answer (RFC 5321 §4.5.3.1.5, doubled), and how many an
/// answer may have.
const LINE: u64 = 1_024;
const LINES: usize = 64;

/// How long a line of base64 may be (RFC 2045 §6.8).
const WIDTH: usize = 76;

/// The longest subject.
const SUBJECT: usize = 200;

impl Destination for Mailbox {
    fn name(&self) -> String {
        format!("mail {} by {}", self.to.join(","), self.relay)
    }

    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent> {
        self.hand_over(&self.letter(message, checkpoint))
            .map_err(|error| Unsent(error.to_string()))
    }
}

impl Mailbox {
    fn hand_over(&self, letter: &str) -> io::Result<()> {
        // The conversation has some seven turns, and one limit.
        let patience = Duration::from_secs(ALERT_SEND_S);
        let stream = TcpStream::connect_timeout(&self.relay, patience)?;
        let each = patience / 4;
        stream.set_read_timeout(Some(each))?;
        stream.set_write_timeout(Some(each))?;
        let host = match stream.local_addr()?.ip() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let mut talk = Talk(BufReader::new(stream));
        expect(talk.answer()?, 220)?;
        expect(talk.say(&format!("EHLO {host}\r\n"))?, 250)?;
        expect(talk.say(&format!("MAIL FROM:<{}>\r\n", self.from))?, 250)?;
        self.name_recipients(&mut talk)?;
        expect(talk.say("DATA\r\n")?, 354)?;
        expect(talk.say(letter)?, 250)?;
        // It is delivered, whatever the relay says to this.
        let _said = talk.say("QUIT\r\n");
        Ok(())
    }

    /// A mailbox that is gone for good keeps nothing from the others.
    fn name_recipients(&self, talk: &mut Talk) -> io::Result<()> {
        let mut refused = None;
        let mut taken = 0;
        for to in &self.to {
            let code = talk.say(&format!("RCPT TO:<{to}>\r\n"))?;
            match code {
                // RFC 5321 §4.2.2: 251 is "will forward".
                250 | 251 => taken += 1,
                500..=599 => {
                    tracing::warn!(%to, code, "the relay takes no alerts for this mailbox");
                    refused = Some(code);
                }
                _ => expect(code, 250)?,
            }
        }
        match refused {
            Some(code) if taken == 0 => expect(code, 250),
            _ => Ok(()),
        }
    }

    /// The letter (RFC 5322), with its end. Its text is in base64, so that no relay
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
             Content-Transfer-Encoding: base64\r\n\r\n",
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
            letter.push_str(line);
            letter.push_str("\r\n");
            rest = after;
        }
        letter.push_str(".\r\n");
        letter
    }
}

fn expect(code: u16, expected: u16) -> io::Result<()> {
    match code == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!("the relay answers {code}"))),
    }
}

/// A conversation with a relay.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn say(&mut self, text: &str) -> io::Result<u16> {
        self.0.get_mut().write_all(text.as_bytes())?;
        self.answer()
    }

    /// Reads an answer (RFC 5321 §4.2): its code.
    fn answer(&mut self) -> io::Result<u16> {
        for _ in 0..LINES {
            let mut line = Vec::new();
            (&mut self.0).take(LINE).read_until(b'\n', &mut line)?;
            let code = line.get(..3).and_then(|it| std::str::from_utf8(it).ok());
            let code = code.and_then(|it| it.parse::<u16>().ok());
            match (code, line.get(3)) {
                (Some(_), Some(b'-')) => {}
                (Some(code), _) => return Ok(code),
                (None, _) => return Err(io::Error::other("the relay does not speak SMTP")),
            }
        }
        Err(io::Error::other("the relay's answer has no end"))
    }
}
