//! Alerts to a collector of syslog (RFC 5424), over UDP (RFC 5426) or a socket of
//! this machine.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::base::limits::ALERT_CHECKPOINT_BYTES;

use super::group::Kind;
use super::{Destination, Message, Unsent};

/// The longest message: what every collector should take (RFC 5424 §6.1).
const LONGEST: usize = 2_048;

/// Facility 10, security messages (RFC 5424 §6.2.1).
const FACILITY: u8 = 10;

/// Where syslog is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// Over UDP.
    Udp(SocketAddr),
    /// At a socket of this machine.
    Unix(std::path::PathBuf),
}

impl Destination for Collector {
    fn name(&self) -> String {
        match self {
            Self::Udp(address) => format!("syslog udp:{address}"),
            Self::Unix(path) => format!("syslog unix:{}", path.display()),
        }
    }

    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent> {
        let text = line(message, &host(), std::process::id());
        let sent = self.put(text.as_bytes()).and_then(|()| {
            let note = checkpoint_line(checkpoint, &host(), std::process::id());
            note.map_or(Ok(()), |note| self.put(note.as_bytes()))
        });
        sent.map_err(|error| fault(&error))
    }

    fn answers(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn keeps_checkpoints(&self) -> bool {
        true
    }

    fn keep(&mut self, checkpoint: &str) -> Result<(), Unsent> {
        match checkpoint_line(checkpoint, &host(), std::process::id()) {
            Some(note) => self.put(note.as_bytes()).map_err(|error| fault(&error)),
            None => Err(Unsent(
                "the checkpoint is too long for a datagram".to_owned(),
            )),
        }
    }
}

/// Why nothing was taken, and what to do.
fn fault(error: &io::Error) -> Unsent {
    let then = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "nobody collects syslog there: start what does, or correct `address`"
        }
        io::ErrorKind::PermissionDenied => "let Tollgate's user write there",
        io::ErrorKind::WouldBlock => "what collects syslog there does not keep up",
        _ => "see `address` in [[alerts.syslog]]",
    };
    Unsent(format!("{error}: {then}"))
}

/// This machine's name, if it makes one in syslog (RFC 5424 §6.2.4).
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

impl Collector {
    fn put(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(to) => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                UdpSocket::bind(any)?.send_to(line, to).map(drop)
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.send_to(line, path).map(drop)
            }
        }
    }
}

/// The message as syslog has it. Structured data is under the number that RFC 5612
/// keeps for examples, since Tollgate has none of its own.
pub(super) fn line(message: &Message, host: &str, process: u32) -> String {
    // RFC 5424 §6.2.1: 1 is "action must be taken immediately", 4 a warning.
    let severity = match message.kind {
        Kind::Refused | Kind::Stranger | Kind::Flood | Kind::Order => 4,
        Kind::Trial => 5,
        _ => 1,
    };
    let priority = FACILITY * 8 + severity;
    let host = named(host);
    let id = serde_json::to_string(&message.kind).unwrap_or_default();
    let mut line = format!(
        "<{priority}>1 {} {host} tollgate {process} {} [tollgate@32473 id=\"{}\" tenant=\"{}\" \
         what=\"{}\" count=\"{}\" number=\"{}\" cost=\"{}\"] \u{feff}",
        message.last,
        id.trim_matches('"'),
        escaped(&message.id),
        escaped(&message.tenant),
        escaped(&message.what),
        message.count,
        escaped(&message.number),
        escaped(&message.cost),
    );
    line.push_str(&message.text.replace(char::is_control, " "));
    while line.len() > LONGEST {
        line.pop();
    }
    line
}

/// A checkpoint as syslog has it, in base64, since it has several lines; none if
/// there is none, or it is too long.
pub(super) fn checkpoint_line(note: &str, host: &str, process: u32) -> Option<String> {
    if note.is_empty() || note.len() > ALERT_CHECKPOINT_BYTES {
        return None;
    }
    // RFC 5424 §6.2.1: 5 is "normal but significant".
    let priority = FACILITY * 8 + 5;
    let field = |name: &str| {
        let mut lines = note.lines();
        let value = lines.find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or("-")
    };
    Some(format!(
        "<{priority}>1 {} {} tollgate {process} checkpoint [tollgate@32473 number=\"{}\" \
         note=\"{}\"]",
        field("time"),
        named(host),
        escaped(field("checkpoint")),
        BASE64.encode(note),
    ))
}

/// A machine's name for syslog (RFC 5424 §6.2.4).
fn named(host: &str) -> &str {
    let visible = host.bytes().all(|it| it.is_ascii_graphic());
    match visible && (1..=255).contains(&host.len()) {
        true => host,
        false => "-",
    }
}

/// A value of structured data (RFC 5424 §6.3.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|it| !it.is_control()).take(128) {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
