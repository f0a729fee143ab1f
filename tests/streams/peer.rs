//! SIP peers over TCP and TLS as plain as can be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use tollgate::net::clock;

use super::PATIENCE;
use super::text::header;

/// One way to a Tollgate.
pub(crate) enum Way {
    Stream {
        socket: TcpStream,
        /// What goes through it.
        bytes: Box<dyn Bytes>,
        transport: &'static str,
    },
    Datagrams(UdpSocket),
}

/// Sends no two bytes together.
struct Dribble(TcpStream);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes.get(..1).unwrap_or_default())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

pub(crate) trait Bytes: Read + Write {}

impl<T: Read + Write> Bytes for T {}

pub(crate) struct Peer {
    way: Way,
    /// Received, and not looked at yet.
    buffer: Vec<u8>,
    /// The address that its Via names, if not that of its socket.
    sent_by: Option<SocketAddr>,
}

impl Peer {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            buffer: Vec::new(),
            sent_by: None,
        }
    }

    pub(crate) fn stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let bytes = stream.try_clone().unwrap();
        Self::new(Way::Stream {
            socket: stream,
            bytes: Box::new(bytes),
            transport: "TCP",
        })
    }

    /// Over TLS, as who connects. Hands are shaken at the first message.
    pub(crate) fn tls_client(socket: TcpStream, tls: ClientConnection) -> Self {
        let stream = socket.try_clone().unwrap();
        Self::tls(socket, Box::new(StreamOwned::new(tls, stream)))
    }

    /// The same, byte by byte.
    pub(crate) fn tls_dribbling(socket: TcpStream, tls: ClientConnection) -> Self {
        let stream = Dribble(socket.try_clone().unwrap());
        Self::tls(socket, Box::new(StreamOwned::new(tls, stream)))
    }

    /// Over TLS, as who is connected to.
    pub(crate) fn tls_server(socket: TcpStream, tls: ServerConnection) -> Self {
        let stream = socket.try_clone().unwrap();
        Self::tls(socket, Box::new(StreamOwned::new(tls, stream)))
    }

    fn tls(socket: TcpStream, bytes: Box<dyn Bytes>) -> Self {
        socket.set_nodelay(true).unwrap();
        Self::new(Way::Stream {
            socket,
            bytes,
            transport: "TLS",
        })
    }

    /// Has its Via name another address than that of its socket.
    pub(crate) fn sent_by(&mut self, address: SocketAddr) {
        self.sent_by = Some(address);
    }

    /// Its Via's transport and address.
    pub(crate) fn via(&self) -> String {
        let transport = match self.way {
            Way::Stream { transport, .. } => transport,
            Way::Datagrams(_) => "UDP",
        };
        let address = self.sent_by.unwrap_or_else(|| self.address());
        format!("{transport} {address}")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.way {
            Way::Stream { socket, .. } => socket.local_addr().unwrap(),
            Way::Datagrams(socket) => socket.local_addr().unwrap(),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.way {
            Way::Stream { bytes: to, .. } => to.write_all(bytes).unwrap(),
            Way::Datagrams(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
        }
    }

    /// Sends to someone who may close meanwhile.
    pub(crate) fn try_send(&mut self, text: &str) {
        if let Way::Stream { bytes, .. } = &mut self.way {
            let _closed = bytes.write_all(text.as_bytes());
        }
    }

    /// Reads once. False: nothing more comes, or not in time.
    fn read(&mut self, patience: Duration) -> bool {
        let mut chunk = vec![0; 65_535];
        let patience = Some(patience.max(Duration::from_millis(1)));
        let read = match &mut self.way {
            Way::Stream { socket, bytes, .. } => {
                socket.set_read_timeout(patience).unwrap();
                bytes.read(&mut chunk)
            }
            Way::Datagrams(socket) => {
                socket.set_read_timeout(patience).unwrap();
                socket.recv(&mut chunk)
            }
        };
        let length = read.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..length]);
        length > 0
    }

    /// The next message, if one comes in time.
    pub(crate) fn poll(&mut self, patience: Duration) -> Option<String> {
        let end = clock::mono() + patience;
        loop {
            while self.buffer.starts_with(b"\r\n") {
                self.buffer.drain(..2);
            }
            let head = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(head) = head {
                let text = String::from_utf8_lossy(&self.buffer[..head]).into_owned() + "\r\n";
                let length: usize = header(&text, "Content-Length").parse().unwrap();
                if self.buffer.len() >= head + 4 + length {
                    let message = self.buffer.drain(..head + 4 + length).collect();
                    return Some(String::from_utf8(message).unwrap());
                }
            }
            if !self.read(end.saturating_since(clock::mono())) {
                return None;
            }
        }
    }

    /// The next message that begins with `start`; others are passed over.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let mut passed = Vec::new();
        while let Some(message) = self.poll(PATIENCE) {
            if message.starts_with(start) {
                return message;
            }
            passed.push(message);
        }
        panic!("{start:?} does not come, but {passed:#?}");
    }

    /// So many bytes as they come.
    pub(crate) fn raw(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.read(PATIENCE) {}
        self.buffer.drain(..length).collect()
    }

    /// All that comes until the connection is closed.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        let Way::Stream { socket, bytes, .. } = &mut self.way else {
            panic!("no connection");
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = std::mem::take(&mut self.buffer);
        match bytes.read_to_end(&mut heard) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("it is not closed: {error}")
            }
            // However it was: TLS says why.
            Ok(_) | Err(_) => heard,
        }
    }

    pub(crate) fn close(&mut self) {
        if let Way::Stream { socket, .. } = &mut self.way {
            let _closed = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Whoever is connected to.
pub(crate) struct Callee {
    listener: Option<TcpListener>,
    address: SocketAddr,
    peer: Option<Peer>,
    connections: usize,
    /// Makes TLS of each connection, if that is spoken.
    tls: Option<Box<dyn Fn() -> ServerConnection>>,
}

impl Callee {
    pub(crate) fn new(host: &str) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            listener: Some(listener),
            address,
            peer: None,
            connections: 0,
            tls: None,
        }
    }

    /// Has it speak TLS.
    pub(crate) fn over_tls(&mut self, tls: impl Fn() -> ServerConnection + 'static) {
        self.tls = Some(Box::new(tls));
    }

    pub(crate) fn without_tls(&mut self) {
        self.tls = None;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    pub(crate) fn stop_listening(&mut self) {
        self.listener = None;
    }

    pub(crate) fn close(&mut self) {
        if let Some(mut peer) = self.peer.take() {
            peer.close();
        }
    }

    fn accept(&mut self) -> bool {
        let accepted = self.listener.as_ref().and_then(|it| it.accept().ok());
        let Some((stream, _)) = accepted else {
            return false;
        };
        stream.set_nonblocking(false).unwrap();
        self.peer = Some(match &self.tls {
            None => Peer::stream(stream),
            Some(tls) => Peer::tls_server(stream, tls()),
        });
        self.connections += 1;
        true
    }

    pub(crate) fn poll(&mut self, patience: Duration) -> Option<String> {
        let end = clock::mono() + patience;
        while clock::mono() < end {
            self.accept();
            let message = self
                .peer
                .as_mut()
                .and_then(|peer| peer.poll(Duration::from_millis(10)));
            if message.is_some() {
                return message;
            }
            if self.peer.is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        None
    }

    pub(crate) fn expect(&mut self, start: &str) -> String {
        let mut passed = Vec::new();
        while let Some(message) = self.poll(PATIENCE) {
            if message.starts_with(start) {
                return message;
            }
            passed.push(message);
        }
        panic!("{start:?} does not come, but {passed:#?}");
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.peer.as_mut().expect("a connection").send(text);
    }
}
