//! One question to name servers (RFC 1035 §4.2), within limits: datagrams, and a
//! connection for what does not fit in one.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};

use crate::base::limits::{NAME_DATAGRAMS, NAME_QUESTIONS};
use crate::base::time::Mono;
use crate::net::clock::mono;
use crate::net::run::random;

/// The largest datagram without an extension that says otherwise (RFC 1035 §4.2.1); a
/// server that sends more is heard, too.
const DATAGRAM: usize = 4_096;

/// What a datagram may take of it: less than any way is known to break into pieces.
const EXTENDED: u16 = 1_232;

/// A domain name.
pub(super) type Domain = Name<Vec<u8>>;

/// A message of a server's.
pub(super) type Reply = Message<Vec<u8>>;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// Nobody said anything in time.
    Silent,
    /// A server said that it cannot tell.
    Refused(Rcode),
    /// What it said cannot be read.
    Unreadable,
    /// It takes more questions than one name gets.
    TooMany,
    /// The system could not send the question.
    System(ErrorKind),
    /// There is nobody to ask.
    NoServer,
}

impl std::fmt::Display for Unasked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("no name server answers"),
            Self::Refused(code) => write!(f, "the name server says {code}"),
            Self::Unreadable => f.write_str("what the name server says cannot be read"),
            Self::TooMany => f.write_str("it leads from name to name without an end"),
            Self::System(kind) => write!(f, "the name server cannot be asked: {kind}"),
            Self::NoServer => f.write_str("there is no name server"),
        }
    }
}

/// Who answers questions: servers, or a test.
pub(super) trait Asked {
    /// What there is of this kind at this name.
    ///
    /// # Errors
    /// [`Unasked`]: nobody can tell now. That there is nothing is no error.
    fn ask(&mut self, name: &Domain, kind: Rtype) -> Result<Reply, Unasked>;
}

/// Servers, for one lookup of one name.
#[derive(Debug)]
pub(super) struct Servers {
    /// The one that answered last comes first.
    servers: Vec<SocketAddr>,
    /// How long each has.
    timeout: Duration,
    /// When the whole lookup has taken too long.
    end: Mono,
    /// How many questions it may yet ask.
    left: usize,
}

impl Servers {
    pub(super) fn new(servers: Vec<SocketAddr>, timeout: Duration, end: Mono) -> Self {
        Self {
            servers,
            timeout,
            end,
            left: NAME_QUESTIONS,
        }
    }
}

impl Asked for Servers {
    fn ask(&mut self, name: &Domain, kind: Rtype) -> Result<Reply, Unasked> {
        self.left = self.left.checked_sub(1).ok_or(Unasked::TooMany)?;
        let mut why = match self.servers.is_empty() {
            true => Unasked::NoServer,
            false => Unasked::Silent,
        };
        // Twice, since datagrams are lost.
        let count = self.servers.len();
        for nth in 0..2 * count {
            let at = nth % count.max(1);
            let Some(&server) = self.servers.get(at) else {
                continue;
            };
            let end = self.end.min(mono() + self.timeout);
            if mono() >= self.end {
                return Err(why);
            }
            match one(server, (name, kind), nth < count, end) {
                Ok(reply) => match reply.header().rcode() {
                    Rcode::NOERROR | Rcode::NXDOMAIN => {
                        self.servers.swap(0, at);
                        return Ok(reply);
                    }
                    code => why = Unasked::Refused(code),
                },
                Err(other) => why = other,
            }
        }
        Err(why)
    }
}

/// Asks one server once. One that does not know what `extended` adds (RFC 6891 §7) is asked
/// without; and so are all the second time, since some say nothing to it.
fn one(
    server: SocketAddr,
    (name, kind): (&Domain, Rtype),
    extended: bool,
    end: Mono,
) -> Result<Reply, Unasked> {
    let question = question(name, kind, extended)?;
    let reply = datagram(server, &question, end)?;
    match reply.header().rcode() {
        Rcode::FORMERR | Rcode::NOTIMP if extended => one(server, (name, kind), false, end),
        _ if reply.header().tc() => connection(server, &question, end),
        _ => Ok(reply),
    }
}

/// `extended`: a datagram may have as many bytes as pass unfragmented (RFC 6891, 1232).
fn question(name: &Domain, kind: Rtype, extended: bool) -> Result<Reply, Unasked> {
    let bits = random().map_err(|error| Unasked::System(error.kind()))?;
    let mut message = MessageBuilder::new_vec();
    message
        .header_mut()
        .set_id(u16::try_from(bits & 0xFFFF).unwrap_or(0));
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message
        .push((name, kind))
        .map_err(|_| Unasked::Unreadable)?;
    let mut message = message.additional();
    if extended {
        let sized = message.opt(|opt| {
            opt.set_udp_payload_size(EXTENDED);
            Ok(())
        });
        sized.map_err(|_| Unasked::Unreadable)?;
    }
    Ok(message.into_message())
}

/// What is left until `end`; never nothing, which would be for ever.
fn left(end: Mono) -> Result<Duration, Unasked> {
    let left = end.saturating_since(mono());
    match left.is_zero() {
        true => Err(Unasked::Silent),
        false => Ok(left),
    }
}

fn failed(error: &std::io::Error) -> Unasked {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unasked::Silent,
        kind => Unasked::System(kind),
    }
}

/// Over a socket of its own, so that its port is one more thing to guess for whoever wants
/// to answer in the server's place.
fn datagram(server: SocketAddr, question: &Reply, end: Mono) -> Result<Reply, Unasked> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).map_err(|error| failed(&error))?;
    socket.connect(server).map_err(|error| failed(&error))?;
    socket
        .send(question.as_slice())
        .map_err(|error| failed(&error))?;
    let mut bytes = vec![0; DATAGRAM];
    for _ in 0..NAME_DATAGRAMS {
        let wait = left(end)?;
        socket
            .set_read_timeout(Some(wait))
            .map_err(|error| failed(&error))?;
        let length = socket.recv(&mut bytes).map_err(|error| failed(&error))?;
        let received = bytes.get(..length).unwrap_or_default().to_vec();
        let reply = Message::from_octets(received).ok();
        if let Some(reply) = reply.filter(|it| it.is_answer(question)) {
            return Ok(reply);
        }
    }
    Err(Unasked::Unreadable)
}

fn connection(server: SocketAddr, question: &Reply, end: Mono) -> Result<Reply, Unasked> {
    let stream = TcpStream::connect_timeout(&server, left(end)?);
    let mut stream = stream.map_err(|error| failed(&error))?;
    let length = u16::try_from(question.as_slice().len()).unwrap_or(0);
    let framed = [&length.to_be_bytes(), question.as_slice()].concat();
    stream
        .set_write_timeout(Some(left(end)?))
        .and_then(|()| stream.write_all(&framed))
        .map_err(|error| failed(&error))?;
    let mut head = [0; 2];
    fill(&mut stream, &mut head, end)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(head))];
    fill(&mut stream, &mut bytes, end)?;
    let reply = Message::from_octets(bytes).map_err(|_| Unasked::Unreadable)?;
    match reply.is_answer(question) && !reply.header().tc() {
        true => Ok(reply),
        false => Err(Unasked::Unreadable),
    }
}

/// Reads it all, however slowly it comes, but not beyond `end`.
fn fill(stream: &mut TcpStream, bytes: &mut [u8], end: Mono) -> Result<(), Unasked> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|it| !it.is_empty()) {
        let wait = left(end)?;
        let read = stream
            .set_read_timeout(Some(wait))
            .and_then(|()| stream.read(rest));
        match read {
            Ok(0) => return Err(Unasked::Unreadable),
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(())
}
