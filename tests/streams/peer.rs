//! SIP peers over TCP as plain as can be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use tollgate::net::clock;

use super::PATIENCE;
use super::text::header;

/// One way to a Tollgate.
pub(crate) enum Way {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

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
        Self::new(Way::Stream(stream))
    }

    /// Has its Via name another address than that of its socket.
    pub(crate) fn sent_by(&mut self, address: SocketAddr) {
        self.sent_by = Some(address);
    }

    /// Its Via's transport and address.
    pub(crate) fn via(&self) -> String {
        let transport = match self.way {
            Way::Stream(_) => "TCP",
            Way::Datagrams(_) => "UDP",
        };
        let address = self.sent_by.unwrap_or_else(|| self.address());
        format!("{transport} {address}")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.way {
            Way::Stream(stream) => stream.local_addr().unwrap(),
            Way::Datagrams(socket) => socket.local_addr().unwrap(),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.way {
            Way::Stream(stream) => stream.write_all(bytes).unwrap(),
            Way::Datagrams(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
        }
    }

    /// Sends to someone who may close meanwhile.
    pub(crate) fn try_send(&mut self, text: &str) {
        if let Way::Stream(stream) = &mut self.way {
            let _closed = stream.write_all(text.as_bytes());
        }
    }

    /// Reads once. False: nothing more comes, or not in time.
    fn read(&mut self, patience: Duration) -> bool {
        let mut chunk = vec![0; 65_535];
        let patience = Some(patience.max(Duration::from_millis(1)));
        let read = match &mut self.way {
            Way::Stream(stream) => {
                stream.set_read_timeout(patience).unwrap();
                stream.read(&mut chunk)
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
        let Way::Stream(stream) = &mut self.way else {
            panic!("no connection");
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = std::mem::take(&mut self.buffer);
        match stream.read_to_end(&mut heard) {
            Ok(_) => heard,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => heard,
            Err(error) => panic!("it is not closed: {error}"),
        }
    }

    pub(crate) fn close(&mut self) {
        if let Way::Stream(stream) = &mut self.way {
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Whoever is connected to.
pub(crate) struct Callee {
    listener: Option<TcpListener>,
    address: SocketAddr,
    peer: Option<Peer>,
    connections: usize,
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
        }
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
        self.peer = Some(Peer::stream(stream));
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
