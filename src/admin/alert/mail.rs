//! Alerts by mail: handed to a relay that takes mail from this machine (RFC 5321).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

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

impl Destination for Mailbox {
    fn name(&self) -> String {
        format!("mail {} by {}", self.to.join(","), self.relay)
    }

    fn send(&mut self, message: &Message) -> Result<(), Unsent> {
        self.hand_over(message)
            .map_err(|error| Unsent(error.to_string()))
    }
}

impl Mailbox {
    fn hand_over(&self, message: &Message) -> io::Result<()> {
        // The conversation has some seven turns, and one limit.
        let patience = Duration::from_secs(ALERT_SEND_S);
        let stream = TcpStream::connect_timeout(&self.relay, patience)?;
        let each = patience / 4;
        stream.set_read_timeout(Some(each))?;
        stream.set_write_timeout(Some(each))?;
        let local = stream.local_addr()?.ip();
        let mut talk = Talk(BufReader::new(stream));
        talk.answer(220)?;
        let host = match local {
            std::net::IpAddr::V4(ip) => format!("[{ip}]"),
            std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        talk.say(&format!("EHLO {host}\r\n"), 250)?;
        talk.say(&format!("MAIL FROM:<{}>\r\n", self.from), 250)?;
        for to in &self.to {
            talk.say(&format!("RCPT TO:<{to}>\r\n"), 250)?;
        }
        talk.say("DATA\r\n", 354)?;
        talk.say(&self.letter(message), 250)?;
        // It is delivered, whatever the relay says to this.
        let _said = talk.say("QUIT\r\n", 221);
        Ok(())
    }

    /// The letter (RFC 5322), with its end. ASCII alone, so that every relay takes
    /// it; no line begins with a dot (RFC 5321 §4.5.2) or is too long.
    pub(super) fn letter(&self, message: &Message) -> String {
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
        title.truncate(200);
        let mut letter = format!(
            "Date: {date}\r\nFrom: <{}>\r\nTo: {}\r\nSubject: Tollgate: {title}\r\n\
             Message-ID: <{}@{host}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
            self.from,
            self.to
                .iter()
                .map(|it| format!("<{it}>"))
                .collect::<Vec<_>>()
                .join(",\r\n "),
            plain(&message.id),
        );
        let mut width = 0;
        for word in plain(&message.text).split(' ') {
            let word = word.get(..900).unwrap_or(word);
            if width > 0 && width + word.len() > 70 {
                letter.push_str("\r\n");
                width = 0;
            }
            if width > 0 {
                letter.push(' ');
                width += 1;
            } else if word.starts_with('.') {
                letter.push('.');
            }
            letter.push_str(word);
            width += word.len();
        }
        letter.push_str("\r\n.\r\n");
        letter
    }
}

/// A conversation with a relay.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn say(&mut self, text: &str, expected: u16) -> io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes())?;
        self.answer(expected)
    }

    /// Reads an answer (RFC 5321 §4.2), which must have this code, or 251 in place of
    /// 250.
    fn answer(&mut self, expected: u16) -> io::Result<()> {
        for _ in 0..LINES {
            let mut line = Vec::new();
            (&mut self.0).take(LINE).read_until(b'\n', &mut line)?;
            let code = line.get(..3).and_then(|it| std::str::from_utf8(it).ok());
            let code = code.and_then(|it| it.parse::<u16>().ok());
            match (code, line.get(3)) {
                (Some(_), Some(b'-')) => {}
                (Some(code), _) if code == expected || (code, expected) == (251, 250) => {
                    return Ok(());
                }
                (Some(code), _) => {
                    return Err(io::Error::other(format!("the relay answers {code}")));
                }
                (None, _) => return Err(io::Error::other("the relay does not speak SMTP")),
            }
        }
        Err(io::Error::other("the relay's answer has no end"))
    }
}
