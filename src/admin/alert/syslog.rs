//! Alerts to a collector of syslog (RFC 5424), over UDP (RFC 5426) or a socket of
//! this machine.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

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

    fn send(&mut self, message: &Message) -> Result<(), Unsent> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = line(message, host.trim(), std::process::id());
        self.put(text.as_bytes())
            .map_err(|error| Unsent(error.to_string()))
    }
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
        Kind::Refused | Kind::Stranger | Kind::Order => 4,
        _ => 1,
    };
    let priority = FACILITY * 8 + severity;
    let visible = |text: &str| text.bytes().all(|it| it.is_ascii_graphic());
    let host = match !host.is_empty() && host.len() <= 255 && visible(host) {
        true => host,
        false => "-",
    };
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
