//! A SIP peer as plain as can be: a socket, and text.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A socket that talks to one Tollgate.
pub(crate) struct Peer {
    socket: UdpSocket,
}

impl Peer {
    pub(crate) fn new(host: &str, tollgate: SocketAddr) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.connect(tollgate).unwrap();
        Self { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Its transport and address, as a Via has them.
    pub(crate) fn via(&self) -> String {
        format!("UDP {}", self.address())
    }

    pub(crate) fn send(&self, text: &str) {
        self.socket.send(text.as_bytes()).unwrap();
    }

    /// Sends to someone who may not be there yet.
    pub(crate) fn try_send(&self, text: &str) {
        let _refused = self.socket.send(text.as_bytes());
    }

    /// The next message, if one comes in time.
    pub(crate) fn receive(&self, patience: Duration) -> Option<String> {
        let mut buffer = vec![0; 65_535];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(String::from_utf8(buffer).unwrap())
    }

    /// The next message that begins with `start`; others, which retransmissions
    /// and provisional responses are, are passed over.
    pub(crate) fn expect(&self, start: &str, patience: Duration) -> String {
        let mut passed = Vec::new();
        while let Some(message) = self.receive(patience) {
            if message.starts_with(start) {
                return message;
            }
            passed.push(message);
        }
        panic!("{} waits for {start:?}, got {passed:#?}", self.address());
    }

    pub(crate) fn expect_silence(&self, long: Duration) {
        if let Some(message) = self.receive(long) {
            panic!("{} should hear nothing: {message}", self.address());
        }
    }
}
